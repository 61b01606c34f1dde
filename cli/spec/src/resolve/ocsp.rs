//! The OCSP responder of a product, checked against its tunnels, services and conduits and turned into facts.

use diag::Diagnostic;

use super::network::DEVICE;
use super::services::{self, Services};
use crate::decode::Spanned;
use crate::plan::{Flow, NetworkFacts, OcspFacts};
use crate::product::{Ocsp, Product, Transport, TunnelKind};

/// Fills in `network.ocsp`.
pub fn resolve(
    product: &Product,
    services: &Services,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) {
    let Some(ocsp) = &product.ocsp else { return };
    if product.tunnels.iter().all(|(_, tunnel)| tunnel.kind.value != TunnelKind::Strongswan) {
        let message = "an OCSP responder is named, and no tunnel of the product asks one";
        let hint = "only `strongswan` asks: OpenVPN and WireGuard do not; take it away";
        trouble.push(Diagnostic::error("unused-responder", message).at(ocsp.at.location()).hint(hint));
        return;
    }
    let Some(port) = port(product, ocsp, services, trouble) else { return };
    let flow = network.flows.iter().find(|flow| leads(flow, ocsp, port));
    let Some(flow) = flow.map(|flow| flow.name.clone()) else {
        // A conduit that is itself wrong has no flow, and was reported.
        if trouble.is_empty() {
            trouble.push(no_conduit(ocsp));
        }
        return;
    };
    let address = ocsp.value.address.0;
    let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    network.ocsp = Some(OcspFacts { url: format!("http://{host}:{port}/"), flow });
}

/// Beside the tunnels: what is asked before one is up cannot go through it.
fn leads(flow: &Flow, ocsp: &Ocsp, port: u16) -> bool {
    flow.tunnel.is_none() && services::leads(flow, ocsp.address.0, port, ocsp.service.as_str())
}

fn no_conduit(ocsp: &Spanned<Ocsp>) -> Diagnostic {
    let message = format!("no conduit leads to the OCSP responder at `{}`", ocsp.value.address.0);
    Diagnostic::error("unreachable-responder", message).at(ocsp.value.address.at.location()).hint(format!(
        "add a conduit without a tunnel, with `from: {DEVICE}` and `service: {}`, whose `peers` hold this address",
        ocsp.value.service.as_str()
    ))
}

/// The port of its service, which has to be TCP: OCSP is asked over HTTP (RFC 6960, appendix A).
fn port(
    product: &Product,
    ocsp: &Spanned<Ocsp>,
    services: &Services,
    trouble: &mut Vec<Diagnostic>,
) -> Option<u16> {
    let service = &ocsp.value.service;
    let endpoints = &services::known(product, service, services, trouble)?.endpoints;
    let tcp = endpoints.iter().find(|(transport, _)| *transport == Transport::Tcp).map(|(_, port)| *port);
    if tcp.is_none() {
        let message = format!("the service `{}` of the OCSP responder has no TCP port", service.as_str());
        let hint = "OCSP is asked over HTTP: write `{transport: tcp, port: 2560}` for the service";
        trouble.push(Diagnostic::error("wrong-protocol", message).at(service.at.location()).hint(hint));
    }
    tcp
}
