//! Forged FITs, each with the reason for which it must be refused.

#![allow(clippy::unwrap_used)]

mod common;

use common::{KERNEL, ignore, options, signed, signer, trusted, unsigned, with_second_hash};
use fit::control_fdt::KeyNode;
use fit::external::Placement;
use fit::fdt::{Node, Tree};
use fit::key::{Hash, Padding};
use fit::sign::sign;
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
fn a_swapped_image_is_refused() {
    // The kernel's node gets the ramdisk's data and hashes, as a whole.
    let found = codes(|t| {
        let mut other = t.root.at("/images/ramdisk").unwrap().clone();
        other.name = "kernel".into();
        *t.root.at_mut("/images/kernel").unwrap() = other;
    });
    has(&found, "bad-signature");
    // The configuration refers to another image of the same FIT, itself signed.
    has(
        &codes(|t| t.root.at_mut("/configurations/conf").unwrap().set_text("kernel", "ramdisk")),
        "hashed-nodes",
    );
    has(
        &codes(|t| t.root.at_mut("/configurations/conf").unwrap().set_text("kernel", "ghost")),
        "missing-image",
    );
    has(
        &codes(|t| t.root.at_mut("/configurations/conf").unwrap().set_text("kernel", "../x")),
        "missing-image",
    );
}

#[test]
fn what_the_signature_covers_beside_images_cannot_change() {
    for (path, property) in [
        ("/", "timestamp"),
        ("/", "description"),
        ("/images/kernel", "load"),
        ("/images/kernel", "entry"),
        ("/images/kernel", "type"),
        ("/images/ramdisk", "os"),
        ("/images/fdt/hash-1", "algo"),
        ("/configurations/conf", "compatible"),
    ] {
        let found = codes(|t| {
            let node = t.root.at_mut(path).unwrap();
            let mut value = node.get(property).unwrap().to_vec();
            value[0] ^= 1;
            node.set(property, value);
        });
        assert!(!found.is_empty(), "{path} {property}");
        has(
            &codes(|t| {
                let _ = t.root.at_mut(path).unwrap().unset(property);
            }),
            "bad-signature",
        );
        has(&codes(|t| t.root.at_mut(path).unwrap().set("new", vec![])), "uncovered-name");
    }
}

#[test]
fn a_left_out_ramdisk_or_tree_is_refused() {
    for role in ["ramdisk", "fdt"] {
        let found = codes(|t| ignore(t.root.at_mut("/configurations/conf").unwrap().unset(role)));
        has(&found, "hashed-nodes");
        has(&found, "uncovered-image");
    }
}

#[test]
fn an_added_image_under_another_role_is_refused() {
    let found = codes(|t| t.root.at_mut("/configurations/conf").unwrap().set_text("loadables", "kernel"));
    has(&found, "uncovered-name");
    let found = codes(|t| t.root.at_mut("/configurations/conf").unwrap().set("fdt", vec![1, 2, 3]));
    has(&found, "bad-reference");
}

#[test]
fn a_default_that_is_not_there_or_doubled_is_refused() {
    has(&codes(|t| t.root.at_mut("/configurations").unwrap().set_text("default", "evil")), "bad-default");
    has(
        &codes(|t| {
            let mut copy = t.root.at("/configurations").unwrap().clone();
            copy.set_text("default", "evil");
            t.root.children.push(copy);
        }),
        "duplicate-node",
    );
}

#[test]
fn nodes_that_a_fit_has_not_are_refused() {
    has(
        &codes(|t| {
            let _ = t.root.child_or_new("fake");
        }),
        "unknown-node",
    );
    // Even what was there when the FIT was signed: the signature does not cover its properties.
    let mut tree = unsigned();
    tree.root.at_mut("/images/kernel").unwrap().child_or_new("dm-verity").set_text("digest", "x");
    let report = verify(&sign(tree, &options(Padding::Pss), &signer()).unwrap(), &trusted(), false).unwrap();
    assert!(report.configurations[0].problems.is_empty() && !report.ok);
    assert_eq!(report.uncovered, ["/images/kernel/dm-verity"]);
    assert_eq!(report.problems[0].code, "uncovered-node");
    has(
        &codes(|t| ignore(t.root.at_mut("/configurations/conf").unwrap().child_or_new("extra"))),
        "uncovered-node",
    );
    has(&codes(|t| t.root.children.retain(|n| n.name != "images")), "no-images");
    has(&codes(|t| t.root.at_mut("/configurations").unwrap().children.clear()), "no-configuration");
}

