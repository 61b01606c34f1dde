//! `random-source`: keys are made of numbers that nobody else has.
//!
//! Source: random(7) and getrandom(2): who asks the kernel waits until it was seeded; Linux'
//! Documentation/admin-guide/hw_random.rst; systemd-random-seed.service(8).

use super::kconfig_embedded::embedded;
use super::{Kind, NoParameters};
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct RandomSource;

/// Where systems keep a seed from one start to the next. One in the image would be every device's.
const SEEDS: [&str; 4] = ["/**/random-seed", "/**/random_seed", "/**/urandom/*seed*", "/**/seedrng/**"];

/// Words of the command line by which the kernel counts a seed, a processor's instruction or a source in hardware for nothing.
const DISTRUST: [&str; 4] =
    ["random.trust_cpu", "random.trust_bootloader", "rng_core.default_quality", "rng_core.current_quality"];

/// Whether a word of the command line says no to one of these (kstrtobool of Linux; a quality of 0).
fn distrusts(word: &str) -> bool {
    let Some((name, value)) = word.split_once('=') else { return false };
    let (name, value) = (name.replace('-', "_"), value.to_ascii_lowercase());
    DISTRUST.contains(&name.as_str()) && (value.starts_with(['0', 'n', 'f']) || value.starts_with("of"))
}

impl Kind for RandomSource {
    const NAME: &'static str = "random-source";
    const DESCRIPTION: &'static str = "the kernel drives the source of random numbers that the board names, nothing tells it to take no notice of \
                                       one, and no seed is part of the image; a board without a source is for the operator";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let board = &context.plan()?.board;
        let root = context.root()?;
        let kernel = embedded(context)?;
        let mut problems: Vec<String> = SEEDS
            .iter()
            .flat_map(|pattern| root.find(pattern))
            .filter(|(_, node)| matches!(node.kind, NodeKind::File(_)))
            .map(|(path, _)| format!("`{path}` is a seed that every device of this image has"))
            .collect();
        let line = context.subject.fit()?.cmdline()?;
        for word in line.split_ascii_whitespace() {
            if distrusts(word) {
                problems
                    .push(format!("`{word}` on the kernel's command line: that source counts for nothing"));
            }
        }
        let driver = board.random.as_ref().map(|random| random.driver.as_str());
        for symbol in ["HW_RANDOM"].into_iter().chain(driver) {
            let found = kernel.get(symbol).copied().unwrap_or("n");
            if found != "y" {
                problems.push(format!("`{symbol}` is `{found}` in the kernel, not `y`"));
            }
        }
        if problems.is_empty() && driver.is_none() {
            return Err(Unable::for_the_operator(format!(
                "boards/{}/board.yaml names no `random` source: who makes a key waits until what the kernel gathers of \
                 interrupts is enough",
                board.name
            )));
        }
        Ok(Conclusion::of(
            &problems,
            "a source in hardware that the kernel drives, and no seed in the image",
            format!("{}; no seed in the image", driver.unwrap_or("no source in hardware")),
            &root.sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::json;
    use spec::plan::RandomFacts;

    use crate::subject::{FitFacts, Subject};
    use crate::testing::*;

    const KERNEL: &str = "CONFIG_HW_RANDOM=y\nCONFIG_HW_RANDOM_OMAP=y\n";

    fn check(
        tree: Tree,
        (kernel, cmdline): (&str, &str),
        driver: Option<&str>,
    ) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.board.random = driver
            .map(|driver| RandomFacts { driver: driver.to_owned(), about: "The chip's own.".to_owned() });
        let mut subject = Subject::of_root(tree.root());
        let fit = Subject::of_cmdline(cmdline).fit.unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { kconfig: Ok(kernel.to_owned()), ..fit }));
        run_on("random-source", json!({}), &subject, Some(&plan))
    }

    #[test]
    fn pass() {
        let line = "console=ttyS0 random.trust_cpu=on rng_core.default_quality=1000";
        let seen = passes(check(Tree::base(), (KERNEL, line), Some("HW_RANDOM_OMAP")));
        assert_eq!(seen, "HW_RANDOM_OMAP; no seed in the image");
        // The program that keeps a seed is none.
        let program = Tree::base().file("/usr/lib/systemd/systemd-random-seed", 0o755, "x");
        passes(check(program, (KERNEL, "x"), Some("HW_RANDOM_OMAP")));
    }

    #[test]
    fn fail() {
        for at in
            ["/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/seedrng/seed.credit"]
        {
            for driver in [Some("HW_RANDOM_OMAP"), None] {
                let seeded = Tree::base().file(at, 0o600, "0123");
                let expected = format!("`{at}` is a seed that every device of this image has");
                fails(check(seeded, (KERNEL, "x"), driver), &expected);
            }
        }
        let driven = Some("HW_RANDOM_OMAP");
        for word in [
            "random.trust_bootloader=off",
            "random.trust_cpu=N",
            "random.trust-cpu=False",
            "rng_core.default_quality=0",
        ] {
            let off = check(Tree::base(), (KERNEL, word), driven);
            fails(off, &format!("`{word}` on the kernel's command line"));
        }
        let none = check(Tree::base(), ("CONFIG_HW_RANDOM=y\n", "x"), driven);
        fails(none, "`HW_RANDOM_OMAP` is `n` in the kernel");
        fails(check(Tree::base(), ("CONFIG_A=y\n", "x"), None), "`HW_RANDOM` is `n` in the kernel");
    }

    #[test]
    fn a_board_without_a_source_is_left_to_a_person() {
        let open = check(Tree::base(), (KERNEL, "x"), None).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert!(open.why.contains("board.yaml names no `random` source"), "{}", open.why);
    }
}
