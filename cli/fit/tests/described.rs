//! Signatures that the FIT describes itself: each by its own key, and an image's own over its data alone.

#![allow(clippy::unwrap_used)]

mod common;

use common::{empty, image, other_key, private_key, signer};
use fit::build::{Configuration, FitSpec, build};
use fit::control_fdt::{KeyNode, Required, insert_key_for, keys};
use fit::fdt::Tree;
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{Part, RsaSigner, SignOptions, Signer, described, sign_described};
use fit::verify::verify;

const ALGORITHM: Algorithm = Algorithm { hash: Hash::Sha256, key: KeyType::Rsa2048 };

/// Two configurations, each with a signature that is to be made by a key of its own; an image that is to be signed alone.
fn tree() -> Tree<'static> {
    let configuration = |name: &str, kernel: &str| Configuration {
        name: name.into(),
        description: name.into(),
        compatible: Some(format!("maker,{name}").into()),
        loads: vec![("kernel".into(), vec![kernel.into()])],
    };
    let mut tree = build(FitSpec {
        description: "x".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images: vec![image("k1", "kernel", b"one"), image("k2", "kernel", b"two")],
        configurations: vec![configuration("first", "k1"), configuration("second", "k2")],
        default: Some("first".into()),
    })
    .unwrap();
    for (path, key) in
        [("/configurations/first", "dev"), ("/configurations/second", "prod"), ("/images/k2", "dev")]
    {
        let node = tree.root.at_mut(path).unwrap().child_or_new("signature");
        node.set_text("algo", "sha256,rsa2048");
        node.set_text("key-name-hint", key);
    }
    tree
}

fn options(key_name: &str) -> SignOptions {
    SignOptions {
        key_name: key_name.into(),
        algorithm: ALGORITHM,
        padding: Padding::Pkcs1v15,
        timestamp: 7,
        node: "signature".into(),
    }
}

fn trusted(name: &str, signer: &dyn Signer) -> KeyNode {
    KeyNode::required(name, ALGORITHM, signer.public_key())
}

#[test]
fn each_configuration_is_signed_by_the_key_of_its_hint() {
    let (dev, prod) = (signer(), RsaSigner::new(other_key().clone()));
    let found = described(&tree()).unwrap();
    let parts: Vec<(&Part, &str)> = found.iter().map(|one| (&one.part, one.key_name.as_str())).collect();
    let expected = [
        (Part::Image("k2".into()), "dev"),
        (Part::Configuration("first".into()), "dev"),
        (Part::Configuration("second".into()), "prod"),
    ];
    assert_eq!(parts, expected.iter().map(|(part, key)| (part, *key)).collect::<Vec<_>>());
    assert_eq!((found[1].algorithm, found[1].padding), (Some(ALGORITHM), Padding::Pkcs1v15));
    let signatures: Vec<(Part, SignOptions, &dyn Signer)> = found
        .iter()
        .map(|one| {
            let key: &dyn Signer = if one.key_name == "dev" { &dev } else { &prod };
            (one.part.clone(), options(&one.key_name), key)
        })
        .collect();
    let mut fit = tree();
    sign_described(&mut fit, &signatures).unwrap();
    let fit = fit.write().unwrap();
    for (name, key, other) in
        [("first", trusted("dev", &dev), "second"), ("second", trusted("prod", &prod), "first")]
    {
        let report = verify(&fit, &[key], false).unwrap();
        let problems = |name: &str| {
            report.configurations.iter().find(|found| found.name == name).unwrap().problems.len()
        };
        assert_eq!(problems(name), 0, "{name}: {report:?}");
        assert_ne!(problems(other), 0, "{other} is signed by the other key");
    }
    // The image's own signature is over its data and nothing else.
    let signed = Tree::parse(&fit).unwrap();
    let value = signed.root.at("/images/k2/signature").unwrap().get("value").unwrap();
    let digest = Hash::Sha256.digest(&[b"two"]);
    assert!(dev.public_key().holds(Hash::Sha256, Padding::Pkcs1v15, &digest, value));
    assert!(!dev.public_key().holds(Hash::Sha256, Padding::Pkcs1v15, &Hash::Sha256.digest(&[b"one"]), value));
}

#[test]
fn what_is_described_wrongly_is_told() {
    let with = |property: &str, value: Option<&str>| {
        let mut tree = tree();
        let node = tree.root.at_mut("/configurations/first/signature").unwrap();
        match value {
            Some(value) => node.set_text(property, value),
            None => {
                node.unset(property);
            }
        }
        described(&tree).unwrap_err().to_string()
    };
    assert!(with("key-name-hint", None).contains("`/configurations/first/signature` has no `key-name-hint`"));
    assert!(with("algo", Some("sha1,rsa2048")).contains("unsupported algorithm `sha1"));
    assert!(with("padding", Some("none")).contains("unsupported algorithm `none`"));
    let key = signer();
    for (part, expected) in [
        (Part::Image("k3".into()), "it has no image `k3`"),
        (Part::Configuration("third".into()), "it has no configuration `third`"),
    ] {
        let text = sign_described(&mut tree(), &[(part, options("dev"), &key)]).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    let one = || (Part::Configuration("first".into()), options("dev"), &key as &dyn Signer);
    let twice = [one(), one()];
    let text = sign_described(&mut tree(), &twice).unwrap_err().to_string();
    assert!(text.contains("two signatures share the node name `signature`"), "{text}");
}

#[test]
fn a_key_is_required_for_what_was_asked() {
    let public = RsaSigner::new(private_key().clone()).public_key();
    for (required, expected) in [
        (Required::Configurations, Some("conf")),
        (Required::Images, Some("image")),
        (Required::Nothing, None),
    ] {
        let control = insert_key_for(&empty(), "dev", ALGORITHM, &public, required).unwrap();
        assert_eq!(keys(&control).unwrap()[0].required.as_deref(), expected);
    }
}
