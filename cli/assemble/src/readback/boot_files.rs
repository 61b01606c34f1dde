//! What a boot ROM, or its maker's firmware, finds on the disk: SPL at its places, and the files of a FAT file system.

use std::path::Path;

use image::Source;
use image::disk::{Disk, mbr};
use record::{ImageRecord, sha256_hex};
use spec::plan::{FatFacts, FatFileFacts, Plan, SplFacts};

use crate::{behind, disk, fat, rom};

/// The boot loaders of an image, by their files.
pub struct Loaders<'a> {
    /// SPL with its control FDT, where the board has one.
    pub spl: Option<&'a [u8]>,
    /// U-Boot with its control FDT.
    pub uboot: &'a [u8],
}

/// Whether each place of the boot ROM has the shipped boot loader, in a header that it takes, and the maker's programs of the record.
///
/// # Errors
/// What does not hold.
pub fn check(
    path: &Path,
    disk: &Disk,
    plan: &Plan,
    record: &ImageRecord,
    loaders: &Loaders<'_>,
) -> Result<(), String> {
    if let (Some(facts), Some(spl)) = (&plan.board.boot.spl, loaders.spl) {
        at_its_places(path, disk, facts, record, spl)?;
    }
    let Some(facts) = &plan.board.boot.fat else { return Ok(()) };
    let partition = disk.named(&facts.partition).map_err(|e| e.to_string())?;
    in_older_table(path, disk, facts)?;
    let what = format!("the partition `{}`", facts.partition);
    let files = fat::read(partition).map_err(|why| format!("{what}: {why}"))?;
    let (files, inner) = match &facts.image {
        Some(image) => match files.split_last() {
            Some(((name, content), rest)) if *name == image.name => (rest, Some((name, content))),
            _ => return Err(format!("{what}: expected `{}` as the last file", image.name)),
        },
        None => (&files[..], None),
    };
    same_files(&what, plan, facts, record, loaders, files)?;
    if let Some((name, content)) = inner {
        let source = Source::from_bytes(name, content.clone());
        let files = fat::read(source).map_err(|why| format!("`{name}`: {why}"))?;
        same_files(&format!("`{name}`"), plan, facts, record, loaders, &files)?;
    }
    Ok(())
}

/// A boot ROM that knows the older table alone finds the same partition first.
fn in_older_table(path: &Path, disk: &Disk, facts: &FatFacts) -> Result<(), String> {
    let whole = Source::open(path).map_err(|e| e.to_string())?;
    let found = mbr::partitions(&whole).map_err(|e| e.to_string())?.unwrap_or_default();
    let found = found.first().map(|first| (first.offset, first.bytes, first.kind));
    let own = disk.partitions().iter().find(|partition| partition.name == facts.partition);
    let expected = own.map(|own| (own.offset, own.bytes, disk::FAT_IN_MBR));
    if found == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?} as the older table's first partition, found {found:?}"))
}

fn same_files(
    what: &str,
    plan: &Plan,
    facts: &FatFacts,
    record: &ImageRecord,
    loaders: &Loaders<'_>,
    found: &[fat::File],
) -> Result<(), String> {
    let names: Vec<_> = found.iter().map(|(name, _)| name).collect();
    if names != facts.files.iter().map(|file| &file.name).collect::<Vec<_>>() {
        return Err(format!("{what} has the files {names:?}"));
    }
    for (file, (_, content)) in facts.files.iter().zip(found) {
        same_file(plan, file, record, loaders, content)
            .map_err(|why| format!("`{}` of {what}: {why}", file.name))?;
    }
    Ok(())
}

fn same_file(
    plan: &Plan,
    file: &FatFileFacts,
    record: &ImageRecord,
    loaders: &Loaders<'_>,
    content: &[u8],
) -> Result<(), String> {
    let same = |expected: bool| if expected { Ok(()) } else { Err("it is not the planned one".to_owned()) };
    match (file.holds.as_str(), &plan.board.boot.spl, loaders.spl) {
        ("vendor", ..) => same_program(record, &file.name, content),
        ("u-boot", ..) => same(content == loaders.uboot),
        ("text", ..) => same(file.text.as_deref().map(str::as_bytes) == Some(content)),
        ("spl", Some(facts), Some(spl)) => taken(facts, record, spl, content),
        (other, ..) => Err(format!("nothing is known of `{other}`")),
    }
}

fn same_program(record: &ImageRecord, name: &str, content: &[u8]) -> Result<(), String> {
    match record.vendor.get(name) {
        Some(program) if program.sha256 == sha256_hex(content) => Ok(()),
        Some(_) => Err(format!("it is not the maker's `{name}`")),
        None => Err(format!("the record has no `{name}`")),
    }
}

/// Where the boot ROM looks on the disk, it finds the shipped SPL in a header that it takes.
fn at_its_places(
    path: &Path,
    disk: &Disk,
    facts: &SplFacts,
    record: &ImageRecord,
    spl: &[u8],
) -> Result<(), String> {
    let Some(rom) = &facts.rom else { return Ok(()) };
    let whole = Source::open(path).map_err(|e| e.to_string())?;
    for place in &rom.places {
        let (what, bytes) = match (&place.partition, place.offset) {
            (Some(name), _) => {
                let partition = disk.named(name).map_err(|e| e.to_string())?;
                (format!("the partition `{name}`"), partition.read_vec(0, partition.len()))
            }
            (None, Some(offset)) => (format!("byte {offset}"), whole.read_vec(offset, place.room)),
            (None, None) => return Err("the plan has a place of SPL that is nowhere".to_owned()),
        };
        let bytes = bytes.map_err(|e| e.to_string())?;
        taken(facts, record, spl, &bytes).map_err(|why| format!("SPL at {what}: {why}"))?;
    }
    Ok(())
}

/// Whether the boot ROM takes the shipped SPL out of these bytes, with the maker's programs in front of it and behind it.
fn taken(facts: &SplFacts, record: &ImageRecord, spl: &[u8], bytes: &[u8]) -> Result<(), String> {
    let rom = facts.rom.as_ref().ok_or("the plan has no boot ROM")?;
    let found = rom::unwrap(rom, bytes)?;
    match (&rom.first, found.first) {
        (Some(name), Some(first)) => same_program(record, name, first)
            .map_err(|why| format!("what the header has in front of SPL: {why}"))?,
        (None, None) => {}
        (planned, found) => {
            return Err(format!(
                "expected {planned:?} in front of SPL, found {} bytes",
                found.map_or(0, <[u8]>::len)
            ));
        }
    }
    let known = |name: &str| record.vendor.get(name).map(|program| (program.bytes, program.sha256.clone()));
    behind::check(facts, found.spl, spl, &known)
}
