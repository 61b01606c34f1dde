//! The reader and writer of trees against other readers: the `fdt` crate, and what `dtc` compiles.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::borrow::Cow;
use std::process::Command;

use common::{control, image, options, signed, signer, trusted, unsigned};
use fit::build::{Configuration, FitSpec, build};
use fit::fdt::{Node, Tree};
use fit::key::{Hash, Padding};
use fit::sign::{sign, sign_tree};
use fit::verify::verify;

/// The same nodes, properties and values, in the same order.
fn assert_same(ours: &Node<'_>, theirs: ::fdt::node::FdtNode<'_, '_>) {
    let properties: Vec<(&str, &[u8])> = theirs.properties().map(|p| (p.name, p.value)).collect();
    let own: Vec<(&str, &[u8])> = ours.properties.iter().map(|(n, v)| (n.as_str(), v.as_ref())).collect();
    assert_eq!(own, properties, "{}", ours.name);
    let children: Vec<_> = theirs.children().collect();
    assert_eq!(ours.children.len(), children.len(), "{}", ours.name);
    for (own, theirs) in ours.children.iter().zip(children) {
        assert_eq!(own.name, theirs.name);
        assert_same(own, theirs);
    }
}

#[test]
fn the_fdt_crate_reads_the_same() {
    for blob in [signed(Padding::Pss), control(), unsigned().write().unwrap()] {
        let theirs = ::fdt::Fdt::new(&blob).unwrap();
        assert_same(&Tree::parse(&blob).unwrap().root, theirs.find_node("/").unwrap());
    }
}

#[test]
fn what_dtc_compiles_is_read_and_written_again() {
    if Command::new("dtc").arg("-v").output().is_err() {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`dtc` is required");
        eprintln!("SKIPPED: `dtc` is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = "/dts-v1/; /memreserve/ 0x1000 0x2000; / { #address-cells = <2>; compatible = \"a,b\", \"c\"; empty; odd = [01 02 03]; a: node@1000 { reg = <0 0x1000>; deep { x = <1>; }; }; other { ref = <&a>; }; };";
    std::fs::write(folder.path().join("x.dts"), source).unwrap();
    let status = Command::new("dtc")
        .args(["-q", "-S", "4096", "-o", "x.dtb", "x.dts"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    let blob = std::fs::read(folder.path().join("x.dtb")).unwrap();
    assert_eq!(blob.len(), 4096);
    let tree = Tree::parse_unique(&blob).unwrap();
    assert_eq!(tree.reserved, [(0x1000, 0x2000)]);
    assert_eq!(tree.root.texts("compatible").unwrap(), ["a,b", "c"]);
    assert_same(&tree.root, ::fdt::Fdt::new(&blob).unwrap().find_node("/").unwrap());
    let again = tree.write().unwrap();
    let back = Tree::parse(&again).unwrap();
    assert_eq!(back, tree);
    assert_same(&back.root, ::fdt::Fdt::new(&again).unwrap().find_node("/").unwrap());
}

#[test]
fn large_data_that_is_not_copied_gives_the_same_bytes() {
    // A size that needs filling up to the alignment, twice, so that places behind both move.
    let (kernel, ramdisk) = (vec![0x5a; 100_003], vec![0xa5; 70_001]);
    let mut images = vec![
        image("kernel", "kernel", b"-"),
        image("fdt", "flat_dt", b"-"),
        image("ramdisk", "ramdisk", b"-"),
    ];
    images[0].data = Cow::Borrowed(&kernel);
    images[2].data = Cow::Borrowed(&ramdisk);
    let mut tree = build(FitSpec {
        description: "large".into(),
        timestamp: 7,
        hash: Hash::Sha512,
        images,
        configurations: vec![Configuration {
            name: "conf".into(),
            description: "c".into(),
            compatible: None,
            loads: ["kernel", "fdt", "ramdisk"].map(|role| (role.to_owned(), vec![role.to_owned()])).to_vec(),
        }],
        default: Some("conf".into()),
    })
    .unwrap();
    let options = options(Padding::Pkcs1v15);
    let whole = sign(tree.clone(), &options, &signer()).unwrap();
    let mut written = Vec::new();
    sign_tree(&mut tree, &[(&options, &signer())]).unwrap();
    let pieces = tree.pieces().unwrap();
    pieces.write_to(&mut written).unwrap();
    assert_eq!((pieces.len(), &written), (whole.len(), &whole));
    let report = verify(&whole, &trusted(), false).unwrap();
    assert!(report.ok, "{report:?}");
    let back = Tree::parse(&whole).unwrap();
    assert_eq!(back.root.at("/images/ramdisk").unwrap().get("data").unwrap(), ramdisk);
    assert_same(&back.root, ::fdt::Fdt::new(&whole).unwrap().find_node("/").unwrap());
    assert_eq!(back.write().unwrap(), whole);
}
