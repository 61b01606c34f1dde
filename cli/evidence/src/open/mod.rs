//! Opens what is to be inspected and fills a [`Subject`] with facts.
//!
//! The root file system, the FIT and the verity tree are read from the disk image itself, never
//! from the files it was made of. Everything that is read is hostile; `image` and `fit` bound it.

mod chain;
mod rootfs;
mod verity;

use std::path::{Component, Path};

pub use chain::fit_part;

use diag::{ExitStatus, Failure, Outcome};
use image::Source;
use image::disk::Disk;
use record::{ImageRecord, Role, read_json, sha256_file};

use crate::subject::{FitFacts, Subject, SubjectKind};

const FIT_LIMIT: u64 = 256 << 20;
const TEXT_LIMIT: u64 = 4 << 20;
const FDT_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Opens an output folder, a disk image, a root file system, a FIT or a U-Boot binary.
///
/// # Errors
/// When the path cannot be read or is none of these.
pub fn open(path: &Path) -> Outcome<Subject> {
    let meta = std::fs::metadata(path)
        .map_err(|e| Failure { status: ExitStatus::Input, ..Failure::io("read", path, &e) })?;
    if meta.is_dir() {
        if path.join("image.json").is_file() {
            return output(path);
        }
        return Ok(bare_rootfs(path, String::new()));
    }
    let (sha256, _) = sha256_file(path)?;
    let source = Source::open(path).map_err(|e| unreadable(path, &e))?;
    let name = Subject::name_of(path);
    let starts =
        |at: u64, magic: &[u8]| source.read_vec(at, magic.len() as u64).is_ok_and(|found| found == magic);
    let mut subject = if starts(512, b"EFI PART") || starts(4096, b"EFI PART") {
        let mut subject = Subject::empty(SubjectKind::Disk, &name);
        disk(&mut subject, &source, &sha256);
        subject
    } else if starts(0, &FDT_MAGIC) {
        let mut subject = Subject::empty(SubjectKind::Fit, &name);
        subject.fit = Some(fit_bytes(&source).and_then(chain::fit));
        subject
    } else if image::tree::open_source(&source).is_ok() {
        bare_rootfs(path, sha256.clone())
    } else {
        let mut subject = Subject::empty(SubjectKind::Uboot, &name);
        let facts = uboot_bytes(&source).and_then(|bytes| chain::uboot(bytes, sha256.clone()));
        if !facts.as_ref().is_ok_and(|facts| facts.control_fdts > 0) {
            return Err(Failure::error(
                ExitStatus::Input,
                "unknown-subject",
                format!("`{name}` is no output folder, disk image, root file system, FIT or U-Boot with a control FDT"),
            )
            .hint("give the output folder of a build, or one of these files"));
        }
        subject.uboot = Some(facts);
        subject
    };
    subject.hashes.insert(name, sha256);
    Ok(subject)
}

fn unreadable(path: &Path, error: &image::Error) -> Failure {
    Failure::error(ExitStatus::Input, "unreadable", format!("cannot read `{}`: {error}", path.display()))
}

fn bare_rootfs(path: &Path, sha256: String) -> Subject {
    let name = Subject::name_of(path);
    let mut subject = Subject::empty(SubjectKind::RootFs, &name);
    subject.root = Some(
        image::tree::open_rootfs(path).map_err(|e| e.to_string()).map(|tree| rootfs::root(tree, sha256)),
    );
    subject
}

