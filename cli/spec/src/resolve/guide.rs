//! What the security guide of an image tells beside what every template sees: the templates' fact `guide`.
//!
//! Texts that not everything has are empty here instead of missing, so that a template may ask for them.

use std::collections::BTreeSet;

use diag::Outcome;
use serde_json::{Map as JsonMap, Value, json};

use super::accounts::Accounts;
use super::layers::Applied;
use super::{Fixed, Resolver};
use crate::library::Area;
use crate::plan::Flow;

/// What a person does when a self-check fails and its layer says nothing of its own.
const WITHOUT_ADVICE: &str = "Take the device out of service until what was seen is explained.";

/// The fact.
///
/// # Errors
/// The names of the layers cannot be listed.
pub fn facts(resolver: &Resolver<'_>, fixed: &Fixed, layers: &[Applied]) -> Outcome<Value> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (known, accounts) = (resolver.library.names(Area::Layers)?, &resolver.accounts);
    Ok(json!({
        "debug_ports": text(&fixed.board.debug_ports),
        "tamper": text(&fixed.board.tamper),
        "trust": fixed.board.trust.is_some(),
        "on": on(layers, &known),
        "with": layers.iter().map(|layer| (key(&layer.name), layer.parameters.clone().into()))
            .collect::<JsonMap<String, Value>>(),
        "layers": layers.iter().map(|layer| json!({
            "name": layer.name,
            "title": layer.model.title.as_str(),
            "description": layer.model.description.0,
        })).collect::<Vec<_>>(),
        "flows": fixed.network.flows.iter().map(flow).collect::<Vec<_>>(),
        "accounts": of_accounts(accounts),
        "roles": roles(layers, accounts),
        "self_checks": self_checks(layers),
        "waivers": waivers(resolver, layers),
    }))
}

/// A layer's name as a template can write it behind a dot.
fn key(layer: &str) -> String {
    layer.replace('-', "_")
}

/// Whether each layer applies.
fn on(layers: &[Applied], known: &BTreeSet<String>) -> JsonMap<String, Value> {
    let applied: BTreeSet<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    known.iter().map(|name| (key(name), applied.contains(name.as_str()).into())).collect()
}

fn flow(flow: &Flow) -> Value {
    let peers: Vec<&String> = flow.peers_v4.iter().chain(&flow.peers_v6).collect();
    json!({
        "name": flow.name,
        "direction": flow.direction,
        "transport": flow.transport,
        "port": flow.port,
        "zone": flow.zone,
        "service": flow.service,
        "interfaces": flow.interfaces,
        "peers": peers,
        "rate": flow.rate,
        "connections": flow.connections,
        "protocol": flow.protocol.as_deref().unwrap_or_default(),
        "security": flow.security,
        "tunnel": flow.tunnel.as_deref().unwrap_or_default(),
        "risk": flow.accepted_risk.as_ref().map_or_else(String::new, |risk| format!("{} ({})", risk.reason, risk.by)),
        "reason": flow.reason,
    })
}

/// Every account that the plan makes; of a key its kind and its comment, which say whose it is.
fn of_accounts(accounts: &Accounts) -> Vec<Value> {
    let key = |line: &String| {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        match words.skip(1).collect::<Vec<_>>().join(" ") {
            comment if comment.is_empty() => kind.to_owned(),
            comment => format!("{kind}, {comment}"),
        }
    };
    accounts
        .users
        .map
        .iter()
        .map(|(name, entry)| {
            let user = &entry.value;
            let why = entry.askers.first().map_or("", |asker| asker.reason.as_str());
            json!({
                "name": name,
                "uid": user.uid,
                "person": user.person,
                "comment": user.comment,
                "groups": user.groups,
                "home": user.home,
                "shell": user.shell,
                "keys": user.ssh_keys.iter().map(key).collect::<Vec<_>>(),
                "why": why,
            })
        })
        .collect()
}

/// The groups of the layers: what a member may do, and who is one.
fn roles(layers: &[Applied], accounts: &Accounts) -> Vec<Value> {
    let members = |group: &str| -> Vec<&String> {
        let users = accounts.users.map.iter();
        users.filter(|(_, user)| user.value.groups.iter().any(|g| g == group)).map(|(name, _)| name).collect()
    };
    layers
        .iter()
        .flat_map(|layer| &layer.model.groups)
        .map(|ask| {
            let name = ask.name.as_str();
            json!({"name": name, "reason": ask.reason.0, "members": members(name)})
        })
        .collect()
}

/// Every self-check, by its id.
fn self_checks(layers: &[Applied]) -> Vec<Value> {
    let mut all: Vec<_> = layers
        .iter()
        .flat_map(|layer| layer.model.selfcheck.iter().map(move |ask| (ask.id.as_str(), layer, ask)))
        .collect();
    all.sort_by_key(|(id, ..)| *id);
    all.into_iter()
        .map(|(id, layer, ask)| {
            json!({
                "id": id,
                "title": ask.title.as_str(),
                "layer": layer.name,
                "on_fail": ask.on_fail.as_ref().map_or(WITHOUT_ADVICE, |advice| &advice.0),
            })
        })
        .collect()
}

/// What may stay unmet on this architecture: the product's first, the backend's last. Those of the backend alone are asked by now.
fn waivers(resolver: &Resolver<'_>, layers: &[Applied]) -> Vec<Value> {
    let entry =
        |waives: &str, who: &str, reason: &str| json!({"waives": waives, "who": who, "reason": reason});
    let own = resolver.product.waivers.iter().map(|waiver| ("product".to_owned(), waiver));
    let all = own.chain(layers.iter().flat_map(|layer| layer.model.waivers.iter().map(|w| (layer.who(), w))));
    let of_backend = resolver.asked.waivers.map.iter();
    all.filter(|(_, waiver)| resolver.architecture.is_of(&waiver.architectures))
        .map(|(who, waiver)| entry(waiver.waives.as_str(), &who, &waiver.reason.0))
        .chain(of_backend.flat_map(|(waives, asked)| {
            asked.askers.iter().map(move |asker| entry(waives, &asker.who, &asker.reason))
        }))
        .collect()
}
