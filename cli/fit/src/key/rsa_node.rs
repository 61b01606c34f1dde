//! An RSA key as U-Boot's control FDT holds it (`lib/rsa/rsa-verify.c`).

use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};

use super::need;
use crate::FitError;

/// The properties of its node.
pub(super) fn properties(key: &RsaPublicKey) -> Result<Vec<(&'static str, Vec<u8>)>, FitError> {
    let modulus = key.n();
    let bits = modulus.bits();
    let bytes = bits.div_ceil(8);
    let r_squared = BigUint::from(2u8).modpow(&BigUint::from(2 * bits), modulus);
    let exponent = key.e().to_bytes_be();
    if exponent.len() > 8 {
        return Err(FitError::Key("its exponent is longer than 64 bits".to_owned()));
    }
    let low = modulus.to_bytes_le().iter().take(4).rev().fold(0u32, |acc, b| acc << 8 | u32::from(*b));
    Ok(vec![
        ("rsa,num-bits", u32::try_from(bits).unwrap_or(u32::MAX).to_be_bytes().to_vec()),
        ("rsa,modulus", left_padded(&modulus.to_bytes_be(), bytes)),
        ("rsa,exponent", left_padded(&exponent, 8)),
        ("rsa,r-squared", left_padded(&r_squared.to_bytes_be(), bytes)),
        ("rsa,n0-inverse", inverse_mod_2_32(low).wrapping_neg().to_be_bytes().to_vec()),
    ])
}

/// The key of a node; its derived properties must belong to it.
pub(super) fn from_properties(get: impl Fn(&str) -> Option<Vec<u8>>) -> Result<RsaPublicKey, FitError> {
    let large = need(&get, "rsa,modulus")?;
    if !(256..=512).contains(&large.len()) || large.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(FitError::Key(format!(
            "the key node holds no RSA key of 2048 to 4096 bits: its modulus has {} bytes",
            large.len()
        )));
    }
    let (modulus, exponent) =
        (BigUint::from_bytes_be(&large), BigUint::from_bytes_be(&need(&get, "rsa,exponent")?));
    let key = RsaPublicKey::new(modulus, exponent)
        .map_err(|e| FitError::Key(format!("the key node holds no RSA key: {e}")))?;
    for (name, expected) in properties(&key)? {
        if need(&get, name)? != expected {
            return Err(FitError::Key(format!("`{name}` of the key node does not belong to its modulus")));
        }
    }
    Ok(key)
}

/// Inverse of an odd number modulo 2^32, by Newton's iteration.
fn inverse_mod_2_32(odd: u32) -> u32 {
    let mut inverse = odd;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

fn left_padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![0; length.saturating_sub(bytes.len())];
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_is_an_inverse() {
        for odd in [1u32, 3, 0xffff_ffff, 0x1234_5679] {
            assert_eq!(odd.wrapping_mul(inverse_mod_2_32(odd)), 1);
        }
    }
}
