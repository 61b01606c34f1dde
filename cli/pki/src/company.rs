//! Identities of a company's own authority: a request goes out, its answer is checked and taken in.
//!
//! `requests/STEM.csr`, `STEM.key.pem` (encrypted) and `STEM.json` ([`Asked`]); then `accepted/STEM.crt`,
//! `STEM.ca.crt`, `STEM.key.pem` and `STEM.json` ([`Entry`]). The second request of a name has the stem `NAME+2`.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::{read_json, sha256_hex};
use secret::{NewFile, Secret, check_name, decrypt, encrypt, open_store, publish};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Encode as _;

use crate::encode::{hex, pem};
use crate::index::Entry;
use crate::issue::{Request, names_of};
use crate::key::{PrivateKey, broken};
use crate::names::AltName;
use crate::role::Role;
use crate::verify::{Purpose, Query, Refusal, failure, verify};

const REQUESTS: &str = "requests";
const ACCEPTED: &str = "accepted";

/// What was asked of a company's authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Name of the identity.
    pub name: String,
    /// Common name, where it is not the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Files are `requests/FILE.csr` and `requests/FILE.key.pem`.
    pub file: String,
    /// What it is for.
    pub role: Role,
    /// Subject alternative names.
    pub names: Vec<String>,
    /// serialNumber of the subject, of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_serial: Option<String>,
}

/// What the company's authority sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The certificate, then those between it and a root.
    pub chain: Vec<Certificate>,
    /// The company's roots, which one has to know from elsewhere than the answer.
    pub roots: Vec<Certificate>,
    /// Lists of revoked certificates, if there are any.
    pub lists: Vec<CertificateList>,
}

/// Makes a key and a request for it.
///
/// # Errors
/// `already-requested` while an earlier request of that name has no answer; `no-name`, `key-name`, `bad-name`,
/// or when it cannot be written.
pub fn request(folder: &Path, request: &Request, organization: &str, secret: &Secret) -> Outcome<Asked> {
    check_name(&request.name)?;
    let request = Request { names: names_of(request)?, ..request.clone() };
    let _lock = lock(folder)?;
    let file = match last(&folder.join(REQUESTS), &request.name) {
        0 => request.name.clone(),
        number if folder.join(ACCEPTED).join(json(&stem(&request.name, number))).is_file() => {
            stem(&request.name, number + 1)
        }
        _ => {
            return Err(Failure::error(
                ExitStatus::Keys,
                "already-requested",
                format!("a request of `{}` waits for its answer", request.name),
            )
            .hint("`fastness pki accept` takes the answer; to ask anew, move the request's files away"));
        }
    };
    let key = PrivateKey::generate(request.algorithm)?;
    let text = crate::csr::make(&key, &request, organization)?;
    let sealed = encrypt(&key.to_der()?, secret)?;
    let asked = Asked {
        name: request.name.clone(),
        common_name: request.common_name.clone(),
        file: file.clone(),
        role: request.role,
        names: request.names.iter().map(ToString::to_string).collect(),
        device_serial: request.device_serial.clone(),
    };
    let record = serde_json::to_vec_pretty(&asked).map_err(|e| broken(&e))?;
    let requests = folder.join(REQUESTS);
    open_store(&requests)?;
    publish(
        &requests,
        &file,
        &[
            NewFile { name: format!("{file}.key.pem"), content: sealed.as_bytes(), mode: 0o600 },
            NewFile { name: format!("{file}.csr"), content: text.as_bytes(), mode: 0o644 },
            NewFile { name: json(&file), content: &record, mode: 0o644 },
        ],
    )?;
    Ok(asked)
}

