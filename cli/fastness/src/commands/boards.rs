//! `fastness boards`.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome, did_you_mean};
use spec::BoardSummary;

use crate::output::{Output, clean};
use crate::places;

const EXAMPLE: &str = "\
Examples:
  fastness boards
  fastness boards imx8mm-evk        what its hardware trusts, and what a person does for it";

/// Arguments of `boards`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// One board: its root of trust, with the commands that a person runs to burn it. Nothing is burnt here
    name: Option<String>,
    /// Folder whose own boards/ are listed with the built-in ones
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Lists the boards, or says of one how its hardware comes to trust U-Boot.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let library = places::definitions(&arguments.folder)?;
    let boards = spec::boards(&library)?;
    let Some(name) = &arguments.name else {
        output.result(&boards, |_| boards.iter().map(text).collect());
        return Ok(ExitStatus::Success);
    };
    let facts = spec::board_facts(&library, name)?.ok_or_else(|| {
        let failure =
            Failure::error(ExitStatus::Input, "unknown-board", format!("there is no board `{name}`"));
        match did_you_mean(name, boards.iter().map(|board| board.name.as_str())) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`fastness boards` lists them"),
        }
    })?;
    output.result(&facts, |_| clean(&facts.root_of_trust_text()));
    Ok(ExitStatus::Success)
}

fn text(board: &BoardSummary) -> String {
    let root_of_trust = match board.trust.as_deref() {
        Some("none") => "; its hardware verifies nothing",
        Some(_) => "; its boot ROM verifies with a fused key",
        None => "",
    };
    format!(
        "{}: {}\n  {}{}{root_of_trust}; interfaces {}; verifies {}; rollback counter: {}\n",
        board.name,
        board.title,
        board.architecture,
        if board.qemu { ", runs in QEMU" } else { "" },
        board.interfaces.join(" "),
        board.algorithms.join(" "),
        board.rollback
    )
}
