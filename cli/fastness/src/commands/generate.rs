//! `fastness generate`: the plan in the build system's own form.

use std::path::PathBuf;

use backend::buildroot::Machine;
use diag::{ExitStatus, Outcome};
use exec::FolderLock;
use serde::Serialize;

use crate::cli::BackendName;
use crate::output::Output;
use crate::places::{self, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness generate && ls out/qemu-aarch64/generated
  fastness generate --backend buildroot            an external tree for Buildroot";

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file
    #[arg(default_value = PRODUCT)]
    product: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// The backend; otherwise the product's
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
    /// A Buildroot tree: its series decides, and its Kconfig must keep every symbol
    #[arg(long, value_name = "DIR")]
    buildroot: Option<PathBuf>,
    /// Buildroot symbols of this machine (toolchain, mirror, ccache), in a `.config`'s form
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

/// Writes `generated/`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let plan = stages::plan(
        &arguments.product,
        arguments.board.as_deref(),
        arguments.backend,
        arguments.buildroot.as_deref(),
    )?;
    let folder = places::out(&arguments.product, arguments.out.as_deref()).join(&plan.board.name);
    let _lock = FolderLock::take(&folder)?;
    let steps = Steps::new(*output);
    let generated = stages::generate(&plan, &folder, &steps)?;
    if let Some(tree) = arguments.buildroot.as_deref().filter(|_| plan.buildroot.is_some()) {
        let machine = Machine { symbols: arguments.buildroot_config.clone(), ..Machine::default() };
        stages::check_symbols(&plan, &folder, tree, &machine, &steps)?;
    }
    drop(steps);
    let result = Generated { board: plan.board.name.clone(), folder: generated, plan_sha256: plan.sha256() };
    output.result(&result, |_| format!("wrote `{}`\n", result.folder.display()));
    Ok(ExitStatus::Success)
}
