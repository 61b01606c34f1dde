//! The Manufacturer Usage Description (RFC 8520): the device's conduits for the network's own filters.

use serde_json::{Value, json};

use crate::plan::{Flow, NetworkFacts, ProductFacts};
use crate::time::rfc3339;

/// Hours for which a network may keep the file (RFC 8520, 3.5: 1 to 168).
const VALIDITY: u64 = 48;

/// The file as JSON, the same for the same plan.
pub fn file(product: &ProductFacts, network: &NetworkFacts) -> String {
    let mut names = Vec::new();
    let mut lists = Vec::new();
    for (direction, word) in [("out", "fr"), ("in", "to")] {
        for v6 in [false, true] {
            let name = format!("mud-{}-{}{word}", product.name, if v6 { "v6" } else { "v4" });
            let entries = entries(network, direction, v6);
            if !entries.is_empty() {
                let kind = if v6 { "ipv6-acl-type" } else { "ipv4-acl-type" };
                let aces = object([("ace", Value::Array(entries))]);
                lists.push(object([("aces", aces), ("name", name.as_str().into()), ("type", kind.into())]));
                names.push((direction, name));
            }
        }
    }
    let of = |direction: &str| -> Value {
        let lists: Vec<Value> = names
            .iter()
            .filter(|(way, _)| *way == direction)
            .map(|(_, name)| json!({"name": name}))
            .collect();
        json!({"access-lists": {"access-list": lists}})
    };
    let mud = json!({
        "mud-version": 1,
        "mud-url": format!("https://{}.example/{}.json", product.name, product.version),
        "last-update": rfc3339(product.epoch),
        "cache-validity": VALIDITY,
        "is-supported": true,
        "systeminfo": product.description.chars().take(60).collect::<String>(),
        "from-device-policy": of("out"),
        "to-device-policy": of("in"),
    });
    let acls = object([("acl", Value::Array(lists))]);
    let mud = object([("ietf-access-control-list:acls", acls), ("ietf-mud:mud", mud)]);
    serde_json::to_string_pretty(&mud).unwrap_or_default() + "\n"
}

/// An object of values that are moved into it: `json!` copies what it is given, once for each level.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Conduits of both ways: who opens a connection stands in `direction-initiated` (RFC 8520, 8), and a
/// conduit inside a tunnel is its outer packets to the network.
fn entries(network: &NetworkFacts, direction: &str, v6: bool) -> Vec<Value> {
    let mut entries = Vec::new();
    for flow in network.flows.iter().filter(|flow| flow.tunnel.is_none()) {
        let peers = if v6 { &flow.peers_v6 } else { &flow.peers_v4 };
        for (number, peer) in (1..).zip(peers) {
            entries.push(entry(&format!("{}-{number}", flow.name), flow, peer, direction, v6));
        }
    }
    for (name, tunnel) in network.tunnels.iter().filter(|(_, t)| t.peer_address.contains(':') == v6) {
        let peer = super::surface::single(&tunnel.peer_address);
        for port in &tunnel.ports {
            let flow =
                Flow { direction: "out".into(), transport: "udp".into(), port: *port, ..Flow::default() };
            entries.push(entry(&format!("{name}-{port}"), &flow, &peer, direction, v6));
        }
        if tunnel.kind == "strongswan" {
            let side = if direction == "out" { "destination" } else { "source" };
            let (ip, version) = if v6 { ("ipv6", "ipv6") } else { ("ipv4", "ipv4") };
            // ESP is IP protocol 50 (RFC 4303, 2).
            let matches = json!({ip: {format!("{side}-{version}-network"): peer, "protocol": 50}});
            entries.push(json!({"name": format!("{name}-esp"), "matches": matches, "actions": {"forwarding": "accept"}}));
        }
    }
    entries
}

fn entry(name: &str, flow: &Flow, peer: &str, direction: &str, v6: bool) -> Value {
    let (ip, number) = (if v6 { "ipv6" } else { "ipv4" }, if flow.transport == "tcp" { 6 } else { 17 });
    let side = if direction == "out" { "destination" } else { "source" };
    // The service's port is the answering side's.
    let answers = if flow.direction == direction { "destination-port" } else { "source-port" };
    let mut transport = object([(answers, object([("operator", "eq".into()), ("port", flow.port.into())]))]);
    if flow.transport == "tcp" {
        let by = if flow.direction == "out" { "from-device" } else { "to-device" };
        transport["ietf-mud:direction-initiated"] = by.into();
    }
    let network = object([(&format!("{side}-{ip}-network"), peer.into()), ("protocol", number.into())]);
    let matches = object([(ip, network), (&flow.transport, transport)]);
    let actions = object([("forwarding", "accept".into())]);
    object([("actions", actions), ("matches", matches), ("name", name.into())])
}
