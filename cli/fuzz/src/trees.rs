//! File systems and archives.

use image::Source;
use image::tree::{FileTree, Kind, open_fat, open_source};

use crate::Target;

/// Bytes that are read of one file.
const MAX_FILE: u64 = 1 << 20;
/// Files that are read of one tree, so that an input costs milliseconds.
const MAX_FILES: usize = 64;

/// squashfs 4.0.
pub const SQUASHFS: Target = Target {
    name: "squashfs",
    what: "a squashfs: every path is inside the tree, every file is as long as it says",
    // Blocks of metadata that are kept, names, and a file of 1 MiB with the block that it is cut from.
    base: 64 << 20,
    factor: 1 << 10,
    run: tree,
};

/// ext2 to ext4.
pub const EXT4: Target = Target {
    name: "ext4",
    what: "an ext2 to ext4: every path is inside the tree, every file is as long as it says",
    base: 64 << 20,
    factor: 256,
    run: tree,
};

/// tar and cpio, also packed.
pub const ARCHIVE: Target = Target {
    name: "archive",
    what: "a tar or cpio archive, also packed: every path is inside the tree, every file is as long as it says",
    base: 128 << 20,
    factor: 1 << 10,
    run: tree,
};

/// FAT12 to FAT32.
pub const FAT: Target = Target {
    name: "fat",
    what: "a FAT file system: every path is inside the tree, every file is as long as it says",
    base: 64 << 20,
    factor: 256,
    run: |input| read(open_fat(&Source::from_bytes("input", input.to_vec()))),
};

fn tree(input: &[u8]) -> Result<bool, String> {
    read(open_source(&Source::from_bytes("input", input.to_vec())))
}

fn read(opened: image::Result<FileTree>) -> Result<bool, String> {
    let Ok(tree) = opened else { return Ok(false) };
    let mut read = 0;
    for (path, entry) in tree.entries() {
        let inside = path.starts_with('/') && path.split('/').all(|part| part != ".." && part != ".");
        if !inside || path.contains('\0') {
            return Err(format!("a path that could leave the tree: {path:?}"));
        }
        drop(tree.resolve(path));
        if let Kind::File { size, .. } = entry.kind
            && read < MAX_FILES
        {
            read += 1;
            if let Ok(content) = tree.read(path, MAX_FILE)
                && content.len() as u64 != size
            {
                return Err(format!("{path:?} says {size} bytes and has {}", content.len()));
            }
        }
    }
    Ok(true)
}
