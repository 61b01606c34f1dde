//! Tunnels of a product, checked and turned into facts.

use std::collections::HashMap;
use std::net::IpAddr;

use diag::Diagnostic;

use super::references::unknown_zone;
use crate::algorithms::Algorithms;
use crate::decode::{Map, Spanned};
use crate::plan::{NetworkFacts, TunnelFacts};
use crate::product::{Interface, Product, Tunnel, TunnelKind};
use crate::source::At;
use crate::types::{InterfaceName, Prefix};

/// Ports of IKE, and of IKE and ESP behind address translation (RFC 7296, 2.23).
const IKE_PORTS: [u16; 2] = [500, 4500];
/// OpenVPN's (IANA).
const OPENVPN_PORT: u16 = 1194;
/// CNSA's classical choice, and one for small processors.
const PROPOSALS: [&str; 2] = ["aes256gcm16-prfsha384-ecp384", "chacha20poly1305-prfsha256-curve25519"];
const ESP_PROPOSALS: [&str; 2] = ["aes256gcm16-ecp384", "chacha20poly1305-curve25519"];
const CIPHERS: [&str; 2] = ["AES-256-GCM", "CHACHA20-POLY1305"];

/// Networks behind each tunnel's peer.
pub type Behind<'p> = HashMap<&'p str, Vec<Prefix>>;

/// Fills in `network.tunnels`; gives the networks behind them.
pub fn resolve<'p>(
    product: &'p Product,
    algorithms: Option<&Algorithms>,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Behind<'p> {
    let mut behind = Behind::new();
    let mut taken: Vec<(Prefix, &str, &At)> = Vec::new();
    let mut names: Vec<_> = product.tunnels.iter().collect();
    // Numbers of interfaces and policies follow the names, so that the order in the file is of no weight.
    names.sort_by_key(|(name, _)| name.as_str());
    for (number, (name, tunnel)) in (1u32..).zip(names) {
        if let Some(algorithms) = algorithms {
            look_at_algorithms(tunnel, algorithms, trouble);
        }
        let networks = networks(tunnel);
        reject_shared(name, tunnel, &networks, &mut taken, trouble);
        behind.insert(name.as_str(), networks.clone());
        if tunnel.kind.value == TunnelKind::Wireguard {
            let message = format!(
                "expected a tunnel of `strongswan` or `openvpn`, found `{}` for `{}`: WireGuard is not built yet",
                tunnel.kind.as_str(),
                name.as_str()
            );
            let hint =
                "it has neither certificates nor revocation, so that a peer is shut out only by a new image";
            trouble.push(Diagnostic::error("tunnel-kind", message).at(tunnel.kind.at.location()).hint(hint));
            continue;
        }
        reject_foreign_settings(tunnel, trouble);
        let Some(facts) = facts(product, tunnel, number, &networks, network, trouble) else { continue };
        network.tunnels.insert(name.as_str().to_owned(), facts);
    }
    behind
}

fn networks(tunnel: &Tunnel) -> Vec<Prefix> {
    match &tunnel.peer.networks {
        Some(given) => given.iter().map(|network| network.value).collect(),
        None => match (&tunnel.peer.inner, tunnel.kind.value) {
            (Some(inner), TunnelKind::Openvpn) => vec![Prefix::of(inner.0)],
            _ => vec![Prefix::of(tunnel.peer.address.0)],
        },
    }
}

fn look_at_algorithms(tunnel: &Tunnel, algorithms: &Algorithms, trouble: &mut Vec<Diagnostic>) {
    for (proposals, esp) in [(&tunnel.proposals, false), (&tunnel.esp_proposals, true)] {
        for proposal in proposals {
            algorithms.proposal(proposal.as_str(), esp, &proposal.at, trouble);
        }
    }
    for cipher in &tunnel.ciphers {
        algorithms.cipher(cipher.as_str(), &cipher.at, trouble);
    }
}

/// One network behind two tunnels: where its packets belong could not be said.
fn reject_shared<'p>(
    name: &'p Spanned<crate::types::Name>,
    tunnel: &'p Tunnel,
    networks: &[Prefix],
    taken: &mut Vec<(Prefix, &'p str, &'p At)>,
    trouble: &mut Vec<Diagnostic>,
) {
    let places = tunnel.peer.networks.as_ref().map(|given| given.iter().map(|n| &n.at).collect::<Vec<_>>());
    for (index, network) in networks.iter().enumerate() {
        let at =
            places.as_ref().and_then(|places| places.get(index).copied()).unwrap_or(&tunnel.peer.address.at);
        if let Some((other, owner, first)) = taken.iter().find(|(other, ..)| other.overlaps(network)) {
            let message = format!(
                "the networks of the tunnels `{owner}` and `{}` overlap: `{other}` and `{network}`",
                name.as_str()
            );
            trouble.push(
                Diagnostic::error("overlapping-tunnels", message)
                    .at(at.location())
                    .note(format!("`{other}` is here"), Some(first.location()))
                    .hint("give each tunnel networks of its own"),
            );
        }
        taken.push((*network, name.as_str(), at));
    }
}

