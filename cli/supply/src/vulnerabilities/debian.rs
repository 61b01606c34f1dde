//! Debian's security tracker, as its `json` export has it: vulnerabilities by source package and release.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Said, Severity, Speaks, before, comparable};
use crate::Component;

/// Vulnerabilities of one release.
pub struct Tracker {
    /// By source package.
    sources: BTreeMap<String, Vec<Entry>>,
}

struct Entry {
    id: String,
    what: String,
    /// None: open.
    fixed: Option<String>,
    severity: Severity,
}

impl Tracker {
    /// Reads the export; none when it is something else.
    pub fn read(value: &Value, suite: &str) -> Option<Self> {
        let all = value.as_object().filter(|all| !all.is_empty())?;
        // A package's value has vulnerabilities, and each has releases.
        let is_one = |package: &Value| {
            package.as_object().is_some_and(|ids| {
                ids.values().all(|entry| entry.get("releases").is_some_and(Value::is_object))
            })
        };
        if !all.values().all(is_one) {
            return None;
        }
        let sources = all.iter().map(|(source, ids)| {
            let entries =
                ids.as_object().into_iter().flatten().filter_map(|(id, entry)| entry_of(id, entry, suite));
            (source.clone(), entries.collect())
        });
        Some(Self { sources: sources.collect() })
    }
}

fn entry_of(id: &str, entry: &Value, suite: &str) -> Option<Entry> {
    let release = entry.get("releases")?.get(suite)?;
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fixed = match text(release, "status").as_str() {
        // Version 0: the release was never affected.
        "resolved" => Some(text(release, "fixed_version")).filter(|version| version != "0")?.into(),
        "open" | "undetermined" => None,
        _ => return None,
    };
    Some(Entry {
        id: id.to_owned(),
        what: text(entry, "description"),
        fixed,
        severity: severity(&text(release, "urgency")),
    })
}

/// Urgencies of the tracker; `unimportant` is said of what no use of the package can reach. `end-of-life` says that nobody
/// looks any more, and `not yet assigned` that nobody has looked: neither is a severity.
fn severity(urgency: &str) -> Severity {
    match urgency.trim_end_matches('*') {
        "high" => Severity::High,
        "medium" => Severity::Medium,
        "low" | "unimportant" => Severity::Low,
        _ => Severity::Unknown,
    }
}

impl Speaks for Tracker {
    fn of(&self, component: &Component) -> Option<Vec<Said>> {
        if !component.purl.starts_with("pkg:deb/debian/") {
            return None;
        }
        let (source, version) = component.source.split_once(' ')?;
        // A source that the tracker does not know has no known vulnerability: the tracker names every one.
        let entries = self.sources.get(source).map(Vec::as_slice).unwrap_or_default();
        let told = |fixed: &String| comparable(version, fixed);
        let affected = entries
            .iter()
            .filter(|entry| entry.fixed.as_ref().is_none_or(|fixed| before(version, fixed) || !told(fixed)));
        Some(
            affected
                .map(|entry| Said {
                    id: entry.id.clone(),
                    fixed_in: entry.fixed.clone(),
                    severity: entry.severity,
                    what: entry.what.clone(),
                    files: Vec::new(),
                    undecided: entry
                        .fixed
                        .as_ref()
                        .filter(|fixed| !told(fixed))
                        .map(|fixed| format!("`{version}` cannot be compared with `{fixed}`")),
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_never_affected_a_release_is_no_entry() {
        let of = |release: Value| {
            entry_of("CVE-1", &json!({"description": "d", "releases": {"trixie": release}}), "trixie")
        };
        assert!(of(json!({"status": "resolved", "fixed_version": "0"})).is_none());
        assert!(of(json!({"status": "something new"})).is_none());
        assert_eq!(of(json!({"status": "open", "urgency": "low**"})).unwrap().severity, Severity::Low);
        assert_eq!(
            of(json!({"status": "resolved", "fixed_version": "1"})).unwrap().fixed.as_deref(),
            Some("1")
        );
    }
}
