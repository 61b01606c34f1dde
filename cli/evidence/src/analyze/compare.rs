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
    /// Findings that the new image does not show where it could not be read: nobody knows whether they are gone.
    pub not_seen: Vec<Changed>,
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
    /// Whether something got weaker, or may have: a new finding above a note, one that is not seen any more, or an area with a
    /// weaker word or none.
    #[must_use]
    pub fn is_weaker(&self) -> bool {
        let rank = |word: &Option<String>| WORDS.iter().position(|known| Some(*known) == word.as_deref());
        let fell = |moved: &Moved| match (rank(&moved.before), rank(&moved.after)) {
            (Some(old), Some(new)) => new < old,
            (Some(_), None) => true,
            _ => false,
        };
        self.worst().is_some_and(|level| level > Level::Note) || self.strength.iter().any(fell)
    }

    /// The worst level of what got weaker or is not seen any more.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.weaker.iter().chain(&self.not_seen).map(|changed| changed.level).max()
    }
}

/// Compares.
#[must_use]
pub fn compare(old: &Analysis, new: &Analysis) -> Comparison {
    let (before, after) = (places(old), places(new));
    let weaker = only(&after, &before);
    let unread = Unread::of(new, &before, &weaker);
    let (not_seen, better) = only(&before, &after).into_iter().partition(|(key, _)| unread.hides(key));
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
        weaker: sorted(weaker),
        better: sorted(better),
        not_seen: sorted(not_seen),
        strength: moved(&word(old), &word(new)),
        components: moved(&components(old), &components(new)),
        units: moved(&units(old), &units(new)),
        services: moved(&services(old), &services(new)),
    }
}

/// What makes a finding the same in both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    area: Area,
    rule: String,
    path: String,
    what: String,
}

type Places = BTreeMap<Key, Vec<Changed>>;

/// Findings by area, rule, place and what was found there. A part's name in front of a path is the image's, not the finding's.
fn places(analysis: &Analysis) -> Places {
    let mut all = Places::new();
    // That a part could not be read names the part, which is as the image is called.
    for issue in &analysis.issues {
        for place in &issue.places {
            let path = place.path.strip_prefix(&analysis.name).unwrap_or(&place.path);
            let changed = Changed {
                level: issue.level,
                rule: issue.rule.clone(),
                title: issue.title.clone(),
                path: place.path.clone(),
                seen: place.seen.clone(),
            };
            let key = Key {
                area: issue.area,
                rule: issue.rule.clone(),
                path: stable(path),
                what: what(issue.area, &place.seen),
            };
            all.entry(key).or_default().push(changed);
        }
    }
    all
}

/// What was found, without what moves though nothing changed: the number of a line, measures of a whole part, of a program or of
/// a unit, and of the kernel's options what they were instead.
fn what(area: Area, seen: &str) -> String {
    match area {
        Area::Reading | Area::Programs | Area::Units => String::new(),
        Area::Kernel if !seen.starts_with('`') => String::new(),
        Area::Boot => seen.chars().filter(|c| !c.is_ascii_digit()).collect(),
        _ => match seen.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
            _ => seen.to_owned(),
        },
    }
}

/// What one has more often than the other.
fn only(one: &Places, other: &Places) -> Vec<(Key, Changed)> {
    let more = |(key, all): (&Key, &Vec<Changed>)| {
        let there = other.get(key).map_or(0, Vec::len);
        all.iter().skip(there).map(|changed| (key.clone(), changed.clone())).collect::<Vec<_>>()
    };
    one.iter().flat_map(more).collect()
}

fn sorted(all: Vec<(Key, Changed)>) -> Vec<Changed> {
    let mut all: Vec<Changed> = all.into_iter().map(|(_, changed)| changed).collect();
    all.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.cmp(b)));
    all
}

/// Findings that say that something was not read.
const UNREAD: [&str; 4] = ["not-understood", "broken", "limit", "no-root"];

/// What the new image could not be read of.
struct Unread {
    /// A whole part that was read before, or what all parts share.
    part: bool,
    /// Areas of which nothing was read any more.
    areas: BTreeSet<Area>,
    /// Files, whether they could be read before or not.
    files: BTreeSet<String>,
}

impl Unread {
    fn of(new: &Analysis, before: &Places, weaker: &[(Key, Changed)]) -> Self {
        let is_file = |path: &str| path.starts_with('/') || path.contains(":/");
        let fresh = weaker.iter().filter(|(key, _)| UNREAD.contains(&key.rule.as_str()));
        let part = fresh.clone().any(|(key, _)| !is_file(&key.path));
        let all = new.issues.iter().filter(|issue| UNREAD.contains(&issue.rule.as_str()));
        let files = all.flat_map(|issue| &issue.places).map(|place| stable(&place.path));
        let known: BTreeSet<Area> = before.keys().map(|key| key.area).collect();
        let gone = new.strength.iter().filter(|area| area.word == "unknown" && known.contains(&area.area));
        Self {
            part,
            areas: gone.map(|area| area.area).collect(),
            files: files.filter(|path| is_file(path)).collect(),
        }
    }

