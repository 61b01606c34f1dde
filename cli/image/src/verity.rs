//! Verifies dm-verity data against its hash tree and root hash (Linux,
//! `Documentation/admin-guide/device-mapper/verity.rst`).
//!
//! This is the reading side only. The tree is written elsewhere, by other code, so that one mistake
//! cannot sit in both. A mismatch is a verdict ([`Verdict`]), not an [`Error`]: an error means that
//! nothing was proven.
//!
//! ```
//! use image::{Source, verity::{Params, Verdict, verify}};
//! use sha2::{Digest, Sha256};
//! let data = vec![7; 4096];
//! // With one data block the root hash is the hash of that block.
//! let params = Params {
//!     hash_type: 1,
//!     data_block_bytes: 4096,
//!     hash_block_bytes: 4096,
//!     data_blocks: 1,
//!     hash_start_block: 0,
//!     salt: b"salt".to_vec(),
//! };
//! let root: [u8; 32] = Sha256::new().chain_update(b"salt").chain_update(&data).finalize().into();
//! let source = Source::from_bytes("data", data);
//! let verdict = verify(&source, &Source::from_bytes("tree", vec![]), &params, &root)?;
//! assert_eq!(verdict, Verdict::Intact { data_blocks: 1, hash_blocks: 0 });
//! # Ok::<(), image::Error>(())
//! ```

use sha2::{Digest, Sha256};

use crate::source::field;
use crate::{Error, Result, Source};

const FORMAT: &str = "dm-verity";
/// Bytes of a SHA-256 digest; a power of two, so that hash type 1 pads nothing.
const DIGEST: usize = 32;
const MAX_BLOCK_BYTES: u32 = 64 << 10;
/// `veritysetup` accepts no longer salt.
const MAX_SALT_BYTES: usize = 256;
/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

/// Everything but the root hash. The algorithm is SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// 1: the salt comes before the data (all of today); 0: after it (Chromium OS).
    pub hash_type: u32,
    /// Bytes of a data block, a power of two from 512 to 65536.
    pub data_block_bytes: u32,
    /// Bytes of a hash block, likewise.
    pub hash_block_bytes: u32,
    /// How many data blocks are protected.
    pub data_blocks: u64,
    /// The first block of the tree, in hash blocks from the start of the hash source.
    pub hash_start_block: u64,
    /// The salt, at most 256 bytes.
    pub salt: Vec<u8>,
}

/// What the verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every block agrees with the root hash.
    Intact {
        /// Data blocks verified.
        data_blocks: u64,
        /// Hash blocks verified.
        hash_blocks: u64,
    },
    /// The first block, from the root downwards, that does not.
    Corrupt(BadBlock),
}

/// A block that is not what its parent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// `None` for a data block, else the level of a hash block: 0 is next to the data.
    pub level: Option<u32>,
    /// Its number: for data from the start of the data, for hashes from the start of the hash source.
    pub block: u64,
    /// The digest that the parent, or the root hash, gives.
    pub expected: [u8; DIGEST],
    /// The digest of what is there.
    pub found: [u8; DIGEST],
}

