//! Writes a root file system followed by its dm-verity hash tree.
//!
//! Format: hash type 1 of `Documentation/admin-guide/device-mapper/verity.rst`: SHA-256, blocks of 4096
//! bytes, the salt before the data, no superblock (the table on the signed command line says all that it
//! would say). Only the writing side is here; `image::verity` reads with other code.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use diag::{Failure, Outcome};
use sha2::{Digest, Sha256};

/// Bytes of a data block and of a hash block.
pub const BLOCK: usize = 4096;
const DIGEST: usize = 32;
const PER_BLOCK: usize = BLOCK / DIGEST;
/// Bytes read at a time; each of the two threads hashes one half.
const CHUNK: usize = 4 << 20;

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
    let seed = Sha256::new_with_prefix(salt);
    let mut whole = Sha256::new();
    let mut digests = Vec::new();
    let mut data_blocks = 0u64;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = fill(&mut from, &mut buffer).map_err(|e| Failure::io("read", data, &e))?;
        if count == 0 {
            break;
        }
        let padded = count.next_multiple_of(BLOCK);
        buffer[count..padded].fill(0);
        hash_chunk(&seed, &mut whole, &buffer[..padded], count, &mut digests);
        to.write_all(&buffer[..padded]).map_err(|e| Failure::io("write", out, &e))?;
        data_blocks += (padded / BLOCK) as u64;
        if count < CHUNK {
            break;
        }
    }
    if data_blocks == 0 {
        return Err(Failure::error(
            diag::ExitStatus::Build,
            "empty-rootfs",
            format!("expected a root file system in `{}`, found an empty file", data.display()),
        )
        .hint("build it again with `fastness build`"));
    }
    let (root_hash, tree) = build_tree(&seed, digests);
    to.write_all(&tree).map_err(|e| Failure::io("write", out, &e))?;
    Ok(VerityTree {
        root_hash,
        salt: salt.to_vec(),
        data_blocks,
        hash_blocks: (tree.len() / BLOCK) as u64,
        data_sha256: hex(&whole.finalize()),
    })
}

/// Digests of the blocks of `chunk`, half of them on a second thread, and the plain hash of its first
/// `count` bytes on a third.
fn hash_chunk(seed: &Sha256, whole: &mut Sha256, chunk: &[u8], count: usize, digests: &mut Vec<u8>) {
    let half = (chunk.len() / BLOCK).div_ceil(2) * BLOCK;
    let (first, second) = chunk.split_at(half);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| block_digests(seed, second));
        scope.spawn(|| whole.update(&chunk[..count]));
        digests.extend(block_digests(seed, first));
        // The thread cannot panic; were it to, the scope would pass that on.
        digests.extend(other.join().unwrap_or_default());
    });
}

fn block_digests(seed: &Sha256, blocks: &[u8]) -> Vec<u8> {
    let mut digests = Vec::with_capacity(blocks.len() / PER_BLOCK);
    for block in blocks.chunks(BLOCK) {
        digests.extend_from_slice(&seed.clone().chain_update(block).finalize());
    }
    digests
}

/// The root hash and the tree's blocks in the order of the disk. One data block has no tree: its digest is
/// the root hash (drivers/md/dm-verity-target.c, `verity_ctr`).
fn build_tree(seed: &Sha256, mut digests: Vec<u8>) -> ([u8; 32], Vec<u8>) {
    let mut levels = Vec::new();
    while digests.len() > DIGEST {
        digests.resize(digests.len().next_multiple_of(BLOCK), 0);
        let above = block_digests(seed, &digests);
        levels.push(std::mem::replace(&mut digests, above));
    }
    let mut root = [0; DIGEST];
    root.copy_from_slice(&digests);
    (root, levels.into_iter().rev().flatten().collect())
}

/// Fills the buffer as far as the file goes.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
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
