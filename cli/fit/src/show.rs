//! A FIT or control FDT as text for people.

use std::time::Duration;

use rsa::pkcs8::der::DateTime;
use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::fdt::{Blocks, Node, Tree};
use crate::key::{Hash, hex};

/// The tree, one line a node or property; large values as size and SHA-256.
///
/// # Errors
/// When the blob is no device tree.
pub fn show(blob: &[u8]) -> Result<String, FitError> {
    let tree = Tree::parse(blob)?;
    let mut out = String::new();
    for (address, size) in &tree.reserved {
        out.push_str(&format!("/memreserve/ {address:#x} {size:#x}\n"));
    }
    node(&tree.root, 0, &mut out);
    Ok(out)
}

/// A tree as data for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTree {
    /// Reserved memory: address and size in bytes.
    pub reserved: Vec<(u64, u64)>,
    /// The root.
    pub root: ShownNode,
}

/// A node as data for JSON: the same values as [`show`] prints, large ones as size and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownNode {
    /// Name; `/` for the root.
    pub name: String,
    /// Properties in order.
    pub properties: Vec<ShownProperty>,
    /// Children in order.
    pub children: Vec<ShownNode>,
}

/// A property as data for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownProperty {
    /// Name.
    pub name: String,
    /// Size of the value in bytes.
    pub bytes: usize,
    /// The value.
    pub value: ShownValue,
}

/// A value as what it looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShownValue {
    /// Nothing: the name alone says it.
    Empty,
    /// Strings.
    Text(Vec<String>),
    /// One number of 32 bits.
    Cell(u32),
    /// A time stamp, of UTC.
    Time(String),
    /// Anything else, hexadecimal.
    Hex(String),
    /// SHA-256 of a value of more than 512 bytes, or of a device tree.
    Sha256(String),
}

/// The tree as data for JSON.
///
/// # Errors
/// When the blob is no device tree.
pub fn shown_tree(blob: &[u8]) -> Result<ShownTree, FitError> {
    let tree = Tree::parse(blob)?;
    Ok(ShownTree { root: shown_node(&tree.root), reserved: tree.reserved })
}

fn shown_node(node: &Node<'_>) -> ShownNode {
    let property = |(name, value): &(String, std::borrow::Cow<'_, [u8]>)| ShownProperty {
        name: name.clone(),
        bytes: value.len(),
        value: shown(name, value),
    };
    ShownNode {
        name: if node.name.is_empty() { "/".to_owned() } else { node.name.clone() },
        properties: node.properties.iter().map(property).collect(),
        children: node.children.iter().map(shown_node).collect(),
    }
}

fn node(current: &Node<'_>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let name = if current.name.is_empty() { "/" } else { &current.name };
    out.push_str(&format!("{indent}{}\n", name.escape_debug()));
    for (name, value) in &current.properties {
        out.push_str(&format!("{indent}  {} = {}\n", name.escape_debug(), line(name, value)));
    }
    for child in &current.children {
        node(child, depth + 1, out);
    }
}

fn shown(name: &str, value: &[u8]) -> ShownValue {
    if value.is_empty() {
        return ShownValue::Empty;
    }
    if value.len() > 512 || Blocks::open(value).is_ok() {
        return ShownValue::Sha256(hex(&Hash::Sha256.digest(&[value])));
    }
    if let Some(texts) = strings(value) {
        return ShownValue::Text(texts.into_iter().map(str::to_owned).collect());
    }
    match value.try_into() {
        Ok(cell) if name == "timestamp" => ShownValue::Time(utc(u32::from_be_bytes(cell))),
        Ok(cell) => ShownValue::Cell(u32::from_be_bytes(cell)),
        Err(_) => ShownValue::Hex(hex(value)),
    }
}

/// Seconds since 1970 as a date, such as `1970-01-01T00:00:07Z`.
fn utc(seconds: u32) -> String {
    DateTime::from_unix_duration(Duration::from_secs(seconds.into()))
        .map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

fn line(name: &str, value: &[u8]) -> String {
    match shown(name, value) {
        ShownValue::Empty => "(empty)".to_owned(),
        ShownValue::Text(texts) => {
            texts.iter().map(|text| format!("\"{}\"", text.escape_debug())).collect::<Vec<_>>().join(", ")
        }
        ShownValue::Cell(cell) => format!("<{cell:#010x}>"),
        ShownValue::Time(date) => date,
        ShownValue::Hex(hex) => hex,
        ShownValue::Sha256(hash) => format!("{} bytes, sha256 {hash}", value.len()),
    }
}

fn strings(value: &[u8]) -> Option<Vec<&str>> {
    let body = value.strip_suffix(&[0])?;
    let parts: Option<Vec<&str>> =
        body.split(|b| *b == 0).map(|part| std::str::from_utf8(part).ok()).collect();
    parts.filter(|parts| parts.iter().all(|p| !p.is_empty() && !p.chars().any(char::is_control)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cells_and_large_values_are_told_apart() {
        let mut root = Node::new("");
        root.set_text("description", "a");
        root.set_cell("timestamp", 16);
        root.set("data", vec![7u8; 600]);
        let blob = Tree { root, ..Tree::default() }.write().unwrap();
        let tree = Tree::parse(&blob).unwrap();
        let mut root = tree.root.clone();
        // A small device tree is one, and no heap of digits.
        root.set("small", Tree { root: Node::new(""), ..Tree::default() }.write().unwrap());
        let blob = Tree { root, reserved: vec![(0x1000, 0x2000)], strings: Vec::new() }.write().unwrap();
        let text = show(&blob).unwrap();
        let expected = "/memreserve/ 0x1000 0x2000\n/\n  description = \"a\"\n  timestamp = 1970-01-01T00:00:16Z\n  data = 600 bytes, sha256 ";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("  small = 72 bytes, sha256 "), "{text}");
    }

    #[test]
    fn the_same_tree_as_data() {
        let mut root = Node::new("");
        root.set_text("description", "a");
        root.child_or_new("images").set_cell("n", 16);
        let blob = Tree { root, ..Tree::default() }.write().unwrap();
        assert_eq!(
            serde_json::to_string(&shown_tree(&blob).unwrap()).unwrap(),
            r#"{"reserved":[],"root":{"name":"/","properties":[{"name":"description","bytes":2,"value":{"text":["a"]}}],"children":[{"name":"images","properties":[{"name":"n","bytes":4,"value":{"cell":16}}],"children":[]}]}}"#
        );
        assert!(show(b"no tree").unwrap_err().to_string().contains("expected at least 40 bytes"));
    }
}
