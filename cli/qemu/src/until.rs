//! A device that runs on after its self-checks, until its console has what was waited for.

use std::path::Path;
use std::time::{Duration, Instant};

use diag::Outcome;
use record::{BootRecord, ConsoleLine, ImageRecord};
use spec::plan::Plan;

use crate::boot::on_device;
use crate::console::{Console, Seen};
use crate::machine::Machine;
use crate::pattern::Pattern;

/// How long an emulated device may take for what is waited for, after its self-checks.
const UNTIL_LIMIT: Duration = Duration::from_secs(600);

/// [`boot_device`](crate::boot_device), which runs on after its self-checks until each pattern has a line of the console, since the
/// start, or the machine ends, at most ten minutes. Returned are the texts of the patterns that no line had.
///
/// # Errors
/// As [`boot_device`](crate::boot_device).
pub fn boot_until(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    device: &Path,
    patterns: &[Pattern],
    limit: Duration,
) -> Outcome<(BootRecord, Vec<String>)> {
    let mut missing = missing_in(&[], patterns);
    let mut ready = |whole: bool, machine: &mut Machine| {
        // A device that did not become ready is not waited for.
        let deadline = Instant::now() + if whole { UNTIL_LIMIT } else { Duration::ZERO };
        watch(&mut machine.console, patterns, deadline, |lines| {
            missing = missing_in(lines, patterns);
            missing.is_empty()
        })
    };
    let boot = on_device(plan, record, folder, device, limit, &mut |_| Ok(()), &mut ready)?;
    Ok((boot, missing))
}

/// Shows what a console has so far to `enough`, since the start and whenever a line matches a pattern, until it has enough, the
/// machine ends or the time is over. A line that is still being written is not shown: it would be cut off.
///
/// # Errors
/// When a signal asks to stop.
pub(crate) fn watch(
    console: &mut Console,
    patterns: &[Pattern],
    deadline: Instant,
    mut enough: impl FnMut(&[ConsoleLine]) -> bool,
) -> Outcome<()> {
    loop {
        let slice = deadline.min(Instant::now() + Duration::from_millis(500));
        // A machine that has ended says nothing more.
        let closed = console.wait_for(patterns, slice)? == Seen::Closed;
        if enough(&console.whole_lines()) || closed || Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// The texts of the patterns that no line has, in their order.
fn missing_in(lines: &[ConsoleLine], patterns: &[Pattern]) -> Vec<String> {
    let missing = patterns.iter().filter(|pattern| !lines.iter().any(|line| pattern.matches(&line.text)));
    missing.map(|pattern| pattern.text().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_line_that_is_being_written_is_not_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut guest, ours) = UnixStream::pair().unwrap();
        let mut console = Console::start(ours, &folder.path().join("log"), Instant::now()).unwrap();
        let patterns = Pattern::all(["refused"]);
        guest.write_all(b"refused: one\nrefused: tw").unwrap();
        let mut shown = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        watch(&mut console, &patterns, deadline, |lines| {
            if shown.is_empty() {
                guest.write_all(b"o\nrefused: thr").unwrap();
            }
            shown = lines.iter().map(|line| line.text.clone()).collect();
            shown.len() >= 2
        })
        .unwrap();
        assert_eq!(shown, ["refused: one", "refused: two"]);
        // Of a machine that has ended it is all that there is.
        drop(guest);
        watch(&mut console, &patterns, deadline, |lines| {
            shown = lines.iter().map(|line| line.text.clone()).collect();
            false
        })
        .unwrap();
        assert_eq!(shown, ["refused: one", "refused: two", "refused: thr"]);
    }

    #[test]
    fn what_no_line_has_is_missing_in_the_order_of_the_patterns() {
        let line = |text: &str| ConsoleLine { text: text.to_owned(), ms: 0 };
        let patterns = Pattern::all(["\"check\":\"made\"", "^ready", "never * there", "nor this"]);
        let lines = [
            line("[ 9.1] backup[7]: {\"event\":\"backup\",\"check\":\"made\"}"),
            line("ready"),
            line("never"),
        ];
        assert_eq!(missing_in(&lines, &patterns), ["never * there", "nor this"]);
        assert_eq!(missing_in(&[], &patterns).len(), 4);
        assert!(missing_in(&lines, &patterns[..2]).is_empty());
    }
}
