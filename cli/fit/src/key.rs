//! RSA keys as U-Boot uses them, and the names of algorithms.

use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::FitError;

/// Hash algorithms that are accepted; nothing older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// As U-Boot spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The hash of that name.
    ///
    /// # Errors
    /// For every other name, SHA-1, MD5 and CRC-32 among them.
    pub fn parse(name: &str) -> Result<Self, FitError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            other => Err(FitError::Algorithm {
                found: other.to_owned(),
                expected: "`sha256`, `sha384` or `sha512`".to_owned(),
            }),
        }
    }

    /// The digest of the parts, one after the other.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hasher = D::new();
            for part in parts {
                hasher.update(part);
            }
            hasher.finalize().to_vec()
        }
        match self {
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }
}

/// Signature paddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Padding {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, 8.2).
    #[serde(rename = "pkcs-1.5")]
    Pkcs1v15,
    /// RSASSA-PSS (RFC 8017, 8.1), salt as long as the hash.
    #[serde(rename = "pss")]
    Pss,
}

impl Padding {
    /// As U-Boot spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkcs1v15 => "pkcs-1.5",
            Self::Pss => "pss",
        }
    }

    /// The padding of that name.
    ///
    /// # Errors
    /// For every other name.
    pub fn parse(name: &str) -> Result<Self, FitError> {
        match name {
            "pkcs-1.5" => Ok(Self::Pkcs1v15),
            "pss" => Ok(Self::Pss),
            other => Err(FitError::Algorithm {
                found: other.to_owned(),
                expected: "`pkcs-1.5` or `pss`".to_owned(),
            }),
        }
    }
}

/// A signature algorithm: hash and RSA modulus size in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Algorithm {
    /// Hash.
    pub hash: Hash,
    /// Modulus in bits: 2048, 3072 or 4096.
    pub bits: usize,
}

impl Algorithm {
    /// From U-Boot's spelling, such as `sha256,rsa3072`.
    ///
    /// # Errors
    /// For every algorithm that is unknown or too weak.
    pub fn parse(text: &str) -> Result<Self, FitError> {
        let unknown = || {
            FitError::Algorithm {
            found: text.to_owned(),
            expected: "one of sha256, sha384, sha512 with one of rsa2048, rsa3072, rsa4096, such as `sha256,rsa3072`"
                .to_owned(),
        }
        };
        let (hash, key) = text.split_once(',').ok_or_else(unknown)?;
        let bits = match key {
            "rsa2048" => 2048,
            "rsa3072" => 3072,
            "rsa4096" => 4096,
            _ => return Err(unknown()),
        };
        Ok(Self { hash: Hash::parse(hash).map_err(|_| unknown())?, bits })
    }

    /// As U-Boot spells it.
    #[must_use]
    pub fn name(self) -> String {
        format!("{},rsa{}", self.hash.name(), self.bits)
    }
}

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub(crate) RsaPublicKey);

impl PublicKey {
    /// Wraps a key of the `rsa` crate.
    #[must_use]
    pub fn from_rsa(key: RsaPublicKey) -> Self {
        Self(key)
    }

    /// From a PEM SubjectPublicKeyInfo (RFC 5280, 4.1).
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_pem(pem: &str) -> Result<Self, FitError> {
        RsaPublicKey::from_public_key_pem(pem)
            .map(Self)
            .map_err(|e| FitError::Key(format!("expected a PEM public key (RSA), found something else: {e}")))
    }

    /// The public half of a PEM PKCS#8 private key that is not encrypted.
    ///
    /// # Errors
    /// When it is something else; the message never holds key material.
    pub fn from_private_pem(pem: &str) -> Result<Self, FitError> {
        use crate::sign::{RsaSigner, Signer};
        RsaSigner::from_pem(pem).map(|signer| signer.public_key())
    }

