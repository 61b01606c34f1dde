//! `fastness verify-evidence`: whether an output folder is what was signed.

use std::path::PathBuf;

use assemble::keys::{KeyRecord, KeyStore};
use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use serde::Serialize;
use supply::dsse::Envelope;
use supply::provenance::PAYLOAD_TYPE;
use supply::verify::{self, State, Verified};

use super::attest::FILE;
use crate::output::{Output, clean};
use crate::places::{self, PRODUCT};

const EXAMPLE: &str = "\
Examples:
  fastness verify-evidence --key evidence
  fastness verify-evidence received/ --key evidence --keys trusted    trusted: evidence.json, evidence.pub.pem";

/// Arguments of `verify-evidence`.
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
    /// The evidence key; its public half is enough
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

#[derive(Serialize)]
struct Verification {
    /// Whether every file is as it was signed, and all speak of one image.
    verified: bool,
    key: KeyRecord,
    /// Who built, as the statement says.
    builder: String,
    files: Vec<Verified>,
}

/// Checks signature and files; fails where one does not fit, and names each that does not.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let key = KeyStore::at(&places::keys(arguments.keys.as_deref())?).evidence_public(&arguments.key)?;
    let path = folder.join(FILE);
    if !path.is_file() {
        let message = format!("nothing was signed in `{}`: there is no `{FILE}`", folder.display());
        return Err(Failure::error(ExitStatus::Input, "no-evidence", message)
            .hint("sign with `fastness attest --key KEY`"));
    }
    let _lock = FolderLock::take(&folder)?;
    let envelope = Envelope::read(&path)?;
    let payload = envelope.open(PAYLOAD_TYPE, |bytes, signature| key.verify(bytes, signature).is_ok())?;
    let statement: serde_json::Value = serde_json::from_slice(&payload).map_err(|e| {
        Failure::error(ExitStatus::Check, "statement", format!("what was signed is not JSON: {e}"))
    })?;
    let files = verify::against(&statement, &folder)?;
    let builder = statement.pointer("/predicate/runDetails/builder/id").and_then(|id| id.as_str());
    let result = Verification {
        verified: files.iter().all(|file| file.state == State::Same),
        key: key.record,
        builder: builder.unwrap_or_default().to_owned(),
        files,
    };
    output.result(&result, |_| text(&result));
    Ok(if result.verified { ExitStatus::Success } else { ExitStatus::Check })
}

fn text(result: &Verification) -> String {
    let mut out = format!("signed by `{}` ({})\n", result.key.name, result.key.fingerprint);
    out.push_str(&format!("builder   {}\n\n", clean(&result.builder)));
    for file in &result.files {
        let word = match file.state {
            State::Same => "same",
            State::Changed => "CHANGED",
            State::Missing => "MISSING",
            State::NotSigned => "NOT SIGNED",
            State::OtherImage => "OTHER IMAGE",
        };
        out.push_str(&format!("{word:<12}{}\n", clean(&file.file)));
        if !file.why.is_empty() {
            out.push_str(&format!("            {}\n", clean(&file.why)));
        }
    }
    let wrong = result.files.iter().filter(|file| file.state != State::Same).count();
    out.push_str(&match wrong {
        0 => format!("\nHOLDS  {} files are as they were signed\n", result.files.len()),
        n => format!("\nDOES NOT HOLD  {n} of {} do not fit\n", result.files.len()),
    });
    out
}
