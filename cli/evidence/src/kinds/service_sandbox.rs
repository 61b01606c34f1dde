//! `service-sandbox`: each service is confined, and no more exposed than was agreed.
//!
//! Source: systemd.exec(5), "SANDBOXING"; systemd-analyze(1), "security", whose exposure this counts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::services::{Service, mistakes, named, started};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct ServiceSandbox;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// The agreed exposure, such as `5.0`, from 0.0 to 10.0.
    at_most: String,
    /// Settings that each service has.
    require: Vec<String>,
    /// Services that are less confined, by a pattern of their names.
    #[serde(default)]
    exceptions: BTreeMap<String, Exception>,
}

/// What is agreed for one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// Its own bound, where it is another one.
    at_most: Option<String>,
    /// Settings that it does not have.
    #[serde(default)]
    lacks: Vec<String>,
    /// Why.
    reason: String,
}

/// Settings that can be required.
const KNOWN: [&str; 9] = [
    "CapabilityBoundingSet",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "ProtectKernelModules",
    "ProtectSystem",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "SystemCallFilter",
];

/// `5.0` is 50.
fn tenths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || whole.is_empty() || part.len() != 1 || !digits(part) {
        return None;
    }
    let tenths = whole.parse::<u32>().ok()?.checked_mul(10)?.checked_add(part.parse().ok()?)?;
    (tenths <= 100).then_some(tenths)
}

/// Whether a setting confines: a list that was emptied is the narrowest, a switch has to be on.
fn has(service: &Service, setting: &str) -> bool {
    let off = ["no", "false", "0", "off"].contains(&service.last(setting));
    match setting {
        "CapabilityBoundingSet" => service.settings.contains_key(setting),
        // Set to nothing is as if it had not been set.
        _ => !service.last(setting).is_empty() && !off,
    }
}

