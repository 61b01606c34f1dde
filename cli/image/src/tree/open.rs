//! Tells what a root file system is packed in.

use std::path::Path;

use super::{FileTree, cpio, ext4, folder, squashfs, tar};
use crate::unpack::{Codec, MAX_UNPACKED};
use crate::{Error, Result, Source};

/// Opens a folder or an image of a root file system; the format is told by its bytes, not its name.
///
/// # Errors
/// When the format is unknown, broken, or larger than the limits of [`crate::tree`].
///
/// ```
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("motd"), "hello")?;
/// let tree = image::tree::open_rootfs(folder.path())?;
/// assert_eq!(tree.read("/motd", 100)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_rootfs(path: &Path) -> Result<FileTree> {
    if path.is_dir() { folder::open(path) } else { open_source(&Source::open(path)?) }
}

/// As [`open_rootfs`], for bytes that are open already, such as a partition.
///
/// # Errors
/// As [`open_rootfs`].
pub fn open_source(source: &Source) -> Result<FileTree> {
    let head = source.read_vec(0, source.len().min(1082))?;
    if let Some(codec) = Codec::of_archive(&head) {
        let unpacked = codec.archive(source, MAX_UNPACKED)?;
        let head = unpacked.read_vec(0, unpacked.len().min(1082))?;
        return open_archive(&unpacked, &head)
            .unwrap_or_else(|| Err(unknown(source, "inside the compression")));
    }
    if head.starts_with(b"hsqs") {
        return squashfs::open(source);
    }
    if head.get(1080..1082) == Some(&[0x53, 0xef]) {
        return ext4::open(source);
    }
    open_archive(source, &head).unwrap_or_else(|| Err(unknown(source, "at its start")))
}

fn open_archive(source: &Source, head: &[u8]) -> Option<Result<FileTree>> {
    if cpio::is_newc(head) {
        return Some(cpio::open(source));
    }
    tar::is_tar(head).then(|| tar::open(source))
}

fn unknown(source: &Source, place: &str) -> Error {
    Error::unsupported(
        "root file system",
        format!("`{}`: what was found {place}", source.name()),
        "expected a folder, squashfs, ext4, tar or cpio (`newc`), the last two also as .bz2, .gz, .xz or .zst",
    )
}