impl std::fmt::Display for BadBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.level {
            None => write!(f, "data block {}", self.block)?,
            Some(level) => write!(f, "hash block {} (level {level})", self.block)?,
        }
        f.write_str(": expected ")?;
        self.expected.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(", found ")?;
        self.found.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Params {
    /// Reads the superblock that `veritysetup format` writes at the start of the hash device.
    ///
    /// # Errors
    /// When there is none, or it asks for another algorithm than SHA-256.
    pub fn from_superblock(hash: &Source) -> Result<Self> {
        let block: [u8; 512] = hash.read_array(0)?;
        let bad = |reason: String| Error::malformed(FORMAT, "superblock", reason);
        let short = || bad("too short".to_owned());
        if &block[..8] != b"verity\0\0" {
            return Err(bad("expected the signature `verity`".to_owned()));
        }
        let version = field::u32(&block, 8).ok_or_else(short)?;
        if version != 1 {
            return Err(bad(format!("expected version 1, found {version}")));
        }
        let name: Vec<u8> = block[32..64].iter().copied().take_while(|byte| *byte != 0).collect();
        if name != b"sha256" {
            let feature = format!("the algorithm `{}`", String::from_utf8_lossy(&name));
            return Err(Error::unsupported(FORMAT, feature, "format the tree with `--hash=sha256`"));
        }
        let salt_bytes = usize::from(field::u16(&block, 80).ok_or_else(short)?);
        let salt = block[88..88 + MAX_SALT_BYTES]
            .get(..salt_bytes)
            .ok_or_else(|| bad(format!("a salt of {salt_bytes} bytes is not possible")))?;
        let hash_block_bytes = field::u32(&block, 68).ok_or_else(short)?;
        let params = Self {
            hash_type: field::u32(&block, 12).ok_or_else(short)?,
            data_block_bytes: field::u32(&block, 64).ok_or_else(short)?,
            hash_block_bytes,
            data_blocks: field::u64(&block, 72).ok_or_else(short)?,
            hash_start_block: 1,
            salt: salt.to_vec(),
        };
        params.check()?;
        Ok(params)
    }

    fn check(&self) -> Result<()> {
        let bad = |at: &str, reason: String| Err(Error::malformed(FORMAT, at, reason));
        for (at, bytes) in
            [("data block size", self.data_block_bytes), ("hash block size", self.hash_block_bytes)]
        {
            if !bytes.is_power_of_two() || !(512..=MAX_BLOCK_BYTES).contains(&bytes) {
                return bad(at, format!("expected a power of two from 512 to 65536, found {bytes}"));
            }
        }
        if self.hash_type > 1 {
            return bad("hash type", format!("expected 0 or 1, found {}", self.hash_type));
        }
        if self.data_blocks == 0 {
            return bad("number of data blocks", "nothing is protected".to_owned());
        }
        if self.salt.len() > MAX_SALT_BYTES {
            return bad("salt", format!("expected at most 256 bytes, found {}", self.salt.len()));
        }
        Ok(())
    }

    /// Where the tree ends, in bytes from the start of the hash source.
    ///
    /// # Errors
    /// When the parameters are impossible.
    pub fn end(&self) -> Result<u64> {
        self.check()?;
        let blocks = self
            .levels()?
            .iter()
            .try_fold(self.hash_start_block, |end, (start, count)| Some(end.max(start.checked_add(*count)?)));
        let bytes = blocks.and_then(|blocks| blocks.checked_mul(self.hash_block_bytes.into()));
        bytes.ok_or_else(|| {
            Error::malformed(FORMAT, "number of data blocks", "the tree is outside every disk")
        })
    }

    /// The root hash that the tree has by its own topmost block: whether it is the one that was signed, others know.
    ///
    /// # Errors
    /// When the parameters are impossible, or the tree is not there.
    pub fn own_root(&self, hash: &Source) -> Result<[u8; DIGEST]> {
        self.check()?;
        let bytes = u64::from(self.hash_block_bytes);
        let at = self.hash_start_block.checked_mul(bytes);
        let at =
            at.ok_or_else(|| Error::malformed(FORMAT, "hash start block", "the tree is outside every disk"))?;
        Ok(self.digest(&hash.read_vec(at, bytes)?))
    }

    fn digest(&self, block: &[u8]) -> [u8; DIGEST] {
        let hasher = Sha256::new();
        match self.hash_type {
            1 => hasher.chain_update(&self.salt).chain_update(block),
            _ => hasher.chain_update(block).chain_update(&self.salt),
        }
        .finalize()
        .into()
    }

    /// First block and number of blocks of each level, level 0 (next to the data) first.
    /// The root's level is stored first in the image.
    fn levels(&self) -> Result<Vec<(u64, u64)>> {
        let per_block = u64::from(self.hash_block_bytes) / DIGEST as u64;
        let mut counts = Vec::new();
        let mut blocks = self.data_blocks;
        while blocks > 1 {
            blocks = blocks.div_ceil(per_block);
            counts.push(blocks);
        }
        let mut next = Some(self.hash_start_block);
        let mut levels = Vec::new();
        for count in counts.iter().rev() {
            let start = next.ok_or_else(|| {
                Error::malformed(FORMAT, "hash start block", "the tree is outside every disk")
            })?;
            levels.push((start, *count));
            next = start.checked_add(*count);
        }
        levels.reverse();
        Ok(levels)
    }
}

/// Verifies the tree from its root down, then every data block.
///
/// `data` and `hash` may be the same source. Bytes after the protected blocks are not looked at.
///
/// # Errors
/// When the parameters are impossible, or a source ends before the blocks that must be there.
pub fn verify(data: &Source, hash: &Source, params: &Params, root: &[u8; DIGEST]) -> Result<Verdict> {
    params.check()?;
    let levels = params.levels()?;
    let mut hash_blocks = 0;
    let mut parent = None;
    for (number, (start, count)) in (0..levels.len() as u32).zip(&levels).rev() {
        let run = Run { source: hash, bytes: params.hash_block_bytes, start: *start, count: *count };
        if let Some(bad) = verify_run(&run, Some(number), hash, parent, params, root)? {
            return Ok(Verdict::Corrupt(bad));
        }
        hash_blocks += count;
        parent = Some(*start);
    }
    let run = Run { source: data, bytes: params.data_block_bytes, start: 0, count: params.data_blocks };
    Ok(match verify_run(&run, None, hash, parent, params, root)? {
        Some(bad) => Verdict::Corrupt(bad),
        None => Verdict::Intact { data_blocks: params.data_blocks, hash_blocks },
    })
}

/// Neighbouring blocks of one level.
struct Run<'a> {
    source: &'a Source,
    bytes: u32,
    start: u64,
    count: u64,
}

fn verify_run(
    run: &Run<'_>,
    level: Option<u32>,
    hash: &Source,
    parent: Option<u64>,
    params: &Params,
    root: &[u8; DIGEST],
) -> Result<Option<BadBlock>> {
    let size = u64::from(run.bytes);
    let place = run.start.checked_mul(size).zip(run.count.checked_mul(size));
    let (at, len) = place.ok_or_else(|| {
        Error::malformed(FORMAT, "number of blocks", format!("{} blocks are outside every disk", run.count))
    })?;
    let window = run.source.slice(at, len)?;
    let per_block = u64::from(params.hash_block_bytes) / DIGEST as u64;
    // The digests of the children that are being verified: one block of the parent level.
    let mut digests = Vec::new();
    for chunk_at in (0..len).step_by(CHUNK as usize) {
        let chunk = window.read_vec(chunk_at, CHUNK.min(len - chunk_at))?;
        for (index, block) in (chunk_at / size..).zip(chunk.chunks_exact(run.bytes as usize)) {
            let expected = match parent {
                None => *root,
                Some(parent) => {
                    if index % per_block == 0 {
                        let bytes = u64::from(params.hash_block_bytes);
                        digests = hash.read_vec((parent + index / per_block) * bytes, bytes)?;
                    }
                    let at = (index % per_block) as usize * DIGEST;
                    field::array(&digests, at).unwrap_or([0; DIGEST])
                }
            };
            let found = params.digest(block);
            if found != expected {
                return Ok(Some(BadBlock { level, block: run.start + index, expected, found }));
            }
        }
    }
    Ok(None)
}
