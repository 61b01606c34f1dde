//! Boards and layers with their documentation, for people who choose among them.

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use serde::Serialize;
use serde_json::Value;

use crate::board::Board;
use crate::layer::Layer;
use crate::library::{Area, Library, read_model};
use crate::plan::BoardFacts;
use crate::product::DEFAULT_LAYERS;

/// A board in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoardSummary {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// Debian architecture.
    pub architecture: String,
    /// Signature algorithms its U-Boot verifies.
    pub algorithms: Vec<String>,
    /// Its network interfaces.
    pub interfaces: Vec<String>,
    /// Root of trust, in words.
    pub root_of_trust: String,
    /// Where the counter is that keeps older images from starting; `none`: nowhere.
    pub rollback: String,
    /// Whether it can be run in QEMU.
    pub qemu: bool,
    /// What its hardware verifies: `fused-key` or `none`; nothing where it is emulated only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}

/// A layer in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Whether it is on unless a product leaves it out.
    pub default: bool,
    /// Layers that it needs.
    pub needs: Vec<String>,
    /// Requirements that it serves.
    pub requirements: Vec<String>,
    /// Its parameters.
    pub parameters: Vec<ParameterSummary>,
    /// Ids of its checks.
    pub checks: Vec<String>,
}

/// A parameter of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterSummary {
    /// Its name.
    pub name: String,
    /// Its type, `list of …` for lists.
    pub r#type: String,
    /// Its default; none: it must be given.
    pub default: Option<Value>,
    /// The only values allowed, if not every value of the type is.
    pub choices: Vec<Value>,
    /// The smallest value that works, if any does not.
    pub least: Option<Value>,
    /// What it does.
    pub description: String,
}

/// Every board of a library.
///
/// # Errors
/// A board's file is wrong.
pub fn boards(library: &Library) -> Outcome<Vec<BoardSummary>> {
    each(library, Area::Boards, "board.yaml", |name, board: Board| {
        let facts = board.facts(name);
        BoardSummary {
            name: facts.name,
            title: facts.title,
            architecture: facts.architecture,
            algorithms: facts.algorithms,
            interfaces: facts.interfaces,
            root_of_trust: facts.root_of_trust,
            rollback: facts.rollback.store,
            qemu: facts.qemu.is_some(),
            trust: facts.trust.map(|trust| trust.kind),
        }
    })
}

/// One board of a library; nothing when there is none of that name.
///
/// # Errors
/// The board's file is wrong.
pub fn board_facts(library: &Library, name: &str) -> Outcome<Option<BoardFacts>> {
    if !library.names(Area::Boards)?.contains(name) {
        return Ok(None);
    }
    let Some(source) = library.read(Area::Boards, &format!("{name}/board.yaml"))? else { return Ok(None) };
    let mut trouble: Vec<Diagnostic> = Vec::new();
    let facts = read_model::<Board>(&source, &mut trouble).map(|board| board.facts(name));
    if trouble.is_empty() {
        Ok(facts)
    } else {
        Err(Failure { status: ExitStatus::Input, diagnostics: trouble })
    }
}

/// Every layer of a library.
///
/// # Errors
/// A layer's file is wrong.
pub fn layers(library: &Library) -> Outcome<Vec<LayerSummary>> {
    each(library, Area::Layers, "layer.yaml", |name, layer: Layer| LayerSummary {
        name: name.to_owned(),
        title: layer.title.as_str().to_owned(),
        description: layer.description.0.clone(),
        default: DEFAULT_LAYERS.contains(&name),
        needs: layer.needs.iter().map(|need| need.as_str().to_owned()).collect(),
        requirements: layer.requirements.iter().map(|id| id.as_str().to_owned()).collect(),
        parameters: layer
            .parameters
            .iter()
            .map(|(name, parameter)| ParameterSummary {
                name: name.as_str().to_owned(),
                r#type: format!(
                    "{}{}",
                    if parameter.list.0 { "list of " } else { "" },
                    parameter.r#type.as_str()
                ),
                default: parameter.default.as_ref().map(crate::decode::Raw::to_json),
                choices: parameter.choices.iter().map(crate::decode::Raw::to_json).collect(),
                least: parameter.least.as_ref().map(crate::decode::Raw::to_json),
                description: parameter.description.0.clone(),
            })
            .collect(),
        checks: layer
            .checks
            .iter()
            .map(|check| check.id.as_str().to_owned())
            .chain(layer.selfcheck.iter().map(|check| check.id.as_str().to_owned()))
            .fold(Vec::new(), |mut ids, id| {
                // One for each backend, where they differ.
                if !ids.contains(&id) {
                    ids.push(id);
                }
                ids
            }),
    })
}

fn each<T: crate::decode::Decode, S>(
    library: &Library,
    area: Area,
    file: &str,
    summary: fn(&str, T) -> S,
) -> Outcome<Vec<S>> {
    let mut trouble: Vec<Diagnostic> = Vec::new();
    let mut found = Vec::new();
    for name in library.names(area)? {
        match library.read(area, &format!("{name}/{file}"))? {
            Some(source) => {
                found.extend(read_model::<T>(&source, &mut trouble).map(|model| summary(&name, model)))
            }
            None => {
                let message = format!("expected `{file}` in the folder `{name}`, found none");
                trouble.push(Diagnostic::error("missing-definition", message));
            }
        }
    }
    if trouble.is_empty() {
        Ok(found)
    } else {
        Err(Failure { status: ExitStatus::Input, diagnostics: trouble })
    }
}
