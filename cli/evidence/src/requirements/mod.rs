//! The catalogue of requirements, and what the findings show of it.
//!
//! The catalogue is data (`standards/requirements.yaml`), compiled in. Its own rule decides the
//! wording: a requirement is met only when its claim is `full`, every check that it lists was looked
//! at and passed, and nothing that serves it failed, was waived or did not run. What a person or the
//! hardware has to provide is never counted as met. Nothing here proves conformity.

mod catalogue;
mod planned;
mod shown_by;

use std::collections::{BTreeMap, BTreeSet};

use record::{Finding, Verdict};
use serde::{Deserialize, Serialize};

pub use catalogue::{Catalogue, Item, Owner, Share};
pub use planned::Planned;
pub use shown_by::ShownBy;
pub(crate) use shown_by::is_of;

/// What "met" says, as every page tells it.
pub const MET: &str = "“Met” means: an image can show all of it, every check that the catalogue lists for it was looked at in \
     this run and passed, and nothing that serves it failed, was waived or waits for an operator. A listed check that has nothing to \
     look at in this product is named with the reason. What no image can show is listed with each, and stays for its maker and \
     operator to show.";

/// How much an image can show of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The image alone can meet it.
    Full,
    /// The image meets the platform's share.
    Partial,
    /// The image offers mechanisms; hardware, application or process decides.
    Supporting,
    /// No claim may be made from an image.
    None,
}

/// What the findings say about one requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Shown by automated checks alone, all of them passed.
    AutomatedMet,
    /// Shown in part: something remains that no check of this run shows.
    Partial,
    /// A check that serves it fails or could not run.
    NotMet,
    /// The operator, the application or the hardware has to show it.
    Manual,
    /// The image could show it, and no check of this run looked.
    NoEvidence,
}

impl Status {
    /// The status as the report prints it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::AutomatedMet => "met, shown by automated checks",
            Self::Partial => "shown in part",
            Self::NotMet => "not met",
            Self::Manual => "manual: needs the operator",
            Self::NoEvidence => "no evidence in this run",
        }
    }
}

/// A layer of a product that provides a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provided {
    /// Its name.
    pub layer: String,
    /// What it does, in one line.
    pub title: String,
    /// Its checks that serve the requirement.
    pub checks: Vec<String>,
}

/// One row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Requirement id, such as `CR 1.1 RE(1)`.
    pub id: String,
    /// Short title.
    pub title: String,
    /// Foundational requirement, 1 to 7.
    pub foundation: u8,
    /// What an image can claim.
    pub claim: Claim,
    /// Status.
    pub status: Status,
    /// Why this status, in honest words.
    pub why: String,
    /// Ids of the checks and attacks that serve it.
    pub checks: Vec<String>,
    /// Checks that the catalogue lists and this run did not have.
    pub not_looked_at: Vec<String>,
    /// What no image can show, each with who has to.
    pub out_of_image: Vec<String>,
}

/// The requirements that the product's type and level select, with their status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// The standard, by edition.
    pub standard: String,
    /// The catalogue's own title.
    pub catalogue: String,
    /// Component type: `SAR`, `EDR`, `HDR` or `NDR`.
    pub component_type: String,
    /// Security level, 1 to 4.
    pub security_level: u8,
    /// Titles of the foundational requirements, by number.
    pub foundations: Vec<(u8, String)>,
    /// One row for each selected requirement, in the catalogue's order.
    pub rows: Vec<Row>,
    /// Requirement ids that findings name and the catalogue does not know.
    pub unknown: Vec<String>,
}

