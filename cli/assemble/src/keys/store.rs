//! Making, finding, opening and checking keys.

use std::fs;
use std::path::{Path, PathBuf};

use ::record::{KeyMark, sha256_hex};
use diag::{ExitStatus, Failure, Outcome};
use fit::key::KeyType;
use pkcs8::der::pem::LineEnding;
use pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, SecretDocument};
use rand_core::{OsRng, RngCore};
use rsa::RsaPrivateKey;
use secret::{
    NewFile, PassphraseSource, Secret, check_folder, check_name, decrypt, encrypt, open_store, publish,
};
use zeroize::Zeroizing;

use super::elsewhere::{OfflineSigner, ProgramSigner, refuse_no_program};
use super::evidence::{EvidenceKey, EvidencePublicKey};
use super::record::{KeyKind, KeyRecord, NewKey};
use super::signing::{PublicKey, SigningKey};
use super::token::TokenSigner;
use super::uri::KeyUri;

/// End of the name of a key's list of answers.
const ANSWERS: &str = "answered";

/// A folder with keys.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

impl KeyStore {
    /// The store in that folder; it is made with the first key.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a key of the boot chain, encrypted with the passphrase.
    ///
    /// # Errors
    /// `key-exists` (nothing is overwritten), `key-name`, or when the store cannot be written.
    pub fn new_key(&self, new: &NewKey, secret: &Secret) -> Outcome<KeyRecord> {
        self.new_boot(new, secret, &[])
    }

    /// Makes a key of the boot chain marked as made for development, with a random passphrase that is kept beside it in
    /// `NAME.passphrase` (mode 0600), so that unattended runs can open it.
    ///
    /// # Errors
    /// As [`KeyStore::new_key`].
    pub fn new_development_key(&self, name: &str, key: KeyType, created: u64) -> Outcome<KeyRecord> {
        let new = NewKey { name: name.to_owned(), key, mark: KeyMark::Development, created };
        let passphrase = random_passphrase();
        let beside = NewFile { name: format!("{name}.passphrase"), content: passphrase.bytes(), mode: 0o600 };
        self.new_boot(&new, &passphrase, &[beside])
    }

    /// Makes an Ed25519 key for evidence, encrypted with the passphrase.
    ///
    /// # Errors
    /// As [`KeyStore::new_key`].
    pub fn new_evidence_key(&self, new: &NewKey, secret: &Secret) -> Outcome<KeyRecord> {
        self.new_ed25519(new, secret, &[])
    }

    /// Makes an Ed25519 key for evidence as [`KeyStore::new_development_key`] makes one of the boot chain.
    ///
    /// # Errors
    /// As [`KeyStore::new_key`].
    pub fn new_development_evidence_key(&self, name: &str, created: u64) -> Outcome<KeyRecord> {
        let new =
            NewKey { name: name.to_owned(), key: KeyType::Rsa2048, mark: KeyMark::Development, created };
        let passphrase = random_passphrase();
        let beside = NewFile { name: format!("{name}.passphrase"), content: passphrase.bytes(), mode: 0o600 };
        self.new_ed25519(&new, &passphrase, &[beside])
    }

    /// Where the passphrase is looked for when the user does not say: the file beside a development key, if
    /// there is one, otherwise the prompt.
    #[must_use]
    pub fn default_passphrase(&self, name: &str) -> PassphraseSource {
        let beside = self.path(name, "passphrase");
        if check_name(name).is_ok() && beside.is_file() {
            PassphraseSource::File(beside)
        } else {
            PassphraseSource::Prompt
        }
    }

    /// Opens a key of the boot chain.
    ///
    /// # Errors
    /// `missing-key`, `certificate-expired`, `wrong-passphrase`, `key-permissions`, or `key-mismatch` when the private key is not
    /// that of the record.
    pub fn load_signing(&self, name: &str, secret: &Secret) -> Outcome<SigningKey> {
        let public = self.public(name)?;
        public.record.refuse_ended()?;
        if let Some(place) = public.record.place.clone() {
            return self.elsewhere(public, &place, secret);
        }
        let der = self.open(name, secret)?;
        let signer = fit::sign::signer_from_der(der.as_bytes()).map_err(|e| self.wrong_format(name, &e))?;
        if signer.public_key() != public.key {
            return Err(self.mismatch(name, "private and public key do not belong together"));
        }
        Ok(SigningKey { record: public.record, key: public.key, signer })
    }

