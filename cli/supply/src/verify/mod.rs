//! Whether an output folder is what a signed statement says, and whether its files speak of one image.
//!
//! Takes nothing from the folder on trust but after the signature: names, too, are checked before a file is opened.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use record::{LARGEST_RECORD, Unread, is_inside, sha256_inside};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use records::other_findings;

use crate::provenance::{EVIDENCE, PREDICATE, STATEMENT};
use crate::shown;
use records::{Records, too_large};

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
    /// Signed, and no record that this program reads.
    NotRead,
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

/// What a signed statement is of: as its maker said, who signed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Board.
    pub board: String,
    /// SHA-256 of the disk image; empty where the statement has none.
    pub disk_sha256: String,
    /// Who built.
    pub builder: String,
}

impl Signed {
    /// From a statement whose signature is right.
    #[must_use]
    pub fn of(statement: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let parameter = |name: &str| {
            text(statement.pointer("/predicate/buildDefinition/externalParameters").map(|p| &p[name]))
        };
        let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
        let disk = subjects.into_iter().find(|subject| subject["name"] == "image/disk.img");
        Self {
            product: parameter("product"),
            version: parameter("version"),
            board: parameter("board"),
            disk_sha256: text(disk.and_then(|disk| disk.pointer("/digest/sha256"))),
            builder: text(statement.pointer("/predicate/runDetails/builder/id")),
        }
    }
}

/// A folder that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What was signed, and what does not fit.
    pub files: Vec<Verified>,
    /// What is in it besides, a folder with a slash behind it; at most [`MOST_NAMES`].
    pub not_looked_at: Vec<String>,
}

/// Most names of what was not looked at.
pub const MOST_NAMES: usize = 1000;

/// Hashes of files of a folder; each is read once.
pub(crate) struct Hashes<'a> {
    folder: &'a Path,
    go_on: &'a dyn Fn() -> Outcome<()>,
    found: BTreeMap<String, String>,
}

impl Hashes<'_> {
    /// The hash of a file of at most so many bytes, or why there is none.
    fn of(&mut self, name: &str, most: u64) -> Outcome<Result<String, Unread>> {
        if let Some(found) = self.found.get(name) {
            return Ok(Ok(found.clone()));
        }
        match sha256_inside(self.folder, Path::new(name), most, self.go_on) {
            Ok((found, _)) => {
                self.found.insert(name.to_owned(), found.clone());
                Ok(Ok(found))
            }
            Err(Unread::Failed(failure)) if failure.status == ExitStatus::Interrupted => Err(failure),
            Err(unread) => Ok(Err(unread)),
        }
    }
}

/// Compares a folder with the statement that was signed; `go_on` is asked while files are read.
///
/// Reads only what is as it was signed: a file that was changed is named, and nothing that it says is followed.
///
/// # Errors
/// `statement` when it is none of provenance, or names a file outside the folder; what `go_on` says.
pub fn against(statement: &Value, folder: &Path, go_on: &dyn Fn() -> Outcome<()>) -> Outcome<Compared> {
    for (pointer, expected) in [("/_type", STATEMENT), ("/predicateType", PREDICATE)] {
        let found = statement.pointer(pointer).and_then(Value::as_str).unwrap_or("nothing");
        if found != expected {
            return Err(wrong(&format!("expected `{expected}` as `{pointer}`, found `{}`", shown(found))));
        }
    }
    let subjects = named(statement, "/subject")?;
    if subjects.is_empty() {
        return Err(wrong("the statement has no subject: it speaks of no image"));
    }
    let evidence = named(statement, "/predicate/runDetails/byproducts")?;
    let mut hashes = Hashes { folder, go_on, found: BTreeMap::new() };
    let mut out = Vec::new();
    let images = subjects.iter().filter(|(name, _)| !evidence.contains_key(*name));
    // An image may be of any size, and evidence is a record.
    for ((file, expected), most) in
        images.map(|one| (one, u64::MAX)).chain(evidence.iter().map(|one| (one, LARGEST_RECORD)))
    {
        out.push(compared(&mut hashes, file, expected, most)?);
    }
    let signed = |name: &str| subjects.contains_key(name) || evidence.contains_key(name);
    for (name, _) in EVIDENCE.iter().filter(|(name, _)| !signed(name)) {
        if folder.join(name).symlink_metadata().is_ok() {
            let why = "it is beside the signed evidence, and is not part of it".to_owned();
            out.push(Verified { file: (*name).to_owned(), state: State::NotSigned, why });
        }
    }
    let held = |one: &&Verified| one.state == State::Same;
    let same: BTreeSet<String> = out.iter().filter(held).map(|one| one.file.clone()).collect();
    // What was signed by itself is told once.
    let told: BTreeSet<String> = out.iter().filter(|one| !held(one)).map(|one| one.file.clone()).collect();
    let known = |name: &str| same.contains(name);
    let mut records = Records { folder, known: &known, hashes, out: Vec::new() };
    records.compare()?;
    let looked_at = records.hashes.found.into_keys();
    let looked_at: BTreeSet<String> = looked_at.chain(out.iter().map(|one| one.file.clone())).collect();
    out.extend(records.out.into_iter().filter(|one| !told.contains(&one.file)));
    // What is wrong with a file takes the place of its being the same.
    let wrong: BTreeSet<String> = out.iter().filter(|one| !held(one)).map(|one| one.file.clone()).collect();
    out.retain(|one| one.state != State::Same || !wrong.contains(&one.file));
    out.sort_by(|a, b| (&a.file, a.state).cmp(&(&b.file, b.state)));
    Ok(Compared { files: out, not_looked_at: besides(folder, &looked_at) })
}

