//! DSSE envelopes: bytes with their type and signatures over both.
//!
//! Source: the DSSE specification 1.0.2, "Protocol" and "Envelope". Knows no key and no algorithm; who calls brings them.

use std::io::Read as _;
use std::path::Path;

use base64ct::{Base64, Base64Url, Encoding as _};
use diag::{ExitStatus, Failure, Outcome};
use serde::{Deserialize, Serialize};

/// Most signatures that are tried: each costs a look at all that was signed.
const TRIED: usize = 16;
/// Largest envelope that is read, in bytes; one of 1000 packages has 400 KiB.
const LARGEST: u64 = 16 << 20;

/// An envelope, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The signed bytes, base64.
    pub payload: String,
    /// Their media type; signed, too.
    pub payload_type: String,
    /// Signatures over both.
    pub signatures: Vec<Signature>,
}

/// A signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Which key it may be of; a hint that is not signed, and decides nothing.
    #[serde(default)]
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

/// The bytes that are signed. Source: DSSE, "PAE".
#[must_use]
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Puts bytes into an envelope, signed by `sign`.
    #[must_use]
    pub fn seal(payload_type: &str, payload: &[u8], keyid: &str, sign: impl Fn(&[u8]) -> [u8; 64]) -> Self {
        let signature = sign(&pre_authentication(payload_type, payload));
        Self {
            payload: Base64::encode_string(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature { keyid: keyid.to_owned(), sig: Base64::encode_string(&signature) }],
        }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// When the file cannot be read; `envelope` when it is not one.
    pub fn read(path: &Path) -> Outcome<Self> {
        let file = record::open_regular(path)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| Failure::io("read", path, &e))?;
        if bytes.len() as u64 > LARGEST {
            return Err(malformed(&format!("`{}` has more than {LARGEST} bytes", path.display())));
        }
        serde_json::from_slice(&bytes)
            .map_err(|e| malformed(&format!("`{}` is not a DSSE envelope: {e}", path.display())))
    }

    /// The payload, if one of the signatures is right.
    ///
    /// # Errors
    /// `envelope` for another type or broken base64; `evidence-signature` when no signature verifies.
    pub fn open(&self, payload_type: &str, verifies: impl Fn(&[u8], &[u8]) -> bool) -> Outcome<Vec<u8>> {
        if self.payload_type != payload_type {
            return Err(malformed(&format!(
                "expected a payload of the type `{payload_type}`, found `{}`",
                crate::shown(&self.payload_type)
            )));
        }
        let payload = decoded(&self.payload).ok_or_else(|| malformed("the payload is not base64"))?;
        let signed = pre_authentication(payload_type, &payload);
        let right = |one: &Signature| decoded(&one.sig).is_some_and(|sig| verifies(&signed, &sig));
        if self.signatures.iter().take(TRIED).any(right) {
            return Ok(payload);
        }
        Err(Failure::error(
            ExitStatus::Check,
            "evidence-signature",
            match self.signatures.len() {
                all if all > TRIED => {
                    format!(
                        "none of the first {TRIED} of {all} signatures is one of this key over the statement"
                    )
                }
                all => format!("none of {all} signatures is one of this key over the statement"),
            },
        )
        .hint("the statement was changed after it was signed, or signed with another key"))
    }
}

/// Both alphabets are allowed. Source: DSSE, "Envelope".
fn decoded(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).or_else(|_| Base64Url::decode_vec(text)).ok()
}

fn malformed(why: &str) -> Failure {
    Failure::error(ExitStatus::Check, "envelope", why.to_owned()).hint("`fastness attest` writes one anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a signature scheme: the first bytes of what is signed, so that any change is seen.
    fn sign(bytes: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(record::sha256_hex(bytes).as_bytes());
        out
    }

    fn verifies(bytes: &[u8], signature: &[u8]) -> bool {
        sign(bytes) == signature
    }

    #[test]
    fn what_is_signed_is_as_the_specification_shows() {
        // The example of the specification's "protocol.md".
        let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_sealed_envelope_opens_and_a_changed_one_does_not() {
        let envelope = Envelope::seal("a/b", b"text", "k", sign);
        assert_eq!(envelope.open("a/b", verifies).unwrap(), b"text");
        let mut other = envelope.clone();
        other.payload = Base64::encode_string(b"Text");
        let failure = other.open("a/b", verifies).unwrap_err();
        assert!(failure.to_string().contains("none of 1 signatures is one of this key"), "{failure}");
        let failure = envelope.open("a/c", verifies).unwrap_err();
        assert!(
            failure.to_string().contains("expected a payload of the type `a/c`, found `a/b`"),
            "{failure}"
        );
        // The type is signed: to rename it on both sides does not help.
        other = envelope.clone();
        other.payload_type = "a/c".to_owned();
        assert_eq!(other.open("a/c", verifies).unwrap_err().diagnostics[0].code, "evidence-signature");
        // Only the first are tried, and it says so.
        other.signatures = vec![other.signatures[0].clone(); TRIED];
        other.signatures.push(envelope.signatures[0].clone());
        let failure = other.open("a/c", verifies).unwrap_err().to_string();
        assert!(failure.contains("none of the first 16 of 17 signatures is one of this key"), "{failure}");
        other.signatures.clear();
        assert!(other.open("a/c", verifies).is_err());
        other = envelope;
        other.payload = "%%".to_owned();
        assert!(other.open("a/b", verifies).unwrap_err().to_string().contains("not base64"));
    }

    #[test]
    fn what_is_no_envelope_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::write(&path, "{\"payload\": 1}").unwrap();
        let failure = Envelope::read(&path).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Check);
        assert!(failure.to_string().contains("is not a DSSE envelope"), "{failure}");
    }
}
