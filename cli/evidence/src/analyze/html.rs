//! An analysis as one HTML page in the report's style: no script, no other file. Text reaches it only escaped.

use super::model::{Analysis, Issue, Level};
use crate::report::html::{e, prose};

/// Places of one finding on the page; the JSON has all.
const PLACES: usize = 200;
/// Rows of a table.
const ROWS: usize = 3000;

/// The page.
#[must_use]
pub fn render(analysis: &Analysis) -> String {
    let sections = [
        ("strength", "Strength", strength(analysis)),
        ("findings", "Findings", findings(analysis)),
        ("parts", "What it is made of", parts(analysis)),
        ("boot", "Boot and kernel", boot(analysis)),
        ("services", "Services and units", services(analysis)),
        ("accounts", "Accounts and keys", accounts(analysis)),
        ("components", "Components", components(analysis)),
        ("programs", "Programs and libraries", programs(analysis)),
    ];
    let present = || sections.iter().filter(|(_, _, body)| !body.is_empty());
    let navigation: String =
        present().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>\n")).collect();
    let body: String = present()
        .map(|(id, name, body)| {
            format!("<section id=\"{id}\" aria-labelledby=\"h-{id}\">\n<h2 id=\"h-{id}\">{name}</h2>\n{body}</section>\n")
        })
        .collect();
    let good = matches!(analysis.word.as_str(), "good" | "fair");
    let (class, path) = if good { ("good", "M7 12.5l3.2 3.2L17 9") } else { ("bad", "M8 8l8 8M16 8l-8 8") };
    let counts: Vec<String> = Level::ALL
        .iter()
        .rev()
        .filter_map(|level| {
            let number = analysis.issues.iter().filter(|issue| issue.level == *level).count();
            (number > 0).then(|| format!("{number} {}", level.word()))
        })
        .collect();
    let sha256 =
        if analysis.sha256.is_empty() { String::new() } else { format!("sha256:{}", analysis.sha256) };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name}: firmware analysis</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#strength\">Skip to the content</a>\n\
         <header><div class=\"in\">\n<h1>{name}</h1>\n<p class=\"sub\"><code class=hash>{sha256}</code></p>\n\
         <div class=\"banner {class}\" style=\"margin-top:16px\" role=\"status\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\" \
         fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\
         <path d=\"M12 2.5l8 3v6c0 5-3.4 8.6-8 10-4.6-1.4-8-5-8-10v-6z\"/><path d=\"{path}\"/></svg>\
         <div><strong>{word}</strong><p>Findings: {counts}. Nothing of the image was run.</p></div></div>\n</div></header>\n\
         <nav aria-label=\"Sections\"><div class=\"in\">{navigation}</div></nav>\n<main>\n{body}</main>\n\
         <footer>Made by {generator}. The same input gives the same page.</footer>\n</body>\n</html>\n",
        name = e(&analysis.name),
        style = include_str!("../report/html/style.css"),
        sha256 = e(&sha256),
        word = e(&analysis.word),
        counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") },
        generator = e(&analysis.generator),
    )
}

/// A level as the report shows verdicts.
fn badge(level: Level) -> String {
    let class = match level {
        Level::Critical | Level::High => "fail",
        Level::Medium => "waived",
        Level::Low => "partial",
        Level::Note => "note",
    };
    format!("<span class=\"v {class}\">{}</span>", level.word())
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    let mut body = String::new();
    let mut more = 0;
    for (number, row) in rows.enumerate() {
        if number >= ROWS {
            more += 1;
            continue;
        }
        let cells: String =
            row.iter().zip(heads).map(|(cell, head)| format!("<td data-l=\"{head}\">{cell}</td>")).collect();
        body += &format!("<tr>{cells}</tr>\n");
    }
    if body.is_empty() {
        return String::new();
    }
    let more =
        if more > 0 { format!("<p class=dim>and {more} more, in the JSON</p>\n") } else { String::new() };
    format!("<table class=cards><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n{more}")
}

fn strength(analysis: &Analysis) -> String {
    let rows = analysis.strength.iter().map(|area| {
        let issues: Vec<String> = Level::ALL
            .iter()
            .rev()
            .filter_map(|level| Some(format!("{} {}", area.issues.get(level.word())?, level.word())))
            .collect();
        vec![
            e(area.area.word()),
            format!("<b>{}</b>", e(&area.word)),
            format!("{} {}", area.looked_at, e(&area.of)),
            if issues.is_empty() { "none".to_owned() } else { issues.join(", ") },
        ]
    });
    format!(
        "<p class=lead>An area is as strong as its worst finding lets it be: critical is broken, high is weak, medium is \
         fair, else good; unknown where nothing of the kind was found. The whole is as strong as its weakest area.</p>\n{}",
        table(&["area", "strength", "looked at", "findings"], rows)
    )
}

fn findings(analysis: &Analysis) -> String {
    analysis.issues.iter().map(finding).collect()
}

fn finding(issue: &Issue) -> String {
    let places: String = issue
        .places
        .iter()
        .take(PLACES)
        .map(|place| {
            let seen = if place.seen.is_empty() { String::new() } else { format!(" {}", prose(&place.seen)) };
            format!("<li><code>{}</code>{seen}</li>\n", e(&place.path))
        })
        .collect();
    let more = issue.places.len().saturating_sub(PLACES);
    let more =
        if more > 0 { format!("<p class=dim>and {more} more, in the JSON</p>\n") } else { String::new() };
    let open = if issue.level >= Level::High { " open" } else { "" };
    format!(
        "<details{open}><summary>{} <span class=grow>{}</span> <span class=dim>{}</span></summary>\n\
         <p>{}</p>\n<ul class=plain>\n{places}</ul>\n{more}<p class=\"dim small\"><code>{}</code></p></details>\n",
        badge(issue.level),
        prose(&issue.title),
        issue.places.len(),
        prose(&issue.advice),
        e(&issue.rule),
    )
}

