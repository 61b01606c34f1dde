//! Forged FITs, each with the reason for which it must be refused.

#![allow(clippy::unwrap_used)]

mod common;

use common::{control, options, private_key, signed, trusted, unsigned};
use fit::control_fdt::{find_control, find_trees, insert_key, keys};
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Hash, Padding};
use fit::sign::{RsaSigner, Signer, sign};
use fit::verify::verify;

/// Changes a signed FIT and returns the codes of what is wrong with it.
fn codes(change: impl FnOnce(&mut Tree<'_>)) -> Vec<String> {
    let blob = signed(Padding::Pss);
    let mut tree = Tree::parse(&blob).unwrap();
    change(&mut tree);
    let blob = tree.write().unwrap();
    let report = verify(&blob, &trusted(), false).unwrap();
    assert!(!report.ok, "the forgery verified");
    report.all_problems().map(|p| p.code.clone()).collect()
}

fn has(codes: &[String], code: &str) {
    assert!(codes.iter().any(|c| c == code), "expected `{code}` among {codes:?}");
}

#[test]
fn what_was_signed_verifies_with_both_paddings() {
    for padding in [Padding::Pss, Padding::Pkcs1v15] {
        let report = verify(&signed(padding), &trusted(), false).unwrap();
        assert!(report.ok, "{report:?}");
        assert_eq!(report.configurations[0].signed_by, ["dev"]);
        assert_eq!(report.configurations[0].images.len(), 3);
        assert!(report.uncovered.is_empty());
    }
}

#[test]
fn every_hash_and_padding_signs_and_verifies() {
    let signer = RsaSigner::new(private_key().clone());
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for padding in [Padding::Pss, Padding::Pkcs1v15] {
            let mut options = options(padding);
            options.algorithm = Algorithm { hash, bits: 2048 };
            let blob = sign(unsigned(), &options, &signer).unwrap();
            let empty = Tree { root: Node::new(""), ..Tree::default() }.write().unwrap();
            let control = insert_key(&empty, "dev", options.algorithm, &signer.public_key()).unwrap();
            assert!(verify(&blob, &keys(&control).unwrap(), false).unwrap().ok);
        }
    }
}

#[test]
fn signing_twice_gives_the_same_bytes() {
    assert_eq!(signed(Padding::Pss), signed(Padding::Pss));
}

#[test]
fn changed_data_is_refused() {
    for image in ["kernel", "fdt", "ramdisk"] {
        has(
            &codes(|t| t.root.at_mut(&format!("/images/{image}")).unwrap().set("data", b"evil".to_vec())),
            "hash-mismatch",
        );
    }
}

#[test]
fn changed_data_with_a_matching_hash_is_refused() {
    let found = codes(|t| {
        let image = t.root.at_mut("/images/kernel").unwrap();
        image.set("data", b"evil".to_vec());
        image.child_mut("hash-1").unwrap().set("value", Hash::Sha256.digest(&[b"evil"]));
    });
    has(&found, "bad-signature");
}

#[test]
fn a_cloned_configuration_is_refused() {
    let found = codes(|t| {
        let mut copy = t.root.at("/configurations/conf").unwrap().clone();
        copy.name = "evil".into();
        copy.set_text("kernel", "ramdisk");
        let configurations = t.root.at_mut("/configurations").unwrap();
        configurations.children.push(copy);
        configurations.set_text("default", "evil");
    });
    has(&found, "hashed-nodes");
}

#[test]
fn a_clone_that_lists_its_own_nodes_is_refused() {
    let found = codes(|t| {
        let mut copy = t.root.at("/configurations/conf").unwrap().clone();
        copy.name = "evil".into();
        let nodes: Vec<String> = copy
            .child("signature-1")
            .unwrap()
            .texts("hashed-nodes")
            .unwrap()
            .into_iter()
            .map(|n| n.replace("/configurations/conf", "/configurations/evil"))
            .collect();
        copy.child_mut("signature-1")
            .unwrap()
            .set_texts("hashed-nodes", &nodes.iter().map(String::as_str).collect::<Vec<_>>());
        t.root.at_mut("/configurations").unwrap().children.push(copy);
    });
    has(&found, "bad-signature");
}

#[test]
fn a_signature_that_covers_fewer_nodes_is_refused() {
    has(
        &codes(|t| {
            t.root
                .at_mut("/configurations/conf/signature-1")
                .unwrap()
                .set_texts("hashed-nodes", &["/", "/configurations/conf"])
        }),
        "hashed-nodes",
    );
}

#[test]
fn an_omitted_hash_is_refused() {
    let found = codes(|t| t.root.at_mut("/images/ramdisk").unwrap().children.clear());
    has(&found, "no-hash");
}

