//! Collects entries within fixed limits, so that no image can make the tree large.

use std::collections::BTreeMap;

use super::{Entry, Kind};
use crate::{Error, Result};

/// Paths in one tree.
pub const MAX_ENTRIES: usize = 400_000;
/// Bytes of one path (`PATH_MAX`) or link target.
pub const MAX_PATH_BYTES: usize = 4096;
/// Folders in one path.
pub const MAX_DEPTH: usize = 128;
/// Bytes of all paths and link targets together.
pub const MAX_NAMES_BYTES: usize = 64 << 20;
/// Bytes of all extended attributes together.
pub const MAX_XATTR_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct Builder {
    format: &'static str,
    entries: BTreeMap<String, Entry>,
    names: usize,
    xattrs: usize,
}

impl Builder {
    pub fn new(format: &'static str) -> Self {
        Self { format, entries: BTreeMap::new(), names: 0, xattrs: 0 }
    }

    pub fn finish(mut self) -> BTreeMap<String, Entry> {
        self.entries.entry("/".to_owned()).or_insert_with(Entry::implied_folder);
        self.entries
    }

    /// Adds a path of a file system, where no name may come twice.
    pub fn insert(&mut self, path: String, entry: Entry) -> Result<()> {
        if self.entries.contains_key(&path) {
            return Err(Error::malformed(self.format, format!("`{path}`"), "the name is there twice"));
        }
        self.put(path, entry)
    }

    fn put(&mut self, path: String, entry: Entry) -> Result<()> {
        let target = if let Kind::Symlink { target } = &entry.kind { target.len() } else { 0 };
        self.names += path.len() + target;
        self.xattrs += entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let depth = path.bytes().filter(|byte| *byte == b'/').count();
        for (what, found, limit) in [
            ("length of a path in bytes", path.len().max(target), MAX_PATH_BYTES),
            ("depth of a path", depth, MAX_DEPTH),
            ("length of all paths in bytes", self.names, MAX_NAMES_BYTES),
            ("length of all extended attributes in bytes", self.xattrs, MAX_XATTR_BYTES),
            ("number of paths", self.entries.len() + 1, MAX_ENTRIES),
        ] {
            if found > limit {
                return Err(Error::limit(self.format, what, found as u64, limit as u64));
            }
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Adds a member of an archive: a later one replaces an earlier, missing folders are implied, and
    /// nothing passes through a link.
    pub fn insert_member(&mut self, path: String, entry: Entry) -> Result<()> {
        let bad = |reason: String| Err(Error::malformed(self.format, format!("`{path}`"), reason));
        let mut implied = Vec::new();
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            match self.entries.get(&path[..at]).map(|folder| &folder.kind) {
                Some(Kind::Directory) => {}
                Some(other) => {
                    return bad(format!("it lies below `{}`, which is a {}", &path[..at], other.name()));
                }
                None => implied.push(path[..at].to_owned()),
            }
        }
        if entry.kind != Kind::Directory {
            let below = if path == "/" { path.clone() } else { format!("{path}/") };
            let inside = self.entries.range(below.clone()..).next();
            if path == "/" || inside.is_some_and(|(name, _)| name.starts_with(&below)) {
                return bad(format!("a {} replaces a folder with content", entry.kind.name()));
            }
        }
        for folder in implied {
            self.put(folder, Entry::implied_folder())?;
        }
        self.put(path, entry)
    }

    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    /// The path of a name in a folder of a file system.
    pub fn child(&self, folder: &str, name: &[u8]) -> Result<String> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            let shown = String::from_utf8_lossy(name).into_owned();
            let reason = format!("the name `{}` is not possible", shown.escape_debug());
            return Err(Error::malformed(self.format, format!("`{folder}`"), reason));
        }
        Ok(format!("{}/{}", folder.trim_end_matches('/'), text(name)))
    }

    /// The absolute path of an archive member's name.
    pub fn member(&self, name: &[u8]) -> Result<String> {
        let shown = || format!("member `{}`", text(&name[..name.len().min(200)]).escape_debug());
        if name.len() > MAX_PATH_BYTES {
            let (found, limit) = (name.len() as u64, MAX_PATH_BYTES as u64);
            return Err(Error::limit(self.format, "length of a path in bytes", found, limit));
        }
        if name.contains(&0) {
            return Err(Error::malformed(self.format, shown(), "a NUL in a name"));
        }
        let mut path = String::new();
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    return Err(Error::malformed(
                        self.format,
                        shown(),
                        "`..` in a name could leave the tree",
                    ));
                }
                _ => {
                    path.push('/');
                    path.push_str(&text(part));
                }
            }
        }
        Ok(if path.is_empty() { "/".to_owned() } else { path })
    }
}

/// Names are bytes; what is not UTF-8 is written `\xNN`, so that two names stay two.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
