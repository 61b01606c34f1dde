//! Bounded decompression: one block into memory, or a whole archive into an unnamed temporary file.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::{Error, Result, Source};

/// Bytes that a compressed archive may unpack to.
pub(crate) const MAX_UNPACKED: u64 = 8 << 30;
/// Memory that one xz decoder may take: enough for `xz -9` (64 MiB dictionary).
const XZ_MEMORY: u64 = 80 << 20;
/// Largest zstd window: 2^27, what `zstd` itself accepts without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes that are unpacked at a time.
const BUFFER: usize = 128 << 10;

/// A compression of blocks or archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Bzip2,
    Zlib,
    Gzip,
    /// The older container of LZMA (`.lzma`, "LZMA alone"), which has no magic.
    Lzma,
    /// LZ4 in frames, also of the older kind that Linux packs kernels with (`lz4 -l`).
    Lz4,
    /// One block of LZ4 without a frame, as squashfs has it.
    Lz4Block,
    Xz,
    Zstd,
}

/// Bytes of a header of LZMA and the first one behind it.
const LZMA_HEAD: usize = 14;

/// Whether bytes begin as LZMA alone: the usual properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, a size that is
/// unknown or possible, and the first byte of its coder, which is always 0. Source: XZ Utils, `doc/lzma-file-format.txt`.
pub(crate) fn is_lzma(head: &[u8]) -> bool {
    let Some(head) = head.get(..LZMA_HEAD) else { return false };
    let dictionary = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let half = dictionary & dictionary.wrapping_sub(1);
    let plain = dictionary.is_power_of_two() || half.is_power_of_two() && half == (dictionary ^ half) << 1;
    let unknown = head[5..13].iter().all(|byte| *byte == 0xff);
    // No more than 256 GiB, as XZ Utils has it.
    let possible = head[10..13] == [0; 3] && head[9] < 0x40 && head[5..10] != [0; 5];
    head[0] == 0x5d
        && (1 << 12..=1 << 30).contains(&dictionary)
        && plain
        && (unknown || possible)
        && head[13] == 0
}

impl Codec {
    /// The compression of an archive by its magic.
    pub fn of_archive(head: &[u8]) -> Option<Self> {
        match head {
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            head if is_lzma(head) => Some(Self::Lzma),
            _ => None,
        }
    }

    fn decoder<'a>(self, input: impl Read + 'a) -> std::io::Result<Box<dyn Stream + 'a>> {
        Ok(match self {
            Self::Bzip2 => Box::new(Whole(bzip2::read::MultiBzDecoder::new(input))),
            Self::Zlib => Box::new(Whole(flate2::read::ZlibDecoder::new(input))),
            Self::Gzip => Box::new(Whole(flate2::read::MultiGzDecoder::new(input))),
            Self::Lzma => {
                let stream = xz2::stream::Stream::new_lzma_decoder(XZ_MEMORY)?;
                Box::new(Lzma { input, stream, buffer: Vec::new(), at: 0, done: false })
            }
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(Counted { input, bytes: 0 })),
            Self::Lz4Block => return Err(std::io::Error::other("a block of LZ4 is no stream")),
            Self::Xz => {
                let stream = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, xz2::stream::CONCATENATED)?;
                Box::new(Whole(xz2::read::XzDecoder::new_stream(input, stream)))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(Whole(decoder))
            }
        })
    }

    /// Unpacks one block of at most `max` bytes; the error is in words.
    pub fn block(self, input: &[u8], max: usize) -> std::result::Result<Vec<u8>, String> {
        if self == Self::Lz4Block {
            let mut output = vec![0; max];
            let size = lz4_flex::block::decompress_into(input, &mut output).map_err(|e| e.to_string())?;
            output.truncate(size);
            return Ok(output);
        }
        let mut output = Vec::new();
        let decoder = self.decoder(input).map_err(|e| e.to_string())?;
        decoder.take(max as u64 + 1).read_to_end(&mut output).map_err(|e| e.to_string())?;
        if output.len() > max {
            return Err(format!("unpacks to more than {max} bytes"));
        }
        Ok(output)
    }

    /// Unpacks a whole archive into an unnamed temporary file, so that it can be read at any offset.
    pub fn archive(self, packed: &Source, limit: u64) -> Result<Source> {
        self.archive_until(packed, limit, &|| false).map(|(unpacked, _)| unpacked)
    }

    /// As [`Codec::archive`], until `stop` says so; gives where the packed bytes end, too.
    pub fn archive_until(
        self,
        packed: &Source,
        limit: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<(Source, u64)> {
        let name = packed.name();
        let broken = |e: std::io::Error| Error::malformed("compressed archive", name, e.to_string());
        let mut file = Holed::new(name)?;
        let mut decoder = self.decoder(packed.reader()).map_err(broken)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            if stop() {
                return Err(Error::malformed(
                    "compressed archive",
                    name,
                    "it was not unpacked to its end: stopped",
                ));
            }
            let size = decoder.read(&mut buffer).map_err(broken)?;
            if size == 0 {
                let end = decoder.end().unwrap_or(packed.len());
                return Ok((file.finish()?, end.min(packed.len())));
            }
            file.write(&buffer[..size])?;
            if file.total > limit {
                return Err(Error::limit("compressed archive", "unpacked size in bytes", file.total, limit));
            }
        }
    }
}

