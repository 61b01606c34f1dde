//! What lies behind, over or inside other things, and images that claim more than they have.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sha2::Digest as _;

use super::accounts::MAX_ACCOUNTS;
use super::model::Analysis;
use super::tests::{analyzed, fit, gzip, rules, seen};
use crate::open::disk_tests::gpt_disk;
use crate::open::tests::{cpio, root_cpio};

/// A root file system in which nothing is wrong with the accounts.
const GOOD: [(&str, &[u8]); 2] =
    [("etc/passwd", b"root:*:0:0::/:/bin/false\n"), ("usr/bin/x", b"#!/bin/sh\n")];
/// One that lets root in without a password.
const OPEN: [(&str, &[u8]); 3] = [
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
    ("etc/shadow", b"root::1::::::\n"),
    ("usr/bin/x", b"#!/bin/sh\n"),
];

/// Runs a tool in a folder; false, and said, where it is not installed.
#[allow(clippy::print_stderr, reason = "what is skipped is said")]
fn tool(folder: &Path, script: &str) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let name = script.split_whitespace().next().unwrap();
    let there = std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    if !there {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{name}` is required");
        eprintln!("SKIPPED: `{name}` is not installed");
        return false;
    }
    let run =
        Command::new("bash").args(["-euc", script]).current_dir(folder).env("PATH", path).output().unwrap();
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    true
}

/// What a tool makes of files in the folder `root`: the file `image`.
fn made(files: &[(&str, &[u8])], script: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join("root").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let made = tool(folder.path(), script);
    made.then(|| std::fs::read(folder.path().join("image")).unwrap())
}

fn squashfs(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    made(files, "mksquashfs root image -quiet -no-progress")
}

fn legacy(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 64];
    image[..4].copy_from_slice(&[0x27, 0x05, 0x19, 0x56]);
    image[12..16].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    image[24..28].copy_from_slice(&image::disk::crc32(payload).to_be_bytes());
    let sum = image::disk::crc32(&image);
    image[4..8].copy_from_slice(&sum.to_be_bytes());
    image.extend(payload);
    image
}

/// An arm64 kernel by its header.
fn kernel() -> Vec<u8> {
    let mut kernel = vec![1; 5000];
    kernel[16..24].copy_from_slice(&5000_u64.to_le_bytes());
    kernel[56..60].copy_from_slice(b"ARM\x64");
    kernel
}

fn padded(mut bytes: Vec<u8>, to: usize, with: u8) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(to), with);
    bytes
}

/// A FIT whose images lie behind it: name, first byte and size of each.
fn outer_fit(images: &[(&str, u32, u32)]) -> Vec<u8> {
    use fit::fdt::{Node, Tree};
    let mut all = Node::new("images");
    for (name, position, size) in images {
        let mut image = Node::new(name);
        image.set_text("compression", "none");
        image.set_cell("data-position", *position);
        image.set_cell("data-size", *size);
        all.children.push(image);
    }
    let mut root = Node::new("");
    root.children.extend([all, Node::new("configurations")]);
    Tree { root, ..Tree::default() }.write().unwrap()
}

fn kinds(analysis: &Analysis) -> Vec<&str> {
    analysis.parts.iter().map(|part| part.kind.as_str()).collect()
}

/// From which byte on the first part lies that is behind another.
fn behind_byte(analysis: &Analysis) -> Option<u64> {
    analysis.parts.iter().find_map(|part| part.at.split_once("from byte ")?.1.parse().ok())
}

#[test]
fn what_lies_behind_a_container_is_opened_or_told() {
    let (Some(good), Some(open)) = (squashfs(&GOOD), squashfs(&OPEN)) else { return };
    let Some(archive) = made(&GOOD, "tar -C root -cf image .") else { return };
    assert!(!rules(&analyzed(&good)).contains(&"account-empty-password"));
    let behind = |first: Vec<u8>, what: &[u8]| [first, what.to_vec()].concat();
    let cases = [
        ("a squashfs", good.clone()),
        ("a squashfs and padding", padded(good.clone(), 65536, 0xff)),
        ("a legacy image", padded(legacy(&kernel()), 65536, 0)),
        ("a kernel", padded(kernel(), 4096, 0)),
        ("a FIT", padded(fit(&gzip(b"x"), "gzip"), 65536, 0)),
        ("an archive", archive),
    ];
    for (name, first) in &cases {
        let analysis = analyzed(&behind(first.clone(), &open));
        let places = seen(&analysis, "account-empty-password");
        assert!(places.contains("/etc/shadow"), "{name}: {places}");
        assert!(behind_byte(&analysis).is_some(), "{name}: {:?}", analysis.parts);
        let noise = analyzed(&behind(first.clone(), b"what is this, then? \x01\x02"));
        let told = seen(&noise, "not-understood");
        assert!(told.contains("bytes that begin with 77 68 61 74"), "{name}: {told}");
        let plain = analyzed(first);
        for rule in ["not-understood", "broken"] {
            let told = plain.issues.iter().find(|issue| issue.rule == rule).map(|issue| &issue.places);
            let own = told.into_iter().flatten().filter(|place| place.path.contains("from byte")).count();
            assert_eq!(own, 0, "{name}: {told:?}");
        }
    }
}

#[test]
fn what_lies_between_a_fit_and_its_images_is_looked_at() {
    let Some(open) = squashfs(&OPEN) else { return };
    let mut image = padded(outer_fit(&[("kernel-1", 65536, 5000)]), 8192, 0);
    image.extend(&open);
    image.resize(65536, 0);
    image.extend(kernel());
    let analysis = analyzed(&image);
    assert!(rules(&analysis).contains(&"account-empty-password"), "{:?}", analysis.parts);
    assert_eq!(behind_byte(&analysis), Some(8192));
}

#[test]
fn an_ext4_behind_another_file_system_is_found_behind_its_zeros() {
    let Some(good) = squashfs(&GOOD) else { return };
    let Some(ext4) = made(&OPEN, "mke2fs -q -F -t ext4 -b 1024 -d root image 1M") else { return };
    let both = [padded(good, 65536, 0), ext4.clone()].concat();
    assert!(seen(&analyzed(&both), "account-empty-password").contains("from byte 65536:/etc/shadow"));
    // A file system that has more than the image was cut off, also where nothing is missing of what it lists.
    let whole = analyzed(&ext4);
    assert!(!rules(&whole).contains(&"broken"));
    let cut = analyzed(&ext4[..ext4.len() - 65536]);
    assert!(seen(&cut, "broken").contains("it says that it has 1048576 bytes, there are 983040"));
}

#[test]
fn a_file_that_was_cut_off_is_broken_and_no_limit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("root/etc")).unwrap();
    std::fs::create_dir_all(folder.path().join("root/usr")).unwrap();
    let noise: Vec<u8> = (0..3 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(folder.path().join("root/usr/large"), noise).unwrap();
    if !tool(folder.path(), "mke2fs -q -F -t ext4 -d root image 8M") {
        return;
    }
    let image = std::fs::read(folder.path().join("image")).unwrap();
    let analysis = analyzed(&image[..2 << 20]);
    assert!(seen(&analysis, "broken").contains("/usr/large: "), "{:?}", rules(&analysis));
    assert!(!rules(&analysis).contains(&"limit"));
}

#[test]
fn a_hash_tree_that_holds_is_no_unknown_part_and_one_that_does_not_is() {
    let Some(root) = squashfs(&GOOD) else { return };
    let root = padded(root, 4096, 0);
    let folder = tempfile::tempdir().unwrap();
    // Two blocks at least: one alone has no tree.
    let root = padded(root, 16384, 0);
    std::fs::write(folder.path().join("data"), &root).unwrap();
    if !tool(folder.path(), "veritysetup format data tree > out") {
        return;
    }
    let tree = std::fs::read(folder.path().join("tree")).unwrap();
    let holds = analyzed(&[root.clone(), tree.clone()].concat());
    assert!(kinds(&holds).contains(&"a dm-verity hash tree that holds"), "{:?}", kinds(&holds));
    assert!(!rules(&holds).contains(&"not-understood"));
    let mut other = tree;
    other[4096] ^= 1;
    assert!(seen(&analyzed(&[root, other].concat()), "not-understood").contains("begin with 76 65 72 69"));
}

#[test]
fn a_tree_without_a_superblock_is_known_by_the_command_line_of_the_fit() {
    let Some(root) = squashfs(&GOOD) else { return };
    let root = padded(root, 16384, 0);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), &root).unwrap();
    if !tool(folder.path(), "veritysetup format --no-superblock --salt=00112233 data tree > out") {
        return;
    }
    let out = std::fs::read_to_string(folder.path().join("out")).unwrap();
    let hash = out.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim();
    let blocks = root.len() / 4096;
    let guid = "PARTUUID=00000000-0000-0000-0000-000000000001";
    let arguments = format!(
        "dm-mod.create=\"r,,,ro,0 {} verity 1 {guid} {guid} 4096 4096 {blocks} {blocks} sha256 {hash} 00112233\" root=/dev/dm-0",
        blocks * 8
    );
    let board = |arguments: &str| {
        use fit::fdt::{Node, Tree};
        let mut chosen = Node::new("chosen");
        chosen.set_text("bootargs", arguments);
        let mut root = Node::new("");
        root.children.push(chosen);
        fit(&Tree { root, ..Tree::default() }.write().unwrap(), "none")
    };
    let part = [root, std::fs::read(folder.path().join("tree")).unwrap()].concat();
    // The command line is in a partition behind.
    let holds = analyzed(&gpt_disk(&[("root", &part), ("boot", &board(&arguments))]));
    assert!(kinds(&holds).contains(&"a dm-verity hash tree that holds"), "{:?}", holds.parts);
    assert!(!rules(&holds).contains(&"not-understood"));
    let other = arguments.replace(hash, &"0".repeat(64));
    let told = analyzed(&gpt_disk(&[("root", &part), ("boot", &board(&other))]));
    assert!(seen(&told, "not-understood").contains("/ root / from byte"));
}

#[test]
fn parts_over_each_other_are_told_and_not_opened_again() {
    let mut image = padded(outer_fit(&[("a", 65536, 5000), ("b", 65536, 5000), ("c", 65540, 64)]), 65536, 0);
    image.extend(kernel());
    let analysis = analyzed(&image);
    let told = seen(&analysis, "overlap");
    assert!(
        told.contains(
            "/ b: bytes 65536 to 70536 lie over a part of bytes 65536 to 70536; it is not opened again"
        ),
        "{told}"
    );
    assert!(told.contains("/ c: bytes 65540 to 65604 lie over"), "{told}");
    assert_eq!(analysis.kernels.len(), 1);
    assert!(kinds(&analysis).contains(&"bytes of another part"));
}

#[test]
fn an_update_is_opened_by_what_its_files_hold() {
    let Some(open) = squashfs(&OPEN) else { return };
    let noise: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let update = cpio(&[
        ("sysupgrade-x/CONTROL", b"BOARD=x\n"),
        ("sysupgrade-x/kernel", &legacy(&kernel())),
        ("sysupgrade-x/root", &open),
        ("firmware.bin", &noise),
        ("readme", &b"text ".repeat(30_000)),
    ]);
    let analysis = analyzed(&update);
    assert!(rules(&analysis).contains(&"account-empty-password"), "{:?}", analysis.parts);
    assert_eq!(analysis.kernels.len(), 1);
    let told = seen(&analysis, "not-understood");
    assert!(
        told.contains("/firmware.bin: 200000 bytes that begin with") && !told.contains("readme"),
        "{told}"
    );
    // In a root file system a large file that is no text is nothing to say of.
    let root = cpio(&[&GOOD[..], &[("usr/share/noise.bin", &noise)]].concat());
    assert!(!rules(&analyzed(&root)).contains(&"not-understood"));
}

#[test]
fn a_squashfs_with_another_compression_is_named_and_not_broken() {
    let Some(mut image) = squashfs(&GOOD) else { return };
    for (number, name) in [(3, "lzo"), (7, "?")] {
        image[20] = number;
        let analysis = analyzed(&image);
        assert!(seen(&analysis, "not-understood").contains(&format!("compression {number} ({name})")));
        assert!(!rules(&analysis).contains(&"broken"));
    }
}

#[test]
fn older_compressions_are_opened_in_squashfs_and_legacy_images() {
    for name in ["lz4", "lzma"] {
        let script = format!("mksquashfs root image -quiet -no-progress -comp {name}");
        let Some(image) = made(&OPEN, &script) else { return };
        let analysis = analyzed(&image);
        assert!(seen(&analysis, "account-empty-password").contains("/etc/shadow"), "{name}");
        let mut torn = image;
        let at = torn.len() / 2;
        torn[96..at].fill(0x5a);
        assert!(rules(&analyzed(&torn)).contains(&"broken"), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root"), root_cpio()).unwrap();
    if !tool(folder.path(), "lzma -kc root > packed") {
        return;
    }
    let packed = std::fs::read(folder.path().join("packed")).unwrap();
    let mut image = legacy(&packed);
    image[31] = 3;
    assert!(rules(&analyzed(&image)).contains(&"account-empty-password"));
    // What lies behind the packed bytes is a piece of its own.
    let behind = analyzed(&[packed.clone(), padded(vec![], 4096, 0), cpio(&OPEN)].concat());
    assert!(behind_byte(&behind).is_some(), "{:?}", behind.parts);
    // LZO is named.
    image[31] = 4;
    assert!(seen(&analyzed(&image), "not-understood").contains("compression 4 is not read"));
    assert!(rules(&analyzed(&packed)).contains(&"account-empty-password"));
    assert!(rules(&analyzed(&packed[..packed.len() / 2])).contains(&"broken"));
}

#[test]
fn images_of_a_fit_may_be_packed_by_all_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root"), root_cpio()).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&root_cpio()).unwrap();
    let analysis = analyzed(&fit(&lz4.finish().unwrap(), "lz4"));
    assert!(rules(&analysis).contains(&"account-empty-password"), "lz4: {:?}", rules(&analysis));
    for name in ["bzip2", "lzma", "xz"] {
        if !tool(folder.path(), &format!("{name} -kc root > packed")) {
            return;
        }
        let packed = std::fs::read(folder.path().join("packed")).unwrap();
        let analysis = analyzed(&fit(&packed, name));
        assert!(rules(&analysis).contains(&"account-empty-password"), "{name}: {:?}", rules(&analysis));
    }
}

#[test]
fn a_secret_in_a_large_text_is_found() {
    let text = [&b"x\n".repeat(1 << 20)[..], b"password = \"hunter2secret99\"\n"].concat();
    let small =
        analyzed(&cpio(&[&GOOD[..], &[("etc/a.conf", b"password = \"hunter2secret99\"\n")]].concat()));
    let rule = rules(&small).into_iter().find(|rule| rule.starts_with("secret-")).unwrap().to_owned();
    let large = analyzed(&cpio(&[&GOOD[..], &[("etc/a.conf", &text)]].concat()));
    assert!(seen(&large, &rule).contains("line 1048577"));
}

#[test]
fn more_paths_than_a_tree_may_have_are_a_limit() {
    let names: Vec<String> = (0..=image::tree::MAX_ENTRIES).map(|number| format!("{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let analysis = analyzed(&cpio(&files));
    assert!(seen(&analysis, "limit").contains("number of paths is 400001, more than the limit of 400000"));
    assert_ne!(analysis.word, "good");
}

/// Each image is held against all before it: millions would never end.
#[test]
fn of_a_fit_with_too_many_images_the_first_left_out_is_named_and_no_other() {
    let names: Vec<String> = (0..3000).map(|number| format!("i-{number}")).collect();
    let images: Vec<(&str, u32, u32)> =
        names.iter().zip(0..).map(|(name, at)| (name.as_str(), 0x10_0000 + 16 * at, 16)).collect();
    let analysis = analyzed(&outer_fit(&images));
    assert_eq!(analysis.parts.len(), super::bounds::MAX_PARTS);
    let limits = analysis.issues.iter().find(|issue| issue.rule == "limit").unwrap();
    assert_eq!(limits.places.len(), 1, "{:?}", limits.places);
    assert!(limits.places[0].seen.contains("more than 1000 parts; the first left out is `"));
}

