//! Plans of the examples for the Yocto backend, with lines of their own.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::path::Path;

use backend::yocto::{Node, Tree};
use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

pub fn load(example: &str, board: &str, more: &str) -> diag::Outcome<Plan> {
    load_edited(example, board, more, &[])
}

/// The example with lines behind some of its lines.
pub fn load_edited(example: &str, board: &str, more: &str, behind: &[(&str, &str)]) -> diag::Outcome<Plan> {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{example}/product.yaml"));
    let text = fs::read_to_string(&example).expect("the example");
    let listed = "\nboards: [qemu-aarch64]\n";
    assert!(text.contains(listed), "the example lists other boards");
    let mut text = text.replace(listed, &format!("\nboards: [{board}]\n{more}"));
    for (line, lines) in behind {
        assert!(text.contains(line), "the example has no `{line}`");
        text = text.replace(line, &format!("{line}{lines}"));
    }
    resolved(&text)
}

/// The example with words in the place of others, which it has once.
pub fn changed(example: &str, board: &str, series: &str, (from, to): (&str, &str)) -> Plan {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{example}/product.yaml"));
    let text = fs::read_to_string(&example).expect("the example");
    assert_eq!(text.matches(from).count(), 1, "the example has `{from}` elsewhere, too, or nowhere");
    let boards = format!("\nboards: [{board}]\nyocto: {{series: {series}}}\n");
    let text = text.replace("\nboards: [qemu-aarch64]\n", &boards).replace(from, to);
    resolved(&text).unwrap_or_else(|failure| panic!("{failure}"))
}

fn resolved(text: &str) -> diag::Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    fs::write(&product, text).expect("written");
    let library = Library::built_in(product.parent());
    let choice = Choice { backend: Some(Backend::Yocto), series: None };
    spec::load_as(&library, &product, None, choice)
}

pub fn plan_for(example: &str, board: &str, series: &str) -> Plan {
    load(example, board, &format!("yocto: {{series: {series}}}\n"))
        .unwrap_or_else(|failure| panic!("{failure}"))
}

pub fn plan() -> Plan {
    plan_for("cell-gateway", "qemu-aarch64", "wrynose")
}

pub fn text(tree: &Tree, path: &str) -> String {
    match tree.nodes().get(path) {
        Some(Node::File(text)) => text.clone(),
        other => panic!("`{path}` is {other:?}"),
    }
}

/// The example cell-gateway on a series, with the layer `events` and a collector that gets its records.
pub fn with_collector(series: &str) -> Plan {
    let more = format!(
        "yocto: {{series: {series}}}\nlayers: {{events: {{}}}}\n\
         logging: {{collector: {{name: logs.plant.example, address: 192.0.2.40, service: logs}}}}\n"
    );
    let network = [
        ("\nservices:\n", "  logs: {transport: tcp, port: 6514, protocol: syslog-tls}\n"),
        (
            "\nconduits:\n",
            "  - {name: records, from: device, to: plant, service: logs, peers: [192.0.2.40/32], reason: records}\n",
        ),
    ];
    load_edited("cell-gateway", "qemu-aarch64", &more, &network).unwrap_or_else(|failure| panic!("{failure}"))
}
