//! The parts of certificates: times, names, extensions, PEM.

use std::net::IpAddr;
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use rand_core::{OsRng, RngCore};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Any, GeneralizedTime, Ia5String, OctetString, SetOfVec, UtcTime};
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::der::{DateTime, Encode, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};
use x509_cert::time::Time;

use crate::key::broken;
use crate::names::AltName;

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(crate) const SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");

/// Reads `YYYY-MM-DDTHH:MM:SSZ` or seconds since 1970, in UTC.
///
/// # Errors
/// Says what was expected.
pub fn parse_time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(seconds);
    }
    text.parse::<DateTime>().map(|time| time.unix_duration().as_secs()).map_err(|_| {
        format!("expected seconds since 1970 or `YYYY-MM-DDTHH:MM:SSZ`, found `{}`", text.escape_debug())
    })
}

/// Seconds since 1970 as `YYYY-MM-DDTHH:MM:SSZ`.
#[must_use]
pub fn format_time(seconds: u64) -> String {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

/// RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on.
pub(crate) fn time(seconds: u64) -> Outcome<Time> {
    let date = DateTime::from_unix_duration(Duration::from_secs(seconds)).map_err(|e| broken(&e))?;
    if date.year() < 2050 {
        UtcTime::from_date_time(date).map(Time::UtcTime).map_err(|e| broken(&e))
    } else {
        Ok(Time::GeneralTime(GeneralizedTime::from_date_time(date)))
    }
}

/// A distinguished name of these attributes, in order.
pub(crate) fn name(attributes: &[(ObjectIdentifier, &str)]) -> Outcome<Name> {
    let mut parts = Vec::new();
    for (oid, value) in attributes {
        if value.is_empty() || value.len() > 64 || value.chars().any(char::is_control) {
            return Err(Failure::error(
                ExitStatus::Input,
                "bad-name",
                format!("expected 1 to 64 printable bytes in a subject, found `{}`", value.escape_debug()),
            )
            .hint("RFC 5280, appendix A.1, bounds the attributes of names"));
        }
        // A serialNumber is a PrintableString (RFC 5280, appendix A.1).
        let tag = if *oid == SERIAL { Tag::PrintableString } else { Tag::Utf8String };
        let value = Any::new(tag, value.as_bytes()).map_err(|e| broken(&e))?;
        let set =
            SetOfVec::try_from(vec![AttributeTypeAndValue { oid: *oid, value }]).map_err(|e| broken(&e))?;
        parts.push(RelativeDistinguishedName(set));
    }
    Ok(RdnSequence(parts))
}

/// 127 random bits, never zero (RFC 5280, 4.1.2.2; the CA/Browser Forum asks for 64).
pub(crate) fn serial() -> Outcome<SerialNumber> {
    let mut bytes = [0u8; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::new(&bytes).map_err(|e| broken(&e))
}

pub(crate) fn extension(oid: &str, critical: bool, value: &impl Encode) -> Outcome<Extension> {
    let der = value.to_der().map_err(|e| broken(&e))?;
    Ok(Extension {
        extn_id: ObjectIdentifier::new(oid).map_err(|e| broken(&e))?,
        critical,
        extn_value: OctetString::new(der).map_err(|e| broken(&e))?,
    })
}

/// RFC 7093, 2, method 1: the leftmost 160 bits of the key's SHA-256.
pub(crate) fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> Outcome<OctetString> {
    let hash = Sha256::digest(key.subject_public_key.raw_bytes());
    OctetString::new(&hash[..20]).map_err(|e| broken(&e))
}

pub(crate) fn general_name(name: &AltName) -> Outcome<GeneralName> {
    let text = |text: &str| Ia5String::new(text).map_err(|e| broken(&e));
    Ok(match name {
        AltName::Dns(name) => GeneralName::DnsName(text(name)?),
        AltName::Ip(address) => GeneralName::from(*address),
        AltName::Email(mailbox) => GeneralName::Rfc822Name(text(mailbox)?),
        AltName::Uri(uri) => GeneralName::UniformResourceIdentifier(text(uri)?),
    })
}

/// A name of somebody else's, in the form of [`AltName`] where it has one.
pub(crate) fn shown(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("dns:{name}"),
        GeneralName::Rfc822Name(mailbox) => format!("email:{mailbox}"),
        GeneralName::UniformResourceIdentifier(uri) => format!("uri:{uri}"),
        GeneralName::IpAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_bytes()).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_bytes()).map(IpAddr::from));
            address.map_or_else(
                |_| format!("an address of {} bytes", bytes.as_bytes().len()),
                |a| format!("ip:{a}"),
            )
        }
        GeneralName::DirectoryName(name) => format!("directory name {name}"),
        GeneralName::OtherName(_) => "other name".to_owned(),
        GeneralName::EdiPartyName(_) => "EDI party name".to_owned(),
        GeneralName::RegisteredId(oid) => format!("registered identifier {oid}"),
    }
}

pub(crate) fn distribution_point(url: &str) -> Outcome<Vec<DistributionPoint>> {
    let name = Ia5String::new(url).map(GeneralName::UniformResourceIdentifier).map_err(|e| broken(&e))?;
    Ok(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![name])),
        reasons: None,
        crl_issuer: None,
    }])
}

/// Where the status of a certificate is asked (RFC 5280, 4.2.2.1).
pub(crate) fn responder(url: &str) -> Outcome<AuthorityInfoAccessSyntax> {
    const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
    let location = Ia5String::new(url).map(GeneralName::UniformResourceIdentifier).map_err(|e| broken(&e))?;
    Ok(AuthorityInfoAccessSyntax(vec![AccessDescription { access_method: OCSP, access_location: location }]))
}

pub(crate) fn pem(label: &str, der: &[u8]) -> Outcome<String> {
    encode_string(label, LineEnding::LF, der).map_err(|e| broken(&e))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(parse_time("2026-11-23T00:00:00Z"), Ok(1_795_392_000));
        assert_eq!(parse_time("1795392000"), Ok(1_795_392_000));
        assert_eq!(format_time(1_795_392_000), "2026-11-23T00:00:00Z");
        assert!(parse_time("tomorrow").unwrap_err().starts_with("expected seconds"));
    }

    #[test]
    fn serials_are_positive_and_long() {
        let (one, two) = (serial().unwrap(), serial().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_bytes().len(), 16);
    }
}
