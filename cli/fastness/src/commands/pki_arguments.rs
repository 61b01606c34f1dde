//! The arguments of `fastness pki`.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use diag::Outcome;
use pki::{AltName, Authority, Reason, Request, SshKind};

use super::pki_verify::{AcceptArguments, VerifyArguments};
use crate::places;
use crate::stages::{self, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness pki init --organization 'Plant 7' --domain plant7.example
  fastness pki issue gw-17.plant7.example --role device
  fastness pki issue scada --role peer --san dns:scada.plant7.example
  fastness pki request gw-18.plant7.example --role device --organization 'Plant 7'
  fastness pki accept gw-18.plant7.example answer.pem --root company-root.pem
  fastness pki revoke gw-17.plant7.example --reason key-compromise
  fastness pki crl
  fastness pki issuing
  fastness pki ssh eve eve.pub --kind user --principal maintenance
  fastness pki ssh-revoke eve
  fastness pki verify peer.pem --name dns:scada.plant7.example --purpose server";

/// Arguments of `pki`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Which authority.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Folder of the authority; otherwise `fastness/pki/PRODUCT` in the user's data folder
    #[arg(long, value_name = "DIR", global = true)]
    pki: Option<PathBuf>,
    /// Product file whose authority it is
    #[arg(long, value_name = "FILE", default_value = places::PRODUCT, global = true)]
    product: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a root and an issuing CA; their private keys are encrypted at rest
    #[command(after_help = EXAMPLE)]
    Init {
        /// Organization in all subjects
        #[arg(long, value_name = "NAME")]
        organization: String,
        /// Keys of both CAs
        #[arg(long, value_name = "KIND", default_value = "p384")]
        algorithm: Algorithm,
        /// Validity of the root in days; the issuing CA has half of it
        #[arg(long, value_name = "N", default_value_t = 7300)]
        days: u32,
        /// Address where the list of revoked certificates will be, `http://…`
        #[arg(long, value_name = "URL")]
        crl_url: Option<String>,
        /// Address where a responder will say whether a certificate was revoked (OCSP), `http://…`
        #[arg(long, value_name = "URL")]
        ocsp_url: Option<String>,
        /// Domain below which all host names must lie; may be repeated
        #[arg(long, value_name = "DOMAIN")]
        domain: Vec<String>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Issue a certificate, with a new key unless there is a request
    #[command(after_help = EXAMPLE)]
    Issue {
        #[command(flatten)]
        wanted: Wanted,
        /// Days of validity; otherwise 730, of an operator 365, of an IDevID no end
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Request (PKCS#10) in PEM of a holder that keeps its key
        #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
        csr: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Issue the next certificate of an identity, with the role and the names of its last one
    #[command(after_help = EXAMPLE)]
    Renew {
        /// Name of the identity
        name: String,
        /// Kind of the new key
        #[arg(long, value_name = "KIND", default_value = "p256")]
        algorithm: Algorithm,
        /// Days of validity
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Request (PKCS#10) in PEM of a holder that keeps its key
        #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
        csr: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Make a key and a request for a company's authority
    #[command(after_help = EXAMPLE)]
    Request {
        #[command(flatten)]
        wanted: Wanted,
        /// Organization in the subject
        #[arg(long, value_name = "NAME")]
        organization: String,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Check the answer of a company's authority, and take it
    #[command(after_help = EXAMPLE)]
    Accept(AcceptArguments),
    /// Revoke all certificates of an identity, or one by its serial number
    #[command(after_help = EXAMPLE)]
    Revoke {
        /// Name of the identity, or serial number in hexadecimal
        name: String,
        /// Why (RFC 5280, 5.3.1)
        #[arg(long, value_name = "REASON")]
        reason: Why,
    },
    /// Make the next issuing CA below the same root; the one before stays trusted until it ends, unless it was stolen
    #[command(after_help = EXAMPLE)]
    Issuing {
        /// Its key
        #[arg(long, value_name = "KIND", default_value = "p384")]
        algorithm: Algorithm,
        /// The key of the one before may be in other hands: revoke it, and all that it issued
        #[arg(long)]
        stolen: bool,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Sign the list of revoked certificates
    #[command(after_help = EXAMPLE)]
    Crl {
        /// Days for which it holds
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u32,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Certify a public key of OpenSSH, of a device or of a person
    #[command(after_help = EXAMPLE)]
    Ssh {
        /// Name of the identity: what sshd logs
        name: String,
        /// The public key, as `ssh-keygen` wrote it
        public_key: PathBuf,
        /// Whose key it is
        #[arg(long, value_name = "KIND")]
        kind: Kind,
        /// Host name or address of a host, account name of a user; may be repeated
        #[arg(long, value_name = "NAME", required = true)]
        principal: Vec<String>,
        /// Days of validity; otherwise 365 of a host, 30 of a user
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Revoke the certificates of OpenSSH of an identity, or a bare public key
    #[command(after_help = EXAMPLE)]
    SshRevoke {
        /// Name of the identity
        #[arg(required_unless_present = "key")]
        name: Option<String>,
        /// A public key, as `ssh-keygen` wrote it, instead
        #[arg(long, value_name = "FILE", conflicts_with = "name")]
        key: Option<PathBuf>,
    },
    /// Verify a certificate: chain, names, validity, usages, algorithms, revocation
    #[command(after_help = EXAMPLE)]
    Verify(VerifyArguments),
    /// List what was issued, requested and accepted
    #[command(after_help = EXAMPLE)]
    List,
    /// Show every certificate of an identity
    #[command(after_help = EXAMPLE)]
    Show {
        /// Name of the identity
        name: String,
    },
}

/// An identity that is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Name of the identity
    name: String,
    /// Common name, if it is another, such as the one name of all devices with one image
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// Name by which others look for it, `dns:…`, `ip:…`, `email:…` or `uri:…`; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    san: Vec<AltName>,
    /// Serial number of the device
    #[arg(long, value_name = "SERIAL")]
    device_serial: Option<String>,
    /// Kind of the new key
    #[arg(long, value_name = "KIND", default_value = "p256")]
    algorithm: Algorithm,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Algorithm {
    P256,
    P384,
    Rsa3072,
    Rsa4096,
}

impl From<Algorithm> for pki::Algorithm {
    fn from(kind: Algorithm) -> Self {
        match kind {
            Algorithm::P256 => Self::P256,
            Algorithm::P384 => Self::P384,
            Algorithm::Rsa3072 => Self::Rsa3072,
            Algorithm::Rsa4096 => Self::Rsa4096,
        }
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// A device's own end of its tunnels (LDevID of IEEE 802.1AR)
    Device,
    /// A device's identity from its factory (IDevID of IEEE 802.1AR)
    Idevid,
    /// A server
    Server,
    /// The plant's end of a tunnel
    Peer,
    /// A person
    Operator,
    /// What answers for the authority whether a certificate was revoked (OCSP)
    Ocsp,
    /// An OPC UA application
    Opcua,
}

impl From<Role> for pki::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Device => Self::Device,
            Role::Idevid => Self::Idevid,
            Role::Server => Self::Server,
            Role::Peer => Self::Peer,
            Role::Operator => Self::Operator,
            Role::Ocsp => Self::Ocsp,
            Role::Opcua => Self::Opcua,
        }
    }
}

/// Why a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Why {
    /// Its private key may be in other hands
    KeyCompromise,
    /// What it says of its holder is no longer right
    AffiliationChanged,
    /// There is a newer one
    Superseded,
    /// It is no longer used
    CessationOfOperation,
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::KeyCompromise => Self::KeyCompromise,
            Why::AffiliationChanged => Self::AffiliationChanged,
            Why::Superseded => Self::Superseded,
            Why::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// Whose key of OpenSSH it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A device's sshd
    Host,
    /// A person
    User,
}

impl From<Kind> for SshKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Host => Self::Host,
            Kind::User => Self::User,
        }
    }
}

fn parse_name(text: &str) -> Result<AltName, String> {
    text.parse()
}

/// By this name an agent is asked for the passphrase: `pki-` and the folder's name.
pub(super) fn key_name(folder: &Path) -> String {
    let name = folder.file_name().map(|name| format!("pki-{}", name.to_string_lossy())).unwrap_or_default();
    if secret::check_name(&name).is_ok() { name } else { "pki".to_owned() }
}

impl Wanted {
    pub(super) fn request(&self) -> Request {
        Request {
            name: self.name.clone(),
            common_name: self.common_name.clone(),
            role: self.role.into(),
            names: self.san.clone(),
            device_serial: self.device_serial.clone(),
            days: None,
            algorithm: self.algorithm.into(),
            csr: None,
        }
    }
}

impl Place {
    /// The authority's folder.
    pub fn folder(&self) -> Outcome<PathBuf> {
        match &self.pki {
            Some(folder) => Ok(folder.clone()),
            None => places::pki(&stages::product_name(&self.product)?),
        }
    }

    /// The product file.
    pub fn product(&self) -> &Path {
        &self.product
    }

    /// The name by which the passphrase is asked for.
    pub fn key(&self) -> Outcome<String> {
        Ok(key_name(&self.folder()?))
    }

    pub(super) fn open(&self) -> Outcome<Authority> {
        Authority::open(&self.folder()?, stages::now())
    }
}
