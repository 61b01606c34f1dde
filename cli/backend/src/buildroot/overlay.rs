//! The plan's files as a rootfs overlay, unit states as a preset, and what is taken out.

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{FilePlan, Plan, UnitState};

use super::tree::Tree;

const UNITS: &str = "/etc/systemd/system/";
/// Read before all others; the plan itself takes the folder out of the image again.
const PRESET: &str = "/usr/lib/systemd/system-preset/00-fastness.preset";

/// Puts the overlay below `folder` of the tree.
pub fn overlay(plan: &Plan, folder: &str, tree: &mut Tree) {
    for (path, asked) in &plan.files {
        match &asked.value {
            FilePlan::File { content, .. } => tree.file(format!("{folder}{path}"), content),
            FilePlan::Symlink { target } => tree.link(format!("{folder}{path}"), target),
            // A plan for Buildroot has none: what was built for Debian is refused when the plan is made.
            FilePlan::Program { .. } => {}
            // The permissions table makes folders: git keeps no empty ones.
            FilePlan::Directory { .. } => {}
        }
    }
    for (unit, asked) in &plan.units {
        if asked.value == UnitState::Masked {
            tree.link(format!("{folder}/etc/systemd/system/{unit}"), "/dev/null");
        }
    }
    tree.file(format!("{folder}{PRESET}"), preset(plan));
}

/// Every path that the plan puts into the image, one a line: the removals spare these.
#[must_use]
pub fn paths(plan: &Plan) -> String {
    let masked = plan.units.iter().filter(|(_, asked)| asked.value == UnitState::Masked);
    let masks = masked.map(|(unit, _)| format!("/etc/systemd/system/{unit}"));
    let mut paths: Vec<String> = plan.files.keys().cloned().chain(masks).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.iter().map(|path| format!("{path}\n")).collect()
}

/// Only what the plan enables is enabled. Source: systemd.preset(5), first match wins.
#[must_use]
pub fn preset(plan: &Plan) -> String {
    let mut out = String::from("# What the plan enables, for `systemctl preset-all`.\n");
    // To disable a unit takes away every link to it: the plan's own are spared.
    for (path, asked) in &plan.files {
        if let (Some(_), FilePlan::Symlink { target }) = (path.strip_prefix(UNITS), &asked.value)
            && let Some(unit) = target.rsplit('/').next().filter(|_| target != "/dev/null")
        {
            out.push_str(&format!("enable {unit}\n"));
        }
    }
    for (unit, asked) in &plan.units {
        let verb = match asked.value {
            UnitState::Enabled => "enable",
            UnitState::Disabled => "disable",
            UnitState::Masked => continue,
        };
        out.push_str(&format!("{verb} {unit}\n"));
    }
    out + "disable *\n"
}

/// The plan's removals as patterns of a shell, one a line.
///
/// # Errors
/// When `**` stands elsewhere than at the end, or a pattern has a character that is special to a
/// shell.
pub fn removals(plan: &Plan) -> Outcome<String> {
    let mut out = String::new();
    for (pattern, asked) in &plan.removals {
        let by = || {
            asked.origins.first().map(|o| format!("{} ({}:{})", o.who, o.file, o.line)).unwrap_or_default()
        };
        let stem = pattern.strip_suffix("/**").unwrap_or(pattern);
        if stem.contains("**") || stem.contains(['?', '[', ']', '\\', '\n']) {
            return Err(Failure::error(
                ExitStatus::Input,
                "unsupported-removal",
                format!("{} removes `{pattern}`, which this backend cannot express", by()),
            )
            .hint("use `*` within a part of the path, and `**` only as its last part"));
        }
        if stem.len() == pattern.len() {
            out.push_str(&format!("{pattern}\n"));
        } else {
            // A shell's `*` leaves out names that start with a dot.
            out.push_str(&format!("{stem}/*\n{stem}/.[!.]*\n"));
        }
    }
    Ok(out)
}
