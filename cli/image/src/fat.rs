//! FAT file systems: the root folder of FAT16 and FAT32, read as a boot ROM reads it; as a whole in [`crate::tree::open_fat`].
//!
//! Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03. Blocks of 512 bytes alone. The table is held in memory, up to a
//! bound; both copies must agree.

use crate::source::field;
use crate::{Error, Result, Source};

const FAT: &str = "FAT";
const SECTOR: u64 = 512;
/// Largest table that is held.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// Entries of the root folder that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Bytes of a folder, as the format has it.
const MAX_FOLDER_BYTES: u64 = 2 << 20;
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

/// How wide an entry of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// A FAT file system.
#[derive(Clone, Debug)]
pub struct Fat {
    source: Source,
    table: Vec<u8>,
    width: Width,
    /// Bytes of the whole by its own words.
    bytes: u64,
    cluster_bytes: u64,
    /// Byte where the second cluster, the first one, begins.
    data: u64,
    /// Number of the last cluster.
    last: u32,
    root: Root,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    /// FAT12 and FAT16: a place of its own, in bytes.
    Fixed { at: u64, bytes: u64 },
    /// FAT32: a chain.
    Chain(u32),
}

/// Clusters that belong to something.
pub(crate) struct Used(Vec<u64>);

impl Used {
    /// Takes a cluster; false where it was taken before.
    fn take(&mut self, cluster: u32) -> bool {
        let (word, bit) = (cluster as usize / 64, 1 << (cluster % 64));
        self.0.get_mut(word).is_some_and(|word| {
            let free = *word & bit == 0;
            *word |= bit;
            free
        })
    }
}

impl Fat {
    /// Opens a file system whose sizes fit its image and whose tables agree.
    ///
    /// # Errors
    /// What is wrong with it; that it is FAT12, which boot ROMs are not given.
    pub fn open(source: Source) -> Result<Self> {
        let fat = Self::open_any(source)?;
        if fat.width == Width::Twelve {
            let reason = format!(
                "{} clusters and a root folder of its own are neither FAT16's nor FAT32's",
                fat.last.saturating_sub(1)
            );
            return Err(Error::malformed(FAT, "boot sector", reason));
        }
        Ok(fat)
    }

