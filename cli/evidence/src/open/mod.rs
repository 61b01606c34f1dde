//! Opens what is to be inspected and fills a [`Subject`] with facts.
//!
//! The root file system, the FIT and the verity tree are read from the disk image itself, never
//! from the files it was made of. Everything that is read is hostile; `image` and `fit` bound it.

pub(crate) mod chain;
mod fit_files;
mod foreign;
pub(crate) mod names;
pub(crate) mod rootfs;
pub(crate) mod verity;

use std::path::{Component, Path};

pub use chain::fit_part;

use diag::{ExitStatus, Failure, Outcome};
use image::Source;
use image::disk::Disk;
use image::tree::FileTree;
use record::{ImageRecord, Role, read_json, sha256_file};

use crate::subject::{DataFacts, FitFacts, Subject, SubjectKind, UbootFacts};

const FIT_LIMIT: u64 = 256 << 20;
/// Bytes that a packed image may unpack to: what a card of the usual size holds, and no bomb.
const UNPACKED_LIMIT: u64 = 8 << 30;
const TEXT_LIMIT: u64 = 4 << 20;
/// Where a header of ext4 or LUKS would be.
const DATA_LOOK: u64 = 1 << 20;
/// How U-Boot's version begins in its binary.
const VERSION: &[u8] = b"U-Boot 20";
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
        if !["etc", "usr"].iter().any(|folder| path.join(folder).exists()) {
            return Err(no_root(path));
        }
        let tree = image::tree::open_rootfs(path).map_err(|e| e.to_string());
        return Ok(bare_rootfs(&Subject::name_of(path), tree, String::new()));
    }
    let (sha256, _) = sha256_file(path)?;
    let source = Source::open(path).map_err(|e| unreadable(path, &e))?;
    // What is packed whole, such as `sdcard.img.xz`, is looked at unpacked; its digest is that of the file.
    let unpacked = source.unpacked(UNPACKED_LIMIT).map_err(|e| unreadable(path, &e))?;
    let name = Subject::name_of(path);
    let mut subject = file(&name, &unpacked.unwrap_or(source), &sha256)?;
    subject.hashes.insert(name, sha256);
    Ok(subject)
}

/// A file, told by its content.
fn file(name: &str, source: &Source, sha256: &str) -> Outcome<Subject> {
    let starts =
        |at: u64, magic: &[u8]| source.read_vec(at, magic.len() as u64).is_ok_and(|found| found == magic);
    if starts(512, b"EFI PART") || starts(4096, b"EFI PART") {
        let mut subject = Subject::empty(SubjectKind::Disk, name);
        if is_ours(source) {
            disk(&mut subject, source, sha256);
        } else {
            foreign::disk(&mut subject, source, sha256);
        }
        return Ok(subject);
    }
    if starts(0, &FDT_MAGIC) {
        let mut subject = Subject::empty(SubjectKind::Fit, name);
        subject.fit = Some(fit_bytes(source).and_then(chain::fit));
        return Ok(subject);
    }
    if let Ok(tree) = image::tree::open_source(source) {
        return Ok(bare_rootfs(name, Ok(tree), sha256.to_owned()));
    }
    if foreign::is_mbr(source) {
        let mut subject = Subject::empty(SubjectKind::Disk, name);
        foreign::disk(&mut subject, source, sha256);
        return Ok(subject);
    }
    boot_loader(name, source, sha256)
}

/// U-Boot, or a refusal that names what it is instead.
fn boot_loader(name: &str, source: &Source, sha256: &str) -> Outcome<Subject> {
    let mut subject = Subject::empty(SubjectKind::Uboot, name);
    let facts = uboot_bytes(source).and_then(|bytes| chain::uboot(bytes, sha256.to_owned()));
    // One without a control FDT requires no key; that it is U-Boot at all, its version says.
    let is_uboot = |facts: &UbootFacts| {
        facts.control_fdts > 0 || facts.bytes.windows(VERSION.len()).any(|window| window == VERSION)
    };
    if !facts.as_ref().is_ok_and(is_uboot) {
        let unknown = |message: String| Failure::error(ExitStatus::Input, "unknown-subject", message);
        return Err(match names::known(source) {
            Some(known) => {
                unknown(format!("`{name}` is {known}, which is not read")).hint(names::hint(known))
            }
            None => {
                unknown(format!("`{name}` is no output folder, disk image, root file system, FIT or U-Boot"))
                    .hint("give the output folder of a build, or one of these files")
            }
        });
    }
    subject.uboot = Some(facts);
    Ok(subject)
}

/// Whether a disk has the partitions that Fastness makes; one of them is enough, as another may be missing.
fn is_ours(source: &Source) -> bool {
    Disk::from_damaged_source(source.clone())
        .is_ok_and(|(disk, _)| disk.partitions().iter().any(|p| p.name == "fit_a" || p.name == "root_a"))
}

/// A folder with neither `etc` nor `usr`, such as Buildroot's `output/images`: names what could be meant.
fn no_root(path: &Path) -> Failure {
    let known =
        ["img", "ext2", "ext3", "ext4", "squashfs", "tar", "cpio", "bz2", "gz", "xz", "zst", "itb", "bin"];
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, extension)| known.contains(&extension)))
        .collect();
    names.sort();
    names.truncate(12);
    let message = format!(
        "expected a root file system or an output folder, found neither `etc` nor `usr` in `{}`",
        Subject::name_of(path)
    );
    Failure::error(ExitStatus::Input, "unknown-subject", message).hint(if names.is_empty() {
        "give the output folder of a build, a root file system or an image file".to_owned()
    } else {
        format!("inspect one of its files: {}", names.join(", "))
    })
}

fn unreadable(path: &Path, error: &image::Error) -> Failure {
    Failure::error(ExitStatus::Input, "unreadable", format!("cannot read `{}`: {error}", path.display()))
}

/// A root file system, with the FIT that lies in it as a file, if one does.
fn bare_rootfs(name: &str, tree: Result<FileTree, String>, sha256: String) -> Subject {
    let mut subject = Subject::empty(SubjectKind::RootFs, name);
    if let Ok(tree) = &tree {
        let (mut found, unread) = fit_files::find(tree);
        subject.fit = match (found.len(), unread) {
            (0, None) => None,
            (0, Some(why)) => Some(Err(why)),
            (1, None) => Some(found.remove(0).1),
            (_, why) => {
                let paths: Vec<String> = found.iter().map(|(path, _)| format!("`{path}`")).collect();
                let why =
                    why.unwrap_or_else(|| "nothing says which counts: inspect each by itself".to_owned());
                Some(Err(format!("{} are FITs, and {why}", paths.join(" and "))))
            }
        };
    }
    subject.root = Some(tree.map(|tree| rootfs::root(tree, sha256)));
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
    subject.data = Some(named("data").and_then(|part| data(&part)));
}

/// An empty partition, or the file system on it.
fn data(part: &Source) -> Result<DataFacts, String> {
    let first = part.read_vec(0, part.len().min(DATA_LOOK)).map_err(|e| e.to_string())?;
    if first.iter().all(|byte| *byte == 0) {
        return Ok(DataFacts::Empty);
    }
    image::tree::reserved(part).map(DataFacts::Ext4).map_err(|e| e.to_string())
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
pub(crate) mod disk_tests;
#[cfg(test)]
pub(crate) mod tests;
