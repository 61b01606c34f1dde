//! What an authority has issued and revoked: `index.json`.
//!
//! A certificate is written here before its files appear: a run that is killed in between leaves an entry
//! without a file, never a certificate that nobody can revoke.

use serde::{Deserialize, Serialize};

use crate::encode::format_time;
use crate::role::Role;
use crate::ssh::SshEntry;

/// Why a certificate was revoked (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its private key may be in other hands.
    KeyCompromise,
    /// That of the CA which signed it may be.
    CaCompromise,
    /// What it says of its holder is no longer right.
    AffiliationChanged,
    /// There is a newer one.
    Superseded,
    /// It is no longer used.
    CessationOfOperation,
}

impl Reason {
    /// As `openssl ca` writes it.
    fn words(self) -> &'static str {
        match self {
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "CACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
        }
    }

    /// The number of CRLReason.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }
}

/// When and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: Reason,
}

/// An issuing CA that the root's list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StolenIssuing {
    /// Which one, from 1.
    pub issuer: u32,
    /// Seconds since 1970.
    pub at: u64,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of the identity.
    pub name: String,
    /// Common name, where it is not the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Files are `issued/FILE.crt` and, unless the key is the holder's own, `issued/FILE.key.pem`.
    pub file: String,
    /// What it is for.
    pub role: Role,
    /// Subject alternative names.
    pub names: Vec<String>,
    /// serialNumber of the subject, of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_serial: Option<String>,
    /// Which of the authority's issuing CAs signed it.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub issuer: u32,
    /// The certificate's serial number in hexadecimal.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// SHA-256 of the certificate.
    pub sha256: String,
    /// Set once it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

pub(crate) fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(generation: &u32) -> bool {
    *generation == 1
}

impl Entry {
    /// The certificate's line in the database of `openssl ca`, which `openssl ocsp` reads (its `index.txt`).
    pub(crate) fn line(&self) -> String {
        // Years of two digits until 2049, as in a certificate (RFC 5280, 4.1.2.5).
        let time = |seconds: u64| {
            let text = format_time(seconds).replace(['-', ':', 'T'], "");
            if text.starts_with("20") && text[..4] < *"2050" { text[2..].to_owned() } else { text }
        };
        let (letter, at) = match self.revoked {
            Some(revocation) => ("R", format!("{},{}", time(revocation.at), revocation.reason.words())),
            None => ("V", String::new()),
        };
        let (end, serial) = (time(self.not_after), self.serial.to_uppercase());
        format!("{letter}\t{end}\t{at}\t{serial}\tunknown\t/CN={}\n", self.name)
    }
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// 1.
    pub schema_version: u32,
    /// Organization of all subjects.
    pub organization: String,
    /// Where CRLs are published, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_url: Option<String>,
    /// Where an OCSP responder answers, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp_url: Option<String>,
    /// Which issuing CA signs, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub issuing: u32,
    /// Issuing CAs whose key may be in other hands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuing_stolen: Vec<StolenIssuing>,
    /// Number of the last CRL.
    pub crl_number: u64,
    /// The latest time at which anything was done here, seconds since 1970: a clock behind it is wrong.
    pub latest: u64,
    /// Everything issued, oldest first.
    pub entries: Vec<Entry>,
    /// Certificates of OpenSSH, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<SshEntry>,
    /// Fingerprints of bare keys of OpenSSH that are revoked, `SHA256:…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys_revoked: Vec<String>,
}
