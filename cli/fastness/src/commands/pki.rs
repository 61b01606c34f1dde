//! `fastness pki`: the authorities and identities of a product's network.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use pki::verify::read_file;
use pki::{Asked, Authority, Entry, Init, Issued, Request, SshEntry, SshKind, SshRequest};
use secret::Secret;
use serde::Serialize;

use super::pki_arguments::{Verb, key_name};
use super::pki_text::{entry_text, held_text, request_text, ssh_text};
use super::pki_verify::{accept, verify};
use crate::output::Output;
use crate::stages::{self, Passphrase};

pub use super::pki_arguments::{Arguments, Place};

/// Result of `pki ssh-revoke`.
#[derive(Debug, Serialize)]
struct SshRevoked {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<SshEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    file: PathBuf,
}

/// Result of `pki ssh`.
#[derive(Debug, Serialize)]
struct Certified {
    #[serde(flatten)]
    entry: SshEntry,
    certificate: PathBuf,
    authority: String,
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
    ssh: Vec<SshEntry>,
}

/// Runs a verb of `pki`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let place = &arguments.place;
    match &arguments.verb {
        Verb::Init { organization, algorithm, days, crl_url, ocsp_url, domain, passphrase } => {
            let folder = place.folder()?;
            let init = Init {
                organization: organization.clone(),
                algorithm: (*algorithm).into(),
                days: *days,
                crl_url: crl_url.clone(),
                ocsp_url: ocsp_url.clone(),
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
        Verb::Issuing { algorithm, stolen, passphrase } => {
            let mut authority = place.open()?;
            let secret = passphrase.ask(&place.key()?)?;
            let file = authority.next_issuing((*algorithm).into(), *stolen, &secret)?;
            output.result(&file, |_| {
                let what = if *stolen {
                    "everything that was issued is revoked: `pki renew` each identity and `provision` both ends of \
                     each tunnel, whose new lists alone keep out what the thief signs"
                } else {
                    "what was issued stays valid, and both ends need the new lists before the first new certificate"
                };
                format!(
                    "made the next issuing CA, and lists of both: `{}`\nput `root.key.pem` away again; {what}\n",
                    file.display()
                )
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
        Verb::Ssh { name, public_key, kind, principal, days, passphrase } => {
            let request = SshRequest {
                name: name.clone(),
                kind: (*kind).into(),
                public_key: String::from_utf8_lossy(&read_file(public_key)?).into_owned(),
                principals: principal.clone(),
                days: *days,
            };
            certify(&mut place.open()?, &request, &passphrase.ask(&place.key()?)?, output)
        }
        Verb::SshRevoke { name, key } => {
            ssh_revoke(&mut place.open()?, name.as_deref(), key.as_deref(), output)
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

/// Revokes certificates of OpenSSH, or a bare key.
fn ssh_revoke(
    authority: &mut Authority,
    name: Option<&str>,
    key: Option<&Path>,
    output: &Output,
) -> Outcome<ExitStatus> {
    let certificates = name.map(|name| authority.revoke_ssh(name)).transpose()?.unwrap_or_default();
    let key = match key {
        Some(file) => Some(authority.revoke_ssh_key(&String::from_utf8_lossy(&read_file(file)?))?),
        None => None,
    };
    let revoked = SshRevoked { certificates, key, file: authority.folder().join("ssh/revoked_keys") };
    output.result(&revoked, |_| {
        let mut text: String = revoked.certificates.iter().map(ssh_text).collect();
        text.extend(revoked.key.iter().map(|print| format!("revoked the key {print}\n")));
        format!(
            "{text}wrote `{}`; a device knows of it when it lies there as `/var/lib/fastness/ssh/revoked_keys`\n",
            revoked.file.display()
        )
    });
    Ok(ExitStatus::Success)
}

fn certify(
    authority: &mut Authority,
    request: &SshRequest,
    secret: &Secret,
    output: &Output,
) -> Outcome<ExitStatus> {
    let issued = authority.certify_ssh(request, secret)?;
    let certified = Certified { entry: issued.entry, certificate: issued.path, authority: issued.authority };
    output.result(&certified, |_| {
        let trust = match request.kind {
            SshKind::Host => {
                format!("in `known_hosts` of who connects:\n@cert-authority * {}", certified.authority)
            }
            SshKind::User => format!("in the product, below `ssh`, `user_ca`:\n{}", certified.authority),
        };
        format!(
            "{}in `{}`\ntrusted by this line {trust}\n",
            ssh_text(&certified.entry),
            certified.certificate.display()
        )
    });
    Ok(ExitStatus::Success)
}

fn list(folder: &Path, output: &Output) -> Outcome<ExitStatus> {
    let all = everything(folder)?;
    output.result(&all, |_| {
        let mut text: String = all.issued.iter().chain(&all.accepted).map(entry_text).collect();
        text.extend(all.ssh.iter().map(ssh_text));
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
    output.result(&held, |_| held.iter().map(held_text).collect());
    Ok(ExitStatus::Success)
}

fn everything(folder: &Path) -> Outcome<All> {
    let (issued, ssh) = if folder.join("index.json").is_file() {
        let authority = Authority::open(folder, stages::now())?;
        (authority.index().entries.clone(), authority.index().ssh.clone())
    } else {
        (Vec::new(), Vec::new())
    };
    Ok(All { issued, requested: pki::requested(folder)?, accepted: pki::accepted(folder)?, ssh })
}

fn csr_of(path: Option<&Path>) -> Outcome<Option<Vec<u8>>> {
    path.map(read_file).transpose()
}
