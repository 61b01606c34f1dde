//! Records of OSV (schema 1.x): one, or a list of them, of any ecosystem.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Said, Severity, Speaks, before, comparable, cvss};
use crate::{Component, Kind};

/// Numbers of Debian's releases, as ecosystems name them (`Debian:13`).
const RELEASES: [(&str, &str); 6] = [
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];
/// Ecosystems of which any source may be, by its name alone. Others are a language's or a distribution's own packages.
const OF_SOURCES: [&str; 3] = ["", "GIT", "OSS-Fuzz"];

/// Records by the name of the package that they speak of.
pub struct Records {
    by_name: BTreeMap<String, Vec<Value>>,
    /// The number of Debian's release that the product is made of; none: its suite is no known one.
    release: Option<&'static str>,
}

impl Records {
    /// Reads a record or a list; none when it is something else. A record that was withdrawn speaks of nothing.
    pub fn read(value: &Value, suite: &str) -> Option<Self> {
        let list = match value {
            Value::Array(list) if !list.is_empty() => list.clone(),
            Value::Object(_) => vec![value.clone()],
            _ => return None,
        };
        let mut by_name: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in list {
            record.get("id").and_then(Value::as_str)?;
            let affected = record.get("affected")?.as_array()?;
            if record.get("withdrawn").is_some_and(|when| !when.is_null()) {
                continue;
            }
            for affected in affected {
                let name = affected.pointer("/package/name").and_then(Value::as_str).unwrap_or_default();
                let mut one = record.clone();
                one["affected"] = affected.clone();
                by_name.entry(name.to_lowercase()).or_default().push(one);
            }
        }
        let release = RELEASES.iter().find(|(name, _)| *name == suite).map(|(_, number)| *number);
        Some(Self { by_name, release })
    }
}

impl Speaks for Records {
    fn of(&self, component: &Component) -> Option<Vec<Said>> {
        let source = component.source.split_once(' ').map_or(component.source.as_str(), |(source, _)| source);
        // The kernel has a name of its own there.
        let own = if component.kind == Kind::Kernel { "kernel" } else { component.name.as_str() };
        let names = [own, source];
        let records: Vec<&Value> = names
            .iter()
            .filter_map(|name| self.by_name.get(&name.to_lowercase()))
            .flatten()
            .filter(|record| self.fits(record, component))
            .collect();
        if records.is_empty() {
            return None;
        }
        let version =
            component.source.split_once(' ').map_or(component.version.as_str(), |(_, version)| version);
        Some(records.into_iter().filter_map(|record| said(record, version)).collect())
    }
}

impl Records {
    /// Debian's records speak of Debian's packages of their release, those of `Linux` of the kernel, and what is of no
    /// language's and no distribution's of other sources.
    fn fits(&self, record: &Value, component: &Component) -> bool {
        let ecosystem =
            record.pointer("/affected/package/ecosystem").and_then(Value::as_str).unwrap_or_default();
        let (base, release) = ecosystem.split_once(':').map_or((ecosystem, None), |(b, r)| (b, Some(r)));
        if component.kind == Kind::Kernel {
            return base == "Linux";
        }
        if component.purl.starts_with("pkg:deb/debian/") {
            // Of a suite that is no release any record may be.
            let same = |asked: &str| self.release.is_none_or(|own| own == asked);
            return base == "Debian" && release.is_none_or(same);
        }
        OF_SOURCES.contains(&base)
    }
}

