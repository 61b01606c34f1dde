//! Names: the one looked for, and those an issuer may give (RFC 6125, 6; RFC 5280, 4.2.1.10).

use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{NameConstraints, SubjectAltName};

use super::Refusal;
use super::path::extension;
use crate::names::AltName;

/// Whether the certificate is that of the name. The common name does not count (RFC 6125, 6.4.4).
pub(super) fn check(certificate: &Certificate, wanted: &AltName) -> Result<(), Refusal> {
    let names = all(certificate)?;
    let same = |name: &GeneralName| match (name, wanted) {
        (GeneralName::DnsName(a), AltName::Dns(b)) => a.as_str().eq_ignore_ascii_case(b),
        (GeneralName::Rfc822Name(a), AltName::Email(b)) => a.as_str() == b,
        (GeneralName::UniformResourceIdentifier(a), AltName::Uri(b)) => a.as_str() == b,
        (GeneralName::IpAddress(a), AltName::Ip(b)) => match b {
            std::net::IpAddr::V4(b) => a.as_bytes() == b.octets(),
            std::net::IpAddr::V6(b) => a.as_bytes() == b.octets(),
        },
        _ => false,
    };
    if names.iter().any(same) {
        return Ok(());
    }
    Err(Refusal::new(
        "wrong-name",
        format!(
            "the certificate is not that of `{wanted}`: none of its {} alternative names is (RFC 6125, 6)",
            names.len()
        ),
    ))
}

pub(super) fn all(certificate: &Certificate) -> Result<Vec<GeneralName>, Refusal> {
    Ok(extension::<SubjectAltName>(certificate, "2.5.29.17")?.map(|names| names.0).unwrap_or_default())
}

/// Whether the names of `below` are those that `issuer` may give.
pub(super) fn constrained(issuer: &Certificate, below: &Certificate) -> Result<(), Refusal> {
    may_give(issuer, &all(below)?)
}

/// Whether these names are those that `issuer` may give.
pub(crate) fn may_give(issuer: &Certificate, names: &[GeneralName]) -> Result<(), Refusal> {
    let Some(bounds) = extension::<NameConstraints>(issuer, "2.5.29.30")? else { return Ok(()) };
    let (permitted, excluded) =
        (bounds.permitted_subtrees.unwrap_or_default(), bounds.excluded_subtrees.unwrap_or_default());
    if permitted.iter().chain(&excluded).any(|tree| !matches!(tree.base, GeneralName::DnsName(_))) {
        return Err(Refusal::new(
            "unknown-critical",
            "expected name constraints on host names only, found others",
        ));
    }
    let inside = |base: &GeneralName, name: &str| match base {
        GeneralName::DnsName(base) => {
            let (base, name) = (base.as_str().to_ascii_lowercase(), name.to_ascii_lowercase());
            base.is_empty() || name == base || name.ends_with(&format!(".{}", base.trim_start_matches('.')))
        }
        _ => false,
    };
    for name in names {
        let GeneralName::DnsName(name) = name else { continue };
        let allowed = permitted.is_empty() || permitted.iter().any(|tree| inside(&tree.base, name.as_str()));
        if !allowed || excluded.iter().any(|tree| inside(&tree.base, name.as_str())) {
            return Err(Refusal::new(
                "name-constraint",
                format!(
                    "its issuer may not give the name `{}` (RFC 5280, 4.2.1.10)",
                    name.as_str().escape_debug()
                ),
            ));
        }
    }
    Ok(())
}
