//! cpio archives of the `newc` form (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`),
//! also several one after the other and compressed ones after plain ones, as an initramfs may be.

use std::collections::BTreeMap;

use super::archive::Places;
use super::builder::{Builder, MAX_PATH_BYTES, text};
use super::{Entry, FileTree, Kind, RootKind};
use crate::unpack::{Codec, MAX_UNPACKED};
use crate::{Error, Result, Source};

const CPIO: &str = "cpio";
const HEADER: u64 = 110;
/// Archives behind one another.
const MAX_SEGMENTS: usize = 16;

/// Whether the bytes start a `newc` archive.
pub(super) fn is_newc(head: &[u8]) -> bool {
    head.starts_with(b"070701") || head.starts_with(b"070702")
}

pub(super) fn open(source: &Source) -> Result<FileTree> {
    let mut builder = Builder::new(CPIO);
    let mut places = Places::default();
    let mut rest = source.clone();
    for _ in 0..MAX_SEGMENTS {
        let end = segment(&rest, &mut builder, &mut places)?;
        let Some(next) = after_padding(&rest, end)? else {
            return Ok(FileTree::new(RootKind::Cpio, builder.finish(), Box::new(places)));
        };
        rest = next;
    }
    Err(Error::limit(CPIO, "number of archives in one file", MAX_SEGMENTS as u64 + 1, MAX_SEGMENTS as u64))
}

/// What follows the zeros after a trailer, unpacked; `None` at the end of the file.
fn after_padding(source: &Source, mut at: u64) -> Result<Option<Source>> {
    while at < source.len() {
        let chunk = source.read_vec(at, (source.len() - at).min(64 << 10))?;
        let Some(zeros) = chunk.iter().position(|byte| *byte != 0) else {
            at += chunk.len() as u64;
            continue;
        };
        let rest = source.slice(at + zeros as u64, source.len() - at - zeros as u64)?;
        let head = rest.read_vec(0, rest.len().min(6))?;
        return match Codec::of_archive(&head) {
            Some(codec) => codec.archive(&rest, MAX_UNPACKED).map(Some),
            None if is_newc(&head) => Ok(Some(rest)),
            None => {
                let place = format!("byte {}", at + zeros as u64);
                Err(Error::malformed(CPIO, place, "expected the end, or another archive"))
            }
        };
    }
    Ok(None)
}

struct Header([u8; 110]);

impl Header {
    /// Field `number` of 13, each of eight hexadecimal digits.
    fn field(&self, number: usize, at: u64) -> Result<u32> {
        let digits = &self.0[6 + 8 * number..14 + 8 * number];
        digits.iter().try_fold(0_u32, |value, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or_else(|| {
                Error::malformed(CPIO, format!("header at byte {at}"), "expected hexadecimal digits")
            })?;
            Ok(value << 4 | digit)
        })
    }
}

/// Names of one inode whose content comes with the last of them.
type Pending = BTreeMap<(u32, u32, u32), Vec<String>>;

/// Reads up to and with the trailer, and gives the place after it.
fn segment(source: &Source, builder: &mut Builder, places: &mut Places) -> Result<u64> {
    let mut at = 0;
    let mut pending = Pending::new();
    loop {
        let header = Header(source.read_array(at)?);
        if !is_newc(&header.0) {
            return Err(Error::malformed(CPIO, format!("byte {at}"), "expected the magic `070701`"));
        }
        let name_bytes = u64::from(header.field(11, at)?);
        if name_bytes > MAX_PATH_BYTES as u64 + 1 {
            return Err(Error::limit(CPIO, "length of a path in bytes", name_bytes, MAX_PATH_BYTES as u64));
        }
        let name = source.read_vec(at + HEADER, name_bytes)?;
        let name = name.strip_suffix(b"\0").ok_or_else(|| {
            Error::malformed(CPIO, format!("header at byte {at}"), "its name does not end with a NUL")
        })?;
        let data = (at + HEADER + name_bytes).next_multiple_of(4);
        let size = u64::from(header.field(6, at)?);
        if name == b"TRAILER!!!" {
            return Ok(data.min(source.len()));
        }
        let content = source.slice(data, size)?;
        member(&header, at, name, content, builder, places, &mut pending)?;
        at = (data + size).next_multiple_of(4);
    }
}

fn member(
    header: &Header,
    at: u64,
    name: &[u8],
    content: Source,
    builder: &mut Builder,
    places: &mut Places,
    pending: &mut Pending,
) -> Result<()> {
    let path = builder.member(name)?;
    let field = |number| header.field(number, at);
    let (inode, mode, links, size) = (field(0)?, field(1)?, field(4)?, content.len());
    let (major, minor) = (field(9)?, field(10)?);
    let mut node = 0;
    let kind = match mode & 0o170_000 {
        0o100_000 => {
            node = places.add(content);
            Kind::File { size }
        }
        0o040_000 => Kind::Directory,
        0o120_000 if size <= MAX_PATH_BYTES as u64 => {
            Kind::Symlink { target: text(&content.read_vec(0, size)?) }
        }
        0o120_000 => {
            return Err(Error::limit(CPIO, "length of a link in bytes", size, MAX_PATH_BYTES as u64));
        }
        0o020_000 => Kind::CharDevice { major, minor },
        0o060_000 => Kind::BlockDevice { major, minor },
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        other => {
            let reason = format!("{other:#o} is no file type");
            return Err(Error::malformed(CPIO, format!("`{path}`"), reason));
        }
    };
    let is_file = matches!(kind, Kind::File { .. });
    let entry = Entry {
        kind,
        mode: mode & 0o7777,
        uid: field(2)?,
        gid: field(3)?,
        mtime: i64::from(field(5)?),
        links,
        xattrs: BTreeMap::new(),
        implied: false,
        node,
    };
    if is_file && links > 1 {
        let names = pending.entry((inode, field(7)?, field(8)?)).or_default();
        if size > 0 {
            for earlier in std::mem::take(names) {
                builder.insert_member(earlier, entry.clone())?;
            }
        } else {
            names.push(path.clone());
        }
    }
    builder.insert_member(path, entry)
}
