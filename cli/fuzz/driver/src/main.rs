//! libFuzzer for one target, which `FASTNESS_FUZZ_TARGET` names; run by `ci/fuzz`.

#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<&'static fuzz::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FASTNESS_FUZZ_TARGET").unwrap_or_default();
        let Some(target) = fuzz::Target::named(&name) else {
            let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            eprintln!("expected a target in FASTNESS_FUZZ_TARGET, found `{name}`; there are {}", names.join(", "));
            std::process::exit(2);
        };
        let _ = TARGET.set(target);
    },
    |input: &[u8]| {
        if let Some(Err(broken)) = TARGET.get().map(|target| target.check(input)) {
            panic!("{broken}");
        }
    }
);
