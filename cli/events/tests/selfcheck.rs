//! The self-check of the records of events (templates/events/selfcheck.sh.hbs), run here on files as the device's program leaves them.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};

const SCRIPT: &str = include_str!("../../../templates/events/selfcheck.sh.hbs");

/// What it looks for.
fn kinds() -> Vec<String> {
    let line = SCRIPT.lines().find_map(|line| line.strip_prefix("kinds='")).unwrap();
    line.trim_end_matches('\'').split(' ').map(str::to_owned).collect()
}

/// Chained records of these types.
fn records(types: &[String]) -> Vec<String> {
    let mut before = "0".repeat(64);
    let mut out = Vec::new();
    for (number, kind) in (1..).zip(types) {
        let line = format!(
            r#"{{"seq":{number},"prev":"{before}","clock":"unsynchronised","time":"2026-01-31T12:00:00Z","host":"gw","component":"c","type":"{kind}","subject":"s","outcome":"success","message":"m"}}"#
        );
        before = Sha256::digest(line.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        out.push(line);
    }
    out
}

/// Runs it with programs in the device's place that do nothing.
fn run(folder: &Path) -> Output {
    let tools = folder.join("tools");
    fs::create_dir_all(&tools).unwrap();
    for tool in ["auditctl", "nft", "ip", "systemctl", "journalctl"] {
        let path = tools.join(tool);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    if !folder.join("backend").exists() {
        fs::write(folder.join("backend"), "ramoops\n").unwrap();
    }
    let script = SCRIPT
        .replace("{{sh parameters.folder}}", folder.to_str().unwrap())
        // As on a board with memory for the last words.
        .replace("{{#if crash_memory}}\n", "")
        .replace("{{/if}}\n", "")
        .replace("/sys/module/pstore/parameters/backend", &folder.join("backend").to_string_lossy())
        .replace("/sys/fs/pstore", &folder.join("pstore").to_string_lossy())
        .replace("-lt 60", "-lt 1")
        .replace("sleep 1", ":");
    assert!(!script.contains("{{"), "a parameter that this test does not know");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap()
}

fn lines(records: &[String]) -> String {
    records.iter().map(|line| format!("{line}\n")).collect()
}

/// Found by `boot --events` on a log of 64 KiB, which had turned over before the self-check looked.
#[test]
fn a_log_that_has_turned_over_since_the_start_is_looked_at_with_the_file_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let all = records(&kinds());
    let (old, new) = all.split_at(3);
    fs::write(folder.path().join("events.jsonl"), lines(new)).unwrap();
    let without = run(folder.path());
    let said = String::from_utf8_lossy(&without.stdout).into_owned();
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("no record of log.started audit.daemon_start audit.service_start; seen: "),
        "{said}"
    );
    fs::write(folder.path().join("events.jsonl.1"), lines(old)).unwrap();
    let with = run(folder.path());
    let said = String::from_utf8_lossy(&with.stdout).into_owned();
    assert!(with.status.success(), "{said}");
    assert!(said.starts_with("6 records of audit.audit-config "), "{said}");
}

#[test]
fn a_record_without_its_facts_and_a_chain_that_is_broken_fail() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = records(&kinds());
    fs::write(folder.path().join("events.jsonl"), lines(&all)).unwrap();
    assert!(run(folder.path()).status.success());
    all[4] = all[4].replace("\"subject\":\"s\"", "\"subject\":\"\"");
    fs::write(folder.path().join("events.jsonl"), lines(&all)).unwrap();
    let odd = run(folder.path());
    let said = String::from_utf8_lossy(&odd.stdout).into_owned();
    assert!(odd.status.code() == Some(1) && said.contains("; not all facts: {\"seq\":5,"), "{said}");
    all[4] = all[4].replace("\"subject\":\"\"", "\"subject\":\"other\"");
    fs::write(folder.path().join("events.jsonl"), lines(&all)).unwrap();
    let broken = run(folder.path());
    let said = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(
        broken.status.code() == Some(1) && said.contains("; the chain is broken at {\"seq\":6"),
        "{said}"
    );
}

#[test]
fn memory_for_the_last_words_that_nothing_uses_and_words_that_were_not_taken_fail() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.jsonl"), lines(&records(&kinds()))).unwrap();
    assert!(run(folder.path()).status.success());
    let refused = |expected: &str| {
        let output = run(folder.path());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(expected), "{said}");
    };
    fs::write(folder.path().join("backend"), "(null)\n").unwrap();
    refused("pstore has the backend (null), expected ramoops");
    fs::write(folder.path().join("backend"), "ramoops\n").unwrap();
    fs::create_dir(folder.path().join("pstore")).unwrap();
    fs::write(folder.path().join("pstore/dmesg-ramoops-0"), "Panic#1 Part1\n").unwrap();
    refused("dmesg-ramoops-0 was left by a panic and is still there");
}
