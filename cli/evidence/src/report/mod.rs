//! The report: one value from plan, record, findings, boot and attacks, and its renderings.
//!
//! [`Report::new`] decides everything that is said; the renderings ([`terminal`], [`junit`],
//! [`sarif`], [`html`], JSON) only lay it out. It invents nothing: what was not looked at is listed as
//! such, and no sentence claims conformity with a standard.

pub mod chain;
pub mod html;
pub mod junit;
#[cfg(test)]
pub mod sample;
pub mod sarif;
pub mod schema;
pub mod terminal;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use diag::{ExitStatus, Failure, Outcome};
use record::{
    AttackResult, BootRecord, EffectiveSymbol, Finding, ImageRecord, PartitionRecord, Stage, SymbolState,
    TrafficRecord, Verdict,
};
use serde::{Deserialize, Serialize};
use spec::plan::{NetworkFacts, Plan};

use words::{headline, not_shown};

use crate::authority::{exit_status, findings_of_attacks, findings_of_boot};
use crate::requirements::{Catalogue, Matrix, Planned};
use crate::threats::ThreatReport;
use crate::traffic::findings_of_traffic;

/// All that a report is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportInput {
    /// The plan; none for a foreign image.
    pub plan: Option<Plan>,
    /// The record of the image, if it is one of ours.
    pub image: Option<ImageRecord>,
    /// Findings of [`crate::inspect::inspect`].
    pub findings: Vec<Finding>,
    /// The boot of the untouched image.
    pub boot: Option<BootRecord>,
    /// What probes on the device's wires showed.
    pub traffic: Option<TrafficRecord>,
    /// The attacks.
    pub attacks: Vec<AttackResult>,
}

/// The stages in the order in which they are printed.
const STAGES: [(Stage, &str); 5] = [
    (Stage::Build, "build"),
    (Stage::Static, "static"),
    (Stage::Boot, "boot"),
    (Stage::Traffic, "traffic"),
    (Stage::Attack, "attack"),
];

/// What the report is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Product name, or what was inspected.
    pub product: String,
    /// Version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// Board name and title.
    pub board: String,
    /// Component type and level, such as `NDR, security level 2`.
    pub target: String,
}

/// A waiver, printed with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverLine {
    /// Check id or `linux:SYMBOL`, `uboot:SYMBOL`.
    pub what: String,
    /// Why it is waived.
    pub reason: String,
    /// Who, where.
    pub by: String,
    /// Whether anything of this run needed it.
    pub used: bool,
}

/// A file by name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: String,
}

/// The report (`report.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name and version of the program.
    pub generator: String,
    /// What the report is about.
    pub device: Device,
    /// What the results mean as an exit status.
    pub status: ExitStatus,
    /// The verdict as one sentence.
    pub headline: String,
    /// Number of findings by verdict.
    pub totals: BTreeMap<Verdict, usize>,
    /// Every finding: build, static, boot, traffic, attack.
    pub findings: Vec<Finding>,
    /// Requirements and what shows them.
    pub matrix: Option<Matrix>,
    /// The chain of trust, first link first.
    pub chain: Vec<chain::Link>,
    /// Zones, interfaces and flows.
    pub network: Option<NetworkFacts>,
    /// The attacks.
    pub attacks: Vec<AttackResult>,
    /// The boot.
    pub boot: Option<BootRecord>,
    /// What probes on the device's wires showed.
    pub traffic: Option<TrafficRecord>,
    /// What may happen to the device, and what this run has shown of the controls; set by who has the catalogue of threats.
    pub threats: Option<ThreatReport>,
    /// Asked against effective configuration.
    pub effective: Vec<EffectiveSymbol>,
    /// Waivers with their reasons.
    pub waivers: Vec<WaiverLine>,
    /// The image's files.
    pub files: Vec<FileLine>,
    /// The disk's partitions.
    pub partitions: Vec<PartitionRecord>,
    /// What this report does not show.
    pub not_shown: Vec<String>,
}

