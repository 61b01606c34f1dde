//! The project's own chores: `cargo xtask generate` and `cargo xtask check`.
//!
//! Not part of the product. Uses `xshell`, which is made for such chores; the product starts
//! its tools through `exec`, which has time limits, process groups and logs.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore for developers, which prints what it does"
)]

mod driver_lock;
mod generate;
mod named_tests;
mod rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask VERB
  generate   write docs/schemas, docs/man and the generated tables of docs/
  check      fail if those are out of date, a file names a machine's path or a package registry,
             a source file is too long, docs/bad-input.md names a test that is not there, or the
             fuzzers' driver has a stale lock";

/// The result of a chore: every problem, in words.
pub type Problems = Vec<String>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    if arguments.next().is_some() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let top = top();
    let result = match verb.as_str() {
        "generate" => generate::write(&top).map(|count| {
            println!("wrote {count} files below docs/");
            Vec::new()
        }),
        "check" => check(&top),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in &problems {
                eprintln!("error: {problem}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(top: &Path) -> Result<Problems, String> {
    let mut problems = generate::stale(top)?;
    problems.extend(rules::broken(top)?);
    problems.extend(named_tests::missing(top)?);
    problems.extend(driver_lock::stale(top)?);
    if problems.is_empty() {
        println!("generated files are up to date; no file breaks a rule");
    }
    Ok(problems)
}

/// The repository's top folder: two above this crate.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}
