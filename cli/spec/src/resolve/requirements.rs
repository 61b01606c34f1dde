//! The requirements that layers name, held against the catalogue.

use std::collections::BTreeMap;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use super::Resolver;
use crate::decode::{Spanned, suggestion};
use crate::library::{Area, Library};
use crate::types::RequirementId;
use crate::yaml;

impl Resolver<'_> {
    pub(super) fn known_requirements(&mut self, ids: &[Spanned<RequirementId>]) {
        let Some(known) = &self.requirements else { return };
        for id in ids {
            let (found, hint) = match known.get(id.as_str()).map(Vec::as_slice) {
                Some([]) => continue,
                Some(instead) => (
                    format!("`{}`, a mere heading of it", id.as_str()),
                    format!("name those that apply: `{}`", instead.join("`, `")),
                ),
                None => {
                    (format!("`{}`", id.as_str()), suggestion(id.as_str(), known.keys().map(String::as_str)))
                }
            };
            let message = format!("expected a requirement of `standards/requirements.yaml`, found {found}");
            self.trouble
                .push(Diagnostic::error("unknown-requirement", message).at(id.at.location()).hint(hint));
        }
    }
}

/// Requirements by id, each with those that stand for it.
pub(super) type RequirementIds = BTreeMap<String, Vec<String>>;

/// Requirement ids of `standards/requirements.yaml`, each with those that stand for it where it is a mere heading
/// (`kind: placeholder`: CR 2.4 is SAR, EDR, HDR or NDR 2.4). None: there is no such file, and nothing can be said about an id.
///
/// # Errors
/// The file is there and cannot be read.
pub(super) fn known_requirements(library: &Library) -> Outcome<Option<RequirementIds>> {
    let Some(source) = library.read(Area::Standards, "requirements.yaml")? else { return Ok(None) };
    let mut diagnostics = Vec::new();
    let node = yaml::parse(&source, &mut diagnostics);
    let Some(node) = node.filter(|_| diagnostics.is_empty()) else {
        return Err(Failure { status: ExitStatus::Input, diagnostics });
    };
    let mut ids = RequirementIds::new();
    // The file may list sources and checks with ids of their own beside the requirements.
    let list = match &node.kind {
        yaml::Kind::Map(entries) => entries.iter().find(|e| e.key == "requirements").map(|e| &e.value),
        _ => None,
    };
    collect_ids(list.unwrap_or(&node), &mut ids);
    Ok((!ids.is_empty()).then_some(ids))
}

fn collect_ids(node: &yaml::Node, ids: &mut RequirementIds) {
    match &node.kind {
        yaml::Kind::Scalar { .. } => {}
        yaml::Kind::List(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        yaml::Kind::Map(entries) => {
            let value =
                |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value.kind);
            if let Some(yaml::Kind::Scalar { text, .. }) = value("id") {
                let heading =
                    matches!(value("kind"), Some(yaml::Kind::Scalar { text, .. }) if text == "placeholder");
                let instead = value("see").filter(|_| heading);
                ids.insert(text.clone(), instead.map(texts).unwrap_or_default());
            }
            // Other standards have ids, too.
            entries
                .iter()
                .filter(|entry| entry.key != "refs")
                .for_each(|entry| collect_ids(&entry.value, ids));
        }
    }
}

fn texts(kind: &yaml::Kind) -> Vec<String> {
    let yaml::Kind::List(items) = kind else { return Vec::new() };
    let text = |item: &yaml::Node| match &item.kind {
        yaml::Kind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}
