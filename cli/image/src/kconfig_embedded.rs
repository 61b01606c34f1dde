//! What a kernel binary says about itself: the `.config` built into it (`CONFIG_IKCONFIG`) and the arm64
//! `Image` header. The symbols' meaning is judged elsewhere.

use std::io::Read;

use crate::source::field;
use crate::{Error, Result};

const FORMAT: &str = "kernel";
/// Bytes that the unpacked `.config` may have; a full arm64 one has 300 KiB.
pub const MAX_CONFIG_BYTES: u64 = 4 << 20;
const START: &[u8] = b"IKCFG_ST";
const END: &[u8] = b"IKCFG_ED";

/// The `.config` inside an uncompressed kernel (`Image`, `vmlinux`), `None` when it holds none.
///
/// `kernel/configs.c` of Linux puts a gzip stream between the marks `IKCFG_ST` and `IKCFG_ED`.
///
/// # Errors
/// When the marks are there and what is between them is not a `.config` of at most
/// [`MAX_CONFIG_BYTES`].
///
/// ```
/// assert_eq!(image::kconfig_embedded::extract(b"a kernel without it")?, None);
/// # Ok::<(), image::Error>(())
/// ```
pub fn extract(kernel: &[u8]) -> Result<Option<String>> {
    let mut found = None;
    let mut from = 0;
    while let Some(at) = find(&kernel[from..], START).map(|at| from + at) {
        from = at + START.len();
        // The mark alone is also a string constant in tools that look for it.
        if !kernel[from..].starts_with(&[0x1f, 0x8b]) {
            continue;
        }
        if found.is_some() {
            return Err(Error::malformed(FORMAT, format!("byte {at}"), "a second embedded configuration"));
        }
        found = Some(unpack(&kernel[from..], at)?);
    }
    Ok(found)
}

/// Bytes that a kernel may unpack to.
const MAX_KERNEL_BYTES: u64 = 128 << 20;
/// Memory that unpacking one may take: Linux packs with a dictionary of up to 128 MiB (`scripts/xz_wrap.sh`).
const XZ_MEMORY: u64 = 160 << 20;
/// What is smaller than this is no kernel.
const LEAST_KERNEL_BYTES: usize = 1 << 20;
/// Places at which the packed kernel may begin that are tried.
const MAX_TRIES: usize = 16;

/// The kernel inside one that unpacks itself (`zImage`, `bzImage`), `None` when none of what looks packed is one.
///
/// Such a kernel carries itself behind the code that unpacks it, as gzip, LZ4, LZMA, xz or zstd; something else follows.
#[must_use]
pub fn payload(kernel: &[u8]) -> Option<Vec<u8>> {
    let marks: [&[u8]; 4] =
        [&[0x1f, 0x8b, 8], b"\xfd7zXZ\0", &[0x28, 0xb5, 0x2f, 0xfd], &[0x02, 0x21, 0x4c, 0x18]];
    let mut tries = 0;
    for at in 0..kernel.len().saturating_sub(6) {
        if !matches!(kernel[at], 0x1f | 0xfd | 0x28 | 0x02 | 0x5d) {
            continue;
        }
        let kind = marks.iter().position(|mark| kernel[at..].starts_with(mark));
        let Some(kind) = kind.or_else(|| crate::unpack::is_lzma(&kernel[at..]).then_some(marks.len())) else {
            continue;
        };
        tries += 1;
        if tries > MAX_TRIES {
            return None;
        }
        let rest = &kernel[at..];
        let decoder: Box<dyn Read> = match kind {
            0 => Box::new(flate2::read::GzDecoder::new(rest)),
            1 => match xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, 0) {
                Ok(stream) => Box::new(xz2::read::XzDecoder::new_stream(rest, stream)),
                Err(_) => continue,
            },
            3 => Box::new(lz4_flex::frame::FrameDecoder::new(rest)),
            4 => match xz2::stream::Stream::new_lzma_decoder(XZ_MEMORY) {
                Ok(stream) => Box::new(xz2::read::XzDecoder::new_stream(rest, stream)),
                Err(_) => continue,
            },
            _ => match zstd::stream::read::Decoder::new(rest) {
                Ok(decoder) => Box::new(decoder.single_frame()),
                Err(_) => continue,
            },
        };
        let mut out = Vec::new();
        // What follows the stream is an error to some decoders; what came before it is the kernel.
        let _ = decoder.take(MAX_KERNEL_BYTES).read_to_end(&mut out);
        if out.len() >= LEAST_KERNEL_BYTES && find(&out, b"Linux version ").is_some() {
            return Some(out);
        }
    }
    None
}

