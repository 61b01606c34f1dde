//! Password hashes: which kind one is, and whether a word of a list makes it.
//!
//! Source: crypt(5). SHA-crypt is a library's; md5crypt is Poul-Henning Kamp's of FreeBSD, on a library's MD5.
//! What cannot be tried (scrypt, gost-yescrypt, sunmd5, nthash) is said, never taken for strong.

use base64ct::{Base64, Encoding as _};
use md5::{Digest as _, Md5};
use sha_crypt::{Sha256Params, Sha512Params, sha256_crypt_b64, sha512_crypt_b64};
use sha1::Sha1;

use super::crypt_des;
use super::crypt_slow::{Bcrypt, Yescrypt};

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
    /// DES of zeros: salt and sum.
    Des(String),
    /// SHA-1 in Base64, without a salt: Apache's.
    Sha1(String),
    /// Blowfish.
    Bcrypt(Bcrypt),
    /// What Debian and Fedora write.
    Yescrypt(Yescrypt),
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
            ["", "y", parameters, salt, sum] => {
                Yescrypt::read(parameters, salt, sum).map_or(Self::Other("yescrypt"), Self::Yescrypt)
            }
            ["", "y", ..] => Self::Other("yescrypt"),
            // `2x` is of a program that had a mistake.
            ["", "2a" | "2b" | "2y", cost, rest] => {
                Bcrypt::read(cost, rest).map_or(Self::Other("bcrypt"), Self::Bcrypt)
            }
            ["", "gy", ..] => Self::Other("gost-yescrypt"),
            ["", "7", ..] => Self::Other("scrypt"),
            ["", "2" | "2a" | "2b" | "2x" | "2y", ..] => Self::Other("bcrypt"),
            ["", "md5", ..] => Self::Other("sunmd5"),
            ["", "3", ..] => Self::Other("nthash"),
            [apache] if apache.starts_with("{SHA}") => Self::Sha1(apache["{SHA}".len()..].to_owned()),
            [des] if des.len() == 13 && des.bytes().all(of_des) => Self::Des((*des).to_owned()),
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
            Self::Des(_) => "des",
            Self::Sha1(_) => "sha1",
            Self::Bcrypt(_) => "bcrypt",
            Self::Yescrypt(_) => "yescrypt",
            Self::Other(kind) => kind,
        }
    }

    /// Whether millions of words a second can be tried.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Md5 { .. } | Self::Des(_) | Self::Sha1(_) | Self::Other("nthash" | "sunmd5"))
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

/// What all tries of one analysis may take, in rounds of SHA-512: about half a microsecond each.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Of hashes that are fast to try: about two seconds.
    rounds: usize,
    /// Of those that are made to be slow, which are tried on several processors: about four seconds of one.
    slow: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rounds: 4_000_000, slow: 8_000_000 }
    }
}

impl Budget {
    /// For a fuzzer, which must not wait: a few milliseconds.
    pub(super) fn little() -> Self {
        Self { rounds: 10_000, slow: 10_000 }
    }
}

/// What trying came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// A word fits.
    Found,
    /// None does.
    NotInList,
    /// It was not tried, or not with all words, with the reason.
    Unable(String),
}

/// Processors that try words at once, each with the memory that a hash asks for.
const MOST_AT_ONCE: usize = 4;
/// Rounds that one of bcrypt's takes, and a MiB of yescrypt's memory: measured, not exact.
const OF_BCRYPT: usize = 120;
const OF_YESCRYPT: usize = 4500;

/// Tries words until one fits.
pub fn try_all<'a>(hash: &Hash, words: impl Iterator<Item = &'a String>, budget: &mut Budget) -> Tried {
    let (cost, left) = match hash {
        Hash::Md5 { .. } => (1000, &mut budget.rounds),
        Hash::Des(_) => (200, &mut budget.rounds),
        Hash::Sha1(_) => (1, &mut budget.rounds),
        Hash::Sha { rounds, .. } => (*rounds, &mut budget.rounds),
        Hash::Bcrypt(field) => (OF_BCRYPT << field.cost, &mut budget.slow),
        Hash::Yescrypt(field) => {
            let memory = usize::try_from(field.memory() >> 10).unwrap_or(usize::MAX);
            (memory.saturating_mul(OF_YESCRYPT) >> 10, &mut budget.slow)
        }
        Hash::Other(kind @ ("yescrypt" | "bcrypt")) => {
            return Tried::Unable(format!(
                "it is not written as {kind} usually is, or asks for too much memory"
            ));
        }
        other => return Tried::Unable(format!("no code here computes {}", other.kind())),
    };
    let words: Vec<&[u8]> = words.map(|word| word.as_bytes()).collect();
    // The first words are those that are most likely; which ones are tried does not depend on how fast this host is.
    let some = words.len().min(*left / cost.max(1));
    let tried = &words[..some];
    let found = if matches!(hash, Hash::Bcrypt(_) | Hash::Yescrypt(_)) {
        at_once(hash, tried)
    } else {
        tried.iter().position(|word| fits(hash, word))
    };
    *left -= cost * found.map_or(some, |at| at + 1);
    match found {
        Some(_) => Tried::Found,
        None if some == words.len() => Tried::NotInList,
        None if some == 0 => Tried::Unable("the time for trying was used up".to_owned()),
        None => Tried::Unable(format!(
            "{some} of {} words were tried and none fits, then the time for trying was used up",
            words.len()
        )),
    }
}

