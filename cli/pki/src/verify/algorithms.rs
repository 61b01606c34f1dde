//! Which keys and signatures are accepted, and whether a signature is right.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1::{DecodeRsaPublicKey as _, RsaPssParams};
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use super::Refusal;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const PSS: &str = "1.2.840.113549.1.1.10";
const MGF1: &str = "1.2.840.113549.1.1.8";

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// ECDSA.
    Ecdsa,
    /// RSASSA-PKCS1-v1_5 (RFC 8017, 8.2).
    Pkcs1,
    /// RSASSA-PSS (RFC 8017, 8.1).
    Pss,
}

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
    let (scheme, hash) = accepted(algorithm)?;
    let digest = match hash {
        256 => Sha256::digest(message).to_vec(),
        384 => Sha384::digest(message).to_vec(),
        _ => Sha512::digest(message).to_vec(),
    };
    let right = match open(key)? {
        Key::P256(key) if scheme == Scheme::Ecdsa => p256::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        Key::P384(key) if scheme == Scheme::Ecdsa => p384::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        Key::Rsa(key) if scheme == Scheme::Pss => {
            let scheme = match hash {
                256 => Pss::new_with_salt::<Sha256>(32),
                384 => Pss::new_with_salt::<Sha384>(48),
                _ => Pss::new_with_salt::<Sha512>(64),
            };
            key.verify(scheme, &digest, signature).is_ok()
        }
        Key::Rsa(key) if scheme == Scheme::Pkcs1 => {
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

/// Whether a signature algorithm is accepted: its scheme, and the bits of its hash.
pub(super) fn accepted(algorithm: &AlgorithmIdentifierOwned) -> Result<(Scheme, u32), Refusal> {
    let weak = |name: &str| {
        Err(Refusal::new(
            "weak-signature",
            format!(
                "expected a signature with SHA-256 or better, found {name} (RFC 9155; NIST SP 800-131A, 9)"
            ),
        ))
    };
    match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.11" => Ok((Scheme::Pkcs1, 256)),
        "1.2.840.113549.1.1.12" => Ok((Scheme::Pkcs1, 384)),
        "1.2.840.113549.1.1.13" => Ok((Scheme::Pkcs1, 512)),
        PSS => pss(algorithm).map(|hash| (Scheme::Pss, hash)),
        "1.2.840.10045.4.3.2" => Ok((Scheme::Ecdsa, 256)),
        "1.2.840.10045.4.3.3" => Ok((Scheme::Ecdsa, 384)),
        "1.2.840.10045.4.3.4" => Ok((Scheme::Ecdsa, 512)),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => weak("SHA-1"),
        "1.2.840.113549.1.1.4" => weak("MD5"),
        "1.2.840.113549.1.1.2" => weak("MD2"),
        other => Err(Refusal::new(
            "unknown-signature",
            format!(
                "expected ECDSA or RSA (PKCS #1 v1.5 or PSS) with SHA-2, found the signature algorithm {other}"
            ),
        )),
    }
}

/// The bits of the hash of RSASSA-PSS: the same one for message and mask, and a salt as long as it (RFC 4055, 3.1).
fn pss(algorithm: &AlgorithmIdentifierOwned) -> Result<u32, Refusal> {
    let refused = |found: &str| {
        let message = format!(
            "expected RSA-PSS with SHA-2, a mask of the same hash and a salt as long as it (RFC 4055, 3.1), found {found}"
        );
        // SHA-1 is what is meant where nothing is said.
        Refusal::new(if found == "SHA-1" { "weak-signature" } else { "unknown-signature" }, message)
    };
    let der =
        algorithm.parameters.as_ref().and_then(|parameters| parameters.to_der().ok()).unwrap_or_default();
    let parameters = RsaPssParams::from_der(&der).map_err(|_| refused("parameters that cannot be read"))?;
    let bits = |oid: ObjectIdentifier| match oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Ok(256),
        "2.16.840.1.101.3.4.2.2" => Ok(384),
        "2.16.840.1.101.3.4.2.3" => Ok(512),
        "1.3.14.3.2.26" => Err(refused("SHA-1")),
        other => Err(refused(&format!("the hash {other}"))),
    };
    let hash = bits(parameters.hash.oid)?;
    let mask = parameters.mask_gen.parameters.filter(|_| parameters.mask_gen.oid.to_string() == MGF1);
    let mask = bits(mask.ok_or_else(|| refused("another mask than MGF1"))?.oid)?;
    if mask != hash || u32::from(parameters.salt_len) * 8 != hash {
        return Err(refused(&format!(
            "SHA-{hash}, a mask of SHA-{mask} and a salt of {} bytes",
            parameters.salt_len
        )));
    }
    Ok(hash)
}
