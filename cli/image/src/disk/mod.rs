//! GPT disk images (UEFI specification 2.10, chapter 5): the reader, and a reproducible writer.
//!
//! Both copies of the table are read and compared. [`Disk::open`] accepts only a table with no defect;
//! [`Disk::open_damaged`] takes what is left of a foreign image and lists what is wrong with it.
//!
//! ```no_run
//! use image::disk::Disk;
//! let disk = Disk::open("disk.img".as_ref())?;
//! for partition in disk.partitions() {
//!     let _ = (&partition.name, partition.offset, partition.bytes);
//! }
//! let root = image::tree::open_source(&disk.named("rootfs-a")?)?;
//! # Ok::<(), image::Error>(())
//! ```

mod guid;
mod header;
mod layout;
pub mod mbr;

use std::path::Path;

pub use guid::Guid;
pub use header::crc32;
pub use layout::{ALIGNMENT, Layout, PartitionSpec, SECTOR, create, gpt_write};

use crate::source::field;
use crate::{Error, Result, Source, SubReader};
use header::{Header, MAX_TABLE_BYTES};

pub(crate) const GPT: &str = "GPT";

/// One used entry of the partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number as Linux counts, from 1; empty entries are counted too.
    pub index: u32,
    /// Its name (UTF-16 in the table; what is not UTF-16 becomes `U+FFFD`).
    pub name: String,
    /// What it is for.
    pub type_guid: Guid,
    /// Its own identity (`PARTUUID`).
    pub part_guid: Guid,
    /// Attribute bits.
    pub attributes: u64,
    /// First logical block.
    pub first_lba: u64,
    /// Last logical block, inclusive.
    pub last_lba: u64,
    /// Where it starts, in bytes from the start of the disk.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A disk image with a GPT.
#[derive(Clone, Debug)]
pub struct Disk {
    source: Source,
    guid: Guid,
    sector: u64,
    partitions: Vec<Partition>,
}

impl Disk {
    /// Opens an image whose protective MBR and both tables are whole, equal and in range.
    ///
    /// # Errors
    /// The first defect found, or what keeps it from being read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_source(Source::open(path)?)
    }

    /// As [`Disk::open`], from bytes that are open already.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn from_source(source: Source) -> Result<Self> {
        let (disk, defects) = Self::from_damaged_source(source)?;
        match defects.into_iter().next() {
            Some(defect) => Err(defect),
            None => Ok(disk),
        }
    }

    /// Opens an image of which at least one table is whole, with the list of what is wrong.
    ///
    /// # Errors
    /// When neither table can be used.
    pub fn open_damaged(path: &Path) -> Result<(Self, Vec<Error>)> {
        Self::from_damaged_source(Source::open(path)?)
    }

    /// As [`Disk::open_damaged`], from bytes that are open already.
    ///
    /// # Errors
    /// As [`Disk::open_damaged`].
    pub fn from_damaged_source(source: Source) -> Result<(Self, Vec<Error>)> {
        let mut defects = Vec::new();
        let sector = sector_size(&source);
        let primary = read_copy(&source, sector, 1, "primary");
        let last = (source.len() / sector).saturating_sub(1);
        let backup_lba = primary.as_ref().map_or(last, |(header, _)| header.other_lba);
        let backup = read_copy(&source, sector, backup_lba, "backup");
        let (header, table) = match (primary, backup) {
            (Ok(primary), Ok(backup)) => {
                if let Some(defect) = header::difference(&primary, &backup) {
                    defects.push(defect);
                }
                primary
            }
            (Ok(whole), Err(defect)) | (Err(defect), Ok(whole)) => {
                defects.push(defect);
                whole
            }
            (Err(defect), Err(_)) => return Err(defect),
        };
        let partitions = partitions(&source, sector, &header, &table, &mut defects);
        if let Err(defect) = check_protective_mbr(&source, &partitions) {
            defects.insert(0, defect);
        }
        Ok((Self { source, guid: header.disk_guid, sector, partitions }, defects))
    }

    /// The disk's GUID.
    #[must_use]
    pub fn guid(&self) -> Guid {
        self.guid
    }

    /// Bytes of a logical block: 512 or 4096.
    #[must_use]
    pub fn sector(&self) -> u64 {
        self.sector
    }

    /// The used entries, in table order.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The bytes of a partition.
    ///
    /// # Errors
    /// When the image ends before the partition does.
    pub fn contents(&self, partition: &Partition) -> Result<Source> {
        self.source.slice(partition.offset, partition.bytes)
    }

    /// A reader bounded to a partition.
    ///
    /// # Errors
    /// As [`Disk::contents`].
    pub fn reader(&self, partition: &Partition) -> Result<SubReader> {
        Ok(self.contents(partition)?.reader())
    }

    /// The bytes of the one partition with that name.
    ///
    /// # Errors
    /// When there is none, or more than one: a boot loader might take the other.
    pub fn named(&self, name: &str) -> Result<Source> {
        let mut found = self.partitions.iter().filter(|partition| partition.name == name);
        match (found.next(), found.next()) {
            (Some(partition), None) => self.contents(partition),
            (None, _) => {
                let names: Vec<_> = self.partitions.iter().map(|p| format!("`{}`", p.name)).collect();
                let found = if names.is_empty() { "no partition".to_owned() } else { names.join(", ") };
                Err(Error::malformed(
                    GPT,
                    format!("partition `{name}`"),
                    format!("not found; there is {found}"),
                ))
            }
            (Some(one), Some(two)) => Err(Error::malformed(
                GPT,
                format!("partition `{name}`"),
                format!("the name is used twice, by entries {} and {}", one.index, two.index),
            )),
        }
    }
}

