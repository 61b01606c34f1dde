//! Conduits of a product, checked and turned into flows and frames.

mod peers;

use std::collections::HashMap;

use diag::Diagnostic;

use super::network::DEVICE;
use super::references::{unknown_service, unknown_tunnel, unknown_zone};
use super::services::{Services, Spoken};
use super::tunnels::Behind;
use crate::plan::{AcceptedRisk, Flow, FrameFlow, NetworkFacts, TunnelFacts};
use crate::product::{Conduit, Product, Transport};
use crate::protocol::ProtocolKind;
use crate::source::At;
use crate::types::Prefix;

/// New connections that a conduit allows when it says nothing.
const DEFAULT_RATE: &str = "60/minute";
/// Frames that a conduit lets in when it says nothing: some hundred cyclic exchanges.
const DEFAULT_FRAMES: &str = "10000/second";
/// Connections that a conduit lets be open at a time when it says nothing.
const DEFAULT_CONNECTIONS: u32 = 64;

/// Fills in `network.flows` and `network.frames`.
pub fn resolve(
    product: &Product,
    services: &Services,
    zone_networks: &HashMap<&str, Vec<Prefix>>,
    behind: &Behind,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) {
    let mut names: HashMap<&str, &At> = HashMap::new();
    let mut used = HashMap::new();
    let mut claims = peers::Claims::default();
    for conduit in &product.conduits {
        if let Some(first) = names.insert(conduit.name.as_str(), &conduit.name.at) {
            let message = format!("two conduits are named `{}`", conduit.name.as_str());
            trouble.push(
                Diagnostic::error("duplicate-name", message)
                    .at(conduit.name.at.location())
                    .note("the first one is here", Some(first.location())),
            );
        }
        let known = product.services.iter().any(|(name, _)| name.as_str() == conduit.service.as_str());
        if !known {
            let known = product.services.iter().map(|(name, _)| name.as_str());
            trouble.push(unknown_service(conduit.service.as_str(), &conduit.service.at, known));
        }
        if let Some(tunnel) = &conduit.tunnel {
            used.insert(tunnel.as_str(), ());
        }
        let Some((direction, zone)) = ends(conduit, network, trouble) else { continue };
        let Ok(tunnel) = tunnel_of(product, conduit, zone, network, trouble) else { continue };
        let Some(spoken) = services.get(conduit.service.as_str()) else { continue };
        if !judge(conduit, spoken, trouble) {
            continue;
        }
        let way = Way { direction, zone, tunnel };
        if !spoken.endpoints.is_empty() {
            let found = peers::of(product, conduit, &way, zone_networks, behind, network, trouble);
            for flow in flows(conduit, spoken, &way, &found, network, trouble) {
                claims.add(&flow, &found, &conduit.name.at);
                network.flows.push(flow);
            }
        } else if let Some(given) = &conduit.peers {
            let message = format!(
                "the conduit `{}` has peers, but its protocol has frames without IP",
                conduit.name.as_str()
            );
            let hint = "take `peers` away: everybody on the link can send such frames";
            trouble.push(Diagnostic::error("peers-without-ip", message).at(given.at.location()).hint(hint));
        }
        network.frames.extend(frames(conduit, spoken, &way, network));
    }
    claims.reject_overlaps(trouble);
    reject_shared_ports(product, services, network, trouble);
    for (name, _) in product.tunnels.iter().filter(|(name, _)| !used.contains_key(name.as_str())) {
        let message = format!("no conduit passes the tunnel `{}`", name.as_str());
        let hint =
            format!("write `tunnel: {}` in the conduits that it is for, or take it away", name.as_str());
        trouble.push(Diagnostic::error("unused-tunnel", message).at(name.at.location()).hint(hint));
    }
}

/// Where a conduit's packets pass.
struct Way<'a> {
    direction: &'static str,
    zone: &'a str,
    tunnel: Option<(&'a str, TunnelFacts)>,
}

/// Direction seen from the device, and the zone on the other side.
fn ends<'p>(
    conduit: &'p Conduit,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Option<(&'static str, &'p str)> {
    let (from, to) = (&conduit.from, &conduit.to);
    let (direction, other) = match (from.as_str() == DEVICE, to.as_str() == DEVICE) {
        (false, true) => ("in", from),
        (true, false) => ("out", to),
        (both, _) => {
            let found = if both { "both ends are" } else { "neither end is" };
            let message = format!("expected a conduit between `device` and a zone, but {found} `device`");
            let hint =
                "write `from: ZONE, to: device` or `from: device, to: ZONE`; the device does not forward";
            trouble.push(Diagnostic::error("conduit-ends", message).at(from.at.location()).hint(hint));
            return None;
        }
    };
    if !network.zones.contains_key(other.as_str()) {
        let known = network.zones.keys().map(String::as_str);
        trouble.push(unknown_zone(other.as_str(), &other.at, known));
        return None;
    }
    Some((direction, other.as_str()))
}

