//! The time of a record, held against the clock of the machine, which the proof has set and which goes by the host's.

use std::collections::BTreeMap;

use events::{Clock, Event};
use x509_cert::der::DateTime;

/// Seconds by which a record's time may lie outside: the device reads whole seconds of its clock when it starts, and QEMU
/// sets that some time after it was called.
pub(super) const TOLERANCE: u64 = 5;

/// From when to when something happened, seconds since 1970 on the machine's clock.
pub(crate) type Window = (u64, u64);

/// When each kind was provoked.
#[derive(Default)]
pub(super) struct Windows {
    kinds: BTreeMap<&'static str, (u64, Option<u64>)>,
    last: Option<u64>,
}

impl Windows {
    /// A command that provokes a kind was answered.
    pub(super) fn provoked(&mut self, kind: &'static str, window: Window) {
        self.last = Some(window.0);
        self.kinds.insert(kind, (window.0, Some(window.1)));
    }

    /// A request for a kind is about to be handed over; it may take any time.
    pub(super) fn requested(&mut self, kind: &'static str, from: u64) {
        self.last = Some(from);
        self.kinds.insert(kind, (from, None));
    }

    /// A kind that follows from what was provoked before it, whenever that is.
    pub(super) fn follows(&mut self, kind: &'static str) {
        if let Some(last) = self.last {
            self.kinds.insert(kind, (last, None));
        }
    }

    /// Kinds that happened in a window of their own.
    pub(super) fn happened(&mut self, kinds: impl Iterator<Item = &'static str>, (from, to): Window) {
        self.kinds.extend(kinds.map(|kind| (kind, (from, Some(to)))));
    }

    /// The window of a kind; of one that nothing provoked from the device's start until now.
    pub(super) fn of(&self, kind: &str, (start, now): Window) -> Window {
        let (from, to) = self.kinds.get(kind).copied().unwrap_or((start, None));
        (from, to.unwrap_or(now))
    }
}

/// Whether a record's time lies in a window.
pub(super) fn within(event: &Event, (from, to): Window) -> bool {
    seconds(&event.time).is_some_and(|time| time + TOLERANCE >= from && time <= to + TOLERANCE)
}

/// What is wrong with a record's time.
pub(super) fn outside(event: &Event, (from, to): Window) -> String {
    format!(
        "record {} has the time {}, and by the machine's clock it was between {} and {} (within {TOLERANCE} s)",
        event.seq,
        event.time,
        spec::time::rfc3339(from),
        spec::time::rfc3339(to)
    )
}

/// Whether a record is of the time before the kernel read its clock, when it counts from 1970 on: of the kernel's own making, in
/// the first minute, and said to be unsynchronised. Nothing else has such an excuse.
fn before_the_clock(event: &Event) -> bool {
    let first_minute = seconds(&event.time).is_some_and(|time| time < 60);
    event.component == "kernel" && event.clock == Clock::Unsynchronised && first_minute
}

/// What the times of all records show of a run, and those that lie outside of it.
pub(super) fn of_run<'e>(events: impl Iterator<Item = &'e Event>, run: Window) -> (Vec<String>, Vec<String>) {
    let (mut all, mut synchronised, mut early, mut problems) = (0, 0, 0, Vec::new());
    for event in events {
        all += 1;
        synchronised += u32::from(event.clock == Clock::Synchronised);
        if before_the_clock(event) {
            early += 1;
        } else if !within(event, run) {
            problems.push(outside(event, run));
        }
    }
    let seen = format!(
        "{all} records from {} to {}, {synchronised} of them by a clock that followed a source, {early} of the kernel's from before it read its clock (1970)",
        spec::time::rfc3339(run.0),
        spec::time::rfc3339(run.1)
    );
    (vec![seen], problems)
}

/// Whole seconds since 1970 of a time in UTC (RFC 3339, 5.6), from 1970 on.
fn seconds(text: &str) -> Option<u64> {
    let (date, rest) = (text.get(..19)?, text.get(19..)?.strip_suffix('Z')?);
    let fraction = rest.strip_prefix('.').unwrap_or(rest);
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time: DateTime = format!("{date}Z").parse().ok()?;
    Some(time.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_the_calendar_and_what_is_none_is_none() {
        for (text, found) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00.999Z", Some(951_782_400)),
            ("2000-02-28T23:59:59Z", Some(951_782_399)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2001-02-29T00:00:00Z", None),
            ("2000-13-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2000-02-29T00:00:00+01:00", None),
            ("2000-02-29 00:00:00Z", None),
            ("2000-02-29T00:00:00.xZ", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), found, "{text}");
        }
    }

    #[test]
    fn only_the_kernel_before_it_read_its_clock_may_say_1970() {
        let event = |component: &str, clock: &str, time: &str| -> Event {
            let line = format!(
                r#"{{"seq":3,"prev":"{}","clock":"{clock}","time":"{time}","host":"gw","component":"{component}","type":"audit.avc","subject":"kernel","outcome":"success","message":"m"}}"#,
                "0".repeat(64)
            );
            serde_json::from_str(&line).unwrap()
        };
        let run = (1_769_860_800, 1_769_860_900);
        let good = [
            event("kernel", "unsynchronised", "1970-01-01T00:00:00.488Z"),
            event("sshd", "synchronised", "2026-01-31T12:00:30Z"),
        ];
        let (seen, problems) = of_run(good.iter(), run);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            seen,
            [
                "2 records from 2026-01-31T12:00:00Z to 2026-01-31T12:01:40Z, 1 of them by a clock that followed a source, \
              1 of the kernel's from before it read its clock (1970)"
            ]
        );
        for bad in [
            event("sshd", "unsynchronised", "1970-01-01T00:00:00.488Z"),
            event("kernel", "synchronised", "1970-01-01T00:00:00.488Z"),
            event("kernel", "unsynchronised", "1970-01-01T00:01:00Z"),
            event("kernel", "unsynchronised", "2026-01-31T12:01:46Z"),
            event("kernel", "unsynchronised", "2026-01-31T11:59:54Z"),
        ] {
            let (_, problems) = of_run([&bad].into_iter(), run);
            assert_eq!(problems.len(), 1, "{bad:?}");
            assert!(problems[0].starts_with("record 3 has the time "), "{problems:?}");
        }
    }

    #[test]
    fn a_kind_has_the_window_in_which_it_was_provoked() {
        let mut windows = Windows::default();
        windows.follows("at the start");
        windows.provoked("one", (100, 103));
        windows.follows("of one");
        windows.provoked("two", (110, 111));
        windows.requested("asked", 120);
        let run = (50, 500);
        assert_eq!(windows.of("at the start", run), (50, 500));
        assert_eq!(windows.of("one", run), (100, 103));
        assert_eq!(windows.of("of one", run), (100, 500));
        assert_eq!(windows.of("two", run), (110, 111));
        assert_eq!(windows.of("asked", run), (120, 500));
        assert_eq!(windows.of("at the end", run), (50, 500));
    }
}
