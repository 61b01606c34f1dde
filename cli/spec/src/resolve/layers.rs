//! Which layers apply, in which order, with which parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, Outcome};
use serde_json::{Map as JsonMap, Value};

use super::references::unknown_layer;
use super::{sealed, tpm_keys};
use crate::decode::{Decoder, suggestion};
use crate::layer::Layer;
use crate::library::{Area, Library, read_model};
use crate::parameter;
use crate::product::{DEFAULT_LAYERS, Product, TunnelKind};
use crate::source::{At, Source};

/// Layers that a product's tunnels switch on.
const TUNNEL_LAYERS: [(TunnelKind, &str); 3] = [
    (TunnelKind::Strongswan, "ipsec"),
    (TunnelKind::Openvpn, "openvpn"),
    (TunnelKind::Wireguard, "wireguard"),
];

/// The layer that a product's OPC UA applications switch on.
const OPCUA_LAYER: &str = "opcua";

/// The layer that a product's collector switches on, and the one that makes the records.
const FORWARD_LAYER: &str = "forward";
const EVENTS_LAYER: &str = "events";

/// The layer that a product's OCSP responder switches on.
const OCSP_LAYER: &str = "ocsp";

/// The layer that a product's signature algorithm switches on.
const ECDSA_LAYER: &str = "ecdsa";

/// The layer that a product's rollback version switches on.
const ROLLBACK_LAYER: &str = "rollback";

/// The layer that a sealed data partition switches on.
const MEASURED_BOOT_LAYER: &str = "measured-boot";

/// The layer that a key in the TPM switches on, and those that let a kind of tunnel sign by it.
const TPM_KEYS_LAYER: &str = "tpm-keys";
const TPM_SIGNER_LAYERS: [(TunnelKind, &str); 2] =
    [(TunnelKind::Strongswan, "ipsec-tpm"), (TunnelKind::Openvpn, "openvpn-tpm")];

/// A layer that applies.
pub struct Applied {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub model: Layer,
    /// Its parameters.
    pub parameters: JsonMap<String, Value>,
    /// Whether the product's own folder has it.
    pub own: bool,
}

impl Applied {
    /// As origins name it.
    pub fn who(&self) -> String {
        format!("layer {}", self.name)
    }
}

/// Whether the firewall lets echo requests in.
pub fn answers_ping(layers: &[Applied]) -> bool {
    let firewall = layers.iter().find(|layer| layer.name == "firewall");
    firewall.is_some_and(|layer| layer.parameters.get("ping") == Some(&Value::Bool(true)))
}

/// Whether a layer records what a panicking kernel left in the board's memory.
pub fn reads_crash_memory(layers: &[Applied]) -> bool {
    layers.iter().any(|layer| layer.name == "events")
}

/// The layer that erases the data partition.
const RESET_LAYER: &str = "factory-reset";

/// A factory reset erases the data partition: a product that keeps secrets elsewhere cannot have it, since it would promise more than it does.
fn reset_reaches_everything(
    product: &Product,
    loaded: &BTreeMap<String, Applied>,
    trouble: &mut Vec<Diagnostic>,
) {
    let Some((name, _)) = product.layers.iter().find(|(name, _)| name.as_str() == RESET_LAYER) else {
        return;
    };
    let elsewhere = [
        (MEASURED_BOOT_LAYER, "the key of the sealed data partition is the TPM's"),
        (TPM_KEYS_LAYER, "the key of its tunnels is in the TPM"),
    ];
    for (layer, what) in elsewhere.into_iter().filter(|(layer, _)| loaded.contains_key(*layer)) {
        let message =
            format!("the layer `{RESET_LAYER}` erases the data partition, and {what} (layer `{layer}`)");
        trouble.push(
            Diagnostic::error("reset-of-tpm", message)
                .at(name.at.location())
                .hint("take one of the two away: nothing takes a key out of the TPM"),
        );
    }
}

