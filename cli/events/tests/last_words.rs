//! Why the last start ended, from what its kernel left in memory (templates/events/event-log.sh.hbs), run here on files as pstore shows
//! them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use event_log::{program, records, verify_with};
use events::{Event, Outcome};

#[path = "support/event_log.rs"]
mod event_log;

/// What Linux 6.12 leaves of a panic, as its console printed it; some lines cut.
const PANIC: &str = "Panic#1 Part1
<6>[    0.000000] Linux version 6.12.57
<6>[    1.104233] device-mapper: verity: sha256 using implementation \"sha256-ce\"
<3>[  901.445821] device-mapper: verity: 254:2: data block 9170 is corrupted
<0>[  901.446511] Kernel panic - not syncing: dm-verity device corrupted
<4>[  901.447002] CPU: 1 UID: 0 PID: 77 Comm: kworker/1:2 Not tainted 6.12.57 #1
<2>[  901.449412] SMP: stopping secondary CPUs
";

/// One start and end of the program, with what the folder `pstore` has.
fn start(folder: &Path) -> Vec<Event> {
    let program = program(folder, 100_000, 2);
    let mut child = Command::new("sh").arg(program).stdin(Stdio::null()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    verify_with(folder, &["events.jsonl"], None).unwrap();
    records(folder)
}

/// Leaves what a kernel left at that time, seconds since 1970.
fn leave(folder: &Path, name: &str, text: &[u8], time: u64) {
    fs::create_dir_all(folder.join("pstore")).unwrap();
    let path = folder.join("pstore").join(name);
    fs::write(&path, text).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).unwrap();
}

fn facts(events: &[Event]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.r#type.as_str(), event.message.as_str())).collect()
}

#[test]
fn a_panic_at_a_block_is_recorded_with_its_time_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path());
    assert_eq!(facts(&first).len(), 2, "nothing was left: {first:?}");
    leave(folder.path(), "dmesg-ramoops-0", PANIC.as_bytes(), 1_780_000_000);
    let found = start(folder.path());
    let told: Vec<&Event> = found.iter().filter(|event| event.component == "kernel").collect();
    assert_eq!(
        told.iter().map(|event| (event.r#type.as_str(), event.message.as_str())).collect::<Vec<_>>(),
        [
            ("integrity.verity", "device-mapper: verity: 254:2: data block 9170 is corrupted"),
            ("kernel.panic", "Kernel panic - not syncing: dm-verity device corrupted"),
        ]
    );
    for event in told {
        assert_eq!((event.subject.as_str(), event.outcome), ("kernel", Outcome::Failure));
        assert_eq!(event.time, "2026-05-28T20:26:40Z");
    }
    // They stand before the new start's first word, and are taken away: they are told once.
    let types: Vec<&str> = found.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(types[2..], ["integrity.verity", "kernel.panic", "log.started", "log.stopped"]);
    assert!(!folder.path().join("pstore/dmesg-ramoops-0").exists());
    assert_eq!(start(folder.path()).len(), found.len() + 2);
}

#[test]
fn other_failures_of_the_kernel_are_told_and_what_is_no_line_of_its_log_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let odd = b"Oops#1 Part1\n\
        Kernel panic - not syncing: said by nobody\n\
        <1>[   12.000001][  T412] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010\n\
        <1>[   12.000001][  T412] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010\n\
        <0>[   12.000002][  T412] Internal error: Oops: 0000000096000006 [#1] SMP\n\
        <0>[   12.000003] Kernel panic - not syncing: a \"quoted\" \\ and \x01\xff one\n\
        <6>[   12.000004] device-mapper: verity: sha256 using implementation \"sha256-ce\"\n\
        half a line of the ker";
    leave(folder.path(), "dmesg-ramoops-0", odd, 12);
    leave(folder.path(), "console-ramoops-0", PANIC.as_bytes(), 12);
    let found = start(folder.path());
    assert_eq!(
        facts(&found[..3]),
        [
            (
                "kernel.oops",
                "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010"
            ),
            ("kernel.oops", "Internal error: Oops: 0000000096000006 [#1] SMP"),
            ("kernel.panic", "Kernel panic - not syncing: a \"quoted\" \\ and  one"),
        ]
    );
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(folder.path().join("pstore/console-ramoops-0").exists());
}
