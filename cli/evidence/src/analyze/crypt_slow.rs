//! Password hashes that are made to be slow: bcrypt and yescrypt, the latter in the form that everybody writes.
//!
//! Source: Provos and Mazières, "A Future-Adaptable Password Scheme", on a library's Blowfish; yescrypt is a library's.

use blowfish::Blowfish;
use yescrypt::{Mode, Params};

use super::crypt::{ALPHABET, encode};

/// Bcrypt's own order of characters.
const OF_BCRYPT: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Memory that one try of yescrypt may take.
const MAX_MEMORY: u64 = 64 << 20;

/// A field of bcrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bcrypt {
    /// Two to this are the rounds.
    pub cost: u32,
    salt: [u8; 16],
    sum: [u8; 23],
}

/// A field of yescrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yescrypt {
    blocks_log2: u32,
    block_bytes: u32,
    salt: Vec<u8>,
    sum: String,
}

fn number(alphabet: &[u8; 64], byte: u8) -> Option<u32> {
    alphabet.iter().position(|known| *known == byte).and_then(|at| u32::try_from(at).ok())
}

/// So many bytes of six bits a character, the most significant first.
fn of_bcrypt<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bits = 0_u32;
    let mut have = 0;
    let mut out = Vec::with_capacity(N);
    for byte in text {
        bits = bits << 6 | number(OF_BCRYPT, *byte)?;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    out.try_into().ok()
}

impl Bcrypt {
    /// Reads cost, and salt with sum: `12` and 53 characters.
    pub fn read(cost: &str, rest: &str) -> Option<Self> {
        let cost = cost.parse().ok().filter(|cost| (4..=31).contains(cost))?;
        let (salt, sum) = rest.as_bytes().split_at_checked(22)?;
        Some(Self { cost, salt: of_bcrypt(salt)?, sum: of_bcrypt(sum)? })
    }

    /// Whether a word makes it.
    pub fn fits(&self, word: &[u8]) -> bool {
        // With the NUL behind it, and no more than Blowfish takes.
        let key: Vec<u8> = word.iter().copied().chain([0]).take(72).collect();
        let mut state = Blowfish::bc_init_state();
        state.salted_expand_key(&self.salt, &key);
        for _ in 0..1_u64 << self.cost {
            state.bc_expand_key(&key);
            state.bc_expand_key(&self.salt);
        }
        let sum = b"OrpheanBeholderScryDoubt".chunks_exact(8).flat_map(|pair| {
            let half = |at: usize| pair[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
            let sealed = (0..64).fold([half(0), half(4)], |pair, _| state.bc_encrypt(pair));
            sealed.map(u32::to_be_bytes).concat()
        });
        sum.take(23).eq(self.sum)
    }
}

impl Yescrypt {
    /// Reads parameters, salt and sum. Only what crypt(5) and its users write is read: the default flavour with a number and
    /// a size of blocks, a letter each.
    pub fn read(parameters: &str, salt: &str, sum: &str) -> Option<Self> {
        let [b'j', blocks, size] = *parameters.as_bytes() else { return None };
        // Letters from 48 on begin a longer number.
        let small = |byte: u8| number(ALPHABET, byte).filter(|number| *number < 48).map(|number| number + 1);
        let (blocks_log2, block_bytes) = (small(blocks)?, small(size)?);
        let memory =
            128_u64.checked_mul(block_bytes.into())?.checked_shl(blocks_log2).filter(|_| blocks_log2 < 32)?;
        if memory > MAX_MEMORY || sum.len() != 43 || salt.len() > 86 {
            return None;
        }
        Some(Self { blocks_log2, block_bytes, salt: bytes(salt)?, sum: sum.to_owned() })
    }

    /// Bytes of memory that a try fills.
    pub fn memory(&self) -> u64 {
        (128 * u64::from(self.block_bytes)) << self.blocks_log2
    }

    /// Whether a word makes it.
    pub fn fits(&self, word: &[u8]) -> bool {
        let mut sum = [0; 32];
        let made = Params::new(Mode::default(), 1 << self.blocks_log2, self.block_bytes, 1)
            .and_then(|parameters| yescrypt::yescrypt(word, &self.salt, &parameters, &mut sum));
        made.is_ok() && text(&sum) == self.sum
    }
}

/// Bytes of six bits a character, the least significant first.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut have, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes() {
        bits |= number(ALPHABET, byte)? << have;
        have += 6;
        while have >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            have -= 8;
        }
    }
    Some(out)
}

fn text(sum: &[u8; 32]) -> String {
    let mut out = String::new();
    for three in sum.chunks(3) {
        let value = three.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        encode(value, (three.len() * 8).div_ceil(6), &mut out);
    }
    out
}
