//! Monitoring for one image: what of it is worth a rule of the audit, what may run, how far each of its services can be
//! confined, and what the monitoring itself may need.
//!
//! All of it follows from the root file system and a table ([`table`]); the same image gives the same answer. Nothing is
//! run, and nothing is said of a program whose imports cannot be told. Whether services still work so confined is
//! shown by a boot of an image with the [`layer`], not here.

mod binaries;
pub mod layer;
mod rules;
mod sandbox;
#[cfg(test)]
mod scripts_tests;
mod table;
pub mod terminal;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::Unable;
use crate::root::Root;

use binaries::Binaries;
pub use rules::AuditRule;
pub(crate) use rules::is_plain;
pub use sandbox::{Given, NotGiven, Sandbox};
use table::Table;

/// A program that may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Executable {
    /// Its path.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// Monitoring for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Monitoring {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name and version of the program.
    pub generator: String,
    /// What was looked at.
    pub image: String,
    /// SHA-256 of the root file system.
    pub root_sha256: String,
    /// Rules of the audit.
    pub rules: Vec<AuditRule>,
    /// Programs and scripts that may run: those of the root, and no others.
    pub executables: Vec<Executable>,
    /// Services, and what confines them.
    pub services: Vec<Sandbox>,
    /// What is not covered, and why.
    pub not_covered: Vec<String>,
}

/// Where the layers put their own scripts, those that come of this list among them. Every build compares their content with the plan.
const PLANS_OWN: &str = "/usr/lib/fastness/";

/// Units that their own maker confines, and that touch everything.
const MANAGERS_OWN: &str = "systemd-";

/// Takes out of a root what an earlier run of this made for its services, so that it is derived again: what a unit has already is
/// given to it by nobody. Rules of the audit are made anew by themselves.
///
/// # Errors
/// When a file cannot be read.
pub fn forget_own(root: &mut Root) -> Result<(), Unable> {
    let mut own = Vec::new();
    for (path, _) in root.find("/etc/systemd/system/*.d/*.conf") {
        if root.read_text(path)?.is_some_and(|text| text.starts_with(layer::FIRST)) {
            own.push(path.to_owned());
        }
    }
    own.iter().for_each(|path| root.forget(path));
    Ok(())
}

/// Looks at a root file system.
///
/// # Errors
/// When it is not whole, or cannot be read.
pub fn look(root: &Root, image: &str) -> Result<Monitoring, Unable> {
    root.prove_whole()?;
    let table = Table::built_in().map_err(Unable::broken)?;
    let binaries = Binaries::of(root)?;
    let mut not_covered: Vec<String> =
        binaries.broken.iter().map(|(path, why)| format!("`{path}` is no whole program: {why}")).collect();
    let (rules, odd) = rules::of(root, &binaries, table)?;
    not_covered.extend(odd.iter().map(|path| format!("`{path}` has a name that no rule can hold")));
    if !root.capabilities_known {
        not_covered.push("file capabilities cannot be seen in an image of this form".to_owned());
    }
    let mut executables = Vec::new();
    let scripts = binaries.scripts.iter().map(String::as_str).filter(|path| !path.starts_with(PLANS_OWN));
    let listed: std::collections::BTreeSet<&str> = binaries.programs().chain(scripts).collect();
    for path in listed {
        let bytes = root.read(path)?.unwrap_or_default();
        executables.push(Executable { path: path.to_owned(), sha256: record::sha256_hex(&bytes) });
    }
    let machines: std::collections::BTreeSet<&str> =
        binaries.all.values().map(|binary| binary.machine.as_str()).collect();
    let of_root = sandbox::OfRoot {
        no_privileged_files: root.capabilities_known
            && !root.nodes().any(|(_, node)| node.mode & 0o6000 != 0 && is_file(node) || node.capabilities),
        one_machine: machines.len() == 1,
    };
    let mut services = Vec::new();
    let reached = crate::starts::reached(root)?;
    for unit in reached.iter().filter(|unit| unit.ends_with(".service") && !unit.starts_with(MANAGERS_OWN)) {
        if unit.contains(['@', '%']) || crate::kinds::unit_state::unit_file(root, unit).is_none() {
            not_covered
                .push(format!("`{unit}` is a template: its instances are known to a running manager alone"));
            continue;
        }
        services.push(sandbox::of(root, &binaries, table, of_root, unit)?);
    }
    if reached.is_empty() {
        not_covered
            .push("the image starts no unit of systemd: what starts its services is not confined".to_owned());
    }
    not_covered.push(format!("units named `{MANAGERS_OWN}*` stay as their own maker confines them"));
    Ok(Monitoring {
        schema_version: 1,
        generator: concat!("fastness ", env!("CARGO_PKG_VERSION")).to_owned(),
        image: image.to_owned(),
        root_sha256: root.sha256.clone(),
        rules,
        executables,
        services,
        not_covered,
    })
}

fn is_file(node: &crate::root::Node) -> bool {
    matches!(node.kind, crate::root::NodeKind::File(_))
}
