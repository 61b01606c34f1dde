//! The collector of a product, checked against its services and conduits and turned into facts.

use diag::Diagnostic;

use super::network::DEVICE;
use super::services::{self, Services};
use crate::plan::{CollectorFacts, NetworkFacts};
use crate::product::{Collector, Product};

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
    let flow = network
        .flows
        .iter()
        .find(|flow| services::leads(flow, collector.address.0, port, collector.service.as_str()));
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
    let spoken = services::known(product, service, services, trouble)?;
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
