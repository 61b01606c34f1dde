//! What differs between two plans, value by value; who asked and where is not a difference.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::changed_lines;
use crate::plan::{FilePlan, Plan};

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the plan: `linux.symbols`, `files`, `network.flows`, …
    pub area: String,
    /// Which: a symbol, a path, a name.
    pub key: String,
    /// Before; none: it is new.
    pub before: Option<String>,
    /// After; none: it is gone.
    pub after: Option<String>,
    /// Of a file that both have: the lines that changed, as `diff -u` shows them; bounded, and no secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// What differs between two plans, in the plan's order.
#[must_use]
pub fn diff(old_plan: &Plan, new_plan: &Plan) -> Vec<Change> {
    let (mut old, mut new) = (values(old_plan), values(new_plan));
    let mut keys: Vec<(String, String)> = old.keys().chain(new.keys()).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut changes = Vec::new();
    for (area, key) in keys {
        let key = (area, key);
        let (before, after) = (old.remove(&key), new.remove(&key));
        if before != after {
            let lines = changed_lines(&key.1, contents(old_plan, &key), contents(new_plan, &key));
            differences(&mut changes, key, before, after, lines);
        }
    }
    changes
}

/// Of a record that both plans have, what of it differs; of a list, what went and what came; else the whole value.
fn differences(
    changes: &mut Vec<Change>,
    (area, key): (String, String),
    before: Option<Value>,
    after: Option<Value>,
    lines: Vec<String>,
) {
    let mut push = |key: String, before: Option<Value>, after: Option<Value>, lines| {
        let area = area.clone();
        changes.push(Change { area, key, before: before.map(text), after: after.map(text), lines });
    };
    match (before, after) {
        (Some(Value::Object(mut old)), Some(Value::Object(mut new)))
            if is_record(&old) && is_record(&new) =>
        {
            let mut fields: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
            fields.sort_unstable();
            fields.dedup();
            for field in fields {
                let (before, after) = (old.remove(&field), new.remove(&field));
                if before != after {
                    push(format!("{key} {field}"), some(before), some(after), Vec::new());
                }
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new)))
            if old.iter().chain(&new).any(Value::is_object) =>
        {
            for item in old.iter().filter(|item| !new.contains(item)) {
                push(key.clone(), Some(item.clone()), None, Vec::new());
            }
            for item in new.iter().filter(|item| !old.contains(item)) {
                push(key.clone(), None, Some(item.clone()), Vec::new());
            }
            let moved =
                old.iter().all(|item| new.contains(item)) && new.iter().all(|item| old.contains(item));
            if moved {
                push(key, Some(Value::Array(old)), Some(Value::Array(new)), Vec::new());
            }
        }
        (before, after) => push(key, before, after, lines),
    }
}

/// Whether the fields speak for themselves; a file and what layers asked for is one value.
fn is_record(map: &Map<String, Value>) -> bool {
    !map.contains_key("origins") && map.get("kind").is_none_or(|kind| kind != "file")
}

/// A field that says nothing is one that is not there.
fn some(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

/// What a file of the image or one for others says.
fn contents<'a>(plan: &'a Plan, (area, key): &(String, String)) -> Option<&'a str> {
    match area.as_str() {
        "outside" => plan.outside.get(key).map(String::as_str),
        "files" => match plan.files.get(key).map(|asked| &asked.value) {
            Some(FilePlan::File { content, .. }) => Some(content),
            _ => None,
        },
        _ => None,
    }
}

/// The changed lines of a file that both plans have, where more than its mode and owner differs.
fn changed_lines(path: &str, before: Option<&str>, after: Option<&str>) -> Vec<String> {
    match (before, after) {
        (Some(before), Some(after)) if before != after => changed_lines::changed_lines(path, before, after),
        _ => Vec::new(),
    }
}

type Values = BTreeMap<(String, String), Value>;

fn values(plan: &Plan) -> Values {
    let mut out = Values::new();
    let Ok(Value::Object(map)) = serde_json::to_value(plan) else { return out };
    for (area, value) in map {
        walk(&area, value, &mut out);
    }
    for (path, content) in &plan.outside {
        let hash = format!("file sha256:{}", record::sha256_hex(content.as_bytes()));
        out.insert(("outside".to_owned(), path.clone()), Value::String(hash));
    }
    out
}

/// Every entry of a mapping is a value; mappings of mappings (`linux.symbols`) are areas.
fn walk(area: &str, value: Value, out: &mut Values) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Object(inner) if is_area(area, &key) => {
                        walk(&format!("{area}.{key}"), Value::Object(inner), out);
                    }
                    Value::Array(items)
                        if items.iter().all(|i| name_of(i).is_some()) && !items.is_empty() =>
                    {
                        walk(&format!("{area}.{key}"), Value::Array(items), out);
                    }
                    other => {
                        out.insert((area.to_owned(), key), bare(other));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let key = name_of(&item).unwrap_or_else(|| text(item.clone()));
                out.insert((area.to_owned(), key), bare(item));
            }
        }
        other => {
            out.insert((area.to_owned(), String::new()), bare(other));
        }
    }
}

fn is_area(area: &str, key: &str) -> bool {
    matches!(
        (area, key),
        ("uboot" | "linux", "symbols") | ("network", "zones" | "interfaces") | ("board", "boot" | "qemu")
    )
}

fn name_of(item: &Value) -> Option<String> {
    item.get("name").and_then(Value::as_str).map(str::to_owned)
}

/// Without who asked for it.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(mut map) if map.contains_key("origins") => {
            bare(map.remove("value").unwrap_or_default())
        }
        other => other,
    }
}

/// The value in words.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Object(map) if map.get("kind").is_some_and(|kind| kind == "file") => {
            let field = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
            let hash = record::sha256_hex(field("content").as_bytes());
            let (mode, owner, group) = (field("mode"), field("owner"), field("group"));
            format!("file {mode} {owner}:{group} sha256:{hash}")
        }
        Value::Object(mut map) => {
            map.retain(|_, value| !value.is_null());
            Value::Object(map).to_string()
        }
        Value::Null => "yes".to_owned(),
        other => other.to_string(),
    }
}
