//! `fastness.lock`: names, versions and hashes of everything that came from the archive, the commits of layers, and the
//! hashes of what a board's maker alone has.

use std::collections::BTreeMap;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use serde::{Deserialize, Serialize};

/// The lock file, one for a product; JSON, sorted, made to be committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of this file's shape; now 1.
    pub schema_version: u32,
    /// Pins by `SUITE/ARCHITECTURE`.
    pub targets: BTreeMap<String, Target>,
    /// Commits of repositories by series of the Yocto Project, then by repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub yocto: BTreeMap<String, BTreeMap<String, String>>,
    /// Programs of boards' makers by board, then by file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vendor: BTreeMap<String, BTreeMap<String, VendorPin>>,
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

/// A file of a board's maker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorPin {
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
            return Ok(Self { schema_version: 1, ..Self::default() });
        }
        let way_out =
            |failure: Failure| failure.hint("restore it from version control, or remove it to resolve anew");
        let lock: Self = record::read_json(path).map_err(way_out)?;
        lock.reject_bad_pins(path).map_err(way_out)?;
        Ok(lock)
    }

    /// A pin's name and hash become a path in the cache: neither may lead anywhere else.
    fn reject_bad_pins(&self, path: &Path) -> Outcome<()> {
        let packages = self.targets.values().flat_map(|target| target.packages.values());
        let sources = self.targets.values().flat_map(|target| target.sources.values().flatten());
        for pin in packages.chain(sources) {
            let name = !pin.file.is_empty() && !pin.file.starts_with('.') && !pin.file.contains(['/', '\0']);
            let hash = pin.sha256.len() == 64 && pin.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if !name || !hash {
                return Err(Failure::error(
                    ExitStatus::Input,
                    "bad-pin",
                    format!(
                        "`{}` pins the file `{}` with SHA-256 `{}`: expected a plain file name and 64 hexadecimal digits",
                        path.display(),
                        pin.file,
                        pin.sha256
                    ),
                ));
            }
        }
        Ok(())
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

    #[test]
    fn a_pin_that_would_lead_out_of_the_cache_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fastness.lock");
        let good = "ab".repeat(32);
        for (file, sha256, refused) in [
            ("bash_5_arm64.deb", good.as_str(), false),
            ("../../bash.deb", &good, true),
            (".bashrc", &good, true),
            ("", &good, true),
            ("bash.deb", "abc", true),
            ("bash.deb", &"ä".repeat(32), true),
        ] {
            let pin = Pin { version: "5".into(), file: file.into(), bytes: 1, sha256: sha256.into() };
            let mut lock = Lock { schema_version: 1, ..Lock::default() };
            let target = Target { packages: [("bash".to_owned(), pin)].into(), ..Target::default() };
            lock.targets.insert("trixie/arm64".into(), target);
            lock.write(&path).unwrap();
            let found = Lock::read(&path);
            assert_eq!(found.is_err(), refused, "{file} {sha256}");
            if let Err(failure) = found {
                assert_eq!(
                    (failure.status, failure.diagnostics[0].code.as_str()),
                    (ExitStatus::Input, "bad-pin")
                );
                assert!(failure.to_string().contains("expected a plain file name"), "{failure}");
            }
        }
    }
}
