//! `secrets-absent`: no private key in the root file system, the FIT or the boot flash.
//!
//! Programs that read keys hold the marker text; only a marker with key data behind it counts. With `thorough` files are
//! read as `fastness analyze` reads them, too: keys in DER and other forms, JWK, passwords and tokens in text.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use serde::Deserialize;
use spec::known_keys::KnownKeys;

use super::Kind;
use crate::analyze::{Scanner, Unread};
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable, glob};

/// See the module.
pub struct SecretsAbsent;

/// Parameters.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Files that hold keys which are no secrets, such as a library's self-test keys, with the reason.
    #[serde(default)]
    exceptions: BTreeMap<String, String>,
    /// Also what is no PEM text: keys in DER, JWK, secrets in text.
    #[serde(default)]
    thorough: bool,
}

/// Labels of RFC 7468, clause 10 and 11, of OpenSSL's older forms, of OpenSSH, of OpenPGP and of OpenVPN.
const LABELS: [&str; 10] = [
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
    "OpenVPN Static key V1",
    "OpenVPN tls-crypt-v2 client key",
    "OpenVPN tls-crypt-v2 server key",
];
const BEGIN: &[u8] = b"-----BEGIN ";
/// Base64 characters that must follow: more than any program has by chance behind its marker.
const LEAST_BASE64: usize = 32;

impl Kind for SecretsAbsent {
    const NAME: &'static str = "secrets-absent";
    const DESCRIPTION: &'static str = "no private key in root file system, FIT or flash, and no published key; with `thorough` none in DER or JWK, no password and no token";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let empty = with.exceptions.iter().filter(|(_, reason)| reason.trim().is_empty());
        empty.map(|(path, _)| format!("the exception for `{path}` has no reason")).collect()
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let subject = context.subject;
        let mut problems = Vec::new();
        let mut looked = Vec::new();
        let mut unread = Vec::new();
        let mut sha256 = String::new();
        let scanner = with.thorough.then(Scanner::new).transpose().map_err(Unable::broken)?;
        // Each part is read if this kind of subject can have it.
        match context.root() {
            Ok(root) => {
                let mut files = 0usize;
                let mut left_out = Vec::new();
                for (path, node) in root.nodes() {
                    if let NodeKind::File(1..) = node.kind {
                        if with.exceptions.keys().any(|pattern| glob::matches(pattern, path)) {
                            left_out.push(format!("`{path}`"));
                            continue;
                        }
                        let bytes = root.read(path)?.unwrap_or_default();
                        problems
                            .extend(found(&bytes).into_iter().map(|what| format!("`{path}` holds {what}")));
                        if let Some(scanner) = &scanner {
                            problems.extend(more(scanner, path, &bytes));
                        }
                        files += 1;
                    }
                }
                let but = if left_out.is_empty() {
                    String::new()
                } else {
                    format!(" (left out with a reason: {})", left_out.join(" "))
                };
                looked.push(format!("{files} files{but}"));
                sha256.clone_from(&root.sha256);
            }
            Err(why) => unread.extend(broken_part(why)),
        }
        let fit = subject.fit().map(|fit| ("the FIT", &fit.bytes, &fit.sha256));
        let uboot = subject.uboot().map(|uboot| ("the boot flash", &uboot.bytes, &uboot.sha256));
        for part in [fit, uboot] {
            match part {
                Ok((name, bytes, hash)) => {
                    problems.extend(found(bytes).into_iter().map(|what| format!("{name} holds {what}")));
                    looked.push(name.to_owned());
                    if sha256.is_empty() {
                        sha256.clone_from(hash);
                    }
                }
                Err(why) => unread.extend(broken_part(why)),
            }
        }
        // A key that was found is found, whatever could not be read; else what could not be read decides.
        if let Some(why) = unread.into_iter().next().filter(|_| problems.is_empty()) {
            return Err(why);
        }
        if looked.is_empty() {
            return Err(Unable::broken("no part of it could be read"));
        }
        let good = format!("none in {}", looked.join(", "));
        Ok(Conclusion::of(&problems, "no private key", good, &sha256))
    }
}

