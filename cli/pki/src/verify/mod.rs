//! Path validation (RFC 5280, 6) of what a peer shows: chain, validity, names, usages, algorithms, revocation.
//!
//! It reads what others wrote: every refusal has a reason and a reference, and the work is bounded. It must not
//! use the issuing code. rustls-webpki was not taken: it brings a second generation of cryptography, and says of
//! a weak key or algorithm only that it is unsupported; `openssl verify` is what the tests compare with.

mod algorithms;
mod names;
mod path;
mod revocation;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, Encode};

use crate::names::AltName;

pub use algorithms::{check_key, check_signature};
pub(crate) use names::may_give;
pub use path::verify;

/// Longest file of certificates or lists that is read, in bytes.
const LONGEST: usize = 8 << 20;

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code, such as `unknown-ca`.
    pub code: &'static str,
    /// What was expected and found, with the clause that says so.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// id-kp-serverAuth.
    Server,
    /// id-kp-clientAuth.
    Client,
    /// id-kp-ipsecIKE.
    Ike,
}

/// What is to be verified, against what.
#[derive(Clone, Debug)]
pub struct Query {
    /// The certificate itself, then those that may lie between it and a root.
    pub chain: Vec<Certificate>,
    /// Whom one trusts.
    pub roots: Vec<Certificate>,
    /// Lists of revoked certificates.
    pub lists: Vec<CertificateList>,
    /// Seconds since 1970.
    pub at: u64,
    /// What it is used for; nothing asks no usage.
    pub purpose: Option<Purpose>,
    /// The name under which its holder was looked for.
    pub name: Option<AltName>,
    /// Whether a list of the certificate's issuer must be there.
    pub strict: bool,
}

/// All reasons as one failure.
#[must_use]
pub fn failure(refusals: &[Refusal]) -> Failure {
    let status = match refusals.first().map(|r| r.code) {
        Some("malformed") => ExitStatus::Input,
        _ => ExitStatus::Check,
    };
    let diagnostics = refusals.iter().map(|r| Diagnostic::error(r.code, r.message.clone())).collect();
    Failure { status, diagnostics }
}

/// Reads a file of certificates, requests or lists; a longer one than anybody needs is refused.
///
/// # Errors
/// `malformed`, or when it cannot be read.
pub fn read_file(path: &Path) -> Outcome<Vec<u8>> {
    let io = |e: &std::io::Error| Failure::io("read", path, e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| io(&e))?;
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(|e| io(&e))?;
    if bytes.len() > LONGEST {
        return Err(Failure::error(
            ExitStatus::Input,
            "malformed",
            format!("expected at most {LONGEST} bytes in `{}`, found more", path.display()),
        )
        .hint("name a file of certificates in PEM"));
    }
    Ok(bytes)
}

/// The subject of a certificate, in the form of RFC 4514.
#[must_use]
pub fn subject(certificate: &Certificate) -> String {
    path::shown(&certificate.tbs_certificate.subject)
}

/// Reads the blocks of a PEM file that have that label.
///
/// # Errors
/// `malformed`.
pub fn read_pem<T: for<'a> Decode<'a> + Encode>(text: &[u8], label: &str) -> Result<Vec<T>, Refusal> {
    let wrong = |why: String| Refusal::new("malformed", format!("expected `{label}` in PEM: {why}"));
    if text.len() > LONGEST {
        return Err(wrong(format!("it has {} bytes, more than {LONGEST}", text.len())));
    }
    let text = std::str::from_utf8(text).map_err(|e| wrong(e.to_string()))?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&begin) {
        let block = &rest[start..];
        let Some(stop) = block.find(&end) else { return Err(wrong("it has no end".to_owned())) };
        let stop = stop + end.len();
        let (_, der) =
            x509_cert::der::pem::decode_vec(&block.as_bytes()[..stop]).map_err(|e| wrong(e.to_string()))?;
        let value = T::from_der(&der).map_err(|e| wrong(format!("truncated or damaged DER: {e}")))?;
        // What is signed is the encoding: one that is not DER's only one is not worked on (X.690, 10).
        if value.to_der().ok().as_deref() != Some(der.as_slice()) {
            return Err(wrong("its encoding is not DER (X.690, 10)".to_owned()));
        }
        found.push(value);
        rest = &block[stop..];
    }
    if found.is_empty() { Err(wrong("there is none".to_owned())) } else { Ok(found) }
}
