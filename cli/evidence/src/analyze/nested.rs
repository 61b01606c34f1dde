//! Images that lie as files in a tree: by their names in a root file system; by their content in an archive without one,
//! as makers of devices pack an update, and in a FAT file system, from which a device starts.

use image::Source;
use image::tree::{FileTree, Kind, RootKind};

use super::bounds::{MAX_BLOB, MAX_NESTED};
use super::open::Pieces;
use super::pieces;
use super::rules::Found;

/// From this size on a file of an update or of a boot partition that nothing knows is worth a word.
const WORTH_A_WORD: u64 = 64 << 10;
/// Bytes in which text has no NUL.
const HEAD: u64 = 8 << 10;

/// Whether files of that name are opened: kernels, FITs and ramdisks of `/boot`, file systems anywhere.
fn named(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let in_boot = path.starts_with("/boot/") || path.rfind('/') == Some(0);
    let ends = [".itb", ".fit", ".squashfs", ".sqfs", ".ext4", ".ext2", ".ubi", ".ubifs", ".jffs2", ".img"];
    let starts = ["Image", "zImage", "uImage", "vmlinuz", "initrd", "initramfs", "u-boot", "uboot.env"];
    let named = ends.iter().any(|end| name.ends_with(end))
        || in_boot && starts.iter().any(|start| name.starts_with(start));
    named && !name.ends_with(".conf")
}

/// Whether a member of an archive, or a file of a boot partition, is to be opened: what begins as something that is known, or is large and neither a
/// text nor a program, of which the files are looked through anyway.
fn of_content(member: &Source) -> bool {
    if pieces::begins(member) {
        return true;
    }
    let head = member.read_vec(0, member.len().min(HEAD)).unwrap_or_default();
    member.len() >= WORTH_A_WORD
        && head.contains(&0) | std::str::from_utf8(&head).is_err_and(|e| e.error_len().is_some())
        && !image::elf::is_elf(&head)
}

/// Opens the images among the files of a tree, one after the other; none is kept in memory.
pub fn look(pieces: &mut Pieces, at: &str, files: &FileTree, is_root: bool, depth: usize, found: &mut Found) {
    let update = !is_root && matches!(files.kind(), RootKind::Tar | RootKind::Cpio | RootKind::Fat);
    let mut opened = 0;
    for (path, entry) in files.entries() {
        let Kind::File { size } = entry.kind else { continue };
        if exec::interrupted() {
            return;
        }
        let place = files.place(path);
        let wanted = named(path) || update && place.as_ref().is_some_and(of_content);
        if !wanted || size < 64 {
            continue;
        }
        let inner = format!("{at}:{path}");
        if opened >= MAX_NESTED {
            let why =
                format!("more than {MAX_NESTED} images lie in it as files; `{path}` and more are left out");
            found.add("limit", at, why);
            return;
        }
        if size > MAX_BLOB && place.is_none() {
            found.add("limit", inner, format!("{size} bytes, more than {MAX_BLOB}"));
            continue;
        }
        if !pieces.again.take(size) {
            let most = pieces.again.all;
            found.add(
                "limit",
                at,
                format!(
                    "images that lie as files have more than {most} bytes; `{path}` and more are left out"
                ),
            );
            return;
        }
        opened += 1;
        let source = match place {
            Some(place) => Ok(place),
            None => files.read(path, MAX_BLOB).and_then(|bytes| Source::set_aside(&inner, &bytes)),
        };
        match source {
            Ok(source) => pieces.look(&inner, &source, depth + 1, found),
            Err(why) => pieces.failed(&inner, "a file", Some(size), &why, found),
        }
    }
}
