//! `fastness keys`: make, add, list and check keys.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use assemble::keys::{AddKey, KeyKind, KeyRecord, KeyStore, KeyUri, NewKey, Secret};
use clap::Subcommand;
use diag::{ExitStatus, Failure, Outcome};
use fit::key::KeyType;
use record::KeyMark;
use spec::known_keys::KnownKeys;

use crate::output::Output;
use crate::stages::Passphrase;
use crate::{passphrase, places};

const EXAMPLE: &str = "\
Examples:
  fastness keys new dev                                  a development key
  fastness keys new gateway --release --bits 4096        asks for a passphrase
  fastness keys new gateway --algorithm ecdsa-p256       ECDSA instead of RSA
  fastness keys new evidence --evidence                  signs reports
  fastness keys list
  fastness keys check gateway --open                     asks for the passphrase, too";

const ADD: &str = "\
Examples:
  fastness keys add gateway --uri 'pkcs11:token=fab;object=gateway?module-path=/usr/lib/softhsm/libsofthsm2.so'
  fastness keys add gateway --uri exec:/opt/sign/sign --public gateway.pub.pem --release
  fastness keys add gateway --uri offline: --public gateway.pub.pem --release";

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
        /// Kind of the key; the board says what its U-Boot verifies
        #[arg(long, value_enum, default_value_t, conflicts_with = "evidence")]
        algorithm: NewAlgorithm,
        /// Size of an RSA key
        #[arg(long, default_value = "3072", value_parser = ["2048", "3072", "4096"], conflicts_with = "evidence")]
        bits: String,
        /// May sign what leaves the house; asks for a passphrase
        #[arg(long)]
        release: bool,
        /// An Ed25519 key that signs reports, instead of a key that signs the boot chain
        #[arg(long)]
        evidence: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Add a key whose private half is elsewhere: in a token, behind a program, or on another machine
    #[command(after_help = ADD)]
    Add {
        /// Name: the product's `signing.key`
        name: String,
        /// `pkcs11:…` (RFC 7512), `exec:/PROGRAM` or `offline:`
        #[arg(long, value_name = "URI")]
        uri: String,
        /// Public key or its certificate (X.509), as PEM; a token tells its own
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
        /// May sign what leaves the house
        #[arg(long)]
        release: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// List the keys
    #[command(after_help = EXAMPLE)]
    List,
    /// Check a key's files and permissions, that nobody has published it, and with --open also its passphrase
    #[command(after_help = EXAMPLE)]
    Check {
        /// Name
        name: String,
        /// More published keys, in the form of standards/known-keys.yaml; may be given again
        #[arg(long, value_name = "FILE")]
        known_keys: Vec<PathBuf>,
        /// Open the private key, too
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
}

/// Kinds of keys that sign the boot chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum NewAlgorithm {
    /// RSA of `--bits`
    #[default]
    Rsa,
    /// ECDSA on P-256
    EcdsaP256,
    /// ECDSA on P-384
    EcdsaP384,
}

impl NewAlgorithm {
    fn key(self, bits: &str) -> Outcome<KeyType> {
        match (self, bits) {
            (Self::EcdsaP256, "3072") => Ok(KeyType::EcdsaP256),
            (Self::EcdsaP384, "3072") => Ok(KeyType::EcdsaP384),
            (Self::Rsa, "2048") => Ok(KeyType::Rsa2048),
            (Self::Rsa, "4096") => Ok(KeyType::Rsa4096),
            (Self::Rsa, _) => Ok(KeyType::Rsa3072),
            (_, bits) => {
                let message = format!("`--bits {bits}` is the size of an RSA key: a curve has its own");
                Err(Failure::error(ExitStatus::Usage, "key-size", message))
            }
        }
    }
}

