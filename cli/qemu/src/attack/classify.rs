//! From what the console showed to what it means. Pure, so that recorded logs can prove it.

use record::{AttackOutcome, ConsoleLine};

use super::definition::{Attack, Ending, Expect, Stage};
use crate::boot::USERSPACE;
use crate::pattern::Pattern;

/// Most lines that are kept as evidence.
const MAX_EVIDENCE: usize = 16;
const BANNER: &str = "^U-Boot 2";

/// How the machine's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The guest ended it; QEMU's reason, such as `guest-reset`.
    Guest(String),
    /// We ended it after the evidence was there.
    Us,
    /// The time was over; milliseconds.
    TimedOut(u64),
    /// QEMU went away without a reason.
    Vanished,
}

/// What was seen of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The console.
    pub console: Vec<ConsoleLine>,
    /// Whether the device's self-check port said anything: only user space does.
    pub selfcheck_spoke: bool,
    /// How it ended.
    pub ended: Ended,
}

/// Outcome, reason, and the lines that show it.
#[must_use]
pub fn classify(
    attack: &Attack,
    expect: &Expect,
    seen: &Observation,
) -> (AttackOutcome, String, Vec<ConsoleLine>) {
    let find = |patterns: &[Pattern], from: usize| {
        let lines = seen.console.iter().enumerate().skip(from);
        lines.into_iter().find(|(_, line)| patterns.iter().any(|p| p.matches(&line.text))).map(|(at, _)| at)
    };
    let Some(banner) = find(&[Pattern::new(BANNER)], 0) else {
        let reason = format!("U-Boot never said that it runs: the harness is broken ({})", last(seen));
        return (AttackOutcome::Inconclusive, reason, tail(seen));
    };
    if let Some(at) = find(&expect.never, 0) {
        let reason = format!("the console shows what must never appear: `{}`", seen.console[at].text.trim());
        return (AttackOutcome::GotThrough, reason, around(seen, at, at));
    }
    if expect.is_control() {
        return control(attack, expect, seen, banner);
    }
    if seen.selfcheck_spoke && expect.stage <= Stage::Kernel {
        let reason = "user space ran: the device's self-check reported".to_owned();
        return (AttackOutcome::GotThrough, reason, tail(seen));
    }
    let Some(refusal) = find(&expect.refusal, banner) else {
        let reason = format!("no line gives the expected reason of a refusal ({})", last(seen));
        return (AttackOutcome::Inconclusive, reason, tail(seen));
    };
    if expect.stage >= Stage::Kernel
        && find(&Pattern::all(["^Starting kernel"]), banner).is_none_or(|at| at > refusal)
    {
        let reason = "the expected reason appears, but no kernel had started".to_owned();
        return (AttackOutcome::Inconclusive, reason, around(seen, refusal, refusal));
    }
    let endings: Vec<Pattern> = expect.ends_with.iter().map(|ending| ending.pattern()).collect();
    let Some(end) = find(&endings, refusal) else {
        let reason = format!("it was refused, but the machine did not end as expected ({})", last(seen));
        return (AttackOutcome::Inconclusive, reason, around(seen, refusal, refusal));
    };
    let only_reset = expect.ends_with == [Ending::Reset];
    if only_reset && seen.ended != Ended::Guest("guest-reset".to_owned()) {
        let reason = "the console announces a reset that QEMU did not see".to_owned();
        return (AttackOutcome::Inconclusive, reason, around(seen, refusal, end));
    }
    let reason = format!("refused in {}: `{}`", expect.stage.name(), seen.console[refusal].text.trim());
    (AttackOutcome::Refused, reason, around(seen, refusal, end))
}

/// A control must boot: every line in its order, then the stage's own evidence.
fn control(
    attack: &Attack,
    expect: &Expect,
    seen: &Observation,
    banner: usize,
) -> (AttackOutcome, String, Vec<ConsoleLine>) {
    let mut at = banner;
    let mut first = None;
    let stage: Option<Vec<Pattern>> = match expect.stage {
        Stage::UBoot => None,
        Stage::Kernel => Some(kernel_evidence()),
        Stage::Userspace => Some(Pattern::all(USERSPACE)),
    };
    for patterns in expect.boots.iter().map(|p| vec![p.clone()]).chain(stage) {
        let lines = seen.console.iter().enumerate().skip(at);
        let found = lines.into_iter().find(|(_, line)| patterns.iter().any(|p| p.matches(&line.text)));
        let Some((found, _)) = found else {
            let reason =
                format!("it should boot, but `{}` did not appear ({})", patterns[0].text(), last(seen));
            return (AttackOutcome::Inconclusive, reason, tail(seen));
        };
        first.get_or_insert(found);
        at = found;
    }
    let reason = format!("as expected, without effect: {}", attack.title);
    (AttackOutcome::Refused, reason, around(seen, first.unwrap_or(at), at))
}

/// Lines that only a running kernel writes; with a low console log level few are left.
pub(super) fn kernel_evidence() -> Vec<Pattern> {
    Pattern::all(["Booting Linux on", "Linux version ", "^[    "].into_iter().chain(USERSPACE))
}

fn last(seen: &Observation) -> String {
    let how = match &seen.ended {
        Ended::Guest(reason) => format!("the machine ended by `{reason}`"),
        Ended::Us => "the machine was stopped".to_owned(),
        Ended::TimedOut(ms) => format!("nothing more came within {ms} ms"),
        Ended::Vanished => "QEMU went away".to_owned(),
    };
    match seen.console.iter().rev().find(|line| !line.text.trim().is_empty()) {
        Some(line) => format!("{how}; the last line is `{}`", line.text.trim()),
        None => format!("{how}; the console stayed empty"),
    }
}

fn evidence(lines: &[ConsoleLine]) -> Vec<ConsoleLine> {
    lines.iter().filter(|line| !line.text.trim().is_empty()).cloned().collect()
}

fn tail(seen: &Observation) -> Vec<ConsoleLine> {
    let lines = evidence(&seen.console);
    lines[lines.len().saturating_sub(MAX_EVIDENCE)..].to_vec()
}

/// The lines from a little before `from` to `to`; of many, the first and the last.
fn around(seen: &Observation, from: usize, to: usize) -> Vec<ConsoleLine> {
    let to = to.min(seen.console.len().saturating_sub(1));
    let lines = evidence(&seen.console[from.saturating_sub(3).min(to)..=to]);
    if lines.len() <= MAX_EVIDENCE {
        return lines;
    }
    let mut kept = lines[..MAX_EVIDENCE - 2].to_vec();
    kept.extend_from_slice(&lines[lines.len() - 2..]);
    kept
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
