//! `fastness inspect`: the static checks, on a finished image or on parts of one.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use evidence::facts::text;
use evidence::report::{Report, ReportInput, terminal};
use exec::FolderLock;

use super::diff_facts;
use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness inspect                                       the image of product.yaml
  fastness inspect out/qemu-aarch64                      with the checks of its own plan
  fastness inspect rootfs.squashfs --product product.yaml
  fastness inspect rootfs.tar                            what any image should have, and what is missing
  fastness inspect rootfs.tar --facts                    what was found, without a judgement";

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Product file, output folder of one board, disk image, root file system (folder, tar, cpio, squashfs, ext2 to
    /// ext4), FIT or U-Boot binary
    #[arg(default_value = PRODUCT)]
    path: PathBuf,
    /// Use the checks of this product on something that is no output folder
    #[arg(long, value_name = "FILE")]
    product: Option<PathBuf>,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Output folder, when PATH is a product file; otherwise `out` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the facts that were found (`fastness schema facts`), and run no check
    #[arg(long)]
    facts: bool,
}

impl Arguments {
    /// The output folder that is meant, if one is.
    fn output_folder(&self) -> Outcome<Option<PathBuf>> {
        let is_product = self.path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        // What a build leaves even when it made no image.
        let has = |name: &str| self.path.join(name).exists();
        let is_output = has("image.json") || (has(".lock") && has("generated"));
        if self.product.is_none() && (is_product || is_output) {
            return places::board_folder(&self.path, self.board.as_deref(), self.out.as_deref()).map(Some);
        }
        let one_too_many = match (&self.product, &self.board, &self.out) {
            (_, _, Some(_)) => Some("--out"),
            (None, Some(_), None) => Some("--board"),
            _ => None,
        };
        let Some(option) = one_too_many else { return Ok(None) };
        let message = format!("`{option}` goes with a product file, and `{}` is none", self.path.display());
        Err(Failure::error(ExitStatus::Usage, "no-product", message).hint("name one with `--product`"))
    }
}

/// Inspects and prints; an output folder also gets `findings.json`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = arguments.output_folder()?;
    let steps = Steps::new(*output);
    if arguments.facts {
        let plan = folder.as_deref().map(Built::open).transpose()?.map(|built| built.plan);
        let path = folder.as_deref().unwrap_or(&arguments.path);
        let facts = diff_facts::facts(path, plan.as_ref(), &steps)?;
        drop(steps);
        output.result(&facts, |_| text::facts(&facts));
        return Ok(ExitStatus::Success);
    }
    let report = if let Some(folder) = folder {
        // Before the lock, which would make the folder; and again behind it, when no other run changes it.
        Built::open(&folder)?;
        let _lock = FolderLock::take(&folder)?;
        let built = Built::open(&folder)?;
        let findings = stages::inspect(&built, &steps)?;
        Report::new(ReportInput {
            plan: Some(built.plan),
            image: Some(built.image),
            findings,
            boot: None,
            traffic: None,
            attacks: Vec::new(),
        })?
    } else {
        let plan = match &arguments.product {
            Some(product) => Some(spec::load(product, arguments.board.as_deref())?),
            None => None,
        };
        let findings = steps.step("inspect", None, || {
            let subject = evidence::open::open(&arguments.path)?;
            Ok((evidence::inspect::inspect(plan.as_ref(), &subject)?, false))
        })?;
        Report::new(ReportInput {
            plan,
            image: None,
            findings,
            boot: None,
            traffic: None,
            attacks: Vec::new(),
        })?
    };
    drop(steps);
    output.result(&report, |colour| terminal::render(&report, colour));
    Ok(report.status)
}
