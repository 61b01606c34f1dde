//! Who is on the other side of a conduit, and whether two conduits speak of the same packets.

use std::collections::{BTreeMap, HashMap};

use diag::Diagnostic;

use super::Way;
use crate::plan::{Flow, NetworkFacts};
use crate::product::{Conduit, Product};
use crate::resolve::tunnels::{Behind, reaching};
use crate::source::At;
use crate::types::Prefix;

/// The peers given; else the networks behind the tunnel, or the whole networks of the zone's interfaces.
pub fn of(
    product: &Product,
    conduit: &Conduit,
    way: &Way,
    zone_networks: &HashMap<&str, Vec<Prefix>>,
    behind: &Behind,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Vec<Prefix> {
    let tunnel = way.tunnel.as_ref().map(|(name, _)| *name);
    let default = || match tunnel {
        Some(name) => behind.get(name).cloned().unwrap_or_default(),
        None => zone_networks.get(way.zone).cloned().unwrap_or_default(),
    };
    let (peers, at): (Vec<Prefix>, &At) = match &conduit.peers {
        Some(given) => (given.iter().map(|peer| peer.value).collect(), &given.at),
        None => (default(), &conduit.name.at),
    };
    let name = conduit.name.as_str();
    if peers.is_empty() {
        let message = format!("the conduit `{name}` allows nobody: it has no peers");
        let hint = "list the networks in `peers`, or give the zone's interfaces addresses";
        trouble.push(Diagnostic::error("no-peers", message).at(at.location()).hint(hint));
    }
    let places =
        |index: usize| conduit.peers.as_ref().and_then(|given| given.get(index)).map_or(at, |peer| &peer.at);
    for (index, peer) in peers.iter().enumerate() {
        if let Some(other) = peers[..index].iter().find(|other| other.overlaps(peer)) {
            let message = format!("the peers `{other}` and `{peer}` of the conduit `{name}` overlap");
            trouble.push(
                Diagnostic::error("overlapping-peers", message)
                    .at(places(index).location())
                    .hint("keep the wider one"),
            );
        }
        let problem = match tunnel {
            Some(tunnel) => outside(name, tunnel, peer, behind),
            None => {
                inside(name, peer, behind).or_else(|| unreachable(product, name, way.zone, peer, network))
            }
        };
        trouble.extend(problem.map(|problem| problem.at(places(index).location())));
    }
    peers
}

/// A peer that is not behind the tunnel would never be let through.
fn outside(name: &str, tunnel: &str, peer: &Prefix, behind: &Behind) -> Option<Diagnostic> {
    let networks = behind.get(tunnel)?;
    if networks.iter().any(|network| network.covers(peer)) {
        return None;
    }
    let list: Vec<String> = networks.iter().map(Prefix::to_string).collect();
    let message = format!("the peer `{peer}` of the conduit `{name}` is not behind the tunnel `{tunnel}`");
    let hint = format!("behind it is `{}`", list.join("`, `"));
    Some(Diagnostic::error("peers-outside-tunnel", message).hint(hint))
}

/// A peer behind some tunnel is never spoken to in clear: the tunnel's guard would drop it.
fn inside(name: &str, peer: &Prefix, behind: &Behind) -> Option<Diagnostic> {
    let mut tunnels: Vec<&&str> = behind
        .iter()
        .filter(|(_, networks)| networks.iter().any(|n| n.overlaps(peer)))
        .map(|(name, _)| name)
        .collect();
    tunnels.sort_unstable();
    let tunnel = tunnels.first()?;
    let message =
        format!("the conduit `{name}` passes in clear to `{peer}`, which is behind the tunnel `{tunnel}`");
    let hint = format!("write `tunnel: {tunnel}`, or leave its networks out of `peers`");
    Some(Diagnostic::error("peers-inside-tunnel", message).hint(hint))
}

/// A peer that no interface of the zone leads to.
fn unreachable(
    product: &Product,
    name: &str,
    zone: &str,
    peer: &Prefix,
    network: &NetworkFacts,
) -> Option<Diagnostic> {
    let interfaces = &network.zones.get(zone)?.interfaces;
    // Without any address of the zone there is nothing to compare with: `no-peers` or DHCP of a later day.
    let has_addresses = product
        .interfaces
        .iter()
        .any(|(name, i)| interfaces.iter().any(|of| of == name.as_str()) && !i.addresses.is_empty());
    if !has_addresses || reaching(&product.interfaces, interfaces, peer).is_some() {
        return None;
    }
    let message =
        format!("no interface of the zone `{zone}` reaches the peer `{peer}` of the conduit `{name}`");
    let hint = "expected a network of one of its interfaces, or an interface with a gateway";
    Some(Diagnostic::error("unreachable-peer", message).hint(hint))
}

/// Direction, interface, transport and port.
type Group = (String, String, String, u16);
/// Network, conduit and where that is written.
type Claim<'p> = (Prefix, String, &'p At);

/// Which packets belong to which conduit, to find two that claim the same.
#[derive(Default)]
pub struct Claims<'p> {
    groups: BTreeMap<Group, Vec<Claim<'p>>>,
}

impl<'p> Claims<'p> {
    /// Notes a flow.
    pub fn add(&mut self, flow: &Flow, peers: &[Prefix], at: &'p At) {
        for interface in &flow.interfaces {
            let key = (flow.direction.clone(), interface.clone(), flow.transport.clone(), flow.port);
            let group = self.groups.entry(key).or_default();
            group.extend(peers.iter().map(|peer| (*peer, flow.name.clone(), at)));
        }
    }

    /// Two conduits for the same packets: whose rate and whose log would hold could not be said.
    pub fn reject_overlaps(mut self, trouble: &mut Vec<Diagnostic>) {
        for ((direction, interface, transport, port), group) in &mut self.groups {
            group.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            // Sorted by start, two networks overlap only if a neighbour's wider one holds the next.
            let mut open: Option<&Claim> = None;
            for claim in group.iter() {
                if let Some(wider) = open.filter(|wider| wider.0.overlaps(&claim.0)) {
                    if wider.1 != claim.1 {
                        let way = if direction == "in" { "from" } else { "to" };
                        let message = format!(
                            "the conduits `{}` and `{}` allow the same packets: {transport}/{port} {way} `{}` by `{interface}`",
                            wider.1, claim.1, claim.0
                        );
                        trouble.push(
                            Diagnostic::error("overlapping-conduits", message)
                                .at(claim.2.location())
                                .note(format!("`{}` is here", wider.1), Some(wider.2.location()))
                                .hint("make one conduit of them, or give them different peers"),
                        );
                    }
                } else {
                    open = Some(claim);
                }
            }
        }
    }
}
