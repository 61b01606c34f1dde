//! One identity with its private key, opened to be put on its device.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use pkcs8::SecretDocument;
use pkcs8::der::pem::LineEnding;
use secret::{Secret, decrypt};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use zeroize::Zeroizing;

use crate::authority::{not_issued, read};
use crate::company::accepted;
use crate::index::{Entry, Index};
use crate::key::PrivateKey;
use crate::names::AltName;
use crate::verify::{Query, failure, read_pem, verify};

/// A certificate that was verified, without its holder's key.
#[derive(Clone, Debug)]
pub struct Holder {
    /// What it is.
    pub entry: Entry,
    /// The certificate and those between it and the roots, in PEM.
    pub chain: String,
    /// The roots, in PEM.
    pub roots: String,
    /// Lists of revoked certificates, in PEM.
    pub lists: String,
    /// Where its private key would be, had it been made here.
    key_file: PathBuf,
}

/// An identity that was verified, and whose key is open. Its `{:?}` does not show the key.
pub struct Identity {
    /// What it is.
    pub entry: Entry,
    /// The certificate and those between it and the roots, in PEM.
    pub chain: String,
    /// The roots, in PEM.
    pub roots: String,
    /// Lists of revoked certificates, in PEM.
    pub lists: String,
    key: SecretDocument,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Identity {
    /// Opens the newest valid identity of a name: one that was issued here, else one that a company's authority
    /// answered with. `lists` are that authority's lists; one issued here has its own.
    ///
    /// # Errors
    /// `not-issued`, `no-key` when its holder keeps the key, `key-mismatch`, the passphrase's, and every reason for
    /// which it does not verify now, such as `revoked`, `expired`, `stale-crl` and `no-crl`.
    pub fn open(
        folder: &Path,
        name: &str,
        lists: Option<String>,
        secret: &Secret,
        now: u64,
    ) -> Outcome<Self> {
        let Holder { entry, chain, roots, lists, key_file } = find(folder, name, lists)?;
        if !key_file.is_file() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "no-key",
                format!("the private key of `{name}` is not here; its holder keeps it"),
            )
            .hint("the device that made the request already has its key: give it the certificate only"));
        }
        let key = decrypt(&key_file, &entry.file, secret)?;
        let identity = Self { entry, chain, roots, lists, key };
        identity.check(now)?;
        Ok(identity)
    }

    /// The private key in PEM (PKCS#8), **unencrypted**: for the device alone.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn key_pem(&self) -> Outcome<Zeroizing<String>> {
        self.key.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|e| crate::key::broken(&e))
    }

    /// Whether the other end takes it for `name`: an alternative name, and the common name too for programs that
    /// look at nothing else.
    ///
    /// # Errors
    /// `wrong-name`, with what it has instead.
    pub fn check_name(&self, name: &AltName, common: bool) -> Outcome<()> {
        check_name(&self.entry, name, common)
    }

    fn check(&self, now: u64) -> Outcome<()> {
        let chain = check_chain(&self.chain, &self.roots, &self.lists, now)?;
        let public = PrivateKey::from_der(&self.key)?.public()?;
        if chain.first().map(|leaf| &leaf.tbs_certificate.subject_public_key_info) != Some(&public) {
            return Err(Failure::error(
                ExitStatus::Keys,
                "key-mismatch",
                format!("certificate and private key of `{}` do not belong together", self.entry.file),
            )
            .hint("take both from the same backup, or `fastness pki renew` it"));
        }
        Ok(())
    }
}

fn check_name(entry: &Entry, name: &AltName, common: bool) -> Outcome<()> {
    let found = common_name(entry);
    let same = matches!(name, AltName::Dns(name) if name.eq_ignore_ascii_case(found));
    if entry.names.contains(&name.to_string()) && (!common || same) {
        return Ok(());
    }
    Err(wrong_name(entry, name))
}

fn common_name(entry: &Entry) -> &String {
    entry.common_name.as_ref().unwrap_or(&entry.name)
}

fn wrong_name(entry: &Entry, name: &AltName) -> Failure {
    let message = format!(
        "expected `{}` to be known as `{name}`, found the common name `{}` and the names `{}`",
        entry.name,
        common_name(entry),
        entry.names.join("`, `")
    );
    Failure::error(ExitStatus::Input, "wrong-name", message)
        .hint("issue it with `--common-name` and `--san`, as the product's tunnel names this end")
}

