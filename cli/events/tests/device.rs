//! What runs on the device (templates/events), run here: its records must satisfy the verifier.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use event_log::{program, records, verify_with};
use events::{Chain, Outcome, SealKey};

#[path = "support/event_log.rs"]
mod event_log;

fn event(number: usize, component: &str, message: &str) -> String {
    format!(
        r#""time":"2026-01-31T12:00:00Z","host":"gw","component":"{component}","type":"t.{number}","subject":"s","outcome":"success","message":"{message}""#
    )
}

fn run(program: &Path, lines: &[String]) {
    let mut child = Command::new("sh").arg(program).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

fn verify(folder: &Path, names: &[&str]) -> Result<Chain, String> {
    verify_with(folder, names, None)
}

#[test]
fn records_are_numbered_chained_and_rotated_and_tell_what_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 4000, 2);
    let lines: Vec<String> = (1..=45).map(|n| event(n, "sshd", r#"a \"quoted\" \\ é %s $(x)"#)).collect();
    run(&program, &lines);
    let chain = verify(folder.path(), &["events.jsonl.2", "events.jsonl.1", "events.jsonl"]).unwrap();
    assert!(chain.first > 1 && !folder.path().join("events.jsonl.3").exists());
    assert!(chain.types.contains_key("t.45") && !chain.types.contains_key("t.1"));
    assert!(chain.types.contains_key("log.dropped") && !chain.losses.is_empty(), "{chain:?}");
    let sizes =
        ["events.jsonl", "events.jsonl.1"].map(|n| fs::metadata(folder.path().join(n)).unwrap().len());
    assert!(sizes.iter().all(|size| *size < 4700), "{sizes:?}");
}

#[test]
fn a_new_start_goes_on_where_the_last_ended_and_counts_a_torn_record() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    run(&program, &[event(1, "sshd", "one")]);
    let path = folder.path().join("events.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"seq":4,"half"#).unwrap();
    assert!(verify(folder.path(), &["events.jsonl"]).unwrap_err().contains("ends within this record"));
    run(&program, &[event(2, "sshd", "two")]);
    let chain = verify(folder.path(), &["events.jsonl"]).unwrap();
    let kinds: Vec<String> = records(folder.path()).into_iter().map(|record| record.r#type).collect();
    assert_eq!(
        kinds,
        [
            "log.started",
            "t.1",
            "log.stopped",
            "log.interrupted",
            "log.started",
            "log.lost",
            "t.2",
            "log.stopped"
        ]
    );
    assert_eq!(chain.losses, [6]);
}

#[test]
fn an_end_without_an_orderly_stop_is_told_at_the_next_start_and_an_orderly_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    run(&program, &[event(1, "sshd", "one")]);
    // The device lost its power, panicked on a block that did not verify, or was reset.
    let mut child = Command::new("sh").arg(&program).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", event(2, "sshd", "two")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !records(folder.path()).iter().any(|record| record.r#type == "t.2") {
        assert!(Instant::now() < deadline, "{:?}", records(folder.path()));
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    run(&program, &[]);
    let found = records(folder.path());
    let kinds: Vec<&str> = found.iter().map(|record| record.r#type.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "log.started",
            "t.1",
            "log.stopped",
            "log.started",
            "t.2",
            "log.interrupted",
            "log.started",
            "log.stopped"
        ]
    );
    let told = &found[5];
    assert_eq!(
        (told.outcome, told.message.as_str()),
        (Outcome::Failure, "the record ended at 5 without an orderly stop")
    );
    verify(folder.path(), &["events.jsonl"]).unwrap();
}

#[test]
fn the_signal_that_ends_a_service_does_not_take_what_is_still_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    let mut child = Command::new("sh").arg(&program).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", event(1, "sshd", "one")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while records(folder.path()).len() < 2 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    writeln!(input, "{}", event(2, "sshd", "two")).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let kinds: Vec<String> = records(folder.path()).into_iter().map(|record| record.r#type).collect();
    assert_eq!(kinds, ["log.started", "t.1", "t.2", "log.stopped"]);
}

