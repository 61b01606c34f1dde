//! Checks, findings and reports: what an image shows, and what it does not.
//!
//! A [`subject::Subject`] is opened from the finished artefacts (never from intermediate
//! files), [`inspect`](inspect::inspect) runs the plan's checks on it, and
//! [`report::Report`] sets the findings, the boot and the attacks against the catalogue of
//! requirements. A check that cannot run is not a pass, nothing passes because it is absent,
//! and nothing that is inspected is trusted. This room builds nothing and signs nothing.

pub mod analyze;
mod authority;
pub mod comply;
pub mod elf;
pub mod facts;
pub mod glob;
pub mod inspect;
pub mod kernel_rows;
pub mod kinds;
pub mod monitor;
pub mod open;
pub mod report;
pub mod requirements;
pub mod root;
mod sshd;
mod starts;
pub mod subject;
#[cfg(test)]
mod testing;
pub mod threats;
mod traffic;
mod yaml;

use std::fmt;

use record::{Part, Verdict};
use spec::plan::{CheckPlan, Plan};
use subject::Subject;

pub use authority::{exit_status, findings_of_attacks, findings_of_boot};
pub use traffic::findings_of_traffic;

/// The JSON Schemas of the files that people write and of what is written here, by their names.
#[must_use]
pub fn schemas() -> Vec<(&'static str, serde_json::Value)> {
    let mut all = spec::schemas();
    all.extend([
        ("report", report::schema::schema()),
        ("facts", facts::schema::facts()),
        ("comparison", facts::schema::comparison()),
        ("analysis", analyze::schema::analysis()),
        ("analysis-comparison", analyze::schema::comparison()),
        ("threat-model", threats::schema::report()),
        ("threat-comparison", threats::schema::comparison()),
    ]);
    all
}

/// What a check that ran came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// Whether it holds.
    pub holds: bool,
    /// What should be.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// SHA-256 of the artefact in which it was seen.
    pub artefact_sha256: String,
    /// What it is made of, where a check looks at many things that may be waived one by one.
    pub parts: Vec<Part>,
}

impl Conclusion {
    /// A conclusion from a list of problems: it holds when there is none.
    #[must_use]
    pub fn of(
        problems: &[String],
        expected: impl Into<String>,
        good: impl Into<String>,
        sha256: &str,
    ) -> Self {
        const SHOWN: usize = 12;
        let seen = if problems.is_empty() {
            good.into()
        } else {
            let mut text = problems[..problems.len().min(SHOWN)].join("; ");
            if problems.len() > SHOWN {
                text += &format!("; and {} more", problems.len() - SHOWN);
            }
            text
        };
        Self {
            holds: problems.is_empty(),
            expected: expected.into(),
            seen,
            artefact_sha256: sha256.to_owned(),
            parts: Vec::new(),
        }
    }

    /// A conclusion from parts: it holds when each of them does.
    #[must_use]
    pub fn of_parts(parts: Vec<Part>, expected: impl Into<String>, sha256: &str) -> Self {
        Self {
            holds: parts.iter().all(|part| part.verdict == Verdict::Pass),
            expected: expected.into(),
            seen: authority::seen_in(&parts),
            artefact_sha256: sha256.to_owned(),
            parts,
        }
    }
}

/// Why a check came to no conclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable {
    /// `NotApplicable` when the subject cannot have what the check looks at, `NeedsOperator` when only a person can say,
    /// else `CouldNotRun`.
    pub verdict: Verdict,
    /// The reason.
    pub why: String,
}

impl Unable {
    /// It should have been possible: counts as a failure.
    pub fn broken(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::CouldNotRun, why: why.into() }
    }

    /// The image cannot say it, and a person has to: no pass, and no failure of the build.
    pub fn for_the_operator(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NeedsOperator, why: why.into() }
    }

    /// This kind of subject never has that part.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotApplicable, why: why.into() }
    }
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What a kind of check gets to see.
pub struct Context<'a> {
    /// Check id.
    pub id: &'a str,
    /// The check's definition.
    pub check: &'a CheckPlan,
    /// The plan, if the image is one of ours.
    pub plan: Option<&'a Plan>,
    /// What is inspected.
    pub subject: &'a Subject,
}

impl<'a> Context<'a> {
    /// The root file system, proven whole.
    ///
    /// # Errors
    /// When the subject has none, or it is not whole.
    pub fn root(&self) -> Result<&'a root::Root, Unable> {
        let root = self.subject.root()?;
        root.prove_whole()?;
        Ok(root)
    }

    /// A file that must be there, as text.
    ///
    /// # Errors
    /// When there is no root file system, or the file is there and cannot be read.
    pub fn text(&self, path: &str) -> Result<Option<String>, Unable> {
        self.root()?.read_text(path)
    }

    /// The plan.
    ///
    /// # Errors
    /// When there is none: a foreign image.
    pub fn plan(&self) -> Result<&'a Plan, Unable> {
        self.plan.ok_or_else(|| Unable::broken("there is no plan to compare with"))
    }
}
