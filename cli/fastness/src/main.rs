//! The program `fastness`: arguments in, one printed result out.
//!
//! Thin on purpose: each verb of `commands/` calls the rooms through `stages` and hands a
//! documented value to `output`, the only place that prints. Nothing here decides anything
//! about a product or an image.

mod cli;
mod commands;
mod machine;
mod output;
mod passphrase;
mod places;
mod progress;
mod stages;

use std::process::ExitCode;

use clap::Parser as _;
use diag::{ExitStatus, Failure};

use crate::cli::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let status = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(error) => output::usage(&error),
    };
    ExitCode::from(status.code())
}

fn run(cli: &Cli) -> ExitStatus {
    let output = Output::new(cli.global.json, cli.global.quiet, cli.global.color);
    let outcome = exec::install_interrupt_handler()
        .map_err(|e| {
            Failure::error(ExitStatus::Internal, "signals", format!("cannot watch for signals: {e}"))
        })
        .and_then(|()| commands::run(&cli.command, &output));
    match outcome.and_then(|status| match output::unwritten().filter(|_| status == ExitStatus::Success) {
        Some(failure) => Err(failure),
        None => Ok(status),
    }) {
        Ok(status) => status,
        Err(failure) => {
            // What a program says that Ctrl-C has ended, too, is no reason of its own.
            let failure = exec::check_interrupt().err().unwrap_or(failure);
            output.failure(&failure);
            failure.status
        }
    }
}
