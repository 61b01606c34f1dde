//! ext2, ext3 and ext4 (Linux, `Documentation/filesystems/ext4/`), read without replaying a journal.
//!
//! Read here because extended attributes (file capabilities) and link counts are needed. Metadata checksums are
//! not verified: this tells what the bytes say, and integrity is dm-verity's business.

mod inode;
mod map;
mod xattr;

use std::collections::BTreeSet;

use super::builder::{Builder, text};
use super::entry::device_numbers;
use super::{Contents, Entry, FileTree, Kind, MAX_PATH_BYTES, RootKind};
use crate::source::field;
use crate::{Error, Result, Source};
use inode::Inode;

pub(super) const EXT4: &str = "ext4";
const ROOT: u32 = 2;
/// `s_magic`.
const MAGIC: u16 = 0xef53;
/// Bytes of one folder's listing.
const MAX_FOLDER_BYTES: u64 = 32 << 20;
/// Bytes of all listings together, so that many folders cannot share one large listing.
const MAX_LISTED_BYTES: u64 = 256 << 20;

pub(super) fn bad(at: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::malformed(EXT4, at, reason)
}

/// Incompatible features (`s_feature_incompat`) that this reader knows.
const KNOWN: u32 = 0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x2000 | 0x4000 | 0x8000;
/// Those that it names when it refuses them.
const REFUSED: [(u32, &str, &str); 6] = [
    (0x4, "a journal that must be replayed", "run `e2fsck -p` on a copy first"),
    (0x1, "compression", "make the file system without it"),
    (0x8, "a journal device", "give the file system, not its journal"),
    (0x10, "meta block groups", "make it with `-O ^meta_bg`"),
    (0x400, "attributes in inodes", "make it with `-O ^ea_inode`"),
    (0x10000, "encryption", "make it with `-O ^encrypt`"),
];

struct Ext4 {
    source: Source,
    block_bytes: u64,
    /// All of it, as the superblock says.
    bytes: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_bytes: u64,
    descriptor_bytes: u64,
    descriptors_at: u64,
    file_type_in_folder: bool,
}

/// What a file system keeps back for one user and one group (`fs/ext4/ext4.h`, `struct ext4_super_block`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Size of the file system.
    pub bytes: u64,
    /// Bytes that nobody else gets (`s_r_blocks_count`).
    pub reserved_bytes: u64,
    /// The user that does (`s_def_resuid`).
    pub uid: u16,
    /// The group that does (`s_def_resgid`).
    pub gid: u16,
}

/// What an ext4 keeps back.
///
/// # Errors
/// When it is none, or has features that are not read.
pub fn reserved(source: &Source) -> Result<Reserved> {
    let ext4 = Ext4::read(source)?;
    let block: [u8; 1024] = source.read_array(1024)?;
    if field::u16(&block, 56) != Some(MAGIC) {
        return Err(bad("superblock", "its magic is missing"));
    }
    let short = || bad("superblock", "too short");
    let wide = field::u32(&block, 96).ok_or_else(short)? & 0x80 != 0;
    let high = if wide { field::u32(&block, 340).ok_or_else(short)? } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(field::u32(&block, 8).ok_or_else(short)?);
    Ok(Reserved {
        bytes: ext4.bytes,
        reserved_bytes: blocks.saturating_mul(ext4.block_bytes),
        uid: field::u16(&block, 80).ok_or_else(short)?,
        gid: field::u16(&block, 82).ok_or_else(short)?,
    })
}

