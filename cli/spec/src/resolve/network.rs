//! Zones and interfaces of a product, checked and turned into facts, and all that is built on them.

use std::collections::HashMap;

use diag::Diagnostic;

use super::references::unknown_interface;
use super::{conduits, logging, ocsp, opcua, services, tunnels};
use crate::algorithms::{Algorithms, Build};
use crate::opcua::OpcuaStandard;
use crate::plan::{BoardFacts, InterfaceFacts, NetworkFacts, ZoneFacts};
use crate::product::Product;
use crate::protocol::Protocols;
use crate::source::At;
use crate::types::Prefix;

/// The word for the device itself as an end of a conduit.
pub const DEVICE: &str = "device";
/// What the network is judged by, besides the product itself.
pub struct Standards {
    /// Protocols by name.
    pub protocols: Protocols,
    /// Algorithms of tunnels.
    pub algorithms: Option<Algorithms>,
    /// What builds the programs of tunnels.
    pub build: Build,
    /// Security of OPC UA.
    pub opcua: Option<OpcuaStandard>,
}

/// Zones, interfaces, tunnels and flows of a product on a board.
pub fn resolve(
    product: &Product,
    board: Option<&BoardFacts>,
    standards: &Standards,
    trouble: &mut Vec<Diagnostic>,
) -> NetworkFacts {
    let mut network = NetworkFacts::default();
    let homes = zones(product, board, &mut network, trouble);
    let networks = interfaces(product, board, &homes, &mut network, trouble);
    reject_overlaps(&networks, trouble);
    let mut zone_networks: HashMap<&str, Vec<Prefix>> = HashMap::new();
    for (name, prefix, _) in &networks {
        if let Some((zone, _)) = homes.get(name) {
            zone_networks.entry(zone).or_default().push(*prefix);
        }
    }
    let behind = tunnels::resolve(
        product,
        standards.algorithms.as_ref().map(|table| (table, &standards.build)),
        &mut network,
        trouble,
    );
    let services = services::of(product, &standards.protocols, trouble);
    conduits::resolve(product, &services, &zone_networks, &behind, &mut network, trouble);
    opcua::resolve(product, standards.opcua.as_ref(), &services, &mut network, trouble);
    logging::resolve(product, &services, &mut network, trouble);
    ocsp::resolve(product, &services, &mut network, trouble);
    network
}

/// Zone and place of each interface that is in one.
type Homes<'p> = HashMap<&'p str, (&'p str, &'p At)>;

fn zones<'p>(
    product: &'p Product,
    board: Option<&BoardFacts>,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Homes<'p> {
    let mut homes: Homes = HashMap::new();
    for (name, zone) in product.zones.iter() {
        if name.as_str() == DEVICE {
            let message = "expected the name of a zone, found `device`, which is the device itself";
            trouble.push(
                Diagnostic::error("reserved-name", message)
                    .at(name.at.location())
                    .hint("choose another name"),
            );
        }
        for interface in &zone.interfaces {
            require_on_board(interface.as_str(), &interface.at, board, trouble);
            if let Some((other, at)) = homes.get(interface.as_str()) {
                let message = if *other == name.as_str() {
                    format!("the interface `{}` is named twice in the zone `{other}`", interface.as_str())
                } else {
                    format!(
                        "the interface `{}` is in two zones, `{other}` and `{}`",
                        interface.as_str(),
                        name.as_str()
                    )
                };
                trouble.push(
                    Diagnostic::error("interface-in-two-zones", message)
                        .at(interface.at.location())
                        .note(format!("it is in `{other}` here"), Some(at.location()))
                        .hint("an interface leads into one zone"),
                );
            } else {
                homes.insert(interface.as_str(), (name.as_str(), &interface.at));
            }
        }
        let interfaces = zone.interfaces.iter().map(|i| i.as_str().to_owned()).collect();
        let facts = ZoneFacts { description: zone.description.as_str().to_owned(), interfaces };
        network.zones.insert(name.as_str().to_owned(), facts);
    }
    for (interface, (zone, _)) in &homes {
        let facts = InterfaceFacts { zone: (*zone).to_owned(), addresses: Vec::new(), gateway: None };
        network.interfaces.insert((*interface).to_owned(), facts);
    }
    homes
}

