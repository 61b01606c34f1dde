//! The documentation, followed to the letter.

use crate::support::{Place, top};

/// A fenced block behind a line that names its file.
struct Block {
    name: String,
    text: String,
}

/// Blocks introduced by ``File `NAME`:`` or ``In `NAME`:``.
fn blocks(document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(top().join("docs").join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let introduced =
            line.trim_start().strip_prefix("File `").or_else(|| line.trim_start().strip_prefix("In `"));
        let Some(name) = introduced.and_then(|rest| rest.strip_suffix("`:")) else { continue };
        let fence = lines.next().unwrap();
        let indent = fence.len() - fence.trim_start().len();
        assert!(fence.trim_start().starts_with("```"), "{document}: no block behind `{line}`");
        let body: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| &line[indent.min(line.len())..])
            .collect();
        blocks.push(Block { name: name.to_owned(), text: body.join("\n") + "\n" });
    }
    blocks
}

#[test]
fn the_layer_of_the_documentation_works() {
    let place = Place::with_product();
    let blocks = blocks("add-a-layer.md");
    assert_eq!(blocks.len(), 3);
    for block in &blocks {
        let path = place.path(&block.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if block.name == "product.yaml" {
            let product = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, product + &block.text).unwrap();
        } else {
            std::fs::write(&path, &block.text).unwrap();
        }
    }
    let check = place.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    let explained = place.run(&["explain", "/etc/motd"]);
    assert!(explained.out.contains("asked by layer motd (layers/motd/layer.yaml:"), "{explained:?}");
    let plan = place.run(&["plan", "--json"]).json();
    assert_eq!(plan["files"]["/etc/motd"]["value"]["content"], "gw 0.1.0\nResponsible: Plant maintenance\n");
    assert!(place.run(&["layers", "motd"]).out.contains("parameter owner (text, must be given)"));
    assert_eq!(place.run(&["generate"]).code, 0);
}

#[test]
fn the_board_of_the_documentation_works() {
    let place = Place::with_product();
    let text = std::fs::read_to_string(top().join("docs/add-a-board.md")).unwrap();
    let script = text.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let script = script.replace("CLONE", top().to_str().unwrap());
    let status = std::process::Command::new("bash")
        .args(["-euc", &script])
        .current_dir(place.path(""))
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
    place.edit("boards: [qemu-aarch64] ", "boards: [qemu-aarch64, qemu-aarch64-small] ");
    assert!(place.run(&["boards"]).out.contains("qemu-aarch64-small: QEMU virt with little memory"));
    let check = place.run(&["check", "--json"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert_eq!(check.json()["boards"][1]["board"], "qemu-aarch64-small");
    let plan = place.run(&["plan", "--board", "qemu-aarch64-small", "--json"]).json();
    assert_eq!(plan["board"]["qemu"]["memory_mib"], 512);
}

#[test]
fn the_product_of_the_readme_is_right() {
    let place = Place::new();
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    let product = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(place.path("product.yaml"), product).unwrap();
    let check = place.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    // The key's name that the README makes is the one that the product is signed with.
    assert_eq!(place.run(&["plan", "--json"]).json()["signing"]["key"], "my-gateway-dev");
    assert!(readme.contains("fastness keys new my-gateway-dev"));
}

#[test]
fn links_lead_somewhere() {
    let mut documents: Vec<_> =
        std::fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    documents.push(top().join("README.md"));
    for document in documents.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = document.parent().unwrap().join(file);
            assert!(path.exists(), "{}: `{target}` leads nowhere", document.display());
        }
    }
}
