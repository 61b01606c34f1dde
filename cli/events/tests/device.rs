//! What runs on the device (templates/events), run here: its records must satisfy the verifier.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use events::{Chain, Event, Outcome, SealKey, Verifier};

fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/events").join(name);
    fs::read_to_string(path).unwrap()
}

/// The device's program with its parameters filled in.
fn program(folder: &Path, limit: usize, keep: usize) -> PathBuf {
    let text = template("event-log.sh.hbs")
        .replace("{{sh parameters.folder}}", folder.to_str().unwrap())
        .replace("{{parameters.log_size}}", &limit.to_string())
        .replace("{{parameters.logs}}", &keep.to_string());
    assert!(!text.contains("{{"), "a parameter that this test does not know");
    let path = folder.join("event-log");
    fs::write(&path, text).unwrap();
    let mut mode = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&path, mode).unwrap();
    path
}

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

fn verify_with(folder: &Path, names: &[&str], key: Option<SealKey>) -> Result<Chain, String> {
    let mut verifier = Verifier::new(None).sealed(key);
    for name in names {
        let file = fs::File::open(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        verifier.read(name, BufReader::new(file)).map_err(|e| e.to_string())?;
    }
    verifier.finish().map_err(|e| e.to_string())
}

fn records(folder: &Path) -> Vec<Event> {
    let text = fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    text.lines().map(|line| Event::parse(line.as_bytes()).unwrap()).collect()
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
    ];
    run(&program, &lines);
    let clocks: Vec<_> = records(folder.path()).into_iter().map(|record| record.clock).collect();
    use events::Clock::{Synchronised as Yes, Unsynchronised as No};
    assert_eq!(clocks, [No, No, No, Yes, No, No]);
}

/// What rsyslog makes of its rules, once there are so many records; `None` where it is not installed.
fn by_rsyslog(folder: &Path, rules: &str, wanted: usize) -> Option<Vec<Event>> {
    if Command::new("rsyslogd").arg("-v").output().is_err() {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`rsyslogd` is not installed");
        println!("SKIPPED: `rsyslogd` is not installed");
        return None;
    }
    let place = folder.to_str().unwrap();
    fs::create_dir(folder.join("state")).unwrap();
    let program = program(folder, 100_000, 2);
    let text = rules
        .replace("{{conf parameters.folder}}", place)
        .replace("{{conf product.name}}", "gw")
        .replace("/var/log/audit", place)
        .replace("/usr/lib/fastness/event-log", program.to_str().unwrap());
    // The journal of this machine is no part of the test.
    let text: String =
        text.lines().filter(|line| !line.contains("imjournal")).map(|l| format!("{l}\n")).collect();
    let config = folder.join("rsyslog.conf");
    fs::write(&config, text).unwrap();
    let pid = folder.join("pid");
    let mut daemon =
        Command::new("rsyslogd").arg("-n").arg("-i").arg(&pid).arg("-f").arg(&config).spawn().unwrap();
    let start = Instant::now();
    while records(folder).len() < wanted && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    verify(folder, &["events.jsonl"]).unwrap();
    let mut records = records(folder);
    // What the program says of itself: its start, and perhaps its stop.
    records.retain(|record| !record.r#type.starts_with("log."));
    assert!(records.iter().all(|record| record.host == "gw"));
    Some(records)
}

/// The rules of rsyslog on audit records as auditd writes them.
#[test]
fn audit_records_become_events_with_their_five_facts() {
    const SESSION: &str = "/usr/lib/openssh/sshd-session";
    let folder = tempfile::tempdir().unwrap();
    let audit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audit.log");
    fs::copy(audit, folder.path().join("audit.log")).unwrap();
    let Some(records) = by_rsyslog(folder.path(), &template("rsyslog.conf.hbs"), 7) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.time.as_str(), r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    let expected = [
        ("2025-11-24T16:00:00.123Z", "/usr/sbin/auditctl", "audit.audit-config", "root", Outcome::Failure),
        ("2025-11-24T16:00:01.001Z", "kernel", "audit.config_change", "kernel", Outcome::Failure),
        (
            "2025-11-24T16:00:02.010Z",
            "/usr/lib/systemd/systemd",
            "audit.service_start",
            "root",
            Outcome::Success,
        ),
        ("2025-11-24T16:00:03.010Z", "/usr/sbin/sshd", "audit.user_login", "nobody", Outcome::Failure),
        // Who is nobody: not a question mark, and not the digits of sshd's words.
        ("2025-11-24T16:00:04.010Z", SESSION, "audit.user_err", "root", Outcome::Failure),
        ("2025-11-24T16:00:05.010Z", SESSION, "audit.user_login", "(invalid user)", Outcome::Failure),
    ];
    assert_eq!(facts, expected);
}

/// The records that the rules of rsyslog make of entries of the journal, which come from a file in its place.
fn by_journal(entries: &[String], records: usize) -> Option<Vec<Event>> {
    let rules = template("rsyslog.conf.hbs");
    let (audit, journal) = rules.split_once("# The journal:").unwrap();
    let journal = journal.replace("$msg", "$!MESSAGE").replace("$programname", "$!SYSLOG_IDENTIFIER");
    let read = "module(load=\"mmjsonparse\")\ninput(type=\"imfile\" file=\"/var/log/audit/journal\" tag=\"journal\")\n\
        action(type=\"mmjsonparse\" cookie=\"\")\n#";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("audit.log"), "").unwrap();
    fs::write(folder.path().join("journal"), entries.concat()).unwrap();
    by_rsyslog(folder.path(), &format!("{audit}{read}{journal}"), records)
}

