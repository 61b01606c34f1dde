//! A program that records is killed: that is recorded, it comes back by itself, and what happened meanwhile is recorded, too.
//!
//! What the killed one had been given and had not written yet is lost; nobody else has it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use diag::Outcome;
use record::KILLED_RECORDER;

use super::kinds::{KILLED, Records};
use super::restart::MOST_AGAIN;
use super::{MINUTE, Proof};

/// What records, in the order in which it is killed.
const RECORDERS: [&str; 2] = ["auditd.service", "fastness-events.service"];
/// How long one may take to come back: an emulated device on a busy host is slow.
const BACK: Duration = Duration::from_secs(180);

impl Proof<'_> {
    /// Each is killed as by an intruder who is root.
    pub(super) fn killed(&mut self, account: (&str, u32)) -> Outcome<()> {
        let last = self.device.keys().next_back().copied().unwrap_or_default();
        for kind in KILLED {
            self.windows.requested(kind.name, self.run_so_far().1);
        }
        let mut killed = Vec::new();
        for unit in RECORDERS {
            let before = self.main_process(unit)?;
            if before == 0 {
                // Number 0 would be the bench itself and all that it started.
                killed.push(Killed { unit, before, after: 0, recorded: false });
                continue;
            }
            // Once it is gone, and in the same command: what happens while nobody listens is to be recorded, too.
            let command = format!(
                "kill -9 {before}; while kill -0 {before} 2>/dev/null; do :; done; auditctl -m {}",
                mark(unit)
            );
            self.bench.ask(&command, MINUTE)?;
            let deadline = Instant::now() + BACK;
            let mut after = before;
            while (after == 0 || after == before) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_secs(1));
                after = self.main_process(unit)?;
            }
            killed.push(Killed { unit, before, after, recorded: false });
        }
        self.settle()?;
        for one in &mut killed {
            let mark = mark(one.unit);
            one.recorded = self.device.values().any(|(event, _)| event.message.contains(&mark));
        }
        self.judge_all(KILLED, account);
        let (seen, problems) = came_back(&killed, twice(&self.device, last).len());
        self.verdict(
            &format!("{KILLED_RECORDER}: it comes back, and has what happened meanwhile"),
            seen,
            problems,
        );
        Ok(())
    }

    /// Number of a service's main process; 0: it has none.
    fn main_process(&mut self, unit: &str) -> Outcome<u64> {
        let answer = self.bench.ask(&format!("systemctl show -p MainPID --value {unit}"), MINUTE)?;
        Ok(answer.iter().find_map(|line| line.trim().parse().ok()).unwrap_or_default())
    }
}

/// What is audited once a unit's process is gone.
fn mark(unit: &str) -> String {
    format!("fastness-bench-killed-{unit}")
}

/// One program that was killed.
struct Killed {
    unit: &'static str,
    /// Its process then.
    before: u64,
    /// Its process afterwards.
    after: u64,
    /// Whether an audit record of that moment is an event.
    recorded: bool,
}

/// Numbers of records behind `last` that were there before, whether before or behind it.
fn twice(records: &Records, last: u64) -> Vec<u64> {
    let key = |event: &events::Event| (event.r#type.clone(), event.time.clone(), event.message.clone());
    let mut seen: BTreeSet<_> = records.range(..=last).map(|(_, (event, _))| key(event)).collect();
    let after = records.range((Bound::Excluded(last), Bound::Unbounded));
    after.filter(|(_, (event, _))| !seen.insert(key(event))).map(|(number, _)| *number).collect()
}

/// What that shows, and what is wrong with it.
fn came_back(killed: &[Killed], twice: usize) -> (Vec<String>, Vec<String>) {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for Killed { unit, before, after, recorded } in killed {
        match (*before, *after) {
            (0, _) => problems.push(format!("{unit} did not run")),
            (_, 0) => problems.push(format!("{unit} did not come back within {} s", BACK.as_secs())),
            (before, after) if before == after => problems.push(format!("{unit} was not killed")),
            (before, after) => seen.push(format!("{unit}: process {before}, then {after}")),
        }
        if !recorded {
            problems.push(format!("what was audited after {unit} was killed is not recorded"));
        }
    }
    seen.push(format!("{twice} records are events twice"));
    if twice > MOST_AGAIN {
        problems.push(format!("{twice} records are events twice, expected at most {MOST_AGAIN}"));
    }
    (seen, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(before: u64, after: u64, recorded: bool) -> Vec<Killed> {
        vec![Killed { unit: "auditd.service", before, after, recorded }]
    }

    #[test]
    fn whoever_was_killed_comes_back_with_what_happened_meanwhile() {
        let (seen, problems) = came_back(&one(7, 9, true), 3);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(seen, ["auditd.service: process 7, then 9", "3 records are events twice"]);
        for (killed, twice, expected) in [
            (one(0, 9, true), 0, "auditd.service did not run"),
            (one(7, 0, true), 0, "did not come back within 180 s"),
            (one(7, 7, true), 0, "was not killed"),
            (one(7, 9, false), 0, "is not recorded"),
            (one(7, 9, true), 61, "61 records are events twice, expected at most 60"),
        ] {
            let problems = came_back(&killed, twice).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn records_that_come_again_are_those_with_the_same_time_and_words() {
        let record = |seq: u64, time: &str, message: &str| {
            format!(
                "{{\"seq\":{seq},\"prev\":\"{}\",\"clock\":\"synchronised\",\"time\":\"2026-01-01T00:00:{time}Z\",\"host\":\"h\",\"component\":\"c\",\"type\":\"t\",\"subject\":\"s\",\"outcome\":\"success\",\"message\":\"{message}\"}}",
                "0".repeat(64)
            )
        };
        let lines = [
            record(1, "01", "a"),
            record(2, "02", "b"),
            record(3, "01", "a"),
            record(4, "04", "b"),
            record(5, "04", "b"),
        ];
        let mut records = Records::new();
        super::super::kinds::read(&lines, &mut records).unwrap();
        assert_eq!(twice(&records, 2), [3, 5]);
        assert_eq!(twice(&records, 4), [5]);
        assert_eq!(twice(&records, 5), Vec::<u64>::new());
    }
}
