//! tar archives: POSIX ustar and pax, and GNU's long names and binary numbers.
//!
//! Read here and not by a library because a long-name header may claim gigabytes and libraries then take
//! them into memory. Sparse members and continued volumes are refused, not misread.

use std::collections::BTreeMap;

use super::archive::Places;
use super::builder::{Builder, MAX_PATH_BYTES, text};
use super::{Entry, FileTree, Kind, RootKind};
use crate::{Error, Result, Source};

const TAR: &str = "tar";
const BLOCK: u64 = 512;
/// Bytes of one pax header: names and extended attributes (64 KiB each in Linux).
const MAX_PAX_BYTES: u64 = 1 << 20;

/// Whether a block is a header with a right checksum.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.first_chunk::<512>().is_some_and(checksum_is_right)
}

fn checksum_is_right(block: &[u8; 512]) -> bool {
    let sum: u64 =
        (0..).zip(block).map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    number(&block[148..156]) == Some(sum)
}

/// Octal, or GNU's base 256 when the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let value = field.iter().skip(1).try_fold(u64::from(field[0] & 0x7f), |value, byte| {
            Some(value.checked_mul(256)? + u64::from(*byte))
        })?;
        return Some(value);
    }
    let digits = field.iter().skip_while(|b| **b == b' ').take_while(|b| !matches!(**b, b' ' | 0));
    digits.copied().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(u64::from(digit))
    })
}

/// What pax and GNU headers say about the next member.
#[derive(Clone, Default)]
struct Extra {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

struct Reader {
    source: Source,
    builder: Builder,
    places: Places,
    global: Extra,
    extra: Extra,
}

pub(super) fn open(source: &Source) -> Result<FileTree> {
    let mut reader = Reader {
        source: source.clone(),
        builder: Builder::new(TAR),
        places: Places::default(),
        global: Extra::default(),
        extra: Extra::default(),
    };
    let mut at = 0;
    loop {
        let block: [u8; 512] = source.read_array(at)?;
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        if !checksum_is_right(&block) {
            return Err(Error::malformed(TAR, format!("header at byte {at}"), "its checksum is wrong"));
        }
        at = reader.member(at, &block)?;
    }
    let Reader { mut builder, places, .. } = reader;
    count_links(&mut builder);
    // One empty block ends it, two are the rule; what pads it further is empty, too.
    Ok(FileTree::new(RootKind::Tar, builder.finish(), Box::new(places)).ending_at(at + BLOCK))
}

/// Hard links share a node.
fn count_links(builder: &mut Builder) {
    let mut names: BTreeMap<u64, u32> = BTreeMap::new();
    let is_file = |entry: &&mut Entry| matches!(entry.kind, Kind::File { .. });
    builder.entries_mut().filter(is_file).for_each(|entry| *names.entry(entry.node).or_default() += 1);
    for entry in builder.entries_mut().filter(is_file) {
        entry.links = names.get(&entry.node).copied().unwrap_or(1);
    }
}

impl Reader {
    /// Reads the member whose header lies at `at` and gives the place of the next header.
    fn member(&mut self, at: u64, block: &[u8; 512]) -> Result<u64> {
        let bad = |reason: String| Error::malformed(TAR, format!("header at byte {at}"), reason);
        let field = |name: &str, range: std::ops::Range<usize>| {
            number(&block[range]).ok_or_else(|| bad(format!("the {name} is not a number")))
        };
        let flag = block[156];
        let own_size = field("size", 124..136)?;
        let about_next = matches!(flag, b'x' | b'g' | b'L' | b'K');
        let size = if about_next { own_size } else { self.size(flag, own_size) };
        let data = at + BLOCK;
        let next = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|padded| data.checked_add(padded))
            .ok_or_else(|| bad(format!("a size of {size} bytes is not possible")))?;
        let content = self.source.slice(data, size)?;
        if about_next {
            self.about_next(flag, &content)?;
            return Ok(next);
        }
        let extra = std::mem::replace(&mut self.extra, self.global.clone());
        let name = extra.path.clone().unwrap_or_else(|| header_name(block));
        let path = self.builder.member(&name)?;
        let small = |name: &str, value: u64| {
            u32::try_from(value).map_err(|_| bad(format!("the {name} {value} is more than 32 bits")))
        };
        let device = || -> Result<(u32, u32)> {
            Ok((
                small("major number", field("major number", 329..337)?)?,
                small("minor number", field("minor number", 337..345)?)?,
            ))
        };
        let link = extra.link.clone().unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let mut node = 0;
        let kind = match flag {
            b'1' => return self.hard_link(path, &link).map(|()| next),
            b'0' | 0 | b'7' if !(flag == 0 && name.ends_with(b"/")) => {
                node = self.places.add(content);
                Kind::File { size }
            }
            0 | b'5' => Kind::Directory,
            b'2' => Kind::Symlink { target: text(&link) },
            b'3' => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            b'6' => Kind::Fifo,
            other => {
                let feature = format!("member type `{}` of `{path}`", (other as char).escape_debug());
                return Err(Error::unsupported(
                    TAR,
                    feature,
                    "pack it with `tar --format=posix`, not sparse",
                ));
            }
        };
        let uid = extra.uid.map_or_else(|| field("owner", 108..116), Ok)?;
        let gid = extra.gid.map_or_else(|| field("group", 116..124), Ok)?;
        let mtime = field("time", 136..148)?;
        let entry = Entry {
            kind,
            mode: field("mode", 100..108)? as u32 & 0o7777,
            uid: small("owner", uid)?,
            gid: small("group", gid)?,
            mtime: extra.mtime.unwrap_or(i64::try_from(mtime).unwrap_or(i64::MAX)),
            links: 1,
            xattrs: extra.xattrs,
            implied: false,
            node,
        };
        self.builder.insert_member(path, entry)?;
        Ok(next)
    }

