//! Diagnostics: what went wrong, where, why, and what to do about it.
//!
//! Every room reports trouble as a [`Failure`]: an [`ExitStatus`] and one or more
//! [`Diagnostic`]s. Only the program prints them; this room only knows their shapes
//! (human text, JSON, SARIF). It reads no files and starts nothing.

mod clean;
mod exit;
mod human;
mod sarif;
mod suggest;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use clean::{clean, steers};
pub use exit::ExitStatus;
pub use human::render_human;
pub use sarif::to_sarif;
pub use suggest::did_you_mean;

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The command cannot do what was asked.
    Error,
    /// The command goes on; somebody should look.
    Warning,
}

/// A place in a text file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters of what is meant, at least 1.
    pub length: u32,
    /// The text of that line, without its line end.
    pub excerpt: String,
}

/// One thing that is wrong (or doubtful), with its place, reason and way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable kebab-case code, such as `unknown-key`; tests and SARIF refer to it.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence: what was expected and what was found. No trailing full stop.
    pub message: String,
    /// Where, when it has a place in a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<Location>,
    /// Further places and facts, such as the other of two layers that disagree.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

/// A further fact of a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The fact.
    pub message: String,
    /// Its place, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<Location>,
}

impl Diagnostic {
    /// An error with a code and a message.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            message: message.into(),
            location: None,
            notes: Vec::new(),
            hint: None,
        }
    }

    /// A warning with a code and a message.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>, location: Option<Location>) -> Self {
        self.notes.push(Note { message: message.into(), location });
        self
    }
}

/// Why a command stopped: the exit status and every diagnostic that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The process's exit status.
    pub status: ExitStatus,
    /// At least one diagnostic.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    /// A failure with a single diagnostic.
    pub fn new(status: ExitStatus, diagnostic: Diagnostic) -> Self {
        Self { status, diagnostics: vec![diagnostic] }
    }

    /// A failure from a code and a message; add `.hint()` for the way out.
    pub fn error(status: ExitStatus, code: &str, message: impl Into<String>) -> Self {
        Self::new(status, Diagnostic::error(code, message))
    }

    /// A file or folder that could not be read, written or made.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::PermissionDenied => "check owner and mode; Fastness never needs root",
            std::io::ErrorKind::StorageFull => {
                "free some space, then run the same command again; nothing was lost"
            }
            std::io::ErrorKind::IsADirectory => "it is a folder; name a file",
            std::io::ErrorKind::NotADirectory => "a part of the path is a file; check the path",
            std::io::ErrorKind::ReadOnlyFilesystem => "name a place that can be written",
            _ => "see the system's message above",
        };
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull => "no-space",
            _ => "file",
        };
        Self::error(ExitStatus::Environment, code, format!("cannot {doing} `{}`: {error}", path.display()))
            .hint(hint)
    }

    /// Adds the way out to the last diagnostic.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }

    /// Adds a fact to the last diagnostic.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.notes.push(Note { message: message.into(), location: None });
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            f.write_str(&render_human(diagnostic, false))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The result of everything that can fail in a way a user should read.
pub type Outcome<T> = Result<T, Failure>;
