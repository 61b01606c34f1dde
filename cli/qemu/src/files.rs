//! Copies for machines: sparse, cheap, and never the image itself.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use record::PartitionRecord;
use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use tempfile::TempDir;

/// Beginning of the names of temporary folders, so that what a killed run left can be told.
const SCRATCH: &str = ".scratch-";

/// A temporary folder below `folder`, which only this run uses (it holds the output folder's lock).
/// What a killed run left there is removed: it may be gigabytes.
///
/// # Errors
/// When the folder cannot be written.
pub fn scratch_in(folder: &Path) -> Outcome<TempDir> {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new()
        .prefix(SCRATCH)
        .tempdir_in(folder)
        .map_err(|e| Failure::io("write in", folder, &e))
}

/// The file system of a disk's partition in a file of its own, which e2fsck and debugfs take without knowing where on the disk it
/// was; what the last start left in its journal is done.
///
/// # Errors
/// When a file cannot be read or written, or the file system not be mended.
pub fn own_filesystem(disk: &Path, part: &PartitionRecord, to: &Path, log: &Path) -> Outcome<()> {
    let failed = |e: std::io::Error| Failure::io("read", disk, &e);
    let mut whole = File::open(disk).map_err(failed)?;
    whole.seek(std::io::SeekFrom::Start(part.offset)).map_err(failed)?;
    let mut own = File::create(to).map_err(|e| Failure::io("write", to, &e))?;
    std::io::copy(&mut whole.take(part.bytes), &mut own).map_err(failed)?;
    // The first call ends with 1 where it had something to do, the second only where that did not help (e2fsck(8)).
    let check = Call::new(tool("e2fsck")?).args(["-f", "-y"]).arg(to).log(log);
    let _ = check.run();
    check.run()
}

/// Copies a disk image: as a reflink where the file system can, else only the parts that hold data.
///
/// # Errors
/// When a file cannot be read or written.
pub fn clone_sparse(from: &Path, to: &Path) -> Outcome<File> {
    let source = File::open(from).map_err(|e| Failure::io("read", from, &e))?;
    let bytes = source.metadata().map_err(|e| Failure::io("read", from, &e))?.len();
    let copy = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)
        .map_err(|e| Failure::io("write", to, &e))?;
    if ioctl_ficlone(&copy, &source).is_ok() {
        return Ok(copy);
    }
    copy.set_len(bytes).map_err(|e| Failure::io("write", to, &e))?;
    let mut at = 0;
    while let Some((start, end)) = next_data(&source, at, bytes) {
        copy_range(&source, &copy, start, end).map_err(|e| Failure::io("copy to", to, &e))?;
        at = end;
    }
    Ok(copy)
}

/// The next range that holds data; the rest of the file where the file system cannot tell.
fn next_data(file: &File, at: u64, bytes: u64) -> Option<(u64, u64)> {
    if at >= bytes {
        return None;
    }
    match seek(file, SeekFrom::Data(at)) {
        Ok(start) => Some((start, seek(file, SeekFrom::Hole(start)).unwrap_or(bytes).min(bytes))),
        Err(rustix::io::Errno::NXIO) => None,
        Err(_) => Some((at, bytes)),
    }
}

fn copy_range(source: &File, copy: &File, start: u64, end: u64) -> std::io::Result<()> {
    let mut buffer = vec![0u8; 1 << 20];
    let mut at = start;
    while at < end {
        let want = usize::try_from((end - at).min(buffer.len() as u64)).unwrap_or(buffer.len());
        let count = match source.read_at(&mut buffer[..want], at) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        copy.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

/// Writes a flash bank: the content, then nothing up to the bank's size (QEMU wants exactly that).
///
/// # Errors
/// When the content is larger than the bank, or the file cannot be written.
pub fn write_flash(path: &Path, content: &[u8], bank_bytes: u64) -> Outcome<()> {
    if content.len() as u64 > bank_bytes {
        return Err(Failure::error(
            ExitStatus::Input,
            "flash-size",
            format!("expected at most {bank_bytes} bytes for the flash, found {}", content.len()),
        )
        .hint("change `flash_bytes` of the board, or build a smaller U-Boot"));
    }
    let mut file = File::create(path).map_err(|e| Failure::io("write", path, &e))?;
    file.write_all(content)
        .and_then(|()| file.set_len(bank_bytes))
        .map_err(|e| Failure::io("write", path, &e))
}

/// The kernel in an image's FIT.
///
/// # Errors
/// When there is no FIT, or none with a kernel.
pub(crate) fn kernel_of(fit: &Path) -> Outcome<Vec<u8>> {
    part_of(fit, "/images/kernel", "kernel")
}

/// The kernel's device tree in an image's FIT.
///
/// # Errors
/// When there is no FIT, or none with a device tree.
pub(crate) fn device_tree_of(fit: &Path) -> Outcome<Vec<u8>> {
    part_of(fit, "/images/fdt", "device tree")
}

fn part_of(fit: &Path, node: &str, what: &str) -> Outcome<Vec<u8>> {
    let blob = std::fs::read(fit).map_err(|e| Failure::io("read", fit, &e))?;
    let tree = fit::fdt::Tree::parse(&blob).ok();
    let data = tree.as_ref().and_then(|tree| tree.root.at(node)).and_then(|node| node.get("data"));
    data.map(<[u8]>::to_vec).ok_or_else(|| {
        let message = format!("expected a {what} in `{}`, found none", fit.display());
        Failure::error(ExitStatus::Input, "no-kernel", message)
            .hint("build the image again with `fastness build`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".scratch-old")).unwrap();
        std::fs::write(folder.path().join(".scratch-old/disk.img"), "x").unwrap();
        std::fs::write(folder.path().join("boot.json"), "x").unwrap();
        let scratch = scratch_in(folder.path()).unwrap();
        assert!(!folder.path().join(".scratch-old").exists() && folder.path().join("boot.json").exists());
        drop(scratch);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_keeps_its_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"start", 0).unwrap();
        file.write_all_at(&[7; 70_000], 40 << 20).unwrap();
        let copy = clone_sparse(&from, &to).unwrap();
        assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
        let blocks = copy.metadata().unwrap().blocks();
        assert!(blocks <= file.metadata().unwrap().blocks() + 64, "{blocks} blocks");
        copy.write_all_at(b"other", 0).unwrap();
        assert_eq!(&std::fs::read(&from).unwrap()[..5], b"start");
    }

    #[test]
    fn a_flash_is_exactly_as_large_as_its_bank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash");
        write_flash(&path, b"code", 4096).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len(), &bytes[..5]), (4096, &b"code\0"[..]));
        let failure = write_flash(&path, &[0; 5000], 4096).unwrap_err();
        assert!(failure.to_string().contains("at most 4096 bytes for the flash, found 5000"), "{failure}");
    }
}
