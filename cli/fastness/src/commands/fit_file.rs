//! Files of `fastness fit`: mapped when they are read, streamed when they are written.
//!
//! Memory does not grow with the images: the kernel pages a large file in and out as it is looked at, and what
//! is written comes from there.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::ops::Deref;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::Temporary;
use fit::fdt::Pieces;
use memmap2::Mmap;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::output::{Output, clean};

/// Files from this size on are mapped, in bytes.
const MAPPED: u64 = 1 << 20;
/// The largest file, in bytes: what a device tree's header can say of itself (Devicetree Specification 0.4, 5.2).
const LARGEST: u64 = u32::MAX as u64;
/// The most that is read of what is no file and cannot be mapped, such as a pipe, in bytes.
const LARGEST_READ: u64 = 1 << 30;
/// How a key or a certificate begins (RFC 7468, 2).
const PEM: &[u8; 11] = b"-----BEGIN ";

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
    /// A name that is no UTF-8 has no other form in JSON.
    file: Cow<'a, str>,
    bytes: usize,
    /// What is odd in it, and no reason not to write it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
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
    let bytes = Part::new(path)?.store(fit, holds)?;
    Ok(told(path, bytes, &[], output))
}

/// Writes what is small and needs no proof, such as a control FDT, and says so.
///
/// # Errors
/// When it cannot be written.
pub fn store_bytes(path: &Path, bytes: &[u8], warnings: &[String], output: &Output) -> Outcome<ExitStatus> {
    crate::stages::write_atomic(path, bytes)?;
    Ok(told(path, bytes.len(), warnings, output))
}

/// Says what was written, and what is odd in it.
pub fn told(file: &Path, bytes: usize, warnings: &[String], output: &Output) -> ExitStatus {
    let name = file.to_string_lossy();
    warnings.iter().for_each(|said| output.warning(&clean(said)));
    output.result(&Written { file: name.clone(), bytes, warnings }, |_| {
        clean(&format!("wrote `{name}`, {bytes} bytes\n"))
    });
    ExitStatus::Success
}

/// A FIT that is written beside the place that it is to take. Gone by itself unless it is put there.
pub struct Part<'d> {
    path: PathBuf,
    file: NamedTempFile,
    temporary: Temporary,
    /// Data that is there already, and at which byte.
    there: Vec<(usize, &'d [u8])>,
}

impl<'d> Part<'d> {
    /// An empty one, in the same folder.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn new(path: &Path) -> Outcome<Self> {
        record::refuse_odd_place(path)?;
        refuse_key(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let message =
                format!("cannot write `{}`: there is no folder `{}`", path.display(), folder.display());
            return Err(Failure::error(ExitStatus::Environment, "file", message).hint("make it first"));
        }
        // Nobody else's name.
        let made = tempfile::Builder::new().prefix(".fit-").permissions(permissions()).tempfile_in(folder);
        // Its kind alone: `tempfile` adds the name of its own file, which says nothing to anybody.
        let file = made.map_err(|e| Failure::io("write", path, &e.kind().into()))?;
        let temporary = Temporary::new(file.path());
        Ok(Self { path: path.to_owned(), file, temporary, there: Vec::new() })
    }

    /// Writes the large data where a FIT of this layout has them, so that it can be hashed meanwhile. Should the FIT that is
    /// stored have them elsewhere, they are written again.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn early(&mut self, layout: &'d Pieces<'_>) -> Outcome<()> {
        for (at, data, _) in layout.segments().filter(|(_, _, large)| *large) {
            self.put(at, data)?;
            self.there.push((at, data));
        }
        Ok(())
    }

    fn put(&self, at: usize, bytes: &[u8]) -> Outcome<()> {
        self.file.as_file().write_all_at(bytes, at as u64).map_err(|e| Failure::io("write", &self.path, &e))
    }

    /// As [`write`], and says nothing but how many bytes it has.
    ///
    /// # Errors
    /// As [`write`].
    pub fn store(self, fit: &Pieces<'_>, holds: impl FnOnce(&[u8]) -> Outcome<()>) -> Outcome<usize> {
        let io = |e: &std::io::Error| Failure::io("write", &self.path, e);
        for (at, bytes, _) in fit.segments() {
            if !self.there.iter().any(|(place, data)| *place == at && std::ptr::eq(*data, bytes)) {
                self.put(at, bytes)?;
            }
        }
        self.file.as_file().set_len(fit.len() as u64).map_err(|e| io(&e))?;
        holds(&mapped(self.file.as_file()).map_err(|e| io(&e))?)?;
        // Ctrl-C while it was made: what was there stays.
        exec::check_interrupt()?;
        let Self { path, file, temporary, .. } = self;
        let stored =
            file.persist(&path).map(|_| fit.len()).map_err(|e| Failure::io("write", &path, &e.error));
        drop(temporary);
        stored
    }
}

