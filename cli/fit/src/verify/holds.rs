//! Whether a signature is one of a key over a digest.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Sha256, Sha384, Sha512};

use crate::key::{Hash, Padding, PublicKey};

/// `padding` counts for RSA only.
pub(crate) fn holds(key: &PublicKey, padding: Padding, hash: Hash, digest: &[u8], value: &[u8]) -> bool {
    match key {
        PublicKey::Rsa(key) => rsa(key, padding, hash, digest, value),
        // Both refuse another length than that of r and s, and an r or s that is not in 1..n-1 (FIPS 186-5, 6.4.2).
        PublicKey::P256(key) => p256::ecdsa::Signature::from_slice(value)
            .is_ok_and(|value| p256::ecdsa::VerifyingKey::from(key).verify_prehash(digest, &value).is_ok()),
        PublicKey::P384(key) => p384::ecdsa::Signature::from_slice(value)
            .is_ok_and(|value| p384::ecdsa::VerifyingKey::from(key).verify_prehash(digest, &value).is_ok()),
    }
}

/// PSS with a salt as long as the hash, or as long as the modulus allows: `mkimage` 2023.01 makes
/// the latter, U-Boot takes every length (`lib/rsa/rsa-verify.c`).
fn rsa(key: &RsaPublicKey, padding: Padding, hash: Hash, digest: &[u8], value: &[u8]) -> bool {
    let pss = |salt: usize| match hash {
        Hash::Sha256 => Pss::new_with_salt::<Sha256>(salt),
        Hash::Sha384 => Pss::new_with_salt::<Sha384>(salt),
        Hash::Sha512 => Pss::new_with_salt::<Sha512>(salt),
    };
    match padding {
        Padding::Pkcs1v15 => {
            let scheme = match hash {
                Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
            };
            key.verify(scheme, digest, value).is_ok()
        }
        Padding::Pss => {
            let longest = value.len().saturating_sub(digest.len() + 2);
            [digest.len(), longest].into_iter().any(|salt| key.verify(pss(salt), digest, value).is_ok())
        }
    }
}
