use super::*;
use crate::attack::{library, select};

fn lines(text: &str) -> Vec<ConsoleLine> {
    text.lines().enumerate().map(|(at, text)| ConsoleLine { ms: at as u64, text: text.to_owned() }).collect()
}

fn seen(text: &str, ended: Ended) -> Observation {
    Observation { console: lines(text), selfcheck_spoke: false, ended }
}

fn reset() -> Ended {
    Ended::Guest("guest-reset".into())
}

/// The judgement of a shipped attack on a recorded console (key `dev`, `sha256,rsa3072`).
fn judge(attack: &str, seen: &Observation) -> (AttackOutcome, String, Vec<ConsoleLine>) {
    let judged = judgement(attack, seen);
    (judged.outcome, judged.reason, judged.evidence)
}

fn judgement(attack: &str, seen: &Observation) -> Judgement {
    let attacks = select(library(None).unwrap(), &[attack.to_owned()]).unwrap();
    let attack = attacks.into_iter().find(|a| a.name == attack).unwrap();
    let names = crate::mutate::testing::names(attack.expect.stage == Stage::Spl);
    let signing = crate::attack::definition::plain_signing();
    classify(&attack, &attack.expect.for_image("dev", &signing, &names), seen)
}

const OTHER_KEY: &str = include_str!("../../fixtures/other-key.log");
const KERNEL: &str = include_str!("../../fixtures/kernel-flipped.log");
const VERITY: &str = include_str!("../../fixtures/verity-data.log");
const GOOD: &str = include_str!("../../fixtures/good.log");

#[test]
fn a_recorded_refusal_is_one_and_its_lines_are_kept() {
    let (outcome, reason, evidence) = judge("signed-by-other-key", &seen(OTHER_KEY, reset()));
    assert_eq!(outcome, AttackOutcome::Refused, "{reason}");
    assert!(evidence.iter().any(|l| l.text.contains("Failed to verify required signature 'key-dev'")));
    assert_eq!(evidence.last().unwrap().text, "resetting ...");
    let (outcome, reason, _) = judge("verity-data-flipped", &seen(VERITY, reset()));
    assert_eq!(outcome, AttackOutcome::Refused, "{reason}");
}

#[test]
fn the_deciding_line_is_the_refusal_and_not_the_reset_after_it() {
    let proof = |attack, text, ended| judgement(attack, &seen(text, ended)).proof.unwrap().text;
    let line = proof("signed-by-other-key", OTHER_KEY, reset());
    assert!(line.contains("Failed to verify required signature 'key-dev'"), "{line}");
    let line = proof("verity-data-flipped", VERITY, reset());
    assert!(line.contains("is corrupted"), "{line}");
    assert!(judgement("raw-image", &seen("", Ended::Vanished)).proof.is_none());
}

#[test]
fn a_refusal_for_another_reason_is_inconclusive() {
    let (outcome, reason, _) = judge("signed-by-other-key", &seen(KERNEL, reset()));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.starts_with("no line gives the expected reason"), "{reason}");
    let (outcome, _, _) = judge("kernel-byte-flipped", &seen(KERNEL, reset()));
    assert_eq!(outcome, AttackOutcome::Refused);
}

#[test]
fn a_boot_is_a_break_in() {
    let (outcome, reason, _) = judge("signed-by-other-key", &seen(GOOD, Ended::Us));
    assert_eq!(outcome, AttackOutcome::GotThrough);
    assert!(reason.contains("`Starting kernel ...`"), "{reason}");
    let (outcome, _, _) = judge("verity-data-flipped", &seen(GOOD, Ended::Us));
    assert_eq!(outcome, AttackOutcome::GotThrough);
    let spoke = Observation { selfcheck_spoke: true, ..seen(VERITY, reset()) };
    assert_eq!(judge("verity-data-flipped", &spoke).0, AttackOutcome::GotThrough);
}

#[test]
fn a_prompt_and_the_attackers_code_are_break_ins_even_after_a_refusal() {
    for bad in ["=> ", "FASTNESS-ATTACKER"] {
        let text = format!("{}{bad}", OTHER_KEY.replace("resetting ...\n", ""));
        let (outcome, reason, _) = judge("signed-by-other-key", &seen(&text, Ended::TimedOut(9)));
        assert_eq!(outcome, AttackOutcome::GotThrough, "{reason}");
    }
}