impl Holder {
    /// Finds and verifies the newest valid certificate of a name.
    ///
    /// # Errors
    /// As [`Identity::open`], but for the key's.
    pub fn open(folder: &Path, name: &str, lists: Option<String>, now: u64) -> Outcome<Self> {
        let holder = find(folder, name, lists)?;
        check_chain(&holder.chain, &holder.roots, &holder.lists, now)?;
        Ok(holder)
    }

    /// Whether the device made its key itself, and the other ends take it for each of `names`, where they compare the common
    /// name too for each of `common`.
    ///
    /// # Errors
    /// `key-here` for one whose key is in the authority's folder, `wrong-name`.
    pub fn check_own_key(&self, names: &[AltName], common: &[AltName]) -> Outcome<()> {
        if self.key_file.exists() {
            let message = format!(
                "expected the key of `{}` to be in its device's TPM, found it at `{}`",
                self.entry.name,
                self.key_file.display()
            );
            return Err(Failure::error(ExitStatus::Input, "key-here", message).hint(
                "issue it from the device's own request: `fastness pki issue NAME --csr tunnels.csr`, of \
                 `/var/lib/fastness/requests`, or `pki renew NAME --csr …`",
            ));
        }
        for (names, common) in [(names, false), (common, true)] {
            names.iter().try_for_each(|name| check_name(&self.entry, name, common))?;
        }
        Ok(())
    }
}

/// The newest certificate of a name that is not revoked, and the lists of its authority.
fn find(folder: &Path, name: &str, lists: Option<String>) -> Outcome<Holder> {
    secret::check_name(name)?;
    let index = folder.join("index.json");
    let own: Option<Index> = if index.is_file() { Some(record::read_json(&index)?) } else { None };
    let mut own = own.into_iter().flat_map(|index| index.entries).rev();
    let (entry, place, roots, lists) =
        if let Some(entry) = own.find(|entry| entry.name == name && entry.revoked.is_none()) {
            let lists = read(&folder.join("root.crl.pem"))? + &read(&folder.join("crl.pem"))?;
            (entry, folder.join("issued"), folder.join("root.crt"), lists)
        } else {
            let of_company = accepted(folder)?.into_iter().filter(|entry| entry.name == name);
            let entry = of_company.max_by_key(|entry| entry.not_before).ok_or_else(|| not_issued(name))?;
            let roots = folder.join("accepted").join(format!("{}.ca.crt", entry.file));
            (entry, folder.join("accepted"), roots, lists.unwrap_or_default())
        };
    let chain = read(&place.join(format!("{}.crt", entry.file)))?;
    let roots = read(&roots)?;
    let key_file = place.join(format!("{}.key.pem", entry.file));
    Ok(Holder { entry, chain, roots, lists, key_file })
}

/// The certificates of a chain that verifies now.
fn check_chain(chain: &str, roots: &str, lists: &str, now: u64) -> Outcome<Vec<Certificate>> {
    let refused = |refusal| failure(&[refusal]);
    let certificates: Vec<Certificate> = read_pem(chain.as_bytes(), "CERTIFICATE").map_err(refused)?;
    let lists: Vec<CertificateList> = if lists.is_empty() {
        Vec::new()
    } else {
        read_pem(lists.as_bytes(), "X509 CRL").map_err(refused)?
    };
    let roots = read_pem(roots.as_bytes(), "CERTIFICATE").map_err(refused)?;
    let query =
        Query { chain: certificates.clone(), roots, lists, at: now, purpose: None, name: None, strict: true };
    match verify(&query) {
        Ok(_) => Ok(certificates),
        Err(refusals) => {
            let stale = refusals.iter().any(|r| matches!(r.code, "stale-crl" | "no-crl"));
            let failure = failure(&refusals);
            Err(if stale {
                failure.hint(
                    "`fastness pki crl` signs a new list; one of another authority is given with `--crl`",
                )
            } else {
                failure
            })
        }
    }
}

/// Whether a private key is that of a certificate.
///
/// # Errors
/// `key-mismatch`, and those of the key's file and passphrase.
pub fn check_pair(certificate: &Certificate, key_file: &Path, secret: &Secret) -> Outcome<()> {
    fs::metadata(key_file).map_err(|e| Failure::io("read", key_file, &e))?;
    let key = PrivateKey::from_der(&decrypt(key_file, &key_file.display().to_string(), secret)?)?;
    if certificate.tbs_certificate.subject_public_key_info == key.public()? {
        return Ok(());
    }
    Err(Failure::error(
        ExitStatus::Keys,
        "key-mismatch",
        format!("`{}` is not the private key of the certificate", key_file.display()),
    )
    .hint("compare `openssl x509 -pubkey` with `openssl pkey -pubout`"))
}
