//! Addresses, prefixes, ports, names of the network, rates.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Scalar, Why};
use crate::types::text::text_type;

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub IpAddr);

impl Scalar for Address {
    const EXPECTED: &'static str = "an IPv4 or IPv6 address";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        text.parse().map(Self).map_err(|_| Why::default())
    }
    fn schema() -> Value {
        json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
    }
    fn to_json(&self) -> Value {
        self.0.to_string().into()
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

fn from_bits(bits: u128, width: u8) -> IpAddr {
    match u32::try_from(bits) {
        Ok(v4) if width == 32 => IpAddr::V4(v4.into()),
        _ => IpAddr::V6(bits.into()),
    }
}

/// The bits of the host part of a prefix.
fn host_mask(width: u8, length: u8) -> u128 {
    1u128.checked_shl(u32::from(width - length)).map_or(u128::MAX, |one| one - 1)
}

fn split(text: &str) -> Result<(IpAddr, u8), Why> {
    let (address, length) = text.split_once('/').ok_or_else(|| Why::from("the prefix length is missing"))?;
    let address: IpAddr = address.parse().map_err(|_| Why::default())?;
    let clean = !length.is_empty()
        && length.bytes().all(|b| b.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    let length: Option<u8> = if clean { length.parse().ok() } else { None };
    match length {
        Some(length) if length <= bits(address).1 => Ok((address, length)),
        _ => Err(format!("the prefix length must be 0 to {}", bits(address).1).into()),
    }
}

/// A network: the host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The network that holds one address only.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self { address, length: bits(address).1 }
    }

    /// Whether every address of the other one lies in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// Whether it is IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address);
        width == other_width && other & !host_mask(width, self.length) == own
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The widest there is for the family: a single address.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.length == bits(self.address).1
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Scalar for Prefix {
    const EXPECTED: &'static str = "a network (`198.51.100.0/28`, `2001:db8::/64`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Err(Why {
                reason: "the prefix length is missing".to_owned(),
                hint: Some(format!("write `{}` for this one address", Self::of(address))),
            });
        }
        let (address, length) = split(text)?;
        let network = InterfaceAddress { address, length }.network();
        if network.address != address {
            return Err(Why {
                reason: "bits are set behind the prefix".to_owned(),
                hint: Some(format!(
                    "write `{network}` for the network, or `{address}/{}` for this one address",
                    bits(address).1
                )),
            });
        }
        Ok(network)
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"})
    }
    fn to_json(&self) -> Value {
        self.to_string().into()
    }
}

/// An address of an interface with its prefix length; the host bits may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
}

impl InterfaceAddress {
    /// The network that the interface is in.
    #[must_use]
    pub fn network(&self) -> Prefix {
        let (own, width) = bits(self.address);
        Prefix { address: from_bits(own & !host_mask(width, self.length), width), length: self.length }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Scalar for InterfaceAddress {
    const EXPECTED: &'static str = "an address with its prefix length (`192.0.2.10/24`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let (address, length) = split(text)?;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() || length == 0 {
            return Err("a device cannot own this address".into());
        }
        let host = host_mask(bits(address).1, length);
        let own = bits(address).0 & host;
        // RFC 3021: a /31 has neither network nor broadcast address.
        if address.is_ipv4() && length < 31 && (own == 0 || own == host) {
            return Err("this is the network's own or its broadcast address".into());
        }
        Ok(Self { address, length })
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"})
    }
    fn to_json(&self) -> Value {
        self.to_string().into()
    }
}

