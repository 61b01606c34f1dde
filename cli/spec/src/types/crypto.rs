//! Spellings of proposals and ciphers. Which of them are good is data: `standards/algorithms.yaml`.

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
