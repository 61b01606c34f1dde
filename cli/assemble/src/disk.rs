//! The disk image: partition table and contents, sparse, the same bytes on every build.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use image::disk::{Guid, Layout, PartitionSpec, create};
use record::{PartitionRecord, sha256_file, sha256_hex};
use spec::guid::guid;
use spec::plan::{Plan, RomCopyFacts};

use crate::slots;

/// Bytes looked at together for being all zero.
const PIECE: usize = 64 << 10;
/// Basic data: where firmware looks for a FAT file system (UEFI names no type of its own for it).
const FAT_TYPE: &str = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
/// FAT32 by block numbers, in the older partition table.
pub const FAT_IN_MBR: u8 = 0x0c;

/// Files whose bytes go into the partitions.
pub struct Contents<'a> {
    /// What SPL verifies, for `uboot`, where the board has SPL.
    pub uboot: &'a Path,
    /// SPL with the boot ROM's header, where a boot ROM takes it from the disk.
    pub spl: &'a Path,
    /// Signed FIT, for `fit_a`.
    pub fit: &'a Path,
    /// Root file system with hash tree, for `root_a`.
    pub root: &'a Path,
    /// File system image, for `data`.
    pub data: &'a Path,
    /// File system that a boot ROM reads, where the board has one.
    pub fat: &'a Path,
}

/// A partition to be: its name, size and type.
pub type Planned<'a> = (&'a str, u64, Option<&'a str>);

/// What is on the disk in the order of the table; slot b stays empty until the first update.
pub fn partitions(plan: &Plan) -> Vec<Planned<'_>> {
    let storage = &plan.storage;
    let spl = plan.board.boot.spl.as_ref();
    // First: SPL reads it 1 MiB behind the disk's start.
    let first = [("uboot", spl.map_or(0, |spl| spl.room), None)];
    let fat = plan.board.boot.fat.iter().map(|fat| (fat.partition.as_str(), fat.room, Some(FAT_TYPE)));
    // Boot ROMs find these by name or type, wherever they are.
    let of_rom = places(plan)
        .iter()
        .filter_map(|place| Some((place.partition.as_deref()?, place.room, place.type_guid.as_deref())));
    let rest = [
        ("fit_a", storage.fit_bytes),
        ("fit_b", storage.fit_bytes),
        ("root_a", storage.root_bytes),
        ("root_b", storage.root_bytes),
        ("data", storage.data_bytes),
        ("proof", storage.proof_bytes),
        ("misc", storage.misc_bytes),
    ];
    let rest = rest.map(|(name, bytes)| (name, bytes, None));
    first.into_iter().chain(fat).chain(of_rom).chain(rest).filter(|(_, bytes, _)| *bytes > 0).collect()
}

/// Where a boot ROM looks for SPL on the disk.
fn places(plan: &Plan) -> &[RomCopyFacts] {
    plan.board.boot.spl.as_ref().and_then(|spl| spl.rom.as_ref()).map_or(&[], |rom| &rom.places)
}

/// Refuses contents that do not fit where they belong.
///
/// # Errors
/// `no-room`, naming the part, its size, the limit and the key to change.
pub fn refuse_too_large(part: &str, bytes: u64, limit: u64, change: &str) -> Outcome<()> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Failure::error(
        ExitStatus::Input,
        "no-room",
        format!("{part} has {bytes} bytes, and there is room for {limit}"),
    )
    .hint(change.to_owned()))
}

