//! The requirements as one HTML page: no script, no other file.

use std::fmt::Write as _;

use super::{Compliance, Requirement};
use crate::report::html::escape::{e, prose};
use crate::report::html::parts::{badge, listed, status_class};
use crate::requirements::{MET, Status};

const ALL: [Status; 5] =
    [Status::AutomatedMet, Status::Partial, Status::NotMet, Status::Manual, Status::NoEvidence];

/// The page.
#[must_use]
pub fn render(compliance: &Compliance) -> String {
    let title = format!("{}: {} at level {}", compliance.device, compliance.component_type, compliance.level);
    let tiles: String = ALL
        .iter()
        .map(|status| {
            let name = status.words();
            format!("<div class=\"tile\"><b>{}</b><span>{name}</span></div>", compliance.count(*status))
        })
        .collect();
    let mut sections = format!(
        "<section id=\"levels\" aria-labelledby=\"h-levels\"><h2 id=\"h-levels\">Levels</h2>{}</section>\n",
        levels(compliance)
    );
    let mut navigation = "<a href=\"#levels\">Levels</a>".to_owned();
    for (number, name) in &compliance.foundations {
        let rows: String = compliance
            .requirements
            .iter()
            .filter(|item| item.foundation == *number && item.applies)
            .map(requirement)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(navigation, "\n<a href=\"#fr{number}\">FR {number}</a>");
        let _ = writeln!(
            sections,
            "<section id=\"fr{number}\" aria-labelledby=\"h-fr{number}\"><h2 id=\"h-fr{number}\">{number}. {}</h2>\n{rows}</section>",
            e(name)
        );
    }
    let others: String = compliance
        .requirements
        .iter()
        .filter(|item| !item.applies)
        .map(|item| {
            format!(
                "<tr><td class=id>{}</td><td>{}</td><td>{}</td></tr>",
                e(&item.id),
                e(&item.title),
                prose(&item.why_applies)
            )
        })
        .collect();
    let _ = writeln!(
        sections,
        "<section id=\"others\" aria-labelledby=\"h-others\"><h2 id=\"h-others\">Do not apply</h2><table><thead><tr><th>id</th><th>title</th><th>why</th></tr></thead><tbody>{others}</tbody></table></section>"
    );
    navigation.push_str("\n<a href=\"#others\">Do not apply</a>");
    let disk = if compliance.disk_sha256.is_empty() {
        String::new()
    } else {
        format!(
            "<p class=\"small dim\">disk image <code class=hash>{}</code></p>",
            e(&compliance.disk_sha256)
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#levels\">Skip to the content</a>\n\
         <header><div class=\"in\">\n<h1>{device}</h1>\n<p class=\"sub\">{standard} · {kind}, target level {level}</p>\n\
         <p class=\"sub\">{disclaimer}</p>{disk}<div class=\"tiles\">{tiles}</div></div></header>\n\
         <nav aria-label=\"Sections\"><div class=\"in\">{navigation}</div></nav>\n<main>\n{sections}</main>\n\
         <footer>Made by {generator}. The same input gives the same page.</footer>\n</body>\n</html>\n",
        title = e(&title),
        style = include_str!("../report/html/style.css"),
        device = e(&compliance.device),
        standard = e(&compliance.standard),
        kind = e(&compliance.component_type),
        level = compliance.level,
        disclaimer = e(&compliance.disclaimer),
        generator = e(&compliance.generator),
    )
}

fn levels(compliance: &Compliance) -> String {
    let other = compliance.of_other_images.iter().map(|name| crate::report::of_other_image(name));
    let other: String = other.map(|said| format!("<p><b>{}</b></p>\n", prose(&said))).collect();
    let heads: String = ALL.iter().map(|status| format!("<th class=n>{}</th>", status.words())).collect();
    let rows: String = compliance
        .levels
        .iter()
        .map(|level| {
            let cells: String = ALL
                .iter()
                .map(|status| {
                    format!("<td class=n>{}</td>", level.by_status.get(status).copied().unwrap_or_default())
                })
                .collect();
            let target = if level.level == compliance.level { " (target)" } else { "" };
            format!("<tr><td>{}{target}</td><td class=n>{}</td>{cells}</tr>", level.level, level.selected)
        })
        .collect();
    format!(
        "{other}<p class=lead>Every level from the same evidence. {MET}</p>\
         <table><thead><tr><th>level</th><th class=n>selected</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn requirement(item: &Requirement) -> String {
    let Some(status) = item.status else { return String::new() };
    let evidence: String = item
        .evidence
        .iter()
        .map(|shown| {
            format!(
                "<li>{} <b>{}</b> <span class=dim>{}</span> {}<br><span class=dim>seen: {}; defined at <code>{}</code></span></li>",
                badge(shown.verdict),
                e(&shown.check),
                e(&shown.kind_words()),
                prose(&shown.title),
                prose(&shown.seen),
                e(&shown.defined_at)
            )
        })
        .collect();
    let evidence = if evidence.is_empty() {
        String::new()
    } else {
        format!("<p class=\"small dim\">Evidence</p><ul class=\"plain small\">{evidence}</ul>")
    };
    let unshown: Vec<String> = item
        .not_shown
        .iter()
        .map(|check| format!("`{}` ({}): {}", check.check, check.kind, check.what))
        .collect();
    let left: Vec<String> = item.out_of_image.iter().map(ToString::to_string).collect();
    let provided: Vec<String> = item.provided_by.iter().map(super::provided_words).collect();
    let references: Vec<String> =
        item.references.iter().map(|(framework, ids)| format!("{framework}: {}", ids.join(", "))).collect();
    format!(
        "<details><summary><span class=id>{id}</span> <span class=grow>{title}</span> <span class=\"v {class}\">{words}</span></summary>\
         <p>{paraphrase}</p><p class=small>{why}. <span class=dim>{applies}; {claim}; {left}.</span></p>{provided}{evidence}{unshown}{out}{advice}{means}{references}</details>\n",
        id = e(&item.id),
        title = e(&item.title),
        class = status_class(status),
        words = status.words(),
        paraphrase = prose(&item.paraphrase),
        why = prose(&item.why),
        applies = e(&item.why_applies),
        claim = super::terminal::claim_words(item.claim),
        left = e(&item.left_to),
        unshown = listed("Listed by the catalogue and not passed in this run", &unshown),
        provided = listed("Provided in this product by", &provided),
        out = listed("What no image can show, and who has to", &left),
        advice = listed("What to do", &item.advice),
        means = listed("Means on Linux", &item.means),
        references = listed("Like requirements", &references),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comply::tests::made;

    #[test]
    fn the_page_stands_alone_and_text_of_an_image_is_no_markup() {
        let mut made = made(2);
        for item in &mut made.requirements {
            for shown in &mut item.evidence {
                shown.seen = "<img src=x onerror=1>\"'".to_owned();
                shown.check.push_str("<b>");
            }
        }
        let page = render(&made);
        assert!(page.contains("&lt;img src=x"));
        for banned in ["<img", "<script", "<link", "http://", "https://", "url("] {
            assert!(!page.contains(banned), "{banned}");
        }
        for tag in ["section", "details", "table", "div"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        if let Some(path) = std::env::var_os("FASTNESS_SAMPLE_COMPLY") {
            std::fs::write(path, page).unwrap();
        }
    }
}
