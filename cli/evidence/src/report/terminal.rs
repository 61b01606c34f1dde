//! The summary for a terminal: plain text, aligned, at most 100 columns.

use std::fmt::Write as _;

use diag::ExitStatus;
use record::{Stage, Verdict};

use super::{Report, verdict_words};
use crate::requirements::Status;

const WIDTH: usize = 100;
/// Findings that hold are counted, not listed, beyond this.
const LISTED: usize = 200;

/// The summary; with `colour`, verdicts carry ANSI colours besides their words.
#[must_use]
pub fn render(report: &Report, colour: bool) -> String {
    let mut out = String::new();
    let device = &report.device;
    let name = [device.product.as_str(), &device.version, &device.board].join("  ");
    line(&mut out, name.trim_end());
    if !device.target.is_empty() {
        line(&mut out, &format!("target: {}", device.target));
    }
    out.push('\n');
    stages(report, &mut out);
    troubles(report, colour, &mut out);
    not_looked_at(report, &mut out);
    attacks(report, colour, &mut out);
    risks(report, colour, &mut out);
    waivers(report, &mut out);
    requirements(report, &mut out);
    out.push('\n');
    let (word, code) =
        if report.status == ExitStatus::Success { ("HOLDS", "32") } else { ("DOES NOT HOLD", "31") };
    line(&mut out, &format!("{}  {}", painted(word, code, colour), report.headline));
    out
}

fn stages(report: &Report, out: &mut String) {
    line(out, "stage     pass  fail  not run  waived  operator  n/a");
    for (stage, name) in super::STAGES {
        let count = |verdict: Verdict| {
            report.findings.iter().filter(|f| f.stage == stage && f.verdict == verdict).count()
        };
        let _ = writeln!(
            out,
            "{name:<8}{:>6}{:>6}{:>9}{:>8}{:>10}{:>5}",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::CouldNotRun),
            count(Verdict::Waived),
            count(Verdict::NeedsOperator),
            count(Verdict::NotApplicable),
        );
    }
}

fn troubles(report: &Report, colour: bool, out: &mut String) {
    let trouble: Vec<_> = report.trouble().filter(|finding| finding.stage != Stage::Attack).collect();
    if trouble.is_empty() {
        return;
    }
    out.push('\n');
    for finding in trouble.iter().take(LISTED) {
        let word = painted(&format!("{:<8}", verdict_words(finding.verdict)), "31", colour);
        line(out, &format!("{word}{}", finding.check));
        wrapped(out, &finding.seen, 8);
        if !finding.expected.is_empty() && finding.verdict == Verdict::Fail {
            wrapped(out, &format!("expected: {}", finding.expected), 8);
        }
        if !finding.defined_at.is_empty() {
            wrapped(out, &format!("defined at {}", finding.defined_at), 8);
        }
    }
    if trouble.len() > LISTED {
        line(out, &format!("        and {} more; see report.json", trouble.len() - LISTED));
    }
}

/// Without a plan nobody else says what was not looked at: a part that is missing must not look like one that holds.
fn not_looked_at(report: &Report, out: &mut String) {
    let is_one = |finding: &&record::Finding| finding.verdict == Verdict::NotApplicable;
    if report.matrix.is_some() || !report.findings.iter().any(|finding| is_one(&finding)) {
        return;
    }
    out.push('\n');
    line(out, "not looked at");
    for finding in report.findings.iter().filter(is_one) {
        wrapped(out, &format!("{}: {}", finding.check, finding.seen), 4);
    }
}

fn attacks(report: &Report, colour: bool, out: &mut String) {
    if report.attacks.is_empty() {
        return;
    }
    out.push('\n');
    line(out, "attack                            outcome       by         s  console");
    for attack in &report.attacks {
        let (word, code) = (attack.outcome.words(), if attack.outcome.held() { "32" } else { "31" });
        let proof = attack.proof.as_ref().map_or(attack.reason.as_str(), |line| line.text.trim());
        let seconds = format!("{}.{}", attack.ms / 1000, attack.ms % 1000 / 100);
        let head = format!(
            "{:<34}{}{:<9}{seconds:>5}  ",
            clipped(&attack.attack, 33),
            painted(&format!("{word:<14}"), code, colour),
            clipped(&attack.expected_stage, 9),
        );
        // The head is 64 columns wide whatever its colour.
        line(out, &format!("{head}{}", clipped(proof, WIDTH - 64)));
    }
}

