//! Signing and verifying: every algorithm, and by whose keys a FIT verifies.

#![allow(clippy::unwrap_used)]

mod common;

use common::{control, empty, options, other_key, private_key, signed, signer, trusted, unsigned};
use fit::control_fdt::{KeyNode, insert_key, keys};
use fit::fdt::Tree;
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{RsaSigner, Signer, sign, sign_all};
use fit::verify::verify;
use rsa::RsaPrivateKey;

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

/// Every hash with both paddings: signed, verified, and no longer once a byte of the kernel or the signature is another one.
fn every_hash_and_padding(key: KeyType, private: RsaPrivateKey) {
    let signer = RsaSigner::new(private);
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for padding in [Padding::Pss, Padding::Pkcs1v15] {
            let mut options = options(padding);
            options.algorithm = Algorithm { hash, key };
            let blob = sign(unsigned(), &options, &signer).unwrap();
            let control = insert_key(&empty(), "dev", options.algorithm, &signer.public_key()).unwrap();
            let trusted = keys(&control).unwrap();
            let report = verify(&blob, &trusted, false).unwrap();
            assert!(report.ok, "{report:?}");
            let said = format!("{} {}", options.algorithm.name(), padding.name());
            assert_eq!(report.configurations[0].algo, [said.as_str()]);
            let mut tree = Tree::parse(&blob).unwrap();
            let signature = tree.root.at_mut("/configurations/conf/signature-1").unwrap();
            let mut value = signature.get("value").unwrap().to_vec();
            assert_eq!(value.len(), key.bits() / 8, "{said}");
            value[key.bits() / 16] ^= 1;
            signature.set("value", value);
            let report = verify(&tree.write().unwrap(), &trusted, false).unwrap();
            assert_eq!(report.configurations[0].problems[0].code, "bad-signature", "{said}");
            // The same signature for another hash, padding or size of key is none.
            let other = if padding == Padding::Pss { Padding::Pkcs1v15 } else { Padding::Pss };
            let mut tree = Tree::parse(&blob).unwrap();
            tree.root.at_mut("/configurations/conf/signature-1").unwrap().set_text("padding", other.name());
            assert!(!verify(&tree.write().unwrap(), &trusted, false).unwrap().ok, "{said}");
        }
    }
}

#[test]
fn every_hash_and_padding_signs_and_verifies_with_rsa_2048() {
    every_hash_and_padding(KeyType::Rsa2048, private_key().clone());
}

#[test]
fn every_hash_and_padding_signs_and_verifies_with_rsa_3072() {
    every_hash_and_padding(KeyType::Rsa3072, RsaPrivateKey::new(&mut rand_core::OsRng, 3072).unwrap());
}

#[test]
fn every_hash_and_padding_signs_and_verifies_with_rsa_4096() {
    every_hash_and_padding(KeyType::Rsa4096, RsaPrivateKey::new(&mut rand_core::OsRng, 4096).unwrap());
}

#[test]
fn signing_twice_gives_the_same_bytes() {
    assert_eq!(signed(Padding::Pss), signed(Padding::Pss));
}

#[test]
fn another_key_is_refused_and_no_required_key_verifies_nothing() {
    let other = RsaSigner::new(other_key().clone());
    let blob = sign(unsigned(), &options(Padding::Pss), &other).unwrap();
    let report = verify(&blob, &trusted(), false).unwrap();
    assert_eq!(report.configurations[0].problems[0].code, "bad-signature");
    assert_eq!(report.configurations[0].problems[1].code, "missing-signature");
    let mut keys = trusted();
    keys[0].required = Some("image".into());
    let report = verify(&signed(Padding::Pss), &keys, false).unwrap();
    assert!(!report.ok && report.problems[0].code == "no-required-key");
    let report = verify(&signed(Padding::Pss), &[], false).unwrap();
    // No word of a required key without a name.
    let said: Vec<_> = report.all_problems().map(|one| one.code.as_str()).collect();
    let images = ["uncovered-image"; 3];
    assert_eq!(said, [&["no-required-key"], &images[..], &["unknown-key"]].concat());
}

