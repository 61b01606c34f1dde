//! A GPT layout as a value, and writing it.
//!
//! The same layout always gives the same bytes: every GUID is given by the caller, nothing is drawn or
//! read from the clock. Only the tables are written; the partitions' contents are the caller's.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::disk::header::{Header, NAME_UNITS, crc32};
use crate::disk::{GPT, Guid, Partition};
use crate::{Error, Result};

/// Bytes of a logical block in the images written here.
pub const SECTOR: u64 = 512;
/// Bytes to which every partition is aligned, and the image rounded up.
pub const ALIGNMENT: u64 = 1 << 20;
const ENTRIES: u32 = 128;
const ENTRY_BYTES: u32 = 128;
/// Blocks of one table (32) without its header.
const TABLE_SECTORS: u64 = (ENTRIES * ENTRY_BYTES) as u64 / SECTOR;

/// One partition to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// Its name, at most 36 UTF-16 units, unique.
    pub name: String,
    /// What it is for.
    pub type_guid: Guid,
    /// Its own identity, unique.
    pub part_guid: Guid,
    /// Attribute bits.
    pub attributes: u64,
    /// Its size in bytes, a multiple of [`SECTOR`].
    pub bytes: u64,
}

/// Where everything lies.
///
/// ```
/// use image::disk::{Disk, Guid, Layout, PartitionSpec, gpt_write};
/// let layout = Layout::new(
///     "00000000-0000-4000-8000-000000000001".parse()?,
///     &[PartitionSpec {
///         name: "rootfs-a".into(),
///         type_guid: Guid::LINUX_DATA,
///         part_guid: "00000000-0000-4000-8000-000000000002".parse()?,
///         attributes: 0,
///         bytes: 4 << 20,
///     }],
/// )?;
/// let mut bytes = std::io::Cursor::new(Vec::new());
/// gpt_write(&mut bytes, &layout)?;
/// let disk = Disk::from_source(image::Source::from_bytes("disk", bytes.into_inner()))?;
/// assert_eq!(disk.partitions(), layout.partitions());
/// assert_eq!(disk.partitions()[0].offset, 1 << 20);
/// # Ok::<(), image::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    disk_guid: Guid,
    partitions: Vec<Partition>,
    bytes: u64,
    /// Which partition the older table has, too, and as what.
    in_mbr: Option<(usize, u8)>,
}

impl Layout {
    /// Places the partitions one after the other, each at the next [`ALIGNMENT`].
    ///
    /// # Errors
    /// A name or GUID that is used twice, empty or too long, a size that is no multiple of [`SECTOR`],
    /// too many partitions, or a disk larger than GPT can describe.
    pub fn new(disk_guid: Guid, specs: &[PartitionSpec]) -> Result<Self> {
        reject_too_many(specs)?;
        reject_duplicates(disk_guid, specs)?;
        let mut partitions = Vec::new();
        let mut next = ALIGNMENT;
        for (index, spec) in (1..).zip(specs) {
            let end = check_size(spec, next)?;
            partitions.push(Partition {
                index,
                name: spec.name.clone(),
                type_guid: spec.type_guid,
                part_guid: spec.part_guid,
                attributes: spec.attributes,
                first_lba: next / SECTOR,
                last_lba: end / SECTOR - 1,
                offset: next,
                bytes: spec.bytes,
            });
            next = end.next_multiple_of(ALIGNMENT);
        }
        // One more unit holds the backup table.
        Ok(Self { disk_guid, partitions, bytes: next + ALIGNMENT, in_mbr: None })
    }

    /// The same on a disk whose size is the next power of two: what is behind the partitions stays free.
    #[must_use]
    pub fn of_a_power_of_two(self) -> Self {
        Self { bytes: self.bytes.next_power_of_two(), ..self }
    }

    /// The same with one partition in the older table, too, as its first one of that type: for a boot ROM that knows no other table.
    ///
    /// # Errors
    /// When there is no such partition, or the older table cannot tell where it lies.
    pub fn with_mbr_partition(self, name: &str, kind: u8) -> Result<Self> {
        let number = self.partitions.iter().position(|partition| partition.name == name);
        let fits = |partition: &Partition| partition.last_lba <= u64::from(u32::MAX);
        match number.filter(|number| fits(&self.partitions[*number])) {
            Some(number) => Ok(Self { in_mbr: Some((number, kind)), ..self }),
            None => Err(Error::malformed(
                GPT,
                format!("partition `{name}`"),
                "the older partition table cannot have it",
            )),
        }
    }

    /// The partitions as a reader of the disk will see them.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The whole disk's size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The protective table, behind the partition that is in the older one, too.
    fn mbr(&self, last: u64) -> Vec<u8> {
        let mut mbr = protective_mbr(last);
        if let Some((number, kind)) = self.in_mbr {
            mbr.copy_within(446..462, 462);
            let partition = &self.partitions[number];
            let entry = &mut mbr[446..462];
            entry.fill(0);
            // Cylinders, heads and sectors cannot tell it.
            entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
            entry[4] = kind;
            entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
            // `with_mbr_partition` has seen to it that both fit.
            entry[8..12].copy_from_slice(&(partition.first_lba as u32).to_le_bytes());
            entry[12..16].copy_from_slice(&((partition.bytes / SECTOR) as u32).to_le_bytes());
        }
        mbr
    }

