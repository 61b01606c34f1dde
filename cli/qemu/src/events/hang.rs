//! The service manager hangs: nobody tells the watchdog anything any more, and it starts the machine anew.
//!
//! The machine ends with that, so it is the last that is done to it. That the device starts again after a sudden end, and what it
//! then records, the restart after a block that does not verify shows.
//!
//! Source: Linux' Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`; QEMU's `qapi/run-state.json`, events `WATCHDOG` and
//! `SHUTDOWN`.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::{HUNG, TrafficVerdict};
use spec::plan::WatchdogFacts;

use super::{MINUTE, Proof};
use crate::qmp::Event;

/// The first process has a control group of its own, which the kernel stops; what runs beside it goes on.
const FREEZE: &str = "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze; sleep 2; grep frozen /sys/fs/cgroup/init.scope/cgroup.events";
/// What the watchdog may take beyond its time: an emulated machine's clock stands still whenever its host has no time for it.
const SLACK: Duration = MINUTE;

impl Proof<'_> {
    /// Ends the machine.
    pub(super) fn hang(&mut self) -> Outcome<()> {
        let name = format!("{HUNG}: the watchdog starts it anew");
        let Some(watchdog) = &self.plan.board.watchdog else {
            let why = format!("boards/{}/board.yaml names no `watchdog`", self.plan.board.name);
            self.class(&name, TrafficVerdict::NotShown, Vec::new(), vec![why]);
            return Ok(());
        };
        let answer = self.bench.ask(FREEZE, MINUTE)?;
        let frozen = answer.iter().any(|line| line == "frozen 1");
        let from = Instant::now();
        let machine = &mut self.bench.machine;
        let before = machine.qmp.events().len();
        // QEMU hangs up when the machine was reset.
        machine.qmp.drain(from + Duration::from_secs(watchdog.seconds.into()) + SLACK);
        exec::check_interrupt()?;
        let (waited, events) = (from.elapsed(), machine.qmp.events().get(before..).unwrap_or_default());
        let (seen, problems) = reset(watchdog, frozen, events, waited);
        self.verdict(&name, seen, problems);
        Ok(())
    }
}

/// What QEMU saw, and what is wrong with it.
fn reset(
    watchdog: &WatchdogFacts,
    frozen: bool,
    events: &[Event],
    waited: Duration,
) -> (Vec<String>, Vec<String>) {
    let said = |name: &str, key: &str, value: &str| {
        events.iter().any(|event| event.name == name && event.data.get(key).is_some_and(|data| data == value))
    };
    let mut problems = Vec::new();
    if !frozen {
        problems.push("the service manager could not be stopped, so that nothing was shown".to_owned());
    }
    // A timer of the kernel resets the machine as any other of its resets does.
    if watchdog.hardware && !said("WATCHDOG", "action", "reset") {
        problems.push(format!("`{}` did not act within {} s", watchdog.driver, waited.as_secs()));
    }
    if !said("SHUTDOWN", "reason", "guest-reset") {
        problems.push(format!("the machine was not reset within {} s", waited.as_secs()));
    }
    let seen = format!(
        "the service manager was stopped; {} s later the machine was reset by `{}` ({} s)",
        waited.as_secs(),
        watchdog.driver,
        watchdog.seconds
    );
    (vec![seen], problems)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, data: serde_json::Value) -> Event {
        Event { name: name.to_owned(), micros: 0, data }
    }

    #[test]
    fn a_reset_is_qemu_s_word_and_not_the_device_s() {
        let mut watchdog = WatchdogFacts {
            driver: "I6300ESB_WDT".to_owned(),
            hardware: true,
            seconds: 30,
            limits: String::new(),
        };
        let acted = event("WATCHDOG", json!({"action": "reset"}));
        let ended = event("SHUTDOWN", json!({"guest": true, "reason": "guest-reset"}));
        let (both, waited) = ([acted, ended], Duration::from_secs(31));
        let (seen, problems) = reset(&watchdog, true, &both, waited);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(seen[0].ends_with("31 s later the machine was reset by `I6300ESB_WDT` (30 s)"), "{seen:?}");
        let problems = |events: &[Event], frozen| reset(&watchdog, frozen, events, waited).1.join("; ");
        assert!(problems(&both, false).contains("could not be stopped"));
        // Something else reset it.
        assert_eq!(problems(&both[1..], true), "`I6300ESB_WDT` did not act within 31 s");
        assert_eq!(problems(&both[..1], true), "the machine was not reset within 31 s");
        let panicked = event("SHUTDOWN", json!({"guest": true, "reason": "guest-panic"}));
        assert!(problems(&[both[0].clone(), panicked], true).contains("was not reset"));
        assert!(problems(&[], true).contains("; "));
        watchdog.hardware = false;
        assert!(reset(&watchdog, true, &both[1..], waited).1.is_empty());
    }
}
