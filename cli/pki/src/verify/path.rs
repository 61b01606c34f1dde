//! From a certificate to a root.

use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;

use super::algorithms::{accepted, check_key, check_signature};
use super::{Purpose, Query, Refusal, names, revocation};
use crate::encode::format_time;

/// Longer paths are not followed; ours have three certificates.
const DEEPEST: usize = 8;
/// Issuers of one name that are tried: each costs a signature.
const MOST_CANDIDATES: usize = 16;
/// Critical extensions that are understood here (RFC 5280, 4.2): constraints, usages, names.
const UNDERSTOOD: [&str; 5] = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.37"];
const ANY_USAGE: &str = "2.5.29.37.0";

/// Verifies the first certificate of the chain.
///
/// # Errors
/// Every reason for which it is refused.
pub fn verify(query: &Query) -> Result<Vec<Certificate>, Vec<Refusal>> {
    let Some(leaf) = query.chain.first() else {
        return Err(vec![Refusal::new("malformed", "expected a certificate, found none")]);
    };
    let mut refusals = Vec::new();
    let mut keep = |result: Result<(), Refusal>| {
        if let Err(refusal) = result
            && !refusals.contains(&refusal)
        {
            refusals.push(refusal);
        }
    };
    let (path, ending) = build(query, leaf);
    for (place, certificate) in path.iter().enumerate() {
        keep(check_key(&certificate.tbs_certificate.subject_public_key_info));
        keep(form(certificate));
        keep(validity(certificate, query.at));
        // What a root says of its own signature proves nothing, and is not looked at.
        if let Some(issuer) = path.get(place + 1) {
            keep(signed(certificate, issuer));
            keep(may_issue(issuer, place, &path));
            keep(revocation::check(query, certificate, issuer, query.strict));
        }
        for issuer in &path[place + 1..] {
            keep(names::constrained(issuer, certificate));
        }
    }
    keep(usage(leaf, query.purpose));
    if let Some(name) = &query.name {
        keep(names::check(leaf, name));
    }
    keep(ending);
    if refusals.is_empty() { Ok(path) } else { Err(refusals) }
}

/// Follows issuers, by name and signature, up to a root; and why it ended if that is none.
fn build(query: &Query, leaf: &Certificate) -> (Vec<Certificate>, Result<(), Refusal>) {
    let mut path = vec![leaf.clone()];
    while let Some(last) = path.last().cloned() {
        if path.len() > 1 && query.roots.contains(&last) {
            return (path, Ok(()));
        }
        if path.len() > DEEPEST {
            return (
                path,
                Err(Refusal::new(
                    "path-too-long",
                    format!("expected at most {DEEPEST} certificates in a path"),
                )),
            );
        }
        let issuer = &last.tbs_certificate.issuer;
        let named = |other: &&Certificate| other.tbs_certificate.subject == *issuer && !path.contains(other);
        let candidates: Vec<&Certificate> =
            query.roots.iter().chain(&query.chain).filter(named).take(MOST_CANDIDATES).collect();
        // With several of one name, the one whose key signed; else the first, so that the reason is told.
        let next = candidates.iter().find(|other| signed(&last, other).is_ok()).or(candidates.first());
        match next {
            Some(next) => {
                let next = (*next).clone();
                path.push(next);
            }
            None => return (path, Err(unknown(&last))),
        }
    }
    (path, Ok(()))
}

fn unknown(last: &Certificate) -> Refusal {
    let tbs = &last.tbs_certificate;
    if tbs.issuer == tbs.subject {
        return Refusal::new(
            "self-signed",
            format!(
                "`{}` is self-signed and not among the roots that are trusted (RFC 5280, 6.1.1)",
                shown(&tbs.subject)
            ),
        );
    }
    Refusal::new(
        "unknown-ca",
        format!(
            "no trusted root and no certificate given is its issuer `{}` (RFC 5280, 6.1)",
            shown(&tbs.issuer)
        ),
    )
}

fn signed(certificate: &Certificate, issuer: &Certificate) -> Result<(), Refusal> {
    let der = certificate.tbs_certificate.to_der();
    let der = der.map_err(|e| Refusal::new("malformed", format!("the certificate cannot be read: {e}")))?;
    let key = &issuer.tbs_certificate.subject_public_key_info;
    check_signature(
        key,
        &certificate.signature_algorithm,
        &der,
        certificate.signature.as_bytes().unwrap_or_default(),
    )
}

fn form(certificate: &Certificate) -> Result<(), Refusal> {
    let tbs = &certificate.tbs_certificate;
    accepted(&certificate.signature_algorithm)?;
    if certificate.signature_algorithm != tbs.signature {
        return Err(Refusal::new("malformed", "the two signature algorithms differ (RFC 5280, 4.1.1.2)"));
    }
    let extensions = || tbs.extensions.iter().flatten();
    for (place, extension) in extensions().enumerate() {
        let oid = extension.extn_id.to_string();
        if extension.critical && !UNDERSTOOD.contains(&oid.as_str()) {
            return Err(Refusal::new(
                "unknown-critical",
                format!("the critical extension {oid} is not understood (RFC 5280, 4.2)"),
            ));
        }
        if extensions().skip(place + 1).any(|other| other.extn_id == extension.extn_id) {
            return Err(Refusal::new(
                "malformed",
                format!("the extension {oid} is there twice (RFC 5280, 4.2)"),
            ));
        }
    }
    Ok(())
}

