//! Which known vulnerabilities a bill of materials has, by databases that the user gives as files.
//!
//! Nothing is fetched. A component that no database speaks of is counted as not looked at, never as clean; what a
//! statement of OpenVEX says not to affect the device is kept, with its reason, and no longer counted as open.

mod cve;
mod cvss;
mod debian;
mod nvd;
mod osv;
pub mod vex;

pub use cve::Compiled;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use debversion::Version;
use diag::{ExitStatus, Failure, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Bill, Component, Kind};

/// How bad it is, as the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The database does not say, and no vector of CVSS does.
    Unknown,
    /// Low, or said to be of no importance.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// What is said about one vulnerability of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The version is affected, and nobody says otherwise.
    Affected,
    /// The database speaks of the component in a way that cannot be held against its version. It counts until somebody
    /// says otherwise: what nobody knows is not clean.
    Undecided,
    /// Somebody looks into it.
    UnderInvestigation,
    /// A statement says that this device is not affected.
    NotAffected,
    /// A statement says that it is fixed in this version.
    Fixed,
}

/// A vulnerability of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Id, such as `CVE-2026-1234`.
    pub id: String,
    /// Package URL of the component.
    pub purl: String,
    /// Component, with its version.
    pub component: String,
    /// The first version without it, where there is one.
    pub fixed_in: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// One line about it.
    pub what: String,
    /// Which database says so.
    pub database: String,
    /// What is said about it.
    pub state: State,
    /// Why it does not count: the statement's own words.
    pub why: String,
}

/// Everything that the databases say of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulnerabilities {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Product and version.
    pub product: String,
    /// SHA-256 of the disk image.
    pub disk_sha256: String,
    /// The databases, by name, with the SHA-256 of the file.
    pub databases: BTreeMap<String, String>,
    /// What was found, the worst first.
    pub found: Vec<Found>,
    /// Components that no database speaks of.
    pub not_looked_at: Vec<String>,
}

impl Vulnerabilities {
    /// Number of those that count, of at least a severity. One of which nobody says how bad it is counts for every bound.
    #[must_use]
    pub fn open(&self, least: Severity) -> usize {
        let counts = |found: &&Found| {
            let open = matches!(found.state, State::Affected | State::Undecided | State::UnderInvestigation);
            let unknown = found.severity == Severity::Unknown || found.state == State::Undecided;
            open && (found.severity >= least || unknown)
        };
        self.found.iter().filter(counts).count()
    }
}

/// A database: its name and its content.
pub struct Database<'d> {
    /// How it is named in results: the file's name.
    pub name: &'d str,
    /// Its bytes.
    pub bytes: &'d [u8],
}

/// What one database says of one component.
struct Said {
    id: String,
    fixed_in: Option<String>,
    severity: Severity,
    what: String,
    /// The files of the source that it is in, where the database says so.
    files: Vec<String>,
    /// Why nobody can tell whether the version is affected.
    undecided: Option<String>,
}

/// A database that has been read.
trait Speaks {
    /// What it says of a component; none when it does not speak of it at all.
    fn of(&self, component: &Component) -> Option<Vec<Said>>;

    /// Whether it says nothing of a component where another database does.
    fn gives_way(&self, _component: &Component) -> bool {
        false
    }
}

