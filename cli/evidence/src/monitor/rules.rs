//! Rules of the audit for exactly what an image has: its privileged and administrative programs, its secrets, system calls
//! that nothing of it makes, and programs that are refused.

use std::collections::BTreeSet;

use serde::Serialize;

use super::binaries::Binaries;
use super::table::Table;
use crate::Unable;
use crate::kinds::{audit_order, audit_rules};
use crate::root::{NodeKind, Root};

/// A rule, as auditctl(8) takes it, and why it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRule {
    /// The rule.
    pub rule: String,
    /// Its key.
    pub key: String,
    /// Why.
    pub why: String,
}

/// Key of what was refused to run.
pub const REFUSED: &str = "monitor-refused";
/// Key of files that give rights to who starts them.
pub const PRIVILEGED: &str = "monitor-privileged";
/// Key of programs that change how the device is protected.
pub const ADMINISTRATIVE: &str = "monitor-admin";
/// Key of what not everybody may read.
pub const SECRET: &str = "monitor-secret";
/// Key of system calls that nothing of the image makes.
pub const FOREIGN: &str = "monitor-foreign";

/// The rules, and the paths that could not be put into one. What a rule of the image's own records already gets no second one:
/// it stands behind them, and no record would name it.
///
/// # Errors
/// When the image's rules cannot be read.
pub fn of(root: &Root, binaries: &Binaries, table: &Table) -> Result<(Vec<AuditRule>, Vec<String>), Unable> {
    // Those of an earlier layer of this kind are made anew.
    let mut own = audit_rules::loaded(root, audit_rules::RULES)?.0;
    own.retain(|(_, line)| !line.contains("key=monitor-"));
    let bits =
        if binaries.all.values().any(|one| matches!(one.machine.as_str(), "arm" | "i386")) { 32 } else { 64 };
    let mut rules = Vec::new();
    let mut odd = Vec::new();
    let mut add = |rule: String, key: &str, why: String| {
        let rule = format!("-a always,exit {rule} -F key={key}");
        if audit_order::hidden_by(&own, &rule).is_none() {
            rules.push(AuditRule { rule, key: key.to_owned(), why });
        }
    };
    for error in ["EACCES", "EPERM"] {
        let why = "a program that may not run was started".to_owned();
        add(format!("-F arch=b{bits} -S execve,execveat -F exit=-{error}"), REFUSED, why);
    }
    // What can be written is mounted noexec: mapping code from there fails so, whoever asks (mmap(2)).
    let map = if bits == 32 { "mmap2" } else { "mmap" };
    add(
        format!("-F arch=b{bits} -S {map} -F exit=-EPERM"),
        REFUSED,
        "code that may not run was loaded".to_owned(),
    );
    let mut seen = BTreeSet::new();
    for (path, node) in root.nodes() {
        if !matches!(node.kind, NodeKind::File(_)) {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let program = binaries.all.contains_key(path) || binaries.scripts.contains(path);
        let (rule, key, why) = if node.mode & 0o6000 != 0 || node.capabilities {
            (
                format!("-F arch=b{bits} -F path={path} -F perm=x"),
                PRIVILEGED,
                format!("mode {:04o}", node.mode),
            )
        } else if program && table.administrative.contains(name) {
            let why = "it changes how the device is protected".to_owned();
            (format!("-F arch=b{bits} -F path={path} -F perm=x -F auid!=unset"), ADMINISTRATIVE, why)
        } else if node.mode & 0o044 == 0 && !path.starts_with("/var/") && !program {
            let why = format!("mode {:04o}: only root reads it", node.mode);
            // Without an architecture: reading has system calls that not every one has, and auditctl refuses the rule.
            (format!("-F path={path} -F perm=r -F auid!=unset"), SECRET, why)
        } else {
            continue;
        };
        if !is_plain(path) {
            odd.push(path.to_owned());
        } else if seen.insert(path) {
            add(rule, key, why);
        }
    }
    let foreign: Vec<&str> = table
        .rare
        .iter()
        .filter(|rare| !binaries.anybody_imports(&rare.imports))
        .map(|rare| rare.call.as_str())
        .collect();
    if !foreign.is_empty() {
        let why = "no program of the image imports these: whoever makes them is none of it".to_owned();
        add(format!("-F arch=b{bits} -S {}", foreign.join(",")), FOREIGN, why);
    }
    Ok((rules, odd))
}

/// Whether a path can stand in a rule, a unit and a template as it is.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path.len() < 256 && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+@/-".contains(&byte))
}
