//! The threat model of a product: entry points of its plan, threats at each, the controls that answer them.
//!
//! A control counts only when the plan has every one of its checks; where findings of a run are given, only when those
//! checks passed and nothing that would prove it failed, and only where what the plan gives is a bound ([`bounds`]).
//! What is not answered is open, unless the product says why it lives with it. Nothing here looks at an image, and no
//! residual risk is computed: words of the catalogue are shown.

mod bounds;
pub mod compare;
mod entries;
pub mod html;
pub mod schema;
mod taken;
pub mod terminal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use diag::{ExitStatus, Outcome};
use record::{Finding, Verdict};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;
use spec::protocol::Protocols;
use spec::threats::{Control, Risk, Threat, Threats};

pub use bounds::is_everybody;
pub use entries::{Accepted, Entry};
pub use taken::check;

/// Prefix of the waivers that take a risk.
const WAIVER: &str = "threat:";

/// What is known of one check, attack or probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// It passed.
    Passed,
    /// The plan has it, and no run is looked at.
    Planned,
    /// The plan has it, and nothing of this run looked.
    NotLooked,
    /// The plan waives it: what it would show is not shown.
    Waived,
    /// It says nothing about this image.
    NotApplicable,
    /// It failed, could not run, or waits for an operator.
    Failed,
    /// The plan does not have it.
    Absent,
}

impl Shown {
    /// Whether a control may count with it.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Passed | Self::Planned | Self::NotLooked)
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Planned => "planned",
            Self::NotLooked => "not looked at in this run",
            Self::Waived => "waived",
            Self::NotApplicable => "not applicable",
            Self::Failed => "failed",
            Self::Absent => "not in the plan",
        }
    }
}

/// A check of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Id.
    pub check: String,
    /// What is known of it.
    pub state: Shown,
    /// Layer that brings it; empty when none of the plan does.
    pub layer: String,
    /// Requirements that it serves.
    pub requirements: Vec<String>,
}

/// A control as this plan has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    /// What it does.
    pub title: String,
    /// Whether it counts: each check is in the plan, none of it failed, and what the plan gives is a bound.
    pub counts: bool,
    /// Whether each check and each proof of it passed.
    pub proven: bool,
    /// Its checks.
    pub checks: Vec<CheckState>,
    /// Attacks, probes and checks of the running device; only where findings were looked at.
    pub proofs: Vec<CheckState>,
    /// What of the entry point it depends on: `peers`, `rate`, `connections`, `groups`.
    pub bounds: Vec<String>,
    /// Why what the plan gives there is no bound.
    pub exceeded: Vec<String>,
}

/// What became of a threat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Some of its controls count and some do not.
    Part,
    /// No control counts, and nobody took the risk.
    Open,
    /// The product says why it lives with it.
    Accepted,
    /// Hardware, operator, application or maker has to answer it.
    LeftTo,
    /// Every control counts.
    Answered,
}

impl Status {
    /// The worst first.
    pub const ALL: [Self; 5] = [Self::Open, Self::Part, Self::Accepted, Self::LeftTo, Self::Answered];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Part => "answered in part",
            Self::Accepted => "accepted",
            Self::LeftTo => "left to others",
            Self::Answered => "answered",
        }
    }

    /// Whether somebody has to do something.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Part)
    }
}

/// A threat at one entry point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatState {
    /// Id of the threat.
    pub id: String,
    /// Name of the entry point.
    pub entry: String,
    /// Kind of the entry point.
    pub at: String,
    /// What may happen.
    pub title: String,
    /// STRIDE's word for it.
    pub stride: String,
    /// Assets that it is about.
    pub assets: Vec<String>,
    /// What became of it.
    pub status: Status,
    /// Whether every control of it was proven in the run that was looked at.
    pub proven: bool,
    /// Why this status.
    pub why: String,
    /// What it weighs without controls.
    pub risk: String,
    /// What remains: the catalogue's residual risk where it is answered, else `risk`.
    pub remaining: String,
    /// Why that remains.
    pub remaining_why: String,
    /// Controls that answer it together.
    pub controls: Vec<ControlState>,
    /// Controls that lessen it.
    pub lessened_by: Vec<ControlState>,
    /// Who took the risk; told also where it turned out to be answered.
    pub accepted: Option<Accepted>,
}

