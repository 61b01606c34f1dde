//! An authority in a folder: `root.crt`, `issuing.crt` and their encrypted keys, `index.json`, `issued/`, `crl/`.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::{read_json, sha256_hex, write_json_atomic};
use secret::{NewFile, Secret, check_name, decrypt, encrypt, open_store, publish};
use x509_cert::Certificate;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::{BitString, OctetString, Uint};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

use crate::encode::{
    COMMON_NAME, ORGANIZATION, SERIAL, distribution_point, extension, format_time, general_name, hex,
    key_identifier, name, pem, serial, time,
};
use crate::index::{Entry, Index, Reason, Revocation};
use crate::key::{Algorithm, PrivateKey, broken};
use crate::names::{AltName, is_host_name};
use crate::role::Role;

/// 2026-01-01: a clock before this was never set.
const EARLIEST: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

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
    /// Domains below which all host names must lie; none is no constraint.
    pub domains: Vec<String>,
}

/// What is to be issued.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the identity and common name.
    pub name: String,
    /// What for.
    pub role: Role,
    /// Alternative names; without any, the name itself if it is a host name.
    pub names: Vec<AltName>,
    /// serialNumber of the subject.
    pub device_serial: Option<String>,
    /// Days of validity instead of the role's.
    pub days: Option<u32>,
    /// Kind of the new key, when there is no CSR.
    pub algorithm: Algorithm,
    /// A CSR in PEM, whose holder keeps the key.
    pub csr: Option<Vec<u8>>,
}

/// What was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its entry.
    pub entry: Entry,
    /// The certificate and the issuing CA's, in PEM.
    pub path: PathBuf,
}

/// An authority that is locked for this run.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    index: Index,
    now: u64,
    _lock: FolderLock,
}

