//! What answered, against what the plan says may answer.
//!
//! Pure: no socket, no clock. An answer too many and an answer too few are both failures; silence of a
//! device that was not proved to hear is [`TrafficVerdict::NotRun`].

use std::collections::BTreeSet;
use std::net::IpAddr;

use record::{TrafficClass, TrafficVerdict};
use spec::plan::{NetworkFacts, Surface};
use spec::types::{Prefix, Scalar};

use crate::frame::{Ask, Heard};

/// Source port of all probes: what comes back to it is an answer.
pub const PROBE_PORT: u16 = 61_000;
/// Problems of one class that are written out; the rest is counted.
const SHOWN: usize = 20;

/// A class of probes and what came back.
#[derive(Clone, Debug)]
pub struct Class {
    /// Name, as in [`TrafficClass::class`].
    pub name: &'static str,
    /// Interface.
    pub interface: String,
    /// The sender.
    pub source: IpAddr,
    /// Whether the sender's address is one of the link.
    pub on_link: bool,
    /// The device's address.
    pub target: IpAddr,
    /// Probes.
    pub asks: Vec<Ask>,
    /// What the device sent meanwhile.
    pub heard: Vec<Heard>,
    /// Why it is not proved that the device heard all probes; none: it is.
    pub unproved: Option<String>,
}

/// An answer: to what, if it says so, and in which words.
type Answer = (Option<Ask>, String);

/// The answer that a frame is to probes of `source` to `target`; nothing, if it is none.
fn answer(heard: &Heard, source: IpAddr, target: IpAddr) -> Option<Answer> {
    match heard {
        Heard::Tcp { ends, ports, flags: (syn, ack, rst) } if ends.1 == source && ports.1 == PROBE_PORT => {
            let word = match (syn, ack, rst) {
                (_, _, true) => "refuses with a reset",
                (true, true, _) => "accepts",
                _ => "answers",
            };
            // A reset tells that the port can be reached, which silence does not.
            Some((
                (!*rst && ends.0 == target).then_some(Ask::Tcp(ports.0)),
                format!("tcp/{} {word}", ports.0),
            ))
        }
        Heard::Udp { ends, ports } if ends.1 == source && ports.1 == PROBE_PORT => {
            Some(((ends.0 == target).then_some(Ask::Udp(ports.0)), format!("udp/{} answers", ports.0)))
        }
        Heard::Icmp { ends, kind, target: None } if ends.1 == source => {
            let (name, asked) = match (source, kind) {
                (IpAddr::V4(_), 0) => ("icmp", Some(Ask::Icmp(8))),
                (IpAddr::V6(_), 129) => ("icmpv6", Some(Ask::Icmp6(128))),
                (IpAddr::V4(_), _) => ("icmp", None),
                (IpAddr::V6(_), 130..=137 | 143) => return None,
                (IpAddr::V6(_), _) => ("icmpv6", None),
            };
            Some((asked.filter(|_| ends.0 == target), format!("{name} answers with type {kind}")))
        }
        Heard::Unreachable { ends, port } if ends.1 == source => Some((
            // Nobody listens where the plan lets this sender ask: a tunnel's program before it has its identity.
            (ends.0 == target).then_some(Ask::Udp(*port)),
            format!("udp/{port} is told to be unreachable, icmp answers"),
        )),
        Heard::Ip { ends, protocol } if ends.1 == source => {
            Some((None, format!("ip protocol {protocol} answers")))
        }
        Heard::Ethernet(kind) => Some((Some(Ask::Ethernet(*kind)), format!("ethertype {kind:#06x} answers"))),
        Heard::Unreadable => Some((None, "a frame that cannot be read answers".to_owned())),
        _ => None,
    }
}

/// A neighbour advertisement for an address that the plan does not give: the device has it all the same.
fn has(heard: &Heard, class: &Class) -> Option<Answer> {
    match heard {
        Heard::Icmp { ends, kind: 136, target: Some(of) }
            if class.name == "link-local" && ends.1 == class.source && IpAddr::V6(*of) == class.target =>
        {
            Some((None, "icmpv6 type 136 answers".to_owned()))
        }
        _ => None,
    }
}

/// What a line of the surface is asked with.
fn asked_by(surface: &Surface) -> Option<Ask> {
    match (surface.transport.as_str(), surface.port, surface.number) {
        ("tcp", Some(port), _) => Some(Ask::Tcp(port)),
        ("udp", Some(port), _) => Some(Ask::Udp(port)),
        ("icmp", _, Some(kind)) => u8::try_from(kind).ok().map(Ask::Icmp),
        ("icmpv6", _, Some(kind)) => u8::try_from(kind).ok().map(Ask::Icmp6),
        ("ethernet", _, Some(kind)) => Some(Ask::Ethernet(kind)),
        _ => None,
    }
}

/// Whether a line of the surface allows this sender to ask this address in clear. A forged sender is allowed nothing:
/// its address may be within a conduit's peers, as the device's own often is, and cannot come over that link.
fn allows(surface: &Surface, class: &Class) -> bool {
    if class.name == "forged" {
        return false;
    }
    let peer = |text: &String| Prefix::parse(text, true).is_ok_and(|p| p.contains(class.source));
    let address =
        surface.address.as_ref().is_none_or(|a| a.parse::<IpAddr>().is_ok_and(|a| a == class.target));
    let sender = if surface.peers.is_empty() { class.on_link } else { surface.peers.iter().any(peer) };
    surface.interface == class.interface && surface.tunnel.is_none() && address && sender
}