impl Ext4 {
    fn read(source: &Source) -> Result<Self> {
        let block: [u8; 1024] = source.read_array(1024)?;
        let short = || bad("superblock", "too short");
        let u16_at = |at| field::u16(&block, at).ok_or_else(short);
        let u32_at = |at| field::u32(&block, at).ok_or_else(short);
        let incompat = u32_at(96)?;
        for (bit, feature, hint) in REFUSED {
            if incompat & bit != 0 {
                return Err(Error::unsupported(EXT4, feature, hint));
            }
        }
        if incompat & !KNOWN != 0 {
            let feature = format!("feature {:#x}", incompat & !KNOWN);
            return Err(Error::unsupported(EXT4, feature, "make it with the features of Debian's `mke2fs`"));
        }
        let log = u32_at(24)?;
        if log > 6 {
            return Err(bad(
                "superblock",
                format!("a block size of 2^{} is not possible", 10 + u64::from(log)),
            ));
        }
        let block_bytes = 1024 << log;
        let dynamic = u32_at(76)? >= 1;
        let inode_bytes = if dynamic { u16_at(88)? } else { 128 };
        if !inode_bytes.is_power_of_two() || inode_bytes < 128 || u64::from(inode_bytes) > block_bytes {
            return Err(bad("superblock", format!("an inode size of {inode_bytes} is not possible")));
        }
        let descriptor_bytes = if incompat & 0x80 != 0 { u16_at(254)? } else { 32 };
        if !descriptor_bytes.is_power_of_two() || !(32..=1024).contains(&descriptor_bytes) {
            return Err(bad("superblock", format!("a group descriptor of {descriptor_bytes} bytes")));
        }
        let high = if incompat & 0x80 != 0 { u32_at(336)? } else { 0 };
        let blocks = u64::from(high) << 32 | u64::from(u32_at(4)?);
        let (inodes, inodes_per_group) = (u32_at(0)?, u32_at(40)?);
        if inodes_per_group == 0 || inodes < ROOT {
            return Err(bad("superblock", "it has no inodes"));
        }
        Ok(Self {
            source: source.clone(),
            block_bytes,
            bytes: blocks.saturating_mul(block_bytes),
            inodes,
            inodes_per_group,
            inode_bytes: inode_bytes.into(),
            descriptor_bytes: descriptor_bytes.into(),
            descriptors_at: (u64::from(u32_at(20)?) + 1) * block_bytes,
            file_type_in_folder: incompat & 0x2 != 0,
        })
    }

    /// Reads inode `number`, counted from 1.
    fn inode(&self, number: u32) -> Result<Inode> {
        if number == 0 || number > self.inodes {
            return Err(bad(format!("inode {number}"), format!("there are {}", self.inodes)));
        }
        let group = u64::from((number - 1) / self.inodes_per_group);
        let index = u64::from((number - 1) % self.inodes_per_group);
        let descriptor = self
            .source
            .read_vec(self.descriptors_at + group * self.descriptor_bytes, self.descriptor_bytes)?;
        let low = field::u32(&descriptor, 8).unwrap_or(0);
        let high = if self.descriptor_bytes >= 64 { field::u32(&descriptor, 40).unwrap_or(0) } else { 0 };
        let table = u64::from(high) << 32 | u64::from(low);
        let at = table
            .checked_mul(self.block_bytes)
            .and_then(|at| at.checked_add(index * self.inode_bytes))
            .ok_or_else(|| bad(format!("inode {number}"), "it is outside the image"))?;
        Inode::parse(number, self.source.read_vec(at, self.inode_bytes)?)
    }

    fn block(&self, number: u64) -> Result<Vec<u8>> {
        let at = number.checked_mul(self.block_bytes);
        self.source.read_vec(
            at.ok_or_else(|| bad(format!("block {number}"), "it is outside the image"))?,
            self.block_bytes,
        )
    }

    /// Name and inode of each entry of a folder.
    fn list(&self, inode: &Inode, path: &str) -> Result<Vec<(Vec<u8>, u32)>> {
        let bytes = inode.size();
        if bytes > MAX_FOLDER_BYTES {
            return Err(Error::limit(EXT4, format!("listing of `{path}` in bytes"), bytes, MAX_FOLDER_BYTES));
        }
        let content = self.content(inode, bytes)?;
        let mut found = Vec::new();
        if inode.inline() {
            // The parent's number comes first; what does not fit in the inode is a list of its own.
            let (own, rest) = content.split_at(content.len().min(inode::INLINE_BYTES));
            self.entries(own.get(4..).unwrap_or(&[]), path, &mut found)?;
            self.entries(rest, path, &mut found)?;
        } else {
            for block in content.chunks(self.block_bytes as usize) {
                self.entries(block, path, &mut found)?;
            }
        }
        Ok(found)
    }

