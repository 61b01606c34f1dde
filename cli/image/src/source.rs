//! Where an image's bytes come from: a file, a part of one, or memory.
//!
//! Reads are positional, so that one open image can be read from several places at once, and bounded by
//! the window, so that a wrong offset inside a partition can never reach its neighbour.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::unpack::{Codec, Holed};
use crate::{Error, Result};

#[derive(Debug)]
enum Backing {
    File(File),
    Bytes(Vec<u8>),
    /// Parts of another source one behind the other: the first byte of each here, and there.
    Pieces(Source, Vec<(u64, u64)>),
}

/// A window of bytes that can be read at any offset.
///
/// ```
/// let source = image::Source::from_bytes("demo", b"hello world".to_vec());
/// let world = source.slice(6, 5)?;
/// assert_eq!(world.read_vec(0, 5)?, b"world");
/// assert!(world.read_vec(3, 5).is_err());
/// # Ok::<(), image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    backing: Arc<Backing>,
    name: Arc<str>,
    start: u64,
    len: u64,
}

impl Source {
    /// Opens a regular file or a block device for reading.
    ///
    /// # Errors
    /// When it cannot be opened, or is something that could block or never end (a FIFO, a terminal).
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        // Non-blocking, so that opening a FIFO returns and can be refused below.
        let file = File::options()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(|e| Error::io("open", &name, e))?;
        Self::from_file(&name, file)
    }

    /// Takes an open file; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn from_file(name: &str, mut file: File) -> Result<Self> {
        let kind = file.metadata().map_err(|e| Error::io("examine", name, e))?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::path(name, "expected a regular file or a block device"));
        }
        let len = file.seek(SeekFrom::End(0)).map_err(|e| Error::io("find the end of", name, e))?;
        Ok(Self { backing: Arc::new(Backing::File(file)), name: name.into(), start: 0, len })
    }

    /// Takes bytes in memory; `name` is what errors call them.
    #[must_use]
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { backing: Arc::new(Backing::Bytes(bytes)), name: name.into(), start: 0, len }
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes inside, where these are packed by bzip2, gzip, LZ4, LZMA, xz or zstd; else `None`.
    ///
    /// What is unpacked lies in an unnamed temporary file with holes for its zeros.
    ///
    /// # Errors
    /// When the packed bytes are broken, or unpack to more than `limit` bytes.
    ///
    /// ```
    /// let plain = image::Source::from_bytes("disk.img", vec![7; 100]);
    /// assert!(plain.unpacked(1 << 20)?.is_none());
    /// # Ok::<(), image::Error>(())
    /// ```
    pub fn unpacked(&self, limit: u64) -> Result<Option<Self>> {
        Ok(self.unpacked_with_end(limit, &|| false)?.map(|(unpacked, _)| unpacked))
    }

    /// As [`Source::unpacked`], with where the packed bytes end: something else may lie behind. Ends with an error as soon as
    /// `stop` says so.
    ///
    /// # Errors
    /// As [`Source::unpacked`].
    pub fn unpacked_with_end(&self, limit: u64, stop: &dyn Fn() -> bool) -> Result<Option<(Self, u64)>> {
        let head = self.read_vec(0, self.len.min(16))?;
        Codec::of_archive(&head).map(|codec| codec.archive_until(self, limit, stop)).transpose()
    }

    /// Takes bytes out of memory: they are moved to an unnamed temporary file with holes for its zeros.
    ///
    /// # Errors
    /// When the host has no room for it.
    pub fn set_aside(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut file = Holed::new(name)?;
        file.write(bytes)?;
        file.finish()
    }

    /// Whether its bytes are packed in a way that [`Source::unpacked`] reads.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.read_vec(0, self.len.min(16)).is_ok_and(|head| Codec::of_archive(&head).is_some())
    }

    /// A smaller window: `len` bytes from `offset`.
    ///
    /// # Errors
    /// When that is not inside this one.
    pub fn slice(&self, offset: u64, len: u64) -> Result<Self> {
        self.check(offset, len)?;
        Ok(Self { start: self.start + offset, len, ..self.clone() })
    }

    /// Parts of this one, from byte so many, as one source: how a file system keeps a file.
    ///
    /// # Errors
    /// When one is not inside this one.
    pub(crate) fn pieces(&self, parts: Vec<(u64, u64)>) -> Result<Self> {
        if let [(offset, len)] = parts[..] {
            return self.slice(offset, len);
        }
        let (mut len, mut starts) = (0_u64, Vec::with_capacity(parts.len()));
        for (offset, bytes) in parts {
            self.check(offset, bytes)?;
            starts.push((len, offset));
            len = len.saturating_add(bytes);
        }
        let backing = Arc::new(Backing::Pieces(self.clone(), starts));
        Ok(Self { backing, name: self.name.clone(), start: 0, len })
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When the window ends before, or the host cannot read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.check(offset, buffer.len() as u64)?;
        let at = self.start + offset;
        match &*self.backing {
            Backing::File(file) => {
                file.read_exact_at(buffer, at).map_err(|e| Error::io("read", &*self.name, e))
            }
            Backing::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                match bytes.get(at..at.saturating_add(buffer.len())) {
                    Some(found) => {
                        buffer.copy_from_slice(found);
                        Ok(())
                    }
                    None => Err(self.truncated(offset, buffer.len() as u64)),
                }
            }
            Backing::Pieces(whole, starts) => {
                let mut from = at;
                let mut rest = buffer;
                while !rest.is_empty() {
                    let piece = starts.partition_point(|(start, _)| *start <= from).saturating_sub(1);
                    let (start, there) = starts.get(piece).copied().unwrap_or_default();
                    let end = starts.get(piece + 1).map_or(u64::MAX, |(next, _)| *next);
                    let here = usize::try_from(end - from).unwrap_or(usize::MAX).min(rest.len());
                    let (first, more) = rest.split_at_mut(here);
                    whole.read_at(there + (from - start), first)?;
                    from += here as u64;
                    rest = more;
                }
                Ok(())
            }
        }
    }

    /// `len` bytes from `offset`. The window is checked before memory is taken.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    pub fn read_vec(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        let size = usize::try_from(len).map_err(|_| self.truncated(offset, len))?;
        let mut buffer = vec![0; size];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer)
    }

    pub(crate) fn read_array<const N: usize>(&self, offset: u64) -> Result<[u8; N]> {
        let mut buffer = [0; N];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer)
    }

    /// A reader from the start of the window that keeps its own position.
    #[must_use]
    pub fn reader(&self) -> SubReader {
        SubReader { source: self.clone(), position: 0 }
    }

    fn check(&self, offset: u64, wanted: u64) -> Result<()> {
        match offset.checked_add(wanted) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(self.truncated(offset, wanted)),
        }
    }

    fn truncated(&self, offset: u64, wanted: u64) -> Error {
        Error::Truncated { subject: self.name.to_string(), offset, wanted, len: self.len }
    }
}