    /// As a PEM SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, FitError> {
        self.0
            .to_public_key_pem(rsa::pkcs8::LineEnding::LF)
            .map_err(|e| FitError::Key(format!("cannot be encoded: {e}")))
    }

    /// Whether a signature of a digest is one of this key.
    #[must_use]
    pub fn holds(&self, hash: Hash, padding: Padding, digest: &[u8], signature: &[u8]) -> bool {
        crate::verify::signature_holds(&self.0, padding, hash, digest, signature)
    }

    /// Modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.n().bits()
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo, lower-case hexadecimal.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn fingerprint(&self) -> Result<String, FitError> {
        let der = self.0.to_public_key_der().map_err(|e| FitError::Key(format!("cannot be encoded: {e}")))?;
        Ok(hex(&Hash::Sha256.digest(&[der.as_bytes()])))
    }

    /// The properties that U-Boot's RSA code reads (`lib/rsa/rsa-verify.c`).
    pub(crate) fn uboot_properties(&self) -> Result<Vec<(&'static str, Vec<u8>)>, FitError> {
        let bytes = self.bits().div_ceil(8);
        let modulus = self.0.n();
        let r_squared = BigUint::from(2u8).modpow(&BigUint::from(2 * self.bits()), modulus);
        let exponent = self.0.e().to_bytes_be();
        if exponent.len() > 8 {
            return Err(FitError::Key("its exponent is longer than 64 bits".to_owned()));
        }
        let low = modulus.to_bytes_le().iter().take(4).rev().fold(0u32, |acc, b| acc << 8 | u32::from(*b));
        Ok(vec![
            ("rsa,num-bits", u32::try_from(self.bits()).unwrap_or(u32::MAX).to_be_bytes().to_vec()),
            ("rsa,modulus", left_padded(&modulus.to_bytes_be(), bytes)),
            ("rsa,exponent", left_padded(&exponent, 8)),
            ("rsa,r-squared", left_padded(&r_squared.to_bytes_be(), bytes)),
            ("rsa,n0-inverse", inverse_mod_2_32(low).wrapping_neg().to_be_bytes().to_vec()),
        ])
    }

    /// A key from the properties of a control FDT's key node. What can be derived must agree.
    pub(crate) fn from_uboot(get: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, FitError> {
        let need =
            |name: &str| get(name).ok_or_else(|| FitError::Key(format!("the key node lacks `{name}`")));
        let large = need("rsa,modulus")?;
        if !(256..=512).contains(&large.len()) || large.last().is_none_or(|byte| byte % 2 == 0) {
            return Err(FitError::Key(format!(
                "the key node holds no RSA key of 2048 to 4096 bits: its modulus has {} bytes",
                large.len()
            )));
        }
        let (modulus, exponent) =
            (BigUint::from_bytes_be(&large), BigUint::from_bytes_be(&need("rsa,exponent")?));
        let key = RsaPublicKey::new(modulus, exponent)
            .map_err(|e| FitError::Key(format!("the key node holds no RSA key: {e}")))?;
        let key = Self(key);
        for (name, expected) in key.uboot_properties()? {
            if need(name)? != expected {
                return Err(FitError::Key(format!(
                    "`{name}` of the key node does not belong to its modulus"
                )));
            }
        }
        Ok(key)
    }
}

/// Inverse of an odd number modulo 2^32, by Newton's iteration.
fn inverse_mod_2_32(odd: u32) -> u32 {
    let mut inverse = odd;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

fn left_padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![0; length.saturating_sub(bytes.len())];
    out.extend_from_slice(bytes);
    out
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_unknown_algorithms_are_refused_with_the_list() {
        assert_eq!(Algorithm::parse("sha256,rsa3072").unwrap().name(), "sha256,rsa3072");
        for weak in ["sha1,rsa2048", "sha256,rsa1024", "md5,rsa2048", "sha256", "crc32,rsa2048"] {
            let text = Algorithm::parse(weak).unwrap_err().to_string();
            assert!(text.contains(weak) && text.contains("rsa3072"), "{text}");
        }
    }

    #[test]
    fn the_inverse_is_an_inverse() {
        for odd in [1u32, 3, 0xffff_ffff, 0x1234_5679] {
            assert_eq!(odd.wrapping_mul(inverse_mod_2_32(odd)), 1);
        }
    }
}
