//! JSON Schemas of [`super::Facts`] and [`super::compare::Comparison`].

use serde_json::{Map, Value, json};
use spec::differences::FactArea;

fn object(required: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        required.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

fn whole(title: &str, schema: Value) -> Value {
    let mut out = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title});
    if let (Value::Object(out), Value::Object(schema)) = (&mut out, schema) {
        out.extend(schema);
    }
    out
}

/// The schema of one image's facts.
#[must_use]
pub fn facts() -> Value {
    let text = json!({"type": "string"});
    let values = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let read = object(&[("state", json!({"const": "read"})), ("facts", values)]);
    let other = object(&[("state", json!({"enum": ["not-applicable", "not-read"]})), ("why", text.clone())]);
    let areas = json!({
        "type": "object",
        "propertyNames": {"enum": FactArea::WORDS},
        "additionalProperties": {"oneOf": [read, other]},
    });
    let schema = object(&[
        ("schema_version", json!({"const": 1})),
        ("name", text.clone()),
        ("kind", text),
        ("areas", areas),
    ]);
    whole("Fastness facts of an image", schema)
}

/// The schema of a comparison.
#[must_use]
pub fn comparison() -> Value {
    let text = json!({"type": "string"});
    let truth = json!({"type": "boolean"});
    let area = json!({"type": "string", "enum": FactArea::WORDS});
    let or_null = json!({"type": ["string", "null"]});
    let list = |items: Value| json!({"type": "array", "items": items});
    let side = object(&[("name", text.clone()), ("kind", text.clone())]);
    let difference =
        [("area", area.clone()), ("fact", text.clone()), ("before", or_null.clone()), ("after", or_null)];
    let explained = [difference.as_slice(), &[("reason", text.clone()), ("by", text.clone())]].concat();
    let count = object(&[("area", area.clone()), ("facts", json!({"type": "integer", "minimum": 0}))]);
    let not_compared = object(&[("area", area), ("why", text.clone())]);
    let unused = object(&[("what", text.clone()), ("reason", text.clone()), ("by", text)]);
    let schema = object(&[
        ("schema_version", json!({"const": 1})),
        ("same", truth.clone()),
        ("holds", truth),
        ("before", side.clone()),
        ("after", side),
        ("compared", list(count)),
        ("unexplained", list(object(&difference))),
        ("explained", list(object(&explained))),
        ("not_compared", list(not_compared)),
        ("unused", list(unused)),
    ]);
    whole("Fastness comparison of two images' facts", schema)
}
