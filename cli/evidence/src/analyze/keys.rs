//! Keys and certificates in files: PEM (RFC 7468, OpenSSL's older forms, OpenSSH's), DER by name, keys that may log in.
//!
//! A key is known by the SHA-256 of its SubjectPublicKeyInfo, so that a private key, its certificate and its form for
//! SSH are the same key. What the bytes of a private key are never gets into the result.

use base64ct::{Base64, Encoding as _};
use rsa::pkcs1;
use rsa::pkcs1::der::Decode as _;
use rsa::pkcs8::EncodePublicKey as _;
use spec::known_keys::KnownKeys;
use x509_cert::Certificate;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{Any, BitString, Null, ObjectIdentifier};
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::model::Key;
use super::rules::Found;

/// How every PEM text begins.
pub const BEGIN: &[u8] = b"-----BEGIN ";
/// Bytes of one PEM text.
pub(super) const MAX_PEM: usize = 64 << 10;
/// Keys of one file: a bundle of authorities has some 150.
pub const MAX_KEYS: usize = 2000;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const P192: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// Signature algorithms with MD5 or SHA-1 (RFC 8017, RFC 3279).
const WEAK: [&str; 3] = ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"];

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFound {
    /// As [`Key::kind`].
    pub kind: String,
    /// As [`Key::algorithm`].
    pub algorithm: String,
    /// As [`Key::fingerprint`].
    pub fingerprint: String,
    /// As [`Key::name`].
    pub name: String,
    /// As [`Key::not_after`].
    pub not_after: Option<u64>,
    /// Start of a certificate's time.
    pub not_before: Option<u64>,
    /// Signed with MD5 or SHA-1, by somebody else.
    pub weak_signature: bool,
}

impl KeyFound {
    pub(super) fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// With the name of a curve or an algorithm that is too weak, where nothing else is known.
    pub(super) fn or_curve(mut self, der: Option<&[u8]>) -> Self {
        const WEAK: [(&[u8], &str); 2] = [
            (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1], "p192"),
            (&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "dsa"),
        ];
        if let Some(der) = der.filter(|_| self.algorithm.is_empty())
            && let Some((_, name)) = WEAK.iter().find(|(oid, _)| find(der, oid).is_some())
        {
            self.algorithm = (*name).to_owned();
        }
        self
    }

    /// With what the SubjectPublicKeyInfo says.
    pub(super) fn public(mut self, spki: Option<Vec<u8>>) -> Self {
        if let Some(der) = spki {
            self.algorithm = algorithm(&der);
            self.fingerprint = record::sha256_hex(&der);
        }
        self
    }
}

/// Every PEM text in some bytes.
#[must_use]
pub fn pem(bytes: &[u8]) -> Vec<KeyFound> {
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut next = find(rest, BEGIN);
    while let Some(at) = next {
        rest = &rest[at + BEGIN.len()..];
        // No text goes on behind the start of another: without that, many starts would be many times the file.
        next = find(rest, BEGIN);
        let window = &rest[..next.unwrap_or(rest.len()).min(MAX_PEM)];
        let Some(end) = find(&window[..window.len().min(64)], b"-----") else { continue };
        let Ok(label) = std::str::from_utf8(&window[..end]) else { continue };
        let body = &window[end + 5..];
        let stop = find(body, b"-----END ").unwrap_or_else(|| {
            // A text that was cut is a key all the same where enough of it follows.
            body.iter().position(|byte| *byte == 0).unwrap_or(body.len())
        });
        found.extend(one(label, &body[..stop]));
        if found.len() > MAX_KEYS {
            break;
        }
    }
    found
}

/// What is said where a file has more keys than are kept.
pub fn too_many() -> String {
    format!("more than {MAX_KEYS} keys in it; the others are left out")
}

/// Whether a file holds keys that may log in, by its name.
pub fn is_authorized(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name == "authorized_keys" || name == "authorized_keys2" || path.contains("/authorized_keys.d/")
}

/// The place of bytes in others.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut at = 0;
    while let Some(offset) = haystack.get(at..)?.iter().position(|byte| byte == first) {
        if haystack[at + offset..].starts_with(needle) {
            return Some(at + offset);
        }
        at += offset + 1;
    }
    None
}

/// A text with the line ends that a source or a JSON text writes as `\n`.
fn plain(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, more @ ..] = rest {
        match (first, more.first()) {
            (b'\\', Some(b'n' | b'r')) => {
                out.push(b'\n');
                rest = &more[1..];
            }
            _ => {
                out.push(*first);
                rest = more;
            }
        }
    }
    out
}