/// The tunnel that a conduit names; `Err`: it was told that it cannot be.
fn tunnel_of<'p>(
    product: &'p Product,
    conduit: &'p Conduit,
    zone: &str,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Result<Option<(&'p str, TunnelFacts)>, ()> {
    let Some(wanted) = &conduit.tunnel else { return Ok(None) };
    let Some((_, tunnel)) = product.tunnels.iter().find(|(name, _)| name.as_str() == wanted.as_str()) else {
        let known = product.tunnels.iter().map(|(name, _)| name.as_str());
        trouble.push(unknown_tunnel(wanted.as_str(), &wanted.at, known));
        return Err(());
    };
    // A tunnel that is wrong itself was told already.
    let Some(facts) = network.tunnels.get(wanted.as_str()) else { return Err(()) };
    if tunnel.zone.as_str() != zone {
        let message = format!(
            "the tunnel `{}` leads into the zone `{}`, the conduit `{}` into `{zone}`",
            wanted.as_str(),
            tunnel.zone.as_str(),
            conduit.name.as_str()
        );
        let problem = Diagnostic::error("tunnel-zone", message).at(wanted.at.location());
        trouble.push(problem.note("the tunnel's zone is here", Some(tunnel.zone.at.location())));
        return Err(());
    }
    Ok(Some((wanted.as_str(), facts.clone())))
}

/// Whether the protocol may pass this way.
fn judge(conduit: &Conduit, spoken: &Spoken, trouble: &mut Vec<Diagnostic>) -> bool {
    let (name, before) = (conduit.name.as_str(), trouble.len());
    let protocol = spoken.protocol.filter(|(_, protocol)| protocol.needs_tunnel());
    let frames = spoken.protocol.is_some_and(|(_, protocol)| !protocol.frames.is_empty());
    if let Some(tunnel) = conduit.tunnel.as_ref().filter(|_| frames) {
        let message = format!("the frames of the conduit `{name}` have no IP, and no tunnel carries them");
        let hint =
            "take `tunnel` away and write `accepted_risk: {reason: …, by: …}`, or take another protocol";
        trouble.push(Diagnostic::error("frames-in-tunnel", message).at(tunnel.at.location()).hint(hint));
    } else if let (Some((protocol_name, protocol)), None, None) =
        (protocol, &conduit.tunnel, &conduit.accepted_risk)
    {
        let message = format!(
            "the conduit `{name}` lets {} pass in clear: `{protocol_name}` has no security of its own",
            protocol.title.as_str()
        );
        let mut hint = if frames {
            "its frames fit no tunnel: write `accepted_risk: {reason: …, by: …}` if somebody takes the risk"
                .to_owned()
        } else {
            "write `tunnel: …`, or `accepted_risk: {reason: …, by: …}` if somebody takes the risk".to_owned()
        };
        if let Some(variant) = &protocol.secure_variant {
            hint += &format!("; with security it is `{}`", variant.as_str());
        }
        trouble.push(
            Diagnostic::error("protocol-in-clear", message).at(conduit.service.at.location()).hint(hint),
        );
    } else if let Some(risk) =
        conduit.accepted_risk.as_ref().filter(|_| protocol.is_none() || conduit.tunnel.is_some())
    {
        let why = match (&conduit.tunnel, spoken.protocol) {
            (Some(_), _) => "it passes a tunnel",
            (None, Some((_, protocol))) if protocol.kind != ProtocolKind::Industrial => {
                "its protocol serves the device itself"
            }
            (None, Some(_)) => "its protocol has security of its own",
            (None, None) => "its service names no protocol",
        };
        let message = format!("the conduit `{name}` accepts a risk that it does not have: {why}");
        trouble.push(
            Diagnostic::error("needless-acceptance", message)
                .at(risk.at.location())
                .hint("take `accepted_risk` away"),
        );
    }
    trouble.len() == before
}

