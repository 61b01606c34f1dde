//! `fastness boards`.

use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use spec::BoardSummary;

use crate::output::Output;
use crate::places;

const EXAMPLE: &str = "Example:\n  fastness boards";

/// Arguments of `boards`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Folder whose own boards/ are listed with the built-in ones
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Lists the boards.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let boards = spec::boards(&places::definitions(&arguments.folder)?)?;
    output.result(&boards, |_| boards.iter().map(text).collect());
    Ok(ExitStatus::Success)
}

fn text(board: &BoardSummary) -> String {
    format!(
        "{}: {}\n  {}{}; interfaces {}; verifies {}; rollback counter: {}\n",
        board.name,
        board.title,
        board.architecture,
        if board.qemu { ", runs in QEMU" } else { "" },
        board.interfaces.join(" "),
        board.algorithms.join(" "),
        board.rollback
    )
}
