//! An authority in a folder: `root.crt`, `issuing.crt` and their encrypted keys, `root.crl.pem`, `crl.pem`,
//! `index.json`, `issued/`.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::{read_json, write_json_atomic};
use secret::{NewFile, Secret, encrypt, open_store, publish, settle};
use x509_cert::Certificate;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::certificate::{Signed, authority_extensions, constraints};
use crate::encode::{COMMON_NAME, ORGANIZATION, extension, format_time, name, pem, serial, time};
use crate::index::Index;
use crate::issuing::{pair, stem};
use crate::key::{Algorithm, PrivateKey, broken};
use crate::revoke::List;

/// 2026-01-01: a clock before this was never set.
const EARLIEST: u64 = 1_767_225_600;
pub(crate) const DAY: u64 = 86_400;
/// Validity of the first, empty list of an authority.
const FIRST_LIST: u64 = 30 * DAY;
/// Under this name [`publish`] keeps an authority that is not finished.
pub(crate) const STAGED: &str = "authority";
/// Roots of more than a century outlive the form of their times.
const MOST_DAYS: u32 = 36_500;

/// What a new authority is to be.
#[derive(Clone, Debug)]
pub struct Init {
    /// Organization of all subjects.
    pub organization: String,
    /// Keys of root and issuing CA.
    pub algorithm: Algorithm,
    /// Validity of the root; the issuing CA has half of it.
    pub days: u32,
    /// Where the CRL will be published.
    pub crl_url: Option<String>,
    /// Where an OCSP responder will answer: every certificate says it.
    pub ocsp_url: Option<String>,
    /// Domains below which all host names must lie; none is no constraint.
    pub domains: Vec<String>,
}

/// An authority that is locked for this run.
#[derive(Debug)]
pub struct Authority {
    pub(crate) folder: PathBuf,
    pub(crate) index: Index,
    pub(crate) now: u64,
    _lock: FolderLock,
}

impl Authority {
    /// Makes a root and an issuing CA; both keys are encrypted with the passphrase.
    ///
    /// All files appear together, `index.json` last. What a killed run left is taken back by the next.
    ///
    /// # Errors
    /// `key-exists` when there is an authority already, `clock-wrong`, `bad-name`, or when it cannot be written.
    pub fn init(folder: &Path, init: &Init, secret: &Secret, now: u64) -> Outcome<Self> {
        check_clock(now, EARLIEST)?;
        check_init(init)?;
        open_store(folder)?;
        let lock = FolderLock::take(folder)?;
        if folder.join("index.json").exists() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "key-exists",
                format!("there is an authority in `{}` already; it is never overwritten", folder.display()),
            )
            .hint("name another folder with `--pki`"));
        }
        let root = Ca::new(init, "root CA")?;
        let issuing = Ca::new(init, "issuing CA")?;
        let (end, half) = (now + u64::from(init.days) * DAY, now + u64::from(init.days) * DAY / 2);
        let root_crt = root.signed().certificate(
            (now, time(end)?),
            &root.name,
            &root.public,
            authority_extensions(1)?,
            serial()?,
        )?;
        let mut extensions = authority_extensions(0)?;
        if !init.domains.is_empty() {
            extensions.push(extension("2.5.29.30", true, &constraints(&init.domains)?)?);
        }
        let issuing_crt = root.signed().certificate(
            (now, time(half)?),
            &issuing.name,
            &issuing.public,
            extensions,
            serial()?,
        )?;
        let index = Index {
            schema_version: 1,
            organization: init.organization.clone(),
            crl_url: init.crl_url.clone(),
            ocsp_url: init.ocsp_url.clone(),
            issuing: 1,
            issuing_stolen: Vec::new(),
            crl_number: 1,
            latest: now,
            entries: Vec::new(),
            ssh: Vec::new(),
            ssh_keys_revoked: Vec::new(),
        };
        // The root signs nothing but the issuing CA: its list holds as long as that, and its key can be put away.
        let root_list = root.list(now, half).sign(&[])?;
        let list = issuing.list(now, now + FIRST_LIST).sign(&[])?;
        let (root_crt, issuing_crt) = (pem("CERTIFICATE", &root_crt)?, pem("CERTIFICATE", &issuing_crt)?);
        let (root_key, issuing_key) = (root.sealed(secret)?, issuing.sealed(secret)?);
        let index_text = serde_json::to_vec_pretty(&index).map_err(|e| broken(&e))?;
        let file = |name: &str, content, mode| NewFile { name: name.to_owned(), content, mode };
        publish(
            folder,
            STAGED,
            &[
                file("root.crt", root_crt.as_bytes(), 0o644),
                file("issuing.crt", issuing_crt.as_bytes(), 0o644),
                file("root.crl.pem", root_list.as_bytes(), 0o644),
                file("crl.pem", list.as_bytes(), 0o644),
                file("root.key.pem", root_key.as_bytes(), 0o600),
                file("issuing.key.pem", issuing_key.as_bytes(), 0o600),
                file("index.json", &index_text, 0o644),
            ],
        )?;
        Ok(Self { folder: folder.to_owned(), index, now, _lock: lock })
    }

    /// Opens and locks the authority in a folder.
    ///
    /// # Errors
    /// `no-authority`, `folder-busy`, or `clock-wrong` when `now` is before something that was done here.
    pub fn open(folder: &Path, now: u64) -> Outcome<Self> {
        if !folder.join("index.json").is_file() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "no-authority",
                format!("there is no authority in `{}`", folder.display()),
            )
            .hint("make one with `fastness pki init`, or name its folder with `--pki`"));
        }
        secret::check_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        // The index is the last file to appear: with it, all are there.
        settle(folder, STAGED)?;
        let index: Index = read_json(&folder.join("index.json"))?;
        check_clock(now, index.latest.max(EARLIEST))?;
        Ok(Self { folder: folder.to_owned(), index, now, _lock: lock })
    }

    /// Everything issued.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SHA-256 of the root's certificate, by which others know that they got the right one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn root_sha256(&self) -> Outcome<String> {
        let text = read(&self.folder.join("root.crt"))?;
        let (_, der) = x509_cert::der::pem::decode_vec(text.as_bytes()).map_err(|e| broken(&e))?;
        Ok(record::sha256_hex(&der))
    }

    pub(crate) fn issuer(&self, secret: &Secret) -> Outcome<(PrivateKey, Certificate)> {
        pair(&self.folder, &stem(self.index.issuing), secret)
    }

    pub(crate) fn save(&mut self) -> Outcome<()> {
        self.index.latest = self.now;
        write_json_atomic(&self.folder.join("index.json"), &self.index)
    }
}

