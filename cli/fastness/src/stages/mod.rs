//! The wiring of the rooms: plan → generate → build → assemble → inspect → boot → attack → report.
//!
//! Each function is one arrow of docs/architecture.md, "The one picture". What it gets and
//! leaves is what docs/contract.md says; no function keeps anything in memory that is not also
//! a file of the output folder.

mod event_tunnel;
mod events;
mod findings;
mod proof;
mod readers;
mod sign;
mod tunnels;
mod weak;
mod wireguard;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use backend::BuildOptions;
use backend::buildroot::Machine;
use diag::{ExitStatus, Failure, Outcome};
use evidence::threats::ThreatReport;
use record::{Artefacts, Finding, ImageRecord};
use spec::Choice;
use spec::library::{Library, read_file, read_model};
use spec::plan::Plan;
use spec::product::{Backend, Product};
use spec::protocol::Protocols;
use spec::threats::Threats;

pub use ::record::write_atomic;
pub use findings::{
    bill_files, findings, findings_of, inspect, known_findings, report, report_files, write_bill,
    write_report,
};
pub use proof::{
    attack, attacks, boot, boot_device, boot_events, boot_network, boot_until, known_attacks, known_boot,
    known_traffic, of_other_images, throughput,
};
pub use sign::{Passphrase, image_is_current, key_fits, open_key_early, sign};

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
    /// The folder with programs of boards' makers.
    pub vendor: PathBuf,
    /// Where the passphrase comes from, if said.
    pub passphrase: Passphrase,
    /// Use only what the cache holds.
    pub offline: bool,
    /// Resolve packages anew.
    pub update_lock: bool,
    /// Parallel jobs.
    pub jobs: usize,
    /// What this machine brings to a build with Buildroot.
    pub buildroot: Machine,
    /// What this machine brings to a build with BitBake.
    pub yocto: backend::yocto::Machine,
}

