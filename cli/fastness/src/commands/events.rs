//! `fastness events`: the records of security events that a device wrote.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use diag::{ExitStatus, Failure, Outcome};
use events::{Anchor, Broken, Chain, SealKey, Unsealed, Verifier, Wrong};
use secret::PassphraseSource;

use crate::output::{Output, clean};

const EXAMPLE: &str = "\
Examples:
  fastness events verify events.jsonl
  fastness events verify events.jsonl.2 events.jsonl.1 events.jsonl     the oldest first
  fastness events verify events.jsonl --known 120:<SHA-256>             what the last run printed
  fastness events verify events.jsonl --seal gw-17.seal                 the device's first key
  fastness events verify --collected collected.jsonl                    what a collector got";

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The verb
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Follow the chain of records; name the first that was changed, cut out or cut off
    #[command(after_help = EXAMPLE)]
    Verify(VerifyArguments),
}

/// Arguments of `events verify`.
#[derive(Debug, clap::Args)]
struct VerifyArguments {
    /// Files of records, the oldest first
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A record that is known from elsewhere and must be there; without it nobody sees a cut end
    #[arg(long, value_name = "NUMBER:SHA256")]
    known: Option<Anchor>,
    /// The key that the device was given by `provision --seal`: also the last record is then held
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// The device was given its key later: the first record that has to be sealed
    #[arg(long, value_name = "NUMBER", requires = "seal")]
    sealed_from: Option<u64>,
    /// The files are what a collector got: records may come twice, and gaps are listed
    #[arg(long)]
    collected: bool,
    /// The collector's files begin with this record, and not with record 1
    #[arg(long, value_name = "NUMBER", requires = "collected", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let Verb::Verify(arguments) = &arguments.verb;
    let key = arguments.seal.as_deref().map(seal_key).transpose()?;
    let mut verifier =
        Verifier::new(arguments.known.clone()).sealed(key).seals_begin(arguments.sealed_from.unwrap_or(0));
    if arguments.collected {
        verifier = verifier.collected().begins(arguments.from.unwrap_or(0));
    }
    for path in &arguments.files {
        let file = File::open(path)
            .map_err(|e| Failure { status: ExitStatus::Input, ..Failure::io("read", path, &e) })?;
        verifier.read(&path.to_string_lossy(), BufReader::new(file)).map_err(failure)?;
    }
    let chain = verifier.finish().map_err(failure)?;
    output.result(&chain, |_| text(&chain, arguments.known.is_some()));
    // A log that was wiped is no log that holds: the device writes its first record when it starts.
    let holds = chain.last.is_some() && chain.unexplained.is_empty();
    Ok(if holds { ExitStatus::Success } else { ExitStatus::Check })
}

/// The first key of a device, from a file that nobody else can read.
pub(super) fn seal_key(path: &Path) -> Outcome<SealKey> {
    let secret = PassphraseSource::File(path.to_owned()).read("seal", &crate::passphrase::ask)?;
    let digits = std::str::from_utf8(secret.bytes()).unwrap_or_default();
    SealKey::first(digits).ok_or_else(|| {
        let message = format!(
            "expected 64 lower-case hexadecimal digits in `{}`, found something else",
            path.display()
        );
        Failure::error(ExitStatus::Input, "bad-seal", message)
            .hint("`(umask 077; openssl rand -hex 32 > FILE)` makes a key; each device has its own")
    })
}

fn failure(broken: Broken) -> Failure {
    let status = match broken {
        Broken::Record { .. } => ExitStatus::Check,
        Broken::Read { .. } => ExitStatus::Environment,
    };
    let never = matches!(&broken, Broken::Record { wrong: Wrong::Seal(_, Unsealed::Never), .. });
    let failure = Failure::error(status, "events", broken.to_string());
    if never {
        failure.hint("a device that was given its key later: say with --sealed-from at which record")
    } else {
        failure
    }
}

fn text(chain: &Chain, known: bool) -> String {
    let Some(last) = &chain.last else {
        return "DOES NOT HOLD  there are no records: a device writes one when it starts\n".to_owned();
    };
    let mut out =
        format!("{} records, {} to {}, chained without a break", chain.records, chain.first, last.seq);
    out.push_str(if chain.gaps.is_empty() { "\n" } else { " but for what is missing\n" });
    for (from, to) in &chain.gaps {
        let told = !chain.unexplained.contains(&(*from, *to));
        let why = if told {
            "the device says that it had to drop them"
        } else {
            "no record of the device says why"
        };
        out.push_str(&format!("missing: {from} to {to}; {why}\n"));
    }
    if chain.repeats > 0 {
        out.push_str(&format!("{} records came again\n", chain.repeats));
    }
    if let Some(from) = chain.sealed_from {
        out.push_str(&format!("sealed from record {from} on\n"));
    }
    for (kind, count) in &chain.types {
        out.push_str(&format!("  {count:>6}  {}\n", clean(kind)));
    }
    for seq in &chain.losses {
        out.push_str(&format!("record {seq} tells of events that were lost or dropped\n"));
    }
    out.push_str(&format!("last record: {}:{}\n", last.seq, last.hash));
    if !known {
        out.push_str("keep it elsewhere, and give it as --known the next time: a cut end shows only so\n");
    }
    out
}
