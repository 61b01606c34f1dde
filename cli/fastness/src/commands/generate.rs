//! `fastness generate`: the plan in the build system's own form.

use std::path::{Path, PathBuf};

use backend::buildroot::Machine;
use diag::{ExitStatus, Outcome};
use serde::Serialize;
use spec::plan::Plan;

use crate::cli::BackendName;
use crate::machine::refuse_for_other;
use crate::output::Output;
use crate::places::{self, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness generate && ls out/qemu-aarch64/generated
  fastness generate --backend buildroot            an external tree for Buildroot
  fastness generate --backend buildroot --all-boards   one for all boards, a defconfig each
  fastness generate --backend yocto                a distro layer, a BSP layer and a kas file";

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file
    #[arg(default_value = PRODUCT)]
    product: PathBuf,
    /// A board, more than once for several; otherwise the product's first. With Buildroot and
    /// Yocto, several boards get one tree, `all-boards/generated` in the output folder
    #[arg(long, value_name = "BOARD")]
    board: Vec<String>,
    /// Every board of the product
    #[arg(long, conflicts_with = "board")]
    all_boards: bool,
    /// The backend; otherwise the product's
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
    /// A Buildroot tree: its series decides, and its Kconfig must keep every symbol
    #[arg(long, value_name = "DIR")]
    buildroot: Option<PathBuf>,
    /// Buildroot symbols of this machine, in a `.config`'s form
    #[arg(long, value_name = "FILE", requires = "buildroot")]
    buildroot_config: Option<PathBuf>,
    /// Output folder; otherwise `out` beside the product file
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Generated {
    board: String,
    folder: PathBuf,
    plan_sha256: String,
}

#[derive(Serialize)]
struct SeveralGenerated {
    boards: Vec<Generated>,
}

/// The folder of a tree that is for several boards.
const ALL_BOARDS: &str = "all-boards";

/// Writes `generated/`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let (product, tree) = (&arguments.product, arguments.buildroot.as_deref());
    let boards = if arguments.all_boards { stages::boards_of(product)? } else { arguments.board.clone() };
    let plans = if boards.is_empty() {
        vec![stages::plan(product, None, arguments.backend, tree)?]
    } else {
        let plan = |board: &String| stages::plan(product, Some(board), arguments.backend, tree);
        boards.iter().map(plan).collect::<Outcome<Vec<_>>>()?
    };
    refuse_for_other("buildroot", &[("--buildroot", tree.is_some())], &plans)?;
    let out = places::out(product, arguments.out.as_deref());
    let steps = Steps::new(*output);
    let mut written = Vec::new();
    let together = |plan: &Plan| plan.buildroot.is_some() || plan.yocto.is_some();
    if plans.len() > 1 && plans.iter().all(together) {
        let folder = out.join(ALL_BOARDS);
        let _lock = places::take(&folder, &plans[0].product.name)?;
        let generated = stages::generate_together(&plans, &folder, &places::lock(product), &steps)?;
        for plan in &plans {
            check(plan, &folder, arguments, &steps)?;
            written.push(told(plan, &generated));
        }
    } else {
        for plan in &plans {
            let folder = out.join(&plan.board.name);
            let _lock = places::take(&folder, &plan.product.name)?;
            let generated = stages::generate(plan, &folder, &places::lock(product), &steps)?;
            check(plan, &folder, arguments, &steps)?;
            written.push(told(plan, &generated));
        }
    }
    drop(steps);
    // All plans are one product's.
    plans.first().into_iter().flat_map(backend::yocto::warnings).for_each(|warning| {
        output.warning(&warning);
    });
    let mut folders: Vec<String> =
        written.iter().map(|one| format!("wrote `{}`\n", one.folder.display())).collect();
    folders.dedup();
    if let [one] = written.as_slice() {
        output.result(one, |_| folders.concat());
    } else {
        output.result(&SeveralGenerated { boards: written }, |_| folders.concat());
    }
    Ok(ExitStatus::Success)
}

fn told(plan: &Plan, folder: &Path) -> Generated {
    Generated { board: plan.board.name.clone(), folder: folder.to_owned(), plan_sha256: plan.sha256() }
}

/// Where a tree is given, its Kconfig must keep every symbol.
fn check(plan: &Plan, folder: &Path, arguments: &Arguments, steps: &Steps) -> Outcome<()> {
    let Some(tree) = arguments.buildroot.as_deref().filter(|_| plan.buildroot.is_some()) else {
        return Ok(());
    };
    let machine = Machine { symbols: arguments.buildroot_config.clone(), ..Machine::default() };
    stages::check_symbols(plan, folder, tree, &machine, steps)
}
