//! Checks of a product's own layers under names of the catalogue.
//!
//! What shows a check of `standards/requirements.yaml` is a finding of its name, or those of `standards/shown-by.yaml`. A layer that
//! anybody writes may look at anything under such a name: it has to say that it means it, and the evidence then says whose check it is.

use std::collections::BTreeMap;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use super::Resolver;
use super::layers::Applied;
use crate::decode::Spanned;
use crate::library::{Area, Library};
use crate::types::CheckId;
use crate::yaml;

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// The image.
    Image,
    /// The running device, which makes the check itself.
    Running,
    /// The device from outside: only this program's own probes and attacks do.
    Probe,
}

impl Looks {
    fn words(self) -> &'static str {
        match self {
            Self::Image => "reads the image",
            Self::Running => "is made by the running device",
            Self::Probe => "is a probe or an attack",
        }
    }
}

/// Names of the catalogue, and of what shows its checks.
pub type CatalogueChecks = BTreeMap<String, Looks>;

/// All of them, where a product has layers of its own.
///
/// # Errors
/// A file of the catalogue is there and cannot be read.
pub fn catalogue_checks(library: &Library, layers: &[Applied]) -> Outcome<CatalogueChecks> {
    let mut checks = CatalogueChecks::new();
    if !layers.iter().any(|layer| layer.own) {
        return Ok(checks);
    }
    if let Some(yaml::Kind::Map(entries)) = parsed(library, "requirements.yaml")? {
        let list = entries.iter().find(|entry| entry.key == "checks").map(|entry| &entry.value.kind);
        if let Some(yaml::Kind::List(items)) = list {
            checks.extend(items.iter().filter_map(known));
        }
    }
    if let Some(yaml::Kind::Map(entries)) = parsed(library, "shown-by.yaml")? {
        for entry in &entries {
            names(&entry.value, &mut checks);
        }
    }
    Ok(checks)
}

fn parsed(library: &Library, file: &str) -> Outcome<Option<yaml::Kind>> {
    let Some(source) = library.read(Area::Standards, file)? else { return Ok(None) };
    let mut diagnostics = Vec::new();
    let node = yaml::parse(&source, &mut diagnostics).filter(|_| diagnostics.is_empty());
    match node {
        Some(node) => Ok(Some(node.kind)),
        None => Err(Failure { status: ExitStatus::Input, diagnostics }),
    }
}

/// A check of the catalogue, by its stage.
fn known(item: &yaml::Node) -> Option<(String, Looks)> {
    let yaml::Kind::Map(entries) = &item.kind else { return None };
    let text = |key: &str| match &entries.iter().find(|entry| entry.key == key)?.value.kind {
        yaml::Kind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    let looks = if text("stage")? == "static" { Looks::Image } else { Looks::Running };
    Some((text("id")?, looks))
}

/// Findings that show a check, whatever the form in which they are listed.
fn names(node: &yaml::Node, checks: &mut CatalogueChecks) {
    match &node.kind {
        yaml::Kind::Scalar { text, .. } => {
            let looks = match text.split('.').next() {
                Some("attack" | "traffic") => Looks::Probe,
                Some("self") => Looks::Running,
                _ => Looks::Image,
            };
            checks.entry(text.clone()).or_insert(looks);
        }
        yaml::Kind::List(items) => items.iter().for_each(|item| names(item, checks)),
        yaml::Kind::Map(entries) => entries.iter().for_each(|entry| names(&entry.value, checks)),
    }
}

impl Resolver<'_> {
    /// Whether a check is the product's own under a name of the catalogue; tells where it may not be.
    pub(super) fn by_product(
        &mut self,
        layer: &Applied,
        id: &Spanned<CheckId>,
        shows: bool,
        looks: Looks,
    ) -> bool {
        let name = id.as_str();
        // One that is made for each of several things has the name in front of its own.
        let found = self.catalogue_checks.iter().find(|(known, _)| {
            name.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let problem = match found.filter(|_| layer.own) {
            None if !shows => return false,
            None => {
                let what = "says `shows`, and is no check of the catalogue in a layer of the product's own";
                Diagnostic::error("shows-nothing", format!("`{name}` {what}"))
                    .hint("leave `shows` away: `requirements` says what it serves")
            }
            Some((_, wanted)) if *wanted != looks => {
                let message = format!(
                    "`{name}` is a name of the catalogue for what {}, and this check {}",
                    wanted.words(),
                    looks.words()
                );
                Diagnostic::error("catalogue-check", message).hint("give it another name")
            }
            Some(_) if !shows => {
                let message = format!(
                    "`{name}` is a name of the catalogue: a check of the product's own layer `{}` would show what it asks",
                    layer.name
                );
                Diagnostic::error("catalogue-check", message).hint(
                    "give it another name, or say `shows: true` there: the evidence then says that it is the product's own check",
                )
            }
            Some(_) => return true,
        };
        self.trouble.push(problem.at(id.at.location()));
        false
    }
}
