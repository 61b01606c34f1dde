//! What findings come to: exit status, findings of a boot and of attacks.

use std::collections::BTreeSet;

use diag::ExitStatus;
use record::{AttackOutcome, AttackResult, BootRecord, Finding, Part, SelfcheckVerdict, Stage, Verdict};
use spec::plan::{CheckPlan, Origin, Plan};

/// The exit status that results mean: an attack or a boot that went wrong weighs most.
#[must_use]
pub fn exit_status(findings: &[Finding], boot: Option<&BootRecord>, attacks: &[AttackResult]) -> ExitStatus {
    let bad = |finding: &&Finding| matches!(finding.verdict, Verdict::Fail | Verdict::CouldNotRun);
    let proof = boot.is_some_and(|boot| !boot.passed)
        || attacks.iter().any(|attack| !attack.outcome.held())
        || findings
            .iter()
            .filter(bad)
            .any(|f| matches!(f.stage, Stage::Boot | Stage::Traffic | Stage::Attack));
    if proof {
        ExitStatus::Proof
    } else if findings.iter().any(|finding| bad(&finding)) {
        ExitStatus::Check
    } else {
        ExitStatus::Success
    }
}

/// File and line of a definition.
pub(crate) fn defined_at(origins: &[Origin]) -> String {
    origins.first().map(|origin| format!("{}:{}", origin.file, origin.line)).unwrap_or_default()
}

/// A finding of a check before it has a conclusion.
pub(crate) fn blank(id: &str, check: &CheckPlan, stage: Stage, origins: &[Origin]) -> Finding {
    Finding {
        check: id.to_owned(),
        title: check.title.clone(),
        layer: check.layer.clone(),
        requirements: check.requirements.clone(),
        stage,
        verdict: Verdict::CouldNotRun,
        expected: String::new(),
        seen: String::new(),
        artefact_sha256: String::new(),
        waiver: None,
        parts: Vec::new(),
        defined_at: defined_at(origins),
    }
}

/// The plan's waiver turns a failure, and only a failure, into a waived finding with its reason.
///
/// A finding of several parts is waived when each part that fails has a waiver of its own.
pub(crate) fn waive(mut finding: Finding, plan: &Plan) -> Finding {
    if finding.verdict != Verdict::Fail {
        return finding;
    }
    let reason = |id: &str| {
        let reasons = plan.waivers.get(id)?.origins.iter().map(|origin| origin.reason.as_str());
        Some(reasons.collect::<Vec<_>>().join("; "))
    };
    for part in finding.parts.iter_mut().filter(|part| part.verdict == Verdict::Fail) {
        if let Some(reason) = reason(&part.id) {
            part.verdict = Verdict::Waived;
            part.waiver = Some(reason);
        }
    }
    let waived = finding.parts.iter().filter(|part| part.verdict == Verdict::Waived).count();
    if waived > 0 {
        finding.seen = seen_in(&finding.parts);
    }
    if let Some(reason) = reason(&finding.check) {
        finding.verdict = Verdict::Waived;
        finding.waiver = Some(reason);
    } else if waived > 0 && finding.parts.iter().all(|part| part.verdict != Verdict::Fail) {
        finding.verdict = Verdict::Waived;
        let reasons = finding.parts.iter().filter_map(|part| {
            part.waiver.as_ref().map(|reason| format!("{}: {reason}", short_id(&part.id)))
        });
        finding.waiver = Some(reasons.collect::<Vec<_>>().join("; "));
    }
    finding
}

/// A part's id without the name of the standard in front.
pub(crate) fn short_id(id: &str) -> &str {
    id.split_once(':').map_or(id, |(_, name)| name)
}

/// What the parts come to, in one line: those that fail by name.
pub(crate) fn seen_in(parts: &[Part]) -> String {
    const SHOWN: usize = 12;
    let of = |verdict: Verdict| parts.iter().filter(move |part| part.verdict == verdict);
    let mut text = format!("{} of {} hold", of(Verdict::Pass).count(), parts.len());
    let waived = of(Verdict::Waived).count();
    if waived > 0 {
        text += &format!(", {waived} are waived");
    }
    let failed = of(Verdict::Fail).count();
    for (index, part) in of(Verdict::Fail).take(SHOWN).enumerate() {
        let name = short_id(&part.id);
        text += if index == 0 { ": " } else { "; " };
        text += &format!("`{name}` is {}, wanted {}", part.seen, part.expected);
    }
    if failed > SHOWN {
        text += &format!("; and {} more", failed - SHOWN);
    }
    text
}