/// Settings of the other kind would be dropped in silence.
fn reject_foreign_settings(tunnel: &Tunnel, trouble: &mut Vec<Diagnostic>) {
    let openvpn = tunnel.kind.value == TunnelKind::Openvpn;
    let local = tunnel.local.as_ref();
    let of_ipsec = [
        ("proposals", tunnel.proposals.first().map(|p| &p.at)),
        ("esp_proposals", tunnel.esp_proposals.first().map(|p| &p.at)),
    ];
    let of_openvpn = [
        ("port", tunnel.port.as_ref().map(|p| &p.at)),
        ("ciphers", tunnel.ciphers.first().map(|c| &c.at)),
        ("peer.inner", tunnel.peer.inner.as_ref().map(|a| &a.at)),
        ("local.inner", local.and_then(|l| l.inner.as_ref()).map(|a| &a.at)),
    ];
    let (foreign, owner): (&[_], _) =
        if openvpn { (&of_ipsec, "strongswan") } else { (&of_openvpn, "openvpn") };
    for (key, at) in foreign {
        if let Some(at) = at {
            let message =
                format!("`{key}` is a setting of `{owner}`, and this tunnel is `{}`", tunnel.kind.as_str());
            trouble.push(Diagnostic::error("tunnel-setting", message).at(at.location()).hint("take it away"));
        }
    }
}

