//! The Ed25519 key that signs a report (detached, `report.json.sig`), so that evidence cannot be changed
//! after the fact without anybody noticing.

use diag::{ExitStatus, Failure, Outcome};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::record::KeyRecord;

/// An opened Ed25519 key. The private part is wiped from memory when it is dropped.
pub struct EvidenceKey {
    /// Its public facts.
    pub record: KeyRecord,
    pub(crate) private: SigningKey,
}

/// The public part of an Ed25519 key.
#[derive(Clone, Debug)]
pub struct EvidencePublicKey {
    /// Its public facts.
    pub record: KeyRecord,
    pub(crate) key: VerifyingKey,
}

impl std::fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceKey").field("record", &self.record).finish_non_exhaustive()
    }
}

impl EvidenceKey {
    /// Signs bytes (pure Ed25519, RFC 8032): 64 bytes, always the same for the same input.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.private.sign(bytes).to_bytes()
    }

    /// Its public part.
    #[must_use]
    pub fn public(&self) -> EvidencePublicKey {
        EvidencePublicKey { record: self.record.clone(), key: self.private.verifying_key() }
    }
}

impl EvidencePublicKey {
    /// Whether `signature` is this key's over `bytes`.
    ///
    /// # Errors
    /// `evidence-signature` when it is not.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Outcome<()> {
        let refused = |why: String| {
            Failure::error(ExitStatus::Check, "evidence-signature", why)
                .hint("the report was changed after it was signed, or signed with another key")
        };
        let signature = Signature::from_slice(signature)
            .map_err(|_| refused(format!("expected a signature of 64 bytes, found {}", signature.len())))?;
        self.key.verify_strict(bytes, &signature).map_err(|_| {
            refused(format!("the signature is not one of the key `{}` over this report", self.record.name))
        })
    }
}