/// One finding for each `selfcheck` of the plan, from the device's own events, and one for the boot itself.
#[must_use]
pub fn findings_of_boot(plan: &Plan, boot: &BootRecord) -> Vec<Finding> {
    let mut findings = vec![Finding {
        check: "boot.untouched".to_owned(),
        title: "The untouched image boots and its self-check passes".to_owned(),
        layer: "fastness".to_owned(),
        requirements: Vec::new(),
        stage: Stage::Boot,
        verdict: if boot.passed { Verdict::Pass } else { Verdict::Fail },
        expected: "the end of the self-check, every event `pass`".to_owned(),
        seen: boot.summary.clone(),
        artefact_sha256: boot.disk_sha256.clone(),
        waiver: None,
        parts: Vec::new(),
        defined_at: String::new(),
    }];
    for (id, asked) in plan.checks.iter().filter(|(_, asked)| asked.value.kind == "selfcheck") {
        let mut finding = blank(id, &asked.value, Stage::Boot, &asked.origins);
        finding.expected = format!("the device reports `{id}` as `pass`");
        finding.artefact_sha256.clone_from(&boot.disk_sha256);
        let events: Vec<_> = boot.selfcheck.iter().filter(|event| event.check == *id).collect();
        let failed = events.iter().find(|event| event.verdict == SelfcheckVerdict::Fail);
        (finding.verdict, finding.seen) = match (failed, events.first()) {
            (Some(event), _) => (Verdict::Fail, event.seen.clone()),
            (None, Some(event)) => (Verdict::Pass, event.seen.clone()),
            (None, None) => (Verdict::CouldNotRun, "the device reported no such event".to_owned()),
        };
        findings.push(waive(finding, plan));
    }
    findings.extend(unique(boot));
    findings
}

/// Whether devices of one image share anything that is to be each one's own; nothing where only one was started.
fn unique(boot: &BootRecord) -> Option<Finding> {
    let mut problems = Vec::new();
    for other in &boot.others {
        if other.is_empty() && !boot.identity.is_empty() {
            let why = "another device told nothing of its own: it did not come to the end of its self-check";
            problems.push(why.to_owned());
            continue;
        }
        let names: BTreeSet<&String> = boot.identity.keys().chain(other.keys()).collect();
        for name in names {
            match (boot.identity.get(name), other.get(name)) {
                (Some(own), Some(others)) if own == others => {
                    problems.push(format!("two devices have the same `{name}` (SHA-256 `{own}`)"));
                }
                (Some(_), Some(_)) => {}
                _ => problems.push(format!("only one of two devices has a `{name}`")),
            }
        }
    }
    if boot.others.is_empty() {
        return None;
    }
    if boot.identity.is_empty() {
        problems.push("the devices told nothing that would be their own".to_owned());
    }
    let names: Vec<&str> = boot.identity.keys().map(String::as_str).collect();
    Some(Finding {
        check: UNIQUE.to_owned(),
        title: "Devices that start for the first time with this image share no key and no id".to_owned(),
        layer: "fastness".to_owned(),
        requirements: ["CR 1.2", "CR 1.4", "CR 1.5"].map(str::to_owned).to_vec(),
        stage: Stage::Boot,
        verdict: if problems.is_empty() { Verdict::Pass } else { Verdict::Fail },
        expected: "each of what the devices tell of themselves is another one".to_owned(),
        seen: if problems.is_empty() {
            format!("{} devices, each with a {} of its own", boot.others.len() + 1, names.join(" and a "))
        } else {
            problems.join("; ")
        },
        artefact_sha256: boot.disk_sha256.clone(),
        waiver: None,
        parts: Vec::new(),
        defined_at: String::new(),
    })
}

/// The check of the catalogue that first starts of several devices show.
pub(crate) const UNIQUE: &str = "id.firstboot-unique";