impl ThreatState {
    /// Name that is the same in every run: `ID:ENTRY`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.id, self.entry)
    }
}

/// An asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetLine {
    /// Name.
    pub name: String,
    /// Its name among people.
    pub title: String,
    /// What it must keep.
    pub needs: Vec<String>,
    /// What is lost with it.
    pub reason: String,
}

/// The threat model of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatReport {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name and version of the program.
    pub generator: String,
    /// Product, version and board.
    pub device: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The product's target level.
    pub security_level: u8,
    /// Whether findings of a run were looked at.
    pub looked_at_findings: bool,
    /// Number of threats by status.
    pub totals: BTreeMap<Status, usize>,
    /// Assets that a threat is about.
    pub assets: Vec<AssetLine>,
    /// Entry points.
    pub entries: Vec<Entry>,
    /// Threats, by entry point.
    pub threats: Vec<ThreatState>,
    /// Risks that the product took and that turned out to be answered: `ID` or `ID:ENTRY`.
    pub not_needed: Vec<String>,
    /// What the model is not.
    pub disclaimer: String,
}

impl ThreatReport {
    /// The exit status that it means: [`ExitStatus::Check`] when a threat is open.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        if self.threats.iter().any(|threat| threat.status.is_open()) {
            ExitStatus::Check
        } else {
            ExitStatus::Success
        }
    }

    /// Number of threats with a status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.totals.get(&status).copied().unwrap_or_default()
    }

    /// Holds the catalogue against a plan and, where there was a run, its findings.
    ///
    /// # Errors
    /// `unknown-threat`: the product takes a risk that there is not.
    pub fn new(
        plan: &Plan,
        findings: Option<&[Finding]>,
        catalogue: &Threats,
        protocols: &Protocols,
    ) -> Outcome<Self> {
        let judge = Judge { plan, findings };
        let entries = entries::of(plan, protocols);
        let mut threats = Vec::new();
        for entry in &entries {
            let here = catalogue.threats.iter().filter(|(_, threat)| entry.has(threat));
            threats.extend(here.map(|(id, threat)| judge.threat(id, threat, entry)));
        }
        let not_needed = taken::not_needed(plan, catalogue, &threats)?;
        let mut totals = BTreeMap::new();
        for threat in &threats {
            *totals.entry(threat.status).or_default() += 1;
        }
        let used: BTreeSet<&String> = threats.iter().flat_map(|threat| &threat.assets).collect();
        let assets = catalogue.assets.iter().filter(|(name, _)| used.contains(name));
        let assets = assets.map(|(name, asset)| AssetLine {
            name: name.clone(),
            title: asset.title.as_str().to_owned(),
            needs: asset.needs.iter().map(|need| need.as_str().to_owned()).collect(),
            reason: asset.reason.0.clone(),
        });
        let product = &plan.product;
        Ok(Self {
            schema_version: 1,
            generator: concat!("fastness ", env!("CARGO_PKG_VERSION")).to_owned(),
            device: format!("{} {} on {}", product.name, product.version, plan.board.name),
            plan_sha256: plan.sha256(),
            security_level: product.security_level,
            looked_at_findings: findings.is_some(),
            totals,
            assets: assets.collect(),
            entries,
            threats,
            not_needed,
            disclaimer: "A model by kinds: threats of the application, of the plant and of people at work are not in it. \
                         What remains is words of its catalogue, not a computation."
                .to_owned(),
        })
    }
}

struct Judge<'a> {
    plan: &'a Plan,
    findings: Option<&'a [Finding]>,
}