/// No FIT takes the place of a key or a certificate: a private key is nowhere else.
fn refuse_key(path: &Path) -> Outcome<()> {
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let mut begin = [0; PEM.len()];
    // What cannot be read cannot be told, and is told when it is written.
    if is_file
        && File::open(path).is_ok_and(|file| file.read_exact_at(&mut begin, 0).is_ok())
        && begin == *PEM
    {
        let message =
            format!("`{}` is a key or a certificate: expected another place for the output", path.display());
        return Err(Failure::error(ExitStatus::Usage, "would-replace", message)
            .hint("remove it first if nobody needs it any more"));
    }
    Ok(())
}

/// An output in a key store would take a key, its record or its passphrase away.
///
/// # Errors
/// `would-replace` when it lies there.
pub fn refuse_in_store(path: &Path, store: &Path) -> Outcome<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_folder(folder, store) {
        return Err(place_of_store(path));
    }
    refuse_store(path, store)
}

/// A folder of files that are asked for is none for keys; one of its own in the key store is.
///
/// # Errors
/// `would-replace` when it is the key store itself.
pub fn refuse_store(folder: &Path, store: &Path) -> Outcome<()> {
    if is_folder(folder, store) { Err(place_of_store(folder)) } else { Ok(()) }
}

fn is_folder(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(folder).is_some_and(|folder| real(path) == Some(folder))
}

fn place_of_store(path: &Path) -> Failure {
    let message =
        format!("`{}` is a place of the key store: expected another one for the output", path.display());
    Failure::error(ExitStatus::Usage, "would-replace", message)
        .hint("name a place in another folder with `--output`")
}

/// An output that is one of the files that it is made from would take what it is made from away.
///
/// # Errors
/// `would-replace` when it is one of them, by whatever name.
pub fn refuse_input<'p>(path: &Path, inputs: impl IntoIterator<Item = &'p Path>) -> Outcome<()> {
    let of = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let Some(own) = of(path) else { return Ok(()) };
    match inputs.into_iter().find(|input| of(input) == Some(own)) {
        None => Ok(()),
        Some(input) => {
            let message = format!(
                "the output `{}` is `{}`, which the FIT is made from: expected another place",
                path.display(),
                input.display()
            );
            Err(Failure::error(ExitStatus::Usage, "would-replace", message)
                .hint("name another file with `--output`"))
        }
    }
}

/// As `open` gives them to a new file: the umask takes its part.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use fit::build::{Configuration, Digests, FitSpec, Image, build_with};
    use fit::fdt::Tree;
    use fit::key::Hash;

    use super::*;

    fn tree<'d>(description: &str, data: &'d [u8], digests: &mut Digests<'d>) -> Tree<'d> {
        let kernel = "kernel".to_owned();
        let image = Image {
            name: kernel.clone(),
            description: description.to_owned(),
            kind: kernel.clone(),
            arch: "arm64".to_owned(),
            os: Some("linux".to_owned()),
            compression: "none".to_owned(),
            load: Some(0x4040_0000),
            entry: Some(0x4040_0000),
            data: Cow::Borrowed(data),
        };
        let configuration = Configuration {
            name: "conf".to_owned(),
            description: "c".to_owned(),
            compatible: None,
            loads: vec![(kernel.clone(), vec![kernel])],
        };
        let spec = FitSpec {
            description: description.to_owned(),
            timestamp: 0,
            hash: Hash::Sha256,
            images: vec![image],
            configurations: vec![configuration],
            default: Some("conf".to_owned()),
        };
        build_with(spec, digests).unwrap()
    }

    #[test]
    fn what_is_written_early_is_the_same_fit_wherever_its_data_are() {
        let data: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let real = tree("speed", &data, &mut Digests::default());
        let real = real.pieces().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.itb");
        // The same layout, one whose data come later (and reach behind the end), and none.
        for early in [Some("speed"), Some("a much longer description, so that all comes later"), None] {
            let blank = early.map(|description| tree(description, &data, &mut Digests::blank()));
            let layout = blank.as_ref().map(|blank| blank.pieces().unwrap());
            let mut part = Part::new(&path).unwrap();
            if let Some(layout) = &layout {
                part.early(layout).unwrap();
            }
            let again: Vec<bool> =
                real.segments().map(|(at, bytes, _)| !part.there.contains(&(at, bytes))).collect();
            assert_eq!(again, [true, early != Some("speed"), true]);
            assert_eq!(part.store(&real, |_| Ok(())).unwrap(), real.len());
            assert_eq!(std::fs::read(&path).unwrap(), real.clone().into_bytes());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_is_refused_after_it_was_written_leaves_what_was_there() {
        let data = vec![7; 100_000];
        let real = tree("speed", &data, &mut Digests::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.itb");
        std::fs::write(&path, "before").unwrap();
        let refused = || Failure::error(ExitStatus::Check, "readback", "no");
        let part = Part::new(&path).unwrap();
        assert!(part.store(&real.pieces().unwrap(), |_| Err(refused())).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
