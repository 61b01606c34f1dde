//! The GPT header (UEFI 5.3.2) and the partition entries (UEFI 5.3.3), field by field.

use crate::disk::{GPT, Guid, Partition};
use crate::source::field;
use crate::{Error, Result};

pub(crate) const SIGNATURE: &[u8; 8] = b"EFI PART";
pub(crate) const HEADER_BYTES: u32 = 92;
/// The usual table has 16 KiB; more than this is not a table.
pub(crate) const MAX_TABLE_BYTES: u64 = 1 << 20;
/// UTF-16 units of a name.
pub(crate) const NAME_UNITS: usize = 36;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub other_lba: u64,
    pub first_usable: u64,
    pub last_usable: u64,
    pub disk_guid: Guid,
    pub table_lba: u64,
    pub entries: u32,
    pub entry_bytes: u32,
    pub table_crc: u32,
}

/// CRC-32 as partition tables have it (UEFI 2.10, 5.3.2), and some boot ROMs' headers.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

impl Header {
    /// Reads and checks the header that should lie at block `lba`.
    pub fn parse(block: &[u8], lba: u64, which: &str) -> Result<Self> {
        let at = || format!("{which} header at block {lba}");
        let short = || Error::malformed(GPT, at(), "the block is too short");
        if block.get(..8) != Some(SIGNATURE) {
            return Err(Error::malformed(GPT, at(), "expected the signature `EFI PART`"));
        }
        let u32_at = |offset| field::u32(block, offset).ok_or_else(short);
        let u64_at = |offset| field::u64(block, offset).ok_or_else(short);
        let revision = u32_at(8)?;
        if revision != 0x0001_0000 {
            return Err(Error::malformed(
                GPT,
                at(),
                format!("expected revision 1.0, found {revision:#010x}"),
            ));
        }
        let size = u32_at(12)?;
        let mut covered = block
            .get(..size as usize)
            .filter(|_| size >= HEADER_BYTES)
            .ok_or_else(|| Error::malformed(GPT, at(), format!("a header of {size} bytes is not possible")))?
            .to_vec();
        covered[16..20].fill(0);
        let (stored, computed) = (u32_at(16)?, crc32(&covered));
        if stored != computed {
            return Err(Error::malformed(
                GPT,
                at(),
                format!("its CRC is {stored:#010x}, computed {computed:#010x}"),
            ));
        }
        let own = u64_at(24)?;
        if own != lba {
            return Err(Error::malformed(GPT, at(), format!("it says that it lies at block {own}")));
        }
        let header = Self {
            other_lba: u64_at(32)?,
            first_usable: u64_at(40)?,
            last_usable: u64_at(48)?,
            disk_guid: Guid::from_stored(field::array(block, 56).ok_or_else(short)?),
            table_lba: u64_at(72)?,
            entries: u32_at(80)?,
            entry_bytes: u32_at(84)?,
            table_crc: u32_at(88)?,
        };
        let unit = header.entry_bytes / 128;
        if !header.entry_bytes.is_multiple_of(128) || !unit.is_power_of_two() || unit > 32 {
            let reason = format!("an entry of {} bytes is not possible", header.entry_bytes);
            return Err(Error::malformed(GPT, at(), reason));
        }
        Ok(header)
    }

    pub fn table_bytes(&self) -> u64 {
        u64::from(self.entries) * u64::from(self.entry_bytes)
    }

    pub fn check_table(&self, table: &[u8], which: &str) -> Result<()> {
        let computed = crc32(table);
        if computed == self.table_crc {
            return Ok(());
        }
        let reason = format!("its CRC is {:#010x}, computed {computed:#010x}", self.table_crc);
        Err(Error::malformed(GPT, format!("{which} partition table"), reason))
    }

    /// The header block as stored at `lba`.
    pub fn encode(&self, lba: u64, sector: usize) -> Vec<u8> {
        let mut block = vec![0; sector];
        block[..8].copy_from_slice(SIGNATURE);
        block[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
        block[12..16].copy_from_slice(&HEADER_BYTES.to_le_bytes());
        for (at, value) in [
            (24, lba),
            (32, self.other_lba),
            (40, self.first_usable),
            (48, self.last_usable),
            (72, self.table_lba),
        ] {
            block[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        block[56..72].copy_from_slice(&self.disk_guid.stored());
        for (at, value) in [(80, self.entries), (84, self.entry_bytes), (88, self.table_crc)] {
            block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let crc = crc32(&block[..HEADER_BYTES as usize]);
        block[16..20].copy_from_slice(&crc.to_le_bytes());
        block
    }
}

/// What the two copies disagree about; only their own places may differ.
pub(crate) fn difference(primary: &(Header, Vec<u8>), backup: &(Header, Vec<u8>)) -> Option<Error> {
    let (one, two) = (&primary.0, &backup.0);
    let what = if primary.1 != backup.1 {
        "partition entries"
    } else if one.disk_guid != two.disk_guid {
        "disk GUID"
    } else if (one.first_usable, one.last_usable) != (two.first_usable, two.last_usable) {
        "usable blocks"
    } else if two.other_lba != 1 {
        "place of the primary header"
    } else {
        return None;
    };
    Some(Error::malformed(GPT, "primary and backup table", format!("they disagree about the {what}")))
}

/// One entry of the table; `None` when it is unused.
pub(crate) fn entry(number: u32, entry: &[u8], sector: u64, header: &Header) -> Result<Option<Partition>> {
    let short = || Error::malformed(GPT, format!("entry {number}"), "the entry is too short");
    let type_guid = Guid::from_stored(field::array(entry, 0).ok_or_else(short)?);
    if type_guid == Guid::UNUSED {
        return Ok(None);
    }
    let units: Vec<u16> = (0..NAME_UNITS)
        .map_while(|unit| field::u16(entry, 56 + 2 * unit))
        .take_while(|unit| *unit != 0)
        .collect();
    let name = String::from_utf16_lossy(&units);
    let (first_lba, last_lba) =
        (field::u64(entry, 32).ok_or_else(short)?, field::u64(entry, 40).ok_or_else(short)?);
    let bad = |reason: String| Error::malformed(GPT, format!("entry {number} (`{name}`)"), reason);
    if first_lba > last_lba {
        return Err(bad(format!("it starts at block {first_lba}, after its end at {last_lba}")));
    }
    if first_lba < header.first_usable || last_lba > header.last_usable {
        return Err(bad(format!(
            "blocks {first_lba}-{last_lba} are outside the usable blocks {}-{}",
            header.first_usable, header.last_usable
        )));
    }
    let offset = first_lba.checked_mul(sector);
    let end = last_lba.checked_add(1).and_then(|end| end.checked_mul(sector));
    let (Some(offset), Some(end)) = (offset, end) else {
        return Err(bad("its blocks are outside every disk".to_owned()));
    };
    Ok(Some(Partition {
        index: number,
        name,
        type_guid,
        part_guid: Guid::from_stored(field::array(entry, 16).ok_or_else(short)?),
        attributes: field::u64(entry, 48).ok_or_else(short)?,
        first_lba,
        last_lba,
        offset,
        bytes: end - offset,
    }))
}