/// A line without what stands around it in a source, a script or a comment: quotes, `#`, `*`, a backslash at its end.
fn bare(line: &[u8]) -> &[u8] {
    let quotes = |byte: &u8| matches!(byte, b'"' | b'\'');
    let line = match (line.iter().position(quotes), line.iter().rposition(quotes)) {
        (Some(first), Some(last)) if first < last => &line[first + 1..last],
        (Some(first), Some(_)) if first * 2 < line.len() => &line[first + 1..],
        (Some(first), Some(_)) => &line[..first],
        _ => line,
    };
    let around = |byte: &u8| {
        byte.is_ascii_whitespace() || matches!(byte, b'#' | b'*' | b'\\' | b',' | b';' | b'>' | b'|')
    };
    let start = line.iter().position(|byte| !around(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !around(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// One text by its label; `None` where nothing like a key follows, as in a program that looks for labels.
fn one(label: &str, body: &[u8]) -> Option<KeyFound> {
    let body = plain(body);
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').map(bare).collect();
    let encrypted =
        lines.iter().take(4).any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"));
    let base64: Vec<u8> = lines
        .iter()
        .filter(|line| !line.contains(&b':'))
        .flat_map(|line| line.split(u8::is_ascii_whitespace))
        .take_while(|line| line.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)))
        .flat_map(|line| line.iter().copied())
        .collect();
    if base64.len() < 40 {
        return None;
    }
    let der = std::str::from_utf8(&base64).ok().and_then(|text| Base64::decode_vec(text).ok());
    let der = der.as_deref();
    match label {
        "PRIVATE KEY" => Some(KeyFound::of("private key").public(der.and_then(of_pkcs8)).or_curve(der)),
        "RSA PRIVATE KEY" if !encrypted => Some(KeyFound::of("private key").public(der.and_then(of_pkcs1))),
        "EC PRIVATE KEY" if !encrypted => {
            Some(KeyFound::of("private key").public(der.and_then(of_sec1)).or_curve(der))
        }
        "DSA PRIVATE KEY" if !encrypted => {
            Some(KeyFound { algorithm: "dsa".to_owned(), ..KeyFound::of("private key") })
        }
        label if label.starts_with("OpenVPN Static key") => Some(KeyFound::of("private key")),
        "OPENSSH PRIVATE KEY" => Some(openssh(der)),
        "ENCRYPTED PRIVATE KEY" => Some(KeyFound::of("encrypted private key")),
        label if label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK" => {
            Some(KeyFound::of(if encrypted { "encrypted private key" } else { "private key" }))
        }
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => der.and_then(certificate),
        "PUBLIC KEY" => Some(KeyFound::of("public key").public(der.map(<[u8]>::to_vec))),
        _ => None,
    }
}

pub(super) fn certificate(der: &[u8]) -> Option<KeyFound> {
    use x509_cert::der::Decode as _;
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = &certificate.tbs_certificate;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let mut found = KeyFound::of("certificate").public(tbs.subject_public_key_info.to_der().ok());
    found.name = tbs.subject.to_string();
    found.not_before = Some(seconds(tbs.validity.not_before));
    found.not_after = Some(seconds(tbs.validity.not_after));
    // Nobody checks the signature that an authority puts under its own certificate.
    let oid = certificate.signature_algorithm.oid.to_string();
    found.weak_signature = WEAK.contains(&oid.as_str()) && tbs.issuer != tbs.subject;
    Some(found)
}

/// Files that are keys by their name or as a whole, and hold no PEM.
#[must_use]
pub fn by_name(path: &str, bytes: &[u8]) -> Vec<KeyFound> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.contains("/dropbear/") && name.ends_with("host_key") && bytes.starts_with(&[0, 0, 0]) {
        return vec![KeyFound::of("private key")];
    }
    if is_authorized(path) {
        return authorized_lines(&String::from_utf8_lossy(bytes)).take(MAX_KEYS + 1).collect();
    }
    if name.ends_with(".pub") && bytes.len() <= MAX_PEM {
        let keys = authorized_lines(std::str::from_utf8(bytes).unwrap_or_default()).take(MAX_KEYS + 1);
        return keys.map(|key| KeyFound { kind: "public key".to_owned(), ..key }).collect();
    }
    if bytes.starts_with(b"PuTTY-User-Key-File-") {
        let open = find(&bytes[..bytes.len().min(1000)], b"Encryption: none").is_some();
        return vec![KeyFound::of(if open { "private key" } else { "encrypted private key" })];
    }
    super::keys_der::whole(bytes).into_iter().collect()
}