/// [`Read`] and [`Seek`] over a [`Source`], bounded by its window.
#[derive(Clone, Debug)]
pub struct SubReader {
    source: Source,
    position: u64,
}

impl Read for SubReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len.saturating_sub(self.position);
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if size == 0 {
            return Ok(0);
        }
        self.source.read_at(self.position, &mut buffer[..size]).map_err(io::Error::other)?;
        self.position += size as u64;
        Ok(size)
    }
}

impl Seek for SubReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position =
            target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.position)
    }
}

/// Little-endian fields of a byte block; `None` past its end.
pub(crate) mod field {
    pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub fn u16(bytes: &[u8], at: usize) -> Option<u16> {
        array(bytes, at).map(u16::from_le_bytes)
    }

    pub fn u32(bytes: &[u8], at: usize) -> Option<u32> {
        array(bytes, at).map(u32::from_le_bytes)
    }

    pub fn u64(bytes: &[u8], at: usize) -> Option<u64> {
        array(bytes, at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_cannot_see_its_neighbour() {
        let whole = Source::from_bytes("x", (0..100).collect());
        let part = whole.slice(10, 20).unwrap();
        assert_eq!(part.read_vec(19, 1).unwrap(), [29]);
        let error = part.read_vec(19, 2).unwrap_err().to_string();
        assert!(error.contains("ends at byte 20, but 2 bytes are needed at byte 19"), "{error}");
        assert!(part.slice(1, u64::MAX).is_err());
        let mut all = Vec::new();
        part.reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, (10..30).collect::<Vec<u8>>());
    }

    #[test]
    fn pieces_are_read_as_one_and_none_lies_outside() {
        let whole = Source::from_bytes("x", (0..100).collect());
        let all = whole.pieces(vec![(50, 3), (10, 2), (0, 0), (90, 10)]).unwrap();
        assert_eq!(
            all.read_vec(0, 15).unwrap(),
            [50, 51, 52, 10, 11, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99]
        );
        assert_eq!(all.slice(2, 4).unwrap().read_vec(1, 3).unwrap(), [10, 11, 90]);
        assert!(all.read_vec(14, 2).is_err() && whole.pieces(vec![(0, 1), (99, 2)]).is_err());
        assert!(whole.pieces(vec![]).unwrap().is_empty());
    }

    #[test]
    fn a_fifo_is_refused_without_hanging() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_bits_truncate(0o600),
            0,
        )
        .unwrap();
        let error = Source::open(&path).unwrap_err().to_string();
        assert!(error.contains("expected a regular file"), "{error}");
    }
}