/// A CA in the making.
struct Ca {
    key: PrivateKey,
    public: SubjectPublicKeyInfoOwned,
    name: Name,
}

impl Ca {
    fn new(init: &Init, what: &str) -> Outcome<Self> {
        let common = format!("{} {what}", init.organization);
        let name = name(&[(ORGANIZATION, init.organization.as_str()), (COMMON_NAME, common.as_str())])?;
        let key = PrivateKey::generate(init.algorithm)?;
        Ok(Self { public: key.public()?, key, name })
    }

    fn signed(&self) -> Signed<'_> {
        Signed { key: &self.key, issuer: &self.name, public: &self.public }
    }

    fn list(&self, from: u64, to: u64) -> List<'_> {
        List { key: &self.key, issuer: &self.name, public: &self.public, number: 1, from, to }
    }

    fn sealed(&self, secret: &Secret) -> Outcome<zeroize::Zeroizing<String>> {
        encrypt(&self.key.to_der()?, secret)
    }
}

fn check_init(init: &Init) -> Outcome<()> {
    if !(2..=MOST_DAYS).contains(&init.days) {
        return Err(Failure::error(
            ExitStatus::Input,
            "bad-validity",
            format!("expected a validity of 2 to {MOST_DAYS} days, found {}", init.days),
        )
        .hint("7300 days are twenty years"));
    }
    // A URL gets into each certificate, and from there into what others run.
    for url in init.crl_url.iter().chain(&init.ocsp_url) {
        if !url.starts_with("http://") || format!("uri:{url}").parse::<crate::AltName>().is_err() {
            return Err(Failure::error(
                ExitStatus::Input,
                "bad-url",
                format!("expected an address `http://…` of printable ASCII, found `{}`", url.escape_debug()),
            )
            .hint("lists and answers are signed; over `https` their check would need another one in turn (RFC 5280, 8)"));
        }
    }
    Ok(())
}

fn check_clock(now: u64, earliest: u64) -> Outcome<()> {
    if now >= earliest {
        return Ok(());
    }
    Err(Failure::error(
        ExitStatus::Environment,
        "clock-wrong",
        format!("the clock says {}, but it is {} or later", format_time(now), format_time(earliest)),
    )
    .hint("set the clock; certificates of a wrong time are refused by everybody else"))
}

pub(crate) fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}

pub(crate) fn not_issued(name: &str) -> Failure {
    Failure::error(
        ExitStatus::Input,
        "not-issued",
        format!("there is no valid certificate of `{}`", name.escape_debug()),
    )
    .hint("`fastness pki list` lists what was issued")
}
