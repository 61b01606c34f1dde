//! The wiring of the rooms: plan → generate → build → assemble → inspect → boot → attack → report.
//!
//! Each function is one arrow of docs/architecture.md, "The one picture". What it gets and
//! leaves is what docs/contract.md says; no function keeps anything in memory that is not also
//! a file of the output folder.

mod findings;
mod proof;
mod sign;

use std::fs;
use std::path::{Path, PathBuf};

use backend::BuildOptions;
use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, ImageRecord};
use spec::library::{Library, read_file, read_model};
use spec::plan::Plan;
use spec::product::{Backend, Product};

pub use findings::{inspect, known_findings, report, write_report};
pub use proof::{attack, attacks, boot, known_attacks, known_boot};
pub use sign::{Passphrase, image_is_current, key_fits, sign};

use crate::cli::BackendName;
use crate::places;
use crate::progress::Steps;

/// What `generate` and `build` may use.
pub struct Options {
    /// The product file.
    pub product: PathBuf,
    /// The folder with one folder a board.
    pub out: PathBuf,
    /// The cache.
    pub cache: PathBuf,
    /// The key store.
    pub keys: PathBuf,
    /// Where the passphrase comes from, if said.
    pub passphrase: Passphrase,
    /// Use only what the cache holds.
    pub offline: bool,
    /// Resolve packages anew.
    pub update_lock: bool,
    /// Parallel jobs.
    pub jobs: usize,
}

/// The plan of a product; `backend` takes the place of the one that it names.
///
/// # Errors
/// Everything that is wrong with the product, its board and its layers.
pub fn plan(product: &Path, board: Option<&str>, backend: Option<BackendName>) -> Outcome<Plan> {
    let library = Library::built_in(Some(spec::folder_of(product)));
    let backend = backend.map(|name| match name {
        BackendName::Debian => Backend::Debian,
        BackendName::Buildroot => Backend::Buildroot,
    });
    spec::load_as(&library, product, board, backend)
}

/// The boards that a product names, in its order.
///
/// # Errors
/// Everything that is wrong with the product file itself.
pub fn boards_of(product: &Path) -> Outcome<Vec<String>> {
    let source = read_file(product, &product.display().to_string())?;
    let mut diagnostics = Vec::new();
    match read_model::<Product>(&source, &mut diagnostics) {
        Some(model) if !model.boards.is_empty() => {
            Ok(model.boards.iter().map(|board| board.value.as_str().to_owned()).collect())
        }
        // The resolver has the better words for a product without boards.
        Some(_) => spec::load(product, None).map(|plan| vec![plan.board.name]),
        None => Err(Failure { status: ExitStatus::Input, diagnostics }),
    }
}

/// plan → `generated/`, in the board's folder. An image that is there stays whole.
///
/// # Errors
/// When the folder cannot be written.
pub fn generate(plan: &Plan, folder: &Path, steps: &Steps) -> Outcome<PathBuf> {
    let generated = folder.join("generated");
    steps.step("generate", None, || {
        backend::generate(plan, &generated)?;
        Ok(((), false))
    })?;
    Ok(generated)
}

/// plan → artefacts, by the plan's backend.
///
/// # Errors
/// Those of the backend.
pub fn build(plan: &Plan, folder: &Path, options: &Options, steps: &Steps) -> Outcome<Artefacts> {
    let options = BuildOptions {
        cache: options.cache.clone(),
        out: folder.to_owned(),
        lock: places::lock(&options.product),
        jobs: options.jobs,
        offline: options.offline,
        update_lock: options.update_lock,
    };
    let built = backend::build(plan, &options, steps);
    if built.is_err() {
        steps.abandon();
    }
    built
}

/// SHA-256 of the disk image that a record names.
pub fn disk_sha256(image: &ImageRecord) -> String {
    image.files.get(&record::Role::Disk).map(|file| file.sha256.clone()).unwrap_or_default()
}

/// Writes a file whole or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, bytes).map_err(|e| Failure::io("write", &part, &e))?;
    fs::rename(&part, path).map_err(|e| Failure::io("write", path, &e))
}
