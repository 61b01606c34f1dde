//! What tells on the device that the audit log is nearly full (templates/audit/space.sh.hbs), run here on files as auditd leaves them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

const SCRIPT: &str = include_str!("../../../templates/audit/space.sh.hbs");

/// What the program says of a log with this many full files beside the one that is written.
fn says(full: usize, logs: usize, warn_at: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("audit.log"), "").unwrap();
    for number in 1..=full {
        // The oldest has the highest number: each is of one hour before the one before it.
        let second = 1_769_860_800 - number * 3600;
        let record = format!("type=USER msg=audit({second}.123:{number}): pid=1\n");
        fs::write(
            at.join(format!("audit.log.{number}")),
            "type=A msg=audit(1.000:1): x\n".to_owned() + &record,
        )
        .unwrap();
    }
    let script = SCRIPT
        .replace("{{parameters.warn_at}}", &warn_at.to_string())
        .replace("{{parameters.logs}}", &logs.to_string())
        .replace("/var/log/audit", at.to_str().unwrap())
        .replace("sleep 1\n", "");
    assert!(!script.contains("{{"), "a parameter that this test does not know");
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_log_is_told_once_it_is_as_full_as_was_asked() {
    for full in [0, 1, 2, 3] {
        assert_eq!(says(full, 5, 75), "", "{full}");
    }
    assert_eq!(
        says(4, 5, 75),
        "<4>the audit log is 80 % full (4 of 5 files); when the next one is, the oldest go: \
         the last record of the oldest is of 2026-01-31T08:00:00Z\n"
    );
    assert_eq!(says(1, 5, 21), "");
    assert!(says(2, 5, 40).starts_with("<4>the audit log is 40 % full (2 of 5 files)"));
}

/// Of ten files and more the last by name is not the oldest.
#[test]
fn the_oldest_file_is_found_by_its_number() {
    assert!(says(11, 12, 75).ends_with("is of 2026-01-31T01:00:00Z\n"));
}

#[test]
fn the_last_file_but_one_always_tells() {
    assert!(says(1, 2, 75).starts_with("<4>the audit log is 50 % full (1 of 2 files)"));
    assert!(says(2, 3, 100).starts_with("<4>the audit log is 66 % full (2 of 3 files)"));
    assert_eq!(says(0, 2, 75), "");
}
