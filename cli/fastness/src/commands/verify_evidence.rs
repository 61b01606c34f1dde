//! `fastness verify-evidence`: whether an output folder is what was signed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use assemble::keys::{KeyRecord, KeyStore};
use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use serde::Serialize;
use supply::dsse::Envelope;
use supply::provenance::PAYLOAD_TYPE;
use supply::verify::{self, Signed, State, Verified};

use super::attest::FILE;
use crate::output::{Output, clean};
use crate::places::{self, PRODUCT};

const EXAMPLE: &str = "\
Examples:
  fastness verify-evidence --key evidence
  fastness verify-evidence received/ --key evidence --keys trusted    trusted: evidence.json, evidence.pub.pem
  fastness verify-evidence received/ --key evidence --product gw --version 1.4.0    and not an older one's, signed by the same key";

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
    /// The product that the evidence has to be of
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// The product's version that it has to be of
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// SHA-256 of the disk image that it has to be of
    #[arg(long, value_name = "HEX")]
    disk_sha256: Option<String>,
}

#[derive(Serialize)]
struct Verification {
    /// Whether every file is as it was signed, all speak of one image, and it is the one that was expected.
    verified: bool,
    key: KeyRecord,
    /// What was signed, as the statement says.
    signed: Signed,
    /// What was expected to be signed, and is not.
    unexpected: Vec<String>,
    files: Vec<Verified>,
    /// What is in the folder and was neither signed nor looked at.
    not_looked_at: Vec<String>,
    /// What does not decide, and somebody should look at.
    warnings: Vec<String>,
}

/// Checks signature and files; fails where one does not fit, and names each that does not.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let store = places::keys(arguments.keys.as_deref())?;
    let key = KeyStore::at(&store).evidence_public(&arguments.key)?;
    let path = folder.join(FILE);
    if !path.is_file() {
        let message = format!("nothing was signed in `{}`: there is no `{FILE}`", folder.display());
        // A folder of evidence whose signature was taken away does not hold.
        let status = if folder.is_dir() { ExitStatus::Check } else { ExitStatus::Input };
        return Err(
            Failure::error(status, "no-evidence", message).hint("sign with `fastness attest --key KEY`")
        );
    }
    let _lock = FolderLock::take_to_read(&folder)?;
    let envelope = Envelope::read(&path)?;
    let payload = envelope.open(PAYLOAD_TYPE, |bytes, signature| key.verify(bytes, signature).is_ok())?;
    let statement: serde_json::Value = serde_json::from_slice(&payload).map_err(|e| {
        Failure::error(ExitStatus::Check, "statement", format!("what was signed is not JSON: {e}"))
    })?;
    let compared = verify::against(&statement, &folder, &exec::check_interrupt)?;
    let signed = Signed::of(&statement);
    let unexpected = unexpected(arguments, &signed);
    let result = Verification {
        verified: unexpected.is_empty() && compared.files.iter().all(|file| file.state == State::Same),
        key: key.record,
        signed,
        unexpected,
        files: compared.files,
        not_looked_at: compared.not_looked_at,
        warnings: writable(&store, &arguments.key),
    };
    output.result(&result, |_| text(&result));
    Ok(if result.verified { ExitStatus::Success } else { ExitStatus::Check })
}

/// What the statement is not of, though it was expected. The right key signed more than one image.
fn unexpected(arguments: &Arguments, signed: &Signed) -> Vec<String> {
    let pairs = [
        ("product", &arguments.product, &signed.product),
        ("version", &arguments.version, &signed.version),
        ("SHA-256 of the disk image", &arguments.disk_sha256, &signed.disk_sha256),
    ];
    let differs = pairs.into_iter().filter_map(|(what, asked, found)| {
        let asked = asked.as_ref().filter(|asked| !asked.eq_ignore_ascii_case(found))?;
        Some(format!("expected the {what} `{asked}`, found `{found}`"))
    });
    differs.collect()
}

/// A key that others may write may be anybody's.
fn writable(store: &Path, name: &str) -> Vec<String> {
    let files = [store.to_owned(), store.join(format!("{name}.json")), store.join(format!("{name}.pub.pem"))];
    let open = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o022 != 0);
    let told = files.into_iter().filter(open);
    told.map(|path| {
        format!("others than its owner may write `{}`: is the key the one you trust?", path.display())
    })
    .collect()
}

fn text(result: &Verification) -> String {
    /// Names that are shown of what nobody looked at.
    const SHOWN: usize = 20;
    let signed = &result.signed;
    let mut out = format!("signed by `{}` ({})\n", result.key.name, result.key.fingerprint);
    for (title, value) in [
        ("product", format!("{} {}", signed.product, signed.version)),
        ("board", signed.board.clone()),
        ("disk", signed.disk_sha256.clone()),
        ("builder", signed.builder.clone()),
    ] {
        out.push_str(&format!("{title:<10}{}\n", clean(&value).replace('\n', " ")));
    }
    out.push('\n');
    for what in &result.unexpected {
        out.push_str(&format!("OTHER       {}\n", clean(what)));
    }
    for file in &result.files {
        let word = match file.state {
            State::Same => "same",
            State::Changed => "CHANGED",
            State::Missing => "MISSING",
            State::NotSigned => "NOT SIGNED",
            State::OtherImage => "OTHER IMAGE",
            State::NotRead => "NOT READ",
        };
        out.push_str(&format!("{word:<12}{}\n", clean(&file.file)));
        if !file.why.is_empty() {
            out.push_str(&format!("            {}\n", clean(&file.why)));
        }
    }
    if !result.not_looked_at.is_empty() {
        let names: Vec<String> = result.not_looked_at.iter().take(SHOWN).map(|name| clean(name)).collect();
        let more = result.not_looked_at.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push_str(&format!("\nnot signed, and not looked at: {}{more}\n", names.join(", ")));
    }
    for warning in &result.warnings {
        out.push_str(&format!("\nwarning: {}\n", clean(warning)));
    }
    let wrong = result.files.iter().filter(|file| file.state != State::Same).count();
    out.push_str(&match wrong {
        0 if result.unexpected.is_empty() => {
            format!("\nHOLDS  {} files are as they were signed\n", result.files.len())
        }
        0 => format!(
            "\nDOES NOT HOLD  {} files are as they were signed, of another image\n",
            result.files.len()
        ),
        n => format!("\nDOES NOT HOLD  {n} of {} do not fit\n", result.files.len()),
    });
    out
}
