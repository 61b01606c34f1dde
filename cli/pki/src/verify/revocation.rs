//! Revocation lists (RFC 5280, 6.3).

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Encode as _;
use x509_cert::ext::pkix::KeyUsage;

use super::algorithms::check_signature;
use super::path::extension;
use super::{Query, Refusal};
use crate::encode::format_time;

/// Whether `certificate`, issued by `issuer`, is revoked by one of the lists.
pub(super) fn check(
    query: &Query,
    certificate: &Certificate,
    issuer: &Certificate,
    strict: bool,
) -> Result<(), Refusal> {
    let tbs = &certificate.tbs_certificate;
    let of_issuer = query.lists.iter().filter(|list| list.tbs_cert_list.issuer == tbs.issuer);
    let mut seen = false;
    for list in of_issuer {
        authentic(list, issuer)?;
        current(list, query.at)?;
        seen = true;
        let mut revoked = list.tbs_cert_list.revoked_certificates.iter().flatten();
        if let Some(entry) = revoked.find(|entry| entry.serial_number == tbs.serial_number) {
            let when = format_time(entry.revocation_date.to_unix_duration().as_secs());
            return Err(Refusal::new(
                "revoked",
                format!("the certificate was revoked on {when} (RFC 5280, 6.3)"),
            ));
        }
    }
    if strict && !seen {
        return Err(Refusal::new(
            "no-crl",
            "expected a revocation list of its issuer, found none (RFC 5280, 6.3)",
        ));
    }
    Ok(())
}

fn authentic(list: &CertificateList, issuer: &Certificate) -> Result<(), Refusal> {
    let may = extension::<KeyUsage>(issuer, "2.5.29.15")?.is_none_or(|usage| usage.crl_sign());
    let der = list.tbs_cert_list.to_der();
    let der =
        der.map_err(|e| Refusal::new("malformed", format!("the revocation list cannot be read: {e}")))?;
    if list.tbs_cert_list.crl_extensions.iter().flatten().any(|extension| extension.critical) {
        return Err(Refusal::new(
            "unknown-critical",
            "a critical extension of the revocation list is not understood",
        ));
    }
    let key = &issuer.tbs_certificate.subject_public_key_info;
    if !may || list.signature_algorithm != list.tbs_cert_list.signature {
        return Err(Refusal::new(
            "bad-crl",
            "the revocation list is not one that its issuer may sign (RFC 5280, 6.3.3)",
        ));
    }
    check_signature(key, &list.signature_algorithm, &der, list.signature.as_bytes().unwrap_or_default())
        .map_err(|r| Refusal::new("bad-crl", format!("the revocation list is refused: {}", r.message)))
}

fn current(list: &CertificateList, at: u64) -> Result<(), Refusal> {
    let this = list.tbs_cert_list.this_update.to_unix_duration().as_secs();
    if this > at {
        return Err(Refusal::new(
            "clock-wrong",
            format!(
                "the revocation list is of {}, but the clock says {}",
                format_time(this),
                format_time(at)
            ),
        ));
    }
    match list.tbs_cert_list.next_update.map(|t| t.to_unix_duration().as_secs()) {
        Some(next) if next >= at => Ok(()),
        Some(next) => Err(Refusal::new(
            "stale-crl",
            format!("the revocation list was good until {}", format_time(next)),
        )),
        None => Err(Refusal::new(
            "stale-crl",
            "the revocation list does not say how long it is good (RFC 5280, 5.1.2.5)",
        )),
    }
}
