//! squashfs 4.0 (Linux, `Documentation/filesystems/squashfs.rst`).
//!
//! Read here and not by a library: extended attributes are needed (file capabilities), and a release build
//! aborts on a panic, so a parser that may panic on hostile input is no choice.

mod inode;
mod meta;
mod xattr;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::builder::{Builder, MAX_ENTRIES, text};
use super::entry::device_numbers;
use super::{Contents, Entry, FileTree, Kind, RootKind};
use crate::source::field;
use crate::unpack::Codec;
use crate::{Error, Result, Source};
use inode::{Body, Inode};
use meta::{Cursor, Meta};

pub(super) const SQUASHFS: &str = "squashfs";
const NONE: u64 = u64::MAX;
/// In a data block's size: it is stored as it is.
const UNCOMPRESSED: u32 = 1 << 24;
const NO_FRAGMENT: u32 = u32::MAX;

pub(super) fn bad(at: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::malformed(SQUASHFS, at, reason)
}

struct Superblock {
    block_bytes: u32,
    fragments: u32,
    codec: Codec,
    ids: u16,
    root: u64,
    id_table: u64,
    xattr_table: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
}

impl Superblock {
    fn read(source: &Source) -> Result<(Self, Source)> {
        let block: [u8; 96] = source.read_array(0)?;
        let short = || bad("superblock", "too short");
        let u16_at = |at| field::u16(&block, at).ok_or_else(short);
        let u32_at = |at| field::u32(&block, at).ok_or_else(short);
        let u64_at = |at| field::u64(&block, at).ok_or_else(short);
        let version = (u16_at(28)?, u16_at(30)?);
        if version != (4, 0) {
            return Err(bad(
                "superblock",
                format!("expected version 4.0, found {}.{}", version.0, version.1),
            ));
        }
        let (block_bytes, log) = (u32_at(12)?, u16_at(22)?);
        if !(12..=20).contains(&log) || block_bytes != 1 << log {
            return Err(bad(
                "superblock",
                format!("a block size of {block_bytes} (2^{log}) is not possible"),
            ));
        }
        let codec = match u16_at(20)? {
            1 => Codec::Zlib,
            2 => Codec::Lzma,
            4 => Codec::Xz,
            5 => Codec::Lz4Block,
            6 => Codec::Zstd,
            other => {
                let name = ["?", "gzip", "lzma", "lzo", "xz", "lz4"].get(usize::from(other)).unwrap_or(&"?");
                let feature = format!("compression {other} ({name})");
                return Err(Error::unsupported(
                    SQUASHFS,
                    feature,
                    "pack it with gzip, lz4, lzma, xz or zstd",
                ));
            }
        };
        let used = u64_at(40)?;
        // What follows (a hash tree, padding) is not part of the file system.
        let window = source.slice(0, used)?;
        let superblock = Self {
            block_bytes,
            fragments: u32_at(16)?,
            codec,
            ids: u16_at(26)?,
            root: u64_at(32)?,
            id_table: u64_at(48)?,
            xattr_table: u64_at(56)?,
            inode_table: u64_at(64)?,
            directory_table: u64_at(72)?,
            fragment_table: u64_at(80)?,
        };
        Ok((superblock, window))
    }
}

struct Squashfs {
    superblock: Superblock,
    source: Source,
    meta: Arc<Meta>,
    /// The last fragment block: many small files lie in one.
    fragment: Mutex<Option<(u64, Arc<[u8]>)>>,
}

/// A folder that is still to be listed.
struct Open {
    path: String,
    block: u32,
    offset: u16,
    bytes: u32,
}

