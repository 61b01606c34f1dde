//! Spellings of proposals and ciphers. Which of them are good is data: `standards/algorithms.yaml`.

use base64ct::{Base64, Encoding as _};

use crate::types::text::text_type;

text_type! {
    /// A proposal as swanctl.conf(5) writes it: keywords with `-` between.
    Proposal,
    "a proposal (`aes256gcm16-prfsha384-ecp384`: keywords of strongSwan with `-` between)",
    "^[a-z0-9_]+(-[a-z0-9_]+)*$",
    |text| text.len() <= 255 && text.split('-').all(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

text_type! {
    /// A data cipher as openvpn(8) names it.
    Cipher,
    "a cipher of OpenVPN (`AES-256-GCM`)",
    "^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$",
    |text| text.len() <= 64 && text.split('-').all(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

text_type! {
    /// A public key of WireGuard: a point of Curve25519 in base64, as `wg pubkey` writes it.
    WireguardKey,
    "a public key of WireGuard (32 bytes in base64: 44 characters, as `wg pubkey` writes them)",
    "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$",
    |text| text.len() == 44 && {
        let mut bytes = [0; 32];
        // The kernel takes all zeros as no key.
        Base64::decode(text, &mut bytes).is_ok_and(|key| key.len() == 32 && key.iter().any(|byte| *byte != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Scalar as _;

    #[test]
    fn a_key_of_wireguard_has_thirty_two_bytes_that_are_not_all_zero() {
        assert!(WireguardKey::parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", true).is_ok());
        for bad in [
            "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=",
            "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg",
            "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8D==",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp\n\n\n=",
            "",
        ] {
            assert!(WireguardKey::parse(bad, true).is_err(), "{bad}");
        }
    }
}
