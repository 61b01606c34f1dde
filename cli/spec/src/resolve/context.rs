//! What templates see.

use serde_json::{Map as JsonMap, Value, json};

use super::accounts::Accounts;
use super::layers::Applied;
use super::{Everything, Fixed};
use super::{ends, opcua};
use crate::architecture::Architecture;
use crate::guid::guid;
use crate::plan::StoragePlan;
use crate::product::Product;
use crate::types::Scalar;

fn value(facts: &impl serde::Serialize) -> Value {
    // Facts hold only strings, numbers, lists and maps with string keys: this cannot fail.
    serde_json::to_value(facts).unwrap_or_default()
}

/// Facts that are known before any layer is asked.
pub fn fixed(
    product: &Product,
    fixed: &Fixed,
    layers: &[Applied],
    architecture: Architecture,
) -> Vec<(String, Value)> {
    let keys = |keys: &[crate::types::SshPublicKey]| -> Value { keys.iter().map(Scalar::to_json).collect() };
    let servers = product.time.as_ref().map_or_else(Vec::new, |time| {
        time.servers.iter().map(|s| json!({"address": s.address.to_json(), "nts": s.nts.0})).collect()
    });
    // Rules of the audit that a layer brings: they have to stand before the line that locks them.
    let rules = |l: &Applied| l.parameters.get("audit_rules").cloned().unwrap_or_else(|| json!([]));
    let auditors = layers.iter().any(|l| l.name == "auditors");
    let layers: Vec<Value> = layers
        .iter()
        .map(|l| json!({"name": l.name, "title": l.model.title.as_str(), "audit_rules": rules(l)}))
        .collect();
    vec![
        ("product".to_owned(), value(&fixed.product)),
        ("board".to_owned(), value(&fixed.board)),
        // Text, empty without one: a template asks for nothing that may be missing.
        (
            "report_port".to_owned(),
            fixed.board.qemu.as_ref().and_then(|qemu| qemu.report_port.clone()).unwrap_or_default().into(),
        ),
        (
            "spl".to_owned(),
            json!({
                "there": fixed.board.boot.spl.is_some(),
                "verifies": fixed.board.boot.spl.as_ref().is_some_and(|spl| spl.verifies),
            }),
        ),
        ("architecture".to_owned(), json!({"name": architecture.as_str(), "bits": architecture.bits()})),
        ("network".to_owned(), value(&fixed.network)),
        ("firewall".to_owned(), fixed.firewall.clone()),
        (
            "ends".to_owned(),
            json!({
                "strongswan": ends::items(&fixed.network, "strongswan"),
                "openvpn": ends::items(&fixed.network, "openvpn"),
                "wireguard": ends::items(&fixed.network, "wireguard"),
                "opcua": opcua::items(&fixed.network, None),
                "opcua-open62541": opcua::items(&fixed.network, Some("open62541")),
                "opcua-dotnet-standard": opcua::items(&fixed.network, Some("dotnet-standard")),
                "opcua-generic": opcua::items(&fixed.network, Some("generic")),
            }),
        ),
        ("signing".to_owned(), signing(fixed)),
        ("storage".to_owned(), storage(&fixed.storage)),
        (
            "uses_tpm".to_owned(),
            (fixed.signing.rollback_version.is_some() || fixed.storage.sealed.is_some()).into(),
        ),
        ("crash_memory".to_owned(), fixed.board.crash_memory.is_some().into()),
        // Who reads the records of events decides their folder's group.
        ("auditors".to_owned(), auditors.into()),
        ("nts_roots".to_owned(), fixed.nts_roots.clone().into()),
        ("updates".to_owned(), (fixed.storage.misc_bytes > 0).into()),
        (
            "partitions".to_owned(),
            ["root_a", "root_b"]
                .into_iter()
                .map(|name| (name.to_owned(), guid(&fixed.product.name, &fixed.board.name, name).into()))
                .collect::<JsonMap<String, Value>>()
                .into(),
        ),
        ("users".to_owned(), persons(product)),
        ("persons".to_owned(), person_names(product)),
        (
            "ssh".to_owned(),
            json!({"user_ca": product.ssh.as_ref().map_or(json!([]), |ssh| keys(&ssh.user_ca))}),
        ),
        ("time".to_owned(), json!({"servers": servers})),
        ("banner".to_owned(), product.banner.as_ref().map_or("", |banner| banner.as_str()).into()),
        ("layers".to_owned(), layers.into()),
    ]
}

