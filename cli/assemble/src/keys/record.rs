//! What is known of a key without opening it (`NAME.json`).

use fit::key::KeyType;
use record::KeyMark;
use serde::{Deserialize, Serialize};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// RSA: signs the boot chain.
    Rsa,
    /// ECDSA on P-256 or P-384: signs the boot chain.
    Ecdsa,
    /// Ed25519: signs the evidence.
    Ed25519,
}

/// A key's public facts (`NAME.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name: the files' stem and the FIT's `key-name-hint`.
    pub name: String,
    /// What it is for.
    pub kind: KeyKind,
    /// Size of the modulus or the curve's field, in bits.
    pub bits: u32,
    /// Whether it may sign a release.
    pub mark: KeyMark,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// SHA-256 of the public key's SubjectPublicKeyInfo (DER), lower-case hexadecimal.
    pub fingerprint: String,
    /// Where the private half is ([`super::KeyUri`]); none: in the store, encrypted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// When its certificate ends, in seconds since 1970; none: it was added as a key alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<u64>,
}

impl KeyRecord {
    /// Kind and size as U-Boot spells them in an algorithm, such as `rsa3072` or `ecdsa256`.
    #[must_use]
    pub fn kind_name(&self) -> String {
        let kind = match self.kind {
            KeyKind::Rsa => "rsa",
            KeyKind::Ecdsa => "ecdsa",
            KeyKind::Ed25519 => "ed25519-",
        };
        format!("{kind}{}", self.bits)
    }

    /// Whether using the private half takes a passphrase or PIN.
    #[must_use]
    pub fn needs_secret(&self) -> bool {
        let place = self.place.as_deref().map(super::KeyUri::parse);
        !matches!(place, Some(Ok(uri)) if !uri.needs_secret())
    }
}

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Name; see [`KeyRecord::name`].
    pub name: String,
    /// Kind and size. Not used for Ed25519.
    pub key: KeyType,
    /// Whether it may sign a release.
    pub mark: KeyMark,
    /// The time to note down, in seconds since 1970.
    pub created: u64,
}
