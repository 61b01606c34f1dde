//! What a plan says of the counter that keeps older images from starting, and of boards that have none.

use serde::{Deserialize, Serialize};

/// What a board without a counter means.
const NONE: &str = "every image that was ever signed with the product's key starts";

/// Where a board counts the versions that it has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackFacts {
    /// `none` or `tpm-nv`.
    pub store: String,
    /// What it does not protect against, or what to do where there is none: sentences.
    pub limits: String,
    /// What of the hardware could count, and is not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub possible: Vec<PossibleCounterFacts>,
}

/// Something on a board's hardware that could count versions, and that Fastness does not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PossibleCounterFacts {
    /// What it is.
    pub place: String,
    /// How far it would carry.
    pub about: String,
    /// Where that is written, or that it was not read.
    pub source: String,
}

impl Default for RollbackFacts {
    /// No counter: what a record says that was written before boards had to tell.
    fn default() -> Self {
        Self { store: "none".to_owned(), limits: String::new(), possible: Vec::new() }
    }
}

impl RollbackFacts {
    /// Whether nothing counts.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.store == "none"
    }

    /// Where the counter is and what that does not protect against; where there is none, what that means, and a line for each
    /// thing of the hardware that could count.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = if self.is_none() {
            format!("none: {NONE}. {}", self.limits).trim_end().to_owned()
        } else {
            format!("{}: {}", self.store, self.limits)
        };
        for PossibleCounterFacts { place, about, source } in &self.possible {
            out += &format!("\nCould count, and Fastness does not use it: {place}: {about} [{source}]");
        }
        if self.is_none() && self.possible.is_empty() {
            out += "\nNothing of its hardware is known that could count.";
        }
        out
    }
}
