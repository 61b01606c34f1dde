//! `service-limits`: what a service may take of the device is bounded.
//!
//! Source: systemd.resource-control(5); the bounds are the kernel's, by control groups (Documentation/admin-guide/cgroup-v2.rst).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::services::{Service, mistakes, named, started};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct ServiceLimits;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Settings that bound, each of which a service has.
    require: Vec<String>,
    /// The services; otherwise each one that goes on running or that somebody may start again and again.
    #[serde(default)]
    units: Vec<String>,
    /// Services without a bound, by a pattern of their names, and why.
    #[serde(default)]
    exceptions: BTreeMap<String, String>,
}

/// Settings that can be required.
const KNOWN: [&str; 7] = [
    "CPUQuota",
    "CPUWeight",
    "IOReadBandwidthMax",
    "IOWriteBandwidthMax",
    "MemoryHigh",
    "MemoryMax",
    "TasksMax",
];

/// Whether a setting is there, has the form that systemd takes (another is passed over), and bounds anything on whatever
/// board: `infinity` does not, and neither do all of the memory or, where there is one processor, all of that.
fn bounds(service: &Service, setting: &str) -> bool {
    let words: Vec<&str> = service.last(setting).split_ascii_whitespace().collect();
    let part = |text: &str| text.strip_suffix('%').is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n < 100));
    let amount = |text: &str| !text.ends_with('%') && text.starts_with(|first: char| first.is_ascii_digit());
    match words.as_slice() {
        [value] if setting == "CPUQuota" => part(value),
        [device, value] if setting.starts_with("IO") => device.starts_with('/') && amount(value),
        [value] if !setting.starts_with("IO") => part(value) || amount(value),
        _ => false,
    }
}

