//! Writing, atomically, and hashing.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::read::kind_words;

/// SHA-256 of bytes, lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// SHA-256 and size of a file, read in pieces of 1 MiB.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> Outcome<(String, u64)> {
    hex_of(File::open(path).map_err(|e| Failure::io("read", path, &e))?, path, &|| Ok(()))
}

/// SHA-256 and size of what is read; `go_on` is asked after each piece.
pub(crate) fn hex_of(
    mut file: impl Read,
    path: &Path,
    go_on: &dyn Fn() -> Outcome<()>,
) -> Outcome<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    let mut bytes = 0u64;
    loop {
        let count = file.read(&mut buffer).map_err(|e| Failure::io("read", path, &e))?;
        if count == 0 {
            return Ok((hex(&hasher.finalize()), bytes));
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
        go_on()?;
    }
}

/// A value as [`write_json_atomic`] writes it.
///
/// # Errors
/// A bug: it cannot be expressed.
pub fn json_bytes<T: Serialize>(path: &Path, value: &T) -> Outcome<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| {
        Failure::error(
            ExitStatus::Internal,
            "json",
            format!("cannot express `{}` as JSON: {e}", path.display()),
        )
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a value as indented JSON: whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_json_atomic<T: Serialize>(path: &Path, value: &T) -> Outcome<()> {
    write_atomic(path, &json_bytes(path, value)?)
}

/// Writes a file whole or not at all: into a neighbour first, then renamed over `path`.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Outcome<()> {
    refuse_odd_place(path)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, bytes).map_err(|e| Failure::io("write", &part, &e))?;
    fs::rename(&part, path).map_err(|e| Failure::io("write", path, &e))
}

/// Refuses a place that a rename would destroy: what is there and is no regular file, such as a device, a pipe or a folder.
///
/// A link is refused, too, whatever it leads to: the rename would take its place and not change what it names, and `/dev/stdout` is
/// one.
///
/// # Errors
/// `odd-place`.
pub fn refuse_odd_place(path: &Path) -> Outcome<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    let kind = meta.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = kind_words(kind);
    let message = format!("expected a regular file or nothing at `{}`, found {found}", path.display());
    Err(Failure::error(ExitStatus::Environment, "odd-place", message)
        .hint("it would be replaced: name a file that may be, or one that is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_nothing_is_the_known_value() {
        // FIPS 180-4 example.
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        write_atomic(&place("file"), b"one").unwrap();
        write_atomic(&place("file"), b"two").unwrap();
        std::os::unix::fs::symlink("file", place("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        fs::create_dir(place("folder")).unwrap();
        for (name, found) in [("link", "a link"), ("socket", "a socket"), ("folder", "a folder")] {
            let failure = write_atomic(&place(name), b"three").unwrap_err();
            assert_eq!(
                (failure.status, &*failure.diagnostics[0].code),
                (ExitStatus::Environment, "odd-place")
            );
            let expected =
                format!("expected a regular file or nothing at `{}`, found {found}", place(name).display());
            assert!(failure.to_string().contains(&expected), "{failure}");
        }
        let failure = refuse_odd_place(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(failure.contains("at `/dev/null`, found a device"), "{failure}");
        assert_eq!(fs::read(place("file")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
