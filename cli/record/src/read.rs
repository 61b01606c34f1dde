//! Reading what somebody else may have put there: regular files only, and no more than a bound.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path};

use diag::{ExitStatus, Failure, Outcome};
use rustix::fs::{Mode, OFlags, open, openat};
use serde::de::DeserializeOwned;

use crate::store::hex_of;

/// Most bytes of a record that is read; the largest that the example's build left has 0.8 MiB.
pub const LARGEST_RECORD: u64 = 64 << 20;

/// Why a file below a folder is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is nothing of that name.
    Missing,
    /// What is there instead of a regular file, in words.
    Odd(&'static str),
    /// It has more bytes than anything that belongs there: how many.
    Large(u64),
    /// The system does not let it be read, or the work was stopped.
    Failed(Failure),
}

/// Never waits for somebody who writes into a pipe.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Whether a path that a record names stays in the record's folder.
#[must_use]
pub fn is_inside(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// What is there instead of a regular file.
pub(crate) fn kind_words(kind: std::fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_symlink() => "a link",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Opens a regular file, where somebody named it; a link is followed.
///
/// # Errors
/// When it cannot be opened; `odd-place` when it is a pipe, a device or a folder.
pub fn open_regular(path: &Path) -> Outcome<File> {
    let io = |e: io::Error| Failure::io("read", path, &e);
    let file = File::from(open(path, FLAGS, Mode::empty()).map_err(|e| io(e.into()))?);
    let kind = file.metadata().map_err(io)?.file_type();
    if kind.is_dir() {
        return Err(io(rustix::io::Errno::ISDIR.into()));
    }
    if !kind.is_file() {
        let message = format!("expected a regular file at `{}`, found {}", path.display(), kind_words(kind));
        return Err(Failure::error(ExitStatus::Environment, "odd-place", message).hint("name a file"));
    }
    Ok(file)
}

/// Opens a regular file below a folder, with its size. No link is followed on the way: what a received folder names must not be
/// elsewhere.
///
/// # Errors
/// Why not.
pub fn open_inside(folder: &Path, name: &Path) -> Result<(File, u64), Unread> {
    if !is_inside(name) {
        return Err(Unread::Odd("a path that leads out of the folder"));
    }
    let failed = |e: io::Error| Unread::Failed(Failure::io("read", &folder.join(name), &e));
    let refused = |e: rustix::io::Errno, link| match e {
        rustix::io::Errno::NOENT => Unread::Missing,
        rustix::io::Errno::LOOP | rustix::io::Errno::MLINK | rustix::io::Errno::NOTDIR => Unread::Odd(link),
        // What opens of a socket says.
        rustix::io::Errno::NXIO => Unread::Odd("a socket"),
        e => failed(e.into()),
    };
    // Whoever may not list a folder may still open what is in it.
    let way = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let mut at = open(folder, way, Mode::empty()).map_err(|e| refused(e, "no folder"))?;
    let mut parts = name.components().peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let (flags, link) =
            if last { (FLAGS, "a link") } else { (way, "a link or a file instead of a folder") };
        at = openat(&at, part.as_os_str(), flags.union(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|e| refused(e, link))?;
    }
    let file = File::from(at);
    let meta = file.metadata().map_err(failed)?;
    if meta.is_file() { Ok((file, meta.len())) } else { Err(Unread::Odd(kind_words(meta.file_type()))) }
}

/// All bytes of a file below a folder, if it has no more than a record may have.
///
/// # Errors
/// Why not.
pub fn read_inside(folder: &Path, name: &Path) -> Result<Vec<u8>, Unread> {
    let (file, bytes) = open_inside(folder, name)?;
    bounded(file, bytes)
        .map_err(|e| Unread::Failed(Failure::io("read", &folder.join(name), &e)))?
        .ok_or(Unread::Large(bytes))
}

/// SHA-256 and size of a file below a folder; `most`: one with more bytes is not read. `go_on` is asked after each MiB.
///
/// # Errors
/// Why not.
pub fn sha256_inside(
    folder: &Path,
    name: &Path,
    most: u64,
    go_on: &dyn Fn() -> Outcome<()>,
) -> Result<(String, u64), Unread> {
    let (file, bytes) = open_inside(folder, name)?;
    if bytes > most {
        return Err(Unread::Large(bytes));
    }
    hex_of(file, &folder.join(name), go_on).map_err(Unread::Failed)
}

/// All bytes of a regular file, where somebody named it, if it has no more than a record may have.
///
/// # Errors
/// As [`open_regular`]; `too-large`.
pub fn read_regular(path: &Path) -> Outcome<Vec<u8>> {
    let io = |e: io::Error| Failure::io("read", path, &e);
    let file = open_regular(path)?;
    let bytes = file.metadata().map_err(io)?.len();
    bounded(file, bytes).map_err(io)?.ok_or_else(|| {
        let message =
            format!("`{}` has {bytes} bytes: expected a record of at most {LARGEST_RECORD}", path.display());
        Failure::error(ExitStatus::Input, "too-large", message).hint("no build leaves as large a one")
    })
}

/// The bytes; none when there are more than a record may have. A file may grow while it is read.
fn bounded(file: File, bytes: u64) -> io::Result<Option<Vec<u8>>> {
    if bytes > LARGEST_RECORD {
        return Ok(None);
    }
    let mut out = Vec::new();
    file.take(LARGEST_RECORD + 1).read_to_end(&mut out)?;
    Ok((out.len() as u64 <= LARGEST_RECORD).then_some(out))
}

/// Reads a value that [`crate::write_json_atomic`] wrote.
///
/// # Errors
/// As [`read_regular`]; `json` when it does not have the expected shape.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Outcome<T> {
    let text = read_regular(path)?;
    serde_json::from_slice(&text).map_err(|e| {
        Failure::error(
            ExitStatus::Input,
            "json",
            format!("`{}` is not a record of this version of fastness: {e}", path.display()),
        )
        .hint("make it again with `fastness build`")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("`mkfifo` is there");
        assert!(made.success());
    }

    #[test]
    fn a_missing_record_says_which_file() {
        let failure = read_json::<u32>(Path::new("no/such.json")).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Environment);
        assert!(failure.diagnostics[0].message.contains("no/such.json"));
    }

    #[test]
    fn a_pipe_a_folder_and_what_is_too_large_are_no_records_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        pipe(&place("pipe"));
        let failure = read_json::<u32>(&place("pipe")).unwrap_err();
        assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Environment, "odd-place"));
        assert!(failure.to_string().contains("pipe`, found a pipe"), "{failure}");
        let failure = read_json::<u32>(folder.path()).unwrap_err().to_string();
        assert!(failure.contains("it is a folder; name a file"), "{failure}");
        File::create(place("large")).unwrap().set_len(LARGEST_RECORD + 1).unwrap();
        let failure = read_json::<u32>(&place("large")).unwrap_err();
        assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Input, "too-large"));
        assert!(failure.to_string().contains("has 67108865 bytes: expected a record of at most 67108864"));
    }

    #[test]
    fn below_a_folder_no_link_no_pipe_and_nothing_outside_is_read() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("out");
        fs::create_dir_all(folder.join("image")).unwrap();
        fs::write(top.path().join("secret"), "x").unwrap();
        fs::write(folder.join("image/disk.img"), "abc").unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        symlink("image", folder.join("other")).unwrap();
        pipe(&folder.join("pipe"));
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
        let look = |name: &str| read_inside(&folder, Path::new(name));
        assert_eq!(look("image/disk.img"), Ok(b"abc".to_vec()));
        assert_eq!(look("none/x"), Err(Unread::Missing));
        assert_eq!(look("link"), Err(Unread::Odd("a link")));
        assert_eq!(look("other/disk.img"), Err(Unread::Odd("a link or a file instead of a folder")));
        assert_eq!(look("pipe"), Err(Unread::Odd("a pipe")));
        assert_eq!(look("socket"), Err(Unread::Odd("a socket")));
        assert_eq!(look("image"), Err(Unread::Odd("a folder")));
        let absolute = top.path().join("secret");
        for outside in ["../secret", "image/../../secret", "", absolute.to_str().unwrap()] {
            assert_eq!(look(outside), Err(Unread::Odd("a path that leads out of the folder")), "{outside}");
        }
        let hash = |most| sha256_inside(&folder, Path::new("image/disk.img"), most, &|| Ok(()));
        assert_eq!(hash(3).unwrap(), (crate::sha256_hex(b"abc"), 3));
        assert_eq!(hash(2), Err(Unread::Large(3)));
        let stopped = || Err(Failure::error(ExitStatus::Interrupted, "interrupted", "stopped"));
        let found = sha256_inside(&folder, Path::new("image/disk.img"), 3, &stopped);
        assert!(matches!(found, Err(Unread::Failed(failure)) if failure.status == ExitStatus::Interrupted));
    }
}