impl Judge<'_> {
    fn threat(&self, id: &str, threat: &Threat, entry: &Entry) -> ThreatState {
        let of = |controls: &[Control]| -> Vec<ControlState> {
            let meant = controls.iter().filter(|control| entry.is_meant(control.matches.as_ref()));
            meant.map(|control| self.control(control, entry)).collect()
        };
        let controls = of(&threat.controls);
        // Others may be there or not; what is not planned lessens nothing.
        let lessened_by: Vec<_> = of(&threat.lessened_by).into_iter().filter(|c| c.counts).collect();
        let counting = controls.iter().filter(|control| control.counts).count();
        let answered = !controls.is_empty() && counting == controls.len();
        let taken = self.accepted(id, entry, threat.controls.is_empty());
        let waived = self.waived(&controls).filter(|_| taken.is_none());
        let by_waiver = waived.is_some();
        let accepted = taken.or(waived);
        let (status, why) = if answered {
            (Status::Answered, "every control counts".to_owned())
        } else if let Some(accepted) = &accepted {
            (Status::Accepted, format!("{} ({})", accepted.reason, accepted.by))
        } else if let Some(left) = &threat.left_to {
            (Status::LeftTo, format!("{}: {}", left.who.as_str(), left.reason.0))
        } else if controls.is_empty() {
            (
                Status::Open,
                "no control answers it here, and the product does not say why it lives with it".to_owned(),
            )
        } else {
            let status = if counting > 0 { Status::Part } else { Status::Open };
            (status, missing(&controls))
        };
        let (remaining, remaining_why) = match status {
            Status::Answered => (threat.residual.risk, threat.residual.reason.0.clone()),
            Status::Part | Status::Open if !controls.is_empty() => {
                (threat.risk, "a control is missing".to_owned())
            }
            // What a check would have shown is not shown, for the reason that waived it.
            Status::Accepted if by_waiver => (worse(threat.risk, threat.residual.risk), why.clone()),
            _ => (worse(threat.risk, threat.residual.risk), threat.residual.reason.0.clone()),
        };
        ThreatState {
            id: id.to_owned(),
            entry: entry.name.clone(),
            at: entry.kind.clone(),
            title: threat.title.as_str().to_owned(),
            stride: threat.stride.as_str().to_owned(),
            assets: threat.assets.iter().map(|asset| asset.as_str().to_owned()).collect(),
            status,
            proven: answered && controls.iter().all(|control| control.proven),
            why,
            risk: threat.risk.as_str().to_owned(),
            remaining: remaining.as_str().to_owned(),
            remaining_why,
            controls,
            lessened_by,
            accepted,
        }
    }

    fn control(&self, control: &Control, entry: &Entry) -> ControlState {
        let ids = control.checks.iter().flat_map(|id| self.planned(id.as_str(), entry));
        let checks: Vec<CheckState> = ids.map(|id| self.check(&id)).collect();
        // Proofs are of a run: without one there is nothing to say of them.
        let proofs = control.proofs.iter().filter(|_| self.findings.is_some());
        let proofs: Vec<CheckState> = proofs.map(|id| self.proof(id.as_str())).collect();
        let failed = proofs.iter().any(|proof| proof.state == Shown::Failed);
        let bounds: Vec<String> = control.bounds.iter().map(|bound| bound.as_str().to_owned()).collect();
        let exceeded: Vec<String> =
            bounds.iter().filter_map(|bound| bounds::exceeded(bound, entry)).collect();
        ControlState {
            title: control.title.as_str().to_owned(),
            counts: !failed && exceeded.is_empty() && checks.iter().all(|check| check.state.counts()),
            proven: checks.iter().all(|check| check.state == Shown::Passed)
                && proofs.iter().all(|proof| matches!(proof.state, Shown::Passed | Shown::NotApplicable)),
            checks,
            proofs,
            bounds,
            exceeded,
        }
    }

    /// The reason of the waivers, where nothing but checks that the plan waives keeps the controls from counting.
    fn waived(&self, controls: &[ControlState]) -> Option<Accepted> {
        let mut reasons = Vec::new();
        for control in controls.iter().filter(|control| !control.counts) {
            let failed = control.proofs.iter().any(|proof| proof.state == Shown::Failed);
            let missing = control.checks.iter().filter(|check| !check.state.counts());
            for check in missing {
                let reason = self.reason(&check.check).filter(|_| check.state == Shown::Waived)?;
                reasons.push(format!("`{}` is waived: {reason}", check.check));
            }
            if failed || !control.exceeded.is_empty() {
                return None;
            }
        }
        reasons.sort();
        reasons.dedup();
        (!reasons.is_empty())
            .then(|| Accepted { reason: reasons.join("; "), by: "waivers of the plan".to_owned() })
    }

    /// Why a check is waived: in the words of its finding, or of the plan.
    fn reason(&self, id: &str) -> Option<String> {
        let mut found = self.findings.into_iter().flatten();
        let found = found.find(|finding| finding.check == id && finding.verdict == Verdict::Waived);
        let planned = self.plan.waivers.get(id).and_then(|asked| asked.origins.first());
        found
            .and_then(|finding| finding.waiver.clone())
            .or_else(|| planned.map(|origin| origin.reason.clone()))
            .filter(|reason| !reason.is_empty())
    }

    /// The checks that an id of the catalogue means: itself, or those that a layer made once for each interface,
    /// tunnel or application, with its name behind the id: this entry point's, or all of them.
    fn planned(&self, id: &str, entry: &Entry) -> Vec<String> {
        let checks = &self.plan.checks;
        if checks.contains_key(id) {
            return vec![id.to_owned()];
        }
        let names = std::iter::once(&entry.name).chain(entry.attributes.get("tunnel"));
        let own: Vec<String> =
            names.map(|name| format!("{id}.{name}")).filter(|id| checks.contains_key(id)).collect();
        if !own.is_empty() {
            return own;
        }
        let prefix = format!("{id}.");
        let all: Vec<String> = checks.keys().filter(|known| known.starts_with(&prefix)).cloned().collect();
        if all.is_empty() { vec![id.to_owned()] } else { all }
    }

    fn check(&self, id: &str) -> CheckState {
        let planned = self.plan.checks.get(id).map(|asked| &asked.value);
        let state = match (planned, self.verdict(id)) {
            (None, _) => Shown::Absent,
            (Some(_), Some(verdict)) => verdict,
            // Nobody looked, and the plan says itself that it may not hold.
            (Some(_), None) if self.plan.waivers.contains_key(id) => Shown::Waived,
            (Some(_), None) if self.findings.is_some() => Shown::NotLooked,
            (Some(_), None) => Shown::Planned,
        };
        CheckState {
            check: id.to_owned(),
            state,
            layer: planned.map(|check| check.layer.clone()).unwrap_or_default(),
            requirements: planned.map(|check| check.requirements.clone()).unwrap_or_default(),
        }
    }

    fn proof(&self, id: &str) -> CheckState {
        let finding = self.findings.into_iter().flatten().find(|finding| finding.check == id);
        CheckState {
            check: id.to_owned(),
            state: self.verdict(id).unwrap_or(Shown::NotLooked),
            layer: finding.map(|finding| finding.layer.clone()).unwrap_or_default(),
            requirements: finding.map(|finding| finding.requirements.clone()).unwrap_or_default(),
        }
    }

    /// The worst verdict of the findings with that id.
    fn verdict(&self, id: &str) -> Option<Shown> {
        let of = self.findings.into_iter().flatten().filter(|finding| finding.check == id);
        of.map(|finding| match finding.verdict {
            Verdict::Pass => Shown::Passed,
            Verdict::Waived => Shown::Waived,
            Verdict::NotApplicable => Shown::NotApplicable,
            Verdict::Fail | Verdict::CouldNotRun | Verdict::NeedsOperator => Shown::Failed,
        })
        .max()
    }

    /// A waiver of this threat here, of this threat everywhere, or the conduit's own accepted risk where the
    /// catalogue has nothing against the threat.
    fn accepted(&self, id: &str, entry: &Entry, nothing_against: bool) -> Option<Accepted> {
        let here = format!("{WAIVER}{id}:{}", entry.name);
        let waiver = self.plan.waivers.get(&here).or_else(|| self.plan.waivers.get(&format!("{WAIVER}{id}")));
        let by_waiver = waiver.and_then(|asked| asked.origins.first()).map(|origin| Accepted {
            reason: origin.reason.clone(),
            by: format!("{}, {}:{}", origin.who, origin.file, origin.line),
        });
        by_waiver.or_else(|| entry.accepted.clone().filter(|_| nothing_against))
    }
}

fn missing(controls: &[ControlState]) -> String {
    let of = controls.iter().filter(|control| !control.counts).map(|control| {
        let checks = control.checks.iter().filter(|check| !check.state.counts());
        let proofs = control.proofs.iter().filter(|proof| proof.state == Shown::Failed);
        let what: Vec<String> = checks
            .chain(proofs)
            .map(|check| format!("`{}` is {}", check.check, check.state.words()))
            .chain(control.exceeded.iter().cloned())
            .collect();
        format!("{}: {}", control.title, what.join(", "))
    });
    of.collect::<Vec<_>>().join("; ")
}

fn worse(one: Risk, other: Risk) -> Risk {
    let rank = |risk: Risk| Risk::WORDS.iter().position(|word| *word == risk.as_str());
    if rank(one) >= rank(other) { one } else { other }
}
