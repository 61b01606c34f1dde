//! What the rules of rsyslog (templates/events) make of audit records and of entries of the journal.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use events::Outcome;
use rsyslog::{IPSEC, Rsyslog, TUNNEL, events_of, rules_of_files};

#[path = "support/rsyslog.rs"]
mod rsyslog;

/// The rules of rsyslog on audit records as auditd writes them.
#[test]
fn audit_records_become_events_with_their_five_facts() {
    const SESSION: &str = "/usr/lib/openssh/sshd-session";
    let Some(records) = events_of(include_str!("fixtures/audit.log"), &[], 6) else { return };
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
    let Some(records) = events_of("", &entries, 9) else { return };
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
    let Some(records) = events_of("", &entries, 4) else { return };
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
    let charon = |message: &str| {
        line(r#""_SYSTEMD_UNIT":"strongswan.service","IKE_SA_NAME":"plant""#, "charon-systemd", message)
    };
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
        openvpn("VERIFY X509NAME ERROR: CN=eve, must be plant.example"),
        openvpn("TLS Error: TLS handshake failed"),
        openvpn("AUTH: Received control message: AUTH_FAILED"),
        openvpn("OPTIONS ERROR: failed to negotiate cipher with peer"),
        openvpn("tls-crypt unwrap error: packet authentication failed"),
        openvpn("SIGUSR1[soft,ping-restart] received, process restarting"),
        openvpn(
            "TLS Error: Unroutable control packet received from [AF_INET]192.0.2.1:1194 (si=3 op=P_ACK_V1)",
        ),
        line(&format!(r#""_SYSTEMD_UNIT":"{}""#, TUNNEL.0), "openvpn", "Initialization Sequence Completed"),
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
    let Some(records) = events_of("", &entries, 23) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    use Outcome::{Failure, Success, Unknown};
    let (ipsec, tls) = (IPSEC[0].1, "openvpn-client@plant.service");
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
        refused("openvpn", tls),
        refused("openvpn", tls),
        refused("openvpn", tls),
        ("openvpn", "tunnel.message", tls, Unknown),
        ("openvpn", "tunnel.message", tls, Failure),
        // Of a tunnel that the rules know the peer's address is who.
        ("openvpn", "tunnel.up", TUNNEL.1, Success),
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

/// Why charon refuses a peer, in its words (strongSwan 6, libcharon and libstrongswan), and by which of the peers.
#[test]
fn whom_strongswan_refuses_and_why_is_an_event() {
    let charon = |fields: &str, message: &str| {
        let message = message.replace('"', "\\\"");
        format!(
            r#"{{"_SYSTEMD_UNIT":"strongswan.service"{fields},"SYSLOG_IDENTIFIER":"charon-systemd","MESSAGE":"{message}"}}"#
        ) + "\n"
    };
    // Before a tunnel is chosen there is no name.
    let early = [
        "no IKE config found for 192.0.2.10...192.0.2.1, sending NO_PROPOSAL_CHOSEN",
        "received proposals unacceptable",
        "generating IKE_SA_INIT response 0 [ N(NO_PROP) ]",
        "no matching peer config found",
    ];
    let late = [
        "no issuer certificate found for \"CN=eve\"",
        "no trusted RSA public key found for 'plant.example'",
        "self-signed certificate \"CN=eve\" is not trusted",
        "certificate was revoked on Nov 30 12:00:00 UTC 2026, reason: key compromise",
        "subject certificate invalid (valid from Jan 01 00:00:00 2020 to Jan 01 00:00:00 2021)",
        "RSA-2048 signatures not acceptable",
        "signature scheme RSA_EMSA_PKCS1_WITH_SHA1 not acceptable",
        "generating IKE_AUTH response 1 [ N(AUTH_FAILED) ]",
    ];
    let name = |tunnel: &str| format!(r#","IKE_SA_NAME":"{tunnel}""#);
    let mut entries: Vec<String> = early.iter().map(|words| charon("", words)).collect();
    entries.extend(late.iter().map(|words| charon(&name(IPSEC[1].0), words)));
    // What is tried and passed over while a proposal is chosen refuses nobody.
    entries.push(charon("", "  no acceptable ENCRYPTION_ALGORITHM found"));
    entries.push(charon(&name("eve"), "sending DPD request"));
    let Some(records) = events_of("", &entries, entries.len()) else { return };
    let either = format!("{} or {}", IPSEC[0].1, IPSEC[1].1);
    for (index, record) in records.iter().enumerate() {
        let refused = index < early.len() + late.len();
        let wanted = match refused {
            true => ("tunnel.refused", Outcome::Failure),
            false => ("tunnel.message", Outcome::Unknown),
        };
        assert_eq!((record.r#type.as_str(), record.outcome), wanted, "{record:?}");
        let known = (early.len()..early.len() + late.len()).contains(&index);
        let subject = if known { IPSEC[1].1 } else { &either };
        assert_eq!(
            (record.component.as_str(), record.subject.as_str()),
            ("strongswan", subject),
            "{record:?}"
        );
    }
}

/// What is beyond a rate is lost; that it is, and how much, is an event: by rsyslog's words, by the journal's, by the kernel's.
#[test]
fn what_was_lost_beyond_a_rate_is_told_with_its_number() {
    let line = |fields: &str, name: &str, message: &str| {
        format!(r#"{{{fields},"SYSLOG_IDENTIFIER":"{name}","MESSAGE":"{message}"}}"#) + "\n"
    };
    let own = r#""_TRANSPORT":"syslog","_SYSTEMD_UNIT":"fastness-events.service""#;
    let driver = r#""_TRANSPORT":"driver","_SYSTEMD_UNIT":"systemd-journald.service""#;
    let other = r#""_TRANSPORT":"syslog","_SYSTEMD_UNIT":"eve.service""#;
    let lost = "imjournal: 236 messages lost due to rate-limiting (500 allowed within 10 seconds)";
    let suppressed = "Suppressed 917 messages from bench-flood.service";
    let missed = "Missed 12 kernel messages";
    let kernel = "audit: audit_lost=7 audit_rate_limit=0 audit_backlog_limit=8192";
    let entries = [
        line(own, "rsyslogd", lost),
        line(driver, "systemd-journald", suppressed),
        line(driver, "systemd-journald", missed),
        line(r#""_TRANSPORT":"kernel""#, "kernel", kernel),
        // Neither the journal's other words, nor somebody else under these names.
        line(driver, "systemd-journald", "Journal started"),
        line(own, "rsyslogd", "imjournal: journal files changed, reloading..."),
        line(other, "rsyslogd", lost),
        line(other, "systemd-journald", suppressed),
        line(r#""_TRANSPORT":"kernel""#, "kernel", "Lockdown: insmod: unsigned module loading is restricted"),
    ];
    let Some(records) = events_of("", &entries, 5) else { return };
    let facts: Vec<_> = records
        .iter()
        .map(|r| (r.component.as_str(), r.r#type.as_str(), r.subject.as_str(), r.outcome))
        .collect();
    let of = |component, subject| (component, "log.lost", subject, Outcome::Failure);
    assert_eq!(
        facts[..4],
        [
            of("rsyslogd", "imjournal"),
            of("systemd-journald", "bench-flood.service"),
            of("systemd-journald", "kernel"),
            of("kernel", "kernel"),
        ]
    );
    for (record, words) in records.iter().zip([lost, suppressed, missed, kernel]) {
        assert!(record.message.contains(words), "{}", record.message);
    }
    assert_eq!((facts.len(), facts[4].1), (5, "kernel.lockdown"));
}

/// rsyslog itself, beyond the rate of an input: what it says is what the rules know.
#[test]
fn rsyslog_s_own_words_about_a_rate_are_such_a_record() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("audit.log"), "").unwrap();
    fs::write(folder.path().join("journal"), "").unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Of what it says itself no journal is in between here.
    let rules = rules_of_files()
        .replace("global(", "global(processInternalMessages=\"on\" ")
        .replace("$!MESSAGE", "$msg")
        .replace("$!SYSLOG_IDENTIFIER", "$programname");
    let input = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" ratelimit.interval=\"2\" ratelimit.burst=\"5\" ruleset=\"nothing\")\n\
         ruleset(name=\"nothing\") {{ stop }}\n"
    );
    let Some(rsyslog) = Rsyslog::start(folder.path(), &format!("{rules}{input}")) else { return };
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first burst may come before rsyslog listens; it tells of one when something comes after its interval.
    let lost = loop {
        for _ in 0..20 {
            // Refused while nobody listens.
            let _ = sender.send_to(b"<13>eve: m", ("127.0.0.1", port));
        }
        std::thread::sleep(Duration::from_secs(3));
        let mut found = rsyslog.events(0);
        found.retain(|record| record.r#type == "log.lost" && record.message.contains(": 15 messages lost"));
        if !found.is_empty() || Instant::now() > deadline {
            break found;
        }
    };
    let [one, ..] = lost.as_slice() else { panic!("rsyslog told of nothing") };
    assert_eq!(
        (one.component.as_str(), one.subject.as_str(), one.outcome),
        ("rsyslogd", "imudp", Outcome::Failure)
    );
}
