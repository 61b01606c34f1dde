//! The network as the firewall's templates see it: one dispatch, one chain a conduit.
//!
//! A packet that opens a connection finds its conduit by one look-up of interface, transport and
//! port, however many conduits there are; where several share these, by one more of the other side's
//! network. `resolve::conduits` has made sure that no packet belongs to two conduits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::surface::{HANDSHAKES, single};
use crate::plan::{Flow, NetworkFacts};
use crate::protocol::Protocols;

/// What `firewall` is to a template.
pub fn facts(network: &NetworkFacts, protocols: &Protocols) -> Value {
    json!({
        "in": direction(network, "in"),
        "out": direction(network, "out"),
        "tunnels": tunnels(network),
        "handshakes": HANDSHAKES,
        "in_clear": in_clear(protocols),
        "links": links(network),
    })
}

/// Interface, transport and port.
type Key<'a> = (&'a str, &'a str, u16);

fn direction(network: &NetworkFacts, direction: &str) -> Value {
    let flows: Vec<&Flow> = network.flows.iter().filter(|flow| flow.direction == direction).collect();
    let mut keys: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (index, flow) in flows.iter().enumerate() {
        for interface in &flow.interfaces {
            keys.entry((interface, &flow.transport, flow.port)).or_default().push(index);
        }
    }
    let mut shared = vec![false; flows.len()];
    let mut groups: BTreeMap<Vec<usize>, String> = BTreeMap::new();
    let mut dispatch = Vec::new();
    for ((interface, transport, port), members) in keys {
        let chain = match members.as_slice() {
            [one] => format!("{direction}-{}", flows[*one].name),
            several => {
                several.iter().for_each(|index| shared[*index] = true);
                let next = format!("{direction}.{}", groups.len() + 1);
                groups.entry(members).or_insert(next).clone()
            }
        };
        dispatch.push(json!({"interface": interface, "transport": transport, "port": port, "chain": chain}));
    }
    let groups: Vec<Value> = groups
        .iter()
        .map(|(members, name)| {
            let of = |peers: fn(&Flow) -> &Vec<String>| -> Vec<Value> {
                members
                    .iter()
                    .flat_map(|index| {
                        let flow = flows[*index];
                        peers(flow).iter().map(
                            move |peer| json!({"peer": peer, "chain": format!("{direction}-{}", flow.name)}),
                        )
                    })
                    .collect()
            };
            json!({"name": name, "v4": of(|flow| &flow.peers_v4), "v6": of(|flow| &flow.peers_v6)})
        })
        .collect();
    let chains: Vec<Value> = flows
        .iter()
        .zip(&shared)
        .map(|(flow, shared)| {
            let tunnel = flow.tunnel.as_ref().and_then(|name| network.tunnels.get(name));
            json!({
                "name": flow.name,
                // A conduit that is reached through a group alone was chosen by its peers already.
                "v4": if *shared { &[] } else { flow.peers_v4.as_slice() },
                "v6": if *shared { &[] } else { flow.peers_v6.as_slice() },
                "shared": shared,
                "rate": flow.rate,
                "connections": flow.connections,
                "reqid": tunnel.and_then(|tunnel| tunnel.reqid),
            })
        })
        .collect();
    json!({"dispatch": dispatch, "groups": groups, "chains": chains})
}

fn tunnels(network: &NetworkFacts) -> Value {
    network
        .tunnels
        .iter()
        .map(|(name, tunnel)| {
            json!({
                "name": name,
                "ipsec": tunnel.kind == "strongswan",
                "interface": tunnel.interface,
                "local": single(&tunnel.local_address),
                "peer": single(&tunnel.peer_address),
                "family": if tunnel.peer_address.contains(':') { "ip6" } else { "ip" },
                "ports": tunnel.ports,
                "device": tunnel.device,
                "reqid": tunnel.reqid,
                "v4": tunnel.networks_v4,
                "v6": tunnel.networks_v6,
            })
        })
        .collect()
}

/// Ports of protocols that may not leave the device in clear, for a log of their own.
fn in_clear(protocols: &Protocols) -> Value {
    let mut found: BTreeMap<&str, Vec<u16>> = BTreeMap::from([("tcp", vec![]), ("udp", vec![])]);
    for own in protocols.values().filter(|protocol| protocol.needs_tunnel()).flat_map(|p| &p.endpoints) {
        if let (Some(ports), Some(port)) = (found.get_mut(own.transport.as_str()), own.port) {
            ports.push(port.0);
        }
    }
    for ports in found.values_mut() {
        ports.sort_unstable();
        ports.dedup();
    }
    json!(found)
}

/// What an interface lets pass below IP.
fn links(network: &NetworkFacts) -> Value {
    network
        .interfaces
        .keys()
        .map(|name| {
            let of = |way: &str| -> Vec<Value> {
                network
                    .frames
                    .iter()
                    .filter(|f| f.interfaces.contains(name) && (f.direction == way || f.direction == "both"))
                    .map(|f| json!({"name": f.name, "ethertype": f.ethertype, "multicast": f.multicast, "rate": f.rate}))
                    .collect()
            };
            json!({"interface": name, "unit": device_unit(name), "in": of("in"), "out": of("out")})
        })
        .collect()
}

/// systemd's unit of a network device (systemd.device(5)), its name escaped (systemd-escape(1)).
fn device_unit(interface: &str) -> String {
    let escaped: String = interface
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') {
                c.to_string()
            } else {
                format!("\\x{:02x}", u32::from(c))
            }
        })
        .collect();
    format!("sys-subsystem-net-devices-{escaped}.device")
}
