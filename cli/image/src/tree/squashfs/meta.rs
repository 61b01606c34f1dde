//! Metadata blocks: 8 KiB unpacked, each behind a two-byte header, read as one stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::bad;
use crate::unpack::Codec;
use crate::{Result, Source};

/// Bytes of a full metadata block.
pub(super) const BLOCK_BYTES: usize = 8192;
/// Unpacked blocks that are kept (16 MiB).
const MAX_CACHED: usize = 2048;
const UNCOMPRESSED: u16 = 0x8000;

/// An unpacked block and where the next one starts.
#[derive(Clone)]
struct Block {
    bytes: Arc<[u8]>,
    next: u64,
}

pub(super) struct Meta {
    source: Source,
    codec: Codec,
    cache: Mutex<HashMap<u64, Block>>,
}

impl Meta {
    pub fn new(source: Source, codec: Codec) -> Self {
        Self { source, codec, cache: Mutex::default() }
    }

    /// Drops the unpacked blocks that are kept.
    pub fn forget(&self) {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    fn block(&self, at: u64) -> Result<Block> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = cache.get(&at) {
            return Ok(block.clone());
        }
        let header = u16::from_le_bytes(self.source.read_array(at)?);
        let size = u64::from(header & !UNCOMPRESSED);
        let here = || format!("metadata block at byte {at}");
        if size == 0 || size > BLOCK_BYTES as u64 {
            return Err(bad(here(), format!("a stored size of {size} bytes is not possible")));
        }
        let stored = self.source.read_vec(at + 2, size)?;
        let bytes = if header & UNCOMPRESSED != 0 {
            stored
        } else {
            self.codec.block(&stored, BLOCK_BYTES).map_err(|reason| bad(here(), reason))?
        };
        if bytes.is_empty() {
            return Err(bad(here(), "it unpacks to nothing"));
        }
        let block = Block { bytes: bytes.into(), next: at + 2 + size };
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(at, block.clone());
        Ok(block)
    }

    /// A cursor at an offset in the block that starts at byte `at`.
    pub fn cursor(&self, at: u64, offset: usize) -> Result<Cursor<'_>> {
        let block = self.block(at)?;
        if offset > block.bytes.len() {
            return Err(bad(format!("metadata block at byte {at}"), format!("it has no byte {offset}")));
        }
        Ok(Cursor { meta: self, block, offset })
    }
}

/// Reads on from block to block.
pub(super) struct Cursor<'a> {
    meta: &'a Meta,
    block: Block,
    offset: usize,
}

impl Cursor<'_> {
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            if self.offset == self.block.bytes.len() {
                self.block = self.meta.block(self.block.next)?;
                self.offset = 0;
            }
            let size = buffer.len().min(self.block.bytes.len() - self.offset);
            buffer[..size].copy_from_slice(&self.block.bytes[self.offset..self.offset + size]);
            self.offset += size;
            buffer = &mut buffer[size..];
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut buffer = [0; N];
        self.fill(&mut buffer)?;
        Ok(buffer)
    }

    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The caller has bounded `size` by a few KiB.
    pub fn bytes(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0; size];
        self.fill(&mut buffer)?;
        Ok(buffer)
    }
}
