//! Services and their protocols: which ports and frames a conduit means.

use std::collections::HashMap;
use std::net::IpAddr;

use diag::Diagnostic;

use crate::decode::{Spanned, suggestion};
use crate::plan::Flow;
use crate::product::{Product, Service, Transport};
use crate::protocol::{Protocol, ProtocolKind, Protocols, Security};
use crate::source::At;
use crate::types::{Name, Prefix, Scalar as _};

/// A service as it is used.
pub struct Spoken<'p> {
    /// Its protocol with the name.
    pub protocol: Option<(&'p str, &'p Protocol)>,
    /// Transports and destination ports.
    pub endpoints: Vec<(Transport, u16)>,
}

impl Spoken<'_> {
    /// The security of the protocol itself, as the plan says it.
    pub fn security(&self) -> &'static str {
        self.protocol.map_or("unknown", |(_, protocol)| protocol.security.as_str())
    }
}

/// Services by name. What is wrong with one is told, and it is left out.
pub type Services<'p> = HashMap<&'p str, Spoken<'p>>;

/// Reads the services of a product against the protocols.
pub fn of<'p>(product: &'p Product, protocols: &'p Protocols, trouble: &mut Vec<Diagnostic>) -> Services<'p> {
    product
        .services
        .iter()
        .filter_map(|(name, service)| {
            let spoken = match &service.protocol {
                Some(protocol) => {
                    named(name.as_str(), service, protocol.as_str(), &protocol.at, protocols, trouble)
                }
                None => bare(name.as_str(), service, &name.at, protocols, trouble),
            };
            Some((name.as_str(), spoken?))
        })
        .collect()
}

/// The service that somebody outside of the conduits names; one that is none is told. What is wrong with it was said.
pub fn known<'s, 'p>(
    product: &Product,
    service: &Spanned<Name>,
    services: &'s Services<'p>,
    trouble: &mut Vec<Diagnostic>,
) -> Option<&'s Spoken<'p>> {
    if !product.services.iter().any(|(known, _)| known.as_str() == service.as_str()) {
        let message = format!("expected a service of the product, found `{}`", service.as_str());
        let hint = suggestion(service.as_str(), product.services.iter().map(|(known, _)| known.as_str()));
        trouble.push(Diagnostic::error("unknown-service", message).at(service.at.location()).hint(hint));
        return None;
    }
    services.get(service.as_str())
}

/// Whether a flow lets the device open connections to this port of an address, as this service.
pub fn leads(flow: &Flow, address: IpAddr, port: u16, service: &str) -> bool {
    let peers = if address.is_ipv4() { &flow.peers_v4 } else { &flow.peers_v6 };
    let reaches = |peer: &String| Prefix::parse(peer, true).is_ok_and(|prefix| prefix.contains(address));
    flow.direction == "out"
        && flow.transport == "tcp"
        && flow.port == port
        && flow.service == service
        && peers.iter().any(reaches)
}