/// What a thorough look finds beyond the marks of keys. A secret itself is not told.
fn more(scanner: &Scanner, path: &str, bytes: &[u8]) -> Vec<String> {
    let scan = scanner.scan(path, bytes);
    let keys = scan.keys.iter().filter(|key| key.kind.ends_with("private key"));
    let mut found: Vec<String> = keys.map(|key| format!("`{path}` holds a key ({})", key.kind)).collect();
    let secrets = scan.secrets.iter();
    found.extend(secrets.map(|secret| format!("`{path}` {} holds a secret ({})", secret.at, secret.rule)));
    if is_jwk(bytes) {
        found.push(format!("`{path}` holds a private or shared key as JWK"));
    }
    if let Some(Unread::Limit(why) | Unread::Broken(why)) = scan.unread {
        found.push(format!("`{path}` was not looked through: {why}"));
    }
    found.sort();
    found.dedup();
    found
}

/// RFC 7517 and 7518: `kty`, and `d` (the private part) or `k` (a shared key).
fn is_jwk(bytes: &[u8]) -> bool {
    static PART: OnceLock<Option<Regex>> = OnceLock::new();
    let part = PART.get_or_init(|| Regex::new(r#""[dk]"\s*:\s*"[A-Za-z0-9_-]{20,}""#).ok());
    // Without the pattern, which a test proves to be one, the word alone counts.
    find(bytes, b"\"kty\"").is_some() && part.as_ref().is_none_or(|part| part.is_match(bytes))
}

/// A part that should be there; one that this kind of subject never has is nothing to complain of.
fn broken_part(why: Unable) -> Option<Unable> {
    (why.verdict != record::Verdict::NotApplicable).then_some(why)
}

/// What is found in the bytes, in words.
fn found(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = find(&bytes[at..], BEGIN) {
        let start = at + offset + BEGIN.len();
        at = start;
        let Some(label) = LABELS.iter().find(|label| {
            bytes[start..].starts_with(label.as_bytes()) && bytes[start + label.len()..].starts_with(b"-----")
        }) else {
            continue;
        };
        if has_key_data(&bytes[start + label.len() + 5..]) {
            found.push(format!("a private key (`{label}`)"));
        }
    }
    let (starts, sources) = published();
    for hit in starts.iter().flat_map(|starts| starts.find_iter(bytes)) {
        found.push(format!("a published key ({})", sources[hit.pattern().as_usize()]));
    }
    found.dedup();
    found
}

/// Searches for all published keys at once, with where each is published.
fn published() -> &'static (Option<AhoCorasick>, Vec<&'static str>) {
    static SEARCH: OnceLock<(Option<AhoCorasick>, Vec<&'static str>)> = OnceLock::new();
    SEARCH.get_or_init(|| {
        let (starts, sources): (Vec<_>, Vec<_>) = KnownKeys::built_in().starts().unzip();
        // Some 6 KiB of patterns: far below every limit of the automaton.
        (AhoCorasick::new(starts).ok(), sources)
    })
}

/// Header lines (`Proc-Type: …`, `Version: …`) may stand between the marker and the base64.
fn has_key_data(rest: &[u8]) -> bool {
    let rest = &rest[..rest.len().min(4096)];
    let mut lines = rest.split(|byte| *byte == b'\n');
    if lines.next().is_none_or(|line| !line.trim_ascii().is_empty()) {
        return false;
    }
    for line in lines.map(<[u8]>::trim_ascii).take(8) {
        let base64 = line.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b));
        if base64 && line.len() >= LEAST_BASE64 {
            return true;
        }
        let header = line.iter().all(|b| (0x20..0x7f).contains(b)) && line.contains(&b':');
        if !line.is_empty() && !header {
            return false;
        }
    }
    false
}

