//! FAT16 and FAT32 file systems: the root folder, read as a boot ROM reads it.
//!
//! Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03. Blocks of 512 bytes alone; what is in folders below the root is
//! named, not read. The table is held in memory, up to a bound; both copies must agree.

use crate::source::field;
use crate::{Error, Result, Source};

const FAT: &str = "FAT";
const SECTOR: u64 = 512;
/// Largest table that is held.
const MAX_TABLE_BYTES: u64 = 8 << 20;
/// Entries of the root folder that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Bytes of an entry.
const ENTRY: usize = 32;
/// Attributes of a part of a long name: read-only, hidden, system, label.
const LONG_NAME: u8 = 0x0f;
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;

/// A file or folder of the root folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatEntry {
    /// Its long name, else the short one.
    pub name: String,
    /// Its short name, which many a boot ROM goes by: `BOOT.BIN`.
    pub short: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Its size in bytes; 0 for a folder.
    pub bytes: u64,
    first: u32,
}

/// A FAT file system.
#[derive(Clone, Debug)]
pub struct Fat {
    source: Source,
    table: Vec<u8>,
    wide: bool,
    cluster_bytes: u64,
    /// Byte where the second cluster, the first one, begins.
    data: u64,
    /// Number of the last cluster.
    last: u32,
    root: Root,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    /// FAT16: a place of its own, in bytes.
    Fixed { at: u64, bytes: u64 },
    /// FAT32: a chain.
    Chain(u32),
}

