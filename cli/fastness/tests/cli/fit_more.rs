//! `fit build --list`, `sign --described`, `trust`, and bad FITs: huge, cyclic, truncated, with missing references.

use crate::support::{Place, Run};

/// A device tree with an empty root. Source: Devicetree Specification 0.4, chapter 5.
pub fn empty_tree() -> Vec<u8> {
    let header = [0xd00d_feed_u32, 72, 56, 72, 40, 17, 16, 0, 0, 16];
    let reserved = [0; 4];
    let structure = [1, 0, 2, 9];
    header.into_iter().chain(reserved).chain(structure).flat_map(u32::to_be_bytes).collect()
}

/// What SPL loads: TF-A first, U-Boot and OP-TEE with it, a device tree chosen by the board; and a kernel's
/// configuration with an overlay.
const LIST: &str = r#"{
  "description": "boot loader and kernel",
  "images": [
    {"name": "atf", "kind": "firmware", "arch": "arm64", "os": "arm-trusted-firmware", "load": "0x920000", "entry": "0x920000", "file": "bl31.bin"},
    {"name": "uboot", "kind": "standalone", "arch": "arm64", "os": "u-boot", "load": "0x40200000", "file": "u-boot.bin"},
    {"name": "tee", "kind": "tee", "arch": "arm64", "os": "tee", "load": "0x56000000", "entry": "0x56000000", "file": "tee.bin"},
    {"name": "kernel", "kind": "kernel", "arch": "arm64", "os": "linux", "load": "0x40600000", "entry": "0x40600000", "file": "Image"},
    {"name": "ramdisk", "kind": "ramdisk", "arch": "arm64", "os": "linux", "compression": "gzip", "file": "initrd.gz"},
    {"name": "fdt-a", "kind": "flat_dt", "arch": "arm64", "file": "a.dtb"},
    {"name": "fdt-b", "kind": "flat_dt", "arch": "arm64", "file": "b.dtb"},
    {"name": "overlay", "kind": "flat_dt", "arch": "arm64", "file": "overlay.dtbo"}
  ],
  "configurations": [
    {"name": "spl-a", "description": "board a", "compatible": "maker,a", "loads": [["firmware", ["atf"]], ["loadables", ["uboot", "tee"]], ["fdt", ["fdt-a"]]]},
    {"name": "spl-b", "description": "board b", "compatible": "maker,b", "loads": [["firmware", ["atf"]], ["loadables", ["uboot", "tee"]], ["fdt", ["fdt-b"]]]},
    {"name": "linux", "description": "kernel", "compatible": null, "loads": [["kernel", ["kernel"]], ["ramdisk", ["ramdisk"]], ["fdt", ["fdt-a", "overlay"]]]}
  ],
  "default": "spl-a"
}"#;

fn place() -> Place {
    let place = Place::new();
    for file in ["bl31.bin", "u-boot.bin", "tee.bin", "Image", "initrd.gz"] {
        std::fs::write(place.path(file), [file.as_bytes(), &[0x5a; 700]].concat()).unwrap();
    }
    for file in ["a.dtb", "b.dtb", "overlay.dtbo"] {
        std::fs::write(place.path(file), empty_tree()).unwrap();
    }
    std::fs::write(place.path("fit.json"), LIST).unwrap();
    place
}

fn build(place: &Place, more: &[&str]) -> Run {
    place.run(&[&["fit", "build", "--list", "fit.json", "-o", "u.itb"][..], more].concat())
}

fn key(place: &Place, name: &str) {
    assert_eq!(place.run(&["keys", "new", name, "--bits", "2048"]).code, 0);
}

