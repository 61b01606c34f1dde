//! `fastness analyze`: how strong a firmware image is, whoever made it.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use evidence::analyze::model::{Analysis, Level};
use evidence::analyze::{Options, analyze, compare, html, sarif, terminal};
use record::{read_json, write_atomic, write_json_atomic};
use spec::known_keys::KnownKeys;

use crate::output::Output;
use crate::places;
use crate::progress::Steps;

const EXAMPLE: &str = "\
Examples:
  fastness analyze vendor.img                        components, programs, accounts, keys, services, boot
  fastness analyze rootfs.tar.gz --html report.html --sarif report.sarif
  fastness analyze disk.img --fail-on high           exit code 6 when something is high or critical
  fastness analyze --diff old.img new.img            what got weaker, what got better
  fastness analyze --diff released.json new.img      against the `--json` of an earlier analysis";

/// Arguments of `analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Disk image, FIT, root file system (folder, tar, cpio, squashfs, ext2 to ext4; also packed), boot loader, or the
    /// output folder of a build; with --diff also the `--json` of an earlier analysis
    image: PathBuf,
    /// The new image, with --diff
    #[arg(requires = "diff")]
    new: Option<PathBuf>,
    /// Compare two images: IMAGE is the old one. Exit code 6 with --fail-on when something of that level is new, or is not seen
    /// any more where the new image could not be read
    #[arg(long, requires = "new", conflicts_with_all = ["html", "sarif", "all"])]
    diff: bool,
    /// Write the result as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0; notes with --all only
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Fail with exit code 6 when something of that level or a higher one is found
    #[arg(long, value_name = "LEVEL", value_enum)]
    fail_on: Option<LevelName>,
    /// Show notes, too, and every place of each finding
    #[arg(long)]
    all: bool,
    /// The date against which certificates are held, in seconds since 1970; without one their time is not judged
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", value_parser = places::date())]
    at: Option<u64>,
    /// More passwords to try, one a line; may be given again
    #[arg(long, value_name = "FILE")]
    passwords: Vec<PathBuf>,
    /// More published keys, in the form of standards/known-keys.yaml; may be given again
    #[arg(long, value_name = "FILE")]
    known_keys: Vec<PathBuf>,
}

/// Levels on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LevelName {
    /// Everything that is found.
    Note,
    /// Defence in depth.
    Low,
    /// Makes an attack easier.
    Medium,
    /// A protection that matters is missing.
    High,
    /// Somebody gets in.
    Critical,
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            Self::Note => Level::Note,
            Self::Low => Level::Low,
            Self::Medium => Level::Medium,
            Self::High => Level::High,
            Self::Critical => Level::Critical,
        }
    }
}

/// Analyses and prints.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let options = Options {
        at: arguments.at,
        passwords: lines(&arguments.passwords)?,
        known_keys: KnownKeys::of_files(&arguments.known_keys)?,
    };
    let analysis = one(&arguments.image, &options, output)?;
    if let Some(new) = &arguments.new {
        let comparison = compare::compare(&analysis, &one(new, &options, output)?);
        output.result(&comparison, |_| compare::text(&comparison));
        let bad = |bound: LevelName| comparison.worst().is_some_and(|level| level >= bound.level());
        return Ok(if arguments.fail_on.is_some_and(bad) { ExitStatus::Check } else { ExitStatus::Success });
    }
    if let Some(file) = &arguments.html {
        write_atomic(file, html::render(&analysis).as_bytes())?;
    }
    if let Some(file) = &arguments.sarif {
        write_json_atomic(file, &sarif::render(&analysis, arguments.all))?;
    }
    output.result(&analysis, |colour| terminal::render(&analysis, arguments.all, colour));
    Ok(status(&analysis, arguments.fail_on))
}

/// Analyses an image, or reads what an earlier analysis of one printed.
fn one(image: &Path, options: &Options, output: &Output) -> Outcome<Analysis> {
    if image.extension().is_some_and(|extension| extension == "json") && image.is_file() {
        return read_json(image);
    }
    Steps::new(*output).step("analyze", None, || Ok((analyze(image, options)?, false)))
}

/// What the result means to whoever asked for a bound.
fn status(analysis: &Analysis, fail_on: Option<LevelName>) -> ExitStatus {
    let bad = |bound: LevelName| analysis.issues.iter().any(|issue| issue.level >= bound.level());
    // An image of which nothing could be read holds no bound.
    let unread = fail_on.is_some() && analysis.word == "unknown";
    if unread || fail_on.is_some_and(bad) { ExitStatus::Check } else { ExitStatus::Success }
}

fn text(file: &Path) -> Outcome<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Failure { status: ExitStatus::Input, ..Failure::io("read", file, &e) })
}

fn lines(files: &[PathBuf]) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(text(file)?.lines().map(str::to_owned));
    }
    Ok(all)
}
