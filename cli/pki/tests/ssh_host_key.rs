//! The unit that makes a device's SSH host key: what it runs, run here in another folder.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

const UNIT: &str = include_str!("../../../templates/ssh/ssh-host-key.service.hbs");
const FOLDER: &str = "/var/lib/fastness/ssh";

/// Runs the unit's commands up to this one, in order.
fn run(folder: &Path, commands: usize) {
    let lines =
        UNIT.lines().filter_map(|line| line.split_once("ExecStart").and_then(|(_, l)| l.split_once('=')));
    for (_, line) in lines.take(commands) {
        let line = line.replace(FOLDER, folder.to_str().unwrap());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }
}

/// Found by `ci/recovery`: a power cut after the first start left an empty file, and sshd never started again.
#[test]
fn a_key_that_a_power_cut_left_empty_is_made_again_and_is_no_key_before_it_is_whole() {
    assert!(UNIT.contains(&format!("\nConditionFileNotEmpty=!{FOLDER}/ssh_host_ed25519_key\n")));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("ssh_host_ed25519_key");
    fs::write(&key, "").unwrap();
    // A start that was cut off, too, left its unfinished key.
    fs::write(folder.path().join("new"), "half").unwrap();
    let all = UNIT.matches("\nExecStart").count();
    // It is synced before it is renamed: until the last rename the old file is there.
    run(folder.path(), all - 2);
    assert_eq!(fs::read(&key).unwrap(), b"");
    run(folder.path(), all);
    let public = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&key).output().unwrap();
    assert!(public.status.success(), "{public:?}");
    let beside = fs::read_to_string(key.with_extension("pub")).unwrap();
    assert_eq!(String::from_utf8(public.stdout).unwrap().trim(), beside.trim());
    let order: Vec<usize> =
        ["/usr/bin/ssh-keygen", "/usr/bin/sync", "/usr/bin/mv"].map(|tool| UNIT.find(tool).unwrap()).to_vec();
    assert!(order.is_sorted(), "{order:?}");
}
