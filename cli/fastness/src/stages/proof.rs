//! image → boot and attacks, in QEMU.
//!
//! Results say for which disk image they are; those of another image are not used.

use std::fs;
use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use record::{AttackResult, BootRecord, read_json};
use serde::Serialize;

use super::disk_sha256;
use crate::places::Built;
use crate::progress::Steps;

/// An attack in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttackSummary {
    /// Its id: the file's stem.
    pub attack: String,
    /// One line.
    pub title: String,
}

/// Every attack that is known.
///
/// # Errors
/// A definition is wrong.
pub fn attacks() -> Outcome<Vec<AttackSummary>> {
    Err(missing_room())
}

/// Boots the untouched image and writes `boot.json`.
///
/// # Errors
/// When QEMU is missing or cannot be driven. An image that does not boot is a result, no error.
pub fn boot(_built: &Built, _steps: &Steps) -> Outcome<BootRecord> {
    Err(missing_room())
}

/// Runs attacks (all, if none is named) and writes `attacks.json`.
///
/// # Errors
/// When QEMU is missing, or there is no attack of that name. An attack that gets through is a result.
pub fn attack(_built: &Built, _names: &[String], _jobs: usize, _steps: &Steps) -> Outcome<Vec<AttackResult>> {
    Err(missing_room())
}

fn missing_room() -> Failure {
    Failure::error(ExitStatus::Internal, "not-there-yet", "this build of fastness has no QEMU room")
}

/// `boot.json`, if it is of this image.
///
/// # Errors
/// When it is there and is no record of a boot.
pub fn known_boot(built: &Built) -> Outcome<Option<BootRecord>> {
    let path = built.folder.join("boot.json");
    if !path.is_file() {
        return Ok(None);
    }
    let boot: BootRecord = read_json(&path)?;
    Ok((boot.disk_sha256 == disk_sha256(&built.image)).then_some(boot))
}

/// `attacks.json`, if it is of this image; otherwise nothing.
///
/// # Errors
/// When it is there and is no list of attacks.
pub fn known_attacks(built: &Built) -> Outcome<Vec<AttackResult>> {
    let path = built.folder.join("attacks.json");
    let of_this_image =
        fs::read_to_string(mark(built)).is_ok_and(|found| found.trim() == disk_sha256(&built.image));
    if !of_this_image || !path.is_file() {
        return Ok(Vec::new());
    }
    read_json(&path)
}

/// The file that says which disk image `attacks.json` is of.
fn mark(built: &Built) -> PathBuf {
    built.folder.join("attacks/disk.sha256")
}
