//! Signers with a private key in memory, wiped when they are dropped.

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use rand_core::SeedableRng;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, SecretDocument};
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use sha2::{Sha256, Sha384, Sha512};

use super::{Message, Signer};
use crate::FitError;
use crate::key::{Hash, Padding, PublicKey};

/// An RSA private key in memory; wiped when dropped.
pub struct RsaSigner(RsaPrivateKey);

impl RsaSigner {
    /// Wraps a key.
    #[must_use]
    pub fn new(key: RsaPrivateKey) -> Self {
        Self(key)
    }

    /// From a PEM PKCS#8 private key that is not encrypted (RFC 5208, 5).
    ///
    /// # Errors
    /// When it is something else; the message never holds key material.
    pub fn from_pem(pem: &str) -> Result<Self, FitError> {
        RsaPrivateKey::from_pkcs8_pem(pem).map(Self).map_err(|_| {
            FitError::Key(
                "expected a PEM private key (RSA, PKCS#8, not encrypted), found something else".to_owned(),
            )
        })
    }
}

impl Signer for RsaSigner {
    fn public_key(&self) -> PublicKey {
        PublicKey::from_rsa(self.0.to_public_key())
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let (digest, hash, padding) = (&message.digest(), message.hash, message.padding);
        // Images are reproducible: blinding and the PSS salt come from the key and the
        // digest. RFC 8017 allows any salt; one message always gets the same signature.
        let der = self.0.to_pkcs8_der().map_err(|e| FitError::Key(format!("cannot be encoded: {e}")))?;
        let seed = Hash::Sha256.digest(&[b"fastness deterministic salt", der.as_bytes(), digest.as_slice()]);
        let mut rng = rand_chacha::ChaCha20Rng::from_seed(seed.try_into().unwrap_or([0; 32]));
        let signed = match (padding, hash) {
            (Padding::Pkcs1v15, Hash::Sha256) => {
                self.0.sign_with_rng(&mut rng, Pkcs1v15Sign::new::<Sha256>(), digest)
            }
            (Padding::Pkcs1v15, Hash::Sha384) => {
                self.0.sign_with_rng(&mut rng, Pkcs1v15Sign::new::<Sha384>(), digest)
            }
            (Padding::Pkcs1v15, Hash::Sha512) => {
                self.0.sign_with_rng(&mut rng, Pkcs1v15Sign::new::<Sha512>(), digest)
            }
            (Padding::Pss, Hash::Sha256) => self.0.sign_with_rng(&mut rng, Pss::new::<Sha256>(), digest),
            (Padding::Pss, Hash::Sha384) => self.0.sign_with_rng(&mut rng, Pss::new::<Sha384>(), digest),
            (Padding::Pss, Hash::Sha512) => self.0.sign_with_rng(&mut rng, Pss::new::<Sha512>(), digest),
        };
        signed.map_err(|e| FitError::Key(format!("cannot sign: {e}")))
    }
}

/// An ECDSA private key in memory; wiped when dropped.
pub enum EcdsaSigner {
    /// On P-256.
    P256(p256::SecretKey),
    /// On P-384.
    P384(p384::SecretKey),
}

impl Signer for EcdsaSigner {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::P256(key) => PublicKey::P256(key.public_key()),
            Self::P384(key) => PublicKey::P384(key.public_key()),
        }
    }

    /// r and s, each as long as the curve's order, as `mkimage` writes them (`lib/ecdsa/ecdsa-libcrypto.c`). The
    /// nonce comes from key and digest (RFC 6979): one message always gets the same signature.
    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let digest = &message.digest();
        match self {
            Self::P256(key) => p256::ecdsa::SigningKey::from(key)
                .sign_prehash(digest)
                .map(|signature: p256::ecdsa::Signature| signature.to_bytes().to_vec()),
            Self::P384(key) => p384::ecdsa::SigningKey::from(key)
                .sign_prehash(digest)
                .map(|signature: p384::ecdsa::Signature| signature.to_bytes().to_vec()),
        }
        .map_err(|e| FitError::Key(format!("cannot sign: {e}")))
    }
}

/// The signer of a PKCS#8 private key (RFC 5208), DER, not encrypted.
///
/// # Errors
/// When it is no key of RSA, or of ECDSA on P-256 or P-384; the message never holds key material.
pub fn signer_from_der(der: &[u8]) -> Result<Box<dyn Signer + Send + Sync>, FitError> {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_der(der) {
        return Ok(Box::new(RsaSigner::new(key)));
    }
    if let Ok(key) = p256::SecretKey::from_pkcs8_der(der) {
        return Ok(Box::new(EcdsaSigner::P256(key)));
    }
    match p384::SecretKey::from_pkcs8_der(der) {
        Ok(key) => Ok(Box::new(EcdsaSigner::P384(key))),
        Err(_) => Err(FitError::Key(
            "expected a private key (PKCS#8, not encrypted) of RSA or of ECDSA on P-256 or P-384, found something else"
                .to_owned(),
        )),
    }
}

/// As [`signer_from_der`], from PEM.
///
/// # Errors
/// As [`signer_from_der`].
pub fn signer_from_pem(pem: &str) -> Result<Box<dyn Signer + Send + Sync>, FitError> {
    let none = || {
        FitError::Key("expected a PEM private key (PKCS#8, not encrypted), found something else".to_owned())
    };
    // RFC 7468, 10: another label is something else, a public key for instance.
    match SecretDocument::from_pem(pem) {
        Ok(("PRIVATE KEY", der)) => signer_from_der(der.as_bytes()),
        _ => Err(none()),
    }
}