    /// Opens an Ed25519 key.
    ///
    /// # Errors
    /// As [`KeyStore::load_signing`].
    pub fn load_evidence(&self, name: &str, secret: &Secret) -> Outcome<EvidenceKey> {
        let public = self.evidence_public(name)?;
        let der = self.open(name, secret)?;
        let private = ed25519_dalek::SigningKey::from_pkcs8_der(der.as_bytes())
            .map_err(|e| self.wrong_format(name, &e))?;
        if private.verifying_key() != public.key {
            return Err(self.mismatch(name, "private and public key do not belong together"));
        }
        Ok(EvidenceKey { record: public.record, private })
    }

    /// The public part of a key of the boot chain; needs no passphrase.
    ///
    /// # Errors
    /// `missing-key`, `key-format`, or `key-mismatch` when it is not the key of its record.
    pub fn public(&self, name: &str) -> Outcome<PublicKey> {
        let (record, pem) = self.read_public(name, false)?;
        let key = fit::key::PublicKey::from_pem(&pem).map_err(|e| self.wrong_format(name, &e))?;
        let der = key.to_der().map_err(|e| self.wrong_format(name, &e))?;
        self.compare(&record, der.as_bytes())?;
        if key.kind_name() != record.kind_name() {
            return Err(self.mismatch(name, &format!("its public key is {}", key.kind_name())));
        }
        Ok(PublicKey { record, key })
    }

