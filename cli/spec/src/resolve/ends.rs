//! Tunnels as templates see them, from the device's end and from the peer's.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::surface::single;
use crate::plan::{NetworkFacts, TunnelFacts};

/// Every tunnel of a kind, as `tunnel` for a file, unit or check that is made for each.
pub fn items(network: &NetworkFacts, kind: &str) -> Vec<Value> {
    network
        .tunnels
        .iter()
        .filter(|(_, tunnel)| tunnel.kind == kind)
        .map(|(name, tunnel)| item(name, tunnel, network))
        .collect()
}

/// One tunnel with what its templates compute from it, and the conduits that pass it.
pub fn item(name: &str, tunnel: &TunnelFacts, network: &NetworkFacts) -> Value {
    let inner_own = tunnel.inner_address.as_deref().and_then(|text| text.split('/').next());
    let conduits: Vec<Value> = network
        .flows
        .iter()
        .filter(|flow| flow.tunnel.as_deref() == Some(name))
        .map(|flow| {
            json!({"name": flow.name, "direction": flow.direction, "transport": flow.transport, "port": flow.port,
                "v4": flow.peers_v4, "v6": flow.peers_v6, "rate": flow.rate, "connections": flow.connections})
        })
        .collect();
    let v6 = |address: &str| address.contains(':');
    let inner = inner_own.unwrap_or(&tunnel.local_address);
    json!({
        "name": name,
        "kind": tunnel.kind,
        "zone": tunnel.zone,
        "reason": tunnel.reason,
        "family": if v6(&tunnel.peer_address) { "ip6" } else { "ip" },
        "inner_family": if v6(inner) { "ip6" } else { "ip" },
        "interface": tunnel.interface,
        "device": tunnel.device,
        "reqid": tunnel.reqid,
        "local_address": tunnel.local_address,
        "local_network": single(&tunnel.local_address),
        "local_name": tunnel.local_name,
        "in_tpm": tunnel.in_tpm,
        "ml_kem": tunnel.ml_kem,
        "tls_groups": tunnel.tls_groups,
        "peer_address": tunnel.peer_address,
        "peer_network": single(&tunnel.peer_address),
        "peer_name": tunnel.peer_name,
        "peer_key": tunnel.peer_key,
        "endpoint": endpoint(tunnel),
        "behind": behind(tunnel),
        "ports": tunnel.ports,
        "port": tunnel.ports.first(),
        "inner_v4": !v6(inner),
        "inner_own": inner,
        "inner_network": single(inner),
        "inner_address": tunnel.inner_address,
        "inner_peer": tunnel.inner_peer,
        "inner_length": tunnel.inner_address.as_deref().and_then(|text| text.split('/').nth(1)).and_then(|l| l.parse::<u8>().ok()),
        "routes": routes(tunnel),
        "networks_v4": tunnel.networks_v4,
        "networks_v6": tunnel.networks_v6,
        "proposals": tunnel.proposals,
        "esp_proposals": tunnel.esp_proposals,
        "conduits": conduits,
    })
}

/// The peer's outer address and port as wg(8) writes them.
fn endpoint(tunnel: &TunnelFacts) -> Option<String> {
    let (address, port) = (&tunnel.peer_address, tunnel.ports.first()?);
    Some(if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
}

/// Networks behind the peer that need a route: the peer itself is on the tunnel's own link.
fn behind(tunnel: &TunnelFacts) -> Vec<&String> {
    let own = tunnel.inner_peer.as_deref().map(single);
    tunnel
        .networks_v4
        .iter()
        .chain(&tunnel.networks_v6)
        .filter(|network| own.as_ref() != Some(network))
        .collect()
}

/// IPv4 networks behind the peer as openvpn(8) writes routes; the peer itself needs none.
fn routes(tunnel: &TunnelFacts) -> Vec<Value> {
    let own = tunnel.inner_peer.as_deref().map(single);
    tunnel
        .networks_v4
        .iter()
        .filter(|network| own.as_deref() != Some(network.as_str()))
        .filter_map(|network| {
            let (address, length) = network.split_once('/')?;
            Some(json!({"network": address, "mask": mask(length.parse().ok()?)}))
        })
        .collect()
}

fn mask(length: u32) -> String {
    let bits = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::from(bits)).to_string()
}