impl Authority {
    /// Makes a root and an issuing CA; both keys are encrypted with the passphrase.
    ///
    /// # Errors
    /// `key-exists` when there is an authority already, `clock-wrong`, `bad-name`, or when it cannot be written.
    pub fn init(folder: &Path, init: &Init, secret: &Secret, now: u64) -> Outcome<Self> {
        check_clock(now, EARLIEST)?;
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
        let subject = |what: &str| name(&[(ORGANIZATION, init.organization.as_str()), (COMMON_NAME, what)]);
        let root_name = subject(&format!("{} root CA", init.organization))?;
        let issuing_name = subject(&format!("{} issuing CA", init.organization))?;
        let root_key = PrivateKey::generate(init.algorithm)?;
        let issuing_key = PrivateKey::generate(init.algorithm)?;
        let (root_public, issuing_public) = (root_key.public()?, issuing_key.public()?);
        let end = now + u64::from(init.days) * DAY;
        let authority = |depth: u8| -> Outcome<Vec<Extension>> {
            Ok(vec![
                extension(
                    "2.5.29.19",
                    true,
                    &BasicConstraints { ca: true, path_len_constraint: Some(depth) },
                )?,
                extension("2.5.29.15", true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
            ])
        };
        let root = Signed { key: &root_key, issuer: &root_name, public: &root_public }.certificate(
            (now, time(end)?),
            &root_name,
            &root_public,
            authority(1)?,
            serial()?,
        )?;
        let mut extensions = authority(0)?;
        if !init.domains.is_empty() {
            extensions.push(extension("2.5.29.30", true, &constraints(&init.domains)?)?);
        }
        let half = now + u64::from(init.days) * DAY / 2;
        let issuing = Signed { key: &root_key, issuer: &root_name, public: &root_public }.certificate(
            (now, time(half)?),
            &issuing_name,
            &issuing_public,
            extensions,
            serial()?,
        )?;
        let root_sealed = encrypt(&root_key.to_der()?, secret)?;
        let issuing_sealed = encrypt(&issuing_key.to_der()?, secret)?;
        let (root, issuing) = (pem("CERTIFICATE", &root)?, pem("CERTIFICATE", &issuing)?);
        let file = |name: &str, content: &'_ [u8], mode| (name.to_owned(), content.to_vec(), mode);
        let public =
            [file("root.crt", root.as_bytes(), 0o644), file("issuing.crt", issuing.as_bytes(), 0o644)];
        let mut files: Vec<NewFile<'_>> = public
            .iter()
            .map(|(name, content, mode)| NewFile { name: name.clone(), content, mode: *mode })
            .collect();
        files.push(NewFile { name: "root.key.pem".into(), content: root_sealed.as_bytes(), mode: 0o600 });
        files.push(NewFile {
            name: "issuing.key.pem".into(),
            content: issuing_sealed.as_bytes(),
            mode: 0o600,
        });
        publish(folder, "authority", &files)?;
        let index = Index {
            schema_version: 1,
            organization: init.organization.clone(),
            crl_url: init.crl_url.clone(),
            crl_number: 0,
            latest: now,
            entries: Vec::new(),
        };
        write_json_atomic(&folder.join("index.json"), &index)?;
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

    /// Issues a certificate; with a new key unless there is a CSR.
    ///
    /// # Errors
    /// `already-issued`, `validity-too-long`, `no-name`, those of the CSR, of the passphrase and of files.
    pub fn issue(&mut self, request: &Request, secret: &Secret) -> Outcome<Issued> {
        check_name(&request.name)?;
        if let Some(entry) = self.valid(&request.name) {
            return Err(Failure::error(
                ExitStatus::Input,
                "already-issued",
                format!("`{}` has a certificate until {}", request.name, format_time(entry.not_after)),
            )
            .hint("`fastness pki renew` makes the next one; `fastness pki revoke` ends this one"));
        }
        self.issue_next(request, secret)
    }

    /// Issues the next certificate of an identity, with the role and names of its last one and a new key
    /// (or that of a CSR). The last one stays valid until it expires or is revoked.
    ///
    /// # Errors
    /// `not-issued`, and those of [`Authority::issue`].
    pub fn renew(
        &mut self,
        name: &str,
        algorithm: Algorithm,
        csr: Option<Vec<u8>>,
        days: Option<u32>,
        secret: &Secret,
    ) -> Outcome<Issued> {
        let last =
            self.index.entries.iter().rev().find(|e| e.name == name).ok_or_else(|| not_issued(name))?;
        let names = last.names.iter().filter_map(|name| name.parse().ok()).collect();
        let (role, device_serial) = (last.role, last.device_serial.clone());
        let request = Request { name: name.to_owned(), role, names, device_serial, days, algorithm, csr };
        self.issue_next(&request, secret)
    }

    /// Revokes all valid certificates of an identity, or the one with that serial number.
    ///
    /// # Errors
    /// `not-issued`, or when the index cannot be written.
    pub fn revoke(&mut self, name: &str, reason: Reason) -> Outcome<Vec<Entry>> {
        let mut revoked = Vec::new();
        for entry in self.index.entries.iter_mut().filter(|e| e.name == name || e.serial == name) {
            if entry.revoked.is_none() {
                entry.revoked = Some(Revocation { at: self.now, reason });
                revoked.push(entry.clone());
            }
        }
        if revoked.is_empty() {
            return Err(not_issued(name));
        }
        self.save()?;
        Ok(revoked)
    }

    /// Signs the list of what is revoked; it holds for `days`. Lists replace each other, certificates never do.
    ///
    /// # Errors
    /// Those of the passphrase and of files.
    pub fn crl(&mut self, days: u32, secret: &Secret) -> Outcome<PathBuf> {
        let (key, certificate) = self.issuer(secret)?;
        self.index.crl_number += 1;
        self.save()?;
        let mut revoked = Vec::new();
        for entry in &self.index.entries {
            let Some(revocation) = entry.revoked else { continue };
            let reason = OctetString::new([0x0a, 1, revocation.reason.code()]).map_err(|e| broken(&e))?;
            revoked.push(RevokedCert {
                serial_number: serial_of(&entry.serial)?,
                revocation_date: time(revocation.at)?,
                crl_entry_extensions: Some(vec![Extension {
                    extn_id: x509_cert::spki::ObjectIdentifier::new_unwrap("2.5.29.21"),
                    critical: false,
                    extn_value: reason,
                }]),
            });
        }
        let public = &certificate.tbs_certificate.subject_public_key_info;
        let number = Uint::new(&self.index.crl_number.to_be_bytes()).map_err(|e| broken(&e))?;
        let algorithm = key.signature_algorithm();
        let list = TbsCertList {
            version: Version::V2,
            signature: algorithm.clone(),
            issuer: certificate.tbs_certificate.subject.clone(),
            this_update: time(self.now)?,
            next_update: Some(time(self.now + u64::from(days) * DAY)?),
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![
                extension("2.5.29.35", false, &authority_key(public)?)?,
                extension("2.5.29.20", false, &number)?,
            ]),
        };
        let signature = sign(&key, &list.to_der().map_err(|e| broken(&e))?)?;
        let list = CertificateList { tbs_cert_list: list, signature_algorithm: algorithm, signature };
        let path = self.folder.join("crl.pem");
        let text = pem("X509 CRL", &list.to_der().map_err(|e| broken(&e))?)?;
        let part = self.folder.join("crl.part");
        fs::write(&part, text).map_err(|e| Failure::io("write", &part, &e))?;
        fs::rename(&part, &path).map_err(|e| Failure::io("write", &path, &e))?;
        Ok(path)
    }

    fn valid(&self, name: &str) -> Option<&Entry> {
        self.index.entries.iter().find(|e| e.name == name && e.revoked.is_none() && e.not_after > self.now)
    }

    fn issue_next(&mut self, request: &Request, secret: &Secret) -> Outcome<Issued> {
        let names = names_of(request)?;
        let (issuer_key, issuer) = self.issuer(secret)?;
        let (not_after, end) = self.end(request, &issuer)?;
        let (public, sealed) = match &request.csr {
            Some(csr) => (crate::csr::accept(csr, &names)?, None),
            None => {
                let key = PrivateKey::generate(request.algorithm)?;
                (key.public()?, Some(encrypt(&key.to_der()?, secret)?))
            }
        };
        let mut subject =
            vec![(ORGANIZATION, self.index.organization.as_str()), (COMMON_NAME, request.name.as_str())];
        if let Some(serial) = &request.device_serial {
            subject.push((SERIAL, serial.as_str()));
        }
        let number = serial()?;
        let extensions = leaf_extensions(request.role, &names, self.index.crl_url.as_deref())?;
        let signer = Signed {
            key: &issuer_key,
            issuer: &issuer.tbs_certificate.subject,
            public: &issuer.tbs_certificate.subject_public_key_info,
        };
        let der =
            signer.certificate((self.now, end), &name(&subject)?, &public, extensions, number.clone())?;
        let generation = 1 + self.index.entries.iter().filter(|e| e.name == request.name).count();
        // No name of an identity has a `+`.
        let file =
            if generation == 1 { request.name.clone() } else { format!("{}+{generation}", request.name) };
        let entry = Entry {
            name: request.name.clone(),
            file: file.clone(),
            role: request.role,
            names: names.iter().map(ToString::to_string).collect(),
            device_serial: request.device_serial.clone(),
            serial: hex(number.as_bytes()),
            not_before: self.now,
            not_after,
            sha256: sha256_hex(&der),
            revoked: None,
        };
        self.index.entries.push(entry.clone());
        self.save()?;
        let issued = self.folder.join("issued");
        open_store(&issued)?;
        let chain = pem("CERTIFICATE", &der)? + &read(&self.folder.join("issuing.crt"))?;
        let mut files = vec![NewFile { name: format!("{file}.crt"), content: chain.as_bytes(), mode: 0o644 }];
        if let Some(sealed) = &sealed {
            files.push(NewFile { name: format!("{file}.key.pem"), content: sealed.as_bytes(), mode: 0o600 });
        }
        publish(&issued, &file, &files)?;
        Ok(Issued { entry, path: issued.join(format!("{file}.crt")) })
    }

    /// The end of a new certificate: never after its issuer's, but for an IDevID (IEEE 802.1AR, 8.7).
    fn end(&self, request: &Request, issuer: &Certificate) -> Outcome<(u64, Time)> {
        if request.role == Role::Idevid {
            let seconds = Time::INFINITY.to_unix_duration().as_secs();
            return Ok((seconds, Time::INFINITY));
        }
        let not_after = self.now + u64::from(request.days.unwrap_or(request.role.days())) * DAY;
        let bound = issuer.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        if not_after > bound || not_after <= self.now {
            return Err(Failure::error(
                ExitStatus::Input,
                "validity-too-long",
                format!(
                    "expected a validity of at least a day that ends before its issuer's on {}, found {}",
                    format_time(bound),
                    format_time(not_after)
                ),
            )
            .hint("ask for another number of days with `--days`, or make a new issuing CA"));
        }
        Ok((not_after, time(not_after)?))
    }

    fn issuer(&self, secret: &Secret) -> Outcome<(PrivateKey, Certificate)> {
        let key = PrivateKey::from_der(&decrypt(&self.folder.join("issuing.key.pem"), "issuing", secret)?)?;
        let path = self.folder.join("issuing.crt");
        let damaged = |why: &str| {
            Failure::error(ExitStatus::Keys, "key-mismatch", format!("`{}`: {why}", path.display()))
                .hint("take all files of the authority from the same backup")
        };
        let (_, der) = x509_cert::der::pem::decode_vec(read(&path)?.as_bytes())
            .map_err(|_| damaged("expected one certificate in PEM"))?;
        let certificate = Certificate::from_der(&der).map_err(|_| damaged("it is no certificate"))?;
        if certificate.tbs_certificate.subject_public_key_info != key.public()? {
            return Err(damaged("certificate and private key do not belong together"));
        }
        Ok((key, certificate))
    }

    fn save(&mut self) -> Outcome<()> {
        self.index.latest = self.now;
        write_json_atomic(&self.folder.join("index.json"), &self.index)
    }
}

/// Who signs.
struct Signed<'a> {
    key: &'a PrivateKey,
    issuer: &'a Name,
    public: &'a SubjectPublicKeyInfoOwned,
}

