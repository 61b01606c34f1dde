//! Ethertypes and MAC addresses.

use serde_json::{Value, json};

use super::{Scalar, Why};

/// An ethertype (IEEE 802.3, 3.2.6: from 0x0600).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EtherType(pub u16);

impl EtherType {
    /// As nftables and the plan write it.
    #[must_use]
    pub fn text(self) -> String {
        format!("{:#06x}", self.0)
    }
}

impl Scalar for EtherType {
    const EXPECTED: &'static str = "an ethertype (`0x0600` to `0xffff`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 4);
        let clean = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = clean.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        number.filter(|number| *number >= 0x0600).map(Self).ok_or_else(Why::default)
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^0x[0-9a-fA-F]{4}$"})
    }
    fn to_json(&self) -> Value {
        self.text().into()
    }
}

/// Multicast MAC addresses: one, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MulticastRange(String);

impl MulticastRange {
    /// As nftables writes it: `01:0e:cf:00:00:00-01:0e:cf:ff:ff:ff`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for MulticastRange {
    const EXPECTED: &'static str =
        "a multicast MAC address, or two with `-` between (`01:0e:cf:00:00:00-01:0e:cf:ff:ff:ff`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Some(low), Some(high)) = (mac(first), mac(last)) else { return Err(Why::default()) };
        // The lowest bit of the first byte (IEEE 802-2014, 8.2.2).
        if low >> 40 & 1 == 0 || high >> 40 & 1 == 0 {
            return Err("it is not a multicast address".into());
        }
        if high < low {
            return Err("the range ends before it begins".into());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(-([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})?$"})
    }
    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
}

fn mac(text: &str) -> Option<u64> {
    let mut number = 0;
    let mut count = 0;
    for part in text.split(':') {
        if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        number = number << 8 | u64::from_str_radix(part, 16).ok()?;
        count += 1;
    }
    (count == 6).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethertypes_are_four_digits_from_0600() {
        assert_eq!(EtherType::parse("0x88B8", true).map(|e| (e.0, e.text())), Ok((0x88b8, "0x88b8".into())));
        for bad in ["0x05ff", "8892", "0x889", "0x88920", "0x+892", "0xzzzz"] {
            assert!(EtherType::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_multicast_addresses_in_order() {
        assert!(MulticastRange::parse("01:0c:cd:01:00:00-01:0C:CD:01:01:FF", true).is_ok());
        assert!(MulticastRange::parse("01:80:c2:00:00:0e", true).is_ok());
        for bad in [
            "00:0c:cd:01:00:00",
            "01:0c:cd:01:00",
            "01:0c:cd:01:01:ff-01:0c:cd:01:00:00",
            "01:0c:cd:1:0:0",
            "x",
        ] {
            assert!(MulticastRange::parse(bad, true).is_err(), "{bad}");
        }
    }
}
