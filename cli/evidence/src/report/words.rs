//! The sentences of a report: its headline, and what it does not show.

use diag::ExitStatus;
use record::{AttackResult, BootRecord, Finding, ImageRecord, KeyMark, Stage, TrafficRecord, Verdict};
use spec::plan::Plan;

use crate::requirements::{Matrix, Status};

/// The verdict as one sentence.
pub(super) fn headline(
    status: ExitStatus,
    findings: &[Finding],
    boot: Option<&BootRecord>,
    traffic: Option<&TrafficRecord>,
    attacks: &[AttackResult],
) -> String {
    // What came of an attack is counted with the attacks.
    let checks: Vec<&Finding> = findings.iter().filter(|f| f.stage != Stage::Attack).collect();
    let bad = checks.iter().filter(|f| matches!(f.verdict, Verdict::Fail | Verdict::CouldNotRun)).count();
    let waived = findings.iter().filter(|f| f.verdict == Verdict::Waived).count();
    if status != ExitStatus::Success {
        let held = attacks.iter().filter(|attack| attack.outcome.held()).count();
        let attacks_part = if attacks.is_empty() {
            String::new()
        } else {
            format!("; {held} of {} attacks withstood", attacks.len())
        };
        return match bad {
            0 => format!("The {} checks hold{attacks_part}", checks.len()),
            _ => format!("{bad} of {} checks do not hold{attacks_part}", checks.len()),
        };
    }
    let checks = checks.iter().filter(|f| matches!(f.verdict, Verdict::Pass | Verdict::Waived)).count();
    let mut text = match checks {
        1 => "Its one check holds".to_owned(),
        _ => format!("All {checks} checks hold"),
    };
    if waived > 0 {
        text += &format!(", {waived} of them by a waiver");
    }
    let silent = findings.iter().filter(|f| f.verdict == Verdict::NotApplicable).count();
    if silent > 0 {
        text += &format!(", {silent} say nothing about this image");
    }
    match boot {
        Some(_) => text += "; the image boots",
        None => text += "; it was not booted",
    }
    if traffic.is_some_and(|traffic| !traffic.interfaces.is_empty()) {
        text += "; on its wires answers what the plan says";
    }
    match attacks.len() {
        0 => text += "; it was not attacked",
        count => text += &format!("; all {count} attacks withstood"),
    }
    text
}

/// What keeps older images from starting, and what that does not.
fn rollback(plan: &Plan) -> String {
    let facts = &plan.board.rollback;
    match plan.signing.rollback_version {
        Some(version) => format!(
            "Images below rollback version {version} do not start once this one has proved itself (counter: {}), with these limits: {}",
            facts.store, facts.limits
        ),
        None if facts.is_none() => {
            let mut text = format!(
                "Nothing keeps an older image that was signed with the product's key from starting: the board has no counter of versions. {}",
                facts.limits
            );
            for counter in &facts.possible {
                text += &format!(" Could count, and Fastness does not use it: {}.", counter.place);
            }
            text.trim_end().to_owned()
        }
        None => format!(
            "Nothing keeps an older image that was signed with the product's key from starting: the product has no rollback version, and the board's counter ({}) is not used",
            facts.store
        ),
    }
}

/// What the report does not show, one sentence each.
pub(super) fn not_shown(
    plan: Option<&Plan>,
    image: Option<&ImageRecord>,
    boot: Option<&BootRecord>,
    traffic: Option<&TrafficRecord>,
    attacks: &[AttackResult],
    pending: &[(String, Vec<String>)],
    matrix: Option<&Matrix>,
) -> Vec<String> {
    let mut list = Vec::new();
    match plan {
        None => list.push(
            "There is no plan: only generic checks ran, and nothing is compared with what was asked".into(),
        ),
        Some(plan) => {
            list.push(format!("The root of trust itself is the board's: {}", plan.board.root_of_trust));
            list.push(rollback(plan));
            list.extend(
                plan.network
                    .tpm
                    .as_ref()
                    .map(|key| format!("The tunnels' key is in the TPM, with these limits: {}", key.limits)),
            );
            if let Some(qemu) = &plan.board.qemu {
                list.push(format!(
                    "Boot and attacks ran on {} under emulation: no fuse, no debug port and no side channel was tested",
                    qemu.program
                ));
            }
        }
    }
    if image.is_some_and(|image| image.key_mark == KeyMark::Development) {
        list.push("The image is signed with a development key: it is not for delivery".into());
    }
    if boot.is_none() {
        list.push("The image was not booted in this run".into());
    }
    if !pending.is_empty() {
        list.push(format!(
            "{} checks of the device itself did not run, because it was not booted",
            pending.len()
        ));
    }
    match traffic.filter(|traffic| !traffic.interfaces.is_empty()) {
        None => list.push("No packet was sent to the running device: what answers is known from its files only".into()),
        Some(_) => list.push(
            "Probes on the wires do not show UDP services that ignore what they do not understand, rates and limits, and what passes a tunnel".into(),
        ),
    }
    if attacks.is_empty() {
        list.push("No attack was run".into());
    }
    if let Some(matrix) = matrix {
        for (status, text) in [
            (Status::Partial, "requirements are shown in part: what remains is listed with each"),
            (Status::Manual, "requirements need the operator, the application or the hardware"),
            (Status::NoEvidence, "selected requirements have no check in this run"),
        ] {
            let count = matrix.count(status);
            if count > 0 {
                list.push(format!("{count} {text}"));
            }
        }
        if !matrix.unknown.is_empty() {
            list.push(format!("Requirement ids the catalogue does not know: {}", matrix.unknown.join(", ")));
        }
        list.push(format!(
            "The catalogue paraphrases {} and is no substitute for it; nothing here is a statement of conformity",
            matrix.standard
        ));
    }
    list.push("Weaknesses of the packaged programs themselves were not looked for".into());
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::plan::{PossibleCounterFacts, RollbackFacts};

    #[test]
    fn what_keeps_older_images_from_starting_is_said_of_every_board() {
        let mut plan = crate::report::sample::plan();
        let possible = |place: &str| PossibleCounterFacts {
            place: place.into(),
            about: "counts".into(),
            source: "the manual".into(),
        };
        plan.signing.rollback_version = None;
        plan.board.rollback = RollbackFacts {
            store: "none".into(),
            limits: "Nothing verifies SPL.".into(),
            possible: vec![possible("the RPMB of the eMMC"), possible("fuses")],
        };
        assert_eq!(
            rollback(&plan),
            "Nothing keeps an older image that was signed with the product's key from starting: the board has no counter of versions. \
             Nothing verifies SPL. Could count, and Fastness does not use it: the RPMB of the eMMC. Could count, and Fastness does not use it: fuses."
        );
        plan.board.rollback = RollbackFacts {
            store: "tpm-nv".into(),
            limits: "It can be exchanged.".into(),
            possible: Vec::new(),
        };
        assert_eq!(
            rollback(&plan),
            "Nothing keeps an older image that was signed with the product's key from starting: the product has no rollback version, \
             and the board's counter (tpm-nv) is not used"
        );
        plan.signing.rollback_version = Some(3);
        assert_eq!(
            rollback(&plan),
            "Images below rollback version 3 do not start once this one has proved itself (counter: tpm-nv), \
             with these limits: It can be exchanged."
        );
    }
}
