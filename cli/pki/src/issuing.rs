//! The next issuing CA below the same root: whoever trusts the root trusts what both have signed, and the former one
//! goes on signing the list of its own certificates until it ends.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use secret::{NewFile, Secret, decrypt, encrypt, publish};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use crate::authority::{Authority, DAY, STAGED, read};
use crate::certificate::{Signed, authority_extensions};
use crate::encode::{COMMON_NAME, ORGANIZATION, format_time, name, pem, serial, time};
use crate::index::{Reason, Revocation, StolenIssuing};
use crate::key::{Algorithm, PrivateKey};
use crate::revoke::List;

/// Days for which the first list of a new issuing CA holds.
const FIRST_LIST: u32 = 30;

/// Stem of the files of an issuing CA: the first one has no number.
pub(crate) fn stem(generation: u32) -> String {
    if generation == 1 { "issuing".to_owned() } else { format!("issuing+{generation}") }
}

impl Authority {
    /// Makes the next issuing CA, with the constraints of the present one, and lists for both; what is issued from then on is
    /// the new one's. The root's key is needed for this alone.
    ///
    /// With `stolen`, the root's list names all former ones, since whoever had the key of one had the folder in which they all lie, and
    /// everything that they issued is revoked.
    ///
    /// # Errors
    /// `no-key` when the root's key is elsewhere, `key-mismatch`, `root-ends`, those of the passphrase and of files.
    pub fn next_issuing(&mut self, algorithm: Algorithm, stolen: bool, secret: &Secret) -> Outcome<PathBuf> {
        let (root_key, root) = self.root(secret)?;
        let validity = root.tbs_certificate.validity;
        let seconds = |time: Time| time.to_unix_duration().as_secs();
        let (from, to) = (seconds(validity.not_before), seconds(validity.not_after));
        let end = to.min(self.now + to.saturating_sub(from) / 2);
        if end < self.now + DAY {
            return Err(Failure::error(
                ExitStatus::Keys,
                "root-ends",
                format!("the root ends on {}: nothing new goes below it", format_time(to)),
            )
            .hint("make a new authority with `fastness pki init --pki DIR`"));
        }
        let (_, former) = self.issuer(secret)?;
        let former = former.tbs_certificate;
        // A run that was killed may have left files that no index names: they are never overwritten.
        let taken = |generation: &u32| self.folder.join(format!("{}.crt", stem(*generation))).exists();
        let generation = (self.index.issuing + 1..).find(|generation| !taken(generation)).unwrap_or(u32::MAX);
        let common = format!("{} issuing CA {generation}", self.index.organization);
        let subject =
            name(&[(ORGANIZATION, self.index.organization.as_str()), (COMMON_NAME, common.as_str())])?;
        let key = PrivateKey::generate(algorithm)?;
        let mut extensions = authority_extensions(0)?;
        let constraints =
            |extension: &&x509_cert::ext::Extension| extension.extn_id.to_string() == "2.5.29.30";
        extensions.extend(former.extensions.iter().flatten().find(constraints).cloned());
        let signer = Signed {
            key: &root_key,
            issuer: &root.tbs_certificate.subject,
            public: &root.tbs_certificate.subject_public_key_info,
        };
        let der =
            signer.certificate((self.now, time(end)?), &subject, &key.public()?, extensions, serial()?)?;
        let (certificate, sealed) = (pem("CERTIFICATE", &der)?, encrypt(&key.to_der()?, secret)?);
        let file =
            |end: &str, content, mode| NewFile { name: format!("{}.{end}", stem(generation)), content, mode };
        publish(
            &self.folder,
            STAGED,
            &[file("crt", certificate.as_bytes(), 0o644), file("key.pem", sealed.as_bytes(), 0o600)],
        )?;
        // The root's list has to hold as long as the last of them.
        let list = List {
            key: &root_key,
            issuer: &root.tbs_certificate.subject,
            public: &root.tbs_certificate.subject_public_key_info,
            number: generation.into(),
            from: self.now,
            to: end.max(seconds(former.validity.not_after)),
        };
        if stolen {
            self.revoke_issuing();
        }
        self.replace("root.crl.pem", &list.sign_authorities(&self.stolen()?)?)?;
        self.index.issuing = generation;
        self.save()?;
        self.crl(FIRST_LIST, secret)?;
        Ok(self.folder.join(format!("{}.crt", stem(generation))))
    }

    /// Every issuing CA until now, and what they issued.
    fn revoke_issuing(&mut self) {
        let known: Vec<u32> = self.index.issuing_stolen.iter().map(|gone| gone.issuer).collect();
        // What a killed run left is no CA that issued anything.
        let files = (1..=self.index.issuing)
            .filter(|issuer| self.folder.join(format!("{}.crt", stem(*issuer))).exists());
        let fresh = files
            .filter(|issuer| !known.contains(issuer))
            .map(|issuer| StolenIssuing { issuer, at: self.now });
        let fresh: Vec<StolenIssuing> = fresh.collect();
        self.index.issuing_stolen.extend(fresh);
        let revocation = Revocation { at: self.now, reason: Reason::CaCompromise };
        for entry in self.index.entries.iter_mut().filter(|entry| entry.revoked.is_none()) {
            entry.revoked = Some(revocation);
        }
    }

    /// What the root's list has to say.
    fn stolen(&self) -> Outcome<Vec<(SerialNumber, Revocation)>> {
        let line = |gone: &StolenIssuing| {
            let serial = certificate(&self.folder, &stem(gone.issuer))?.tbs_certificate.serial_number;
            Ok((serial, Revocation { at: gone.at, reason: Reason::CaCompromise }))
        };
        self.index.issuing_stolen.iter().map(line).collect()
    }

    fn root(&self, secret: &Secret) -> Outcome<(PrivateKey, Certificate)> {
        let path = self.folder.join("root.key.pem");
        if !path.is_file() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "no-key",
                format!("the root's private key is not in `{}`", self.folder.display()),
            )
            .hint("bring `root.key.pem` back for as long as this takes"));
        }
        pair(&self.folder, "root", secret)
    }
}

/// A CA's key and certificate, which have to belong together.
pub(crate) fn pair(folder: &Path, stem: &str, secret: &Secret) -> Outcome<(PrivateKey, Certificate)> {
    let key = PrivateKey::from_der(&decrypt(&folder.join(format!("{stem}.key.pem")), stem, secret)?)?;
    let certificate = certificate(folder, stem)?;
    if certificate.tbs_certificate.subject_public_key_info != key.public()? {
        return Err(damaged(
            &folder.join(format!("{stem}.crt")),
            "certificate and private key do not belong together",
        ));
    }
    Ok((key, certificate))
}

/// A CA's certificate.
pub(crate) fn certificate(folder: &Path, stem: &str) -> Outcome<Certificate> {
    let path = folder.join(format!("{stem}.crt"));
    let (_, der) = x509_cert::der::pem::decode_vec(read(&path)?.as_bytes())
        .map_err(|_| damaged(&path, "expected one certificate in PEM"))?;
    Certificate::from_der(&der).map_err(|_| damaged(&path, "it is no certificate"))
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::error(ExitStatus::Keys, "key-mismatch", format!("`{}`: {why}", path.display()))
        .hint("take all files of the authority from the same backup")
}