/// Writes the disk image to the new file `path`.
///
/// # Errors
/// `no-room`, or when a file cannot be read or written.
pub fn write(plan: &Plan, contents: &Contents<'_>, path: &Path) -> Outcome<Vec<PartitionRecord>> {
    let layout = layout(plan)?;
    let mut disk = create(path, &layout).map_err(|e| cannot_write(&e))?;
    let mut records = Vec::new();
    for partition in layout.partitions() {
        let content = match partition.name.as_str() {
            "uboot" => Some(contents.uboot),
            "fit_a" => Some(contents.fit),
            "root_a" => Some(contents.root),
            "data" => Some(contents.data),
            name if places(plan).iter().any(|place| place.partition.as_deref() == Some(name)) => {
                Some(contents.spl)
            }
            name if plan.board.boot.fat.as_ref().is_some_and(|fat| fat.partition == name) => {
                Some(contents.fat)
            }
            _ => None,
        };
        let mut sha256 = String::new();
        if partition.name == "misc" {
            let bytes = slots::misc();
            write_at(&mut disk, partition.offset, &bytes, path)?;
            sha256 = sha256_hex(&bytes);
        }
        if let Some(file) = content {
            let (hash, bytes) = sha256_file(file)?;
            let key = format!("give `{}` more room on the disk", partition.name);
            refuse_too_large(&format!("the content of `{}`", partition.name), bytes, partition.bytes, &key)?;
            copy_sparse(file, &mut disk, partition.offset, path)?;
            sha256 = hash;
        }
        records.push(PartitionRecord {
            name: partition.name.clone(),
            guid: partition.part_guid.to_string(),
            offset: partition.offset,
            bytes: partition.bytes,
            sha256,
        });
    }
    for offset in places(plan).iter().filter_map(|place| place.offset) {
        copy_sparse(contents.spl, &mut disk, offset, path)?;
    }
    Ok(records)
}

fn layout(plan: &Plan) -> Outcome<Layout> {
    let id = |name: &str| -> Outcome<Guid> {
        guid(&plan.product.name, &plan.board.name, name).parse().map_err(|e: image::Error| cannot_write(&e))
    };
    let mut specs = Vec::new();
    for (name, bytes, kind) in partitions(plan) {
        let kind = kind.map(|kind| kind.parse().map_err(|e: image::Error| cannot_write(&e))).transpose()?;
        specs.push(PartitionSpec {
            name: name.to_owned(),
            type_guid: kind.unwrap_or(Guid::LINUX_DATA),
            part_guid: id(name)?,
            attributes: 0,
            bytes,
        });
    }
    let layout = Layout::new(id("disk")?, &specs).map_err(|e| {
        Failure::error(ExitStatus::Input, "disk-layout", format!("the disk cannot be laid out: {e}"))
            .hint("check `storage` in the board and in the product")
    })?;
    let layout = match &plan.board.boot.fat {
        Some(fat) => layout.with_mbr_partition(&fat.partition, FAT_IN_MBR).map_err(|e| cannot_write(&e))?,
        None => layout,
    };
    // QEMU takes no SD card of another size.
    let card = plan.board.qemu.as_ref().is_some_and(|qemu| qemu.on_board);
    Ok(if card { layout.of_a_power_of_two() } else { layout })
}

/// Copies what is not zero; the rest of the new disk is a hole already.
fn copy_sparse(from: &Path, disk: &mut File, offset: u64, path: &Path) -> Outcome<()> {
    let reading = |e: &std::io::Error| Failure::io("read", from, e);
    let mut file = File::open(from).map_err(|e| reading(&e))?;
    let mut buffer = vec![0; PIECE];
    let mut at = offset;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(reading(&e)),
        };
        if buffer[..count].iter().any(|byte| *byte != 0) {
            write_at(disk, at, &buffer[..count], path)?;
        }
        at += count as u64;
    }
}

fn write_at(disk: &mut File, offset: u64, bytes: &[u8], path: &Path) -> Outcome<()> {
    disk.seek(SeekFrom::Start(offset))
        .and_then(|_| disk.write_all(bytes))
        .map_err(|e| Failure::io("write", path, &e))
}

fn cannot_write(error: &image::Error) -> Failure {
    Failure::error(ExitStatus::Environment, "disk-write", format!("cannot write the disk image: {error}"))
        .hint("check the space and permissions of the output folder")
}
