//! The board's device tree as U-Boot and Linux both get it: with memory that neither may use for anything else.

use std::borrow::Cow;

use diag::{ExitStatus, Failure, Outcome};
use fit::fdt::{Node, Tree};
use spec::plan::{CrashMemoryFacts, Plan};

use crate::event_log;

/// The board's device tree, with the memory that the plan reserves: for the log of measurements, and for a panicking kernel's last words.
///
/// # Errors
/// `device-tree` when it is none, or does not fit what the board's file says.
pub fn board_tree<'a>(plan: &Plan, board: &'a [u8]) -> Outcome<Cow<'a, [u8]>> {
    let (sealed, crash) = (&plan.storage.sealed, &plan.board.crash_memory);
    if sealed.is_none() && crash.is_none() {
        return Ok(Cow::Borrowed(board));
    }
    let mut tree = Tree::parse(board).map_err(|e| wrong("board", &e.to_string()))?;
    if let Some(sealed) = sealed {
        event_log::add(&mut tree.root, sealed).map_err(|why| wrong("measured_boot", &why))?;
    }
    if let Some(memory) = crash {
        add_crash_memory(&mut tree.root, memory).map_err(|why| wrong("crash_memory", &why))?;
    }
    tree.write().map(Cow::Owned).map_err(|e| wrong("board", &e.to_string()))
}

/// One record of the whole size, of panics and oopses, with 16 bytes that mend what memory forgets in a reset.
///
/// Source: Linux `Documentation/devicetree/bindings/reserved-memory/ramoops.yaml`, `fs/pstore/ram.c`.
fn add_crash_memory(root: &mut Node<'_>, facts: &CrashMemoryFacts) -> Result<(), String> {
    let size = u32::try_from(facts.bytes).map_err(|_| format!("{} bytes are too many", facts.bytes))?;
    let memory = reserved(root)?;
    let words = memory.child_or_new(&format!("ramoops@{:x}", facts.address));
    words.set_text("compatible", "ramoops");
    words.set("reg", [facts.address.to_be_bytes(), facts.bytes.to_be_bytes()].concat());
    words.set_cell("record-size", size);
    words.set_cell("ecc-size", 16);
    Ok(())
}

/// The node of reserved memory, whose addresses and sizes have two cells, as the root's have to.
pub(crate) fn reserved<'n, 'a>(root: &'n mut Node<'a>) -> Result<&'n mut Node<'a>, String> {
    if (root.cell("#address-cells"), root.cell("#size-cells")) != (Some(2), Some(2)) {
        return Err("expected addresses and sizes of two cells in its root, found others".to_owned());
    }
    let memory = root.child_or_new("reserved-memory");
    memory.set_cell("#address-cells", 2);
    memory.set_cell("#size-cells", 2);
    memory.set("ranges", Vec::new());
    Ok(memory)
}

fn wrong(key: &str, why: &str) -> Failure {
    let message = format!("the board's device tree cannot be given the memory that the plan reserves: {why}");
    let hint = match key {
        "board" => {
            "the board's device tree has to be a flattened one (Devicetree Specification, 5)".to_owned()
        }
        key => format!("`{key}` of the board must fit its device tree"),
    };
    Failure::error(ExitStatus::Build, "device-tree", message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan;
    use spec::plan::SealedPlan;

    fn with_crash_memory() -> Plan {
        let mut plan = plan();
        let limits = String::new();
        plan.board.crash_memory = Some(CrashMemoryFacts { address: 0x6000_0000, bytes: 1 << 18, limits });
        plan
    }

    fn sealed(mut plan: Plan) -> Plan {
        plan.storage.sealed = Some(SealedPlan {
            recovery: String::new(),
            event_log: 0x4900_0000,
            tpm_compatible: "tcg,tpm-tis-mmio".into(),
            limits: String::new(),
        });
        plan
    }

    fn board(cells: u32, tpm: &str) -> Vec<u8> {
        let mut root = Node::new("");
        root.set_cell("#address-cells", cells);
        root.set_cell("#size-cells", cells);
        root.child_or_new("intc").set_cell("phandle", 0x8002);
        root.child_or_new("bus").child_or_new("tpm@0").set_text("compatible", tpm);
        Tree { root, ..Tree::default() }.write().unwrap()
    }

    #[test]
    fn the_last_words_have_memory_of_their_own() {
        let blob = board(2, "none");
        let with = board_tree(&with_crash_memory(), &blob).unwrap();
        let tree = Tree::parse(&with).unwrap();
        let words = tree.root.at("/reserved-memory/ramoops@60000000").unwrap();
        assert_eq!(words.text("compatible"), Some("ramoops"));
        assert_eq!(words.get("reg"), Some(&[0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0][..]));
        assert_eq!((words.cell("record-size"), words.cell("ecc-size")), (Some(1 << 18), Some(16)));
        // The kernel may write there: it is reserved, and mapped.
        assert!(words.get("no-map").is_none());
        let memory = tree.root.at("/reserved-memory").unwrap();
        assert_eq!((memory.cell("#address-cells"), memory.get("ranges")), (Some(2), Some(&[][..])));
        // A plain product's tree stays what it is.
        assert!(matches!(board_tree(&plan(), &blob).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn both_memories_stand_side_by_side() {
        let blob = board(2, "tcg,tpm-tis-mmio");
        let with = board_tree(&sealed(with_crash_memory()), &blob).unwrap();
        let tree = Tree::parse(&with).unwrap();
        for node in ["event-log@49000000", "ramoops@60000000"] {
            assert!(tree.root.at(&format!("/reserved-memory/{node}")).is_some(), "{node}");
        }
    }

    #[test]
    fn a_tree_that_does_not_fit_is_refused() {
        for (plan, blob, expected, hint) in [
            (
                with_crash_memory(),
                board(1, "none"),
                "of two cells in its root",
                "`crash_memory` of the board",
            ),
            (
                sealed(plan()),
                board(2, "another"),
                "a node of the TPM, `tcg,tpm-tis-mmio`, found none",
                "`measured_boot` of the board",
            ),
            (
                with_crash_memory(),
                b"no tree".to_vec(),
                "the board's device tree cannot be given",
                "a flattened one",
            ),
        ] {
            let why = board_tree(&plan, &blob).unwrap_err();
            let text = format!("{why}\n{:?}", why.diagnostics);
            assert!(text.contains(expected) && text.contains(hint), "{text}");
            assert_eq!(why.status, ExitStatus::Build);
        }
    }
}
