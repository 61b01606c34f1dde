//! What monitoring costs the device while nothing happens.

use std::time::Duration;

use diag::Outcome;

use super::{MINUTE, Proof};

/// How long the device is left alone while its cost is measured.
const REST: Duration = Duration::from_secs(60);
/// The services whose cost is the monitoring's.
pub(super) const SERVICES: [&str; 3] =
    ["auditd.service", "fastness-events.service", "fastness-forward.service"];
/// What monitoring may cost: thousandths of one processor, and bytes that are not the page cache.
const MAX_PROCESSOR: u64 = 30;
const MAX_MEMORY: u64 = 40 << 20;
/// How many minutes may pass until one was quiet.
const RESTS: usize = 3;

/// A service's name, microseconds of processor time between two looks, bytes held at the second, seconds.
type Cost = (String, u64, u64, u64);

impl Proof<'_> {
    /// What the services cost while nothing happens: a record that comes in a minute of it is no rest, and what a busy host
    /// takes from an emulated device looks like its own work, so that one quiet minute of three is enough.
    pub(super) fn cost(&mut self) -> Outcome<()> {
        let command = format!("cost {}", SERVICES.join(" "));
        let (mut seen, mut problems) = (Vec::new(), Vec::new());
        for minute in 1..=RESTS {
            let before = self.bench.ask(&command, MINUTE)?;
            std::thread::sleep(REST);
            let after = self.bench.ask(&command, MINUTE)?;
            (seen, problems) = bounded(&costs(&before, &after));
            seen.push(format!("minute {minute} of at most {RESTS}"));
            if problems.is_empty() {
                break;
            }
        }
        self.verdict("the cost at rest is bounded", seen, problems);
        Ok(())
    }
}

/// What was found, and what of it is beyond the bounds.
fn bounded(costs: &[Cost]) -> (Vec<String>, Vec<String>) {
    let (mut seen, mut processor, mut memory) = (Vec::new(), 0, 0);
    for (name, used, held, seconds) in costs {
        let share = used / (seconds.max(&1) * 1000);
        processor += share;
        memory += held;
        seen.push(format!("{name}: {}.{} % of one processor, {} KiB", share / 10, share % 10, held >> 10));
    }
    let mut problems = Vec::new();
    if seen.len() != SERVICES.len() {
        problems.push(format!("expected the cost of {}, found that of {}", SERVICES.len(), seen.len()));
    }
    if processor >= MAX_PROCESSOR || memory >= MAX_MEMORY {
        problems.push(format!(
            "expected less than 3 % of one processor and 40 MiB, found {processor} ‰ and {memory} bytes"
        ));
    }
    seen.push(format!("together {}.{} % and {} KiB", processor / 10, processor % 10, memory >> 10));
    (seen, problems)
}

/// The cost of each service between two looks.
fn costs(before: &[String], after: &[String]) -> Vec<Cost> {
    let read = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["cost", name, used, _, anon, uptime] = words.as_slice() else { return None };
        let whole = uptime.split('.').next()?;
        Some((
            (*name).to_owned(),
            used.parse::<u64>().ok()?,
            anon.parse::<u64>().ok()?,
            whole.parse::<u64>().ok()?,
        ))
    };
    let first: Vec<_> = before.iter().filter_map(read).collect();
    let then = after.iter().filter_map(read);
    then.filter_map(|(name, used, held, at)| {
        let (_, was, _, from) = first.iter().find(|(known, ..)| *known == name)?;
        Some((name, used.saturating_sub(*was), held, at.saturating_sub(*from)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_what_was_used_between_two_looks() {
        let line = |used: u64, at: &str| format!("cost auditd.service {used} 9000000 5000000 {at}");
        let found = costs(&[line(1_000_000, "100.25")], &["noise".to_owned(), line(1_600_000, "160.9")]);
        assert_eq!(found, [("auditd.service".to_owned(), 600_000, 5_000_000, 60)]);
        assert!(costs(&[], &[line(1, "1.0")]).is_empty());
    }

    #[test]
    fn a_cost_beyond_a_bound_and_a_service_that_is_not_there_are_told() {
        let of = |used: u64, held: u64| SERVICES.map(|name| (name.to_owned(), used, held, 60)).to_vec();
        let (seen, problems) = bounded(&of(500_000, 1 << 20));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(seen.last().unwrap(), "together 2.4 % and 3072 KiB");
        let problems = |costs: &[Cost]| bounded(costs).1.join("; ");
        assert!(problems(&of(600_000, 1 << 20)).contains("expected less than 3 % of one processor"));
        assert!(problems(&of(0, 14 << 20)).contains("and 44040192 bytes"));
        assert!(problems(&of(0, 0)[1..]).contains("expected the cost of 3, found that of 2"));
    }
}
