//! Where somebody gets at the device: entry points, derived from the plan alone.
//!
//! What the plan does not name is no entry point: that nothing else answers is the firewall's to show, and one of the
//! threats at each link.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::plan::{AcceptedRisk, Flow, Plan};
use spec::protocol::Protocols;
use spec::threats::{EntryKind, Match, Threat};

use super::bounds;

/// A place where somebody gets at the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, unique within its kind: of a conduit, an interface, a tunnel, a person, or the kind itself.
    pub name: String,
    /// Its kind ([`EntryKind`]'s words).
    pub kind: String,
    /// What it is, in a line.
    pub title: String,
    /// Zone of whoever is there; none: whoever has the device in his hands, or builds it.
    pub zone: Option<String>,
    /// What a threat's `matches` and a control's `bounds` look at.
    pub attributes: BTreeMap<String, String>,
    /// Who took the risk of this conduit, and why: the product's `accepted_risk`.
    pub accepted: Option<Accepted>,
}

/// A risk that somebody took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Why.
    pub reason: String,
    /// Who, where.
    pub by: String,
}

impl From<&AcceptedRisk> for Accepted {
    fn from(risk: &AcceptedRisk) -> Self {
        Self { reason: risk.reason.clone(), by: risk.by.clone() }
    }
}

impl Entry {
    /// Whether it has that threat.
    #[must_use]
    pub fn has(&self, threat: &Threat) -> bool {
        threat.at.as_str() == self.kind && self.is_meant(threat.matches.as_ref())
    }

    /// Whether a threat or a control is meant for it.
    #[must_use]
    pub fn is_meant(&self, by: Option<&Match>) -> bool {
        let Some(by) = by else { return true };
        let word = |name: &str| self.attributes.get(name).map_or("", String::as_str);
        let lists = by.lists();
        let mut lists = lists.iter().filter(|(_, list)| !list.is_empty());
        lists.all(|(name, list)| list.iter().any(|one| one.as_str() == word(name)))
            && !by.but_protocol.iter().any(|one| one.as_str() == word("protocol"))
    }
}

/// The plan's entry points, by kind in the order of [`EntryKind::WORDS`], then by name.
#[must_use]
pub fn of(plan: &Plan, protocols: &Protocols) -> Vec<Entry> {
    let mut entries = of_the_device(plan);
    let network = &plan.network;
    for (name, facts) in &network.interfaces {
        let title = format!("{name}, {}", facts.addresses.join(", "));
        entries.push(entry(EntryKind::Link, name, title, Some(&facts.zone)));
    }
    entries.extend(network.flows.iter().map(|flow| of_flow(plan, protocols, flow)));
    for frames in &network.frames {
        let title = format!("{} ({}) on {}", frames.protocol, frames.ethertype, frames.interfaces.join(", "));
        entries.push(Entry {
            accepted: frames.accepted_risk.as_ref().map(Accepted::from),
            ..entry(EntryKind::Frames, &frames.name, title, Some(&frames.zone))
                .with("protocol", &frames.protocol)
        });
    }
    for (name, tunnel) in &network.tunnels {
        let title = format!("{} to {} ({})", tunnel.kind, tunnel.peer_name, tunnel.peer_address);
        entries.push(entry(EntryKind::Tunnel, name, title, Some(&tunnel.zone)).with("kind", &tunnel.kind));
    }
    for (name, opcua) in &network.opcua {
        let title = format!("{} with {} on port {}", opcua.role, opcua.stack, opcua.port);
        let made = entry(EntryKind::Opcua, name, title, None);
        entries.push(made.with("kind", &opcua.stack).with("role", &opcua.role));
    }
    let order = |kind: &str| EntryKind::WORDS.iter().position(|word| *word == kind);
    entries.sort_by(|a, b| order(&a.kind).cmp(&order(&b.kind)).then_with(|| a.name.cmp(&b.name)));
    entries
}

/// What every device has, and its accounts.
fn of_the_device(plan: &Plan) -> Vec<Entry> {
    let one = |kind: EntryKind, title: String| entry(kind, kind.as_str(), title, None);
    let mut entries = vec![
        one(EntryKind::Disk, "boot image and root file system".to_owned()),
        one(EntryKind::BootFlash, plan.board.root_of_trust.clone()),
        one(EntryKind::Console, plan.board.console.clone()),
        one(EntryKind::Hardware, plan.board.title.clone()),
        one(EntryKind::Update, "the image on its way to the device".to_owned()),
        one(EntryKind::Build, format!("backend {}", plan.backend)),
    ];
    if plan.storage.data_bytes > 0 {
        entries
            .push(one(EntryKind::Data, format!("data partition of {} MiB", plan.storage.data_bytes >> 20)));
    }
    if plan.network.surface.iter().any(|surface| surface.conduit.is_some()) {
        entries.push(one(EntryKind::Program, "whatever takes what comes from a network".to_owned()));
    }
    for (name, user) in plan.users.iter().filter(|(_, user)| user.value.person) {
        let title = match user.value.ssh_keys.len() {
            1 => "a person with one key".to_owned(),
            keys => format!("a person with {keys} keys"),
        };
        let groups = bounds::of_user(&user.value);
        entries.push(entry(EntryKind::Login, name, title, None).with("groups", &groups));
    }
    entries
}

fn of_flow(plan: &Plan, protocols: &Protocols, flow: &Flow) -> Entry {
    let kind = if flow.direction == "in" { EntryKind::Service } else { EntryKind::Client };
    // A product may name only transport and port: what is registered for them is the best that is known.
    let by_port = protocols.iter().find(|(_, protocol)| {
        protocol.endpoints.iter().any(|endpoint| {
            endpoint.transport.as_str() == flow.transport
                && endpoint.port.as_ref().is_some_and(|port| port.0 == flow.port)
        })
    });
    let (protocol, security, how) = match (&flow.protocol, by_port) {
        (Some(name), _) => (name.as_str(), flow.security.as_str(), ""),
        (None, Some((name, protocol))) => (name.as_str(), protocol.security.as_str(), " by its port"),
        (None, None) => ("unknown", "unknown", ""),
    };
    let tunnel = flow.tunnel.as_ref().and_then(|name| plan.network.tunnels.get(name));
    let path = if flow.tunnel.is_some() { "tunnel" } else { "clear" };
    let through = flow.tunnel.as_ref().map(|name| format!(" through the tunnel {name}")).unwrap_or_default();
    let title = format!("{protocol}{how}, {}/{}{through}", flow.transport, flow.port);
    let made = entry(kind, &flow.name, title, Some(&flow.zone))
        .with("protocol", protocol)
        .with("security", security)
        .with("transport", &flow.transport)
        .with("path", path);
    let made = bounds::of_flow(flow).iter().fold(made, |made, (bound, given)| made.with(bound, given));
    let made = match tunnel {
        Some(tunnel) => {
            let name = flow.tunnel.as_deref().unwrap_or_default();
            made.with("kind", &tunnel.kind).with("tunnel", name)
        }
        None => made,
    };
    Entry { accepted: flow.accepted_risk.as_ref().map(Accepted::from), ..made }
}

fn entry(kind: EntryKind, name: &str, title: String, zone: Option<&String>) -> Entry {
    Entry {
        name: name.to_owned(),
        kind: kind.as_str().to_owned(),
        title,
        zone: zone.cloned(),
        attributes: BTreeMap::new(),
        accepted: None,
    }
}

impl Entry {
    fn with(mut self, attribute: &str, word: &str) -> Self {
        self.attributes.insert(attribute.to_owned(), word.to_owned());
        self
    }
}
