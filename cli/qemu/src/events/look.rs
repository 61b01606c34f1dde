//! What the device has recorded so far, and until when to wait for it.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::TrafficVerdict;

use super::kinds::{Records, read};
use super::{MINUTE, Proof, parameter};

impl Proof<'_> {
    /// The device's records; the oldest files first.
    pub(super) fn look(&mut self) -> Outcome<()> {
        let folder = parameter(self.plan, "events", "folder");
        let lines = self.bench.ask(&all_records(&folder), MINUTE * 3)?;
        // Older ones may have gone from the device since the last look.
        let mut held = Records::new();
        if let Err(why) = read(&lines, &mut held) {
            self.class("every record has its facts", TrafficVerdict::Fail, Vec::new(), vec![why]);
        }
        self.held = held.values().map(|(_, line)| format!("{line}\n")).collect();
        self.device.append(&mut held);
        Ok(())
    }

    /// Until the device has written what happened: an emulated one on a busy host takes its time.
    pub(super) fn quiet(&mut self) -> Outcome<()> {
        let folder = parameter(self.plan, "events", "folder");
        let command = format!("tail -n 1 {folder}/events.jsonl | cut -d , -f 1");
        let deadline = Instant::now() + MINUTE * 6;
        let mut before = Vec::new();
        loop {
            let now = self.bench.ask(&command, MINUTE)?;
            if now == before || Instant::now() > deadline {
                return Ok(());
            }
            before = now;
            std::thread::sleep(Duration::from_secs(10));
        }
    }

    /// Until what the device has recorded is at the collector, or it does not come.
    pub(super) fn settle(&mut self) -> Outcome<()> {
        let folder = parameter(self.plan, "events", "folder");
        self.quiet()?;
        self.look()?;
        let deadline = Instant::now() + MINUTE * 4;
        let last = self.device.keys().next_back().copied().unwrap_or_default();
        loop {
            let sent = self.bench.ask(&format!("cat {folder}/forward/sent"), MINUTE)?;
            let sent = sent.first().and_then(|line| line.parse::<u64>().ok()).unwrap_or_default();
            if sent >= last || Instant::now() > deadline {
                std::thread::sleep(Duration::from_secs(1));
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Prints the records of a folder, the oldest files first; once more where the log was turned over meanwhile: what moved into a file
/// that had been read already would be missing.
fn all_records(folder: &str) -> String {
    format!(
        "for try in 1 2 3 4 5; do was=$(ls -i {folder}/events.jsonl); \
         for i in 9 8 7 6 5 4 3 2 1; do [ ! -e {folder}/events.jsonl.$i ] || cat {folder}/events.jsonl.$i; done >/run/bench-records; \
         cat {folder}/events.jsonl >>/run/bench-records && [ \"$was\" = \"$(ls -i {folder}/events.jsonl)\" ] && break; \
         done 2>/dev/null; cat /run/bench-records"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// What the shell prints of a folder, with something that happens each time before the newest file is read.
    fn printed(folder: &Path, happens: &str) -> String {
        let at = folder.to_str().expect("a path");
        let command = all_records(at).replace("/run/bench-records", &format!("{at}/read"));
        let read = format!("cat {at}/events.jsonl >>");
        assert!(command.contains(&read), "{command}");
        let command = command.replace(&read, &format!("{happens} {read}"));
        let output = Command::new("sh").args(["-c", &command]).current_dir(folder).output().expect("a shell");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Found by a proof: what had moved into a file that was read already was missing, and the shell's own words were no record.
    #[test]
    fn records_are_read_oldest_first_and_again_when_the_log_turned_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it is written");
        put("events.jsonl.2", "a\n");
        put("events.jsonl", "b\n");
        assert_eq!(printed(folder.path(), ""), "a\nb\n");
        let once = "[ -e turned ] || { : >turned; mv events.jsonl events.jsonl.1; echo c >events.jsonl; };";
        assert_eq!(printed(folder.path(), once), "a\nb\nc\n");
        let gone = "[ -e gone ] || { : >gone; mv events.jsonl events.jsonl.0; }; [ ! -e gone2 ] || mv events.jsonl.0 events.jsonl; : >gone2;";
        assert_eq!(printed(folder.path(), gone), "a\nb\nc\n");
    }
}
