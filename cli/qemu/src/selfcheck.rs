//! The device's own report: one JSON object a line (docs/contract.md, "The device's own report").
//!
//! What the device says is evidence about the device, and may be forged by a broken one: only
//! well-formed events count, and a check that the plan expects and that never reported has failed.

use std::collections::BTreeMap;

use record::{ConsoleLine, SelfcheckEvent, SelfcheckVerdict};
use spec::plan::Plan;

/// Kind of the plan's checks that the device itself makes.
pub const KIND: &str = "selfcheck";
const END: &str = "selfcheck-end";
/// What is the device's own: a name, and the SHA-256 of it.
const IDENTITY: &str = "selfcheck-identity";
/// Most of them that are kept.
const MAX_IDENTITY: usize = 32;
/// What the whole last line holds. Its beginning alone is not enough: a line is looked at while it comes, and a slow
/// serial port hands it out in pieces.
pub(crate) const ENDED: &str = r#"{"event":"selfcheck-end"*"}"#;
/// Most events that are kept; a device has some dozens of checks.
const MAX_EVENTS: usize = 4_096;

/// What the device reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The events in order, without the last one.
    pub events: Vec<SelfcheckEvent>,
    /// The device's own summary, when it came to the end.
    pub end: Option<SelfcheckEvent>,
    /// What is the device's own, by name: the SHA-256 of each.
    pub identity: BTreeMap<String, String>,
}

impl Report {
    /// From the lines of the port (or console); other lines are passed over.
    #[must_use]
    pub fn from_lines(lines: &[ConsoleLine]) -> Self {
        let mut report = Self::default();
        for event in lines.iter().filter_map(|line| event(&line.text)) {
            if event.event == END {
                report.end = Some(event);
                break;
            }
            if event.event == IDENTITY {
                if report.identity.len() < MAX_IDENTITY {
                    report.identity.insert(event.check, event.seen);
                }
                continue;
            }
            if report.events.len() < MAX_EVENTS {
                report.events.push(event);
            }
        }
        report
    }

    /// What is wrong with it, given the checks that the plan expects; nothing when all is well.
    #[must_use]
    pub fn problems<'a>(&self, expected: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut worst: BTreeMap<&str, SelfcheckVerdict> = BTreeMap::new();
        for event in &self.events {
            // One failure outweighs any number of passes under the same name.
            let verdict = worst.entry(&event.check).or_insert(event.verdict);
            if event.verdict == SelfcheckVerdict::Fail {
                *verdict = SelfcheckVerdict::Fail;
            }
        }
        let mut problems: Vec<String> = self
            .events
            .iter()
            .filter(|event| event.verdict == SelfcheckVerdict::Fail)
            .map(|event| format!("`{}` failed: {}", event.check, event.seen))
            .collect();
        let silent = expected.into_iter().filter(|check| !worst.contains_key(check));
        problems.extend(silent.map(|check| format!("`{check}` never reported")));
        match &self.end {
            None => problems.push("the self-check did not come to its end".to_owned()),
            Some(end) if end.verdict == SelfcheckVerdict::Fail => {
                problems.push(format!("the device's own verdict is `fail` ({})", end.seen));
            }
            Some(_) => {}
        }
        problems
    }
}

/// The ids of the checks that the device of this plan has to report.
pub fn expected(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.checks.iter().filter(|(_, check)| check.value.kind == KIND).map(|(id, _)| id.as_str())
}

fn event(text: &str) -> Option<SelfcheckEvent> {
    // On the console, systemd may have written something in front.
    let start = text.find(r#"{"event":"selfcheck"#)?;
    let event: SelfcheckEvent = serde_json::from_str(text[start..].trim_end()).ok()?;
    [KIND, END, IDENTITY].contains(&event.event.as_str()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    fn report(lines: &[&str]) -> Report {
        let lines: Vec<_> =
            lines.iter().map(|text| ConsoleLine { ms: 1, text: (*text).to_owned() }).collect();
        Report::from_lines(&lines)
    }

    const PASS: &str = r#"{"event":"selfcheck","check":"self.nft","verdict":"pass","seen":"3 chains"}"#;
    const FAIL: &str = r#"{"event":"selfcheck","check":"self.nft","verdict":"fail","seen":"no table"}"#;
    const END: &str = r#"{"event":"selfcheck-end","check":"all","verdict":"pass","seen":"1 of 1"}"#;

    #[test]
    fn a_whole_report_that_passes_has_no_problem() {
        let report = report(&["noise", &format!("[  OK  ] {PASS}"), END]);
        assert_eq!(report.events.len(), 1);
        assert_eq!(report.problems(["self.nft"]), Vec::<String>::new());
    }

    #[test]
    fn what_is_the_device_s_own_is_no_check() {
        let own = r#"{"event":"selfcheck-identity","check":"machine-id","verdict":"pass","seen":"ab12"}"#;
        let report = report(&[PASS, own, END]);
        assert_eq!(report.identity, BTreeMap::from([("machine-id".to_owned(), "ab12".to_owned())]));
        assert_eq!(report.events.len(), 1);
        assert_eq!(report.problems(["self.nft"]), Vec::<String>::new());
    }

    #[test]
    fn silence_failure_and_a_missing_end_are_problems() {
        assert_eq!(report(&[END]).problems(["self.nft"]), ["`self.nft` never reported"]);
        assert_eq!(report(&[PASS, FAIL, END]).problems(["self.nft"]), ["`self.nft` failed: no table"]);
        assert_eq!(report(&[PASS]).problems(["self.nft"]), ["the self-check did not come to its end"]);
        let bad_end = END.replace("pass", "fail");
        assert_eq!(
            report(&[PASS, &bad_end]).problems(["self.nft"]),
            ["the device's own verdict is `fail` (1 of 1)"]
        );
    }

    #[test]
    fn the_last_line_ends_the_report_only_when_it_is_whole() {
        let ended = Pattern::new(ENDED);
        assert!((0..END.len()).all(|at| !ended.matches(&END[..at])));
        assert!(ended.matches(END) && ended.matches(&format!("[  OK  ] {END}\r")));
        assert!(!ended.matches(PASS));
    }

    #[test]
    fn what_is_no_event_does_not_count() {
        let strange = r#"{"event":"selfcheck","check":"self.nft","verdict":"yes","seen":""}"#;
        assert_eq!(report(&[strange, "{\"event\":\"selfcheck", END]).events.len(), 0);
    }
}
