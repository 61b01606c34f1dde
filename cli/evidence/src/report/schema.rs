//! The published JSON Schema of `report.json`.

use serde_json::{Value, json};

/// The schema (draft 2020-12). A test holds it against a real report.
#[must_use]
pub fn schema() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let hash = json!({"type": "string", "pattern": "^([0-9a-f]{64})?$"});
    let list = |items: Value| json!({"type": "array", "items": items});
    let or_null = |mut value: Value| {
        value["type"] = json!(["object", "null"]);
        value
    };
    let verdict =
        json!({"enum": ["pass", "fail", "waived", "not-applicable", "needs-operator", "could-not-run"]});
    let console = object(&[("ms", count.clone()), ("text", text.clone())], &[]);
    let part = object(
        &[
            ("id", text.clone()),
            ("verdict", verdict.clone()),
            ("expected", text.clone()),
            ("seen", text.clone()),
        ],
        &[("waiver", text.clone())],
    );
    let finding = object(
        &[
            ("check", text.clone()),
            ("title", text.clone()),
            ("layer", text.clone()),
            ("requirements", list(text.clone())),
            ("stage", json!({"enum": ["build", "static", "boot", "traffic", "attack"]})),
            ("verdict", verdict.clone()),
            ("expected", text.clone()),
            ("seen", text.clone()),
            ("artefact_sha256", hash.clone()),
            ("defined_at", text.clone()),
        ],
        &[("waiver", text.clone()), ("parts", list(part))],
    );
    let row = object(
        &[
            ("id", text.clone()),
            ("title", text.clone()),
            ("foundation", count.clone()),
            ("claim", json!({"enum": ["full", "partial", "supporting", "none"]})),
            ("status", json!({"enum": ["automated-met", "partial", "not-met", "manual", "no-evidence"]})),
            ("why", text.clone()),
            ("checks", list(text.clone())),
            ("not_looked_at", list(text.clone())),
            ("out_of_image", list(text.clone())),
        ],
        &[],
    );
    let matrix = or_null(object(
        &[
            ("standard", text.clone()),
            ("catalogue", text.clone()),
            ("component_type", json!({"enum": ["SAR", "EDR", "HDR", "NDR"]})),
            ("security_level", json!({"type": "integer", "minimum": 1, "maximum": 4})),
            ("foundations", list(json!({"type": "array", "prefixItems": [count, text]}))),
            ("rows", list(row)),
            ("unknown", list(text.clone())),
        ],
        &[],
    ));
    let link = object(
        &[
            ("title", text.clone()),
            ("facts", list(json!({"type": "array", "prefixItems": [text, text]}))),
            ("vouches", text.clone()),
            ("verdict", json!({"anyOf": [verdict, {"type": "null"}]})),
            ("checks", list(text.clone())),
        ],
        &[],
    );
    let attack = object(
        &[
            ("attack", text.clone()),
            ("title", text.clone()),
            ("requirements", list(text.clone())),
            ("mutation", text.clone()),
            ("expected_stage", text.clone()),
            ("expected_line", text.clone()),
            (
                "outcome",
                json!({"enum": ["refused", "without-effect", "control", "got-through", "inconclusive"]}),
            ),
            ("reason", text.clone()),
            ("proof", json!({"anyOf": [console, {"type": "null"}]})),
            ("evidence", list(console)),
            ("console_log", text.clone()),
            ("ms", count.clone()),
        ],
        &[],
    );
    let anything = json!({"type": ["object", "null"]});
    let mut schema = object(
        &[
            ("schema_version", json!({"const": 1})),
            ("generator", text.clone()),
            (
                "device",
                object(
                    &["product", "version", "description", "board", "target"].map(|k| (k, text.clone())),
                    &[],
                ),
            ),
            ("status", text.clone()),
            ("headline", text.clone()),
            ("totals", json!({"type": "object", "additionalProperties": count})),
            ("findings", list(finding)),
            ("matrix", matrix),
            ("chain", list(link)),
            ("network", anything.clone()),
            ("attacks", list(attack)),
            ("boot", anything.clone()),
            ("traffic", anything.clone()),
            ("threats", anything),
            ("effective", list(json!({"type": "object"}))),
            (
                "waivers",
                list(object(
                    &[
                        ("what", text.clone()),
                        ("reason", text.clone()),
                        ("by", text.clone()),
                        ("used", json!({"type": "boolean"})),
                    ],
                    &[],
                )),
            ),
            ("files", list(object(&[("name", text.clone()), ("bytes", count), ("sha256", hash)], &[]))),
            ("partitions", list(json!({"type": "object"}))),
            ("not_shown", list(text)),
        ],
        &[],
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Fastness report");
    schema
}

fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let properties: serde_json::Map<String, Value> =
        required.iter().chain(optional).map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, sample};

    /// As much of JSON Schema as the schema uses.
    fn check(schema: &Value, value: &Value, at: &str) {
        if let Some(any) = schema["anyOf"].as_array() {
            let fits = |one: &Value| {
                one["type"] == "null" && value.is_null()
                    || one["enum"].as_array().is_some_and(|e| e.contains(value))
            };
            assert!(any.iter().any(fits), "{at}: {value}");
            return;
        }
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(allowed.contains(value), "{at}: {value}");
        }
        if let Some(constant) = schema.get("const") {
            assert_eq!(constant, value, "{at}");
        }
        let types = schema.get("type").map(|t| t.as_array().cloned().unwrap_or_else(|| vec![t.clone()]));
        let own = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if let Some(types) = types {
            assert!(types.contains(&json!(own)), "{at}: {own}, expected {types:?}");
        }
        if let (Value::Object(map), Some(properties)) = (value, schema["properties"].as_object()) {
            for key in map.keys() {
                assert!(properties.contains_key(key), "{at}: the schema lacks `{key}`");
            }
            for key in schema["required"].as_array().unwrap() {
                assert!(map.contains_key(key.as_str().unwrap()), "{at}: the report lacks {key}");
            }
            for (key, value) in map {
                check(&properties[key], value, &format!("{at}.{key}"));
            }
        }
        if let (Value::Array(list), Some(items)) = (value, schema.get("items")) {
            for (index, value) in list.iter().enumerate() {
                check(items, value, &format!("{at}[{index}]"));
            }
        }
    }

    #[test]
    fn a_real_report_fits_the_schema_exactly() {
        let report = serde_json::to_value(Report::new(sample::input()).unwrap()).unwrap();
        check(&schema(), &report, "report");
        let input = super::super::ReportInput {
            plan: None,
            image: None,
            findings: vec![],
            boot: None,
            traffic: None,
            attacks: vec![],
        };
        check(&schema(), &serde_json::to_value(Report::new(input).unwrap()).unwrap(), "foreign");
    }
}