/// UEFI 5.2.3: signature `55 aa`, and one entry of type `ee` that starts at block 1. Entries besides are accepted where each is a
/// partition of the table itself: then both can be read in one way alone.
fn check_protective_mbr(source: &Source, partitions: &[Partition]) -> Result<()> {
    let mbr: [u8; 512] = source.read_array(0)?;
    let bad = |reason: String| Err(Error::malformed(GPT, "protective MBR", reason));
    if mbr[510..] != [0x55, 0xaa] {
        return bad(format!("expected the signature `55aa`, found `{:02x}{:02x}`", mbr[510], mbr[511]));
    }
    let used: Vec<_> = (0..4).map(|i| &mbr[446 + 16 * i..462 + 16 * i]).filter(|e| e[4] != 0).collect();
    let foreign = |entry: &&[u8]| {
        let word = |at| u64::from(field::u32(entry, at).unwrap_or_default());
        let (first, blocks) = (word(8), word(12));
        let is = |partition: &Partition| {
            partition.first_lba == first && partition.last_lba.checked_sub(first) == blocks.checked_sub(1)
        };
        entry[4] == 0xee || !partitions.iter().any(is)
    };
    let used: Vec<_> = used.into_iter().filter(foreign).collect();
    match used.as_slice() {
        [entry] if entry[4] == 0xee && field::u32(entry, 8) == Some(1) => Ok(()),
        [entry] if entry[4] == 0xee => bad("the protective entry does not start at block 1".to_owned()),
        [] => bad("expected one entry of type `ee`, found none".to_owned()),
        _ => {
            bad("it has entries besides the protective one: a hybrid table can be read in two ways"
                .to_owned())
        }
    }
}

/// 512, or 4096 when the header is found only there.
fn sector_size(source: &Source) -> u64 {
    let signed = |at| source.read_array::<8>(at).is_ok_and(|found| &found == header::SIGNATURE);
    if !signed(512) && signed(4096) { 4096 } else { 512 }
}

fn read_copy(source: &Source, sector: u64, lba: u64, which: &'static str) -> Result<(Header, Vec<u8>)> {
    let at = lba.checked_mul(sector).ok_or_else(|| {
        Error::malformed(GPT, format!("{which} header"), format!("block {lba} is outside every disk"))
    })?;
    let header = Header::parse(&source.read_vec(at, sector)?, lba, which)?;
    let bytes = header.table_bytes();
    if bytes > MAX_TABLE_BYTES {
        return Err(Error::limit(GPT, format!("{which} table in bytes"), bytes, MAX_TABLE_BYTES));
    }
    let table_at = header.table_lba.saturating_mul(sector);
    let table = source.read_vec(table_at, bytes)?;
    header.check_table(&table, which)?;
    Ok((header, table))
}

fn partitions(
    source: &Source,
    sector: u64,
    header: &Header,
    table: &[u8],
    defects: &mut Vec<Error>,
) -> Vec<Partition> {
    let mut found = Vec::new();
    let entries = table.chunks_exact((header.entry_bytes as usize).max(128));
    for (number, entry) in (1..).zip(entries) {
        match header::entry(number, entry, sector, header) {
            Ok(Some(partition)) => {
                if partition.offset + partition.bytes > source.len() {
                    defects.push(Error::malformed(
                        GPT,
                        format!("entry {number} (`{}`)", partition.name),
                        format!("it ends after the image, which has {} bytes", source.len()),
                    ));
                }
                found.push(partition);
            }
            Ok(None) => {}
            Err(defect) => defects.push(defect),
        }
    }
    let mut sorted: Vec<&Partition> = found.iter().collect();
    sorted.sort_by_key(|partition| partition.first_lba);
    for pair in sorted.windows(2) {
        if pair[1].first_lba <= pair[0].last_lba {
            defects.push(Error::malformed(
                GPT,
                format!("entries {} and {}", pair[0].index, pair[1].index),
                "the partitions overlap",
            ));
        }
    }
    found
}