fn unpack(bytes: &[u8], at: usize) -> Result<String> {
    let bad = |reason: String| Error::malformed(FORMAT, format!("`IKCFG_ST` at byte {at}"), reason);
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let mut text = Vec::new();
    (&mut decoder)
        .take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|e| bad(format!("the gzip stream is broken: {e}")))?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Error::limit(
            FORMAT,
            "embedded configuration in bytes",
            text.len() as u64,
            MAX_CONFIG_BYTES,
        ));
    }
    if !decoder.into_inner().starts_with(END) {
        return Err(bad("expected `IKCFG_ED` after the gzip stream".to_owned()));
    }
    String::from_utf8(text).map_err(|e| bad(format!("the configuration is not UTF-8: {e}")))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The header of an arm64 `Image` (Linux, `Documentation/arch/arm64/booting.rst`, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm64Header {
    /// Bytes from a 2 MiB aligned base at which the image must be placed.
    pub text_offset: u64,
    /// Bytes that it takes in memory, with its bss.
    pub image_size: u64,
    /// Bit 0 big-endian, bits 1-2 page size, bit 3 placement anywhere.
    pub flags: u64,
    /// Whether it is an EFI application as well (`MZ`).
    pub efi: bool,
}

impl Arm64Header {
    /// Reads the header, `None` when the magic `ARM\x64` is not at byte 56.
    ///
    /// ```
    /// let mut bytes = vec![0; 64];
    /// bytes[56..60].copy_from_slice(b"ARM\x64");
    /// bytes[24] = 0b1010;
    /// let header = image::kconfig_embedded::Arm64Header::parse(&bytes).expect("a header");
    /// assert_eq!(header.page_size(), Some(4096));
    /// ```
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.get(56..60)? != b"ARM\x64" || bytes.len() < 64 {
            return None;
        }
        Some(Self {
            text_offset: field::u64(bytes, 8)?,
            image_size: field::u64(bytes, 16)?,
            flags: field::u64(bytes, 24)?,
            efi: bytes.starts_with(b"MZ"),
        })
    }

    /// Bytes of a page, `None` when unspecified.
    #[must_use]
    pub fn page_size(&self) -> Option<u32> {
        [None, Some(4 << 10), Some(16 << 10), Some(64 << 10)][(self.flags >> 1 & 3) as usize]
    }

    /// Whether the kernel is big-endian.
    #[must_use]
    pub fn big_endian(&self) -> bool {
        self.flags & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn kernel(config: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(config).unwrap();
        [b"code IKCFG_ST here".as_slice(), START, &packed.finish().unwrap(), END, b"more"].concat()
    }

    #[test]
    fn the_configuration_comes_back() {
        let text = extract(&kernel(b"CONFIG_DM_VERITY=y\n")).unwrap();
        assert_eq!(text.as_deref(), Some("CONFIG_DM_VERITY=y\n"));
    }

    #[test]
    fn broken_streams_are_named() {
        let whole = kernel(b"CONFIG_DM_VERITY=y\n");
        let error = extract(&whole[..whole.len() - 20]).unwrap_err().to_string();
        assert!(error.contains("gzip stream is broken"), "{error}");
        let error = extract(&whole[..whole.len() - 8]).unwrap_err().to_string();
        assert!(error.contains("expected `IKCFG_ED`"), "{error}");
        let error = extract(&[whole.clone(), whole].concat()).unwrap_err().to_string();
        assert!(error.contains("a second embedded configuration"), "{error}");
        let error = extract(&kernel(&vec![b'x'; MAX_CONFIG_BYTES as usize + 1])).unwrap_err().to_string();
        assert!(error.contains("more than the limit"), "{error}");
    }

    #[test]
    fn every_truncation_is_no_panic() {
        let whole = kernel(b"CONFIG_A=y\n");
        for len in 0..whole.len() {
            let _ = extract(&whole[..len]);
            let _ = Arm64Header::parse(&whole[..len]);
        }
        assert_eq!(Arm64Header::parse(&[0; 64]), None);
    }
}
