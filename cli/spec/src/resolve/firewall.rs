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
                // What the device remembers of each sender: both bounded, whatever senders are made up.
                "senders_v4": senders(&flow.peers_v4, 32),
                "senders_v6": senders(&flow.peers_v6, 128),
                // One sender alone has the conduit's.
                "one_v4": is_one(&flow.peers_v4, 32),
                "one_v6": is_one(&flow.peers_v6, 128),
                "forgotten": forgotten(&flow.rate),
                "reqid": tunnel.and_then(|tunnel| tunnel.reqid),
            })
        })
        .collect();
    json!({"dispatch": dispatch, "groups": groups, "chains": chains})
}

/// Senders that a conduit keeps apart, at most.
const MOST_SENDERS: u64 = 16_384;
/// Room for those whose time is over and that the kernel has not taken away yet.
const SPARE_SENDERS: u64 = 64;

/// How many senders the networks have.
fn count(peers: &[String], bits: u32) -> u64 {
    let size = |peer: &String| {
        let length = peer.rsplit_once('/').and_then(|(_, length)| length.parse().ok()).unwrap_or(bits);
        1_u64.checked_shl(bits.saturating_sub(length)).unwrap_or(u64::MAX)
    };
    peers.iter().map(size).fold(0, u64::saturating_add)
}

fn is_one(peers: &[String], bits: u32) -> bool {
    count(peers, bits) == 1
}

/// Places for the senders of networks, up to a bound; 0 where there are not several.
fn senders(peers: &[String], bits: u32) -> u64 {
    match count(peers, bits) {
        0 | 1 => 0,
        several => several.saturating_add(SPARE_SENDERS).min(MOST_SENDERS),
    }
}

/// After how long without a new connection a sender is forgotten: when its rate would let a whole burst pass again (nft(8),
/// `limit`: five packets), as for one that was never seen.
fn forgotten(rate: &str) -> &'static str {
    match rate.rsplit_once('/').map_or("", |(_, unit)| unit) {
        "hour" => "6h",
        "day" => "6d",
        "week" => "42d",
        _ => "10m",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_as_many_as_their_networks_have_up_to_a_bound() {
        let of =
            |peers: &[&str], bits| senders(&peers.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), bits);
        assert_eq!(of(&[], 32), 0);
        // One has no need of a place.
        assert_eq!(
            (of(&["192.0.2.1"], 32), of(&["192.0.2.1/32"], 32), of(&["2001:db8::1/128"], 128)),
            (0, 0, 0)
        );
        assert_eq!(of(&["192.0.2.1", "192.0.2.2"], 32), 2 + 64);
        assert_eq!(of(&["198.51.100.0/28", "192.0.2.1/32"], 32), 16 + 1 + 64);
        for (peer, bits) in [("10.0.0.0/8", 32), ("0.0.0.0/0", 32), ("2001:db8::/64", 128), ("::/0", 128)] {
            assert_eq!(of(&[peer], bits), MOST_SENDERS, "{peer}");
        }
    }

    #[test]
    fn a_sender_is_forgotten_when_its_burst_would_be_whole_again() {
        for (rate, after) in [("6/minute", "10m"), ("10/second", "10m"), ("1/hour", "6h"), ("2/day", "6d")] {
            assert_eq!(forgotten(rate), after, "{rate}");
        }
    }
}
