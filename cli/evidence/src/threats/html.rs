//! The threat model as one HTML page: no script, no other file.

use std::fmt::Write as _;

use super::{ControlState, Entry, Status, ThreatReport, ThreatState};
use crate::report::html::escape::{e, prose};

/// STRIDE in its order.
const STRIDE: [&str; 6] = [
    "spoofing",
    "tampering",
    "repudiation",
    "information-disclosure",
    "denial-of-service",
    "elevation-of-privilege",
];

/// The page.
#[must_use]
pub fn render(report: &ThreatReport) -> String {
    let tiles: String = Status::ALL
        .iter()
        .map(|status| {
            format!(
                "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
                report.count(*status),
                status.words()
            )
        })
        .collect();
    let mut sections = part("matrix", "Where and what", &matrix(report));
    let mut navigation = "<a href=\"#matrix\">Where and what</a>\n".to_owned();
    for (kind, entries) in by_kind(report) {
        let body: String = entries.iter().map(|entry| entry_part(report, entry)).collect();
        let _ = writeln!(navigation, "<a href=\"#at-{0}\">{0}</a>", e(kind));
        sections += &part(&format!("at-{kind}"), kind, &body);
    }
    navigation.push_str("<a href=\"#assets\">Assets</a>");
    sections += &part("assets", "Assets", &assets(report));
    let looked = if report.looked_at_findings {
        "Controls are held against the findings of the run in the output folder."
    } else {
        "By the plan alone: no image was looked at."
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Threats: {device}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#matrix\">Skip to the content</a>\n\
         <header><div class=\"in\">\n<h1>Threats: {device}</h1>\n<p class=\"sub\">{looked}</p>\n\
         <p class=\"sub\">{disclaimer}</p><p class=\"small dim\">plan <code class=hash>{plan}</code></p>\
         <div class=\"tiles\">{tiles}</div></div></header>\n\
         <nav aria-label=\"Sections\"><div class=\"in\">{navigation}</div></nav>\n<main>\n{sections}</main>\n\
         <footer>Made by {generator}. The same input gives the same page.</footer>\n</body>\n</html>\n",
        device = e(&report.device),
        style = include_str!("../report/html/style.css"),
        disclaimer = e(&report.disclaimer),
        plan = e(&report.plan_sha256),
        generator = e(&report.generator),
    )
}

/// The model as a part of the report: how many threats there are of each kind and state, and what answers each.
pub(crate) fn section(report: &ThreatReport) -> String {
    let counts: String = Status::ALL
        .iter()
        .filter(|status| report.count(**status) > 0)
        .map(|status| format!("<li><b>{}</b> {}</li>", report.count(*status), status.words()))
        .collect();
    let entries: String = report
        .entries
        .iter()
        .map(|entry| {
            let of: Vec<&ThreatState> = at(report, entry).collect();
            let open = of.iter().filter(|threat| threat.status.is_open()).count();
            let note = match open {
                0 => String::new(),
                open => format!(" <span class=\"v not-met\">{open} to do</span>"),
            };
            let threats: String = of.into_iter().map(threat_part).collect();
            format!(
                "<details><summary><b>{}</b> <span class=\"grow dim\">{} {}</span>{note}</summary>{threats}</details>\n",
                e(&entry.name),
                kind_of(entry),
                e(&entry.title),
            )
        })
        .collect();
    let proven =
        report.threats.iter().filter(|threat| threat.status == Status::Answered && threat.proven).count();
    format!(
        "<ul class=legend>{counts}<li><b>{proven}</b> of the answered ones proven by this run</li></ul>\n{}\
         <h3>Each entry point, with what answers its threats</h3>{entries}<p class=\"small dim\">{}</p>",
        matrix(report),
        e(&report.disclaimer)
    )
}

fn part(id: &str, title: &str, body: &str) -> String {
    let id = e(id);
    format!(
        "<section id=\"{id}\" aria-labelledby=\"h-{id}\"><h2 id=\"h-{id}\">{}</h2>\n{body}</section>\n",
        e(title)
    )
}

fn by_kind(report: &ThreatReport) -> Vec<(&str, Vec<&Entry>)> {
    let mut kinds: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in &report.entries {
        match kinds.last_mut() {
            Some((kind, entries)) if *kind == entry.kind => entries.push(entry),
            _ => kinds.push((&entry.kind, vec![entry])),
        }
    }
    kinds
}

fn at<'r>(report: &'r ThreatReport, entry: &'r Entry) -> impl Iterator<Item = &'r ThreatState> {
    report.threats.iter().filter(|threat| threat.at == entry.kind && threat.entry == entry.name)
}

/// The kind of an entry point, where its name does not say it.
fn kind_of(entry: &Entry) -> String {
    if entry.kind == entry.name { String::new() } else { e(&entry.kind) }
}