#[test]
fn a_list_with_tf_a_tee_overlay_and_two_boards_is_built_signed_and_every_image_is_covered() {
    let place = place();
    key(&place, "dev");
    for more in [&[][..], &["--external=65536"]] {
        let run = build(&place, more);
        assert_eq!(run.code, 0, "{run:?}");
        let sign = ["fit", "sign", "u.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "s.itb"];
        let run = place.run(&[&sign[..], more].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let verify = ["fit", "verify", "s.itb", "--key", "dev", "--algorithm", "sha256,rsa2048"];
        let run = place.run(&verify);
        assert_eq!(run.code, 0, "{run:?}");
        for image in ["atf", "uboot", "tee", "overlay", "ramdisk"] {
            assert!(run.out.contains(&format!(" {image} ")), "{image}: {}", run.out);
        }
        // What no signature can cover is said: which configuration is the default, where external data is.
        assert!(run.out.contains("not covered by a signature: `/configurations/default`"), "{}", run.out);
        let external = run.out.contains("not covered by a signature: `/images/atf/data-position`");
        assert_eq!(external, !more.is_empty(), "{}", run.out);
        // A byte of a loadable is enough.
        let mut bytes = std::fs::read(place.path("s.itb")).unwrap();
        let at = bytes.windows(7).position(|window| window == b"tee.bin").unwrap();
        bytes[at] ^= 1;
        std::fs::write(place.path("s.itb"), bytes).unwrap();
        let run = place.run(&verify);
        assert!(run.code == 6 && run.out.contains("`tee`"), "{run:?}");
    }
}

#[test]
fn a_list_that_is_wrong_writes_nothing() {
    let place = place();
    for (from, to, expected) in [
        ("\"bl31.bin\"", "\"nowhere.bin\"", "nowhere.bin"),
        ("\"kind\": \"tee\"", "\"kind\": \"tea\"", "`type` of the image `tee` is `tea`"),
        ("[\"uboot\", \"tee\"]", "[\"uboot\", \"ghost\"]", "names the image `ghost`, which is not there"),
        (
            "\"0x920000\"",
            "\"high\"",
            "the image `atf`: `load`: expected an address such as `0x40400000`, found `high`",
        ),
        (
            "\"default\": \"spl-a\"",
            "\"default\": \"spl-c\"",
            "the default configuration `spl-c` is not there",
        ),
        ("\"kind\": \"tee\"", "\"knid\": \"tee\"", "unknown field `knid`"),
        ("\"file\": \"a.dtb\"", "\"file\": \"Image\"", "not a valid device tree"),
    ] {
        std::fs::write(place.path("fit.json"), LIST.replacen(from, to, 1)).unwrap();
        let run = build(&place, &[]);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.err.contains(expected), "{run:?}");
        assert!(!place.path("u.itb").exists());
    }
}

const ITS: &str = r#"/dts-v1/; / { description = "x"; images {
    k { description = "k"; data = /incbin/("Image"); type = "kernel"; arch = "arm64"; os = "linux"; compression = "none"; load = <0x40400000>; entry = <0x40400000>; HASH };
  }; configurations { default = "c"; c { kernel = "k"; SIGNATURE }; }; };"#;
const SIGNATURE: &str =
    "signature { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; padding = \"pss\"; };";

fn describe(place: &Place, hash: &str, signature: &str, more: &[&str]) -> Run {
    std::fs::write(place.path("x.its"), ITS.replace("HASH", hash).replace("SIGNATURE", signature)).unwrap();
    place.run(&[&["fit", "build", "--its", "x.its", "-o", "u.itb"][..], more].concat())
}

