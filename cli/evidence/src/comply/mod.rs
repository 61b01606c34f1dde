//! What a report shows of every requirement of the standard, for one component type and level.
//!
//! Where the report's matrix is a summary, this is what an assessor follows: for each requirement
//! whether it applies and why, the means, the findings by kind with their verdicts and places, what the
//! image cannot show and who must, like requirements elsewhere, and what to do. Nothing is decided anew:
//! statuses are those of [`crate::requirements`].

pub mod csv;
pub mod html;
pub mod oscal;
pub mod terminal;

use std::collections::BTreeMap;

use diag::{ExitStatus, Failure, Outcome};
use record::{Finding, Stage, Verdict};
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::requirements::{Catalogue, Claim, Item, Planned, Provided, Row, Share, Status};

/// A finding that serves a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Check or attack id.
    pub check: String,
    /// What it asserts.
    pub title: String,
    /// `static`, `run-time`, `attack` or `traffic`.
    pub kind: String,
    /// Its conclusion.
    pub verdict: Verdict,
    /// What should be.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// SHA-256 of the artefact in which it was seen.
    pub artefact_sha256: String,
    /// Where the check is defined.
    pub defined_at: String,
    /// Whether it is the product's own check, under a name of the catalogue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_product: bool,
}

/// A check of the catalogue that did not pass in this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unshown {
    /// Id.
    pub check: String,
    /// `static` or `run-time`.
    pub kind: String,
    /// What it would assert.
    pub what: String,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Id, such as `CR 1.1 RE(1)`.
    pub id: String,
    /// Short title.
    pub title: String,
    /// Clause of the standard.
    pub clause: String,
    /// Foundational requirement, 1 to 7.
    pub foundation: u8,
    /// What it asks, in words of our own.
    pub paraphrase: String,
    /// Whether component type and level select it.
    pub applies: bool,
    /// Why it applies or does not.
    pub why_applies: String,
    /// Levels that select it.
    pub levels: Vec<u8>,
    /// What an image can claim of it.
    pub claim: Claim,
    /// Status; none where it does not apply.
    pub status: Option<Status>,
    /// Why this status.
    pub why: String,
    /// The layers of this product that provide it; none where it does not apply.
    pub provided_by: Vec<Provided>,
    /// What meets it on a device with Linux.
    pub means: Vec<String>,
    /// Findings that serve it.
    pub evidence: Vec<Shown>,
    /// Checks of the catalogue that did not pass in this run.
    pub not_shown: Vec<Unshown>,
    /// What no image can show, and who has to.
    pub out_of_image: Vec<Share>,
    /// Who has to show the rest.
    pub left_to: String,
    /// Ids of like requirements by framework.
    pub references: BTreeMap<String, Vec<String>>,
    /// What to do next; none where it is met or does not apply.
    pub advice: Vec<String>,
}

/// Number of requirements by status at one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Security level, 1 to 4.
    pub level: u8,
    /// Requirements that it selects.
    pub selected: usize,
    /// Of them, by status.
    pub by_status: BTreeMap<Status, usize>,
}

/// What a report shows of the standard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compliance {
    /// Version of this record's shape; now 2.
    pub schema_version: u32,
    /// Name and version of the program.
    pub generator: String,
    /// Product, version and board.
    pub device: String,
    /// SHA-256 of the disk image that the evidence is of; empty where there is none.
    pub disk_sha256: String,
    /// The standard, by edition.
    pub standard: String,
    /// The catalogue's own title.
    pub catalogue: String,
    /// Component type: `SAR`, `EDR`, `HDR` or `NDR`.
    pub component_type: String,
    /// Target level.
    pub level: u8,
    /// What this is not.
    pub disclaimer: String,
    /// Every level, from the same evidence.
    pub levels: Vec<Level>,
    /// Titles of the foundational requirements.
    pub foundations: Vec<(u8, String)>,
    /// Every requirement of the catalogue, in its order.
    pub requirements: Vec<Requirement>,
    /// Records of the folder that are of another image, and so were not looked at; set by who reads the folder.
    #[serde(default)]
    pub of_other_images: Vec<String>,
}

const DISCLAIMER: &str = "Evidence about one image, not a statement of conformity: a product and its process get certified. \
     Requirements are paraphrased; the standard's own text decides.";