/// The plan of a product, for the backend and the Buildroot tree that a call names.
///
/// # Errors
/// Everything that is wrong with the product, its board and its layers, and a tree that is none.
pub fn plan(
    product: &Path,
    board: Option<&str>,
    backend: Option<BackendName>,
    buildroot: Option<&Path>,
) -> Outcome<Plan> {
    let series = buildroot.map(backend::buildroot::version).transpose()?.map(|version| version.series);
    let library = Library::built_in(Some(spec::folder_of(product)));
    let backend = backend.map(|name| match name {
        BackendName::Debian => Backend::Debian,
        BackendName::Buildroot => Backend::Buildroot,
        BackendName::Yocto => Backend::Yocto,
    });
    // Reading the catalogues is a tenth of the work, and needs nothing of it.
    let (plan, models) = std::thread::scope(|scope| {
        let models = scope.spawn(|| models(&library));
        let plan = spec::load_as(&library, product, board, Choice { backend, series });
        (plan, models.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let plan = plan?;
    // A risk that there is not is told now, and not by the report of an image that took an hour.
    let (catalogue, protocols) = models?;
    evidence::threats::check(&plan, &catalogue, &protocols)?;
    Ok(plan)
}

/// The threat model of a plan, and of what a run found if there was one.
///
/// # Errors
/// The catalogues of threats and protocols, and a product that takes a risk that there is not.
pub fn threats(library: &Library, plan: &Plan, findings: Option<&[Finding]>) -> Outcome<ThreatReport> {
    let (catalogue, protocols) = models(library)?;
    ThreatReport::new(plan, findings, &catalogue, &protocols)
}

fn models(library: &Library) -> Outcome<(Threats, Protocols)> {
    let catalogue = Threats::read(library)?;
    let mut trouble = Vec::new();
    let protocols = spec::protocol::all(library, &mut trouble)?;
    if !trouble.is_empty() {
        return Err(Failure { status: ExitStatus::Input, diagnostics: trouble });
    }
    Ok((catalogue, protocols))
}

/// The backends that a product is for: its own (none named), then those that it has settings of.
///
/// # Errors
/// The product file cannot be read; what else is wrong with it is told by [`plan`].
pub fn backends_of(product: &Path) -> Outcome<Vec<Option<BackendName>>> {
    let source = read_file(product, &product.display().to_string())?;
    let mut backends = vec![None];
    if let Some(model) = read_model::<Product>(&source, &mut Vec::new()) {
        let own = model.backend;
        let settings = [
            (model.buildroot.is_some() && own != Backend::Buildroot, BackendName::Buildroot),
            (model.yocto.is_some() && own != Backend::Yocto, BackendName::Yocto),
        ];
        backends.extend(settings.into_iter().filter(|(there, _)| *there).map(|(_, name)| Some(name)));
    }
    Ok(backends)
}

/// The boards that a product names, in its order.
///
/// # Errors
/// Everything that is wrong with the product file itself.
pub fn boards_of(product: &Path) -> Outcome<Vec<String>> {
    let source = read_file(product, &product.display().to_string())?;
    match read_model::<Product>(&source, &mut Vec::new()) {
        Some(model) if !model.boards.is_empty() => {
            Ok(model.boards.iter().map(|board| board.value.as_str().to_owned()).collect())
        }
        // The resolver has the better words for a product without boards, and more of them for one with mistakes.
        _ => spec::load(product, None).map(|plan| vec![plan.board.name]),
    }
}

/// The name of a product; the rest of its file may be wrong.
///
/// # Errors
/// When the file cannot be read, or has no name.
pub fn product_name(product: &Path) -> Outcome<String> {
    let source = read_file(product, &product.display().to_string())?;
    match read_model::<Product>(&source, &mut Vec::new()) {
        Some(model) => Ok(model.name.value.as_str().to_owned()),
        None => spec::load(product, None).map(|plan| plan.product.name),
    }
}

/// Seconds since 1970, by this machine's clock; 0 before that, which `pki` refuses.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// plan → `generated/`, in the board's folder. An image that is there stays whole. `lock` is the product's.
///
/// # Errors
/// When the folder cannot be written.
pub fn generate(plan: &Plan, folder: &Path, lock: &Path, steps: &Steps) -> Outcome<PathBuf> {
    let generated = folder.join("generated");
    steps.step("generate", None, || {
        backend::generate(plan, &generated, lock)?;
        outside(plan, folder)?;
        beside(plan.outside.get(ROOT_OF_TRUST).map(String::as_bytes), &folder.join(ROOT_OF_TRUST))?;
        beside(guide(plan).as_deref(), &folder.join(GUIDE))?;
        Ok(((), false))
    })?;
    Ok(generated)
}

/// Name in a plan, and in the output folder, of what a person does so that the hardware trusts U-Boot.
const ROOT_OF_TRUST: &str = "root-of-trust.txt";

/// What is made for others than the device: the peer's end of each tunnel and the MUD file, in `network/`.
fn outside(plan: &Plan, folder: &Path) -> Outcome<()> {
    let mut tree = backend::buildroot::Tree::default();
    let network = plan.outside.iter().filter(|(path, _)| *path != ROOT_OF_TRUST);
    network.for_each(|(path, content)| tree.file(path, content));
    tree.bring_to(&folder.join("network"))
}

/// Name in the output folder of the security guide, and where the image has it.
const GUIDE: &str = "security-guide.txt";
const GUIDE_PATH: &str = "/usr/share/fastness/security-guide.txt";

/// The security guide of the image; a product without self-check has none.
fn guide(plan: &Plan) -> Option<Cow<'_, [u8]>> {
    plan.files.get(GUIDE_PATH).and_then(|asked| asked.value.bytes())
}

/// Writes a text for people beside the image, such as what a person does for the hardware's root of trust; where there is
/// none, one of an earlier run goes.
fn beside(text: Option<&[u8]>, path: &Path) -> Outcome<()> {
    match text {
        Some(text) => write_atomic(path, text),
        None => match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", path, &e)),
            _ => Ok(()),
        },
    }
}

/// Plans of several boards → one `generated/`, for Buildroot and for Yocto.
///
/// # Errors
/// When the folder cannot be written.
pub fn generate_together(plans: &[Plan], folder: &Path, lock: &Path, steps: &Steps) -> Outcome<PathBuf> {
    let generated = folder.join("generated");
    steps.step("generate", None, || {
        let tree = if plans.iter().all(|plan| plan.yocto.is_some()) {
            let pinned = plans.iter().map(|plan| backend::yocto::pinned(plan, lock));
            backend::yocto::tree_of_boards(&pinned.collect::<Outcome<Vec<_>>>()?)?
        } else {
            backend::buildroot::tree_of_boards(plans)?
        };
        tree.bring_to(&generated)?;
        // The network is the product's: it is the same for all boards.
        plans.first().map_or(Ok(()), |plan| outside(plan, folder))?;
        for plan in plans {
            let path = |name: &str| folder.join(format!("{}-{name}", plan.board.name));
            beside(plan.outside.get(ROOT_OF_TRUST).map(String::as_bytes), &path(ROOT_OF_TRUST))?;
            beside(guide(plan).as_deref(), &path(GUIDE))?;
        }
        Ok(((), false))
    })?;
    Ok(generated)
}

/// Whether a Buildroot tree's Kconfig keeps every symbol of the plan; nothing is built.
///
/// # Errors
/// A symbol that is lost, with who asked and the unmet dependency; a tree that is none.
pub fn check_symbols(
    plan: &Plan,
    folder: &Path,
    tree: &Path,
    machine: &Machine,
    steps: &Steps,
) -> Outcome<()> {
    let log = folder.join("logs/buildroot-config.log");
    steps.step("check Buildroot's symbols", Some(&log), || {
        backend::buildroot::check_symbols(plan, &folder.join("generated"), tree, machine, &log)?;
        Ok(((), false))
    })
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
        vendor: options.vendor.clone(),
        jobs: options.jobs,
        offline: options.offline,
        update_lock: options.update_lock,
        buildroot: options.buildroot.clone(),
        yocto: options.yocto.clone(),
    };
    let built = backend::build(plan, &options, steps);
    if built.is_err() {
        steps.abandon();
    }
    built
}

/// SHA-256 of the boot chain's first program that a record names: SPL, or else U-Boot, which then lies in the boot flash.
pub fn first_sha256(image: &ImageRecord) -> String {
    let first = image.files.get(&record::Role::Spl).or_else(|| image.files.get(&record::Role::Uboot));
    first.map(|file| file.sha256.clone()).unwrap_or_default()
}

/// SHA-256 of the disk image that a record names.
pub fn disk_sha256(image: &ImageRecord) -> String {
    image.files.get(&record::Role::Disk).map(|file| file.sha256.clone()).unwrap_or_default()
}
