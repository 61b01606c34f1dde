//! `fastness pki verify` and `fastness pki accept`: what others made is looked at before it is believed.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use diag::{ExitStatus, Outcome};
use pki::verify::{Purpose, Query, failure, read_file, read_pem, subject};
use pki::{AltName, Answer};
use serde::Serialize;

use super::pki::{Held, Place};
use super::pki_text::entry_text;
use crate::output::{Output, clean};
use crate::stages::{self, Passphrase};

/// Arguments of `pki accept`.
#[derive(Debug, clap::Args)]
pub struct AcceptArguments {
    /// Name of the identity that was requested
    name: String,
    /// The answer in PEM: the certificate, then those between it and the root
    answer: PathBuf,
    /// The company's roots in PEM, got from elsewhere than the answer; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    root: Vec<PathBuf>,
    /// Lists of revoked certificates in PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Arguments of `pki verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    /// The certificate in PEM; those that follow it may lie between it and a root
    file: PathBuf,
    /// Roots that are trusted, in PEM; otherwise the product's own root, with its lists of revoked certificates unless
    /// `--crl` names others; may be repeated
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// Certificates that may lie between it and a root, in PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,
    /// Lists of revoked certificates in PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Refuse it also when an issuer has no list
    #[arg(long)]
    strict: bool,
    /// Name under which its holder is looked for, `dns:…`, `ip:…`, `email:…` or `uri:…`
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<AltName>,
    /// What it is used for
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<Use>,
    /// Verify as of this time, `YYYY-MM-DDTHH:MM:SSZ` or seconds since 1970, instead of now
    #[arg(long, value_name = "TIME", value_parser = pki::parse_time)]
    at: Option<u64>,
    /// Encrypted private key that must be the certificate's
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Use {
    /// A server of TLS
    Server,
    /// A client of TLS
    Client,
    /// An end of IPsec
    Ike,
}

/// Result of `pki verify`.
#[derive(Debug, Serialize)]
struct Verified {
    verified: bool,
    /// Subjects from the certificate to the root.
    path: Vec<String>,
}

/// Verifies a certificate. What is refused is told with all its reasons, and is a check that does not hold.
pub fn verify(asked: &VerifyArguments, place: &Place, output: &Output) -> Outcome<ExitStatus> {
    let mut chain = certificates(std::slice::from_ref(&asked.file))?;
    chain.extend(certificates(&asked.untrusted)?);
    let (mut roots, mut crl) = (asked.root.clone(), asked.crl.clone());
    if roots.is_empty() {
        let folder = place.folder()?;
        roots.push(folder.join("root.crt"));
        if crl.is_empty() {
            // What the authority itself took back must not look good because nobody named its list.
            crl.extend(
                [folder.join("root.crl.pem"), folder.join("crl.pem")].into_iter().filter(|p| p.exists()),
            );
        }
    }
    let query = Query {
        chain,
        roots: certificates(&roots)?,
        lists: lists(&crl)?,
        at: asked.at.unwrap_or_else(stages::now),
        purpose: asked.purpose.map(|purpose| match purpose {
            Use::Server => Purpose::Server,
            Use::Client => Purpose::Client,
            Use::Ike => Purpose::Ike,
        }),
        name: asked.name.clone(),
        strict: asked.strict,
    };
    let path = pki::verify::verify(&query).map_err(|refusals| failure(&refusals))?;
    if let (Some(key), Some(leaf)) = (&asked.key, query.chain.first()) {
        pki::check_pair(leaf, key, &asked.passphrase.ask(&place.key()?)?)?;
    }
    let verified = Verified { verified: true, path: path.iter().map(subject).collect() };
    output.result(&verified, |_| format!("verified: {}\n", clean(&verified.path.join(", issued by "))));
    Ok(ExitStatus::Success)
}

/// Takes the answer of a company's authority.
pub fn accept(asked: &AcceptArguments, place: &Place, output: &Output) -> Outcome<ExitStatus> {
    let folder = place.folder()?;
    let answer = Answer {
        chain: certificates(std::slice::from_ref(&asked.answer))?,
        roots: certificates(&asked.root)?,
        lists: lists(&asked.crl)?,
    };
    let secret = asked.passphrase.ask(&place.key()?)?;
    let entry = pki::accept(&folder, &asked.name, &answer, &secret, stages::now())?;
    let held = Held::new(entry, &folder.join("accepted"));
    output.result(&held, |_| format!("{}in `{}`\n", entry_text(&held.entry), held.certificate.display()));
    Ok(ExitStatus::Success)
}

fn certificates(files: &[PathBuf]) -> Outcome<Vec<x509_cert::Certificate>> {
    read_all(files, "CERTIFICATE")
}

fn lists(files: &[PathBuf]) -> Outcome<Vec<x509_cert::crl::CertificateList>> {
    read_all(files, "X509 CRL")
}

fn read_all<T>(files: &[PathBuf], label: &str) -> Outcome<Vec<T>>
where
    T: for<'a> x509_cert::der::Decode<'a> + x509_cert::der::Encode,
{
    let mut all = Vec::new();
    for file in files {
        all.extend(read_one(file, label)?);
    }
    Ok(all)
}

fn read_one<T>(file: &Path, label: &str) -> Outcome<Vec<T>>
where
    T: for<'a> x509_cert::der::Decode<'a> + x509_cert::der::Encode,
{
    read_pem(&read_file(file)?, label).map_err(|refusal| {
        failure(&[refusal])
            .note(format!("in `{}`", file.display()))
            .hint("DER becomes PEM with `openssl x509 -inform DER` or `openssl crl -inform DER`")
    })
}

fn parse_name(text: &str) -> Result<AltName, String> {
    text.parse()
}