/// The keys of such a file, and whether there are more.
pub fn authorized(text: &str) -> (Vec<KeyFound>, bool) {
    let mut lines = authorized_lines(text);
    let keys = lines.by_ref().take(MAX_KEYS).collect();
    (keys, lines.next().is_some())
}

/// Lines of `authorized_keys`; options may stand in front of the key.
fn authorized_lines(text: &str) -> impl Iterator<Item = KeyFound> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| {
        let start = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .filter_map(|kind| {
                line.match_indices(kind)
                    .map(|(at, _)| at)
                    .find(|at| *at == 0 || line.as_bytes()[at - 1] == b' ')
            })
            .min();
        let start = start?;
        let mut key = KeyFound::of("authorized key");
        if let Ok(public) = ssh_key::PublicKey::from_openssh(&line[start..]) {
            key = key.public(of_ssh(public.key_data()));
            key.name = public.comment().to_owned();
            if key.algorithm.is_empty() {
                key.algorithm = public.algorithm().to_string();
            }
        }
        Some(key)
    })
}

fn openssh(der: Option<&[u8]>) -> KeyFound {
    let Some(key) = der.and_then(|der| ssh_key::PrivateKey::from_bytes(der).ok()) else {
        return KeyFound::of("private key");
    };
    let kind = if key.is_encrypted() { "encrypted private key" } else { "private key" };
    let mut found = KeyFound::of(kind).public(of_ssh(key.public_key().key_data()));
    found.name = key.comment().to_owned();
    found
}

fn of_ssh(data: &ssh_key::public::KeyData) -> Option<Vec<u8>> {
    use ssh_key::public::{EcdsaPublicKey, KeyData};
    match data {
        KeyData::Rsa(key) => rsa_spki(key.n.as_positive_bytes()?, key.e.as_positive_bytes()?),
        KeyData::Ed25519(key) => spki(ED25519, None, &key.0),
        KeyData::Ecdsa(key) => {
            let curve = match key {
                EcdsaPublicKey::NistP256(_) => P256,
                EcdsaPublicKey::NistP384(_) => P384,
                EcdsaPublicKey::NistP521(_) => P521,
            };
            spki(EC, Any::encode_from(&curve).ok(), key.as_sec1_bytes())
        }
        _ => None,
    }
}

fn spki(oid: ObjectIdentifier, parameters: Option<Any>, key: &[u8]) -> Option<Vec<u8>> {
    SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitString::from_bytes(key).ok()?,
    }
    .to_der()
    .ok()
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key = pkcs1::RsaPublicKey {
        modulus: pkcs1::UintRef::new(modulus).ok()?,
        public_exponent: pkcs1::UintRef::new(exponent).ok()?,
    };
    spki(RSA, Any::encode_from(&Null).ok(), &key.to_der().ok()?)
}

pub(super) fn of_pkcs1(der: &[u8]) -> Option<Vec<u8>> {
    let key = pkcs1::RsaPrivateKey::from_der(der).ok()?;
    rsa_spki(key.modulus.as_bytes(), key.public_exponent.as_bytes())
}

pub(super) fn of_sec1(der: &[u8]) -> Option<Vec<u8>> {
    // The readers of keys do not look at the curve that is named: one that is not theirs is none of them.
    let has = |oid: &[u8]| find(der, oid).is_some();
    let named = has(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1]) || has(&[0x2b, 0x81, 4, 0]);
    if named && !has(P256.as_bytes()) && !has(P384.as_bytes()) {
        return None;
    }
    let p256 =
        p256::SecretKey::from_sec1_der(der).ok().and_then(|key| key.public_key().to_public_key_der().ok());
    let p384 =
        || p384::SecretKey::from_sec1_der(der).ok().and_then(|key| key.public_key().to_public_key_der().ok());
    p256.or_else(p384).map(|der| der.as_bytes().to_vec())
}

pub(super) fn of_pkcs8(der: &[u8]) -> Option<Vec<u8>> {
    let info = rsa::pkcs8::PrivateKeyInfo::from_der(der).ok()?;
    match info.algorithm.oid {
        RSA => of_pkcs1(info.private_key),
        ED25519 => {
            // The key is an OCTET STRING inside the OCTET STRING (RFC 8410, clause 7).
            let seed: [u8; 32] = info.private_key.strip_prefix(&[4, 32])?.try_into().ok()?;
            spki(ED25519, None, ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().as_bytes())
        }
        EC => {
            use rsa::pkcs8::DecodePrivateKey as _;
            let p256 =
                p256::SecretKey::from_pkcs8_der(der).ok().map(|key| key.public_key().to_public_key_der());
            let p384 =
                || p384::SecretKey::from_pkcs8_der(der).ok().map(|key| key.public_key().to_public_key_der());
            p256.or_else(p384)?.ok().map(|der| der.as_bytes().to_vec())
        }
        _ => None,
    }
}

