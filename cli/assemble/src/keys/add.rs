//! Keys whose private half is elsewhere: added with their public half.

use ::record::KeyMark;
use diag::{ExitStatus, Failure, Outcome};
use secret::{NewFile, Secret, check_name, open_store, publish};

use super::certificate;
use super::elsewhere::refuse_no_program;
use super::record::KeyRecord;
use super::store::{KeyStore, cannot_make, kind_of};
use super::token::TokenSigner;
use super::uri::KeyUri;

/// A key to be added whose private half is elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct AddKey<'a> {
    /// Name; see [`KeyRecord::name`].
    pub name: &'a str,
    /// [`KeyUri`].
    pub uri: &'a str,
    /// Public half (PEM: SubjectPublicKeyInfo or a certificate of X.509); a token tells its own.
    pub public_pem: Option<&'a str>,
    /// Whether it may sign a release.
    pub mark: KeyMark,
    /// The time to note down, in seconds since 1970.
    pub created: u64,
    /// PIN of a token.
    pub secret: &'a Secret,
}

impl KeyStore {
    /// Adds a key whose private half is elsewhere; that of a token is asked for its public half.
    ///
    /// # Errors
    /// `key-uri`, `no-signer`, `key-exists`, `certificate-expired`, `certificate-not-yet-valid`, `key-size`, `key-format`, `published-key` for a release, and those of a token, also of its certificate.
    pub fn add(&self, asked: &AddKey<'_>) -> Outcome<KeyRecord> {
        check_name(asked.name)?;
        let uri = KeyUri::parse(asked.uri)?;
        if let KeyUri::Program(program) = &uri {
            refuse_no_program(program)?;
        }
        let mut not_after = None;
        let key = match (&uri, asked.public_pem) {
            (KeyUri::Token(token), None) => {
                let signer = TokenSigner::open(token, asked.secret)?;
                not_after = signer.ends();
                signer.public().clone()
            }
            (KeyUri::Token(_), Some(_)) => {
                return Err(Failure::error(
                    ExitStatus::Usage,
                    "key-uri",
                    "a token tells its public key itself",
                ));
            }
            (_, Some(pem)) if certificate::is_one(pem) => {
                let (key, ends) = certificate::read(pem, certificate::now()?)?;
                not_after = Some(ends);
                key
            }
            (_, Some(pem)) => fit::key::PublicKey::from_pem(pem)
                .map_err(|e| Failure::error(ExitStatus::Keys, "key-format", e.to_string()))?,
            (_, None) => {
                return Err(Failure::error(
                    ExitStatus::Usage,
                    "key-uri",
                    format!("`{}` needs the public key", asked.uri),
                )
                .hint("give it with `--public FILE`: the key or its certificate, as PEM"));
            }
        };
        let Some(kind) = key.kind() else {
            return Err(Failure::error(
                ExitStatus::Keys,
                "key-size",
                format!("expected a key of RSA with 2048, 3072 or 4096 bits, found one with {}", key.bits()),
            ));
        };
        let pem = key.to_pem().map_err(|e| cannot_make(&e))?;
        let record = KeyRecord {
            schema_version: 1,
            name: asked.name.to_owned(),
            kind: kind_of(kind),
            bits: u32::try_from(key.bits()).unwrap_or_default(),
            mark: asked.mark,
            created: asked.created,
            fingerprint: key.fingerprint().map_err(|e| cannot_make(&e))?,
            place: Some(asked.uri.to_owned()),
            not_after,
        };
        if asked.mark == KeyMark::Release
            && let Some(source) = record.published_at()
        {
            return Err(record.published(source));
        }
        open_store(self.folder())?;
        let mut json = serde_json::to_vec_pretty(&record).map_err(|e| cannot_make(&e))?;
        json.push(b'\n');
        let stem = asked.name;
        let files = [
            NewFile { name: format!("{stem}.pub.pem"), content: pem.as_bytes(), mode: 0o644 },
            NewFile { name: format!("{stem}.json"), content: &json, mode: 0o644 },
        ];
        publish(self.folder(), stem, &files)?;
        Ok(record)
    }
}
