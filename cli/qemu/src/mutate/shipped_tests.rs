//! Every shipped attack changes something, and what it changes is really bad.

use super::testing::{Bench, Called, OTHERS, OURS};
use crate::attack::{Need, Stage, library};

#[test]
fn every_shipped_attack_applies_and_says_what_it_changes() {
    every_attack_applies(&OURS);
}

#[test]
fn every_shipped_attack_fits_what_another_build_system_made() {
    every_attack_applies(&OTHERS);
}

fn every_attack_applies(called: &Called) {
    let (uboot, spl) = (Bench::of(called), Bench::spl(called));
    for attack in library(None).unwrap() {
        let of_spl = attack.expect.stage == Stage::Spl;
        assert_eq!(of_spl, attack.needs == [Need::Spl], "{}", attack.name);
        let bench = if of_spl { &spl } else { &uboot };
        let (words, case) = bench.run(&attack.mutations);
        assert!(!words.is_empty(), "{}", attack.name);
        let roles = bench.subject.names.pairs();
        assert!(roles.iter().all(|(role, _)| !words.contains(role.as_str())), "{}: {words}", attack.name);
        // The words that are waited for have the names, too.
        let signing = crate::attack::plain_signing();
        let expect = attack.expect.for_image("product", &signing, &bench.subject.names);
        for pattern in expect.refusal.iter().chain(&expect.boots) {
            assert!(!pattern.text().contains(['{', '}']), "{}: `{}`", attack.name, pattern.text());
        }
        let refused = !attack.expect.must_boot();
        if refused && attack.needs == [Need::Sealed] {
            // U-Boot starts it; what it does not get is the key.
            assert_eq!(attack.expect.stage, Stage::Userspace, "{}", attack.name);
            continue;
        }
        if refused && case.tpm.is_some() {
            // What is wrong is that it is old, or what the TPM holds: the FIT's signature is good.
            assert_eq!(attack.needs, [Need::Rollback], "{}", attack.name);
            continue;
        }
        if refused && attack.expect.stage <= Stage::UBoot {
            // Our own verifier, which shares no code with U-Boot's, must refuse it too.
            assert!(
                !bench.problems(&case.fit).is_empty(),
                "{}: the verifier finds nothing wrong",
                attack.name
            );
        }
        if refused && attack.expect.stage == Stage::Kernel {
            assert_eq!(case.fit, bench.subject.fit, "{}: only the root file system may change", attack.name);
        }
    }
}
