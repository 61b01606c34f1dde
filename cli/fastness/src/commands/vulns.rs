//! `fastness vulns`: known vulnerabilities of what the device is made of.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, Role};
use supply::Bill;
use supply::vulnerabilities::{Compiled, Database, Found, Severity, State, Vulnerabilities, look_up, vex};

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness vulns --database debian-tracker.json
  fastness vulns --database tracker.json --database osv.json --vex ours.vex.json --fail-on high
  fastness vulns --database tracker.json --openvex draft.vex.json --author security@maker.example

Nothing is fetched: bring the databases as files.";

/// Arguments of `vulns`.
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
    /// Debian's security tracker (JSON), records of OSV, CVE records of the kernel, or dumps of the NVD; may be given again
    #[arg(long, value_name = "FILE", required = true)]
    database: Vec<PathBuf>,
    /// Statements of OpenVEX; may be given again, the last word counts
    #[arg(long, value_name = "FILE")]
    vex: Vec<PathBuf>,
    /// Write what is known as OpenVEX, to be filled in
    #[arg(long, value_name = "FILE", requires = "author")]
    openvex: Option<PathBuf>,
    /// Who makes these statements
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Fail with exit code 6 when one of at least this severity is open, or one of which nobody says how bad it is
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Least>,
    /// The date of the statements, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", hide = true, value_parser = places::date())]
    at: Option<u64>,
}

/// From which severity on a vulnerability counts.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Least {
    /// Every one
    Any,
    Low,
    Medium,
    High,
    Critical,
}

impl Least {
    fn severity(self) -> Severity {
        match self {
            Self::Any => Severity::Unknown,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// Looks everything up and prints what is open.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let built = Built::open(&folder)?;
    let bill = Bill::of(&built.plan, &built.image, &folder)?;
    let files =
        arguments.database.iter().map(|path| Ok((name(path), read(path)?))).collect::<Outcome<Vec<_>>>()?;
    let databases: Vec<Database<'_>> = files.iter().map(|(name, bytes)| Database { name, bytes }).collect();
    let compiled = compiled(&folder)?;
    let mut found = look_up(&bill, &built.plan.debian.suite, &databases, compiled.as_ref())?;
    let mut unused = Vec::new();
    for path in &arguments.vex {
        let name = name(path);
        unused.extend(
            vex::apply(&mut found, &name, &read(path)?)?.into_iter().map(|what| format!("{name}, {what}")),
        );
    }
    if let (Some(path), Some(author)) = (&arguments.openvex, &arguments.author) {
        let when = spec::time::rfc3339(arguments.at.unwrap_or_else(stages::now));
        stages::write_atomic(path, format!("{:#}\n", vex::document(&found, author, &when)).as_bytes())?;
    }
    output.result(&found, |_| text(&found, &unused, arguments.openvex.as_deref()));
    let fails = arguments.fail_on.is_some_and(|least| found.open(least.severity()) > 0);
    Ok(if fails { ExitStatus::Check } else { ExitStatus::Success })
}

/// Which files of the kernel the build compiled, where it says so.
fn compiled(folder: &Path) -> Outcome<Option<Compiled>> {
    let artefacts: Artefacts = record::read_json(&folder.join("artefacts.json"))?;
    let Some(file) = artefacts.files.get(&Role::KernelSources) else { return Ok(None) };
    let path = folder.join(&file.path);
    let bytes = read(&path)?;
    let wrong = |why: String| {
        Failure::error(ExitStatus::Input, "no-list", format!("`{}`: {why}", path.display()))
            .hint("run `fastness build` again")
    };
    if record::sha256_hex(&bytes) != file.sha256 {
        return Err(wrong("it is not what `artefacts.json` names".to_owned()));
    }
    Compiled::read(&String::from_utf8_lossy(&bytes)).map(Some).map_err(wrong)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure { status: ExitStatus::Input, ..Failure::io("read", path, &e) })
}

fn text(found: &Vulnerabilities, unused: &[String], wrote: Option<&Path>) -> String {
    let mut out = String::new();
    let mut section = |title: &str, of: &dyn Fn(&&Found) -> bool| {
        let list: Vec<&Found> = found.found.iter().filter(of).collect();
        if list.is_empty() {
            return;
        }
        out.push_str(&format!("{title} ({})\n", list.len()));
        for one in list {
            let fixed = one
                .fixed_in
                .as_ref()
                .map_or_else(|| "no fixed version".to_owned(), |v| format!("fixed in {v}"));
            out.push_str(&format!("  {:<9} {:<18} {}, {fixed}\n", word(one.severity), one.id, one.component));
            let why = if one.why.is_empty() { &one.what } else { &one.why };
            if !why.is_empty() {
                let short: String = why.chars().take(90).collect();
                out.push_str(&format!("  {:<9} {short}\n", ""));
            }
        }
        out.push('\n');
    };
    section("open", &|one| matches!(one.state, State::Affected | State::UnderInvestigation));
    section("cannot be decided, and count", &|one| one.state == State::Undecided);
    section("do not count, by a statement or by what was built", &|one| {
        matches!(one.state, State::NotAffected | State::Fixed)
    });
    let count = found.open(Severity::Unknown);
    out.push_str(&format!("{count} open in {}\n", found.product));
    if !found.not_looked_at.is_empty() {
        out.push_str(&format!(
            "no database speaks of {}: {}\n",
            found.not_looked_at.len(),
            found.not_looked_at.join(", ")
        ));
    }
    for what in unused {
        out.push_str(&format!("a statement speaks of nothing that was found: {what}\n"));
    }
    if let Some(path) = wrote {
        out.push_str(&format!("wrote {}\n", path.display()));
    }
    // What a database or a statement says gets to a terminal here.
    out.chars().filter(|c| *c == '\n' || !diag::steers(*c)).collect()
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Unknown => "unknown",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