/// With the rollback version also where there is none: templates may ask.
fn signing(fixed: &Fixed) -> Value {
    let mut facts = value(&fixed.signing);
    if let Value::Object(map) = &mut facts {
        map.insert("rollback_version".to_owned(), json!(fixed.signing.rollback_version));
    }
    facts
}

/// With the seal also where there is none, and what is reserved for what is kept.
pub(super) fn storage(plan: &StoragePlan) -> Value {
    let mut facts = value(plan);
    if let Value::Object(map) = &mut facts {
        map.insert("sealed".to_owned(), json!(plan.sealed));
        map.insert("kept".to_owned(), json!(plan.kept));
        map.insert("reserved".to_owned(), plan.reserved_percent().into());
    }
    facts
}

fn person_names(product: &Product) -> Value {
    let mut names: Vec<&str> = product.users.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.into()
}

/// Persons by name. Their accounts are in the plan; here is what a template needs of them.
fn persons(product: &Product) -> Value {
    let mut persons: Vec<_> = product.users.iter().collect();
    persons.sort_by_key(|(name, _)| name.as_str());
    persons
        .into_iter()
        .map(|(name, person)| {
            let home = person
                .home
                .as_ref()
                .map_or_else(|| format!("/home/{}", name.as_str()), |h| h.as_str().to_owned());
            json!({
                "name": name.as_str(),
                "uid": person.uid.0,
                "group": name.as_str(),
                "groups": person.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(),
                "home": home,
                "shell": person.shell.as_ref().map_or("/bin/sh", |shell| shell.as_str()),
                "comment": person.comment.as_ref().map_or("", |comment| comment.as_str()),
                "ssh_keys": person.ssh_keys.iter().map(Scalar::to_json).collect::<Vec<_>>(),
            })
        })
        .collect()
}

/// Facts that are known when every layer was asked.
pub fn resolved(
    asked: &Everything,
    accounts: &Accounts,
    layers: &[Applied],
    architecture: Architecture,
) -> Vec<(String, Value)> {
    let sysctl: JsonMap<String, Value> =
        asked.sysctl.map.iter().map(|(key, entry)| (key.clone(), entry.value.clone().into())).collect();
    let units: JsonMap<String, Value> =
        asked.units.map.iter().map(|(name, entry)| (name.clone(), value(&entry.value))).collect();
    let of_state = |state: &str| -> Value {
        units.iter().filter(|(_, is)| is.as_str() == Some(state)).map(|(name, _)| name.clone()).collect()
    };
    let unit_lists = json!({"enabled": of_state("enabled"), "disabled": of_state("disabled"), "masked": of_state("masked")});
    let users: JsonMap<String, Value> =
        accounts.users.map.iter().map(|(name, entry)| (name.clone(), value(&entry.value))).collect();
    let groups: JsonMap<String, Value> =
        accounts.groups.map.iter().map(|(name, entry)| (name.clone(), value(&entry.value))).collect();
    let mut checks: Vec<&str> = layers
        .iter()
        .flat_map(|l| {
            l.model
                .checks
                .iter()
                .filter(|c| architecture.is_of(&c.architectures))
                .map(|c| c.id.as_str())
                .chain(l.model.selfcheck.iter().map(|c| c.id.as_str()))
        })
        .collect();
    checks.sort_unstable();
    checks.dedup();
    let selfchecks: std::collections::BTreeSet<&str> =
        layers.iter().flat_map(|l| l.model.selfcheck.iter().map(|c| c.id.as_str())).collect();
    let cmdline: Vec<&str> = asked.cmdline.iter().map(|(argument, _)| argument.as_str()).collect();
    let packages: Vec<&String> = asked.packages.map.keys().collect();
    vec![
        ("sysctl".to_owned(), sysctl.into()),
        ("units".to_owned(), units.into()),
        ("unit_lists".to_owned(), unit_lists),
        ("accounts".to_owned(), users.into()),
        ("groups".to_owned(), groups.into()),
        ("checks".to_owned(), checks.into()),
        ("selfchecks".to_owned(), selfchecks.into_iter().collect::<Vec<_>>().into()),
        ("cmdline".to_owned(), cmdline.into()),
        ("packages".to_owned(), json!(packages)),
    ]
}