#[test]
fn a_fake_root_is_no_tree() {
    // What CVE-2021-27138 and vboot_evil did: a second root behind or before the signed one.
    let blob = signed(Padding::Pss);
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
    let (structure, strings, size) = (word(8), word(12), word(36));
    let signed_root = &blob[structure..structure + size - 4];
    let fake = [0u32, 1, 0, 2].map(u32::to_be_bytes).concat()[4..].to_vec();
    for block in [[&fake, signed_root].concat(), [signed_root, &fake].concat()] {
        let block = [&block[..], &9u32.to_be_bytes()].concat();
        let mut forged = [&blob[..structure], &block, &blob[strings..]].concat();
        for (at, value) in [(4, forged.len()), (12, structure + block.len()), (36, block.len())] {
            forged[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
        }
        let text = verify(&forged, &trusted(), false).unwrap_err().to_string();
        assert!(text.contains("more than one root node"), "{text}");
    }
}

#[test]
fn hashes_that_protect_nothing_are_refused() {
    for weak in ["crc32", "md5", "sha1"] {
        let only = |t: &mut Tree<'_>| t.root.at_mut("/images/kernel/hash-1").unwrap().set_text("algo", weak);
        has(&codes(only), "weak-hash");
    }
    has(
        &codes(|t| t.root.at_mut("/images/kernel/hash-1").unwrap().set("uboot-ignore", vec![])),
        "ignored-hash",
    );
    has(
        &codes(|t| t.root.at_mut("/images/kernel/hash-1").unwrap().set("value", vec![0; 10_000])),
        "hash-mismatch",
    );
    let mut tree = unsigned();
    tree.root.at_mut("/images/kernel/hash-1").unwrap().set_text("algo", "sha1");
    let text = sign(tree, &options(Padding::Pss), &signer()).unwrap_err().to_string();
    assert!(text.contains("unsupported algorithm `sha1`"), "{text}");
    let mut tree = unsigned();
    tree.root.at_mut("/images/ramdisk").unwrap().children.clear();
    let text = sign(tree, &options(Padding::Pss), &signer()).unwrap_err().to_string();
    assert!(text.contains("the image `ramdisk` has no hash node"), "{text}");
}

/// Found by a reader: the value of such a hash was not looked at, and U-Boot, which looks at every hash, refused what was taken here.
#[test]
fn a_weak_or_unknown_hash_beside_a_good_one_is_refused_whoever_signed_it() {
    let mut tree = unsigned();
    let hash = tree.root.at_mut("/images/kernel").unwrap().child_or_new("hash-2");
    hash.set_text("algo", "crc32");
    hash.set("value", vec![1, 2, 3, 4]);
    assert!(sign(tree, &options(Padding::Pss), &signer()).is_err());
    for (algo, shown) in
        [(b"sha1\0\0\0", "sha1"), (b"md5\0\0\0\0", "md5"), (b"sha224\0", "sha224"), (b"foobar\0", "foobar")]
    {
        let blob = with_second_hash(algo, &[7; 20], Padding::Pss);
        let report = verify(&blob, &trusted(), false).unwrap();
        let problems = &report.configurations[0].problems;
        let told: Vec<_> = problems.iter().map(|one| (one.code.as_str(), one.message.as_str())).collect();
        // Two NULs are no text.
        let found = if algo.iter().filter(|byte| **byte == 0).count() > 1 { "" } else { shown };
        let expected =
            format!("`hash-2` of the image `kernel` is of `{found}`: expected SHA-2, in every hash node");
        assert_eq!(told, [("weak-hash", expected.as_str())]);
        assert!(!report.ok, "{report:?}");
    }
    let good = Hash::Sha256.digest(&[KERNEL]);
    let blob = with_second_hash(b"sha256\0", &good, Padding::Pss);
    assert!(verify(&blob, &trusted(), false).unwrap().ok, "a second good one is one");
}

#[test]
fn the_signature_node_cannot_be_bent() {
    let bent = |change: fn(&mut Node<'_>)| {
        codes(|t| change(t.root.at_mut("/configurations/conf/signature-1").unwrap()))
    };
    has(&bent(|n| n.set_text("algo", "sha256,rsa3072")), "algorithm-mismatch");
    has(&bent(|n| n.set_text("algo", "sha1,rsa2048")), "algorithm-mismatch");
    has(&bent(|n| n.set_text("padding", "none")), "bad-padding");
    has(&bent(|n| n.set_text("key-name-hint", "evil")), "unknown-key");
    has(&bent(|n| n.set("value", vec![])), "bad-signature");
    has(&bent(|n| n.set("value", vec![0; 256])), "bad-signature");
    has(&bent(|n| n.set("hashed-strings", vec![0; 8])), "uncovered-name");
    has(&bent(|n| n.set("hashed-strings", vec![0xff; 8])), "hashed-strings");
    has(&bent(|n| n.set("hashed-strings", vec![0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])), "hashed-strings");
    has(&bent(|n| ignore(n.unset("hashed-strings"))), "hashed-strings");
    has(&bent(|n| ignore(n.unset("hashed-nodes"))), "hashed-nodes");
    has(&bent(|n| ignore(n.child_or_new("x"))), "uncovered-node");
    let keys = [KeyNode { algo: "sha1,rsa2048".into(), ..trusted().remove(0) }];
    let mut tree = unsigned();
    tree.root
        .at_mut("/configurations/conf")
        .unwrap()
        .child_or_new("signature-1")
        .set_text("algo", "sha1,rsa2048");
    tree.root.at_mut("/configurations/conf/signature-1").unwrap().set_text("key-name-hint", "dev");
    let report = verify(&tree.write().unwrap(), &keys, false).unwrap();
    assert_eq!(report.configurations[0].problems[0].code, "weak-algorithm");
}

#[test]
fn more_than_can_be_needed_is_refused_and_not_worked_through() {
    let found = codes(|t| {
        t.root.at_mut("/configurations/conf").unwrap().set("loadables", b"kernel\0".repeat(100_000));
    });
    has(&found, "bad-reference");
    assert!(found.len() < 10);
    let found = codes(|t| {
        for index in 0..20_000 {
            let mut configuration = Node::new(&format!("c{index}"));
            configuration.child_or_new("signature-1");
            t.root.child_or_new("configurations").children.push(configuration);
        }
    });
    assert_eq!(found, ["too-large"]);
}

#[test]
fn overlapping_load_addresses_are_told() {
    let mut tree = unsigned();
    tree.root.at_mut("/images/fdt").unwrap().set("load", 0x4040_0004u64.to_be_bytes().to_vec());
    let blob = sign(tree, &options(Padding::Pss), &signer()).unwrap();
    let report = verify(&blob, &trusted(), false).unwrap();
    assert!(report.ok && report.warnings[0].code == "load-overlap", "{report:?}");
    assert!(verify(&signed(Padding::Pss), &trusted(), false).unwrap().warnings.is_empty());
}

#[test]
fn what_no_signature_covers_is_named() {
    let blob = signed(Padding::Pss);
    let report = verify(&blob, &trusted(), false).unwrap();
    assert_eq!(report.outside, ["/configurations/default", "/configurations/conf/signature-1"]);
    // What is in the file beside the nodes; zeros are alignment.
    let mut tree = Tree::parse(&blob).unwrap();
    tree.reserved = vec![(0x1000, 0x2000)];
    let mut blob = fit::external::externalise(&tree.write().unwrap(), Placement::At(0x2000), 0x40).unwrap();
    let end = blob.len();
    blob.extend_from_slice(b"\0\0evil");
    blob[0x1f00] = 1;
    let report = verify(&blob, &trusted(), false).unwrap();
    assert!(report.ok, "{report:?}");
    let behind = format!("the file's bytes {:#x} to {:#x}", end + 2, end + 5);
    assert_eq!(
        report.outside[8..],
        ["/memreserve/ 0x1000 0x2000", "the file's bytes 0x1f00 to 0x1f00", &behind]
    );
    let back: fit::verify::VerifyReport =
        serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}

#[test]
fn data_where_no_image_is_is_refused() {
    for path in ["/", "/configurations/conf", "/images/kernel/hash-1", "/images", "/configurations"] {
        for name in ["data", "data-size", "data-offset", "data-position"] {
            // The signature itself holds: none covers properties of these names.
            has(&codes(|t| t.root.at_mut(path).unwrap().set(name, vec![])), "misplaced-data");
        }
    }
}

#[test]
fn a_root_with_a_name_is_no_tree() {
    let blob = signed(Padding::Pss);
    let mut tree = Tree::parse(&blob).unwrap();
    tree.root.name = "f@keroot".into();
    let text = verify(&tree.write().unwrap(), &trusted(), false).unwrap_err().to_string();
    assert!(text.contains("a node at depth 0 has the name `f@keroot`"), "{text}");
}