#[test]
fn sealed_records_hold_the_last_one_too_and_the_key_of_the_past_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    let first = SealKey::first(&"5a".repeat(32)).unwrap();
    let state = folder.path().join("state/seal");
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(&state, first.line()).unwrap();
    run(&program, &[event(1, "sshd", "one"), event(2, "sshd", "two")]);
    let names = ["events.jsonl"];
    let whole = verify_with(folder.path(), &names, Some(first.clone())).unwrap();
    assert_eq!((whole.records, whole.sealed_from), (4, Some(1)));
    let kept = fs::read_to_string(&state).unwrap();
    assert!(kept.starts_with("00000000000000000005 ") && kept.len() == first.line().len(), "{kept}");
    assert!(!kept.contains(&"5a".repeat(32)));
    // The last record, changed: nothing follows that would show it but the seal.
    let path = folder.path().join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("ends in order", "ends in peace")).unwrap();
    assert!(verify(folder.path(), &names).is_ok());
    let error = verify_with(folder.path(), &names, Some(first.clone())).unwrap_err();
    assert!(error.contains("record 4: its seal is not that of this key"), "{error}");
    // An end cut off, and the device's own program goes on: the numbers of the cut records stay missing.
    let kept: Vec<&str> = text.lines().take(2).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    run(&program, &[event(3, "sshd", "three")]);
    let error = verify_with(folder.path(), &names, Some(first)).unwrap_err();
    assert!(error.contains("expected record 3, found 5: 2 records are missing"), "{error}");
}

/// The seal is ahead of records that a power cut took: their numbers are never used again, and the end is told.
#[test]
fn a_start_without_the_records_of_the_last_one_says_that_it_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(folder.path().join("state/seal"), SealKey::first(&"5a".repeat(32)).unwrap().line()).unwrap();
    run(&program, &[event(1, "sshd", "one")]);
    fs::remove_file(folder.path().join("events.jsonl")).unwrap();
    run(&program, &[event(2, "sshd", "two")]);
    let found = records(folder.path());
    let kinds: Vec<&str> = found.iter().map(|record| record.r#type.as_str()).collect();
    assert_eq!(kinds, ["log.interrupted", "log.started", "log.lost", "t.2", "log.stopped"]);
    assert_eq!(found[0].seq, 4);
}

/// A power cut behind a rotation may leave the newest files empty: the numbers go on behind the newest that is left.
#[test]
fn a_start_goes_on_behind_the_newest_record_that_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    run(&program, &[event(1, "sshd", "one")]);
    let path = |name: &str| folder.path().join(name);
    fs::rename(path("events.jsonl"), path("events.jsonl.2")).unwrap();
    fs::write(path("events.jsonl.1"), "").unwrap();
    run(&program, &[event(2, "sshd", "two")]);
    let chain = verify(folder.path(), &["events.jsonl.2", "events.jsonl"]).unwrap();
    assert_eq!((chain.records, chain.first), (6, 1), "{chain:?}");
}

#[test]
fn what_a_collector_had_not_got_before_it_went_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 4000, 2);
    fs::create_dir(folder.path().join("forward")).unwrap();
    fs::write(folder.path().join("forward/sent"), "4\n").unwrap();
    let lines: Vec<String> = (1..=120).map(|n| event(n, "sshd", "m")).collect();
    run(&program, &lines);
    let said: Vec<String> = ["events.jsonl.2", "events.jsonl.1", "events.jsonl"]
        .iter()
        .flat_map(|name| {
            fs::read_to_string(folder.path().join(name))
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.contains("log.unforwarded"))
        .collect();
    let (_, first) = said[0].split_once("records 5 to ").unwrap_or_else(|| panic!("{said:?}"));
    let number = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
    let (end, rest) = first.split_once(' ').unwrap();
    assert!(rest.starts_with("were dropped before the collector had them"), "{said:?}");
    // A record that says so may go, too: each names all that the collector lacks, so that the last one is enough.
    let again = said.get(1).expect("more than one rotation");
    let (_, all) = again.split_once("records 5 to ").unwrap_or_else(|| panic!("{said:?}"));
    assert!(number(all) > number(end), "{said:?}");
}

#[test]
fn the_clock_follows_what_chronyd_says_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 100_000, 2);
    let lines = [
        event(1, "sshd", "Selected source 192.0.2.1"),
        event(2, "sshd", r#"\"component\":\"chronyd\",\"message\":\"Selected source 192.0.2.1"#),
        event(3, "chronyd", "Selected source 192.0.2.1"),
        event(4, "chronyd", "Can't synchronise: no selectable sources"),
        event(5, "chronyd", "Selected source 192.0.2.1"),
        event(6, "chronyd", "chronyd exiting"),
        event(7, "chronyd", "Selected source 192.0.2.1"),
        event(8, "chronyd", "chronyd version 4.6.1 starting"),
    ];
    run(&program, &lines);
    let clocks: Vec<_> = records(folder.path()).into_iter().map(|record| record.clock).collect();
    use events::Clock::{Synchronised as Yes, Unsynchronised as No};
    assert_eq!(clocks, [No, No, No, Yes, No, Yes, No, Yes, No, No]);
}
