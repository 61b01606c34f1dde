//! Records of the CVE programme (schema 5.x): one, or a list of them. Those of the kernel's own numbering authority name the
//! files that were mended, which [`Compiled`] holds against what a build compiled.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Said, Severity, Speaks, before, cvss};
use crate::{Component, Kind};

/// How many files a reason names.
const NAMED: usize = 3;

/// Records that speak of Linux; those of other products are passed over, since their names are their makers' own.
pub struct Records {
    linux: Vec<Value>,
}

impl Records {
    /// Reads a record or a list; none when it is something else.
    pub fn read(value: &Value) -> Option<Self> {
        let list = match value {
            Value::Array(list) if !list.is_empty() => list.as_slice(),
            Value::Object(_) => std::slice::from_ref(value),
            _ => return None,
        };
        let is_one = |record: &Value| record.get("dataType").and_then(Value::as_str) == Some("CVE_RECORD");
        if !list.iter().all(is_one) {
            return None;
        }
        Some(Self { linux: list.iter().filter(|record| linux(record).next().is_some()).cloned().collect() })
    }
}

impl Speaks for Records {
    fn of(&self, component: &Component) -> Option<Vec<Said>> {
        if component.kind != Kind::Kernel || self.linux.is_empty() {
            return None;
        }
        Some(self.linux.iter().filter_map(|record| said(record, &component.version)).collect())
    }
}

/// What a record says of Linux by versions; ranges of commits are no versions.
fn affected(record: &Value) -> Vec<&Value> {
    let by_version = |one: &&Value| {
        let mut versions = versions(one);
        !versions.any(|version| version.get("versionType").and_then(Value::as_str) == Some("git"))
    };
    linux(record).filter(by_version).collect()
}

/// What a record says of Linux.
fn linux(record: &Value) -> impl Iterator<Item = &Value> {
    let all = record.pointer("/containers/cna/affected").and_then(Value::as_array).into_iter().flatten();
    all.filter(|one| one.get("product").and_then(Value::as_str) == Some("Linux"))
}

fn versions(affected: &Value) -> impl Iterator<Item = &Value> {
    affected.get("versions").and_then(Value::as_array).into_iter().flatten()
}

