//! The plan's network: zones, interfaces, what may pass, tunnels, and what is left to attack.
//!
//! Plain data, as all of the plan. The firewall, the peer's side, the MUD file, the report's picture
//! and the traffic that is tried against a running device all read it from here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Zones, interfaces, flows and tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Zones by name.
    pub zones: BTreeMap<String, ZoneFacts>,
    /// Interfaces by name.
    pub interfaces: BTreeMap<String, InterfaceFacts>,
    /// Allowed flows, in the product's order; everything else is denied.
    pub flows: Vec<Flow>,
    /// Allowed exchanges of frames without IP (layer 2), in the product's order.
    #[serde(default)]
    pub frames: Vec<FrameFlow>,
    /// Tunnels by name.
    #[serde(default)]
    pub tunnels: BTreeMap<String, TunnelFacts>,
    /// OPC UA applications by name.
    #[serde(default)]
    pub opcua: BTreeMap<String, OpcuaFacts>,
    /// The collector of records.
    #[serde(default)]
    pub collector: Option<CollectorFacts>,
    /// Who is asked whether a peer was revoked.
    #[serde(default)]
    pub ocsp: Option<OcspFacts>,
    /// The private key in the device's TPM.
    #[serde(default)]
    pub tpm: Option<TpmKeyFacts>,
    /// Whether that is the key of strongSwan's tunnels.
    #[serde(default)]
    pub strongswan_in_tpm: bool,
    /// Everything of the device that answers somebody, sorted; all else is silent.
    #[serde(default)]
    pub surface: Vec<Surface>,
}

/// A zone (IEC 62443-3-2: a group of assets with common security needs).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneFacts {
    /// One line for people.
    pub description: String,
    /// Interfaces in it.
    pub interfaces: Vec<String>,
}

/// A network interface with static addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceFacts {
    /// Zone it belongs to.
    pub zone: String,
    /// Addresses with prefix length.
    pub addresses: Vec<String>,
    /// Default gateway, if it has one.
    pub gateway: Option<String>,
}

/// One allowed flow of a conduit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Name, unique: the conduit's (`ssh-from-service`), with transport and port behind it where the
    /// conduit's protocol has several (`cell-profinet-udp-34964`).
    pub name: String,
    /// Direction seen from the device: `in` or `out`.
    pub direction: String,
    /// The zone on the other side.
    pub zone: String,
    /// Interfaces that its packets pass: those of that zone, or the tunnel's own.
    pub interfaces: Vec<String>,
    /// Service name.
    pub service: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Destination port.
    pub port: u16,
    /// The other side's IPv4 prefixes (sources of `in`, destinations of `out`); empty: no IPv4.
    pub peers_v4: Vec<String>,
    /// The other side's IPv6 prefixes.
    pub peers_v6: Vec<String>,
    /// New connections allowed, as nftables writes a rate (`6/minute`).
    pub rate: String,
    /// Connections that may be open at a time.
    #[serde(default)]
    pub connections: u32,
    /// Name of the protocol, a file of `standards/protocols`; none: the product names only the port.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Security of the protocol itself: `none`, `optional`, `always`, or `unknown` without a protocol.
    #[serde(default)]
    pub security: String,
    /// The tunnel that it passes; in clear it is dropped.
    #[serde(default)]
    pub tunnel: Option<String>,
    /// Who accepted, and why, that it passes in clear.
    #[serde(default)]
    pub accepted_risk: Option<AcceptedRisk>,
    /// Why it is allowed, from the product.
    pub reason: String,
}

/// A risk that the product's owner took in writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedRisk {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// Frames of a protocol without IP that an interface lets pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameFlow {
    /// The conduit's name.
    pub name: String,
    /// `in`, `out`, or `both`: layer 2 has no connections, so that answers need their own leave.
    pub direction: String,
    /// The zone on the other side.
    pub zone: String,
    /// Interfaces of that zone.
    pub interfaces: Vec<String>,
    /// Service name.
    pub service: String,
    /// Name of the protocol.
    pub protocol: String,
    /// Ethertype, as `0x8892`.
    pub ethertype: String,
    /// Multicast destinations besides the device's own address, each an address or a range `A-B`.
    pub multicast: Vec<String>,
    /// Frames let in, as nftables writes a rate.
    pub rate: String,
    /// Who accepted, and why, that it passes in clear.
    pub accepted_risk: Option<AcceptedRisk>,
    /// Why it is allowed, from the product.
    pub reason: String,
}

