//! What a file imports: stack canaries and fortified functions leave their names here.

use std::collections::BTreeSet;

use object::elf;
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};

use super::{Fortify, Known, broken, dynamic, fortify, risky};
use crate::Result;

#[derive(Debug, Default)]
pub(super) struct Imports {
    /// Whether there was a table of imports to read.
    known: bool,
    canary: bool,
    /// As `__memcpy_chk`.
    pub fortified: BTreeSet<String>,
    /// As `memcpy`.
    pub unfortified: BTreeSet<&'static str>,
    /// As `strcpy`.
    pub risky: BTreeSet<&'static str>,
}

impl Imports {
    /// Reads the undefined names of `.dynsym`, or of `.symtab` in an object file.
    ///
    /// A static program resolves everything at link time and contains the C library whole, so its
    /// names say nothing about its own code: unknown.
    pub fn read<E: FileHeader>(
        endian: E::Endian,
        segments: &[E::ProgramHeader],
        sections: &SectionTable<'_, E>,
        data: &[u8],
        static_linked: bool,
    ) -> Result<Self> {
        let mut imports = Self::default();
        if static_linked {
            return Ok(imports);
        }
        let has = |kind| sections.iter().any(|section| section.sh_type(endian) == kind);
        let kind = if has(elf::SHT_DYNSYM) { elf::SHT_DYNSYM } else { elf::SHT_SYMTAB };
        if !has(kind) {
            // Tools such as sstrip take the section headers away; the loader needs none.
            if let Some(names) = dynamic::undefined::<E>(endian, segments, data)? {
                imports.known = true;
                for name in names {
                    let name = &name[..name.len().min(fortify::LONGEST)];
                    imports.take(name.split(|byte| *byte == 0).next().unwrap_or(name));
                }
            }
            return Ok(imports);
        }
        let table = sections.symbols(endian, data, kind).map_err(broken("symbols"))?;
        let strings = sections
            .section(table.string_section())
            .and_then(|section| section.data(endian, data))
            .map_err(broken("symbol names"))?;
        imports.known = true;
        for symbol in table.symbols().iter().filter(|symbol| symbol.is_undefined(endian)) {
            if let Some(name) = usize::try_from(symbol.st_name(endian)).ok().and_then(|at| strings.get(at..))
            {
                // Only short names matter; looking further would let a hostile table cost n² time.
                let name = &name[..name.len().min(fortify::LONGEST)];
                imports.take(name.split(|byte| *byte == 0).next().unwrap_or(name));
            }
        }
        Ok(imports)
    }

    fn take(&mut self, name: &[u8]) {
        match name {
            b"__stack_chk_fail" | b"__stack_chk_fail_local" | b"__stack_chk_guard" => self.canary = true,
            _ => {
                self.risky.extend(risky::known(name));
                if let Some(plain) = fortify::checked(name) {
                    self.fortified.insert(format!("__{plain}_chk"));
                } else if let Some(plain) = fortify::unchecked(name) {
                    self.unfortified.insert(plain);
                }
            }
        }
    }

    pub fn canary(&self) -> Known {
        match (self.known, self.canary) {
            (false, _) => Known::Unknown,
            (true, true) => Known::Yes,
            (true, false) => Known::No,
        }
    }

    pub fn fortify(&self) -> Fortify {
        match (self.known, self.fortified.is_empty(), self.unfortified.is_empty()) {
            (false, _, _) => Fortify::Unknown,
            (true, true, true) => Fortify::NotApplicable,
            (true, true, false) => Fortify::None,
            (true, false, false) => Fortify::Partial,
            (true, false, true) => Fortify::Full,
        }
    }
}
