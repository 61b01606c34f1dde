//! External data: moved out of the tree, and the places where it must not be.

#![allow(clippy::unwrap_used)]

mod common;

use common::{ignore, options, signed, signer, trusted, unsigned};
use fit::external::{Placement, externalise, internalised};
use fit::fdt::{Blocks, Node, Tree};
use fit::key::Padding;
use fit::sign::sign;
use fit::verify::{VerifyReport, verify};

fn report(blob: &[u8]) -> VerifyReport {
    verify(blob, &trusted(), false).unwrap()
}

#[test]
fn data_moves_out_before_and_after_signing_with_the_same_images() {
    let inside = signed(Padding::Pss);
    for (placement, align) in
        [(Placement::BehindTree, 4), (Placement::BehindTree, 4096), (Placement::At(8192), 512)]
    {
        let outside = externalise(&inside, placement, align).unwrap();
        let (a, b) = (report(&inside), report(&outside));
        assert!(b.ok, "{b:?}");
        assert_eq!(a.configurations, b.configurations);
        assert!(b.outside.contains(&"/images/fdt/data-size".to_owned()));
        assert_eq!(outside, externalise(&inside, placement, align).unwrap());
        // The partition's rest behind it does not matter.
        assert!(report(&[&outside[..], &[0xff; 100]].concat()).ok);
        assert!(!report(&outside[..outside.len() - 1]).ok);
    }
    let unsigned = externalise(&unsigned().write().unwrap(), Placement::BehindTree, 4).unwrap();
    let total = Blocks::open(&unsigned).unwrap().total();
    let resigned = sign(Tree::parse(&unsigned).unwrap(), &options(Padding::Pss), &signer()).unwrap();
    let mut whole = resigned;
    whole.resize(whole.len().next_multiple_of(4), 0);
    whole.extend_from_slice(&unsigned[total..]);
    assert!(report(&whole).ok);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let inside = signed(Padding::Pss);
    let refused =
        |blob: &[u8], placement, align| externalise(blob, placement, align).unwrap_err().to_string();
    assert!(refused(&inside, Placement::BehindTree, 3).contains("expected a power of two"));
    assert!(refused(&inside, Placement::At(64), 4).contains("cannot start at 64"));
    assert!(refused(&inside, Placement::At(1 << 31), 4).contains("past 2 GiB"));
    // Inside of the tree libfdt has the same bound. Pages of zeroes that nobody reads take no memory.
    let large = vec![0; 1 << 31];
    let mut tree = Tree::parse(&inside).unwrap();
    tree.root.at_mut("/images/kernel").unwrap().set("data", &large[..]);
    let text = tree.pieces().unwrap_err().to_string();
    assert!(text.contains("it is larger than 2 GiB, which U-Boot does not read"), "{text}");
    let outside = externalise(&inside, Placement::BehindTree, 4).unwrap();
    assert!(refused(&outside, Placement::BehindTree, 4).contains("has no data inside of the tree"));
}

/// Changes an image of a FIT with external data, and returns the codes of what is wrong.
fn codes(change: impl FnOnce(&mut Node<'_>)) -> Vec<String> {
    let blob = externalise(&signed(Padding::Pss), Placement::BehindTree, 4).unwrap();
    let total = Blocks::open(&blob).unwrap().total();
    let mut tree = Tree::parse(&blob).unwrap();
    change(tree.root.at_mut("/images/ramdisk").unwrap());
    let mut forged = tree.write().unwrap();
    forged.resize(forged.len().next_multiple_of(4), 0);
    forged.extend_from_slice(&blob[total..]);
    let report = report(&forged);
    assert!(!report.ok);
    report.all_problems().map(|p| p.code.clone()).collect()
}

#[test]
fn data_out_of_bounds_overlapping_or_ambiguous_is_refused() {
    let has = |codes: Vec<String>, code: &str| assert!(codes.iter().any(|c| c == code), "{code}: {codes:?}");
    has(codes(|n| n.set_cell("data-offset", u32::MAX)), "data-out-of-bounds");
    has(codes(|n| n.set_cell("data-size", u32::MAX)), "data-out-of-bounds");
    has(codes(|n| ignore(n.unset("data-size"))), "data-out-of-bounds");
    has(codes(|n| n.set("data-size", vec![1, 2, 3])), "data-out-of-bounds");
    has(codes(|n| n.set_cell("data-offset", 4)), "data-overlap");
    has(codes(|n| ignore((n.unset("data-offset"), n.set_cell("data-position", 0)))), "data-overlap");
    has(codes(|n| n.set_cell("data-position", 4096)), "ambiguous-data");
    has(codes(|n| n.set("data", b"evil".to_vec())), "ambiguous-data");
    has(codes(|n| ignore(n.unset("data-offset"))), "no-data");
    has(codes(|n| n.set_cell("data-size", 3)), "hash-mismatch");
}

#[test]
fn the_data_is_held_against_its_hashes_without_any_key() {
    use fit::verify::data_problems;
    let inside = unsigned().write().unwrap();
    assert_eq!(data_problems(&inside).unwrap(), []);
    for placement in [Placement::BehindTree, Placement::At(8192)] {
        let outside = externalise(&inside, placement, 512).unwrap();
        assert_eq!(data_problems(&outside).unwrap(), []);
        let last = outside.len() - 1;
        let cut = data_problems(&outside[..last]).unwrap();
        assert_eq!(cut.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), ["data-out-of-bounds"]);
        let mut changed = outside.clone();
        changed[last] ^= 1;
        let found = data_problems(&changed).unwrap();
        assert_eq!(found.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), ["hash-mismatch"]);
        assert!(found[0].message.contains("but its hash node says"), "{found:?}");
    }
    assert!(data_problems(b"none").is_err());
}

#[test]
fn data_moves_back_to_the_same_bytes_and_data_that_is_not_there_is_refused() {
    let inside = signed(Padding::Pss);
    assert_eq!(internalised(&inside).unwrap().write().unwrap(), inside);
    for placement in [Placement::BehindTree, Placement::At(8192)] {
        let outside = externalise(&inside, placement, 512).unwrap();
        let (back, whole) = (internalised(&outside).unwrap(), Tree::parse(&inside).unwrap());
        for image in ["kernel", "fdt", "ramdisk"] {
            let data = |tree: &Tree<'_>| {
                tree.root.at(&format!("/images/{image}")).unwrap().get("data").unwrap().to_vec()
            };
            assert_eq!(data(&back), data(&whole));
        }
        assert!(report(&back.write().unwrap()).ok);
        let text = internalised(&outside[..outside.len() - 1]).unwrap_err().to_string();
        assert!(text.contains("is not in the file: is it whole?"), "{text}");
        let mut tree = Tree::parse(&outside).unwrap();
        tree.root.at_mut("/images/kernel").unwrap().set("data", vec![1]);
        let text = internalised(&tree.write().unwrap()).unwrap_err().to_string();
        assert!(text.contains("two times where it is"), "{text}");
    }
}
