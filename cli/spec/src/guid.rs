//! GUIDs that are the same on every build.

use record::sha256_hex;

/// A name-based GUID in the version-8 form of RFC 9562 from SHA-256 of product, board and `name`, so that
/// the same product and board give the same GUIDs on every build.
#[must_use]
pub fn guid(product: &str, board: &str, name: &str) -> String {
    let text = sha256_hex(format!("fastness guid\0{product}\0{board}\0{name}").as_bytes());
    let variant = (u8::from_str_radix(&text[16..17], 16).unwrap_or(0) & 3) | 8;
    format!(
        "{}-{}-8{}-{variant:x}{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_version_eight_and_depends_on_every_part() {
        let one = guid("gw", "qemu", "fit_a");
        assert_eq!(one, guid("gw", "qemu", "fit_a"));
        let shape: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "8", "{one}");
        assert!("89ab".contains(&one[19..20]), "{one}");
        // Where one part ends and the next begins matters.
        for other in [guid("gw", "qemu", "fit_b"), guid("gwq", "emu", "fit_a"), guid("g", "wqemu", "fit_a")] {
            assert_ne!(one, other);
        }
    }
}
