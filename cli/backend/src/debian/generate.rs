//! The plan in this backend's own form, for reading and for `git diff`.

use std::fs;
use std::path::Path;

use diag::{Failure, Outcome};
use spec::plan::{FilePlan, KconfigPlan, Plan, UnitState};

/// Writes fragments, lists and the overlay into `folder`, which is replaced as a whole.
///
/// # Errors
/// When the folder cannot be written.
pub fn generate(plan: &Plan, folder: &Path) -> Outcome<()> {
    let part = folder.with_extension("part");
    crate::cache::remove_tree(&part)?;
    write(&part.join("uboot.config"), &commented_fragment(&plan.uboot))?;
    write(&part.join("linux.config"), &commented_fragment(&plan.linux))?;
    write(&part.join("cmdline.txt"), &list(plan.cmdline.iter().map(|a| a.value.as_str())))?;
    write(&part.join("packages.txt"), &list(plan.packages.keys().map(String::as_str)))?;
    write(&part.join("removals.txt"), &list(plan.removals.keys().map(String::as_str)))?;
    let units: String = plan
        .units
        .iter()
        .map(|(unit, asked)| {
            let state = match asked.value {
                UnitState::Enabled => "enabled",
                UnitState::Disabled => "disabled",
                UnitState::Masked => "masked",
            };
            format!("{state} {unit}\n")
        })
        .collect();
    write(&part.join("units.txt"), &units)?;
    let mut modes = String::new();
    for (path, asked) in &plan.files {
        match &asked.value {
            FilePlan::File { mode, owner, group, content } => {
                modes.push_str(&format!("{mode} {owner}:{group} {path}\n"));
                write(&part.join("overlay").join(path.trim_start_matches('/')), content)?;
            }
            FilePlan::Program { mode, owner, group, .. } => {
                modes.push_str(&format!("{mode} {owner}:{group} {path}\n"));
                let content = super::rootfs::content(path, &asked.value)?;
                write_bytes(&part.join("overlay").join(path.trim_start_matches('/')), &content)?;
            }
            FilePlan::Directory { mode, owner, group } => {
                modes.push_str(&format!("{mode} {owner}:{group} {path}/\n"))
            }
            FilePlan::Symlink { target } => modes.push_str(&format!("link {path} -> {target}\n")),
        }
    }
    write(&part.join("overlay-modes.txt"), &modes)?;
    crate::cache::remove_tree(folder)?;
    fs::rename(&part, folder).map_err(|e| Failure::io("write", folder, &e))
}

/// A fragment in which every symbol is preceded by who asked and why.
fn commented_fragment(asked: &KconfigPlan) -> String {
    let mut out = format!("# base: {}\n", asked.base);
    for (symbol, asked) in &asked.symbols {
        for origin in &asked.origins {
            out.push_str(&format!("# {}: {} ({}:{})\n", origin.who, origin.reason, origin.file, origin.line));
        }
        out.push_str(&crate::kconfig::fragment([(symbol.as_str(), asked.value.as_str())]));
    }
    out
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.map(|item| format!("{item}\n")).collect()
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    write_bytes(path, text.as_bytes())
}

fn write_bytes(path: &Path, text: &[u8]) -> Outcome<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| Failure::io("make", parent, &e))?;
    }
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}