    /// The public part of an Ed25519 key; needs no passphrase.
    ///
    /// # Errors
    /// As [`KeyStore::public`].
    pub fn evidence_public(&self, name: &str) -> Outcome<EvidencePublicKey> {
        let (record, pem) = self.read_public(name, true)?;
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(&pem)
            .map_err(|e| self.wrong_format(name, &e))?;
        let der = key.to_public_key_der().map_err(|e| self.wrong_format(name, &e))?;
        self.compare(&record, der.as_bytes())?;
        Ok(EvidencePublicKey { record, key })
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// `missing-key`, or when its record cannot be read.
    pub fn record(&self, name: &str) -> Outcome<KeyRecord> {
        check_name(name)?;
        let path = self.path(name, "json");
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            // It may well be there.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Failure::io("read", &path, &e)
                    .hint("the key store belongs to another user: name your own with `--keys`"));
            }
            _ => return Err(self.missing(name)),
        }
        let record: KeyRecord = ::record::read_json(&path)
            .map_err(|e| Failure { status: ExitStatus::Keys, ..e.hint("take it from a backup") })?;
        if record.name != name {
            return Err(self.mismatch(name, &format!("its record is that of `{}`", record.name)));
        }
        Ok(record)
    }

    /// All keys, by name.
    ///
    /// # Errors
    /// When the folder or a record cannot be read. A store that was never used has no keys.
    pub fn list(&self) -> Outcome<Vec<KeyRecord>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::io("read", &self.folder, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| Failure::io("read", &self.folder, &e))?.file_name();
            if let Some(stem) = name.to_str().and_then(|n| n.strip_suffix(".json")) {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        let foreign = |name: &str| {
            let message = format!(
                "`{}` is no record of a key: expected only what `fastness keys` writes in the key store",
                self.path(name, "json").display()
            );
            Failure::error(ExitStatus::Keys, "foreign-file", message).hint("move it to another folder")
        };
        let one = |name: &String| {
            let record = check_name(name).is_ok() && self.path(name, "json").is_file();
            if record { self.record(name) } else { Err(foreign(name)) }
        };
        names.iter().map(one).collect()
    }

    /// Checks a key's files: record, public key, permissions; with a passphrase also that it opens the
    /// private key and that this belongs to the public one.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, name: &str, secret: Option<&Secret>) -> Outcome<KeyRecord> {
        check_folder(&self.folder).map_err(|e| if self.folder.exists() { e } else { self.missing(name) })?;
        let record = self.record(name)?;
        record.refuse_ended()?;
        match record.kind {
            KeyKind::Rsa | KeyKind::Ecdsa => drop(self.public(name)?),
            KeyKind::Ed25519 => drop(self.evidence_public(name)?),
        }
        if let Some(Ok(KeyUri::Program(program))) = record.place.as_deref().map(KeyUri::parse) {
            refuse_no_program(&program)?;
        }
        if record.place.is_none() {
            let path = self.path(name, "key.pem");
            let file = fs::File::open(&path).map_err(|_| self.missing(name))?;
            secret::refuse_open_permissions(&path, &file)?;
        }
        if let Some(secret) = secret {
            match record.kind {
                KeyKind::Rsa | KeyKind::Ecdsa => drop(self.load_signing(name, secret)?),
                KeyKind::Ed25519 => drop(self.load_evidence(name, secret)?),
            }
        }
        Ok(record)
    }

    /// Where requests for signatures of an offline key are, and their answers.
    #[must_use]
    pub fn requests(&self, name: &str) -> PathBuf {
        self.path(name, "requests")
    }

    fn elsewhere(&self, public: PublicKey, place: &str, secret: &Secret) -> Outcome<SigningKey> {
        let name = public.record.name.clone();
        let key = public.key.clone();
        let uri = KeyUri::parse(place).map_err(|failure| Failure { status: ExitStatus::Keys, ..failure })?;
        let signer: Box<dyn fit::sign::Signer + Send + Sync> = match uri {
            KeyUri::Offline => {
                Box::new(OfflineSigner { folder: self.requests(&name), name, key, asks: true })
            }
            KeyUri::Program(program) => Box::new(ProgramSigner { program, name, key }),
            KeyUri::Token(token) => {
                let signer = TokenSigner::open(&token, secret)?;
                if *signer.public() != key {
                    return Err(self.mismatch(&name, "the token has another key of that name"));
                }
                Box::new(signer)
            }
        };
        Ok(SigningKey { record: public.record, key: public.key, signer })
    }

    fn new_boot(&self, new: &NewKey, secret: &Secret, beside: &[NewFile<'_>]) -> Outcome<KeyRecord> {
        self.refuse_bad_request(&new.name, secret)?;
        let der = match new.key {
            KeyType::EcdsaP256 => p256::SecretKey::random(&mut OsRng).to_pkcs8_der(),
            KeyType::EcdsaP384 => p384::SecretKey::random(&mut OsRng).to_pkcs8_der(),
            rsa => RsaPrivateKey::new(&mut OsRng, rsa.bits()).map_err(|e| cannot_make(&e))?.to_pkcs8_der(),
        }
        .map_err(|e| cannot_make(&e))?;
        let signer = fit::sign::signer_from_der(der.as_bytes()).map_err(|e| cannot_make(&e))?;
        let public = signer.public_key().to_der().map_err(|e| cannot_make(&e))?;
        let bits = u32::try_from(new.key.bits()).unwrap_or_default();
        self.write(new, kind_of(new.key), bits, &public, &der, secret, beside)
    }

    fn new_ed25519(&self, new: &NewKey, secret: &Secret, beside: &[NewFile<'_>]) -> Outcome<KeyRecord> {
        self.refuse_bad_request(&new.name, secret)?;
        let private = ed25519_dalek::SigningKey::generate(&mut OsRng);
        let public = private.verifying_key().to_public_key_der().map_err(|e| cannot_make(&e))?;
        // Without the optional public key: OpenSSL before 3.4 does not read version 2 of the structure.
        let pair = ed25519_dalek::pkcs8::KeypairBytes { secret_key: private.to_bytes(), public_key: None };
        let der = pair.to_pkcs8_der().map_err(|e| cannot_make(&e))?;
        self.write(new, KeyKind::Ed25519, 256, &public, &der, secret, beside)
    }

    fn refuse_bad_request(&self, name: &str, secret: &Secret) -> Outcome<()> {
        check_name(name)?;
        if secret.is_empty() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "empty-passphrase",
                "expected a passphrase, found none",
            )
            .hint("keys are always encrypted at rest; give at least one character"));
        }
        open_store(&self.folder)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one key, used in one place")]
    fn write(
        &self,
        new: &NewKey,
        kind: KeyKind,
        bits: u32,
        public: &pkcs8::Document,
        private: &SecretDocument,
        secret: &Secret,
        beside: &[NewFile<'_>],
    ) -> Outcome<KeyRecord> {
        let record = KeyRecord {
            schema_version: 1,
            name: new.name.clone(),
            kind,
            bits,
            mark: new.mark,
            created: new.created,
            fingerprint: sha256_hex(public.as_bytes()),
            place: None,
            not_after: None,
        };
        let private = encrypt(private, secret)?;
        let public = public.to_pem("PUBLIC KEY", LineEnding::LF).map_err(|e| cannot_make(&e))?;
        let mut json = serde_json::to_vec_pretty(&record).map_err(|e| cannot_make(&e))?;
        json.push(b'\n');
        let stem = &new.name;
        let mut files: Vec<NewFile<'_>> = beside
            .iter()
            .map(|f| NewFile { name: f.name.clone(), content: f.content, mode: f.mode })
            .collect();
        files.push(NewFile { name: format!("{stem}.key.pem"), content: private.as_bytes(), mode: 0o600 });
        files.push(NewFile { name: format!("{stem}.pub.pem"), content: public.as_bytes(), mode: 0o644 });
        files.push(NewFile { name: format!("{stem}.json"), content: &json, mode: 0o644 });
        publish(&self.folder, stem, &files)?;
        Ok(record)
    }

    fn open(&self, name: &str, secret: &Secret) -> Outcome<SecretDocument> {
        check_folder(&self.folder)?;
        let path = self.path(name, "key.pem");
        if !path.exists() {
            return Err(self.missing(name));
        }
        decrypt(&path, name, secret)
    }

    fn read_public(&self, name: &str, evidence: bool) -> Outcome<(KeyRecord, String)> {
        let record = self.record(name).map_err(|failure| {
            let missing = failure.diagnostics.iter().any(|found| found.code == "missing-key");
            if !missing || !evidence {
                return failure;
            }
            let make = format!("`fastness keys new {name} --evidence`");
            failure.hint(format!("make it with {make}, or name another store with `--keys`"))
        })?;
        if (record.kind == KeyKind::Ed25519) != evidence {
            return Err(self
                .mismatch(name, "it is a key for another purpose")
                .hint("RSA and ECDSA keys sign the boot chain, Ed25519 keys sign the evidence"));
        }
        let path = self.path(name, "pub.pem");
        // What is trusted by it goes into boot loaders. Of evidence somebody may read with a key of anywhere, and is warned.
        for place in [&self.folder, &self.path(name, "json"), &path] {
            if !evidence && place.exists() {
                secret::refuse_writable(place)?;
            }
        }
        let pem = fs::read_to_string(&path)
            .map_err(|e| Failure { status: ExitStatus::Keys, ..Failure::io("read", &path, &e) })?;
        Ok((record, pem))
    }

    fn compare(&self, record: &KeyRecord, der: &[u8]) -> Outcome<()> {
        if sha256_hex(der) == record.fingerprint {
            return Ok(());
        }
        Err(self.mismatch(&record.name, "its public key does not have the fingerprint of its record"))
    }

    /// When a request of that digest was last answered with the key, in seconds since 1970; nothing if never by this store.
    ///
    /// # Errors
    /// When the store's list of answers is there and cannot be read.
    pub fn answered(&self, name: &str, digest: &str) -> Outcome<Option<u64>> {
        let of = |line: &str| line.split_once(' ').filter(|(known, _)| *known == digest)?.1.parse().ok();
        Ok(self.answers(name)?.lines().rev().find_map(of))
    }

    /// Notes that a request was answered, beside the key.
    ///
    /// # Errors
    /// When it cannot be written: then no answer leaves the machine.
    pub fn note_answer(&self, name: &str, digest: &str, seconds: u64) -> Outcome<()> {
        let list = self.answers(name)? + &format!("{digest} {seconds}\n");
        ::record::write_atomic(&self.path(name, ANSWERS), list.as_bytes())
    }

    /// One line for each answer: the request's digest and the time, in seconds since 1970.
    fn answers(&self, name: &str) -> Outcome<String> {
        let path = self.path(name, ANSWERS);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|e| Failure::io("read", &path, &e)),
        }
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("{name}.{suffix}"))
    }

    fn missing(&self, name: &str) -> Failure {
        Failure::error(
            ExitStatus::Keys,
            "missing-key",
            format!("there is no key `{name}` in `{}`", self.folder.display()),
        )
        .hint(format!("make it with `fastness keys new {name}`, or name another store with `--keys`"))
    }

    fn mismatch(&self, name: &str, why: &str) -> Failure {
        Failure::error(
            ExitStatus::Keys,
            "key-mismatch",
            format!("the files of the key `{name}` in `{}` do not fit: {why}", self.folder.display()),
        )
        .hint("take all of its files from the same backup")
    }

    fn wrong_format(&self, name: &str, why: &dyn std::fmt::Display) -> Failure {
        Failure::error(
            ExitStatus::Keys,
            "key-format",
            format!("the key `{name}` in `{}` cannot be read: {why}", self.folder.display()),
        )
        .hint("take it from a backup, or make a new key with `fastness keys new`")
    }
}

pub(super) fn kind_of(key: KeyType) -> KeyKind {
    if key.is_rsa() { KeyKind::Rsa } else { KeyKind::Ecdsa }
}

pub(super) fn cannot_make(why: &dyn std::fmt::Display) -> Failure {
    Failure::error(ExitStatus::Internal, "key-format", format!("cannot make the key: {why}"))
}

/// 256 bits from the system, in hexadecimal.
fn random_passphrase() -> Secret {
    let mut bytes = Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(&mut *bytes);
    let mut text = Vec::with_capacity(64);
    for byte in bytes.iter() {
        text.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests;
