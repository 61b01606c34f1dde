//! `watchdog`: a device that hangs is started anew.
//!
//! Source: systemd-system.conf(5), `RuntimeWatchdogSec=` and `RebootWatchdogSec=`; systemd.service(5), `Restart=`;
//! Linux' Documentation/watchdog/watchdog-api.rst.

use std::collections::BTreeMap;

use serde::Deserialize;
use spec::plan::WatchdogFacts;

use super::Kind;
use super::kconfig_embedded::embedded;
use super::services::{mistakes, named, started};
use crate::facts::services::manager;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Watchdog;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Services that go on running and are not started again when they fail, by a pattern of their names, and why.
    #[serde(default)]
    exceptions: BTreeMap<String, String>,
}

/// Settings of `Restart` that start a service again which was killed or ended with an error.
const AGAIN: [&str; 2] = ["always", "on-failure"];

/// Seconds of a time span of systemd; none: it is off, or a word such as `default`.
fn seconds(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u32 = text[..digits].parse().ok()?;
    let times = match text[digits..].trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        _ => return None,
    };
    number.checked_mul(times).filter(|seconds| *seconds > 0)
}

/// What is wrong with what the service manager tells the watchdog.
fn fed(settings: &BTreeMap<String, Vec<String>>, watchdog: &WatchdogFacts) -> Vec<String> {
    let last = |name: &str| settings.get(name).and_then(|all| all.last()).map_or("", String::as_str);
    let mut problems = Vec::new();
    match (last("RuntimeWatchdogSec"), seconds(last("RuntimeWatchdogSec"))) {
        ("", _) => problems
            .push("no `RuntimeWatchdogSec` in system.conf: nobody tells the watchdog anything".to_owned()),
        (_, Some(found)) if found <= watchdog.seconds => {}
        (found, _) => problems.push(format!(
            "`RuntimeWatchdogSec={found}`, expected at most {} seconds and not off",
            watchdog.seconds
        )),
    }
    // Without the setting it is ten minutes.
    let shutdown = last("RebootWatchdogSec");
    if !shutdown.is_empty() && seconds(shutdown).is_none() {
        problems.push(format!("`RebootWatchdogSec={shutdown}`: a shutdown that hangs stays so"));
    }
    if let device @ ("/dev/null" | "/dev/zero") = last("WatchdogDevice") {
        problems.push(format!("`WatchdogDevice={device}` is no watchdog"));
    }
    problems
}

impl Kind for Watchdog {
    const NAME: &'static str = "watchdog";
    const DESCRIPTION: &'static str = "the kernel drives the watchdog that the board names, the service manager feeds it within its time, and every \
                                       service that goes on running is started again when it fails, but those in `exceptions`, each with its reason; \
                                       a board without one in its hardware is for the operator";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        mistakes(std::iter::empty(), &[], with.exceptions.iter())
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let board = &context.plan()?.board;
        let root = context.root()?;
        let Some(watchdog) = &board.watchdog else {
            return Err(Unable::for_the_operator(format!(
                "boards/{}/board.yaml names no `watchdog`: what starts a device anew that hangs?",
                board.name
            )));
        };
        let mut problems = fed(&manager(root)?, watchdog);
        let kernel = embedded(context)?;
        for (symbol, why) in [
            (watchdog.driver.as_str(), "the watchdog's driver"),
            ("WATCHDOG_NOWAYOUT", "nobody stops it once it runs"),
        ] {
            let found = kernel.get(symbol).copied().unwrap_or("n");
            if found != "y" {
                problems.push(format!("`{symbol}` is `{found}` in the kernel, not `y` ({why})"));
            }
        }
        let (services, _) = started(root)?;
        let (mut again, mut agreed) = (0, Vec::new());
        for service in services.iter().filter(|service| service.long_running()) {
            match (AGAIN.contains(&service.last("Restart")), named(&with.exceptions, &service.name)) {
                (true, _) => again += 1,
                (false, Some(reason)) => agreed.push(format!("`{}` ({reason})", service.name)),
                (false, None) => {
                    problems.push(format!("`{}` is not started again when it fails", service.name))
                }
            }
        }
        if problems.is_empty() && !watchdog.hardware {
            return Err(Unable::for_the_operator(format!(
                "`{}` is driven and fed, and is no hardware: {}",
                watchdog.driver, watchdog.limits
            )));
        }
        let seen = format!(
            "{}, fed within {} s; {again} services are started again when they fail{}",
            watchdog.driver,
            watchdog.seconds,
            if agreed.is_empty() {
                String::new()
            } else {
                format!("; not, as agreed: {}", agreed.join(", "))
            }
        );
        let expected = "a watchdog in hardware that is driven and fed, and services that are started again";
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::{Value, json};
    use spec::plan::WatchdogFacts;

    use crate::subject::{FitFacts, Subject};
    use crate::testing::*;

    const CONF: &str = "[Manager]\nDumpCore=no\nRuntimeWatchdogSec=30\n";
    const KERNEL: &str = "CONFIG_IMX2_WDT=y\nCONFIG_WATCHDOG_NOWAYOUT=y\n";
    const SERVICE: &str = "[Service]\nExecStart=/usr/bin/a\nRestart=on-failure\n";

