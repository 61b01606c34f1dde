//! Tunnels of a product, checked and turned into facts.

use std::collections::HashMap;
use std::net::IpAddr;

use diag::Diagnostic;

use super::references::unknown_zone;
use super::tpm_keys;
use crate::algorithms::{Algorithms, Build};
use crate::decode::{Map, Spanned};
use crate::plan::{NetworkFacts, TunnelFacts};
use crate::product::{Interface, Product, Tunnel, TunnelKind};
use crate::source::At;
use crate::types::{InterfaceName, Prefix};

/// Ports of IKE, and of IKE and ESP behind address translation (RFC 7296, 2.23).
const IKE_PORTS: [u16; 2] = [500, 4500];
/// OpenVPN's (IANA).
const OPENVPN_PORT: u16 = 1194;
/// The one that WireGuard's own pages use; IANA has none.
const WIREGUARD_PORT: u16 = 51820;
/// CNSA's classical choice, and one for small processors.
const PROPOSALS: [&str; 2] = ["aes256gcm16-prfsha384-ecp384", "chacha20poly1305-prfsha256-curve25519"];
const ESP_PROPOSALS: [&str; 2] = ["aes256gcm16-ecp384", "chacha20poly1305-curve25519"];
/// The same with ML-KEM-768 besides (RFC 9370, FIPS 203): it breaks only if both exchanges break.
const HYBRID_PROPOSALS: [&str; 1] = ["aes256gcm16-prfsha384-ecp384-ke1_mlkem768"];
const HYBRID_ESP_PROPOSALS: [&str; 1] = ["aes256gcm16-ecp384-ke1_mlkem768"];
/// Groups of OpenVPN's TLS, the preferred one first.
const GROUPS: [&str; 3] = ["secp384r1", "X25519", "prime256v1"];
/// The same with ML-KEM besides (draft-ietf-tls-ecdhe-mlkem, FIPS 203), which only TLS 1.3 has.
const HYBRID_GROUPS: [&str; 2] = ["X25519MLKEM768", "SecP384r1MLKEM1024"];
const CIPHERS: [&str; 2] = ["AES-256-GCM", "CHACHA20-POLY1305"];
/// WireGuard's only construction (its white paper, 5.4): there is nothing to choose.
const NOISE: [&str; 1] = ["Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"];

/// Networks behind each tunnel's peer.
pub type Behind<'p> = HashMap<&'p str, Vec<Prefix>>;

/// Fills in `network.tunnels`; gives the networks behind them.
pub fn resolve<'p>(
    product: &'p Product,
    algorithms: Option<(&Algorithms, &Build)>,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Behind<'p> {
    let mut behind = Behind::new();
    let mut taken: Vec<(Prefix, &str, &At)> = Vec::new();
    let mut names: Vec<_> = product.tunnels.iter().collect();
    // Numbers of interfaces and policies follow the names, so that the order in the file is of no weight.
    names.sort_by_key(|(name, _)| name.as_str());
    for (number, (name, tunnel)) in (1u32..).zip(names) {
        if let Some((algorithms, build)) = algorithms {
            look_at_algorithms(tunnel, algorithms, build, trouble);
        }
        let networks = networks(tunnel);
        reject_shared(name, tunnel, &networks, &mut taken, trouble);
        behind.insert(name.as_str(), networks.clone());
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
            (Some(inner), kind) if has_interface(kind) => vec![Prefix::of(inner.0)],
            _ => vec![Prefix::of(tunnel.peer.address.0)],
        },
    }
}

/// Whether a tunnel has its own interface, and addresses inside of it.
fn has_interface(kind: TunnelKind) -> bool {
    kind != TunnelKind::Strongswan
}

