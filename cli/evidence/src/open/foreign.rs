//! Disk images that others made: whatever partition holds a root file system or a FIT, by its content.
//!
//! A name decides nothing here, and where two partitions could be meant none is taken.

use image::Source;
use image::disk::{Disk, mbr};
use image::tree::open_source;

use super::{FDT_MAGIC, chain, fit_bytes, rootfs, verity};
use crate::subject::Subject;

/// A partition: what people call it, and its bytes.
type Part = (String, Source);

/// Whether the image has an older partition table.
pub fn is_mbr(source: &Source) -> bool {
    !matches!(mbr::partitions(source), Ok(None))
}

/// The partitions of either table.
fn parts(source: &Source) -> Result<Vec<Part>, String> {
    let slice = |label: String, offset: u64, bytes: u64| Some((label, source.slice(offset, bytes).ok()?));
    match Disk::from_damaged_source(source.clone()) {
        Ok((disk, _)) => Ok(disk
            .partitions()
            .iter()
            .filter_map(|p| slice(format!("{} `{}`", p.index, p.name), p.offset, p.bytes))
            .collect()),
        Err(gpt) => match mbr::partitions(source).map_err(|e| e.to_string())? {
            Some(found) => {
                Ok(found.iter().filter_map(|p| slice(p.index.to_string(), p.offset, p.bytes)).collect())
            }
            None => Err(gpt.to_string()),
        },
    }
}

/// Fills root file system, FIT and verity tree from whatever partition has them.
pub fn disk(subject: &mut Subject, source: &Source, sha256: &str) {
    let parts = match parts(source) {
        Ok(parts) => parts,
        Err(why) => {
            subject.root = Some(Err(why.clone()));
            subject.fit = Some(Err(why.clone()));
            subject.verity = Some(Err(why));
            return;
        }
    };
    let root = one(&parts, "root file system", |part| {
        open_source(part).is_ok_and(|tree| {
            let has = |path: &str| tree.resolve(path).is_ok();
            has("/etc") && has("/usr")
        })
    });
    subject.root_image = root.clone().ok();
    subject.root = Some(root.clone().and_then(|part| {
        let tree = open_source(&part).map_err(|e| e.to_string())?;
        Ok(rootfs::root(tree, sha256.to_owned()))
    }));
    let fit = one(&parts, "FIT", |part| part.read_vec(0, 4).is_ok_and(|found| found == FDT_MAGIC));
    subject.fit = Some(fit.and_then(|part| fit_bytes(&part)).and_then(chain::fit));
    let cmdline = match &subject.fit {
        Some(Ok(fit)) => fit.cmdline.clone(),
        Some(Err(why)) => Err(why.clone()),
        None => Err("there is no FIT".to_owned()),
    };
    // A table of the signed command line that names a partition of another layout is not followed.
    let argued = cmdline.and_then(|cmdline| verity::arguments(&cmdline));
    subject.verity = Some(match argued {
        Err(why) => Err(why),
        Ok(_) => {
            Err("the disk is not laid out as Fastness does it: its verity tree is not followed".to_owned())
        }
    });
}

/// The one partition that is this.
fn one(parts: &[Part], what: &str, is: impl Fn(&Source) -> bool) -> Result<Source, String> {
    let found: Vec<&Part> = parts.iter().filter(|(_, part)| is(part)).collect();
    let all = parts.iter().map(|(label, part)| format!("{label} holds {}", content(part)));
    match found.as_slice() {
        [(_, part)] => Ok(part.clone()),
        [] if parts.is_empty() => Err(format!("no {what}: the disk has no partition")),
        [] => Err(format!(
            "no partition holds a {what} that can be read: {}",
            all.collect::<Vec<_>>().join(", ")
        )),
        several => {
            let labels: Vec<&str> = several.iter().map(|(label, _)| label.as_str()).collect();
            Err(format!(
                "partitions {} each hold a {what}, and nothing says which counts: inspect each by itself",
                labels.join(" and ")
            ))
        }
    }
}

/// What a partition holds, by its magic.
fn content(part: &Source) -> &'static str {
    let at = |offset: u64, magic: &[u8]| {
        part.read_vec(offset, magic.len() as u64).is_ok_and(|found| found == magic)
    };
    if at(0, b"hsqs") {
        "a squashfs"
    } else if at(1080, &[0x53, 0xef]) {
        "an ext file system"
    } else if at(54, b"FAT") || at(82, b"FAT32") {
        "a FAT file system, which is not read (take the files out of it and inspect them)"
    } else if at(0, &FDT_MAGIC) {
        "a FIT or device tree"
    } else if at(0, b"UBI#") {
        "an UBI volume, which is not read"
    } else if part.read_vec(0, part.len().min(4096)).is_ok_and(|head| head.iter().all(|byte| *byte == 0)) {
        "zeros"
    } else {
        "something unknown"
    }
}
