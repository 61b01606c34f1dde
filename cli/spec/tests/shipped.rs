//! Every definition that ships is loaded and resolved.

use std::path::Path;

use spec::library::{Area, Library};

fn library() -> Library {
    Library::built_in(None)
}

#[test]
fn every_shipped_board_and_layer_loads() {
    let boards = spec::boards(&library()).unwrap_or_else(|failure| panic!("{failure}"));
    let layers = spec::layers(&library()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(boards.len(), library().names(Area::Boards).expect("boards").len());
    assert_eq!(layers.len(), library().names(Area::Layers).expect("layers").len());
}

#[test]
fn the_scaffold_loads_on_every_shipped_board() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    for board in library().names(Area::Boards).expect("boards") {
        let text = spec::scaffold("my-device").replace("qemu-aarch64", &board);
        std::fs::write(&product, text).expect("written");
        let plan = spec::load(&product, Some(&board)).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(plan.board.name, board);
    }
}

#[test]
fn every_example_resolves() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in std::fs::read_dir(examples).expect("examples") {
        let product = entry.expect("an example").path().join("product.yaml");
        if product.is_file() {
            spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}

#[test]
fn every_shipped_template_has_the_form_of_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let mut waiting = vec![folder];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "hbs") {
                let source = spec::library::read_file(&path, "t").expect("a template");
                spec::render::check_form(&source)
                    .unwrap_or_else(|problem| panic!("{}: {problem:?}", path.display()));
            }
        }
    }
}
