//! Finished stages, by the hash of everything that went into them.
//!
//! A stage's folder appears under its key by one rename, only when it is complete: whatever
//! kills a build leaves a `.part` folder that the next build of that stage removes. Each attempt
//! has a `.part` folder of its own: a tool that outlives a killed build writes into nobody else's.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{Failure, Outcome};
use exec::FolderLock;

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// A key: SHA-256 over the parts, each with its length, so that no two lists collide.
#[must_use]
pub fn key_of(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(&format!("{}:{part}\n", part.len()));
    }
    record::sha256_hex(text.as_bytes())[..32].to_owned()
}

impl Cache {
    /// A cache in that folder, made when first used.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A folder of the cache for things that are not stages (downloads, apt's state).
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
        Ok(folder)
    }

    /// Where something of that name is, or would be; nothing is made.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The finished folder of a stage, made by `make` in a fresh folder if it is not there.
    ///
    /// Two builds that want one stage wait for each other. Returns the folder and whether
    /// it was there already.
    ///
    /// # Errors
    /// Those of `make`; the unfinished folder is removed.
    pub fn stage(
        &self,
        stage: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Outcome<()>,
    ) -> Outcome<(PathBuf, bool)> {
        let done = self.root.join(stage).join(key);
        if done.is_dir() {
            return Ok((done, true));
        }
        let _lock = wait_for_lock(&self.root.join("locks").join(format!("{stage}-{key}")))?;
        if done.is_dir() {
            return Ok((done, true));
        }
        let stages = self.folder(stage)?;
        remove_parts(&stages, key);
        let part = fresh_part(&stages, key)?;
        match make(&part) {
            Ok(()) => {
                fs::rename(&part, &done).map_err(|e| Failure::io("finish", &done, &e))?;
                Ok((done, false))
            }
            Err(failure) => {
                let _ = remove_tree(&part);
                Err(failure)
            }
        }
    }
}

/// Removes what killed attempts left; only under the stage's lock. What cannot be removed (a tool
/// that is about to end may still write there) is left to the next one.
fn remove_parts(stages: &Path, key: &str) {
    let prefix = format!("{key}.");
    for entry in fs::read_dir(stages).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".part") {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// A new folder `KEY.PID.part`: the number differs from that of a killed run, whose tools may still
/// write where it told them.
fn fresh_part(stages: &Path, key: &str) -> Outcome<PathBuf> {
    let part = stages.join(format!("{key}.{}.part", std::process::id()));
    remove_tree(&part)?;
    fs::create_dir(&part).map_err(|e| Failure::io("make", &part, &e))?;
    Ok(part)
}

/// Waits until no other run of fastness holds the folder.
pub(crate) fn wait_for_lock(folder: &Path) -> Outcome<FolderLock> {
    loop {
        match FolderLock::take(folder) {
            Err(failure) if failure.diagnostics.iter().any(|d| d.code == "folder-busy") => {
                exec::check_interrupt()?;
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
            other => return other,
        }
    }
}

/// Removes a file that need not be there.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn remove_file(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all it holds; a folder that is not there is no error.
pub(crate) fn remove_tree(folder: &Path) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::io("remove", folder, &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diag::ExitStatus;

    #[test]
    fn keys_depend_on_the_borders_of_parts() {
        assert_ne!(key_of(&["ab", "c"]), key_of(&["a", "bc"]));
        assert_eq!(key_of(&["ab", "c"]), key_of(&["ab", "c"]));
    }

    #[test]
    fn a_failed_stage_leaves_nothing_and_a_finished_one_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let failure = cache
            .stage("linux", "k1", |part| {
                fs::write(part.join("half"), "x").unwrap();
                Err(Failure::error(ExitStatus::Build, "x", "broken"))
            })
            .unwrap_err();
        assert_eq!(failure.status, ExitStatus::Build);
        assert_eq!(fs::read_dir(folder.path().join("linux")).unwrap().count(), 0);
        // What a killed build left behind does not get into the next one.
        fs::create_dir_all(folder.path().join("linux/k1.1.part/old")).unwrap();
        let (done, cached) = cache
            .stage("linux", "k1", |part| {
                assert!(!part.join("old").exists());
                fs::write(part.join("Image"), "x").map_err(|e| Failure::io("write", part, &e))
            })
            .unwrap();
        assert!(done.join("Image").exists() && !cached);
        assert_eq!(fs::read_dir(folder.path().join("linux")).unwrap().count(), 1);
        let (_, cached) = cache.stage("linux", "k1", |_| panic!("made twice")).unwrap();
        assert!(cached);
    }
}
