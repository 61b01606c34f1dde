//! Which keys and signatures are accepted, and whether a signature is right.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use super::Refusal;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

enum Key {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(RsaPublicKey),
}

/// Whether a public key is of a kind and size that is accepted.
///
/// # Errors
/// `weak-key`, `unknown-curve` or `unknown-key`.
pub fn check_key(key: &SubjectPublicKeyInfoOwned) -> Result<(), Refusal> {
    open(key).map(drop)
}

fn open(key: &SubjectPublicKeyInfoOwned) -> Result<Key, Refusal> {
    let broken = |_| Refusal::new("unknown-key", "the public key cannot be read (RFC 5280, 4.1.2.7)");
    let bytes = key.subject_public_key.as_bytes().unwrap_or_default();
    match key.algorithm.oid.to_string().as_str() {
        EC => {
            let curve =
                key.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
            match curve.map(|c| c.to_string()).as_deref() {
                Some(P256) => {
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Key::P256).map_err(broken)
                }
                Some(P384) => {
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Key::P384).map_err(broken)
                }
                other => Err(Refusal::new(
                    "unknown-curve",
                    format!(
                        "expected a key on P-256 or P-384 (NIST SP 800-186, 3.2.1), found the curve {}",
                        other.unwrap_or("without a name")
                    ),
                )),
            }
        }
        RSA => {
            let key = RsaPublicKey::from_pkcs1_der(bytes).map_err(|_| {
                Refusal::new("unknown-key", "the RSA key cannot be read, or has more than 4096 bits")
            })?;
            if key.n().bits() < 3072 {
                return Err(Refusal::new(
                    "weak-key",
                    format!(
                        "expected an RSA key of at least 3072 bits (NIST SP 800-57 part 1, table 2; BSI TR-02102-1), found {}",
                        key.n().bits()
                    ),
                ));
            }
            Ok(Key::Rsa(key))
        }
        other => {
            Err(Refusal::new("unknown-key", format!("expected an EC or RSA key, found algorithm {other}")))
        }
    }
}

/// Whether `signature` over `message` is that key's, by an algorithm that is accepted.
///
/// # Errors
/// `weak-signature`, `unknown-signature`, `bad-signature`, and those of [`check_key`].
pub fn check_signature(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    let (rsa, hash) = accepted(algorithm)?;
    let digest = match hash {
        256 => Sha256::digest(message).to_vec(),
        384 => Sha384::digest(message).to_vec(),
        _ => Sha512::digest(message).to_vec(),
    };
    let right = match open(key)? {
        Key::P256(key) if !rsa => p256::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        Key::P384(key) if !rsa => p384::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        Key::Rsa(key) if rsa => {
            let scheme = match hash {
                256 => Pkcs1v15Sign::new::<Sha256>(),
                384 => Pkcs1v15Sign::new::<Sha384>(),
                _ => Pkcs1v15Sign::new::<Sha512>(),
            };
            key.verify(scheme, &digest, signature).is_ok()
        }
        _ => false,
    };
    if right {
        return Ok(());
    }
    Err(Refusal::new("bad-signature", "the signature is not that of the issuer's key (RFC 5280, 6.1.3)"))
}

/// Whether a signature algorithm is accepted: whether it is RSA's, and the bits of its hash.
pub(super) fn accepted(algorithm: &AlgorithmIdentifierOwned) -> Result<(bool, u32), Refusal> {
    let weak = |name: &str| {
        Err(Refusal::new(
            "weak-signature",
            format!(
                "expected a signature with SHA-256 or better, found {name} (RFC 9155; NIST SP 800-131A, 9)"
            ),
        ))
    };
    match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.11" => Ok((true, 256)),
        "1.2.840.113549.1.1.12" => Ok((true, 384)),
        "1.2.840.113549.1.1.13" => Ok((true, 512)),
        "1.2.840.10045.4.3.2" => Ok((false, 256)),
        "1.2.840.10045.4.3.3" => Ok((false, 384)),
        "1.2.840.10045.4.3.4" => Ok((false, 512)),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => weak("SHA-1"),
        "1.2.840.113549.1.1.4" => weak("MD5"),
        "1.2.840.113549.1.1.2" => weak("MD2"),
        other => Err(Refusal::new(
            "unknown-signature",
            format!("expected ECDSA or RSA (PKCS #1 v1.5) with SHA-2, found the signature algorithm {other}"),
        )),
    }
}
