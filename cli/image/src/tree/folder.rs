//! A folder of this host. Every step is taken from an open folder by name and never through a link, so that
//! neither a link in the tree nor one that appears while reading leads out of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::builder::{Builder, text};
use super::{Contents, Entry, FileTree, Kind, RootKind};
use crate::{Error, Result};

const FOLDER: &str = "folder";
/// Linux accepts no longer value (`XATTR_SIZE_MAX`).
const MAX_VALUE_BYTES: usize = 64 << 10;

struct Folder {
    root: OwnedFd,
}

/// The names of each path as bytes are not kept: content is looked up by the shown path, which is the
/// same unless a name is not UTF-8.
impl Contents for Folder {
    fn read(&self, path: &str, _node: u64, size: u64) -> Result<Vec<u8>> {
        let failed = |e: rustix::io::Errno| Error::io("open", path, e);
        let mut folder = self.root.try_clone().map_err(|e| Error::io("open", path, e))?;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = open_folder(&folder, part.as_bytes()).map_err(failed)?;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(failed)?;
        let found = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile || found.st_size as u64 != size {
            return Err(Error::path(path, "it changed while the folder was being read"));
        }
        let mut bytes = Vec::new();
        File::from(file).take(size).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
        if bytes.len() as u64 != size {
            return Err(Error::path(path, "it changed while the folder was being read"));
        }
        Ok(bytes)
    }
}

fn open_folder(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

pub(super) fn open(path: &Path) -> Result<FileTree> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let failed = |e| Error::io("open", path.display().to_string(), e);
    let root = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
    let mut builder = Builder::new(FOLDER);
    let stat = rustix::fs::fstat(&root).map_err(failed)?;
    builder.insert("/".to_owned(), entry(&root, b".", "/", &stat)?)?;
    // Depth first, one open folder a level: their number is bounded by the limit on depth.
    let first = root.try_clone().map_err(|e| Error::io("open", path.display().to_string(), e))?;
    list(&mut builder, &first, "/")?;
    Ok(FileTree::new(RootKind::Folder, builder.finish(), Box::new(Folder { root })))
}

fn list(builder: &mut Builder, folder: &OwnedFd, path: &str) -> Result<()> {
    let failed = |e| Error::io("list", path, e);
    let mut folders = Vec::new();
    for found in Dir::read_from(folder).map_err(failed)? {
        let found = found.map_err(failed)?;
        let name = found.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let child = builder.child(path, name)?;
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| Error::io("examine", &child, e))?;
        let entry = entry(folder, name, &child, &stat)?;
        if entry.kind == Kind::Directory {
            folders.push((name.to_vec(), child.clone()));
        }
        builder.insert(child, entry)?;
    }
    for (name, child) in folders {
        let folder = open_folder(folder, &name).map_err(|e| Error::io("open", &child, e))?;
        list(builder, &folder, &child)?;
    }
    Ok(())
}

fn entry(folder: &OwnedFd, name: &[u8], path: &str, stat: &rustix::fs::Stat) -> Result<Entry> {
    let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File { size: stat.st_size as u64 },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(folder, name, Vec::new())
                .map_err(|e| Error::io("read the link", path, e))?;
            Kind::Symlink { target: text(target.to_bytes()) }
        }
        FileType::CharacterDevice => {
            let (major, minor) = device();
            Kind::CharDevice { major, minor }
        }
        FileType::BlockDevice => {
            let (major, minor) = device();
            Kind::BlockDevice { major, minor }
        }
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::Unknown => return Err(Error::malformed(FOLDER, format!("`{path}`"), "unknown file type")),
    };
    let xattrs =
        if matches!(kind, Kind::Symlink { .. }) { BTreeMap::new() } else { xattrs(folder, name, path)? };
    Ok(Entry {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        xattrs,
        implied: false,
        node: 0,
    })
}

/// Only what the file system itself was asked to keep; a file that may not be read still shows them.
fn xattrs(folder: &OwnedFd, name: &[u8], path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let failed = |e| Error::io("read the extended attributes of", path, e);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(failed)?;
    // An `O_PATH` descriptor has attributes only through its name in `/proc`.
    let place_name = format!("/proc/self/fd/{}", place.as_raw_fd());
    let mut names = vec![0_u8; MAX_VALUE_BYTES];
    let size = match rustix::fs::listxattr(&*place_name, &mut names) {
        Ok(size) => size,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(failed(error)),
    };
    let mut found = BTreeMap::new();
    for name in names[..size].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; MAX_VALUE_BYTES];
        let size = rustix::fs::getxattr(&*place_name, name, &mut value).map_err(failed)?;
        value.truncate(size);
        found.insert(text(name), value);
    }
    Ok(found)
}
