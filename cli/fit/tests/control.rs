//! Control FDTs, keys and the U-Boot binary that carries them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{control, empty, options, other_key, private_key, signed, signer, trusted};
use fit::control_fdt::{
    Required, RequiredMode, any_required, candidates, find_control, find_trees, insert_key, insert_key_for,
    keys, remove_key, required_mode, set_required_mode,
};
use fit::fdt::Tree;
use fit::key::{Hash, Padding, PublicKey, hex};
use fit::sign::{RsaSigner, Signer};
use fit::verify::verify_with_control;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};

#[test]
fn a_key_node_that_does_not_add_up_is_refused() {
    let blob = control();
    let mut tree = Tree::parse(&blob).unwrap();
    tree.root.at_mut("/signature/key-dev").unwrap().set_cell("rsa,n0-inverse", 1);
    let text = keys(&tree.write().unwrap()).unwrap_err().to_string();
    assert!(text.contains("`rsa,n0-inverse` of the key node does not belong to its modulus"), "{text}");
}

#[test]
fn a_modulus_that_is_none_is_refused() {
    for modulus in [vec![], vec![0; 256], vec![1; 255], vec![0xff; 513], vec![2; 256]] {
        let blob = control();
        let mut tree = Tree::parse(&blob).unwrap();
        tree.root.at_mut("/signature/key-dev").unwrap().set("rsa,modulus", modulus);
        let text = keys(&tree.write().unwrap()).unwrap_err().to_string();
        assert!(text.starts_with("unusable key:"), "{text}");
    }
}

#[test]
fn keys_come_and_go_and_the_rest_of_the_tree_stays() {
    let other = RsaSigner::new(other_key().clone()).public_key();
    let algorithm = options(Padding::Pss).algorithm;
    let both = insert_key(&control(), "next", algorithm, &other).unwrap();
    let names = |blob: &[u8]| keys(blob).unwrap().into_iter().map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(names(&both), ["dev", "next"]);
    assert_eq!(names(&remove_key(&both, "dev").unwrap()), ["next"]);
    let text = remove_key(&both, "ghost").unwrap_err().to_string();
    assert!(text.contains("no key `ghost`"), "{text}");
    // The same key again replaces, and gives the same bytes.
    assert_eq!(insert_key(&both, "next", algorithm, &other).unwrap(), both);
    let text = insert_key(&empty(), "a/b", algorithm, &other).unwrap_err().to_string();
    assert!(text.contains("`a/b` is no name for a key"), "{text}");
}

#[test]
fn the_required_mode_is_written_and_obeyed() {
    let other = RsaSigner::new(other_key().clone()).public_key();
    let both = insert_key(&control(), "next", options(Padding::Pss).algorithm, &other).unwrap();
    assert_eq!(required_mode(&both).unwrap(), "all");
    let mut tree = Tree::parse(&both).unwrap();
    tree.root.child_mut("signature").unwrap().set_text("required-mode", "maybe");
    let text = any_required(&tree.write().unwrap()).unwrap_err().to_string();
    assert!(
        text.ends_with("`required-mode` of the control FDT is `maybe`: expected `all` or `any`"),
        "{text}"
    );
    assert!(!verify_with_control(&signed(Padding::Pss), &both).unwrap().ok);
    let any = set_required_mode(&both, RequiredMode::Any).unwrap();
    assert!(verify_with_control(&signed(Padding::Pss), &any).unwrap().ok);
    assert!(
        !verify_with_control(&signed(Padding::Pss), &set_required_mode(&any, RequiredMode::All).unwrap())
            .unwrap()
            .ok
    );
    let text = set_required_mode(&empty(), RequiredMode::Any).unwrap_err().to_string();
    assert!(text.contains("no `/signature`"), "{text}");
    let mut tree = Tree::parse(&both).unwrap();
    tree.root.child_mut("signature").unwrap().set_text("required-mode", "none");
    let text = verify_with_control(&signed(Padding::Pss), &tree.write().unwrap()).unwrap_err().to_string();
    assert!(text.contains("is `none`: expected `all` or `any`"), "{text}");
}

