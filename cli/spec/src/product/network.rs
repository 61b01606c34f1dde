//! The network part of a product: zones, interfaces, services, tunnels and conduits.

use crate::decode::{Spanned, choice, model};
use crate::types::{
    Address, Cipher, Flag, HostName, Integer, InterfaceAddress, InterfaceName, Name, Port, Prefix, Proposal,
    Rate, Reason, Text, WireguardKey,
};

choice! {
    /// Transports of a service.
    pub enum Transport {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

model! {
    /// A zone: assets with common security needs.
    pub struct Zone {
        /// One line for people.
        description: Text,
        /// Interfaces of the device that lead into it.
        interfaces: Vec<Spanned<InterfaceName>>,
    }
}

model! {
    /// A network interface with static addresses.
    pub struct Interface {
        /// Addresses with prefix length.
        addresses: Vec<Spanned<InterfaceAddress>>,
        /// Default gateway.
        gateway: Option<Spanned<Address>> = None,
    }
}

model! {
    /// A service: what is spoken, and where. A protocol that is named says transport and port itself.
    pub struct Service {
        /// The protocol, a file of `standards/protocols`.
        protocol: Option<Spanned<Name>> = None,
        /// Transport; with a protocol: only this one of its.
        transport: Option<Transport> = None,
        /// Port; with a protocol: in place of its own.
        port: Option<Spanned<Port>> = None,
    }
}

choice! {
    /// What makes a tunnel.
    pub enum TunnelKind {
        /// IPsec with IKEv2.
        Strongswan = "strongswan",
        /// TLS over UDP.
        Openvpn = "openvpn",
        /// WireGuard: no certificates, no revocation, nothing to negotiate.
        Wireguard = "wireguard",
    }
}

model! {
    /// A tunnel between the device and one peer. Its private keys are on the data partition, never in the image.
    pub struct Tunnel {
        /// What makes it.
        kind: Spanned<TunnelKind>,
        /// Zone that its outer packets pass.
        zone: Spanned<Name>,
        /// The other end.
        peer: TunnelPeer,
        /// The device's end.
        local: Option<TunnelLocal> = None,
        /// UDP port of the peer: OpenVPN (default 1194) and WireGuard (51820).
        port: Option<Spanned<Port>> = None,
        /// IKE proposals of strongSwan in place of the default.
        proposals: Vec<Spanned<Proposal>> = Vec::new(),
        /// ESP proposals of strongSwan in place of the default.
        esp_proposals: Vec<Spanned<Proposal>> = Vec::new(),
        /// Data ciphers of OpenVPN in place of the default.
        ciphers: Vec<Spanned<Cipher>> = Vec::new(),
        /// What it is for.
        reason: Spanned<Reason>,
    }
}

model! {
    /// The other end of a tunnel.
    pub struct TunnelPeer {
        /// Its name, as its certificate must say it (subjectAltName).
        name: Spanned<HostName>,
        /// Its outer address.
        address: Spanned<Address>,
        /// Networks behind it; default: only itself.
        networks: Option<Spanned<Vec<Spanned<Prefix>>>> = None,
        /// Its address in the tunnel: OpenVPN and WireGuard.
        inner: Option<Spanned<Address>> = None,
        /// Its public key, by which alone it is known: WireGuard only.
        public_key: Option<Spanned<WireguardKey>> = None,
        /// Whether it exchanges keys with ML-KEM, too: strongSwan 6.0.2 or later (RFC 9370), or OpenVPN 2.6.14 or later, with OpenSSL 3.5 or later.
        ml_kem: Option<Spanned<Flag>> = None,
    }
}

choice! {
    /// Where the private key of an identity is.
    pub enum KeyPlace {
        /// In a file of the data partition that only root reads.
        File = "file",
        /// Made in the device's TPM, which never gives it out.
        Tpm = "tpm",
    }
}

model! {
    /// The device's end of a tunnel.
    pub struct TunnelLocal {
        /// The device's name, as its certificate says it; default: its host name.
        name: Option<Spanned<HostName>> = None,
        /// Its outer address; default: the first of the zone's interface that reaches the peer.
        address: Option<Spanned<Address>> = None,
        /// Its address in the tunnel with the prefix length: OpenVPN and WireGuard.
        inner: Option<Spanned<InterfaceAddress>> = None,
        /// Where its private key is; default `file`. A device has one key in its TPM, for all its tunnels: strongSwan and OpenVPN.
        key: Option<Spanned<KeyPlace>> = None,
    }
}

model! {
    /// Who is asked whether a peer's certificate was revoked (OCSP, RFC 6960): tunnels of strongSwan.
    pub struct Ocsp {
        /// The responder's address: the device looks up no names.
        address: Spanned<Address>,
        /// The service whose conduit leads to it, on TCP.
        service: Spanned<Name>,
    }
}

model! {
    /// An allowed flow between the device and a zone.
    pub struct Conduit {
        /// Its name, unique.
        name: Spanned<Name>,
        /// Who opens the connection: a zone, or `device`.
        from: Spanned<Name>,
        /// Who answers: a zone, or `device`.
        to: Spanned<Name>,
        /// The service.
        service: Spanned<Name>,
        /// The other side's networks; default: those behind the tunnel, or the whole networks of the zone's interfaces.
        peers: Option<Spanned<Vec<Spanned<Prefix>>>> = None,
        /// The tunnel that it passes.
        tunnel: Option<Spanned<Name>> = None,
        /// New connections allowed, into the device of each sender; default `60/minute`. Frames without IP: how many; default `10000/second`.
        rate: Option<Rate> = None,
        /// Connections that may be open at a time, into the device of each sender, 1 to 65535; default 64.
        connections: Option<Spanned<Integer>> = None,
        /// A protocol without security passes in clear because somebody takes the risk.
        accepted_risk: Option<Spanned<AcceptedRisk>> = None,
        /// Why it is allowed.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A risk taken in writing; the report shows it in red.
    pub struct AcceptedRisk {
        /// Why.
        reason: Spanned<Reason>,
        /// Who takes it: a name and a role.
        by: Spanned<Reason>,
    }
}