impl Report {
    /// The report of a run.
    ///
    /// # Errors
    /// When the built-in catalogue of requirements does not parse.
    pub fn new(input: ReportInput) -> Outcome<Self> {
        let ReportInput { plan, image, mut findings, boot, traffic, attacks } = input;
        let disk = image.as_ref().and_then(|image| image.files.get(&record::Role::Disk));
        let disk_sha256 = disk.map(|file| file.sha256.clone()).unwrap_or_default();
        // Findings of a boot, of traffic or an attack are always made here from the records themselves.
        findings.retain(|finding| !matches!(finding.stage, Stage::Boot | Stage::Traffic | Stage::Attack));
        if let (Some(plan), Some(boot)) = (&plan, &boot) {
            findings.extend(findings_of_boot(plan, boot));
        }
        findings.extend(findings_of_attacks(&attacks, &disk_sha256));
        findings.extend(traffic.iter().flat_map(findings_of_traffic));
        let of_boot = boot.as_ref().map(|boot| boot.disk_sha256.as_str());
        stale(&mut findings, Stage::Boot, &disk_sha256, of_boot);
        let of_traffic = traffic.as_ref().map(|traffic| traffic.disk_sha256.as_str());
        stale(&mut findings, Stage::Traffic, &disk_sha256, of_traffic);
        let planned = Planned::of(plan.as_ref(), boot.as_ref());
        let matrix = match &plan {
            Some(plan) => Some(
                Catalogue::built_in()
                    .map_err(|why| Failure::error(ExitStatus::Internal, "catalogue", why))?
                    .matrix(&plan.product.component_type, plan.product.security_level, &findings, &planned),
            ),
            None => None,
        };
        let status = exit_status(&findings, boot.as_ref(), &attacks);
        let mut totals = BTreeMap::new();
        for finding in &findings {
            *totals.entry(finding.verdict).or_default() += 1;
        }
        let effective = image.as_ref().map(|image| image.effective.clone()).unwrap_or_default();
        let not_shown = not_shown(
            plan.as_ref(),
            image.as_ref(),
            boot.as_ref(),
            traffic.as_ref(),
            &attacks,
            &planned.not_run,
            matrix.as_ref(),
        );
        Ok(Self {
            schema_version: 1,
            generator: concat!("fastness ", env!("CARGO_PKG_VERSION")).to_owned(),
            device: device(plan.as_ref(), image.as_ref()),
            status,
            headline: headline(status, &findings, boot.as_ref(), traffic.as_ref(), &attacks),
            totals,
            chain: chain::links(plan.as_ref(), image.as_ref(), boot.as_ref(), &findings),
            matrix,
            network: plan.as_ref().map(|plan| plan.network.clone()),
            waivers: waivers(plan.as_ref(), &findings, &effective),
            files: files(image.as_ref()),
            partitions: image.map(|image| image.partitions).unwrap_or_default(),
            findings,
            attacks,
            boot,
            traffic,
            threats: None,
            effective,
            not_shown,
        })
    }

    /// Says which records of the folder are of another image: they show nothing about this one.
    pub fn pass_over(&mut self, records: &[String]) {
        let mut said: Vec<String> = records.iter().map(|name| of_other_image(name)).collect();
        said.append(&mut self.not_shown);
        self.not_shown = said;
    }

    /// Number of checks with that verdict, attacks not counted.
    #[must_use]
    pub fn count_checks(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|f| f.stage != Stage::Attack && f.verdict == verdict).count()
    }

    /// Number of findings with a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.totals.get(&verdict).copied().unwrap_or(0)
    }

    /// Findings that fail or could not run, worst first.
    pub fn trouble(&self) -> impl Iterator<Item = &Finding> {
        let of = |verdict: Verdict| self.findings.iter().filter(move |finding| finding.verdict == verdict);
        of(Verdict::Fail).chain(of(Verdict::CouldNotRun))
    }
}

/// What is said of a record that is of another image.
#[must_use]
pub fn of_other_image(name: &str) -> String {
    format!("`{name}` is of another image, and shows nothing about this one: make it again")
}

/// A boot of another image shows nothing about this one.
fn stale(findings: &mut [Finding], stage: Stage, disk_sha256: &str, booted: Option<&str>) {
    if disk_sha256.is_empty() || booted.is_none_or(|booted| booted == disk_sha256) {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| finding.stage == stage) {
        finding.verdict = Verdict::CouldNotRun;
        finding.seen = "it was recorded with another disk image; boot this one".to_owned();
    }
}

fn device(plan: Option<&Plan>, image: Option<&ImageRecord>) -> Device {
    match (plan, image) {
        (Some(plan), _) => Device {
            product: plan.product.name.clone(),
            version: plan.product.version.clone(),
            description: plan.product.description.clone(),
            board: format!("{} ({})", plan.board.name, plan.board.title),
            target: format!(
                "{}, security level {}",
                plan.product.component_type, plan.product.security_level
            ),
        },
        (None, Some(image)) => Device {
            product: image.product.clone(),
            version: image.version.clone(),
            board: image.board.clone(),
            ..Device::default()
        },
        (None, None) => Device { product: "foreign image".to_owned(), ..Device::default() },
    }
}