impl Compliance {
    /// What a report shows for a component type and a level.
    ///
    /// # Errors
    /// When the built-in catalogue is not valid.
    pub fn new(report: &Report, component_type: &str, level: u8, planned: &Planned) -> Outcome<Self> {
        let catalogue =
            Catalogue::built_in().map_err(|why| Failure::error(ExitStatus::Internal, "catalogue", why))?;
        let of = |item: &Item, parent: &Item| catalogue.row(item, parent.fr, &report.findings, planned);
        let requirements = catalogue
            .all()
            .map(|(item, parent)| {
                let row = of(item, parent);
                let mut made = requirement(&catalogue, report, item, parent, row, component_type, level);
                if made.applies {
                    made.provided_by = catalogue.provided(item, planned);
                }
                for shown in &mut made.evidence {
                    shown.by_product = planned.is_own(&shown.check);
                }
                made
            })
            .collect();
        let levels = (1..=4).map(|level| {
            let given = |item: &Item| catalogue.condition_not_given(item, &report.findings).is_none();
            let selected = catalogue
                .all()
                .filter(|(item, parent)| selects(item, parent, component_type, level) && given(item));
            let mut by_status = BTreeMap::new();
            let mut count = 0;
            for (item, parent) in selected {
                *by_status.entry(of(item, parent).status).or_default() += 1;
                count += 1;
            }
            Level { level, selected: count, by_status }
        });
        let (standard, title) = catalogue.titles();
        let device = &report.device;
        let name = [&device.product, &device.version, &device.board];
        let disk = report.files.iter().find(|file| file.name.ends_with("disk.img"));
        Ok(Self {
            schema_version: 2,
            generator: report.generator.clone(),
            device: name.into_iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" "),
            disk_sha256: disk.map(|file| file.sha256.clone()).unwrap_or_default(),
            standard: standard.to_owned(),
            catalogue: title.to_owned(),
            component_type: component_type.to_owned(),
            level,
            disclaimer: DISCLAIMER.to_owned(),
            levels: levels.collect(),
            foundations: catalogue.foundations().map(|(fr, title)| (fr, title.to_owned())).collect(),
            requirements,
            of_other_images: Vec::new(),
        })
    }

    /// The requirements that apply.
    pub fn applying(&self) -> impl Iterator<Item = (&Requirement, Status)> {
        self.requirements.iter().filter_map(|item| Some((item, item.status?)))
    }

    /// Number of requirements that apply and have a status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.applying().filter(|(_, found)| *found == status).count()
    }

    /// What it means as an exit status: a requirement that is not met fails.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        if self.count(Status::NotMet) > 0 { ExitStatus::Check } else { ExitStatus::Success }
    }
}

fn selects(item: &Item, parent: &Item, component_type: &str, level: u8) -> bool {
    parent.component_types.iter().any(|kind| kind == component_type) && item.sl.contains(&level)
}

/// Whether a requirement applies, in words.
fn applies(item: &Item, parent: &Item, component_type: &str, level: u8) -> (bool, String) {
    let see = if item.see.is_empty() { String::new() } else { format!("; see {}", item.see.join(", ")) };
    if item.sl.is_empty() {
        return (false, format!("there is no component requirement under this id{see}"));
    }
    if !parent.component_types.iter().any(|kind| kind == component_type) {
        return (false, format!("it is for {} only{see}", parent.component_types.join(", ")));
    }
    if item.sl.contains(&level) {
        return (true, format!("{component_type} at security level {level} selects it"));
    }
    let from = item.sl.iter().min().copied().unwrap_or_default();
    (false, format!("it is selected from security level {from} on, not at {level}"))
}

