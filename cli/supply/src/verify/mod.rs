//! Whether an output folder is what a signed statement says, and whether its files speak of one image.
//!
//! Takes nothing from the folder on trust but after the signature: names, too, are checked before a file is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component as Part, Path};

use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, ImageRecord, Role, sha256_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::plan::Plan;

use crate::provenance::{EVIDENCE, PREDICATE, STATEMENT};
use crate::shown;

/// What became of a file since it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it was.
    Same,
    /// Other bytes.
    Changed,
    /// Not there.
    Missing,
    /// There, and not signed: it came later.
    NotSigned,
    /// Speaks of another image than the one beside it.
    OtherImage,
}

/// A file of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Path below the output folder.
    pub file: String,
    /// What became of it.
    pub state: State,
    /// What was expected and found; empty when it is the same.
    pub why: String,
}

/// Compares a folder with the statement that was signed.
///
/// # Errors
/// `statement` when it is none of provenance, or names a file outside the folder.
pub fn against(statement: &Value, folder: &Path) -> Outcome<Vec<Verified>> {
    for (pointer, expected) in [("/_type", STATEMENT), ("/predicateType", PREDICATE)] {
        let found = statement.pointer(pointer).and_then(Value::as_str).unwrap_or("nothing");
        if found != expected {
            return Err(wrong(&format!("expected `{expected}` as `{pointer}`, found `{}`", shown(found))));
        }
    }
    let mut signed = named(statement, "/subject")?;
    if signed.is_empty() {
        return Err(wrong("the statement has no subject: it speaks of no image"));
    }
    signed.extend(named(statement, "/predicate/runDetails/byproducts")?);
    let mut out = Vec::new();
    for (file, expected) in &signed {
        out.push(compared(folder, file, expected)?);
    }
    for (name, _) in EVIDENCE.iter().filter(|(name, _)| !signed.contains_key(*name)) {
        if folder.join(name).exists() {
            let why = "it is beside the signed evidence, and is not part of it".to_owned();
            out.push(Verified { file: (*name).to_owned(), state: State::NotSigned, why });
        }
    }
    // What was signed by itself is told once.
    let told: BTreeSet<String> =
        out.iter().filter(|one| one.state != State::Same).map(|one| one.file.clone()).collect();
    let more = contradictions(folder)?.into_iter();
    out.extend(more.filter(|one| one.state == State::OtherImage || !told.contains(&one.file)));
    out.sort_by(|a, b| (&a.file, a.state).cmp(&(&b.file, b.state)));
    Ok(out)
}

fn compared(folder: &Path, file: &str, expected: &str) -> Outcome<Verified> {
    let path = folder.join(file);
    let verified = |state: State, why: String| Verified { file: file.to_owned(), state, why };
    if !path.is_file() {
        return Ok(verified(State::Missing, "it was signed, and is not there".to_owned()));
    }
    let (found, _) = sha256_file(&path)?;
    if found == expected {
        return Ok(verified(State::Same, String::new()));
    }
    Ok(verified(State::Changed, format!("expected SHA-256 `{expected}`, found `{found}`")))
}

/// Names and hashes of a list of resources.
fn named(statement: &Value, pointer: &str) -> Outcome<BTreeMap<String, String>> {
    let list = statement.pointer(pointer).and_then(Value::as_array);
    let mut out = BTreeMap::new();
    for item in list.ok_or_else(|| wrong(&format!("expected a list at `{pointer}`")))? {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(name), Some(sha256)) = (text("/name"), text("/digest/sha256")) else {
            return Err(wrong(&format!("an entry of `{pointer}` has no name or no SHA-256")));
        };
        let inside = Path::new(&name).components().all(|part| matches!(part, Part::Normal(_)));
        if !inside || name.is_empty() {
            return Err(wrong(&format!("`{}` is not a path inside the folder", shown(&name))));
        }
        if out.insert(name.clone(), sha256).is_some() {
            return Err(wrong(&format!("`{}` is in `{pointer}` twice", shown(&name))));
        }
    }
    Ok(out)
}

fn wrong(why: &str) -> Failure {
    Failure::error(ExitStatus::Check, "statement", why.to_owned())
        .hint("it is not a statement that `fastness attest` writes")
}

