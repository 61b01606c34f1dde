//! A line of each kind's source, as its maker prints it, through the device's own rules of rsyslog: what the rules make of it is what
//! the kind demands.

use events::{Event, Outcome as Ended};

use super::{ALL, place};
use crate::events::kinds::{Kind, LAST_WORDS, own_name};

#[path = "../../../events/tests/support/rsyslog.rs"]
mod rsyslog;

/// The rules of the audit: what has their keys is a system call, and its facts are those of every system call.
const RULES: &str = include_str!("../../../../templates/audit/audit.rules.hbs");

const SYSTEMD: &str = r#""_TRANSPORT":"journal","_PID":"1","_SYSTEMD_UNIT":"init.scope","UNIT":"OF","SYSLOG_IDENTIFIER":"systemd""#;
const KERNEL: &str = r#""_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel""#;
const OPENVPN: &str =
    r#""_TRANSPORT":"stdout","_SYSTEMD_UNIT":"openvpn-support.service","SYSLOG_IDENTIFIER":"openvpn""#;
const CHRONY: &str = r#""_SYSTEMD_UNIT":"chrony.service","SYSLOG_IDENTIFIER":"chronyd""#;
const SSHD: &str =
    r#""_TRANSPORT":"syslog","_SYSTEMD_UNIT":"ssh.service","SYSLOG_IDENTIFIER":"sshd-session""#;

/// Entries of the journal: kind, fields (with the unit that they are about), words.
const JOURNAL: &[(&str, &str, &str, &str)] = &[
    (
        "the root file system is verified",
        KERNEL,
        "",
        "device-mapper: verity: sha256 using implementation \"sha256-ce\"",
    ),
    (
        "a self-check's result",
        r#""_SYSTEMD_UNIT":"fastness-selfcheck.service","SYSLOG_IDENTIFIER":"selfcheck""#,
        "",
        r#"{"event":"selfcheck","check":"self.audit","verdict":"pass","seen":"locked"}"#,
    ),
    (
        "the time service starts",
        CHRONY,
        "",
        "chronyd version 4.6.1 starting (+CMDMON +REFCLOCK +RTC +PRIVDROP +SCFILTER +SIGND +NTS +SECHASH +IPV6 -DEBUG)",
    ),
    ("a time source is chosen", CHRONY, "", "Selected source 192.0.2.1"),
    ("the clock is put to the source's time", CHRONY, "", "System clock was stepped by 30.000211 seconds"),
    ("a time source is lost", CHRONY, "", "Can't synchronise: no selectable sources"),
    (
        "the collector is reached",
        r#""_SYSTEMD_UNIT":"fastness-forward.service","SYSLOG_IDENTIFIER":"event-forward""#,
        "",
        "the collector logs.example has what was waiting",
    ),
    (
        "the collector is away, or is another",
        r#""_SYSTEMD_UNIT":"fastness-forward.service","SYSLOG_IDENTIFIER":"event-forward""#,
        "",
        "the collector logs.example cannot be reached, records wait: Connection refused",
    ),
    (
        "a service fails",
        SYSTEMD,
        "bench-crash.service",
        "bench-crash.service: Failed with result 'exit-code'.",
    ),
    (
        "a service is started again",
        SYSTEMD,
        "bench-crash.service",
        "bench-crash.service: Scheduled restart job, restart counter is at 1.",
    ),
    (
        "a service that fails in a loop is given up",
        SYSTEMD,
        "bench-crash.service",
        "bench-crash.service: Start request repeated too quickly.",
    ),
    (
        "a recorder is killed: auditing failed",
        SYSTEMD,
        "auditd.service",
        "auditd.service: Failed with result 'signal'.",
    ),
    (
        "a recorder is killed: auditing is started again",
        SYSTEMD,
        "auditd.service",
        "auditd.service: Scheduled restart job, restart counter is at 1.",
    ),
    (
        "a recorder is killed: the recording failed",
        SYSTEMD,
        "fastness-events.service",
        "fastness-events.service: Failed with result 'signal'.",
    ),
    (
        "a recorder is killed: the recording is started again",
        SYSTEMD,
        "fastness-events.service",
        "fastness-events.service: Scheduled restart job, restart counter is at 1.",
    ),
    (
        "a packet is dropped",
        KERNEL,
        "",
        "fastness drop: IN=eth0 OUT= MAC=52:54:00:12:34:56 SRC=192.0.2.2 DST=192.0.2.10 LEN=44 PROTO=TCP SPT=40000 DPT=23 SYN",
    ),
    (
        "a login without a key is refused",
        SSHD,
        "",
        "Connection closed by authenticating user maintenance 198.51.100.2 port 40001 [preauth]",
    ),
    ("a login of nobody is refused", SSHD, "", "Invalid user stranger from 198.51.100.2 port 40002"),
    (
        "a person logs in",
        SSHD,
        "",
        "Accepted publickey for maintenance from 198.51.100.2 port 40003 ssh2: ED25519 SHA256:AAAA",
    ),
    (
        "a place is locked out: that is recorded",
        SSHD,
        "",
        "drop connection #0 from [198.51.100.2]:40004 on [198.51.100.10]:22 penalty: failed authentication",
    ),
    (
        "sudo runs a program",
        r#""_EXE":"/usr/bin/sudo","_SYSTEMD_UNIT":"bench.service","SYSLOG_IDENTIFIER":"sudo""#,
        "",
        "    root : PWD=/ ; USER=root ; COMMAND=/usr/bin/true",
    ),
    (
        "an update is refused",
        r#""_SYSTEMD_UNIT":"fastness-update.service","SYSLOG_IDENTIFIER":"update""#,
        "",
        r#"{"event":"update","check":"refused","verdict":"fail","seen":"bench.update is no update: expected the members manifest"}"#,
    ),
    (
        "a backup is refused",
        r#""_SYSTEMD_UNIT":"fastness-restore.service","SYSLOG_IDENTIFIER":"backup""#,
        "",
        r#"{"event":"backup","check":"refused","verdict":"fail","by":"root","seen":"bench.restore is no backup, or is cut off"}"#,
    ),
    (
        "a backup is asked for",
        r#""_SYSTEMD_UNIT":"fastness-backup.service","SYSLOG_IDENTIFIER":"backup""#,
        "",
        r#"{"event":"backup","check":"made","verdict":"fail","by":"root","seen":"no key of backups is provisioned"}"#,
    ),
    (
        "a factory reset is refused",
        r#""_SYSTEMD_UNIT":"fastness-reset.service","SYSLOG_IDENTIFIER":"reset""#,
        "",
        r#"{"event":"reset","check":"refused","verdict":"fail","by":"root","seen":"expected the name of the product in the request, found bench"}"#,
    ),
    (
        "a tunnel's peer of another authority is refused",
        OPENVPN,
        "",
        "VERIFY ERROR: depth=1, error=unable to get local issuer certificate: O=Others, CN=Others Issuing CA, serial=123",
    ),
    (
        "a tunnel's peer with another name is refused",
        OPENVPN,
        "",
        "VERIFY X509NAME ERROR: O=Test, CN=other.support.plant.example, must be support.plant.example",
    ),
    (
        "a tunnel's peer whose certificate was revoked is refused",
        OPENVPN,
        "",
        "VERIFY ERROR: depth=0, error=certificate revoked: O=Test, CN=support.plant.example, serial=456",
    ),
    (
        "a tunnel's peer whose certificate has expired is refused",
        OPENVPN,
        "",
        "VERIFY ERROR: depth=0, error=certificate has expired: O=Test, CN=support.plant.example, serial=789",
    ),
    ("a tunnel comes up with the peer that the plan names", OPENVPN, "", "Initialization Sequence Completed"),
    (
        "messages beyond the recording's rate are lost: that is told",
        r#""_SYSTEMD_UNIT":"fastness-events.service","SYSLOG_IDENTIFIER":"rsyslogd""#,
        "",
        "imjournal: 1000 messages lost due to rate-limiting (500 allowed within 10 seconds)",
    ),
    (
        "the audit log is full: that is told before its oldest records go",
        r#""_SYSTEMD_UNIT":"fastness-audit-space.service","SYSLOG_IDENTIFIER":"audit-space""#,
        "",
        "the audit log is 80 % full (4 of 5 files); when the next one is, the oldest go: the last record of the oldest is of 2026-01-31T12:00:00Z",
    ),
];

