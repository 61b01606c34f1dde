//! The time of a record, held against the clock of the machine, which the proof has set and which goes by the host's.

use std::collections::BTreeMap;

use events::Event;

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

    /// A kind that follows from what was provoked before it, whenever that is.
    pub(super) fn follows(&mut self, kind: &'static str) {
        if let Some(last) = self.last {
            self.kinds.insert(kind, (last, None));
        }
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

/// Whole seconds since 1970 of a time in UTC (RFC 3339, 5.6), from 1970 on.
fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (date, rest) = (text.get(..19)?, text.get(19..)?.strip_suffix('Z')?);
    let fraction = rest.strip_prefix('.').unwrap_or(rest);
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the years before, of the months before, of the month: from March on, so that a leap day is the last of its year.
    let shifted = year - u64::from(month <= 2);
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let time = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    // Written back it has to be the same: what is no date is none.
    (spec::time::rfc3339(time).get(..19)? == date).then_some(time)
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
    fn a_kind_has_the_window_in_which_it_was_provoked() {
        let mut windows = Windows::default();
        windows.follows("at the start");
        windows.provoked("one", (100, 103));
        windows.follows("of one");
        windows.provoked("two", (110, 111));
        let run = (50, 500);
        assert_eq!(windows.of("at the start", run), (50, 500));
        assert_eq!(windows.of("one", run), (100, 103));
        assert_eq!(windows.of("of one", run), (100, 500));
        assert_eq!(windows.of("two", run), (110, 111));
        assert_eq!(windows.of("at the end", run), (50, 500));
    }
}
