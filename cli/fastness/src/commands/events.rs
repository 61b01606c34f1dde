//! `fastness events`: the records of security events that a device wrote.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Subcommand;
use diag::{ExitStatus, Failure, Outcome};
use events::{Anchor, Broken, Chain, Verifier};

use crate::output::{Output, clean};

const EXAMPLE: &str = "\
Examples:
  fastness events verify events.jsonl
  fastness events verify events.jsonl.2 events.jsonl.1 events.jsonl     the oldest first
  fastness events verify events.jsonl --known 120:<SHA-256>             what the last run printed";

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
}

/// Runs the verb.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let Verb::Verify(arguments) = &arguments.verb;
    let mut verifier = Verifier::new(arguments.known.clone());
    for path in &arguments.files {
        let file = File::open(path).map_err(|e| Failure::io("read", path, &e))?;
        verifier.read(&path.to_string_lossy(), BufReader::new(file)).map_err(failure)?;
    }
    let chain = verifier.finish().map_err(failure)?;
    output.result(&chain, |_| text(&chain, arguments.known.is_some()));
    Ok(ExitStatus::Success)
}

fn failure(broken: Broken) -> Failure {
    let status = match broken {
        Broken::Record { .. } => ExitStatus::Check,
        Broken::Read { .. } => ExitStatus::Environment,
    };
    Failure::error(status, "events", broken.to_string())
}

fn text(chain: &Chain, known: bool) -> String {
    let Some(last) = &chain.last else {
        return "no records\n".to_owned();
    };
    let mut out =
        format!("{} records, {} to {}, chained without a break\n", chain.records, chain.first, last.seq);
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
