//! `unit-state`: what systemd starts, as the links say.
//!
//! Source: systemd.unit(5), "Unit file load path" and systemctl(1), "enable", "mask".

use serde::Deserialize;

use super::Kind;
use crate::root::{NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct UnitStates;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    #[serde(default)]
    enabled: Vec<String>,
    #[serde(default)]
    masked: Vec<String>,
    #[serde(default)]
    disabled: Vec<String>,
    /// Nothing is started but `enabled` and these, which packages start by links of their own.
    only: Option<Vec<String>>,
}

const ADMIN: &str = "/etc/systemd/system";
/// Unit folders in the order of precedence.
pub(crate) const FOLDERS: [&str; 4] =
    [ADMIN, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

impl Kind for UnitStates {
    const NAME: &'static str = "unit-state";
    const DESCRIPTION: &'static str =
        "links under /etc/systemd/system say so; with `only`, nothing else is started by any link";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let all = [&with.enabled, &with.masked, &with.disabled];
        let mut problems = Vec::new();
        if all.iter().all(|list| list.is_empty()) {
            problems.push("`enabled`, `masked` and `disabled` are all empty".to_owned());
        }
        for unit in all.into_iter().flatten() {
            if !unit.contains('.') || unit.contains('/') {
                problems.push(format!("`{unit}` is not a unit name such as `ssh.service`"));
            }
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems = Vec::new();
        for unit in &with.enabled {
            if masked(root, unit) {
                problems.push(format!("`{unit}` is masked"));
            } else if unit_file(root, unit).is_none() {
                problems.push(format!("`{unit}` has no unit file"));
            } else if pulled_in(root, unit).is_none() {
                problems.push(format!("`{unit}` is not enabled: no link in any `.wants` or `.requires`"));
            }
        }
        for unit in with.masked.iter().filter(|unit| !masked(root, unit)) {
            problems.push(format!("`{unit}` is not masked"));
        }
        for unit in with.disabled.iter().filter(|unit| !masked(root, unit)) {
            if let Some(link) = pulled_in(root, unit) {
                problems.push(format!("`{unit}` is enabled by `{link}`"));
            }
        }
        if let Some(packaged) = &with.only {
            let known = |unit: &String| with.enabled.contains(unit) || packaged.contains(unit);
            for (unit, link) in pulls(root) {
                if !known(&unit) && !masked(root, &unit) {
                    problems.push(format!("`{unit}` is started by `{link}` and not declared"));
                }
            }
        }
        let expected = [("enabled", &with.enabled), ("masked", &with.masked), ("disabled", &with.disabled)]
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| format!("{name}: {}", list.join(", ")))
            .collect::<Vec<_>>()
            .join("; ");
        let count = with.enabled.len() + with.masked.len() + with.disabled.len();
        Ok(Conclusion::of(&problems, expected, format!("{count} units as expected"), &root.sha256))
    }
}

/// A unit is masked when the first file of its name is a link to `/dev/null`, or is empty.
pub(crate) fn masked(root: &Root, unit: &str) -> bool {
    let Some((_, node)) = FOLDERS.iter().find_map(|folder| root.entry(&format!("{folder}/{unit}"))) else {
        return false;
    };
    match &node.kind {
        NodeKind::Symlink(target) => target == "/dev/null",
        NodeKind::File(bytes) => *bytes == 0,
        _ => false,
    }
}

pub(crate) fn unit_file(root: &Root, unit: &str) -> Option<String> {
    let mut names = vec![unit.to_owned()];
    if let (Some(at), Some(dot)) = (unit.find('@'), unit.rfind('.'))
        && at < dot
    {
        names.push(format!("{}{}", &unit[..=at], &unit[dot..]));
    }
    FOLDERS.iter().find_map(|folder| {
        names.iter().find_map(|name| root.resolve(&format!("{folder}/{name}")).map(|(real, _)| real))
    })
}

/// Every unit that a link in a `.wants`, `.requires` or `.upholds` folder pulls in, with that link.
pub(crate) fn pulls(root: &Root) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for name in root.list(folder) {
            if [".wants", ".requires", ".upholds"].iter().any(|suffix| name.ends_with(suffix)) {
                let links = root.list(&format!("{folder}/{name}")).into_iter();
                found.extend(links.map(|unit| (unit.clone(), format!("{folder}/{name}/{unit}"))));
            }
        }
    }
    found
}

/// The link by which another unit starts this one, if any.
fn pulled_in(root: &Root, unit: &str) -> Option<String> {
    for folder in FOLDERS {
        for name in root.list(folder) {
            let pulls = [".wants", ".requires", ".upholds"].iter().any(|suffix| name.ends_with(suffix));
            let link = format!("{folder}/{name}/{unit}");
            if pulls && root.entry(&link).is_some() {
                return Some(link);
            }
        }
    }
    // `systemctl set-default` and aliases such as `dbus-org.….service` are links beside the unit.
    let own = unit_file(root, unit)?;
    root.list(ADMIN).into_iter().find_map(|name| {
        let link = format!("{ADMIN}/{name}");
        let is_link = matches!(root.entry(&link)?.1.kind, NodeKind::Symlink(_));
        (name != unit && is_link && root.resolve(&link)?.0 == own).then_some(link)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn tree() -> Tree {
        Tree::base()
            .file("/usr/lib/systemd/system/nftables.service", 0o644, "[Unit]\n")
            .link(
                "/etc/systemd/system/sysinit.target.wants/nftables.service",
                "/usr/lib/systemd/system/nftables.service",
            )
            .link("/etc/systemd/system/debug-shell.service", "/dev/null")
            .file("/usr/lib/systemd/system/getty@.service", 0o644, "[Unit]\n")
            .link("/usr/lib/systemd/system/getty.target.wants/getty@tty1.service", "../getty@.service")
    }

    #[test]
    fn pass() {
        passes(run(
            "unit-state",
            json!({"enabled": ["nftables.service", "getty@tty1.service"], "masked": ["debug-shell.service"],
                   "disabled": ["debug-shell.service", "cups.service"]}),
            tree().root(),
        ));
    }

    #[test]
    fn nothing_else_is_started() {
        let check = |packaged: &[&str]| {
            run("unit-state", json!({"enabled": ["nftables.service"], "only": packaged}), tree().root())
        };
        passes(check(&["getty@tty1.service"]));
        fails(check(&[]), "`getty@tty1.service` is started by `/usr/lib/systemd/system/getty.target.wants");
    }

    #[test]
    fn fail() {
        fails(
            run("unit-state", json!({"enabled": ["ssh.service"]}), tree().root()),
            "`ssh.service` has no unit file",
        );
        fails(run("unit-state", json!({"masked": ["nftables.service"]}), tree().root()), "is not masked");
        fails(
            run("unit-state", json!({"disabled": ["getty@tty1.service"]}), tree().root()),
            "enabled by `/usr/lib/systemd/system/getty.target.wants/getty@tty1.service`",
        );
        let not_pulled = tree().file("/usr/lib/systemd/system/a.service", 0o644, "[Unit]\n");
        fails(
            run("unit-state", json!({"enabled": ["a.service"]}), not_pulled.root()),
            "`a.service` is not enabled",
        );
        fails(run("unit-state", json!({"enabled": ["debug-shell.service"]}), tree().root()), "is masked");
    }
}
