//! What an image shows of its security, as plain facts that two images can be compared by.
//!
//! [`Facts`] are gathered from the same [`Subject`] that the checks look at, and judge nothing: a fact is
//! a name and a value, sorted, without anything of this host. [`compare`] sets two images' facts
//! against each other; what differs is explained by data ([`explain`]) or is an error.
//! What could not be read is told as that, never as "no facts".

mod boot;
pub mod compare;
pub mod explain;
mod files;
mod firewall;
mod policy;
pub mod schema;
pub(crate) mod services;
pub mod text;

use std::collections::BTreeMap;

use record::Verdict;
use serde::Serialize;
use spec::differences::FactArea;
use spec::plan::BoardFacts;

pub(crate) use firewall::{OLDER_RULESETS, RULESETS};
pub(crate) use policy::SSHD_CONFIG;

use crate::Unable;
use crate::subject::Subject;

/// Names and values of one area.
pub type Values = BTreeMap<String, String>;

/// Everything that was found in one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Version of this shape; now 1.
    pub schema_version: u32,
    /// The file's or folder's name, no path.
    pub name: String,
    /// What it is, in words.
    pub kind: String,
    /// The facts by area ([`FactArea`]'s words).
    pub areas: BTreeMap<&'static str, AreaFacts>,
}

/// The facts of one area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum AreaFacts {
    /// They were read; there may be none.
    Read {
        /// Name and value.
        facts: Values,
    },
    /// An image of this kind does not have what they are read from.
    NotApplicable {
        /// Why.
        why: String,
    },
    /// They should be there and could not be read.
    NotRead {
        /// Why.
        why: String,
    },
}

impl From<Result<Values, Unable>> for AreaFacts {
    fn from(result: Result<Values, Unable>) -> Self {
        match result {
            Ok(facts) => Self::Read { facts },
            Err(Unable { verdict: Verdict::NotApplicable, why }) => Self::NotApplicable { why },
            Err(Unable { why, .. }) => Self::NotRead { why },
        }
    }
}

type Gatherer = fn(&Subject, Option<&BoardFacts>) -> Result<Values, Unable>;

/// Who gathers what, in the order in which it is shown.
const GATHERERS: [(FactArea, Gatherer); 19] = [
    (FactArea::Signature, |subject, _| boot::signature(subject)),
    (FactArea::Verity, |subject, _| boot::verity(subject)),
    (FactArea::Cmdline, |subject, _| boot::cmdline(subject)),
    (FactArea::Kernel, |subject, _| boot::kernel(subject)),
    (FactArea::Uboot, |subject, _| boot::uboot(subject)),
    (FactArea::Accounts, |subject, _| files::accounts(whole(subject)?)),
    (FactArea::Privileged, |subject, _| files::privileged(whole(subject)?)),
    (FactArea::Modes, |subject, _| files::modes(whole(subject)?)),
    (FactArea::Owners, |subject, _| files::owners(whole(subject)?)),
    (FactArea::Mounts, |subject, _| files::mounts(whole(subject)?)),
    (FactArea::Elf, |subject, _| files::elf(whole(subject)?)),
    (FactArea::Units, |subject, _| services::units(whole(subject)?)),
    (FactArea::Services, |subject, _| services::confinement(whole(subject)?)),
    (FactArea::Listening, |subject, _| services::listening(whole(subject)?)),
    (FactArea::Sshd, |subject, _| policy::sshd(whole(subject)?)),
    (FactArea::Sysctl, |subject, _| policy::sysctl(whole(subject)?)),
    (FactArea::Audit, |subject, _| policy::audit(whole(subject)?)),
    (FactArea::Policy, |subject, _| policy::files(whole(subject)?)),
    (FactArea::Firewall, firewall::ruleset),
];

fn whole(subject: &Subject) -> Result<&crate::root::Root, Unable> {
    let root = subject.root()?;
    root.prove_whole()?;
    Ok(root)
}

/// The areas in the order in which they are shown.
#[must_use]
pub fn areas() -> Vec<FactArea> {
    GATHERERS.iter().map(|(area, _)| *area).collect()
}

/// The facts of an image. The board's QEMU loads the ruleset where this host has no namespace for it.
#[must_use]
pub fn gather(subject: &Subject, board: Option<&BoardFacts>) -> Facts {
    let areas = GATHERERS.iter().map(|(area, gather)| (area.as_str(), gather(subject, board).into()));
    Facts {
        schema_version: 1,
        name: subject.name.clone(),
        kind: subject.kind.name().to_owned(),
        areas: areas.collect(),
    }
}

#[cfg(test)]
mod tests;