/// As sudoers(5) says it under "Event logging".
#[test]
fn what_sudo_says_becomes_an_event_with_who_and_whether() {
    let entry = |exe: &str, name: &str, message: &str| {
        let known = if exe.is_empty() { String::new() } else { format!(r#""_EXE":"{exe}","#) };
        format!(
            r#"{{{known}"_SYSTEMD_UNIT":"ssh.service","SYSLOG_IDENTIFIER":"{name}","MESSAGE":"{message}"}}"#
        ) + "\n"
    };
    const SUDO: &str = "/usr/bin/sudo";
    const REST: &str = "TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id";
    let entries = [
        entry(SUDO, "sudo", &format!("maintenance : {REST}")),
        // Without a terminal, its name padded, and nothing known of a process that has ended.
        entry("", "sudo", "     eve : PWD=/ ; USER=root ; COMMAND=/usr/bin/id"),
        entry(SUDO, "sudo", &format!("     eve : user NOT in sudoers ; {REST}")),
        entry(SUDO, "sudo", &format!("     eve : command not allowed ; {REST}")),
        entry(SUDO, "sudo", &format!("     eve : 3 incorrect password attempts ; {REST}")),
        entry(SUDO, "sudo", &format!("     eve : a password is required ; {REST}")),
        entry(SUDO, "sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by eve(uid=2000)"),
        // Somebody else under its name is none of it.
        entry("/usr/bin/logger", "sudo", &format!("maintenance : {REST}")),
        entry("/usr/sbin/sshd", "sshd", "Accepted publickey for eve from 192.0.2.1 port 22 ssh2"),
    ];
    let Some(records) = by_journal(&entries, 10) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    use Outcome::{Failure, Success, Unknown};
    let sudo = "privilege.sudo";
    let expected = [
        ("sudo", sudo, "maintenance", Success),
        ("sudo", sudo, "eve", Success),
        ("sudo", sudo, "eve", Failure),
        ("sudo", sudo, "eve", Failure),
        ("sudo", sudo, "eve", Failure),
        ("sudo", sudo, "eve", Failure),
        ("sudo", sudo, "ssh.service", Unknown),
        ("sshd", "ssh.message", "ssh.service", Unknown),
        ("sshd", "ssh.login", "eve", Success),
    ];
    assert_eq!(facts, expected);
}

/// What `templates/update/update.sh.hbs` prints: in its own service, and at the end of the self-check.
#[test]
fn what_becomes_of_an_update_is_an_event() {
    let entry = |unit: &str, event: &str, check: &str, verdict: &str, seen: &str| {
        let message = format!(
            r#"{{\"event\":\"{event}\",\"check\":\"{check}\",\"verdict\":\"{verdict}\",\"seen\":\"{seen}\"}}"#
        );
        format!(r#"{{"_SYSTEMD_UNIT":"{unit}.service","SYSLOG_IDENTIFIER":"update","MESSAGE":"{message}"}}"#)
            + "\n"
    };
    let (own, selfcheck) = ("fastness-update", "fastness-selfcheck");
    let entries = [
        entry(own, "update", "accepted", "pass", "version 1.1.0 for slot b"),
        entry(own, "update", "refused", "fail", "new.update has no valid signature of a key of this product"),
        entry(selfcheck, "update", "kept", "pass", "version 1.1.0 in slot b has proved itself"),
        entry(selfcheck, "selfcheck", "self.update", "pass", "slot b"),
    ];
    let Some(records) = by_journal(&entries, 5) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    use Outcome::{Failure, Success};
    let expected = [
        ("update", "update.accepted", "1.1.0", Success),
        ("update", "update.refused", "update", Failure),
        ("update", "update.kept", "1.1.0", Success),
        ("selfcheck", "selfcheck.result", "self.update", Success),
    ];
    assert_eq!(facts, expected);
}

/// Lines of charon (`charon-systemd`), of OpenVPN 2.6 and of the kernel, as their makers print them.
#[test]
fn tunnels_martians_and_blocks_that_do_not_verify_are_events() {
    let line = |fields: &str, name: &str, message: &str| {
        let message = message.replace('"', "\\\"");
        format!(r#"{{{fields},"SYSLOG_IDENTIFIER":"{name}","MESSAGE":"{message}"}}"#) + "\n"
    };
    let charon = |message: &str| line(r#""_SYSTEMD_UNIT":"strongswan.service""#, "charon-systemd", message);
    let openvpn =
        |message: &str| line(r#""_SYSTEMD_UNIT":"openvpn-client@plant.service""#, "openvpn", message);
    let kernel = |message: &str| line(r#""_TRANSPORT":"kernel""#, "kernel", message);
    let entries = [
        charon("IKE_SA plant[1] established between 192.0.2.10[CN=gw]...192.0.2.1[CN=plant]"),
        charon("no trusted RSA public key found for 'CN=eve'"),
        charon("constraint check failed: identity 'CN=plant' required"),
        charon("received AUTHENTICATION_FAILED notify error"),
        charon("received NO_PROPOSAL_CHOSEN notify error"),
        charon("sending DPD request"),
        openvpn("Initialization Sequence Completed"),
        openvpn("VERIFY ERROR: depth=0, error=certificate revoked: CN=eve, serial=4"),
        openvpn("TLS Error: TLS handshake failed"),
        openvpn("AUTH: Received control message: AUTH_FAILED"),
        openvpn("SIGUSR1[soft,ping-restart] received, process restarting"),
        kernel("IPv4: martian source 192.0.2.10 from 10.0.0.1, on dev eth0"),
        kernel(
            "fastness drop: IN=eth0 OUT= MAC= SRC=192.0.2.77 DST=192.0.2.10 LEN=60 PROTO=TCP SPT=4 DPT=23",
        ),
        kernel("device-mapper: verity: 254:0: data block 5 is corrupted"),
        kernel("device-mapper: verity: sha256 using implementation \"sha256-ce\""),
        kernel("Kernel command line: dm-mod.create=root,,,ro,0 8 verity 1"),
        kernel("Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7"),
        kernel("eth0: link becomes ready"),
        line(
            r#""_SYSTEMD_UNIT":"auditd.service""#,
            "auditd",
            "Audit daemon is low on disk space for logging",
        ),
        line(
            r#""_SYSTEMD_UNIT":"fastness-audit-space.service""#,
            "audit-space",
            "the audit log is 80 % full (4 of 5 files); when the next one is, the oldest go: the last record of the oldest is of 2026-01-31T12:00:00Z",
        ),
    ];
    let Some(records) = by_journal(&entries, 19) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    use Outcome::{Failure, Success, Unknown};
    let (ipsec, tls) = ("strongswan.service", "openvpn-client@plant.service");
    let refused = |component, unit| (component, "tunnel.refused", unit, Failure);
    let expected = [
        ("strongswan", "tunnel.up", ipsec, Success),
        refused("strongswan", ipsec),
        refused("strongswan", ipsec),
        refused("strongswan", ipsec),
        refused("strongswan", ipsec),
        ("strongswan", "tunnel.message", ipsec, Unknown),
        ("openvpn", "tunnel.up", tls, Success),
        refused("openvpn", tls),
        refused("openvpn", tls),
        refused("openvpn", tls),
        ("openvpn", "tunnel.message", tls, Unknown),
        ("kernel", "firewall.martian", "10.0.0.1", Failure),
        ("kernel", "firewall.dropped", "192.0.2.77", Failure),
        ("kernel", "integrity.verity", "kernel", Failure),
        ("kernel", "integrity.verity", "kernel", Success),
        ("kernel", "kernel.lockdown", "kernel", Failure),
        ("auditd", "audit.storage", "auditd.service", Unknown),
        ("audit-space", "audit.nearly-full", "root", Unknown),
    ];
    assert_eq!(facts, expected);
}
