//! The shape of a FIT: names, places, and what no signature covers.

use std::collections::BTreeSet;

use super::{Problem, VerifyReport, problem, short};
use crate::fdt::Node;

/// Names that are doubled or carry a unit address, nodes where a FIT has none, and a default
/// configuration that is not there.
pub(super) fn problems(root: &Node<'_>) -> Vec<Problem> {
    let mut out = Vec::new();
    for (path, name) in root.doubled_names() {
        let node = root.at(&path).is_some_and(|node| node.child(&name).is_some());
        let (code, kind) = if node { ("duplicate-node", "node") } else { ("duplicate-property", "property") };
        out.push(problem(code, format!("`{path}` has the {kind} `{name}` twice")));
    }
    // U-Boot (`fit_check_format`) looks only whether they are there.
    for name in ["description", "timestamp"] {
        if root.get(name).is_none() {
            out.push(problem(
                "no-header",
                format!("the root has no `{name}`, without which U-Boot takes it for no FIT"),
            ));
        }
    }
    unit_addresses(root, "/", &mut out);
    misplaced_data(root, 0, "/", &mut out);
    for child in &root.children {
        if !matches!(child.name.as_str(), "images" | "configurations") {
            out.push(problem(
                "unknown-node",
                format!("the root has a node `{}`, which a FIT has not", child.name),
            ));
        }
    }
    if root.child("images").is_none_or(|images| images.children.is_empty()) {
        out.push(problem("no-images", "the FIT has no images"));
    }
    let empty = Node::default();
    let configurations = root.child("configurations").unwrap_or(&empty);
    if configurations.children.is_empty() {
        out.push(problem("no-configuration", "the FIT has no configuration"));
    }
    match configurations.text("default") {
        Some(name) if configurations.child(name).is_some() => {}
        Some(name) => {
            let message = format!("the default configuration `{}` is not there", short(name));
            out.push(problem("bad-default", message));
        }
        // Each configuration is looked at: a board may choose by its name or by `compatible`.
        None if configurations.get("default").is_none() => {}
        None => out.push(problem("bad-default", "`default` of the configurations is no text")),
    }
    out
}

/// How many signatures of configurations there are.
pub(super) fn signatures(root: &Node<'_>) -> usize {
    let configurations =
        root.child("configurations").map(|node| node.children.as_slice()).unwrap_or_default();
    let nodes = configurations.iter().flat_map(|configuration| &configuration.children);
    nodes.filter(|node| node.name.starts_with("signature")).count()
}

/// U-Boot's look-up takes `kernel@1` for `kernel` (libfdt ignores unit addresses): a way to swap nodes.
fn unit_addresses(node: &Node<'_>, path: &str, out: &mut Vec<Problem>) {
    for child in &node.children {
        if child.name.contains('@') {
            out.push(problem(
                "unit-address",
                format!("the node `{}` below `{path}` has a unit address", child.name),
            ));
        }
        unit_addresses(child, &format!("{}/{}", path.trim_end_matches('/'), child.name), out);
    }
}

/// Signatures leave out `data` and its place in every node: only an image may have them.
fn misplaced_data(node: &Node<'_>, depth: usize, path: &str, out: &mut Vec<Problem>) {
    for name in ["data", "data-size", "data-offset", "data-position"] {
        if node.get(name).is_some() && !(depth == 2 && path.starts_with("/images/")) {
            let message = format!("`{path}` has the property `{name}`, which no signature covers");
            out.push(problem("misplaced-data", message));
        }
    }
    for child in &node.children {
        let path = format!("{}/{}", path.trim_end_matches('/'), child.name);
        misplaced_data(child, depth + 1, &path, out);
    }
}

/// Lists what no verified signature covers: what should be, and what cannot be.
pub(super) fn uncovered(root: &Node<'_>, covered: &BTreeSet<String>, report: &mut VerifyReport) {
    let mut missed = |path: String, what: &str| {
        let code = if what == "image" { "uncovered-image" } else { "uncovered-node" };
        report.problems.push(problem(code, format!("no verified signature covers the {what} `{path}`")));
        report.uncovered.push(path);
    };
    for top in ["images", "configurations"] {
        let Some(node) = root.child(top) else { continue };
        report.outside.extend(node.properties.iter().map(|(name, _)| format!("/{top}/{name}")));
    }
    for image in root.child("images").map(|node| node.children.as_slice()).unwrap_or_default() {
        let path = format!("/images/{}", image.name);
        if !covered.contains(&path) {
            missed(path, "image");
            continue;
        }
        for name in ["data-size", "data-offset", "data-position"] {
            report.outside.extend(image.get(name).map(|_| format!("{path}/{name}")));
        }
        for child in &image.children {
            let path = format!("{path}/{}", child.name);
            match child.name.starts_with("signature") {
                // An image's own signature: it protects itself.
                true => report.outside.push(path),
                false if covered.contains(&path) && child.children.is_empty() => {}
                false => missed(path, "node"),
            }
        }
    }
    for node in root.child("configurations").map(|node| node.children.as_slice()).unwrap_or_default() {
        for child in &node.children {
            let path = format!("/configurations/{}/{}", node.name, child.name);
            match child.name.starts_with("signature") && child.children.is_empty() {
                true => report.outside.push(path),
                false => missed(path, "node"),
            }
        }
    }
}
