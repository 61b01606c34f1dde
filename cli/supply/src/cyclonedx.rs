//! The bill as CycloneDX 1.6 (ECMA-424), JSON.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::licence::{self, Licence};
use crate::{Bill, Component, Kind};

/// Name space of our identifiers.
pub(crate) const SPACE: Uuid = Uuid::from_u128(0x2d0c_3a1f_77b5_5c8b_a5a5_0c6a_94be_13d2);

/// The document; the same bill gives the same bytes.
#[must_use]
pub fn document(bill: &Bill) -> Value {
    let serial =
        Uuid::new_v5(&SPACE, format!("{} {} {}", bill.product, bill.version, bill.disk_sha256).as_bytes());
    let device = "device";
    let inputs: Vec<Value> = bill
        .inputs
        .iter()
        .map(|(name, value)| json!({"name": format!("fastness:input:{name}"), "value": value}))
        .collect();
    let mut root = json!({
        "type": "firmware",
        "bom-ref": device,
        "name": bill.product,
        "version": bill.version,
        "properties": [
            {"name": "fastness:board", "value": bill.board},
            {"name": "fastness:backend", "value": bill.backend},
        ],
    });
    if !bill.disk_sha256.is_empty() {
        root["hashes"] = json!([{"alg": "SHA-256", "content": bill.disk_sha256}]);
    }
    let references: Vec<String> = bill.components.iter().map(reference).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": spec::time::rfc3339(bill.epoch),
            "tools": {"components": [{"type": "application", "name": "fastness", "version": tool_version(bill)}]},
            "component": root,
            "properties": inputs,
        },
        "components": bill.components.iter().map(component).collect::<Vec<_>>(),
        "dependencies": [{"ref": device, "dependsOn": references}],
    })
}

fn tool_version(bill: &Bill) -> &str {
    bill.generator.split_once(' ').map_or(&bill.generator, |(_, version)| version)
}

/// Unique in the document: no two components of one kind have one name.
fn reference(component: &Component) -> String {
    if component.purl.is_empty() { format!("file:{}", component.name) } else { component.purl.clone() }
}

fn component(component: &Component) -> Value {
    let kind = match component.kind {
        Kind::BootLoader | Kind::Firmware => "firmware",
        Kind::Kernel => "operating-system",
        Kind::Package => "library",
        Kind::File => "file",
    };
    let mut value = json!({"type": kind, "bom-ref": reference(component), "name": component.name});
    if !component.version.is_empty() {
        value["version"] = component.version.clone().into();
    }
    if !component.purl.is_empty() {
        value["purl"] = component.purl.clone().into();
    }
    if !component.sha256.is_empty() {
        value["hashes"] = json!([{"alg": "SHA-256", "content": component.sha256}]);
    }
    match licence::of(&component.licences) {
        Licence::Unknown => {}
        Licence::Expression(text) => value["licenses"] = json!([{"expression": text}]),
        Licence::Words(text) => value["licenses"] = json!([{"license": {"name": text}}]),
    }
    let mut properties = Vec::new();
    for (name, text) in [
        ("fastness:source", component.source.clone()),
        ("fastness:hash-of", component.hash_of.clone()),
        ("fastness:asked-by", component.asked_by.join(", ")),
    ] {
        if !text.is_empty() {
            properties.push(json!({"name": name, "value": text}));
        }
    }
    if !properties.is_empty() {
        value["properties"] = properties.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sample;

    #[test]
    fn every_component_is_there_once_and_the_device_depends_on_it() {
        let bill = sample::bill();
        let value = document(&bill);
        let references: BTreeSet<String> = value["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["bom-ref"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(references.len(), bill.components.len());
        let depends = value["dependencies"][0]["dependsOn"].as_array().unwrap();
        assert!(depends.iter().all(|reference| references.contains(reference.as_str().unwrap())));
        assert_eq!(value, document(&bill));
        assert_eq!(value["metadata"]["timestamp"], "2025-12-01T00:00:00Z");
    }

    #[test]
    fn another_image_has_another_serial_number() {
        let mut bill = sample::bill();
        let first = document(&bill)["serialNumber"].clone();
        bill.disk_sha256 = "f".repeat(64);
        assert_ne!(document(&bill)["serialNumber"], first);
    }
}
