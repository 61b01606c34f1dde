//! Pieces by their own formats: FITs with what is in them, kernels, boot loaders, legacy images, saved environments.

use std::sync::Arc;

use fit::control_fdt;
use fit::fdt::{Node, Tree};
use image::Source;
use image::tree::{FileTree, Kind};

use super::open::{Blob, MAX_BLOB, Pieces};
use super::rules::Found;

/// Bytes at the start of a blob in which a boot loader's name is looked for.
const U_BOOT: &[u8] = b"U-Boot ";
/// Images that lie as files in one tree and are opened.
const MAX_NESTED: usize = 64;

/// A device tree: a FIT with its images, or the tree of a board.
pub fn device_tree(pieces: &mut Pieces, at: &str, source: &Source, depth: usize, found: &mut Found) {
    let len = Some(source.len());
    let header = source.read_vec(4, 4).ok().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let total = u64::from(u32::from_be_bytes(header.unwrap_or_default()));
    if total > MAX_BLOB {
        let why = format!("its header claims {total} bytes, more than {MAX_BLOB}");
        return pieces.broken(at, "a device tree", len, &why, found);
    }
    let read = source.read_vec(0, total).map_err(|e| e.to_string());
    let parsed = read.and_then(|bytes| {
        Tree::parse(&bytes)
            .map(|tree| tree.root.into_owned())
            .map_err(|e| e.to_string())
            .map(|root| (bytes, root))
    });
    let (bytes, root) = match parsed {
        Ok(parsed) => parsed,
        Err(why) => return pieces.broken(at, "a device tree", len, &why, found),
    };
    let blob = Blob { at: at.to_owned(), bytes: Arc::new(bytes) };
    let Some(images) = root.child("images") else {
        pieces.part(at, Some(total), "a device tree", true);
        pieces.device_trees.push(blob);
        return;
    };
    pieces.part(at, Some(total), "a FIT", true);
    pieces.fits.push(blob);
    for image in &images.children {
        let inner = format!("{at} / {}", image.name);
        match content(image, source, total) {
            Ok(part) => self::image(pieces, &inner, image, &part, depth, found),
            Err(why) => pieces.broken(&inner, "an image of a FIT", None, &why, found),
        }
    }
}

/// The bytes of one image of a FIT, in the tree or behind it (`data-position`, `data-offset`).
fn content(image: &Node<'_>, source: &Source, total: u64) -> Result<Source, String> {
    if let Some(data) = image.get("data") {
        return Ok(Source::from_bytes(&image.name, data.to_vec()));
    }
    let size = image.cell("data-size").ok_or("it has neither `data` nor `data-size`")?;
    // U-Boot, doc/usage/fit/source_file_format.rst: offsets count from the tree's end, rounded up to four bytes.
    let start = match (image.cell("data-position"), image.cell("data-offset")) {
        (Some(position), _) => u64::from(position),
        (None, Some(offset)) => total.next_multiple_of(4) + u64::from(offset),
        (None, None) => return Err("it has neither `data-position` nor `data-offset`".to_owned()),
    };
    source.slice(start, u64::from(size)).map_err(|e| e.to_string())
}

fn image(pieces: &mut Pieces, at: &str, image: &Node<'_>, part: &Source, depth: usize, found: &mut Found) {
    let compression = image.text("compression").unwrap_or("none");
    if !matches!(compression, "none" | "gzip" | "zstd") {
        pieces.part(at, Some(part.len()), &format!("packed by {compression}"), false);
        found.add("not-understood", at, format!("compression `{compression}` is not read"));
        return;
    }
    pieces.look(at, part, depth + 1, found);
}

/// A kernel, a boot loader, a legacy image or a saved environment; `false` when it is none.
pub fn blob(pieces: &mut Pieces, at: &str, source: &Source, depth: usize, found: &mut Found) -> bool {
    let len = source.len();
    let head = source.read_vec(0, len.min(0x210)).unwrap_or_default();
    let is = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    if is(0, &[0x27, 0x05, 0x19, 0x56]) {
        legacy(pieces, at, source, &head, depth, found);
        return true;
    }
    let kernel = is(56, b"ARM\x64") || is(0x24, &[0x18, 0x28, 0x6f, 0x01]) || is(0x202, b"HdrS");
    if !(64..=MAX_BLOB).contains(&len) {
        return false;
    }
    if kernel {
        match source.read_vec(0, len) {
            Ok(bytes) => {
                pieces.part(at, Some(len), "a kernel", true);
                pieces.kernels.push(Blob { at: at.to_owned(), bytes: Arc::new(bytes) });
            }
            Err(why) => pieces.broken(at, "a kernel", Some(len), &why.to_string(), found),
        }
        return true;
    }
    if let Some(variables) = environment(source) {
        pieces.part(at, Some(len), "a saved environment of U-Boot", true);
        pieces.environments.push((at.to_owned(), variables));
        return true;
    }
    // A partition table is no boot loader, and one that is there is in the gap before the first partition.
    if is(510, &[0x55, 0xaa]) && image::disk::mbr::partitions(source).is_ok_and(|found| found.is_some()) {
        return false;
    }
    raw_boot_loader(pieces, at, source, depth, found)
}

