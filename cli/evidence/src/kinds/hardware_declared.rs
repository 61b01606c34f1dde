//! `hardware-declared`: the board says what no image can show of its hardware.

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct HardwareDeclared;

impl Kind for HardwareDeclared {
    const NAME: &'static str = "hardware-declared";
    const DESCRIPTION: &'static str = "the board says its root of trust, what is set for good in the hardware, its debug ports and what \
                                       becomes of an opened case; what it does not say is for the operator";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let board = &context.plan()?.board;
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        // An emulated board has nothing to burn: its root of trust says what stands for it.
        let set_for_good = board.trust.is_some() || board.qemu.is_some();
        let parts = [
            ("root_of_trust", !board.root_of_trust.trim().is_empty()),
            ("trust", set_for_good),
            ("debug_ports", given(&board.debug_ports)),
            ("tamper", given(&board.tamper)),
        ];
        let missing: Vec<&str> = parts.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(Unable::for_the_operator(format!(
                "boards/{}/board.yaml does not say {}",
                board.name,
                missing.join(", ")
            )));
        }
        let text = board.root_of_trust_text();
        let seen = format!("{}: root of trust, what is set for good, debug ports, tamper", board.name);
        Ok(Conclusion::of(&[], "the hardware is declared", seen, &record::sha256_hex(text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::json;

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(ports: Option<&str>) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.board.debug_ports = ports.map(str::to_owned);
        plan.board.tamper = Some("a case without a switch".to_owned());
        run_on("hardware-declared", json!({}), &Subject::of_root(Tree::base().root()), Some(&plan))
    }

    #[test]
    fn pass() {
        assert!(passes(check(Some("JTAG is closed by a fuse"))).contains("debug ports, tamper"));
    }

    #[test]
    fn what_the_board_does_not_say_is_left_to_a_person() {
        for ports in [None, Some(" ")] {
            let open = check(ports).unwrap_err();
            assert_eq!(open.verdict, Verdict::NeedsOperator);
            assert!(open.why.ends_with("/board.yaml does not say debug_ports"), "{}", open.why);
        }
    }
}
