//! Files that are one key or certificate in DER, whatever they are called.

use rsa::pkcs1::der::Decode as _;

use super::keys::{KeyFound, MAX_PEM, certificate, find, of_pkcs1, of_pkcs8, of_sec1};

/// A file that is one value of DER from its first to its last byte: what it is, whatever it is called.
pub fn whole(bytes: &[u8]) -> Option<KeyFound> {
    // SEQUENCE, with a length of one byte or in the next one to three.
    let (head, length) = match bytes {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(*high) << 8 | usize::from(*low)),
        _ => return None,
    };
    if bytes.len() > MAX_PEM || head + length != bytes.len() {
        return None;
    }
    if let Some(found) = certificate(bytes) {
        return Some(found);
    }
    let spki = of_pkcs8(bytes).or_else(|| of_pkcs1(bytes)).or_else(|| of_sec1(bytes));
    if spki.is_some() {
        return Some(KeyFound::of("private key").public(spki));
    }
    if let Some(kind) = pkcs12(bytes, head) {
        return Some(KeyFound::of(kind));
    }
    if rsa::pkcs8::PrivateKeyInfo::from_der(bytes).is_ok() {
        return Some(KeyFound::of("private key").or_curve(Some(bytes)));
    }
    // RFC 5915: version 1, then the key; the curve is one that is not known here.
    let sec1 = matches!(bytes.get(head..), Some([2, 1, 1, 4, length @ 16..=80, ..]) if usize::from(*length) + head + 5 <= bytes.len());
    if sec1 {
        return Some(KeyFound::of("private key").or_curve(Some(bytes)));
    }
    // RFC 5958, EncryptedPrivateKeyInfo: PBES2.
    const PBES2: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 0x0d];
    let encrypted = find(&bytes[..bytes.len().min(40)], PBES2).is_some();
    encrypted.then(|| KeyFound::of("encrypted private key"))
}

/// What a PKCS#12 holds: keys in bags of their own (RFC 7292, 4.2.1), or in what a password encrypts.
fn pkcs12(bytes: &[u8], head: usize) -> Option<&'static str> {
    const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    const KEY_BAG: &[u8] = &[6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 1];
    let body = bytes.get(head..)?;
    if !body.starts_with(&[2, 1, 3, 0x30]) || find(&body[..body.len().min(32)], DATA).is_none() {
        return None;
    }
    Some(if find(body, KEY_BAG).is_some() { "private key" } else { "encrypted private key" })
}
