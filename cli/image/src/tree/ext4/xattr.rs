//! Extended attributes in the inode and in one block beside it
//! (Linux, `Documentation/filesystems/ext4/attributes.rst`).

use std::collections::BTreeMap;

use super::inode::Inode;
use super::{Ext4, bad};
use crate::Result;
use crate::source::field;
use crate::tree::builder::text;

pub(super) const MAGIC: u32 = 0xea02_0000;
const BLOCK_HEADER_BYTES: usize = 32;
/// `system.data`: what does not fit in the inode of an inline file.
const SYSTEM: u8 = 7;

/// The attributes by full name, and the rest of an inline file's content.
type Found = (BTreeMap<String, Vec<u8>>, Vec<u8>);

pub(super) fn read(ext4: &Ext4, inode: &Inode) -> Result<Found> {
    let mut found = (BTreeMap::new(), Vec::new());
    if let Some(area) = inode.xattr_area() {
        list(inode, area, 0, &mut found)?;
    }
    if inode.xattr_block() != 0 {
        let block = ext4.block(inode.xattr_block())?;
        if field::u32(&block, 0) != Some(MAGIC) {
            let at = format!("extended attributes of inode {}", inode.number);
            return Err(bad(at, "their block has the wrong magic"));
        }
        list(inode, &block, BLOCK_HEADER_BYTES, &mut found)?;
    }
    Ok(found)
}

/// Reads entries from `at`; values are at offsets from the start of `area`.
fn list(inode: &Inode, area: &[u8], mut at: usize, found: &mut Found) -> Result<()> {
    let broken = |reason: &str| bad(format!("extended attributes of inode {}", inode.number), reason);
    let short = || broken("an entry is outside their space");
    // Entries do not overlap but values may: together they must not exceed what holds them.
    let mut room = area.len();
    while field::u32(area, at).is_some_and(|word| word != 0) {
        let name_bytes = usize::from(area[at]);
        let index = area[at + 1];
        let offset = usize::from(field::u16(area, at + 2).ok_or_else(short)?);
        let elsewhere = field::u32(area, at + 4).ok_or_else(short)?;
        let size = field::u32(area, at + 8).ok_or_else(short)? as usize;
        let name = area.get(at + 16..at + 16 + name_bytes).ok_or_else(short)?;
        if elsewhere != 0 {
            return Err(broken("a value lies in another inode, which is not supported"));
        }
        let value = area.get(offset..offset.saturating_add(size)).ok_or_else(short)?;
        room = room.checked_sub(size).ok_or_else(|| broken("the values overlap"))?;
        if index == SYSTEM && name == b"data" {
            found.1 = value.to_vec();
        } else {
            let prefix = match index {
                1 => "user.",
                2 => "system.posix_acl_access",
                3 => "system.posix_acl_default",
                4 => "trusted.",
                6 => "security.",
                7 => "system.",
                8 => "system.richacl",
                _ => return Err(broken("a name has an unknown prefix")),
            };
            found.0.insert(format!("{prefix}{}", text(name)), value.to_vec());
        }
        at = (at + 16 + name_bytes).next_multiple_of(4);
    }
    Ok(())
}
