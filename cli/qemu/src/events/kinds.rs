//! The kinds of events that are provoked, and whether a record of each has its facts.

use std::collections::{BTreeMap, BTreeSet};

use events::{Clock, Event, Outcome as Ended};
use record::{EventClass, TrafficVerdict};

use super::time::{Window, outside, within};

/// One kind: how it is provoked, and what its record has to say.
pub(crate) struct Kind {
    /// What happens, in words.
    pub(crate) name: &'static str,
    /// Command for the bench; empty: it happens at the start, or is provoked from outside.
    pub(crate) command: &'static str,
    /// The record's type.
    pub(crate) r#type: &'static str,
    /// What its component ends in.
    pub(crate) component: &'static str,
    /// Its subject; `kernel` where the kernel's record names nobody.
    pub(crate) subject: &'static str,
    /// Its outcome.
    pub(crate) outcome: Ended,
    /// A part of its message; may be empty.
    pub(crate) contains: &'static str,
}

macro_rules! kinds {
    ($($name:literal, $command:literal => $type:literal $component:literal $subject:literal $outcome:ident $contains:literal;)*) => {
        &[$(Kind { name: $name, command: $command, r#type: $type, component: $component, subject: $subject, outcome: Ended::$outcome, contains: $contains }),*]
    };
}

/// In the order in which they are provoked. `USER` is an account of the product with its `UID`, `COLLECTOR` the collector's name,
/// `NEIGHBOUR` and `CLIENT` the addresses from which a closed port and sshd are tried, `PEER` that of the tunnel's peer.
pub(crate) const KINDS: &[Kind] = kinds! {
    "the recording begins", "" => "log.started" "event-log" "root" Success "";
    "auditing begins", "" => "audit.daemon_start" "auditd" "root" Success "";
    "the rules of auditing are loaded", "" => "audit.config_change" "kernel" "kernel" Success "op=add_rule";
    "the firewall's rules are loaded", "" => "audit.netfilter_cfg" "nft" "kernel" Unknown "op=nft_register_";
    "the root file system is verified", "" => "integrity.verity" "kernel" "kernel" Success "verity";
    "a key is made for the device", "" => "audit.sshd" "/usr/bin/ssh-keygen" "root" Success "";
    "a self-check's result", "" => "selfcheck.result" "selfcheck" "self.audit" Success "";
    "the time service starts", "" => "time.source" "chronyd" "chrony.service" Unknown " starting";
    "the collector is reached", "" => "log.forwarding" "event-forward" "COLLECTOR" Success "has what was waiting";
    "a service starts", "systemctl start bench-once" => "audit.service_start" "/systemd" "root" Success "unit=bench-once";
    "a service stops", "systemctl stop bench-once" => "audit.service_stop" "/systemd" "root" Success "unit=bench-once";
    "a service fails", "systemctl start bench-crash" => "service.failed" "systemd" "bench-crash.service" Failure "Failed with result";
    "a service is started again", "" => "service.restarted" "systemd" "bench-crash.service" Failure "Scheduled restart";
    "a service that fails in a loop is given up", "" => "service.given-up" "systemd" "bench-crash.service" Failure "repeated too quickly";
    "auditing is to be changed", "person UID 'auditctl -e 1'" => "audit.audit-config" "/auditctl" "USER" Success "";
    "the change of auditing is refused", "" => "audit.config_change" "kernel" "USER" Failure "audit_enabled";
    "a file of the audit log is written", "person UID ': >>/var/log/audit/bench'" => "audit.audit-config" "/dash" "USER" Success "";
    "the firewall is looked at", "person UID 'nft list tables'" => "audit.firewall" "/nft" "USER" Success "";
    "a network setting is changed", "person UID 'ip link set lo mtu 65535'" => "audit.network" "/ip" "USER" Success "";
    "an interface listens to everything", "ip link set lo promisc on; ip link set lo promisc off" => "audit.anom_promiscuous" "kernel" "root" Unknown "prom=256";
    "a program of the data partition is refused", "cp /usr/bin/true /var/bench; chmod 700 /var/bench; /var/bench; rm /var/bench" => "audit.data-exec" "/dash" "root" Failure "";
    "a program in memory is refused", "cp /usr/bin/true /run/copy; chmod 700 /run/copy; (printf run-copy >/proc/self/comm; exec /run/copy); rm /run/copy" => "audit.data-exec" "/dash" "root" Failure "comm=\"run-copy\"";
    "the clock is set", "person UID 'date -s @$(date +%s)'" => "audit.time-change" "/date" "USER" Success "";
    "a file system is mounted", "mkdir -p /run/m; person UID 'mount -t tmpfs tmpfs /run/m'" => "audit.mount" "/mount" "USER" Success "";
    "a file system is unmounted", "person UID 'umount /run/m'" => "audit.mount" "/umount" "USER" Success "";
    "a key or certificate is written", "person UID ': >/var/lib/fastness/bench'" => "audit.identity" "/dash" "USER" Success "";
    "an account is to be changed", "person UID ': >>/etc/passwd'" => "audit.identity" "/dash" "USER" Failure "";
    "permissions of keys are changed", "person UID 'chmod 600 /var/lib/fastness/bench'" => "audit.identity" "/chmod" "USER" Success "";
    "a program runs as root for a person", "person UID /usr/bin/true" => "audit.privilege" "/true" "USER" Success "";
    "a service is called as root for a person", "person UID 'systemctl --version'" => "audit.boot" "/systemctl" "USER" Success " euid=0 ";
    "a file is denied", "unprivileged UID 'cat /etc/shadow'" => "audit.access" "/cat" "USER" Failure "";
    "mandatory access control is to be changed", "person UID ': >/sys/kernel/security/lockdown'" => "audit.mac-policy" "/dash" "USER" Success "";
    "the service manager is called by a person", "unprivileged UID 'systemctl --version'" => "audit.boot" "/systemctl" "USER" Success " euid=UID ";
    "a login id is set", "" => "audit.login" "kernel" "USER" Success "auid=UID";
    "a packet is dropped", "" => "firewall.dropped" "kernel" "NEIGHBOUR" Failure "DPT=23";
    "a login without a key is refused", "" => "ssh.login" "sshd" "USER" Failure "";
    "a login of nobody is refused", "" => "ssh.login" "sshd" "stranger" Failure "";
};

/// What a program of the proof shows, since an image need not have one that calls for it (`calls.rs`).
pub(crate) const CALLED: &[Kind] = kinds! {
    "a kernel module is to be loaded", "person UID /run/calls/calls" => "audit.modules" "/calls" "USER" Failure "";
    "a process is to be traced", "" => "audit.ptrace" "/calls" "USER" Failure "";
    "a namespace is refused", "" => "audit.privilege" "/calls" "USER" Failure "";
};

/// What the policy of what may run shows, where the product has one: root mounts a place of its own for a program, and it is refused.
pub(crate) const POLICY: &[Kind] = kinds! {
    "a program is refused that root mounted a place for", "mkdir -p /run/own; mount -t tmpfs -o size=1m own /run/own; cp /usr/bin/true /run/own/own; (exec /run/own/own); umount /run/own" => "audit.integrity_data" "kernel" "root" Failure "cause=";
};

/// What sudo shows, where an image has it. Whom it lets in is the product's: root, and never nobody. Whom it may not ask for a
/// password (`-n`) it refuses without a word to the log; the audit has it.
pub(crate) const SUDO: &[Kind] = kinds! {
    "sudo runs a program", "person UID 'sudo -n /usr/bin/true'" => "privilege.sudo" "sudo" "root" Success "COMMAND=/usr/bin/true";
    "sudo refuses somebody", "unprivileged 65534 'sudo -n /usr/bin/true'" => "audit.user_cmd" "/sudo" "nobody" Failure "";
};

/// What an update shows, where the product takes any: one that is none is enough for the way of a record.
pub(crate) const UPDATE: &[Kind] = kinds! {
    "an update is refused", "echo none >/var/lib/update/bench.update" => "update.refused" "update" "update" Failure "is no update";
};

/// What a backup shows, where the product has any: one that is none is refused, and none is made without its key.
pub(crate) const BACKUP: &[Kind] = kinds! {
    "a backup is refused", "echo none >/var/lib/backup/bench.restore" => "backup.refused" "backup" "root" Failure "is no backup";
    "a backup is asked for", "touch /var/lib/backup/make" => "backup.made" "backup" "root" Failure "no key of backups";
};

/// What a factory reset shows, where the product has one: a request that does not name the product is refused.
pub(crate) const RESET: &[Kind] = kinds! {
    "a factory reset is refused", "echo bench >/var/lib/reset/erase" => "reset.refused" "reset" "root" Failure "found bench";
};

/// What the peers of a tunnel of OpenVPN show, in the order in which they come (`tunnel.rs`): those that are refused, and the
/// one that the plan names.
pub(crate) const TUNNEL: &[Kind] = kinds! {
    "a tunnel's peer of another authority is refused", "" => "tunnel.refused" "openvpn" "PEER" Failure "error=unable to get";
    "a tunnel's peer with another name is refused", "" => "tunnel.refused" "openvpn" "PEER" Failure "VERIFY X509NAME ERROR";
    "a tunnel's peer whose certificate was revoked is refused", "" => "tunnel.refused" "openvpn" "PEER" Failure "error=certificate revoked";
    "a tunnel's peer whose certificate has expired is refused", "" => "tunnel.refused" "openvpn" "PEER" Failure "error=certificate has expired";
    "a tunnel comes up with the peer that the plan names", "" => "tunnel.up" "openvpn" "PEER" Success "Initialization Sequence Completed";
};

/// What only a login with a key of the product shows.
pub(crate) const LOGIN: &[Kind] = kinds! {
    "a person logs in", "" => "ssh.login" "sshd" "USER" Success "Accepted publickey";
    "a person's session begins", "" => "audit.user_start" "/sshd-session" "USER" Success "";
    "a person's session ends", "" => "audit.user_end" "/sshd-session" "USER" Success "";
};

/// What the collector's absence shows.
pub(crate) const AWAY: &[Kind] = kinds! {
    "the collector is away, or is another", "" => "log.forwarding" "event-forward" "COLLECTOR" Failure "cannot be reached";
};

/// What the end of a program that records shows.
pub(crate) const KILLED: &[Kind] = kinds! {
    "a recorder is killed: auditing failed", "" => "service.failed" "systemd" "auditd.service" Failure "Failed with result";
    "a recorder is killed: auditing is started again", "" => "service.restarted" "systemd" "auditd.service" Failure "Scheduled restart";
    "a recorder is killed: auditing begins anew", "" => "audit.daemon_start" "auditd" "root" Success "";
    "a recorder is killed: the recording failed", "" => "service.failed" "systemd" "fastness-events.service" Failure "Failed with result";
    "a recorder is killed: the recording is started again", "" => "service.restarted" "systemd" "fastness-events.service" Failure "Scheduled restart";
    "a recorder is killed: the recording goes on", "" => "log.started" "event-log" "root" Success "";
};

/// What too many messages show.
pub(crate) const LOUD: &[Kind] = kinds! {
    "messages beyond the recording's rate are lost: that is told", "systemctl start bench-loud" => "log.lost" "rsyslogd" "imjournal" Failure "messages lost due to rate-limiting";
};

/// What too many failed logins show.
pub(crate) const LOCKOUT: &[Kind] = kinds! {
    "a place is locked out: that is recorded", "" => "ssh.login" "sshd" "CLIENT" Failure "drop connection";
};

/// What a full audit log shows.
pub(crate) const AUDIT_FULL: &[Kind] = kinds! {
    "the audit log is full: that is told before its oldest records go", "" => "audit.nearly-full" "audit-space" "root" Unknown "the oldest go";
};

/// What a full log of events shows.
pub(crate) const FULL: &[Kind] = kinds! {
    "the log is nearly full", "" => "log.nearly-full" "event-log" "root" Unknown "";
    "the oldest records go", "" => "log.dropped" "event-log" "root" Failure "";
    "records go that the collector had not got", "" => "log.unforwarded" "event-log" "root" Failure "";
};

/// What the start shows after one that did not end in order.
pub(crate) const AFTER: &[Kind] = kinds! {
    "the last start ended without an orderly stop", "" => "log.interrupted" "event-log" "root" Failure "without an orderly stop";
};

/// What the start after a panic finds in memory that outlived it: recorded with the time of the end, by the kernel's own words.
pub(crate) const LAST_WORDS: &[Kind] = kinds! {
    "a block that did not verify ended the last start", "" => "integrity.verity" "kernel" "kernel" Failure " is corrupted";
    "the kernel panicked, and why", "" => "kernel.panic" "kernel" "kernel" Failure "Kernel panic - not syncing: ";
};

/// What a time server shows that comes and goes. `SOURCE` is its address.
pub(crate) const TIME: &[Kind] = kinds! {
    "a time source is chosen", "" => "time.source" "chronyd" "chrony.service" Success "Selected source SOURCE";
    "the clock is put to the source's time", "" => "time.source" "chronyd" "chrony.service" Unknown "System clock was stepped by";
    "a time source is lost", "" => "time.source" "chronyd" "chrony.service" Failure "no selectable sources";
};

/// Kinds that nothing provokes, each with the reason.
pub(crate) const NOT_SHOWN: &[(&str, &str)] =
    &[("a program crashes", "the kernel writes no cores, and tells of a crash only where it would")];

/// What Yocto adds to the names of programs that several packages have; links have the names themselves.
/// Source: `ALTERNATIVE_TARGET` of its recipes.
const PACKAGES: [&str; 3] = [".coreutils", ".iproute2", ".util-linux"];

/// A program without the package that brings it.
fn own_name(component: &str) -> &str {
    PACKAGES.iter().find_map(|package| component.strip_suffix(package)).unwrap_or(component)
}

/// Words of a kind for one account.
pub(crate) fn fill(text: &str, user: &str, uid: u32) -> String {
    text.replace("USER", user).replace("UID", &uid.to_string())
}

/// The device's records by number, with the lines as they were written.
pub(crate) type Records = BTreeMap<u64, (Event, String)>;

/// Adds the records of lines; longer ones came in parts.
///
/// # Errors
/// A line that is no record, in words.
pub(crate) fn read(lines: &[String], into: &mut Records) -> Result<(), String> {
    let mut whole: Vec<String> = Vec::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        match whole.last_mut() {
            Some(last) if !line.starts_with("{\"seq\":") => last.push_str(line),
            _ => whole.push(line.clone()),
        }
    }
    for line in whole {
        let event = Event::parse(line.as_bytes()).map_err(|why| format!("{why}: {line}"))?;
        into.insert(event.seq, (event, line));
    }
    Ok(())
}

/// What the words of a kind stand for beside the account, and the device itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The device's own name.
    pub(crate) host: String,
    /// The collector's name.
    pub(crate) collector: String,
    /// From where a closed port is tried.
    pub(crate) neighbour: String,
    /// From where people come to sshd.
    pub(crate) client: String,
    /// The address of the tunnel's peer.
    pub(crate) peer: String,
    /// The address of the time server.
    pub(crate) source: String,
}

impl Place {
    fn fill(&self, text: &str) -> String {
        let words = [
            ("COLLECTOR", &self.collector),
            ("NEIGHBOUR", &self.neighbour),
            ("CLIENT", &self.client),
            ("PEER", &self.peer),
            ("SOURCE", &self.source),
        ];
        words.into_iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

/// The state of the clock that a record has to tell, by what chronyd said last before it; none: that is not known.
fn clock_of(event: &Event, device: &Records) -> Option<Clock> {
    let begins = |event: &Event| {
        event.component == "event-log" && ["log.started", "log.interrupted"].contains(&event.r#type.as_str())
    };
    // Other records of the recording itself may stand before the one that changed the state.
    if event.component == "event-log" && !begins(event) {
        return None;
    }
    let mut seq = event.seq;
    loop {
        let (event, _) = device.get(&seq)?;
        if begins(event) {
            return Some(Clock::Unsynchronised);
        }
        if event.component == "chronyd" {
            if event.message.starts_with("Selected source ") {
                return Some(Clock::Synchronised);
            }
            // One that starts, or has ended, follows nothing yet, or any more.
            let without = ["Can't synchronise", "chronyd version ", "chronyd exiting"];
            if without.iter().any(|words| event.message.starts_with(words)) {
                return Some(Clock::Unsynchronised);
            }
        }
        seq = seq.checked_sub(1)?;
    }
}

/// Whether there is a record of a kind, with its facts and from the time in which it happened, on the device and at the collector.
pub(crate) fn judge(
    kind: &Kind,
    account: (&str, u32),
    place: &Place,
    window: Window,
    device: &Records,
    collected: &BTreeSet<String>,
) -> EventClass {
    let words = |text: &str| place.fill(&fill(text, account.0, account.1));
    let (subject, contains) = (words(kind.subject), words(kind.contains));
    let alike = |event: &Event| event.r#type == kind.r#type && event.message.contains(&contains);
    let fits = |event: &Event| {
        alike(event)
            && own_name(&event.component).ends_with(kind.component)
            && event.subject == subject
            && event.outcome == kind.outcome
    };
    let mut class = EventClass {
        kind: kind.name.to_owned(),
        r#type: kind.r#type.to_owned(),
        verdict: TrafficVerdict::Pass,
        seen: Vec::new(),
        problems: Vec::new(),
    };
    // The same may have happened before it was provoked.
    let all = || device.values().filter(|(event, _)| fits(event));
    let Some((event, line)) = all().find(|(event, _)| within(event, window)).or_else(|| all().next()) else {
        let other = device.values().rfind(|(event, _)| alike(event)).map(|(event, _)| {
            format!(
                "; record {} has {}, {}, {}, expected {}, {subject}, {}",
                event.seq, event.component, event.subject, event.outcome, kind.component, kind.outcome
            )
        });
        let none = format!("the device has no record of the type `{}` with its facts", kind.r#type);
        class.problems.push(none + &other.unwrap_or_default());
        class.verdict = TrafficVerdict::Fail;
        return class;
    };
    class.seen.push(format!(
        "record {}: {}, {}; {} on {}; {}; {}",
        event.seq, event.time, event.clock, event.component, event.host, event.subject, event.outcome
    ));
    if !within(event, window) {
        class.problems.push(outside(event, window));
    }
    if event.host != place.host {
        class.problems.push(format!("expected the host `{}`, found `{}`", place.host, event.host));
    }
    if let Some(clock) = clock_of(event, device).filter(|clock| *clock != event.clock) {
        class.problems.push(format!(
            "record {} says that the clock was {}, and by what chronyd said before it was {clock}",
            event.seq, event.clock
        ));
    }
    if !collected.contains(line) {
        class.problems.push(format!("record {} did not come to the collector as it was written", event.seq));
    }
    if !class.problems.is_empty() {
        class.verdict = TrafficVerdict::Fail;
    }
    class
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
