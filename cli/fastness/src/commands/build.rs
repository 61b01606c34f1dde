//! `fastness build`: plan → generate → build → assemble → inspect; with `--prove` also boot, probe and attack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Outcome};
use evidence::report::{Report, terminal};
use record::{ImageRecord, Verdict};
use serde::Serialize;
use spec::plan::Plan;

use super::login;
use crate::cli::BackendName;
use crate::machine::{BuildrootOptions, YoctoOptions};
use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::{Step, Steps};
use crate::stages::{self, Options, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness build                                     product.yaml, its first board
  fastness build gateway/product.yaml --prove        and boot it, probe its ports, attack it
  fastness build --prove --login maintenance=id_ed25519   also what only a login shows (a product with a collector)
  fastness build --board imx8mm-evk --vendor nxp     with programs that only the board's maker has
  fastness build --all-boards --offline --json       for CI";

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file
    #[arg(default_value = PRODUCT)]
    product: PathBuf,
    /// A board, more than once for several; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Vec<String>,
    /// Every board of the product
    #[arg(long, conflicts_with = "board")]
    all_boards: bool,
    /// The backend; otherwise the product's
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
    /// Boot the image, probe every port of every interface, and run every attack, too
    #[arg(long)]
    prove: bool,
    /// A user of the product and the private key that opens a login, for what only a login shows
    #[arg(long, value_name = "USER=FILE", value_parser = login::parse, requires = "prove")]
    login: Option<login::Given>,
    /// Output folder; otherwise `out` beside the product file
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cache of downloads and build trees; otherwise `fastness` in the user's cache folder
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Programs that only a board's maker has, in this folder or in one of the board's name in it; otherwise `vendor` beside the product file
    #[arg(long, value_name = "DIR")]
    vendor: Option<PathBuf>,
    /// The passphrase of the key
    #[command(flatten)]
    passphrase: Passphrase,
    /// Use only what the cache holds
    #[arg(long)]
    offline: bool,
    /// Resolve packages anew and rewrite fastness.lock
    #[arg(long, conflicts_with = "offline")]
    update_lock: bool,
    /// Parallel jobs; otherwise the number of processors
    #[arg(long, short, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// Of the backend `buildroot`.
    #[command(flatten)]
    buildroot: BuildrootOptions,
    /// Of the backend `yocto`.
    #[command(flatten)]
    yocto: YoctoOptions,
}

#[derive(Serialize)]
struct BuildResult {
    status: ExitStatus,
    /// Most memory that the program itself had at one time; tools and machines not counted.
    peak_memory_kib: u64,
    boards: Vec<BoardResult>,
}

#[derive(Serialize)]
struct BoardResult {
    board: String,
    folder: PathBuf,
    status: ExitStatus,
    headline: String,
    totals: BTreeMap<Verdict, usize>,
    image: ImageRecord,
    steps: Vec<Step>,
    #[serde(skip)]
    report: Report,
}

/// Builds every board that was asked for; a board whose checks do not hold does not stop the others.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let options = Options {
        product: arguments.product.clone(),
        out: places::out(&arguments.product, arguments.out.as_deref()),
        cache: places::cache(arguments.cache.as_deref())?,
        keys: places::keys(arguments.keys.as_deref())?,
        vendor: places::vendor(&arguments.product, arguments.vendor.as_deref()),
        passphrase: arguments.passphrase.clone(),
        offline: arguments.offline,
        update_lock: arguments.update_lock,
        buildroot: arguments.buildroot.machine(),
        yocto: arguments.yocto.machine(),
        jobs: arguments.jobs.map_or_else(processors, std::num::NonZeroUsize::get),
    };
    // All plans first: a mistake is told before hours of work.
    let plans = plans(arguments)?;
    arguments.buildroot.check(&plans)?;
    arguments.yocto.check(&plans)?;
    if let Some(given) = &arguments.login {
        plans.iter().try_for_each(|plan| login::of(given, plan).map(drop))?;
    }
    for plan in &plans {
        backend::refuse_root(plan, arguments.yocto.machine().deploy.is_some())?;
    }
    // And programs that are not there.
    for plan in plans.iter().filter(|plan| plan.backend == "debian") {
        backend::vendor::take(plan, &options.vendor)?;
    }
    // And a key that is missing or does not fit.
    for plan in &plans {
        stages::key_fits(plan, &options)?;
    }
    let mut result = BuildResult { status: ExitStatus::Success, peak_memory_kib: 0, boards: Vec::new() };
    for plan in &plans {
        let board = one_board(plan, &options, arguments, output)?;
        // `Proof` weighs more than `Check`, and both more than success.
        result.status = result.status.max(board.status);
        result.boards.push(board);
    }
    result.peak_memory_kib = peak_memory_kib();
    output.result(&result, |colour| result.boards.iter().map(|board| text(board, colour)).collect());
    Ok(result.status)
}

/// Number of processors.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// `VmHWM` of proc_pid_status(5); 0 where the kernel does not say.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn plans(arguments: &Arguments) -> Outcome<Vec<Plan>> {
    let product = &arguments.product;
    let boards = if arguments.all_boards { stages::boards_of(product)? } else { arguments.board.clone() };
    let tree = arguments.buildroot.buildroot.as_deref();
    if boards.is_empty() {
        return Ok(vec![stages::plan(product, None, arguments.backend, tree)?]);
    }
    boards.iter().map(|board| stages::plan(product, Some(board), arguments.backend, tree)).collect()
}

fn one_board(plan: &Plan, options: &Options, arguments: &Arguments, output: &Output) -> Outcome<BoardResult> {
    let folder = options.out.join(&plan.board.name);
    let _lock = places::take(&folder, &plan.product.name)?;
    output.note(&format!("{} {} for {}", plan.product.name, plan.product.version, plan.board.name));
    let steps = Steps::new(*output);
    stages::generate(plan, &folder, &places::lock(&options.product), &steps)?;
    let key = stages::open_key_early(plan, &folder, options)?;
    let artefacts = stages::build(plan, &folder, options, &steps)?;
    let current = stages::image_is_current(plan, &artefacts, &folder, options)?.is_some();
    let image = stages::sign(plan, &artefacts, &folder, options, key, &steps)?;
    let product_folder = Some(spec::folder_of(&options.product).to_owned());
    let built = Built { product_folder, folder: folder.clone(), plan: plan.clone(), image };
    let known = if current { stages::known_findings(&built) } else { None };
    let findings = match known {
        Some(findings) => steps.step("inspect", None, || Ok((findings, true)))?,
        None => stages::inspect(&built, &steps)?,
    };
    if arguments.prove {
        let login = arguments.login.as_ref().map(|given| login::of(given, plan)).transpose()?;
        stages::boot_network(&built, login.as_ref(), &steps, true)?;
        stages::attack(&built, &[], options.jobs, &steps)?;
    }
    let report = steps.step("report", None, || {
        let report = stages::report(&built, findings)?;
        stages::write_report(&report, &folder)?;
        stages::write_bill(&built, &folder)?;
        Ok((report, false))
    })?;
    Ok(BoardResult {
        board: plan.board.name.clone(),
        status: report.status,
        headline: report.headline.clone(),
        totals: report.totals.clone(),
        image: built.image,
        steps: steps.done(),
        folder,
        report,
    })
}

fn text(board: &BoardResult, colour: bool) -> String {
    format!(
        "{}\nimage   {}\nreport  {}\n",
        terminal::render(&board.report, colour),
        shown(&board.folder, "image/disk.img"),
        shown(&board.folder, "report.html")
    )
}

fn shown(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}