/// One finding for each attack.
#[must_use]
pub fn findings_of_attacks(attacks: &[AttackResult], disk_sha256: &str) -> Vec<Finding> {
    attacks
        .iter()
        .map(|attack| Finding {
            check: format!("attack.{}", attack.attack),
            title: attack.title.clone(),
            layer: "attacks".to_owned(),
            requirements: attack.requirements.clone(),
            stage: Stage::Attack,
            verdict: match attack.outcome {
                outcome if outcome.held() => Verdict::Pass,
                AttackOutcome::GotThrough => Verdict::Fail,
                _ => Verdict::CouldNotRun,
            },
            expected: format!("refused by {}: {}", attack.expected_stage, attack.expected_line),
            seen: attack.reason.clone(),
            artefact_sha256: disk_sha256.to_owned(),
            waiver: None,
            parts: Vec::new(),
            defined_at: format!("attacks/{}.yaml", attack.attack),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_failed_attack_weighs_more_than_a_failed_check() {
        let mut findings = sample::findings();
        let (boot, mut attacks) = (sample::boot(), sample::attacks());
        findings.retain(|f| f.verdict == Verdict::Pass);
        assert_eq!(exit_status(&findings, Some(&boot), &attacks), ExitStatus::Success);
        findings[0].verdict = Verdict::CouldNotRun;
        assert_eq!(exit_status(&findings, Some(&boot), &attacks), ExitStatus::Check);
        attacks[0].outcome = AttackOutcome::Inconclusive;
        assert_eq!(exit_status(&findings, Some(&boot), &attacks), ExitStatus::Proof);
    }

    #[test]
    fn an_event_that_never_came_is_no_pass() {
        let plan = sample::plan();
        let mut boot = sample::boot();
        let id = "selfcheck.verity";
        let of =
            |boot: &BootRecord| findings_of_boot(&plan, boot).into_iter().find(|f| f.check == id).unwrap();
        assert_eq!(of(&boot).verdict, Verdict::Pass);
        boot.selfcheck.retain(|event| event.check != id);
        assert_eq!(of(&boot).verdict, Verdict::CouldNotRun);
        assert_eq!(of(&boot).seen, "the device reported no such event");
    }

    #[test]
    fn a_part_is_waived_by_its_own_name_and_the_rest_still_fails() {
        let plan = sample::plan();
        let mut finding = sample::findings().remove(0);
        finding.verdict = Verdict::Fail;
        let part = |id: &str, verdict| Part {
            id: id.into(),
            verdict,
            expected: "`n`".into(),
            seen: "`y`".into(),
            waiver: None,
        };
        finding.parts = vec![
            part("linux:KSM", Verdict::Fail),
            part("linux:KEXEC", Verdict::Fail),
            part("linux:DEVMEM", Verdict::Pass),
        ];
        let waived = waive(finding.clone(), &plan);
        assert_eq!(waived.verdict, Verdict::Fail);
        assert_eq!(waived.seen, "1 of 3 hold, 1 are waived: `KEXEC` is `y`, wanted `n`");
        assert_eq!(waived.parts[0].waiver.as_deref(), Some("sample reason: no longer needed"));
        finding.parts.remove(1);
        let waived = waive(finding, &plan);
        assert_eq!((waived.verdict, waived.seen.as_str()), (Verdict::Waived, "1 of 2 hold, 1 are waived"));
        assert_eq!(waived.waiver.as_deref(), Some("KSM: sample reason: no longer needed"));
    }

    #[test]
    fn a_waiver_covers_a_failure_and_nothing_else() {
        let plan = sample::plan();
        let waived = plan.waivers.keys().find(|key| !key.contains(':')).unwrap();
        let mut finding = sample::findings().remove(0);
        finding.check.clone_from(waived);
        finding.verdict = Verdict::CouldNotRun;
        assert_eq!(waive(finding.clone(), &plan).verdict, Verdict::CouldNotRun);
        finding.verdict = Verdict::Fail;
        let finding = waive(finding, &plan);
        assert_eq!(finding.verdict, Verdict::Waived);
        assert!(finding.waiver.unwrap().contains("sample reason"));
    }

    #[test]
    fn two_devices_share_nothing() {
        let own = |id: &str, key: &str| {
            let pairs = [("machine-id", id), ("ssh-host-key", key)];
            pairs
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(n, v)| (n.into(), v.into()))
                .collect()
        };
        let seen = |first: (&str, &str), others: &[(&str, &str)]| {
            let mut boot = sample::boot();
            boot.identity = own(first.0, first.1);
            boot.others = others.iter().map(|(id, key)| own(id, key)).collect();
            let findings = findings_of_boot(&sample::plan(), &boot);
            findings.into_iter().find(|f| f.check == UNIQUE).map(|f| (f.verdict, f.seen))
        };
        // One device alone shows nothing.
        assert_eq!(seen(("a", "b"), &[]), None);
        let (verdict, words) = seen(("a", "b"), &[("c", "d"), ("e", "f")]).unwrap();
        assert_eq!(verdict, Verdict::Pass);
        assert_eq!(words, "3 devices, each with a machine-id and a ssh-host-key of its own");
        for (first, other, says) in [
            (("a", "b"), ("c", "b"), "the same `ssh-host-key` (SHA-256 `b`)"),
            (("a", "b"), ("a", "d"), "the same `machine-id` (SHA-256 `a`)"),
            (("a", ""), ("c", "d"), "only one of two devices has a `ssh-host-key`"),
            (("a", "b"), ("", ""), "another device told nothing of its own"),
            (("", ""), ("", ""), "the devices told nothing"),
        ] {
            let (verdict, words) = seen(first, &[("x", "y"), other]).unwrap();
            assert_eq!(verdict, Verdict::Fail, "{words}");
            assert!(words.contains(says), "{words}");
        }
    }
}
