//! `fastness completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;
use diag::{ExitStatus, Outcome};

use crate::cli::Cli;
use crate::output::Output;

const EXAMPLE: &str = "\
Example:
  fastness completions bash > ~/.local/share/bash-completion/completions/fastness";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "fastness", &mut script);
    output.raw(&script);
    Ok(ExitStatus::Success)
}