#[test]
fn what_a_fit_describes_is_signed_and_a_control_fdt_that_trusts_the_key_verifies_it() {
    let place = place();
    key(&place, "dev");
    assert_eq!(describe(&place, "hash-1 { algo = \"sha256\"; };", SIGNATURE, &[]).code, 0);
    let run = place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    std::fs::write(place.path("u-boot.dtb"), empty_tree()).unwrap();
    let trust =
        ["fit", "trust", "u-boot.dtb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "keyed.dtb"];
    assert_eq!(place.run(&trust).code, 0);
    let run = place.run(&["fit", "verify", "s.itb", "--control", "keyed.dtb"]);
    assert!(run.code == 0 && run.out.contains("signed by `dev`"), "{run:?}");
    // A key that is required for nothing lets everything start, and that is said.
    let run = place.run(&[&trust[..], &["--required", "nothing"]].concat());
    assert!(run.code == 0 && run.err.contains("warning: a U-Boot that trusts only this key"), "{run:?}");
    let run = place.run(&["fit", "verify", "s.itb", "--control", "keyed.dtb"]);
    assert!(run.code == 6 && run.out.contains("no key is required for configurations"), "{run:?}");
}

#[test]
fn what_a_signature_cannot_make_a_fit_of_is_an_error_of_the_description() {
    let place = place();
    key(&place, "dev");
    let hash = "hash-1 { algo = \"sha256\"; };";
    let stray = "stray { a = \"b\"; };";
    let with_root = ITS.replacen("images {", &format!("{stray} images {{"), 1);
    for (text, hash, signature, expected) in [
        (with_root.as_str(), hash, SIGNATURE, "the root has a node `stray`, which a FIT has not"),
        (
            ITS,
            &format!("{stray} {hash}"),
            SIGNATURE,
            "no verified signature covers the node `/images/k/stray`",
        ),
        (
            ITS,
            hash,
            &format!("{stray} {SIGNATURE}"),
            "no verified signature covers the node `/configurations/c/stray`",
        ),
    ] {
        std::fs::write(place.path("x.its"), text.replace("HASH", hash).replace("SIGNATURE", signature))
            .unwrap();
        let run = place.run(&["fit", "build", "--its", "x.its", "--key", "dev", "-o", "u.itb"]);
        assert!(run.code == 3 && !place.path("u.itb").exists(), "{run:?}");
        assert!(
            run.err.contains(&format!("error[fit]: `x.its` is no FIT to be signed: {expected}\n")),
            "{run:?}"
        );
    }
}

#[test]
fn what_describes_no_signature_or_no_protection_is_told() {
    let place = place();
    key(&place, "dev");
    assert_eq!(describe(&place, "hash-1 { algo = \"sha256\"; };", "", &[]).code, 0);
    let run = place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]);
    assert!(run.code == 3 && run.err.contains("`u.itb` describes no signature"), "{run:?}");
    let other = SIGNATURE.replace("\"dev\"", "\"prod\"");
    assert_eq!(describe(&place, "hash-1 { algo = \"sha256\"; };", &other, &[]).code, 0);
    let run = place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]);
    assert!(run.code == 8 && run.err.contains("there is no key `prod`"), "{run:?}");
    assert!(!place.path("s.itb").exists());
    // An image that is signed alone is taken only when it is asked for.
    let alone = SIGNATURE.replace("signature ", "signature-1 ");
    let run = describe(&place, &alone, "", &[]);
    assert!(run.code == 3 && run.err.contains("signs the image `k` alone"), "{run:?}");
    assert_eq!(describe(&place, &alone, "", &["--unprotected"]).code, 0);
    let run = place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]);
    assert_eq!(run.code, 0, "{run:?}");
    let run = place.run(&["fit", "verify", "s.itb", "--key", "dev", "--algorithm", "sha256,rsa2048"]);
    assert!(run.code == 6 && run.out.contains("unsigned"), "{run:?}");
}

