//! The requirements as OSCAL assessment results (NIST OSCAL 1.1.2, JSON).
//!
//! One observation for each finding that serves a requirement, one finding for each requirement
//! that applies. `satisfied` is said only of what automated checks alone show. Identifiers are name-based
//! UUIDs (RFC 9562, version 5), so that the same evidence gives the same document.

use std::collections::BTreeMap;

use record::sha256_hex;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Compliance, Requirement};
use crate::requirements::Status;

/// The version of OSCAL that is written.
const OSCAL: &str = "1.1.2";
/// Name space of our identifiers.
const SPACE: Uuid = Uuid::from_u128(0x6f1c_2b52_6a55_5d0e_9c1b_3a0e_44d0_7f21);

/// The document. `when` is the date of the assessment as RFC 3339, such as `2026-11-24T00:00:00Z`.
#[must_use]
pub fn document(compliance: &Compliance, when: &str) -> Value {
    // All that is told, but for the date: other content needs another identifier (OSCAL, "uuid" of a document).
    let told = sha256_hex(&serde_json::to_vec(compliance).unwrap_or_default());
    let id = |name: &str| Uuid::new_v5(&SPACE, format!("{told}\n{when}\n{name}").as_bytes()).to_string();
    let mut observations: BTreeMap<&str, Value> = BTreeMap::new();
    for (item, _) in compliance.applying() {
        for shown in &item.evidence {
            observations.entry(&shown.check).or_insert_with(|| {
                let mut value = json!({
                    "uuid": id(&format!("observation {}", shown.check)),
                    "title": shown.check,
                    "description": plain(&shown.title),
                    "methods": [if shown.kind == "static" { "EXAMINE" } else { "TEST" }],
                    "types": ["finding"],
                    "collected": when,
                    "props": [
                        {"name": "verdict", "ns": "urn:fastness", "value": word(&shown.verdict)},
                        {"name": "kind", "ns": "urn:fastness", "value": shown.kind_words()}
                    ],
                    "remarks": plain(&format!("expected {}; seen {}", shown.expected, shown.seen)),
                });
                if !shown.artefact_sha256.is_empty() {
                    value["relevant-evidence"] = json!([{
                        "href": format!("#{}", id("report")),
                        "description": format!("seen in the artefact with SHA-256 {}", shown.artefact_sha256),
                    }]);
                }
                value
            });
        }
    }
    let findings: Vec<Value> =
        compliance.applying().map(|(item, status)| finding(item, status, &id)).collect();
    let controls: Vec<Value> =
        compliance.applying().map(|(item, _)| json!({"control-id": token(&item.id)})).collect();
    let mut result = json!({
        "uuid": id("result"),
        "title": format!("{} at security level {}", compliance.component_type, compliance.level),
        "description": compliance.disclaimer,
        "start": when,
        "reviewed-controls": {"control-selections": [{"include-controls": controls}]},
        "findings": findings,
    });
    if !observations.is_empty() {
        result["observations"] = observations.into_values().collect();
    }
    json!({"assessment-results": {
        "uuid": id("document"),
        "metadata": {
            "title": format!("{}: {}", compliance.device, compliance.standard),
            "last-modified": when,
            "version": compliance.generator,
            "oscal-version": OSCAL,
        },
        "import-ap": {"href": format!("#{}", id("plan")), "remarks": "the checks of the product's plan"},
        "results": [result],
        "back-matter": {"resources": [
            {"uuid": id("plan"), "title": "plan.json, in the output folder", "rlinks": [{"href": "plan.json"}]},
            {"uuid": id("report"), "title": "report.json, in the output folder", "rlinks": [{"href": "report.json"}]},
        ]},
    }})
}