/// Takes the answer to the last request of a name: only the requested key's certificate, with the names and
/// usages that were asked for, and a path to one of the roots.
///
/// # Errors
/// `not-requested`, `key-mismatch`, the passphrase's, and every reason for which [`verify`] refuses it.
pub fn accept(folder: &Path, name: &str, answer: &Answer, secret: &Secret, now: u64) -> Outcome<Entry> {
    check_name(name)?;
    let _lock = lock(folder)?;
    let number = last(&folder.join(REQUESTS), name);
    let file = stem(name, number.max(1));
    let place = folder.join(REQUESTS).join(json(&file));
    if number == 0 {
        return Err(Failure::error(
            ExitStatus::Input,
            "not-requested",
            format!("there is no request of `{name}` in `{}`", folder.display()),
        )
        .hint("`fastness pki request` makes one"));
    }
    let asked: Asked = read_json(&place)?;
    let key_file = folder.join(REQUESTS).join(format!("{file}.key.pem"));
    let key = PrivateKey::from_der(&decrypt(&key_file, &file, secret)?)?;
    let Some(leaf) = answer.chain.first() else {
        return Err(failure(&[Refusal::new("malformed", "expected a certificate, found none")]));
    };
    if leaf.tbs_certificate.subject_public_key_info != key.public()? {
        return Err(Failure::error(
            ExitStatus::Keys,
            "key-mismatch",
            format!("the certificate is not of the key that was requested for `{name}`"),
        )
        .hint("the answer has to begin with the requested certificate; ask which request it answers"));
    }
    let path = judge(&asked, answer, now)?;
    let entry = entry(&asked, leaf)?;
    // The path without its root: what a peer is shown.
    let chain = text(&path[..path.len() - 1])?;
    let roots = text(&answer.roots)?;
    let sealed = fs::read(&key_file).map_err(|e| Failure::io("read", &key_file, &e))?;
    let record = serde_json::to_vec_pretty(&entry).map_err(|e| broken(&e))?;
    let accepted = folder.join(ACCEPTED);
    open_store(&accepted)?;
    publish(
        &accepted,
        &file,
        &[
            NewFile { name: format!("{file}.key.pem"), content: &sealed, mode: 0o600 },
            NewFile { name: format!("{file}.crt"), content: chain.as_bytes(), mode: 0o644 },
            NewFile { name: format!("{file}.ca.crt"), content: roots.as_bytes(), mode: 0o644 },
            NewFile { name: json(&file), content: &record, mode: 0o644 },
        ],
    )?;
    Ok(entry)
}

/// Requests that have no answer yet, by name.
///
/// # Errors
/// When they cannot be read.
pub fn requested(folder: &Path) -> Outcome<Vec<Asked>> {
    let all: Vec<Asked> = records(&folder.join(REQUESTS))?;
    let answered = |asked: &Asked| folder.join(ACCEPTED).join(json(&asked.file)).is_file();
    Ok(all.into_iter().filter(|asked| !answered(asked)).collect())
}

/// Answers that were taken, by name.
///
/// # Errors
/// When they cannot be read.
pub fn accepted(folder: &Path) -> Outcome<Vec<Entry>> {
    records(&folder.join(ACCEPTED))
}

/// Verifies the answer for everything that it was asked for; its path.
fn judge(asked: &Asked, answer: &Answer, now: u64) -> Outcome<Vec<Certificate>> {
    let purposes: &[Option<Purpose>] = match asked.role {
        Role::Device | Role::Operator => &[Some(Purpose::Client)],
        Role::Server | Role::Peer => &[Some(Purpose::Server)],
        Role::Opcua => &[Some(Purpose::Server), Some(Purpose::Client)],
        Role::Idevid | Role::Ocsp => &[None],
    };
    let names = asked.names.iter().map(|name| name.parse().ok()).collect::<Vec<Option<AltName>>>();
    let names = if names.is_empty() { vec![None] } else { names };
    let (mut path, mut refusals) = (Vec::new(), Vec::new());
    for purpose in purposes {
        for name in &names {
            let query = Query {
                chain: answer.chain.clone(),
                roots: answer.roots.clone(),
                lists: answer.lists.clone(),
                at: now,
                purpose: *purpose,
                name: name.clone(),
                strict: false,
            };
            match verify(&query) {
                Ok(found) => path = found,
                Err(found) => refusals.extend(found),
            }
        }
    }
    refusals.dedup();
    if refusals.is_empty() { Ok(path) } else { Err(failure(&refusals)) }
}

fn entry(asked: &Asked, leaf: &Certificate) -> Outcome<Entry> {
    let tbs = &leaf.tbs_certificate;
    Ok(Entry {
        name: asked.name.clone(),
        common_name: asked.common_name.clone(),
        file: asked.file.clone(),
        role: asked.role,
        names: asked.names.clone(),
        device_serial: asked.device_serial.clone(),
        issuer: crate::index::first(),
        serial: hex(tbs.serial_number.as_bytes()),
        not_before: tbs.validity.not_before.to_unix_duration().as_secs(),
        not_after: tbs.validity.not_after.to_unix_duration().as_secs(),
        sha256: sha256_hex(&leaf.to_der().map_err(|e| broken(&e))?),
        revoked: None,
    })
}

fn text(certificates: &[Certificate]) -> Outcome<String> {
    certificates
        .iter()
        .map(|certificate| pem("CERTIFICATE", &certificate.to_der().map_err(|e| broken(&e))?))
        .collect()
}

fn lock(folder: &Path) -> Outcome<FolderLock> {
    open_store(folder)?;
    FolderLock::take(folder)
}

/// No name of an identity has a `+`.
fn stem(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}+{number}") }
}

fn json(stem: &str) -> String {
    format!("{stem}.json")
}

/// How many times a name was asked for.
fn last(requests: &Path, name: &str) -> usize {
    (1..).take_while(|number| requests.join(json(&stem(name, *number))).is_file()).count()
}

fn records<T: serde::de::DeserializeOwned>(folder: &Path) -> Outcome<Vec<T>> {
    let Ok(found) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = found
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read_json(path)).collect()
}
