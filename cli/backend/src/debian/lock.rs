//! `fastness.lock`: names, versions and hashes of everything that came from the archive.

use std::collections::BTreeMap;
use std::path::Path;

use diag::Outcome;
use serde::{Deserialize, Serialize};

/// The lock file, one for a product; JSON, sorted, made to be committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of this file's shape; now 1.
    pub schema_version: u32,
    /// Pins by `SUITE/ARCHITECTURE`.
    pub targets: BTreeMap<String, Target>,
}

/// Pins for one suite and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What was asked for, by generic name; the pins are its closure.
    pub asked: Vec<String>,
    /// Binary packages by name.
    pub packages: BTreeMap<String, Pin>,
    /// Source tarballs by source package.
    pub sources: BTreeMap<String, Vec<Pin>>,
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Version; empty for a source tarball, whose name has it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub version: String,
    /// File name in the archive.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Lock {
    /// Reads the lock, or an empty one if there is none yet.
    ///
    /// # Errors
    /// When the file is there and is not a lock.
    pub fn read(path: &Path) -> Outcome<Self> {
        if !path.exists() {
            return Ok(Self { schema_version: 1, targets: BTreeMap::new() });
        }
        record::read_json(path).map_err(|failure: diag::Failure| {
            failure.hint("restore it from version control, or remove it to resolve anew")
        })
    }

    /// Writes the lock atomically.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        record::write_json_atomic(path, self)
    }
}

impl Target {
    /// Everything that decides the root file system's packages, as text for a key.
    #[must_use]
    pub fn packages_key(&self) -> String {
        self.packages.iter().map(|(name, pin)| format!("{name} {}\n", pin.sha256)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_back_and_a_stranger_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fastness.lock");
        let mut lock = Lock::read(&path).unwrap();
        lock.targets
            .insert("trixie/arm64".into(), Target { asked: vec!["bash".into()], ..Target::default() });
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), lock);
        std::fs::write(&path, "{\"schema_version\": 1, \"targetz\": {}}").unwrap();
        let text = Lock::read(&path).unwrap_err().to_string();
        assert!(text.contains("targetz") && text.contains("restore it from version control"), "{text}");
    }
}
