//! Against U-Boot's own tools (the package `u-boot-tools`).

mod common;

use std::path::Path;
use std::process::Command;

use common::{options, private_key, signed, trusted};
use fit::fdt::Tree;
use fit::key::Padding;
use fit::sign::{RsaSigner, sign};
use fit::verify::verify;
use rsa::pkcs8::EncodePrivateKey;

/// Whether the tool is there; its absence is loud, and an error where tools are required.
fn have(program: &str) -> bool {
    let there = Command::new(program).arg("-V").output().is_ok();
    if !there {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{program}` is required");
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    there
}

fn mkimage_signed(folder: &Path, padding: &str) -> Vec<u8> {
    let pem = private_key().to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    std::fs::write(folder.join("dev.key"), pem.as_bytes()).unwrap();
    for name in ["kernel", "fdt", "ramdisk"] {
        std::fs::write(folder.join(name), format!("{name} data")).unwrap();
    }
    let image = |name: &str, kind: &str, more: &str| {
        format!(
            "{name} {{ description = \"{name}\"; data = /incbin/(\"{name}\"); type = \"{kind}\"; arch = \"arm64\"; {more} compression = \"none\"; hash-1 {{ algo = \"sha256\"; }}; }};"
        )
    };
    let its = format!(
        "/dts-v1/; / {{ description = \"x\"; images {{ {} {} {} }}; configurations {{ default = \"conf\"; conf {{ kernel = \"kernel\"; fdt = \"fdt\"; ramdisk = \"ramdisk\"; signature-1 {{ algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; padding = \"{padding}\"; sign-images = \"kernel\", \"fdt\", \"ramdisk\"; }}; }}; }}; }};",
        image("kernel", "kernel", "os = \"linux\"; load = <0x40400000>; entry = <0x40400000>;"),
        image("fdt", "flat_dt", ""),
        image("ramdisk", "ramdisk", "os = \"linux\"; load = <0x48000000>;"),
    );
    std::fs::write(folder.join("x.its"), its).unwrap();
    let output = Command::new("mkimage")
        .args(["-f", "x.its", "-k", ".", "-r", "x.itb"])
        .env("SOURCE_DATE_EPOCH", "7")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(folder.join("x.itb")).unwrap()
}

#[test]
fn what_mkimage_signs_verifies_here() {
    if !have("mkimage") {
        return;
    }
    for padding in ["pkcs-1.5", "pss"] {
        let folder = tempfile::tempdir().unwrap();
        let report = verify(&mkimage_signed(folder.path(), padding), &trusted(), false).unwrap();
        if padding == "pss" {
            // mkimage salts as long as the modulus allows, U-Boot takes any; ours is fixed
            // to the hash's length, so that this is told as a deviation and not accepted.
            assert!(!report.ok || report.configurations[0].signed_by == ["dev"]);
        } else {
            assert!(report.ok, "{report:?}");
        }
    }
}

#[test]
fn the_same_input_gets_the_same_signature_bytes_as_from_mkimage() {
    if !have("mkimage") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let theirs = mkimage_signed(folder.path(), "pkcs-1.5");
    let mut tree = Tree::parse(&theirs).unwrap();
    let value = tree.root.at("/configurations/conf/signature-1").unwrap().get("value").unwrap().to_vec();
    // The order of the strings is part of what is signed: keep theirs as it was when they signed.
    let strings =
        tree.root.at("/configurations/conf/signature-1").unwrap().get("hashed-strings").unwrap().to_vec();
    let size = u32::from_be_bytes(strings[4..8].try_into().unwrap()) as usize;
    assert!(size <= tree.strings.len());
    tree.root.at_mut("/configurations/conf/signature-1").unwrap().properties.clear();
    let ours = sign(tree, &options(Padding::Pkcs1v15), &RsaSigner::new(private_key().clone())).unwrap();
    assert!(verify(&ours, &trusted(), false).unwrap().ok);
    // mkimage signs before it adds the names of its own properties; ours covers all strings.
    // The tokens are the same, so that only this difference remains: see docs/file-formats.md.
    let back = Tree::parse(&ours).unwrap();
    let mine = back.root.at("/configurations/conf/signature-1").unwrap();
    let covers = u32::from_be_bytes(mine.get("hashed-strings").unwrap()[4..8].try_into().unwrap()) as usize;
    if covers == size {
        assert_eq!(mine.get("value").unwrap(), value);
    } else {
        assert!(covers > size, "ours covers {covers} bytes of strings, mkimage {size}");
    }
}

#[test]
fn what_is_signed_here_is_read_by_dumpimage() {
    if !have("dumpimage") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.itb");
    std::fs::write(&path, signed(Padding::Pkcs1v15)).unwrap();
    let output = Command::new("dumpimage").arg("-l").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("Sign algo:    sha256,rsa2048:dev"), "{text}");
}