impl Fat {
    /// Opens a file system whose sizes fit its image and whose tables agree.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(source: Source) -> Result<Self> {
        let boot: [u8; 512] = source.read_array(0)?;
        let bad = |at: &str, reason: String| Err(Error::malformed(FAT, at, reason));
        if boot[510..] != [0x55, 0xaa] {
            return bad(
                "boot sector",
                format!("expected `55aa`, found `{:02x}{:02x}`", boot[510], boot[511]),
            );
        }
        let half = |at| u64::from(field::u16(&boot, at).unwrap_or_default());
        let whole = |at| u64::from(field::u32(&boot, at).unwrap_or_default());
        let either = |small: u64, large: u64| if small == 0 { large } else { small };
        let (sector, per_cluster, copies) = (half(11), u64::from(boot[13]), u64::from(boot[16]));
        if sector != SECTOR || !per_cluster.is_power_of_two() || !(1..=2).contains(&copies) {
            return bad(
                "boot sector",
                format!(
                    "expected blocks of 512 bytes, a power of two of them a cluster and one or two tables, found {sector}, \
                     {per_cluster} and {copies}"
                ),
            );
        }
        let (reserved, entries) = (half(14), half(17));
        let (table_sectors, sectors) = (either(half(22), whole(36)), either(half(19), whole(32)));
        let root_sectors = (entries * ENTRY as u64).div_ceil(SECTOR);
        let data_sector = reserved + copies * table_sectors + root_sectors;
        if reserved == 0 || table_sectors == 0 || sectors * SECTOR > source.len() || data_sector >= sectors {
            return bad(
                "boot sector",
                format!(
                    "{sectors} blocks, of which the data's first is {data_sector}, do not fit into {} bytes",
                    source.len()
                ),
            );
        }
        let clusters = (sectors - data_sector) / per_cluster;
        // The number of clusters alone says which kind it is.
        let wide = clusters >= 65_525;
        if clusters < 4085 || wide != (entries == 0) {
            return bad(
                "boot sector",
                format!(
                    "{clusters} clusters and {entries} entries of the root folder are neither FAT16's nor FAT32's"
                ),
            );
        }
        let (table_bytes, needed) = (table_sectors * SECTOR, (clusters + 2) * if wide { 4 } else { 2 });
        if table_bytes > MAX_TABLE_BYTES {
            return Err(Error::limit(FAT, "table in bytes", table_bytes, MAX_TABLE_BYTES));
        }
        if table_bytes < needed {
            return bad("boot sector", format!("the table has {table_bytes} bytes, {needed} are needed"));
        }
        let table = source.read_vec(reserved * SECTOR, table_bytes)?;
        if copies == 2 && source.read_vec(reserved * SECTOR + table_bytes, table_bytes)? != table {
            return bad("tables", "the two copies differ".to_owned());
        }
        let root_at = (reserved + copies * table_sectors) * SECTOR;
        let root = if wide {
            Root::Chain(field::u32(&boot, 44).unwrap_or_default())
        } else {
            Root::Fixed { at: root_at, bytes: entries * ENTRY as u64 }
        };
        let last = u32::try_from(clusters + 1).unwrap_or(u32::MAX);
        Ok(Self {
            source,
            table,
            wide,
            cluster_bytes: per_cluster * SECTOR,
            data: data_sector * SECTOR,
            last,
            root,
        })
    }

    /// Whether it is FAT32.
    #[must_use]
    pub fn is_fat32(&self) -> bool {
        self.wide
    }

    /// What is in the root folder, in its order.
    ///
    /// # Errors
    /// A broken chain, a name that is none, or more entries than are looked at.
    pub fn entries(&self) -> Result<Vec<FatEntry>> {
        let limit = (MAX_ENTRIES * ENTRY) as u64;
        let bytes = match self.root {
            Root::Fixed { at, bytes } if bytes <= limit => self.source.read_vec(at, bytes)?,
            Root::Fixed { bytes, .. } => {
                return Err(Error::limit(FAT, "root folder in bytes", bytes, limit));
            }
            Root::Chain(first) => self.chain(first, None, limit, "the root folder")?,
        };
        let mut found = Vec::new();
        // With the sum of the short name that it belongs to.
        let (mut long, mut belongs): (Vec<u16>, u8) = (Vec::new(), 0);
        for entry in bytes.chunks_exact(ENTRY) {
            match (entry[0], entry[11]) {
                (0, _) => break,
                (0xe5, _) => long.clear(),
                (_, LONG_NAME) => {
                    // The parts come last first.
                    let units: Vec<u16> =
                        [1..11, 14..26, 28..32].into_iter().flat_map(|part| units(&entry[part])).collect();
                    long = if entry[0] & 0x40 == 0 { [units, long].concat() } else { units };
                    belongs = entry[13];
                }
                (_, attributes) if attributes & LABEL != 0 => long.clear(),
                (_, attributes) => {
                    let folder = attributes & FOLDER != 0;
                    let own = !long.is_empty() && belongs == sum(&entry[..11]);
                    let (name, short) = (own.then(|| long_name(&long)), short(entry));
                    long.clear();
                    let high = field::u16(entry, 20).filter(|_| self.wide).unwrap_or_default();
                    found.push(FatEntry {
                        name: name.unwrap_or_else(|| short.clone()),
                        short,
                        folder,
                        bytes: u64::from(field::u32(entry, 28).unwrap_or_default()),
                        first: u32::from(high) << 16 | u32::from(field::u16(entry, 26).unwrap_or_default()),
                    });
                }
            }
        }
        Ok(found)
    }

    /// The content of a file, if it has no more than `limit` bytes.
    ///
    /// # Errors
    /// A folder, a file that is larger, or whose chain is not as long as it says.
    pub fn read(&self, entry: &FatEntry, limit: u64) -> Result<Vec<u8>> {
        let at = format!("`{}`", entry.name);
        if entry.folder {
            return Err(Error::malformed(FAT, at, "it is a folder"));
        }
        if entry.bytes > limit {
            return Err(Error::limit(FAT, format!("{at} in bytes"), entry.bytes, limit));
        }
        if entry.bytes == 0 {
            return Ok(Vec::new());
        }
        self.chain(entry.first, Some(entry.bytes), limit, &at)
    }

    /// The bytes of a chain, as many as `wanted` or to its end.
    fn chain(&self, first: u32, wanted: Option<u64>, limit: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        loop {
            if !(2..=self.last).contains(&cluster) {
                return Err(Error::malformed(
                    FAT,
                    what,
                    format!("its chain leads to the cluster {cluster}, the last one is {}", self.last),
                ));
            }
            let at = self.data + u64::from(cluster - 2) * self.cluster_bytes;
            let rest = wanted.map_or(self.cluster_bytes, |wanted| wanted - bytes.len() as u64);
            bytes.extend(self.source.read_vec(at, rest.min(self.cluster_bytes))?);
            let next = self.next(cluster);
            let (done, end) = (wanted == Some(bytes.len() as u64), self.is_end(next));
            if end && (done || wanted.is_none()) {
                return Ok(bytes);
            }
            if done != end {
                return Err(Error::malformed(
                    FAT,
                    what,
                    format!("its chain is {} than the file", if done { "longer" } else { "shorter" }),
                ));
            }
            // A chain may be a ring.
            if bytes.len() as u64 > limit {
                return Err(Error::limit(FAT, format!("{what} in bytes"), bytes.len() as u64, limit));
            }
            cluster = next;
        }
    }

    fn next(&self, cluster: u32) -> u32 {
        let number = cluster as usize;
        if self.wide {
            field::u32(&self.table, number * 4).unwrap_or_default() & 0x0fff_ffff
        } else {
            u32::from(field::u16(&self.table, number * 2).unwrap_or_default())
        }
    }

    fn is_end(&self, next: u32) -> bool {
        next >= if self.wide { 0x0fff_fff8 } else { 0xfff8 }
    }
}

/// What a long name has of its short one.
fn sum(short: &[u8]) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

fn long_name(units: &[u16]) -> String {
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

/// `BOOT    BIN` is `BOOT.BIN`. Two bits say that a part is in lower case (Linux `fs/fat/dir.c`, `lcase`).
fn short(entry: &[u8]) -> String {
    let text = |part: &[u8], lower: u8| {
        let text = String::from_utf8_lossy(part).trim_end().to_owned();
        if entry[12] & lower == 0 { text } else { text.to_ascii_lowercase() }
    };
    let (stem, extension) = (text(&entry[..8], 0x08), text(&entry[8..11], 0x10));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}
