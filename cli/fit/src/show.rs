//! A FIT or control FDT as text for people.

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::fdt::{Node, Tree};
use crate::key::{Hash, hex};

/// The tree, one line a node or property; large values as size and SHA-256.
///
/// # Errors
/// When the blob is no device tree.
pub fn show(blob: &[u8]) -> Result<String, FitError> {
    let tree = Tree::parse(blob)?;
    let mut out = String::new();
    node(&tree.root, 0, &mut out);
    Ok(out)
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
    /// Anything else, hexadecimal.
    Hex(String),
    /// SHA-256 of a value of more than 512 bytes.
    Sha256(String),
}

/// The tree as data for JSON.
///
/// # Errors
/// When the blob is no device tree.
pub fn shown_tree(blob: &[u8]) -> Result<ShownNode, FitError> {
    Ok(shown_node(&Tree::parse(blob)?.root))
}

fn shown_node(node: &Node<'_>) -> ShownNode {
    let property = |(name, value): &(String, std::borrow::Cow<'_, [u8]>)| ShownProperty {
        name: name.clone(),
        bytes: value.len(),
        value: shown(value),
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
        out.push_str(&format!("{indent}  {} = {}\n", name.escape_debug(), line(value)));
    }
    for child in &current.children {
        node(child, depth + 1, out);
    }
}

fn shown(value: &[u8]) -> ShownValue {
    if value.is_empty() {
        return ShownValue::Empty;
    }
    if value.len() > 512 {
        return ShownValue::Sha256(hex(&Hash::Sha256.digest(&[value])));
    }
    if let Some(texts) = strings(value) {
        return ShownValue::Text(texts.into_iter().map(str::to_owned).collect());
    }
    match value.try_into() {
        Ok(cell) => ShownValue::Cell(u32::from_be_bytes(cell)),
        Err(_) => ShownValue::Hex(hex(value)),
    }
}

fn line(value: &[u8]) -> String {
    match shown(value) {
        ShownValue::Empty => "(empty)".to_owned(),
        ShownValue::Text(texts) => {
            texts.iter().map(|text| format!("\"{}\"", text.escape_debug())).collect::<Vec<_>>().join(", ")
        }
        ShownValue::Cell(cell) => format!("<{cell:#010x}>"),
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
        let text = show(&blob).unwrap();
        assert!(
            text.starts_with(
                "/\n  description = \"a\"\n  timestamp = <0x00000010>\n  data = 600 bytes, sha256 "
            ),
            "{text}"
        );
    }

    #[test]
    fn the_same_tree_as_data() {
        let mut root = Node::new("");
        root.set_text("description", "a");
        root.child_or_new("images").set_cell("n", 16);
        let blob = Tree { root, ..Tree::default() }.write().unwrap();
        assert_eq!(
            serde_json::to_string(&shown_tree(&blob).unwrap()).unwrap(),
            r#"{"name":"/","properties":[{"name":"description","bytes":2,"value":{"text":["a"]}}],"children":[{"name":"images","properties":[{"name":"n","bytes":4,"value":{"cell":16}}],"children":[]}]}"#
        );
        assert!(show(b"no tree").unwrap_err().to_string().contains("expected at least 40 bytes"));
    }
}