#[test]
fn what_is_more_than_is_looked_at_is_told() {
    let accounts: String = (0..MAX_ACCOUNTS).map(|n| format!("u{n}:*:{n}:0::/:/bin/false\n")).collect();
    let passwd = format!("{accounts}open::0:0::/:/bin/sh\n");
    let secrets: String = (0..60).map(|n| format!("password = hunter{n}hunter{n}\n")).collect();
    let keys = "ssh-ed25519 AAAA x\n".repeat(2001);
    let unit = b"[Service]\nExecStart=/bin/true\n".to_vec();
    let units: Vec<(String, Vec<u8>)> = (0..2001)
        .map(|n| (format!("etc/systemd/system/multi-user.target.wants/u{n}.service"), unit.clone()))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("etc/passwd", passwd.as_bytes()),
        ("etc/x.conf", secrets.as_bytes()),
        ("root/.ssh/authorized_keys", keys.as_bytes()),
        ("usr/bin/x", b"#!/bin/sh\n"),
    ];
    for (path, bytes) in &units {
        files.push((path, bytes));
    }
    let links: Vec<(String, Vec<u8>)> =
        (0..2001).map(|n| (format!("usr/lib/systemd/system/u{n}.service"), unit.clone())).collect();
    for (path, bytes) in &links {
        files.push((path, bytes));
    }
    let analysis = analyzed(&cpio(&files));
    let told = seen(&analysis, "limit");
    for place in ["/etc/passwd: ", "/etc/x.conf: ", "/root/.ssh/authorized_keys: ", "/etc/systemd/system: "] {
        assert!(told.contains(place), "{place}: {told}");
    }
    assert_ne!(analysis.strength.iter().find(|area| area.area.word() == "reading").unwrap().word, "good");
}

