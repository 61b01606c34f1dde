//! Public keys as U-Boot uses them: RSA, and ECDSA on P-256 and P-384.

mod ecdsa;
mod found;
mod rsa_node;

use rsa::RsaPublicKey;
use rsa::pkcs8::{DecodePublicKey, Document, EncodePublicKey, LineEnding};
use rsa::traits::PublicKeyParts;

use crate::FitError;

pub use crate::algorithm::{Algorithm, Hash, KeyType, Padding};

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA of any size; which are used, the algorithm says.
    Rsa(RsaPublicKey),
    /// A point of P-256.
    P256(p256::PublicKey),
    /// A point of P-384.
    P384(p384::PublicKey),
}

impl PublicKey {
    /// Wraps a key of the `rsa` crate.
    #[must_use]
    pub fn from_rsa(key: RsaPublicKey) -> Self {
        Self::Rsa(key)
    }

    /// From a PEM SubjectPublicKeyInfo (RFC 5280, 4.1; RFC 5480).
    ///
    /// # Errors
    /// When it is something else, a point that is not on its curve among it.
    pub fn from_pem(pem: &str) -> Result<Self, FitError> {
        match Document::from_pem(pem) {
            // RFC 7468, 13.
            Ok(("PUBLIC KEY", der)) => Self::from_der(der.as_bytes()),
            Ok((label, _)) => Err(found::other(&format!("`{}`", label.escape_debug()))),
            Err(e) => Err(found::other(&format!("something else: {e}"))),
        }
    }

    /// From a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, FitError> {
        RsaPublicKey::from_public_key_der(der)
            .map(Self::Rsa)
            .or_else(|_| p256::PublicKey::from_public_key_der(der).map(Self::P256))
            .or_else(|_| p384::PublicKey::from_public_key_der(der).map(Self::P384))
            .map_err(|_| found::other(&found::kind(der)))
    }

    /// The public half of a PEM PKCS#8 private key that is not encrypted.
    ///
    /// # Errors
    /// When it is something else; the message never holds key material.
    pub fn from_private_pem(pem: &str) -> Result<Self, FitError> {
        crate::sign::signer_from_pem(pem).map(|signer| signer.public_key())
    }

    /// A point of a curve from its uncompressed form (SEC 1, 2.3.3): 4, x, y.
    ///
    /// # Errors
    /// When it is no point of P-256 or P-384.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, FitError> {
        ecdsa::point(bytes)
    }

    /// As a PEM SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, FitError> {
        self.to_der()?
            .to_pem("PUBLIC KEY", LineEnding::LF)
            .map_err(|e| FitError::Key(format!("cannot be encoded: {e}")))
    }

    /// As a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_der(&self) -> Result<Document, FitError> {
        match self {
            Self::Rsa(key) => key.to_public_key_der(),
            Self::P256(key) => key.to_public_key_der(),
            Self::P384(key) => key.to_public_key_der(),
        }
        .map_err(|e| FitError::Key(format!("cannot be encoded: {e}")))
    }

    /// Whether a signature of a digest, as a FIT holds it, is one of this key. `padding` counts for RSA only.
    #[must_use]
    pub fn holds(&self, hash: Hash, padding: Padding, digest: &[u8], signature: &[u8]) -> bool {
        crate::verify::signature_holds(self, padding, hash, digest, signature)
    }

    /// A signature that was made elsewhere, as a FIT holds it; nothing when it is not one of this key. One of
    /// ECDSA may also be in DER (RFC 3279, 2.2.3), as `openssl dgst` writes it.
    #[must_use]
    pub fn accepted(&self, hash: Hash, padding: Padding, digest: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        let holds = |signature: &[u8]| self.holds(hash, padding, digest, signature);
        if holds(signature) {
            return Some(signature.to_vec());
        }
        ecdsa::raw_of_der(self, signature).filter(|raw| holds(raw))
    }

    /// A signature as other tools take it, such as `openssl dgst`: one of ECDSA in DER (RFC 3279, 2.2.3), where a FIT has its
    /// two numbers alone. Nothing when it has not the length of one.
    #[must_use]
    pub fn exported(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(_) => Some(signature.to_vec()),
            _ => ecdsa::der_of_raw(self, signature),
        }
    }

    /// Kind and size as U-Boot spells them, such as `rsa3072` or `ecdsa256`; also for sizes that are not used.
    #[must_use]
    pub fn kind_name(&self) -> String {
        match self {
            Self::Rsa(_) => format!("rsa{}", self.bits()),
            Self::P256(_) => KeyType::EcdsaP256.name().to_owned(),
            Self::P384(_) => KeyType::EcdsaP384.name().to_owned(),
        }
    }

    /// Kind and size; nothing for a size that is not used.
    #[must_use]
    pub fn kind(&self) -> Option<KeyType> {
        KeyType::parse(&self.kind_name())
    }

    /// Size of the modulus, or of the curve's field, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa(key) => key.n().bits(),
            Self::P256(_) => 256,
            Self::P384(_) => 384,
        }
    }

    /// Whether the key is one for that algorithm.
    ///
    /// # Errors
    /// When it is of another kind or size; `name` is the key's.
    pub fn must_fit(&self, algorithm: Algorithm, name: &str) -> Result<(), FitError> {
        if self.kind() == Some(algorithm.key) {
            return Ok(());
        }
        Err(FitError::Key(format!(
            "`{}` needs a key of the kind {}, but `{name}` is {}",
            algorithm.name(),
            algorithm.key.name(),
            self.kind_name()
        )))
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo, lower-case hexadecimal.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn fingerprint(&self) -> Result<String, FitError> {
        Ok(hex(&Hash::Sha256.digest(&[self.to_der()?.as_bytes()])))
    }

    /// The properties that U-Boot reads (`lib/rsa/rsa-verify.c`, `lib/ecdsa/ecdsa-verify.c`).
    pub(crate) fn uboot_properties(&self) -> Result<Vec<(&'static str, Vec<u8>)>, FitError> {
        match self {
            Self::Rsa(key) => rsa_node::properties(key),
            Self::P256(_) | Self::P384(_) => Ok(ecdsa::properties(self)),
        }
    }

    /// A key from the properties of a control FDT's key node. What can be derived must agree.
    pub(crate) fn from_uboot(get: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, FitError> {
        match (get("ecdsa,curve"), get("rsa,modulus")) {
            (Some(_), Some(_)) => Err(FitError::Key("the key node holds two keys: RSA and ECDSA".to_owned())),
            (Some(curve), None) => ecdsa::from_properties(&curve, get),
            (None, _) => rsa_node::from_properties(get).map(Self::Rsa),
        }
    }
}

/// The value of a property that a key node must have.
fn need(get: &impl Fn(&str) -> Option<Vec<u8>>, name: &str) -> Result<Vec<u8>, FitError> {
    get(name).ok_or_else(|| FitError::Key(format!("the key node lacks `{name}`")))
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
