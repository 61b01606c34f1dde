//! Files that decide who gets which rights: whoever may change one of them has the device.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::Deserialize;

use super::rules::{self, Found};
use crate::glob;
use crate::root::{Node, NodeKind, Root};

/// Lines of one file of sudo's settings.
const MAX_LINES: usize = 5000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paths {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    guarded: Vec<String>,
    starts: Vec<String>,
    devices: Vec<String>,
}

/// The compiled-in table; a test proves that it is read.
fn paths() -> &'static Paths {
    static PATHS: OnceLock<Paths> = OnceLock::new();
    PATHS.get_or_init(|| {
        rules::read(include_str!("../../../../standards/analysis/paths.yaml")).unwrap_or_default()
    })
}

fn among(list: &[String], path: &str) -> bool {
    list.iter().any(|pattern| glob::matches(pattern, path))
}

/// What is wrong with the owners and modes of a root, and with what sudo allows.
pub fn look(root: &Root, label: &str, found: &mut Found) {
    // Nearly every path begins as none of the table's does.
    let paths = paths();
    let all = paths.guarded.iter().chain(&paths.starts).chain(&paths.devices);
    let begins: BTreeSet<&str> = all.map(|pattern| pattern.split('*').next().unwrap_or_default()).collect();
    for (path, node) in root.nodes().filter(|(path, _)| begins.iter().any(|start| path.starts_with(start))) {
        one(root, label, path, node, found);
    }
    let more = root.list("/etc/sudoers.d").into_iter().map(|name| format!("/etc/sudoers.d/{name}"));
    for path in std::iter::once("/etc/sudoers".to_owned()).chain(more) {
        let Ok(Some(text)) = root.read_text(&path) else { continue };
        let text = text.replace("\\\n", " ");
        if text.lines().nth(MAX_LINES).is_some() {
            let why = format!("more than {MAX_LINES} lines; the others are left out");
            found.add("limit", format!("{label}{path}"), why);
        }
        for line in text.lines().take(MAX_LINES).map(str::trim) {
            if everything_without_password(line) {
                found.add("sudo-no-password", format!("{label}{path}"), line);
            }
        }
    }
}

fn one(root: &Root, label: &str, path: &str, node: &Node, found: &mut Found) {
    let shown = || format!("{label}{path}");
    let seen = || format!("mode {:04o}, owner {}:{}", node.mode, node.uid, node.gid);
    match node.kind {
        NodeKind::File(_) => {
            let starts = among(&paths().starts, path);
            if node.mode & 0o002 != 0 && (starts || among(&paths().guarded, path)) {
                found.add("world-writable-critical", shown(), seen());
            }
            if starts && root.owners_known && node.uid != 0 {
                found.add("start-script-owner", shown(), seen());
            }
        }
        // Reading is enough of memory and of storage.
        NodeKind::CharDevice(..) | NodeKind::Special
            if node.mode & 0o006 != 0 && !path.ends_with("/mtdinfo") && among(&paths().devices, path) =>
        {
            found.add("device-open", shown(), seen());
        }
        _ => {}
    }
}

/// A line of sudoers by which somebody else than root runs everything without a password. Source: sudoers(5).
fn everything_without_password(line: &str) -> bool {
    if line.starts_with('#') || line.starts_with("root ") || line.starts_with("root\t") {
        return false;
    }
    let Some((_, commands)) = line.split_once("NOPASSWD:") else { return false };
    commands.split(',').any(|command| command.split_whitespace().last() == Some("ALL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    fn rules_of(tree: Tree) -> Vec<String> {
        let mut found = Found::default();
        look(&tree.root(), "", &mut found);
        found.issues().into_iter().map(|issue| issue.rule).collect()
    }

    #[test]
    fn what_decides_about_rights_must_be_roots_alone() {
        assert!(paths().guarded.len() > 10 && paths().starts.len() > 10);
        assert!(rules_of(Tree::base().file("/etc/init.d/S50x", 0o755, "x")).is_empty());
        for path in
            ["/etc/passwd", "/etc/shadow", "/etc/ld.so.preload", "/etc/init.d/S50x", "/init", "/etc/inittab"]
        {
            assert_eq!(rules_of(Tree::base().file(path, 0o666, "x")), ["world-writable-critical"], "{path}");
        }
        assert!(rules_of(Tree::base().file("/etc/motd", 0o666, "x")).is_empty());
        let owned =
            Tree::base().file("/etc/rc.local", 0o755, "x").change("/etc/rc.local", |node| node.uid = 1000);
        assert_eq!(rules_of(owned), ["start-script-owner"]);
    }

    #[test]
    fn the_tables_paths_are_looked_at_wherever_they_begin() {
        for pattern in paths().guarded.iter().chain(&paths().starts) {
            let path = pattern.replace("**", "a").replace('*', "a");
            let tree = Tree::base().file(&path, 0o666, "x");
            assert_eq!(rules_of(tree), ["world-writable-critical"], "{pattern}");
        }
    }

    #[test]
    fn of_a_file_of_sudo_that_is_too_long_is_said_that_it_is() {
        let lines = |count: usize| "a ALL=(ALL) ALL\n".repeat(count) + "b ALL=(ALL) NOPASSWD: ALL\n";
        let of = |count| rules_of(Tree::base().file("/etc/sudoers", 0o440, lines(count)));
        assert_eq!(of(MAX_LINES - 1), ["sudo-no-password"]);
        assert_eq!(of(MAX_LINES), ["limit"]);
    }

    #[test]
    fn devices_of_memory_and_sudo_for_everything_are_found() {
        let device = |path: &str, mode: u32| {
            let tree = Tree::base().file(path, mode, "");
            tree.change(path, |node| node.kind = NodeKind::CharDevice(1, 1))
        };
        assert_eq!(rules_of(device("/dev/mem", 0o666)), ["device-open"]);
        assert!(rules_of(device("/dev/mem", 0o640)).is_empty());
        assert!(rules_of(device("/dev/null", 0o666)).is_empty());
        let sudo = |line: &str| Tree::base().file("/etc/sudoers.d/x", 0o440, format!("{line}\n"));
        for line in ["user ALL=(ALL) NOPASSWD: ALL", "%wheel ALL=(ALL:ALL) NOPASSWD:ALL"] {
            assert_eq!(rules_of(sudo(line)), ["sudo-no-password"], "{line}");
        }
        for line in
            ["user ALL=(ALL) ALL", "# user ALL=(ALL) NOPASSWD: ALL", "user ALL=NOPASSWD: /sbin/reboot"]
        {
            assert!(rules_of(sudo(line)).is_empty(), "{line}");
        }
    }
}