impl Signed<'_> {
    fn certificate(
        &self,
        (from, to): (u64, Time),
        subject: &Name,
        public: &SubjectPublicKeyInfoOwned,
        mut extensions: Vec<Extension>,
        number: SerialNumber,
    ) -> Outcome<Vec<u8>> {
        extensions.push(extension("2.5.29.14", false, &SubjectKeyIdentifier(key_identifier(public)?))?);
        extensions.push(extension("2.5.29.35", false, &authority_key(self.public)?)?);
        let algorithm = self.key.signature_algorithm();
        let tbs_certificate = TbsCertificate {
            version: Version::V3,
            serial_number: number,
            signature: algorithm.clone(),
            issuer: self.issuer.clone(),
            validity: Validity { not_before: time(from)?, not_after: to },
            subject: subject.clone(),
            subject_public_key_info: public.clone(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        };
        let signature = sign(self.key, &tbs_certificate.to_der().map_err(|e| broken(&e))?)?;
        let certificate = Certificate { tbs_certificate, signature_algorithm: algorithm, signature };
        certificate.to_der().map_err(|e| broken(&e))
    }
}

fn sign(key: &PrivateKey, message: &[u8]) -> Outcome<BitString> {
    BitString::from_bytes(&key.sign(message)?).map_err(|e| broken(&e))
}

