//! The hardening facts of an ELF program or library, as the loader sees it.
//!
//! Facts only: whether one is good enough is decided by a check. What cannot be told (a stripped static
//! program does not say which functions it holds) is [`Known::Unknown`], never "yes".
//!
//! ```
//! let error = image::elf::facts(b"#!/bin/sh\n").unwrap_err();
//! assert_eq!(error.to_string(), "ELF: header: expected the magic `7f 45 4c 46`");
//! assert!(!image::elf::is_elf(b"#!/bin/sh\n"));
//! ```

mod dynamic;
mod fortify;
mod imports;
mod notes;
mod risky;
mod symbols;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::{Endianness, FileKind};

use crate::{Error, Result};
use dynamic::Dynamic;
pub use imports::imports;
pub use notes::Properties;
pub use risky::RISKY;

pub(crate) const ELF: &str = "ELF";

/// Whether the bytes claim to be ELF.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The file does not say.
    Unknown,
}

/// What the file is to the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfType {
    /// A program at a fixed address.
    Executable,
    /// A position-independent program (PIE).
    PieExecutable,
    /// A shared library.
    SharedLibrary,
    /// An object file or kernel module.
    Relocatable,
    /// A core dump.
    Core,
    /// Another value of `e_type`.
    Other(u16),
}

/// How much of the relocation data is made read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relro {
    /// No `PT_GNU_RELRO`.
    None,
    /// `PT_GNU_RELRO`, but the PLT is resolved lazily and stays writable.
    Partial,
    /// `PT_GNU_RELRO` and `BIND_NOW`.
    Full,
}

/// How many of the C library's fortifiable functions are called in their checking form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fortify {
    /// Unchecked forms only.
    None,
    /// Both; the compiler keeps the unchecked form where it knows no size, so this is common.
    Partial,
    /// Checking forms only.
    Full,
    /// It calls none of these functions.
    NotApplicable,
    /// The file does not say.
    Unknown,
}

/// Everything this module tells about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// 32 or 64.
    pub bits: u8,
    /// Byte order.
    pub little_endian: bool,
    /// `x86-64`, `aarch64`…, or the number of `e_machine`.
    pub machine: String,
    /// What it is to the loader.
    pub kind: ElfType,
    /// RELRO.
    pub relro: Relro,
    /// Whether the stack is not executable: there is a `PT_GNU_STACK` without `PF_X`.
    pub nx: bool,
    /// Whether a segment is writable and executable at once.
    pub writable_code: bool,
    /// Whether some function has a stack canary (`__stack_chk_fail`, `__stack_chk_guard`).
    pub canary: Known,
    /// `_FORTIFY_SOURCE`.
    pub fortify: Fortify,
    /// The checking forms that it imports, sorted.
    pub fortified: Vec<String>,
    /// The unchecked forms of fortifiable functions that it imports, sorted.
    pub unfortified: Vec<String>,
    /// Functions of [`RISKY`] that it imports, sorted.
    pub risky: Vec<&'static str>,
    /// Entries of `DT_RPATH`.
    pub rpath: Vec<String>,
    /// Entries of `DT_RUNPATH`.
    pub runpath: Vec<String>,
    /// What the GNU property note marks (BTI, PAC, IBT, SHSTK).
    pub properties: Properties,
    /// Whether it is a program that needs no loader (no `PT_INTERP`, nothing needed).
    pub static_linked: bool,
    /// The loader that it asks for.
    pub interpreter: Option<String>,
    /// Libraries that it needs, in order.
    pub needed: Vec<String>,
    /// Its name as a library.
    pub soname: Option<String>,
    /// Whether it has no symbol table (`.symtab`).
    pub stripped: bool,
}

impl Facts {
    /// Whether it is a position-independent program.
    #[must_use]
    pub fn pie(&self) -> bool {
        self.kind == ElfType::PieExecutable
    }

    /// Whether it is code that the loader runs: a program or a library.
    #[must_use]
    pub fn loadable(&self) -> bool {
        matches!(self.kind, ElfType::Executable | ElfType::PieExecutable | ElfType::SharedLibrary)
    }
}

/// Reads the facts of a whole ELF file.
///
/// # Errors
/// When it is not ELF, or its headers contradict its size.
pub fn facts(bytes: &[u8]) -> Result<Facts> {
    if !is_elf(bytes) {
        return Err(Error::malformed(ELF, "header", "expected the magic `7f 45 4c 46`"));
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => facts_of::<FileHeader32<Endianness>>(bytes, 32),
        Ok(FileKind::Elf64) => facts_of::<FileHeader64<Endianness>>(bytes, 64),
        Ok(_) => Err(Error::malformed(ELF, "header", "neither 32 nor 64 bit")),
        Err(error) => Err(broken("header")(error)),
    }
}

