//! Two analyses, of two versions of a firmware: what got weaker, what got better, what changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::{Analysis, Area, Level};
use super::strength::WORDS;

/// A finding at one place that only one of the two has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Changed {
    /// How much it matters.
    pub level: Level,
    /// The rule.
    pub rule: String,
    /// One line.
    pub title: String,
    /// Where.
    pub path: String,
    /// What was seen.
    pub seen: String,
}

/// A value that is not the same in both; `None` where one has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moved {
    /// What it is of.
    pub name: String,
    /// In the old one.
    pub before: Option<String>,
    /// In the new one.
    pub after: Option<String>,
}

/// The comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this format.
    pub schema_version: u32,
    /// Name of the old image.
    pub before: String,
    /// Name of the new one.
    pub after: String,
    /// Findings that are new, the worst first.
    pub weaker: Vec<Changed>,
    /// Findings that are gone, the worst first.
    pub better: Vec<Changed>,
    /// Areas whose word changed.
    pub strength: Vec<Moved>,
    /// Components that came, went or have another version.
    pub components: Vec<Moved>,
    /// Units whose exposure changed, in tenths.
    pub units: Vec<Moved>,
    /// Services that came or went.
    pub services: Vec<Moved>,
}

impl Comparison {
    /// Whether something got weaker: a new finding above a note, or an area with a weaker word.
    #[must_use]
    pub fn is_weaker(&self) -> bool {
        let rank = |word: &Option<String>| WORDS.iter().position(|known| Some(*known) == word.as_deref());
        let fell = |moved: &Moved| matches!((rank(&moved.before), rank(&moved.after)), (Some(old), Some(new)) if new < old);
        self.weaker.iter().any(|changed| changed.level > Level::Note) || self.strength.iter().any(fell)
    }
}

/// Compares.
#[must_use]
pub fn compare(old: &Analysis, new: &Analysis) -> Comparison {
    let (before, after) = (places(old), places(new));
    let only = |one: &BTreeMap<(String, String), Changed>, other: &BTreeMap<(String, String), Changed>| {
        let mut changed: Vec<Changed> = one
            .iter()
            .filter(|(key, _)| !other.contains_key(key))
            .map(|(_, changed)| changed.clone())
            .collect();
        changed.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.cmp(b)));
        changed
    };
    let word = |analysis: &Analysis| -> BTreeMap<String, String> {
        let areas = analysis.strength.iter().map(|area| (area.area.word().to_owned(), area.word.clone()));
        areas.chain([("(all)".to_owned(), analysis.word.clone())]).collect()
    };
    let units = |analysis: &Analysis| {
        analysis
            .units
            .iter()
            .map(|unit| (unit.name.clone(), format!("{}.{}", unit.exposure / 10, unit.exposure % 10)))
            .collect()
    };
    let services = |analysis: &Analysis| {
        analysis
            .services
            .iter()
            .map(|service| (format!("{} ({})", service.name, service.at), service.how.clone()))
            .collect()
    };
    Comparison {
        schema_version: 1,
        before: old.name.clone(),
        after: new.name.clone(),
        weaker: only(&after, &before),
        better: only(&before, &after),
        strength: moved(&word(old), &word(new)),
        components: moved(&components(old), &components(new)),
        units: moved(&units(old), &units(new)),
        services: moved(&services(old), &services(new)),
    }
}

/// Findings by rule and place. What was seen is not part of it: a line number that moved is no new finding. A part's
/// name in front of a path is the image's, not the finding's.
fn places(analysis: &Analysis) -> BTreeMap<(String, String), Changed> {
    let mut all = BTreeMap::new();
    // That a part could not be read names the part, which is as the image is called.
    for issue in
        analysis.issues.iter().filter(|issue| issue.area != Area::Reading || issue.places.len() < 1000)
    {
        for place in &issue.places {
            let path = place.path.strip_prefix(&analysis.name).unwrap_or(&place.path).to_owned();
            let changed = Changed {
                level: issue.level,
                rule: issue.rule.clone(),
                title: issue.title.clone(),
                path: place.path.clone(),
                seen: place.seen.clone(),
            };
            all.insert((issue.rule.clone(), stable(&path)), changed);
        }
    }
    all
}

