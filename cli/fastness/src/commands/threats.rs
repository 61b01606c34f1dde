//! `fastness threats`: what may happen to the device, and what of its plan answers it.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Outcome};
use evidence::threats::compare::ThreatComparison;
use evidence::threats::{ThreatReport, html, terminal};
use record::{Finding, read_json};
use spec::library::Library;
use spec::plan::Plan;

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness threats                                   by the plan: what is open, accepted, left to others
  fastness threats out/qemu-aarch64 --html t.html    with what a run has shown of each control
  fastness threats --all                             every threat with its controls
  fastness threats --against released/product.yaml   which threat lost its control";

/// Arguments of `threats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// A product file (its plan alone), a plan.json, or the output folder of one board (with what its run has shown)
    #[arg(default_value = PRODUCT)]
    path: PathBuf,
    /// The board of a product file; otherwise its first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Also what is answered, with its controls
    #[arg(long)]
    all: bool,
    /// Compare with an earlier product file, plan.json or output folder: which threat lost its control. Fails with
    /// exit code 6 when one did, or a new one is open
    #[arg(long, value_name = "PATH", conflicts_with_all = ["all", "html"])]
    against: Option<PathBuf>,
    /// Write a page for people
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Prints and writes what was asked for; fails where a threat is open.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let board = arguments.board.as_deref();
    let report = model(&arguments.path, board, output)?;
    if let Some(against) = &arguments.against {
        let comparison = ThreatComparison::new(&model(against, board, output)?, &report);
        output.result(&comparison, |_| comparison.text());
        return Ok(comparison.exit_status());
    }
    if let Some(path) = &arguments.html {
        stages::write_atomic(path, html::render(&report).as_bytes())?;
    }
    output.result(&report, |_| {
        let wrote = arguments.html.as_ref().map(|path| format!("wrote {}\n", path.display()));
        format!("{}{}", terminal::render(&report, arguments.all), wrote.unwrap_or_default())
    });
    Ok(report.exit_status())
}

/// The threat model of what is named.
fn model(path: &Path, board: Option<&str>, output: &Output) -> Outcome<ThreatReport> {
    let (plan, findings, folder) = open(path, board, output)?;
    stages::threats(&Library::built_in(folder.as_deref()), &plan, findings.as_deref())
}

/// The plan, the findings of a run, and the folder of the product's own definitions.
type Opened = (Plan, Option<Vec<Finding>>, Option<PathBuf>);

fn open(path: &Path, board: Option<&str>, output: &Output) -> Outcome<Opened> {
    if path.is_dir() {
        // Says so when a board is named, too.
        let folder = places::board_folder(path, board, None)?;
        let built = Built::open(&folder)?;
        let (findings, _lock) = stages::findings(&built, &Steps::new(*output))?;
        let report = stages::report(&built, findings)?;
        return Ok((built.plan, Some(report.findings), built.product_folder));
    }
    let folder = Some(spec::folder_of(path).to_owned());
    if path.extension().is_some_and(|extension| extension == "json") {
        return Ok((read_json(path)?, None, folder));
    }
    Ok((spec::load(path, board)?, None, folder))
}