fn requirement(
    catalogue: &Catalogue,
    report: &Report,
    item: &Item,
    parent: &Item,
    row: Row,
    component_type: &str,
    level: u8,
) -> Requirement {
    let (mut applies, mut why_applies) = applies(item, parent, component_type, level);
    if let Some(seen) = catalogue.condition_not_given(item, &report.findings).filter(|_| applies) {
        applies = false;
        why_applies = format!(
            "its condition is not given ({}), by the check `{}`: {seen}",
            item.condition, item.condition_check
        );
    }
    let serving = report.findings.iter().filter(|finding| row.checks.contains(&finding.check));
    let evidence: Vec<Shown> = serving.map(shown).collect();
    let not_shown: Vec<Unshown> = row
        .not_looked_at
        .iter()
        .filter_map(|id| catalogue.check(id))
        .map(|check| Unshown {
            check: check.id.clone(),
            kind: if check.stage == "static" { "static" } else { "run-time" }.to_owned(),
            what: check.what.clone(),
        })
        .collect();
    let status = applies.then_some(row.status);
    let references = item.references().into_iter();
    Requirement {
        id: item.id.clone(),
        title: item.title.clone(),
        clause: item.clause.clone(),
        foundation: parent.fr,
        paraphrase: item.paraphrase.clone(),
        applies,
        why_applies,
        levels: item.sl.clone(),
        claim: item.claim,
        status,
        why: if applies { row.why } else { String::new() },
        provided_by: Vec::new(),
        means: item.how_on_linux.clone(),
        advice: status.map(|status| advice(status, &evidence, &not_shown, item)).unwrap_or_default(),
        evidence,
        not_shown,
        out_of_image: item.evidence.out_of_image.clone(),
        left_to: left_to(item.claim).to_owned(),
        references: references
            .map(|(framework, ids)| (framework.to_owned(), ids.into_iter().map(str::to_owned).collect()))
            .collect(),
    }
}

fn shown(finding: &Finding) -> Shown {
    Shown {
        check: finding.check.clone(),
        title: finding.title.clone(),
        kind: kind(finding.stage).to_owned(),
        verdict: finding.verdict,
        expected: finding.expected.clone(),
        seen: finding.seen.clone(),
        artefact_sha256: finding.artefact_sha256.clone(),
        defined_at: finding.defined_at.clone(),
        by_product: false,
    }
}

/// The kind of evidence that a stage gives.
fn kind(stage: Stage) -> &'static str {
    match stage {
        Stage::Build | Stage::Static => "static",
        Stage::Boot => "run-time",
        Stage::Traffic => "traffic",
        Stage::Attack => "attack",
    }
}

impl Shown {
    /// Its kind, as a page names it.
    pub(crate) fn kind_words(&self) -> String {
        let own = if self.by_product { ", the product's own check" } else { "" };
        format!("{}{own}", self.kind)
    }
}

/// A layer that provides a requirement, as a page names it.
pub(crate) fn provided_words(provided: &Provided) -> String {
    format!("layer `{}` ({}): {}", provided.layer, provided.title, provided.checks.join(", "))
}

/// Who has to show what an image cannot.
fn left_to(claim: Claim) -> &'static str {
    match claim {
        Claim::Full => "the maker confirms it for the whole product",
        Claim::Partial => "the application or the owner adds its share",
        Claim::Supporting => "hardware, application or process decides",
        Claim::None => "the organisation: no image can show it",
    }
}

