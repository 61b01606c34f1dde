//! Certificates of OpenSSH for hosts and users (OpenSSH, `PROTOCOL.certkeys`), of two more keys of the authority.
//!
//! sshd knows no X.509: it trusts the bare public key of an authority. There is one for hosts and one for users, so
//! that who may sign the one cannot sign the other. Both are kept as the others are and are made at first use. The keys
//! that are certified stay where they are: only their public halves come here.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rand_core::{OsRng, RngCore as _};
use secret::{NewFile, Secret, check_name, decrypt, encrypt, open_store, publish};
use serde::{Deserialize, Serialize};
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::EcdsaKeypair;
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey};

use crate::authority::{Authority, DAY};
use crate::key::broken;
use crate::names::is_host_name;

/// Days of a certificate that is asked for without: a list of revoked ones may be late.
const USER_DAYS: u32 = 30;
const HOST_DAYS: u32 = 365;
/// Longer ones would outlive what is known of a key.
const MOST_DAYS: u32 = 1095;
/// A public key has less than 1 KiB.
const LONGEST_KEY: usize = 16 << 10;

/// Whose key is certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SshKind {
    /// A device's sshd.
    Host,
    /// A person.
    User,
}

impl SshKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
        }
    }
}

/// What is to be certified.
#[derive(Clone, Debug)]
pub struct SshRequest {
    /// Name of the identity, and key id: what sshd logs.
    pub name: String,
    /// Whose key it is.
    pub kind: SshKind,
    /// The public key, one line as `ssh-keygen` writes it.
    pub public_key: String,
    /// Host names or addresses of a host, account names of a user.
    pub principals: Vec<String>,
    /// Days of validity.
    pub days: Option<u32>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshEntry {
    /// Name of the identity, and key id.
    pub name: String,
    /// The file is `ssh/FILE`.
    pub file: String,
    /// Whose key it is.
    pub kind: SshKind,
    /// Host names or account names.
    pub principals: Vec<String>,
    /// Serial number, from 1.
    pub serial: u64,
    /// Fingerprint of the key, `SHA256:…`.
    pub key: String,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// When it was revoked, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

/// What was certified.
#[derive(Clone, Debug)]
pub struct SshIssued {
    /// Its entry.
    pub entry: SshEntry,
    /// The certificate.
    pub path: PathBuf,
    /// The public key of the authority, one line: what the other end has to trust.
    pub authority: String,
}

impl Authority {
    /// Certifies a public key.
    ///
    /// # Errors
    /// `key-name`, `bad-public-key`, `weak-key`, `bad-principal`, `bad-validity`, those of the passphrase and of files.
    pub fn certify_ssh(&mut self, request: &SshRequest, secret: &Secret) -> Outcome<SshIssued> {
        check_name(&request.name)?;
        let public = public_key(&request.public_key)?;
        let mut principals = principals(request)?;
        principals.sort();
        principals.dedup();
        let days = request.days.unwrap_or(match request.kind {
            SshKind::Host => HOST_DAYS,
            SshKind::User => USER_DAYS,
        });
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(Failure::error(
                ExitStatus::Input,
                "bad-validity",
                format!("expected a validity of 1 to {MOST_DAYS} days, found {days}"),
            )
            .hint("a key whose certificate ends can be certified again"));
        }
        let authority = self.ssh_authority(request.kind, secret)?;
        let serial = self.index.ssh.iter().map(|entry| entry.serial).max().unwrap_or(0) + 1;
        let entry = SshEntry {
            name: request.name.clone(),
            file: format!("{}-{}-{serial}-cert.pub", request.name, request.kind.name()),
            kind: request.kind,
            principals,
            serial,
            key: public.fingerprint(ssh_key::HashAlg::Sha256).to_string(),
            not_before: self.now,
            not_after: self.now + u64::from(days) * DAY,
            revoked: None,
        };
        let text = certificate(&entry, public.key_data(), &authority)? + "\n";
        self.index.ssh.push(entry.clone());
        self.save()?;
        let folder = self.folder.join("ssh");
        open_store(&folder)?;
        let file = NewFile { name: entry.file.clone(), content: text.as_bytes(), mode: 0o644 };
        publish(&folder, &entry.file, &[file])?;
        let path = folder.join(&entry.file);
        Ok(SshIssued { entry, path, authority: line(&authority, request.kind)? })
    }

    /// The private key that certifies; made now if there is none.
    fn ssh_authority(&self, kind: SshKind, secret: &Secret) -> Outcome<PrivateKey> {
        let stem = format!("ssh-{}-ca", kind.name());
        let path = self.folder.join(format!("{stem}.key.pem"));
        if path.is_file() {
            let der = decrypt(&path, &stem, secret)?;
            let key = p384::SecretKey::from_pkcs8_der(der.as_bytes()).map_err(|_| {
                Failure::error(
                    ExitStatus::Keys,
                    "key-format",
                    format!("expected a key on P-384 in `{}`, found another", path.display()),
                )
                .hint("take the key from a backup")
            })?;
            return Ok(private(key));
        }
        // With the passphrase of the others: a mistyped one would make a key that nobody opens again.
        self.issuer(secret)?;
        let key = p384::SecretKey::random(&mut OsRng);
        let sealed = encrypt(&key.to_pkcs8_der().map_err(|e| broken(&e))?, secret)?;
        let key = private(key);
        let public = line(&key, kind)? + "\n";
        publish(
            &self.folder,
            &stem,
            &[
                NewFile { name: format!("{stem}.key.pem"), content: sealed.as_bytes(), mode: 0o600 },
                NewFile { name: format!("{stem}.pub"), content: public.as_bytes(), mode: 0o644 },
            ],
        )?;
        Ok(key)
    }
}

fn certificate(entry: &SshEntry, public: &KeyData, authority: &PrivateKey) -> Outcome<String> {
    let wrong = |e: ssh_key::Error| broken(&e);
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    let mut builder =
        Builder::new(nonce, public.clone(), entry.not_before, entry.not_after).map_err(wrong)?;
    builder.serial(entry.serial).map_err(wrong)?.key_id(&entry.name).map_err(wrong)?;
    for principal in &entry.principals {
        builder.valid_principal(principal).map_err(wrong)?;
    }
    match entry.kind {
        SshKind::Host => builder.cert_type(CertType::Host).map_err(wrong)?,
        // A terminal and nothing else: no forwarding of ports, agents or X11.
        SshKind::User => {
            builder.cert_type(CertType::User).map_err(wrong)?.extension("permit-pty", "").map_err(wrong)?
        }
    };
    builder.comment(&entry.name).map_err(wrong)?;
    builder.sign(authority).and_then(|certificate| certificate.to_openssh()).map_err(wrong)
}

pub(crate) fn public_key(text: &str) -> Outcome<PublicKey> {
    let wrong = |code: &str, message: String| {
        Failure::error(ExitStatus::Input, code, message)
            .hint("`ssh-keygen -t ed25519` makes a pair; its file `.pub` is what is certified")
    };
    if text.len() > LONGEST_KEY || text.contains("PRIVATE KEY") {
        return Err(wrong(
            "bad-public-key",
            "expected one public key of OpenSSH, found something else".to_owned(),
        ));
    }
    let key = PublicKey::from_openssh(text.trim_end())
        .map_err(|e| wrong("bad-public-key", format!("expected one public key of OpenSSH: {e}")))?;
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Ok(key)
        }
        // The modulus without the zero that keeps it positive.
        KeyData::Rsa(rsa) if rsa.n.as_positive_bytes().is_some_and(|n| n.len() * 8 >= 3072) => Ok(key),
        other => Err(wrong(
            "weak-key",
            format!(
                "expected a key of Ed25519, ECDSA or RSA with at least 3072 bits, found a weaker one of `{}`",
                other.algorithm()
            ),
        )),
    }
}