impl Kind for ServiceLimits {
    const NAME: &'static str = "service-limits";
    const DESCRIPTION: &'static str = "every service that goes on running, or that a path or a timer starts, or each of `units`, has the bounds of \
                                       `require`, but those in `exceptions`, each with its reason";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = mistakes(with.require.iter(), &KNOWN, with.exceptions.iter());
        if with.require.is_empty() {
            problems.push("`require` names no setting: nothing would be looked at".to_owned());
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let (services, other) = started(root)?;
        let mut problems: Vec<String> =
            other.iter().map(|command| format!("{command}: nothing bounds it")).collect();
        for unit in with.units.iter().filter(|unit| !services.iter().any(|service| service.name == **unit)) {
            problems.push(format!("`{unit}` is not started"));
        }
        let (mut bounded, mut less) = (0, Vec::new());
        for service in &services {
            let is_looked_at = if with.units.is_empty() {
                service.long_running() || service.asked
            } else {
                with.units.contains(&service.name)
            };
            if !is_looked_at {
                continue;
            }
            let missing: Vec<&str> =
                with.require.iter().map(String::as_str).filter(|setting| !bounds(service, setting)).collect();
            match named(&with.exceptions, &service.name) {
                Some(reason) if !missing.is_empty() => less.push(format!("`{}` ({reason})", service.name)),
                _ if missing.is_empty() => bounded += 1,
                _ => problems.push(format!("`{}` has no {}", service.name, missing.join(", "))),
            }
        }
        let expected = format!("a bound by {} for each service", with.require.join(", "));
        let seen = format!(
            "{bounded} services have these bounds{}",
            if less.is_empty() { String::new() } else { format!("; not, as agreed: {}", less.join(", ")) }
        );
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::*;

    const BOUND: &str = "[Service]\nExecStart=/usr/bin/a\nMemoryMax=16M\nTasksMax=4\nCPUQuota=50%\nIOWriteBandwidthMax=/var 8M\n";

    fn tree(text: &str) -> Tree {
        Tree::base()
            .file("/etc/systemd/system/a.service", 0o644, text)
            .link("/etc/systemd/system/multi-user.target.wants/a.service", "/etc/systemd/system/a.service")
    }

    fn with(more: &Value) -> Value {
        let mut with = json!({"require": ["MemoryMax", "TasksMax", "CPUQuota", "IOWriteBandwidthMax"]});
        with.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        with
    }

    fn check(more: &Value, tree: Tree) -> Result<crate::Conclusion, crate::Unable> {
        run("service-limits", with(more), tree.root())
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check(&json!({}), tree(BOUND))), "1 services have these bounds");
        let agreed = json!({"exceptions": {"?.service": "it has to"}});
        assert_eq!(
            passes(check(&agreed, tree("[Service]\nExecStart=/usr/bin/a\n"))),
            "0 services have these bounds; not, as agreed: `a.service` (it has to)"
        );
        // Once at the start, before anybody could ask for it again.
        let once = "[Service]\nType=oneshot\nExecStart=/usr/bin/a\n";
        assert_eq!(passes(check(&json!({}), tree(once))), "0 services have these bounds");
        // A drop-in counts as the unit does.
        let dropped = tree("[Service]\nExecStart=/usr/bin/a\n").file(
            "/etc/systemd/system/a.service.d/10-limits.conf",
            0o644,
            BOUND.replace("ExecStart=/usr/bin/a\n", ""),
        );
        passes(check(&json!({}), dropped));
        passes(check(&json!({"units": ["a.service"]}), tree(BOUND)));
    }

    #[test]
    fn fail() {
        for (line, other, setting) in [
            ("MemoryMax=16M", "MemoryMax=infinity", "MemoryMax"),
            ("TasksMax=4\n", "", "TasksMax"),
            ("CPUQuota=50%", "CPUQuota=", "CPUQuota"),
            ("CPUQuota=50%", "CPUQuota=100%", "CPUQuota"),
            // What systemd passes over is no bound.
            ("CPUQuota=50%", "CPUQuota=50", "CPUQuota"),
            ("IOWriteBandwidthMax=/var 8M", "IOWriteBandwidthMax=8M", "IOWriteBandwidthMax"),
            ("MemoryMax=16M", "MemoryMax=/var 16M", "MemoryMax"),
            ("MemoryMax=16M", "MemoryMax=100%", "MemoryMax"),
            ("IOWriteBandwidthMax=/var 8M", "IOWriteBandwidthMax=/var infinity", "IOWriteBandwidthMax"),
            ("IOWriteBandwidthMax=/var 8M", "IOWriteBandwidthMax=/var", "IOWriteBandwidthMax"),
        ] {
            fails(
                check(&json!({}), tree(&BOUND.replace(line, other))),
                &format!("`a.service` has no {setting}"),
            );
        }
        let dropped = tree(BOUND).file(
            "/etc/systemd/system/a.service.d/20-more.conf",
            0o644,
            "[Service]\nTasksMax=infinity\n",
        );
        fails(check(&json!({}), dropped), "`a.service` has no TasksMax");
        // Whoever may make a path start it may do so again and again.
        let asked = Tree::base()
            .file("/etc/systemd/system/b.path", 0o644, "[Path]\nPathExists=/x\nUnit=a.service\n")
            .file("/etc/systemd/system/a.service", 0o644, "[Service]\nType=oneshot\nExecStart=/usr/bin/a\n")
            .link("/etc/systemd/system/multi-user.target.wants/b.path", "/etc/systemd/system/b.path");
        fails(
            check(&json!({}), asked),
            "`a.service` has no MemoryMax, TasksMax, CPUQuota, IOWriteBandwidthMax",
        );
        fails(check(&json!({"units": ["b.service"]}), tree(BOUND)), "`b.service` is not started");
        // A setting that another unit has is not this one's.
        let once = tree("[Service]\nType=oneshot\nExecStart=/usr/bin/a\n");
        fails(check(&json!({"units": ["a.service"]}), once), "`a.service` has no MemoryMax");
        let script = Tree::base().file("/etc/init.d/S50x", 0o755, "#!/bin/sh\n/usr/sbin/x -d\n");
        fails(check(&json!({}), script), "`/usr/sbin/x` of `/etc/init.d/S50x`: nothing bounds it");
        cannot(check(&json!({}), Tree::base()), "starts anything");
    }

    #[test]
    fn parameters() {
        let entry = crate::kinds::find("service-limits").unwrap();
        let problems = (entry.validate)(&json!({"require": ["NoSuch"], "exceptions": {"a": " "}}));
        assert!(problems[0].starts_with("`NoSuch` is none of CPUQuota, "), "{problems:?}");
        assert_eq!(problems[1], "`exceptions`: `a` has no reason");
        let problems = (entry.validate)(&json!({"require": []}));
        assert_eq!(problems, ["`require` names no setting: nothing would be looked at"]);
    }
}