/// A tunnel between the device and one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelFacts {
    /// `strongswan` (IPsec with IKEv2), `openvpn` or `wireguard`.
    pub kind: String,
    /// Zone that its outer packets pass.
    pub zone: String,
    /// Interface that its outer packets pass.
    pub interface: String,
    /// The device's own outer address.
    pub local_address: String,
    /// The device's name, as its certificate says it.
    pub local_name: String,
    /// Whether the device's private key is in its TPM: `strongswan` and `openvpn`.
    #[serde(default)]
    pub in_tpm: bool,
    /// The peer's outer address.
    pub peer_address: String,
    /// The peer's name, as its certificate must say it; for people only with `wireguard`.
    pub peer_name: String,
    /// The peer's public key: `wireguard` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_key: Option<String>,
    /// IPv4 networks behind the peer: from and to them, nothing passes but through the tunnel.
    pub networks_v4: Vec<String>,
    /// IPv6 networks behind the peer.
    pub networks_v6: Vec<String>,
    /// The device's address in the tunnel with its prefix length: `openvpn` and `wireguard`.
    pub inner_address: Option<String>,
    /// The peer's address in the tunnel: `openvpn` and `wireguard`.
    pub inner_peer: Option<String>,
    /// The tunnel's own interface: `openvpn` and `wireguard`.
    pub device: Option<String>,
    /// `reqid` of the kernel's IPsec policies (RFC 4301's SPD entries), fixed: `strongswan` only.
    pub reqid: Option<u32>,
    /// UDP ports of the outer packets: 500 and 4500 (RFC 7296), or the peer's.
    pub ports: Vec<u16>,
    /// Proposals for the IKE SA, or the data ciphers of OpenVPN, the preferred one first; WireGuard's only construction.
    pub proposals: Vec<String>,
    /// Whether every exchange of keys has ML-KEM besides (FIPS 203): `strongswan` and `openvpn`.
    #[serde(default)]
    pub ml_kem: bool,
    /// Groups of TLS, the preferred one first: `openvpn` only.
    #[serde(default)]
    pub tls_groups: Vec<String>,
    /// Proposals for the ESP SAs: `strongswan` only.
    pub esp_proposals: Vec<String>,
    /// What it is for, from the product.
    pub reason: String,
}

/// The private key of the tunnels, which was made in the device's TPM and never leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmKeyFacts {
    /// Its persistent handle, eight hexadecimal digits.
    pub handle: String,
    /// The index of the TPM's memory with what OpenVPN reads of it, eight hexadecimal digits.
    #[serde(default)]
    pub index: String,
    /// The tunnels of OpenVPN whose key it is.
    #[serde(default)]
    pub openvpn: Vec<String>,
    /// The device's names in these tunnels: what its certificate has to say. The first is its common name, which alone OpenVPN
    /// compares before 2.7.
    pub names: Vec<String>,
    /// What it does not protect against.
    pub limits: String,
}

/// The OCSP responder that strongSwan asks for its peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OcspFacts {
    /// Where it answers, `http://ADDRESS:PORT/`.
    pub url: String,
    /// The flow that leads to it.
    pub flow: String,
}

/// The collector that gets the records of security events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorFacts {
    /// Its name, as its certificate says it.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
    /// The device's name, as its certificate says it.
    pub local_name: String,
    /// The flow that leads to it.
    pub flow: String,
}

