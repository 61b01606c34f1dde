//! The seal of a record: a mark that only the key of its number makes, which the device no longer has.
//!
//! Key n + 1 is the second half of SHA-512(key n, line feed); the mark of record n is the first half of
//! SHA-512(key n, line feed, record n without its mark, line feed). Halves of SHA-512 cannot be extended, and a key says
//! nothing of the one before. Whoever takes over a device gets the key of the next record alone.

use sha2::{Digest as _, Sha512};

/// Most records between two that are sealed; further ahead is a number that nobody reached.
const MAX_STEPS: u64 = 50_000_000;
/// What stands between a record's members and its mark, and behind it.
const BEFORE: &[u8] = b",\"seal\":\"";
const AFTER: &[u8] = b"\"}";
const HEX: usize = 64;

/// The key of one record, in the 64 hexadecimal digits that the device hashes.
#[derive(Clone, Debug)]
pub struct SealKey {
    seq: u64,
    digits: String,
}

/// Why a record's seal does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// A record from which on all have to be sealed is not.
    #[error("it has no seal: every record of a device with a key has one, from the first on")]
    Never,
    /// A record behind sealed ones has no seal.
    #[error("it has no seal, and the records before it have")]
    Missing,
    /// Another key, or another record.
    #[error("its seal is not that of this key: it was changed, or written by who had no key of its number")]
    Wrong,
    /// A number that no device reaches.
    #[error("its number is too far from the one before to be sealed")]
    Far,
}

impl SealKey {
    /// The first key, as it is provisioned.
    #[must_use]
    pub fn first(digits: &str) -> Option<Self> {
        crate::record::is_hash(digits).then(|| Self { seq: 1, digits: digits.to_owned() })
    }

    /// As the device's file holds it: the number of the record that it seals, and the key.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{:020} {}\n", self.seq, self.digits)
    }

    /// Whether the record of this number, a whole line, has the mark of its key.
    ///
    /// # Errors
    /// It has not.
    pub fn check(&mut self, seq: u64, line: &[u8]) -> Result<(), Unsealed> {
        let steps = seq.checked_sub(self.seq).filter(|steps| *steps <= MAX_STEPS).ok_or(Unsealed::Far)?;
        for _ in 0..steps {
            self.digits = hex(&Sha512::digest(format!("{}\n", self.digits))).split_off(HEX);
        }
        self.seq = seq;
        let end = BEFORE.len() + HEX + AFTER.len();
        let Some((body, tail)) = line.len().checked_sub(end).map(|at| line.split_at(at)) else {
            return Err(Unsealed::Missing);
        };
        let mark = tail.strip_prefix(BEFORE).and_then(|tail| tail.strip_suffix(AFTER));
        let mark = mark.ok_or(Unsealed::Missing)?;
        let mut hash = Sha512::new();
        for part in [self.digits.as_bytes(), b"\n", body, b"\n"] {
            hash.update(part);
        }
        let mut wanted = hex(&hash.finalize());
        wanted.truncate(HEX);
        if mark == wanted.as_bytes() { Ok(()) } else { Err(Unsealed::Wrong) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_moves_forward_only_and_refuses_what_has_another_mark() {
        let key = SealKey::first(&"a".repeat(64)).unwrap();
        assert_eq!(key.line(), format!("00000000000000000001 {}\n", "a".repeat(64)));
        let mut moved = key.clone();
        assert_eq!(moved.check(3, br#"{"seq":3}"#), Err(Unsealed::Missing));
        let line = format!(r#"{{"seq":3,"seal":"{}"}}"#, "0".repeat(64));
        assert_eq!(moved.check(3, line.as_bytes()), Err(Unsealed::Wrong));
        assert_eq!(moved.check(2, line.as_bytes()), Err(Unsealed::Far));
        assert_eq!(moved.check(u64::MAX, line.as_bytes()), Err(Unsealed::Far));
        assert_ne!(moved.line().split(' ').nth(1), key.line().split(' ').nth(1));
        assert!(SealKey::first("abc").is_none());
    }
}