/// Audit records, from behind their number; `|` stands before what auditd adds (group separator).
const AUDIT: &[(&str, &str)] = &[
    (
        "auditing begins",
        r#"DAEMON_START op=start ver=4.0.2 format=enriched kernel=6.12.48 auid=4294967295 pid=320 uid=0 ses=4294967295 subj=unconfined  res=success|AUID="unset" UID="root""#,
    ),
    (
        "a recorder is killed: auditing begins anew",
        r#"DAEMON_START op=start ver=4.0.2 format=enriched kernel=6.12.48 auid=4294967295 pid=900 uid=0 ses=4294967295 subj=unconfined  res=success|AUID="unset" UID="root""#,
    ),
    (
        "the rules of auditing are loaded",
        r#"CONFIG_CHANGE auid=4294967295 ses=4294967295 subj=unconfined op=add_rule key="identity" list=4 res=1|AUID="unset""#,
    ),
    (
        "the change of auditing is refused",
        r#"CONFIG_CHANGE op=set audit_enabled=1 old=2 auid=2000 ses=3 subj=unconfined res=0|AUID="maintenance""#,
    ),
    (
        "the firewall's rules are loaded",
        r#"NETFILTER_CFG table=fastness:1 family=1 entries=0 op=nft_register_table pid=300 subj=unconfined comm="nft""#,
    ),
    (
        "a service starts",
        r#"SERVICE_START pid=1 uid=0 auid=4294967295 ses=4294967295 subj=unconfined msg='unit=bench-once comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success'|UID="root" AUID="unset""#,
    ),
    (
        "a service stops",
        r#"SERVICE_STOP pid=1 uid=0 auid=4294967295 ses=4294967295 subj=unconfined msg='unit=bench-once comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success'|UID="root" AUID="unset""#,
    ),
    (
        "an interface listens to everything",
        r#"ANOM_PROMISCUOUS dev=lo prom=256 old_prom=0 auid=4294967295 uid=0 gid=0 ses=4294967295|AUID="unset" UID="root" GID="root""#,
    ),
    (
        "a program is refused that root mounted a place for",
        r#"INTEGRITY_DATA pid=700 uid=0 auid=4294967295 ses=4294967295 subj=unconfined op=appraise_data cause=IMA-signature-required comm="sh" name="/run/own/own" dev="tmpfs" ino=3 res=0 errno=0|UID="root" AUID="unset""#,
    ),
    (
        "a login id is set",
        r#"LOGIN pid=500 uid=0 subj=unconfined old-auid=4294967295 auid=2000 tty=(none) old-ses=4294967295 ses=3 res=1|UID="root" OLD-AUID="unset" AUID="maintenance""#,
    ),
    (
        "sudo refuses somebody",
        r#"USER_CMD pid=501 uid=65534 auid=65534 ses=4 subj=unconfined msg='cwd="/" cmd=2F7573722F62696E2F74727565 exe="/usr/bin/sudo" terminal=? res=failed'|UID="nobody" AUID="nobody""#,
    ),
    (
        "a person's session begins",
        r#"USER_START pid=502 uid=0 auid=2000 ses=5 subj=unconfined msg='op=PAM:session_open grantors=pam_loginuid acct="maintenance" exe="/usr/lib/openssh/sshd-session" hostname=198.51.100.2 addr=198.51.100.2 terminal=ssh res=success'|UID="root" AUID="maintenance""#,
    ),
    (
        "a person's session ends",
        r#"USER_END pid=502 uid=0 auid=2000 ses=5 subj=unconfined msg='op=PAM:session_close grantors=pam_loginuid acct="maintenance" exe="/usr/lib/openssh/sshd-session" hostname=198.51.100.2 addr=198.51.100.2 terminal=ssh res=success'|UID="root" AUID="maintenance""#,
    ),
];