/// Entry points against STRIDE: how many threats, and how many of them somebody has to do something about.
fn matrix(report: &ThreatReport) -> String {
    let heads: String = STRIDE.iter().map(|word| format!("<th class=n>{word}</th>")).collect();
    let mut rows = String::new();
    for entry in &report.entries {
        let cells: String = STRIDE
            .iter()
            .map(|word| {
                let of: Vec<&ThreatState> =
                    at(report, entry).filter(|threat| threat.stride == *word).collect();
                let open = of.iter().filter(|threat| threat.status.is_open()).count();
                match (of.len(), open) {
                    (0, _) => "<td class=\"n dim\">–</td>".to_owned(),
                    (all, 0) => format!("<td class=n>{all}</td>"),
                    (all, open) => {
                        format!("<td class=n>{all} <span class=\"v not-met\">{open} to do</span></td>")
                    }
                }
            })
            .collect();
        let zone = entry.zone.as_deref().map(|zone| format!(" · zone {}", e(zone))).unwrap_or_default();
        let _ = write!(
            rows,
            "<tr><td><b>{}</b> <span class=dim>{}{zone}</span></td>{cells}</tr>",
            e(&entry.name),
            kind_of(entry)
        );
    }
    format!(
        "<p class=lead>Each place where somebody gets at the device, and the threats there by kind.</p>\
         <div class=wide><table><thead><tr><th>entry point</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

fn entry_part(report: &ThreatReport, entry: &Entry) -> String {
    let threats: String = at(report, entry).map(threat_part).collect();
    format!("<h3>{}</h3><p class=\"small dim\">{}</p>\n{threats}", e(&entry.name), e(&entry.title))
}

fn class(threat: &ThreatState) -> &'static str {
    match threat.status {
        Status::Open | Status::Part => "not-met",
        Status::Accepted => "partial",
        Status::LeftTo => "manual",
        Status::Answered if threat.proven => "automated-met",
        Status::Answered => "no-evidence",
    }
}

fn threat_part(threat: &ThreatState) -> String {
    let words = match threat.status {
        Status::Answered if threat.proven => "answered, proven",
        status => status.words(),
    };
    let of = |title: &str, controls: &[ControlState]| match controls {
        [] => String::new(),
        controls => {
            let items: String = controls.iter().map(control_part).collect();
            format!("<p class=\"small dim\">{title}</p><ul class=\"plain small\">{items}</ul>")
        }
    };
    format!(
        "<details{open}><summary><span class=id>{id}</span> <span class=grow>{title}</span> <span class=\"v {class}\">{words}</span></summary>\
         <p>{why}</p><p class=small><span class=dim>{stride}; about {assets}; without controls {risk}; remains {remaining}:</span> {remaining_why}</p>\
         {controls}{lessened}</details>\n",
        open = if threat.status.is_open() { " open" } else { "" },
        id = e(&threat.id),
        title = prose(&threat.title),
        class = class(threat),
        why = prose(&threat.why),
        stride = e(&threat.stride),
        assets = e(&threat.assets.join(", ")),
        risk = e(&threat.risk),
        remaining = e(&threat.remaining),
        remaining_why = prose(&threat.remaining_why),
        controls = of("Controls, all of them needed", &threat.controls),
        lessened = of("Lessened by", &threat.lessened_by),
    )
}

fn control_part(control: &ControlState) -> String {
    let checks: String = control
        .checks
        .iter()
        .chain(&control.proofs)
        .map(|check| {
            let requirements = match check.requirements.as_slice() {
                [] => String::new(),
                ids => format!(" ({})", e(&ids.join(", "))),
            };
            format!(
                "<br><code>{}</code> <span class=dim>{}{requirements}</span>",
                e(&check.check),
                check.state.words()
            )
        })
        .collect();
    let mark = match (control.counts, control.proven) {
        (true, true) => "<span class=\"v automated-met\">proven</span>",
        (true, false) => "<span class=\"v no-evidence\">planned</span>",
        (false, _) => "<span class=\"v not-met\">missing</span>",
    };
    let exceeded: String = control.exceeded.iter().map(|why| format!("<br>{}", prose(why))).collect();
    format!("<li>{mark} {}{checks}{exceeded}</li>", prose(&control.title))
}

fn assets(report: &ThreatReport) -> String {
    let rows: String = report
        .assets
        .iter()
        .map(|asset| {
            format!(
                "<tr><td class=id>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                e(&asset.name),
                prose(&asset.title),
                e(&asset.needs.join(", ")),
                prose(&asset.reason)
            )
        })
        .collect();
    format!(
        "<table><thead><tr><th>name</th><th>asset</th><th>must keep</th><th>what is lost with it</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}