pub(super) fn open(source: &Source) -> Result<FileTree> {
    let (superblock, source) = Superblock::read(source)?;
    let meta = Arc::new(Meta::new(source.clone(), superblock.codec));
    let squashfs = Squashfs { superblock, source, meta, fragment: Mutex::default() };
    let ids = squashfs.ids()?;
    let mut xattrs = xattr::Table::read(&squashfs.meta, &squashfs.source, squashfs.superblock.xattr_table)?;
    let mut builder = Builder::new(SQUASHFS);
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    let mut add =
        |path: String, node: u64, expected: Option<u16>, open: &mut Vec<Open>, builder: &mut Builder| {
            let inode = squashfs.inode(node)?;
            if expected.is_some_and(|kind| kind != inode.basic_type) {
                return Err(bad(format!("`{path}`"), "its folder and its inode disagree about its type"));
            }
            if let Body::Directory { block, offset, bytes } = inode.body {
                if !seen.insert(inode.number) {
                    return Err(bad(format!("`{path}`"), "the folder is there twice: a loop"));
                }
                open.push(Open { path: path.clone(), block, offset, bytes });
            }
            let entry = entry(&inode, node, &ids, &mut xattrs, &path)?;
            builder.insert(path, entry)
        };
    add("/".to_owned(), squashfs.superblock.root, Some(1), &mut open, &mut builder)?;
    while let Some(folder) = open.pop() {
        for (name, node, kind) in squashfs.list(&folder)? {
            let path = builder.child(&folder.path, &name)?;
            add(path, node, Some(kind), &mut open, &mut builder)?;
        }
    }
    // What only the listing needed: many trees may be open at once.
    squashfs.meta.forget();
    let end = squashfs.source.len();
    Ok(FileTree::new(RootKind::Squashfs, builder.finish(), Box::new(squashfs)).ending_at(end))
}

fn entry(inode: &Inode, node: u64, ids: &[u32], xattrs: &mut xattr::Table, path: &str) -> Result<Entry> {
    let id = |index: u16| {
        let missing = || bad(format!("`{path}`"), format!("owner number {index} is not in the table"));
        ids.get(usize::from(index)).copied().ok_or_else(missing)
    };
    let device = |number| device_numbers(number);
    let kind = match &inode.body {
        Body::Directory { .. } => Kind::Directory,
        Body::File { bytes, .. } => Kind::File { size: *bytes },
        Body::Symlink { target } => Kind::Symlink { target: text(target) },
        Body::BlockDevice { number } => {
            let (major, minor) = device(*number);
            Kind::BlockDevice { major, minor }
        }
        Body::CharDevice { number } => {
            let (major, minor) = device(*number);
            Kind::CharDevice { major, minor }
        }
        Body::Fifo => Kind::Fifo,
        Body::Socket => Kind::Socket,
    };
    Ok(Entry {
        kind,
        mode: u32::from(inode.mode) & 0o7777,
        uid: id(inode.uid)?,
        gid: id(inode.gid)?,
        mtime: i64::from(inode.mtime),
        links: inode.links,
        xattrs: xattrs.of(inode.xattr)?,
        implied: false,
        node,
    })
}

