//! A factory reset: what was on the data partition cannot be found on the disk afterwards.
//!
//! The device is asked as a person would; it restarts by itself, and the next start erases. What is looked for is what the disk itself
//! has before: each private key, those of the test and those that the device made, and its last records. No key leaves the copy of
//! the disk for it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use diag::{ExitStatus, Failure, Outcome};
use memchr::memmem;
use record::{FORGOTTEN, ImageRecord, TrafficVerdict};

use super::{MINUTE, Proof, start};

/// Bytes that are looked at at once.
const STEP: u64 = 1 << 20;
/// The last records that are looked for.
const RECORDS: usize = 8;
/// What is looked for is at most so long: chunks overlap by that.
const LONGEST: usize = 16 << 10;
const BEGIN: &[u8] = b"-----BEGIN ";
const KEY: &[u8] = b"PRIVATE KEY-----\n";
const END: &[u8] = b"-----END ";

impl Proof<'_> {
    /// Needs the layer `factory-reset`; the device is one of a first start afterwards.
    pub(super) fn forget(&mut self) -> Outcome<()> {
        let name =
            format!("{FORGOTTEN}: after a factory reset no key and no record can be found on its disk");
        if !self.has("/usr/lib/fastness/reset")? {
            let why = "the product has no factory reset: the layer `factory-reset` is not on".to_owned();
            self.class(&name, TrafficVerdict::NotShown, Vec::new(), vec![why]);
            return Ok(());
        }
        self.settle()?;
        self.bench.ask("sync", MINUTE * 2)?;
        let data = Data::of(self.record, &self.spec.disk)?;
        let mut wanted = data.keys()?;
        let keys = wanted.len();
        // A file need not lie in one piece: a record across the end of one is nowhere whole.
        let last = self.held.lines().rev().take(RECORDS).map(|line| line.as_bytes().to_vec()).collect();
        let records = data.which(&last)?;
        let looked_for = keys + records.len().max(1);
        wanted.extend(records);
        let before = data.found(&wanted)?;
        self.bench.tell(&format!("echo {} >/var/lib/reset/erase", self.plan.product.name));
        // QEMU hangs up when the device restarts.
        self.bench.machine.qmp.drain(Instant::now() + MINUTE * 5);
        exec::check_interrupt()?;
        self.clock_goes_on();
        let restarted = self.bench.machine.end();
        let told =
            self.collector.records().1.iter().any(|line| line.contains("\"type\":\"reset.requested\""));
        let logs = self.spec.logs.join("reset");
        fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        self.spec.logs = logs;
        self.bench = start(&self.spec, self.limit)?;
        let mut said = self.bench.machine.console.lines().into_iter().map(|line| line.text);
        let said = said.rfind(|line| line.contains("\"event\":\"reset\""));
        let (seen, problems) = forgotten(&Forgotten {
            keys,
            looked_for,
            before,
            restarted,
            told,
            said,
            after: data.found(&wanted)?,
        });
        self.verdict(&name, seen, problems);
        Ok(())
    }
}

/// The data partition on the copy of the disk.
struct Data {
    disk: File,
    from: u64,
    to: u64,
}

impl Data {
    fn of(record: &ImageRecord, disk: &Path) -> Outcome<Self> {
        let part = record.partitions.iter().find(|part| part.name == "data").ok_or_else(|| {
            Failure::error(ExitStatus::Input, "no-data", "the image has no partition `data`".to_owned())
                .hint("build the image again with `fastness build`")
        })?;
        let disk = File::open(disk).map_err(|e| Failure::io("read", disk, &e))?;
        Ok(Self { disk, from: part.offset, to: part.offset + part.bytes })
    }

    /// Calls `look` with each part of it, which overlap.
    fn each(&self, mut look: impl FnMut(&[u8])) -> Outcome<()> {
        let mut at = self.from;
        let mut bytes = vec![0; STEP as usize + LONGEST];
        while at < self.to {
            let length = (self.to - at).min(bytes.len() as u64) as usize;
            let part = &mut bytes[..length];
            self.disk
                .read_exact_at(part, at)
                .map_err(|e| Failure::io("read", Path::new("the copy of the disk"), &e))?;
            look(part);
            at += STEP;
        }
        Ok(())
    }

    /// Every private key in PEM, from its first line to its last.
    fn keys(&self) -> Outcome<BTreeSet<Vec<u8>>> {
        let mut found = BTreeSet::new();
        self.each(|part| found.extend(keys(part)))?;
        Ok(found)
    }

    /// Those of these that are there.
    fn which(&self, wanted: &BTreeSet<Vec<u8>>) -> Outcome<BTreeSet<Vec<u8>>> {
        let mut missing = wanted.clone();
        self.each(|part| missing.retain(|one| memmem::find(part, one).is_none()))?;
        Ok(wanted - &missing)
    }

    /// How many of these are there.
    fn found(&self, wanted: &BTreeSet<Vec<u8>>) -> Outcome<usize> {
        Ok(self.which(wanted)?.len())
    }
}

fn keys(part: &[u8]) -> Vec<Vec<u8>> {
    let of = |at: usize| {
        // `-----BEGIN OPENSSH PRIVATE KEY-----`: the words between are few.
        memmem::find(&part[at.saturating_sub(40)..at], BEGIN)?;
        let body = &part[at + KEY.len()..];
        let end = memmem::find(&body[..body.len().min(LONGEST)], END)?;
        (end > 0).then(|| body[..end].to_vec())
    };
    memmem::find_iter(part, KEY).filter_map(of).collect()
}

