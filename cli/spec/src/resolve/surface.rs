//! The attackable surface: everything of the device that answers somebody.
//!
//! Derived from the same facts that the firewall's template sees; it asks for nothing of its own.

use std::net::IpAddr;

use crate::plan::{InterfaceFacts, NetworkFacts, Surface};
use crate::types::{InterfaceAddress, Prefix, Scalar};

/// Neighbour solicitation (RFC 4861, 4.3), as many as the firewall takes. Advertisements are taken, and
/// not answered.
const NEIGHBOUR: (u16, &str) = (135, "50/second");
/// Echo request of ICMP (RFC 792) and of ICMPv6 (RFC 4443), as many as the firewall takes.
const ECHO: ([(&str, u16); 2], &str) = ([("icmp", 8), ("icmpv6", 128)], "5/second");
/// New exchanges of keys that a tunnel's end takes.
pub const HANDSHAKES: &str = "10/second";
/// Ethertype of ARP (IANA, IEEE 802 numbers).
const ARP: u16 = 0x0806;

/// The list, sorted. `ping` is whether the firewall lets echo requests in.
pub fn of(network: &NetworkFacts, ping: bool) -> Vec<Surface> {
    let mut surface = Vec::new();
    for (name, facts) in &network.interfaces {
        link(name, facts, ping, &mut surface);
    }
    for flow in network.flows.iter().filter(|flow| flow.direction == "in") {
        let tunnel = flow.tunnel.as_ref().and_then(|name| network.tunnels.get(name));
        for interface in &flow.interfaces {
            let of_interface = || network.interfaces.get(interface).map(own).unwrap_or_default();
            let addresses = match tunnel {
                Some(tunnel) => inside(tunnel.inner_address.as_deref(), &tunnel.local_address),
                None => of_interface(),
            };
            for address in addresses {
                let peers = if address.is_ipv4() { &flow.peers_v4 } else { &flow.peers_v6 };
                if peers.is_empty() {
                    continue;
                }
                surface.push(Surface {
                    interface: interface.clone(),
                    zone: flow.zone.clone(),
                    address: Some(address.to_string()),
                    transport: flow.transport.clone(),
                    port: Some(flow.port),
                    peers: peers.clone(),
                    tunnel: flow.tunnel.clone(),
                    limit: Some(flow.rate.clone()),
                    connections: Some(flow.connections),
                    conduit: Some(flow.name.clone()),
                    protocol: flow.protocol.clone(),
                    ..Surface::default()
                });
            }
        }
    }
    ends_of_tunnels(network, &mut surface);
    for frames in network.frames.iter().filter(|frames| frames.direction != "out") {
        for interface in &frames.interfaces {
            surface.push(Surface {
                interface: interface.clone(),
                zone: frames.zone.clone(),
                transport: "ethernet".to_owned(),
                number: u16::from_str_radix(frames.ethertype.trim_start_matches("0x"), 16).ok(),
                limit: Some(frames.rate.clone()),
                conduit: Some(frames.name.clone()),
                protocol: Some(frames.protocol.clone()),
                ..Surface::default()
            });
        }
    }
    surface.sort();
    surface
}

/// What every link needs to work at all.
fn link(name: &str, facts: &InterfaceFacts, ping: bool, surface: &mut Vec<Surface>) {
    let base = || Surface { interface: name.to_owned(), zone: facts.zone.clone(), ..Surface::default() };
    let addresses = own(facts);
    if addresses.iter().any(IpAddr::is_ipv4) {
        surface.push(Surface { transport: "ethernet".to_owned(), number: Some(ARP), ..base() });
    }
    let icmp = |address: IpAddr, transport: &str, number: u16, limit: &str| Surface {
        address: Some(address.to_string()),
        transport: transport.to_owned(),
        number: Some(number),
        limit: Some(limit.to_owned()),
        ..base()
    };
    for address in addresses {
        if address.is_ipv6() {
            surface.push(icmp(address, "icmpv6", NEIGHBOUR.0, NEIGHBOUR.1));
        }
        let (transport, number) = ECHO.0[usize::from(address.is_ipv6())];
        if ping {
            surface.push(icmp(address, transport, number, ECHO.1));
        }
    }
}

/// The outer ends of tunnels; OpenVPN's is a client, which answers nobody.
fn ends_of_tunnels(network: &NetworkFacts, surface: &mut Vec<Surface>) {
    for (name, tunnel) in network.tunnels.iter().filter(|(_, tunnel)| tunnel.kind == "strongswan") {
        let end = |transport: &str, port: Option<u16>| Surface {
            interface: tunnel.interface.clone(),
            zone: tunnel.zone.clone(),
            address: Some(tunnel.local_address.clone()),
            transport: transport.to_owned(),
            port,
            peers: vec![single(&tunnel.peer_address)],
            limit: port.map(|_| HANDSHAKES.to_owned()),
            conduit: Some(name.clone()),
            ..Surface::default()
        };
        surface.extend(tunnel.ports.iter().map(|port| end("udp", Some(*port))));
        surface.push(end("esp", None));
    }
}

fn own(facts: &InterfaceFacts) -> Vec<IpAddr> {
    let read = |text: &String| InterfaceAddress::parse(text, true).ok().map(|a| a.address);
    facts.addresses.iter().filter_map(read).collect()
}

/// The device's address for what comes through a tunnel.
fn inside(inner: Option<&str>, outer: &str) -> Vec<IpAddr> {
    let address = inner.and_then(|text| text.split('/').next()).unwrap_or(outer);
    address.parse().into_iter().collect()
}

/// An address as a network of one.
pub fn single(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |address| Prefix::of(address).to_string())
}