    fn subject(conf: &str, kernel: &str, service: &str) -> Subject {
        let tree = Tree::base()
            .file("/etc/systemd/system.conf.d/10-a.conf", 0o644, conf)
            .file("/etc/systemd/system/a.service", 0o644, service)
            .link("/etc/systemd/system/multi-user.target.wants/a.service", "/etc/systemd/system/a.service");
        let mut subject = Subject::of_root(tree.root());
        let fit = Subject::of_cmdline("x").fit.unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { kconfig: Ok(kernel.to_owned()), ..fit }));
        subject
    }

    fn check(
        subject: &Subject,
        hardware: Option<bool>,
        with: Value,
    ) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.board.watchdog = hardware.map(|hardware| WatchdogFacts {
            driver: "IMX2_WDT".to_owned(),
            hardware,
            seconds: 30,
            limits: "It starts with its driver.".to_owned(),
        });
        run_on("watchdog", with, subject, Some(&plan))
    }

    #[test]
    fn pass() {
        let seen = passes(check(&subject(CONF, KERNEL, SERVICE), Some(true), json!({})));
        assert_eq!(seen, "IMX2_WDT, fed within 30 s; 1 services are started again when they fail");
        let minute = "[Manager]\nRuntimeWatchdogSec=1min\n[Manager]\nRuntimeWatchdogSec=20s\n";
        passes(check(&subject(minute, KERNEL, SERVICE), Some(true), json!({})));
        let agreed = json!({"exceptions": {"a.*": "ends by itself"}});
        let seen = passes(check(&subject(CONF, KERNEL, "[Service]\nExecStart=/a\n"), Some(true), agreed));
        assert!(seen.ends_with("not, as agreed: `a.service` (ends by itself)"), "{seen}");
    }

    #[test]
    fn fail() {
        for (conf, expected) in [
            ("[Manager]\nDumpCore=no\n", "no `RuntimeWatchdogSec` in system.conf"),
            ("[Unit]\nRuntimeWatchdogSec=30\n", "no `RuntimeWatchdogSec` in system.conf"),
            (
                "[Manager]\nRuntimeWatchdogSec=0\n",
                "`RuntimeWatchdogSec=0`, expected at most 30 seconds and not off",
            ),
            ("[Manager]\nRuntimeWatchdogSec=off\n", "`RuntimeWatchdogSec=off`, expected"),
            ("[Manager]\nRuntimeWatchdogSec=31\n", "`RuntimeWatchdogSec=31`, expected"),
            ("[Manager]\nRuntimeWatchdogSec=9\nRebootWatchdogSec=off\n", "a shutdown that hangs stays so"),
            ("[Manager]\nRuntimeWatchdogSec=9\nWatchdogDevice=/dev/null\n", "is no watchdog"),
        ] {
            fails(check(&subject(conf, KERNEL, SERVICE), Some(true), json!({})), expected);
        }
        for (kernel, expected) in [
            ("CONFIG_IMX2_WDT=m\nCONFIG_WATCHDOG_NOWAYOUT=y\n", "`IMX2_WDT` is `m` in the kernel"),
            ("CONFIG_IMX2_WDT=y\n", "`WATCHDOG_NOWAYOUT` is `n` in the kernel"),
        ] {
            fails(check(&subject(CONF, kernel, SERVICE), Some(true), json!({})), expected);
        }
        for restart in ["", "Restart=no\n", "Restart=on-success\n", "Restart=on-abnormal\n"] {
            let service = format!("[Service]\nExecStart=/usr/bin/a\n{restart}");
            let failed = check(&subject(CONF, KERNEL, &service), Some(true), json!({}));
            fails(failed, "`a.service` is not started again when it fails");
        }
    }

    #[test]
    fn what_is_no_hardware_is_left_to_a_person_once_it_is_driven() {
        let whole = subject(CONF, KERNEL, SERVICE);
        let open = check(&whole, Some(false), json!({})).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert_eq!(open.why, "`IMX2_WDT` is driven and fed, and is no hardware: It starts with its driver.");
        fails(check(&subject("", KERNEL, SERVICE), Some(false), json!({})), "no `RuntimeWatchdogSec`");
        let open = check(&whole, None, json!({})).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert!(open.why.contains("board.yaml names no `watchdog`"), "{}", open.why);
    }

    #[test]
    fn a_drop_in_counts_as_the_file_does_and_the_administrator_s_hides_the_vendor_s() {
        let tree = |at: &str, also: &str| {
            let tree = Tree::base()
                .file("/usr/lib/systemd/system.conf", 0o644, CONF)
                .file(at, 0o644, "[Manager]\nRuntimeWatchdogSec=off\n")
                .file(also, 0o644, "[Manager]\n");
            crate::facts::services::manager(&tree.root()).unwrap()["RuntimeWatchdogSec"].clone()
        };
        let (vendor, own) = ("/usr/lib/systemd/system.conf.d/1.conf", "/etc/systemd/system.conf.d/1.conf");
        assert_eq!(tree(vendor, "/etc/systemd/other.conf"), ["30", "off"]);
        assert_eq!(tree(vendor, own), ["30"]);
    }

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        let entry = crate::kinds::find("watchdog").unwrap();
        assert_eq!((entry.validate)(&json!({"exceptions": {"a": " "}})), ["`exceptions`: `a` has no reason"]);
    }
}