fn validity(certificate: &Certificate, at: u64) -> Result<(), Refusal> {
    let tbs = &certificate.tbs_certificate;
    let (from, to) = (
        tbs.validity.not_before.to_unix_duration().as_secs(),
        tbs.validity.not_after.to_unix_duration().as_secs(),
    );
    if at < from {
        return Err(Refusal::new(
            "not-yet-valid",
            format!(
                "`{}` is valid from {}, and it is {}; is the clock right? (RFC 5280, 4.1.2.5)",
                shown(&tbs.subject),
                format_time(from),
                format_time(at)
            ),
        ));
    }
    if at > to {
        return Err(Refusal::new(
            "expired",
            format!(
                "`{}` was valid until {}, and it is {} (RFC 5280, 4.1.2.5)",
                shown(&tbs.subject),
                format_time(to),
                format_time(at)
            ),
        ));
    }
    Ok(())
}

/// Whether `issuer` may sign certificates with `below` others under it, the leaf not counted (RFC 5280, 6.1.4).
fn may_issue(issuer: &Certificate, below: usize, path: &[Certificate]) -> Result<(), Refusal> {
    let subject = shown(&issuer.tbs_certificate.subject);
    let constraints = extension::<BasicConstraints>(issuer, "2.5.29.19")?;
    let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
        return Err(Refusal::new(
            "issuer-not-ca",
            format!("`{subject}` signed a certificate and is no CA (RFC 5280, 4.2.1.9)"),
        ));
    };
    if extension::<KeyUsage>(issuer, "2.5.29.15")?.is_none_or(|usage| !usage.key_cert_sign()) {
        return Err(Refusal::new(
            "issuer-not-ca",
            format!("`{subject}` may not sign certificates: no keyCertSign (RFC 5280, 4.2.1.3)"),
        ));
    }
    let between = path[..=below].iter().skip(1);
    let counted = between.filter(|c| c.tbs_certificate.subject != c.tbs_certificate.issuer).count();
    match constraints.path_len_constraint {
        Some(most) if counted > usize::from(most) => Err(Refusal::new(
            "path-too-long",
            format!("`{subject}` allows {most} CAs below it, found {counted} (RFC 5280, 4.2.1.9)"),
        )),
        _ => Ok(()),
    }
}

fn usage(leaf: &Certificate, purpose: Option<Purpose>) -> Result<(), Refusal> {
    let Some(purpose) = purpose else { return Ok(()) };
    let wrong = |what: &str| {
        Err(Refusal::new("wrong-usage", format!("expected {what} (RFC 5280, 4.2.1.3 and 4.2.1.12)")))
    };
    if extension::<BasicConstraints>(leaf, "2.5.29.19")?.is_some_and(|constraints| constraints.ca) {
        return wrong("a certificate of an end, found one of a CA");
    }
    if extension::<KeyUsage>(leaf, "2.5.29.15")?.is_none_or(|usage| !usage.digital_signature()) {
        return wrong("the key usage digitalSignature, found none");
    }
    let (name, oid) = match purpose {
        Purpose::Server => ("serverAuth", "1.3.6.1.5.5.7.3.1"),
        Purpose::Client => ("clientAuth", "1.3.6.1.5.5.7.3.2"),
        Purpose::Ike => ("ipsecIKE", "1.3.6.1.5.5.7.3.17"),
    };
    // No extension is any usage (RFC 5280, 4.2.1.12): an IDevID has none.
    let Some(usages) = extension::<ExtendedKeyUsage>(leaf, "2.5.29.37")? else { return Ok(()) };
    let found: Vec<String> = usages.0.iter().map(ToString::to_string).collect();
    if found.iter().any(|usage| usage == oid || usage == ANY_USAGE) {
        return Ok(());
    }
    wrong(&format!("the extended key usage {name} ({oid}), found {}", found.join(", ")))
}

/// An extension of a certificate, if it has it.
pub(super) fn extension<T: for<'a> Decode<'a>>(
    certificate: &Certificate,
    oid: &str,
) -> Result<Option<T>, Refusal> {
    let mut all = certificate.tbs_certificate.extensions.iter().flatten();
    match all.find(|extension| extension.extn_id.to_string() == oid) {
        None => Ok(None),
        Some(found) => T::from_der(found.extn_value.as_bytes())
            .map(Some)
            .map_err(|e| Refusal::new("malformed", format!("the extension {oid} cannot be read: {e}"))),
    }
}

/// A name for people, without what could steer a terminal.
pub(super) fn shown(name: &Name) -> String {
    name.to_string().escape_debug().to_string()
}