fn flows(
    conduit: &Conduit,
    spoken: &Spoken,
    way: &Way,
    peers: &[Prefix],
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Vec<Flow> {
    let Some(zone) = network.zones.get(way.zone) else { return Vec::new() };
    let tunnel = way.tunnel.as_ref();
    let interfaces = match tunnel.map(|(_, facts)| (&facts.device, &facts.interface)) {
        Some((Some(device), _)) => vec![device.clone()],
        Some((None, interface)) => vec![interface.clone()],
        None => zone.interfaces.clone(),
    };
    let of = |v4: bool| peers.iter().filter(|p| p.is_v4() == v4).map(Prefix::to_string).collect();
    let several = spoken.endpoints.len() > 1;
    let connections = connections(conduit, trouble);
    let flow = |(transport, port): &(Transport, u16)| Flow {
        name: match several {
            true => format!("{}-{}-{port}", conduit.name.as_str(), transport.as_str()),
            false => conduit.name.as_str().to_owned(),
        },
        direction: way.direction.to_owned(),
        zone: way.zone.to_owned(),
        interfaces: interfaces.clone(),
        service: conduit.service.as_str().to_owned(),
        transport: transport.as_str().to_owned(),
        port: *port,
        peers_v4: of(true),
        peers_v6: of(false),
        rate: conduit.rate.as_ref().map_or(DEFAULT_RATE, |rate| rate.as_str()).to_owned(),
        connections,
        protocol: spoken.protocol.map(|(name, _)| name.to_owned()),
        security: spoken.security().to_owned(),
        tunnel: tunnel.map(|(name, _)| (*name).to_owned()),
        accepted_risk: accepted(conduit),
        reason: conduit.reason.0.clone(),
    };
    spoken.endpoints.iter().map(flow).collect()
}

fn connections(conduit: &Conduit, trouble: &mut Vec<Diagnostic>) -> u32 {
    let Some(asked) = &conduit.connections else { return DEFAULT_CONNECTIONS };
    match u32::try_from(asked.0) {
        Ok(number @ 1..=65_535) => number,
        _ => {
            let message = format!("expected 1 to 65535 connections, found `{}`", asked.0);
            trouble.push(Diagnostic::error("wrong-type", message).at(asked.at.location()));
            DEFAULT_CONNECTIONS
        }
    }
}

fn accepted(conduit: &Conduit) -> Option<AcceptedRisk> {
    conduit
        .accepted_risk
        .as_ref()
        .map(|risk| AcceptedRisk { reason: risk.reason.0.clone(), by: risk.by.0.clone() })
}

fn frames(conduit: &Conduit, spoken: &Spoken, way: &Way, network: &NetworkFacts) -> Vec<FrameFlow> {
    let (Some((name, protocol)), Some(zone)) = (spoken.protocol, network.zones.get(way.zone)) else {
        return Vec::new();
    };
    // The rate of a protocol that also has connections is theirs.
    let rate = conduit.rate.as_ref().filter(|_| spoken.endpoints.is_empty());
    protocol
        .frames
        .iter()
        .map(|frames| FrameFlow {
            name: conduit.name.as_str().to_owned(),
            direction: if frames.one_way.0 { way.direction.to_owned() } else { "both".to_owned() },
            zone: way.zone.to_owned(),
            interfaces: zone.interfaces.clone(),
            service: conduit.service.as_str().to_owned(),
            protocol: name.to_owned(),
            ethertype: frames.ethertype.text(),
            multicast: frames.multicast.iter().map(|range| range.as_str().to_owned()).collect(),
            rate: rate.map_or(DEFAULT_FRAMES, |rate| rate.as_str()).to_owned(),
            accepted_risk: accepted(conduit),
            reason: conduit.reason.0.clone(),
        })
        .collect()
}

/// Two services that the device itself offers on one port: only one program can listen there.
fn reject_shared_ports(
    product: &Product,
    services: &Services,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) {
    let offered =
        |name: &str| network.flows.iter().any(|flow| flow.direction == "in" && flow.service == name);
    let mut owners: HashMap<(&str, u16), (&str, &At)> = HashMap::new();
    for (name, _) in product.services.iter() {
        let Some(spoken) = services.get(name.as_str()) else { continue };
        if !offered(name.as_str()) {
            continue;
        }
        for (transport, port) in &spoken.endpoints {
            let Some((first, at)) = owners.insert((transport.as_str(), *port), (name.as_str(), &name.at))
            else {
                continue;
            };
            let message = format!(
                "the device offers two services on {}/{port}: `{first}` and `{}`",
                transport.as_str(),
                name.as_str()
            );
            trouble.push(
                Diagnostic::error("duplicate-port", message)
                    .at(name.at.location())
                    .note(format!("`{first}` is here"), Some(at.location()))
                    .hint(
                        "one program listens on a port: make one service of them, or give one another port",
                    ),
            );
        }
    }
}
