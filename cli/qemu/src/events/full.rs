//! Logs that are full: the audit's, and that of the events.

use diag::Outcome;
use record::{FULL_AUDIT_LOG, TrafficVerdict};

use super::chain::{collected, numbers};
use super::kinds::{AUDIT_FULL, FULL};
use super::{EventIdentities, MINUTE, Proof, parameter};

/// The records of events are filled when their bound is at most this, in bytes: the device is emulated.
const FILLED: u64 = 512 << 10;
/// The audit log is filled when its bound is at most this, in bytes.
const AUDIT_FILLED: u64 = 4 << 20;
/// Bytes of the text of one audit record; the kernel takes a little more.
const TEXT: u64 = 8000;
/// How many are written at once.
const BATCH: u64 = 10;
/// What goes on while the log is full.
const STAYS: [&str; 4] = ["auditd.service", "fastness-events.service", "nftables.service", "ssh.service"];

impl Proof<'_> {
    /// The audit log is filled until its oldest records go: that is told before, everything goes on, and so does the recording.
    pub(super) fn full_audit(&mut self, account: (&str, u32)) -> Outcome<()> {
        let number = |name: &str| parameter(self.plan, "audit", name).parse::<u64>().unwrap_or(u64::MAX);
        let (size, logs) = (number("log_size"), number("logs"));
        let bound = size.saturating_mul(logs);
        let stops = format!("{FULL_AUDIT_LOG}: nothing stops, and recording goes on");
        if bound > AUDIT_FILLED {
            let why = format!(
                "the audit log may grow to {bound} bytes; an emulated device is filled up to {AUDIT_FILLED}"
            );
            for name in AUDIT_FULL.iter().map(|kind| kind.name).chain([stops.as_str()]) {
                self.class(name, TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
            }
            return Ok(());
        }
        let active = format!("systemctl is-active {}", STAYS.join(" "));
        let before = self.bench.ask(&active, MINUTE)?;
        for kind in AUDIT_FULL {
            self.windows.requested(kind.name, self.run_so_far().1);
        }
        // A file that is full gets another name, and the next one another inode.
        let batch = format!(
            "text=$(printf '%0{TEXT}d' 0); i=0; while [ $i -lt {BATCH} ]; do auditctl -m $text; i=$((i + 1)); done; ls -i /var/log/audit/audit.log"
        );
        let (mut turns, mut inode) = (0, Vec::new());
        // Each record also has that of the program that wrote it: the count is never reached.
        for _ in 0..bound.saturating_add(size) / TEXT / BATCH + 20 {
            let now = self.bench.ask(&batch, MINUTE * 3)?;
            turns += u64::from(!inode.is_empty() && now != inode);
            inode = now;
            if turns >= logs {
                break;
            }
        }
        let marked = self.bench.ask("auditctl -m fastness-bench-after", MINUTE)?;
        self.settle()?;
        self.judge_all(AUDIT_FULL, account);
        let after = self.bench.ask(&active, MINUTE)?;
        let files = self.bench.ask("cd /var/log/audit && ls audit.log* && cat audit.log* | wc -c", MINUTE)?;
        let recorded = self.device.values().any(|(event, _)| event.message.contains("fastness-bench-after"));
        let (seen, problems) =
            went_on(&State { turns, logs, bound, size, before, after, files, marked, recorded });
        self.verdict(&stops, seen, problems);
        Ok(())
    }

    /// Beyond the bound: what goes is told, and nothing else is missing.
    pub(super) fn full(&mut self, identities: &EventIdentities, account: (&str, u32)) -> Outcome<()> {
        let number = |name: &str| parameter(self.plan, "events", name).parse::<u64>().unwrap_or(u64::MAX);
        let bound = number("log_size").saturating_mul(number("logs").saturating_add(1));
        if bound > FILLED {
            let why =
                format!("the records may grow to {bound} bytes; an emulated device is filled up to {FILLED}");
            for kind in FULL {
                self.class(kind.name, TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
            }
            return Ok(());
        }
        self.collector.stop();
        // Each writes one record of some 700 bytes, without a process of its own.
        let count = bound / 600 + 50;
        for _ in 0..count.div_ceil(50) {
            let command =
                "i=0; while [ $i -lt 50 ]; do : >/var/lib/fastness/bench; i=$((i + 1)); done; sleep 5";
            self.bench.ask(command, MINUTE * 3)?;
        }
        self.quiet()?;
        self.look()?;
        self.collector.start(&identities.collector)?;
        self.settle()?;
        self.judge_all(FULL, account);
        let (path, _) = self.collector.records();
        let (seen, problems) = match collected(&path, &identities.seal) {
            Ok(chain) if chain.unexplained.is_empty() => {
                (vec![format!("missing: {}, as the device says", numbers(&chain.gaps))], vec![])
            }
            Ok(chain) => (
                vec![],
                vec![format!("missing, and the device does not say so: {}", numbers(&chain.unexplained))],
            ),
            Err(why) => (vec![], vec![why]),
        };
        self.verdict("what the collector lacks is what the device says", seen, problems);
        Ok(())
    }
}

/// What was seen of a full audit log.
struct State {
    turns: u64,
    logs: u64,
    bound: u64,
    size: u64,
    before: Vec<String>,
    after: Vec<String>,
    /// Names, and the sum of their bytes.
    files: Vec<String>,
    marked: Vec<String>,
    recorded: bool,
}

/// What that shows, and what is wrong with it.
fn went_on(state: &State) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    if state.turns < state.logs {
        problems.push(format!("the log turned over {} times, expected {}", state.turns, state.logs));
    }
    if state.before != state.after {
        problems.push(format!(
            "of {} were {} before, and are {}",
            STAYS.join(", "),
            state.before.join(", "),
            state.after.join(", ")
        ));
    }
    // The bench ends its answer with an empty line.
    let files: Vec<&str> =
        state.files.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let bytes = files.last().and_then(|bytes| bytes.parse::<u64>().ok());
    let count = files.len().saturating_sub(1);
    // auditd looks at the size after it has written.
    match bytes {
        Some(bytes) if bytes <= state.bound + state.size / 2 => {}
        Some(bytes) => problems.push(format!("the log has {bytes} bytes, its bound is {}", state.bound)),
        None => problems.push(format!("the size of the log was not told: {}", state.files.join(", "))),
    }
    if !state.recorded {
        problems.push(format!("what came afterwards is not recorded {}", state.marked.join(" ")));
    }
    let seen = vec![format!(
        "turned over {} times; {count} files with {} bytes, of at most {}",
        state.turns,
        bytes.unwrap_or_default(),
        state.bound
    )];
    (seen, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        State {
            turns: 2,
            logs: 2,
            bound: 2 << 20,
            size: 1 << 20,
            before: words(&["active", "active", "active", "active"]),
            after: words(&["active", "active", "active", "active"]),
            files: words(&["audit.log", "audit.log.1", "1100000", ""]),
            marked: Vec::new(),
            recorded: true,
        }
    }

    #[test]
    fn a_full_log_stops_nothing_and_stays_within_its_bound() {
        let (seen, problems) = went_on(&state());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(seen, ["turned over 2 times; 2 files with 1100000 bytes, of at most 2097152"]);
        type Change = fn(&mut State);
        let changes: [(Change, &str); 5] = [
            (|state| state.turns = 1, "turned over 1 times, expected 2"),
            (|state| state.after[0] = "failed".to_owned(), "and are failed, active"),
            (|state| state.files[2] = "3000000".to_owned(), "has 3000000 bytes, its bound is 2097152"),
            (|state| state.files[2] = "cat: no".to_owned(), "was not told"),
            (|state| state.recorded = false, "what came afterwards is not recorded"),
        ];
        for (change, expected) in changes {
            let mut state = state();
            change(&mut state);
            let problems = went_on(&state).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }
}