fn authority_key(public: &SubjectPublicKeyInfoOwned) -> Outcome<AuthorityKeyIdentifier> {
    Ok(AuthorityKeyIdentifier { key_identifier: Some(key_identifier(public)?), ..Default::default() })
}

/// The extensions of an identity that do not depend on its key (RFC 5280, 4.2).
fn leaf_extensions(role: Role, names: &[AltName], crl_url: Option<&str>) -> Outcome<Vec<Extension>> {
    let usage = match role {
        // OPC 10000-6, 6.2.2, table 34.
        Role::Opcua => {
            KeyUsages::DigitalSignature
                | KeyUsages::NonRepudiation
                | KeyUsages::KeyEncipherment
                | KeyUsages::DataEncipherment
        }
        _ => KeyUsages::DigitalSignature.into(),
    };
    let mut all = vec![
        extension("2.5.29.19", true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension("2.5.29.15", true, &KeyUsage(usage))?,
    ];
    if !role.usages().is_empty() {
        all.push(extension("2.5.29.37", false, &ExtendedKeyUsage(role.usages().to_vec()))?);
    }
    if !names.is_empty() {
        let names = names.iter().map(general_name).collect::<Outcome<Vec<_>>>()?;
        all.push(extension("2.5.29.17", false, &SubjectAltName(names))?);
    }
    if let Some(url) = crl_url {
        all.push(extension("2.5.29.31", false, &CrlDistributionPoints(distribution_point(url)?))?);
    }
    Ok(all)
}

fn constraints(domains: &[String]) -> Outcome<NameConstraints> {
    let mut permitted = Vec::new();
    for domain in domains {
        let name: AltName = format!("dns:{domain}").parse().map_err(|why| {
            Failure::error(ExitStatus::Input, "bad-name", format!("{why}"))
                .hint("give a domain such as `plant.example`")
        })?;
        let base: GeneralName = general_name(&name)?;
        permitted.push(GeneralSubtree { base, minimum: 0, maximum: None });
    }
    Ok(NameConstraints { permitted_subtrees: Some(permitted), excluded_subtrees: None })
}

fn names_of(request: &Request) -> Outcome<Vec<AltName>> {
    let mut names = request.names.clone();
    if names.is_empty() && request.role.needs_host_name() && is_host_name(&request.name) {
        names.push(AltName::Dns(request.name.to_ascii_lowercase()));
    }
    let missing = |what: &str| {
        Err(Failure::error(
            ExitStatus::Input,
            "no-name",
            format!("expected {what} for `{}` as {}, found none", request.name, request.role.name()),
        )
        .hint("give it with `--san`"))
    };
    if request.role.needs_host_name() && !names.iter().any(|n| matches!(n, AltName::Dns(_) | AltName::Ip(_)))
    {
        return missing("a `dns:` or `ip:` name");
    }
    if request.role == Role::Opcua && !names.iter().any(|n| matches!(n, AltName::Uri(_))) {
        return missing("a `uri:` name (OPC 10000-6, 6.2.2)");
    }
    if request.role == Role::Idevid && request.device_serial.is_none() {
        return Err(Failure::error(
            ExitStatus::Input,
            "no-name",
            format!(
                "expected a serial number of the device `{}` (IEEE 802.1AR, 8.6), found none",
                request.name
            ),
        )
        .hint("give it with `--device-serial`"));
    }
    names.sort();
    names.dedup();
    Ok(names)
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

fn serial_of(text: &str) -> Outcome<SerialNumber> {
    let bytes: Result<Vec<u8>, _> = (0..text.len() / 2)
        .map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2).unwrap_or("x"), 16))
        .collect();
    SerialNumber::new(&bytes.map_err(|e| broken(&e))?).map_err(|e| broken(&e))
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}

fn not_issued(name: &str) -> Failure {
    Failure::error(
        ExitStatus::Input,
        "not-issued",
        format!("there is no valid certificate of `{}`", name.escape_debug()),
    )
    .hint("`fastness pki show` lists what was issued")
}