fn principals(request: &SshRequest) -> Outcome<Vec<String>> {
    let right = |principal: &str| match request.kind {
        SshKind::Host => is_host_name(principal) || principal.parse::<std::net::IpAddr>().is_ok(),
        SshKind::User => {
            principal.len() <= 32
                && principal.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && principal.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
        }
    };
    let wrong = request.principals.iter().find(|principal| !right(principal));
    if wrong.is_none() && !request.principals.is_empty() {
        return Ok(request.principals.clone());
    }
    let expected = match request.kind {
        SshKind::Host => "host names or addresses",
        SshKind::User => "account names",
    };
    Err(Failure::error(
        ExitStatus::Input,
        "bad-principal",
        format!(
            "expected {expected} for `{}`, found {}",
            request.name,
            wrong.map_or_else(|| "none".to_owned(), |wrong| format!("`{}`", wrong.escape_debug()))
        ),
    )
    .hint("a certificate without principals would be good for everybody"))
}

fn private(key: p384::SecretKey) -> PrivateKey {
    let public = key.public_key().into();
    PrivateKey::from(EcdsaKeypair::NistP384 { public, private: key.into() })
}

/// The public half on one line.
fn line(key: &PrivateKey, kind: SshKind) -> Outcome<String> {
    let mut public = key.public_key().clone();
    public.set_comment(format!("fastness ssh {} CA", kind.name()));
    public.to_openssh().map_err(|e| broken(&e))
}
