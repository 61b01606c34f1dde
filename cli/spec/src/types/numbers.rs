//! Numbers with and without units.

use serde_json::{Value, json};

use super::{Scalar, Why};

fn decimal(text: &str, plain: bool) -> Result<u64, Why> {
    if !plain {
        return Err("a number is written without quotes".into());
    }
    if text.is_empty()
        || !text.bytes().all(|b| b.is_ascii_digit())
        || (text.len() > 1 && text.starts_with('0'))
    {
        return Err(Why::default());
    }
    text.parse().map_err(|_| Why::default())
}

/// A whole number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer(pub u64);

impl Scalar for Integer {
    const EXPECTED: &'static str = "a whole number from 0";
    fn parse(text: &str, plain: bool) -> Result<Self, Why> {
        decimal(text, plain).map(Self)
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// A whole number that fits 32 bits, such as a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl Scalar for Count {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";
    fn parse(text: &str, plain: bool) -> Result<Self, Why> {
        u32::try_from(decimal(text, plain)?).map(Self).map_err(|_| Why::default())
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// A target capability security level (IEC 62443-4-2, 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityLevel(pub u8);

impl Scalar for SecurityLevel {
    const EXPECTED: &'static str = "a security level from 1 to 4";
    fn parse(text: &str, plain: bool) -> Result<Self, Why> {
        let level = decimal(text, plain)?;
        u8::try_from(level).ok().filter(|level| (1..=4).contains(level)).map(Self).ok_or_else(Why::default)
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": 4})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// `true` or `false`, and no other spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl Scalar for Flag {
    const EXPECTED: &'static str = "`true` or `false`";
    fn parse(text: &str, plain: bool) -> Result<Self, Why> {
        match text {
            "true" | "false" if plain => Ok(Self(text == "true")),
            _ => Err(Why::default()),
        }
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// A whole percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentage(pub u8);

impl Scalar for Percentage {
    const EXPECTED: &'static str = "a percentage (`0%` to `100%`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let number = decimal(text.strip_suffix('%').ok_or_else(Why::default)?, true)?;
        u8::try_from(number).ok().filter(|n| *n <= 100).map(Self).ok_or_else(Why::default)
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(100|[1-9]?[0-9])%$"})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Scalar for Size {
    const EXPECTED: &'static str = "a size (`64MiB`, `4KiB`, `1GiB`, bytes, or hexadecimal bytes)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        if let Some(digits) = text.strip_prefix("0x") {
            let clean = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let value = if clean { u64::from_str_radix(digits, 16).ok() } else { None };
            return value.map(Self).ok_or_else(Why::default);
        }
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let shift = match &text[split..] {
            "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "KB" | "MB" | "GB" | "K" | "M" | "G" => {
                return Err("units are binary and written in full: `KiB`, `MiB`, `GiB`".into());
            }
            _ => return Err(Why::default()),
        };
        let number = decimal(&text[..split], true)?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "more than 2^64 bytes".into())
    }
    fn schema() -> Value {
        json!({"anyOf": [
            {"type": "string", "pattern": "^((0|[1-9][0-9]*)([KMG]iB)?|0x[0-9a-fA-F]+)$"},
            {"type": "integer", "minimum": 0},
        ]})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

/// A length of time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub u64);

impl Scalar for Duration {
    const EXPECTED: &'static str = "a duration (`30s`, `5min` or `5m`, `2h` or `1d`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let split =
            text.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| Why::from("the unit is missing"))?;
        let factor = match &text[split..] {
            "s" => 1,
            "min" | "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(Why::default()),
        };
        decimal(&text[..split], true)?.checked_mul(factor).map(Self).ok_or_else(|| "too long".into())
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(0|[1-9][0-9]*)(s|min|m|h|d)$"})
    }
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_durations_and_percentages() {
        assert_eq!(Size::parse("64MiB", true), Ok(Size(67_108_864)));
        assert_eq!(Size::parse("0x1000", false), Ok(Size(4096)));
        assert_eq!(Duration::parse("5min", true), Ok(Duration(300)));
        assert_eq!(Percentage::parse("100%", true), Ok(Percentage(100)));
        assert_eq!(Flag::parse("true", true), Ok(Flag(true)));
        for bad in ["64MB", "64 MiB", "-1", "", "0x", "0xg", "0x+1", "99999999999GiB", "1.5MiB", "MiB", "007"]
        {
            assert!(Size::parse(bad, true).is_err(), "{bad}");
        }
        for bad in ["30", "5M", "1w", "", "s", "-1s", "01s"] {
            assert!(Duration::parse(bad, true).is_err(), "{bad}");
        }
        for bad in ["101%", "5", "%", "1.5%"] {
            assert!(Percentage::parse(bad, true).is_err(), "{bad}");
        }
        for bad in ["yes", "True", "on"] {
            assert!(Flag::parse(bad, true).is_err(), "{bad}");
        }
        assert!(Integer::parse("22", false).is_err() && Count::parse("4294967296", true).is_err());
    }
}