/// What does not hold and why that is accepted: never only a number.
/// What passes in clear because somebody took the risk.
fn risks(report: &Report, colour: bool, out: &mut String) {
    let Some(network) = &report.network else { return };
    let flows = network.flows.iter().filter_map(|flow| Some((&flow.name, flow.accepted_risk.as_ref()?)));
    let frames =
        network.frames.iter().filter_map(|frames| Some((&frames.name, frames.accepted_risk.as_ref()?)));
    let mut seen = std::collections::BTreeSet::new();
    for (name, risk) in flows.chain(frames).filter(|(name, _)| seen.insert((*name).clone())) {
        out.push('\n');
        line(out, &format!("{}{name}", painted("IN CLEAR  ", "31", colour)));
        wrapped(out, &format!("accepted by {}: {}", risk.by, risk.reason), 8);
    }
}

fn waivers(report: &Report, out: &mut String) {
    let used: Vec<_> = report.waivers.iter().filter(|waiver| waiver.used).collect();
    if used.is_empty() {
        return;
    }
    out.push('\n');
    line(out, &format!("waived ({}), each with its reason", used.len()));
    for waiver in used {
        wrapped(out, &format!("{}: {}", waiver.what, waiver.reason), 4);
    }
}

fn requirements(report: &Report, out: &mut String) {
    let Some(matrix) = &report.matrix else { return };
    out.push('\n');
    wrapped(
        out,
        &format!("{}, {}, level {}", matrix.standard, matrix.component_type, matrix.security_level),
        0,
    );
    for status in [Status::AutomatedMet, Status::Partial, Status::NotMet, Status::Manual, Status::NoEvidence]
    {
        let _ = writeln!(out, "{:>5}  {}", matrix.count(status), status.words());
    }
}

fn painted(word: &str, code: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// What was seen comes from a hostile image: no control character reaches the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if diag::steers(c) { '\u{fffd}' } else { c }).collect()
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn clipped(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn wrapped(out: &mut String, text: &str, indent: usize) {
    let room = WIDTH - indent;
    let mut current = String::new();
    for word in clean(text).split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let used = current.chars().count();
            let length = word.chars().count();
            if used == 0 && length > room {
                let rest = word.chars().skip(room).collect();
                line(out, &format!("{:indent$}{}", "", word.chars().take(room).collect::<String>()));
                word = rest;
                continue;
            }
            if used > 0 && used + 1 + length > room {
                line(out, &format!("{:indent$}{current}", ""));
                current.clear();
                continue;
            }
            if used > 0 {
                current.push(' ');
            }
            current.push_str(&word);
            break;
        }
    }
    if !current.is_empty() {
        line(out, &format!("{:indent$}{current}", ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn no_line_is_wider_than_a_hundred_columns() {
        let mut input = sample::input();
        input.findings[0].verdict = Verdict::Fail;
        input.findings[0].seen = format!("{} \x1b[2J{}", "word ".repeat(60), "x".repeat(250));
        input.attacks[0].evidence[0].text = "y".repeat(300);
        let text = render(&Report::new(input).unwrap(), false);
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(!text.contains('\x1b'), "{text}");
        assert!(text.contains("DOES NOT HOLD"), "{text}");
    }

    #[test]
    fn a_good_run_says_so_in_words() {
        let text = render(&Report::new(sample::input()).unwrap(), false);
        assert!(text.contains("HOLDS  All "), "{text}");
        assert!(text.contains("refused"), "{text}");
        assert!(text.contains("Bad Data Hash"), "{text}");
        assert!(text.contains("    linux:INET_DIAG: sample reason: ss is needed for support"), "{text}");
        assert!(!text.contains("linux:KSM"), "a waiver that nothing needed: {text}");
    }
}