/// Such as `rsa2048`; empty where the algorithm is not known.
fn algorithm(der: &[u8]) -> String {
    use x509_cert::spki::SubjectPublicKeyInfoRef;
    let Ok(info) = SubjectPublicKeyInfoRef::from_der(der) else { return String::new() };
    let curve = || info.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match info.algorithm.oid {
        RSA => {
            let key = info.subject_public_key.as_bytes().and_then(|b| pkcs1::RsaPublicKey::from_der(b).ok());
            key.map(|key| format!("rsa{}", bits(key.modulus.as_bytes()))).unwrap_or_default()
        }
        ED25519 => "ed25519".to_owned(),
        DSA => "dsa".to_owned(),
        EC => match curve() {
            Some(P256) => "p256".to_owned(),
            Some(P384) => "p384".to_owned(),
            Some(P521) => "p521".to_owned(),
            Some(P192) => "p192".to_owned(),
            Some(other) => format!("ec {other}"),
            None => "ec".to_owned(),
        },
        other => other.to_string(),
    }
}

fn bits(number: &[u8]) -> usize {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// The keys of one file as rows and findings. `in_program` says that the file is a program or library.
pub fn judge(
    shown: &str,
    keys: &[KeyFound],
    in_program: bool,
    known: &KnownKeys,
    at: Option<u64>,
    found: &mut Found,
) -> Vec<Key> {
    let name = shown.rsplit('/').next().unwrap_or_default();
    let host_key = shown.contains("/etc/ssh/ssh_host_") || name.ends_with("host_key");
    let mut seen_before = std::collections::BTreeMap::new();
    for key in keys {
        let what = if key.algorithm.is_empty() {
            key.kind.clone()
        } else {
            format!("{} {}", key.algorithm, key.kind)
        };
        // The second key of a file is another finding than the first.
        let again = seen_before.entry(format!("{what} {}", key.name)).or_insert(0_usize);
        *again += 1;
        let id = match key.fingerprint.get(..16) {
            Some(id) => format!(" sha256:{id}…"),
            None if *again > 1 && !in_program => format!(", number {again} in it"),
            None => String::new(),
        };
        let private = key.kind == "private key";
        if let Some(source) = known.source(&key.fingerprint) {
            let rule = if key.kind.ends_with("private key") { "known-private-key" } else { "known-key" };
            found.add(rule, shown, format!("{what}, published: {source}"));
        } else if private && host_key {
            found.add("host-key", shown, format!("{what}{id}"));
        } else if private && in_program {
            found.add("private-key-in-program", shown, format!("{what}{id}"));
        } else if private {
            found.add("private-key", shown, format!("{what}{id}"));
        }
        match key.kind.as_str() {
            "encrypted private key" => found.add("private-key-encrypted", shown, format!("{what}{id}")),
            "authorized key" => found.add("authorized-key", shown, format!("{what} {}{id}", key.name)),
            _ => {}
        }
        let length = key.algorithm.strip_prefix("rsa").and_then(|bits| bits.parse::<u32>().ok());
        // NIST SP 800-131A: RSA below 2048 bits is disallowed.
        // FIPS 186-5 has no DSA any more, and no curve below 224 bits.
        let weak = ["dsa", "ssh-dss", "p192"].contains(&key.algorithm.as_str());
        // What a library tests itself with protects nothing.
        let in_test = in_program && key.kind.ends_with("private key");
        if !in_test && weak || length.is_some_and(|bits| bits < 2048) {
            found.add("weak-key", shown, &what);
        }
        if key.weak_signature {
            found.add("certificate-weak", shown, &key.name);
        }
        if let (Some(now), Some(end), Some(start)) = (at, key.not_after, key.not_before)
            && (now > end || now < start)
        {
            let when = if now > end { "expired" } else { "not yet valid" };
            found.add("certificate-expired", shown, format!("{when}: {}", key.name));
        }
    }
    let row = |key: &KeyFound| Key {
        path: shown.to_owned(),
        kind: key.kind.clone(),
        algorithm: key.algorithm.clone(),
        fingerprint: key.fingerprint.clone(),
        name: key.name.clone(),
        not_after: key.not_after,
    };
    keys.iter().map(row).collect()
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