impl Matrix {
    /// Number of rows with a status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

impl Catalogue {
    /// Why the condition of a requirement is not given, by the check that finds that out: in the words of its finding.
    pub(crate) fn condition_not_given<'f>(&self, item: &Item, findings: &'f [Finding]) -> Option<&'f str> {
        if item.condition_check.is_empty() {
            return None;
        }
        let finding = findings.iter().find(|finding| finding.check == item.condition_check)?;
        (finding.verdict == Verdict::NotApplicable).then_some(finding.seen.as_str())
    }

    /// Whether findings show a check of the catalogue: its own, or those that show it together.
    pub(crate) fn is_shown(&self, id: &str, findings: &[Finding], planned: &Planned) -> bool {
        match self.shown_by.get(id) {
            Some(shown) => shown.held(findings, planned),
            None => findings.iter().any(|finding| finding.check == id && finding.verdict == Verdict::Pass),
        }
    }

    /// A check serves what its layer says, and what lists it or what it shows a part of.
    fn serves(&self, item: &Item, check: &str, requirements: &[String]) -> bool {
        let shows =
            |id: &String| id == check || self.shown_by.get(id).is_some_and(|shown| shown.names(check));
        requirements.contains(&item.id)
            || item.evidence.checks.iter().chain(&item.evidence.runtime).any(shows)
    }

    /// The layers of a product that provide a requirement, each with its checks that serve it.
    pub(crate) fn provided(&self, item: &Item, planned: &Planned) -> Vec<Provided> {
        let mut layers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (check, by) in &planned.made_by {
            if self.serves(item, check, &by.requirements) {
                layers.entry(&by.layer).or_default().push(check.clone());
            }
        }
        let made = |(layer, checks): (&str, Vec<String>)| Provided {
            layer: layer.to_owned(),
            title: planned.titles.get(layer).cloned().unwrap_or_default(),
            checks,
        };
        layers.into_iter().map(made).collect()
    }

    pub(crate) fn row(&self, item: &Item, fr: u8, findings: &[Finding], planned: &Planned) -> Row {
        let listed = || item.evidence.checks.iter().chain(&item.evidence.runtime);
        let serves = |check: &str, requirements: &[String]| self.serves(item, check, requirements);
        let serving: Vec<&Finding> = findings
            .iter()
            .filter(|finding| {
                finding.verdict != Verdict::NotApplicable && serves(&finding.check, &finding.requirements)
            })
            .collect();
        let unrun: Vec<&str> = planned
            .not_run
            .iter()
            .filter(|(id, requirements)| serves(id, requirements))
            .map(|(id, _)| id.as_str())
            .collect();
        let passed = |id: &str| self.is_shown(id, findings, planned);
        let nothing =
            |id: &String| planned.nothing_for(self, id, findings).map(|why| format!("{id} ({why})"));
        let missing: Vec<String> =
            listed().filter(|id| !passed(id) && nothing(id).is_none()).cloned().collect();
        let with = |verdict: Verdict| serving.iter().filter(|f| f.verdict == verdict).count();
        let bad = with(Verdict::Fail) + with(Verdict::CouldNotRun);
        let good = with(Verdict::Pass);
        let names: Vec<String> = serving.iter().map(|finding| finding.check.clone()).collect();
        let own: Vec<&str> = names.iter().filter(|id| planned.is_own(id)).map(String::as_str).collect();
        let (status, why) = if bad > 0 {
            (Status::NotMet, format!("{bad} of {} checks fail or could not run", serving.len()))
        } else if item.claim == Claim::None {
            (Status::Manual, "no image can show it".to_owned())
        } else if good == 0 {
            let open = with(Verdict::Waived) + with(Verdict::NeedsOperator);
            match (open, item.claim) {
                (1.., _) => (Status::Manual, "only waived or open: a person has to decide".to_owned()),
                (0, Claim::Supporting) => {
                    (Status::Manual, "hardware, application or process decides".to_owned())
                }
                (0, _) => (Status::NoEvidence, "no check of this run serves it".to_owned()),
            }
        } else {
            let mut remains = Vec::new();
            match item.claim {
                Claim::Partial => remains.push("the application or the owner has a share".to_owned()),
                Claim::Supporting => remains.push("the image offers mechanisms only".to_owned()),
                Claim::Full | Claim::None => {}
            }
            if with(Verdict::Waived) > 0 {
                remains.push(format!("{} waived", with(Verdict::Waived)));
            }
            if with(Verdict::NeedsOperator) > 0 {
                remains.push(format!("{} for the operator", with(Verdict::NeedsOperator)));
            }
            if !unrun.is_empty() {
                remains.push(format!("not run: {}", unrun.join(", ")));
            }
            remains.extend(planned.open(self, &missing, findings));
            let silent: Vec<String> = listed().filter(|id| !passed(id)).filter_map(nothing).collect();
            let silent = match silent.as_slice() {
                [] => String::new(),
                ids => format!("; has nothing to look at here: {}", ids.join(", ")),
            };
            if remains.is_empty() && missing.is_empty() {
                (Status::AutomatedMet, format!("{}{silent}", in_short(&names)))
            } else {
                (Status::Partial, format!("{good} passed; {}{silent}", remains.join("; ")))
            }
        };
        let why = match own.as_slice() {
            [] => why,
            own => format!("{why}; by the product's own check: {}", own.join(", ")),
        };
        Row {
            id: item.id.clone(),
            title: item.title.clone(),
            foundation: fr,
            claim: item.claim,
            status,
            why,
            checks: names,
            not_looked_at: missing,
            out_of_image: item.evidence.out_of_image.iter().map(ToString::to_string).collect(),
        }
    }

    /// What the findings show, and what of the plan was not run, such as the device's own checks before a boot.
    #[must_use]
    pub fn matrix(
        &self,
        component_type: &str,
        security_level: u8,
        findings: &[Finding],
        planned: &Planned,
    ) -> Matrix {
        let mut rows = Vec::new();
        for item in &self.requirements {
            if !item.component_types.iter().any(|kind| kind == component_type) {
                continue;
            }
            for selected in std::iter::once(item).chain(&item.enhancements) {
                if selected.sl.contains(&security_level)
                    && self.condition_not_given(selected, findings).is_none()
                {
                    rows.push(self.row(selected, item.fr, findings, planned));
                }
            }
        }
        let named: BTreeSet<&String> = findings.iter().flat_map(|finding| &finding.requirements).collect();
        Matrix {
            standard: self.meta.base_standard.clone(),
            catalogue: self.meta.title.clone(),
            component_type: component_type.to_owned(),
            security_level,
            foundations: self.foundational_requirements.iter().map(|f| (f.fr, f.title.clone())).collect(),
            rows,
            unknown: named.into_iter().filter(|id| !self.knows(id)).cloned().collect(),
        }
    }
}

