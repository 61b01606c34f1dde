//! Every name that a file imports: what of other files it may call.

use std::collections::BTreeSet;

use object::elf;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, FileKind};

use super::{ELF, broken, dynamic, is_elf};
use crate::{Error, Result};

/// Bytes of a name; no function of a C library comes near.
const MAX_NAME: usize = 128;
/// Names of one file.
const MAX_NAMES: usize = 100_000;

/// Names that the file takes from others, without versions. `None`: it has no table of imports, so that nothing can
/// be said of what it calls (a static program, or one without section headers).
///
/// ```
/// assert!(image::elf::imports(b"no ELF").is_err());
/// ```
///
/// # Errors
/// When it is not ELF, its headers contradict its size, or it has more than 100 000 names.
pub fn imports(bytes: &[u8]) -> Result<Option<BTreeSet<String>>> {
    if !is_elf(bytes) {
        return Err(Error::malformed(ELF, "header", "expected the magic `7f 45 4c 46`"));
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => of::<elf::FileHeader32<Endianness>>(bytes),
        Ok(FileKind::Elf64) => of::<elf::FileHeader64<Endianness>>(bytes),
        Ok(_) => Err(Error::malformed(ELF, "header", "neither 32 nor 64 bit")),
        Err(error) => Err(broken("header")(error)),
    }
}

fn of<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Option<BTreeSet<String>>> {
    let header = E::parse(bytes).map_err(broken("header"))?;
    let endian = header.endian().map_err(broken("header"))?;
    let sections = header.sections(endian, bytes).map_err(broken("section headers"))?;
    if !sections.iter().any(|section| section.sh_type(endian) == elf::SHT_DYNSYM) {
        return Ok(None);
    }
    let table = sections.symbols(endian, bytes, elf::SHT_DYNSYM).map_err(broken("symbols"))?;
    let strings = sections
        .section(table.string_section())
        .and_then(|section| section.data(endian, bytes))
        .map_err(broken("symbol names"))?;
    let mut names = BTreeSet::new();
    for symbol in table.symbols().iter().filter(|symbol| symbol.is_undefined(endian)) {
        let Some(name) = usize::try_from(symbol.st_name(endian)).ok().and_then(|at| strings.get(at..)) else {
            continue;
        };
        let name = dynamic::text(&name[..name.len().min(MAX_NAME)]);
        if !name.is_empty() {
            names.insert(name);
        }
        if names.len() > MAX_NAMES {
            return Err(Error::limit(ELF, "number of names", names.len() as u64, MAX_NAMES as u64));
        }
    }
    Ok(Some(names))
}
