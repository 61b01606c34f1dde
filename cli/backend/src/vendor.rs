//! Programs of a board's maker: taken out of a folder of the user, measured, and pinned in the lock.
//!
//! What is taken is read once, so that what was measured is what is used. Nothing is fetched: these programs are their makers'.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use record::{Artefact, sha256_hex};
use spec::plan::{Plan, VendorProgramFacts};

use crate::lock::{Lock, VendorPin};

/// Below `artefacts/`.
const FOLDER: &str = "vendor";

/// The maker's programs of a board, by file name.
#[derive(Debug, Default)]
pub struct Programs(BTreeMap<String, Vec<u8>>);

/// The folder that has the board's programs: of its name in `folder`, else `folder` itself.
#[must_use]
pub fn folder_of(folder: &Path, board: &str) -> PathBuf {
    let own = folder.join(board);
    if own.is_dir() { own } else { folder.to_owned() }
}

/// Reads every program that the board wants of its maker; a board that wants none gets none, and no folder is looked into.
///
/// # Errors
/// `vendor-program` when one is not there, with all that are expected, and `vendor-file` for each that cannot be it: empty, of
/// another size, no file, or a link that leads out of the folder.
pub fn take(plan: &Plan, folder: &Path) -> Outcome<Programs> {
    let wanted = &plan.board.vendor_programs;
    if wanted.is_empty() {
        return Ok(Programs::default());
    }
    let folder = folder_of(folder, &plan.board.name);
    let mut found = BTreeMap::new();
    let (mut missing, mut trouble) = (Vec::new(), Vec::new());
    for program in wanted {
        match read(&folder, program) {
            Ok(Some(bytes)) => {
                found.insert(program.file.clone(), bytes);
            }
            Ok(None) => missing.push(program),
            Err(Wrong::File(why)) => trouble.push(wrong_file(&folder, program, &why)),
            Err(Wrong::Io(failure)) => return Err(failure),
        }
    }
    if !missing.is_empty() {
        trouble.insert(0, missing_programs(plan, &folder, &missing));
    }
    if trouble.is_empty() {
        return Ok(Programs(found));
    }
    Err(Failure { status: ExitStatus::Input, diagnostics: trouble })
}

/// One message for all: nobody should look for them one by one.
fn missing_programs(plan: &Plan, folder: &Path, missing: &[&VendorProgramFacts]) -> Diagnostic {
    let board = &plan.board;
    let names: Vec<_> = missing.iter().map(|program| format!("`{}`", program.file)).collect();
    let message = format!(
        "the board `{}` starts by programs of its maker that no package of the suite has: expected {} in `{}`, found {}",
        board.name,
        names.join(", "),
        folder.display(),
        if folder.is_dir() { "no such file" } else { "no such folder" }
    );
    let hint = format!(
        "put all of them into `vendor/{}` beside the product file, or name their folder with `--vendor`; `fastness generate` does without",
        board.name
    );
    let mut diagnostic = Diagnostic::error("vendor-program", message).hint(hint);
    for program in &board.vendor_programs {
        let text =
            format!("`{}`: {}, {}; from {}", program.file, program.about, program.size(), program.from);
        diagnostic = diagnostic.note(text, None);
    }
    diagnostic
}

fn wrong_file(folder: &Path, program: &VendorProgramFacts, why: &str) -> Diagnostic {
    let message = format!(
        "expected {} as `{}` ({}), found {why}",
        program.size(),
        folder.join(&program.file).display(),
        program.about
    );
    Diagnostic::error("vendor-file", message).hint(format!("take it anew from {}", program.from))
}

enum Wrong {
    File(String),
    Io(Failure),
}

/// The file's bytes, or `None` where there is no such name.
fn read(folder: &Path, program: &VendorProgramFacts) -> Result<Option<Vec<u8>>, Wrong> {
    let path = folder.join(&program.file);
    let io = |doing: &str, e: &std::io::Error| Wrong::Io(Failure::io(doing, &path, e));
    match fs::symlink_metadata(&path) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(io("read", &e)),
        Ok(_) => {}
    }
    let whole = folder.canonicalize().map_err(|e| Wrong::Io(Failure::io("open", folder, &e)))?;
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(Wrong::File("a link to nothing".to_owned()));
        }
        Err(e) => return Err(io("open", &e)),
    };
    if !real.starts_with(&whole) {
        return Err(Wrong::File("a link that leads out of the folder".to_owned()));
    }
    let meta = fs::metadata(&real).map_err(|e| io("read", &e))?;
    if !meta.is_file() {
        return Err(Wrong::File(if meta.is_dir() { "a folder" } else { "no regular file" }.to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(&real).map_err(|e| io("open", &e))?;
    // One byte more than there may be tells of a file that is too large, however large it is.
    file.take(program.largest() + 1).read_to_end(&mut bytes).map_err(|e| io("read", &e))?;
    match bytes.len() as u64 {
        0 => Err(Wrong::File("an empty file".to_owned())),
        count if program.fits(count) => Ok(Some(bytes)),
        _ => Err(Wrong::File(format!("{} bytes", meta.len()))),
    }
}

impl Programs {
    /// Compares each with its pin; what has none, and with `update` everything, is pinned.
    ///
    /// # Errors
    /// `pin-differs` when a file is another than the one that was pinned, or the lock cannot be read or written.
    pub fn pin(&self, board: &str, path: &Path, update: bool) -> Outcome<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut lock = Lock::read(path)?;
        let before = lock.vendor.get(board).cloned().unwrap_or_default();
        let mut pins = BTreeMap::new();
        let mut trouble = Vec::new();
        for (file, bytes) in &self.0 {
            let pin = VendorPin { bytes: bytes.len() as u64, sha256: sha256_hex(bytes) };
            if let Some(old) = before.get(file).filter(|old| !update && **old != pin) {
                let message = format!(
                    "`{file}` for the board `{board}` has SHA-256 {}, but the lock pins {}",
                    pin.sha256, old.sha256
                );
                trouble.push(Diagnostic::error("pin-differs", message).hint(
                    "take the maker's file of before, or look into the difference and build with `--update-lock`",
                ));
            }
            pins.insert(file.clone(), pin);
        }
        if !trouble.is_empty() {
            return Err(Failure { status: ExitStatus::Build, diagnostics: trouble });
        }
        if pins != before {
            lock.vendor.insert(board.to_owned(), pins);
            lock.write(path)?;
        }
        Ok(())
    }

    /// Writes them below the output folder's `artefacts/`, and describes them. Those of another build do not stay.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn place(&self, out: &Path) -> Outcome<BTreeMap<String, Artefact>> {
        let relative = Path::new("artefacts").join(FOLDER);
        let folder = out.join(&relative);
        crate::cache::remove_tree(&folder)?;
        let mut described = BTreeMap::new();
        for (file, bytes) in &self.0 {
            fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
            let path = folder.join(file);
            fs::write(&path, bytes).map_err(|e| Failure::io("write", &path, &e))?;
            let artefact =
                Artefact { path: relative.join(file), sha256: sha256_hex(bytes), bytes: bytes.len() as u64 };
            described.insert(file.clone(), artefact);
        }
        Ok(described)
    }

    /// What went into the image, for the record of its sources.
    pub fn sources(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(file, bytes)| (format!("vendor {file}"), format!("sha256 {}", sha256_hex(bytes))))
    }

    /// The program of that name.
    #[must_use]
    pub fn get(&self, file: &str) -> Option<&[u8]> {
        self.0.get(file).map(Vec::as_slice)
    }
}

#[cfg(test)]
#[path = "vendor_tests.rs"]
mod tests;
