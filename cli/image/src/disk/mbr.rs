//! The older partition table (MBR with logical partitions), as foreign disk images have it. Read only.
//!
//! Source: UEFI 2.10, clause 5.2.1, for the entries; the chain of extended boot records as Linux follows it
//! (`block/partitions/msdos.c`).

use crate::source::field;
use crate::{Error, Result, Source};

const MBR: &str = "MBR";
const SECTOR: u64 = 512;
/// Logical partitions that are followed: a chain can be a ring.
const MAX_LOGICAL: u32 = 60;
/// Types of extended partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// One used entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MbrPartition {
    /// Its number as Linux counts: 1 to 4, logical ones from 5.
    pub index: u32,
    /// Its type byte.
    pub kind: u8,
    /// Where it starts, in bytes from the start of the disk.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The partitions, or `None` where the first sector is no partition table: other things, too, end
/// with its signature.
///
/// # Errors
/// When it is one, and an entry lies outside the image or the chain of logical partitions is broken.
pub fn partitions(source: &Source) -> Result<Option<Vec<MbrPartition>>> {
    let Ok(sector) = source.read_array::<512>(0) else { return Ok(None) };
    let entries: Vec<Entry> = (0..4).map(|number| Entry::read(&sector, number)).collect();
    let plausible = sector[510..] == [0x55, 0xaa]
        && entries.iter().all(|entry| matches!(entry.status, 0 | 0x80))
        && entries.iter().any(|entry| entry.kind != 0)
        && entries.iter().all(|entry| (entry.kind == 0) == (entry.sectors == 0));
    if !plausible {
        return Ok(None);
    }
    let mut found = Vec::new();
    for (index, entry) in (1..).zip(&entries) {
        if EXTENDED.contains(&entry.kind) {
            logical(source, entry, &mut found)?;
        } else if entry.kind != 0 {
            found.push(entry.partition(source, index, 0)?);
        }
    }
    Ok(Some(found))
}

struct Entry {
    status: u8,
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Entry {
    fn read(sector: &[u8; 512], number: usize) -> Self {
        let at = 446 + 16 * number;
        let word = |at| u64::from(field::u32(sector, at).unwrap_or_default());
        Self { status: sector[at], kind: sector[at + 4], first: word(at + 8), sectors: word(at + 12) }
    }

    fn partition(&self, source: &Source, index: u32, base: u64) -> Result<MbrPartition> {
        let (offset, bytes) = ((base + self.first) * SECTOR, self.sectors * SECTOR);
        if self.first == 0 || offset + bytes > source.len() {
            let reason =
                format!("it is {bytes} bytes at byte {offset}, the image has {} bytes", source.len());
            return Err(Error::malformed(MBR, format!("partition {index}"), reason));
        }
        Ok(MbrPartition { index, kind: self.kind, offset, bytes })
    }
}

/// Each record describes one partition from its own place, and the next record from the chain's start.
fn logical(source: &Source, extended: &Entry, found: &mut Vec<MbrPartition>) -> Result<()> {
    let mut at = extended.first;
    for number in 0..MAX_LOGICAL {
        let record = source.read_array::<512>(at * SECTOR)?;
        if record[510..] != [0x55, 0xaa] {
            return Err(Error::malformed(
                MBR,
                format!("record at sector {at}"),
                "expected the signature `55aa`",
            ));
        }
        let (own, next) = (Entry::read(&record, 0), Entry::read(&record, 1));
        if own.kind != 0 {
            found.push(own.partition(source, 5 + number, at)?);
        }
        if next.kind == 0 {
            return Ok(());
        }
        at = extended.first + next.first;
    }
    Err(Error::limit(MBR, "number of logical partitions", u64::from(MAX_LOGICAL) + 1, u64::from(MAX_LOGICAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sector: &mut [u8], number: usize, kind: u8, first: u32, sectors: u32) {
        let at = 446 + 16 * number;
        sector[at + 4] = kind;
        sector[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    fn disk(change: impl FnOnce(&mut Vec<u8>)) -> Result<Option<Vec<MbrPartition>>> {
        let mut bytes = vec![0; 64 * 512];
        entry(&mut bytes, 0, 0x0c, 2, 4);
        entry(&mut bytes, 1, 0x05, 10, 50);
        entry(&mut bytes[10 * 512..], 0, 0x83, 2, 3);
        entry(&mut bytes[10 * 512..], 1, 0x05, 20, 10);
        entry(&mut bytes[30 * 512..], 0, 0x83, 1, 4);
        change(&mut bytes);
        partitions(&Source::from_bytes("x", bytes))
    }

    #[test]
    fn primary_and_logical_partitions_are_found() {
        let found = disk(|_| {}).unwrap().unwrap();
        let places: Vec<_> = found.iter().map(|p| (p.index, p.kind, p.offset / 512, p.bytes / 512)).collect();
        assert_eq!(places, [(1, 0x0c, 2, 4), (5, 0x83, 12, 3), (6, 0x83, 31, 4)]);
    }

    #[test]
    fn what_is_no_table_is_none_and_what_is_broken_is_said() {
        assert_eq!(disk(|bytes| bytes[446] = 0x7f).unwrap(), None);
        assert_eq!(disk(|bytes| bytes[511] = 0).unwrap(), None);
        assert_eq!(partitions(&Source::from_bytes("x", vec![0; 100])).unwrap(), None);
        let why = |change: fn(&mut Vec<u8>)| disk(change).unwrap_err().to_string();
        let outside = why(|bytes| entry(bytes, 0, 0x0c, u32::MAX, u32::MAX));
        assert!(
            outside.contains("partition 1") && outside.contains("the image has 32768 bytes"),
            "{outside}"
        );
        let ring = why(|bytes| entry(&mut bytes[30 * 512..], 1, 0x05, 20, 10));
        assert!(ring.contains("number of logical partitions"), "{ring}");
        let unsigned = why(|bytes| bytes[30 * 512 + 510] = 0);
        assert!(unsigned.contains("record at sector 30"), "{unsigned}");
    }
}
