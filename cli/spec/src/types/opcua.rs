//! Spellings of OPC UA. What may be used is data: `standards/opcua.yaml`.

use crate::types::text::text_type;

text_type! {
    /// A security policy, a mode or a kind of user token, as OPC 10000-4 and 10000-7 name it.
    OpcuaTerm,
    "a word of OPC UA (`Aes256_Sha256_RsaPss`)",
    "^[A-Za-z0-9_]{1,64}$",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

text_type! {
    /// The URI of an OPC UA application (OPC 10000-4, 7.2), which its certificate names, too.
    ApplicationUri,
    "an application URI (`urn:plant.example:gateway`; letters, digits and `: . _ / -`)",
    "^(urn:|https?://)[A-Za-z0-9]([A-Za-z0-9:._/-]*[A-Za-z0-9])?$",
    |text| {
        let rest = text.split_once(':').filter(|(scheme, _)| matches!(*scheme, "urn" | "http" | "https"));
        text.len() <= 200 && rest.is_some_and(|(scheme, rest)| {
            let rest = if scheme == "urn" { rest } else { rest.strip_prefix("//").unwrap_or("") };
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            ends(rest.chars().next()) && ends(rest.chars().last())
                && rest.chars().all(|c| c.is_ascii_alphanumeric() || ":._/-".contains(c))
        })
    }
}
