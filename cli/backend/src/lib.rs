//! Backends: a plan becomes artefacts (bootloader, kernel, device tree, root file system).
//!
//! A backend renders the plan in a build system's own form ([`generate`]) and drives that
//! build system ([`build`]). What it hands back is the same for all of them, so that
//! signing, inspection and proof exist once. No key ever comes here.

pub mod buildroot;
mod cache;
pub mod debian;
mod device_tree;
mod follow;
mod hand_over;
pub mod kconfig;
pub mod lock;
mod progress;
mod sources;
mod uboot;
mod unpack;
pub mod vendor;
pub mod yocto;

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use record::Artefacts;
use spec::Architecture;
use spec::plan::Plan;

pub use cache::{Cache, key_of};
pub use progress::{NoProgress, Progress, step};

/// What a build may use and where it puts things.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Downloads, sources and finished stages, shared by all products.
    pub cache: PathBuf,
    /// The board's output folder (`out/BOARD`).
    pub out: PathBuf,
    /// The product's lock file.
    pub lock: PathBuf,
    /// The folder with programs of boards' makers; it need not be there.
    pub vendor: PathBuf,
    /// Parallel jobs of `make`.
    pub jobs: usize,
    /// Use only what the cache holds.
    pub offline: bool,
    /// Resolve packages anew and rewrite the lock.
    pub update_lock: bool,
    /// What this machine brings to a build with Buildroot.
    pub buildroot: buildroot::Machine,
    /// What this machine brings to a build with BitBake.
    pub yocto: yocto::Machine,
}

/// Writes the backend's own form of the plan into `folder` (replaced as a whole); `lock` is the product's, which need not
/// be there.
///
/// # Errors
/// When the folder cannot be written, or the lock is none.
pub fn generate(plan: &Plan, folder: &Path, lock: &Path) -> Outcome<()> {
    match plan.backend.as_str() {
        "buildroot" => buildroot::generate(plan, folder),
        "yocto" => yocto::generate(plan, folder, lock),
        _ => debian::generate(plan, folder),
    }
}

/// Builds everything that the plan asks for and records it as `artefacts.json`.
///
/// # Errors
/// When a tool or package is missing, a symbol did not survive, or a build fails.
pub fn build(plan: &Plan, options: &BuildOptions, progress: &dyn Progress) -> Outcome<Artefacts> {
    // First: nobody should learn of it after a download.
    if plan.backend != "debian" {
        device_tree::machine(plan)?;
    }
    refuse_spl(plan)?;
    match plan.backend.as_str() {
        "buildroot" => buildroot::build(plan, options, progress),
        "yocto" => yocto::build(plan, options, progress),
        _ => {
            let programs = vendor::take(plan, &options.vendor)?;
            programs.pin(&plan.board.name, &options.lock, options.update_lock)?;
            debian::build(plan, options, &programs, progress)
        }
    }
}

/// Only one backend keeps what SPL needs of U-Boot's build.
fn refuse_spl(plan: &Plan) -> Outcome<()> {
    if plan.board.boot.spl.is_none() || plan.backend == "debian" {
        return Ok(());
    }
    let message = format!(
        "the board `{}` starts by SPL, for which the backend `{}` hands nothing over",
        plan.board.name, plan.backend
    );
    Err(Failure::error(ExitStatus::Input, "no-spl", message)
        .hint("build it with `backend: debian`, or generate the tree and sign U-Boot's FIT in that build"))
}

/// BitBake does not run as root, and says so only after a while.
///
/// # Errors
/// When the plan is one for Yocto, BitBake is to be started (nothing is `finished`), and this is root.
pub fn refuse_root(plan: &Plan, finished: bool) -> Outcome<()> {
    if plan.backend != "yocto" || finished || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::error(ExitStatus::Environment, "root-refused", "BitBake does not run as root")
        .hint("run the same command as an ordinary user: it needs no rights of root"))
}

/// The board's architecture.
///
/// # Errors
/// When the plan was written by something else and names one that is not known here.
pub(crate) fn architecture(plan: &Plan) -> Outcome<Architecture> {
    Architecture::of(&plan.board.kernel_arch).ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "unsupported-architecture",
            format!(
                "expected one of `{}` as architecture of the board `{}`, found `{}`",
                Architecture::WORDS.join("`, `"),
                plan.board.name,
                plan.board.kernel_arch
            ),
        )
    })
}

pub(crate) fn internal(message: impl Into<String>) -> Failure {
    Failure::error(ExitStatus::Internal, "internal", message)
}
