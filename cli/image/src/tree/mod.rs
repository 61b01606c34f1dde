//! A root file system as one value, whatever it was packed in.
//!
//! [`open_rootfs`] tells a folder, squashfs, ext4, tar or cpio by its first bytes (tar and cpio also packed by
//! bzip2, gzip, xz or zstd). Names, modes and owners are read at once; file contents on demand, with the caller's limit.
//! Links are followed inside the tree only, and nothing is ever unpacked onto the host under its own name.
//!
//! ```no_run
//! use image::tree::open_rootfs;
//! let tree = open_rootfs("rootfs.squashfs".as_ref())?;
//! let (real, entry) = tree.resolve("/etc/os-release")?;
//! println!("{real} {:o}", entry.mode);
//! let text = tree.read("/etc/os-release", 64 << 10)?;
//! # Ok::<(), image::Error>(())
//! ```

mod archive;
mod builder;
mod cpio;
mod entry;
mod ext4;
mod fat;
mod folder;
mod open;
mod squashfs;
mod tar;

use std::collections::BTreeMap;

pub use builder::{MAX_DEPTH, MAX_ENTRIES, MAX_NAMES_BYTES, MAX_PATH_BYTES, MAX_XATTR_BYTES};
pub use entry::{Entry, Kind};
pub use ext4::{Reserved, reserved};
pub use fat::open as open_fat;
pub use open::{open_rootfs, open_source};

use crate::{Error, Result, Source};

/// Links followed in one [`FileTree::resolve`], as Linux does.
pub const MAX_LINKS: usize = 40;

/// What a tree was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// A folder of this host; owners are those of the host's files.
    Folder,
    /// A squashfs image.
    Squashfs,
    /// An ext2, ext3 or ext4 image.
    Ext4,
    /// A tar archive.
    Tar,
    /// A cpio archive (`newc`).
    Cpio,
    /// A FAT file system, as boot ROMs and firmware read it.
    Fat,
}

impl std::fmt::Display for RootKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Folder => "folder",
            Self::Squashfs => "squashfs",
            Self::Ext4 => "ext4",
            Self::Tar => "tar",
            Self::Cpio => "cpio",
            Self::Fat => "FAT",
        })
    }
}

/// Where file contents come from. `node` is the reader's own number for the file.
pub(crate) trait Contents: Send + Sync {
    /// Exactly `size` bytes; the caller has compared `size` with its limit.
    fn read(&self, path: &str, node: u64, size: u64) -> Result<Vec<u8>>;

    /// The place of a file's bytes, where they lie together in the image and as they are.
    fn place(&self, _node: u64) -> Option<Source> {
        None
    }
}

/// Every path of a root file system.
pub struct FileTree {
    kind: RootKind,
    entries: BTreeMap<String, Entry>,
    contents: Box<dyn Contents>,
    end: Option<u64>,
}

impl std::fmt::Debug for FileTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTree").field("kind", &self.kind).field("entries", &self.entries).finish()
    }
}

impl FileTree {
    pub(crate) fn new(kind: RootKind, entries: BTreeMap<String, Entry>, contents: Box<dyn Contents>) -> Self {
        Self { kind, entries, contents, end: None }
    }

    pub(crate) fn ending_at(self, end: u64) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Where the file system or archive ends by its own words, in bytes from its start. What lies behind is not part of
    /// it; an end behind the source's is one that was cut off. `None` where everything belongs to it.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// The bytes of an archive's member without a copy of them; `None` where they are packed or in pieces.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<Source> {
        let entry = self.get(path)?;
        if matches!(entry.kind, Kind::File { .. }) { self.contents.place(entry.node) } else { None }
    }

    /// What it was read from.
    #[must_use]
    pub fn kind(&self) -> RootKind {
        self.kind
    }

    /// All entries by absolute path, `/` included, sorted.
    ///
    /// A byte of a name that is not UTF-8 appears as `\xNN`.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The entry at exactly this path; no link is followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry that a program running in this tree would find, and its real path.
    ///
    /// # Errors
    /// When something on the way is missing, is no folder, or more than [`MAX_LINKS`] links are met.
    pub fn resolve(&self, path: &str) -> Result<(String, &Entry)> {
        self.walk(path, true)
    }

    /// As [`FileTree::resolve`], but a link at the very end is not followed (`lstat`).
    ///
    /// # Errors
    /// As [`FileTree::resolve`].
    pub fn resolve_link(&self, path: &str) -> Result<(String, &Entry)> {
        self.walk(path, false)
    }

    /// The content of a file, links followed.
    ///
    /// # Errors
    /// When it is missing, no regular file, larger than `max_bytes`, or broken in the image.
    pub fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>> {
        let (real, entry) = self.resolve(path)?;
        let Kind::File { size } = entry.kind else {
            return Err(Error::path(path, format!("expected a regular file, found a {}", entry.kind.name())));
        };
        if size > max_bytes {
            return Err(Error::path(
                path,
                format!("it has {size} bytes, more than the limit of {max_bytes}"),
            ));
        }
        self.contents.read(&real, entry.node, size)
    }

    fn walk(&self, path: &str, follow_last: bool) -> Result<(String, &Entry)> {
        let mut pending: Vec<String> = parts_reversed(path);
        let mut real = String::from("/");
        let mut links = 0;
        let missing = |at: &str| Error::path(path, format!("`{at}` does not exist in the image"));
        let mut entry = self.get("/").ok_or_else(|| missing("/"))?;
        while let Some(part) = pending.pop() {
            if entry.kind != Kind::Directory {
                return Err(Error::path(path, format!("`{real}` is a {}, not a folder", entry.kind.name())));
            }
            if part == ".." {
                real.truncate(real.rfind('/').unwrap_or(0).max(1));
                entry = self.get(&real).ok_or_else(|| missing(&real))?;
                continue;
            }
            let folder = real.len();
            if real != "/" {
                real.push('/');
            }
            real.push_str(&part);
            entry = self.get(&real).ok_or_else(|| missing(&real))?;
            let Kind::Symlink { target } = &entry.kind else { continue };
            if pending.is_empty() && !follow_last {
                break;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::path(path, format!("more than {MAX_LINKS} links, the last at `{real}`")));
            }
            real.truncate(if target.starts_with('/') { 1 } else { folder });
            entry = self.get(&real).ok_or_else(|| missing(&real))?;
            pending.extend(parts_reversed(target));
        }
        Ok((real, entry))
    }
}

fn parts_reversed(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}
