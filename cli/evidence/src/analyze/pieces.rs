//! Pieces by their own formats: FITs with what is in them, kernels, boot loaders, legacy images, saved environments.

use fit::control_fdt;
use fit::fdt::{Node, Tree};
use image::Source;

use super::bounds::MAX_BLOB;
use super::open::{Blob, Pieces};
use super::rules::Found;
use super::tails;
use crate::open::names;

/// Bytes at the start of a blob in which a boot loader's name is looked for.
const U_BOOT: &[u8] = b"U-Boot ";
/// How pieces begin that are opened: by offset.
const MAGIC: [(u64, &[u8]); 8] = [
    (0, &[0xd0, 0x0d, 0xfe, 0xed]),
    (0, b"hsqs"),
    (1080, &[0x53, 0xef]),
    (0, b"070701"),
    (0, b"070702"),
    (257, b"ustar"),
    (512, b"EFI PART"),
    (4096, b"EFI PART"),
];

/// Whether bytes begin as something that is known, read or not.
pub fn begins(source: &Source) -> bool {
    let has =
        |at: u64, magic: &[u8]| source.read_vec(at, magic.len() as u64).is_ok_and(|found| found == magic);
    MAGIC.iter().any(|(at, magic)| has(*at, magic)) || source.is_packed() || names::known(source).is_some()
}

/// Whether it begins as a FAT file system: a jump over the fields, their marks or values that fit, and the mark of a boot
/// sector. Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03.
pub fn is_fat(source: &Source) -> bool {
    let Ok(boot) = source.read_vec(0, 512) else { return false };
    let begins = boot[510..] == [0x55, 0xaa] && matches!(boot[0], 0xe9 | 0xeb);
    let named = boot[54..57] == *b"FAT" || boot[82..87] == *b"FAT32";
    begins && (named || image::fat::Fat::open_any(source.clone()).is_ok())
}

/// Parts of one container by their place: what lies over another is told, and not opened without bound.
#[derive(Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Whether a part is to be opened; one that has the bytes of another counts against what may be opened again.
    pub fn may_open(
        &mut self,
        pieces: &mut Pieces,
        at: &str,
        start: u64,
        bytes: u64,
        found: &mut Found,
    ) -> bool {
        let end = start.saturating_add(bytes);
        let over = self.0.iter().find(|(from, to)| *from < end && start < *to).copied();
        self.0.push((start, end));
        let Some((from, to)) = over else { return true };
        let open = (from, to) != (start, end) && pieces.again.take(bytes);
        let rest = if open { "" } else { "; it is not opened again" };
        found.add(
            "overlap",
            at,
            format!("bytes {start} to {end} lie over a part of bytes {from} to {to}{rest}"),
        );
        if !open {
            pieces.part(at, Some(bytes), "bytes of another part", false);
        }
        open
    }
}

/// Where the bytes of a FIT's image are: from byte, so many.
type Place = Result<(u64, u64), String>;

/// A device tree: a FIT with its images, or the tree of a board. Gives its end.
pub fn device_tree(
    pieces: &mut Pieces,
    at: &str,
    source: &Source,
    depth: usize,
    found: &mut Found,
) -> Option<u64> {
    let len = Some(source.len());
    let header = source.read_vec(4, 4).ok().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let total = u64::from(u32::from_be_bytes(header.unwrap_or_default()));
    let images = match images(source, total) {
        Ok(images) => images,
        Err(why) => {
            pieces.broken(at, "a device tree", len, &why, found);
            return None;
        }
    };
    let Ok(own) = source.slice(0, total) else { return None };
    let blob = Blob { at: at.to_owned(), source: own };
    let Some(images) = images else {
        pieces.part(at, Some(total), "a device tree", true);
        pieces.device_trees.push(blob);
        return Some(total);
    };
    pieces.part(at, Some(total), "a FIT", true);
    pieces.fits.push(blob);
    let mut ranges = Ranges::default();
    // In the tree or behind it: what neither covers is looked at, too.
    let mut outside = vec![(0, total)];
    for (name, compression, place, hashes) in images {
        let inner = format!("{at} / {name}");
        // Asked here, too: a device tree can have millions of nodes, each of which is held against all before it.
        if !pieces.may_go_on(&inner, depth, found) {
            break;
        }
        let opened = place.and_then(|(start, bytes)| {
            let part = source.slice(start, bytes).map_err(|e| e.to_string())?;
            outside.push((start, start + bytes));
            Ok((start, part))
        });
        match opened {
            Ok((start, part)) => {
                for algorithm in wrong(&part, &hashes) {
                    found.add("broken", &inner, format!("its {algorithm} is not that of its `hash` node"));
                }
                if ranges.may_open(pieces, &inner, start, part.len(), found) {
                    image(pieces, &inner, &compression, &part, depth, found);
                }
            }
            Err(why) => pieces.broken(&inner, "an image of a FIT", None, &why, found),
        }
    }
    outside.sort_unstable();
    let mut end = 0;
    for (start, to) in outside {
        let gap = source.slice(end, start.saturating_sub(end)).ok().filter(|gap| !gap.is_empty());
        if let Some((gap, from)) = gap.and_then(|gap| tails::next(&gap, 0).map(|from| (gap, from)))
            && let Ok(rest) = gap.slice(from, gap.len() - from)
        {
            pieces.look(&format!("{at} / from byte {}", end + from), &rest, depth + 1, found);
        }
        end = end.max(to);
    }
    Some(end)
}

