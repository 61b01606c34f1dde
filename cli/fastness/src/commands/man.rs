//! `fastness man`: manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;
use diag::{ExitStatus, Failure, Outcome};
use serde::Serialize;

use crate::cli::Cli;
use crate::output::Output;

const EXAMPLE: &str = "\
Examples:
  fastness man | man -l -
  fastness man --dir ~/.local/share/man/man1";

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Write the pages of the program and of all verbs into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    pages: Vec<PathBuf>,
}

/// Prints the program's page, or writes all pages.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let Some(folder) = &arguments.dir else {
        output.raw(&page(&root)?);
        return Ok(ExitStatus::Success);
    };
    fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
    let mut written = Written { pages: Vec::new() };
    write_all(&root, "fastness", folder, &mut written.pages)?;
    output.result(&written, |_| format!("wrote {} pages to `{}`\n", written.pages.len(), folder.display()));
    Ok(ExitStatus::Success)
}

fn write_all(command: &clap::Command, name: &str, folder: &Path, pages: &mut Vec<PathBuf>) -> Outcome<()> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?).map_err(|e| Failure::io("write", &path, &e))?;
    pages.push(path);
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        write_all(verb, &format!("{name}-{}", verb.get_name()), folder, pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Outcome<Vec<u8>> {
    let mut text = Vec::new();
    // A date would make the pages differ from build to build.
    Man::new(command.clone()).date("").render(&mut text).map_err(|e| {
        Failure::error(ExitStatus::Internal, "man", format!("cannot render the manual page: {e}"))
    })?;
    Ok(text)
}