    /// Only regular files have content, whatever the size field of others says.
    fn size(&self, flag: u8, own: u64) -> u64 {
        if matches!(flag, b'1'..=b'6') { 0 } else { self.extra.size.unwrap_or(own) }
    }

    fn hard_link(&mut self, path: String, target: &[u8]) -> Result<()> {
        let target = self.builder.member(target)?;
        match self.builder.get(&target) {
            Some(entry) if entry.kind != Kind::Directory => {
                let entry = entry.clone();
                self.builder.insert_member(path, entry)
            }
            _ => {
                let reason = format!("a hard link to `{target}`, which is no earlier file");
                Err(Error::malformed(TAR, format!("`{path}`"), reason))
            }
        }
    }

    fn about_next(&mut self, flag: u8, content: &Source) -> Result<()> {
        let limit = if matches!(flag, b'L' | b'K') { MAX_PATH_BYTES as u64 + 1 } else { MAX_PAX_BYTES };
        if content.len() > limit {
            return Err(Error::limit(TAR, "length of an extended header in bytes", content.len(), limit));
        }
        let bytes = content.read_vec(0, content.len())?;
        match flag {
            b'L' => self.extra.path = Some(until_nul(&bytes).to_vec()),
            b'K' => self.extra.link = Some(until_nul(&bytes).to_vec()),
            b'g' => {
                pax(&bytes, &mut self.global)?;
                pax(&bytes, &mut self.extra)?;
            }
            _ => pax(&bytes, &mut self.extra)?,
        }
        Ok(())
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

fn header_name(block: &[u8; 512]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    // GNU's older format (`ustar  `) uses the prefix field for times.
    let prefix = if &block[257..263] == b"ustar\0" { until_nul(&block[345..500]) } else { &[] };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// Records `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "Extended Header").
fn pax(mut bytes: &[u8], extra: &mut Extra) -> Result<()> {
    let bad = |reason: &str| Error::malformed(TAR, "pax header", reason);
    while !bytes.is_empty() {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = std::str::from_utf8(&bytes[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
        let record = length
            .and_then(|length| bytes.get(digits..length))
            .and_then(|record| record.strip_prefix(b" ")?.strip_suffix(b"\n"))
            .ok_or_else(|| bad("a record's length is wrong"))?;
        bytes = &bytes[length.unwrap_or(bytes.len())..];
        let equals =
            record.iter().position(|byte| *byte == b'=').ok_or_else(|| bad("a record has no `=`"))?;
        let (key, value) = (text(&record[..equals]), &record[equals + 1..]);
        let shown = String::from_utf8_lossy(value);
        let whole = || shown.parse::<u64>().map_err(|_| bad(&format!("`{key}` is not a number")));
        match key.as_str() {
            "path" => extra.path = Some(value.to_vec()),
            "linkpath" => extra.link = Some(value.to_vec()),
            "size" => extra.size = Some(whole()?),
            "uid" => extra.uid = Some(whole()?),
            "gid" => extra.gid = Some(whole()?),
            "mtime" => {
                let seconds = shown.split('.').next().unwrap_or_default();
                extra.mtime = Some(seconds.parse().map_err(|_| bad("`mtime` is not a number"))?);
            }
            _ if key.starts_with("GNU.sparse.") => {
                return Err(Error::unsupported(TAR, "a sparse member", "pack it without `--sparse`"));
            }
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    extra.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
    }
    Ok(())
}
