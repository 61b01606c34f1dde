//! Results of checks.

use serde::{Deserialize, Serialize};

/// When a check looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// While the image was built (asked against effective configuration).
    Build,
    /// On the finished image, nothing running.
    Static,
    /// On the running device.
    Boot,
    /// On the wires of the running device.
    Traffic,
    /// Against a tampered copy.
    Attack,
}

/// What a check concluded. A check that could not run is not a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds, and what was read was complete.
    Pass,
    /// It does not hold.
    Fail,
    /// It does not hold, and the plan waives it with a reason.
    Waived,
    /// It says nothing about this image.
    NotApplicable,
    /// A person has to decide or provide.
    NeedsOperator,
    /// It could not be decided: the reason is in `seen`. Counts as a failure.
    CouldNotRun,
}

/// One of the many things that a check looked at, such as one kernel option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its id, which is also what a waiver of it names, such as `kernel-hardening-checker:KSM`.
    pub id: String,
    /// Its own verdict: pass, fail or waived.
    pub verdict: Verdict,
    /// What should be.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Reason of the waiver, when waived.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiver: Option<String>,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Check id, such as `sshd.root-login`.
    pub check: String,
    /// What the check asserts, as a sentence.
    pub title: String,
    /// Layer that brought the check.
    pub layer: String,
    /// Requirement ids it serves, such as `CR 1.1`.
    pub requirements: Vec<String>,
    /// When it looked.
    pub stage: Stage,
    /// Its conclusion.
    pub verdict: Verdict,
    /// What should be.
    pub expected: String,
    /// What was seen, or why it could not be seen.
    pub seen: String,
    /// SHA-256 of the artefact in which it was seen.
    pub artefact_sha256: String,
    /// Reason of the waiver, when waived.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiver: Option<String>,
    /// What it is made of, where each part has a verdict and may have a waiver of its own.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<Part>,
    /// File and line of the definition: where to look.
    pub defined_at: String,
}
