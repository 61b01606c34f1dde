//! The collector of a product, checked against its services and conduits and turned into facts.

use diag::Diagnostic;

use super::network::DEVICE;
use super::services::Services;
use crate::decode::suggestion;
use crate::plan::{CollectorFacts, Flow, NetworkFacts};
use crate::product::{Collector, Product};
use crate::types::{Prefix, Scalar as _};

/// The protocol that a collector speaks.
const PROTOCOL: &str = "syslog-tls";

/// Fills in `network.collector`.
pub fn resolve(
    product: &Product,
    services: &Services,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) {
    let Some(logging) = &product.logging else { return };
    let collector = &logging.collector.value;
    let Some(port) = port(product, collector, services, trouble) else { return };
    let flow = network.flows.iter().find(|flow| leads(flow, collector, port));
    let Some(flow) = flow.map(|flow| flow.name.clone()) else {
        // A conduit that is itself wrong has no flow, and was reported.
        if trouble.is_empty() {
            trouble.push(no_conduit(collector));
        }
        return;
    };
    let hostname = product.hostname.as_ref().map_or(product.name.as_str(), |name| name.as_str());
    network.collector = Some(CollectorFacts {
        name: collector.name.as_str().to_owned(),
        address: collector.address.0.to_string(),
        port,
        local_name: collector.local.as_ref().map_or(hostname, |name| name.as_str()).to_owned(),
        flow,
    });
}

fn leads(flow: &Flow, collector: &Collector, port: u16) -> bool {
    let peers = if collector.address.0.is_ipv4() { &flow.peers_v4 } else { &flow.peers_v6 };
    let reaches =
        |peer: &String| Prefix::parse(peer, true).is_ok_and(|prefix| prefix.contains(collector.address.0));
    flow.direction == "out"
        && flow.transport == "tcp"
        && flow.port == port
        && flow.service == collector.service.as_str()
        && peers.iter().any(reaches)
}

fn no_conduit(collector: &Collector) -> Diagnostic {
    let message = format!(
        "no conduit lets records out to the collector `{}` at `{}`",
        collector.name.as_str(),
        collector.address.0
    );
    Diagnostic::error("unreachable-collector", message).at(collector.address.at.location()).hint(format!(
        "add a conduit with `from: {DEVICE}` and `service: {}` whose `peers` hold this address",
        collector.service.as_str()
    ))
}

/// The port of its service, which has to be that of syslog over TLS.
fn port(
    product: &Product,
    collector: &Collector,
    services: &Services,
    trouble: &mut Vec<Diagnostic>,
) -> Option<u16> {
    let service = &collector.service;
    if !product.services.iter().any(|(known, _)| known.as_str() == service.as_str()) {
        let message = format!("expected a service of the product, found `{}`", service.as_str());
        let hint = suggestion(service.as_str(), product.services.iter().map(|(known, _)| known.as_str()));
        trouble.push(Diagnostic::error("unknown-service", message).at(service.at.location()).hint(hint));
        return None;
    }
    // What is wrong with it was said.
    let spoken = services.get(service.as_str())?;
    if spoken.protocol.is_none_or(|(protocol, _)| protocol != PROTOCOL) {
        let message =
            format!("the service `{}` of the collector does not speak `{PROTOCOL}`", service.as_str());
        let hint =
            format!("write `protocol: {PROTOCOL}` in the service: records leave the device in TLS only");
        trouble.push(Diagnostic::error("wrong-protocol", message).at(service.at.location()).hint(hint));
        return None;
    }
    spoken.endpoints.first().map(|(_, port)| *port)
}
