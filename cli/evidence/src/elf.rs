//! What an ELF file lacks of the properties that a check asks for.
//!
//! The facts are `image`'s; here stands only what counts as having a property. What the file does not
//! say is not had.

use image::elf::{ElfType, Facts, Fortify, Known, Relro};
use serde::Deserialize;

/// A property of a program or library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// Position independent (libraries always are).
    Pie,
    /// All relocation data read-only after start (`BIND_NOW`).
    RelroFull,
    /// Neither stack nor any segment both writable and executable.
    Nx,
    /// Stack canaries.
    Canary,
    /// Checking forms of the C library's functions.
    Fortify,
    /// No `DT_RPATH`, and no `DT_RUNPATH` out of the system's library folders.
    NoRpath,
}

impl Property {
    /// Every property.
    pub(crate) const ALL: [Self; 6] =
        [Self::Pie, Self::RelroFull, Self::Nx, Self::Canary, Self::Fortify, Self::NoRpath];

    /// The name in layer files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pie => "pie",
            Self::RelroFull => "relro-full",
            Self::Nx => "nx",
            Self::Canary => "canary",
            Self::Fortify => "fortify",
            Self::NoRpath => "no-rpath",
        }
    }

    pub(crate) fn had(self, facts: &Facts) -> bool {
        match self {
            Self::Pie => facts.kind != ElfType::Executable,
            Self::RelroFull => facts.relro == Relro::Full,
            Self::Nx => facts.nx && !facts.writable_code,
            Self::Canary => facts.canary == Known::Yes,
            // `Partial` is what a fortified build looks like: no size known, no check.
            Self::Fortify => {
                matches!(facts.fortify, Fortify::Full | Fortify::Partial | Fortify::NotApplicable)
            }
            Self::NoRpath => facts.rpath.is_empty() && facts.runpath.iter().all(|path| system_folder(path)),
        }
    }
}

/// Packages' private library folders are below these, and part of the verified root.
fn system_folder(path: &str) -> bool {
    let inside = ["/usr/lib/", "/lib/"].iter().any(|folder| path.starts_with(folder));
    inside && !path.split('/').any(|part| part == "..")
}

/// The properties that the file lacks; `None` for an object file or kernel module.
///
/// # Errors
/// When it is not a well-formed ELF file.
pub fn missing(bytes: &[u8], require: &[Property]) -> Result<Option<Vec<Property>>, String> {
    let facts = image::elf::facts(bytes).map_err(|e| e.to_string())?;
    if !facts.loadable() {
        return Ok(None);
    }
    Ok(Some(require.iter().copied().filter(|property| !property.had(&facts)).collect()))
}
