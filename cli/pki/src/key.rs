//! Private keys of authorities and identities.

use diag::{ExitStatus, Failure, Outcome};
use p256::ecdsa::signature::Signer as _;
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, SecretDocument};
use rand_core::OsRng;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::Any;
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256: what TPMs and secure elements have.
    P256,
    /// ECDSA over P-384 with SHA-384.
    P384,
    /// RSA of 3072 bits with SHA-256.
    Rsa3072,
    /// RSA of 4096 bits with SHA-256.
    Rsa4096,
}

/// A private key in memory; each of its forms wipes itself when dropped.
pub(crate) enum PrivateKey {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Rsa(Box<RsaPrivateKey>),
}

impl PrivateKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Outcome<Self> {
        let rsa = |bits| {
            RsaPrivateKey::new(&mut OsRng, bits).map(|k| Self::Rsa(Box::new(k))).map_err(|e| broken(&e))
        };
        match algorithm {
            Algorithm::P256 => Ok(Self::P256(p256::SecretKey::random(&mut OsRng))),
            Algorithm::P384 => Ok(Self::P384(p384::SecretKey::random(&mut OsRng))),
            Algorithm::Rsa3072 => rsa(3072),
            Algorithm::Rsa4096 => rsa(4096),
        }
    }

    pub(crate) fn from_der(der: &SecretDocument) -> Outcome<Self> {
        let der = der.as_bytes();
        if let Ok(key) = p256::SecretKey::from_pkcs8_der(der) {
            return Ok(Self::P256(key));
        }
        if let Ok(key) = p384::SecretKey::from_pkcs8_der(der) {
            return Ok(Self::P384(key));
        }
        RsaPrivateKey::from_pkcs8_der(der).map(|key| Self::Rsa(Box::new(key))).map_err(|_| {
            Failure::error(
                ExitStatus::Keys,
                "key-format",
                "expected a key on P-256 or P-384 or an RSA key, found another",
            )
            .hint("take the key from a backup")
        })
    }

    pub(crate) fn to_der(&self) -> Outcome<SecretDocument> {
        match self {
            Self::P256(key) => key.to_pkcs8_der(),
            Self::P384(key) => key.to_pkcs8_der(),
            Self::Rsa(key) => key.to_pkcs8_der(),
        }
        .map_err(|e| broken(&e))
    }

    pub(crate) fn public(&self) -> Outcome<SubjectPublicKeyInfoOwned> {
        let der = match self {
            Self::P256(key) => key.public_key().to_public_key_der().map_err(|e| broken(&e))?,
            Self::P384(key) => key.public_key().to_public_key_der().map_err(|e| broken(&e))?,
            Self::Rsa(key) => key.to_public_key().to_public_key_der().map_err(|e| broken(&e))?,
        };
        SubjectPublicKeyInfoOwned::from_der(der.as_bytes()).map_err(|e| broken(&e))
    }

    /// The algorithm of its signatures (RFC 5758, 3.2; RFC 4055, 5).
    pub(crate) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self {
            Self::P256(_) => (ECDSA_SHA256, None),
            Self::P384(_) => (ECDSA_SHA384, None),
            Self::Rsa(_) => (RSA_SHA256, Some(Any::null())),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Outcome<Vec<u8>> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from(key).sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::SigningKey::from(key).sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::Rsa(key) => key
                .sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message))
                .map_err(|e| broken(&e)),
        }
    }
}

pub(crate) fn broken(why: &dyn std::fmt::Display) -> Failure {
    Failure::error(ExitStatus::Internal, "pki-encoding", format!("cannot make the certificate: {why}"))
}
