//! `fastness attack`: tampered copies of the image, in QEMU.

use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use exec::FolderLock;
use record::AttackResult;

use crate::commands::build::processors;
use crate::output::{Output, clean};
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness attack                        every attack on the image of product.yaml
  fastness attack kernel-byte-flipped --image out/qemu-aarch64
  fastness attack --list";

/// Arguments of `attack`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Attacks whose name contains one of these words; otherwise all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The product file, or the output folder of one board
    #[arg(long, value_name = "PATH", default_value = PRODUCT)]
    image: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Output folder, when PATH is a product file; otherwise `out` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Machines side by side; otherwise the number of processors
    #[arg(long, short, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// List the attacks that would be run, and run none
    #[arg(long)]
    list: bool,
}

/// Attacks and prints how each ended.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    if arguments.list {
        let image = &arguments.image;
        let product = if image.is_dir() {
            places::product_folder_of(image)
        } else {
            Some(spec::folder_of(image).to_owned())
        };
        let attacks = stages::attacks(product.as_deref(), &arguments.names)?;
        output.result(&attacks, |_| {
            attacks.iter().map(|attack| format!("{:<34} {}\n", attack.attack, attack.title)).collect()
        });
        return Ok(ExitStatus::Success);
    }
    let folder =
        places::board_folder(&arguments.image, arguments.board.as_deref(), arguments.out.as_deref())?;
    // Before the lock, which would make the folder; and again behind it, when no other run changes it.
    Built::open(&folder)?;
    let _lock = FolderLock::take(&folder)?;
    let built = Built::open(&folder)?;
    let steps = Steps::new(*output);
    let jobs = arguments.jobs.map_or_else(processors, std::num::NonZeroUsize::get);
    let results = stages::attack(&built, &arguments.names, jobs, &steps)?;
    drop(steps);
    output.result(&results, |_| results.iter().map(text).collect());
    let refused = results.iter().all(|result| result.outcome.held());
    Ok(if refused { ExitStatus::Success } else { ExitStatus::Proof })
}

fn text(result: &AttackResult) -> String {
    let word = result.outcome.words();
    let seconds = format!("{}.{}", result.ms / 1000, result.ms % 1000 / 100);
    format!("{:<34} {word:<13} {seconds:>6} s  {}\n", result.attack, clean(&result.reason))
}