/// The layers of a product, each after those it needs.
pub fn choose(
    library: &Library,
    product: &Product,
    product_source: &Arc<Source>,
    trouble: &mut Vec<Diagnostic>,
) -> Outcome<Vec<Applied>> {
    let mut loaded = BTreeMap::new();
    let mut order = Vec::new();
    // A layer that is there but wrong is reported for what is wrong with it, not as missing.
    let mut present = BTreeSet::new();
    for (name, at) in wanted(library, product, trouble)? {
        let Some(source) = library.read(Area::Layers, &format!("{name}/layer.yaml"))? else {
            trouble.push(unknown_layer(library, &name, &at)?);
            continue;
        };
        present.insert(name.clone());
        if let Some(model) = read_model::<Layer>(&source, trouble) {
            let parameters = parameters(&name, &model, &source, product, product_source, trouble);
            let own = library.read_own(Area::Layers, &format!("{name}/layer.yaml"))?.is_some();
            order.push(name.clone());
            loaded.insert(name.clone(), Applied { name, model, parameters, own });
        }
    }
    reject_unmet_needs(&loaded, &present, trouble);
    reset_reaches_everything(product, &loaded, trouble);
    Ok(in_order(&order, loaded, trouble))
}

/// Names of the layers with the place that asks for them.
fn wanted(library: &Library, product: &Product, trouble: &mut Vec<Diagnostic>) -> Outcome<Vec<(String, At)>> {
    let mut without = BTreeMap::new();
    for left_out in &product.without {
        let name = left_out.layer.as_str();
        if !DEFAULT_LAYERS.contains(&name) {
            let known = library.names(Area::Layers)?.contains(name);
            let why = if known { "is not on by itself" } else { "does not exist" };
            let message = format!("expected a default layer to leave out, found `{name}`, which {why}");
            let hint = suggestion(name, DEFAULT_LAYERS);
            trouble.push(
                Diagnostic::error("unknown-layer", message).at(left_out.layer.at.location()).hint(hint),
            );
        }
        if let Some(first) = without.insert(name, &left_out.layer.at) {
            trouble.push(
                Diagnostic::error("duplicate-name", format!("the layer `{name}` is left out twice"))
                    .at(left_out.layer.at.location())
                    .note("the first time is here", Some(first.location())),
            );
        }
    }
    let mut wanted: Vec<(String, At)> = Vec::new();
    for name in DEFAULT_LAYERS.iter().filter(|name| !without.contains_key(**name)) {
        wanted.push(((*name).to_owned(), product.name.at.clone()));
    }
    for (kind, layer) in TUNNEL_LAYERS {
        let tunnel = product.tunnels.iter().find(|(_, tunnel)| tunnel.kind.value == kind);
        wanted.extend(tunnel.map(|(name, _)| (layer.to_owned(), name.at.clone())));
        let unused =
            product.layers.iter().find(|(name, _)| name.as_str() == layer).filter(|_| tunnel.is_none());
        if let Some((name, _)) = unused {
            let message = format!(
                "the layer `{layer}` is for tunnels of `{}`, and the product has none",
                kind.as_str()
            );
            let hint = "describe the tunnel below `tunnels`; the layer is then on by itself";
            trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
        }
    }
    opcua_layer(product, &mut wanted, trouble);
    forward_layer(product, &mut wanted, trouble);
    ocsp_layer(product, &mut wanted, trouble);
    let others = product.signing.iter().flat_map(|signing| &signing.also_trusts);
    let mut algorithms = product
        .signing
        .iter()
        .filter_map(|signing| signing.algorithm.as_ref())
        .chain(others.filter_map(|trusted| trusted.algorithm.as_ref()));
    let ecdsa = algorithms.find(|algorithm| algorithm.as_str().contains(",ecdsa"));
    wanted.extend(ecdsa.map(|algorithm| (ECDSA_LAYER.to_owned(), algorithm.at.clone())));
    rollback_layer(product, &mut wanted, trouble);
    measured_boot_layer(product, &mut wanted, trouble);
    tpm_keys_layer(product, &mut wanted, trouble);
    for (name, _) in product.layers.iter() {
        let text = name.as_str();
        if let Some(at) = without.get(text) {
            trouble.push(
                Diagnostic::error("conflict", format!("the layer `{text}` has parameters and is left out"))
                    .at(name.at.location())
                    .note("it is left out here", Some(at.location()))
                    .hint("take one of the two away"),
            );
        } else if let Some(default) = wanted.iter_mut().find(|(wanted, _)| wanted == text) {
            default.1 = name.at.clone();
        } else {
            wanted.push((text.to_owned(), name.at.clone()));
        }
    }
    Ok(wanted)
}

