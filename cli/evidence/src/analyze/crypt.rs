//! Password hashes: which kind one is, and whether a word of a list makes it.
//!
//! Source: crypt(5). SHA-crypt is a library's; md5crypt is Poul-Henning Kamp's of FreeBSD, on a library's MD5.
//! What cannot be tried (bcrypt, scrypt, yescrypt, DES) is said, never taken for strong.

use md5::{Digest as _, Md5};
use sha_crypt::{Sha256Params, Sha512Params, sha256_crypt_b64, sha512_crypt_b64};

/// A password field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// No password is asked for.
    Empty,
    /// No password fits.
    Locked,
    /// Poul-Henning Kamp's MD5.
    Md5 {
        /// `$1$`, or `$apr1$` of a web server's accounts.
        mark: &'static str,
        /// At most eight bytes.
        salt: String,
        /// What stands behind the salt.
        sum: String,
    },
    /// SHA-256 or SHA-512 by Drepper's scheme.
    Sha {
        /// 256 or 512.
        bits: u16,
        /// 5000 when the field does not say.
        rounds: usize,
        /// At most sixteen bytes.
        salt: String,
        /// What stands behind the salt.
        sum: String,
    },
    /// One that is known by its mark and cannot be tried here.
    Other(&'static str),
}

impl Hash {
    /// Tells a field of /etc/shadow.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if text.is_empty() {
            return Self::Empty;
        }
        if text.starts_with(['!', '*']) {
            return Self::Locked;
        }
        let parts: Vec<&str> = text.split('$').collect();
        match parts.as_slice() {
            ["", mark @ ("1" | "apr1"), salt, sum] => Self::Md5 {
                mark: if *mark == "1" { "$1$" } else { "$apr1$" },
                salt: cut(salt, 8),
                sum: (*sum).to_owned(),
            },
            ["", kind @ ("5" | "6"), rest @ ..] => {
                let bits = if *kind == "5" { 256 } else { 512 };
                match rest {
                    [salt, sum] => {
                        Self::Sha { bits, rounds: 5000, salt: cut(salt, 16), sum: (*sum).to_owned() }
                    }
                    [rounds, salt, sum] => {
                        match rounds.strip_prefix("rounds=").and_then(|number| number.parse::<u32>().ok()) {
                            Some(rounds) => Self::Sha {
                                bits,
                                rounds: (rounds as usize).clamp(1000, 999_999_999),
                                salt: cut(salt, 16),
                                sum: (*sum).to_owned(),
                            },
                            None => Self::Other("unknown"),
                        }
                    }
                    _ => Self::Other("unknown"),
                }
            }
            ["", "y", ..] => Self::Other("yescrypt"),
            ["", "gy", ..] => Self::Other("gost-yescrypt"),
            ["", "7", ..] => Self::Other("scrypt"),
            ["", "2" | "2a" | "2b" | "2x" | "2y", ..] => Self::Other("bcrypt"),
            ["", "md5", ..] => Self::Other("sunmd5"),
            ["", "3", ..] => Self::Other("nthash"),
            [apache] if apache.starts_with("{SHA}") => Self::Other("sha1"),
            [des] if des.len() == 13 && des.bytes().all(of_des) => Self::Other("des"),
            // A name of one word that is no hash lets nobody in: `x` without /etc/shadow, `NP`.
            [word] if word.len() < 13 => Self::Locked,
            _ => Self::Other("unknown"),
        }
    }

    /// Its kind in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Locked => "locked",
            Self::Md5 { .. } => "md5crypt",
            Self::Sha { bits: 256, .. } => "sha256crypt",
            Self::Sha { .. } => "sha512crypt",
            Self::Other(kind) => kind,
        }
    }

    /// Whether millions of words a second can be tried.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Md5 { .. } | Self::Other("des" | "nthash" | "sha1" | "sunmd5"))
    }
}

fn of_des(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"./".contains(&byte)
}

/// At most so many bytes, at a character's end.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Rounds that all tries of one analysis may take: about two seconds.
#[derive(Clone, Debug)]
pub struct Budget {
    rounds: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rounds: 4_000_000 }
    }
}

/// What trying came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// A word fits.
    Found,
    /// None does.
    NotInList,
    /// It was not tried, with the reason.
    Unable(String),
}

/// Tries words until one fits.
pub fn try_all<'a>(hash: &Hash, words: impl Iterator<Item = &'a String>, budget: &mut Budget) -> Tried {
    let cost = match hash {
        Hash::Md5 { .. } => 1000,
        Hash::Sha { rounds, .. } => *rounds,
        other => return Tried::Unable(format!("no code here computes {}", other.kind())),
    };
    for word in words {
        let Some(left) = budget.rounds.checked_sub(cost) else {
            return Tried::Unable("the time for trying was used up".to_owned());
        };
        budget.rounds = left;
        let fits = match hash {
            Hash::Md5 { mark, salt, sum } => md5crypt(word.as_bytes(), mark, salt.as_bytes()) == *sum,
            Hash::Sha { bits, rounds, salt, sum } => {
                sha(*bits, *rounds, word.as_bytes(), salt.as_bytes()).is_some_and(|made| made == *sum)
            }
            _ => false,
        };
        if fits {
            return Tried::Found;
        }
    }
    Tried::NotInList
}

