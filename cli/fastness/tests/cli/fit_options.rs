//! `fit build --its --key` does what the description says; options that mean nothing there are refused; `fit trust`; causes.

use crate::support::{Place, Run};

/// A device tree with an empty root. Source: Devicetree Specification 0.4, chapter 5.
fn empty_tree() -> Vec<u8> {
    let header = [0xd00d_feed_u32, 72, 56, 72, 40, 17, 16, 0, 0, 16];
    let reserved = [0; 4];
    let structure = [1, 0, 2, 9];
    header.into_iter().chain(reserved).chain(structure).flat_map(u32::to_be_bytes).collect()
}

const ITS: &str = r#"/dts-v1/; / { description = "x"; images {
    kernel-1 { description = "k"; data = /incbin/("Image"); type = "kernel"; arch = "arm64"; os = "linux"; compression = "none"; load = <0x40400000>; entry = <0x40400000>; hash-1 { algo = "sha256"; }; };
    fdt-1 { description = "d"; data = /incbin/("a.dtb"); type = "flat_dt"; arch = "arm64"; compression = "none"; hash-1 { algo = "sha256"; }; };
  }; configurations { default = "a";
    a { kernel = "kernel-1"; fdt = "fdt-1"; SIGNATURES };
    b { kernel = "kernel-1"; }; }; };"#;
/// What `mkimage` would sign with two keys, in this order.
const SIGNATURES: &str = r#"signature-b { algo = "sha512,rsa2048"; key-name-hint = "other"; };
    signature-a { algo = "sha256,rsa2048"; key-name-hint = "dev"; padding = "pkcs-1.5"; sign-images = "kernel", "fdt"; };"#;

fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), [0x5a; 700]).unwrap();
    std::fs::write(place.path("a.dtb"), empty_tree()).unwrap();
    describe(&place, SIGNATURES);
    assert_eq!(place.run(&["keys", "new", "dev", "--bits", "2048"]).code, 0);
    place
}

fn describe(place: &Place, signatures: &str) {
    std::fs::write(place.path("x.its"), ITS.replace("SIGNATURES", signatures)).unwrap();
}

fn build(place: &Place, more: &[&str]) -> Run {
    place.run(&[&["fit", "build", "--its", "x.its", "-o", "s.itb"][..], more].concat())
}

fn refused(run: &Run, code: i32, expected: &str) {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
    assert!(run.err.contains(expected), "expected `{expected}`: {run:?}");
}

