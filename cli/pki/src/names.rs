//! The names a certificate may carry, checked before they get into one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A subject alternative name (RFC 5280, 4.2.1.6), written `dns:…`, `ip:…`, `email:…` or `uri:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AltName {
    /// A host name in lower case; no wildcard.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox.
    Email(String),
    /// An absolute URI, such as an OPC UA application's.
    Uri(String),
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Email(mailbox) => write!(f, "email:{mailbox}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
        }
    }
}

impl FromStr for AltName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("expected {what}, found `{}`", text.escape_debug()));
        let Some((kind, value)) = text.split_once(':') else {
            return wrong("`dns:NAME`, `ip:ADDRESS`, `email:MAILBOX` or `uri:URI`");
        };
        match kind {
            "dns" if is_host_name(value) => Ok(Self::Dns(value.to_ascii_lowercase())),
            "dns" => wrong("a host name (RFC 1123; letters, digits, `-` and `.`, no wildcard) after `dns:`"),
            "ip" => value.parse().map(Self::Ip).or_else(|_| wrong("an IPv4 or IPv6 address after `ip:`")),
            "email" => match value.split_once('@') {
                Some((who, host)) if is_plain(who) && is_host_name(host) => Ok(Self::Email(value.to_owned())),
                _ => wrong("a mailbox after `email:`"),
            },
            "uri" => match value.split_once(':') {
                Some((scheme, rest)) if is_plain(scheme) && !rest.is_empty() && is_uri(rest) => {
                    Ok(Self::Uri(value.to_owned()))
                }
                _ => wrong("an absolute URI of printable ASCII after `uri:`"),
            },
            _ => wrong("`dns:`, `ip:`, `email:` or `uri:`"),
        }
    }
}

/// Whether that is a host name: RFC 1123, 2.1, and RFC 1035's lengths.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

fn is_uri(text: &str) -> bool {
    text.len() <= 512 && text.chars().all(|c| c.is_ascii_graphic() && !"\"'`<>\\^{|}$;".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in [
            "dns:gw-17.plant.example",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
            "email:eve@plant.example",
            "uri:urn:plant:gw",
        ] {
            assert_eq!(name.parse::<AltName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn syntax_of_shells_and_of_nft_is_refused() {
        for name in [
            "dns:a;reboot",
            "dns:*.plant.example",
            "dns:-a",
            "dns:",
            "ip:1.2.3",
            "email:a b@c",
            "uri:urn:$(id)",
            "a",
        ] {
            let refused = name.parse::<AltName>().unwrap_err();
            assert!(refused.starts_with("expected "), "{refused}");
        }
    }
}
