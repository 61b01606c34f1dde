//! `fastness inspect`: the static checks, on a finished image or on parts of one.

use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use evidence::report::{Report, ReportInput, terminal};
use exec::FolderLock;

use crate::output::Output;
use crate::places::Built;
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness inspect out/qemu-aarch64                      with the checks of its own plan
  fastness inspect rootfs.squashfs --product product.yaml
  fastness inspect u-boot.bin                            generic checks of a foreign file";

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Output folder, disk image, root file system (folder, tar, squashfs, ext4), FIT or U-Boot binary
    path: PathBuf,
    /// Use the checks of this product
    #[arg(long, value_name = "FILE")]
    product: Option<PathBuf>,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD", requires = "product")]
    board: Option<String>,
}

/// Inspects and prints; an output folder also gets `findings.json`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let path = &arguments.path;
    let steps = Steps::new(*output);
    let report = if path.is_dir() && path.join("image.json").is_file() && arguments.product.is_none() {
        let _lock = FolderLock::take(path)?;
        let built = Built::open(path)?;
        let findings = stages::inspect(&built, &steps)?;
        Report::new(ReportInput {
            plan: Some(built.plan),
            image: Some(built.image),
            findings,
            boot: None,
            attacks: Vec::new(),
        })?
    } else {
        let plan = match &arguments.product {
            Some(product) => Some(spec::load(product, arguments.board.as_deref())?),
            None => None,
        };
        let findings = steps.step("inspect", None, || {
            let subject = evidence::open::open(path)?;
            Ok((evidence::inspect::inspect(plan.as_ref(), &subject)?, false))
        })?;
        Report::new(ReportInput { plan, image: None, findings, boot: None, attacks: Vec::new() })?
    };
    drop(steps);
    output.result(&report, |colour| terminal::render(&report, colour));
    Ok(report.status)
}