    fn table(&self) -> Vec<u8> {
        let mut table = vec![0; (ENTRIES * ENTRY_BYTES) as usize];
        for (partition, entry) in self.partitions.iter().zip(table.chunks_exact_mut(ENTRY_BYTES as usize)) {
            entry[..16].copy_from_slice(&partition.type_guid.stored());
            entry[16..32].copy_from_slice(&partition.part_guid.stored());
            entry[32..40].copy_from_slice(&partition.first_lba.to_le_bytes());
            entry[40..48].copy_from_slice(&partition.last_lba.to_le_bytes());
            entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
            for (unit, place) in partition.name.encode_utf16().zip(entry[56..].chunks_exact_mut(2)) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        table
    }
}

fn reject_too_many(specs: &[PartitionSpec]) -> Result<()> {
    if specs.len() > ENTRIES as usize {
        return Err(Error::limit(GPT, "number of partitions", specs.len() as u64, u64::from(ENTRIES)));
    }
    Ok(())
}

fn reject_duplicates(disk_guid: Guid, specs: &[PartitionSpec]) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut guids = BTreeSet::from([disk_guid]);
    for spec in specs {
        let bad = |reason: String| Err(Error::malformed(GPT, format!("partition `{}`", spec.name), reason));
        let units = spec.name.encode_utf16().count();
        if units == 0 || units > NAME_UNITS || spec.name.contains('\0') {
            return bad(format!(
                "a name has 1 to {NAME_UNITS} UTF-16 units and no NUL, this one has {units}"
            ));
        }
        if !names.insert(&spec.name) {
            return bad("the name is used twice".to_owned());
        }
        if spec.type_guid == Guid::UNUSED {
            return bad("the type GUID is zero, which means an unused entry".to_owned());
        }
        if spec.part_guid == Guid::UNUSED || !guids.insert(spec.part_guid) {
            return bad(format!("the GUID `{}` is zero or used twice", spec.part_guid));
        }
    }
    Ok(())
}

/// Where a partition that starts at `start` ends.
fn check_size(spec: &PartitionSpec, start: u64) -> Result<u64> {
    let bad = |reason: &str| {
        Err(Error::malformed(
            GPT,
            format!("partition `{}`", spec.name),
            format!("{} bytes {reason}", spec.bytes),
        ))
    };
    if spec.bytes == 0 || !spec.bytes.is_multiple_of(SECTOR) {
        return bad("is not a positive multiple of 512");
    }
    // Room for the alignment and the backup table, below what a file offset can express.
    match start.checked_add(spec.bytes) {
        Some(end) if end < i64::MAX as u64 - 4 * ALIGNMENT => Ok(end),
        _ => bad("do not fit on a disk"),
    }
}

/// Writes the protective MBR and both tables of a layout; all else is left as it is.
///
/// # Errors
/// What the writer answers.
pub fn gpt_write<W: Write + Seek>(writer: &mut W, layout: &Layout) -> Result<()> {
    let last = layout.bytes / SECTOR - 1;
    let table = layout.table();
    let primary = Header {
        other_lba: last,
        first_usable: 2 + TABLE_SECTORS,
        last_usable: last - TABLE_SECTORS - 1,
        disk_guid: layout.disk_guid,
        table_lba: 2,
        entries: ENTRIES,
        entry_bytes: ENTRY_BYTES,
        table_crc: crc32(&table),
    };
    let backup = Header { other_lba: 1, table_lba: last - TABLE_SECTORS, ..primary.clone() };
    let pieces = [
        (0, layout.mbr(last)),
        (1, primary.encode(1, SECTOR as usize)),
        (2, table.clone()),
        (backup.table_lba, table),
        (last, backup.encode(last, SECTOR as usize)),
    ];
    for (lba, bytes) in pieces {
        writer
            .seek(SeekFrom::Start(lba * SECTOR))
            .and_then(|_| writer.write_all(&bytes))
            .map_err(|e| Error::io("write", "the partition table", e))?;
    }
    Ok(())
}

/// Makes a new sparse image with that layout. An existing file is left alone and is an error.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn create(path: &Path, layout: &Layout) -> Result<File> {
    let name = path.display().to_string();
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|e| Error::io("create", &name, e))?;
    file.set_len(layout.bytes).map_err(|e| Error::io("extend", &name, e))?;
    gpt_write(&mut file, layout)?;
    Ok(file)
}

/// UEFI 5.2.3: one entry of type `ee` from block 1 to the end, capped at 32 bits.
fn protective_mbr(last: u64) -> Vec<u8> {
    let mut mbr = vec![0; SECTOR as usize];
    let entry = &mut mbr[446..462];
    entry[1..4].copy_from_slice(&[0, 2, 0]);
    entry[4] = 0xee;
    entry[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&1_u32.to_le_bytes());
    entry[12..16].copy_from_slice(&u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}
