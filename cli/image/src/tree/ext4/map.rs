//! From a file's blocks to the disk's: extent trees, block maps, inline data.

use super::inode::Inode;
use super::{Ext4, bad, xattr};
use crate::source::field;
use crate::{Error, Result};

/// Nodes and extents of one file that are followed.
const MAX_EXTENTS: u64 = 200_000;
const EXTENT_MAGIC: u16 = 0xf30a;
/// An extent longer than this is allocated, but reads as zeros.
const UNWRITTEN: u16 = 32_768;

/// Blocks of a file that lie together on the disk.
struct Piece {
    logical: u64,
    physical: u64,
    blocks: u64,
}

struct Walk {
    pieces: Vec<Piece>,
    steps: u64,
    /// Where the last extent ended: they are sorted, so that no byte is copied twice.
    end: u64,
    /// Logical blocks that are wanted; what lies after is not followed.
    wanted: u64,
}

impl Walk {
    fn step(&mut self, inode: &Inode) -> Result<()> {
        self.steps += 1;
        // Every step but a few leads to a block of its own.
        let limit = MAX_EXTENTS.min(6 * self.wanted + 16);
        if self.steps > limit {
            let what = format!("number of extents of inode {}", inode.number);
            return Err(Error::limit(super::EXT4, what, self.steps, limit));
        }
        Ok(())
    }
}

impl Ext4 {
    /// The first `size` bytes of a file, which the caller has compared with a limit.
    pub(super) fn content(&self, inode: &Inode, size: u64) -> Result<Vec<u8>> {
        let short = || bad(format!("inode {}", inode.number), "its content is shorter than its size");
        let bytes = usize::try_from(size).map_err(|_| short())?;
        if inode.inline() {
            let mut content = inode.map().to_vec();
            content.extend(xattr::read(self, inode)?.1);
            content.truncate(bytes);
            return if content.len() == bytes { Ok(content) } else { Err(short()) };
        }
        let mut walk = Walk { pieces: Vec::new(), steps: 0, end: 0, wanted: size.div_ceil(self.block_bytes) };
        if inode.extents() {
            self.extents(inode, inode.map(), None, &mut walk)?;
        } else {
            self.block_map(inode, &mut walk)?;
        }
        let mut content = vec![0; bytes];
        for piece in walk.pieces {
            let Some(from) = piece.logical.checked_mul(self.block_bytes).filter(|from| *from < size) else {
                continue;
            };
            let length = piece.blocks.saturating_mul(self.block_bytes).min(size - from);
            let at = piece.physical.checked_mul(self.block_bytes).ok_or_else(short)?;
            self.source.read_at(at, &mut content[from as usize..(from + length) as usize])?;
        }
        Ok(content)
    }

    /// One node of the tree (`Documentation/filesystems/ext4/ifork.rst`); depth falls by one a level.
    fn extents(&self, inode: &Inode, node: &[u8], depth: Option<u16>, walk: &mut Walk) -> Result<()> {
        let broken = |reason: &str| bad(format!("extents of inode {}", inode.number), reason);
        let short = || broken("a node is too short");
        if field::u16(node, 0) != Some(EXTENT_MAGIC) {
            return Err(broken("a node has the wrong magic"));
        }
        let count = field::u16(node, 2).ok_or_else(short)?;
        let own = field::u16(node, 6).ok_or_else(short)?;
        if own > 5 || depth.is_some_and(|expected| own != expected) {
            return Err(broken("a node has the wrong depth"));
        }
        if count == 0 && depth.is_some() {
            return Err(broken("a node below the root is empty"));
        }
        for entry in 0..usize::from(count) {
            let entry = node.get(12 + 12 * entry..24 + 12 * entry).ok_or_else(short)?;
            let logical = u64::from(field::u32(entry, 0).ok_or_else(short)?);
            if logical >= walk.wanted {
                continue;
            }
            walk.step(inode)?;
            if own > 0 {
                let low = field::u32(entry, 4).ok_or_else(short)?;
                let high = field::u16(entry, 8).ok_or_else(short)?;
                let child = self.block(u64::from(high) << 32 | u64::from(low))?;
                self.extents(inode, &child, Some(own - 1), walk)?;
                continue;
            }
            let blocks = field::u16(entry, 4).ok_or_else(short)?;
            let high = field::u16(entry, 6).ok_or_else(short)?;
            let low = field::u32(entry, 8).ok_or_else(short)?;
            if logical < walk.end {
                return Err(broken("two extents overlap, or are not sorted"));
            }
            walk.end = logical + u64::from(if blocks > UNWRITTEN { blocks - UNWRITTEN } else { blocks });
            if blocks <= UNWRITTEN {
                let physical = u64::from(high) << 32 | u64::from(low);
                walk.pieces.push(Piece { logical, physical, blocks: blocks.into() });
            }
        }
        Ok(())
    }

    /// Twelve blocks, then one, two and three levels of tables.
    fn block_map(&self, inode: &Inode, walk: &mut Walk) -> Result<()> {
        let mut logical = 0;
        for (slot, level) in (0..15).zip([0; 12].into_iter().chain(1..=3)) {
            let number = field::u32(inode.map(), 4 * slot).unwrap_or(0);
            self.mapped(inode, number, level, &mut logical, walk)?;
        }
        Ok(())
    }

    fn mapped(
        &self,
        inode: &Inode,
        number: u32,
        level: u32,
        logical: &mut u64,
        walk: &mut Walk,
    ) -> Result<()> {
        let span = (self.block_bytes / 4).pow(level);
        if number == 0 || *logical >= walk.wanted {
            *logical += span;
            return Ok(());
        }
        if level == 0 {
            let physical = u64::from(number);
            match walk.pieces.last_mut() {
                Some(last)
                    if last.physical + last.blocks == physical && last.logical + last.blocks == *logical =>
                {
                    last.blocks += 1;
                }
                _ => {
                    walk.step(inode)?;
                    walk.pieces.push(Piece { logical: *logical, physical, blocks: 1 });
                }
            }
            *logical += 1;
            return Ok(());
        }
        walk.step(inode)?;
        let table = self.block(number.into())?;
        for entry in table.chunks_exact(4) {
            if *logical >= walk.wanted {
                break;
            }
            self.mapped(inode, field::u32(entry, 0).unwrap_or(0), level - 1, logical, walk)?;
        }
        Ok(())
    }
}
