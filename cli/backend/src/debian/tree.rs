//! The root file system as a list of entries, merged from archives without running anything.
//!
//! Owners, modes and links live in the list; contents live in one spool file. So no root,
//! no fakeroot and no unpacked tree is needed, and the order is always the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};

const MAX_ENTRIES: usize = 200_000;
const MAX_LINKS: usize = 40;

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file: where its content is in the spool.
    File {
        /// Offset in the spool file.
        offset: u64,
        /// Length in bytes.
        length: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink(String),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 12 of them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The tree under construction.
#[derive(Debug)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    spool: File,
    spool_path: PathBuf,
    end: u64,
}

impl Tree {
    /// An empty tree whose contents go to `spool`.
    ///
    /// # Errors
    /// When the spool cannot be made.
    pub fn new(spool: &Path) -> Outcome<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(spool)
            .map_err(|e| Failure::io("make", spool, &e))?;
        Ok(Self { entries: BTreeMap::new(), spool: file, spool_path: spool.to_owned(), end: 0 })
    }

    /// The entries in order, by absolute path.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The entry at a path, links in its folders followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&self.real(path)?)
    }

    /// Changes the permission bits of an entry; `false` if there is none.
    pub fn set_mode(&mut self, path: &str, mode: u32) -> bool {
        let Some(real) = self.real(path) else { return false };
        self.entries.get_mut(&real).map(|entry| entry.mode = mode).is_some()
    }

    /// The content of a regular file of at most 16 MiB.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub fn read(&mut self, path: &str) -> Outcome<Option<Vec<u8>>> {
        let Some(Entry { kind: Kind::File { offset, length }, .. }) = self.get(path).cloned() else {
            return Ok(None);
        };
        if length > 16 << 20 {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.spool
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.spool.read_exact(&mut bytes))
            .map_err(|e| Failure::io("read", &self.spool_path, &e))?;
        Ok(Some(bytes))
    }

    /// Adds the members of a package's archive. Later packages do not replace earlier files:
    /// two packages with one file are an error, as they are for dpkg.
    ///
    /// # Errors
    /// When the archive is damaged, names a path outside the tree, or holds a device.
    pub fn add_archive(&mut self, package: &str, reader: impl Read) -> Outcome<()> {
        let broken = |message: String| {
            Failure::error(ExitStatus::Build, "bad-archive", format!("the package `{package}` {message}"))
                .hint("remove it from the cache's `downloads` folder and build again")
        };
        let mut archive = tar::Archive::new(reader);
        let members = archive.entries().map_err(|e| broken(format!("cannot be read: {e}")))?;
        let mut hard_links = Vec::new();
        for member in members {
            let mut member = member.map_err(|e| broken(format!("is damaged: {e}")))?;
            let name = String::from_utf8(member.path_bytes().into_owned())
                .map_err(|_| broken("has a file name that is not UTF-8".into()))?;
            let path =
                normal(&name).ok_or_else(|| broken(format!("has a member `{name}` that leaves the tree")))?;
            let header = member.header();
            let number = |value: std::io::Result<u64>| value.ok().and_then(|v| u32::try_from(v).ok());
            let (Some(uid), Some(gid), Ok(mode)) =
                (number(header.uid()), number(header.gid()), header.mode())
            else {
                return Err(broken(format!("has a member `{name}` with a damaged header")));
            };
            let mut entry = Entry { kind: Kind::Directory, mode: mode & 0o7777, uid, gid };
            match header.entry_type() {
                tar::EntryType::Directory => {}
                tar::EntryType::Symlink => {
                    let target = member.link_name_bytes().map(|b| String::from_utf8_lossy(&b).into_owned());
                    entry.kind = Kind::Symlink(target.unwrap_or_default());
                    entry.mode = 0o777;
                }
                tar::EntryType::Link => {
                    let target = member.link_name_bytes().map(|b| String::from_utf8_lossy(&b).into_owned());
                    let target = target.as_deref().and_then(normal);
                    hard_links
                        .push((path, target.ok_or_else(|| broken(format!("has a bad link `{name}`")))?));
                    continue;
                }
                tar::EntryType::Regular => {
                    let offset = self.end;
                    let length = self.append(&mut member)?;
                    entry.kind = Kind::File { offset, length };
                }
                other => {
                    return Err(broken(format!(
                        "has a member `{name}` of kind {other:?}, which an image may not get"
                    )));
                }
            }
            self.insert(package, path, entry)?;
        }
        for (path, target) in hard_links {
            let entry =
                self.get(&target).cloned().ok_or_else(|| broken(format!("links `{path}` to nothing")))?;
            self.insert(package, path, entry)?;
        }
        Ok(())
    }

    fn append(&mut self, reader: &mut impl Read) -> Outcome<u64> {
        let fail = |path: &Path, e: &std::io::Error| Failure::io("write", path, e);
        self.spool.seek(SeekFrom::Start(self.end)).map_err(|e| fail(&self.spool_path, &e))?;
        let length = std::io::copy(reader, &mut self.spool).map_err(|e| fail(&self.spool_path, &e))?;
        self.end += length;
        Ok(length)
    }

    fn insert(&mut self, who: &str, path: String, entry: Entry) -> Outcome<()> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(Failure::error(
                ExitStatus::Build,
                "too-many-files",
                format!("more than {MAX_ENTRIES} files"),
            ));
        }
        match self.entries.get(&path) {
            // Packages share folders; the first one's mode holds, as with dpkg.
            Some(old) if old.kind == Kind::Directory && entry.kind == Kind::Directory => Ok(()),
            // /bin of an old package is a folder where base-files has a link: its members follow the link.
            Some(Entry { kind: Kind::Symlink(_), .. }) if entry.kind == Kind::Directory => Ok(()),
            Some(old) if *old != entry => Err(Failure::error(
                ExitStatus::Build,
                "file-conflict",
                format!("`{path}` comes from two packages, the second is `{who}`"),
            )),
            _ => {
                self.entries.insert(path, entry);
                Ok(())
            }
        }
    }

    /// Moves what stands below a linked folder (`/lib` of a merged `/usr`) to where the link leads.
    ///
    /// # Errors
    /// When a file is in both places.
    pub fn follow_folder_links(&mut self) -> Outcome<()> {
        let strays: Vec<String> = self
            .entries
            .keys()
            .filter(|path| self.real(path).is_some_and(|real| real != **path))
            .cloned()
            .collect();
        for path in strays {
            let Some(real) = self.real(&path) else { continue };
            if let Some(entry) = self.entries.remove(&path) {
                self.insert("a package that is not usr-merged", real, entry)?;
            }
        }
        Ok(())
    }

    /// The path with every link in its folders followed (not the last part). `None` on a loop.
    fn real(&self, path: &str) -> Option<String> {
        let mut pending: Vec<String> =
            path.split('/').filter(|p| !p.is_empty()).rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = format!("{done}/{part}");
            match self.entries.get(&next) {
                Some(Entry { kind: Kind::Symlink(target), .. }) if !pending.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        done.clear();
                    }
                    pending.extend(target.split('/').filter(|p| !p.is_empty()).rev().map(str::to_owned));
                }
                _ => done = next,
            }
        }
        Some(if done.is_empty() { "/".to_owned() } else { done })
    }

    /// Writes a file, folder or link over whatever is there, making folders on the way.
    ///
    /// # Errors
    /// When the spool cannot be written.
    pub fn put(&mut self, path: &str, entry: PutEntry<'_>, mode: u32, uid: u32, gid: u32) -> Outcome<()> {
        let real = self.real(path).unwrap_or_else(|| path.to_owned());
        let mut folder = real.rfind('/').map_or("", |at| &real[..at]).to_owned();
        while !folder.is_empty() {
            self.entries.entry(folder.clone()).or_insert(Entry {
                kind: Kind::Directory,
                mode: 0o755,
                uid: 0,
                gid: 0,
            });
            folder.truncate(folder.rfind('/').unwrap_or(0));
        }
        let (kind, mode) = match entry {
            PutEntry::Directory => (Kind::Directory, mode),
            PutEntry::Symlink(target) => (Kind::Symlink(target.to_owned()), 0o777),
            PutEntry::File(mut content) => {
                let offset = self.end;
                let length = self.append(&mut content)?;
                (Kind::File { offset, length }, mode)
            }
        };
        self.entries.insert(real, Entry { kind, mode, uid, gid });
        Ok(())
    }

    /// Removes what matches (`*` within a part, `**` across parts), with all that is below.
    /// Returns how many entries went.
    pub fn remove(&mut self, pattern: &str) -> usize {
        let before = self.entries.len();
        let doomed: Vec<String> =
            self.entries.keys().filter(|path| matches(pattern, path)).cloned().collect();
        for path in doomed {
            let below = format!("{path}/");
            self.entries.retain(|other, _| *other != path && !other.starts_with(&below));
        }
        before - self.entries.len()
    }

    /// Writes the tree as a tar archive (GNU format), every time stamp `epoch`.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn write_tar(&mut self, path: &Path, epoch: u64) -> Outcome<()> {
        let file = File::create(path).map_err(|e| Failure::io("write", path, &e))?;
        let mut builder = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, file));
        let failed = |e: std::io::Error| Failure::io("write", path, &e);
        for (name, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(u64::from(entry.uid));
            header.set_gid(u64::from(entry.gid));
            header.set_mtime(epoch);
            let name = format!(".{name}");
            match &entry.kind {
                Kind::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    builder.append_data(&mut header, format!("{name}/"), std::io::empty()).map_err(failed)?;
                }
                Kind::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    builder.append_link(&mut header, &name, target).map_err(failed)?;
                }
                Kind::File { offset, length } => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(*length);
                    self.spool
                        .seek(SeekFrom::Start(*offset))
                        .map_err(|e| Failure::io("read", &self.spool_path, &e))?;
                    builder.append_data(&mut header, &name, (&self.spool).take(*length)).map_err(failed)?;
                }
            }
        }
        let mut writer = builder.into_inner().map_err(failed)?;
        writer.flush().map_err(failed)
    }
}