/// A service that names its protocol.
fn named<'p>(
    name: &str,
    service: &Service,
    wanted: &str,
    at: &At,
    protocols: &'p Protocols,
    trouble: &mut Vec<Diagnostic>,
) -> Option<Spoken<'p>> {
    let Some((known, protocol)) = protocols.get_key_value(wanted) else {
        let message =
            format!("expected a protocol, found `{wanted}`: there is no `standards/protocols/{wanted}.yaml`");
        let hint = suggestion(wanted, protocols.keys().map(String::as_str));
        trouble.push(Diagnostic::error("unknown-protocol", message).at(at.location()).hint(hint));
        return None;
    };
    if protocol.kind == ProtocolKind::Tunnel {
        let message = format!("`{wanted}` carries others and is no service");
        let hint = "describe it below `tunnels`, and name it with `tunnel:` in the conduits that pass it";
        trouble.push(Diagnostic::error("wrong-protocol", message).at(at.location()).hint(hint));
        return None;
    }
    let mut endpoints = Vec::new();
    let matching =
        protocol.endpoints.iter().filter(|own| service.transport.is_none_or(|t| t == own.transport));
    for own in matching {
        match (&service.port, own.port) {
            (Some(port), _) => endpoints.push((own.transport, port.0)),
            (None, Some(port)) => endpoints.push((own.transport, port.0)),
            (None, None) => {
                let message = format!(
                    "the protocol `{wanted}` has no port of its own, and the service `{name}` says none"
                );
                trouble
                    .push(Diagnostic::error("missing-port", message).at(at.location()).hint("add `port: …`"));
                return None;
            }
        }
    }
    endpoints.dedup();
    let narrowed = service.transport.is_some() || service.port.is_some();
    if endpoints.is_empty() && (narrowed || protocol.frames.is_empty()) {
        let message = format!("the protocol `{wanted}` is not spoken over what the service `{name}` says");
        let spoken: Vec<&str> = protocol.endpoints.iter().map(|own| own.transport.as_str()).collect();
        let hint = if spoken.is_empty() {
            "it has frames without IP, and neither transport nor port".to_owned()
        } else {
            format!("it is spoken over `{}`", spoken.join("`, `"))
        };
        trouble.push(Diagnostic::error("wrong-protocol", message).at(at.location()).hint(hint));
        return None;
    }
    if let Some(port) = &service.port {
        let own = protocol.endpoints.iter().any(|own| own.port.is_some_and(|own| own.0 == port.0));
        if !own {
            reject_bare_ports(name, &endpoints, &port.at, protocols, trouble)?;
        }
    }
    Some(Spoken { protocol: Some((known, protocol)), endpoints })
}

/// A service of transport and port alone.
fn bare<'p>(
    name: &str,
    service: &Service,
    at: &At,
    protocols: &'p Protocols,
    trouble: &mut Vec<Diagnostic>,
) -> Option<Spoken<'p>> {
    let (Some(transport), Some(port)) = (service.transport, &service.port) else {
        let message = format!("the service `{name}` says neither its protocol nor both transport and port");
        let hint = "write `{protocol: NAME}` or `{transport: tcp, port: N}`";
        trouble.push(Diagnostic::error("incomplete-service", message).at(at.location()).hint(hint));
        return None;
    };
    let endpoints = vec![(transport, port.0)];
    reject_bare_ports(name, &endpoints, &port.at, protocols, trouble)?;
    Some(Spoken { protocol: None, endpoints })
}

/// The port of an industrial protocol that may be spoken without security counts as that protocol, so
/// that leaving the name out is no way round a tunnel.
fn reject_bare_ports(
    name: &str,
    endpoints: &[(Transport, u16)],
    at: &At,
    protocols: &Protocols,
    trouble: &mut Vec<Diagnostic>,
) -> Option<()> {
    let is = |protocol: &Protocol, transport: Transport, port: u16| {
        protocol
            .endpoints
            .iter()
            .any(|own| own.transport == transport && own.port.is_some_and(|p| p.0 == port))
    };
    for (transport, port) in endpoints {
        let of_port: Vec<(&str, &Protocol)> = protocols
            .iter()
            .filter(|(_, p)| p.kind == ProtocolKind::Industrial && p.security != Security::Always)
            .filter(|(_, p)| is(p, *transport, *port))
            .map(|(name, p)| (name.as_str(), p))
            .collect();
        let Some((first, _)) = of_port.first() else { continue };
        let titles: Vec<String> =
            of_port.iter().map(|(name, p)| format!("{} (`{name}`)", p.title.as_str())).collect();
        let message = format!(
            "the service `{name}` uses {}/{port}, the port of {}, without naming it",
            transport.as_str(),
            titles.join(" and of ")
        );
        let hint = format!("write `protocol: {first}`; what is something else has to take another port");
        trouble.push(Diagnostic::error("unnamed-protocol", message).at(at.location()).hint(hint));
        return None;
    }
    Some(())
}