#[test]
fn a_broken_harness_is_never_a_refusal() {
    for (text, ended) in [("", Ended::Vanished), ("qemu: error\nresetting ...\n", reset())] {
        let (outcome, reason, _) = judge("raw-image", &seen(text, ended));
        assert_eq!(outcome, AttackOutcome::Inconclusive);
        assert!(reason.contains("the harness is broken"), "{reason}");
    }
}

#[test]
fn a_refusal_without_the_expected_end_is_inconclusive() {
    let text = OTHER_KEY.replace("resetting ...\n", "");
    let (outcome, reason, _) = judge("signed-by-other-key", &seen(&text, Ended::TimedOut(9)));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.starts_with("it was refused, but the machine did not end as expected"), "{reason}");
    let (outcome, reason, _) = judge("signed-by-other-key", &seen(OTHER_KEY, Ended::Us));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.contains("a reset that QEMU did not see"), "{reason}");
}

#[test]
fn a_reset_that_qemu_saw_counts_without_its_line() {
    let text = OTHER_KEY.replace("resetting ...\n", "");
    let (outcome, reason, _) = judge("signed-by-other-key", &seen(&text, reset()));
    assert_eq!(outcome, AttackOutcome::Refused);
    assert!(reason.contains("QEMU saw the reset"), "{reason}");
}

const SPL_REFUSAL: &str = "U-Boot SPL 2025.01 (x)\n## Checking hash(es) for config conf ... sha256,rsa3072:dev- \n\
    Failed to verify required signature 'key-dev'\nSPL: failed to boot from all boot devices\n";

#[test]
fn spl_stops_or_says_nothing_more_and_must_not_start_u_boot() {
    let stopped = format!("{SPL_REFUSAL}### ERROR ### Please RESET the board ###\n");
    let (outcome, reason, _) = judge("spl-unsigned", &seen(&stopped, Ended::Us));
    assert_eq!(outcome, AttackOutcome::Refused, "{reason}");
    let (outcome, reason, _) = judge("spl-unsigned", &seen(SPL_REFUSAL, Ended::TimedOut(9)));
    assert_eq!(outcome, AttackOutcome::Refused, "{reason}");
    assert!(reason.contains("nothing more came"), "{reason}");
    let (outcome, _, _) = judge("spl-unsigned", &seen(SPL_REFUSAL, Ended::Vanished));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    let started = format!("{SPL_REFUSAL}U-Boot 2025.01 (x)\n");
    let (outcome, _, _) = judge("spl-unsigned", &seen(&started, Ended::TimedOut(9)));
    assert_eq!(outcome, AttackOutcome::GotThrough);
    let (outcome, reason, _) = judge("spl-unsigned", &seen(OTHER_KEY, reset()));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.contains("SPL never said that it runs"), "{reason}");
}

#[test]
fn a_verity_refusal_needs_a_kernel_that_started() {
    let text = VERITY.replace("Starting kernel ...", "");
    let (outcome, reason, _) = judge("verity-data-flipped", &seen(&text, reset()));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.contains("no kernel had started"), "{reason}");
}

#[test]
fn a_control_has_to_boot_in_its_order() {
    let broken = KERNEL.replace("resetting ...\n", "");
    let text = format!("{broken}{}", GOOD.split_once("38 devices").unwrap().1);
    let (outcome, reason, evidence) = judge("slot-b-saves-the-boot", &seen(&text, Ended::Us));
    assert_eq!(outcome, AttackOutcome::WithoutEffect, "{reason}");
    assert!(evidence.len() <= MAX_EVIDENCE && !evidence.is_empty());
    let (outcome, reason, _) = judge("slot-b-saves-the-boot", &seen(KERNEL, reset()));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
    assert!(reason.contains("it should boot, but"), "{reason}");
    let (outcome, _, _) = judge("slot-b-saves-the-boot", &seen(GOOD, Ended::Us));
    assert_eq!(outcome, AttackOutcome::Inconclusive);
}