/// The first place of a short needle, by its first byte.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(offset) = haystack[at..].iter().position(|byte| *byte == first) {
        if haystack[at + offset..].starts_with(needle) {
            return Some(at + offset);
        }
        at += offset + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::*;

    /// Built here, so that no scanner of this repository finds it.
    fn pem(label: &str, body: &str) -> String {
        format!("-----{} {label}-----\n{body}\n-----END {label}-----\n", "BEGIN")
    }

    fn check(content: impl AsRef<[u8]>) -> Result<crate::Conclusion, crate::Unable> {
        run("secrets-absent", json!({}), Tree::base().file("/usr/bin/x", 0o755, content).root())
    }

    #[test]
    fn pass() {
        // A program that only knows the marker.
        let seen = passes(check(pem("OPENSSH PRIVATE KEY", "\0\0")));
        assert_eq!(seen, "none in 5 files");
        passes(check(pem("CERTIFICATE", &"A".repeat(64))));
    }

    #[test]
    fn what_is_excepted_is_named_and_needs_a_reason() {
        let key = pem("PRIVATE KEY", &"MC4C".repeat(16));
        let root = || Tree::base().file("/usr/lib/t.so", 0o644, &key).root();
        let with = |reason: &str| json!({"exceptions": {"/usr/lib/*.so": reason}});
        let seen = passes(run("secrets-absent", with("keys of its self-test"), root()));
        assert_eq!(seen, "none in 4 files (left out with a reason: `/usr/lib/t.so`)");
        let other = json!({"exceptions": {"/usr/lib/u.so": "x"}});
        fails(run("secrets-absent", other, root()), "`/usr/lib/t.so` holds a private key");
        let problems = (crate::kinds::find("secrets-absent").unwrap().validate)(&with(" "));
        assert_eq!(problems, ["the exception for `/usr/lib/*.so` has no reason"]);
    }

    #[test]
    fn fail() {
        fails(
            check(pem("PRIVATE KEY", &"MC4C".repeat(16))),
            "`/usr/bin/x` holds a private key (`PRIVATE KEY`)",
        );
        let headers = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{}", "MC4C".repeat(16));
        fails(check(pem("RSA PRIVATE KEY", &headers)), "`RSA PRIVATE KEY`");
        let (modulus, source) = KnownKeys::built_in().starts().next().unwrap();
        fails(check([b"junk", modulus].concat()), source);
    }

    #[test]
    fn a_thorough_look_finds_what_is_no_pem_text() {
        let check = |path: &str, content: &[u8]| {
            run("secrets-absent", json!({"thorough": true}), Tree::base().file(path, 0o644, content).root())
        };
        passes(check("/etc/app.conf", b"# password=\nuser = www\n"));
        fails(
            check("/etc/app.conf", b"URL=https://deploy:Wq83hsk2@artifacts.corp.net/repo\n"),
            "`/etc/app.conf` line 1 holds a secret (secret-url)",
        );
        // RFC 7517, A.2: the start of its key.
        let jwk = format!("{{\"kty\": \"EC\", \"crv\": \"P-256\", \"d\": \"{}\"}}", "A".repeat(43));
        fails(
            check("/usr/lib/x.json", jwk.as_bytes()),
            "`/usr/lib/x.json` holds a private or shared key as JWK",
        );
        passes(check("/usr/lib/x.json", b"{\"kty\": \"EC\", \"x\": \"AAAAAAAAAAAAAAAAAAAAAAAA\"}"));
        let sec1 = [&[0x30, 0x25, 2, 1, 1, 4, 0x20][..], &[7; 32]].concat();
        fails(check("/etc/device", &sec1), "`/etc/device` holds a key (private key)");
        let vpn = format!("-----{} OpenVPN tls-crypt-v2 client key-----\n{}\n", "BEGIN", "A".repeat(64));
        fails(check("/etc/vpn.key", vpn.as_bytes()), "OpenVPN tls-crypt-v2 client key");
    }
}