/// What makes its own records has no rule of rsyslog, and what has a key of the audit's rules is a system call. The last words of a
/// kernel come to the same program (`cli/events/tests/last_words.rs`).
fn needs_no_sample(kind: &Kind) -> bool {
    let key = kind.r#type.strip_prefix("audit.").unwrap_or("/");
    let last = LAST_WORDS.iter().any(|words| words.name == kind.name);
    kind.component == "event-log" || last || RULES.contains(&format!("key={key}\n"))
}

#[test]
fn what_the_rules_make_of_a_kind_s_line_is_what_the_kind_demands() {
    let all: Vec<&Kind> = ALL.into_iter().flatten().collect();
    let samples: Vec<&str> =
        JOURNAL.iter().map(|sample| sample.0).chain(AUDIT.iter().map(|sample| sample.0)).collect();
    for kind in all.iter().filter(|kind| !needs_no_sample(kind)) {
        assert!(samples.contains(&kind.name), "`{}` has no sample", kind.name);
    }
    let entries: Vec<String> = JOURNAL
        .iter()
        .map(|(_, fields, of, message)| {
            let message = serde_json::Value::from(*message);
            format!("{{{},\"MESSAGE\":{message}}}\n", fields.replace("OF", of))
        })
        .collect();
    let lines: Vec<String> = AUDIT
        .iter()
        .zip(77..)
        .map(|((_, sample), number)| {
            let (r#type, rest) = sample.split_once(' ').unwrap();
            let rest = rest.replace('|', "\u{1d}");
            format!("node=gw type={type} msg=audit(1764000000.123:{number}): {rest}\n")
        })
        .collect();
    let Some(records) = rsyslog::events_of(&lines.concat(), &entries, samples.len()) else { return };
    let sources = lines.iter().chain(&entries).map(|line| line.trim_end());
    let names = AUDIT.iter().map(|sample| sample.0).chain(JOURNAL.iter().map(|sample| sample.0));
    for (source, name) in sources.zip(names) {
        let kind = all.iter().find(|kind| kind.name == name).unwrap();
        // The separator is no character of a message.
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let record: &Event = records
            .iter()
            .find(|record| plain(&record.message).trim() == plain(source))
            .unwrap_or_else(|| panic!("no event of `{name}` in {records:#?}"));
        let demanded = place("gw").fill(&crate::events::kinds::fill(kind.subject, "maintenance", 2000));
        let facts = |component: &str, r#type: &str, subject: &str, outcome: Ended| {
            format!("{component} {type} {subject} {outcome}")
        };
        let component = own_name(&record.component);
        let component = if component.ends_with(kind.component) { kind.component } else { component };
        assert_eq!(
            facts(component, &record.r#type, &record.subject, record.outcome),
            facts(kind.component, kind.r#type, &demanded, kind.outcome),
            "`{name}`"
        );
        let contains = place("gw").fill(&crate::events::kinds::fill(kind.contains, "maintenance", 2000));
        assert!(record.message.contains(&contains), "`{name}`: {}", record.message);
    }
}
