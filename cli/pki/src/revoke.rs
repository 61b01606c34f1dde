//! Revoking, and the lists that say so (RFC 5280, 5).

use std::fs;
use std::path::PathBuf;

use diag::{Failure, Outcome};
use secret::Secret;
use x509_cert::certificate::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{OctetString, Uint};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::authority::{Authority, DAY, not_issued};
use crate::certificate::{authority_key, sign};
use crate::encode::{extension, pem, time};
use crate::index::{Entry, Reason, Revocation};
use crate::issuing::{certificate, pair, stem};
use crate::key::{PrivateKey, broken};

impl Authority {
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

    /// Signs the list of what is revoked, one for each issuing CA; they hold for `days`. Lists replace each other, certificates never do. Beside it
    /// `ocsp.index` says the same to a responder.
    ///
    /// # Errors
    /// Those of the passphrase and of files.
    pub fn crl(&mut self, days: u32, secret: &Secret) -> Outcome<PathBuf> {
        self.index.crl_number += 1;
        let mut text = String::new();
        for generation in 1..=self.index.issuing {
            let stem = stem(generation);
            let end = certificate(&self.folder, &stem)?.tbs_certificate.validity.not_after;
            // One that has ended is trusted by nobody, and has no list.
            if generation != self.index.issuing && end.to_unix_duration().as_secs() <= self.now {
                continue;
            }
            let (key, certificate) = pair(&self.folder, &stem, secret)?;
            let list = List {
                key: &key,
                issuer: &certificate.tbs_certificate.subject,
                public: &certificate.tbs_certificate.subject_public_key_info,
                number: self.index.crl_number,
                from: self.now,
                to: self.now + u64::from(days) * DAY,
            };
            let own = self.index.entries.iter().filter(|entry| entry.issuer == generation).cloned();
            text.push_str(&list.sign(&own.collect::<Vec<_>>())?);
        }
        self.save()?;
        let lines: String = self.index.entries.iter().map(Entry::line).collect();
        self.replace("ocsp.index", &lines)?;
        self.replace("crl.pem", &text)
    }

    pub(crate) fn replace(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let (path, part) = (self.folder.join(name), self.folder.join(format!("{name}.part")));
        fs::write(&part, text).map_err(|e| Failure::io("write", &part, &e))?;
        fs::rename(&part, &path).map_err(|e| Failure::io("write", &path, &e))?;
        Ok(path)
    }
}

/// A list that is to be signed.
pub(crate) struct List<'a> {
    pub(crate) key: &'a PrivateKey,
    pub(crate) issuer: &'a Name,
    pub(crate) public: &'a SubjectPublicKeyInfoOwned,
    /// cRLNumber (RFC 5280, 5.2.3).
    pub(crate) number: u64,
    /// thisUpdate, seconds since 1970.
    pub(crate) from: u64,
    /// nextUpdate, seconds since 1970.
    pub(crate) to: u64,
}

impl List<'_> {
    /// Signs the revoked ones of these entries; the list in PEM.
    pub(crate) fn sign(&self, entries: &[Entry]) -> Outcome<String> {
        let revoked = entries
            .iter()
            .filter_map(|entry| entry.revoked.map(|revocation| line(serial_of(&entry.serial), revocation)))
            .collect::<Outcome<Vec<_>>>()?;
        self.sign_lines(revoked)
    }

    /// Signs certificates of CAs; the list in PEM.
    pub(crate) fn sign_authorities(&self, revoked: &[(SerialNumber, Revocation)]) -> Outcome<String> {
        let lines = revoked.iter().map(|(serial, revocation)| line(Ok(serial.clone()), *revocation));
        self.sign_lines(lines.collect::<Outcome<_>>()?)
    }

    fn sign_lines(&self, revoked: Vec<RevokedCert>) -> Outcome<String> {
        let number = Uint::new(&self.number.to_be_bytes()).map_err(|e| broken(&e))?;
        let algorithm = self.key.signature_algorithm();
        let list = TbsCertList {
            version: Version::V2,
            signature: algorithm.clone(),
            issuer: self.issuer.clone(),
            this_update: time(self.from)?,
            next_update: Some(time(self.to)?),
            // An empty list has to be left out (RFC 5280, 5.1.2.6).
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![
                extension("2.5.29.35", false, &authority_key(self.public)?)?,
                extension("2.5.29.20", false, &number)?,
            ]),
        };
        let signature = sign(self.key, &list.to_der().map_err(|e| broken(&e))?)?;
        let list = CertificateList { tbs_cert_list: list, signature_algorithm: algorithm, signature };
        pem("X509 CRL", &list.to_der().map_err(|e| broken(&e))?)
    }
}

fn line(serial: Outcome<SerialNumber>, revocation: Revocation) -> Outcome<RevokedCert> {
    // CRLReason is an ENUMERATED of one byte.
    let reason = OctetString::new([0x0a, 1, revocation.reason.code()]).map_err(|e| broken(&e))?;
    Ok(RevokedCert {
        serial_number: serial?,
        revocation_date: time(revocation.at)?,
        crl_entry_extensions: Some(vec![Extension {
            extn_id: ObjectIdentifier::new_unwrap("2.5.29.21"),
            critical: false,
            extn_value: reason,
        }]),
    })
}

fn serial_of(text: &str) -> Outcome<SerialNumber> {
    let bytes: Result<Vec<u8>, _> = (0..text.len() / 2)
        .map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2).unwrap_or("x"), 16))
        .collect();
    SerialNumber::new(&bytes.map_err(|e| broken(&e))?).map_err(|e| broken(&e))
}
