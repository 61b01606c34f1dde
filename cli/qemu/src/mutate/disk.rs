//! Changes of the disk around the FIT: slots, partition table, further partitions.
//!
//! Source of the table's format: UEFI specification 2.10, chapter 5.3.

use std::fs::File;
use std::io::{Cursor, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use diag::{Failure, Outcome};
use image::disk::{Disk, Guid, Layout, PartitionSpec, SECTOR, gpt_write};
use serde::Deserialize;
use spec::Architecture;

use super::{Case, payload, unfit};

/// Size of an added partition.
const FAT_BYTES: u64 = 4 << 20;
const EFI_SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const FALSE_PARTITION: &str = "badbad00-0000-4000-8000-000000000001";

/// A file of an added FAT partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FatFile {
    /// Path, folders with `/`.
    pub path: String,
    /// Its content as text; none: the attacker's code, as an EFI program where the name ends in
    /// `.EFI`, as a legacy script for `.scr`, else as an arm64 `Image`.
    pub text: Option<String>,
}

fn cannot(error: &std::io::Error) -> Failure {
    Failure::io("write", Path::new("the copy of the disk"), error)
}

/// Writes the FIT into both slots, but for those that keep theirs, and nothing behind it.
pub(super) fn write_slots(case: &mut Case<'_>) -> Outcome<()> {
    for partition in case.subject.partitions.iter().filter(|p| p.name.starts_with(case.subject.slots)) {
        let fit = if case.kept_slots.contains(&partition.name) { &case.subject.fit } else { &case.fit };
        let room = partition.bytes;
        if fit.len() as u64 > room {
            return Err(unfit(format!("the FIT of {} bytes is larger than `{}`", fit.len(), partition.name)));
        }
        case.disk.write_all_at(fit, partition.offset).map_err(|e| cannot(&e))?;
        let mut at = fit.len() as u64;
        let end = (case.subject.fit.len().max(case.fit.len()) as u64 + SECTOR).min(room);
        let zeros = vec![0u8; 1 << 16];
        while at < end {
            let count = (end - at).min(zeros.len() as u64);
            let part = &zeros[..usize::try_from(count).unwrap_or(zeros.len())];
            case.disk.write_all_at(part, partition.offset + at).map_err(|e| cannot(&e))?;
            at += count;
        }
    }
    Ok(())
}

/// One copy of the table: header and entries, each with its offset on the disk in bytes.
struct Table {
    header_at: u64,
    header: Vec<u8>,
    entries_at: u64,
    entries: Vec<u8>,
}