/// The product's OPC UA applications switch their layer on.
fn opcua_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    let application = product.opcua.iter().next();
    wanted.extend(application.map(|(name, _)| (OPCUA_LAYER.to_owned(), name.at.clone())));
    let named = product.layers.iter().find(|(name, _)| name.as_str() == OPCUA_LAYER);
    if let (None, Some((name, _))) = (application, named) {
        let message =
            format!("the layer `{OPCUA_LAYER}` is for OPC UA applications, and the product has none");
        let hint = "describe the application below `opcua`; the layer is then on by itself";
        trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
    }
}

/// A collector switches on what makes records and what sends them.
fn forward_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    if let Some(logging) = &product.logging {
        let at = &logging.collector.at;
        wanted.extend([EVENTS_LAYER, FORWARD_LAYER].map(|layer| (layer.to_owned(), at.clone())));
    } else if let Some((name, _)) = product.layers.iter().find(|(name, _)| name.as_str() == FORWARD_LAYER) {
        let message = format!("the layer `{FORWARD_LAYER}` is for a collector, and the product names none");
        let hint = "name it below `logging`; the layer is then on by itself";
        trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
    }
}

/// A responder switches on what asks it.
fn ocsp_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    if let Some(ocsp) = &product.ocsp {
        // Without a tunnel that asks it is an error of its own.
        if product.tunnels.iter().any(|(_, tunnel)| tunnel.kind.value == TunnelKind::Strongswan) {
            wanted.push((OCSP_LAYER.to_owned(), ocsp.at.clone()));
        }
    } else if let Some((name, _)) = product.layers.iter().find(|(name, _)| name.as_str() == OCSP_LAYER) {
        let message = format!("the layer `{OCSP_LAYER}` is for a responder, and the product names none");
        let hint = "name it as `ocsp: {address: …, service: …}`; the layer is then on by itself";
        trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
    }
}

/// The product's rollback version switches its layer on.
fn rollback_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    let version = product.signing.as_ref().and_then(|signing| signing.rollback_version.as_ref());
    wanted.extend(version.map(|version| (ROLLBACK_LAYER.to_owned(), version.at.clone())));
    let named = product.layers.iter().find(|(name, _)| name.as_str() == ROLLBACK_LAYER);
    if let (None, Some((name, _))) = (version, named) {
        let message =
            format!("the layer `{ROLLBACK_LAYER}` wants a rollback version, and the product has none");
        let hint = "add `signing: {rollback_version: 1}`; the layer is then on by itself";
        trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
    }
}

/// A sealed data partition switches its layer on.
fn measured_boot_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    let sealed = sealed::asked(product);
    wanted.extend(sealed.map(|sealed| (MEASURED_BOOT_LAYER.to_owned(), sealed.recovery.at.clone())));
    let named = product.layers.iter().find(|(name, _)| name.as_str() == MEASURED_BOOT_LAYER);
    if let (None, Some((name, _))) = (sealed, named) {
        let message = format!(
            "the layer `{MEASURED_BOOT_LAYER}` seals the data partition, and the product does not ask for it"
        );
        let hint = "add `storage: {sealed: {recovery: FILE}}`; the layer is then on by itself";
        trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
    }
}

/// A key in the TPM switches on what makes it there, and what signs by it.
fn tpm_keys_layer(product: &Product, wanted: &mut Vec<(String, At)>, trouble: &mut Vec<Diagnostic>) {
    let signers = TPM_SIGNER_LAYERS.map(|(kind, layer)| (layer, tpm_keys::asked_for(product, kind)));
    for (layer, key) in [(TPM_KEYS_LAYER, tpm_keys::asked(product))].into_iter().chain(signers) {
        wanted.extend(key.map(|key| (layer.to_owned(), key.at.clone())));
        let named = product.layers.iter().find(|(name, _)| name.as_str() == layer);
        if let (None, Some((name, _))) = (key, named) {
            let message = format!(
                "the layer `{layer}` is for tunnels whose key is in the TPM, and the product has none"
            );
            let hint = "add `local: {key: tpm}` to the tunnel; the layer is then on by itself";
            trouble.push(Diagnostic::error("unused-layer", message).at(name.at.location()).hint(hint));
        }
    }
}