/// What is in a folder, and in the folders of what was looked at, besides that.
fn besides(folder: &Path, looked_at: &BTreeSet<String>) -> Vec<String> {
    let parents = looked_at.iter().filter_map(|name| Path::new(name).parent());
    let parents: BTreeSet<&Path> = parents.chain([Path::new("")]).collect();
    let mut out = BTreeSet::new();
    for parent in &parents {
        for entry in std::fs::read_dir(folder.join(parent)).into_iter().flatten().flatten() {
            let path = parent.join(entry.file_name());
            let name = path.to_string_lossy();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if OURS.contains(&&*name) || looked_at.contains(&*name) || is_folder && parents.contains(&*path) {
                continue;
            }
            out.insert(match (is_folder, parent.as_os_str() == "attacks") {
                // Recordings, one folder for each attack: told once.
                (true, true) => "attacks/NAME/".to_owned(),
                (true, false) => format!("{name}/"),
                (false, _) => name.into_owned(),
            });
            if out.len() == MOST_NAMES {
                return out.into_iter().collect();
            }
        }
    }
    out.into_iter().collect()
}

/// The envelope, and what says who works in the folder.
const OURS: [&str; 3] = ["evidence.intoto.json", ".lock", ".product"];

fn compared(hashes: &mut Hashes, file: &str, expected: &str, most: u64) -> Outcome<Verified> {
    let (state, why) = match hashes.of(file, most)? {
        Ok(found) if found == expected => (State::Same, String::new()),
        Ok(found) => (State::Changed, format!("expected SHA-256 `{}`, found `{found}`", shown(expected))),
        Err(Unread::Missing) => (State::Missing, "it was signed, and is not there".to_owned()),
        Err(Unread::Odd(found)) => (State::Changed, format!("expected a regular file, found {found}")),
        Err(Unread::Large(bytes)) => (State::Changed, too_large(bytes)),
        Err(Unread::Failed(failure)) => return Err(failure),
    };
    Ok(Verified { file: file.to_owned(), state, why })
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
        if !is_inside(Path::new(&name)) {
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

/// Files that are not those of their records, and files that do not speak of the image that lies beside them. Asked before
/// signing, when every record may be read: what contradicts itself is not signed.
///
/// # Errors
/// When a file cannot be read though it is there; what `go_on` says.
pub fn contradictions(folder: &Path, go_on: &dyn Fn() -> Outcome<()>) -> Outcome<Vec<Verified>> {
    let hashes = Hashes { folder, go_on, found: BTreeMap::new() };
    let mut records = Records { folder, known: &|_| true, hashes, out: Vec::new() };
    records.compare()?;
    for (name, required) in EVIDENCE {
        if required && folder.join(name).symlink_metadata().is_err() {
            let why = "it is not there".to_owned();
            records.out.push(Verified { file: name.to_owned(), state: State::Missing, why });
        }
    }
    Ok(records.out)
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
        against(statement, Path::new("/nowhere"), &|| Ok(())).unwrap_err().to_string()
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
        let state = |name: &str, expected: &str, most: u64| {
            let go_on = || Ok(());
            let mut hashes = Hashes { folder: folder.path(), go_on: &go_on, found: BTreeMap::new() };
            compared(&mut hashes, name, expected, most).unwrap()
        };
        assert_eq!(state("a", &hash, 1).state, State::Same);
        assert_eq!(state("a", "00", 1).state, State::Changed);
        assert_eq!(state("b", &hash, 1).state, State::Missing);
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let link = state("link", &hash, 1);
        assert_eq!(
            (link.state, link.why.as_str()),
            (State::Changed, "expected a regular file, found a link")
        );
        let large = state("a", &hash, 0);
        assert_eq!(large.state, State::Changed);
        assert!(large.why.ends_with("bytes, found 1"), "{}", large.why);
    }

    #[test]
    fn what_a_statement_is_of_is_read_from_it() {
        let mut value = statement(&json!([{"name": "image/disk.img", "digest": {"sha256": "ab"}}]));
        value["predicate"]["buildDefinition"]["externalParameters"] =
            json!({"product": "gw", "version": "1.2.3", "board": "qemu-aarch64"});
        value["predicate"]["runDetails"]["builder"] = json!({"id": "urn:x"});
        let found = Signed::of(&value);
        let parts = [&found.product, &found.version, &found.board, &found.disk_sha256, &found.builder];
        assert_eq!(parts, ["gw", "1.2.3", "qemu-aarch64", "ab", "urn:x"]);
        assert_eq!(Signed::of(&json!([])), Signed::default());
    }
}
