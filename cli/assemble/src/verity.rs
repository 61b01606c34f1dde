//! Writes a root file system followed by its dm-verity hash tree.
//!
//! Format: hash type 1 of `Documentation/admin-guide/device-mapper/verity.rst`: SHA-256, blocks of 4096
//! bytes, the salt before the data, no superblock (the table on the signed command line says all that it
//! would say). Only the writing side is here; `image::verity` reads with other code.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use diag::{Failure, Outcome};
use sha2::{Digest, Sha256};

/// Bytes of a data block and of a hash block.
pub const BLOCK: usize = 4096;
const DIGEST: usize = 32;
const PER_BLOCK: usize = BLOCK / DIGEST;
/// Bytes read at a time: few calls, and still in a processor's own cache when they are hashed.
const CHUNK: usize = 256 << 10;

/// What the kernel has to be told about a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerityTree {
    /// Root hash.
    pub root_hash: [u8; 32],
    /// Salt.
    pub salt: Vec<u8>,
    /// Number of data blocks; also the first block of the tree.
    pub data_blocks: u64,
    /// Number of blocks of the tree.
    pub hash_blocks: u64,
    /// SHA-256 of the data as it was read, before padding, lower-case hexadecimal.
    pub data_sha256: String,
}

impl VerityTree {
    /// Bytes of data and tree together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.data_blocks + self.hash_blocks) * BLOCK as u64
    }
}

/// Salt of a product's version: the same version gives the same bytes on every build.
#[must_use]
pub fn salt(product: &str, version: &str) -> Vec<u8> {
    Sha256::new()
        .chain_update(product)
        .chain_update([0])
        .chain_update(version)
        .chain_update([0])
        .chain_update("salt")
        .finalize()
        .to_vec()
}

/// Copies `data` to `out`, padded with zeros to a whole block, and writes the hash tree behind it, the top
/// level first.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(data: &Path, out: &Path, salt: &[u8]) -> Outcome<VerityTree> {
    let mut from = File::open(data).map_err(|e| Failure::io("read", data, &e))?;
    let mut to = File::create(out).map_err(|e| Failure::io("write", out, &e))?;
    let data_bytes = std::io::copy(&mut from, &mut to).map_err(|e| Failure::io("write", out, &e))?;
    let data_blocks = data_bytes.div_ceil(BLOCK as u64);
    if data_blocks == 0 {
        return Err(Failure::error(
            diag::ExitStatus::Build,
            "empty-rootfs",
            format!("expected a root file system in `{}`, found an empty file", data.display()),
        )
        .hint("build it again with `fastness build`"));
    }
    to.set_len(data_blocks * BLOCK as u64).map_err(|e| Failure::io("write", out, &e))?;
    // Both of the copy: the caller compares its hash, and the tree is that of the same bytes.
    let (whole, tree) = std::thread::scope(|scope| {
        let whole = scope.spawn(|| sha256(out, data_bytes));
        let tree = tree(out, data_blocks, salt);
        (whole.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), tree)
    });
    let (root_hash, tree) = tree?;
    to.seek(SeekFrom::End(0)).and_then(|_| to.write_all(&tree)).map_err(|e| Failure::io("write", out, &e))?;
    Ok(VerityTree {
        root_hash,
        salt: salt.to_vec(),
        data_blocks,
        hash_blocks: (tree.len() / BLOCK) as u64,
        data_sha256: hex(&whole.map_err(|e| Failure::io("read", out, &e))?),
    })
}

/// SHA-256 of the first `bytes` of a file.
fn sha256(path: &Path, bytes: u64) -> std::io::Result<[u8; DIGEST]> {
    let file = File::open(path)?;
    let mut hash = Sha256::new();
    each_chunk(&file, 0..bytes, |chunk| hash.update(chunk))?;
    Ok(hash.finalize().into())
}

/// Root hash and tree, the top level first, of the first `data_blocks` blocks of a file.
///
/// # Errors
/// When the file cannot be read or has fewer blocks.
pub fn tree(data: &Path, data_blocks: u64, salt: &[u8]) -> Outcome<([u8; DIGEST], Vec<u8>)> {
    let seed = Sha256::new_with_prefix(salt);
    let file = File::open(data).map_err(|e| Failure::io("read", data, &e))?;
    let middle = data_blocks.div_ceil(2);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| range_digests(&file, &seed, middle..data_blocks));
        let first = range_digests(&file, &seed, 0..middle);
        (first, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let mut digests = first.map_err(|e| Failure::io("read", data, &e))?;
    digests.append(&mut second.map_err(|e| Failure::io("read", data, &e))?);
    Ok(build_tree(&seed, digests))
}

/// Digests of some blocks of a file.
fn range_digests(file: &File, seed: &Sha256, blocks: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut digests = Vec::new();
    let bytes = blocks.start * BLOCK as u64..blocks.end * BLOCK as u64;
    each_chunk(file, bytes, |chunk| append_digests(seed, chunk, &mut digests))?;
    Ok(digests)
}

fn each_chunk(file: &File, bytes: Range<u64>, mut with: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = bytes.start;
    while at < bytes.end {
        let count = usize::try_from(bytes.end - at).map_or(CHUNK, |left| left.min(CHUNK));
        file.read_exact_at(&mut buffer[..count], at)?;
        with(&buffer[..count]);
        at += count as u64;
    }
    Ok(())
}

fn append_digests(seed: &Sha256, blocks: &[u8], digests: &mut Vec<u8>) {
    for block in blocks.chunks(BLOCK) {
        digests.extend_from_slice(&seed.clone().chain_update(block).finalize());
    }
}

/// The root hash and the tree's blocks in the order of the disk. One data block has no tree: its digest is
/// the root hash (drivers/md/dm-verity-target.c, `verity_ctr`).
fn build_tree(seed: &Sha256, mut digests: Vec<u8>) -> ([u8; 32], Vec<u8>) {
    let mut levels = Vec::new();
    while digests.len() > DIGEST {
        digests.resize(digests.len().next_multiple_of(BLOCK), 0);
        let mut above = Vec::with_capacity(digests.len() / PER_BLOCK);
        append_digests(seed, &digests, &mut above);
        levels.push(std::mem::replace(&mut digests, above));
    }
    let mut root = [0; DIGEST];
    root.copy_from_slice(&digests);
    (root, levels.into_iter().rev().flatten().collect())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|d| char::from(b"0123456789abcdef"[usize::from(d)]))
        .collect()
}

#[cfg(test)]
mod tests;