/// An OPC UA application on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpcuaFacts {
    /// `server` or `client`.
    pub role: String,
    /// `open62541`, `dotnet-standard` or `generic`.
    pub stack: String,
    /// Its URI; a device's certificate says this one, or one that goes on with `:…`.
    pub application_uri: String,
    /// The service that it serves, or uses.
    pub service: String,
    /// TCP port of that service.
    pub port: u16,
    /// Message security modes: `SignAndEncrypt`.
    pub modes: Vec<String>,
    /// Security policies, the preferred one first.
    pub policies: Vec<OpcuaPolicy>,
    /// How users prove who they are: `Certificate`.
    pub user_tokens: Vec<String>,
    /// Kind of the application's key: `rsa`, `p256` or `p384`.
    pub key: String,
    /// Shortest key of the application and of its peers that is taken, in bits.
    pub key_bits: u32,
    /// Longest key in bits.
    pub key_bits_max: u32,
    /// Whether endpoints are told without security.
    pub discovery: bool,
    /// What it is for, from the product.
    pub reason: String,
}

/// A security policy of OPC UA that may be negotiated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpcuaPolicy {
    /// Its name.
    pub name: String,
    /// Its URI (OPC 10000-7).
    pub uri: String,
    /// Signature and encryption by the application's key.
    pub asymmetric: String,
    /// Encryption and signature of messages.
    pub symmetric: String,
    /// Hash of certificates' signatures.
    pub certificate_hash: String,
}

/// One thing of the device that answers somebody: the attackable surface is the list of all of them.
///
/// What is sent to the device and matches none of them is dropped without an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Surface {
    /// Interface that the packet comes in by; a tunnel's own for what came through OpenVPN.
    pub interface: String,
    /// Zone of the sender.
    pub zone: String,
    /// The device's address that is asked; none for frames without IP and for ARP.
    pub address: Option<String>,
    /// `tcp`, `udp`, `esp`, `icmp`, `icmpv6` or `ethernet`.
    pub transport: String,
    /// Destination port of `tcp` and `udp`.
    pub port: Option<u16>,
    /// Type of `icmp` and `icmpv6`; ethertype of `ethernet`.
    pub number: Option<u16>,
    /// Networks whose packets are answered; empty: everybody on the link.
    pub peers: Vec<String>,
    /// Tunnel that the packet must have come through; none: it is answered in clear.
    pub tunnel: Option<String>,
    /// New connections (or packets, where there are none) that are answered, as nftables writes a rate.
    pub limit: Option<String>,
    /// Connections that may be open at a time.
    pub connections: Option<u32>,
    /// The conduit or tunnel that wants it; none: the link itself does (ARP, neighbour discovery, ping).
    pub conduit: Option<String>,
    /// Name of the protocol, where the product names one.
    pub protocol: Option<String>,
}

impl fmt::Display for Surface {
    /// One line: `eth0 192.0.2.10 tcp/22 from 192.0.2.64/28, 6/minute, 64 connections (plant-ssh)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interface)?;
        if let Some(address) = &self.address {
            write!(f, " {address}")?;
        }
        write!(f, " {}", self.what())?;
        match self.peers.as_slice() {
            [] => write!(f, " from everybody on the link")?,
            peers => write!(f, " from {}", peers.join(", "))?,
        }
        if let Some(tunnel) = &self.tunnel {
            write!(f, " through the tunnel `{tunnel}`")?;
        }
        if let Some(limit) = &self.limit {
            write!(f, ", {limit}")?;
        }
        if let Some(connections) = self.connections {
            write!(f, ", {connections} connections")?;
        }
        self.conduit.as_ref().map_or(Ok(()), |conduit| write!(f, " ({conduit})"))
    }
}

impl Surface {
    /// What is answered, in a word: `tcp/22`, `icmp type 8`, `ethertype 0x0806`.
    #[must_use]
    pub fn what(&self) -> String {
        match (self.transport.as_str(), self.port, self.number) {
            (transport, Some(port), _) => format!("{transport}/{port}"),
            ("ethernet", None, Some(number)) => format!("ethertype {number:#06x}"),
            (transport, None, Some(number)) => format!("{transport} type {number}"),
            (transport, None, None) => transport.to_owned(),
        }
    }
}
