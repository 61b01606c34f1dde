//! What monitoring used in a storm of events, against the bounds of its units, and what it did not record.

use std::collections::BTreeMap;

use record::TrafficVerdict;

use super::condition::uptime;

/// What one service had used at one look, and what it may use: values of its control group by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Hundredths of a second since the device's start.
    up: u64,
    values: BTreeMap<String, String>,
}

impl Used {
    fn number(&self, key: &str) -> Option<u64> {
        self.values.get(key)?.parse().ok()
    }

    /// Bytes, or tasks: the most there were, and the bound.
    fn most(&self, of: &str) -> (Option<u64>, Option<u64>) {
        let most = self.number(&format!("{of}.peak")).or_else(|| self.number(&format!("{of}.current")));
        (most, self.number(&format!("{of}.max")))
    }

    /// The bound of processor time: thousandths of one processor.
    fn share(&self) -> Option<u64> {
        let (quota, period) = self.values.get("cpu.max")?.split_once('/')?;
        quota.parse::<u64>().ok()?.checked_mul(1_000)?.checked_div(period.parse().ok()?)
    }

    /// What it has no bound of, in words.
    fn lacks(&self) -> Vec<&'static str> {
        let mut out = Vec::new();
        if self.most("memory").1.is_none() {
            out.push("memory");
        }
        if self.most("pids").1.is_none() {
            out.push("tasks");
        }
        match (self.share(), self.values.contains_key("cpu.max")) {
            (Some(_), _) => {}
            (None, true) => out.push("processor time"),
            (None, false) => out.push("processor time (its control group has no cpu.max)"),
        }
        out
    }
}

/// One look of the bench at several services.
pub(super) type Look = BTreeMap<String, Used>;

/// What the bench's `used` told.
pub(super) fn look(lines: &[String]) -> Look {
    let read = |line: &String| {
        let (name, values) = line.strip_prefix("used ")?.split_once(' ')?;
        let pairs = values.split(' ').filter_map(|pair| pair.split_once('='));
        let values: BTreeMap<String, String> =
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let up = uptime(values.get("up")?)?;
        Some((name.to_owned(), Used { up, values }))
    };
    lines.iter().filter_map(read).collect()
}

/// Verdict, what was seen, what is wrong.
pub(super) type Judged = (TrafficVerdict, Vec<String>, Vec<String>);

/// Whether a service stayed inside the bounds that it has, over looks one after the other.
pub(super) fn inside(name: &str, looks: &[Look]) -> Judged {
    let all: Vec<&Used> = looks.iter().filter_map(|look| look.get(name)).collect();
    let [first, .., last] = all.as_slice() else {
        let why = format!("what {name} used was not told before and after");
        return (TrafficVerdict::Fail, Vec::new(), vec![why]);
    };
    if all.len() < looks.len() {
        return (
            TrafficVerdict::Fail,
            Vec::new(),
            vec![format!("what {name} used was not told at each look")],
        );
    }
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for (what, key, unit, size) in [("memory", "memory", " KiB", 1_024), ("tasks", "pids", "", 1)] {
        // The kernel may keep no peak: then the most of all looks is known.
        let most = all.iter().filter_map(|used| used.most(key).0).max();
        let Some(most) = most else {
            problems.push(format!("{name}: its {what} was not told"));
            continue;
        };
        let bound = last.most(key).1;
        let said =
            bound.map_or_else(|| "without a bound".to_owned(), |bound| format!("of {}{unit}", bound / size));
        seen.push(format!("{what}: at most {}{unit}, {said}", most / size));
        if bound.is_some_and(|bound| most > bound) {
            problems.push(format!("{name}: {what} {}{unit}, {said}", most / size));
        }
    }
    let shares = all.windows(2).filter_map(|pair| {
        let [from, to] = pair else { return None };
        let time = to.up.checked_sub(from.up)?.max(1);
        Some(to.number("cpu.usage_usec")?.checked_sub(from.number("cpu.usage_usec")?)? / (time * 10))
    });
    match (shares.max(), last.share()) {
        (None, _) => problems.push(format!("{name}: its processor time was not told")),
        (Some(share), bound) => {
            let said = bound.map_or_else(
                || "without a bound".to_owned(),
                |bound| format!("of {}.{} %", bound / 10, bound % 10),
            );
            let text = format!("processor: at most {}.{} % of one, {said}", share / 10, share % 10);
            // The kernel gives out a quota in slices: a tenth more is no breach.
            if bound.is_some_and(|bound| share > bound + bound / 10) {
                problems.push(format!("{name}: {text}"));
            }
            seen.push(text);
        }
    }
    match (first.number("events.oom_kill"), last.number("events.oom_kill")) {
        (Some(before), Some(after)) if after <= before => {
            seen.push("not ended by its bound of memory".to_owned())
        }
        (Some(_), Some(_)) => problems.push(format!("{name} was ended by its bound of memory")),
        _ => problems.push(format!("{name}: whether its bound of memory ended it was not told")),
    }
    let verdict = match (problems.is_empty(), last.lacks().len()) {
        (false, _) => TrafficVerdict::Fail,
        (true, 3) => {
            problems.push(format!("{name} has no bound; {}", seen.join("; ")));
            TrafficVerdict::NotShown
        }
        (true, _) => TrafficVerdict::Pass,
    };
    (verdict, seen, problems)
}