/// Whether a version is affected. Source: the OSV schema, "Evaluation": a version that is listed, or one in a
/// range from `introduced` to before `fixed`. What is given by commits alone, or by versions that cannot be compared, is
/// undecided.
fn said(record: &Value, version: &str) -> Option<Said> {
    let version = bare(version);
    let affected = record.get("affected")?;
    let versions = affected.get("versions").and_then(Value::as_array).into_iter().flatten();
    let mut hit = versions.filter_map(Value::as_str).any(|one| bare(one) == version);
    let mut fixed_in = None;
    let mut undecided = None;
    let listed = affected.get("versions").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let mut decided = listed;
    for range in affected.get("ranges").and_then(Value::as_array).into_iter().flatten() {
        // Commits are no versions.
        if range.get("type").and_then(Value::as_str) == Some("GIT") {
            continue;
        }
        decided = true;
        let mut inside = false;
        for event in range.get("events").and_then(Value::as_array).into_iter().flatten() {
            let of = |key: &str| event.get(key).and_then(Value::as_str).map(bare);
            for bound in ["introduced", "fixed", "last_affected"].into_iter().filter_map(of) {
                if bound != "0" && !comparable(version, bound) {
                    undecided = Some(format!("`{version}` cannot be compared with `{bound}`"));
                }
            }
            if let Some(introduced) = of("introduced") {
                inside = introduced == "0" || !before(version, introduced);
            }
            if let Some(fixed) = of("fixed") {
                if inside && before(version, fixed) {
                    hit = true;
                    fixed_in = Some(fixed.to_owned());
                }
                inside = inside && before(version, fixed);
            }
            if let Some(last) = of("last_affected") {
                inside = inside && !before(last, version);
            }
        }
        hit |= inside;
    }
    if !decided {
        undecided = Some("the record has no versions but commits alone".to_owned());
    }
    // A list of versions without this one decides where there is one.
    let undecided = undecided.filter(|_| !hit && !listed);
    (hit || undecided.is_some()).then(|| Said {
        id: id(record),
        fixed_in,
        undecided,
        severity: severity(record),
        what: record
            .get("summary")
            .or(record.get("details"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
        files: Vec::new(),
    })
}

/// A version without the `v` that tags have in front.
fn bare(version: &str) -> &str {
    version
        .strip_prefix('v')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(version)
}

/// The CVE where the record is one's alias.
fn id(record: &Value) -> String {
    let own = record.get("id").and_then(Value::as_str).unwrap_or_default();
    let others = ["aliases", "upstream"].into_iter().filter_map(|key| record.get(key)?.as_array()).flatten();
    let cve = others.filter_map(Value::as_str).find(|alias| alias.starts_with("CVE-"));
    if own.starts_with("CVE-") { own } else { cve.unwrap_or(own) }.to_owned()
}

/// The word of the record's database, or else what its vector comes to.
fn severity(record: &Value) -> Severity {
    let word = record
        .pointer("/database_specific/severity")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_lowercase();
    match word.as_str() {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        "medium" | "moderate" => Severity::Medium,
        "low" => Severity::Low,
        _ => {
            let lists = [record.get("severity"), record.pointer("/affected/severity")];
            let all = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
            let vectors = all.filter_map(|one| one.get("score")?.as_str());
            vectors.map(cvss::severity).max().unwrap_or(Severity::Unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(events: Value) -> Value {
        json!({"id": "GHSA-1", "aliases": ["CVE-2026-7"], "summary": "s", "database_specific": {"severity": "CRITICAL"},
            "affected": {"package": {"name": "audit", "ecosystem": "OSS-Fuzz"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}})
    }

    #[test]
    fn ranges_are_evaluated_and_commits_are_not() {
        let hit = |events: Value, version: &str| said(&record(events), version).is_some();
        let events = json!([{"introduced": "1.0"}, {"fixed": "1.5"}]);
        assert!(hit(events.clone(), "1.0") && hit(events.clone(), "1.4"));
        assert!(!hit(events.clone(), "0.9") && !hit(events, "1.5"));
        assert!(hit(json!([{"introduced": "0"}]), "3"));
        let last = json!([{"introduced": "0"}, {"last_affected": "2"}]);
        assert!(hit(last.clone(), "2") && !hit(last, "3"));
        let two = json!([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}]);
        assert!(hit(two.clone(), "2.5") && !hit(two, "1.5"));
        let mut git = record(json!([{"introduced": "0"}]));
        git["affected"]["ranges"][0]["type"] = "GIT".into();
        // Commits alone decide nothing; a list of versions does.
        let of = |record: &Value, version: &str| said(record, version).map(|said| said.undecided.is_some());
        assert_eq!(of(&git, "1"), Some(true));
        git["affected"]["versions"] = json!(["1"]);
        assert_eq!((of(&git, "1"), of(&git, "2")), (Some(false), None));
        let none = json!({"id": "X", "affected": {"package": {"name": "audit"}}});
        assert_eq!(of(&none, "1"), Some(true));
        // Tags are versions with a `v`.
        let tags = record(json!([{"introduced": "0"}, {"fixed": "v2025.04"}]));
        assert_eq!((of(&tags, "2025.01"), of(&tags, "2025.04")), (Some(false), None));
        let words = record(json!([{"introduced": "0"}, {"fixed": "the next one"}]));
        assert_eq!(of(&words, "2025.01"), Some(true));
    }

    #[test]
    fn the_cve_is_named_with_severity_and_the_first_fixed_version() {
        let found = said(&record(json!([{"introduced": "0"}, {"fixed": "2"}])), "1").unwrap();
        assert_eq!(
            (found.id.as_str(), found.severity, found.fixed_in.as_deref()),
            ("CVE-2026-7", Severity::Critical, Some("2"))
        );
    }
}