    /// As [`Fat::open`], FAT12, too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_any(source: Source) -> Result<Self> {
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
        let (width, needed) = match clusters {
            0..4085 => (Width::Twelve, ((clusters + 2) * 3).div_ceil(2)),
            4085..65_525 => (Width::Sixteen, (clusters + 2) * 2),
            _ => (Width::ThirtyTwo, (clusters + 2) * 4),
        };
        if (width == Width::ThirtyTwo) != (entries == 0) {
            return bad(
                "boot sector",
                format!(
                    "{clusters} clusters and {entries} entries of the root folder are neither FAT16's nor FAT32's"
                ),
            );
        }
        let table_bytes = table_sectors * SECTOR;
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
        let root = if width == Width::ThirtyTwo {
            Root::Chain(field::u32(&boot, 44).unwrap_or_default())
        } else {
            Root::Fixed { at: root_at, bytes: entries * ENTRY as u64 }
        };
        let last = u32::try_from(clusters + 1).unwrap_or(u32::MAX);
        Ok(Self {
            source,
            table,
            width,
            bytes: sectors * SECTOR,
            cluster_bytes: per_cluster * SECTOR,
            data: data_sector * SECTOR,
            last,
            root,
        })
    }

    /// Whether it is FAT32.
    #[must_use]
    pub fn is_fat32(&self) -> bool {
        self.width == Width::ThirtyTwo
    }

    /// Where it ends by its own words.
    pub(crate) fn end(&self) -> u64 {
        self.bytes
    }

    /// To tell clusters that belong to two things: none is taken.
    pub(crate) fn none_used(&self) -> Used {
        Used(vec![0; self.last as usize / 64 + 1])
    }

    /// What is in the root folder, in its order.
    ///
    /// # Errors
    /// A broken chain, a name that is none, or more entries than are looked at.
    pub fn entries(&self) -> Result<Vec<FatEntry>> {
        self.root_entries((MAX_ENTRIES * ENTRY) as u64, None)
    }

    /// What is in a folder, or in the root folder: any number of entries that the format allows. Each cluster counts as used.
    pub(crate) fn list(&self, folder: Option<&FatEntry>, used: &mut Used) -> Result<Vec<FatEntry>> {
        let Some(folder) = folder else { return self.root_entries(MAX_FOLDER_BYTES, Some(used)) };
        let what = format!("the folder `{}`", folder.name);
        let bytes = self.chain(folder.first, None, MAX_FOLDER_BYTES, &what, Some(used))?;
        let mut entries = self.parse(&bytes);
        // Itself and the one above it.
        entries.retain(|entry| !matches!(entry.short.as_str(), "." | ".."));
        Ok(entries)
    }

    /// The bytes of a file where they lie. Each cluster counts as used.
    pub(crate) fn content(&self, entry: &FatEntry, used: &mut Used) -> Result<Source> {
        if entry.bytes == 0 {
            return Ok(Source::from_bytes(&entry.name, Vec::new()));
        }
        let at = format!("`{}`", entry.name);
        let runs = self.runs(entry.first, Some(entry.bytes), u64::MAX, &at, Some(used))?;
        self.source.pieces(runs)
    }

    fn root_entries(&self, limit: u64, used: Option<&mut Used>) -> Result<Vec<FatEntry>> {
        let bytes = match self.root {
            Root::Fixed { at, bytes } if bytes <= limit => self.source.read_vec(at, bytes)?,
            Root::Fixed { bytes, .. } => {
                return Err(Error::limit(FAT, "root folder in bytes", bytes, limit));
            }
            Root::Chain(first) => self.chain(first, None, limit, "the root folder", used)?,
        };
        Ok(self.parse(&bytes))
    }

    /// The entries of a folder's bytes.
    fn parse(&self, bytes: &[u8]) -> Vec<FatEntry> {
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
                    let high = field::u16(entry, 20).filter(|_| self.is_fat32()).unwrap_or_default();
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
        found
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
        self.chain(entry.first, Some(entry.bytes), limit, &at, None)
    }

    /// The bytes of a chain, as many as `wanted` or to its end.
    fn chain(
        &self,
        first: u32,
        wanted: Option<u64>,
        limit: u64,
        what: &str,
        used: Option<&mut Used>,
    ) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        for (at, bytes) in self.runs(first, wanted, limit, what, used)? {
            all.extend(self.source.read_vec(at, bytes)?);
        }
        Ok(all)
    }

    /// Where the bytes of a chain lie: from byte, so many; clusters that follow each other are one piece.
    fn runs(
        &self,
        first: u32,
        wanted: Option<u64>,
        limit: u64,
        what: &str,
        mut used: Option<&mut Used>,
    ) -> Result<Vec<(u64, u64)>> {
        let bad = |reason: String| Err(Error::malformed(FAT, what, reason));
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let (mut cluster, mut bytes) = (first, 0_u64);
        loop {
            if !(2..=self.last).contains(&cluster) {
                return bad(format!(
                    "its chain leads to the cluster {cluster}, the last one is {}",
                    self.last
                ));
            }
            if used.as_mut().is_some_and(|used| !used.take(cluster)) {
                return bad(format!(
                    "its chain leads to the cluster {cluster}, which is part of another or of itself"
                ));
            }
            let at = self.data + u64::from(cluster - 2) * self.cluster_bytes;
            let rest = wanted.map_or(self.cluster_bytes, |wanted| wanted - bytes).min(self.cluster_bytes);
            match runs.last_mut() {
                Some((start, len)) if *start + *len == at => *len += rest,
                _ => runs.push((at, rest)),
            }
            bytes += rest;
            let next = self.next(cluster);
            let (done, end) = (wanted == Some(bytes), self.is_end(next));
            if end && (done || wanted.is_none()) {
                return Ok(runs);
            }
            if done != end {
                let word = if done { "longer" } else { "shorter" };
                return bad(format!("its chain is {word} than the file"));
            }
            // A chain may be a ring.
            if bytes > limit {
                return Err(Error::limit(FAT, format!("{what} in bytes"), bytes, limit));
            }
            cluster = next;
        }
    }

    fn next(&self, cluster: u32) -> u32 {
        let number = cluster as usize;
        match self.width {
            Width::ThirtyTwo => field::u32(&self.table, number * 4).unwrap_or_default() & 0x0fff_ffff,
            Width::Sixteen => u32::from(field::u16(&self.table, number * 2).unwrap_or_default()),
            Width::Twelve => {
                let pair = u32::from(field::u16(&self.table, number + number / 2).unwrap_or_default());
                if number.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
            }
        }
    }

    fn is_end(&self, next: u32) -> bool {
        next >= match self.width {
            Width::ThirtyTwo => 0x0fff_fff8,
            Width::Sixteen => 0xfff8,
            Width::Twelve => 0xff8,
        }
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
