//! An ECDSA key as U-Boot's control FDT holds it (`lib/ecdsa/ecdsa-verify.c`), and its signatures' two forms.

use p256::elliptic_curve::sec1::ToEncodedPoint as _;

use super::{PublicKey, need};
use crate::FitError;

/// Curves as `mkimage` names them: OpenSSL's short names. Of each the bytes of a coordinate.
const CURVES: [(&str, usize); 2] = [("prime256v1", 32), ("secp384r1", 48)];

/// A point in its uncompressed form; which curve it is on, its length says.
pub(super) fn point(bytes: &[u8]) -> Result<PublicKey, FitError> {
    let none = |why: &dyn std::fmt::Display| {
        FitError::Key(format!(
            "expected a point of P-256 or P-384, uncompressed, found something else: {why}"
        ))
    };
    if bytes.first() != Some(&4) {
        return Err(none(&"it does not begin with 4"));
    }
    match bytes.len() {
        65 => p256::PublicKey::from_sec1_bytes(bytes).map(PublicKey::P256).map_err(|e| none(&e)),
        97 => p384::PublicKey::from_sec1_bytes(bytes).map(PublicKey::P384).map_err(|e| none(&e)),
        other => Err(none(&format!("it has {other} bytes"))),
    }
}

/// The properties of its node; none for RSA.
pub(super) fn properties(key: &PublicKey) -> Vec<(&'static str, Vec<u8>)> {
    let (curve, point) = match key {
        PublicKey::Rsa(_) => return Vec::new(),
        PublicKey::P256(key) => (CURVES[0], key.to_encoded_point(false).as_bytes().to_vec()),
        PublicKey::P384(key) => (CURVES[1], key.to_encoded_point(false).as_bytes().to_vec()),
    };
    let (name, bytes) = curve;
    vec![
        ("ecdsa,curve", format!("{name}\0").into_bytes()),
        ("ecdsa,x-point", point[1..=bytes].to_vec()),
        ("ecdsa,y-point", point[1 + bytes..].to_vec()),
    ]
}

/// The key of a node: a point with reduced coordinates that is on the curve that it names.
pub(super) fn from_properties(
    curve: &[u8],
    get: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<PublicKey, FitError> {
    let found = CURVES.iter().find(|(name, _)| curve.strip_suffix(&[0]) == Some(name.as_bytes()));
    let (name, bytes) = found.ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(curve).chars().take(32).collect();
        FitError::Key(format!(
            "the key node is for the curve `{}`: expected `prime256v1` or `secp384r1`",
            shown.trim_end_matches('\0').escape_debug()
        ))
    })?;
    let (x, y) = (need(&get, "ecdsa,x-point")?, need(&get, "ecdsa,y-point")?);
    if x.len() != *bytes || y.len() != *bytes {
        return Err(FitError::Key(format!(
            "the key node's coordinates have {} and {} bytes: `{name}` needs {bytes}",
            x.len(),
            y.len()
        )));
    }
    point(&[&[4][..], &x, &y].concat())
        .map_err(|_| FitError::Key(format!("the key node holds no point of `{name}`")))
}

/// The DER form of r and s as a FIT has them; nothing when it is not that, or the key is RSA.
pub(super) fn der_of_raw(key: &PublicKey, raw: &[u8]) -> Option<Vec<u8>> {
    match key {
        PublicKey::Rsa(_) => None,
        PublicKey::P256(_) => {
            p256::ecdsa::Signature::from_slice(raw).ok().map(|one| one.to_der().as_bytes().to_vec())
        }
        PublicKey::P384(_) => {
            p384::ecdsa::Signature::from_slice(raw).ok().map(|one| one.to_der().as_bytes().to_vec())
        }
    }
}

/// r and s from the DER form; nothing when it is not that, or the key is RSA.
pub(super) fn raw_of_der(key: &PublicKey, der: &[u8]) -> Option<Vec<u8>> {
    match key {
        PublicKey::Rsa(_) => None,
        PublicKey::P256(_) => p256::ecdsa::Signature::from_der(der).ok().map(|raw| raw.to_bytes().to_vec()),
        PublicKey::P384(_) => p384::ecdsa::Signature::from_der(der).ok().map(|raw| raw.to_bytes().to_vec()),
    }
}
