//! Files into the output folder, as the record of artefacts names them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use record::Artefact;

/// Puts a cached file into the output folder: as a hard link where the file system allows,
/// else as a copy. The cache's file keeps its bytes; nothing writes into artefacts.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn place(from: &Path, to: &Path) -> Outcome<()> {
    let part = to.with_extension("part");
    let _ = fs::remove_file(&part);
    if fs::hard_link(from, &part).is_err() {
        fs::copy(from, &part).map_err(|e| Failure::io("copy", from, &e))?;
    }
    fs::rename(&part, to).map_err(|e| Failure::io("write", to, &e))?;
    // Renaming one hard link over another of the same file leaves both names.
    let _ = fs::remove_file(&part);
    Ok(())
}

/// The record of a file below `artefacts/`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn artefact(path: &Path, name: &str) -> Outcome<Artefact> {
    let (sha256, bytes) = record::sha256_file(path)?;
    Ok(Artefact { path: PathBuf::from("artefacts").join(name), sha256, bytes })
}

/// Copies a file into the output folder, for one that its maker will write again in place.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    let part = to.with_extension("part");
    fs::copy(from, &part).map_err(|e| Failure::io("copy", from, &e))?;
    fs::rename(&part, to).map_err(|e| Failure::io("write", to, &e))
}

/// The plain kernel is taken over and nothing else: what looks signed may not be. Source of the magic
/// number: the Devicetree Specification, 5.2.
///
/// # Errors
/// When the kernel is a FIT; `why` is said as the way out.
pub(crate) fn refuse_fit(kernel: &Path, why: &str) -> Outcome<()> {
    let mut magic = [0; 4];
    let read = fs::File::open(kernel).and_then(|mut file| file.read(&mut magic));
    read.map_err(|e| Failure::io("read", kernel, &e))?;
    if magic != [0xd0, 0x0d, 0xfe, 0xed] {
        return Ok(());
    }
    let message = format!("`{}` is a FIT, expected the plain kernel", kernel.display());
    Err(Failure::error(ExitStatus::Build, "kernel-is-a-fit", message).hint(why))
}
