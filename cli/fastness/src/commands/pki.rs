//! `fastness pki`: the authorities and identities of a product's network.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use diag::{ExitStatus, Failure, Outcome};
use pki::verify::read_file;
use pki::{AltName, Asked, Authority, Entry, Init, Issued, Reason, Request};
use serde::Serialize;

use super::pki_text::{entry_text, request_text};
use super::pki_verify::{AcceptArguments, VerifyArguments, accept, verify};
use crate::output::Output;
use crate::places;
use crate::stages::{self, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness pki init --organization 'Plant 7' --domain plant7.example
  fastness pki issue gw-17.plant7.example --role device
  fastness pki issue scada --role peer --san dns:scada.plant7.example
  fastness pki request gw-18.plant7.example --role device --organization 'Plant 7'
  fastness pki accept gw-18.plant7.example answer.pem --root company-root.pem
  fastness pki revoke gw-17.plant7.example --reason key-compromise
  fastness pki crl
  fastness pki verify peer.pem --name dns:scada.plant7.example --purpose server";

/// Arguments of `pki`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    place: Place,
}

/// Which authority.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Folder of the authority; otherwise `fastness/pki/PRODUCT` in the user's data folder
    #[arg(long, value_name = "DIR", global = true)]
    pki: Option<PathBuf>,
    /// Product file whose authority it is
    #[arg(long, value_name = "FILE", default_value = places::PRODUCT, global = true)]
    product: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a root and an issuing CA; their private keys are encrypted at rest
    #[command(after_help = EXAMPLE)]
    Init {
        /// Organization in all subjects
        #[arg(long, value_name = "NAME")]
        organization: String,
        /// Keys of both CAs
        #[arg(long, value_name = "KIND", default_value = "p384")]
        algorithm: Algorithm,
        /// Validity of the root in days; the issuing CA has half of it
        #[arg(long, value_name = "N", default_value_t = 7300)]
        days: u32,
        /// Address where the list of revoked certificates will be, `http://…`
        #[arg(long, value_name = "URL")]
        crl_url: Option<String>,
        /// Domain below which all host names must lie; may be repeated
        #[arg(long, value_name = "DOMAIN")]
        domain: Vec<String>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Issue a certificate, with a new key unless there is a request
    #[command(after_help = EXAMPLE)]
    Issue {
        #[command(flatten)]
        wanted: Wanted,
        /// Days of validity; otherwise 730, of an operator 365, of an IDevID no end
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Request (PKCS#10) in PEM of a holder that keeps its key
        #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
        csr: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Issue the next certificate of an identity, with the role and the names of its last one
    #[command(after_help = EXAMPLE)]
    Renew {
        /// Name of the identity
        name: String,
        /// Kind of the new key
        #[arg(long, value_name = "KIND", default_value = "p256")]
        algorithm: Algorithm,
        /// Days of validity
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Request (PKCS#10) in PEM of a holder that keeps its key
        #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
        csr: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Make a key and a request for a company's authority
    #[command(after_help = EXAMPLE)]
    Request {
        #[command(flatten)]
        wanted: Wanted,
        /// Organization in the subject
        #[arg(long, value_name = "NAME")]
        organization: String,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Check the answer of a company's authority, and take it
    #[command(after_help = EXAMPLE)]
    Accept(AcceptArguments),
    /// Revoke all certificates of an identity, or one by its serial number
    #[command(after_help = EXAMPLE)]
    Revoke {
        /// Name of the identity, or serial number in hexadecimal
        name: String,
        /// Why (RFC 5280, 5.3.1)
        #[arg(long, value_name = "REASON")]
        reason: Why,
    },
    /// Sign the list of revoked certificates
    #[command(after_help = EXAMPLE)]
    Crl {
        /// Days for which it holds
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u32,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Verify a certificate: chain, names, validity, usages, algorithms, revocation
    #[command(after_help = EXAMPLE)]
    Verify(VerifyArguments),
    /// List what was issued, requested and accepted
    #[command(after_help = EXAMPLE)]
    List,
    /// Show every certificate of an identity
    #[command(after_help = EXAMPLE)]
    Show {
        /// Name of the identity
        name: String,
    },
}

/// An identity that is wanted.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// Name of the identity
    name: String,
    /// Common name, if it is another, such as the one name of all devices with one image
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// Name by which others look for it, `dns:…`, `ip:…`, `email:…` or `uri:…`; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    san: Vec<AltName>,
    /// Serial number of the device
    #[arg(long, value_name = "SERIAL")]
    device_serial: Option<String>,
    /// Kind of the new key
    #[arg(long, value_name = "KIND", default_value = "p256")]
    algorithm: Algorithm,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    P256,
    P384,
    Rsa3072,
    Rsa4096,
}

impl From<Algorithm> for pki::Algorithm {
    fn from(kind: Algorithm) -> Self {
        match kind {
            Algorithm::P256 => Self::P256,
            Algorithm::P384 => Self::P384,
            Algorithm::Rsa3072 => Self::Rsa3072,
            Algorithm::Rsa4096 => Self::Rsa4096,
        }
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// A device's own end of its tunnels (LDevID of IEEE 802.1AR)
    Device,
    /// A device's identity from its factory (IDevID of IEEE 802.1AR)
    Idevid,
    /// A server
    Server,
    /// The plant's end of a tunnel
    Peer,
    /// A person
    Operator,
    /// An OPC UA application
    Opcua,
}

impl From<Role> for pki::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Device => Self::Device,
            Role::Idevid => Self::Idevid,
            Role::Server => Self::Server,
            Role::Peer => Self::Peer,
            Role::Operator => Self::Operator,
            Role::Opcua => Self::Opcua,
        }
    }
}

/// Why a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Why {
    /// Its private key may be in other hands
    KeyCompromise,
    /// What it says of its holder is no longer right
    AffiliationChanged,
    /// There is a newer one
    Superseded,
    /// It is no longer used
    CessationOfOperation,
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::KeyCompromise => Self::KeyCompromise,
            Why::AffiliationChanged => Self::AffiliationChanged,
            Why::Superseded => Self::Superseded,
            Why::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// Result of `pki init`.
#[derive(Debug, Serialize)]
struct Made {
    organization: String,
    root: PathBuf,
    root_sha256: String,
}

/// Result of `pki request`.
#[derive(Debug, Serialize)]
struct Requested {
    #[serde(flatten)]
    asked: Asked,
    csr: PathBuf,
}

/// Result of `pki issue`, `pki renew` and `pki accept`, and an item of `pki show`.
#[derive(Debug, Serialize)]
pub struct Held {
    #[serde(flatten)]
    pub entry: Entry,
    /// The certificate, followed by those below the root.
    pub certificate: PathBuf,
    /// Its encrypted private key, unless its holder keeps it.
    pub key: Option<PathBuf>,
}

impl Held {
    /// An entry, with its files if `place` is where they are.
    pub fn new(entry: Entry, place: &Path) -> Self {
        let certificate = place.join(format!("{}.crt", entry.file));
        let key = Some(place.join(format!("{}.key.pem", entry.file))).filter(|path| path.is_file());
        Self { entry, certificate, key }
    }
}

/// Result of `pki crl`.
#[derive(Debug, Serialize)]
struct Signed {
    file: PathBuf,
    number: u64,
    revoked: usize,
}

/// Result of `pki list`.
#[derive(Debug, Serialize)]
struct All {
    issued: Vec<Entry>,
    requested: Vec<Asked>,
    accepted: Vec<Entry>,
}

/// Runs a verb of `pki`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let place = &arguments.place;
    match &arguments.verb {
        Verb::Init { organization, algorithm, days, crl_url, domain, passphrase } => {
            let folder = place.folder()?;
            let init = Init {
                organization: organization.clone(),
                algorithm: (*algorithm).into(),
                days: *days,
                crl_url: crl_url.clone(),
                domains: domain.clone(),
            };
            make(&folder, &init, passphrase, output)
        }
        Verb::Issue { wanted, days, csr, passphrase } => {
            let request = Request { days: *days, csr: csr_of(csr.as_deref())?, ..wanted.request() };
            let mut authority = place.open()?;
            let issued = authority.issue(&request, &passphrase.ask(&place.key()?)?)?;
            print_issued(issued, output)
        }
        Verb::Renew { name, algorithm, days, csr, passphrase } => {
            let csr = csr_of(csr.as_deref())?;
            let mut authority = place.open()?;
            let secret = passphrase.ask(&place.key()?)?;
            print_issued(authority.renew(name, (*algorithm).into(), csr, *days, &secret)?, output)
        }
        Verb::Request { wanted, organization, passphrase } => {
            let (folder, request) = (place.folder()?, wanted.request());
            let secret = passphrase.ask_new(&place.key()?)?;
            let asked = pki::request(&folder, &request, organization, &secret)?;
            let csr = folder.join("requests").join(format!("{}.csr", asked.file));
            let requested = Requested { asked, csr };
            output.result(&requested, |_| {
                format!(
                    "{}send `{}` to the authority\n",
                    request_text(&requested.asked),
                    requested.csr.display()
                )
            });
            Ok(ExitStatus::Success)
        }
        Verb::Accept(asked) => accept(asked, place, output),
        Verb::Revoke { name, reason } => {
            let revoked = place.open()?.revoke(name, (*reason).into())?;
            output.result(&revoked, |_| {
                let lines: String = revoked.iter().map(entry_text).collect();
                format!("{lines}nobody knows of it until `fastness pki crl` has signed a list and it is published\n")
            });
            Ok(ExitStatus::Success)
        }
        Verb::Crl { days, passphrase } => {
            let mut authority = place.open()?;
            let file = authority.crl(*days, &passphrase.ask(&place.key()?)?)?;
            let index = authority.index();
            let revoked = index.entries.iter().filter(|entry| entry.revoked.is_some()).count();
            let signed = Signed { file, number: index.crl_number, revoked };
            output.result(&signed, |_| {
                format!("signed list {} with {revoked} revoked: `{}`\n", signed.number, signed.file.display())
            });
            Ok(ExitStatus::Success)
        }
        Verb::Verify(asked) => verify(asked, place, output),
        Verb::List => list(&place.folder()?, output),
        Verb::Show { name } => show(&place.folder()?, name, output),
    }
}

fn make(folder: &Path, init: &Init, passphrase: &Passphrase, output: &Output) -> Outcome<ExitStatus> {
    let secret = passphrase.ask_new(&key_name(folder))?;
    let authority = Authority::init(folder, init, &secret, stages::now())?;
    let made = Made {
        organization: init.organization.clone(),
        root: folder.join("root.crt"),
        root_sha256: authority.root_sha256()?,
    };
    output.result(&made, |_| {
        format!(
            "made a root and an issuing CA of `{}` in `{}`\nroot sha256 {}\n\
             `root.key.pem` is not needed to issue: put it where nobody has it, and take backups\n",
            made.organization,
            folder.display(),
            made.root_sha256
        )
    });
    Ok(ExitStatus::Success)
}

fn print_issued(issued: Issued, output: &Output) -> Outcome<ExitStatus> {
    let held = Held::new(issued.entry, issued.path.parent().unwrap_or(Path::new(".")));
    output.result(&held, |_| format!("{}in `{}`\n", entry_text(&held.entry), held.certificate.display()));
    Ok(ExitStatus::Success)
}

fn list(folder: &Path, output: &Output) -> Outcome<ExitStatus> {
    let all = everything(folder)?;
    output.result(&all, |_| {
        let mut text: String = all.issued.iter().chain(&all.accepted).map(entry_text).collect();
        text.extend(all.requested.iter().map(request_text));
        if text.is_empty() {
            format!("nothing was issued or requested in `{}`\n", folder.display())
        } else {
            text
        }
    });
    Ok(ExitStatus::Success)
}

fn show(folder: &Path, name: &str, output: &Output) -> Outcome<ExitStatus> {
    let all = everything(folder)?;
    let of = |entries: Vec<Entry>, place: &str| {
        let place = folder.join(place);
        entries.into_iter().filter(|entry| entry.name == name).map(move |entry| Held::new(entry, &place))
    };
    let held: Vec<Held> = of(all.issued, "issued").chain(of(all.accepted, "accepted")).collect();
    if held.is_empty() {
        return Err(Failure::error(
            ExitStatus::Input,
            "not-issued",
            format!("there is no certificate of `{}` in `{}`", name.escape_debug(), folder.display()),
        )
        .hint("`fastness pki list` lists what was issued"));
    }
    output.result(&held, |_| held.iter().map(super::pki_text::held_text).collect());
    Ok(ExitStatus::Success)
}

fn everything(folder: &Path) -> Outcome<All> {
    let issued = if folder.join("index.json").is_file() {
        Authority::open(folder, stages::now())?.index().entries.clone()
    } else {
        Vec::new()
    };
    Ok(All { issued, requested: pki::requested(folder)?, accepted: pki::accepted(folder)? })
}

fn csr_of(path: Option<&Path>) -> Outcome<Option<Vec<u8>>> {
    path.map(read_file).transpose()
}

fn parse_name(text: &str) -> Result<AltName, String> {
    text.parse()
}

/// By this name an agent is asked for the passphrase: `pki-` and the folder's name.
fn key_name(folder: &Path) -> String {
    let name = folder.file_name().map(|name| format!("pki-{}", name.to_string_lossy())).unwrap_or_default();
    if secret::check_name(&name).is_ok() { name } else { "pki".to_owned() }
}

impl Wanted {
    fn request(&self) -> Request {
        Request {
            name: self.name.clone(),
            common_name: self.common_name.clone(),
            role: self.role.into(),
            names: self.san.clone(),
            device_serial: self.device_serial.clone(),
            days: None,
            algorithm: self.algorithm.into(),
            csr: None,
        }
    }
}

impl Place {
    /// The authority's folder.
    pub fn folder(&self) -> Outcome<PathBuf> {
        match &self.pki {
            Some(folder) => Ok(folder.clone()),
            None => places::pki(&stages::product_name(&self.product)?),
        }
    }

    /// The product file.
    pub fn product(&self) -> &Path {
        &self.product
    }

    /// The name by which the passphrase is asked for.
    pub fn key(&self) -> Outcome<String> {
        Ok(key_name(&self.folder()?))
    }

    fn open(&self) -> Outcome<Authority> {
        Authority::open(&self.folder()?, stages::now())
    }
}
