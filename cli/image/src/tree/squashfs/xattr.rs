//! Extended attributes: a table of lists, each shared by the inodes that have the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bad;
use super::meta::{BLOCK_BYTES, Meta};
use crate::tree::MAX_XATTR_BYTES;
use crate::{Error, Result, Source};

const NONE: u32 = u32::MAX;
/// Bytes of a table entry: reference, count, size.
const ENTRY_BYTES: u64 = 16;
/// Attributes of one inode.
const MAX_COUNT: u32 = 256;
/// Linux accepts no longer value (`XATTR_SIZE_MAX`).
const MAX_VALUE_BYTES: u32 = 64 << 10;
/// In an attribute's type: the value is elsewhere.
const OUT_OF_LINE: u16 = 0x100;

type Attributes = BTreeMap<String, Vec<u8>>;

pub(super) struct Table {
    meta: Arc<Meta>,
    source: Source,
    /// Where the lists start; `None` in an image without attributes.
    lists: Option<u64>,
    count: u32,
    index: u64,
    cache: BTreeMap<u32, Attributes>,
    cached: usize,
}

impl Table {
    pub fn read(meta: &Arc<Meta>, source: &Source, at: u64) -> Result<Self> {
        let mut table = Self {
            meta: Arc::clone(meta),
            source: source.clone(),
            lists: None,
            count: 0,
            index: 0,
            cache: BTreeMap::new(),
            cached: 0,
        };
        if at != super::NONE {
            table.lists = Some(u64::from_le_bytes(source.read_array(at)?));
            table.count = u32::from_le_bytes(source.read_array(at.saturating_add(8))?);
            table.index = at.saturating_add(16);
        }
        Ok(table)
    }

    /// The attributes of an inode.
    pub fn of(&mut self, number: u32) -> Result<Attributes> {
        let Some(lists) = self.lists.filter(|_| number != NONE) else {
            return Ok(Attributes::new());
        };
        if let Some(found) = self.cache.get(&number) {
            return Ok(found.clone());
        }
        let here = || format!("extended attributes {number}");
        if number >= self.count {
            return Err(bad(here(), format!("the table has {}", self.count)));
        }
        let per_block = BLOCK_BYTES as u64 / ENTRY_BYTES;
        let place = self.index.saturating_add(u64::from(number) / per_block * 8);
        let block = u64::from_le_bytes(self.source.read_array(place)?);
        let mut entry = self.meta.cursor(block, (u64::from(number) % per_block * ENTRY_BYTES) as usize)?;
        let (reference, count) = (entry.u64()?, entry.u32()?);
        if count > MAX_COUNT {
            return Err(Error::limit(
                super::SQUASHFS,
                "number of extended attributes",
                count.into(),
                MAX_COUNT.into(),
            ));
        }
        let found = self.list(lists, reference, count)?;
        self.cached += found.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.cached > MAX_XATTR_BYTES {
            let (found, limit) = (self.cached as u64, MAX_XATTR_BYTES as u64);
            return Err(Error::limit(super::SQUASHFS, "extended attributes in bytes", found, limit));
        }
        self.cache.insert(number, found.clone());
        Ok(found)
    }

    fn list(&self, lists: u64, reference: u64, count: u32) -> Result<Attributes> {
        let at = |reference: u64| {
            let block = lists.saturating_add(reference >> 16);
            self.meta.cursor(block, usize::from(reference as u16))
        };
        let mut cursor = at(reference)?;
        let mut found = Attributes::new();
        let mut total = 0;
        for _ in 0..count {
            let (kind, size) = (cursor.u16()?, cursor.u16()?);
            let name = cursor.bytes(usize::from(size))?;
            let prefix = match kind & 0xff {
                0 => "user.",
                1 => "trusted.",
                2 => "security.",
                other => return Err(bad("extended attribute", format!("prefix {other} is not possible"))),
            };
            let value = if kind & OUT_OF_LINE == 0 {
                let size = bounded(cursor.u32()?)?;
                cursor.bytes(size)?
            } else {
                let _ = cursor.u32()?;
                let mut elsewhere = at(cursor.u64()?)?;
                let size = bounded(elsewhere.u32()?)?;
                elsewhere.bytes(size)?
            };
            total += name.len() + value.len();
            if total > MAX_XATTR_BYTES {
                return Err(bad("extended attribute", "one inode has too much"));
            }
            found.insert(format!("{prefix}{}", crate::tree::builder::text(&name)), value);
        }
        Ok(found)
    }
}

fn bounded(size: u32) -> Result<usize> {
    if size > MAX_VALUE_BYTES {
        return Err(bad("extended attribute", format!("a value of {size} bytes is not possible")));
    }
    Ok(size as usize)
}
