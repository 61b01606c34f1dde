//! A device that runs on after its self-checks, until its console has what was waited for.

use std::path::Path;
use std::time::{Duration, Instant};

use diag::Outcome;
use record::{BootRecord, ConsoleLine, ImageRecord};
use spec::plan::Plan;

use crate::boot::on_device;
use crate::console::Seen;
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
        let deadline = Instant::now() + UNTIL_LIMIT;
        loop {
            // A device that did not become ready is not waited for; a machine that has ended says nothing more.
            let slice = Instant::now() + Duration::from_millis(500);
            let closed = !whole || machine.console.wait_for(patterns, slice)? == Seen::Closed;
            // A line that is being written is not cut off.
            let lines = if closed { machine.console.lines() } else { machine.console.whole_lines() };
            missing = missing_in(&lines, patterns);
            if closed || missing.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
        }
    };
    let boot = on_device(plan, record, folder, device, limit, &mut |_| Ok(()), &mut ready)?;
    Ok((boot, missing))
}

/// The texts of the patterns that no line has, in their order.
fn missing_in(lines: &[ConsoleLine], patterns: &[Pattern]) -> Vec<String> {
    let missing = patterns.iter().filter(|pattern| !lines.iter().any(|line| pattern.matches(&line.text)));
    missing.map(|pattern| pattern.text().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