fn advice(status: Status, evidence: &[Shown], not_shown: &[Unshown], item: &Item) -> Vec<String> {
    let mut out = Vec::new();
    if status == Status::AutomatedMet {
        return out;
    }
    for bad in evidence.iter().filter(|shown| matches!(shown.verdict, Verdict::Fail | Verdict::CouldNotRun)) {
        out.push(format!(
            "mend `{}` ({}): expected {}, seen {}",
            bad.check, bad.defined_at, bad.expected, bad.seen
        ));
    }
    for waived in evidence.iter().filter(|shown| shown.verdict == Verdict::Waived) {
        out.push(format!("`{}` is waived: is its reason one that the assessor takes?", waived.check));
    }
    for open in evidence.iter().filter(|shown| shown.verdict == Verdict::NeedsOperator) {
        out.push(format!("`{}` needs the operator: {}", open.check, open.expected));
    }
    let statics = not_shown.iter().filter(|check| check.kind == "static");
    out.extend(
        statics.map(|check| format!("no check of this run looked at `{}`: {}", check.check, check.what)),
    );
    let runtime: Vec<&str> =
        not_shown.iter().filter(|check| check.kind != "static").map(|check| check.check.as_str()).collect();
    if !runtime.is_empty() {
        out.push(format!(
            "not seen on the running device: {}; `fastness build --prove` shows what it can of it, a test of your own the rest",
            runtime.join(", ")
        ));
    }
    out.extend(
        item.evidence
            .out_of_image
            .iter()
            .map(|share| format!("no image shows it, {} does: {}", share.owner.words(), share.what)),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    pub(crate) fn made(level: u8) -> Compliance {
        let report = Report::new(sample::input()).unwrap();
        Compliance::new(&report, "NDR", level, &Planned::default()).unwrap()
    }

    #[test]
    fn every_requirement_of_the_catalogue_is_there_and_says_why_it_applies_or_not() {
        let two = made(2);
        assert_eq!(two.requirements.len(), 137);
        assert_eq!(two.applying().count(), 67);
        let of = |id: &str| two.requirements.iter().find(|item| item.id == id).unwrap().clone();
        assert_eq!(of("CR 1.1").why_applies, "NDR at security level 2 selects it");
        assert_eq!(of("CR 1.1 RE(2)").why_applies, "it is selected from security level 3 on, not at 2");
        assert_eq!(of("HDR 3.2").why_applies, "it is for HDR only");
        assert!(of("CR 1.6").why_applies.contains("no component requirement under this id; see NDR 1.6"));
        assert!(of("CR 1.6").status.is_none() && of("CR 1.6").advice.is_empty());
        assert!(of("CR 1.1").references.contains_key("etsi_en_303_645"));
    }

    #[test]
    fn levels_are_counted_from_the_same_evidence() {
        let one = made(1);
        let counts: Vec<usize> = one.levels.iter().map(|level| level.selected).collect();
        assert_eq!(counts, [40, 67, 86, 92]);
        for level in &one.levels {
            assert_eq!(level.by_status.values().sum::<usize>(), level.selected);
        }
        assert_eq!(one.levels[0].by_status[&Status::Partial], one.count(Status::Partial));
    }

    #[test]
    fn a_check_that_fails_makes_a_requirement_not_met_with_advice_that_names_it() {
        let mut input = sample::input();
        input.findings[0].verdict = Verdict::Fail;
        input.findings[0].requirements = vec!["CR 3.4".to_owned()];
        let check = input.findings[0].check.clone();
        let report = Report::new(input).unwrap();
        let found = Compliance::new(&report, "NDR", 2, &Planned::default()).unwrap();
        let item = found.requirements.iter().find(|item| item.id == "CR 3.4").unwrap();
        assert_eq!((item.status, found.exit_status()), (Some(Status::NotMet), ExitStatus::Check));
        assert!(item.advice[0].starts_with(&format!("mend `{check}` (")), "{:?}", item.advice);
        assert_eq!(made(2).exit_status(), ExitStatus::Success);
    }

    /// As [`made`], with the product's plan, of which one check is the product's own.
    pub(crate) fn made_of_a_product() -> Compliance {
        let mut plan = sample::plan();
        if let Some(check) = plan.checks.get_mut("acct.unique-ids") {
            check.value.by_product = true;
        }
        let report = Report::new(sample::input()).expect("the sample has a report");
        Compliance::new(&report, "NDR", 2, &Planned::of(Some(&plan), None)).expect("a catalogue")
    }

    #[test]
    fn who_shows_the_rest_and_what_of_the_product_provides_it_is_told_in_every_form() {
        let made = made_of_a_product();
        let item = made.requirements.iter().find(|item| item.id == "CR 1.1").unwrap();
        let base = item.provided_by.iter().find(|one| one.layer == "base").unwrap();
        assert!(base.checks.contains(&"acct.unique-ids".to_owned()), "{:?}", item.provided_by);
        assert!(item.evidence.iter().any(|shown| shown.by_product && shown.check == "acct.unique-ids"));
        assert!(made.requirements.iter().all(|item| item.applies || item.provided_by.is_empty()));
        let (share, owner) = (&item.out_of_image[0], item.out_of_image[0].owner.words());
        let forms = [
            terminal::render_one(item).split_whitespace().collect::<Vec<_>>().join(" "),
            html::render(&made),
            csv::render(&made),
            oscal::document(&made, "2026-11-24T00:00:00Z").to_string(),
        ];
        for (number, form) in forms.iter().enumerate() {
            let form = form.replace("&#39;", "'").replace("&#x27;", "'");
            for part in [owner, share.what.as_str(), "the product's own check", "base", "acct.unique-ids"] {
                assert!(form.contains(part), "form {number} lacks `{part}`");
            }
        }
        let json = serde_json::to_value(item).unwrap();
        assert_eq!(json["out_of_image"][0]["owner"], "application");
        assert_eq!(json["provided_by"].as_array().unwrap().len(), item.provided_by.len());
        assert_eq!(serde_json::from_value::<Requirement>(json).unwrap(), *item);
    }
}
