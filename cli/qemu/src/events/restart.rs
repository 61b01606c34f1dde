//! The device ends while it runs, because a block of its root file system does not verify, and starts again.
//!
//! Nothing can be recorded at that moment: the kernel panics. What counts is that the next start says so, and why where the board
//! has memory that outlives a reset, and that the chain of records and its seals go on over it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use record::ImageRecord;

use super::kinds::{AFTER, LAST_WORDS, Records};
use super::session::Bench;
use super::{EventIdentities, Proof, start};
use crate::console::Seen;
use crate::pattern::Pattern;

/// Bytes of a block that dm-verity covers.
const BLOCK: u64 = 4096;
/// How many blocks are changed: one that is in the page cache already is not read again.
const PLACES: u64 = 8;
/// How long until a changed block is read: an emulated device reads its whole root.
const LIMIT: Duration = Duration::from_secs(240);

/// Blocks of a disk's running root file system, changed as by a medium that fails; and back.
pub(super) struct Blocks {
    disk: File,
    at: Vec<u64>,
}

impl Blocks {
    /// Blocks all over the data of the partition that is started.
    pub(super) fn of(record: &ImageRecord, disk: &Path) -> Outcome<Self> {
        let part = record.partitions.iter().find(|part| part.name == "root_a").ok_or_else(|| {
            Failure::error(ExitStatus::Input, "no-root", "the image has no partition `root_a`".to_owned())
                .hint("build the image again with `fastness build`")
        })?;
        let disk = File::options()
            .read(true)
            .write(true)
            .open(disk)
            .map_err(|e| Failure::io("write to", disk, &e))?;
        let at = places(record.verity_data_blocks).map(|block| part.offset + block * BLOCK).collect();
        Ok(Self { disk, at })
    }

    /// Flips a bit of each; a second time puts it back.
    pub(super) fn flip(&self) -> Outcome<()> {
        let failed =
            |e: std::io::Error| Failure::io("change a block of", Path::new("the copy of the disk"), &e);
        for at in &self.at {
            let mut byte = [0_u8];
            self.disk.read_exact_at(&mut byte, *at).map_err(failed)?;
            byte[0] ^= 1;
            self.disk.write_all_at(&byte, *at).map_err(failed)?;
        }
        Ok(())
    }
}

/// Numbers of blocks at the same distances, none at either end.
fn places(blocks: u64) -> impl Iterator<Item = u64> {
    (1..=PLACES).map(move |n| blocks * n / (PLACES + 1))
}

/// What the console says when the kernel stops at such a block. The last words are in memory before the last of these lines.
const SAID: [&str; 3] =
    ["device-mapper: verity: *block * is corrupted", "Kernel panic - not syncing", "Rebooting in * seconds"];
/// How many lines that are.
pub(super) const STOPPED: usize = SAID.len();

/// Lets the device read its root file system anew, and returns what its console said when it ended.
pub(super) fn read_anew(bench: &mut Bench) -> Outcome<Vec<String>> {
    // What was read before is forgotten; the shell itself may be what ends. Nothing is written to the disk for it.
    bench.tell("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* /usr/sbin/* /usr/lib/* /usr/lib/*/* /usr/lib/*/*/* >/dev/null 2>&1");
    let deadline = Instant::now() + LIMIT;
    let console = &mut bench.machine.console;
    let mut seen = Vec::new();
    for wanted in SAID {
        match console.wait_for(&Pattern::all([wanted]), deadline)? {
            Seen::Line { line, .. } => seen.push(line.text),
            _ => return Ok(seen),
        }
    }
    Ok(seen)
}

/// The most audit records that may be events twice after an end without an order: those of the lines since rsyslog last
/// wrote how far it got, and of the seconds of which the file system had not written that.
pub(super) const MOST_AGAIN: usize = 60;