#[test]
fn a_control_tree_without_keys_verifies_nothing() {
    let report = verify_with_control(&signed(Padding::Pss), &empty()).unwrap();
    assert!(!report.ok && report.problems[0].code == "no-required-key");
}

#[test]
fn the_control_tree_of_a_binary_is_found_and_two_are_refused() {
    let tree = control();
    let mut binary = vec![0xd0, 0x0d, 0xfe, 0xed, 1, 2, 3, 4];
    binary.resize(4096, 0x55);
    assert!(find_control(&binary).unwrap_err().to_string().contains("no control FDT"));
    binary.extend_from_slice(&tree);
    assert_eq!(find_control(&binary).unwrap(), tree);
    binary.resize(binary.len() + 100, 0xff);
    assert_eq!(find_control(&binary).unwrap(), tree);
    let mut more = binary.clone();
    more.push(1);
    assert!(!candidates(&more)[0].ends_file);
    let text = find_control(&more).unwrap_err().to_string();
    assert!(text.contains("the device tree at 0x1000 of the U-Boot binary does not end it"), "{text}");
    binary.extend_from_slice(&tree);
    assert_eq!(find_trees(&binary).len(), 2);
    assert!(find_control(&binary).unwrap_err().to_string().contains("carries 2 device trees"));
}

#[test]
fn a_broken_control_tree_is_told_with_its_reason() {
    let mut binary = [vec![0x55; 64], control()].concat();
    let at = binary.windows(4).position(|w| w == b"rsa,").unwrap();
    binary[at] = 0;
    let text = find_control(&binary).unwrap_err().to_string();
    assert!(text.contains("at 0x40 of the U-Boot binary looks like a control FDT and is none"), "{text}");
    assert!(find_trees(&binary).is_empty());
}

#[test]
fn a_binary_full_of_headers_is_not_worked_through() {
    let header = empty()[..40].to_vec();
    let mut binary = header.repeat(20_000);
    binary.extend_from_slice(&[0x55; 4096]);
    assert!(candidates(&binary).len() <= 65);
    assert!(find_control(&binary).is_err());
}

#[test]
fn keys_go_through_pem_and_the_fingerprint_is_that_of_the_spki() {
    let pem = private_key().to_pkcs8_pem(LineEnding::LF).unwrap();
    let key = PublicKey::from_private_pem(&pem).unwrap();
    assert_eq!(key, PublicKey::from_pem(&key.to_pem().unwrap()).unwrap());
    assert_eq!(key, RsaSigner::from_pem(&pem).unwrap().public_key());
    let der = private_key().to_public_key().to_public_key_der().unwrap();
    assert_eq!(key.fingerprint().unwrap(), hex(&Hash::Sha256.digest(&[der.as_bytes()])));
    assert_eq!((key.bits(), key == trusted()[0].key, key == signer().public_key()), (2048, true, true));
    assert!(PublicKey::from_pem(&pem).unwrap_err().to_string().contains("expected a PEM public key"));
    let text = PublicKey::from_private_pem(&key.to_pem().unwrap()).unwrap_err().to_string();
    assert!(text.contains("expected a PEM private key"), "{text}");
}

/// Found by a reader: such a key was passed over, and U-Boot refuses what it did not sign.
#[test]
fn a_key_that_is_required_for_images_lets_nothing_pass_that_is_not_looked_at() {
    let other = RsaSigner::new(other_key().clone()).public_key();
    let algorithm = options(Padding::Pss).algorithm;
    let blob = signed(Padding::Pss);
    assert!(verify_with_control(&blob, &control()).unwrap().ok);
    for (required, refused) in [(Required::Images, true), (Required::Nothing, false)] {
        let both = insert_key_for(&control(), "img", algorithm, &other, required).unwrap();
        let report = verify_with_control(&blob, &both).unwrap();
        let codes: Vec<&str> = report.all_problems().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes.contains(&"required-for-images"), refused, "{codes:?}");
        assert_eq!(report.ok, !refused);
    }
}
