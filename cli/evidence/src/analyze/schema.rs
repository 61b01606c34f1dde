//! JSON Schemas of [`super::model::Analysis`] and [`super::compare::Comparison`].

use serde_json::{Map, Value, json};

use super::model::{Area, Level};
use super::strength::WORDS;

fn object(all: &[(&str, Value)], optional: &[&str]) -> Value {
    let properties: Map<String, Value> =
        all.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let required: Vec<&str> =
        all.iter().map(|(name, _)| *name).filter(|name| !optional.contains(name)).collect();
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

fn text() -> Value {
    json!({"type": "string"})
}

fn truth() -> Value {
    json!({"type": "boolean"})
}

fn number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn number_or_null() -> Value {
    json!({"type": ["integer", "null"], "minimum": 0})
}

fn word() -> Value {
    let mut words = WORDS.to_vec();
    words.push("unknown");
    json!({"enum": words})
}

fn level() -> Value {
    json!({"enum": Level::ALL.map(Level::word)})
}

fn area() -> Value {
    json!({"enum": Area::ALL.map(Area::word)})
}

/// The schema of an analysis.
#[must_use]
pub fn analysis() -> Value {
    let place = object(&[("path", text()), ("seen", text())], &[]);
    let issue = object(
        &[
            ("rule", text()),
            ("area", area()),
            ("level", level()),
            ("title", text()),
            ("advice", text()),
            ("places", list(place)),
        ],
        &[],
    );
    let counts = json!({
        "type": "object",
        "propertyNames": level(),
        "additionalProperties": {"type": "integer", "minimum": 1},
    });
    let strength = object(
        &[("area", area()), ("word", word()), ("looked_at", number()), ("of", text()), ("issues", counts)],
        &[],
    );
    let schema = object(
        &[
            ("schema_version", json!({"const": 1})),
            ("generator", text()),
            ("name", text()),
            ("sha256", json!({"type": "string", "pattern": "^([0-9a-f]{64})?$"})),
            ("at", number_or_null()),
            ("word", word()),
            ("strength", list(strength)),
            ("issues", list(issue)),
            ("parts", list(part())),
            ("components", list(component())),
            ("programs", list(program())),
            ("accounts", list(account())),
            ("keys", list(key())),
            ("privileged", list(privileged())),
            ("services", list(object(&[("name", text()), ("at", text()), ("how", text())], &[]))),
            ("units", list(unit())),
            ("kernels", list(kernel())),
            ("boot_loaders", list(boot_loader())),
        ],
        &[],
    );
    whole("Fastness analysis of a firmware image", schema)
}

fn part() -> Value {
    object(&[("at", text()), ("bytes", number()), ("kind", text()), ("read", truth())], &["bytes"])
}

fn component() -> Value {
    object(
        &[("name", text()), ("version", text()), ("source", text()), ("by", text()), ("at", text())],
        &["source"],
    )
}

fn program() -> Value {
    object(
        &[
            ("path", text()),
            ("kind", json!({"enum": ["program", "static program", "library", "module", "other"]})),
            ("machine", text()),
            ("pie", truth()),
            ("relro", json!({"enum": ["none", "partial", "full"]})),
            ("nx", truth()),
            ("separate", truth()),
            ("canary", json!({"enum": ["yes", "no", "unknown"]})),
            ("fortify", json!({"enum": ["none", "partial", "full", "not-applicable", "unknown"]})),
            ("rpath", list(text())),
            ("branch", list(json!({"enum": ["bti", "pac", "ibt", "shstk"]}))),
            ("stripped", truth()),
            ("risky", list(text())),
        ],
        &[],
    )
}

fn account() -> Value {
    object(
        &[
            ("name", text()),
            ("uid", number_or_null()),
            ("shell", text()),
            ("password", text()),
            ("tried", text()),
        ],
        &[],
    )
}

fn key() -> Value {
    object(
        &[
            ("path", text()),
            ("kind", text()),
            ("algorithm", text()),
            ("fingerprint", json!({"type": "string", "pattern": "^([0-9a-f]{64})?$"})),
            ("name", text()),
            ("not_after", number()),
        ],
        &["name", "not_after"],
    )
}

fn privileged() -> Value {
    object(&[("path", text()), ("mode", text()), ("owner", text()), ("capabilities", list(text()))], &[])
}

fn unit() -> Value {
    let missing = json!({
        "type": "array",
        "prefixItems": [text(), number()],
        "items": false,
        "minItems": 2,
    });
    object(
        &[
            ("name", text()),
            ("exposure", json!({"type": "integer", "minimum": 0, "maximum": 100})),
            ("word", json!({"enum": ["perfect", "safe", "ok", "medium", "exposed", "unsafe", "dangerous"]})),
            ("long_running", truth()),
            ("missing", list(missing)),
        ],
        &[],
    )
}

fn kernel() -> Value {
    object(
        &[
            ("at", text()),
            ("version", text()),
            ("configuration", text()),
            ("cmdline", text()),
            ("rows_held", number()),
            ("rows", number()),
        ],
        &["cmdline"],
    )
}

fn boot_loader() -> Value {
    let settings = json!({"type": "object", "additionalProperties": text()});
    object(&[("at", text()), ("version", text()), ("keys", list(text())), ("settings", settings)], &[])
}

/// The schema of a comparison of two analyses.
#[must_use]
pub fn comparison() -> Value {
    let changed = object(
        &[("level", level()), ("rule", text()), ("title", text()), ("path", text()), ("seen", text())],
        &[],
    );
    let or_null = json!({"type": ["string", "null"]});
    let moved = object(&[("name", text()), ("before", or_null.clone()), ("after", or_null)], &[]);
    let schema = object(
        &[
            ("schema_version", json!({"const": 1})),
            ("before", text()),
            ("after", text()),
            ("weaker", list(changed.clone())),
            ("better", list(changed.clone())),
            ("not_seen", list(changed)),
            ("strength", list(moved.clone())),
            ("components", list(moved.clone())),
            ("units", list(moved.clone())),
            ("services", list(moved)),
        ],
        &[],
    );
    whole("Fastness comparison of two analyses", schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{compare, sample};

    /// Every key of a value is in the schema, and every required one in the value.
    fn suits(schema: &Value, value: &Value, at: &str) {
        match value {
            Value::Object(map) => {
                let Some(properties) = schema["properties"].as_object() else { return };
                for (name, inner) in map {
                    let schema =
                        properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the schema"));
                    suits(schema, inner, &format!("{at}.{name}"));
                }
                for name in schema["required"].as_array().into_iter().flatten() {
                    assert!(map.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
                }
            }
            Value::Array(items) => items.iter().for_each(|item| suits(&schema["items"], item, at)),
            scalar => {
                if let Some(words) = schema["enum"].as_array() {
                    assert!(words.contains(scalar), "{at}: {scalar}");
                }
            }
        }
    }

    #[test]
    fn values_suit_their_schemas() {
        let analyses = serde_json::to_value(sample::analysis()).unwrap();
        suits(&analysis(), &analyses, "analysis");
        let compared = compare::compare(&sample::analysis(), &sample::analysis());
        suits(&comparison(), &serde_json::to_value(compared).unwrap(), "comparison");
        // And back: an analysis that was kept can be compared with a new one.
        let back: crate::analyze::model::Analysis = serde_json::from_value(analyses).unwrap();
        assert_eq!(back, sample::analysis());
    }
}
