//! The program's exit codes, in one place.

use serde::{Deserialize, Serialize};

/// What the process's exit code says. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// All that was asked was done, and every check held.
    Success = 0,
    /// A bug in Fastness, or a state that should not be.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A product, board, layer, template or other input file is wrong.
    Input = 3,
    /// The machine lacks something: a host tool, space, a permission, a registry.
    Environment = 4,
    /// A build, download or external tool failed.
    Build = 5,
    /// An image was made or read, but a check does not hold.
    Check = 6,
    /// An attack got through, or an untouched image did not boot.
    Proof = 7,
    /// A key is missing, locked, marked or wrong.
    Keys = 8,
    /// Another run holds the output folder.
    Busy = 9,
    /// Stopped by a signal (Ctrl-C).
    Interrupted = 130,
}

impl ExitStatus {
    /// Every status, for documentation and tests.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Internal,
        Self::Usage,
        Self::Input,
        Self::Environment,
        Self::Build,
        Self::Check,
        Self::Proof,
        Self::Keys,
        Self::Busy,
        Self::Interrupted,
    ];

    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// One line for the help and the manual.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done, and every check held",
            Self::Internal => "a bug in fastness",
            Self::Usage => "the command line is wrong",
            Self::Input => "a product, board, layer or other input is wrong",
            Self::Environment => "the machine lacks a tool, space or a permission",
            Self::Build => "a build, download or external tool failed",
            Self::Check => "a check on the image does not hold",
            Self::Proof => "an attack got through, or the image did not boot",
            Self::Keys => "a key is missing, locked, marked or wrong",
            Self::Busy => "another run holds the output folder",
            Self::Interrupted => "stopped by a signal",
        }
    }
}