/// Names the part at which `object` stopped.
pub(crate) fn broken(at: &'static str) -> impl Fn(object::read::Error) -> Error {
    move |error| Error::malformed(ELF, at, error.to_string())
}

fn facts_of<E: FileHeader<Endian = Endianness>>(bytes: &[u8], bits: u8) -> Result<Facts> {
    let header = E::parse(bytes).map_err(broken("header"))?;
    let endian = header.endian().map_err(broken("header"))?;
    let segments = header.program_headers(endian, bytes).map_err(broken("program headers"))?;
    let sections = header.sections(endian, bytes).map_err(broken("section headers"))?;
    let dynamic = Dynamic::read::<E>(endian, segments, bytes)?;
    let segment = |kind| segments.iter().find(|segment| segment.p_type(endian) == kind);
    let interpreter = match segment(elf::PT_INTERP) {
        Some(found) => found.interpreter(endian, bytes).map_err(broken("PT_INTERP"))?.map(dynamic::text),
        None => None,
    };
    let kind = match header.e_type(endian) {
        elf::ET_REL => ElfType::Relocatable,
        elf::ET_CORE => ElfType::Core,
        elf::ET_EXEC => ElfType::Executable,
        elf::ET_DYN if dynamic.pie || (interpreter.is_some() && dynamic.soname.is_none()) => {
            ElfType::PieExecutable
        }
        elf::ET_DYN => ElfType::SharedLibrary,
        other => ElfType::Other(other.0),
    };
    let relro = match segment(elf::PT_GNU_RELRO) {
        None => Relro::None,
        Some(_) if dynamic.bind_now => Relro::Full,
        Some(found) if !dynamic.present && plt_covered::<E>(endian, found, &sections) => Relro::Full,
        Some(_) => Relro::Partial,
    };
    let executable = |s: &E::ProgramHeader| s.p_flags(endian).0 & elf::PF_X.0 != 0;
    let program = matches!(kind, ElfType::Executable | ElfType::PieExecutable);
    let static_linked = program && interpreter.is_none() && dynamic.needed.is_empty();
    let symbols = symbols::Imports::read::<E>(endian, segments, &sections, bytes, static_linked)?;
    Ok(Facts {
        bits,
        little_endian: endian == Endianness::Little,
        machine: machine(header.e_machine(endian)),
        kind,
        relro,
        nx: segment(elf::PT_GNU_STACK).is_some_and(|stack| !executable(stack)),
        writable_code: segments.iter().any(|s| {
            s.p_type(endian) == elf::PT_LOAD && executable(s) && s.p_flags(endian).0 & elf::PF_W.0 != 0
        }),
        canary: symbols.canary(),
        fortify: symbols.fortify(),
        fortified: symbols.fortified.iter().map(ToString::to_string).collect(),
        unfortified: symbols.unfortified.iter().map(ToString::to_string).collect(),
        risky: symbols.risky.iter().copied().collect(),
        properties: notes::properties::<E>(endian, header.e_machine(endian), segments, &sections, bytes),
        static_linked,
        interpreter,
        stripped: !sections.iter().any(|section| section.sh_type(endian) == elf::SHT_SYMTAB),
        rpath: dynamic.rpath,
        runpath: dynamic.runpath,
        needed: dynamic.needed,
        soname: dynamic.soname,
    })
}

/// Whether a static program's function slots lie in what RELRO protects; "no" when it has no section
/// headers that tell.
fn plt_covered<E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    relro: &E::ProgramHeader,
    sections: &SectionTable<'_, E>,
) -> bool {
    let start: u64 = relro.p_vaddr(endian).into();
    let end = start.saturating_add(relro.p_memsz(endian).into());
    let slots = |name: &[u8]| {
        sections.section_by_name(endian, name).is_none_or(|(_, section)| {
            let at: u64 = section.sh_addr(endian).into();
            let size: u64 = section.sh_size(endian).into();
            at >= start && at.saturating_add(size) <= end
        })
    };
    !sections.is_empty() && slots(b".got") && slots(b".got.plt")
}

fn machine(machine: elf::Machine) -> String {
    match machine {
        elf::EM_X86_64 => "x86-64".to_owned(),
        elf::EM_386 => "i386".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        other => format!("machine {}", other.0),
    }
}