/// The first word that fits, tried on several processors.
fn at_once(hash: &Hash, words: &[&[u8]]) -> Option<usize> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MOST_AT_ONCE);
    let share = |first: usize| (first..words.len()).step_by(threads).find(|at| fits(hash, words[*at]));
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        all.into_iter().filter_map(|thread| thread.join().ok().flatten()).min()
    })
}

fn fits(hash: &Hash, word: &[u8]) -> bool {
    match hash {
        Hash::Md5 { mark, salt, sum } => md5crypt(word, mark, salt.as_bytes()) == *sum,
        Hash::Sha { bits, rounds, salt, sum } => {
            sha(*bits, *rounds, word, salt.as_bytes()).is_some_and(|made| made == *sum)
        }
        Hash::Des(field) => {
            let (salt, sum) = field.as_bytes().split_at(2.min(field.len()));
            crypt_des::crypt(word, salt).is_some_and(|made| made.as_bytes() == sum)
        }
        Hash::Sha1(sum) => Base64::encode_string(&Sha1::digest(word)) == *sum,
        Hash::Bcrypt(field) => field.fits(word),
        Hash::Yescrypt(field) => field.fits(word),
        Hash::Empty | Hash::Locked | Hash::Other(_) => false,
    }
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

/// Crypt's own order of characters.
pub(super) const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Six bits a character, the lowest first.
pub(super) fn encode(mut value: u32, characters: usize, out: &mut String) {
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

    /// Made by `crypt` of libxcrypt 4.4.33, but for that of Apache: `htpasswd -s`.
    #[test]
    fn slow_and_old_hashes_are_those_of_another_program() {
        for (hash, word) in [
            ("ab6TRGT20sY26", "root"),
            ("./Una9Fi.seRo", ""),
            // No more than eight characters count.
            ("Zz2c8KgZi3VWI", "admin123"),
            ("Zz2c8KgZi3VWI", "admin123longer"),
            ("{SHA}3Hbp8MAAbo+RngxRXGbbujmC94U=", "root"),
            ("$2b$05$abcdefghijklmnopqrstuuJ/uqQnGWb.PIEKF.YYD7e.M1.rwki5y", "root"),
            ("$2y$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq", ""),
            ("$2a$10$0123456789ABCDEFGHIJK.LaJgyccInU3skvcvszUAsm8el8VYnZ2", "admin"),
            ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$7sns0mBDIWgdwoL7WtVeg8OpRLmM3pIF24UUv.9/Cu.", "root"),
            ("$y$j75$abcdefghijk/$Xms7sr0OQ/SZ6Bt5Kk9hzChOpbJzOEZzpPCmTiFJCn.", "admin"),
        ] {
            assert_eq!(tried(hash, &["no", word]), Tried::Found, "{hash}");
            assert_eq!(tried(hash, &["no", "Admin"]), Tried::NotInList, "{hash}");
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
        assert_eq!(tried("$7$salt$hash", &["a"]), Tried::Unable("no code here computes scrypt".into()));
        const SUM: &str = "7sns0mBDIWgdwoL7WtVeg8OpRLmM3pIF24UUv.9/Cu.";
        // 128 MiB, a number of several letters, another flavour, further parameters, and what is torn.
        for (parameters, salt, sum) in [
            ("jCT", "abcd", SUM),
            ("jzT", "abcd", SUM),
            ("j9z", "abcd", SUM),
            ("/9T", "abcd", SUM),
            ("j9T.", "abcd", SUM),
            ("j9T", "ab:d", SUM),
            ("j9T", "abcd", &SUM[1..]),
            ("", "", ""),
        ] {
            let Tried::Unable(why) = tried(&format!("$y${parameters}${salt}${sum}"), &["a"]) else {
                panic!("{parameters}${salt}${sum} was tried")
            };
            assert!(why.contains("not written as yescrypt usually is"), "{why}");
        }
        for field in
            ["$2b$99$abcdefghijklmnopqrstuuJ/uqQnGWb.PIEKF.YYD7e.M1.rwki5y", "$2b$05$short", "$2b$05$"]
        {
            assert!(matches!(tried(field, &["a"]), Tried::Unable(_)), "{field}");
        }
        // Of a slow one as many words as there is time for; the largest cost is not begun.
        let words: Vec<String> = (0..100).map(|number| format!("word {number}")).collect();
        let hash = Hash::read("$2b$05$abcdefghijklmnopqrstuuJ/uqQnGWb.PIEKF.YYD7e.M1.rwki5y");
        let mut little = Budget { rounds: 0, slow: 10 * (OF_BCRYPT << 5) + 1 };
        let Tried::Unable(why) = try_all(&hash, words.iter(), &mut little) else { panic!("all were tried") };
        assert_eq!(why, "10 of 100 words were tried and none fits, then the time for trying was used up");
        assert_eq!(little.slow, 1);
        let why = tried("$2b$31$abcdefghijklmnopqrstuuJ/uqQnGWb.PIEKF.YYD7e.M1.rwki5y", &["a"]);
        assert_eq!(why, Tried::Unable("the time for trying was used up".into()));
        let why = tried("$6$rounds=999999999$salt$sum", &["a"]);
        assert_eq!(why, Tried::Unable("the time for trying was used up".into()));
    }
}