/// Files that are not those of their records, and files that do not speak of the image that lies beside them. Also asked
/// before signing: what contradicts itself is not signed.
///
/// # Errors
/// When a record that must be there cannot be read.
pub fn contradictions(folder: &Path) -> Outcome<Vec<Verified>> {
    let plan: Plan = record::read_json(&folder.join("plan.json"))?;
    let image: ImageRecord = record::read_json(&folder.join("image.json"))?;
    let artefacts: Artefacts = record::read_json(&folder.join("artefacts.json"))?;
    let mut out = changed(folder, &image, &artefacts)?;
    let mut expect = |file: &str, what: &str, expected: &str, found: &str| {
        if expected != found {
            let found = if found.is_empty() { "none" } else { found };
            let why = format!("{what} is `{expected}`, and it names `{}`", shown(found));
            out.push(Verified { file: file.to_owned(), state: State::OtherImage, why });
        }
    };
    let plan_hash = plan.sha256();
    expect("image.json", "the plan's SHA-256", &plan_hash, &image.plan_sha256);
    expect("artefacts.json", "the plan's SHA-256", &plan_hash, &artefacts.plan_sha256);
    let disk = image.files.get(&Role::Disk).map(|file| file.sha256.clone()).unwrap_or_default();
    for (file, found) in disks(folder)? {
        expect(&file, "the disk's SHA-256", &disk, &found);
    }
    Ok(out)
}

/// The files that records name by another hash. Artefacts may have stayed with the maker: those that are there count.
fn changed(folder: &Path, image: &ImageRecord, artefacts: &Artefacts) -> Outcome<Vec<Verified>> {
    let named = |record, files| std::iter::repeat(record).zip(files);
    let all =
        named("image.json", image.files.values()).chain(named("artefacts.json", artefacts.files.values()));
    let mut out = Vec::new();
    for (record, file) in all {
        let path = folder.join(&file.path);
        let there = path.is_file();
        let found = if there { sha256_file(&path)?.0 } else { "nothing".to_owned() };
        if found == file.sha256 || (!there && record == "artefacts.json") {
            continue;
        }
        out.push(Verified {
            file: file.path.to_string_lossy().into_owned(),
            state: if there { State::Changed } else { State::Missing },
            why: format!("`{record}` names SHA-256 `{}`, found `{found}`", shown(&file.sha256)),
        });
    }
    Ok(out)
}

/// Which disk image each file speaks of.
fn disks(folder: &Path) -> Outcome<BTreeSet<(String, String)>> {
    let mut out = BTreeSet::new();
    for file in ["boot.json", "traffic.json", "sbom.cdx.json", "sbom.spdx.json", "report.json"] {
        let path = folder.join(file);
        if !path.is_file() {
            continue;
        }
        let value: Value = record::read_json(&path)?;
        out.insert((file.to_owned(), disk_of(file, &value).unwrap_or_default().to_owned()));
    }
    // A record without its mark is of no known image.
    if folder.join("attacks.json").is_file() {
        let mark = std::fs::read_to_string(folder.join("attacks/disk.sha256")).unwrap_or_default();
        out.insert(("attacks.json".to_owned(), mark.trim().to_owned()));
    }
    Ok(out)
}

fn disk_of<'a>(file: &str, value: &'a Value) -> Option<&'a str> {
    match file {
        "sbom.cdx.json" => value.pointer("/metadata/component/hashes/0/content")?.as_str(),
        "sbom.spdx.json" => {
            let package =
                value.get("packages")?.as_array()?.iter().find(|p| p["SPDXID"] == "SPDXRef-device")?;
            package.pointer("/checksums/0/checksumValue")?.as_str()
        }
        "report.json" => {
            let files = value.get("files")?.as_array()?;
            files.iter().find(|file| file["name"] == "image/disk.img")?["sha256"].as_str()
        }
        _ => value.get("disk_sha256")?.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statement(subject: &Value) -> Value {
        json!({"_type": STATEMENT, "predicateType": PREDICATE, "subject": subject,
            "predicate": {"runDetails": {"byproducts": []}}})
    }

    fn refusal(statement: &Value) -> String {
        against(statement, Path::new("/nowhere")).unwrap_err().to_string()
    }

    #[test]
    fn statements_of_something_else_are_refused() {
        let other = json!({"_type": STATEMENT, "predicateType": "https://example.com/x"});
        assert!(refusal(&other).contains("found `https://example.com/x`"));
        assert!(refusal(&statement(&json!([]))).contains("has no subject"));
        assert!(refusal(&statement(&json!([{"name": "a"}]))).contains("no SHA-256"));
        for name in ["../x", "/etc/passwd", "", "a/../../b"] {
            let subject = json!([{"name": name, "digest": {"sha256": "00"}}]);
            assert!(refusal(&statement(&subject)).contains("is not a path inside the folder"), "{name}");
        }
        let twice =
            json!([{"name": "a", "digest": {"sha256": "0"}}, {"name": "a", "digest": {"sha256": "1"}}]);
        assert!(refusal(&statement(&twice)).contains("`a` is in `/subject` twice"));
    }

    #[test]
    fn a_file_is_the_same_changed_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        let hash = record::sha256_hex(b"x");
        assert_eq!(compared(folder.path(), "a", &hash).unwrap().state, State::Same);
        assert_eq!(compared(folder.path(), "a", "00").unwrap().state, State::Changed);
        assert_eq!(compared(folder.path(), "b", &hash).unwrap().state, State::Missing);
    }
}
