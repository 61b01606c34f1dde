//! The memory in which U-Boot leaves the log of its measurements, in the device tree that U-Boot and Linux both get.
//!
//! Linux looks for it by the TPM's `memory-region` (`drivers/char/tpm/eventlog/of.c`), U-Boot by `tpm_event_log_addr` and
//! `tpm_event_log_size` (`lib/tpm_tcg2.c`): it would take the region, too, but a 32-bit U-Boot reads addresses of one cell there
//! (`fdtdec_get_addr_size`), whatever the tree says.

use fit::fdt::Node;
use spec::plan::{EVENT_LOG_BYTES, SealedPlan};

use crate::board_tree::reserved;

/// Adds that memory, and points the TPM to it.
pub(crate) fn add(root: &mut Node<'_>, sealed: &SealedPlan) -> Result<(), String> {
    let handle = highest_phandle(root) + 1;
    let memory = reserved(root)?;
    let log = memory.child_or_new(&format!("event-log@{:x}", sealed.event_log));
    log.set("reg", [sealed.event_log.to_be_bytes(), EVENT_LOG_BYTES.to_be_bytes()].concat());
    log.set("no-map", Vec::new());
    log.set_cell("phandle", handle);
    let tpm = find(root, &sealed.tpm_compatible)
        .ok_or_else(|| format!("expected a node of the TPM, `{}`, found none", sealed.tpm_compatible))?;
    tpm.set_cell("memory-region", handle);
    tpm.set("tpm_event_log_addr", sealed.event_log.to_be_bytes().to_vec());
    tpm.set("tpm_event_log_size", EVENT_LOG_BYTES.to_be_bytes().to_vec());
    Ok(())
}

/// `0xffffffff` is no handle (Devicetree Specification 0.4, 2.3.3), and trees have few.
fn highest_phandle(node: &Node<'_>) -> u32 {
    let own = node.cell("phandle").filter(|handle| *handle < u32::MAX - 1).unwrap_or(0);
    node.children.iter().map(highest_phandle).fold(own, u32::max)
}

fn find<'n, 'a>(node: &'n mut Node<'a>, compatible: &str) -> Option<&'n mut Node<'a>> {
    if node.texts("compatible").is_some_and(|texts| texts.contains(&compatible)) {
        return Some(node);
    }
    node.children.iter_mut().find_map(|child| find(child, compatible))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fit::fdt::Tree;

    fn sealed() -> SealedPlan {
        SealedPlan {
            recovery: String::new(),
            event_log: 0x4900_0000,
            tpm_compatible: "tcg,tpm-tis-mmio".into(),
            limits: String::new(),
        }
    }

    fn board(compatible: &str) -> Node<'static> {
        let mut root = Node::new("");
        root.set_cell("#address-cells", 2);
        root.set_cell("#size-cells", 2);
        root.child_or_new("intc").set_cell("phandle", 0x8002);
        root.child_or_new("bus").child_or_new("tpm@0").set_text("compatible", compatible);
        root
    }

    #[test]
    fn the_tpm_points_to_memory_of_its_own() {
        let mut root = board("tcg,tpm-tis-mmio");
        add(&mut root, &sealed()).unwrap();
        let blob = Tree { root, ..Tree::default() }.write().unwrap();
        let tree = Tree::parse(&blob).unwrap();
        let log = tree.root.at("/reserved-memory/event-log@49000000").unwrap();
        assert_eq!(log.get("reg"), Some(&[0, 0, 0, 0, 0x49, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0][..]));
        assert_eq!(log.cell("phandle"), Some(0x8003));
        let tpm = tree.root.at("/bus/tpm@0").unwrap();
        assert_eq!(tpm.cell("memory-region"), Some(0x8003));
        assert_eq!(tpm.get("tpm_event_log_addr"), Some(&[0, 0, 0, 0, 0x49, 0, 0, 0][..]));
        assert_eq!(tpm.get("tpm_event_log_size"), Some(&[0, 0, 0, 0, 0, 1, 0, 0][..]));
    }

    #[test]
    fn a_tree_without_that_tpm_is_refused() {
        let why = add(&mut board("another"), &sealed()).unwrap_err();
        assert!(why.contains("a node of the TPM, `tcg,tpm-tis-mmio`, found none"), "{why}");
    }
}
