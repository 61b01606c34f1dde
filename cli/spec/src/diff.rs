//! What differs between two plans, value by value; who asked and where is not a difference.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::changed_lines::changed_lines;
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
    keys.into_iter()
        .filter_map(|key| {
            let (before, after) = (old.remove(&key), new.remove(&key));
            (before != after).then(|| {
                let lines =
                    if key.0 == "files" { file_lines(old_plan, new_plan, &key.1) } else { Vec::new() };
                Change { area: key.0, key: key.1, before, after, lines }
            })
        })
        .collect()
}

/// The changed lines of a file that both plans have, where more than its mode and owner differs.
fn file_lines(before: &Plan, after: &Plan, path: &str) -> Vec<String> {
    let content = |plan: &Plan| match plan.files.get(path).map(|asked| &asked.value) {
        Some(FilePlan::File { content, .. }) => Some(content.clone()),
        _ => None,
    };
    match (content(before), content(after)) {
        (Some(before), Some(after)) if before != after => changed_lines(path, &before, &after),
        _ => Vec::new(),
    }
}

type Values = BTreeMap<(String, String), String>;

fn values(plan: &Plan) -> Values {
    let mut out = Values::new();
    let Ok(Value::Object(map)) = serde_json::to_value(plan) else { return out };
    for (area, value) in map {
        walk(&area, value, &mut out);
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
                        out.insert((area.to_owned(), key), text(other));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let key = name_of(&item).unwrap_or_else(|| text(item.clone()));
                out.insert((area.to_owned(), key), text(item));
            }
        }
        other => {
            out.insert((area.to_owned(), String::new()), text(other));
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

/// The value in words, without its origins.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Object(mut map) if map.contains_key("origins") => {
            text(map.remove("value").unwrap_or_default())
        }
        Value::Object(map) if map.get("kind").is_some_and(|kind| kind == "file") => {
            let field = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
            let hash = record::sha256_hex(field("content").as_bytes());
            let (mode, owner, group) = (field("mode"), field("owner"), field("group"));
            format!("file {mode} {owner}:{group} sha256:{hash}")
        }
        Value::Null => "yes".to_owned(),
        other => other.to_string(),
    }
}
