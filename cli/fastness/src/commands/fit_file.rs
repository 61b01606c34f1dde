//! Files of `fastness fit`: mapped when they are read, streamed when they are written.
//!
//! Memory does not grow with the images: the kernel pages a large file in and out as it is looked at, and what
//! is written comes from there.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::ops::Deref;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use fit::fdt::Pieces;
use memmap2::Mmap;
use serde::Serialize;

use crate::output::Output;

/// Files from this size on are mapped, in bytes.
const MAPPED: u64 = 1 << 20;
/// The largest file, in bytes: what a device tree's header can say of itself (Devicetree Specification 0.4, 5.2).
const LARGEST: u64 = u32::MAX as u64;
/// The most that is read of what is no file and cannot be mapped, such as a pipe, in bytes.
const LARGEST_READ: u64 = 1 << 30;

/// Content of a file.
pub enum Bytes {
    /// Read into memory.
    Read(Vec<u8>),
    /// Where the file is.
    Mapped(Mmap),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// The content of a file of less than 4 GiB.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read(path: &Path) -> Outcome<Bytes> {
    let io = |e: &std::io::Error| Failure { status: ExitStatus::Input, ..Failure::io("read", path, e) };
    let too_large = |most: u64| {
        let message = format!("expected at most {most} bytes, `{}` is larger", path.display());
        Failure::error(ExitStatus::Input, "file-too-large", message)
    };
    let file = File::open(path).map_err(|e| io(&e))?;
    let meta = file.metadata().map_err(|e| io(&e))?;
    // A sparse file says it before a byte is read; a pipe has no size.
    if meta.len() > LARGEST {
        return Err(too_large(LARGEST));
    }
    if meta.is_file() && meta.len() >= MAPPED {
        return mapped(&file).map(Bytes::Mapped).map_err(|e| io(&e));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_READ + 1).read_to_end(&mut bytes).map_err(|e| io(&e))?;
    if bytes.len() as u64 > LARGEST_READ { Err(too_large(LARGEST_READ)) } else { Ok(Bytes::Read(bytes)) }
}

/// The file, without a copy of it.
///
/// Whoever changes it meanwhile gets a FIT that does not verify, and whoever cuts it ends this program (SIGBUS);
/// in neither case is the output put in place: it is verified where it was written, and renamed after that.
#[allow(unsafe_code)]
fn mapped(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is only read, and as bytes, of which every value is one. That nobody changes the file
    // meanwhile is what every reader of it has to hope for; what it means is said above.
    unsafe { Mmap::map(file) }
}

/// A file that is not what it should be.
pub fn wrong(path: &Path, error: &fit::FitError) -> Failure {
    Failure::error(ExitStatus::Input, "fit", format!("`{}`: {error}", path.display()))
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    bytes: usize,
}

/// Writes a FIT and says so; `holds` looks at the bytes on the disk before they take the place of what is there.
///
/// # Errors
/// When it cannot be written, or `holds` refuses it: what was there is as it was.
pub fn write(
    path: &Path,
    fit: &Pieces<'_>,
    holds: impl FnOnce(&[u8]) -> Outcome<()>,
    output: &Output,
) -> Outcome<ExitStatus> {
    store(path, fit, holds)?;
    Ok(told(path, fit.len(), output))
}

/// Writes what is small and needs no proof, such as a control FDT, and says so.
///
/// # Errors
/// When it cannot be written.
pub fn store_bytes(path: &Path, bytes: &[u8], output: &Output) -> Outcome<ExitStatus> {
    crate::stages::write_atomic(path, bytes)?;
    Ok(told(path, bytes.len(), output))
}

fn told(file: &Path, bytes: usize, output: &Output) -> ExitStatus {
    output.result(&Written { file, bytes }, |_| format!("wrote `{}`, {bytes} bytes\n", file.display()));
    ExitStatus::Success
}

/// As [`write`], and says nothing.
///
/// # Errors
/// As [`write`].
pub fn store(path: &Path, fit: &Pieces<'_>, holds: impl FnOnce(&[u8]) -> Outcome<()>) -> Outcome<()> {
    let io = |e: &std::io::Error| Failure::io("write", path, e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Gone by itself unless it is put in place; nobody else's name.
    let mut part = tempfile::Builder::new()
        .prefix(".fit-")
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(|e| io(&e))?;
    let mut out = BufWriter::new(part.as_file_mut());
    fit.write_to(&mut out).and_then(|()| out.flush()).map_err(|e| io(&e))?;
    drop(out);
    holds(&mapped(part.as_file()).map_err(|e| io(&e))?)?;
    part.persist(path).map(drop).map_err(|e| io(&e.error))
}

/// As `open` gives them to a new file: the umask takes its part.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