#[test]
fn fits_that_are_huge_cyclic_truncated_or_refer_to_nothing_are_refused() {
    let place = place();
    assert_eq!(build(&place, &[]).code, 0);
    let good = std::fs::read(place.path("u.itb")).unwrap();
    // 4 GiB of holes behind a header: refused by its size, before a byte is read.
    std::fs::write(place.path("huge.itb"), &good).unwrap();
    std::fs::File::options().write(true).open(place.path("huge.itb")).unwrap().set_len(4 << 30).unwrap();
    std::fs::write(place.path("cut.itb"), &good[..good.len() / 2]).unwrap();
    std::fs::write(place.path("header.itb"), &good[..20]).unwrap();
    key(&place, "dev");
    for (file, expected) in [
        ("huge.itb", "error[file-too-large]: expected at most 4294967295 bytes, `huge.itb` is larger"),
        ("cut.itb", "`cut.itb`: not a valid device tree"),
        ("header.itb", "`header.itb`: not a valid device tree"),
    ] {
        for words in [
            &["fit", "show", file][..],
            &["fit", "verify", file, "--key", "dev", "--algorithm", "sha256,rsa2048"],
            &["fit", "sign", file, "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "s.itb"],
        ] {
            let run = place.run(words);
            assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
            assert!(run.err.contains(expected), "{run:?}");
        }
    }
    // A configuration that names itself, another configuration, or an image that is not there.
    for name in ["c", "/configurations/c", "k/hash-1", "none"] {
        let text = ITS.replace("HASH", "hash-1 { algo = \"sha256\"; };").replace("SIGNATURE", "");
        std::fs::write(place.path("x.its"), text.replace("kernel = \"k\"", &format!("kernel = \"{name}\"")))
            .unwrap();
        let run = place.run(&["fit", "build", "--its", "x.its", "-o", "v.itb"]);
        let expected = format!("refers to the image `{name}`, which is not there");
        assert!(run.code == 3 && run.err.contains(&expected), "{name}: {run:?}");
        assert!(!place.path("v.itb").exists() && !place.path("s.itb").exists());
    }
}

#[test]
fn a_place_that_holds_no_regular_file_is_not_taken() {
    let place = place();
    key(&place, "dev");
    assert_eq!(build(&place, &[]).code, 0);
    std::os::unix::fs::symlink("u.itb", place.path("link.itb")).unwrap();
    std::fs::write(place.path("empty.dtb"), empty_tree()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    for (file, found) in [("pipe", "a pipe"), ("link.itb", "a link"), ("/dev/null", "a device")] {
        for words in [
            &["fit", "build", "--list", "fit.json", "-o", file][..],
            &["fit", "sign", "u.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", file],
            &["fit", "trust", "empty.dtb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", file],
        ] {
            // As root, `/dev/null` would be gone.
            if file == "/dev/null" && rustix::process::geteuid().is_root() {
                continue;
            }
            let run = place.run(words);
            assert_eq!(run.code, 4, "{run:?}");
            let expected =
                format!("error[odd-place]: expected a regular file or nothing at `{file}`, found {found}");
            assert!(run.err.contains(&expected), "{run:?}");
        }
    }
    let left = |file: &str| std::fs::symlink_metadata(place.path(file)).unwrap().file_type();
    assert!(!left("pipe").is_file() && left("link.itb").is_symlink());
}

#[test]
fn options_and_control_trees_that_say_something_odd_are_told() {
    let place = place();
    key(&place, "dev");
    assert_eq!(build(&place, &["--external=0x10000"]).code, 0);
    let run = build(&place, &["--external=0x1ffffffff"]);
    assert!(run.code == 2 && run.err.contains("expected a byte of the file such as `0x1000`"), "{run:?}");
    assert_eq!(describe(&place, "hash-1 { algo = \"sha256\"; };", SIGNATURE, &[]).code, 0);
    assert_eq!(place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]).code, 0);
    std::fs::write(place.path("empty.dtb"), empty_tree()).unwrap();
    let trust =
        ["fit", "trust", "empty.dtb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "keyed.dtb"];
    assert_eq!(place.run(&trust).code, 0);
    // What is odd and no reason to refuse is printed, too.
    let over =
        ["fit", "build", "--kernel", "Image", "--load", "0x1000", "--fdt", "a.dtb", "--fdt-load", "0x1000"];
    let over =
        place.run(&[&over[..], &["--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "o.itb"]].concat());
    assert_eq!(over.code, 0, "{over:?}");
    let run = place.run(&["fit", "verify", "o.itb", "--control", "keyed.dtb"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("\n  warning: load-overlap: `conf` loads the images"), "{run:?}");
    assert!(run.out.ends_with("the FIT verifies\n"), "{run:?}");
    // U-Boot would take it for `all`.
    let blob = std::fs::read(place.path("keyed.dtb")).unwrap();
    let mut tree = fit::fdt::Tree::parse(&blob).unwrap();
    tree.root.at_mut("/signature").unwrap().set_text("required-mode", "maybe");
    std::fs::write(place.path("maybe.dtb"), tree.write().unwrap()).unwrap();
    let run = place.run(&["fit", "verify", "s.itb", "--control", "maybe.dtb"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
    assert!(
        run.err.contains("`required-mode` of the control FDT is `maybe`: expected `all` or `any`"),
        "{run:?}"
    );
}

#[test]
fn a_ready_fit_that_refers_to_itself_is_neither_signed_nor_verified() {
    let place = place();
    key(&place, "dev");
    let algorithm = ["--key", "dev", "--algorithm", "sha256,rsa2048"];
    let parts = ["fit", "build", "--kernel", "Image", "--load", "0x40400000", "--fdt", "a.dtb"];
    assert_eq!(place.run(&[&parts[..], &algorithm, &["-o", "s.itb"]].concat()).code, 0);
    let good = std::fs::read(place.path("s.itb")).unwrap();
    for (node, property, to) in [
        ("/configurations/conf", "kernel", "conf"),
        ("/configurations/conf", "loadables", "/configurations/conf"),
        ("/configurations/conf", "fdt", "conf/signature-1"),
        ("/configurations/conf", "kernel", "/images/kernel"),
        ("/configurations/conf", "ramdisk", "configurations"),
    ] {
        let mut tree = fit::fdt::Tree::parse(&good).unwrap();
        tree.root.at_mut(node).unwrap().set_text(property, to);
        std::fs::write(place.path("c.itb"), tree.write().unwrap()).unwrap();
        let run = place.run(&[&["fit", "verify", "c.itb"][..], &algorithm].concat());
        let told = format!("missing-image: `{property}` refers to the image `{to}`, which is not there\n");
        assert!(run.code == 6 && run.out.contains(&told), "{run:?}");
        assert!(run.out.ends_with("the FIT does not verify\n"), "{run:?}");
        let run = place.run(&[&["fit", "sign", "c.itb", "-o", "t.itb"][..], &algorithm].concat());
        let told = format!("the configuration `conf` refers to the image `{to}`, which is not there");
        assert!(run.code == 3 && run.err.contains(&told), "{run:?}");
        assert!(!place.path("t.itb").exists());
        assert_eq!(place.run(&["fit", "show", "c.itb"]).code, 0);
    }
    // Of the default configuration there is nothing to go round in: it is a name, and looked up once.
    let mut tree = fit::fdt::Tree::parse(&good).unwrap();
    tree.root.at_mut("/configurations").unwrap().set_text("default", "default");
    std::fs::write(place.path("c.itb"), tree.write().unwrap()).unwrap();
    let run = place.run(&[&["fit", "verify", "c.itb"][..], &algorithm].concat());
    assert!(run.code == 6 && run.out.contains("the default configuration `default` is not there"), "{run:?}");
}

#[test]
fn an_odd_name_of_a_key_in_a_fit_is_told_with_its_place() {
    let place = place();
    key(&place, "dev");
    for hint in ["../x", "a b", "@", "dev/../dev", "/dev/null", "dev\u{1b}[2J"] {
        let signature = SIGNATURE.replace("\"dev\"", &format!("\"{hint}\""));
        assert_eq!(describe(&place, "hash-1 { algo = \"sha256\"; };", &signature, &[]).code, 0);
        let run = place.run(&["fit", "sign", "u.itb", "--described", "-o", "s.itb"]);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
        let told = format!(
            "error[key-name]: `u.itb`: `key-name-hint` of `signature` of the configuration `c`: expected a key name (letters, digits, `-`, `_` and `.`, a letter or digit first, at most 64), found `{}`",
            hint.escape_debug()
        );
        assert!(run.err.contains(&told), "{run:?}");
        assert!(!place.path("s.itb").exists());
        // Signing with a key of the store does not read it, and puts the key's own name there.
        let sign = ["fit", "sign", "u.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "t.itb"];
        assert_eq!(place.run(&sign).code, 0);
        let run = place.run(&["fit", "verify", "t.itb", "--key", "dev", "--algorithm", "sha256,rsa2048"]);
        assert!(run.code == 0 && run.out.contains("signed by `dev`"), "{run:?}");
    }
}

#[test]
fn a_control_fdt_that_is_cut_anywhere_gets_no_key() {
    let place = place();
    key(&place, "dev");
    key(&place, "next");
    std::fs::write(place.path("empty.dtb"), empty_tree()).unwrap();
    let trust = ["--algorithm", "sha256,rsa2048", "-o"];
    let keyed =
        place.run(&[&["fit", "trust", "empty.dtb", "--key", "dev"][..], &trust, &["keyed.dtb"]].concat());
    assert_eq!(keyed.code, 0, "{keyed:?}");
    let whole = std::fs::read(place.path("keyed.dtb")).unwrap();
    std::fs::write(place.path("there.dtb"), "what was there").unwrap();
    let with_next = |file: &str| {
        place.run(&[&["fit", "trust", file, "--key", "next"][..], &trust, &["there.dtb"]].concat())
    };
    // Each of the header's fields, and the tree in steps of one cell and a bit.
    let cuts = (0..40).chain((40..whole.len()).step_by(13)).chain([whole.len() - 1]);
    for length in cuts {
        std::fs::write(place.path("cut.dtb"), &whole[..length]).unwrap();
        let run = with_next("cut.dtb");
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{length}: {run:?}");
        assert!(run.err.contains("error[fit]: `cut.dtb`: not a valid device tree"), "{length}: {run:?}");
        assert_eq!(std::fs::read(place.path("there.dtb")).unwrap(), b"what was there", "{length}");
    }
    assert_eq!(with_next("keyed.dtb").code, 0);
    assert_ne!(std::fs::read(place.path("there.dtb")).unwrap(), b"what was there");
}

#[test]
fn data_that_its_compression_contradicts_is_told_when_it_is_built_and_when_it_is_verified() {
    let place = place();
    key(&place, "dev");
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0x5a; 700]].concat();
    std::fs::write(place.path("Image"), &packed).unwrap();
    std::fs::write(place.path("initrd.gz"), &packed).unwrap();
    let none = "`compression` of the image `kernel` is `none`, and its data begin as gzip: U-Boot would not unpack them\n";
    let said = format!("warning: {none}");
    // By parts, by a list; the list's RAM disk of gzip is what it says.
    let parts = ["fit", "build", "--kernel", "Image", "--load", "0x40400000"];
    let algorithm = ["--key", "dev", "--algorithm", "sha256,rsa2048"];
    let run = place.run(&[&parts[..], &algorithm, &["-o", "s.itb"]].concat());
    assert_eq!((run.code, run.err.as_str()), (0, said.as_str()), "{run:?}");
    let quiet = place.run(&[&parts[..], &["-o", "u.itb", "--quiet"]].concat());
    assert_eq!((quiet.code, quiet.err.as_str()), (0, said.as_str()), "{quiet:?}");
    let run = build(&place, &[]);
    assert_eq!((run.code, run.err.as_str()), (0, said.as_str()), "{run:?}");
    let verified = place.run(&[&["fit", "verify", "s.itb"][..], &algorithm].concat());
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(verified.out.contains(&format!("  warning: compression: {none}")), "{verified:?}");
    // By a description, the other way round: words without data of theirs.
    std::fs::write(place.path("Image"), [0x5a; 700]).unwrap();
    for word in ["gzip", "bzip2", "lzo", "lz4", "zstd"] {
        let text = ITS.replace("HASH", "hash-1 { algo = \"sha256\"; };").replace("SIGNATURE", "");
        let text = text.replace("compression = \"none\"", &format!("compression = \"{word}\""));
        std::fs::write(place.path("x.its"), text).unwrap();
        let run = place.run(&["fit", "build", "--its", "x.its", "-o", "u.itb"]);
        let told = format!(
            "warning: `compression` of the image `k` is `{word}`, and its data begin as none that is known: U-Boot could not unpack them\n"
        );
        assert_eq!((run.code, run.err.as_str()), (0, told.as_str()), "{run:?}");
    }
}