#[test]
fn what_a_description_says_of_its_signatures_is_done() {
    let place = place();
    let run = build(&place, &["--key", "dev", "--algorithm", "sha256,rsa2048"]);
    assert_eq!(run.code, 0, "{run:?}");
    let blob = std::fs::read(place.path("s.itb")).unwrap();
    let tree = fit::fdt::Tree::parse(&blob).unwrap();
    let a = tree.root.at("/configurations/a").unwrap();
    let names: Vec<&str> = a.children.iter().map(|child| child.name.as_str()).collect();
    // The other key's is there for it, as `mkimage` leaves it.
    assert_eq!(names, ["signature-b", "signature-a"]);
    assert!(a.children[0].get("value").is_none());
    assert_eq!(a.children[1].text("padding"), Some("pkcs-1.5"));
    // What describes nothing gets a signature of ours.
    let b = tree.root.at("/configurations/b/signature-1").unwrap();
    assert_eq!((b.text("padding"), b.text("key-name-hint")), (Some("pss"), Some("dev")));
    let run = place.run(&["fit", "verify", "s.itb", "--key", "dev", "--algorithm", "sha256,rsa2048"]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn what_contradicts_a_description_is_refused() {
    let place = place();
    let with = |more: &[&str]| build(&place, &[&["--key", "dev"], more].concat());
    refused(
        &with(&["--padding", "pss"]),
        2,
        "`--padding pss` contradicts `signature-a` of the configuration `a`, which says `pkcs-1.5`",
    );
    refused(
        &with(&["--algorithm", "sha512,rsa2048"]),
        2,
        "`--algorithm sha512,rsa2048` contradicts `signature-a`",
    );
    describe(&place, "signature-1 { algo = \"sha256,rsa2048\"; key-name-hint = \"other\"; };");
    refused(&with(&[]), 3, "the configuration `a` describes a signature by `other`, and none by `dev`");
    describe(&place, "signature-1 { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; };");
    assert_eq!(build(&place, &[]).code, 0);
    let sign = ["fit", "sign", "s.itb", "--described", "--algorithm", "sha512,rsa2048", "-o", "t.itb"];
    refused(&place.run(&sign), 2, "`--algorithm sha512,rsa2048` contradicts `signature-1`");
    assert!(!place.path("t.itb").exists());
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let place = place();
    for more in [
        &["--hash", "sha512"][..],
        &["--arch", "arm"],
        &["--name", "x"],
        &["--padding", "pss"],
        &["--algorithm", "sha256,rsa2048"],
        &["--passphrase-file", "x"],
    ] {
        refused(&build(&place, more), 2, more[0].trim_end_matches("file"));
    }
    std::fs::write(place.path("l.json"), "{}").unwrap();
    for more in [&["--hash", "sha512"][..], &["--include", "."], &["--unprotected"], &["--name", "x"]] {
        let run = place.run(&[&["fit", "build", "--list", "l.json", "-o", "s.itb"][..], more].concat());
        refused(&run, 2, more[0]);
    }
    let parts = ["fit", "build", "--kernel", "Image", "--load", "0x1000", "-o", "s.itb"];
    refused(&place.run(&[&parts[..], &["--fdt-load", "0x2000"]].concat()), 2, "--fdt <FILE>");
    let verify = ["fit", "verify", "s.itb", "--control", "a.dtb", "--algorithm", "sha256,rsa2048"];
    refused(&place.run(&verify), 2, "--algorithm <ALGORITHM>");
    assert!(!place.path("s.itb").exists());
    // Decimal or hexadecimal, as the place.
    assert_eq!(place.run(&[&parts[..], &["--external=0x2000", "--align", "0x200"]].concat()).code, 0);
}

#[test]
fn the_cause_is_told_and_not_what_follows_from_it() {
    let place = place();
    describe(&place, "");
    assert_eq!(build(&place, &[]).code, 0);
    let mut bytes = std::fs::read(place.path("s.itb")).unwrap();
    let kernel = bytes.windows(16).position(|window| window == [0x5a; 16]).unwrap();
    bytes[kernel + 8] ^= 1;
    std::fs::write(place.path("bad.itb"), bytes).unwrap();
    let sign = ["fit", "sign", "bad.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "t.itb"];
    refused(&place.run(&sign), 3, "error[image-data]: `bad.itb`: the image `kernel-1` has the sha256");
    std::fs::write(place.path("Image"), "").unwrap();
    let parts = ["fit", "build", "--kernel", "Image", "--load", "0x1000", "-o", "t.itb"];
    refused(&place.run(&parts), 3, "error[empty-file]: `Image` is empty: expected an image");
    let run = place.run(&[
        "fit",
        "sign",
        "s.itb",
        "--key",
        "dev",
        "--algorithm",
        "sha256,rsa2048",
        "-o",
        "no/t.itb",
    ]);
    assert!(
        run.code == 4 && run.err.contains("cannot write `no/t.itb`") && !run.err.contains(".fit-"),
        "{run:?}"
    );
}

#[test]
fn fits_without_a_default_and_without_a_configuration_are_usable() {
    let place = place();
    let text = ITS.replace("SIGNATURES", "").replace("default = \"a\";", "");
    std::fs::write(place.path("x.its"), &text).unwrap();
    assert_eq!(build(&place, &["--key", "dev", "--algorithm", "sha256,rsa2048"]).code, 0);
    let run = place.run(&["fit", "verify", "s.itb", "--key", "dev", "--algorithm", "sha256,rsa2048"]);
    assert!(run.code == 0 && run.out.contains("configuration `b`, signed by `dev`"), "{run:?}");
    let only_images = format!("{} }};", text.split("configurations {").next().unwrap());
    std::fs::write(place.path("x.its"), only_images).unwrap();
    refused(&build(&place, &[]), 3, "it has no node `/configurations` with a configuration");
    assert_eq!(build(&place, &["--unprotected"]).code, 0);
}

#[test]
fn what_trusting_a_key_means_is_told() {
    let place = place();
    assert_eq!(place.run(&["keys", "new", "next", "--bits", "2048"]).code, 0);
    let trust = |control: &str, key: &str, more: &[&str]| {
        let words =
            ["fit", "trust", control, "--key", key, "--algorithm", "sha256,rsa2048", "-o", "keyed.dtb"];
        place.run(&[&words[..], more].concat())
    };
    let run = trust("a.dtb", "dev", &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    std::fs::copy(place.path("keyed.dtb"), place.path("one.dtb")).unwrap();
    let run = trust("one.dtb", "next", &[]);
    assert!(
        run.code == 0 && run.err.contains("U-Boot now starts only what all of `dev`, `next` have signed"),
        "{run:?}"
    );
    let run = trust("one.dtb", "next", &["--any"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    let keyed = std::fs::read(place.path("keyed.dtb")).unwrap();
    assert_eq!(fit::control_fdt::required_mode(&keyed).unwrap(), "any");
    // Another key under the same name.
    let mut tree = fit::fdt::Tree::parse(&keyed).unwrap();
    let next = tree.root.at("/signature/key-next").unwrap().clone();
    let dev = tree.root.at_mut("/signature/key-dev").unwrap();
    *dev = fit::fdt::Node { name: "key-dev".into(), ..next };
    std::fs::write(place.path("two.dtb"), tree.write().unwrap()).unwrap();
    refused(
        &trust("two.dtb", "dev", &[]),
        2,
        "error[another-key]: `two.dtb` has another key of the name `dev`",
    );
    assert_eq!(trust("two.dtb", "dev", &["--replace"]).code, 0);
    assert_eq!(trust("keyed.dtb", "dev", &[]).code, 0, "the same key again");
    describe(&place, "");
    assert_eq!(build(&place, &[]).code, 0);
    refused(&trust("s.itb", "dev", &[]), 3, "expected a control FDT, `s.itb` is a FIT");
}

#[test]
fn show_is_a_tree_with_dates_and_without_heaps_of_digits() {
    let place = place();
    assert_eq!(build(&place, &["--timestamp", "86400"]).code, 0);
    let run = place.run(&["fit", "show", "s.itb"]);
    assert!(run.out.contains("  timestamp = 1970-01-02T00:00:00Z\n"), "{run:?}");
    assert!(run.out.contains("data = 72 bytes, sha256 "), "{run:?}");
    let json = place.run(&["fit", "show", "s.itb", "--json"]).json();
    assert_eq!(json["root"]["children"][0]["children"][0]["name"], "kernel-1");
    let run = place.run(&["fit", "show", "--help"]);
    assert!(
        run.out.contains("fastness fit show fit.itb --json") && !run.out.contains("fit build"),
        "{run:?}"
    );
}