fn look_at_algorithms(
    tunnel: &Tunnel,
    algorithms: &Algorithms,
    build: &Build,
    trouble: &mut Vec<Diagnostic>,
) {
    let peer = tunnel.peer.ml_kem.as_ref().filter(|given| given.0);
    let mut hybrid = false;
    for (proposals, esp) in [(&tunnel.proposals, false), (&tunnel.esp_proposals, true)] {
        for proposal in proposals {
            let before = trouble.len();
            let mixed = algorithms.proposal(proposal.as_str(), esp, build, &proposal.at, trouble);
            hybrid |= mixed && !esp;
            if mixed && peer.is_none() && trouble.len() == before {
                let message = format!(
                    "the proposal `{}` has ML-KEM, and nothing says that the peer has it",
                    proposal.as_str()
                );
                let hint = "write `peer: {ml_kem: true}` if it is strongSwan 6.0.2 or later with OpenSSL 3.5 or later, \
                            or leave ML-KEM out";
                trouble
                    .push(Diagnostic::error("absent-cipher", message).at(proposal.at.location()).hint(hint));
            }
        }
    }
    if let Some(given) = peer.filter(|_| tunnel.kind.value == TunnelKind::Strongswan) {
        if tunnel.proposals.is_empty() {
            algorithms.proposal(HYBRID_PROPOSALS[0], false, build, &given.at, trouble);
        } else if !hybrid {
            let message = "the peer has ML-KEM, and no proposal of the tunnel uses it";
            let hint = format!("leave `proposals` out, or write one such as `{}`", HYBRID_PROPOSALS[0]);
            trouble.push(Diagnostic::error("unused-cipher", message).at(given.at.location()).hint(hint));
        }
    }
    if let Some(given) = peer.filter(|_| tunnel.kind.value == TunnelKind::Openvpn) {
        algorithms.group(HYBRID_GROUPS[0], build, &given.at, trouble);
    }
    for cipher in &tunnel.ciphers {
        algorithms.cipher(cipher.as_str(), build, &cipher.at, trouble);
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

/// Settings of another kind would be dropped in silence.
fn reject_foreign_settings(tunnel: &Tunnel, trouble: &mut Vec<Diagnostic>) {
    let (peer, local) = (&tunnel.peer, tunnel.local.as_ref());
    let settings = [
        ("proposals", tunnel.proposals.first().map(|p| &p.at), "strongswan"),
        ("esp_proposals", tunnel.esp_proposals.first().map(|p| &p.at), "strongswan"),
        ("peer.ml_kem", peer.ml_kem.as_ref().map(|flag| &flag.at), "strongswan` and `openvpn"),
        ("ciphers", tunnel.ciphers.first().map(|c| &c.at), "openvpn"),
        ("port", tunnel.port.as_ref().map(|p| &p.at), "openvpn` and `wireguard"),
        ("peer.inner", peer.inner.as_ref().map(|a| &a.at), "openvpn` and `wireguard"),
        ("local.inner", local.and_then(|l| l.inner.as_ref()).map(|a| &a.at), "openvpn` and `wireguard"),
        ("local.key", local.and_then(|l| l.key.as_ref()).map(|key| &key.at), "strongswan` and `openvpn"),
        ("peer.public_key", peer.public_key.as_ref().map(|key| &key.at), "wireguard"),
    ];
    let kind = tunnel.kind.as_str();
    for (key, at, owner) in
        settings.iter().filter(|(.., owner)| !owner.split("` and `").any(|own| own == kind))
    {
        if let Some(at) = at {
            let message = format!("`{key}` is a setting of `{owner}`, and this tunnel is `{kind}`");
            trouble.push(Diagnostic::error("tunnel-setting", message).at(at.location()).hint("take it away"));
        }
    }
}

/// The peer's public key, by which alone WireGuard knows it.
fn peer_key(tunnel: &Tunnel, trouble: &mut Vec<Diagnostic>) -> Option<String> {
    let key = tunnel.peer.public_key.as_ref();
    if key.is_none() {
        let message = "a WireGuard tunnel needs the peer's public key, `peer.public_key`";
        let hint = "`wg genkey | tee scada.key | wg pubkey` makes a key and shows its public half: the first stays with the peer";
        trouble.push(Diagnostic::error("missing-key", message).at(tunnel.kind.at.location()).hint(hint));
    }
    key.map(|key| key.as_str().to_owned())
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
    let kind = tunnel.kind.value;
    let inner = if has_interface(kind) { Some(inner(tunnel, networks, trouble)?) } else { None };
    let peer_key = if kind == TunnelKind::Wireguard { Some(peer_key(tunnel, trouble)?) } else { None };
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
    let hybrid = tunnel.peer.ml_kem.as_ref().is_some_and(|given| given.0);
    let (ike, child): (&[&str], &[&str]) =
        if hybrid { (&HYBRID_PROPOSALS, &HYBRID_ESP_PROPOSALS) } else { (&PROPOSALS, &ESP_PROPOSALS) };
    let proposals = match kind {
        TunnelKind::Strongswan => words(tunnel.proposals.iter().map(|p| p.as_str()).collect(), ike),
        TunnelKind::Openvpn => words(tunnel.ciphers.iter().map(|c| c.as_str()).collect(), &CIPHERS),
        TunnelKind::Wireguard => words(Vec::new(), &NOISE),
    };
    let esp = words(tunnel.esp_proposals.iter().map(|p| p.as_str()).collect(), child);
    let groups: &[&str] = if hybrid { &HYBRID_GROUPS } else { &GROUPS };
    let port = |default| vec![tunnel.port.as_ref().map_or(default, |port| port.0)];
    let local_name = tunnel.local.as_ref().and_then(|local| local.name.as_ref());
    let hostname = product.hostname.as_ref().map_or(product.name.as_str(), |name| name.as_str());
    Some(TunnelFacts {
        kind: tunnel.kind.as_str().to_owned(),
        zone: tunnel.zone.as_str().to_owned(),
        interface,
        local_address: local_address.to_string(),
        local_name: local_name.map_or(hostname, |name| name.as_str()).to_owned(),
        in_tpm: tpm_keys::is_in_tpm(tunnel),
        peer_address: tunnel.peer.address.0.to_string(),
        peer_name: tunnel.peer.name.as_str().to_owned(),
        peer_key,
        networks_v4: of(true),
        networks_v6: of(false),
        inner_address: inner.as_ref().map(|(own, _)| own.clone()),
        inner_peer: inner.map(|(_, peer)| peer),
        device: match kind {
            TunnelKind::Strongswan => None,
            TunnelKind::Openvpn => Some(format!("ovpn{number}")),
            TunnelKind::Wireguard => Some(format!("wg{number}")),
        },
        reqid: (!has_interface(kind)).then_some(number),
        ports: match kind {
            TunnelKind::Strongswan => IKE_PORTS.to_vec(),
            TunnelKind::Openvpn => port(OPENVPN_PORT),
            TunnelKind::Wireguard => port(WIREGUARD_PORT),
        },
        proposals,
        ml_kem: hybrid,
        tls_groups: if kind == TunnelKind::Openvpn { words(Vec::new(), groups) } else { Vec::new() },
        esp_proposals: if has_interface(kind) { Vec::new() } else { esp },
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

/// The two addresses inside OpenVPN or WireGuard.
fn inner(tunnel: &Tunnel, networks: &[Prefix], trouble: &mut Vec<Diagnostic>) -> Option<(String, String)> {
    let own = tunnel.local.as_ref().and_then(|local| local.inner.as_ref());
    let (Some(own), Some(peer)) = (own, tunnel.peer.inner.as_ref()) else {
        let name = if tunnel.kind.value == TunnelKind::Openvpn { "an OpenVPN" } else { "a WireGuard" };
        let message =
            format!("{name} tunnel needs the addresses inside of it, `local.inner` and `peer.inner`");
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