/// Something that unpacks.
trait Stream: Read {
    /// Where what it unpacked ends, in bytes from its start; nothing where it takes all that there is.
    fn end(&self) -> Option<u64>;
}

/// One that takes everything, and calls what is no stream of its kind behind the first an error.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Stream for Whole<R> {
    fn end(&self) -> Option<u64> {
        None
    }
}

/// LZMA alone. The library's own reader calls whatever lies behind the stream a broken one.
struct Lzma<R> {
    input: R,
    stream: xz2::stream::Stream,
    buffer: Vec<u8>,
    /// The first byte of the buffer that was not taken yet.
    at: usize,
    done: bool,
}

impl<R: Read> Read for Lzma<R> {
    fn read(&mut self, output: &mut [u8]) -> std::io::Result<usize> {
        use xz2::stream::{Action, Status};
        while !self.done && !output.is_empty() {
            if self.at == self.buffer.len() {
                self.buffer.resize(BUFFER, 0);
                let size = self.input.read(&mut self.buffer)?;
                self.buffer.truncate(size);
                self.at = 0;
            }
            let rest = &self.buffer[self.at..];
            let action = if rest.is_empty() { Action::Finish } else { Action::Run };
            let before = (self.stream.total_in(), self.stream.total_out());
            self.done = self.stream.process(rest, output, action)? == Status::StreamEnd;
            let taken = self.stream.total_in() - before.0;
            let made = self.stream.total_out() - before.1;
            self.at += usize::try_from(taken).unwrap_or(rest.len());
            if made > 0 {
                return Ok(usize::try_from(made).unwrap_or(output.len()));
            }
            if taken == 0 && !self.done {
                return Err(std::io::Error::other("the LZMA stream ends too early, or is broken"));
            }
        }
        Ok(0)
    }
}

impl<R: Read> Stream for Lzma<R> {
    fn end(&self) -> Option<u64> {
        Some(self.stream.total_in())
    }
}

/// Counts what is read; a decoder of LZ4 reads no further than its frame.
struct Counted<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.input.read(buffer)?;
        self.bytes += size as u64;
        Ok(size)
    }
}

impl<R: Read> Stream for lz4_flex::frame::FrameDecoder<Counted<R>> {
    fn end(&self) -> Option<u64> {
        Some(self.get_ref().bytes)
    }
}

/// An unnamed temporary file with holes for zeros: disk images are mostly zeros, and a hole takes no space of the host's.
pub(crate) struct Holed<'n> {
    file: std::fs::File,
    name: &'n str,
    total: u64,
}

impl<'n> Holed<'n> {
    /// An empty one; `name` is what errors call it.
    pub fn new(name: &'n str) -> Result<Self> {
        let file = tempfile::tempfile().map_err(|e| Error::io("make a temporary file for", name, e))?;
        Ok(Self { file, name, total: 0 })
    }