/// What [`Tree::put`] writes.
#[derive(Clone, Copy, Debug)]
pub enum PutEntry<'a> {
    /// A regular file with that content.
    File(&'a [u8]),
    /// A folder.
    Directory,
    /// A symbolic link with that target.
    Symlink(&'a str),
}

/// A member's name as an absolute path, or `None` if it leaves the tree.
fn normal(name: &str) -> Option<String> {
    let mut out = String::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => {
                out.push('/');
                out.push_str(part);
            }
        }
    }
    Some(if out.is_empty() { "/".to_owned() } else { out })
}

/// Whether a path matches: `*` stands for anything within a part, `**` for any parts.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    fn parts(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.first(), path.first()) {
            (None, None) => true,
            (Some(&"**"), Some(_)) => {
                // One part at least; then either the pattern goes on, or `**` takes more.
                parts(&pattern[1..], &path[1..]) || parts(pattern, &path[1..])
            }
            (Some(p), Some(s)) => part(p.as_bytes(), s.as_bytes()) && parts(&pattern[1..], &path[1..]),
            _ => false,
        }
    }
    fn part(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => part(&pattern[1..], text) || !text.is_empty() && part(pattern, &text[1..]),
            (Some(a), Some(b)) if a == b => part(&pattern[1..], &text[1..]),
            _ => false,
        }
    }
    fn split(text: &str) -> Vec<&str> {
        text.split('/').filter(|part| !part.is_empty()).collect()
    }
    parts(&split(pattern), &split(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::new(&folder.path().join("spool")).unwrap();
        (folder, tree)
    }

    fn archive(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            let is_link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
            header.set_size(if is_link { 0 } else { content.len() as u64 });
            // Written raw, since the library itself refuses `..`.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            if is_link {
                header.set_link_name(content).unwrap();
            }
            header.set_cksum();
            builder.append(&header, if is_link { &[][..] } else { content.as_bytes() }).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_member_that_leaves_the_tree_is_refused() {
        let (_folder, mut tree) = tree();
        let bytes = archive(&[("./../etc/passwd", tar::EntryType::Regular, "x")]);
        let text = tree.add_archive("evil", &bytes[..]).unwrap_err().to_string();
        assert!(text.contains("`evil` has a member `./../etc/passwd` that leaves the tree"), "{text}");
    }

    #[test]
    fn a_device_is_refused() {
        let (_folder, mut tree) = tree();
        let bytes = archive(&[("./dev/mem", tar::EntryType::Char, "")]);
        assert!(
            tree.add_archive("evil", &bytes[..])
                .unwrap_err()
                .to_string()
                .contains("`./dev/mem` of kind Char")
        );
    }

    #[test]
    fn members_below_a_linked_folder_move_to_its_target() {
        let (_folder, mut tree) = tree();
        let first = archive(&[
            ("./usr/", tar::EntryType::Directory, ""),
            ("./usr/lib/", tar::EntryType::Directory, ""),
            ("./lib", tar::EntryType::Symlink, "usr/lib"),
        ]);
        let second = archive(&[
            ("./lib/", tar::EntryType::Directory, ""),
            ("./lib/x.so", tar::EntryType::Regular, "elf"),
        ]);
        tree.add_archive("base-files", &first[..]).unwrap();
        tree.add_archive("old", &second[..]).unwrap();
        tree.follow_folder_links().unwrap();
        assert!(tree.entries().contains_key("/usr/lib/x.so") && !tree.entries().contains_key("/lib/x.so"));
        assert_eq!(tree.read("/lib/x.so").unwrap().unwrap(), b"elf");
    }

    #[test]
    fn one_file_from_two_packages_is_an_error() {
        let (_folder, mut tree) = tree();
        tree.add_archive("a", &archive(&[("./x", tar::EntryType::Regular, "1")])[..]).unwrap();
        let failure =
            tree.add_archive("b", &archive(&[("./x", tar::EntryType::Regular, "2")])[..]).unwrap_err();
        assert!(failure.to_string().contains("`/x` comes from two packages, the second is `b`"));
    }

    #[test]
    fn a_loop_of_links_does_not_hang() {
        let (_folder, mut tree) = tree();
        let bytes = archive(&[("./a", tar::EntryType::Symlink, "b"), ("./b", tar::EntryType::Symlink, "a")]);
        tree.add_archive("evil", &bytes[..]).unwrap();
        assert!(tree.get("/a/x").is_none());
    }

    #[test]
    fn patterns_match_parts_and_trees() {
        assert!(matches("/usr/share/doc/**", "/usr/share/doc/bash/README"));
        assert!(!matches("/usr/share/doc/**", "/usr/share/doc"));
        assert!(matches("/usr/lib/*.so", "/usr/lib/x.so") && !matches("/usr/lib/*.so", "/usr/lib/y/x.so"));
        assert!(matches("/**/*.a", "/usr/lib/x.a"));
    }

    #[test]
    fn the_archive_is_the_same_every_time() {
        let (folder, mut tree) = tree();
        tree.put("/etc/x", PutEntry::File(b"1"), 0o600, 0, 7).unwrap();
        tree.put("/etc/y", PutEntry::Symlink("x"), 0, 0, 0).unwrap();
        let (a, b) = (folder.path().join("a.tar"), folder.path().join("b.tar"));
        tree.write_tar(&a, 5).unwrap();
        tree.write_tar(&b, 5).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        assert_eq!(tree.remove("/etc/*"), 2);
    }
}
