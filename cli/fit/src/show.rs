//! A FIT or control FDT as text for people.

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

fn node(current: &Node<'_>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let name = if current.name.is_empty() { "/" } else { &current.name };
    out.push_str(&format!("{indent}{}\n", name.escape_debug()));
    for (name, value) in &current.properties {
        out.push_str(&format!("{indent}  {} = {}\n", name.escape_debug(), shown(value)));
    }
    for child in &current.children {
        node(child, depth + 1, out);
    }
}

fn shown(value: &[u8]) -> String {
    if value.is_empty() {
        return "(empty)".to_owned();
    }
    if value.len() > 512 {
        return format!("{} bytes, sha256 {}", value.len(), hex(&Hash::Sha256.digest(&[value])));
    }
    if let Some(texts) = strings(value) {
        return texts
            .iter()
            .map(|text| format!("\"{}\"", text.escape_debug()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if value.len() == 4 {
        return format!("<0x{}>", hex(value));
    }
    hex(value)
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
}