/// A path without the digits of a library's version, so that a new release is the same library.
fn stable(path: &str) -> String {
    match path.find(".so.") {
        Some(at) => path[..at + 3].to_owned(),
        None => path.to_owned(),
    }
}

fn components(analysis: &Analysis) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for component in &analysis.components {
        all.entry(format!("{} ({})", component.name, component.by)).or_default().insert(&component.version);
    }
    all.into_iter()
        .map(|(name, versions)| (name, versions.into_iter().collect::<Vec<_>>().join(", ")))
        .collect()
}

fn moved(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Moved> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |name: &String| Moved {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    names.into_iter().map(of).filter(|moved| moved.before != moved.after).collect()
}

/// The comparison as text.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut out = format!("{} -> {}\n", comparison.before, comparison.after);
    for (title, list) in [("weaker", &comparison.weaker), ("better", &comparison.better)] {
        if list.is_empty() {
            continue;
        }
        out += &format!("\n{title}: {}\n", list.len());
        for changed in list.iter().take(200) {
            let seen = if changed.seen.is_empty() { String::new() } else { format!(" ({})", changed.seen) };
            out += &format!("  {}[{}] {}{seen}\n", changed.level.word(), changed.rule, changed.path);
        }
        if list.len() > 200 {
            out += &format!("  and {} more (`--json` has them)\n", list.len() - 200);
        }
    }
    for (title, list) in [
        ("strength", &comparison.strength),
        ("components", &comparison.components),
        ("exposure of units", &comparison.units),
        ("services", &comparison.services),
    ] {
        if list.is_empty() {
            continue;
        }
        out += &format!("\n{title}:\n");
        for moved in list {
            let of = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            out += &format!("  {}: {} -> {}\n", moved.name, of(&moved.before), of(&moved.after));
        }
    }
    if out.lines().count() == 1 {
        out += "no difference\n";
    }
    out.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::sample::analysis;

    #[test]
    fn the_same_image_has_no_difference() {
        let same = compare(&analysis(), &analysis());
        assert!(!same.is_weaker());
        assert!(text(&same).ends_with("no difference\n"));
    }

    #[test]
    fn new_findings_are_weaker_and_gone_ones_better() {
        let (old, mut new) = (analysis(), analysis());
        new.issues.remove(0);
        new.issues[0]
            .places
            .push(super::super::model::Place { path: "/usr/bin/c".into(), seen: "program".into() });
        new.components[0].version = "1.37.0".into();
        new.units[0].exposure = 31;
        let comparison = compare(&old, &new);
        assert_eq!(comparison.weaker.len(), 1);
        assert_eq!(comparison.weaker[0].path, "/usr/bin/c");
        assert_eq!(comparison.better[0].rule, "account-empty-password");
        assert!(comparison.is_weaker() && !compare(&new, &new).is_weaker());
        let text = text(&comparison);
        for line in ["weaker: 1", "better: 1", "busybox (file): 1.36.1 -> 1.37.0", "a.service: 9.2 -> 3.1"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_new_release_of_a_library_is_the_same_library_and_a_note_is_not_weaker() {
        let (mut old, mut new) = (analysis(), analysis());
        old.issues[1].places[0].path = "/usr/lib/libx.so.1.2".into();
        new.issues[1].places[0].path = "/usr/lib/libx.so.1.3".into();
        assert!(compare(&old, &new).weaker.is_empty());
        let note = new.issues.last_mut().unwrap();
        note.places[0].path = "/usr/bin/z".into();
        let comparison = compare(&old, &new);
        assert_eq!(comparison.weaker.len(), 1);
        assert!(!comparison.is_weaker());
    }
}