/// A finished output folder.
fn output(folder: &Path) -> Outcome<Subject> {
    let mut subject = Subject::empty(SubjectKind::Output, &Subject::name_of(folder));
    let record: ImageRecord = read_json(&folder.join("image.json"))?;
    let mut differing = Vec::new();
    let mut open = |role: Role, subject: &mut Subject| -> Result<(Source, String), String> {
        let file = record.files.get(&role).ok_or_else(|| format!("image.json names no file for {role:?}"))?;
        if !file.path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("image.json: `{}` leads out of its folder", file.path.display()));
        }
        let path = folder.join(&file.path);
        let (sha256, _) = sha256_file(&path).map_err(|e| e.diagnostics[0].message.clone())?;
        subject.hashes.insert(file.path.display().to_string(), sha256.clone());
        if sha256 != file.sha256 {
            differing.push(format!("`{}` is not the recorded file", file.path.display()));
        }
        Ok((Source::open(&path).map_err(|e| e.to_string())?, sha256))
    };
    let config = open(Role::UbootConfig, &mut subject);
    subject.uboot_config = Some(config.and_then(|(source, _)| text(&source)));
    let flash = open(Role::Uboot, &mut subject);
    let image = open(Role::Disk, &mut subject);
    subject.uboot = Some(
        flash.and_then(|(source, sha256)| uboot_bytes(&source).and_then(|bytes| chain::uboot(bytes, sha256))),
    );
    match image {
        Ok((source, sha256)) => disk(&mut subject, &source, &sha256),
        Err(why) => {
            subject.root = Some(Err(why.clone()));
            subject.fit = Some(Err(why.clone()));
            subject.verity = Some(Err(why));
        }
    }
    if let (Some(Ok(fit)), Some(Ok(uboot))) = (&mut subject.fit, &subject.uboot) {
        fit.verified = Some(chain::verify(fit, uboot));
    }
    // A record of other files says nothing about these.
    subject.image = Some(if differing.is_empty() { Ok(record) } else { Err(differing.join("; ")) });
    Ok(subject)
}

/// Root file system, FIT and verity tree from slot a of the disk image.
fn disk(subject: &mut Subject, source: &Source, sha256: &str) {
    let disk = match Disk::from_source(source.clone()) {
        Ok(disk) => disk,
        Err(error) => {
            let why = error.to_string();
            subject.root = Some(Err(why.clone()));
            subject.fit = Some(Err(why.clone()));
            subject.verity = Some(Err(why));
            return;
        }
    };
    let named = |name: &str| disk.named(name).map_err(|e| e.to_string());
    subject.fit = Some(named("fit_a").and_then(|part| fit_bytes(&part)).and_then(chain::fit));
    let root = named("root_a");
    subject.root_image = root.clone().ok();
    subject.root = Some(root.clone().and_then(|part| {
        let tree = image::tree::open_source(&part).map_err(|e| e.to_string())?;
        Ok(rootfs::root(tree, sha256.to_owned()))
    }));
    let cmdline = match &subject.fit {
        Some(Ok(FitFacts { cmdline, .. })) => cmdline.clone(),
        Some(Err(why)) => Err(why.clone()),
        None => Err("there is no FIT".to_owned()),
    };
    subject.verity = Some(root.map(|part| verity::facts(&part, &disk, cmdline, sha256)));
}

/// The FIT at the start of a file or partition: as many bytes as its header says.
fn fit_bytes(source: &Source) -> Result<Vec<u8>, String> {
    let header = source.read_vec(0, 8).map_err(|e| e.to_string())?;
    if header[..4] != FDT_MAGIC {
        return Err("there is no FIT: the magic `d0 0d fe ed` is missing".to_owned());
    }
    let total = u64::from(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
    if total > FIT_LIMIT {
        return Err(format!("the FIT claims {total} bytes, more than {FIT_LIMIT}"));
    }
    source.read_vec(0, total).map_err(|e| e.to_string())
}

/// A text of bounded size.
fn text(source: &Source) -> Result<String, String> {
    if source.len() > TEXT_LIMIT {
        return Err(format!("{} bytes are too many for a configuration", source.len()));
    }
    let bytes = source.read_vec(0, source.len()).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn uboot_bytes(source: &Source) -> Result<Vec<u8>, String> {
    if source.len() > FIT_LIMIT {
        return Err(format!("{} bytes are too many for a boot loader", source.len()));
    }
    source.read_vec(0, source.len()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
