//! What probes on the device's wires showed (`traffic.json`).

use serde::{Deserialize, Serialize};

/// How a class of probes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrafficVerdict {
    /// Exactly the plan's surface answered.
    Pass,
    /// Something else answered, or something of the surface did not.
    Fail,
    /// The device was not proved to hear the probes: silence means nothing. Never a pass.
    NotRun,
    /// There is no such test yet: nothing is claimed of it. Never a pass, and no failure of this image.
    NotShown,
}

/// One class of probes: one transport, one sender, one address of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficClass {
    /// `early`, `tcp`, `udp`, `icmp`, `icmpv6`, `ethernet`, `protocols`, `forged`, `fragments`, `link-local` or `rate`.
    pub class: String,
    /// The sender's address.
    pub source: String,
    /// The device's address.
    pub target: String,
    /// Probes that were sent.
    pub probes: u32,
    /// What answered, such as `tcp/22 accepts`.
    pub answered: Vec<String>,
    /// Verdict.
    pub verdict: TrafficVerdict,
    /// Each wrong or missing answer, or why silence is not proved.
    pub problems: Vec<String>,
}

/// What one interface showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficInterface {
    /// Interface of the device.
    pub interface: String,
    /// Classes in the order of their probes.
    pub classes: Vec<TrafficClass>,
    /// Frames that the device sent unasked and that no line of the plan allows.
    pub unasked: Vec<String>,
    /// What is outside of the surface and tolerated, each with its reason.
    pub tolerated: Vec<String>,
    /// All frames, relative to the record.
    pub pcap: String,
    /// Milliseconds of the sweep.
    pub ms: u64,
}

/// One thing that a tunnel was asked to show, with a machine at its other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelClass {
    /// Name of the tunnel.
    pub tunnel: String,
    /// `clear`, `negotiated`, `through CONDUIT`, `outside`, `down`, `leak`, `refuses REASON` or `recorded`.
    pub class: String,
    /// Verdict.
    pub verdict: TrafficVerdict,
    /// What was read, from either end.
    pub seen: Vec<String>,
    /// What is wrong, or why it was not run.
    pub problems: Vec<String>,
}

/// Something that happens to the firewall while packets are sent: a reload, a broken file, a full table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallClass {
    /// `reload`, `broken file`, `broken file at boot`, `connections` or `full table`.
    pub class: String,
    /// Verdict.
    pub verdict: TrafficVerdict,
    /// What was read, from the device and on its wire.
    pub seen: Vec<String>,
    /// What is wrong, or why it was not run.
    pub problems: Vec<String>,
}

/// How the kinds of a full audit log begin: they are a finding of their own.
pub const FULL_AUDIT_LOG: &str = "the audit log is full";

/// How the kinds of a killed recorder begin: they are a finding of their own.
pub const KILLED_RECORDER: &str = "a recorder is killed";

/// How the classes of functions that are switched off begin: they are a finding of their own.
pub const DISABLED_FUNCTION: &str = "a function is switched off";

/// How the kinds of too many failed logins begin: they are a finding of their own.
pub const LOCKED_OUT: &str = "a place is locked out";

/// How the classes of a flood of packets begin: they are a finding of their own.
pub const FLOODED: &str = "a flood";

/// How the classes of what monitoring costs in a storm of events begin: they are a finding of their own.
pub const EVENT_STORM: &str = "a storm of events";

/// How the class of a factory reset begins: it is a finding of its own.
pub const FORGOTTEN: &str = "the device forgets";

/// How the class of a service manager that hangs begins: it is a finding of its own.
pub const HUNG: &str = "the device hangs";

/// How the kinds that only a login shows begin: they are a finding of their own.
pub const PERSON_LOGS_IN: &str = "a person";

/// Kinds of events that are together a finding of their own as well, beside that of all: what a catalogue names one by one.
#[derive(Clone, Copy, Debug)]
pub struct NamedEvents {
    /// The finding.
    pub finding: &'static str,
    /// What it asserts.
    pub title: &'static str,
    /// The layer without which there is none of it; or the one that records it.
    pub layer: &'static str,
    /// The kinds: each of them has to be there and to pass.
    pub kinds: &'static [&'static str],
}

/// All of them.
pub const NAMED_EVENTS: [NamedEvents; 9] = [
    NamedEvents {
        finding: "traffic.login-refused",
        title: "A login that is refused is recorded, with whom it was tried for",
        layer: "ssh",
        kinds: &["a login without a key is refused", "a login of nobody is refused"],
    },
    NamedEvents {
        finding: "traffic.peer-refused",
        title: "A tunnel's peer that is refused is recorded, with its address and why",
        layer: "openvpn",
        kinds: &[
            "a tunnel's peer of another authority is refused",
            "a tunnel's peer with another name is refused",
            "a tunnel's peer whose certificate was revoked is refused",
            "a tunnel's peer whose certificate has expired is refused",
        ],
    },
    NamedEvents {
        finding: "traffic.privilege-use",
        title: "Who uses root's rights is recorded, with the account of the login",
        layer: "audit",
        kinds: &["a program runs as root for a person", "a service is called as root for a person"],
    },
    NamedEvents {
        finding: "traffic.configuration-change",
        title: "Changes of the configuration, and attempts at them, are recorded with who made them",
        layer: "audit",
        kinds: &[
            "auditing is to be changed",
            "a network setting is changed",
            "a key or certificate is written",
            "an account is to be changed",
            "permissions of keys are changed",
        ],
    },
    NamedEvents {
        finding: "traffic.time-change",
        title: "A change of the clock by hand is recorded, with who made it",
        layer: "audit",
        kinds: &["the clock is set"],
    },
    NamedEvents {
        finding: "traffic.time-follows",
        title: "The clock follows a time server, and that one is chosen and lost is recorded",
        layer: "time",
        kinds: &[
            "the device's clock follows the time server",
            "a time source is chosen",
            "the clock is put to the source's time",
            "a time source is lost",
        ],
    },
    NamedEvents {
        finding: "traffic.update-events",
        title: "What becomes of an update is recorded",
        layer: "update",
        kinds: &["an update is refused"],
    },
    NamedEvents {
        finding: "traffic.backup-events",
        title: "Backup and restore are recorded",
        layer: "backup",
        kinds: &["a backup is refused", "a backup is asked for"],
    },
    NamedEvents {
        finding: "traffic.integrity-event",
        title: "A root file system that does not verify is recorded, and that it ended the start",
        layer: "events",
        kinds: &[
            "a block that did not verify ended the last start",
            "the kernel panicked, and why",
            "the last start ended without an orderly stop",
        ],
    },
];

/// One kind of security event that was provoked, or one property of the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventClass {
    /// What happened, in words.
    pub kind: String,
    /// Type of the record; empty for a property of the records.
    pub r#type: String,
    /// Verdict.
    pub verdict: TrafficVerdict,
    /// The record, or what was measured.
    pub seen: Vec<String>,
    /// What is wrong, or why it was not run.
    pub problems: Vec<String>,
}

/// The proof by traffic of one image (`traffic.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficRecord {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// SHA-256 of the disk image that was probed.
    pub disk_sha256: String,
    /// Whether every class of every interface passed and nothing was sent unasked.
    pub passed: bool,
    /// One sentence.
    pub summary: String,
    /// Interfaces in the board's order.
    pub interfaces: Vec<TrafficInterface>,
    /// What the tunnels showed, in the plan's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<TunnelClass>,
    /// What the firewall showed under stress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firewall: Vec<FirewallClass>,
    /// What the security events showed, on the device and at a collector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventClass>,
}