/// Numbers of audit records behind the last `log.interrupted` that were events before it, too. The kernel numbers what
/// it audits, so that no two of one start have the same words.
pub(super) fn again(records: &Records) -> Vec<u64> {
    let ends = records.values().filter(|(event, _)| event.r#type == "log.interrupted");
    let Some(end) = ends.map(|(event, _)| event.seq).next_back() else { return Vec::new() };
    let audited =
        |range| records.range::<u64, (_, _)>(range).filter(|(_, (e, _))| e.r#type.starts_with("audit."));
    let before: BTreeSet<&str> = audited((Bound::Unbounded, Bound::Excluded(end)))
        .map(|(_, (event, _))| event.message.as_str())
        .collect();
    audited((Bound::Excluded(end), Bound::Unbounded))
        .filter(|(_, (event, _))| before.contains(event.message.as_str()))
        .map(|(number, _)| *number)
        .collect()
}

impl Proof<'_> {
    /// A block of the running root does not verify: the device ends, starts again and says that it had ended.
    pub(super) fn restart(&mut self, identities: &EventIdentities, account: (&str, u32)) -> Outcome<()> {
        self.settle()?;
        let blocks = Blocks::of(self.record, &self.spec.disk)?;
        blocks.flip()?;
        let seen = read_anew(&mut self.bench)?;
        blocks.flip()?;
        let problems = match seen.len() {
            STOPPED => vec![],
            _ => vec!["the device was not stopped by the kernel".to_owned()],
        };
        self.verdict("a block that does not verify stops the running device", seen, problems);
        self.clock_goes_on();
        self.bench.machine.end();
        let logs = self.spec.logs.join("again");
        fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        self.spec.logs = logs;
        self.bench = start(&self.spec, self.limit)?;
        self.settle()?;
        self.judge_all(AFTER, account);
        let remembers = self.plan.board.crash_memory.as_ref().map(|_| ());
        let why = "the board's file names no `crash_memory`: a panic leaves nothing for the next start";
        self.windows.happened(LAST_WORDS.iter().map(|kind| kind.name), (identities.epoch, self.spec.epoch));
        self.judge_or(LAST_WORDS, account, remembers.ok_or(why));
        let again = again(&self.device);
        let problems = match again.len() {
            count if count <= MOST_AGAIN => vec![],
            count => vec![format!("{count} audit records are events twice, expected at most {MOST_AGAIN}")],
        };
        let seen = vec![format!("{} audit records are events twice", again.len())];
        self.verdict("what was recorded before the end is not recorded again", seen, problems);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_records_that_come_again_after_the_end_are_found() {
        let record = |seq: u64, kind: &str, message: &str| {
            format!(
                "{{\"seq\":{seq},\"prev\":\"{}\",\"clock\":\"synchronised\",\"time\":\"2026-01-01T00:00:00Z\",\"host\":\"h\",\"component\":\"c\",\"type\":\"{kind}\",\"subject\":\"s\",\"outcome\":\"success\",\"message\":\"{message}\"}}",
                "0".repeat(64)
            )
        };
        let lines = |last: &str| {
            let mut records = Records::new();
            let lines = [
                record(1, "audit.login", "audit(1.0:1)"),
                record(2, "ssh.login", "in"),
                record(3, "log.interrupted", "x"),
                record(4, "ssh.login", "in"),
                record(5, "audit.login", last),
            ];
            super::super::kinds::read(&lines, &mut records).unwrap();
            again(&records)
        };
        assert_eq!(lines("audit(1.0:1)"), [5]);
        assert!(lines("audit(9.0:1)").is_empty());
        assert!(again(&Records::new()).is_empty());
    }

    #[test]
    fn changed_blocks_are_apart_and_a_second_change_puts_them_back() {
        assert_eq!(places(900).collect::<Vec<_>>(), [100, 200, 300, 400, 500, 600, 700, 800]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::write(&path, vec![0_u8; 3 * 4096]).unwrap();
        let disk = File::options().read(true).write(true).open(&path).unwrap();
        let blocks = Blocks { disk, at: vec![0, 4096] };
        blocks.flip().unwrap();
        let changed = std::fs::read(&path).unwrap();
        assert_eq!(changed.iter().filter(|byte| **byte == 1).count(), 2);
        blocks.flip().unwrap();
        assert!(std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
    }
}
