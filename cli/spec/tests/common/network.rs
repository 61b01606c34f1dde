//! The shipped example of a network, and products changed in one place.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;

use diag::Diagnostic;
use spec::library::Library;
use spec::plan::{FilePlan, Plan};

/// The product that is right.
pub const EXAMPLE: &str = include_str!("../../../../examples/plc-gateway/product.yaml");

/// The plan of a product text, with the folder's own definitions.
pub fn load_in(folder: &Path, text: &str) -> diag::Outcome<Plan> {
    let product = folder.join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load_with(&Library::built_in(Some(folder)), &product, None)
}

/// The plan of a product text.
pub fn load(text: &str) -> diag::Outcome<Plan> {
    load_in(tempfile::tempdir().expect("a folder").path(), text)
}

/// The plan of the example.
pub fn good() -> Plan {
    load(EXAMPLE).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The example with one text replaced; the text must be there.
pub fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no `{from}`");
    EXAMPLE.replacen(from, to, 1)
}

/// A file of the plan.
pub fn content(plan: &Plan, path: &str) -> String {
    match &plan.files[path].value {
        FilePlan::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// A change of the example, and the one thing that must be said.
#[track_caller]
pub fn says(from: &str, to: &str, code: &str, message: &str, hint: &str) {
    let found = refused(&with(from, to));
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((one.code.as_str(), one.message.as_str()), (code, message));
    assert!(one.hint.as_deref().unwrap_or_default().contains(hint), "hint: {:?}", one.hint);
    let at = one.location.as_ref().expect("a place");
    assert!(at.file.ends_with("product.yaml") && at.line > 0 && !at.excerpt.is_empty(), "{at:?}");
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
