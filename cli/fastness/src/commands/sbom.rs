//! `fastness sbom`: what the device is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use supply::{Bill, Kind, licence};

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness sbom                                     count what the image is made of
  fastness sbom --cyclonedx bom.cdx.json --spdx bom.spdx.json
  fastness sbom --json                              everything that is known of each component";

/// Arguments of `sbom`.
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
    /// Write CycloneDX 1.6
    #[arg(long, value_name = "FILE")]
    cyclonedx: Option<PathBuf>,
    /// Write SPDX 2.3
    #[arg(long, value_name = "FILE")]
    spdx: Option<PathBuf>,
}

/// Writes what was asked for and prints a summary.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let built = Built::open(&folder)?;
    let bill = Bill::of(&built.plan, &built.image, &folder)?;
    let asked = [&arguments.cyclonedx, &arguments.spdx];
    for (path, (_, bytes)) in asked.into_iter().zip(stages::bill_files(&bill)) {
        path.as_ref().map_or(Ok(()), |path| stages::write_atomic(path, &bytes))?;
    }
    output.result(&bill, |_| {
        let wrote = [&arguments.cyclonedx, &arguments.spdx].into_iter().flatten();
        let wrote: String = wrote.map(|path: &PathBuf| format!("wrote {}\n", path.display())).collect();
        format!("{}{wrote}", text(&bill))
    });
    Ok(ExitStatus::Success)
}

fn text(bill: &Bill) -> String {
    let mut out =
        format!("{} {} for {}, built by {}\n\n", bill.product, bill.version, bill.board, bill.backend);
    for kind in [Kind::BootLoader, Kind::Kernel] {
        for component in bill.components.iter().filter(|component| component.kind == kind) {
            out.push_str(&format!("{:<8} {}\n", component.name, component.version));
        }
    }
    let of = |kind: Kind| bill.components.iter().filter(move |component| component.kind == kind);
    out.push_str(&format!(
        "{:<8} {}\n{:<8} {}\n",
        "packages",
        of(Kind::Package).count(),
        "files",
        of(Kind::File).count()
    ));
    if of(Kind::Firmware).next().is_some() {
        let names: Vec<_> = of(Kind::Firmware).map(|component| component.name.as_str()).collect();
        out.push_str(&format!("{:<8} {}\n", "maker's", names.join(", ")));
    }
    let unknown = of(Kind::Package)
        .filter(|component| licence::of(&component.licences) == licence::Licence::Unknown)
        .map(|component| component.name.as_str())
        .collect::<Vec<_>>();
    let mut licences: BTreeMap<&str, usize> = BTreeMap::new();
    of(Kind::Package)
        .flat_map(|component| &component.licences)
        .for_each(|name| *licences.entry(name).or_default() += 1);
    out.push_str(&format!("\n{} names of licences", licences.len()));
    if unknown.is_empty() {
        out.push('\n');
    } else {
        out.push_str(&format!("; not known of {}: {}\n", unknown.len(), unknown.join(", ")));
    }
    out
}