fn parameters(
    name: &str,
    layer: &Layer,
    layer_source: &Arc<Source>,
    product: &Product,
    product_source: &Arc<Source>,
    trouble: &mut Vec<Diagnostic>,
) -> JsonMap<String, Value> {
    let given = product.layers.iter().find(|(layer, _)| layer.as_str() == name);
    let mut from_product = Decoder::new(Arc::clone(product_source));
    let mut from_layer = Decoder::new(Arc::clone(layer_source));
    let mut out = JsonMap::new();
    for (key, declared) in layer.parameters.iter() {
        let ask = given.and_then(|(_, map)| map.iter().find(|(given, _)| given.as_str() == key.as_str()));
        // The default is read even when it is not used, so that a wrong one is found.
        let default =
            declared.default.as_ref().map(|raw| parameter::value(declared, &raw.0, &mut from_layer));
        let value = match (ask, default) {
            (Some((_, raw)), _) => parameter::value(declared, &raw.0, &mut from_product),
            (None, Some(default)) => default,
            (None, None) => {
                let at = given.map_or(&product.name.at, |(name, _)| &name.at);
                let kind = declared.r#type.as_str();
                let message = format!(
                    "expected the parameter `{key}` ({kind}) of the layer `{name}`, found none",
                    key = key.as_str()
                );
                let hint =
                    format!("add `layers: {{{name}: {{{}: …}}}}` ({})", key.as_str(), declared.description.0);
                trouble.push(Diagnostic::error("missing-parameter", message).at(at.location()).hint(hint));
                None
            }
        };
        if let Some(value) = value {
            out.insert(key.as_str().to_owned(), value);
        }
    }
    for (key, _) in given.into_iter().flat_map(|(_, map)| map.iter()) {
        let known = layer.parameters.iter().map(|(name, _)| name.as_str());
        if !known.clone().any(|name| name == key.as_str()) {
            let message = format!("the layer `{name}` has no parameter `{}`", key.as_str());
            let hint = suggestion(key.as_str(), known);
            trouble.push(Diagnostic::error("unknown-parameter", message).at(key.at.location()).hint(hint));
        }
    }
    trouble.append(&mut from_product.diagnostics);
    trouble.append(&mut from_layer.diagnostics);
    out
}

fn reject_unmet_needs(
    loaded: &BTreeMap<String, Applied>,
    present: &BTreeSet<String>,
    trouble: &mut Vec<Diagnostic>,
) {
    for layer in loaded.values() {
        for need in layer.model.needs.iter().filter(|need| !present.contains(need.as_str())) {
            let message = format!(
                "the layer `{}` needs the layer `{}`, which is not applied",
                layer.name,
                need.as_str()
            );
            let hint =
                format!("add `{}:` to the product's `layers`, or leave `{}` out", need.as_str(), layer.name);
            trouble.push(Diagnostic::error("unmet-need", message).at(need.at.location()).hint(hint));
        }
    }
}

/// Each layer after those it needs, otherwise in the order asked; a circle is an error.
fn in_order(
    order: &[String],
    mut loaded: BTreeMap<String, Applied>,
    trouble: &mut Vec<Diagnostic>,
) -> Vec<Applied> {
    let mut sorted = Vec::new();
    let mut done = BTreeSet::new();
    let mut waiting: Vec<&String> = order.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|name| {
            let ready = loaded.get(*name).is_none_or(|layer| {
                // A need that is not applied was reported already.
                layer
                    .model
                    .needs
                    .iter()
                    .all(|need| done.contains(need.as_str()) || !order.iter().any(|n| n == need.as_str()))
            });
            if ready && done.insert((*name).clone()) {
                sorted.push((*name).clone());
            }
            !ready
        });
        if waiting.len() == before {
            let names: Vec<&str> = waiting.iter().map(|name| name.as_str()).collect();
            let message = format!("the layers `{}` need each other in a circle", names.join("`, `"));
            let at = loaded
                .get(names[0])
                .and_then(|layer| layer.model.needs.first())
                .map(|need| need.at.location());
            let mut diagnostic = Diagnostic::error("unmet-need", message).hint("take one `needs` away");
            diagnostic.location = at;
            trouble.push(diagnostic);
            break;
        }
    }
    sorted.iter().filter_map(|name| loaded.remove(name)).collect()
}
