//! The one error type of this room: what was read, where, and what was found there.

use std::io;

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host could not read or write the file that holds the image.
    #[error("cannot {action} `{subject}`: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        subject: String,
        /// The host's reason.
        source: io::Error,
    },
    /// A read past the end of the image.
    #[error(
        "`{subject}` ends at byte {len}, but {wanted} bytes are needed at byte {offset}: it is truncated or a field is wrong"
    )]
    Truncated {
        /// The image.
        subject: String,
        /// Where the read started.
        offset: u64,
        /// How many bytes were asked for.
        wanted: u64,
        /// How many bytes there are.
        len: u64,
    },
    /// The bytes break the rules of their format.
    #[error("{format}: {at}: {reason}")]
    Malformed {
        /// The format, as `squashfs`.
        format: &'static str,
        /// The field, path or offset.
        at: String,
        /// What was expected and found.
        reason: String,
    },
    /// The bytes are well formed but larger than this reader accepts.
    #[error("{format}: {what} is {found}, more than the limit of {limit}")]
    Limit {
        /// The format.
        format: &'static str,
        /// What is counted, with its unit.
        what: String,
        /// How much there is (or at least is).
        found: u64,
        /// How much is accepted.
        limit: u64,
    },
    /// A feature of the format that this reader does not know.
    #[error("{format}: {feature} is not supported; hint: {hint}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// The feature.
        feature: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A path of the tree that cannot be used as asked.
    #[error("`{path}`: {reason}")]
    Path {
        /// The path inside the tree.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, subject: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, subject: subject.into(), source: source.into() }
    }

    pub(crate) fn malformed(format: &'static str, at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { format, at: at.into(), reason: reason.into() }
    }

    pub(crate) fn limit(format: &'static str, what: impl Into<String>, found: u64, limit: u64) -> Self {
        Self::Limit { format, what: what.into(), found, limit }
    }

    pub(crate) fn unsupported(format: &'static str, feature: impl Into<String>, hint: &'static str) -> Self {
        Self::Unsupported { format, feature: feature.into(), hint }
    }

    pub(crate) fn path(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Path { path: path.into(), reason: reason.into() }
    }
}
