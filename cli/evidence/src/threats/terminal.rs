//! The threat model for a terminal.

use std::fmt::Write as _;

use super::{ControlState, Status, ThreatReport, ThreatState};

/// The summary; with `all`, also what is answered.
#[must_use]
pub fn render(report: &ThreatReport, all: bool) -> String {
    let mut out = format!("{}\n", report.device);
    let counts: Vec<String> = Status::ALL
        .iter()
        .map(|status| (report.count(*status), status.words()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    let _ = writeln!(
        out,
        "{} entry points, {} threats: {}",
        report.entries.len(),
        report.threats.len(),
        counts.join(", ")
    );
    let _ = writeln!(out, "{}", proof(report));
    for status in Status::ALL {
        if status == Status::Answered && !all {
            continue;
        }
        let of: Vec<&ThreatState> = report.threats.iter().filter(|threat| threat.status == status).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{} ({})", status.words(), of.len());
        for threat in of {
            let _ = writeln!(
                out,
                "  {}  {} [{}; remains {}]",
                threat.key(),
                threat.title,
                threat.stride,
                threat.remaining
            );
            let _ = writeln!(out, "    {}", threat.why);
            if all {
                for control in threat.controls.iter().chain(&threat.lessened_by) {
                    let _ = writeln!(out, "    {}", line(control));
                }
            }
        }
    }
    if !report.not_needed.is_empty() {
        let _ = writeln!(out, "\ntaken risks that are answered: {}", report.not_needed.join(", "));
    }
    if !all {
        let _ = writeln!(out, "\n`--all` lists what is answered, with its controls");
    }
    let _ = writeln!(out, "\n{}", report.disclaimer);
    out
}

/// How far a run shows it.
fn proof(report: &ThreatReport) -> String {
    if !report.looked_at_findings {
        return "By the plan alone: no image was looked at".to_owned();
    }
    let proven = report.threats.iter().filter(|threat| threat.proven).count();
    format!("Of {} that are answered, {proven} are proven by this run", report.count(Status::Answered))
}

fn line(control: &ControlState) -> String {
    let mark = match (control.counts, control.proven) {
        (true, true) => "proven",
        (true, false) => "planned",
        (false, _) => "missing",
    };
    let checks: Vec<&str> =
        control.checks.iter().chain(&control.proofs).map(|check| check.check.as_str()).collect();
    format!("{mark}: {} ({})", control.title, checks.join(", "))
}
