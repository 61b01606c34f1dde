//! Two threat models against each other: which threat lost its control, which is new, which is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use diag::ExitStatus;
use serde::Serialize;

use super::{Entry, Status, ThreatReport, ThreatState, bounds};

/// What became of a threat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A control that counted no longer does, or the status is worse.
    Lost,
    /// It was not there before.
    New,
    /// Its status is better, and no control was lost.
    Gained,
    /// It is no longer there.
    Gone,
}

impl Change {
    const ALL: [Self; 4] = [Self::Lost, Self::New, Self::Gained, Self::Gone];

    fn words(self) -> &'static str {
        match self {
            Self::Lost => "lost a control",
            Self::New => "new",
            Self::Gained => "better answered",
            Self::Gone => "gone",
        }
    }
}

/// A threat that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `ID:ENTRY`.
    pub threat: String,
    /// What may happen.
    pub title: String,
    /// What became of it.
    pub change: Change,
    /// Its status before.
    pub before: Option<Status>,
    /// Its status now.
    pub after: Option<Status>,
    /// Controls that no longer count, each with the checks that are why.
    pub lost: Vec<String>,
    /// Why it has its status now, or had it.
    pub why: String,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreatComparison {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// The earlier product.
    pub before: String,
    /// This one.
    pub after: String,
    /// Whether no threat lost a control, and no new one is open.
    pub holds: bool,
    /// The target level, where it is lower than before: `2 -> 1`.
    pub lowered: Option<String>,
    /// Threats that changed, the worst first.
    pub changed: Vec<Changed>,
}

impl ThreatComparison {
    /// Compares.
    #[must_use]
    pub fn new(before: &ThreatReport, after: &ThreatReport) -> Self {
        let by_key = |report: &'_ ThreatReport| -> BTreeMap<String, ThreatState> {
            report.threats.iter().map(|threat| (threat.key(), threat.clone())).collect()
        };
        let (old, new) = (by_key(before), by_key(after));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let entry = |report: &'_ ThreatReport, threat: &ThreatState| -> Option<Entry> {
            report.entries.iter().find(|one| one.kind == threat.at && one.name == threat.entry).cloned()
        };
        let entries = |key: &String| Some((entry(before, old.get(key)?)?, entry(after, new.get(key)?)?));
        let mut changed: Vec<Changed> = keys
            .into_iter()
            .filter_map(|key| change(key, old.get(key), new.get(key), entries(key).as_ref()))
            .collect();
        let levels = (before.security_level, after.security_level);
        let lowered = (levels.1 < levels.0).then(|| format!("{} -> {}", levels.0, levels.1));
        changed.sort_by(|a, b| (a.change, &a.threat).cmp(&(b.change, &b.threat)));
        let is_worse = |one: &Changed| match one.change {
            Change::Lost => true,
            Change::New => one.after.is_some_and(Status::is_open),
            Change::Gained | Change::Gone => false,
        };
        Self {
            schema_version: 1,
            before: before.device.clone(),
            after: after.device.clone(),
            holds: lowered.is_none() && !changed.iter().any(is_worse),
            lowered,
            changed,
        }
    }

    /// The exit status that it means.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        if self.holds { ExitStatus::Success } else { ExitStatus::Check }
    }

    /// The comparison for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        if self.changed.is_empty() && self.lowered.is_none() {
            return format!("{} and {}: no threat lost or gained a control\n", self.before, self.after);
        }
        let mut out = format!("{} -> {}\n", self.before, self.after);
        if let Some(levels) = &self.lowered {
            let _ = writeln!(out, "\nlowered: security level {levels}");
        }
        for kind in Change::ALL {
            let of: Vec<&Changed> = self.changed.iter().filter(|one| one.change == kind).collect();
            if of.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{} ({})", kind.words(), of.len());
            for one in of {
                let _ = writeln!(out, "  {}  {}", one.threat, one.title);
                let states = [one.before, one.after].map(|status| status.map_or("not there", Status::words));
                let _ = writeln!(out, "    {} -> {}", states[0], states[1]);
                for lost in &one.lost {
                    let _ = writeln!(out, "    - {lost}");
                }
                if one.lost.is_empty() && one.change != Change::Gained {
                    let _ = writeln!(out, "    {}", one.why);
                }
            }
        }
        out
    }
}

fn change(
    key: &str,
    before: Option<&ThreatState>,
    after: Option<&ThreatState>,
    entries: Option<&(Entry, Entry)>,
) -> Option<Changed> {
    let made = |of: &ThreatState, change: Change, lost: Vec<String>| Changed {
        threat: key.to_owned(),
        title: of.title.clone(),
        change,
        before: before.map(|threat| threat.status),
        after: after.map(|threat| threat.status),
        lost,
        why: of.why.clone(),
    };
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(made(after, Change::New, Vec::new())),
        (Some(before), None) => Some(made(before, Change::Gone, Vec::new())),
        (Some(old), Some(new)) => {
            let lost = lost(old, new, entries);
            if !lost.is_empty() || new.status < old.status {
                Some(made(new, Change::Lost, lost))
            } else if new.status > old.status {
                Some(made(new, Change::Gained, lost))
            } else {
                None
            }
        }
    }
}

/// Controls that counted and no longer do, or that bound less than before; those that lessened, too.
fn lost(old: &ThreatState, new: &ThreatState, entries: Option<&(Entry, Entry)>) -> Vec<String> {
    let counted = old.controls.iter().chain(&old.lessened_by).filter(|control| control.counts);
    let gone = counted.filter_map(|control| {
        let mut now = new.controls.iter().chain(&new.lessened_by);
        let now = now.find(|one| one.title == control.title);
        match now {
            Some(now) if now.counts => {
                let more = |bound: &String| entries.and_then(|(old, new)| bounds::widened(bound, old, new));
                let more: Vec<String> = now.bounds.iter().filter_map(more).collect();
                (!more.is_empty()).then(|| format!("{}: {}", control.title, more.join(", ")))
            }
            Some(now) => {
                let why = now.checks.iter().chain(&now.proofs).filter(|check| !check.state.counts());
                let why = why.map(|check| format!("`{}` is {}", check.check, check.state.words()));
                let why: Vec<String> = why.chain(now.exceeded.iter().cloned()).collect();
                Some(format!("{}: {}", control.title, why.join(", ")))
            }
            None => Some(format!("{}: it is no longer there", control.title)),
        }
    });
    gone.collect()
}