/// An image of a FIT: its name, compression and place.
type FitImage = (String, String, Place, Vec<Hash>);
/// What a FIT says of an image: the algorithm and its value.
type Hash = (String, Vec<u8>);

/// Each image of a FIT; `None` for another device tree.
fn images(source: &Source, total: u64) -> Result<Option<Vec<FitImage>>, String> {
    if total > MAX_BLOB {
        return Err(format!("its header claims {total} bytes, more than {MAX_BLOB}"));
    }
    let bytes = source.read_vec(0, total).map_err(|e| e.to_string())?;
    let tree = Tree::parse(&bytes).map_err(|e| e.to_string())?;
    let Some(images) = tree.root.child("images") else { return Ok(None) };
    let one = |image: &Node<'_>| {
        let compression = image.text("compression").unwrap_or("none").to_owned();
        let hashes = image.children.iter().filter(|child| child.name.starts_with("hash")).take(4);
        let hashes =
            hashes.filter_map(|hash| Some((hash.text("algo")?.to_owned(), hash.get("value")?.to_vec())));
        (image.name.clone(), compression, place(image, &bytes, total), hashes.collect())
    };
    Ok(Some(images.children.iter().map(one).collect()))
}

/// The algorithms whose value is not that of the bytes. Source: U-Boot, `doc/usage/fit/source_file_format.rst`; an algorithm
/// that is not known here is left to who verifies the FIT.
fn wrong(part: &Source, hashes: &[Hash]) -> Vec<String> {
    use sha2::Digest as _;
    if hashes.is_empty() || part.len() > MAX_BLOB {
        return Vec::new();
    }
    let Ok(bytes) = part.read_vec(0, part.len()) else { return Vec::new() };
    let of = |algorithm: &str| match algorithm {
        "crc32" => Some(image::disk::crc32(&bytes).to_be_bytes().to_vec()),
        "sha256" => Some(sha2::Sha256::digest(&bytes).to_vec()),
        "sha384" => Some(sha2::Sha384::digest(&bytes).to_vec()),
        "sha512" => Some(sha2::Sha512::digest(&bytes).to_vec()),
        _ => None,
    };
    let differs = |(algorithm, value): &&Hash| of(algorithm).is_some_and(|own| own != *value);
    hashes.iter().filter(differs).map(|(algorithm, _)| algorithm.clone()).collect()
}

/// The bytes of one image of a FIT, in the tree or behind it (`data-position`, `data-offset`).
fn place(image: &Node<'_>, tree: &[u8], total: u64) -> Place {
    if let Some(data) = image.get("data") {
        // The reader borrows: the bytes are those of the tree, not a copy.
        let start = (data.as_ptr() as usize).checked_sub(tree.as_ptr() as usize);
        let start = start.filter(|start| start + data.len() <= tree.len() || data.is_empty());
        return start
            .map(|start| (start as u64, data.len() as u64))
            .ok_or_else(|| "its `data` is not in the tree".to_owned());
    }
    let size = image.cell("data-size").ok_or("it has neither `data` nor `data-size`")?;
    // U-Boot, doc/usage/fit/source_file_format.rst: offsets count from the tree's end, rounded up to four bytes.
    let start = match (image.cell("data-position"), image.cell("data-offset")) {
        (Some(position), _) => u64::from(position),
        (None, Some(offset)) => total.next_multiple_of(4) + u64::from(offset),
        (None, None) => return Err("it has neither `data-position` nor `data-offset`".to_owned()),
    };
    Ok((start, u64::from(size)))
}

