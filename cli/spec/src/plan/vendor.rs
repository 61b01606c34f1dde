//! What a plan says of programs that only the board's maker has.

use serde::{Deserialize, Serialize};

use super::BoardFacts;

/// Largest file of a maker that is read, where the board says nothing else.
pub const VENDOR_PROGRAM_BYTES: u64 = 16 << 20;

/// A program of the maker without which the board does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorProgramFacts {
    /// File name.
    pub file: String,
    /// What it is.
    pub about: String,
    /// Where one gets it.
    pub from: String,
    /// Its exact size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Otherwise its largest size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
}

impl VendorProgramFacts {
    /// The size that the file must have, in words.
    #[must_use]
    pub fn size(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("exactly {bytes} bytes"),
            None => format!("1 to {} bytes", self.largest()),
        }
    }

    /// The largest size in bytes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.bytes.or(self.at_most).unwrap_or(VENDOR_PROGRAM_BYTES)
    }

    /// Whether a file of so many bytes can be it.
    #[must_use]
    pub fn fits(&self, bytes: u64) -> bool {
        bytes > 0 && bytes <= self.largest() && self.bytes.is_none_or(|exact| exact == bytes)
    }
}

/// A maker's program that stands behind SPL, in the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindFacts {
    /// File name, one of the board's vendor programs.
    pub vendor: String,
    /// Bytes that it has there.
    pub room: u64,
}

impl BoardFacts {
    /// The maker's program of that name.
    #[must_use]
    pub fn vendor_program(&self, file: &str) -> Option<&VendorProgramFacts> {
        self.vendor_programs.iter().find(|program| program.file == file)
    }
}
