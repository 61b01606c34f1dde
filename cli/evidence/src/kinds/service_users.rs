//! `service-users`: services run as a user of their own, and those that do not say why.
//!
//! Source: systemd.exec(5), "User=" and "DynamicUser=".

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::services::{named, started};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct ServiceUsers;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Services that may run as root, by a pattern of their names, each with its reason.
    #[serde(default)]
    root: BTreeMap<String, String>,
}

impl Kind for ServiceUsers {
    const NAME: &'static str = "service-users";
    const DESCRIPTION: &'static str =
        "every service that goes on running has a user other than root, or is named in `root` with a reason";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let empty = with.root.iter().filter(|(_, reason)| reason.trim().is_empty());
        empty.map(|(name, _)| format!("`root`: `{name}` has no reason")).collect()
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let (services, other) = started(root)?;
        let mut problems: Vec<String> = other
            .iter()
            .map(|command| format!("{command}: nothing gives it another user than root"))
            .collect();
        let (mut own, mut allowed) = (0, Vec::new());
        for service in services.iter().filter(|service| service.long_running()) {
            let dynamic = ["yes", "true", "1", "on"].contains(&service.last("DynamicUser"));
            if dynamic || !matches!(service.last("User"), "" | "root" | "0") {
                own += 1;
            } else if let Some(reason) = named(&with.root, &service.name) {
                allowed.push(format!("`{}` ({reason})", service.name));
            } else {
                problems.push(format!("`{}` runs as root, and no reason is named for it", service.name));
            }
        }
        let expected = "a user of its own for each service that goes on running, but those with a reason";
        let seen = match allowed.as_slice() {
            [] => format!("{own} services have a user of their own, none runs as root"),
            _ => format!("{own} have a user of their own; as root: {}", allowed.join(", ")),
        };
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn tree(units: &[(&str, &str)]) -> Tree {
        units.iter().fold(Tree::base(), |tree, (name, section)| {
            let path = format!("/usr/lib/systemd/system/{name}");
            tree.file(&path, 0o644, format!("[Service]\n{section}\n"))
                .link(&format!("/etc/systemd/system/multi-user.target.wants/{name}"), &path)
        })
    }

    #[test]
    fn pass() {
        let units = [
            ("a.service", "User=a"),
            ("b.service", "DynamicUser=yes"),
            ("once.service", "Type=oneshot"),
            ("vpn-x.service", "User=root"),
        ];
        let seen = passes(run(
            "service-users",
            json!({"root": {"vpn-*.service": "opens the tunnel's interface"}}),
            tree(&units).root(),
        ));
        assert_eq!(
            seen,
            "2 have a user of their own; as root: `vpn-x.service` (opens the tunnel's interface)"
        );
    }

    #[test]
    fn fail() {
        let check = |units: &[(&str, &str)]| run("service-users", json!({}), tree(units).root());
        fails(check(&[("a.service", "")]), "`a.service` runs as root, and no reason is named for it");
        fails(check(&[("a.service", "User=0")]), "`a.service` runs as root");
        fails(check(&[("a.service", "User=a\nUser=")]), "`a.service` runs as root");
        let script = Tree::base().file("/etc/init.d/S50x", 0o755, "#!/bin/sh\n/usr/sbin/x -d\n");
        fails(
            run("service-users", json!({}), script.root()),
            "`/usr/sbin/x` of `/etc/init.d/S50x`: nothing gives it another user than root",
        );
    }

    #[test]
    fn where_nothing_is_started_there_is_no_conclusion() {
        cannot(run("service-users", json!({}), Tree::base().root()), "starts anything");
    }

    #[test]
    fn a_reason_is_wanted() {
        let entry = crate::kinds::find("service-users").unwrap();
        assert_eq!(
            (entry.validate)(&json!({"root": {"a.service": " "}})),
            ["`root`: `a.service` has no reason"]
        );
    }
}