/// Looks every package, the kernel and the boot loader up in every database. `compiled` is the kernel's list of files,
/// where there is one: what lies in files that it did not compile does not affect the device, and says so.
///
/// # Errors
/// When a database is none that is understood.
pub fn look_up(
    bill: &Bill,
    suite: &str,
    databases: &[Database<'_>],
    compiled: Option<&Compiled>,
) -> Outcome<Vulnerabilities> {
    let mut read: Vec<(&str, Box<dyn Speaks>)> = Vec::new();
    let mut hashes = BTreeMap::new();
    for database in databases {
        read.push((database.name, open(database, suite)?));
        hashes.insert(database.name.to_owned(), record::sha256_hex(database.bytes));
    }
    let (mut found, mut not_looked_at) = (Vec::new(), Vec::new());
    for component in bill.components.iter().filter(|component| component.kind != Kind::File) {
        let mut spoken = false;
        let (last, first): (Vec<_>, Vec<_>) =
            read.iter().partition(|(_, database)| database.gives_way(component));
        for (name, database) in first.into_iter().chain(last) {
            if spoken && database.gives_way(component) {
                continue;
            }
            let Some(said) = database.of(component) else { continue };
            spoken = true;
            let compiled = compiled.filter(|_| component.kind == Kind::Kernel);
            found.extend(said.into_iter().map(|said| {
                let left_out = compiled.and_then(|compiled| compiled.left_out(&said.files));
                Found {
                    id: said.id,
                    purl: component.purl.clone(),
                    component: format!("{} {}", component.name, component.version),
                    fixed_in: said.fixed_in,
                    severity: said.severity,
                    what: said.what,
                    database: (*name).to_owned(),
                    state: match (&left_out, &said.undecided) {
                        (Some(_), _) => State::NotAffected,
                        (None, Some(_)) => State::Undecided,
                        (None, None) => State::Affected,
                    },
                    why: left_out.or(said.undecided).unwrap_or_default(),
                }
            }));
        }
        if !spoken {
            not_looked_at.push(component.name.clone());
        }
    }
    let mut found = merged(found);
    found.sort_by(|a, b| {
        (b.severity, &a.id, &a.component, a.state).cmp(&(a.severity, &b.id, &b.component, b.state))
    });
    Ok(Vulnerabilities {
        schema_version: 1,
        product: format!("{} {}", bill.product, bill.version),
        disk_sha256: bill.disk_sha256.clone(),
        databases: hashes,
        found,
        not_looked_at,
    })
}

/// One of each vulnerability of a component, whatever the number of databases that have it. The one that knows most has the say: that
/// the files with it were not compiled, then that the version is affected; how bad it is, the worst says.
fn merged(found: Vec<Found>) -> Vec<Found> {
    let knows = |state: State| match state {
        State::NotAffected | State::Fixed => 0,
        State::Affected => 1,
        State::UnderInvestigation => 2,
        State::Undecided => 3,
    };
    let mut out: BTreeMap<(String, String), Found> = BTreeMap::new();
    for mut one in found {
        match out.entry((one.id.clone(), one.purl.clone())) {
            Entry::Vacant(place) => {
                place.insert(one);
            }
            Entry::Occupied(mut place) => {
                let there = place.get_mut();
                if knows(one.state) < knows(there.state) {
                    std::mem::swap(there, &mut one);
                }
                there.severity = there.severity.max(one.severity);
                there.fixed_in = there.fixed_in.take().or(one.fixed_in);
            }
        }
    }
    out.into_values().collect()
}

fn open(database: &Database<'_>, suite: &str) -> Outcome<Box<dyn Speaks>> {
    let wrong = |why: String| {
        Failure::error(
            ExitStatus::Input,
            "no-database",
            format!("`{}` is no database of vulnerabilities: {why}", database.name),
        )
        .hint("give Debian's security tracker (its `json`), records of OSV, CVE records or dumps of the NVD (JSON 2.0): one, or a list of them")
    };
    if nvd::is_dump(database.bytes) {
        return nvd::Records::read(database.bytes)
            .map(|records| Box::new(records) as Box<dyn Speaks>)
            .map_err(wrong);
    }
    let value: Value =
        serde_json::from_slice(database.bytes).map_err(|e| wrong(format!("expected JSON: {e}")))?;
    if let Some(tracker) = debian::Tracker::read(&value, suite) {
        return Ok(Box::new(tracker));
    }
    if let Some(records) = cve::Records::read(&value) {
        return Ok(Box::new(records));
    }
    match osv::Records::read(&value, suite) {
        Some(records) => Ok(Box::new(records)),
        None => {
            Err(wrong("it has neither packages with vulnerabilities nor records with `affected`".to_owned()))
        }
    }
}

/// Whether dpkg's rules can tell which of two versions comes first.
fn comparable(version: &str, other: &str) -> bool {
    version.parse::<Version>().is_ok() && other.parse::<Version>().is_ok()
}

/// Whether a version comes before another, by dpkg's rules; a version that is none never does.
/// Source: deb-version(7).
fn before(version: &str, fixed: &str) -> bool {
    match (version.parse::<Version>(), fixed.parse::<Version>()) {
        (Ok(version), Ok(fixed)) => version < fixed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const TRACKER: &str = r#"{"some-source": {
        "CVE-2026-0001": {"description": "a bad one", "releases": {"trixie": {"status": "resolved", "fixed_version": "1.1-1", "urgency": "high"}}},
        "CVE-2026-0002": {"description": "an old one", "releases": {"trixie": {"status": "resolved", "fixed_version": "0.9-1", "urgency": "low"}}},
        "CVE-2026-0003": {"description": "open", "releases": {"trixie": {"status": "open", "urgency": "not yet assigned"}}},
        "CVE-2026-0004": {"description": "elsewhere", "releases": {"sid": {"status": "open", "urgency": "high"}}}
    }}"#;

    fn looked(text: &str) -> Outcome<Vulnerabilities> {
        look_up(&sample::bill(), "trixie", &[Database { name: "db.json", bytes: text.as_bytes() }], None)
    }

    #[test]
    fn debians_tracker_is_asked_by_source_and_release() {
        let found = looked(TRACKER).unwrap();
        let of: Vec<&str> = found
            .found
            .iter()
            .filter(|f| f.component.starts_with("libstdc++6"))
            .map(|f| f.id.as_str())
            .collect();
        assert_eq!(of, ["CVE-2026-0001", "CVE-2026-0003"]);
        assert_eq!(found.found[0].fixed_in.as_deref(), Some("1.1-1"));
        // Of the third nobody says how bad it is: it counts for every bound.
        assert_eq!((found.open(Severity::High), found.open(Severity::Unknown)), (4, 4));
        // Neither generic components nor files are Debian's.
        assert_eq!(found.not_looked_at, ["u-boot", "audit"]);
    }

    #[test]
    fn a_database_that_is_none_is_refused_and_no_component_is_called_clean() {
        for text in ["{", "[]", "{\"a\": 1}", "[{\"id\": \"X\"}]"] {
            let failure = looked(text).unwrap_err();
            assert!(failure.to_string().contains("`db.json` is no database of vulnerabilities"), "{failure}");
        }
        assert_eq!(look_up(&sample::bill(), "trixie", &[], None).unwrap().not_looked_at.len(), 4);
    }

    #[test]
    fn what_cannot_be_decided_is_told_and_counts_and_is_never_clean() {
        let osv = |affected: serde_json::Value| {
            let mut affected = affected;
            affected["package"] = serde_json::json!({"name": "u-boot", "ecosystem": "OSS-Fuzz"});
            let record = serde_json::json!({"id": "CVE-2026-7", "summary": "s", "affected": [affected]});
            looked(&record.to_string()).unwrap()
        };
        let git = serde_json::json!({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "abc"}]}]});
        let word = serde_json::json!({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "one two"}]}]});
        for (affected, why) in [(git, "commits"), (word, "`one two`")] {
            let all = osv(affected);
            assert_eq!((all.found.len(), all.found[0].state), (1, State::Undecided), "{all:?}");
            assert!(all.found[0].why.contains(why), "{}", all.found[0].why);
            // How bad it would be for this version nobody knows.
            assert_eq!((all.open(Severity::Unknown), all.open(Severity::Critical)), (1, 1));
        }
        let text = TRACKER.replace("\"1.1-1\"", "\"one two\"");
        let tracker = looked(&text).unwrap();
        assert!(tracker.found.iter().any(|one| one.id == "CVE-2026-0001" && one.state == State::Undecided));
    }

    /// What a record of OSV about one package is worth: the components that it is open for, and its severity.
    fn osv(package: serde_json::Value, more: serde_json::Value) -> Vec<(String, Severity)> {
        let mut bill = sample::bill();
        let mut kernel = bill.components[0].clone();
        (kernel.kind, kernel.name, kernel.purl) =
            (Kind::Kernel, "linux".into(), "pkg:generic/linux@6.12.3".into());
        (kernel.version, kernel.source) = ("6.12.3".into(), String::new());
        bill.components.push(kernel);
        let mut record = serde_json::json!({"id": "CVE-2026-7", "affected": [
            {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = record.to_string();
        let database = Database { name: "osv.json", bytes: text.as_bytes() };
        let found = look_up(&bill, "trixie", &[database], None).unwrap().found;
        found.into_iter().map(|one| (one.component, one.severity)).collect()
    }

    #[test]
    fn a_record_of_osv_is_for_its_ecosystem_alone_and_none_when_it_was_withdrawn() {
        let none = serde_json::json!({});
        let of = |ecosystem: &str, name: &str| {
            let found = osv(serde_json::json!({"ecosystem": ecosystem, "name": name}), none.clone());
            found.into_iter().map(|(component, _)| component).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(of("Linux", "Kernel"), "linux 6.12.3");
        for ecosystem in ["npm", "PyPI", "crates.io", "Debian:13", "Ubuntu:24.04:LTS", "Alpine:v3.20"] {
            assert_eq!(of(ecosystem, "linux"), "", "{ecosystem}");
        }
        assert_eq!(of("npm", "audit"), "");
        assert_eq!(of("OSS-Fuzz", "audit"), "audit 1.0-1");
        let debian = "libstdc++6 1.0-1, libstdc--6 1.0-1";
        for (ecosystem, found) in
            [("Debian", debian), ("Debian:13", debian), ("Debian:12", ""), ("Debian:11", "")]
        {
            assert_eq!(of(ecosystem, "some-source"), found, "{ecosystem}");
        }
        let package = serde_json::json!({"ecosystem": "OSS-Fuzz", "name": "audit"});
        assert!(osv(package, serde_json::json!({"withdrawn": "2026-01-01T00:00:00Z"})).is_empty());
    }

    #[test]
    fn a_severity_is_computed_from_a_vector_and_counts_where_nobody_says_it() {
        let of = |more: serde_json::Value| {
            osv(serde_json::json!({"ecosystem": "OSS-Fuzz", "name": "audit"}), more)[0].1
        };
        let vector =
            |kind: &str, score: &str| of(serde_json::json!({"severity": [{"type": kind, "score": score}]}));
        // 10.0, 6.1 and 3.1.
        assert_eq!(vector("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"), Severity::Critical);
        assert_eq!(vector("CVSS_V3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), Severity::Medium);
        assert_eq!(vector("CVSS_V3", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N"), Severity::Low);
        assert_eq!(vector("CVSS_V3", "CVSS:3.1/AV:N"), Severity::Unknown);
        assert_eq!(
            vector("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"),
            Severity::Critical
        );
        let text = TRACKER.replace("not yet assigned", "end-of-life");
        let tracker = looked(&text).unwrap();
        let third = tracker.found.iter().find(|one| one.id == "CVE-2026-0003").unwrap();
        assert_eq!((third.severity, tracker.open(Severity::Critical)), (Severity::Unknown, 2));
    }

    #[test]
    fn versions_are_compared_as_dpkg_does() {
        for (older, newer) in [
            ("1.0-1", "1.0-2"),
            ("1.0~rc1-1", "1.0-1"),
            ("9", "10"),
            ("2.0", "1:1.0"),
            ("1.0-1", "1.0-1+deb13u1"),
        ] {
            assert!(before(older, newer) && !before(newer, older), "{older} {newer}");
        }
        assert!(!before("1.0", "1.0") && !before("", "1.0") && !before("1.0", "not a version"));
    }
}