fn sha(bits: u16, rounds: usize, word: &[u8], salt: &[u8]) -> Option<String> {
    if bits == 256 {
        sha256_crypt_b64(word, salt, &Sha256Params::new(rounds).ok()?).ok()
    } else {
        sha512_crypt_b64(word, salt, &Sha512Params::new(rounds).ok()?).ok()
    }
}

/// md5crypt without its mark and salt. Apache's differs in the mark alone.
fn md5crypt(word: &[u8], mark: &str, salt: &[u8]) -> String {
    let mut alternate = Md5::new();
    for part in [word, salt, word] {
        alternate.update(part);
    }
    let alternate = alternate.finalize();
    let mut sum = Md5::new();
    sum.update(word);
    sum.update(mark);
    sum.update(salt);
    for at in (0..word.len()).step_by(16) {
        sum.update(&alternate[..(word.len() - at).min(16)]);
    }
    let mut length = word.len();
    while length > 0 {
        // The original reads a buffer that was cleared here: a NUL for each set bit.
        sum.update(if length & 1 == 1 { &[0][..] } else { &word[..1] });
        length >>= 1;
    }
    let mut sum = sum.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        if round % 2 == 1 {
            next.update(word)
        } else {
            next.update(sum)
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(word);
        }
        if round % 2 == 1 {
            next.update(sum)
        } else {
            next.update(word)
        }
        sum = next.finalize();
    }
    let mut out = String::new();
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        encode(u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]), 4, &mut out);
    }
    encode(u32::from(sum[11]), 2, &mut out);
    out
}

/// Six bits a character, the lowest first, in crypt's own alphabet.
fn encode(mut value: u32, characters: usize, out: &mut String) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..characters {
        out.push(char::from(ALPHABET[(value & 63) as usize]));
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(hash: &str, words: &[&str]) -> Tried {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        try_all(&Hash::read(hash), words.iter(), &mut Budget::default())
    }

    /// Made by `openssl passwd`.
    #[test]
    fn hashes_are_those_of_another_program() {
        for (hash, word) in [
            ("$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1", "root"),
            ("$apr1$abcdefgh$DQK1ausoOJ8GxwcG15SPN/", "root"),
            ("$5$abcdefgh$eKmO8qqatxyseBbtE4o3nrolLfuFP7p82NOMAwOerUC", "admin"),
            (
                "$6$abcdefgh$Bf4etXkaBZZ3jXFtIeMhYVkd7Z.ABQTZyAmjHksPg2zwa0LmDT3eUG2Fwybzj9V7kialzOx.zZ5h5Q7LzGqwg.",
                "rounds",
            ),
            (
                "$6$rounds=1000$abcdefgh$y/O6Hj5hz4SiOfY5WcnOv2S7zjlgeWqZ81WUxawTKlxh0uWcEk8q5be5f73KRnR7lYUZQ4.OyzTmphpfQbuL.1",
                "toor",
            ),
        ] {
            assert_eq!(tried(hash, &["no", word]), Tried::Found, "{hash}");
            assert_eq!(tried(hash, &["no", ""]), Tried::NotInList, "{hash}");
        }
    }

    #[test]
    fn each_kind_is_told() {
        for (field, kind) in [
            ("", "empty"),
            ("*", "locked"),
            ("!$6$a$b", "locked"),
            ("x", "locked"),
            ("$y$j9T$salt$hash", "yescrypt"),
            ("$2b$12$saltandhash", "bcrypt"),
            ("ab01FAX.bQRSU", "des"),
            ("{SHA}3Hbp8MAAbo+RngxRXGbbujmC94U=", "sha1"),
            ("$apr1$abcdefgh$DQK1ausoOJ8GxwcG15SPN/", "md5crypt"),
            ("$9$what", "unknown"),
            ("$6$rounds=x$salt$sum", "unknown"),
        ] {
            assert_eq!(Hash::read(field).kind(), kind, "{field}");
        }
        assert!(Hash::read("{SHA}3Hbp8MAAbo+RngxRXGbbujmC94U=").is_weak());
        assert!(Hash::read("ab01FAX.bQRSU").is_weak() && !Hash::read("$y$j9T$s$h").is_weak());
    }

    #[test]
    fn what_cannot_be_tried_or_takes_too_long_is_said() {
        assert_eq!(tried("$y$j9T$salt$hash", &["a"]), Tried::Unable("no code here computes yescrypt".into()));
        let why = tried("$6$rounds=999999999$salt$sum", &["a"]);
        assert_eq!(why, Tried::Unable("the time for trying was used up".into()));
    }
}
