//! OpenSSH public keys (RFC 4253 section 6.6, RFC 5656, RFC 8709; `sk-` as OpenSSH's PROTOCOL.u2f).

use serde_json::{Value, json};

use super::{Scalar, Why};

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// Smallest RSA modulus in bits (NIST SP 800-57 part 1: 128-bit strength).
const RSA_BITS: usize = 3072;

/// One line of an `authorized_keys` file, without options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKey(String);

impl SshPublicKey {
    /// The whole line: type, key, comment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for SshPublicKey {
    const EXPECTED: &'static str = "an OpenSSH public key (`ssh-ed25519 AAAA… comment`)";

    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        if text.len() > 8192 || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err("it must be one line of printable ASCII".into());
        }
        let mut words = text.splitn(3, ' ');
        let kind = words.next().unwrap_or_default();
        if kind == "ssh-dss" || kind.contains("PRIVATE") {
            return Err(format!("`{kind}` is not accepted").into());
        }
        if !TYPES.contains(&kind) {
            return Err(format!("the key type must be one of `{}`", TYPES.join("`, `")).into());
        }
        let blob = base64(words.next().unwrap_or_default())
            .ok_or_else(|| Why::from("the second word is not base64"))?;
        if words.next().is_some_and(|comment| comment.contains(['"', '\\', '{', '}'])) {
            return Err("the comment must not hold quotes, backslashes or braces".into());
        }
        check_blob(kind, &blob)?;
        Ok(Self(text.trim_end().to_owned()))
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?$"})
    }

    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
}

/// Checks that the blob is a whole key of the type that the line claims.
fn check_blob(kind: &str, blob: &[u8]) -> Result<(), Why> {
    let short = || Why::from("the key is cut off or damaged");
    let mut rest = blob;
    let named = field(&mut rest).ok_or_else(short)?;
    if named != kind.as_bytes() {
        return Err("the key inside is of another type than the line says".into());
    }
    let first = field(&mut rest).ok_or_else(short)?;
    let whole = match kind {
        "ssh-ed25519" => first.len() == 32,
        "sk-ssh-ed25519@openssh.com" => first.len() == 32 && field(&mut rest).is_some(),
        "ssh-rsa" => {
            let modulus = field(&mut rest).ok_or_else(short)?;
            let bits = modulus_bits(modulus);
            if bits < RSA_BITS {
                return Err(
                    format!("an RSA key must have at least {RSA_BITS} bits, this one has {bits}").into()
                );
            }
            true
        }
        _ => {
            let (bytes, curve) = match kind.trim_start_matches("sk-").trim_end_matches("@openssh.com") {
                "ecdsa-sha2-nistp256" => (32, &b"nistp256"[..]),
                "ecdsa-sha2-nistp384" => (48, &b"nistp384"[..]),
                _ => (66, &b"nistp521"[..]),
            };
            // An uncompressed point: 4, x, y (SEC 1, 2.3.3).
            let point = field(&mut rest).ok_or_else(short)?;
            let fits = first == curve && point.len() == 1 + 2 * bytes && point[0] == 4;
            fits && (!kind.starts_with("sk-") || field(&mut rest).is_some())
        }
    };
    if whole && rest.is_empty() { Ok(()) } else { Err(short()) }
}

/// Takes one length-prefixed field (RFC 4251 section 5, `string`).
fn field<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (found, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(found)
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let start = modulus.iter().position(|b| *b != 0).unwrap_or(modulus.len());
    let trimmed = &modulus[start..];
    trimmed.first().map_or(0, |first| trimmed.len() * 8 - first.leading_zeros() as usize)
}

/// Standard base64 with padding (RFC 4648 section 4), strict about the unused bits.
fn base64(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut buffer, mut held) = (0u32, 0u32);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((buffer >> held) & 0xff).ok()?);
            buffer &= (1 << held) - 1;
        }
    }
    (buffer == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let n = (0..3).fold(0u32, |n, i| (n << 8) | u32::from(*chunk.get(i).unwrap_or(&0)));
            for i in 0..4 {
                let six = ALPHABET[(n >> (18 - 6 * i) & 63) as usize] as char;
                out.push(if i <= chunk.len() { six } else { '=' });
            }
        }
        out
    }

    fn line(kind: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for part in [kind.as_bytes()].iter().chain(fields) {
            blob.extend(u32::try_from(part.len()).expect("short").to_be_bytes());
            blob.extend(*part);
        }
        format!("{kind} {} someone@example", encode(&blob))
    }

    fn reason(text: &str) -> String {
        SshPublicKey::parse(text, true).expect_err("refused").reason
    }

    #[test]
    fn whole_keys_of_modern_types_are_accepted() {
        let point = [&[4u8][..], &[7; 96]].concat();
        let modulus = [&[0u8, 0x80][..], &[1; 383]].concat();
        for good in [
            line("ssh-ed25519", &[&[1; 32]]),
            line("ecdsa-sha2-nistp384", &[b"nistp384", &point]),
            line("ssh-rsa", &[&[1, 0, 1], &modulus]),
            line("sk-ssh-ed25519@openssh.com", &[&[1; 32], b"ssh:"]),
        ] {
            assert!(SshPublicKey::parse(&good, true).is_ok(), "{good}");
        }
    }

    #[test]
    fn weak_damaged_and_dressed_up_keys_are_refused() {
        let weak = [&[0u8, 0x80][..], &[1; 255]].concat();
        let said = reason(&line("ssh-rsa", &[&[1, 0, 1], &weak]));
        assert_eq!(said, "an RSA key must have at least 3072 bits, this one has 2048");
        let good = line("ssh-ed25519", &[&[1; 32]]);
        assert_eq!(reason(&line("ssh-ed25519", &[&[1; 31]])), "the key is cut off or damaged");
        assert_eq!(reason(&good.replace("AAAA", "AA!A")), "the second word is not base64");
        assert_eq!(reason(&format!("command=\"x\" {good}")).split_whitespace().next(), Some("the"));
        assert_eq!(
            reason(&good.replace("ssh-ed25519 ", "ssh-rsa ")),
            "the key inside is of another type than the line says"
        );
        assert_eq!(reason("ssh-dss AAAA"), "`ssh-dss` is not accepted");
        assert_eq!(reason(&format!("{good}\nssh-rsa x")), "it must be one line of printable ASCII");
        assert_eq!(reason("ssh-ed25519"), "the second word is not base64");
    }
}
