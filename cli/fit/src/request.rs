//! A signature that is made elsewhere: what is to be signed, and what it says.
//!
//! The covered bytes of a FIT (`sign`) are a part of its structure block followed by the names of properties.
//! They hold no image, only the images' hashes: a few kilobytes that whoever signs can read.

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::key::{Algorithm, Hash, KeyType, Padding, PublicKey, hex};
use crate::sign::Message;

/// Most bytes that a request may cover: a FIT's structure without its images.
pub const MAX_REGION: usize = 1 << 20;
/// Version of a request's shape.
const SCHEMA_VERSION: u32 = 1;
/// Bytes of a value that are shown.
const SHOWN: usize = 64;

/// What a signature is wanted of; the covered bytes are in a file of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningRequest {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name of the key, as the FIT will have it.
    pub key_name: String,
    /// SHA-256 of the wanted key's SubjectPublicKeyInfo (DER), lower-case hexadecimal.
    pub key_fingerprint: String,
    /// Hash and kind of key, such as `sha256,rsa3072`.
    pub algorithm: String,
    /// `pss` or `pkcs-1.5`; of RSA only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// Digest of the covered bytes, lower-case hexadecimal.
    pub digest: String,
}

impl SigningRequest {
    /// The request for a message, to be signed with that key.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn new(key_name: &str, key: &PublicKey, message: &Message<'_>) -> Result<Self, FitError> {
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            key_name: key_name.to_owned(),
            key_fingerprint: key.fingerprint()?,
            algorithm: format!("{},{}", message.hash.name(), key.kind_name()),
            padding: key.kind().is_none_or(KeyType::is_rsa).then_some(message.padding),
            digest: hex(&message.digest()),
        })
    }

    /// Hash of the request.
    ///
    /// # Errors
    /// For an algorithm that is unknown or too weak.
    pub fn hash(&self) -> Result<Hash, FitError> {
        Ok(Algorithm::parse(&self.algorithm)?.hash)
    }

    /// Whether the request is whole, the covered bytes are its own, and the key is the wanted one.
    ///
    /// # Errors
    /// When they are not: of the key [`FitError::Key`], of all else [`FitError::Fit`].
    pub fn check(&self, region: &[u8], key: &PublicKey) -> Result<(), FitError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(FitError::Fit(format!(
                "expected a request of version {SCHEMA_VERSION}, found {}: it is of another release",
                self.schema_version
            )));
        }
        let found = hex(&self.hash()?.digest(&[region]));
        if found != self.digest {
            return Err(FitError::Fit(format!(
                "the covered bytes have the digest {found}, the request says {}",
                self.digest
            )));
        }
        let fingerprint = key.fingerprint()?;
        if fingerprint != self.key_fingerprint {
            return Err(FitError::Key(format!(
                "a signature by the key {} is wanted, this one is {fingerprint}",
                self.key_fingerprint
            )));
        }
        let wanted = self.algorithm.rsplit(',').next().unwrap_or_default();
        if wanted != key.kind_name() {
            return Err(FitError::Key(format!(
                "the request is for `{}`, the key is {}",
                self.algorithm,
                key.kind_name()
            )));
        }
        match (self.padding, wanted.starts_with("rsa")) {
            (None, true) => Err(FitError::Fit("the request names no padding, which RSA needs".to_owned())),
            (Some(padding), false) => Err(FitError::Fit(format!(
                "the request names the padding `{}`, which is RSA's",
                padding.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// What the covered bytes say: one line for each property, `PATH NAME = VALUE`.
///
/// # Errors
/// When they are no covered part of a FIT: whoever signs should not sign what cannot be read.
pub fn describe(region: &[u8]) -> Result<Vec<String>, FitError> {
    if region.len() > MAX_REGION {
        return Err(unreadable(&format!("they are {} bytes, expected at most {MAX_REGION}", region.len())));
    }
    let strings = region.get(finish(region)?..).unwrap_or_default();
    let mut lines = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut cursor = Cursor { region, at: 0 };
    loop {
        match cursor.word()? {
            1 => {
                let name = cursor.text()?;
                path.push(name);
            }
            2 => {
                path.pop().ok_or_else(|| unreadable("a node ends that did not begin"))?;
            }
            3 => {
                let (length, name) = (cursor.word()? as usize, cursor.word()? as usize);
                let name = name_at(strings, name)?;
                let value = shown(cursor.bytes(length)?);
                lines.push(format!("/{} {name} = {value}", path.get(1..).unwrap_or_default().join("/")));
            }
            9 if path.is_empty() => return Ok(lines),
            other => return Err(unreadable(&format!("found the token {other}"))),
        }
    }
}

/// Where the structure ends and the names begin.
fn finish(region: &[u8]) -> Result<usize, FitError> {
    let mut cursor = Cursor { region, at: 0 };
    loop {
        match cursor.word()? {
            1 => drop(cursor.text()?),
            2 => {}
            3 => {
                let length = cursor.word()? as usize;
                cursor.word()?;
                cursor.bytes(length)?;
            }
            9 => return Ok(cursor.at),
            other => return Err(unreadable(&format!("found the token {other}"))),
        }
    }
}

struct Cursor<'a> {
    region: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn word(&mut self) -> Result<u32, FitError> {
        let bytes = self.bytes(4)?;
        Ok(bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    /// That many bytes, and the padding behind them.
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], FitError> {
        let end = self.at.checked_add(length).ok_or_else(|| unreadable("a length is beyond their end"))?;
        let bytes =
            self.region.get(self.at..end).ok_or_else(|| unreadable("they end in the middle of a token"))?;
        self.at = end.next_multiple_of(4);
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, FitError> {
        let rest = self.region.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0);
        let length = length.ok_or_else(|| unreadable("a node's name has no end"))?;
        let name = String::from_utf8_lossy(&rest[..length]).escape_debug().to_string();
        self.bytes(length + 1)?;
        Ok(name)
    }
}

fn name_at(strings: &[u8], at: usize) -> Result<String, FitError> {
    let rest = strings.get(at..).unwrap_or_default();
    let name = rest.split(|byte| *byte == 0).next().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| unreadable("a property has no name"))?;
    Ok(String::from_utf8_lossy(name).escape_debug().to_string())
}

/// A value as text where it is some, otherwise in hexadecimal.
fn shown(value: &[u8]) -> String {
    let texts = value.strip_suffix(&[0]).map(|text| text.split(|byte| *byte == 0).collect::<Vec<_>>());
    let printable = |text: &&[u8]| !text.is_empty() && text.iter().all(|byte| (0x20..0x7f).contains(byte));
    if let Some(texts) = texts.filter(|texts| texts.iter().all(printable)) {
        let quoted = texts.iter().map(|text| format!("\"{}\"", String::from_utf8_lossy(text).escape_debug()));
        return quoted.collect::<Vec<_>>().join(", ");
    }
    if value.len() > SHOWN {
        return format!("<{}…>, {} bytes", hex(&value[..SHOWN]), value.len());
    }
    format!("<{}>", hex(value))
}

fn unreadable(why: &str) -> FitError {
    FitError::Fit(format!("the covered bytes cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/` with `description`, `/images/kernel` by name only; then the names.
    fn region() -> Vec<u8> {
        let mut out = Vec::new();
        let mut word = |value: u32| out.extend(value.to_be_bytes());
        for value in [1, 0, 3, 3, 0, u32::from_be_bytes(*b"gw\0\0"), 1, u32::from_be_bytes(*b"conf"), 0] {
            word(value);
        }
        for value in [3, 4, 12, 0x1234_5678, 2, 2, 9] {
            word(value);
        }
        out.extend(b"description\0timestamp\0");
        out
    }

    #[test]
    fn what_is_covered_can_be_read() {
        assert_eq!(describe(&region()).unwrap(), ["/ description = \"gw\"", "/conf timestamp = <12345678>"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_nothing_panics() {
        let region = region();
        for length in 0..region.len() - 22 {
            assert!(describe(&region[..length]).is_err(), "{length}");
        }
        for at in 0..region.len() {
            let mut changed = region.clone();
            changed[at] ^= 0xff;
            let _ = describe(&changed);
        }
        let text = describe(&[0, 0, 0, 7]).unwrap_err().to_string();
        assert!(text.contains("the covered bytes cannot be read: found the token 7"), "{text}");
        let text = describe(&vec![0; MAX_REGION + 1]).unwrap_err().to_string();
        assert!(text.contains("expected at most 1048576"), "{text}");
    }
}
