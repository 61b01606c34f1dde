//! `fastness new`: a commented first product.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use serde::Serialize;

use crate::output::Output;
use crate::places::PRODUCT;

const EXAMPLE: &str = "Example:\n  fastness new cell-gateway && fastness check";

/// Arguments of `new`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Name of the product: lower-case letters, digits, hyphens
    name: String,
    /// Where to write it
    #[arg(long, value_name = "FILE", default_value = PRODUCT)]
    to: PathBuf,
}

#[derive(Serialize)]
struct Made<'a> {
    file: &'a PathBuf,
}

/// Writes the file; never over another.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let name = &arguments.name;
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 60
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    if !fits {
        return Err(Failure::error(
            ExitStatus::Usage,
            "product-name",
            format!("expected lower-case letters, digits and hyphens, first a letter, found `{name}`"),
        )
        .hint("such as `cell-gateway`"));
    }
    let path = &arguments.to;
    let mut file = File::options().write(true).create_new(true).open(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::error(ExitStatus::Input, "exists", format!("`{}` is there already", path.display()))
                .hint("it was left as it is; name another file with `--to`")
        } else {
            Failure::io("write", path, &e)
        }
    })?;
    file.write_all(spec::scaffold(name).as_bytes()).map_err(|e| Failure::io("write", path, &e))?;
    output.result(&Made { file: path }, |_| {
        format!("wrote `{}`; next: fastness check {}\n", path.display(), path.display())
    });
    Ok(ExitStatus::Success)
}
