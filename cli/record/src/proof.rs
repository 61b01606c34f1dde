//! What happened on the (virtual) machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of the console with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleLine {
    /// Milliseconds since the machine was started.
    pub ms: u64,
    /// The line, control characters removed.
    pub text: String,
}

/// A point of the boot that the console proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Name, such as `u-boot`, `fit-verified`, `kernel`, `userspace`, `selfcheck`.
    pub name: String,
    /// The line that proved it.
    pub line: ConsoleLine,
}

/// Verdict of one self-check on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfcheckVerdict {
    /// The security function works.
    Pass,
    /// It does not.
    Fail,
}

/// One structured event from the device's self-check: one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfcheckEvent {
    /// Always `selfcheck`.
    pub event: String,
    /// Check id.
    pub check: String,
    /// Verdict.
    pub verdict: SelfcheckVerdict,
    /// What the device saw.
    pub seen: String,
}

/// What a boot of the untouched image showed (`boot.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootRecord {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// SHA-256 of the disk image that booted.
    pub disk_sha256: String,
    /// SHA-256 of the U-Boot that booted it.
    pub uboot_sha256: String,
    /// Whether it reached the end of the self-check and everything passed.
    pub passed: bool,
    /// One sentence: why it passed or not.
    pub summary: String,
    /// Points of the boot.
    pub timeline: Vec<Milestone>,
    /// The device's self-check.
    pub selfcheck: Vec<SelfcheckEvent>,
    /// The console log, relative to the record.
    pub console_log: String,
    /// Milliseconds from start to verdict.
    pub ms: u64,
    /// What is this device's alone and secret to nobody, or the SHA-256 of what is: name and digest, as the device says them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identity: BTreeMap<String, String>,
    /// The same of other devices that were started for the first time with this image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<BTreeMap<String, String>>,
}

/// How an attack ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackOutcome {
    /// Refused at the expected stage for the expected reason.
    Refused,
    /// The device booted what it trusts, as if nothing had been changed.
    WithoutEffect,
    /// Not an attack: a control of the harness, which saw what it should.
    Control,
    /// The device did what the attacker wanted, or reached a stage it must not reach.
    GotThrough,
    /// Neither: the harness broke, or the refusal has another reason than expected. An error.
    Inconclusive,
}

impl AttackOutcome {
    /// Whether the device held: nothing of the attacker's ran, and the harness saw what it expected.
    #[must_use]
    pub fn held(self) -> bool {
        matches!(self, Self::Refused | Self::WithoutEffect | Self::Control)
    }

    /// For people; what is wrong stands in capitals.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WithoutEffect => "no effect",
            Self::Control => "control holds",
            Self::GotThrough => "GOT THROUGH",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// One attack's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackResult {
    /// Attack id: its file's stem.
    pub attack: String,
    /// One line for people.
    pub title: String,
    /// Requirement ids it serves.
    pub requirements: Vec<String>,
    /// What was changed, in words, with offsets or names.
    pub mutation: String,
    /// Stage at which it must be refused: `u-boot`, `kernel`, `userspace`.
    pub expected_stage: String,
    /// The console text that proves the refusal (as a pattern, when expected).
    pub expected_line: String,
    /// Outcome.
    pub outcome: AttackOutcome,
    /// Why this outcome.
    pub reason: String,
    /// The console line that decided: the refusal, or what must never appear.
    pub proof: Option<ConsoleLine>,
    /// Console lines around it.
    pub evidence: Vec<ConsoleLine>,
    /// The console log, relative to the record.
    pub console_log: String,
    /// Milliseconds from start to verdict.
    pub ms: u64,
}