fn said(record: &Value, version: &str) -> Option<Said> {
    let by_version = affected(record);
    let undecided = by_version.is_empty().then(|| "the record has no versions but commits alone".to_owned());
    let all = if undecided.is_some() { linux(record).collect() } else { by_version };
    let hit: Vec<&Value> =
        all.into_iter().filter(|one| undecided.is_some() || is_affected(one, version)).collect();
    let first = hit.first()?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let files = hit.iter().flat_map(|one| one.get("programFiles").and_then(Value::as_array)).flatten();
    Some(Said {
        id: text("/cveMetadata/cveId"),
        fixed_in: if undecided.is_some() { None } else { fixed_in(first, version) },
        undecided,
        severity: severity(record),
        what: text("/containers/cna/title"),
        files: files.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// Source: the CVE record format, "versions": the entry that holds the version has the say, without one the default.
fn is_affected(affected: &Value, version: &str) -> bool {
    let state =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(|word| word == "affected");
    let entry = versions(affected).find(|entry| holds(entry, version));
    entry
        .and_then(|entry| state(entry, "status"))
        .or_else(|| state(affected, "defaultStatus"))
        .unwrap_or(true)
}

/// Whether an entry speaks of a version: that one alone, up to before another, or up to and with it.
fn holds(entry: &Value, version: &str) -> bool {
    let of = |key: &str| entry.get(key).and_then(Value::as_str);
    let from = of("version").unwrap_or("0");
    let begun = from == "0" || !before(version, from);
    match (of("lessThan"), of("lessThanOrEqual")) {
        (Some(end), _) => begun && before(version, end),
        (None, Some("*")) => begun,
        (None, Some(end)) => match end.strip_suffix('*') {
            // `6.12.*`: all of that series.
            Some(series) => begun && (version.starts_with(series) || version == series.trim_end_matches('.')),
            None => begun && !before(end, version),
        },
        (None, None) => version == from,
    }
}

/// The version that mends it in the same series, or else the first of a later one.
fn fixed_in(affected: &Value, version: &str) -> Option<String> {
    let good =
        versions(affected).filter(|entry| entry.get("status").and_then(Value::as_str) == Some("unaffected"));
    let mut later: Vec<&str> = good
        .filter_map(|entry| entry.get("version")?.as_str())
        .filter(|from| before(version, from))
        .collect();
    later.sort_by(|a, b| if before(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater });
    later.first().map(|from| (*from).to_owned())
}

fn severity(record: &Value) -> Severity {
    let metrics = record.pointer("/containers/cna/metrics").and_then(Value::as_array).into_iter().flatten();
    let all = metrics.flat_map(|metric| metric.as_object().into_iter().flat_map(|map| map.values()));
    let said = |key: &'static str| all.clone().filter_map(move |cvss| cvss.get(key)?.as_str());
    let Some(word) = said("baseSeverity").next() else {
        return said("vectorString").map(cvss::severity).max().unwrap_or(Severity::Unknown);
    };
    match word {
        "CRITICAL" => Severity::Critical,
        "HIGH" => Severity::High,
        "MEDIUM" => Severity::Medium,
        "LOW" => Severity::Low,
        _ => Severity::Unknown,
    }
}

/// The files of a kernel's source: whether each was compiled, or included by what was.
pub struct Compiled {
    files: BTreeMap<String, bool>,
}

impl Compiled {
    /// Reads the list that a build leaves (`linux.sources`): `+ PATH` or `- PATH` a line.
    ///
    /// # Errors
    /// A line that is neither.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let used = match line.get(..2) {
                Some("+ ") => true,
                Some("- ") => false,
                _ => return Err(format!("line {}: expected `+ PATH` or `- PATH`", index + 1)),
            };
            files.insert(line[2..].to_owned(), used);
        }
        Ok(Self { files })
    }

    /// Why what lies in these files is not in the kernel; none when one of them is, or nobody knows: a file that this
    /// source has not may have another name here, and one that is no code changes what others are.
    pub(super) fn left_out(&self, files: &[String]) -> Option<String> {
        let all_known_and_unused =
            !files.is_empty() && files.iter().all(|path| self.files.get(path) == Some(&false));
        let shown = files.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = files.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        all_known_and_unused
            .then(|| format!("vulnerable_code_not_present: this kernel was built without {shown}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;
    use crate::vulnerabilities::{Database, State, look_up};

    /// As the kernel's authority writes them: ranges of commits first, then versions.
    fn record(files: Value) -> Value {
        json!({"dataType": "CVE_RECORD", "cveMetadata": {"cveId": "CVE-2026-9"}, "containers": {"cna": {
            "title": "net: sample", "metrics": [{"cvssV3_1": {"baseSeverity": "HIGH"}}],
            "affected": [
                {"product": "Linux", "defaultStatus": "unaffected", "programFiles": files,
                 "versions": [{"version": "37d9", "lessThan": "e5be", "status": "affected", "versionType": "git"}]},
                {"product": "Linux", "defaultStatus": "affected", "programFiles": files, "versions": [
                    {"version": "5.0", "status": "affected"},
                    {"version": "0", "lessThan": "5.0", "status": "unaffected", "versionType": "semver"},
                    {"version": "6.12.32", "lessThanOrEqual": "6.12.*", "status": "unaffected", "versionType": "semver"},
                    {"version": "6.16", "lessThanOrEqual": "*", "status": "unaffected", "versionType": "original_commit_for_fix"}]}]}}})
    }

    #[test]
    fn the_entry_that_holds_the_version_has_the_say() {
        let one = record(json!(["net/x.c"]));
        let found = |version: &str| said(&one, version).map(|said| said.fixed_in.unwrap_or_default());
        assert_eq!(found("6.12.31").as_deref(), Some("6.12.32"));
        assert_eq!(found("6.13.1").as_deref(), Some("6.16"));
        assert_eq!(found("5.0").as_deref(), Some("6.12.32"));
        for good in ["4.19.1", "6.12.32", "6.12.117", "6.16", "6.18.2"] {
            assert_eq!(found(good), None, "{good}");
        }
        let mut commits = one.clone();
        commits["containers"]["cna"]["affected"].as_array_mut().unwrap().truncate(1);
        let undecided =
            Records::read(&commits).unwrap().linux.iter().find_map(|record| said(record, "6.12.3"));
        assert!(undecided.unwrap().undecided.unwrap().contains("commits alone"));
        let said = said(&one, "6.12.3").unwrap();
        assert_eq!(
            (said.id.as_str(), said.severity, said.what.as_str()),
            ("CVE-2026-9", Severity::High, "net: sample")
        );
        assert_eq!(said.files, ["net/x.c"]);
    }

    #[test]
    fn what_lies_in_files_that_were_not_compiled_does_not_count_and_says_why() {
        let compiled = Compiled::read("- drivers/x/x.c\n- drivers/x/x.h\n+ mm/slab.c\n").unwrap();
        let state = |files: Value, compiled: Option<&Compiled>| {
            let mut bill = sample::bill();
            let kernel = &mut bill.components[0];
            kernel.kind = Kind::Kernel;
            kernel.version = "6.12.3".to_owned();
            let bytes = json!([record(files)]).to_string();
            let database = Database { name: "cve.json", bytes: bytes.as_bytes() };
            let found = look_up(&bill, "trixie", &[database], compiled).unwrap();
            let one = found.found.iter().find(|one| one.id == "CVE-2026-9").unwrap();
            (one.state, one.why.clone())
        };
        let (out, why) = state(json!(["drivers/x/x.c", "drivers/x/x.h"]), Some(&compiled));
        assert_eq!(out, State::NotAffected);
        assert_eq!(
            why,
            "vulnerable_code_not_present: this kernel was built without drivers/x/x.c, drivers/x/x.h"
        );
        for files in [
            json!(["drivers/x/x.c", "mm/slab.c"]),
            // Renamed since, or no code: nobody knows.
            json!(["drivers/x/other.c"]),
            json!(["drivers/x/x.c", "drivers/x/Kconfig"]),
            json!([]),
        ] {
            assert_eq!(state(files.clone(), Some(&compiled)), (State::Affected, String::new()), "{files}");
        }
        assert_eq!(state(json!(["drivers/x/x.c"]), None).0, State::Affected);
        assert!(Compiled::read("mm/slab.c\n").is_err_and(|why| why.contains("line 1: expected")));
    }

    /// Found by a reader: the same vulnerability of another database, which names no files and rates it otherwise, was open beside it.
    #[test]
    fn what_was_not_compiled_does_not_count_whatever_other_databases_say() {
        let mut bill = sample::bill();
        let kernel = &mut bill.components[0];
        (kernel.kind, kernel.name, kernel.version) = (Kind::Kernel, "linux".into(), "6.12.3".into());
        (kernel.purl, kernel.source) = ("pkg:generic/linux@6.12.3".into(), String::new());
        let compiled = Compiled::read("- drivers/x/x.c\n").unwrap();
        let second = |id: &str| {
            let mut one = record(json!(["drivers/x/x.c"]));
            one["cveMetadata"]["cveId"] = id.into();
            one
        };
        let cve = json!([second("CVE-2026-8"), second("CVE-2026-9")]).to_string();
        let osv = |id: &str, severity: &str| {
            json!({"id": id, "summary": "s", "database_specific": {"severity": severity}, "affected": [
                {"package": {"ecosystem": "Linux", "name": "Kernel"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]})
        };
        let osv = json!([osv("CVE-2026-8", "CRITICAL"), osv("CVE-2026-9", "LOW")]).to_string();
        let (cve, osv) = (
            Database { name: "cve.json", bytes: cve.as_bytes() },
            Database { name: "osv.json", bytes: osv.as_bytes() },
        );
        let told = |databases: &[Database<'_>], compiled| {
            let all = look_up(&bill, "trixie", databases, compiled).unwrap();
            let of_kernel = all.found.iter().filter(|one| one.component.starts_with("linux"));
            of_kernel
                .map(|one| (one.id.clone(), one.state, one.severity, one.database.clone()))
                .collect::<Vec<_>>()
        };
        let (eight, nine) = ("CVE-2026-8".to_owned(), "CVE-2026-9".to_owned());
        for databases in [[&cve, &osv], [&osv, &cve]] {
            let databases = databases.map(|one| Database { name: one.name, bytes: one.bytes });
            assert_eq!(
                told(&databases, Some(&compiled)),
                [
                    (eight.clone(), State::NotAffected, Severity::Critical, "cve.json".to_owned()),
                    (nine.clone(), State::NotAffected, Severity::High, "cve.json".to_owned()),
                ]
            );
            let open = told(&databases, None);
            assert!(open.len() == 2 && open.iter().all(|one| one.1 == State::Affected), "{open:?}");
        }
        assert!(
            told(&[osv], Some(&compiled)).iter().all(|one| one.1 == State::Affected),
            "it names no files"
        );
    }

    #[test]
    fn other_products_and_other_documents_are_no_records_of_the_kernel() {
        assert!(
            Records::read(&json!([])).is_none()
                && Records::read(&json!({"id": "X", "affected": []})).is_none()
        );
        let mut other = record(json!([]));
        other["containers"]["cna"]["affected"][0]["product"] = "Foo".into();
        other["containers"]["cna"]["affected"][1]["product"] = "Foo".into();
        assert!(Records::read(&other).unwrap().linux.is_empty());
    }
}
