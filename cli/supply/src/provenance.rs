//! Where an image came from: an in-toto statement with SLSA's provenance, and the evidence that goes with it.
//!
//! Says what the records say, and claims no level of SLSA: who builds on a desk can say anything of it.

use std::path::Path;

use diag::Outcome;
use record::{ImageRecord, Role, sha256_file};
use serde_json::{Map, Value, json};
use spec::plan::Plan;

use crate::{Bill, Kind};

/// Media type of a statement. Source: in-toto Attestation Framework 1.0, "Envelope".
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Type of a statement. Source: the same, "Statement".
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Type of the predicate. Source: SLSA 1.0, "Provenance".
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What `externalParameters` mean: the description is docs/evidence.md.
pub const BUILD_TYPE: &str = "urn:fastness:build:1";
/// Who built, when nobody says it.
pub const LOCAL_BUILDER: &str = "urn:fastness:builder:local";

/// The files that the statement is about: what is put on a device.
pub const SUBJECTS: [Role; 4] = [Role::Disk, Role::Fit, Role::RootfsVerity, Role::Uboot];

/// The evidence, relative to the output folder; the second: there is no evidence without it.
pub const EVIDENCE: [(&str, bool); 14] = [
    ("artefacts.json", true),
    ("attacks.json", false),
    ("attacks/disk.sha256", false),
    ("boot.json", false),
    ("findings.json", true),
    ("image.json", true),
    ("plan.json", true),
    ("report.html", true),
    ("report.json", true),
    ("report.junit.xml", true),
    ("report.sarif", true),
    ("sbom.cdx.json", true),
    ("sbom.spdx.json", true),
    ("traffic.json", false),
];

/// The statement over what is in the folder; the same files give the same value.
///
/// # Errors
/// When a file of the evidence is missing or cannot be read.
pub fn statement(
    plan: &Plan,
    image: &ImageRecord,
    bill: &Bill,
    folder: &Path,
    builder: &str,
) -> Outcome<Value> {
    let subjects = SUBJECTS.iter().filter_map(|role| image.files.get(role));
    let subjects: Vec<Value> =
        subjects.map(|file| described(&file.path.to_string_lossy(), &file.sha256)).collect();
    let mut byproducts = Vec::new();
    for (name, required) in EVIDENCE {
        let path = folder.join(name);
        if required || path.exists() {
            byproducts.push(described(name, &sha256_file(&path)?.0));
        }
    }
    let (mut dependencies, mut tools) = (Vec::new(), Map::new());
    for component in bill.components.iter().filter(|component| component.kind == Kind::Package) {
        let mut value = json!({"name": component.name, "uri": component.purl});
        if !component.sha256.is_empty() {
            value["digest"] = json!({"sha256": component.sha256});
        }
        dependencies.push(value);
    }
    for (name, text) in &bill.inputs {
        match digest(text) {
            Some((algorithm, hash)) => dependencies
                .push(json!({"name": name, "digest": {algorithm: hash}, "annotations": {"recorded": text}})),
            None => {
                tools.insert(name.clone(), text.clone().into());
            }
        }
    }
    let version = bill.generator.split_once(' ').map_or("", |(_, version)| version);
    Ok(json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "product": plan.product.name,
                    "version": plan.product.version,
                    "board": plan.board.name,
                    "backend": bill.backend,
                    "plan": {"sha256": plan.sha256()},
                },
                "internalParameters": {
                    "sourceDateEpoch": plan.product.epoch,
                    "bootKey": {
                        "name": image.key_name,
                        "sha256": image.key_fingerprint,
                        "algorithm": image.algorithm,
                        "mark": image.key_mark,
                    },
                    "tools": tools,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": builder, "version": {"fastness": version}},
                "byproducts": byproducts,
            },
        },
    }))
}

fn described(name: &str, sha256: &str) -> Value {
    json!({"name": name, "digest": {"sha256": sha256}})
}

/// The hash in a recorded input: SHA-256, or the commit of git. Source: in-toto, "DigestSet".
fn digest(text: &str) -> Option<(&'static str, &str)> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).find_map(|word| {
        match word.len() {
            64 => Some(("sha256", word)),
            40 => Some(("gitCommit", word)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_commits_are_found_in_recorded_inputs() {
        let (hash, commit) = ("a1".repeat(32), "0f".repeat(20));
        assert_eq!(digest(&format!("linux.tar.xz sha256:{hash}")), Some(("sha256", hash.as_str())));
        assert_eq!(digest(&commit), Some(("gitCommit", commit.as_str())));
        assert_eq!(digest("gcc (Debian 14.2.0-19) 14.2.0"), None);
        assert_eq!(digest(&"A".repeat(64)), None);
    }

    #[test]
    fn the_evidence_is_listed_in_order() {
        assert!(EVIDENCE.is_sorted());
    }
}
