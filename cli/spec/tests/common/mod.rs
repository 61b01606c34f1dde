//! What the tests share: the fixture library and product, and products changed in one place.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use diag::{Diagnostic, Outcome};
use spec::library::Library;
use spec::plan::Plan;

/// The product that is right.
pub const PRODUCT: &str = include_str!("../product.yaml");

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The fixture library behind a product folder's own definitions.
pub fn library(own: &Path) -> Library {
    Library::from_folder(&fixtures().join("library"), Some(own))
}

/// The plan of a product text, with the folder's own definitions.
pub fn load_in(folder: &Path, text: &str) -> Outcome<Plan> {
    let product = folder.join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load_with(&library(folder), &product, None)
}

/// The plan of a product text.
pub fn load(text: &str) -> Outcome<Plan> {
    load_in(tempfile::tempdir().expect("a folder").path(), text)
}

/// The plan of the product that is right.
pub fn good() -> Plan {
    load(PRODUCT).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The product with one text replaced; the text must be there.
pub fn with(from: &str, to: &str) -> String {
    assert!(PRODUCT.contains(from), "the fixture has no `{from}`");
    PRODUCT.replacen(from, to, 1)
}

/// The diagnostics of a product that must be refused.
pub fn refused(text: &str) -> Vec<Diagnostic> {
    match load(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(failure) => {
            assert_eq!(failure.status, diag::ExitStatus::Input);
            failure.diagnostics
        }
    }
}

/// Writes a file below a folder, with the folders above it.
pub fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}