    /// The entries of one block. Index blocks of a hashed folder look like blocks without a name.
    fn entries(&self, block: &[u8], path: &str, found: &mut Vec<(Vec<u8>, u32)>) -> Result<()> {
        let broken = || bad(format!("`{path}`"), "an entry of its listing is broken");
        let mut at = 0;
        while at + 8 <= block.len() {
            let inode = field::u32(block, at).ok_or_else(broken)?;
            let stored = usize::from(field::u16(block, at + 4).ok_or_else(broken)?);
            let length =
                if matches!(stored, 0 | 0xffff) && block.len() == 1 << 16 { 1 << 16 } else { stored };
            let name_bytes = if self.file_type_in_folder {
                usize::from(block[at + 6])
            } else {
                usize::from(field::u16(block, at + 6).ok_or_else(broken)?)
            };
            if length < 8 || at + length > block.len() || (inode != 0 && 8 + name_bytes > length) {
                return Err(broken());
            }
            if inode != 0 {
                let name = &block[at + 8..at + 8 + name_bytes];
                if !matches!(name, b"." | b"..") {
                    found.push((name.to_vec(), inode));
                }
            }
            at += length;
        }
        Ok(())
    }

    fn entry(&self, number: u32, inode: &Inode, path: &str) -> Result<Entry> {
        let device = || device_numbers(inode.device());
        let kind = match inode.mode() & 0o170_000 {
            0o100_000 => Kind::File { size: inode.size() },
            0o040_000 => Kind::Directory,
            0o120_000 => {
                let bytes = inode.size();
                if bytes > MAX_PATH_BYTES as u64 {
                    return Err(Error::limit(
                        EXT4,
                        "length of a link in bytes",
                        bytes,
                        MAX_PATH_BYTES as u64,
                    ));
                }
                let target = match inode.fast_link() {
                    Some(target) => target.to_vec(),
                    None => self.content(inode, bytes)?,
                };
                Kind::Symlink { target: text(&target) }
            }
            0o020_000 => {
                let (major, minor) = device();
                Kind::CharDevice { major, minor }
            }
            0o060_000 => {
                let (major, minor) = device();
                Kind::BlockDevice { major, minor }
            }
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            other => return Err(bad(format!("`{path}`"), format!("{other:#o} is no file type"))),
        };
        Ok(Entry {
            kind,
            mode: inode.mode() & 0o7777,
            uid: inode.uid(),
            gid: inode.gid(),
            mtime: inode.mtime(),
            links: inode.links(),
            xattrs: xattr::read(self, inode)?.0,
            implied: false,
            node: number.into(),
        })
    }
}

impl Contents for Ext4 {
    fn read(&self, path: &str, node: u64, size: u64) -> Result<Vec<u8>> {
        let number = u32::try_from(node).map_err(|_| Error::path(path, "it has no inode"))?;
        self.content(&self.inode(number)?, size)
    }
}

pub(super) fn open(source: &Source) -> Result<FileTree> {
    let ext4 = Ext4::read(source)?;
    let mut builder = Builder::new(EXT4);
    let root = ext4.inode(ROOT)?;
    if root.mode() & 0o170_000 != 0o040_000 {
        return Err(bad("inode 2", "the root is no folder"));
    }
    builder.insert("/".to_owned(), ext4.entry(ROOT, &root, "/")?)?;
    let mut seen = BTreeSet::from([ROOT]);
    let mut open = vec![("/".to_owned(), root)];
    let mut listed = 0;
    while let Some((folder, inode)) = open.pop() {
        listed += inode.size();
        if listed > MAX_LISTED_BYTES {
            return Err(Error::limit(EXT4, "all listings in bytes", listed, MAX_LISTED_BYTES));
        }
        for (name, number) in ext4.list(&inode, &folder)? {
            let path = builder.child(&folder, &name)?;
            let inode = ext4.inode(number)?;
            let entry = ext4.entry(number, &inode, &path)?;
            let is_folder = entry.kind == Kind::Directory;
            builder.insert(path.clone(), entry)?;
            if is_folder {
                if !seen.insert(number) {
                    return Err(bad(format!("`{path}`"), "the folder is there twice: a loop"));
                }
                open.push((path, inode));
            }
        }
    }
    let end = ext4.bytes;
    Ok(FileTree::new(RootKind::Ext4, builder.finish(), Box::new(ext4)).ending_at(end))
}