/// Which services have no bound of something: of that nothing is shown.
pub(super) fn bounds(names: &[&str], look: &Look) -> Judged {
    let mut problems = Vec::new();
    for name in names {
        match look.get(*name).map(Used::lacks) {
            None => problems.push(format!("{name} does not run")),
            Some(lacks) if lacks.is_empty() => {}
            Some(lacks) => problems.push(format!("{name} has no bound of {}", lacks.join(", "))),
        }
    }
    let verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::NotShown };
    (verdict, vec!["each has a bound of memory, tasks and processor time".to_owned()], problems)
}

/// What the firewall counted and the kernel lost, at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Packets that the firewall dropped and counted.
    pub(super) dropped: u64,
    /// Audit records that the kernel lost.
    pub(super) lost: u64,
}

impl Counted {
    /// Of `nft list counters` and `auditctl -s`; none: one of them said nothing.
    pub(super) fn read(lines: &[String]) -> Option<Self> {
        let number = |key: &'static str| {
            lines.iter().filter_map(move |line| {
                line.trim().strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok()
            })
        };
        let packets: Vec<u64> = number("packets ").collect();
        (!packets.is_empty()).then_some(())?;
        Some(Self { dropped: packets.iter().sum(), lost: number("lost ").next()? })
    }
}

/// What became of the events.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) before: Counted,
    pub(super) after: Option<Counted>,
    /// Records of dropped packets, and all new ones, as far as they were still there when they were looked for.
    pub(super) recorded: (usize, usize),
    /// Bytes of the records and their bound, then of the audit log.
    pub(super) sizes: [(Option<u64>, u64); 2],
    /// Numbers that the collector lacks and the device does not tell; or why that is not known.
    pub(super) untold: Result<String, String>,
}

/// Whether the records stayed inside their bounds, and what is missing is told.
pub(super) fn kept(kept: &Kept) -> (Vec<String>, Vec<String>) {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    let (dropped, all) = kept.recorded;
    match &kept.after {
        None => problems.push("what was dropped and lost was not told afterwards".to_owned()),
        Some(after) => {
            let counted = after.dropped.saturating_sub(kept.before.dropped);
            seen.push(format!(
                "the firewall counted {counted} packets that it dropped, and {dropped} records of them were seen: its rule takes no more"
            ));
            if counted == 0 || dropped == 0 {
                problems.push(format!("{counted} dropped packets were counted, and {dropped} recorded"));
            }
            if after.lost > kept.before.lost {
                problems.push(format!("the kernel lost {} audit records", after.lost - kept.before.lost));
            } else {
                seen.push("the kernel lost no audit record".to_owned());
            }
        }
    }
    seen.push(format!("{all} new records were seen in all"));
    for (what, (bytes, bound)) in ["the records", "the audit log"].into_iter().zip(kept.sizes) {
        match bytes {
            Some(bytes) if bytes <= bound => seen.push(format!("{what}: {bytes} bytes of at most {bound}")),
            Some(bytes) => problems.push(format!("{what}: {bytes} bytes, expected at most {bound}")),
            None => problems.push(format!("the size of {what} was not told")),
        }
    }
    match &kept.untold {
        Ok(numbers) if numbers.is_empty() => {
            seen.push("what the collector lacks is what the device says".to_owned())
        }
        Ok(numbers) => {
            problems.push(format!("the collector lacks {numbers}, and the device does not say so"))
        }
        Err(why) => problems.push(why.clone()),
    }
    (seen, problems)
}

#[cfg(test)]
#[path = "storm_tests.rs"]
mod tests;
