//! `fastness keys`: make, list and check keys.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use assemble::keys::{KeyKind, KeyRecord, KeyStore, NewKey, Secret};
use clap::Subcommand;
use diag::{ExitStatus, Outcome};
use record::KeyMark;

use crate::output::Output;
use crate::stages::Passphrase;
use crate::{passphrase, places};

const EXAMPLE: &str = "\
Examples:
  fastness keys new dev                                  a development key
  fastness keys new gateway --release --bits 4096        asks for a passphrase
  fastness keys new evidence --evidence                  signs reports
  fastness keys list
  fastness keys check gateway --open                     asks for the passphrase, too";

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR", global = true)]
    keys: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key; its private half is encrypted at rest
    #[command(after_help = EXAMPLE)]
    New {
        /// Name: the product's `signing.key`
        name: String,
        /// Size of an RSA key
        #[arg(long, default_value_t = 3072, value_parser = ["2048", "3072", "4096"].map_bits())]
        bits: u32,
        /// May sign what leaves the house; asks for a passphrase
        #[arg(long)]
        release: bool,
        /// An Ed25519 key that signs reports, instead of an RSA key that signs the boot chain
        #[arg(long)]
        evidence: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// List the keys
    #[command(after_help = EXAMPLE)]
    List,
    /// Check a key's files and permissions, and with --open also its passphrase
    #[command(after_help = EXAMPLE)]
    Check {
        /// Name
        name: String,
        /// Open the private key, too
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
}

/// Sizes as a list of possible values that parse to a number.
trait MapBits {
    fn map_bits(self) -> clap::builder::ValueParser;
}

impl MapBits for [&'static str; 3] {
    fn map_bits(self) -> clap::builder::ValueParser {
        use clap::builder::TypedValueParser as _;
        clap::builder::PossibleValuesParser::new(self).try_map(|text| text.parse::<u32>()).into()
    }
}

/// Runs `keys new`, `keys list` or `keys check`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let store = KeyStore::at(&places::keys(arguments.keys.as_deref())?);
    match &arguments.verb {
        Verb::New { name, bits, release, evidence, passphrase } => {
            let record = new(&store, name, *bits, *release, *evidence, passphrase)?;
            output
                .result(&record, |_| format!("made {}\nin `{}`\n", text(&record), store.folder().display()));
        }
        Verb::List => {
            let records = store.list()?;
            output.result(&records, |_| {
                if records.is_empty() {
                    return format!("no keys in `{}`\n", store.folder().display());
                }
                records.iter().map(|record| text(record) + "\n").collect()
            });
        }
        Verb::Check { name, open, passphrase } => {
            let secret: Option<Secret> = if *open || passphrase.source().is_some() {
                Some(passphrase.read(&store, name)?)
            } else {
                None
            };
            let record = store.check(name, secret.as_ref())?;
            let opened = if secret.is_some() { "; the passphrase opens it" } else { "" };
            output.result(&record, |_| format!("{} is right{opened}\n", text(&record)));
        }
    }
    Ok(ExitStatus::Success)
}

fn new(
    store: &KeyStore,
    name: &str,
    bits: u32,
    release: bool,
    evidence: bool,
    asked: &Passphrase,
) -> Outcome<KeyRecord> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if !release && asked.source().is_none() {
        return if evidence {
            store.new_development_evidence_key(name, created)
        } else {
            store.new_development_key(name, bits, created)
        };
    }
    let secret = match asked.source() {
        Some(source) => source.read(name, &passphrase::ask_new)?,
        None => passphrase::ask_new(&format!("New passphrase of the key `{name}`"))?,
    };
    let mark = if release { KeyMark::Release } else { KeyMark::Development };
    let new = NewKey { name: name.to_owned(), bits, mark, created };
    if evidence { store.new_evidence_key(&new, &secret) } else { store.new_key(&new, &secret) }
}

fn text(record: &KeyRecord) -> String {
    let kind = match record.kind {
        KeyKind::Rsa => format!("RSA {}", record.bits),
        KeyKind::Ed25519 => "Ed25519, for evidence".to_owned(),
    };
    let mark = match record.mark {
        KeyMark::Development => "development",
        KeyMark::Release => "release",
    };
    format!("`{}`: {kind}, {mark}, sha256 {}", record.name, record.fingerprint)
}