/// Runs one of them.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let store = KeyStore::at(&places::keys(arguments.keys.as_deref())?);
    match &arguments.verb {
        Verb::New { name, algorithm, bits, release, evidence, passphrase } => {
            let record = new(&store, name, algorithm.key(bits)?, *release, *evidence, passphrase)?;
            output
                .result(&record, |_| format!("made {}\nin `{}`\n", text(&record), store.folder().display()));
        }
        Verb::Add { name, uri, public, release, passphrase } => {
            let record = add(&store, name, uri, public.as_deref(), *release, passphrase)?;
            output
                .result(&record, |_| format!("added {}\nin `{}`\n", text(&record), store.folder().display()));
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
        Verb::Check { name, known_keys, open, passphrase } => {
            let known = KnownKeys::of_files(known_keys)?;
            let secret: Option<Secret> = if *open || passphrase.source().is_some() {
                Some(passphrase.read(&store, name)?)
            } else {
                None
            };
            let record = store.check(name, secret.as_ref())?;
            if let Some(source) = known.source(&record.fingerprint) {
                return Err(record.published(source));
            }
            let opened = match &secret {
                Some(secret) if !secret.is_empty() => "; the passphrase opens it",
                Some(_) => "; whether it signs was not tried",
                None => "",
            };
            output.result(&record, |_| format!("{} is right{opened}\n", text(&record)));
        }
    }
    Ok(ExitStatus::Success)
}

fn new(
    store: &KeyStore,
    name: &str,
    key: KeyType,
    release: bool,
    evidence: bool,
    asked: &Passphrase,
) -> Outcome<KeyRecord> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if !release && asked.source().is_none() {
        return if evidence {
            store.new_development_evidence_key(name, created)
        } else {
            store.new_development_key(name, key, created)
        };
    }
    let secret = match asked.source() {
        Some(source) => source.read(name, &passphrase::ask_new)?,
        None => passphrase::ask_new(&format!("New passphrase of the key `{name}`"))?,
    };
    let mark = if release { KeyMark::Release } else { KeyMark::Development };
    let new = NewKey { name: name.to_owned(), key, mark, created };
    if evidence { store.new_evidence_key(&new, &secret) } else { store.new_key(&new, &secret) }
}

fn add(
    store: &KeyStore,
    name: &str,
    uri: &str,
    public: Option<&Path>,
    release: bool,
    passphrase: &Passphrase,
) -> Outcome<KeyRecord> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let public_pem = match public {
        None => None,
        Some(path) => Some(public_text(path)?),
    };
    // A wrong URI is told before a PIN is asked for.
    let secret =
        if KeyUri::parse(uri)?.needs_secret() { passphrase.ask(name)? } else { Secret::new(Vec::new()) };
    let mark = if release { KeyMark::Release } else { KeyMark::Development };
    let public_pem = public_pem.as_deref();
    store.add(&AddKey { name, uri, public_pem, mark, created, secret: &secret })
}

/// A public key or certificate is text; what is not may be its DER form.
fn public_text(path: &Path) -> Outcome<String> {
    let bytes = std::fs::read(path).map_err(|e| Failure::io("read", path, &e))?;
    let shown = path.display();
    let wrong = |found: &str| {
        let message = format!("expected a public key or a certificate as PEM in `{shown}`, found {found}");
        Failure::error(ExitStatus::Keys, "key-format", message)
    };
    if bytes.is_empty() {
        return Err(wrong("an empty file"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        wrong("bytes that are no text").hint(format!(
            "of DER make PEM: `openssl pkey -pubin -inform DER -in {shown}`, or `openssl x509 -inform DER -in {shown}`"
        ))
    })?;
    match text.contains("-----BEGIN ") {
        true => Ok(text),
        false => Err(wrong("text without `-----BEGIN`")),
    }
}

fn text(record: &KeyRecord) -> String {
    let kind = match record.kind {
        KeyKind::Rsa => format!("RSA {}", record.bits),
        KeyKind::Ecdsa => format!("ECDSA P-{}", record.bits),
        KeyKind::Ed25519 => "Ed25519, for evidence".to_owned(),
    };
    let mark = match record.mark {
        KeyMark::Development => "development",
        KeyMark::Release => "release",
    };
    let place = record.place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
    let ends = record.ends().map(|end| format!(", until {end}")).unwrap_or_default();
    format!("`{}`: {kind}, {mark}{place}{ends}, sha256 {}", record.name, record.fingerprint)
}