fn image(pieces: &mut Pieces, at: &str, compression: &str, part: &Source, depth: usize, found: &mut Found) {
    if !matches!(compression, "none" | "gzip" | "bzip2" | "lz4" | "lzma" | "xz" | "zstd") {
        pieces.part(at, Some(part.len()), &format!("packed by {compression}"), false);
        found.add("not-understood", at, format!("compression `{compression}` is not read"));
        return;
    }
    pieces.look(at, part, depth + 1, found);
}

/// A kernel, a boot loader, a legacy image or a saved environment; gives its end, `None` when it is none.
pub fn blob(pieces: &mut Pieces, at: &str, source: &Source, depth: usize, found: &mut Found) -> Option<u64> {
    let len = source.len();
    let head = source.read_vec(0, len.min(0x210)).unwrap_or_default();
    let is = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    if is(0, &[0x27, 0x05, 0x19, 0x56]) {
        return Some(legacy(pieces, at, source, &head, depth, found));
    }
    let kernel = is(56, b"ARM\x64") || is(0x24, &[0x18, 0x28, 0x6f, 0x01]) || is(0x202, b"HdrS");
    if !(64..=MAX_BLOB).contains(&len) {
        return None;
    }
    if kernel {
        let end = kernel_end(&head).filter(|end| (64..len).contains(end)).unwrap_or(len);
        pieces.part(at, Some(end), "a kernel", true);
        let source = source.slice(0, end).unwrap_or_else(|_| source.clone());
        pieces.kernels.push(Blob { at: at.to_owned(), source });
        return Some(end);
    }
    if let Some((variables, end)) = environment(source) {
        pieces.part(at, Some(len), "a saved environment of U-Boot", true);
        pieces.environments.push((at.to_owned(), variables));
        return Some(end);
    }
    // A partition table is no boot loader, and one that is there is in the gap before the first partition.
    if is(510, &[0x55, 0xaa]) && image::disk::mbr::partitions(source).is_ok_and(|found| found.is_some()) {
        return None;
    }
    raw_boot_loader(pieces, at, source, depth, found)
}

/// Where a kernel ends by its own header: `image_size` of arm64's `Image` (memory that it needs, never less than the
/// file), `start` and `end` of a zImage. Source: Linux, `Documentation/arch/arm64/booting.rst`, `arch/arm/boot/compressed/head.S`.
fn kernel_end(head: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    if head.get(56..60) == Some(b"ARM\x64") {
        return Some(u64::from(word(20)?) << 32 | u64::from(word(16)?));
    }
    if head.get(0x24..0x28) == Some(&[0x18, 0x28, 0x6f, 0x01]) {
        return word(0x2c)?.checked_sub(word(0x28)?).map(u64::from);
    }
    None
}