    /// Whether a finding that is gone may be there all the same.
    fn hides(&self, key: &Key) -> bool {
        if key.area == Area::Reading {
            return false;
        }
        // What is set in `/etc` decides about these wherever it is found.
        let by_settings = matches!(key.area, Area::Accounts | Area::Services | Area::Units);
        self.part
            || self.areas.contains(&key.area)
            || self.files.iter().any(|file| {
                key.path == *file
                    || key.path.strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with('/'))
                    || by_settings && (file.starts_with("/etc/") || file.contains(":/etc/"))
            })
    }
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
    for (title, list) in [
        ("weaker", &comparison.weaker),
        ("not seen any more, where the new image could not be read", &comparison.not_seen),
        ("better", &comparison.better),
    ] {
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
    out.chars().map(|c| if diag::steers(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
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

    /// Found by a reader: what could not be read in a thousand places or more was no difference.
    #[test]
    fn parts_that_cannot_be_read_are_weaker_however_many_they_are() {
        let (old, mut new) = (analysis(), analysis());
        let place = |number| super::super::model::Place { path: format!("/x/{number}"), seen: "cut".into() };
        let mut issue = new.issues[0].clone();
        (issue.area, issue.rule) = (Area::Reading, "broken".into());
        issue.places = (0..1000).map(place).collect();
        new.issues.push(issue);
        let comparison = compare(&old, &new);
        assert!(comparison.is_weaker() && comparison.weaker.len() == 1000, "{}", comparison.weaker.len());
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

    /// A finding at a path, with what was seen there.
    fn with(rule: &str, seen: &[&str]) -> Analysis {
        let mut found = super::super::rules::Found::default();
        for seen in seen {
            found.add(rule, "/etc/x", *seen);
        }
        let looked = Area::ALL.into_iter().map(|area| (area, 1)).collect();
        let issues = found.issues();
        let strength = super::super::strength::strength(&looked, &issues);
        Analysis { issues, strength, ..analysis() }
    }

    #[test]
    fn a_second_finding_in_the_same_file_is_new() {
        for (rule, first, second) in [
            ("account-weak-password", "`root`", "`admin`"),
            ("cmdline-dangerous", "`nokaslr`", "`init=/bin/sh`"),
            ("service-clear-text", "/usr/sbin/telnetd -F", "/usr/sbin/telnetd -F -p 2323"),
            ("secret-password", "line 3: `hu…`, 14 characters", "line 4: `ge…`, 11 characters"),
            ("authorized-key", "ed25519 authorized key a@b", "ed25519 authorized key c@d"),
        ] {
            let comparison = compare(&with(rule, &[first]), &with(rule, &[first, second]));
            assert_eq!(comparison.weaker.len(), 1, "{rule}");
            assert_eq!(comparison.weaker[0].seen, second, "{rule}");
            assert!(comparison.is_weaker() && comparison.better.is_empty(), "{rule}");
        }
        let more =
            compare(&with("capabilities", &["cap_net_raw"]), &with("capabilities", &["cap_sys_admin"]));
        assert_eq!((more.weaker.len(), more.better.len()), (1, 1));
        // The same on another line is the same; the same twice is one more.
        let secret = "line 3: `hu…`, 14 characters";
        let moved = "line 9: `hu…`, 14 characters";
        assert!(
            compare(&with("secret-password", &[secret]), &with("secret-password", &[moved]))
                .weaker
                .is_empty()
        );
        let twice = compare(&with("secret-password", &[secret]), &with("secret-password", &[secret, moved]));
        assert_eq!(twice.weaker.len(), 1);
    }

    #[test]
    fn what_the_new_image_does_not_show_is_not_better() {
        let of = |comparison: &Comparison, field: &str| {
            let value = serde_json::to_value(comparison).unwrap();
            value[field].as_array().map_or(0, Vec::len)
        };
        let old = with("account-weak-password", &["`root`"]);
        // A part that was not read could hold it.
        let part = || {
            let mut one = with("not-understood", &["what it is"]);
            one.issues[0].places[0].path = "x / boot".into();
            one
        };
        let unread = compare(&old, &part());
        assert_eq!((of(&unread, "better"), of(&unread, "not_seen")), (0, 1));
        assert!(text(&unread).contains("not seen"));
        // So could a root that is not there at all.
        let mut none = with("no-root", &["nothing"]);
        none.strength.iter_mut().for_each(|area| area.word = "unknown".into());
        let none = compare(&old, &none);
        assert_eq!((of(&none, "better"), of(&none, "not_seen")), (0, 1));
        assert!(none.is_weaker());
        // What both lack says nothing of what is gone.
        let mut before = part();
        before.issues.extend(old.issues.clone());
        let same = compare(&before, &part());
        assert_eq!((of(&same, "better"), of(&same, "not_seen")), (1, 0));
    }
}