fn facts(
    product: &Product,
    tunnel: &Tunnel,
    number: u32,
    networks: &[Prefix],
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Option<TunnelFacts> {
    let (interface, local_address) = outer(product, tunnel, network, trouble)?;
    let openvpn = tunnel.kind.value == TunnelKind::Openvpn;
    let inner = if openvpn { Some(inner(tunnel, networks, trouble)?) } else { None };
    let v4 = inner.as_ref().map_or(local_address.is_ipv4(), |(own, _)| !own.contains(':'));
    if let Some(other) = networks.iter().find(|network| network.is_v4() != v4) {
        let message = format!("`{other}` is of another IP version than the device's address in the tunnel");
        let hint = "an end has one address in a tunnel: make a second tunnel for the other version";
        trouble.push(
            Diagnostic::error("tunnel-family", message).at(tunnel.peer.address.at.location()).hint(hint),
        );
        return None;
    }
    let of = |v4: bool| networks.iter().filter(|n| n.is_v4() == v4).map(Prefix::to_string).collect();
    let words = |given: Vec<&str>, default: &[&str]| -> Vec<String> {
        let all = if given.is_empty() { default.to_vec() } else { given };
        all.into_iter().map(str::to_owned).collect()
    };
    let proposals = if openvpn {
        words(tunnel.ciphers.iter().map(|c| c.as_str()).collect(), &CIPHERS)
    } else {
        words(tunnel.proposals.iter().map(|p| p.as_str()).collect(), &PROPOSALS)
    };
    let esp = words(tunnel.esp_proposals.iter().map(|p| p.as_str()).collect(), &ESP_PROPOSALS);
    let local_name = tunnel.local.as_ref().and_then(|local| local.name.as_ref());
    let hostname = product.hostname.as_ref().map_or(product.name.as_str(), |name| name.as_str());
    Some(TunnelFacts {
        kind: tunnel.kind.as_str().to_owned(),
        zone: tunnel.zone.as_str().to_owned(),
        interface,
        local_address: local_address.to_string(),
        local_name: local_name.map_or(hostname, |name| name.as_str()).to_owned(),
        peer_address: tunnel.peer.address.0.to_string(),
        peer_name: tunnel.peer.name.as_str().to_owned(),
        networks_v4: of(true),
        networks_v6: of(false),
        inner_address: inner.as_ref().map(|(own, _)| own.clone()),
        inner_peer: inner.map(|(_, peer)| peer),
        device: openvpn.then(|| format!("ovpn{number}")),
        reqid: (!openvpn).then_some(number),
        ports: if openvpn {
            vec![tunnel.port.as_ref().map_or(OPENVPN_PORT, |port| port.0)]
        } else {
            IKE_PORTS.to_vec()
        },
        proposals,
        esp_proposals: if openvpn { Vec::new() } else { esp },
        reason: tunnel.reason.0.clone(),
    })
}

/// Interface and own address that the outer packets take.
fn outer(
    product: &Product,
    tunnel: &Tunnel,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Option<(String, IpAddr)> {
    let Some(zone) = network.zones.get(tunnel.zone.as_str()) else {
        let known = network.zones.keys().map(String::as_str);
        trouble.push(unknown_zone(tunnel.zone.as_str(), &tunnel.zone.at, known));
        return None;
    };
    let peer = tunnel.peer.address.0;
    let found = reaching(&product.interfaces, &zone.interfaces, &Prefix::of(peer));
    let Some((name, interface)) = found else {
        let message =
            format!("no interface of the zone `{}` reaches the peer `{peer}`", tunnel.zone.as_str());
        let hint = "expected an address in one of its networks, or an interface with a gateway";
        trouble.push(
            Diagnostic::error("unreachable-peer", message).at(tunnel.peer.address.at.location()).hint(hint),
        );
        return None;
    };
    let own =
        || interface.addresses.iter().map(|own| own.address).filter(|own| own.is_ipv4() == peer.is_ipv4());
    if own().any(|own| own == peer) {
        let message = format!("the peer's address `{peer}` is the device's own");
        trouble.push(Diagnostic::error("unreachable-peer", message).at(tunnel.peer.address.at.location()));
        return None;
    }
    match tunnel.local.as_ref().and_then(|local| local.address.as_ref()) {
        Some(given) if own().any(|own| own == given.0) => Some((name.to_owned(), given.0)),
        Some(given) => {
            let list: Vec<String> = own().map(|own| own.to_string()).collect();
            let message = format!("`{}` is no address of `{name}`, which reaches the peer", given.0);
            let hint = format!("expected one of `{}`", list.join("`, `"));
            trouble.push(Diagnostic::error("wrong-address", message).at(given.at.location()).hint(hint));
            None
        }
        None => own().next().map(|own| (name.to_owned(), own)),
    }
}

/// The interface of a zone that a network is reached by: on the link, or through a gateway.
pub fn reaching<'p>(
    interfaces: &'p Map<InterfaceName, Interface>,
    of_zone: &[String],
    target: &Prefix,
) -> Option<(&'p str, &'p Interface)> {
    let own = || {
        interfaces
            .iter()
            .filter(|(name, _)| of_zone.iter().any(|of| of == name.as_str()))
            .map(|(name, i)| (name.as_str(), i))
    };
    let on_link = |i: &Interface| i.addresses.iter().any(|a| a.network().overlaps(target));
    let routed =
        |i: &Interface| i.gateway.as_ref().is_some_and(|gateway| gateway.0.is_ipv4() == target.is_v4());
    own().find(|(_, i)| on_link(i)).or_else(|| own().find(|(_, i)| routed(i)))
}

/// The two addresses inside OpenVPN.
fn inner(tunnel: &Tunnel, networks: &[Prefix], trouble: &mut Vec<Diagnostic>) -> Option<(String, String)> {
    let own = tunnel.local.as_ref().and_then(|local| local.inner.as_ref());
    let (Some(own), Some(peer)) = (own, tunnel.peer.inner.as_ref()) else {
        let message = "an OpenVPN tunnel needs the addresses inside of it, `local.inner` and `peer.inner`";
        let hint = "write `local: {inner: 10.8.0.2/30}` and `peer: {…, inner: 10.8.0.1}`";
        trouble.push(Diagnostic::error("missing-key", message).at(tunnel.kind.at.location()).hint(hint));
        return None;
    };
    if !own.network().contains(peer.0) || own.address == peer.0 {
        let message =
            format!("the peer's inner address `{}` is not another one of `{}`", peer.0, own.network());
        let problem = Diagnostic::error("wrong-address", message).at(peer.at.location());
        trouble.push(problem.hint("both ends of the tunnel are in one network"));
        return None;
    }
    // Its own outer packets would be routed into the tunnel.
    if networks.iter().any(|network| network.contains(tunnel.peer.address.0)) {
        let message = format!("the peer's own address `{}` is behind its tunnel", tunnel.peer.address.0);
        let hint = "leave it out of `peer.networks`";
        trouble.push(
            Diagnostic::error("wrong-address", message).at(tunnel.peer.address.at.location()).hint(hint),
        );
        return None;
    }
    Some((own.value.to_string(), peer.0.to_string()))
}