fn waivers(plan: Option<&Plan>, findings: &[Finding], effective: &[EffectiveSymbol]) -> Vec<WaiverLine> {
    let used: BTreeSet<String> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Waived)
        .map(|finding| finding.check.clone())
        .chain(
            findings
                .iter()
                .flat_map(|finding| &finding.parts)
                .filter(|part| part.verdict == Verdict::Waived)
                .map(|part| part.id.clone()),
        )
        .chain(
            effective
                .iter()
                .filter(|symbol| symbol.state == SymbolState::Waived)
                .map(|symbol| format!("{}:{}", symbol.component, symbol.symbol)),
        )
        .collect();
    let all = plan.iter().flat_map(|plan| &plan.waivers);
    all.map(|(what, asked)| {
        let join = |text: fn(&spec::plan::Origin) -> String| {
            asked.origins.iter().map(text).collect::<Vec<_>>().join("; ")
        };
        WaiverLine {
            what: what.clone(),
            reason: join(|origin| origin.reason.clone()),
            by: join(|origin| format!("{} ({}:{})", origin.who, origin.file, origin.line)),
            // A risk that is taken is the threat model's to weigh: no finding needs it.
            used: used.contains(what) || what.starts_with("threat:"),
        }
    })
    .collect()
}

fn files(image: Option<&ImageRecord>) -> Vec<FileLine> {
    image
        .iter()
        .flat_map(|image| image.files.values())
        .map(|file| FileLine {
            name: file.path.display().to_string(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        })
        .collect()
}

/// A verdict as people read it.
#[must_use]
pub fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Waived => "waived",
        Verdict::NotApplicable => "n/a",
        Verdict::NeedsOperator => "operator",
        Verdict::CouldNotRun => "NOT RUN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_holds_and_says_what_it_does_not_show() {
        let report = Report::new(sample::input()).unwrap();
        assert_eq!(report.status, ExitStatus::Success, "{:?}", report.trouble().collect::<Vec<_>>());
        assert!(report.headline.contains("all 3 attacks withstood"), "{}", report.headline);
        assert!(report.not_shown.iter().any(|line| line.contains("development key")));
        assert!(report.waivers.iter().any(|waiver| waiver.used) && report.waivers.iter().any(|w| !w.used));
    }

    #[test]
    fn checks_and_attacks_are_counted_apart() {
        let mut input = sample::input();
        input.attacks[0].outcome = record::AttackOutcome::GotThrough;
        let report = Report::new(input).unwrap();
        let checks = report.findings.iter().filter(|finding| finding.stage != Stage::Attack).count();
        assert_eq!(report.headline, format!("The {checks} checks hold; 2 of 3 attacks withstood"));
        assert_eq!(report.count_checks(Verdict::Fail), 0);
        assert_eq!(report.trouble().count(), 1);
    }

    #[test]
    fn a_boot_of_another_image_shows_nothing() {
        let mut input = sample::input();
        input.boot.as_mut().unwrap().disk_sha256 = "00".repeat(32);
        let report = Report::new(input).unwrap();
        assert_eq!(report.status, ExitStatus::Proof);
        assert!(report.trouble().all(|finding| finding.seen.contains("another disk image")));
    }

    #[test]
    fn traffic_of_another_image_shows_nothing_and_a_wrong_answer_is_no_success() {
        let mut input = sample::input();
        assert!(
            Report::new(input.clone()).unwrap().headline.contains("on its wires answers what the plan says")
        );
        let traffic = input.traffic.as_mut().unwrap();
        traffic.interfaces[0].classes[0].verdict = record::TrafficVerdict::Fail;
        let report = Report::new(input.clone()).unwrap();
        assert_eq!(report.status, ExitStatus::Proof);
        assert_eq!(
            report.trouble().map(|finding| finding.check.as_str()).collect::<Vec<_>>(),
            ["traffic.tcp"]
        );
        let mut input = sample::input();
        input.traffic.as_mut().unwrap().disk_sha256 = "00".repeat(32);
        let report = Report::new(input).unwrap();
        assert_eq!(report.status, ExitStatus::Proof);
        assert!(report.trouble().all(|finding| finding.seen.contains("another disk image")));
    }

    #[test]
    fn without_a_boot_the_device_s_own_checks_are_named_as_not_run() {
        let mut input = sample::input();
        (input.boot, input.traffic) = (None, None);
        input.attacks.clear();
        let report = Report::new(input).unwrap();
        assert!(report.headline.contains("not booted; it was not attacked"), "{}", report.headline);
        let text = report.not_shown.join("\n");
        assert!(text.contains("1 checks of the device itself did not run"), "{text}");
    }
}