impl Kind for ServiceSandbox {
    const NAME: &'static str = "service-sandbox";
    const DESCRIPTION: &'static str = "every service that is started has the settings of `require` and an exposure of at most `at_most`, \
                                       but those in `exceptions`, each with its own bound and reason";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let bounds = with.exceptions.values().filter_map(|exception| exception.at_most.as_ref());
        let mut problems: Vec<String> = std::iter::once(&with.at_most)
            .chain(bounds)
            .filter(|text| tenths(text).is_none())
            .map(|text| {
                format!("`at_most`: expected an exposure such as `5.0`, at most `10.0`, found `{text}`")
            })
            .collect();
        let lacks = with.exceptions.values().flat_map(|exception| &exception.lacks);
        let reasons = with.exceptions.iter().map(|(name, exception)| (name, &exception.reason));
        problems.extend(mistakes(with.require.iter().chain(lacks), &KNOWN, reasons));
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let (services, other) = started(root)?;
        let mut problems: Vec<String> =
            other.iter().map(|command| format!("{command}: nothing confines it")).collect();
        let (mut confined, mut less) = (0, Vec::new());
        for service in &services {
            let exception = named(&with.exceptions, &service.name);
            let bound = exception.and_then(|exception| exception.at_most.as_ref()).unwrap_or(&with.at_most);
            let most = tenths(bound).unwrap_or_default();
            let exposure = format!("{}.{}", service.exposure / 10, service.exposure % 10);
            if service.exposure > most {
                problems.push(format!("`{}` has the exposure {exposure}, more than {bound}", service.name));
            }
            let allowed = |setting: &String| exception.is_some_and(|e| e.lacks.contains(setting));
            let missing: Vec<&str> = with
                .require
                .iter()
                .filter(|setting| !has(service, setting) && !allowed(setting))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                problems.push(format!("`{}` has no {}", service.name, missing.join(", ")));
            }
            match exception {
                Some(exception) => less.push(format!("`{}` {exposure} ({})", service.name, exception.reason)),
                None => confined += 1,
            }
        }
        let expected =
            format!("exposure at most {} and {} for each service", with.at_most, with.require.join(", "));
        let seen = format!(
            "{confined} services are confined so{}",
            if less.is_empty() { String::new() } else { format!("; less, as agreed: {}", less.join(", ")) }
        );
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    const TIGHT: &str = "[Service]\nUser=a\nCapabilityBoundingSet=\nNoNewPrivileges=yes\nProtectSystem=strict\n\
        RestrictAddressFamilies=AF_UNIX\nSystemCallFilter=@system-service\nPrivateTmp=yes\nPrivateNetwork=yes\n\
        PrivateDevices=yes\nProtectHome=yes\nProtectKernelTunables=yes\nProtectKernelModules=yes\n\
        ProtectControlGroups=yes\nRestrictNamespaces=yes\nProtectClock=yes\nProtectKernelLogs=yes\n\
        IPAddressDeny=any\nSystemCallArchitectures=native\nRestrictSUIDSGID=yes\nRestrictRealtime=yes\n";

    fn tree(text: &str) -> Tree {
        Tree::base().file("/usr/lib/systemd/system/a.service", 0o644, text).link(
            "/etc/systemd/system/multi-user.target.wants/a.service",
            "/usr/lib/systemd/system/a.service",
        )
    }

    fn with(exceptions: serde_json::Value) -> serde_json::Value {
        let require = [
            "NoNewPrivileges",
            "ProtectSystem",
            "CapabilityBoundingSet",
            "RestrictAddressFamilies",
            "SystemCallFilter",
        ];
        json!({"at_most": "4.0", "require": require, "exceptions": exceptions})
    }

    #[test]
    fn pass() {
        assert_eq!(
            passes(run("service-sandbox", with(json!({})), tree(TIGHT).root())),
            "1 services are confined so"
        );
        let agreed = json!({"?.service": {"at_most": "10.0", "reason": "it has to",
            "lacks": ["NoNewPrivileges", "ProtectSystem", "CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter"]}});
        let seen =
            passes(run("service-sandbox", with(agreed), tree("[Service]\nExecStart=/usr/bin/a\n").root()));
        assert!(seen.starts_with("0 services are confined so; less, as agreed: `a.service` 9."), "{seen}");
        assert!(seen.ends_with(" (it has to)"), "{seen}");
    }

    #[test]
    fn fail() {
        let check = |text: &str| run("service-sandbox", with(json!({})), tree(text).root());
        fails(check("[Service]\nExecStart=/usr/bin/a\n"), ", more than 4.0");
        for (line, other, setting) in [
            ("CapabilityBoundingSet=\n", "", "CapabilityBoundingSet"),
            ("NoNewPrivileges=yes", "NoNewPrivileges=no", "NoNewPrivileges"),
            ("ProtectSystem=strict", "ProtectSystem=no", "ProtectSystem"),
            ("RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=", "RestrictAddressFamilies"),
            ("SystemCallFilter=@system-service", "SystemCallFilter=a\nSystemCallFilter=", "SystemCallFilter"),
        ] {
            fails(check(&TIGHT.replace(line, other)), &format!("`a.service` has no {setting}"));
        }
        let lacks = json!({"a.service": {"lacks": ["ProtectSystem"], "reason": "it has to"}});
        let text = TIGHT.replace("NoNewPrivileges=yes", "");
        fails(run("service-sandbox", with(lacks), tree(&text).root()), "`a.service` has no NoNewPrivileges");
        let path = Tree::base()
            .file("/etc/systemd/system/b.path", 0o644, "[Path]\nPathExists=/x\nUnit=a.service\n")
            .file("/etc/systemd/system/a.service", 0o644, "[Service]\nExecStart=/usr/bin/a\n")
            .link("/etc/systemd/system/multi-user.target.wants/b.path", "/etc/systemd/system/b.path");
        fails(run("service-sandbox", with(json!({})), path.root()), "`a.service` has no NoNewPrivileges");
        let script = Tree::base().file("/etc/init.d/S50x", 0o755, "#!/bin/sh\n/usr/sbin/x -d\n");
        fails(
            run("service-sandbox", with(json!({})), script.root()),
            "`/usr/sbin/x` of `/etc/init.d/S50x`: nothing confines it",
        );
        cannot(run("service-sandbox", with(json!({})), Tree::base().root()), "starts anything");
    }

    #[test]
    fn parameters() {
        let entry = crate::kinds::find("service-sandbox").unwrap();
        for at_most in ["5", "10.1", "x.0", "5.00", "-1.0", ".5"] {
            let problems = (entry.validate)(&json!({"at_most": at_most, "require": []}));
            assert_eq!(problems.len(), 1, "{at_most}");
            assert!(problems[0].contains(&format!("found `{at_most}`")), "{problems:?}");
        }
        let problems = (entry.validate)(
            &json!({"at_most": "5.0", "require": ["NoSuch"], "exceptions": {"a": {"reason": ""}}}),
        );
        assert!(problems[0].starts_with("`NoSuch` is none of CapabilityBoundingSet, "), "{problems:?}");
        assert_eq!(problems[1], "`exceptions`: `a` has no reason");
    }
}