/// Bytes in which U-Boot names itself, or which hold a control device tree with keys.
pub fn raw_boot_loader(
    pieces: &mut Pieces,
    at: &str,
    source: &Source,
    depth: usize,
    found: &mut Found,
) -> bool {
    let len = source.len().min(MAX_BLOB.min(64 << 20));
    let Ok(bytes) = source.read_vec(0, len) else { return false };
    let finder = |needle: &[u8]| {
        aho_corasick::AhoCorasick::new([needle]).ok().and_then(|a| a.find(&bytes[..])).is_some()
    };
    if finder(b"Linux version ") && bytes.starts_with(b"\x7fELF") {
        pieces.part(at, Some(len), "a kernel", true);
        pieces.kernels.push(Blob { at: at.to_owned(), bytes: Arc::new(bytes) });
        return true;
    }
    if !finder(U_BOOT) || control_fdt::find_trees(&bytes).is_empty() && version(&bytes).is_none() {
        return false;
    }
    let fits = control_fdt::find_trees(&bytes).into_iter().filter_map(|(start, size)| {
        let tree = bytes.get(start..start.checked_add(size)?)?;
        Tree::parse(tree).ok()?.root.child("images").map(|_| (start, size))
    });
    let fits: Vec<(usize, usize)> = fits.take(4).collect();
    pieces.part(at, Some(source.len()), "a boot loader (U-Boot)", true);
    // SPL keeps U-Boot proper in a FIT beside itself.
    for (start, size) in fits {
        if let Ok(part) = source.slice(start as u64, size as u64) {
            pieces.look(&format!("{at} / FIT at {start}"), &part, depth + 1, found);
        }
    }
    pieces.boot_loaders.push(Blob { at: at.to_owned(), bytes: Arc::new(bytes) });
    true
}

/// U-Boot's version, as `2025.01`.
pub fn version(bytes: &[u8]) -> Option<String> {
    let mut from = 0;
    let finder = aho_corasick::AhoCorasick::new([U_BOOT]).ok()?;
    while let Some(at) = finder.find(&bytes[from..]).map(|hit| from + hit.end()) {
        from = at;
        let rest = &bytes[at..bytes.len().min(at + 64)];
        let rest = rest.strip_prefix(b"SPL ").unwrap_or(rest);
        if rest.starts_with(b"20") && rest.get(4) == Some(&b'.') {
            let end = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
            return Some(String::from_utf8_lossy(&rest[..end]).into_owned());
        }
    }
    None
}

/// A legacy image: 64 bytes of header, then the payload. Source: U-Boot, `include/image.h`.
fn legacy(pieces: &mut Pieces, at: &str, source: &Source, head: &[u8], depth: usize, found: &mut Found) {
    let size = u64::from(u32::from_be_bytes([head[12], head[13], head[14], head[15]]));
    pieces.part(at, Some(source.len()), "a legacy image of U-Boot (uImage, no signature)", true);
    match (head.get(31).copied(), source.slice(64, size)) {
        (Some(0 | 1), Ok(part)) => pieces.look(&format!("{at} / payload"), &part, depth + 1, found),
        (Some(kind), Ok(_)) => found.add("not-understood", at, format!("compression {kind} is not read")),
        (_, Err(why)) => found.add("broken", at, why.to_string()),
        (None, Ok(_)) => found.add("broken", at, "the header is cut short"),
    }
}

/// The variables of a saved environment: a checksum of four bytes, a flag of one where there are two copies, then
/// `name=value` with NUL between. Source: U-Boot, `include/env_internal.h`.
fn environment(source: &Source) -> Option<Vec<String>> {
    let bytes = source.read_vec(0, source.len().min(1 << 20)).ok()?;
    for start in [4, 5] {
        let text = bytes.get(start..)?;
        let end = text.windows(2).position(|pair| pair == [0, 0])?;
        let words: Vec<&[u8]> = text[..end].split(|byte| *byte == 0).collect();
        let named = |word: &&[u8]| {
            word.iter().position(|byte| *byte == b'=').is_some_and(|at| {
                at > 0 && word[..at].iter().all(|b| b.is_ascii_alphanumeric() || b"_.:-#".contains(b))
            })
        };
        let known = |word: &&[u8]| word.starts_with(b"bootcmd=") || word.starts_with(b"bootargs=");
        if words.len() >= 2 && words.iter().all(named) && words.iter().any(known) {
            return Some(words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect());
        }
    }
    None
}

/// Images that lie as files in a tree: kernels, FITs and ramdisks of `/boot`, file systems anywhere.
pub fn nested(pieces: &mut Pieces, at: &str, files: &Arc<FileTree>, depth: usize, found: &mut Found) {
    let mut opened = 0;
    for (path, entry) in files.entries() {
        let Kind::File { size } = entry.kind else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let in_boot = path.starts_with("/boot/") || path.rfind('/') == Some(0);
        let named =
            [".itb", ".fit", ".squashfs", ".sqfs", ".ext4", ".ext2", ".ubi", ".ubifs", ".jffs2", ".img"]
                .iter()
                .any(|end| name.ends_with(end))
                || ["Image", "zImage", "uImage", "vmlinuz", "initrd", "initramfs", "u-boot", "uboot.env"]
                    .iter()
                    .any(|start| name.starts_with(start) && in_boot);
        if !named || size < 64 || name.ends_with(".conf") {
            continue;
        }
        if opened >= MAX_NESTED {
            found.add(
                "limit",
                at,
                format!("more than {MAX_NESTED} images lie in it as files; `{path}` and more are left out"),
            );
            return;
        }
        if size > MAX_BLOB {
            found.add("limit", format!("{at}:{path}"), format!("{size} bytes, more than {MAX_BLOB}"));
            continue;
        }
        opened += 1;
        let inner = format!("{at}:{path}");
        match files.read(path, MAX_BLOB) {
            Ok(bytes) => {
                let source = Source::from_bytes(&inner, bytes);
                pieces.look(&inner, &source, depth + 1, found);
            }
            Err(why) => pieces.broken(&inner, "a file", Some(size), &why.to_string(), found),
        }
    }
}
