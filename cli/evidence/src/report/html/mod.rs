//! The report as one HTML page: no script, no other file, readable on a phone, in the dark and on paper.
//!
//! Text reaches the page only through [`escape`]. The page says nothing that the [`Report`]
//! does not say.

pub(crate) mod escape;
mod network;
pub(crate) mod parts;
mod pictures;
mod traffic;

use diag::ExitStatus;
use record::Verdict;

use super::Report;
use crate::threats::html as threats;
pub(crate) use escape::{e, prose};

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let device = &report.device;
    let title = format!("{} {}", device.product, device.version);
    let sections = [
        ("chain", "Chain of trust", parts::chain(report)),
        ("network", "Zones, conduits and what answers", network::section(report)),
        ("requirements", "Requirements", parts::requirements(report)),
        ("findings", "Findings", parts::findings(report)),
        ("threats", "Threats", report.threats.as_ref().map(threats::section).unwrap_or_default()),
        ("attacks", "Attacks", parts::attacks(report)),
        ("traffic", "Traffic", traffic::section(report)),
        ("boot", "Boot", parts::boot(report)),
        ("configuration", "Configuration", parts::configuration(report)),
        ("files", "Files", parts::files(report)),
        ("not-shown", "Not shown", parts::not_shown(report)),
    ];
    let present = || sections.iter().filter(|(_, _, body)| !body.is_empty());
    let navigation: String =
        present().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>")).collect::<Vec<_>>().join("\n");
    let body: String = present()
        .map(|(id, name, body)| {
            format!("<section id=\"{id}\" aria-labelledby=\"h-{id}\">\n<h2 id=\"h-{id}\">{name}</h2>\n{body}</section>\n")
        })
        .collect();
    let sub = [&device.description, &device.board, &device.target]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| e(text))
        .collect::<Vec<_>>()
        .join(" · ");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}: security report</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#chain\">Skip to the content</a>\n\
         <header><div class=\"in\">\n<h1>{title}</h1>\n<p class=\"sub\">{sub}</p>\n{banner}{tiles}</div></header>\n\
         <nav aria-label=\"Sections\"><div class=\"in\">{navigation}</div></nav>\n<main>\n{body}</main>\n\
         <footer>Made by {generator}. The same input gives the same page.</footer>\n</body>\n</html>\n",
        title = e(title.trim()),
        style = include_str!("style.css"),
        banner = banner(report),
        tiles = tiles(report),
        generator = e(&report.generator),
    )
}

fn banner(report: &Report) -> String {
    let good = report.status == ExitStatus::Success;
    let (class, path, word) = if good {
        ("good", "M7 12.5l3.2 3.2L17 9", "Everything that was checked holds")
    } else {
        ("bad", "M8 8l8 8M16 8l-8 8", "Not everything holds")
    };
    format!(
        "<div class=\"banner {class}\" style=\"margin-top:16px\" role=\"status\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\" \
         fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\
         <path d=\"M12 2.5l8 3v6c0 5-3.4 8.6-8 10-4.6-1.4-8-5-8-10v-6z\"/><path d=\"{path}\"/></svg>\
         <div><strong>{word}</strong><p>{}. {}</p></div></div>\n",
        e(&report.headline),
        "This is evidence about one image, not a statement of conformity.",
    )
}

fn tiles(report: &Report) -> String {
    let bad = report.count_checks(Verdict::Fail) + report.count_checks(Verdict::CouldNotRun);
    let mut tiles = vec![
        (report.count_checks(Verdict::Pass).to_string(), "checks pass"),
        (bad.to_string(), "fail or could not run"),
        (report.count_checks(Verdict::Waived).to_string(), "waived with a reason"),
    ];
    if !report.attacks.is_empty() {
        let held = report.attacks.iter().filter(|attack| attack.outcome.held()).count();
        tiles.push((format!("{held}/{}", report.attacks.len()), "attacks withstood"));
    }
    if let Some(boot) = &report.boot {
        tiles.push((parts::seconds(boot.ms), "boot to verdict"));
    }
    if let Some(matrix) = &report.matrix {
        let shown = matrix.count(crate::requirements::Status::AutomatedMet);
        tiles.push((format!("{shown}/{}", matrix.rows.len()), "requirements met by checks alone"));
    }
    if let Some(threats) = &report.threats {
        let open = threats.threats.iter().filter(|threat| threat.status.is_open()).count();
        tiles.push((format!("{open}/{}", threats.threats.len()), "threats lack an answer"));
    }
    let inner: String = tiles
        .iter()
        .map(|(number, name)| format!("<div class=\"tile\"><b>{}</b><span>{name}</span></div>", e(number)))
        .collect();
    format!("<div class=\"tiles\">{inner}</div>\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    /// Values that decide classes and are no free text.
    const FIXED: [&str; 9] =
        ["verdict", "stage", "outcome", "state", "status", "claim", "direction", "component_type", "kind"];

    fn poisoned(value: Value, key: &str) -> Value {
        match value {
            Value::String(text) if !FIXED.contains(&key) => {
                Value::String(format!("{text}\"'><img src=x onerror=1>"))
            }
            Value::Array(list) => list.into_iter().map(|v| poisoned(v, key)).collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(k, v)| {
                    let v = poisoned(v, &k);
                    (k, v)
                })
                .collect(),
            other => other,
        }
    }

    #[test]
    fn no_text_of_an_image_becomes_markup() {
        let report = serde_json::to_value(Report::new(sample::input()).unwrap()).unwrap();
        let report: Report = serde_json::from_value(poisoned(report, "")).unwrap();
        let page = render(&report);
        assert!(page.matches("&lt;img src=x").count() > 100);
        assert!(!page.contains("<img"), "{}", &page[page.find("<img").unwrap_or(0)..][..200]);
        assert!(!page.contains("'><") && !page.contains("\"'>"));
    }

    #[test]
    fn the_page_stands_alone_and_runs_nothing() {
        let page = render(&Report::new(sample::input()).unwrap());
        for banned in ["<script", "http://", "https://", "url(", "@import", "<link", " src=", " onclick"] {
            assert!(!page.contains(banned), "{banned}");
        }
        for tag in ["section", "details", "table", "svg", "div", "dl"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        if let Some(path) = std::env::var_os("FASTNESS_SAMPLE_PAGE") {
            std::fs::write(path, page).unwrap();
        }
    }

    #[test]
    fn the_page_says_what_holds_what_not_and_what_is_not_shown() {
        let mut input = sample::input();
        let page = render(&Report::new(input.clone()).unwrap());
        for text in [
            "Everything that was checked holds",
            "Bad Data Hash",
            "sample reason: one vendor library without canary",
            "nothing here is a statement of conformity",
            "7f7f7f7f",
            "ssh tcp/22",
        ] {
            assert!(page.contains(text), "{text}");
        }
        input.findings[0].verdict = Verdict::Fail;
        assert!(render(&Report::new(input).unwrap()).contains("Not everything holds"));
    }
}
