//! `fastness comply`: what the evidence of a run shows of IEC 62443-4-2.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use evidence::comply::{Compliance, csv, html, oscal, terminal};
use evidence::requirements::{Planned, Status};

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness comply                                 what the last run shows, for the product's type and level
  fastness comply --level 3 --html comply.html    what is missing to the next level, for people
  fastness comply --show \"CR 1.1\"                 everything of one requirement
  fastness comply --oscal results.json --csv requirements.csv";

/// Arguments of `comply`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file, or the output folder of one board
    #[arg(default_value = PRODUCT)]
    path: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Output folder, when PATH is a product file; otherwise `out` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Target level, 1 to 4; otherwise the product's
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// Component type; otherwise the product's
    #[arg(long, value_name = "TYPE", value_parser = ["SAR", "EDR", "HDR", "NDR"])]
    component: Option<String>,
    /// Also what is met and what does not apply
    #[arg(long)]
    all: bool,
    /// Everything of one requirement, such as `CR 1.1 RE(1)`
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    show: Option<String>,
    /// Write a page for people
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write OSCAL assessment results, for tools; their date is SOURCE_DATE_EPOCH, or now
    #[arg(long, value_name = "FILE")]
    oscal: Option<PathBuf>,
    /// Write a table for spreadsheets
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The date of the assessment, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", hide = true, value_parser = places::date())]
    at: Option<u64>,
}

/// Prints and writes what was asked for; fails where a requirement is not met.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let built = Built::open_of(&arguments.path, &folder)?;
    let (findings, _lock) = stages::findings(&built, &Steps::new(*output))?;
    let report = stages::report(&built, findings)?;
    let product = &built.plan.product;
    let component = arguments.component.as_ref().unwrap_or(&product.component_type);
    let level = arguments.level.unwrap_or(product.security_level);
    let planned = Planned::of(Some(&built.plan), report.boot.as_ref());
    let mut compliance = Compliance::new(&report, component, level, &planned)?;
    compliance.of_other_images = stages::of_other_images(&built)?;
    let one = arguments.show.as_ref().map(|id| {
        compliance
            .requirements
            .iter()
            .find(|item| item.id.eq_ignore_ascii_case(id))
            .ok_or_else(|| unknown(&compliance, id))
    });
    let one = one.transpose()?;
    places::refuse_outputs(&folder, [&arguments.html, &arguments.csv, &arguments.oscal])?;
    let when = spec::time::rfc3339(arguments.at.unwrap_or_else(stages::now));
    let write = |path: &Option<PathBuf>, text: &dyn Fn() -> String| match path {
        Some(path) => stages::write_atomic(path, text().as_bytes()),
        None => Ok(()),
    };
    write(&arguments.html, &|| html::render(&compliance))?;
    write(&arguments.csv, &|| csv::render(&compliance))?;
    write(&arguments.oscal, &|| format!("{:#}\n", oscal::document(&compliance, &when)))?;
    match one {
        Some(item) => {
            output.result(item, |_| terminal::render_one(item));
            // Of one requirement the others decide nothing.
            let met = item.status != Some(Status::NotMet);
            return Ok(if met { ExitStatus::Success } else { ExitStatus::Check });
        }
        None => output.result(&compliance, |_| {
            let wrote = [&arguments.html, &arguments.csv, &arguments.oscal].into_iter().flatten();
            let wrote: String = wrote.map(|path: &PathBuf| format!("wrote {}\n", shown(path))).collect();
            format!("{}{wrote}", terminal::render(&compliance, arguments.all))
        }),
    }
    Ok(compliance.exit_status())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unknown(compliance: &Compliance, id: &str) -> Failure {
    let known = compliance.requirements.iter().map(|item| item.id.as_str());
    let failure =
        Failure::error(ExitStatus::Usage, "unknown-requirement", format!("there is no requirement `{id}`"));
    match diag::did_you_mean(id, known) {
        Some(close) => failure.hint(format!("did you mean `{close}`?")),
        None => failure.hint("`fastness comply --all` lists them"),
    }
}
