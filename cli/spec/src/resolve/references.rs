//! What a product names and is not there: boards, layers, zones, services and tunnels.
//!
//! A product whose values cannot all be read has no model, and so no resolver looks at it. Its
//! references are then looked at in the tree, so that one run tells every mistake.

use std::sync::Arc;

use diag::{Diagnostic, Outcome};

use super::network::DEVICE;
use crate::board::Board;
use crate::decode::suggestion;
use crate::library::{Area, Library, read_model};
use crate::source::{At, Source};
use crate::yaml::{self, Entry, Kind, Node};

/// A board without a definition.
pub fn unknown_board(library: &Library, name: &str, at: &At) -> Outcome<Diagnostic> {
    let message = format!("expected a board, found `{name}`: there is no `boards/{name}/board.yaml`");
    let names = library.names(Area::Boards)?;
    let hint = suggestion(name, names.iter().map(String::as_str));
    Ok(Diagnostic::error("unknown-board", message).at(at.location()).hint(hint))
}

/// A layer without a definition.
pub fn unknown_layer(library: &Library, name: &str, at: &At) -> Outcome<Diagnostic> {
    let message = format!("expected the layer `{name}`, found no `layers/{name}/layer.yaml`");
    let names = library.names(Area::Layers)?;
    let hint = suggestion(name, names.iter().map(String::as_str));
    Ok(Diagnostic::error("unknown-layer", message).at(at.location()).hint(hint))
}

/// A zone that the product does not have.
pub fn unknown_zone<'k>(name: &str, at: &At, known: impl IntoIterator<Item = &'k str> + Clone) -> Diagnostic {
    let message = format!("expected a zone, found `{name}`, which is none");
    Diagnostic::error("unknown-zone", message).at(at.location()).hint(suggestion(name, known))
}

/// A service that the product does not have.
pub fn unknown_service<'k>(
    name: &str,
    at: &At,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Diagnostic {
    let message = format!("expected a service, found `{name}`, which is none");
    Diagnostic::error("unknown-service", message).at(at.location()).hint(suggestion(name, known))
}

/// A tunnel that the product does not have.
pub fn unknown_tunnel<'k>(
    name: &str,
    at: &At,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Diagnostic {
    let message = format!("expected a tunnel, found `{name}`, which is none");
    Diagnostic::error("unknown-tunnel", message).at(at.location()).hint(suggestion(name, known))
}

/// An interface that the board does not have.
pub fn unknown_interface(name: &str, at: &At, board: &str, known: &[String]) -> Diagnostic {
    let message = format!("the board `{board}` has no interface `{name}`");
    let hint = suggestion(name, known.iter().map(String::as_str));
    Diagnostic::error("unknown-interface", message).at(at.location()).hint(hint)
}

/// The references of a product that could not be read as a whole.
///
/// # Errors
/// When a definition that is there cannot be read.
pub fn of_unread(library: &Library, source: &Arc<Source>, trouble: &mut Vec<Diagnostic>) -> Outcome<()> {
    // What is wrong with the YAML itself was told already.
    let Some(root) = yaml::parse(source, &mut Vec::new()) else { return Ok(()) };
    let at = |node: &Node| At { source: Arc::clone(source), span: node.span };
    let boards = items(entry(&root, "boards")).into_iter().filter_map(|node| Some((text(node)?, node)));
    for (index, (name, node)) in boards.filter(|(name, _)| is_name(name)).enumerate() {
        match library.read(Area::Boards, &format!("{name}/board.yaml"))? {
            None => trouble.push(unknown_board(library, name, &at(node))?),
            // As for a product without mistakes, the first board is the one that counts.
            Some(board) if index == 0 => interfaces(&root, source, name, &board, trouble),
            Some(_) => {}
        }
    }
    for layer in entries(entry(&root, "layers")) {
        let place = At { source: Arc::clone(source), span: layer.key_span };
        if is_name(&layer.key) && library.read(Area::Layers, &format!("{}/layer.yaml", layer.key))?.is_none()
        {
            trouble.push(unknown_layer(library, &layer.key, &place)?);
        }
    }
    let keys = |name: &str| entries(entry(&root, name)).iter().map(|entry| entry.key.as_str()).collect();
    let (zones, services): (Vec<&str>, Vec<&str>) = (keys("zones"), keys("services"));
    let tunnels: Vec<&str> = keys("tunnels");
    for conduit in items(entry(&root, "conduits")) {
        let named = |key: &str| entry(conduit, key).and_then(|node| Some((text(node)?, node)));
        for (zone, node) in [named("from"), named("to")].into_iter().flatten() {
            if zone != DEVICE && !zones.contains(&zone) {
                trouble.push(unknown_zone(zone, &at(node), zones.iter().copied()));
            }
        }
        if let Some((service, node)) = named("service").filter(|(name, _)| !services.contains(name)) {
            trouble.push(unknown_service(service, &at(node), services.iter().copied()));
        }
        if let Some((tunnel, node)) = named("tunnel").filter(|(name, _)| !tunnels.contains(name)) {
            trouble.push(unknown_tunnel(tunnel, &at(node), tunnels.iter().copied()));
        }
    }
    Ok(())
}

fn interfaces(
    root: &Node,
    source: &Arc<Source>,
    name: &str,
    board: &Arc<Source>,
    trouble: &mut Vec<Diagnostic>,
) {
    // A board that is wrong is told with a product that can be read.
    let Some(board) = read_model::<Board>(board, &mut Vec::new()) else { return };
    let known: Vec<String> = board.interfaces.iter().map(|interface| interface.as_str().to_owned()).collect();
    let zones = entries(entry(root, "zones")).iter();
    let named = zones.flat_map(|zone| items(entry(&zone.value, "interfaces")));
    for (interface, node) in named.filter_map(|node| Some((text(node)?, node))) {
        if !known.iter().any(|known| known == interface) {
            let at = At { source: Arc::clone(source), span: node.span };
            trouble.push(unknown_interface(interface, &at, name, &known));
        }
    }
}

/// What could be a folder of the library: anything else is told by its type.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.kind) {
        Some(Kind::Map(entries)) => entries,
        _ => &[],
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(Some(node)).iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn items(node: Option<&Node>) -> Vec<&Node> {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}
