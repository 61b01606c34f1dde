//! Every shipped attack changes something, and what it changes is really bad.

use super::testing::Bench;
use crate::attack::{Need, Stage, library};

#[test]
fn every_shipped_attack_applies_and_says_what_it_changes() {
    let (uboot, spl) = (Bench::new(), Bench::spl());
    for attack in library(None).unwrap() {
        let of_spl = attack.expect.stage == Stage::Spl;
        assert_eq!(of_spl, attack.needs == [Need::Spl], "{}", attack.name);
        let bench = if of_spl { &spl } else { &uboot };
        let (words, case) = bench.run(&attack.mutations);
        assert!(!words.is_empty(), "{}", attack.name);
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