/// A TCP or UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl Scalar for Port {
    const EXPECTED: &'static str = "a port (1-65535)";
    fn parse(text: &str, plain: bool) -> Result<Self, Why> {
        let number = super::numbers::Integer::parse(text, plain)?.0;
        u16::try_from(number).ok().filter(|port| *port > 0).map(Self).ok_or_else(Why::default)
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": 65535})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

text_type! {
    /// A network interface's name, as the kernel accepts it (IFNAMSIZ: 15 characters).
    InterfaceName,
    "an interface name (letters, digits, `.`, `_`, `-`; at most 15)",
    "^[A-Za-z][A-Za-z0-9._-]{0,14}$",
    |text| {
        let mut chars = text.chars();
        text.len() <= 15
            && chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    }
}

text_type! {
    /// A host name (RFC 1123): labels of letters, digits and hyphens, at most 63 each (and 64 in
    /// all, the kernel's limit for its own name).
    HostName,
    "a host name (labels of lower-case letters, digits and hyphens; at most 64 characters)",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    |text| text.len() <= 64
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

text_type! {
    /// A rate as nftables writes it.
    Rate,
    "a rate (`6/minute`; per `second`, `minute`, `hour` or `day`)",
    "^[1-9][0-9]{0,8}/(second|minute|hour|day)$",
    |text| text.split_once('/').is_some_and(|(number, unit)| {
        (1..=9).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
            && !number.starts_with('0')
            && matches!(unit, "second" | "minute" | "hour" | "day")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_host_bits_and_the_hint_says_which_network() {
        let good = Prefix::parse("198.51.100.0/28", true).map(|p| p.to_string());
        assert_eq!(good, Ok("198.51.100.0/28".to_owned()));
        let why = Prefix::parse("198.51.100.7/28", true).expect_err("host bits");
        assert_eq!(why.reason, "bits are set behind the prefix");
        let hint = "write `198.51.100.0/28` for the network, or `198.51.100.7/32` for this one address";
        assert_eq!(why.hint.as_deref(), Some(hint));
        for (bare, hint) in [
            ("198.51.100.7", "write `198.51.100.7/32` for this one address"),
            ("2001:db8::7", "write `2001:db8::7/128` for this one address"),
        ] {
            let why = Prefix::parse(bare, true).unwrap_err();
            assert_eq!(
                (why.reason.as_str(), why.hint.as_deref()),
                ("the prefix length is missing", Some(hint))
            );
        }
        assert!(Prefix::parse("::/0", true).is_ok() && Prefix::parse("0.0.0.0/0", true).is_ok());
        assert!(Prefix::parse("2001:db8::/64", true).is_ok());
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "x/8",
            "2001:db8::1/64",
            "/",
        ] {
            assert!(Prefix::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_overlap_when_one_holds_the_other() {
        let prefix = |text| Prefix::parse(text, true).expect("a prefix");
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.2.0.0/16")));
        assert!(prefix("0.0.0.0/0").overlaps(&prefix("10.2.0.0/16")));
        assert!(!prefix("10.2.0.0/16").overlaps(&prefix("10.3.0.0/16")));
        assert!(!prefix("::/0").overlaps(&prefix("10.3.0.0/16")));
        assert!(prefix("192.0.2.0/24").contains("192.0.2.255".parse().expect("an address")));
    }

    #[test]
    fn an_interface_does_not_own_its_networks_address() {
        assert!(InterfaceAddress::parse("192.0.2.10/24", true).is_ok());
        assert!(InterfaceAddress::parse("192.0.2.0/31", true).is_ok());
        assert!(InterfaceAddress::parse("192.0.2.10/32", true).is_ok());
        assert!(InterfaceAddress::parse("2001:db8::1/64", true).is_ok());
        for bad in ["192.0.2.0/24", "192.0.2.255/24", "127.0.0.1/8", "0.0.0.0/8", "224.0.0.1/4", "192.0.2.1"]
        {
            assert!(InterfaceAddress::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_ports_and_rates() {
        assert!(
            InterfaceName::parse("eth0", true).is_ok() && InterfaceName::parse("enp1s0.100", true).is_ok()
        );
        assert!(
            InterfaceName::parse("a234567890123456", true).is_err()
                && InterfaceName::parse("e\"h", true).is_err()
        );
        assert!(HostName::parse("cell-gateway.plant.example", true).is_ok());
        for bad in ["-a", "a-", "a..b", "A", "a_b", ""] {
            assert!(HostName::parse(bad, true).is_err(), "{bad}");
        }
        assert!(Rate::parse("6/minute", true).is_ok());
        for bad in ["0/minute", "6/min", "6", "/minute", "6 /minute"] {
            assert!(Rate::parse(bad, true).is_err(), "{bad}");
        }
        assert!(Port::parse("0", true).is_err() && Port::parse("22", true).is_ok());
    }
}
