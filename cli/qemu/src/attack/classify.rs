//! From what the console showed to what it means. Pure, so that recorded logs can prove it.

use record::{AttackOutcome, ConsoleLine};

use super::definition::{Attack, Ending, Expect, Stage};
use crate::boot::{SPL, UBOOT, USERSPACE};
use crate::pattern::Pattern;

/// Most lines that are kept as evidence.
const MAX_EVIDENCE: usize = 16;

/// How the machine's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The guest ended it; QEMU's reason, such as `guest-reset`, or the machine's watchdog.
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

/// What a run means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The outcome.
    pub outcome: AttackOutcome,
    /// Why, in words.
    pub reason: String,
    /// The line that decided, where one did.
    pub proof: Option<ConsoleLine>,
    /// The lines around it; without one, the last lines.
    pub evidence: Vec<ConsoleLine>,
}

impl Judgement {
    /// Decided by line `at`; the evidence goes on to line `to`.
    fn by(outcome: AttackOutcome, reason: String, seen: &Observation, at: usize, to: usize) -> Self {
        Self { outcome, reason, proof: seen.console.get(at).cloned(), evidence: around(seen, at, to) }
    }

    /// No line decided.
    fn without_a_line(outcome: AttackOutcome, reason: String, seen: &Observation) -> Self {
        Self { outcome, reason, proof: None, evidence: tail(seen) }
    }
}

/// Judges what was seen of one machine.
#[must_use]
pub fn classify(attack: &Attack, expect: &Expect, seen: &Observation) -> Judgement {
    let find = |patterns: &[Pattern], from: usize| {
        let lines = seen.console.iter().enumerate().skip(from);
        lines.into_iter().find(|(_, line)| patterns.iter().any(|p| p.matches(&line.text))).map(|(at, _)| at)
    };
    let (who, line) = match expect.stage {
        Stage::Spl => ("SPL", SPL),
        _ => ("U-Boot", UBOOT),
    };
    let Some(banner) = find(&[Pattern::new(line)], 0) else {
        let reason = format!("{who} never said that it runs: the harness is broken ({})", last(seen));
        return Judgement::without_a_line(AttackOutcome::Inconclusive, reason, seen);
    };
    if let Some(at) = find(&expect.never, 0) {
        let reason = format!("the console shows what must never appear: `{}`", seen.console[at].text.trim());
        return Judgement::by(AttackOutcome::GotThrough, reason, seen, at, at);
    }
    if expect.must_boot() {
        return boots(attack, expect, seen, banner);
    }
    if seen.selfcheck_spoke && expect.stage <= Stage::Kernel {
        let reason = "user space ran: the device's self-check reported".to_owned();
        return Judgement::without_a_line(AttackOutcome::GotThrough, reason, seen);
    }
    let Some(refusal) = find(&expect.refusal, banner) else {
        let reason = format!("no line gives the expected reason of a refusal ({})", last(seen));
        return Judgement::without_a_line(AttackOutcome::Inconclusive, reason, seen);
    };
    if expect.stage >= Stage::Kernel
        && find(&Pattern::all(["^Starting kernel"]), banner).is_none_or(|at| at > refusal)
    {
        let reason = "the expected reason appears, but no kernel had started".to_owned();
        return Judgement::by(AttackOutcome::Inconclusive, reason, seen, refusal, refusal);
    }
    let endings: Vec<Pattern> = expect.ends_with.iter().map(|ending| ending.pattern()).collect();
    let Some(end) = find(&endings, refusal) else {
        // A serial port may lose what was written just before the end: what QEMU saw itself counts.
        let quiet = matches!(seen.ended, Ended::TimedOut(_)) && expect.ends_with == [Ending::Halt];
        let reset =
            seen.ended == Ended::Guest("guest-reset".to_owned()) && expect.ends_with == [Ending::Reset];
        if quiet || reset {
            let how = if reset { "QEMU saw the reset" } else { "nothing more came" };
            let text = seen.console[refusal].text.trim();
            let reason = format!("refused in {}, and {how}: `{text}`", expect.stage.name());
            return Judgement::by(AttackOutcome::Refused, reason, seen, refusal, refusal);
        }
        let reason = format!("it was refused, but the machine did not end as expected ({})", last(seen));
        return Judgement::by(AttackOutcome::Inconclusive, reason, seen, refusal, refusal);
    };
    let only_reset = expect.ends_with == [Ending::Reset];
    if only_reset && seen.ended != Ended::Guest("guest-reset".to_owned()) {
        let reason = "the console announces a reset that QEMU did not see".to_owned();
        return Judgement::by(AttackOutcome::Inconclusive, reason, seen, refusal, end);
    }
    let reason = format!("refused in {}: `{}`", expect.stage.name(), seen.console[refusal].text.trim());
    Judgement::by(AttackOutcome::Refused, reason, seen, refusal, end)
}

/// Where nothing is refused, the device must boot: every line in its order, then the stage's own evidence.
fn boots(attack: &Attack, expect: &Expect, seen: &Observation, banner: usize) -> Judgement {
    let mut at = banner;
    let (mut first, mut trusted) = (None, None);
    let stage: Option<Vec<Pattern>> = match expect.stage {
        Stage::Spl | Stage::UBoot => None,
        Stage::Kernel => Some(kernel_evidence()),
        Stage::Userspace => Some(Pattern::all(USERSPACE)),
    };
    for (named, patterns) in expect.boots.iter().map(|p| vec![p.clone()]).chain(stage).enumerate() {
        let lines = seen.console.iter().enumerate().skip(at);
        let found = lines.into_iter().find(|(_, line)| patterns.iter().any(|p| p.matches(&line.text)));
        let Some((found, _)) = found else {
            let reason =
                format!("it should boot, but `{}` did not appear ({})", patterns[0].text(), last(seen));
            return Judgement::without_a_line(AttackOutcome::Inconclusive, reason, seen);
        };
        first.get_or_insert(found);
        // The last line that the attack's file names says more than the stage's own.
        if named < expect.boots.len() {
            trusted = Some(found);
        }
        at = found;
    }
    let (outcome, words) = if expect.control {
        (AttackOutcome::Control, "a control, which saw what it should")
    } else {
        (AttackOutcome::WithoutEffect, "the device booted what it trusts")
    };
    let proof = Judgement::by(outcome, format!("{words}: {}", attack.title), seen, trusted.unwrap_or(at), at);
    Judgement { evidence: around(seen, first.unwrap_or(at), at), ..proof }
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
