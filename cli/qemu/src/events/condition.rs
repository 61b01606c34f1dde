//! How the device was before and after a flood.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::service::Answer;

/// Services that have to be active afterwards, if they were before.
const STAYS: [&str; 5] = [
    "auditd.service",
    "fastness-events.service",
    "fastness-forward.service",
    "nftables.service",
    "ssh.service",
];
/// What has to be left of the memory: one part of so many.
const LEFT: u64 = 20;

/// One service: its state, its main process and how often it was started again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Unit {
    state: String,
    process: u64,
    restarts: u64,
}

/// What the bench's `condition` told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    boot: String,
    /// Hundredths of a second since the start.
    up: u64,
    /// KiB, and what of it can still be had.
    memory: (u64, u64),
    /// Processes that were ended for want of memory.
    killed: u64,
    /// Frames that the interface took.
    pub(super) received: u64,
    units: BTreeMap<String, Unit>,
}

/// Hundredths of a second of what `/proc/uptime` says.
pub(super) fn uptime(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part.parse().ok()?)
}

impl Condition {
    pub(super) fn read(lines: &[String]) -> Option<Self> {
        let line = lines.iter().find_map(|line| line.strip_prefix("condition "))?;
        let values: BTreeMap<&str, &str> = line.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let number = |key: &str| values.get(key)?.parse::<u64>().ok();
        let mut out = Self {
            boot: (*values.get("boot")?).to_owned(),
            up: uptime(values.get("up")?)?,
            memory: (number("MemTotal")?, number("MemAvailable")?),
            killed: number("oom_kill")?,
            received: number("rx")?,
            units: BTreeMap::new(),
        };
        for block in lines.split(|line| line.trim().is_empty()) {
            let of = |key: &str| block.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let Some(name) = of("Id") else { continue };
            let unit = Unit {
                state: of("ActiveState").unwrap_or_default().to_owned(),
                process: of("MainPID").and_then(|text| text.parse().ok()).unwrap_or_default(),
                restarts: of("NRestarts").and_then(|text| text.parse().ok()).unwrap_or_default(),
            };
            // The proof's own units come and go.
            if !name.starts_with("bench") {
                out.units.insert(name.to_owned(), unit);
            }
        }
        (!out.units.is_empty()).then_some(out)
    }

    fn failed(&self) -> BTreeSet<&String> {
        self.units.iter().filter(|(_, unit)| unit.state == "failed").map(|(name, _)| name).collect()
    }
}

/// Whether the device is as it was before, and answers again; what of that is not so.
pub(super) fn recovered(
    before: &Condition,
    after: Option<&Condition>,
    (answer, waited): (&Answer, Duration),
) -> (Vec<String>, Vec<String>) {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    match answer {
        Ok(after) => seen.push(format!(
            "{} s after the flood an allowed client was answered within {:.1} s",
            waited.as_secs(),
            after.as_secs_f64()
        )),
        Err(why) => {
            problems.push(format!("{} s after the flood an allowed client got: {why}", waited.as_secs()))
        }
    }
    let Some(after) = after else {
        problems.push("the device did not tell how it is after the flood".to_owned());
        return (seen, problems);
    };
    if after.boot != before.boot || after.up < before.up {
        problems.push("the device has started again".to_owned());
    }
    for name in after.failed().difference(&before.failed()) {
        problems.push(format!("{name} has failed"));
    }
    for (name, was) in &before.units {
        let now = after.units.get(name).cloned().unwrap_or_default();
        let anew = was.process != 0 && now.process != 0 && now.process != was.process;
        if now.restarts > was.restarts || anew {
            problems.push(format!("{name} was started again"));
        } else if STAYS.contains(&name.as_str()) && was.state == "active" && now.state != "active" {
            problems.push(format!("{name} is no more active, but `{}`", now.state));
        }
    }
    if after.killed > before.killed {
        problems.push(format!("{} processes were ended for want of memory", after.killed - before.killed));
    }
    let (all, left) = after.memory;
    if left < all / LEFT {
        problems.push(format!("{left} KiB of {all} KiB of memory are left"));
    }
    seen.push(format!(
        "the same start, no unit more has failed, none was started again; {left} KiB of memory are left, {} KiB before; the \
         interface took {} frames",
        before.memory.1,
        after.received.saturating_sub(before.received)
    ));
    (seen, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(change: &[(&str, &str)]) -> Vec<String> {
        let mut text = "noise\ncondition up=100.25 boot=b-1 MemTotal=1000 MemAvailable=600 oom_kill=0 rx=7\n\
                        Id=ssh.service\nActiveState=active\nMainPID=70\nNRestarts=0\n\n\
                        MainPID=0\nId=nftables.service\nActiveState=active\n\n\
                        Id=bench-crash.service\nActiveState=failed\nMainPID=0\nNRestarts=3\n"
            .to_owned();
        for (from, to) in change {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        text.lines().map(str::to_owned).collect()
    }

    fn of(change: &[(&str, &str)]) -> Condition {
        Condition::read(&lines(change)).expect("a condition")
    }

    #[test]
    fn what_the_bench_tells_is_read_and_half_of_it_is_not() {
        let found = of(&[]);
        assert_eq!((found.up, found.received, found.memory), (10_025, 7, (1_000, 600)));
        assert_eq!(found.units.keys().collect::<Vec<_>>(), ["nftables.service", "ssh.service"]);
        assert_eq!(Condition::read(&lines(&[("oom_kill=0 ", "")])), None);
        assert_eq!(Condition::read(&lines(&[])[..2]), None);
        assert_eq!(Condition::read(&[]), None);
    }

    #[test]
    fn a_device_that_is_as_before_and_answers_has_recovered() {
        let answer = Ok(Duration::from_millis(1_260));
        let judged = |change: &[(&str, &str)], answer: &Answer| {
            recovered(&of(&[]), Some(&of(change)), (answer, Duration::from_secs(9)))
        };
        let (seen, problems) = judged(&[("up=100.25", "up=300.00"), ("rx=7", "rx=5007")], &answer);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(seen[0], "9 s after the flood an allowed client was answered within 1.3 s");
        assert!(
            seen[1].ends_with("600 KiB of memory are left, 600 KiB before; the interface took 5000 frames"),
            "{seen:?}"
        );
        for (from, to, expected) in [
            ("boot=b-1", "boot=b-2", "has started again"),
            ("up=100.25", "up=3.25", "has started again"),
            ("MainPID=70", "MainPID=71", "ssh.service was started again"),
            ("NRestarts=0", "NRestarts=1", "ssh.service was started again"),
            (
                "nftables.service\nActiveState=active",
                "nftables.service\nActiveState=failed",
                "nftables.service has failed",
            ),
            (
                "ssh.service\nActiveState=active",
                "ssh.service\nActiveState=inactive",
                "ssh.service is no more active, but `inactive`",
            ),
            ("oom_kill=0", "oom_kill=2", "2 processes were ended for want of memory"),
            ("MemAvailable=600", "MemAvailable=49", "49 KiB of 1000 KiB of memory are left"),
        ] {
            let problems = judged(&[(from, to)], &answer).1;
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
        let problems = judged(&[], &Err("no answer within 20 s".to_owned())).1;
        assert_eq!(problems, ["9 s after the flood an allowed client got: no answer within 20 s"]);
        let problems = recovered(&of(&[]), None, (&answer, Duration::ZERO)).1;
        assert_eq!(problems, ["the device did not tell how it is after the flood"]);
    }
}