/// What was seen of a factory reset.
struct Forgotten {
    /// How many private keys the disk had before.
    keys: usize,
    /// They and the last records that could be found, one at least.
    looked_for: usize,
    /// How many of these were found before it.
    before: usize,
    /// Why the machine ended.
    restarted: Option<String>,
    /// Whether the collector knows that somebody asked.
    told: bool,
    /// What the device said last of it at the next start.
    said: Option<String>,
    /// How many were found after it.
    after: usize,
}

fn forgotten(seen: &Forgotten) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    if seen.keys == 0 || seen.before < seen.looked_for || seen.looked_for == seen.keys {
        problems.push(format!(
            "before the reset {} of {} keys and records could be found on the disk: nothing was shown",
            seen.before, seen.looked_for
        ));
    }
    if seen.restarted.as_deref() != Some("guest-reset") {
        problems.push("the device that was asked did not restart".to_owned());
    }
    if !seen.told {
        problems.push("the collector has no `reset.requested`".to_owned());
    }
    let said = seen.said.as_deref().unwrap_or_default();
    if !said.contains("\"check\":\"erased\",\"verdict\":\"pass\"") {
        let said = if said.is_empty() { "nothing" } else { said };
        problems.push(format!("the next start did not say that it has erased: {said}"));
    }
    if seen.after > 0 {
        problems.push(format!("{} of them can still be found on the disk", seen.after));
    }
    let seen = format!(
        "{} private keys and {} of the last records were on the disk before, {} of them are after; {said}",
        seen.keys,
        seen.looked_for.saturating_sub(seen.keys),
        seen.after
    );
    (vec![seen], problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(name: &str, body: &str) -> String {
        format!("-----BEGIN {name}PRIVATE KEY-----\n{body}\n-----END {name}PRIVATE KEY-----\n")
    }

    #[test]
    fn a_key_is_found_wherever_it_lies_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let disk = File::create(&path).unwrap();
        // Before the partition, across the end of a part, and twice.
        disk.write_all_at(pem("", "outside").as_bytes(), 0).unwrap();
        disk.write_all_at(pem("OPENSSH ", "across").as_bytes(), 4096 + STEP - 20).unwrap();
        disk.write_all_at(pem("EC ", "twice").as_bytes(), 9000).unwrap();
        disk.write_all_at(pem("EC ", "twice").as_bytes(), 4096 + STEP * 2).unwrap();
        disk.write_all_at(b"no BEGIN: PRIVATE KEY-----\nx\n-----END ", 20_000).unwrap();
        disk.set_len(4096 + STEP * 3 + 77).unwrap();
        let data = Data { disk: File::open(&path).unwrap(), from: 4096, to: 4096 + STEP * 3 + 77 };
        let keys = data.keys().unwrap();
        assert_eq!(keys, BTreeSet::from([b"across\n".to_vec(), b"twice\n".to_vec()]));
        assert_eq!(data.found(&keys).unwrap(), 2);
        disk.write_all_at(&[0; 200], 4096 + STEP - 20).unwrap();
        assert_eq!(data.found(&keys).unwrap(), 1);
        disk.write_all_at(&[0; 200], 9000).unwrap();
        assert_eq!(data.found(&keys).unwrap(), 1, "it was there twice");
        // A record in two pieces is not one that could be looked for afterwards.
        disk.write_all_at(b"{\"seq\":1}\n", 30_000).unwrap();
        disk.write_all_at(b"{\"seq\"", 40_000).unwrap();
        let records = BTreeSet::from([b"{\"seq\":1}".to_vec(), b"{\"seq\":2}".to_vec()]);
        assert_eq!(data.which(&records).unwrap(), BTreeSet::from([b"{\"seq\":1}".to_vec()]));
    }

    #[test]
    fn a_reset_that_shows_nothing_is_no_pass() {
        let right = || Forgotten {
            keys: 3,
            looked_for: 4,
            before: 4,
            restarted: Some("guest-reset".to_owned()),
            told: true,
            said: Some("{\"event\":\"reset\",\"check\":\"erased\",\"verdict\":\"pass\"}".to_owned()),
            after: 0,
        };
        assert!(forgotten(&right()).1.is_empty());
        type Change = fn(&mut Forgotten);
        let changes: [(Change, &str); 8] = [
            (|seen| seen.before = 3, "before the reset 3 of 4"),
            (|seen| seen.keys = 0, "nothing was shown"),
            (|seen| (seen.keys, seen.looked_for) = (4, 4), "nothing was shown"),
            (|seen| seen.restarted = None, "did not restart"),
            (|seen| seen.told = false, "the collector has no `reset.requested`"),
            (|seen| seen.said = None, "did not say that it has erased: nothing"),
            (
                |seen| seen.said = Some("\"check\":\"erased\",\"verdict\":\"fail\"".to_owned()),
                "\"verdict\":\"fail\"",
            ),
            (|seen| seen.after = 1, "1 of them can still be found on the disk"),
        ];
        for (change, expected) in changes {
            let mut seen = right();
            change(&mut seen);
            let problems = forgotten(&seen).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }
}
