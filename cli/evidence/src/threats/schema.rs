//! JSON Schemas of [`super::ThreatReport`] and [`super::compare::ThreatComparison`].

use serde_json::{Map, Value, json};
use spec::threats::{Bound, EntryKind, Need, Risk, Stride};

fn object(all: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        all.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let required: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn whole(title: &str, schema: Value) -> Value {
    let mut out = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title});
    if let (Value::Object(out), Value::Object(schema)) = (&mut out, schema) {
        out.extend(schema);
    }
    out
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn status() -> Value {
    json!({"enum": ["part", "open", "accepted", "left-to", "answered"]})
}

/// The schema of a threat model.
#[must_use]
pub fn report() -> Value {
    let text = || json!({"type": "string"});
    let truth = || json!({"type": "boolean"});
    let words = |words: &[&str]| json!({"enum": words});
    let states = ["passed", "planned", "not-looked", "waived", "not-applicable", "failed", "absent"];
    let accepted = || or_null(object(&[("reason", text()), ("by", text())]));
    let check = object(&[
        ("check", text()),
        ("state", words(&states)),
        ("layer", text()),
        ("requirements", list(text())),
    ]);
    let control = object(&[
        ("title", text()),
        ("counts", truth()),
        ("proven", truth()),
        ("checks", list(check.clone())),
        ("proofs", list(check)),
        ("bounds", list(words(Bound::WORDS))),
        ("exceeded", list(text())),
    ]);
    let threat = object(&[
        ("id", text()),
        ("entry", text()),
        ("at", words(EntryKind::WORDS)),
        ("title", text()),
        ("stride", words(Stride::WORDS)),
        ("assets", list(text())),
        ("status", status()),
        ("proven", truth()),
        ("why", text()),
        ("risk", words(Risk::WORDS)),
        ("remaining", words(Risk::WORDS)),
        ("remaining_why", text()),
        ("controls", list(control.clone())),
        ("lessened_by", list(control)),
        ("accepted", accepted()),
    ]);
    let entry = object(&[
        ("name", text()),
        ("kind", words(EntryKind::WORDS)),
        ("title", text()),
        ("zone", or_null(text())),
        ("attributes", json!({"type": "object", "additionalProperties": {"type": "string"}})),
        ("accepted", accepted()),
    ]);
    let asset = object(&[
        ("name", text()),
        ("title", text()),
        ("needs", list(words(Need::WORDS))),
        ("reason", text()),
    ]);
    let totals = json!({
        "type": "object",
        "propertyNames": status(),
        "additionalProperties": {"type": "integer", "minimum": 0},
    });
    let schema = object(&[
        ("schema_version", json!({"const": 1})),
        ("generator", text()),
        ("device", text()),
        ("plan_sha256", text()),
        ("security_level", json!({"type": "integer", "minimum": 1, "maximum": 4})),
        ("looked_at_findings", truth()),
        ("totals", totals),
        ("assets", list(asset)),
        ("entries", list(entry)),
        ("threats", list(threat)),
        ("not_needed", list(text())),
        ("disclaimer", text()),
    ]);
    whole("Fastness threat model", schema)
}

/// The schema of a comparison of two threat models.
#[must_use]
pub fn comparison() -> Value {
    let text = || json!({"type": "string"});
    let changed = object(&[
        ("threat", text()),
        ("title", text()),
        ("change", json!({"enum": ["lost", "new", "gained", "gone"]})),
        ("before", or_null(status())),
        ("after", or_null(status())),
        ("lost", list(text())),
        ("why", text()),
    ]);
    let schema = object(&[
        ("schema_version", json!({"const": 1})),
        ("before", text()),
        ("after", text()),
        ("holds", json!({"type": "boolean"})),
        ("lowered", or_null(text())),
        ("changed", list(changed)),
    ]);
    whole("Fastness comparison of two threat models", schema)
}
