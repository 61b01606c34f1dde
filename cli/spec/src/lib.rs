//! Product, board and layer files as typed models, and the plan that they make together.
//!
//! Pure: reads definitions (files, and those compiled in) and computes; starts no process
//! and writes nothing.

pub mod algorithms;
mod architecture;
pub mod board;
pub mod buildroot;
mod changed_lines;
pub mod decode;
mod diff;
pub mod differences;
mod explain;
mod formats;
pub mod guid;
pub mod known_keys;
pub mod layer;
pub mod library;
mod listing;
pub mod opcua;
pub mod parameter;
mod pieces;
pub mod plan;
pub mod product;
pub mod protocol;
pub mod render;
mod resolve;
mod scaffold;
pub mod source;
pub mod threats;
pub mod time;
pub mod types;
pub mod yaml;
pub mod yocto;

use std::path::Path;

use diag::Outcome;
use serde_json::{Value, json};

use decode::Decode;
use library::Library;
use plan::Plan;

pub use architecture::Architecture;
pub use diff::{Change, diff};
pub use explain::{Explanation, explain};
pub use listing::{BoardSummary, LayerSummary, ParameterSummary, board_facts, boards, layers};
pub use resolve::Choice;
pub use scaffold::scaffold;

/// The plan of the product in a file, for one of its boards (none: its first).
///
/// # Errors
/// Everything that is wrong with the product, its board, its layers and their templates, each
/// with its place; the status is [`diag::ExitStatus::Input`].
pub fn load(product: &Path, board: Option<&str>) -> Outcome<Plan> {
    load_with(&Library::built_in(Some(folder_of(product))), product, board)
}

/// As [`load`], with the definitions of a library.
///
/// # Errors
/// As [`load`].
pub fn load_with(library: &Library, product: &Path, board: Option<&str>) -> Outcome<Plan> {
    load_as(library, product, board, Choice::default())
}

/// As [`load_with`], with choices in place of the product's.
///
/// # Errors
/// As [`load`].
pub fn load_as(library: &Library, product: &Path, board: Option<&str>, choice: Choice) -> Outcome<Plan> {
    let name = product.file_name().map_or_else(|| "product.yaml".into(), |name| name.to_string_lossy());
    let source = library::read_file(product, &name)?;
    resolve::resolve(library, &source, board, choice)
}

/// The folder in which a product's own layers, boards and templates are searched.
#[must_use]
pub fn folder_of(product: &Path) -> &Path {
    match product.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// JSON Schemas (draft 2020-12) of the files that people write, by name.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Value)> {
    let whole = |name: &str, schema: Value| {
        let mut out = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": format!("Fastness {name}"),
        });
        if let (Value::Object(out), Value::Object(schema)) = (&mut out, schema) {
            out.extend(schema);
        }
        out
    };
    vec![
        ("product", whole("product", product::Product::schema())),
        ("board", whole("board", board::Board::schema())),
        ("layer", whole("layer", layer::Layer::schema())),
        ("protocol", whole("protocol", protocol::Protocol::schema())),
        ("algorithms", whole("algorithms", algorithms::Algorithms::schema())),
        ("opcua", whole("opcua", opcua::OpcuaStandard::schema())),
        ("buildroot-package", whole("Buildroot package", buildroot::BuildrootPackage::schema())),
        ("yocto-package", whole("Yocto package", yocto::YoctoPackage::schema())),
        ("image-differences", whole("image differences", differences::ImageDifferences::schema())),
        ("known-keys", whole("known keys", known_keys::KnownKeyFile::schema())),
        ("threats", whole("threats", threats::ThreatFile::schema())),
    ]
}