    /// Adds bytes at its end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |e| Error::io("unpack", self.name, e);
        for piece in bytes.chunks(BUFFER) {
            self.total += piece.len() as u64;
            if piece.iter().all(|byte| *byte == 0) {
                self.file.seek(SeekFrom::Start(self.total)).map_err(failed)?;
            } else {
                self.file.write_all(piece).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Everything that was written, to be read at any offset.
    pub fn finish(mut self) -> Result<Source> {
        let failed = |e| Error::io("unpack", self.name, e);
        self.file.set_len(self.total).map_err(failed)?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Source::from_file(self.name, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let packed = zstd::bulk::compress(&vec![0; 4 << 20], 3).unwrap();
        let error = Codec::Zstd.block(&packed, 1 << 20).unwrap_err();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        let source = Source::from_bytes("bomb.zst", packed);
        let error = Codec::Zstd.archive(&source, 1 << 20).unwrap_err().to_string();
        assert!(error.contains("more than the limit of 1048576"), "{error}");
        assert_eq!(Codec::Zstd.archive(&source, 4 << 20).unwrap().len(), 4 << 20);
    }

    #[test]
    fn whatever_is_packed_is_unpacked_to_the_same_bytes() {
        use std::io::Write;
        let mut plain = vec![0; 300 << 10];
        plain[200 << 10] = 7;
        plain.resize(500 << 10, 0);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut xz = xz2::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let zstd = zstd::bulk::compress(&plain, 1).unwrap();
        // In two streams, as `pbzip2` writes them.
        let mut bzip2 = Vec::new();
        for part in [&plain[..250 << 10], &plain[250 << 10..]] {
            let mut stream = bzip2::write::BzEncoder::new(bzip2, bzip2::Compression::fast());
            stream.write_all(part).unwrap();
            bzip2 = stream.finish().unwrap();
        }
        let lzma = xz2::stream::Stream::new_lzma_encoder(&xz2::stream::LzmaOptions::new_preset(1).unwrap());
        let mut lzma = xz2::write::XzEncoder::new_stream(Vec::new(), lzma.unwrap());
        lzma.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let lz4 = lz4.finish().unwrap();
        for packed in [gzip.finish().unwrap(), xz.finish().unwrap(), zstd, bzip2, lzma.finish().unwrap(), lz4]
        {
            let source = Source::from_bytes("disk.img", packed.clone());
            let found = source.unpacked(1 << 20).unwrap().unwrap();
            assert_eq!(found.read_vec(0, found.len()).unwrap(), plain);
            assert!(
                source.unpacked(1 << 10).unwrap_err().to_string().contains("more than the limit of 1024")
            );
            let cut = Source::from_bytes("disk.img", packed[..packed.len() / 2].to_vec());
            assert!(cut.unpacked(1 << 20).unwrap_err().to_string().contains("compressed archive"));
        }
    }
    #[test]
    fn lzma_is_known_by_its_header_alone() {
        let head = |dictionary: u32, size: u64| {
            let mut head = vec![0x5d];
            head.extend(dictionary.to_le_bytes());
            head.extend(size.to_le_bytes());
            head.push(0);
            head
        };
        for dictionary in [1 << 16, 1 << 23, 3 << 20, 1 << 26] {
            assert!(is_lzma(&head(dictionary, u64::MAX)) && is_lzma(&head(dictionary, 1000)), "{dictionary}");
        }
        assert!(is_lzma(&head(1 << 23, 1 << 37)));
        for (dictionary, size) in
            [(0, 1), (5 << 20, 1), (7 << 20, 1), (1 << 23, 0), (1 << 23, 1 << 38), (1 << 8, 1)]
        {
            assert!(!is_lzma(&head(dictionary, size)), "{dictionary} {size}");
        }
        let mut other = head(1 << 23, 1000);
        other[13] = 1;
        assert!(
            !is_lzma(&other) && !is_lzma(&head(1 << 23, 1000)[..13]) && !is_lzma(b"]ome text, no archive")
        );
    }

    #[test]
    fn a_bomb_of_lzma_and_a_dictionary_larger_than_memory_are_refused() {
        use std::io::Write;
        let options = xz2::stream::LzmaOptions::new_preset(1).unwrap();
        let stream = xz2::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut packed = xz2::write::XzEncoder::new_stream(Vec::new(), stream);
        packed.write_all(&vec![0; 4 << 20]).unwrap();
        let mut packed = packed.finish().unwrap();
        let error = Codec::Lzma.archive(&Source::from_bytes("x", packed.clone()), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than the limit of 1048576"), "{error}");
        // 1 GiB.
        packed[1..5].copy_from_slice(&(1_u32 << 30).to_le_bytes());
        let error = Codec::Lzma.archive(&Source::from_bytes("x", packed), 8 << 20).unwrap_err().to_string();
        assert!(error.contains("emory"), "{error}");
    }

    #[test]
    fn what_lies_behind_lzma_and_lz4_is_told_from_them() {
        use std::io::Write;
        let plain = vec![7; 100_000];
        let lzma = xz2::stream::Stream::new_lzma_encoder(&xz2::stream::LzmaOptions::new_preset(1).unwrap());
        let mut lzma = xz2::write::XzEncoder::new_stream(Vec::new(), lzma.unwrap());
        lzma.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        for packed in [lzma.finish().unwrap(), lz4.finish().unwrap()] {
            let whole = [&packed[..], b"something else"].concat();
            let source = Source::from_bytes("x", whole);
            let (unpacked, end) = source.unpacked_with_end(1 << 20, &|| false).unwrap().unwrap();
            assert_eq!((unpacked.len(), end), (100_000, packed.len() as u64));
        }
    }

    #[test]
    fn a_block_of_lz4_stops_at_the_limit_and_broken_ones_are_errors() {
        let packed = lz4_flex::block::compress(&[7; 10_000]);
        assert_eq!(Codec::Lz4Block.block(&packed, 10_000).unwrap(), [7; 10_000]);
        assert!(Codec::Lz4Block.block(&packed, 9_999).is_err());
        assert!(Codec::Lz4Block.block(&packed[..packed.len() / 2], 10_000).is_err());
        assert!(Codec::Lz4Block.block(&[0xff; 100], 10_000).is_err());
    }
}
