//! The rules as data (`standards/analysis/rules.yaml` and `secrets.yaml`), and what was found by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::model::{Area, Issue, Level, Place};

/// Places that one rule keeps: a hostile image must not make the result large.
const MAX_PLACES: usize = 20_000;

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique.
    pub id: String,
    /// What it is about.
    pub area: Area,
    /// How much it matters.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What to do.
    pub advice: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    rules: Vec<Rule>,
}

/// A compiled-in YAML file as a value.
///
/// # Panics
/// Never for the files that are compiled in: a test reads each.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(crate::yaml::load(text)?).map_err(|e| e.to_string())
}

/// Every rule by its id.
#[must_use]
pub fn all() -> &'static BTreeMap<String, Rule> {
    static RULES: OnceLock<BTreeMap<String, Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let file: Result<File, String> = read(include_str!("../../../../standards/analysis/rules.yaml"));
        let own = file.map(|file| file.rules).unwrap_or_default().into_iter();
        let secrets = super::secrets::built_in().iter().map(super::secrets::SecretRule::rule);
        own.chain(secrets).map(|rule| (rule.id.clone(), rule)).collect()
    })
}

/// What is found while the image is looked at.
#[derive(Debug, Default)]
pub struct Found {
    places: BTreeMap<String, BTreeSet<Place>>,
    /// Rules that had more places than are kept.
    full: BTreeSet<String>,
}

impl Found {
    /// Remembers that a rule applies somewhere.
    pub fn add(&mut self, rule: &str, path: impl Into<String>, seen: impl Into<String>) {
        let places = self.places.entry(rule.to_owned()).or_default();
        if places.len() < MAX_PLACES {
            places.insert(Place { path: path.into(), seen: short(seen.into()) });
        } else {
            self.full.insert(rule.to_owned());
        }
    }

    /// The issues, the worst first, then by area and rule.
    ///
    /// A rule that is not in the catalogue would be a bug; it is shown as it is rather than lost.
    #[must_use]
    pub fn issues(mut self) -> Vec<Issue> {
        for rule in std::mem::take(&mut self.full) {
            let seen = format!("`{rule}` has more than {MAX_PLACES} places; the others are left out");
            self.places
                .entry("limit".to_owned())
                .or_default()
                .insert(Place { path: "(findings)".to_owned(), seen });
        }
        let mut issues: Vec<Issue> = self
            .places
            .into_iter()
            .map(|(id, places)| {
                let rule = all().get(&id).cloned().unwrap_or_else(|| Rule {
                    id: id.clone(),
                    area: Area::Reading,
                    level: Level::Medium,
                    title: id.clone(),
                    advice: String::new(),
                });
                Issue {
                    rule: rule.id,
                    area: rule.area,
                    level: rule.level,
                    title: rule.title,
                    advice: rule.advice,
                    places: places.into_iter().collect(),
                }
            })
            .collect();
        issues.sort_by(|a, b| b.level.cmp(&a.level).then(a.area.cmp(&b.area)).then(a.rule.cmp(&b.rule)));
        issues
    }
}

/// What was seen, no longer than a line should be.
fn short(text: String) -> String {
    const MOST: usize = 300;
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_read_and_each_rule_is_whole() {
        let file: File = read(include_str!("../../../../standards/analysis/rules.yaml")).unwrap();
        let ids: BTreeSet<&str> = file.rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids.len(), file.rules.len(), "an id is there twice");
        assert!(all().len() > file.rules.len(), "the rules of secrets are missing");
        for rule in all().values() {
            assert!(!rule.title.is_empty() && !rule.advice.is_empty(), "{}", rule.id);
            assert!(!rule.title.ends_with('.') && !rule.advice.ends_with('.'), "{}", rule.id);
        }
    }

    /// A rule that code names and the catalogue lacks would be shown without words.
    #[test]
    fn every_rule_that_the_code_names_is_in_the_catalogue_and_the_other_way_round() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/analyze");
        let mut text = String::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
        let mut named = BTreeSet::new();
        let call = concat!("found", ".add(");
        for part in text.split(call).skip(1) {
            let argument = part.trim_start();
            if let Some(rest) = argument.strip_prefix('"') {
                named.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
        assert!(named.len() > 20, "{named:?}");
        for name in &named {
            assert!(all().contains_key(name), "`{name}` is not in the catalogue");
        }
        for id in all().keys().filter(|id| !id.starts_with("secret-")) {
            assert!(text.contains(&format!("\"{id}\"")), "no code finds `{id}`");
        }
    }

    #[test]
    fn the_worst_comes_first_and_a_flood_is_bounded() {
        let mut found = Found::default();
        for number in 0..MAX_PLACES + 10 {
            found.add("elf-no-pie", format!("/x{number}"), "");
        }
        found.add("setuid", "/a", "x".repeat(1000));
        found.add("account-empty-password", "/etc/shadow", "root");
        let issues = found.issues();
        assert_eq!(issues[0].rule, "account-empty-password");
        let of = |rule: &str| &issues.iter().find(|issue| issue.rule == rule).unwrap().places;
        assert_eq!(of("elf-no-pie").len(), MAX_PLACES);
        assert!(of("setuid")[0].seen.chars().count() <= 300);
        assert_eq!(of("limit")[0].seen, "`elf-no-pie` has more than 20000 places; the others are left out");
    }
}
