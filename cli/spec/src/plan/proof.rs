//! What the proof by traffic knows of the product's own programs: which services somebody serves, and with which
//! program a value is read. Nothing of it gets into the image.

use std::collections::BTreeMap;

use base64ct::Encoding as _;
use serde::{Deserialize, Serialize};

/// The product's programs, as the proof sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFacts {
    /// Services that a program of the product serves: there, a connection must be taken.
    #[serde(default)]
    pub served: Vec<String>,
    /// Readers by the name of the OPC UA application.
    #[serde(default)]
    pub readers: BTreeMap<String, ReaderFacts>,
}

impl ProofFacts {
    /// Whether the product has no program of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.served.is_empty() && self.readers.is_empty()
    }
}

/// A program that reads a value: `READER SETTINGS URL SERVER.der USER.der USER.pem NODE`, as `docs/opcua.md` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderFacts {
    /// Identifier of the node.
    pub node: String,
    /// SHA-256 of the program.
    pub sha256: String,
    /// The program, in base64.
    pub base64: String,
}

impl ReaderFacts {
    /// The program.
    ///
    /// # Errors
    /// When the plan holds something else than base64.
    pub fn program(&self) -> Result<Vec<u8>, String> {
        base64ct::Base64::decode_vec(&self.base64).map_err(|e| format!("expected a reader in base64: {e}"))
    }
}