impl Squashfs {
    /// A cursor at a reference: block relative to a table, and offset in the unpacked block.
    fn at(&self, table: u64, block: u64, offset: u16) -> Result<Cursor<'_>> {
        let at = table.checked_add(block).ok_or_else(|| bad("reference", "it is outside the image"))?;
        self.meta.cursor(at, usize::from(offset))
    }

    fn inode(&self, node: u64) -> Result<Inode> {
        Ok(self.inode_and_rest(node)?.0)
    }

    fn inode_and_rest(&self, node: u64) -> Result<(Inode, Cursor<'_>)> {
        let mut cursor = self.at(self.superblock.inode_table, node >> 16, node as u16)?;
        let inode = Inode::read(&mut cursor)?;
        Ok((inode, cursor))
    }

    /// An entry of an indexed table: `size` bytes at `index`, packed in blocks of 8 KiB.
    fn indexed(&self, table: u64, index: u64, size: u64) -> Result<Cursor<'_>> {
        let per_block = meta::BLOCK_BYTES as u64 / size;
        let place = table
            .checked_add(index / per_block * 8)
            .ok_or_else(|| bad("table", "it is outside the image"))?;
        let block = u64::from_le_bytes(self.source.read_array(place)?);
        self.meta.cursor(block, (index % per_block * size) as usize)
    }

    fn ids(&self) -> Result<Vec<u32>> {
        (0..u64::from(self.superblock.ids))
            .map(|index| self.indexed(self.superblock.id_table, index, 4)?.u32())
            .collect()
    }

    /// Name, inode reference and basic type of each entry.
    fn list(&self, folder: &Open) -> Result<Vec<(Vec<u8>, u64, u16)>> {
        let mut found = Vec::new();
        // The size counts `.` and `..` as three bytes that are not stored.
        let mut left = folder.bytes.saturating_sub(3) as usize;
        if left == 0 {
            return Ok(found);
        }
        let broken = || bad(format!("`{}`", folder.path), "its listing ends inside an entry");
        let mut cursor = self.at(self.superblock.directory_table, folder.block.into(), folder.offset)?;
        while left > 0 {
            left = left.checked_sub(12).ok_or_else(broken)?;
            let (count, block, _) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
            if count >= 256 {
                return Err(bad(format!("`{}`", folder.path), format!("a run of {count} entries")));
            }
            for _ in 0..=count {
                let (offset, _, kind, size) = (cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?);
                let name = cursor.bytes(usize::from(size & 0xff) + 1)?;
                left = left.checked_sub(8 + name.len()).ok_or_else(broken)?;
                found.push((name, u64::from(block) << 16 | u64::from(offset), kind));
            }
            if found.len() > MAX_ENTRIES {
                let (count, limit) = (found.len() as u64, MAX_ENTRIES as u64);
                return Err(Error::limit(SQUASHFS, "number of paths", count, limit));
            }
        }
        Ok(found)
    }

    fn data_block(&self, at: u64, stored: u32, path: &str) -> Result<Vec<u8>> {
        let bytes = stored & (UNCOMPRESSED - 1);
        if bytes > self.superblock.block_bytes {
            return Err(bad(format!("`{path}`"), format!("a stored block of {bytes} bytes")));
        }
        let packed = self.source.read_vec(at, bytes.into())?;
        if stored & UNCOMPRESSED != 0 {
            return Ok(packed);
        }
        self.superblock
            .codec
            .block(&packed, self.superblock.block_bytes as usize)
            .map_err(|reason| bad(format!("`{path}`, block at byte {at}"), reason))
    }
}

impl Squashfs {
    fn fragment_block(&self, at: u64, stored: u32, path: &str) -> Result<Arc<[u8]>> {
        let mut last = self.fragment.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = last.as_ref().filter(|(place, _)| *place == at) {
            return Ok(Arc::clone(block));
        }
        let block: Arc<[u8]> = self.data_block(at, stored, path)?.into();
        *last = Some((at, Arc::clone(&block)));
        Ok(block)
    }
}

impl Contents for Squashfs {
    fn read(&self, path: &str, node: u64, size: u64) -> Result<Vec<u8>> {
        let (inode, mut cursor) = self.inode_and_rest(node)?;
        let Body::File { start, fragment, fragment_offset, .. } = inode.body else {
            return Err(bad(format!("`{path}`"), "its inode is no file"));
        };
        let block_bytes = u64::from(self.superblock.block_bytes);
        let whole = if fragment == NO_FRAGMENT { size.div_ceil(block_bytes) } else { size / block_bytes };
        let mut content = Vec::new();
        let mut at = start;
        for number in 0..whole {
            let expected = block_bytes.min(size - number * block_bytes) as usize;
            let stored = cursor.u32()?;
            if stored == 0 {
                content.resize(content.len() + expected, 0);
                continue;
            }
            let block = self.data_block(at, stored, path)?;
            if block.len() != expected {
                let reason = format!("block {number} has {} bytes, expected {expected}", block.len());
                return Err(bad(format!("`{path}`"), reason));
            }
            content.extend_from_slice(&block);
            at = at.saturating_add(u64::from(stored & (UNCOMPRESSED - 1)));
        }
        let tail = (size - content.len() as u64) as usize;
        if tail > 0 {
            if fragment >= self.superblock.fragments {
                return Err(bad(format!("`{path}`"), format!("fragment {fragment} does not exist")));
            }
            let mut entry = self.indexed(self.superblock.fragment_table, fragment.into(), 16)?;
            let (start, stored) = (entry.u64()?, entry.u32()?);
            let block = self.fragment_block(start, stored, path)?;
            let from = fragment_offset as usize;
            let piece = block.get(from..from.saturating_add(tail));
            let missing = || bad(format!("`{path}`"), format!("fragment {fragment} is too short"));
            content.extend_from_slice(piece.ok_or_else(missing)?);
        }
        Ok(content)
    }
}
