//! The inode's fields (Linux, `Documentation/filesystems/ext4/inodes.rst`).

use super::bad;
use crate::Result;
use crate::source::field;

/// Bytes of `i_block`: a map, a short link, or the start of inline data.
pub(super) const INLINE_BYTES: usize = 60;
const ENCRYPTED: u32 = 0x800;
const EXTENTS: u32 = 0x8_0000;
const INLINE_DATA: u32 = 0x1000_0000;

pub(super) struct Inode {
    pub number: u32,
    bytes: Vec<u8>,
}

impl Inode {
    /// Takes at least 128 bytes, which the caller has read.
    pub fn parse(number: u32, bytes: Vec<u8>) -> Result<Self> {
        let inode = Self { number, bytes };
        if inode.bytes.len() < 128 {
            return Err(bad(format!("inode {number}"), "it has less than 128 bytes"));
        }
        if inode.flags() & ENCRYPTED != 0 {
            return Err(bad(format!("inode {number}"), "it is encrypted"));
        }
        Ok(inode)
    }

    fn u16(&self, at: usize) -> u32 {
        field::u16(&self.bytes, at).map_or(0, u32::from)
    }

    fn u32(&self, at: usize) -> u32 {
        field::u32(&self.bytes, at).unwrap_or(0)
    }

    pub fn mode(&self) -> u32 {
        self.u16(0)
    }

    pub fn uid(&self) -> u32 {
        self.u16(2) | self.u16(120) << 16
    }

    pub fn gid(&self) -> u32 {
        self.u16(24) | self.u16(122) << 16
    }

    pub fn links(&self) -> u32 {
        self.u16(26)
    }

    fn flags(&self) -> u32 {
        self.u32(32)
    }

    pub fn size(&self) -> u64 {
        u64::from(self.u32(108)) << 32 | u64::from(self.u32(4))
    }

    /// Seconds since 1970; two more bits are in `i_mtime_extra`.
    pub fn mtime(&self) -> i64 {
        let extra = if self.extra_bytes() >= 12 { self.u32(136) & 3 } else { 0 };
        i64::from(self.u32(16) as i32) + (i64::from(extra) << 32)
    }

    fn extra_bytes(&self) -> usize {
        if self.bytes.len() > 128 { self.u16(128) as usize } else { 0 }
    }

    pub fn extents(&self) -> bool {
        self.flags() & EXTENTS != 0
    }

    pub fn inline(&self) -> bool {
        self.flags() & INLINE_DATA != 0
    }

    /// `i_block`.
    pub fn map(&self) -> &[u8] {
        &self.bytes[40..40 + INLINE_BYTES]
    }

    /// The target of a link that is short enough to lie in the inode.
    pub fn fast_link(&self) -> Option<&[u8]> {
        let short = self.size() < INLINE_BYTES as u64 && !self.extents() && !self.inline();
        short.then(|| &self.map()[..self.size() as usize])
    }

    /// A device's number: the old 16-bit form first, else the new one.
    pub fn device(&self) -> u32 {
        match self.u32(40) {
            0 => self.u32(44),
            old => (old & 0xff00) | (old & 0xff),
        }
    }

    /// The block that holds more extended attributes; 0 for none.
    pub fn xattr_block(&self) -> u64 {
        u64::from(self.u16(118)) << 32 | u64::from(self.u32(104))
    }

    /// The extended attributes in the inode's own space, after their magic.
    pub fn xattr_area(&self) -> Option<&[u8]> {
        let at = 128 + self.extra_bytes();
        (self.bytes.len() > 128 && field::u32(&self.bytes, at) == Some(super::xattr::MAGIC))
            .then(|| &self.bytes[at + 4..])
    }
}
