//! The bill as SPDX 2.3 (ISO/IEC 5962), JSON.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cyclonedx::SPACE;
use crate::licence::{self, Licence};
use crate::{Bill, Component, Kind};

/// The document; the same bill gives the same bytes.
#[must_use]
pub fn document(bill: &Bill) -> Value {
    let id = Uuid::new_v5(
        &SPACE,
        format!("spdx {} {} {}", bill.product, bill.version, bill.disk_sha256).as_bytes(),
    );
    let mut extracted = Vec::new();
    let mut packages = vec![root(bill)];
    let mut relations = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-device"
    })];
    for (index, component) in bill.components.iter().enumerate() {
        let reference = reference(index, component);
        relations.push(json!({
            "spdxElementId": "SPDXRef-device", "relationshipType": "CONTAINS", "relatedSpdxElement": reference
        }));
        packages.push(package(component, &reference, &mut extracted));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}-{}", bill.product, bill.version, bill.board),
        "documentNamespace": format!("urn:uuid:{id}"),
        "creationInfo": {
            "created": spec::time::rfc3339(bill.epoch),
            "creators": [format!("Tool: {}", bill.generator.replacen(' ', "-", 1))],
        },
        "packages": packages,
        "relationships": relations,
    });
    if !extracted.is_empty() {
        document["hasExtractedLicensingInfos"] = extracted.into();
    }
    document
}

fn root(bill: &Bill) -> Value {
    let inputs: Vec<String> = bill.inputs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut value = json!({
        "SPDXID": "SPDXRef-device",
        "name": bill.product,
        "versionInfo": bill.version,
        "primaryPackagePurpose": "FIRMWARE",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "comment": format!("board {}, backend {}; inputs of the build: {}", bill.board, bill.backend, inputs.join("; ")),
    });
    if !bill.disk_sha256.is_empty() {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": bill.disk_sha256}]);
    }
    value
}

/// Ids of SPDX have letters, digits, dots and hyphens only (SPDX 2.3, 7.2): the number keeps them apart.
fn reference(index: usize, component: &Component) -> String {
    let clean: String = component
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' })
        .collect();
    format!("SPDXRef-{index}-{clean}")
}

fn package(component: &Component, reference: &str, extracted: &mut Vec<Value>) -> Value {
    let licence = match licence::of(&component.licences) {
        Licence::Unknown => "NOASSERTION".to_owned(),
        Licence::Expression(text) => {
            for word in text
                .split(|c: char| c.is_whitespace() || "()".contains(c))
                .filter(|w| w.starts_with("LicenseRef-"))
            {
                add(extracted, word, word.trim_start_matches("LicenseRef-"));
            }
            text
        }
        Licence::Words(text) => {
            let id = format!("LicenseRef-{reference}").replace("SPDXRef-", "");
            add(extracted, &id, &text);
            id
        }
    };
    let purpose = match component.kind {
        Kind::BootLoader | Kind::Firmware => "FIRMWARE",
        Kind::Kernel => "OPERATING-SYSTEM",
        Kind::Package => "LIBRARY",
        // A file of SPDX's own kind must have a SHA-1 (SPDX 2.3, 8.4), which says nothing any more.
        Kind::File => "FILE",
    };
    let mut value = json!({
        "SPDXID": reference,
        "name": component.name,
        "primaryPackagePurpose": purpose,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
    });
    if !component.purl.is_empty() {
        value["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component.purl
        }]);
    }
    if !component.version.is_empty() {
        value["versionInfo"] = component.version.clone().into();
    }
    if !component.sha256.is_empty() {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": component.sha256}]);
        value["packageFileName"] = component.hash_of.clone().into();
    }
    if !component.source.is_empty() {
        value["sourceInfo"] = format!("built from {}", component.source).into();
    }
    value
}

fn add(extracted: &mut Vec<Value>, id: &str, text: &str) {
    if !extracted.iter().any(|known| known["licenseId"] == id) {
        extracted.push(json!({"licenseId": id, "extractedText": text}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_component_is_a_package_of_the_device_with_a_name_of_its_own() {
        let bill = sample::bill();
        let value = document(&bill);
        let packages = value["packages"].as_array().unwrap();
        assert_eq!(packages.len(), bill.components.len() + 1);
        let mut ids: Vec<&str> = packages.iter().map(|p| p["SPDXID"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), packages.len());
        for id in ids {
            assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{id}");
        }
        assert_eq!(value["relationships"].as_array().unwrap().len(), packages.len());
        assert_eq!(value, document(&bill));
    }

    #[test]
    fn words_that_are_no_expression_are_kept_beside_the_document() {
        let value = document(&sample::bill());
        let text = value.to_string();
        assert!(text.contains("\"licenseDeclared\":\"GPL-2.0-or-later AND MIT\""), "{text}");
        assert!(text.contains("GPL-2.0+ (programs)") && text.contains("\"NOASSERTION\""), "{text}");
        for licence in value["hasExtractedLicensingInfos"].as_array().unwrap() {
            assert!(text.contains(&format!("\"licenseDeclared\":{}", licence["licenseId"])), "{licence}");
        }
    }
}
