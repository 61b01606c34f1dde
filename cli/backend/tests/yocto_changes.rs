//! What a change of the product changes in the layers: BitBake reruns the recipes whose files differ, and no other.

mod plans;

use std::collections::BTreeSet;

use backend::yocto::{Tree, tree_of, tree_of_boards};
use plans::{changed, plan_for};

/// Paths whose content differs, or which one of both has alone.
fn differing(one: &Tree, other: &Tree) -> BTreeSet<String> {
    let paths = one.nodes().keys().chain(other.nodes().keys());
    paths.filter(|path| one.nodes().get(*path) != other.nodes().get(*path)).cloned().collect()
}

#[test]
fn another_firewall_rule_is_another_file_of_the_firewall_and_of_the_guide_alone() {
    let folder = "meta-cell-gateway-distro/recipes-config/cell-gateway-config-";
    let expected = BTreeSet::from([
        format!("{folder}firewall/files/rootfs/etc/nftables.conf"),
        format!("{folder}guide/files/rootfs/usr/share/fastness/security-guide.txt"),
    ]);
    for series in ["wrynose", "scarthgap"] {
        let before = tree_of(&plan_for("cell-gateway", "qemu-aarch64", series)).expect("a tree");
        for change in [
            ("    rate: 6/minute\n", "    rate: 7/minute\n"),
            ("    peers: [198.51.100.0/28]\n", "    peers: [198.51.100.8/29]\n"),
        ] {
            let after = tree_of(&changed("cell-gateway", "qemu-aarch64", series, change)).expect("a tree");
            assert_eq!(differing(&before, &after), expected, "{series}: {change:?}");
        }
    }
}

#[test]
fn a_change_of_the_guides_words_alone_reaches_no_other_recipe() {
    let before = tree_of(&plan_for("cell-gateway", "qemu-aarch64", "wrynose")).expect("a tree");
    let other = ("The cabinet is locked, and", "The cabinet is bolted, and");
    let after = tree_of(&changed("cell-gateway", "qemu-aarch64", "wrynose", other)).expect("a tree");
    let guide = "meta-cell-gateway-distro/recipes-config/cell-gateway-config-guide/files/rootfs/usr/share/fastness/security-guide.txt";
    assert_eq!(differing(&before, &after), BTreeSet::from([guide.to_owned()]));
}

/// The guide names the board: of a build of several it is each board's, and the self-check stays for all.
#[test]
fn of_several_boards_the_guide_alone_is_each_boards() {
    let boards = ["qemu-aarch64", "qemu-arm"];
    let before = boards.map(|board| plan_for("cell-gateway", board, "wrynose"));
    let rate = ("    rate: 6/minute\n", "    rate: 7/minute\n");
    let after = boards.map(|board| changed("cell-gateway", board, "wrynose", rate));
    let trees =
        [before, after].map(|plans| tree_of_boards(&plans).unwrap_or_else(|failure| panic!("{failure}")));
    let folder = "meta-cell-gateway-distro/recipes-config/cell-gateway-config-";
    let guide = "rootfs/usr/share/fastness/security-guide.txt";
    let mut expected: BTreeSet<String> =
        boards.iter().map(|board| format!("{folder}guide/files/cell-gateway-{board}/{guide}")).collect();
    expected.insert(format!("{folder}firewall/files/rootfs/etc/nftables.conf"));
    assert_eq!(differing(&trees[0], &trees[1]), expected);
    let selfcheck =
        plans::text(&trees[0], &format!("{folder}selfcheck/cell-gateway-config-selfcheck_1.0.0.bb"));
    assert!(selfcheck.contains("inherit allarch"), "{selfcheck}");
}
