//! What a certificate is for, and therefore what is in it.

use serde::{Deserialize, Serialize};
use x509_cert::spki::ObjectIdentifier;

/// id-kp-serverAuth (RFC 5280, 4.2.1.12).
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// id-kp-clientAuth.
const CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
/// id-kp-ipsecIKE (RFC 4945, 5.1.3.12).
const IKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17");
/// id-kp-OCSPSigning (RFC 6960, 4.2.2.2).
const RESPONDER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A device's local identity (LDevID): a client, and an end of a tunnel; no server, so that a stolen
    /// device cannot stand for one.
    Device,
    /// A device's identity from its factory (IDevID): no expiry, any use.
    Idevid,
    /// A server.
    Server,
    /// The plant's end of a tunnel: OpenVPN server or IKE.
    Peer,
    /// A person.
    Operator,
    /// Answers for the authority whether a certificate was revoked (RFC 6960).
    Ocsp,
    /// An OPC UA application, which is client and server (OPC 10000-6, 6.2.2); needs a `uri:` name.
    Opcua,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Idevid => "idevid",
            Self::Server => "server",
            Self::Peer => "peer",
            Self::Operator => "operator",
            Self::Ocsp => "ocsp",
            Self::Opcua => "opcua",
        }
    }

    /// Days of validity when none are asked for; an IDevID has no expiry (IEEE 802.1AR, 8.7).
    #[must_use]
    pub fn days(self) -> u32 {
        match self {
            Self::Operator => 365,
            // Nobody can revoke it.
            Self::Ocsp => 90,
            _ => 730,
        }
    }

    /// The extended key usages; none for an IDevID, whose uses its maker does not know.
    pub(crate) fn usages(self) -> &'static [ObjectIdentifier] {
        match self {
            Self::Device => &[CLIENT, IKE],
            Self::Idevid => &[],
            Self::Server => &[SERVER],
            Self::Peer => &[SERVER, IKE],
            Self::Operator => &[CLIENT],
            Self::Ocsp => &[RESPONDER],
            Self::Opcua => &[SERVER, CLIENT],
        }
    }

    /// Whether somebody looks for it by a name, so that it must have one.
    pub(crate) fn needs_host_name(self) -> bool {
        matches!(self, Self::Device | Self::Server | Self::Peer)
    }
}
