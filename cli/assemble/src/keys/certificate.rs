//! Certificates of keys that are elsewhere (X.509, RFC 5280): whose public half they hold, and from when to when.
//!
//! Who issued one is not looked at, nor whether its signature holds: who adds a key says that it is the one. What counts is the
//! validity, a promise of those who run the key: it is kept when the key is added and each time it signs. It protects nobody
//! from who may set the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use diag::{ExitStatus, Failure, Outcome};
use fit::key::PublicKey;
use spec::time::rfc3339;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use super::record::KeyRecord;

/// Whether a text is a certificate and no bare key (RFC 7468, 5).
pub fn is_one(pem: &str) -> bool {
    pem.contains("-----BEGIN CERTIFICATE-----")
}

/// The time that validity is held against, in seconds since 1970: `SOURCE_DATE_EPOCH` where it is set, as everything that is built has it,
/// otherwise the clock.
///
/// # Errors
/// When `SOURCE_DATE_EPOCH` is no number.
pub fn now() -> Outcome<u64> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()));
    };
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let shown = text.to_string_lossy().escape_debug().to_string();
        let message = format!("expected seconds since 1970 in `SOURCE_DATE_EPOCH`, found `{shown}`");
        Failure::error(ExitStatus::Usage, "source-date-epoch", message)
    })
}

/// The key of a certificate that holds at that time, and when it ends.
///
/// # Errors
/// `key-format`, `certificate-expired`, `certificate-not-yet-valid`.
pub fn read(pem: &str, now: u64) -> Outcome<(PublicKey, u64)> {
    let chain = Certificate::load_pem_chain(pem.as_bytes())
        .map_err(|e| wrong(format!("expected a certificate (X.509, PEM), found something else: {e}")))?;
    let [certificate] = chain.as_slice() else {
        return Err(wrong(format!("expected one certificate, found {}", chain.len()))
            .hint("give the key's own, without those of its issuers"));
    };
    let certified = Certified::of(certificate)?;
    let ends = certified.ends_when_holding(now)?;
    Ok((certified.key, ends))
}

/// A key and from when to when it is certified, both ends included (RFC 5280, 4.1.2.5).
pub struct Certified {
    /// The key.
    pub key: PublicKey,
    from: u64,
    to: u64,
}

impl Certified {
    /// A certificate as a token has it.
    ///
    /// # Errors
    /// `key-format`.
    pub fn from_der(der: &[u8]) -> Outcome<Self> {
        let certificate = Certificate::from_der(der)
            .map_err(|e| wrong(format!("the token's certificate is none of X.509 (DER): {e}")))?;
        Self::of(&certificate)
    }

    fn of(certificate: &Certificate) -> Outcome<Self> {
        let body = &certificate.tbs_certificate;
        let der = body.subject_public_key_info.to_der().map_err(|e| wrong(e.to_string()))?;
        let key = PublicKey::from_der(&der).map_err(|e| wrong(format!("of the certificate: {e}")))?;
        let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
        Ok(Self { key, from: seconds(&body.validity.not_before), to: seconds(&body.validity.not_after) })
    }

    /// When it ends, if it holds at that time.
    ///
    /// # Errors
    /// `certificate-expired`, `certificate-not-yet-valid`.
    pub fn ends_when_holding(&self, now: u64) -> Outcome<u64> {
        if now < self.from {
            let message = format!("the certificate is not valid before {}", rfc3339(self.from));
            return Err(Failure::error(ExitStatus::Keys, "certificate-not-yet-valid", message)
                .hint("use the key from then on; where the clock is wrong, set it"));
        }
        if now > self.to {
            return Err(expired(&format!("the certificate ended on {}", rfc3339(self.to)))
                .hint("have the key certified anew, or use another"));
        }
        Ok(self.to)
    }
}

/// When the certification of a key ends by all its certificates: of those that hold at that time the one that ends last. A
/// certificate of a later time beside one that holds does no harm. Nothing where there is none.
///
/// # Errors
/// `certificate-expired`, `certificate-not-yet-valid` of the one that ends last, where none holds.
pub fn ends_of(mut all: Vec<Certified>, now: u64) -> Outcome<Option<u64>> {
    all.sort_by_key(|certified| certified.to);
    let holding = all.iter().rev().find(|certified| (certified.from..=certified.to).contains(&now));
    holding.or(all.last()).map(|certified| certified.ends_when_holding(now)).transpose()
}

fn wrong(why: String) -> Failure {
    Failure::error(ExitStatus::Keys, "key-format", why)
}

fn expired(message: &str) -> Failure {
    Failure::error(ExitStatus::Keys, "certificate-expired", message)
}

impl KeyRecord {
    /// Refuses a key whose certificate has ended.
    ///
    /// # Errors
    /// `certificate-expired`, and when `SOURCE_DATE_EPOCH` is no number.
    pub fn refuse_ended(&self) -> Outcome<()> {
        match self.not_after {
            Some(end) if now()? > end => {
                let message = format!("the certificate of the key `{}` ended on {}", self.name, rfc3339(end));
                Err(expired(&message).hint(
                    "nothing is signed with it any more: have the key certified anew and add it under another name, or take another (docs/keys.md)",
                ))
            }
            _ => Ok(()),
        }
    }

    /// When its certificate ends, as people read it; nothing where there is none.
    #[must_use]
    pub fn ends(&self) -> Option<String> {
        self.not_after.map(rfc3339)
    }
}
