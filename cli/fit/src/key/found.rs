//! What a public key is that is not taken.

use rsa::pkcs1;
use rsa::pkcs8::der::Decode as _;
use rsa::pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::FitError;

/// Names of algorithms of keys (RFC 3279, 8017, 8410) and of curves (RFC 5480, 5639).
const NAMES: [(&str, &str); 16] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.10", "RSA for PSS alone (`id-RSASSA-PSS`)"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10046.2.1", "Diffie-Hellman"),
    ("1.2.840.10045.2.1", "an elliptic curve"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10045.3.1.7", "ECDSA on P-256"),
    ("1.3.132.0.34", "ECDSA on P-384"),
    ("1.3.132.0.35", "ECDSA on P-521"),
    ("1.3.132.0.10", "ECDSA on secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "ECDSA on brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "ECDSA on brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "ECDSA on brainpoolP512r1"),
];
const RSA: &str = "1.2.840.113549.1.1.1";
const CURVE: &str = "1.2.840.10045.2.1";

/// The refusal of what was found.
pub(super) fn other(what: &str) -> FitError {
    FitError::Key(format!(
        "expected a PEM public key of RSA with 2048, 3072 or 4096 bits, or of ECDSA on P-256 or P-384, found {what}"
    ))
}

/// Kind and size of a key (DER SubjectPublicKeyInfo) that could not be read as one of ours.
pub(super) fn kind(der: &[u8]) -> String {
    let Ok(info) = SubjectPublicKeyInfoRef::from_der(der) else {
        return "no SubjectPublicKeyInfo (RFC 5280, 4.1)".to_owned();
    };
    let oid = info.algorithm.oid.to_string();
    if oid == RSA {
        let bytes = info.subject_public_key.as_bytes().unwrap_or_default();
        return match pkcs1::RsaPublicKey::from_der(bytes) {
            Ok(key) => format!("RSA of {} bits", bits(key.modulus.as_bytes())),
            Err(e) => format!("RSA, malformed: {e}"),
        };
    }
    let curve = info.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match curve.filter(|_| oid == CURVE).map(|curve| curve.to_string()) {
        Some(curve) if matches!(name(&curve), Some("ECDSA on P-256" | "ECDSA on P-384")) => {
            format!("no point of its curve ({})", name(&curve).unwrap_or_default())
        }
        Some(curve) => name(&curve).map_or_else(|| format!("the curve {curve}"), str::to_owned),
        None => name(&oid).map_or_else(|| format!("the algorithm {oid}"), str::to_owned),
    }
}

fn name(oid: &str) -> Option<&'static str> {
    NAMES.iter().find(|(own, _)| *own == oid).map(|(_, name)| *name)
}

fn bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|byte| **byte == 0).collect::<Vec<_>>();
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::Document;
    use rsa::pkcs8::der::pem::LineEnding;

    use crate::key::PublicKey;

    fn said(pem: &str) -> String {
        PublicKey::from_pem(pem).unwrap_err().to_string()
    }

    /// A SubjectPublicKeyInfo of RSA with a modulus of that many bytes, all of them 0xff: nobody looks at its factors.
    fn rsa(bytes: u16) -> String {
        let sequence = |tag: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], content].concat()
        };
        let modulus = [vec![0], vec![0xff; usize::from(bytes)]].concat();
        let key = sequence(0x30, &[sequence(2, &modulus), vec![2, 3, 1, 0, 1]].concat());
        let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
        let bits = sequence(3, &[vec![0], key].concat());
        let der = sequence(0x30, &[algorithm.to_vec(), bits].concat());
        Document::try_from(der).unwrap().to_pem("PUBLIC KEY", LineEnding::LF).unwrap()
    }

    #[test]
    fn a_key_of_another_kind_or_size_is_called_by_its_name() {
        let expected = "expected a PEM public key of RSA with 2048, 3072 or 4096 bits, or of ECDSA on P-256 or P-384, found ";
        let text = said(&rsa(1024));
        assert!(text.ends_with(&format!("{expected}RSA of 8192 bits")), "{text}");
        // RFC 8410, 10.1.
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert!(said(ed25519).ends_with("found Ed25519"), "{}", said(ed25519));
        let private = ed25519.replace("PUBLIC", "PRIVATE");
        assert!(said(&private).ends_with("found `PRIVATE KEY`"), "{}", said(&private));
        assert!(said("no PEM").contains("found something else: "), "{}", said("no PEM"));
    }
}
