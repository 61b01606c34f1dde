//! The dynamic section as the loader reads it: by program header and address, not by section name,
//! because a file can lie in its section headers and still run.

use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{Endian as _, elf};

use super::{ELF, broken};
use crate::{Error, Result};

/// Strings of one kind that a file may have; no real one comes near.
const MAX_STRINGS: usize = 1024;
/// Bytes of one such string.
const MAX_STRING_BYTES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Dynamic {
    pub present: bool,
    pub bind_now: bool,
    pub pie: bool,
    pub needed: Vec<String>,
    pub soname: Option<String>,
    pub rpath: Vec<String>,
    pub runpath: Vec<String>,
}

impl Dynamic {
    pub fn read<E: FileHeader>(
        endian: E::Endian,
        segments: &[E::ProgramHeader],
        data: &[u8],
    ) -> Result<Self> {
        let mut dynamic = Self::default();
        let Some(segment) = segments.iter().find(|s| s.p_type(endian) == elf::PT_DYNAMIC) else {
            return Ok(dynamic);
        };
        dynamic.present = true;
        let entries = segment.dynamic(endian, data).map_err(broken("PT_DYNAMIC"))?.unwrap_or(&[]);
        let entries: Vec<(elf::DynamicTag, u64)> = entries
            .iter()
            .map(|entry| (entry.tag(endian), entry.val(endian)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
            .collect();
        let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
            (Some(at), Some(size)) => at_address::<E>(endian, segments, data, at, size)?,
            _ => &[],
        };
        let string = |at: u64| -> Result<String> {
            let from = usize::try_from(at).ok().and_then(|at| strings.get(at..));
            let from = from.ok_or_else(|| {
                Error::malformed(ELF, "DT_STRTAB", format!("a name at {at} is outside the table"))
            })?;
            Ok(text(bounded(from)))
        };
        for (tag, value) in &entries {
            match *tag {
                elf::DT_NEEDED => dynamic.needed.push(string(*value)?),
                elf::DT_SONAME => dynamic.soname = Some(string(*value)?),
                elf::DT_RPATH => dynamic.rpath.extend(folders(&string(*value)?)),
                elf::DT_RUNPATH => dynamic.runpath.extend(folders(&string(*value)?)),
                elf::DT_BIND_NOW => dynamic.bind_now = true,
                elf::DT_FLAGS => dynamic.bind_now |= value & u64::from(DF_BIND_NOW) != 0,
                elf::DT_FLAGS_1 => {
                    dynamic.bind_now |= value & u64::from(DF_1_NOW) != 0;
                    dynamic.pie |= value & u64::from(DF_1_PIE) != 0;
                }
                _ => {}
            }
            let most = dynamic.needed.len().max(dynamic.rpath.len()).max(dynamic.runpath.len());
            if most > MAX_STRINGS {
                return Err(Error::limit(ELF, "number of names", most as u64, MAX_STRINGS as u64));
            }
        }
        Ok(dynamic)
    }
}

/// The undefined names of the symbols that the dynamic section names, for files without section headers; `None` without one.
/// How many there are is in `DT_HASH`; where only `DT_GNU_HASH` is there, they end at the names, which linkers put behind.
pub(super) fn undefined<'a, E: FileHeader>(
    endian: E::Endian,
    segments: &[E::ProgramHeader],
    data: &'a [u8],
) -> Result<Option<Vec<&'a [u8]>>> {
    let Some(segment) = segments.iter().find(|s| s.p_type(endian) == elf::PT_DYNAMIC) else {
        return Ok(None);
    };
    let entries = segment.dynamic(endian, data).map_err(broken("PT_DYNAMIC"))?.unwrap_or(&[]);
    let value = |wanted| {
        let mut all = entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
        all.find(|entry| entry.tag(endian) == wanted).map(|entry| entry.val(endian))
    };
    let (Some(table), Some(names), Some(bytes)) =
        (value(elf::DT_SYMTAB), value(elf::DT_STRTAB), value(elf::DT_STRSZ))
    else {
        return Ok(None);
    };
    let one = size_of::<E::Sym>() as u64;
    let counted = value(elf::DT_HASH).and_then(|at| {
        let head = at_address::<E>(endian, segments, data, at, 8).ok()?;
        let chain = <[u8; 4]>::try_from(&head[4..8]).ok()?;
        let little = u32::from_le_bytes(chain);
        let count = if endian.is_little_endian() { little } else { little.swap_bytes() };
        Some(u64::from(count))
    });
    let Some(count) = counted.or_else(|| Some(names.checked_sub(table)? / one)) else { return Ok(None) };
    let Some(size) = count.checked_mul(one).filter(|size| *size <= data.len() as u64) else {
        return Err(Error::malformed(
            ELF,
            "DT_SYMTAB",
            format!("{count} symbols are more than the file has"),
        ));
    };
    let symbols = at_address::<E>(endian, segments, data, table, size)?;
    let strings = at_address::<E>(endian, segments, data, names, bytes)?;
    let count = usize::try_from(count).unwrap_or_default();
    let Ok((symbols, _)) = object::pod::slice_from_bytes::<E::Sym>(symbols, count) else { return Ok(None) };
    let name = |symbol: &E::Sym| {
        let at = usize::try_from(symbol.st_name(endian)).ok()?;
        strings.get(at..)
    };
    Ok(Some(symbols.iter().filter(|symbol| symbol.is_undefined(endian)).filter_map(name).collect()))
}

const DF_BIND_NOW: u32 = 0x8;
const DF_1_NOW: u32 = 0x1;
const DF_1_PIE: u32 = 0x0800_0000;

/// An empty entry means the current folder, so it is kept; a wholly empty path, which tools leave
/// behind that take entries out, means nothing. Source: glibc, `elf/dl-load.c`, `decompose_rpath`.
fn folders(path: &str) -> Vec<String> {
    if path.is_empty() { Vec::new() } else { path.split(':').map(str::to_owned).collect() }
}

/// Bytes of the file that are loaded at an address.
fn at_address<'a, E: FileHeader>(
    endian: E::Endian,
    segments: &[E::ProgramHeader],
    data: &'a [u8],
    at: u64,
    size: u64,
) -> Result<&'a [u8]> {
    for segment in segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD) {
        if let Ok(Some(found)) = segment.data_range(endian, data, at, size) {
            return Ok(found);
        }
    }
    Err(Error::malformed(
        ELF,
        "DT_STRTAB",
        format!("{size} bytes at address {at:#x} are in no loaded segment"),
    ))
}

/// Up to the NUL, and at most [`MAX_STRING_BYTES`]: overlapping strings must not multiply.
pub(super) fn bounded(bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(MAX_STRING_BYTES)];
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bounded(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::folders;

    #[test]
    fn an_empty_entry_is_the_current_folder_and_an_empty_path_is_none() {
        assert_eq!(folders("/a:"), ["/a", ""]);
        assert_eq!(folders(":"), ["", ""]);
        assert_eq!(folders(""), [""; 0]);
    }
}
