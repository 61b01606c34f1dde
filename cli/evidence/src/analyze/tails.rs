//! What lies behind a file system, an archive or a header that says where it ends: it may be anything, so it is looked at
//! as any other piece. Only padding is nothing, and a hash tree that holds is one.

use image::Source;
use image::verity::{Params, Verdict, verify};

use super::open::Pieces;
use super::rules::Found;

/// Bytes that are read at a time.
const STEP: u64 = 1 << 20;
/// Where ext2 to ext4 have their magic: what is before it may be zeros.
const EXT4_MAGIC: u64 = 1080;

/// Bytes behind a file system.
pub struct Tail {
    /// How the file system is called.
    pub at: String,
    /// The file system and what follows.
    pub whole: Source,
    /// Where the file system ends.
    pub end: u64,
    /// How many containers it lies in.
    pub depth: usize,
}

/// Whether all of it is as storage to which nothing was written: zeros throughout, or ones.
#[must_use]
pub fn blank(source: &Source) -> bool {
    let mut first = None;
    // Of more than this nobody waits to know.
    source.len() <= 4 << 30
        && (0..source.len().div_ceil(STEP)).all(|step| {
            let at = step * STEP;
            if exec::interrupted() {
                return false;
            }
            let Ok(piece) = source.read_vec(at, STEP.min(source.len() - at)) else { return false };
            let fill = *first.get_or_insert(piece[0]);
            // Comparing with itself, moved by one, is a comparison of memory.
            matches!(fill, 0 | 0xff) && piece[0] == fill && piece[1..] == piece[..piece.len() - 1]
        })
}

/// The first byte from `from` on that is no padding (0x00 or 0xff).
#[must_use]
pub fn next(source: &Source, from: u64) -> Option<u64> {
    let mut at = from;
    while at < source.len() && !exec::interrupted() {
        let piece = source.read_vec(at, STEP.min(source.len() - at)).ok()?;
        if let Some(offset) = piece.iter().position(|byte| !matches!(byte, 0 | 0xff)) {
            return Some(start(source, from, at + offset as u64));
        }
        at += piece.len() as u64;
    }
    None
}

/// Where a piece begins whose first byte that is not zero is at `at`.
fn start(source: &Source, from: u64, at: u64) -> u64 {
    let block = at & !511;
    let Some(start) = block.checked_sub(1024).filter(|start| *start >= from) else { return at };
    let magic = source.read_vec(start + EXT4_MAGIC, 2);
    if magic.is_ok_and(|magic| magic == [0x53, 0xef]) { start } else { at }
}

/// Padding in front of what is a piece of its own, behind a boot loader.
const RUN: usize = 4 << 10;
/// Where such a piece begins: flash is erased in blocks, and partitions begin at one.
const BLOCK: usize = 64 << 10;
/// How pieces begin that may follow a boot loader without padding, each longer than chance.
const STRONG: [&[u8]; 6] =
    [b"070701", b"070702", b"UBI#\x01", b"\xfd7zXZ\x00", b"\x27\x05\x19\x56", b"ANDROID!"];

/// Where the first piece begins that lies behind a boot loader: at a block behind padding, or by what it begins with.
/// SPL in front of U-Boot proper, its device trees and its FITs are one boot loader.
#[must_use]
pub fn behind_boot_loader(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"U-Boot ";
    let finder = aho_corasick::AhoCorasick::new([NAME]).ok()?;
    let first = finder.find(bytes)?.start();
    let last = finder.find_iter(bytes).last().map_or(first, |hit| hit.start());
    let is_squashfs =
        |at: usize| bytes[at..].starts_with(b"hsqs") && bytes.get(at + 28..at + 30) == Some(&[4, 0]);
    (1..bytes.len().div_ceil(512)).map(|block| block * 512).find(|at| {
        let here = &bytes[*at..];
        // Before its name there is no boot loader to end.
        if *at <= first {
            return false;
        }
        if is_squashfs(*at) || STRONG.iter().any(|magic| here.starts_with(magic)) {
            return true;
        }
        let is_fit = here.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]);
        at % BLOCK == 0
            && *at > last
            && !is_fit
            && !matches!(here[0], 0 | 0xff)
            && here.len() >= 512
            && *at >= RUN
            && bytes[at - RUN..*at].iter().all(|byte| *byte == bytes[at - 1])
            && matches!(bytes[at - 1], 0 | 0xff)
    })
}

/// Looks at the bytes behind file systems; `lines` are the kernel command lines, of which one may name a hash tree.
pub fn look(pieces: &mut Pieces, lines: &[(String, String)], found: &mut Found) {
    for Tail { at, whole, end, depth } in std::mem::take(&mut pieces.tails) {
        let Some(mut from) = next(&whole, end) else { continue };
        if let Some((tree, end)) = hash_tree(&whole, end, from, lines) {
            let here = format!("{at} / from byte {tree}");
            pieces.part(&here, Some(end - tree), "a dm-verity hash tree that holds", true);
            let Some(rest) = next(&whole, end) else { continue };
            from = rest;
        }
        let Ok(rest) = whole.slice(from, whole.len() - from) else { continue };
        pieces.look(&format!("{at} / from byte {from}"), &rest, depth + 1, found);
    }
}

/// First and last byte of the hash tree at `from`, where it holds for all of the file system, which ends at `end`.
fn hash_tree(whole: &Source, end: u64, from: u64, lines: &[(String, String)]) -> Option<(u64, u64)> {
    let covers = |params: &Params| {
        let bytes = params.data_blocks.checked_mul(params.data_block_bytes.into());
        bytes.is_some_and(|bytes| (end..=from).contains(&bytes))
    };
    let behind = whole.slice(from, whole.len() - from).ok()?;
    if let Ok(params) = Params::from_superblock(&behind) {
        let root = params.own_root(&behind).ok().filter(|_| covers(&params))?;
        let last = from.checked_add(params.end().ok()?)?;
        let holds = matches!(verify(whole, &behind, &params, &root), Ok(Verdict::Intact { .. }));
        return holds.then_some((from, last.min(whole.len())));
    }
    // The first command line that names this tree by its own root hash decides: each further one would read it again.
    let (params, root, start) = lines.iter().find_map(|(_, line)| {
        let named = crate::open::verity::arguments(line).ok()?;
        let params = named.params();
        let start = params.hash_start_block.checked_mul(params.hash_block_bytes.into())?;
        // A digest may begin with what looks like padding.
        if !(end..=from).contains(&start) || !covers(&params) {
            return None;
        }
        let root = params.own_root(whole).ok()?;
        let shown: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
        (shown == named.root).then_some((params, root, start))
    })?;
    let holds = matches!(verify(whole, whole, &params, &root), Ok(Verdict::Intact { .. }));
    holds.then_some((start, params.end().ok()?.min(whole.len())))
}