/// Names of checks; of many attacks the number says more.
fn in_short(names: &[String]) -> String {
    let (attacks, checks): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| name.starts_with("attack."));
    if attacks.len() < 4 {
        return names.join(", ");
    }
    format!("{} and {} attacks", checks.join(", "), attacks.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn finding(check: &str, requirement: &str, verdict: Verdict) -> Finding {
        let mut finding = sample::findings().remove(0);
        finding.check = check.into();
        finding.requirements = vec![requirement.into()];
        finding.verdict = verdict;
        finding
    }

    const SMALL: &str = "
meta: {title: t, base_standard: s}
foundational_requirements: [{fr: 3, title: integrity}]
requirements:
- id: CR 3.4
  title: a
  fr: 3
  component_types: [EDR]
  sl: [1, 2]
  evidence: {static: [x.one, x.two], runtime: [], out_of_image: [{owner: organisation, what: people}]}
  claim: full
  enhancements:
  - {id: CR 3.4 RE(1), title: b, sl: [2], evidence: {static: []}, claim: partial}
- {id: CR 3.5, title: c, fr: 3, component_types: [EDR], sl: [1], evidence: {}, claim: none}
";

    fn status(findings: &[Finding], not_run: &[(String, Vec<String>)]) -> (Status, String) {
        let planned = Planned { not_run: not_run.to_vec(), ..Planned::default() };
        let matrix = Catalogue::read(SMALL).unwrap().matrix("EDR", 1, findings, &planned);
        (matrix.rows[0].status, matrix.rows[0].why.clone())
    }

    #[test]
    fn the_built_in_catalogue_selects_what_it_says_it_selects() {
        // The numbers are the catalogue's own `counts`.
        let catalogue = Catalogue::built_in().unwrap();
        for (kind, level, count) in [("SAR", 1, 34), ("EDR", 2, 61), ("HDR", 3, 78), ("NDR", 4, 92)] {
            assert_eq!(
                catalogue.matrix(kind, level, &[], &Planned::default()).rows.len(),
                count,
                "{kind} {level}"
            );
        }
        assert!(catalogue.knows("CR 1.1 RE(1)") && !catalogue.knows("CR 99.1"));
    }

    #[test]
    fn met_needs_every_listed_check_and_no_other_doubt() {
        let one = finding("x.one", "CR 3.4", Verdict::Pass);
        let two = finding("x.two", "CR 3.4", Verdict::Pass);
        assert_eq!(status(&[], &[]).0, Status::NoEvidence);
        assert_eq!(status(std::slice::from_ref(&one), &[]).0, Status::Partial);
        assert_eq!(status(&[one.clone(), two.clone()], &[]), (Status::AutomatedMet, "x.one, x.two".into()));
        let pending = [("x.boot".to_owned(), vec!["CR 3.4".to_owned()])];
        let (met, why) = status(&[one.clone(), two.clone()], &pending);
        assert_eq!(met, Status::Partial);
        assert!(why.contains("not run: x.boot"), "{why}");
        for verdict in [Verdict::Fail, Verdict::CouldNotRun] {
            let bad = finding("x.three", "CR 3.4", verdict);
            assert_eq!(status(&[one.clone(), two.clone(), bad], &[]).0, Status::NotMet);
        }
        let waived = finding("x.three", "CR 3.4", Verdict::Waived);
        assert_eq!(status(&[one, two, waived.clone()], &[]).0, Status::Partial);
        assert_eq!(status(&[waived], &[]).0, Status::Manual);
    }

    #[test]
    fn what_lists_a_check_is_served_by_it_and_several_findings_show_a_run_time_check() {
        let text = "
meta: {title: t, base_standard: s}
foundational_requirements: [{fr: 3, title: integrity}]
shown_by: {boot.tamper: [attack.a, attack.b]}
requirements:
- {id: NDR 3.14, title: a, fr: 3, component_types: [NDR], sl: [1], evidence: {static: [x.one], runtime: [boot.tamper]}, claim: full}
";
        let row = |findings: &[Finding]| {
            let planned = Planned::default();
            Catalogue::read(text).unwrap().matrix("NDR", 1, findings, &planned).rows.remove(0)
        };
        let other = |check: &str, verdict| finding(check, "CR 9.9", verdict);
        let (one, a) = (other("x.one", Verdict::Pass), other("attack.a", Verdict::Pass));
        let shown = row(&[one.clone(), a.clone()]);
        assert_eq!((shown.status, shown.not_looked_at), (Status::Partial, vec!["boot.tamper".to_owned()]));
        assert_eq!(shown.why, "2 passed; not looked at (`fastness attack` would): boot.tamper");
        let shown = row(&[one.clone(), a.clone(), other("attack.b", Verdict::Pass)]);
        assert_eq!((shown.status, shown.not_looked_at.len()), (Status::AutomatedMet, 0));
        assert_eq!(row(&[one, a, other("attack.b", Verdict::Fail)]).status, Status::NotMet);
    }

    #[test]
    fn a_version_alone_is_no_support_for_updates() {
        let catalogue = Catalogue::built_in().unwrap();
        let identity = finding("inv.identity", "CR 7.8", Verdict::Pass);
        for kind in ["EDR", "HDR", "NDR"] {
            let matrix = catalogue.matrix(kind, 2, std::slice::from_ref(&identity), &Planned::default());
            let row = matrix.rows.iter().find(|row| row.id == format!("{kind} 3.10")).unwrap();
            assert_eq!((row.status, row.checks.len()), (Status::NoEvidence, 0), "{kind}");
        }
    }

    #[test]
    fn a_notice_that_nobody_may_edit_on_a_device_without_a_human_interface_is_not_all_of_it() {
        let catalogue = Catalogue::built_in().unwrap();
        let banner = finding("banner.pre-auth", "CR 1.12", Verdict::Pass);
        let matrix = catalogue.matrix("NDR", 2, &[banner], &Planned::default());
        let row = matrix.rows.iter().find(|row| row.id == "CR 1.12").unwrap();
        assert_eq!(row.status, Status::Partial, "{}", row.why);
    }

    #[test]
    fn a_condition_is_not_given_only_where_its_check_says_so() {
        let text = "
meta: {title: t, base_standard: s}
foundational_requirements: [{fr: 1, title: access}]
requirements:
- {id: CR 1.14, title: a, fr: 1, component_types: [EDR], sl: [1], condition: keys are shared, condition_check: id.keys, evidence: {static: [id.keys]}, claim: partial}
";
        let rows = |findings: &[Finding]| {
            Catalogue::read(text).unwrap().matrix("EDR", 1, findings, &Planned::default()).rows
        };
        let found = |check: &str, verdict| [finding(check, "CR 1.14", verdict)];
        assert!(rows(&found("id.keys", Verdict::NotApplicable)).is_empty());
        // What nobody looked at, or another check found, leaves it in.
        assert_eq!(rows(&[])[0].status, Status::NoEvidence);
        assert_eq!(rows(&found("id.other", Verdict::NotApplicable))[0].status, Status::NoEvidence);
        assert_eq!(rows(&found("id.keys", Verdict::Pass))[0].status, Status::Partial);
        for verdict in [Verdict::Fail, Verdict::CouldNotRun] {
            assert_eq!(rows(&found("id.keys", verdict))[0].status, Status::NotMet);
        }
    }

    #[test]
    fn manual_never_counts_as_met() {
        let findings = [finding("x", "CR 3.5", Verdict::Pass), finding("y", "CR 9.9", Verdict::Pass)];
        let matrix = Catalogue::read(SMALL).unwrap().matrix("EDR", 1, &findings, &Planned::default());
        assert_eq!(matrix.rows[1].status, Status::Manual);
        assert_eq!(matrix.count(Status::AutomatedMet), 0);
        assert_eq!(matrix.unknown, ["CR 9.9"]);
    }

    #[test]
    fn a_check_of_the_product_s_own_is_told_as_such_and_layers_say_what_they_provide() {
        let mut plan = sample::plan();
        let own = plan.checks.values_mut().next().unwrap();
        own.value.by_product = true;
        let (id, layer) = (plan.checks.keys().next().unwrap().clone(), own_layer(&plan));
        let planned = Planned::of(Some(&plan), None);
        let catalogue = Catalogue::built_in().unwrap();
        let matrix = catalogue.matrix("NDR", 2, &sample::findings(), &planned);
        let row = matrix.rows.iter().find(|row| row.checks.contains(&id)).unwrap();
        assert!(row.why.ends_with(&format!("; by the product's own check: {id}")), "{}", row.why);
        let row = matrix.rows.iter().find(|row| !row.checks.is_empty() && !row.checks.contains(&id)).unwrap();
        assert!(!row.why.contains("own check"), "{}", row.why);
        let (item, _) = catalogue.all().find(|(item, _)| item.id == "CR 1.1").unwrap();
        let provided = catalogue.provided(item, &planned);
        let one = provided.iter().find(|one| one.layer == layer).unwrap();
        assert!(one.checks.contains(&id), "{provided:?}");
        assert!(catalogue.provided(item, &Planned::default()).is_empty());
    }

    fn own_layer(plan: &spec::plan::Plan) -> String {
        plan.checks.values().next().map(|asked| asked.value.layer.clone()).expect("a check")
    }
}