/// Bytes in which U-Boot names itself, or which hold a control device tree with keys.
pub fn raw_boot_loader(
    pieces: &mut Pieces,
    at: &str,
    source: &Source,
    depth: usize,
    found: &mut Found,
) -> Option<u64> {
    let len = source.len().min(MAX_BLOB.min(64 << 20));
    let Ok(mut bytes) = source.read_vec(0, len) else { return None };
    let holds = |bytes: &[u8], needle: &[u8]| {
        aho_corasick::AhoCorasick::new([needle]).ok().and_then(|finder| finder.find(bytes)).is_some()
    };
    if holds(&bytes, b"Linux version ") && bytes.starts_with(b"\x7fELF") {
        pieces.part(at, Some(len), "a kernel", true);
        pieces.kernels.push(Blob { at: at.to_owned(), source: source.slice(0, len).ok()? });
        return Some(source.len());
    }
    // What begins behind it is a piece of its own; the boot loader is in what is in front of that.
    let end = tails::behind_boot_loader(&bytes);
    bytes.truncate(end.unwrap_or(bytes.len()));
    if !holds(&bytes, U_BOOT) || control_fdt::find_trees(&bytes).is_empty() && version(&bytes).is_none() {
        return None;
    }
    let fits = control_fdt::find_trees(&bytes).into_iter().filter_map(|(start, size)| {
        let tree = bytes.get(start..start.checked_add(size)?)?;
        Tree::parse(tree).ok()?.root.child("images").map(|_| (start, size))
    });
    let fits: Vec<(usize, usize)> = fits.take(4).collect();
    let len = bytes.len() as u64;
    let end = if end.is_some() { len } else { source.len() };
    pieces.part(at, Some(end), "a boot loader (U-Boot)", true);
    // SPL keeps U-Boot proper in a FIT beside itself.
    for (start, size) in fits {
        if let Ok(part) = source.slice(start as u64, size as u64) {
            pieces.look(&format!("{at} / FIT at {start}"), &part, depth + 1, found);
        }
    }
    pieces.boot_loaders.push(Blob { at: at.to_owned(), source: source.slice(0, len).ok()? });
    Some(end)
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

/// A legacy image: 64 bytes of header, then the payload; gives its end. Source: U-Boot, `include/image.h`.
fn legacy(
    pieces: &mut Pieces,
    at: &str,
    source: &Source,
    head: &[u8],
    depth: usize,
    found: &mut Found,
) -> u64 {
    let size =
        head.get(12..16).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map_or(0, u32::from_be_bytes);
    let size = u64::from(size);
    let read = matches!(head.get(31), Some(0..=3 | 5 | 6)) && source.slice(64, size).is_ok();
    pieces.part(at, Some(source.len()), "a legacy image of U-Boot (uImage, no signature)", read);
    for what in wrong_sums(head, source, size) {
        found.add("broken", at, format!("the checksum of its {what} is not right"));
    }
    if let (Some([6, 0]), Ok(part)) = (head.get(30..32), source.slice(64, size))
        && let Some(lines) = script(&part)
    {
        pieces.part(&format!("{at} / payload"), Some(size), "a script of U-Boot", true);
        pieces.environments.push((at.to_owned(), lines));
        return 64 + size;
    }
    match (head.get(31).copied(), source.slice(64, size)) {
        (Some(0..=3 | 5 | 6), Ok(part)) => pieces.look(&format!("{at} / payload"), &part, depth + 1, found),
        (Some(kind), Ok(_)) => found.add("not-understood", at, format!("compression {kind} is not read")),
        (_, Err(why)) => {
            found.add("broken", at, why.to_string());
            return source.len();
        }
        (None, Ok(_)) => found.add("broken", at, "the header is cut short"),
    }
    64 + size
}

/// The commands of a script of U-Boot, each as a variable: behind a list of lengths that ends with 0. Source: U-Boot, `cmd/source.c`.
fn script(part: &Source) -> Option<Vec<String>> {
    let bytes = part.read_vec(0, part.len().min(1 << 20)).ok()?;
    let mut start = 0;
    while u32::from_be_bytes(bytes.get(start..start + 4)?.try_into().ok()?) != 0 {
        start += 4;
    }
    let text = std::str::from_utf8(bytes.get(start + 4..)?).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Some(lines.take(10_000).map(|line| format!("bootcmd={line}")).collect())
}

/// Which of the two checksums of a legacy image do not hold: of the header with that field as zeros, and of the data.
fn wrong_sums(head: &[u8], source: &Source, size: u64) -> Vec<&'static str> {
    let word = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let mut wrong = Vec::new();
    if let Some(header) = head.get(..64) {
        let mut header = header.to_vec();
        header[4..8].fill(0);
        if word(4) != Some(image::disk::crc32(&header)) {
            wrong.push("header");
        }
    }
    if size <= MAX_BLOB
        && let Ok(bytes) = source.read_vec(64, size)
        && word(24) != Some(image::disk::crc32(&bytes))
    {
        wrong.push("data");
    }
    wrong
}

/// The variables of a saved environment, and where they end: a checksum of four bytes, a flag of one where there are two copies, then
/// `name=value` with NUL between. Source: U-Boot, `include/env_internal.h`.
fn environment(source: &Source) -> Option<(Vec<String>, u64)> {
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
            let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            return Some((words, (start + end + 2) as u64));
        }
    }
    None
}