fn require_on_board(name: &str, at: &At, board: Option<&BoardFacts>, trouble: &mut Vec<Diagnostic>) {
    let Some(board) = board else { return };
    if !board.interfaces.iter().any(|known| known == name) {
        trouble.push(unknown_interface(name, at, &board.name, &board.interfaces));
    }
}

/// Fills in addresses and gateways; gives each interface's networks with their places.
fn interfaces<'p>(
    product: &'p Product,
    board: Option<&BoardFacts>,
    homes: &Homes<'p>,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Vec<(&'p str, Prefix, &'p At)> {
    let mut networks = Vec::new();
    let mut owners: HashMap<std::net::IpAddr, &At> = HashMap::new();
    for (name, interface) in product.interfaces.iter() {
        if homes.contains_key(name.as_str()) {
            // Reported with the zone already, when the board lacks it.
        } else {
            require_on_board(name.as_str(), &name.at, board, trouble);
            let message = format!("the interface `{}` is in no zone", name.as_str());
            let hint = "add it to a zone's `interfaces`; what is in no zone may not talk to anybody";
            trouble
                .push(Diagnostic::error("interface-in-no-zone", message).at(name.at.location()).hint(hint));
        }
        for address in &interface.addresses {
            if let Some(first) = owners.insert(address.address, &address.at) {
                let message = format!("the address `{}` is given twice", address.address);
                trouble.push(
                    Diagnostic::error("duplicate-address", message)
                        .at(address.at.location())
                        .note("the first time is here", Some(first.location())),
                );
            }
            networks.push((name.as_str(), address.network(), &address.at));
        }
        let gateway = interface.gateway.as_ref().map(|gateway| {
            let reachable = interface.addresses.iter().any(|own| own.network().contains(gateway.0));
            let own = interface.addresses.iter().any(|own| own.address == gateway.0);
            if !reachable || own {
                let problem =
                    if own { "is the interface's own address" } else { "is in none of its networks" };
                let list: Vec<String> = interface.addresses.iter().map(|a| a.network().to_string()).collect();
                let message = format!("the gateway `{}` of `{}` {problem}", gateway.0, name.as_str());
                let hint = format!("expected another address in `{}`", list.join("`, `"));
                trouble.push(
                    Diagnostic::error("unreachable-gateway", message).at(gateway.at.location()).hint(hint),
                );
            }
            gateway.0.to_string()
        });
        if let Some(facts) = network.interfaces.get_mut(name.as_str()) {
            facts.addresses = interface.addresses.iter().map(|a| a.value.to_string()).collect();
            facts.gateway = gateway;
        }
    }
    networks
}

/// Networks sorted by start: two prefixes overlap only when one holds the other's start.
fn reject_overlaps(networks: &[(&str, Prefix, &At)], trouble: &mut Vec<Diagnostic>) {
    let mut sorted: Vec<&(&str, Prefix, &At)> = networks.iter().collect();
    sorted.sort_by_key(|(name, prefix, _)| (*prefix, *name));
    // Two addresses of one interface in one network are one network.
    sorted.dedup_by_key(|(name, prefix, _)| (*prefix, *name));
    let mut open: Vec<&(&str, Prefix, &At)> = Vec::new();
    for entry in sorted {
        open.retain(|outer| outer.1.overlaps(&entry.1));
        if let Some(outer) = open.iter().find(|outer| outer.0 != entry.0) {
            let message = format!(
                "the networks of `{}` and `{}` overlap: `{}` and `{}`",
                outer.0, entry.0, outer.1, entry.1
            );
            trouble.push(
                Diagnostic::error("overlapping-networks", message)
                    .at(entry.2.location())
                    .note(format!("`{}` is here", outer.1), Some(outer.2.location()))
                    .hint("a packet could leave by the wrong interface; give each its own network"),
            );
        }
        open.push(entry);
    }
}