/// The verdict of one class.
#[must_use]
pub fn class(network: &NetworkFacts, class: &Class) -> TrafficClass {
    let answers: BTreeSet<Answer> = class
        .heard
        .iter()
        .filter_map(|h| has(h, class).or_else(|| answer(h, class.source, class.target)))
        .collect();
    let allowed: Vec<(Ask, &Surface)> = network
        .surface
        .iter()
        .filter(|line| allows(line, class))
        .filter_map(|line| asked_by(line).map(|ask| (ask, line)))
        .collect();
    let (interface, source, target) = (&class.interface, class.source, class.target);
    let mut problems: Vec<String> = answers
        .iter()
        .filter(|(ask, _)| !allowed.iter().any(|(allowed, _)| Some(*allowed) == *ask))
        .map(|(_, words)| {
            format!("`{interface}`: {words} of `{target}` to `{source}`, which no line of the plan's surface allows")
        })
        .collect();
    // UDP services and layer 2 need not answer what they do not understand; before the device is up
    // nothing must.
    let must = |ask: &Ask| {
        !["early", "fragments"].contains(&class.name)
            && class.asks.contains(ask)
            && matches!(ask, Ask::Tcp(_) | Ask::Icmp(8) | Ask::Icmp6(128))
    };
    for (ask, line) in allowed.iter().filter(|(ask, _)| must(ask)) {
        if !answers.iter().any(|(answered, _)| *answered == Some(*ask)) {
            let wanted =
                line.conduit.as_ref().map_or("the link".to_owned(), |c| format!("the conduit `{c}`"));
            problems.push(format!(
                "`{interface}`: {} of `{target}` is silent to `{source}`, though {wanted} allows it",
                line.what()
            ));
        }
    }
    let failed = !problems.is_empty();
    if problems.len() > SHOWN {
        let rest = problems.len() - SHOWN;
        problems.truncate(SHOWN);
        problems.push(format!("and {rest} more"));
    }
    let verdict = match (&class.unproved, failed) {
        // What answered too much did so whether or not the rest was heard.
        (None, true) => TrafficVerdict::Fail,
        (Some(why), _) => {
            problems.push(format!("`{interface}`: silence is not proved: {why}"));
            if failed { TrafficVerdict::Fail } else { TrafficVerdict::NotRun }
        }
        (None, false) => TrafficVerdict::Pass,
    };
    TrafficClass {
        class: class.name.to_owned(),
        source: source.to_string(),
        target: target.to_string(),
        probes: u32::try_from(class.asks.len()).unwrap_or(u32::MAX),
        answered: answers.into_iter().map(|(_, words)| words).collect(),
        verdict,
        problems,
    }
}

/// A frame that answers no probe: allowed by the plan (nothing), tolerated, or not allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unasked {
    /// Outside of the surface, with the reason why it is let pass.
    Tolerated(String),
    /// In no line of the plan.
    Wrong(String),
}

/// Judges a frame that went to none of the probes' senders as an answer.
#[must_use]
pub fn unasked(network: &NetworkFacts, interface: &str, heard: &Heard) -> Option<Unasked> {
    let wrong =
        |what: String| Some(Unasked::Wrong(format!("`{interface}`: the device sends {what} unasked")));
    let out = |transport: &str, port: u16, to: IpAddr| {
        let of = |text: &String| Prefix::parse(text, true).is_ok_and(|p| p.contains(to));
        network.flows.iter().any(|flow| {
            flow.direction == "out"
                && flow.tunnel.is_none()
                && flow.transport == transport
                && flow.port == port
                && flow.interfaces.iter().any(|i| i == interface)
                && flow.peers_v4.iter().chain(&flow.peers_v6).any(of)
        }) || network.tunnels.values().any(|tunnel| {
            tunnel.interface == interface
                && transport == "udp"
                && tunnel.ports.contains(&port)
                && tunnel.peer_address.parse() == Ok(to)
        })
    };
    match heard {
        Heard::Tcp { ports, .. } | Heard::Udp { ports, .. } if ports.1 == PROBE_PORT => None,
        Heard::Tcp { ends, ports, .. } if !out("tcp", ports.1, ends.1) => {
            wrong(format!("tcp/{} to `{}`", ports.1, ends.1))
        }
        Heard::Udp { ends, ports } if !out("udp", ports.1, ends.1) => {
            wrong(format!("udp/{} to `{}`", ports.1, ends.1))
        }
        Heard::Icmp { ends: (IpAddr::V6(_), _), kind: kind @ (133 | 135 | 136 | 143), .. } => {
            let why =
                "IPv6 on a link needs neighbour discovery (RFC 4861) and multicast listeners (RFC 3810)";
            Some(Unasked::Tolerated(format!("`{interface}`: icmpv6 type {kind}: {why}")))
        }
        Heard::Ip { ends: (_, to), protocol: 2 } => Some(Unasked::Tolerated(format!(
            "`{interface}`: igmp to `{to}`: an IPv4 host reports its multicast groups (RFC 3376)"
        ))),
        Heard::Ip { ends: (_, to), protocol } => wrong(format!("ip protocol {protocol} to `{to}`")),
        _ => None,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
