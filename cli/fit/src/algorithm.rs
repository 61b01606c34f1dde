//! Names of algorithms, as U-Boot spells them, and what is accepted of them.

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

    /// Length of a digest in bytes (FIPS 180-4).
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
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

/// Paddings of RSA signatures; those of ECDSA have none.
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

/// Kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyType {
    /// RSA, modulus of 2048 bits.
    Rsa2048,
    /// RSA, modulus of 3072 bits.
    Rsa3072,
    /// RSA, modulus of 4096 bits.
    Rsa4096,
    /// ECDSA on P-256 (FIPS 186-5; secp256r1, prime256v1).
    EcdsaP256,
    /// ECDSA on P-384 (FIPS 186-5; secp384r1).
    EcdsaP384,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::EcdsaP256, Self::EcdsaP384];

    /// As U-Boot spells it in an algorithm, such as `rsa3072` or `ecdsa256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::EcdsaP256 => "ecdsa256",
            Self::EcdsaP384 => "ecdsa384",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Size of the modulus, or of the curve's field, in bits.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::EcdsaP256 => 256,
            Self::EcdsaP384 => 384,
        }
    }

    /// Bytes of a signature: of ECDSA r and s, each as long as the curve's order.
    #[must_use]
    pub fn signature_bytes(self) -> usize {
        if self.is_rsa() { self.bits() / 8 } else { 2 * self.bits() / 8 }
    }

    /// Whether it is RSA: signatures of no other kind have a padding.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// The algorithm that is usual for such a key: SHA-256, and SHA-384 with P-384.
    #[must_use]
    pub fn usual(self) -> Algorithm {
        let hash = if self == Self::EcdsaP384 { Hash::Sha384 } else { Hash::Sha256 };
        Algorithm { hash, key: self }
    }
}

/// A signature algorithm: hash, and kind and size of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Algorithm {
    /// Hash.
    pub hash: Hash,
    /// Kind and size of the key.
    pub key: KeyType,
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
            expected: "one of sha256, sha384, sha512 with one of rsa2048, rsa3072, rsa4096, ecdsa256, ecdsa384, such as `sha256,rsa3072`"
                .to_owned(),
        }
        };
        let (hash, key) = text.split_once(',').ok_or_else(unknown)?;
        let key = KeyType::parse(key).ok_or_else(unknown)?;
        Ok(Self { hash: Hash::parse(hash).map_err(|_| unknown())?, key })
    }

    /// As U-Boot spells it.
    #[must_use]
    pub fn name(self) -> String {
        format!("{},{}", self.hash.name(), self.key.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_unknown_algorithms_are_refused_with_the_list() {
        for kind in KeyType::ALL {
            let name = format!("sha256,{}", kind.name());
            assert_eq!(Algorithm::parse(&name).unwrap().name(), name);
        }
        assert_eq!(KeyType::EcdsaP384.usual().name(), "sha384,ecdsa384");
        let weak = ["sha1,rsa2048", "sha256,rsa1024", "md5,rsa2048", "sha256", "crc32,rsa2048"];
        for weak in weak.into_iter().chain(["sha1,ecdsa256", "md5,ecdsa384", "sha256,secp521r1"]) {
            let text = Algorithm::parse(weak).unwrap_err().to_string();
            assert!(text.contains(weak) && text.contains("rsa3072") && text.contains("ecdsa384"), "{text}");
        }
    }
}
