//! Against U-Boot's own tools: `mkimage` and `dumpimage` (Debian's `u-boot-tools`), `dtc` and `fdtget`
//! (`device-tree-compiler`), and `fit_check_sign`, which Debian does not ship: it is used where the
//! variable `FIT_CHECK_SIGN` or the search path names one (it is built with U-Boot's `tools-only_defconfig`).

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{empty, fit_check_sign, options, other_key, private_key, signed, signer, trusted, unsigned};
use fit::control_fdt::{KeyNode, insert_key, keys};
use fit::external::{Placement, externalise};
use fit::fdt::Tree;
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{Part, RsaSigner, SignOptions, Signer, described, sign, sign_described};
use fit::verify::{verify, verify_with_control};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use tempfile::TempDir;

/// Whether the tools are there; absence is loud, and an error where tools are required.
fn have(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| Command::new(program).arg("-V").output().is_err());
    let Some(program) = missing else { return true };
    assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{program}` is required");
    eprintln!("SKIPPED: `{program}` is not installed");
    false
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "7")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn folder_with_key(key: &RsaPrivateKey) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    std::fs::write(folder.path().join("dev.key"), pem.as_bytes()).unwrap();
    folder
}

/// The same three images as [`unsigned`], described as `mkimage` wants it.
fn its(algo: &str, padding: &str, sign_images: &str) -> String {
    let image = |name: &str, kind: &str, more: &str| {
        format!(
            "{name} {{ description = \"{name}\"; data = /incbin/(\"{name}\"); type = \"{kind}\"; arch = \"arm64\"; {more} compression = \"none\"; hash-1 {{ algo = \"sha256\"; }}; }};"
        )
    };
    format!(
        "/dts-v1/; / {{ description = \"x\"; images {{ {} {} {} }}; configurations {{ default = \"conf\"; conf {{ kernel = \"kernel\"; fdt = \"fdt\"; ramdisk = \"ramdisk\"; signature-1 {{ algo = \"{algo}\"; key-name-hint = \"dev\"; padding = \"{padding}\"; {sign_images} }}; }}; }}; }};",
        image("kernel", "kernel", "os = \"linux\"; load = <0x40400000>; entry = <0x40400000>;"),
        image("fdt", "flat_dt", ""),
        image("ramdisk", "ramdisk", "os = \"linux\"; load = <0x48000000>;"),
    )
}

const ALL: &str = "sign-images = \"kernel\", \"fdt\", \"ramdisk\";";

fn mkimage_signed(folder: &Path, its: &str, more: &[&str]) -> Vec<u8> {
    for name in ["kernel", "fdt", "ramdisk"] {
        std::fs::write(folder.join(name), format!("{name} data")).unwrap();
    }
    std::fs::write(folder.join("x.its"), its).unwrap();
    run(folder, "mkimage", &[&["-f", "x.its", "-k", ".", "-r"], more, &["x.itb"]].concat());
    std::fs::read(folder.join("x.itb")).unwrap()
}

#[test]
fn what_mkimage_signs_verifies_here() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = folder_with_key(private_key());
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for padding in ["pkcs-1.5", "pss"] {
            let algorithm = Algorithm { hash, key: KeyType::Rsa2048 };
            let keys = [KeyNode::required("dev", algorithm, signer().public_key())];
            let blob = mkimage_signed(folder.path(), &its(&algorithm.name(), padding, ALL), &[]);
            let report = verify(&blob, &keys, false).unwrap();
            assert!(report.ok, "{algorithm:?} {padding}: {report:?}");
            assert_eq!(report.configurations[0].algo, [format!("{} {padding}", algorithm.name())]);
        }
    }
}

/// As the `mkimage` of several Buildroot releases does it: exit status 0, the signature's node without a
/// value, and no key in the control FDT.
#[test]
fn what_a_mkimage_that_signs_nothing_leaves_is_refused() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["kernel", "fdt", "ramdisk"] {
        std::fs::write(folder.path().join(name), format!("{name} data")).unwrap();
    }
    std::fs::write(folder.path().join("x.its"), its("sha256,rsa2048", "pss", ALL)).unwrap();
    run(folder.path(), "mkimage", &["-f", "x.its", "x.itb"]);
    let blob = std::fs::read(folder.path().join("x.itb")).unwrap();
    let told = |control: &[u8]| {
        let report = verify_with_control(&blob, control).unwrap();
        assert!(!report.ok, "{report:?}");
        report.all_problems().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let keyed = insert_key(
        &empty(),
        "dev",
        Algorithm { hash: Hash::Sha256, key: KeyType::Rsa2048 },
        &signer().public_key(),
    );
    let text = told(&keyed.unwrap());
    assert!(text.contains("has no value: it was never signed"), "{text}");
    assert!(text.contains("no good signature of `conf` by the required key `dev`"), "{text}");
    // U-Boot itself starts it, where the control FDT got no key either.
    let text = told(&empty());
    assert!(text.contains("no key is required for configurations: unsigned images would start"), "{text}");
}

#[test]
fn what_mkimage_signs_with_external_data_verifies_here() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = folder_with_key(private_key());
    for more in [&["-E"][..], &["-E", "-B", "200"], &["-E", "-p", "8000"]] {
        let blob = mkimage_signed(folder.path(), &its("sha256,rsa2048", "pkcs-1.5", ALL), more);
        let report = verify(&blob, &trusted(), false).unwrap();
        assert!(report.ok, "{more:?}: {report:?}");
        assert!(report.outside.contains(&"/images/kernel/data-size".to_owned()));
    }
}

#[test]
fn the_ramdisk_that_mkimage_leaves_out_by_default_is_refused() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = folder_with_key(private_key());
    let blob = mkimage_signed(folder.path(), &its("sha256,rsa2048", "pkcs-1.5", ""), &[]);
    let report = verify(&blob, &trusted(), false).unwrap();
    assert!(!report.ok);
    assert_eq!(report.configurations[0].problems[0].code, "hashed-nodes");
    assert!(report.uncovered.contains(&"/images/ramdisk".to_owned()), "{report:?}");
}

/// `mkimage -F` signs a signed FIT anew: given one of ours, with its value blanked, it must find the same bytes as we do.
fn resigned(
    blob: &[u8],
    options: &SignOptions,
    signer: &RsaSigner,
    theirs: &RsaPrivateKey,
) -> (Vec<u8>, Vec<u8>) {
    let path = "/configurations/conf/signature-1";
    let value =
        |blob: &[u8]| Tree::parse(blob).unwrap().root.at(path).unwrap().get("value").unwrap().to_vec();
    let ours = value(&sign(Tree::parse(blob).unwrap(), options, signer).unwrap());
    let mut tree = Tree::parse(blob).unwrap();
    tree.root.at_mut(path).unwrap().set("value", vec![0; ours.len()]);
    let blank = tree.write().unwrap();
    assert_eq!(blank.len(), blob.len());
    let folder = folder_with_key(theirs);
    std::fs::write(folder.path().join("x.itb"), blank).unwrap();
    run(folder.path(), "mkimage", &["-F", "-k", ".", "x.itb"]);
    (ours, value(&std::fs::read(folder.path().join("x.itb")).unwrap()))
}

#[test]
fn the_same_input_gets_the_same_signature_bytes_as_from_mkimage() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let mut options = options(Padding::Pkcs1v15);
        options.algorithm.hash = hash;
        let blob = sign(unsigned(), &options, &signer()).unwrap();
        let (ours, theirs) = resigned(&blob, &options, &signer(), private_key());
        assert_eq!(ours, theirs, "{hash:?}");
        // The comparison can fail: with another key the bytes differ.
        assert_ne!(ours, resigned(&blob, &options, &signer(), other_key()).1);
    }
}

/// From one description, each in one go: the strings block grows with every signature, and the next one covers what it grew by.
#[test]
fn the_same_description_gets_the_same_signature_bytes_as_from_mkimage() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = folder_with_key(private_key());
    let one = its("sha256,rsa2048", "pkcs-1.5", ALL);
    // `dtc` and libfdt take the end of another name for a name: `value` is the end of `board-value`.
    let shared = one.replace("arch =", "board-value = <1>; arch =");
    let more = one.replace("configurations { default = \"conf\";", "configurations { default = \"conf\"; a { kernel = \"kernel\"; signature-b { algo = \"sha512,rsa2048\"; key-name-hint = \"dev\"; sign-images = \"kernel\"; }; }; b { kernel = \"kernel\"; fdt = \"fdt\"; signature-2 { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; sign-images = \"kernel\", \"fdt\"; }; signature-1 { algo = \"sha384,rsa2048\"; key-name-hint = \"dev\"; sign-images = \"fdt\", \"kernel\"; }; };");
    let alone = more.replace(
        "hash-1 { algo = \"sha256\"; };",
        "hash-1 { algo = \"sha256\"; }; signature-1 { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; };",
    );
    // No RAM disk, no `sign-images`: what `mkimage` covers by default.
    let default = its("sha256,rsa2048", "pkcs-1.5", "").replace("ramdisk = \"ramdisk\";", "");
    for (its, count) in [(one, 1), (shared, 1), (more, 4), (alone, 7), (default, 1)] {
        let theirs = mkimage_signed(folder.path(), &its, &[]);
        run(folder.path(), "dtc", &["-q", "-I", "dts", "-O", "dtb", "-o", "compiled", "x.its"]);
        let compiled = std::fs::read(folder.path().join("compiled")).unwrap();
        let unsigned = fit::its::finish_as(&compiled, 7, fit::its::Strictness::AsDescribed).unwrap();
        // As it is, and after it was written.
        let mut tree = Tree::parse(&unsigned).unwrap();
        let key = signer();
        let signatures: Vec<(Part, SignOptions, &dyn Signer)> = described(&tree)
            .unwrap()
            .into_iter()
            .map(|one| {
                let algorithm = one.algorithm.unwrap();
                let options =
                    SignOptions { algorithm, padding: one.padding, node: one.node, ..options(Padding::Pss) };
                (one.part, options, &key as &dyn Signer)
            })
            .collect();
        sign_described(&mut tree, &signatures).unwrap();
        let ours = tree.write().unwrap();
        let signatures = |blob: &[u8]| {
            let mut out = Vec::new();
            let tree = Tree::parse(blob).unwrap();
            for part in tree.root.children.iter().flat_map(|above| &above.children) {
                for node in part.children.iter().filter(|node| node.name.starts_with("signature")) {
                    let get = |name| node.get(name).map(<[u8]>::to_vec);
                    out.push((part.name.clone(), node.name.clone(), get("hashed-strings"), get("value")));
                }
            }
            out
        };
        assert_eq!(signatures(&ours).len(), count);
        assert_eq!(signatures(&ours), signatures(&theirs));
    }
}

#[test]
fn larger_keys_give_the_same_bytes_too() {
    if !have(&["mkimage", "dtc", "openssl"]) {
        return;
    }
    for kind in [KeyType::Rsa3072, KeyType::Rsa4096] {
        let key = RsaPrivateKey::new(&mut rand_core::OsRng, kind.bits()).unwrap();
        let mut options = options(Padding::Pkcs1v15);
        options.algorithm.key = kind;
        let signer = RsaSigner::new(key.clone());
        let blob = sign(unsigned(), &options, &signer).unwrap();
        let (ours, theirs) = resigned(&blob, &options, &signer, &key);
        assert_eq!(ours, theirs, "{kind:?}");
        let control = insert_key(&empty(), "dev", options.algorithm, &signer.public_key()).unwrap();
        assert!(verify_with_control(&blob, &control).unwrap().ok);
        assert_key_node_as_mkimage_writes_it(&key, options.algorithm);
    }
}

fn assert_key_node_as_mkimage_writes_it(key: &RsaPrivateKey, algorithm: Algorithm) {
    let folder = folder_with_key(key);
    std::fs::write(folder.path().join("control.dtb"), empty()).unwrap();
    // `mkimage -K` reads the public key from a certificate.
    let request = ["req", "-x509", "-new", "-key", "dev.key", "-subj", "/CN=test", "-out", "dev.crt"];
    run(folder.path(), "openssl", &request);
    mkimage_signed(folder.path(), &its(&algorithm.name(), "pkcs-1.5", ALL), &["-K", "control.dtb"]);
    let theirs = std::fs::read(folder.path().join("control.dtb")).unwrap();
    let signer = RsaSigner::new(key.clone());
    let ours = insert_key(&empty(), "dev", algorithm, &signer.public_key()).unwrap();
    assert_eq!(keys(&theirs).unwrap(), keys(&ours).unwrap());
    let properties = |blob: &[u8]| {
        let tree = Tree::parse(blob).unwrap();
        let node = tree.root.at("/signature/key-dev").unwrap();
        let mut list: Vec<_> = node.properties.iter().map(|(n, v)| (n.clone(), v.to_vec())).collect();
        list.sort();
        list
    };
    assert_eq!(properties(&theirs), properties(&ours));
}

#[test]
fn the_key_node_is_the_one_that_mkimage_writes() {
    if !have(&["mkimage", "dtc", "openssl"]) {
        return;
    }
    assert_key_node_as_mkimage_writes_it(private_key(), options(Padding::Pss).algorithm);
}

#[test]
fn what_is_signed_here_is_read_by_dumpimage_and_fdtget() {
    if !have(&["dumpimage", "fdtget"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let blob = signed(Padding::Pkcs1v15);
    for (name, blob) in [("a", blob.clone()), ("b", externalise(&blob, Placement::BehindTree, 512).unwrap())]
    {
        std::fs::write(folder.path().join(name), blob).unwrap();
        let text = run(folder.path(), "dumpimage", &["-l", name]).stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("Sign algo:    sha256,rsa2048:dev"), "{text}");
        run(folder.path(), "dumpimage", &["-T", "flat_dt", "-p", "2", "-o", "part", name]);
        assert_eq!(std::fs::read(folder.path().join("part")).unwrap(), b"ramdisk data");
    }
    let list =
        run(folder.path(), "fdtget", &["-t", "s", "a", "/configurations/conf/signature-1", "sign-images"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout), "kernel fdt ramdisk\n");
}

#[test]
fn dtc_writes_out_the_same_tree() {
    if !have(&["dtc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let blob = signed(Padding::Pss);
    std::fs::write(folder.path().join("a.dtb"), &blob).unwrap();
    run(folder.path(), "dtc", &["-q", "-I", "dtb", "-O", "dtb", "-o", "b.dtb", "a.dtb"]);
    let back = std::fs::read(folder.path().join("b.dtb")).unwrap();
    assert_eq!(Tree::parse(&back).unwrap().root, Tree::parse(&blob).unwrap().root);
}

/// What `fit_check_sign` says, and its output.
fn u_boot_takes(tool: &Path, folder: &Path, blob: &[u8], control: &[u8]) -> (bool, String) {
    std::fs::write(folder.join("fit"), blob).unwrap();
    std::fs::write(folder.join("control"), control).unwrap();
    let output =
        Command::new(tool).args(["-f", "fit", "-k", "control"]).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A verifier that is stricter may refuse what U-Boot takes, never the other way round.
#[test]
fn what_verifies_here_is_taken_by_u_boot_whatever_was_changed() {
    let Some(tool) = fit_check_sign() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (blob, control) = (signed(Padding::Pkcs1v15), common::control());
    let (mut verified, mut state) = (0, 0x5eed_u64);
    for _ in 0..400 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut copy = blob.clone();
        let at = usize::try_from(state >> 20).unwrap() % copy.len();
        copy[at] ^= 1 << (state % 8);
        if verify_with_control(&copy, &control).is_ok_and(|report| report.ok) {
            verified += 1;
            let (taken, text) = u_boot_takes(&tool, folder.path(), &copy, &control);
            assert!(taken, "byte {at} of {}: {text}", copy.len());
        }
    }
    assert!(verified > 10, "only {verified} changes hit what nothing covers");
}

#[test]
fn u_boots_own_verifier_takes_what_is_signed_here_and_refuses_a_forgery() {
    let Some(tool) = fit_check_sign() else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = |blob: &[u8], control: &[u8]| u_boot_takes(&tool, folder.path(), blob, control);
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for padding in [Padding::Pkcs1v15, Padding::Pss] {
            let mut options = options(padding);
            options.algorithm.hash = hash;
            let blob = sign(unsigned(), &options, &signer()).unwrap();
            let control = insert_key(&empty(), "dev", options.algorithm, &signer().public_key()).unwrap();
            let (good, text) = check(&blob, &control);
            assert!(good, "{hash:?} {padding:?}: {text}");
            assert!(verify_with_control(&blob, &control).unwrap().ok);
            let outside = externalise(&blob, Placement::BehindTree, 4).unwrap();
            let (good, text) = check(&outside, &control);
            assert!(good, "{hash:?} {padding:?} external: {text}");
            let wrong = insert_key(
                &empty(),
                "dev",
                options.algorithm,
                &RsaSigner::new(other_key().clone()).public_key(),
            );
            assert!(!check(&blob, &wrong.unwrap()).0, "another key was taken");
        }
    }
}

/// What our description's reader fills in is what `mkimage` does: the same nodes, properties and values in the same order.
#[test]
fn a_described_fit_is_the_one_of_mkimage() {
    if !have(&["mkimage", "dtc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["kernel", "fdt", "ramdisk"] {
        let data = if name == "fdt" { empty() } else { name.repeat(1000).into_bytes() };
        std::fs::write(folder.path().join(name), data).unwrap();
    }
    std::fs::write(folder.path().join("fit.its"), its("sha256,rsa2048", "pss", ALL)).unwrap();
    run(folder.path(), "mkimage", &["-f", "fit.its", "theirs.itb"]);
    run(folder.path(), "dtc", &["-q", "-I", "dts", "-O", "dtb", "-o", "compiled", "fit.its"]);
    let ours = fit::its::finish(&std::fs::read(folder.path().join("compiled")).unwrap(), 7).unwrap();
    let theirs = std::fs::read(folder.path().join("theirs.itb")).unwrap();
    let (ours, theirs) = (Tree::parse(&ours).unwrap(), Tree::parse(&theirs).unwrap());
    assert_eq!(ours.root, theirs.root);
}