/// Both copies of the table.
fn tables(disk: &File) -> Outcome<Vec<Table>> {
    let read = |at: u64, bytes: usize| {
        let mut buffer = vec![0; bytes];
        disk.read_exact_at(&mut buffer, at).map_err(|e| cannot(&e))?;
        Ok::<_, Failure>(buffer)
    };
    let primary = read(SECTOR, SECTOR as usize)?;
    let backup_at = number(&primary, 32).saturating_mul(SECTOR);
    let backup = read(backup_at, SECTOR as usize)?;
    let mut out = Vec::new();
    for (header_at, header) in [(SECTOR, primary), (backup_at, backup)] {
        if &header[..8] != b"EFI PART" {
            return Err(unfit("the disk has no partition table"));
        }
        let entries_at = number(&header, 72).saturating_mul(SECTOR);
        // 128 entries of 128 bytes: what `image::disk` writes.
        let entries = read(entries_at, 128 * 128)?;
        out.push(Table { header_at, header, entries_at, entries });
    }
    Ok(out)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// Changes one entry in both copies and makes the checksums right again.
fn edit_entry(case: &Case<'_>, name: &str, change: impl Fn(&mut [u8])) -> Outcome<()> {
    case.subject.partition(name)?;
    let wanted: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    for Table { header_at, mut header, entries_at, mut entries } in tables(&case.disk)? {
        let entry = entries.chunks_exact_mut(128).find(|entry| entry[56..].starts_with(&wanted));
        change(entry.ok_or_else(|| unfit(format!("the table has no entry `{name}`")))?);
        header[88..92].copy_from_slice(&crc32(&entries));
        header[16..20].fill(0);
        let crc = crc32(&header[..92]);
        header[16..20].copy_from_slice(&crc);
        case.disk.write_all_at(&entries, entries_at).map_err(|e| cannot(&e))?;
        case.disk.write_all_at(&header, header_at).map_err(|e| cannot(&e))?;
    }
    Ok(())
}

pub(super) fn claim_size(case: &Case<'_>, name: &str, bytes: u64) -> Outcome<String> {
    let sectors = (bytes / SECTOR).max(1);
    edit_entry(case, name, |entry| {
        let last = number(entry, 32).saturating_add(sectors - 1);
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    })?;
    Ok(format!("the partition table claims {bytes} bytes for `{name}`"))
}

pub(super) fn plain_data(case: &Case<'_>) -> Outcome<String> {
    let data = case.subject.partition("data")?;
    // s_magic where ext4 has it (fs/ext4/ext4.h), and nothing else: whoever looks for a file system finds one.
    case.disk.write_all_at(&[0x53, 0xef], data.offset + 1024 + 0x38).map_err(|e| cannot(&e))?;
    Ok("the data partition begins with a plain file system's superblock".to_owned())
}

pub(super) fn rename_partition(case: &Case<'_>, name: &str, to: &str) -> Outcome<String> {
    let units: Vec<u8> = to.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if units.len() > 70 {
        return Err(unfit(format!("expected a name of at most 35 characters, found `{to}`")));
    }
    edit_entry(case, name, |entry| {
        entry[56..].fill(0);
        entry[56..56 + units.len()].copy_from_slice(&units);
    })?;
    Ok(format!("partition `{name}` renamed to `{to}`"))
}

pub(super) fn add_fat(
    case: &mut Case<'_>,
    name: &str,
    efi_system: bool,
    files: &[FatFile],
) -> Outcome<String> {
    let bad = |e: image::Error| unfit(format!("the partition table cannot be changed: {e}"));
    let copy = case.disk.try_clone().map_err(|e| cannot(&e))?;
    let disk = Disk::from_source(image::Source::from_file("disk", copy).map_err(bad)?).map_err(bad)?;
    let mut specs: Vec<PartitionSpec> = disk
        .partitions()
        .iter()
        .map(|partition| PartitionSpec {
            name: partition.name.clone(),
            type_guid: partition.type_guid,
            part_guid: partition.part_guid,
            attributes: partition.attributes,
            bytes: partition.bytes,
        })
        .collect();
    let type_guid = if efi_system { EFI_SYSTEM.parse().map_err(bad)? } else { Guid::LINUX_DATA };
    specs.push(PartitionSpec {
        name: name.to_owned(),
        type_guid,
        part_guid: FALSE_PARTITION.parse().map_err(bad)?,
        // Bit 2, "legacy BIOS bootable": how extlinux partitions are found.
        attributes: 1 << 2,
        bytes: FAT_BYTES,
    });
    let layout = Layout::new(disk.guid(), &specs).map_err(bad)?;
    // A card stays one.
    let before = case.disk.metadata().map_err(|e| cannot(&e))?.len();
    let layout = if before.is_power_of_two() { layout.of_a_power_of_two() } else { layout };
    let moved = disk.partitions().iter().zip(layout.partitions()).find(|(old, new)| old.offset != new.offset);
    if let Some((old, _)) = moved {
        return Err(unfit(format!(
            "`{}` does not follow the one before it; the table is another's",
            old.name
        )));
    }
    case.disk.set_len(layout.bytes()).map_err(|e| cannot(&e))?;
    gpt_write(&mut &case.disk, &layout).map_err(bad)?;
    let offset = layout.partitions().last().map_or(0, |partition| partition.offset);
    let volume = fat_volume(case.subject.architecture, files).map_err(|e| cannot(&e))?;
    case.disk.write_all_at(&volume, offset).map_err(|e| cannot(&e))?;
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    Ok(format!("a FAT partition `{name}` holds `{}`", paths.join("`, `")))
}

fn fat_volume(architecture: Architecture, files: &[FatFile]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Cursor::new(vec![0u8; usize::try_from(FAT_BYTES).unwrap_or(0)]);
    fatfs::format_volume(&mut bytes, fatfs::FormatVolumeOptions::new().volume_id(0x0bad_0bad))?;
    bytes.set_position(0);
    let volume = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new())?;
    for file in files {
        let mut folder = volume.root_dir();
        let mut parts = file.path.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                folder = folder.create_dir(part)?;
            } else {
                folder.create_file(part)?.write_all(&content(architecture, file))?;
            }
        }
    }
    volume.unmount()?;
    Ok(bytes.into_inner())
}