#[test]
fn a_number_in_a_configuration_is_signed_and_verified_as_mkimage_would() {
    // Two numbers, one of them with bytes that end as text does, and nothing at all.
    let with = |name: &str, value: &[u8]| {
        let mut tree = unsigned();
        tree.root.at_mut("/configurations/conf").unwrap().set(name, value.to_vec());
        tree
    };
    for value in [&[0, 0, 0, 7][..], &[0, 0, 7, 0], &[]] {
        let tree = with("board-id", value);
        let described = fit::its::finish(&tree.write().unwrap(), 7).unwrap();
        let blob = sign(Tree::parse(&described).unwrap(), &options(Padding::Pss), &signer()).unwrap();
        assert!(verify(&blob, &trusted(), false).unwrap().ok, "{value:?}");
        // It is covered with the configuration's own node.
        let mut forged = Tree::parse(&blob).unwrap();
        forged.root.at_mut("/configurations/conf").unwrap().set("board-id", vec![0, 0, 0, 8]);
        let report = verify(&forged.write().unwrap(), &trusted(), false).unwrap();
        assert_eq!(report.configurations[0].problems[0].code, "bad-signature", "{value:?}");
    }
    // Text names images; what holds the name of one is no number. Building says what signing says.
    for (name, value, expected) in [
        ("board", &b"cell\0"[..], "refers to the image `cell`, which is not there"),
        ("fdt", &[0, 0, 0, 7], "`fdt` of the configuration `conf` is no list of images"),
        ("board-id", b"kernel\0\0", "`board-id` of the configuration `conf` is no list of images"),
    ] {
        let tree = with(name, value);
        let built = fit::its::finish(&tree.write().unwrap(), 7).unwrap_err().to_string();
        assert!(built.contains(expected), "{built}");
        let signed = sign(tree, &options(Padding::Pss), &signer()).unwrap_err().to_string();
        assert_eq!(built, signed);
    }
}

#[test]
fn rotation_accepts_any_of_two_and_all_needs_both() {
    let other = RsaSigner::new(other_key().clone());
    let both = insert_key(&control(), "next", options(Padding::Pss).algorithm, &other.public_key()).unwrap();
    let both = keys(&both).unwrap();
    assert_eq!(both.len(), 2);
    assert!(verify(&signed(Padding::Pss), &both, true).unwrap().ok);
    assert!(!verify(&signed(Padding::Pss), &both, false).unwrap().ok);
}

#[test]
fn the_wrong_size_of_key_is_refused_when_signing() {
    let mut options = options(Padding::Pss);
    options.algorithm.key = KeyType::Rsa3072;
    let text = sign(unsigned(), &options, &RsaSigner::new(private_key().clone())).unwrap_err().to_string();
    assert!(text.contains("needs a key of the kind rsa3072, but `dev` is rsa2048"), "{text}");
}

#[test]
fn with_two_signatures_each_key_verifies_alone_and_both_together() {
    let other = RsaSigner::new(other_key().clone());
    let (first, mut second) = (options(Padding::Pss), options(Padding::Pkcs1v15));
    second.key_name = "next".into();
    second.node = "signature-2".into();
    let blob = sign_all(unsigned(), &[(&first, &signer()), (&second, &other)]).unwrap();
    let dev = trusted();
    let next = vec![KeyNode::required("next", second.algorithm, other.public_key())];
    let both = [&dev[..], &next[..]].concat();
    for (keys, warnings) in [(&dev, 1), (&next, 1), (&both, 0)] {
        let report = verify(&blob, keys, false).unwrap();
        assert!(report.ok, "{report:?}");
        // The key that is not trusted here is told of.
        assert_eq!(report.warnings.len(), warnings);
    }
    assert_eq!(verify(&blob, &both, false).unwrap().configurations[0].signed_by, ["dev", "next"]);
    second.node = first.node.clone();
    let text = sign_all(unsigned(), &[(&first, &signer()), (&second, &other)]).unwrap_err().to_string();
    assert!(text.contains("two signatures share the node name `signature-1`"), "{text}");
}