#[test]
fn an_unsigned_configuration_is_refused() {
    has(&codes(|t| t.root.at_mut("/configurations/conf").unwrap().children.clear()), "unsigned");
    has(
        &codes(|t| {
            t.root.at_mut("/configurations/conf/signature-1").unwrap().unset("value");
        }),
        "no-value",
    );
}

#[test]
fn unit_addresses_and_doubled_names_are_refused() {
    has(
        &codes(|t| {
            let mut copy = t.root.at("/images/kernel").unwrap().clone();
            copy.name = "kernel@1".into();
            t.root.at_mut("/images").unwrap().children.push(copy);
        }),
        "unit-address",
    );
    has(
        &codes(|t| {
            let copy = t.root.at("/images/kernel").unwrap().clone();
            t.root.at_mut("/images").unwrap().children.push(copy);
        }),
        "duplicate-node",
    );
    has(
        &codes(|t| {
            t.root
                .at_mut("/configurations")
                .unwrap()
                .properties
                .push(("default".into(), b"evil\0".to_vec().into()));
        }),
        "duplicate-property",
    );
}

#[test]
fn an_image_that_nothing_covers_is_named() {
    let blob = signed(Padding::Pss);
    let mut tree = Tree::parse(&blob).unwrap();
    let mut copy = tree.root.at("/images/kernel").unwrap().clone();
    copy.name = "extra".into();
    tree.root.at_mut("/images").unwrap().children.push(copy);
    let report = verify(&tree.write().unwrap(), &trusted(), false).unwrap();
    assert_eq!(report.uncovered, ["/images/extra"]);
}

#[test]
fn weak_hashes_and_other_algorithms_are_refused() {
    has(&codes(|t| t.root.at_mut("/images/kernel/hash-1").unwrap().set_text("algo", "sha1")), "weak-hash");
    has(
        &codes(|t| {
            t.root.at_mut("/configurations/conf/signature-1").unwrap().set_text("algo", "sha512,rsa2048")
        }),
        "algorithm-mismatch",
    );
    has(
        &codes(|t| {
            t.root.at_mut("/configurations/conf/signature-1").unwrap().set_text("padding", "pkcs-1.5")
        }),
        "bad-signature",
    );
}

#[test]
fn another_key_is_refused_and_no_required_key_verifies_nothing() {
    let other = RsaSigner::new(rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap());
    let blob = sign(unsigned(), &options(Padding::Pss), &other).unwrap();
    let report = verify(&blob, &trusted(), false).unwrap();
    assert_eq!(report.configurations[0].problems[0].code, "bad-signature");
    let mut keys = trusted();
    keys[0].required = Some("image".into());
    let report = verify(&signed(Padding::Pss), &keys, false).unwrap();
    assert!(!report.ok && report.problems[0].code == "no-required-key");
    assert!(!verify(&signed(Padding::Pss), &[], false).unwrap().ok);
}

#[test]
fn rotation_accepts_any_of_two_and_all_needs_both() {
    let other = RsaSigner::new(rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap());
    let both = insert_key(&control(), "next", options(Padding::Pss).algorithm, &other.public_key()).unwrap();
    let both = keys(&both).unwrap();
    assert_eq!(both.len(), 2);
    assert!(verify(&signed(Padding::Pss), &both, true).unwrap().ok);
    assert!(!verify(&signed(Padding::Pss), &both, false).unwrap().ok);
}

#[test]
fn a_key_node_that_does_not_add_up_is_refused() {
    let blob = control();
    let mut tree = Tree::parse(&blob).unwrap();
    tree.root.at_mut("/signature/key-dev").unwrap().set_cell("rsa,n0-inverse", 1);
    let text = keys(&tree.write().unwrap()).unwrap_err().to_string();
    assert!(text.contains("`rsa,n0-inverse` of the key node does not belong to its modulus"), "{text}");
}

#[test]
fn the_wrong_size_of_key_is_refused_when_signing() {
    let mut options = options(Padding::Pss);
    options.algorithm.bits = 3072;
    let text = sign(unsigned(), &options, &RsaSigner::new(private_key().clone())).unwrap_err().to_string();
    assert!(text.contains("needs a key of 3072 bits, but `dev` has 2048"), "{text}");
}

#[test]
fn the_control_tree_of_a_binary_is_found_and_two_are_refused() {
    let tree = control();
    let mut binary = vec![0xd0, 0x0d, 0xfe, 0xed, 1, 2, 3, 4];
    binary.resize(4096, 0);
    assert!(find_control(&binary).unwrap_err().to_string().contains("no control FDT"));
    binary.extend_from_slice(&tree);
    binary.resize(binary.len() + 100, 0xff);
    assert_eq!(find_control(&binary).unwrap(), tree);
    binary.extend_from_slice(&tree);
    assert_eq!(find_trees(&binary).len(), 2);
    assert!(find_control(&binary).unwrap_err().to_string().contains("carries 2 device trees"));
}
