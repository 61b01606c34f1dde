//! Whole images: what is in what, and hostile ones.

use std::io::Write as _;

use image::Source;

use super::model::{Analysis, Level};
use super::open::Pieces;
use super::rules::Found;
use super::{Options, analyze};
use crate::open::disk_tests::gpt_disk;
use crate::open::tests::{cpio, mbr_disk, root_cpio};

pub fn analyzed(bytes: &[u8]) -> Analysis {
    with(bytes, &Options::default())
}

fn with(bytes: &[u8], options: &Options) -> Analysis {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.bin");
    std::fs::write(&file, bytes).unwrap();
    analyze(&file, options).unwrap()
}

pub fn rules(analysis: &Analysis) -> Vec<&str> {
    analysis.issues.iter().map(|issue| issue.rule.as_str()).collect()
}

pub fn seen(analysis: &Analysis, rule: &str) -> String {
    let issue = analysis.issues.iter().find(|issue| issue.rule == rule);
    let places = &issue.unwrap_or_else(|| panic!("no {rule} in {:?}", rules(analysis))).places;
    places.iter().map(|place| format!("{}: {}\n", place.path, place.seen)).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A FIT with one image.
pub fn fit(data: &[u8], compression: &str) -> Vec<u8> {
    use fit::fdt::{Node, Tree};
    let mut image = Node::new("ramdisk-1");
    image.set_text("compression", compression);
    image.set("data", data.to_vec());
    let mut images = Node::new("images");
    images.children.push(image);
    let mut configurations = Node::new("configurations");
    configurations.children.push(Node::new("conf-1"));
    let mut root = Node::new("");
    root.children.extend([images, configurations]);
    Tree { root, ..Tree::default() }.write().unwrap()
}

#[test]
fn a_root_file_system_is_judged_and_its_word_follows() {
    let analysis = analyzed(&root_cpio());
    assert_eq!(analysis.word, "broken");
    assert_eq!(analysis.issues[0].rule, "account-empty-password");
    assert_eq!(analysis.accounts.len(), 1);
    let accounts = analysis.strength.iter().find(|area| area.area.word() == "accounts").unwrap();
    assert_eq!((accounts.word.as_str(), accounts.looked_at), ("broken", 1));
    // What was not there is not good.
    let kernel = analysis.strength.iter().find(|area| area.area.word() == "kernel").unwrap();
    assert_eq!(kernel.word, "unknown");
    assert_eq!(analysis.sha256.len(), 64);
}

#[test]
fn a_packed_ramdisk_in_a_fit_in_a_partition_is_found() {
    let ramdisk = gzip(&root_cpio());
    for compression in ["gzip", "none"] {
        let disk = gpt_disk(&[("boot", &fit(&ramdisk, compression)), ("rest", b"")]);
        let analysis = analyzed(&disk);
        assert!(seen(&analysis, "account-empty-password").contains("/etc/shadow"));
        assert!(seen(&analysis, "boot-unsigned").contains("configuration `conf-1`"));
        let kinds: Vec<&str> = analysis.parts.iter().map(|part| part.kind.as_str()).collect();
        assert_eq!(kinds, ["a disk with a GPT", "a FIT", "packed", "a root file system (cpio)", "empty"]);
    }
    let odd = analyzed(&gpt_disk(&[("boot", &fit(b"x", "lzo"))]));
    assert!(seen(&odd, "not-understood").contains("compression `lzo` is not read"));
    // What says that it is packed, and is not.
    let bare = analyzed(&gpt_disk(&[("boot", &fit(b"what is this", "lzma"))]));
    assert!(seen(&bare, "not-understood").contains("bytes that begin with 77 68 61 74"));
}

#[test]
fn several_roots_are_all_judged_and_named() {
    let analysis = analyzed(&gpt_disk(&[("a", &root_cpio()), ("b", &root_cpio())]));
    let places = seen(&analysis, "account-empty-password");
    assert!(
        places.contains("image.bin / a:/etc/shadow") && places.contains("image.bin / b:/etc/shadow"),
        "{places}"
    );
}

#[test]
fn what_is_not_understood_is_said_with_its_magic() {
    for (magic, kind) in [
        (&b"UBI#\x01\0\0\0"[..], "a UBI image; it begins with 55 42 49 23 01"),
        (b"\x85\x19\x03\x20", "a JFFS2 file system; it begins with 85 19"),
        (b"\x31\x18\x10\x06", "a UBIFS file system"),
        (b"what is this", "bytes that begin with 77 68 61 74"),
    ] {
        let mut bytes = magic.to_vec();
        bytes.resize(4096, 0x5a);
        let analysis = analyzed(&bytes);
        assert!(seen(&analysis, "not-understood").contains(kind), "{kind}");
        assert!(rules(&analysis).contains(&"no-root"));
        assert_ne!(analysis.word, "good");
    }
}

#[test]
fn an_older_table_and_bytes_outside_partitions_are_told() {
    let analysis = analyzed(&mbr_disk(&[&root_cpio()]));
    assert!(seen(&analysis, "not-understood").contains("a FAT file system"));
    assert!(rules(&analysis).contains(&"account-empty-password"));
    // A megabyte in front of the first partition that holds something.
    let mut disk = gpt_disk(&[("a", &root_cpio())]);
    disk[600_000..600_100].fill(7);
    assert!(seen(&analyzed(&disk), "unknown-region").contains("bytes 17408 to 1048576"));
    let clean = analyzed(&gpt_disk(&[("a", &root_cpio())]));
    assert!(!rules(&clean).contains(&"unknown-region"));
}

#[test]
fn a_boot_loader_outside_partitions_and_a_saved_environment_are_found() {
    let mut disk =
        gpt_disk(&[("a", &root_cpio()), ("env", b"\x01\x02\x03\x04bootcmd=run x\0bootdelay=2\0\0")]);
    let text = b"U-Boot 2024.01 (Jan 01 2024)\0bootcmd=run distro\0bootdelay=3\0";
    disk[600_000..600_000 + text.len()].copy_from_slice(text);
    let analysis = analyzed(&disk);
    assert_eq!(analysis.boot_loaders[0].version, "2024.01");
    assert!(seen(&analysis, "boot-no-key").contains("none with a key"));
    assert!(seen(&analysis, "boot-stop").contains("bootdelay is 3"));
    assert!(seen(&analysis, "boot-environment").contains("bootcmd=run x"));
}

#[test]
fn a_broken_disk_and_a_cut_archive_are_findings() {
    let mut disk = gpt_disk(&[("a", &root_cpio())]);
    let len = disk.len();
    disk[512 + 16] ^= 1;
    disk[len - 512 + 16] ^= 1;
    assert!(rules(&analyzed(&disk)).contains(&"broken"));
    let root = root_cpio();
    assert!(rules(&analyzed(&root[..root.len() / 2])).contains(&"broken"));
    let packed = gzip(&root);
    assert!(rules(&analyzed(&packed[..packed.len() / 2])).contains(&"broken"));
    let mut squashfs = b"hsqs".to_vec();
    squashfs.resize(4096, 0xff);
    assert!(rules(&analyzed(&squashfs)).contains(&"broken"));
}

#[test]
fn a_bomb_of_containers_ends_at_its_depth() {
    let mut inner = root_cpio();
    for _ in 0..20 {
        inner = gzip(&inner);
    }
    assert!(seen(&analyzed(&inner), "limit").contains("containers inside each other"));
}

#[test]
fn bytes_that_are_absurd_elf_are_a_finding() {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf[16] = 2;
    // Section and program headers past the end, and as many as can be counted.
    elf[32..40].fill(0xf0);
    elf[40..48].fill(0xf0);
    elf[54..64].fill(0xff);
    let root = cpio(&[
        ("etc/passwd", b"root:*:0:0::/:/bin/false\n"),
        ("usr/bin/x", &elf),
        ("usr/bin/y", b"\x7fELF"),
    ]);
    let analysis = analyzed(&root);
    let places = seen(&analysis, "elf-broken");
    assert!(places.contains("/usr/bin/x") && places.contains("/usr/bin/y"), "{places}");
}

#[test]
fn links_that_loop_and_a_password_file_that_is_a_folder_end() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["etc/passwd", "usr/bin", "etc/systemd/system/multi-user.target.wants"] {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    std::os::unix::fs::symlink("b", root.join("etc/a")).unwrap();
    std::os::unix::fs::symlink("a", root.join("etc/b")).unwrap();
    std::os::unix::fs::symlink("../a", root.join("etc/systemd/system/multi-user.target.wants/x.service"))
        .unwrap();
    std::os::unix::fs::symlink("shadow", root.join("etc/shadow")).unwrap();
    let analysis = analyze(root, &Options::default()).unwrap();
    assert!(seen(&analysis, "broken").contains("/etc/passwd"));
}

#[test]
fn any_bytes_end_without_a_panic() {
    // A small generator, always the same numbers: fields of real formats over noise.
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let whole = gpt_disk(&[("boot", &fit(&gzip(&root_cpio()), "gzip")), ("a", &root_cpio())]);
    for round in 0..40 {
        let mut bytes = whole.clone();
        for _ in 0..1 + round {
            let at =
                (usize::from(next()) << 16 | usize::from(next()) << 8 | usize::from(next())) % bytes.len();
            bytes[at] = next();
        }
        let mut pieces = Pieces::default();
        pieces.look("x", &Source::from_bytes("x", bytes), 0, &mut Found::default());
        assert!(!pieces.parts.is_empty());
    }
}

#[test]
fn a_date_and_known_keys_count_only_when_given() {
    // Valid for one day of November 2026.
    let certificate = include_str!("testdata/one-day.crt");
    let root = cpio(&[
        ("etc/passwd", b"root:*:0:0::/:/bin/false\n"),
        ("etc/x.crt", certificate.as_bytes()),
        ("usr/bin/x", b"x"),
    ]);
    let plain = analyzed(&root);
    assert_eq!((plain.keys[0].algorithm.as_str(), plain.keys[0].name.as_str()), ("p256", "CN=short"));
    assert!(!rules(&plain).contains(&"certificate-expired") && !rules(&plain).contains(&"known-key"));
    assert!(seen(&plain, "certificate-undated").contains("1 certificates; no `--at`"));
    let late = with(&root, &Options { at: Some(1_900_000_000), ..Options::default() });
    assert!(!rules(&late).contains(&"certificate-undated"));
    assert!(seen(&late, "certificate-expired").contains("expired: CN=short"));
    let early = with(&root, &Options { at: Some(1_000_000_000), ..Options::default() });
    assert!(seen(&early, "certificate-expired").contains("not yet valid"));
    let known = format!(
        "keys:\n- {{fingerprint: {}, source: a test}}\n",
        "a53b6333e859ebb424b5034724c18c2c377a1786b1bf3b64ab93ae74d6311995"
    );
    let mut known_keys = spec::known_keys::KnownKeys::default();
    known_keys.add(&spec::source::Source::new("k.yaml", "k.yaml", known)).unwrap();
    let found = with(&root, &Options { known_keys, ..Options::default() });
    assert!(seen(&found, "known-key").contains("published: a test"));
}

#[test]
fn issues_are_sorted_by_level() {
    let analysis = analyzed(&root_cpio());
    assert!(analysis.issues.windows(2).all(|pair| pair[0].level >= pair[1].level));
    assert!(analysis.issues.iter().all(|issue| issue.level >= Level::Note && !issue.places.is_empty()));
}