fn content(architecture: Architecture, file: &FatFile) -> Vec<u8> {
    let name = file.path.to_ascii_lowercase();
    match &file.text {
        Some(text) if name.ends_with(".scr") => {
            payload::legacy_image(architecture, payload::LEGACY_SCRIPT, &payload::legacy_script(text), 0)
        }
        Some(text) => text.clone().into_bytes(),
        None if name.ends_with(".efi") => payload::efi_program(architecture),
        None => payload::raw_kernel(architecture),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mutation;
    use super::super::testing::Bench;
    use super::*;
    use std::io::Read;

    fn open(case: &Case<'_>) -> (Disk, usize) {
        let source = image::Source::from_file("disk", case.disk.try_clone().unwrap()).unwrap();
        let (disk, defects) = Disk::from_damaged_source(source).unwrap();
        (disk, defects.len())
    }

    #[test]
    fn a_claimed_size_and_a_name_change_both_tables_and_keep_them_valid() {
        let bench = Bench::new();
        let rename = Mutation::RenamePartition { partition: "fit_b".into(), to: "other".into() };
        let (_, case) = bench.run(&[rename]);
        let (disk, defects) = open(&case);
        assert_eq!((disk.partitions()[1].name.as_str(), defects), ("other", 0));
        let claim = Mutation::ClaimSize { partition: "fit_a".into(), bytes: 1 << 40 };
        let (words, case) = bench.run(&[claim]);
        let mut header = [0; 512];
        case.disk.read_exact_at(&mut header, SECTOR).unwrap();
        let crc = header[16..20].to_vec();
        header[16..20].fill(0);
        assert_eq!(crc, crc32(&header[..92]));
        let entries = tables(&case.disk).unwrap().remove(1).entries;
        assert_eq!(number(&entries, 40) - number(&entries, 32) + 1, (1 << 40) / SECTOR, "{words}");
        assert!(
            bench
                .fails(&[Mutation::ClaimSize { partition: "x".into(), bytes: 1 }])
                .contains("no partition `x`")
        );
    }

    #[test]
    fn a_fat_partition_holds_the_attackers_files_and_the_others_stay() {
        let bench = Bench::new();
        let files =
            [("EFI/BOOT/BOOTAA64.EFI", None), ("extlinux/extlinux.conf", Some("label x")), ("Image", None)];
        let files = files.map(|(path, text)| FatFile { path: path.into(), text: text.map(str::to_owned) });
        let add = Mutation::AddFat { partition: "esp".into(), efi_system: true, files: files.to_vec() };
        let (_, case) = bench.run(&[add]);
        let (disk, defects) = open(&case);
        assert_eq!(defects, 0);
        assert_eq!(disk.partitions().len(), bench.subject.partitions.len() + 1);
        assert_eq!(disk.partitions()[0].offset, bench.subject.partitions[0].offset);
        let volume = disk.named("esp").unwrap();
        let bytes = volume.read_vec(0, volume.len()).unwrap();
        let fat = fatfs::FileSystem::new(Cursor::new(bytes), fatfs::FsOptions::new()).unwrap();
        let read = |path: &str| {
            let mut bytes = Vec::new();
            fat.root_dir().open_file(path).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read("EFI/BOOT/BOOTAA64.EFI"), payload::efi_program(Architecture::Arm64));
        assert_eq!(read("extlinux/extlinux.conf"), b"label x");
        assert_eq!(read("Image"), payload::raw_kernel(Architecture::Arm64));
    }

    #[test]
    fn a_slot_can_keep_the_good_fit() {
        let bench = Bench::new();
        let flip = Mutation::FlipByte { node: "/images/kernel".into(), property: "data".into(), at: None };
        let (_, case) = bench.run(&[flip, Mutation::KeepSlot { partition: "fit_b".into() }]);
        assert_ne!(bench.slot(&case, "fit_a"), bench.subject.fit);
        assert_eq!(bench.read("fit_b", 0, bench.subject.fit.len(), &case), bench.subject.fit);
    }
}
