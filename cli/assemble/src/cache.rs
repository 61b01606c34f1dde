//! Whether the image in the output folder is already the one that was asked for.
//!
//! `image/inputs.json` says what an image was made from, and size and modification time of its files. It lies
//! in the folder that is put in place at once, with the whole record: a run that was killed between the
//! folder and `image.json` is completed by the next.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use diag::{Failure, Outcome};
use record::{Artefacts, ImageRecord, KeyMark, Role, read_json, sha256_hex, write_json_atomic};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;

use crate::keys::KeyRecord;

/// Counted up with every change of what assembly writes.
const ASSEMBLY: u32 = 2;
const FILE: &str = "image/inputs.json";

#[derive(Serialize, Deserialize)]
struct Inputs {
    /// Hash of everything that decides the image's bytes.
    inputs_sha256: String,
    /// Size and modification time (seconds, nanoseconds) of the files, by role.
    stamps: BTreeMap<Role, (u64, i64, i64)>,
    /// The image's record, as `image.json` has it.
    record: ImageRecord,
}

/// The files that assembly writes for a plan.
pub fn written(plan: &Plan) -> Vec<Role> {
    let spl = plan.board.boot.spl.as_ref();
    let roles = [Role::Spl, Role::UbootFit].into_iter().filter(|_| spl.is_some());
    let rom = [Role::SplRom].into_iter().filter(|_| spl.is_some_and(|spl| spl.rom.is_some()));
    let fat = plan.board.boot.fat.as_ref();
    let image = [Role::BootImage].into_iter().filter(|_| fat.is_some_and(|fat| fat.image.is_some()));
    let all = [Role::Uboot, Role::Fit, Role::RootfsVerity, Role::Disk];
    all.into_iter().chain(roles).chain(rom).chain(image).collect()
}

/// Notes down what the image in `folder` was made from.
pub fn remember(
    plan: &Plan,
    artefacts: &Artefacts,
    key: &KeyRecord,
    record: &ImageRecord,
    folder: &Path,
) -> Outcome<()> {
    let inputs = Inputs {
        inputs_sha256: inputs_sha256(plan, artefacts, key),
        stamps: stamps(plan, record, folder)
            .ok_or_else(|| Failure::io("read", folder, &std::io::ErrorKind::NotFound.into()))?,
        record: record.clone(),
    };
    write_json_atomic(&folder.join(FILE), &inputs)
}

/// The record of the image in `folder`, if it was made from exactly these inputs and its files were not
/// touched since. Needs no passphrase, and reads no file's content.
///
/// # Errors
/// When `image.json` was missing and cannot be written.
pub fn up_to_date(
    plan: &Plan,
    artefacts: &Artefacts,
    key: &KeyRecord,
    folder: &Path,
) -> Outcome<Option<ImageRecord>> {
    // Anything unreadable is an image to be made anew.
    let Ok(inputs) = read_json::<Inputs>(&folder.join(FILE)) else { return Ok(None) };
    // The stamps hold for the paths of this program, not for those that the file names.
    let paths_agree = written(plan).into_iter().all(|role| {
        inputs.record.files.get(&role).is_some_and(|f| f.path == Path::new("image").join(file_name(role)))
    });
    if !paths_agree
        || inputs.inputs_sha256 != inputs_sha256(plan, artefacts, key)
        || stamps(plan, &inputs.record, folder).as_ref() != Some(&inputs.stamps)
    {
        return Ok(None);
    }
    let path = folder.join("image.json");
    if read_json::<ImageRecord>(&path).ok().as_ref() != Some(&inputs.record) {
        write_json_atomic(&path, &inputs.record)?;
    }
    Ok(Some(inputs.record))
}

/// Name of a file in the folder `image`.
pub fn file_name(role: Role) -> &'static str {
    match role {
        Role::Uboot => "u-boot.bin",
        Role::Spl => "u-boot-spl.bin",
        Role::SplRom => "u-boot-spl.rom",
        Role::UbootFit => "u-boot.itb",
        Role::BootImage => "boot.img",
        Role::Fit => "fit.itb",
        Role::RootfsVerity => "rootfs.verity",
        Role::Disk => "disk.img",
        Role::UbootConfig => "u-boot.config",
        Role::KernelConfig => "linux.config",
        _ => "unknown",
    }
}

fn inputs_sha256(plan: &Plan, artefacts: &Artefacts, key: &KeyRecord) -> String {
    let mark = match key.mark {
        KeyMark::Development => "development",
        KeyMark::Release => "release",
    };
    // Artefacts hold only strings and maps with string keys, so that this cannot fail.
    let artefacts = serde_json::to_string(artefacts).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let parts =
        [version, &ASSEMBLY.to_string(), &plan.sha256(), &artefacts, &key.name, &key.fingerprint, mark];
    sha256_hex(parts.join("\0").as_bytes())
}

fn stamps(plan: &Plan, record: &ImageRecord, folder: &Path) -> Option<BTreeMap<Role, (u64, i64, i64)>> {
    written(plan)
        .into_iter()
        .map(|role| {
            let artefact = record.files.get(&role)?;
            let meta = fs::symlink_metadata(folder.join(&artefact.path)).ok()?;
            (meta.is_file() && meta.len() == artefact.bytes)
                .then(|| (role, (meta.len(), meta.mtime(), meta.mtime_nsec())))
        })
        .collect()
}
