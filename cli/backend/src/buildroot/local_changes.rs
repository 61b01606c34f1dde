//! Which Buildroot tree a build used: its content as one hash, and what differs from its release.
//!
//! Local changes are allowed, and recorded. Every file is read once; after that its size and times
//! say that it is the same, so that a build without changes pays for a look only.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use diag::{Failure, Outcome};
use exec::{Call, tool};
use serde::{Deserialize, Serialize};

use super::source::Version;

/// The listing of an unpacked release, beside its tree in the cache.
pub const LISTING: &str = "listing.json";
/// Changed files that are named; the others are counted.
const NAMED: usize = 20;

/// The tree that a build used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// SHA-256 over paths, kinds and contents.
    pub sha256: String,
    /// Commit, where the tree is a checkout.
    pub commit: Option<String>,
    /// What differs from the release or the commit; `None` when there is nothing to compare with.
    pub changes: Option<Vec<String>>,
}

impl Used {
    /// As the record of artefacts has it.
    pub fn record(&self, provenance: &mut BTreeMap<String, String>) {
        provenance.insert("buildroot-tree-sha256".to_owned(), self.sha256.clone());
        if let Some(commit) = &self.commit {
            provenance.insert("buildroot-commit".to_owned(), commit.clone());
        }
        let changes = match &self.changes {
            None => "not compared: no release is pinned, and it is no checkout".to_owned(),
            Some(changes) if changes.is_empty() => "none".to_owned(),
            Some(changes) => {
                let named = changes.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = changes.len().saturating_sub(NAMED);
                if more == 0 { named } else { format!("{named}, and {more} more") }
            }
        };
        provenance.insert("buildroot-local-changes".to_owned(), changes);
    }
}

/// Looks at the tree. `release` is the listing of the pinned release, where the cache has it; `seen` is
/// where the look is kept.
///
/// # Errors
/// When a file cannot be read, or git cannot tell the changes of a checkout.
pub fn look(
    tree: &Path,
    version: &Version,
    release: Option<&Path>,
    seen: &Path,
    log: &Path,
) -> Outcome<Used> {
    let old = fs::read(seen).ok().and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
    let listing = Listing::after(tree, old.as_ref())?;
    if old.as_ref() != Some(&listing) {
        listing.write(seen)?;
    }
    if tree.join(".git").exists() {
        let (commit, changes) = checkout(tree, log)?;
        return Ok(Used { sha256: listing.sha256(), commit: Some(commit), changes: Some(changes) });
    }
    let release = release.and_then(|path| fs::read(path).ok());
    let release = release.and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
    let changes = match release {
        Some(release) => Some(listing.differs_from(&release)),
        // `make` itself says so of a tree that was exported with changes.
        None if version.full.ends_with("-dirty") => {
            Some(vec!["unknown: its version says `-dirty`".to_owned()])
        }
        None => None,
    };
    Ok(Used { sha256: listing.sha256(), commit: None, changes })
}

/// Commit and changes of a checkout, untracked files among them.
fn checkout(tree: &Path, log: &Path) -> Outcome<(String, Vec<String>)> {
    let git = |arguments: &[&str]| -> Outcome<String> {
        let mut safe = std::ffi::OsString::from("safe.directory=");
        safe.push(tree);
        let output = Call::new(tool("git")?)
            // A tree that belongs to somebody else is only looked at.
            .arg("-c")
            .arg(safe)
            .args(["-c", "core.fsmonitor=false"])
            .args(arguments)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .folder(tree)
            .log(log)
            .output()?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    };
    let commit = git(&["describe", "--always", "--tags", "--abbrev=12"])?.trim().to_owned();
    let status = git(&["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal"])?;
    let mut changes: Vec<String> = status
        .split('\0')
        .filter_map(|line| line.get(3..))
        .map(|path| path.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
        .collect();
    changes.sort();
    Ok((commit, changes))
}

/// What a tree holds, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing(BTreeMap<String, Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Hash of a file, target of a link.
    is: String,
    /// Whether it is run.
    run: bool,
    /// Size, times and number: as long as they stay, nobody wrote to it.
    stat: [i64; 5],
}

impl Listing {
    /// Every file and link of a tree.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of(tree: &Path) -> Outcome<Self> {
        Self::after(tree, None)
    }

    /// The same; a file that is as it was is not read again.
    fn after(tree: &Path, old: Option<&Self>) -> Outcome<Self> {
        let mut listing = Self::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            exec::check_interrupt()?;
            let at = tree.join(&folder);
            let entries = fs::read_dir(&at).map_err(|e| Failure::io("list", &at, &e))?;
            for entry in entries {
                let entry = entry.map_err(|e| Failure::io("list", &at, &e))?;
                let path = folder.join(entry.file_name());
                if is_left_out(&path) {
                    continue;
                }
                let whole = entry.path();
                let meta = fs::symlink_metadata(&whole).map_err(|e| Failure::io("look at", &whole, &e))?;
                if meta.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.to_string_lossy().into_owned();
                let known = old.and_then(|old| old.0.get(&name));
                let entry = Entry::of(&whole, &meta, known)?;
                listing.0.insert(name, entry);
            }
        }
        Ok(listing)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        record::write_json_atomic(path, self)
    }

    /// The content as one hash; times and numbers are no part of it.
    fn sha256(&self) -> String {
        let lines: String =
            self.0.iter().map(|(path, entry)| format!("{path}\0{}\0{}\n", entry.is, entry.run)).collect();
        record::sha256_hex(lines.as_bytes())
    }

    /// Paths that are another thing here, or only in one of the two.
    fn differs_from(&self, release: &Self) -> Vec<String> {
        let is = |entry: &Entry| (entry.is.clone(), entry.run);
        let mut paths: Vec<String> = self
            .0
            .iter()
            .filter(|(path, entry)| release.0.get(*path).map(is) != Some(is(entry)))
            .map(|(path, _)| path.clone())
            .collect();
        let gone = release.0.keys().filter(|path| !self.0.contains_key(*path));
        paths.extend(gone.map(|path| format!("{path} (removed)")));
        paths.sort();
        paths
    }
}

impl Entry {
    fn of(path: &Path, meta: &fs::Metadata, known: Option<&Self>) -> Outcome<Self> {
        let stat = [
            i64::try_from(meta.size()).unwrap_or(i64::MAX),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        if let Some(known) = known.filter(|known| known.stat == stat) {
            return Ok(known.clone());
        }
        let (is, run) = if meta.is_symlink() {
            let target = fs::read_link(path).map_err(|e| Failure::io("read", path, &e))?;
            (format!("-> {}", target.to_string_lossy()), false)
        } else if meta.is_file() {
            (record::sha256_file(path)?.0, meta.mode() & 0o100 != 0)
        } else {
            ("neither file nor link".to_owned(), false)
        };
        Ok(Self { is, run, stat })
    }
}

/// What Buildroot's own `.gitignore` calls products of a build.
fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let on_top = path.components().count() == 1;
    let product = ["dl", "output", ".git", ".config", ".config.old", "..config.tmp", ".auto.deps"];
    (on_top && product.contains(&name.as_ref())) || name == "__pycache__" || name.ends_with(".pyc")
}

#[cfg(test)]
#[path = "local_changes_tests.rs"]
mod tests;