fn parts(analysis: &Analysis) -> String {
    let rows = analysis.parts.iter().map(|part| {
        let bytes = part.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        vec![
            format!("<code>{}</code>", e(&part.at)),
            e(&part.kind),
            bytes,
            if part.read { "yes" } else { "<b>no</b>" }.to_owned(),
        ]
    });
    table(&["part", "is", "bytes", "read"], rows)
}

fn boot(analysis: &Analysis) -> String {
    let loaders = analysis.boot_loaders.iter().map(|loader| {
        let keys: Vec<String> = loader.keys.iter().map(|key| e(key)).collect();
        let settings: Vec<String> = loader
            .settings
            .iter()
            .map(|(name, value)| format!("<code>{}={}</code>", e(name), e(value)))
            .collect();
        vec![
            format!("<code>{}</code>", e(&loader.at)),
            e(&loader.version),
            keys.join("<br>"),
            settings.join("<br>"),
        ]
    });
    let kernels = analysis.kernels.iter().map(|kernel| {
        vec![
            format!("<code>{}</code>", e(&kernel.at)),
            e(&kernel.version),
            e(&kernel.configuration),
            format!("{} of {}", kernel.rows_held, kernel.rows),
            kernel.cmdline.as_ref().map(|line| format!("<code>{}</code>", e(line))).unwrap_or_default(),
        ]
    });
    table(&["boot loader", "version", "keys", "settings"], loaders)
        + &table(&["kernel", "version", "configuration", "hardening rows held", "command line"], kernels)
}

fn services(analysis: &Analysis) -> String {
    let services = analysis
        .services
        .iter()
        .map(|service| vec![e(&service.name), format!("<code>{}</code>", e(&service.at)), e(&service.how)]);
    let units = analysis.units.iter().map(|unit| {
        let missing: Vec<String> = unit
            .missing
            .iter()
            .take(5)
            .map(|(name, adds)| format!("{} {}.{}", e(name), adds / 10, adds % 10))
            .collect();
        vec![
            e(&unit.name),
            format!("{}.{} {}", unit.exposure / 10, unit.exposure % 10, e(&unit.word)),
            missing.join("<br>"),
        ]
    });
    table(&["service", "started by", "how"], services) + &table(&["unit", "exposure", "most by"], units)
}

fn accounts(analysis: &Analysis) -> String {
    let accounts = analysis.accounts.iter().map(|account| {
        let uid = account.uid.map(|uid| uid.to_string()).unwrap_or_default();
        vec![e(&account.name), uid, e(&account.shell), e(&account.password), e(&account.tried)]
    });
    let keys = analysis.keys.iter().map(|key| {
        vec![
            format!("<code>{}</code>", e(&key.path)),
            e(&key.kind),
            e(&key.algorithm),
            e(&key.name),
            format!("<code class=hash>{}</code>", e(&key.fingerprint)),
        ]
    });
    let privileged = analysis.privileged.iter().map(|file| {
        vec![
            format!("<code>{}</code>", e(&file.path)),
            e(&file.mode),
            e(&file.owner),
            e(&file.capabilities.join(" ")),
        ]
    });
    table(&["account", "uid", "shell", "password", "tried"], accounts)
        + &table(&["file", "key", "algorithm", "name", "sha256"], keys)
        + &table(&["file", "mode", "owner", "capabilities"], privileged)
}

fn components(analysis: &Analysis) -> String {
    let rows = analysis
        .components
        .iter()
        .map(|c| vec![e(&c.name), e(&c.version), e(&c.by), format!("<code>{}</code>", e(&c.at))]);
    table(&["component", "version", "known by", "from"], rows)
}

fn programs(analysis: &Analysis) -> String {
    let yes = |value: bool| if value { "yes" } else { "<b>no</b>" }.to_owned();
    let rows = analysis.programs.iter().filter(|program| program.kind != "module").map(|program| {
        vec![
            format!("<code>{}</code>", e(&program.path)),
            e(&program.kind),
            yes(program.pie),
            e(&program.relro),
            yes(program.nx && program.separate),
            e(&program.canary),
            e(&program.fortify),
            e(&program.branch.join(" ")),
            e(&program.risky.join(" ")),
        ]
    });
    table(&["file", "kind", "PIE", "RELRO", "NX", "canary", "fortify", "branches", "imports"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::sample::analysis;

    #[test]
    fn the_page_stands_alone_and_no_text_of_an_image_becomes_markup() {
        let mut hostile = analysis();
        let evil = "\"'><img src=x onerror=1>";
        hostile.name += evil;
        hostile.issues[0].places[0].path += evil;
        hostile.issues[0].places[0].seen += evil;
        hostile.components[0].version += evil;
        hostile.programs[0].path += evil;
        hostile.units[0].name += evil;
        let page = render(&hostile);
        assert!(page.matches("&lt;img src=x").count() >= 6);
        for banned in ["<img", "<script", "http://", "https://", "url(", "@import", "<link", " onclick"] {
            assert!(!page.contains(banned), "{banned}");
        }
        for tag in ["section", "details", "table", "ul"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn the_page_shows_the_word_the_findings_and_what_to_do() {
        let page = render(&analysis());
        for text in [
            "<strong>broken</strong>",
            "1 critical",
            "An account without a password",
            "lock it",
            "busybox",
            "9.2 unsafe",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