fn finding(item: &Requirement, status: Status, id: &impl Fn(&str) -> String) -> Value {
    let state = if status == Status::AutomatedMet { "satisfied" } else { "not-satisfied" };
    let reason = match status {
        Status::AutomatedMet => "pass",
        Status::NotMet => "fail",
        _ => "other",
    };
    let mut value = json!({
        "uuid": id(&format!("finding {}", item.id)),
        "title": format!("{} {}", item.id, item.title),
        "description": plain(&item.paraphrase),
        "target": {
            "type": "objective-id",
            "target-id": token(&item.id),
            "status": {"state": state, "reason": reason, "remarks": plain(&format!("{}: {}", status.words(), item.why))},
        },
    });
    let prop = |name: &str, value: &str, remarks: &str| json!({"name": name, "ns": "urn:fastness", "value": plain(value), "remarks": plain(remarks)});
    let left = item.out_of_image.iter().map(|share| prop("left-to", share.owner.words(), &share.what));
    let provided = item.provided_by.iter();
    let provided =
        provided.map(|one| prop("provided-by", &format!("layer {}", one.layer), &super::provided_words(one)));
    let props: Vec<Value> = left.chain(provided).collect();
    if !props.is_empty() {
        value["props"] = props.into();
    }
    let related: Vec<Value> = item
        .evidence
        .iter()
        .map(|shown| json!({"observation-uuid": id(&format!("observation {}", shown.check))}))
        .collect();
    if !related.is_empty() {
        value["related-observations"] = related.into();
    }
    value
}

/// Text that is not empty and has no line ends, as OSCAL wants its strings, and nothing that steers who shows it.
fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".to_owned() } else { diag::clean(&text) }
}

/// A serialized word.
fn word(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// An id as an OSCAL token: `CR 1.1 RE(1)` is `cr-1.1-re.1`.
fn token(id: &str) -> String {
    id.to_lowercase().replace(' ', "-").replace('(', ".").replace(')', "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::comply::tests::made;

    #[test]
    fn ids_are_tokens_and_every_reference_leads_somewhere() {
        assert_eq!(token("CR 1.1 RE(1)"), "cr-1.1-re.1");
        let value = document(&made(2), "2026-11-24T00:00:00Z");
        let result = &value["assessment-results"]["results"][0];
        let ids: BTreeSet<&str> =
            result["observations"].as_array().unwrap().iter().map(|o| o["uuid"].as_str().unwrap()).collect();
        let findings = result["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 67);
        for finding in findings {
            for related in finding["related-observations"].as_array().into_iter().flatten() {
                assert!(ids.contains(related["observation-uuid"].as_str().unwrap()), "{related}");
            }
        }
        assert_eq!(value, document(&made(2), "2026-11-24T00:00:00Z"));
    }

    #[test]
    fn what_tells_something_else_has_other_identifiers() {
        let when = "2026-11-24T00:00:00Z";
        let ids = |value: &Value| {
            let results = &value["assessment-results"];
            [&results["uuid"], &results["results"][0]["uuid"], &results["results"][0]["findings"][0]["uuid"]]
                .map(|id| id.as_str().unwrap().to_owned())
        };
        let made = made(2);
        let first = ids(&document(&made, when));
        assert_eq!(first, ids(&document(&made, when)));
        let mut kind = made.clone();
        kind.component_type = "EDR".to_owned();
        let mut seen = made.clone();
        let item = seen.requirements.iter_mut().find(|item| !item.evidence.is_empty()).unwrap();
        item.evidence[0].seen.push_str(" later");
        let later = ids(&document(&made, "2026-11-25T00:00:00Z"));
        for other in [ids(&document(&kind, when)), ids(&document(&seen, when)), later] {
            assert!(first.iter().zip(&other).all(|(a, b)| a != b), "{first:?} {other:?}");
        }
    }

    #[test]
    fn text_of_an_image_steers_nobody_who_shows_it() {
        assert_eq!(plain("a\u{1b}[2J\n b\u{202e}"), "a\u{fffd}[2J b\u{fffd}");
        assert_eq!(plain(" \n"), "-");
    }

    #[test]
    fn only_what_checks_alone_show_is_satisfied() {
        let made = made(2);
        let value = document(&made, "2026-11-24T00:00:00Z");
        let satisfied = value.to_string().matches("\"state\":\"satisfied\"").count();
        assert_eq!(satisfied, made.count(Status::AutomatedMet));
    }
}