/// A boot loader of which nothing says where it ends.
fn boot_loader() -> Vec<u8> {
    let mut loader = vec![0x5a; 100_000];
    loader[5000..5036].copy_from_slice(b"U-Boot 2024.01 (Jan 01 2024)\0bootcmd");
    loader
}

#[test]
fn what_lies_behind_a_boot_loader_in_its_partition_is_opened() {
    let Some(open) = squashfs(&OPEN) else { return };
    for fill in [0, 0xff] {
        let mut part = padded(boot_loader(), 256 << 10, fill);
        part.extend(&open);
        let analysis = analyzed(&gpt_disk(&[("boot", &part), ("rest", b"")]));
        assert!(seen(&analysis, "account-empty-password").contains("/etc/shadow"), "{:?}", kinds(&analysis));
        assert!(kinds(&analysis).contains(&"a boot loader (U-Boot)"));
    }
    // What nobody knows behind it is told.
    let mut part = padded(boot_loader(), 256 << 10, 0xff);
    part.extend((1..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    let analysis = analyzed(&gpt_disk(&[("boot", &part)]));
    assert!(seen(&analysis, "not-understood").contains("from byte 262144"), "{:?}", kinds(&analysis));
}

#[test]
fn padding_in_front_is_skipped_and_a_packed_payload_is_not_read() {
    let Some(open) = squashfs(&OPEN) else { return };
    for fill in [0, 0xff] {
        let mut part = vec![fill; 96 << 10];
        part.extend(&open);
        assert!(seen(&analyzed(&part), "account-empty-password").contains("/etc/shadow"), "{fill}");
    }
    let mut image = legacy(&kernel());
    assert!(!rules(&analyzed(&image)).contains(&"broken"));
    image[31] = 4;
    let analysis = analyzed(&image);
    assert!(seen(&analysis, "broken").contains("the checksum of its header is not right"));
    image[100] ^= 1;
    assert!(seen(&analyzed(&image), "broken").contains("the checksum of its data is not right"));
    assert!(!analysis.parts[0].read && seen(&analysis, "not-understood").contains("compression 4"));
}

#[test]
fn a_fit_whose_hashes_are_wrong_is_broken() {
    use fit::fdt::{Node, Tree};
    for (value, right) in [(sha2::Sha256::digest(b"payload").to_vec(), true), (vec![7; 32], false)] {
        let mut hash = Node::new("hash-1");
        hash.set_text("algo", "sha256");
        hash.set("value", value);
        let mut image = Node::new("kernel-1");
        image.set_text("compression", "none");
        image.set("data", b"payload".to_vec());
        image.children.push(hash);
        let mut images = Node::new("images");
        images.children.push(image);
        let mut root = Node::new("");
        root.children.extend([images, Node::new("configurations")]);
        let analysis = analyzed(&Tree { root, ..Tree::default() }.write().unwrap());
        assert_eq!(!rules(&analysis).contains(&"broken"), right, "{:?}", rules(&analysis));
    }
}
