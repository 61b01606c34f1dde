//! Disks of others with a GPT, FITs in files, packed images: what is found, and what is told of the rest.

use std::collections::BTreeMap;
use std::io::Write;

use image::disk::{Guid, Layout, PartitionSpec, gpt_write};
use record::Verdict;

use super::tests::{cpio, found, mbr_disk, message, opened, root_cpio};
use super::*;

/// A disk with a GPT, each partition of 1 MiB with its name and what it begins with.
pub fn gpt_disk(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let guid = |byte: u8| Guid::from_stored([byte; 16]);
    let specs: Vec<PartitionSpec> = (2..)
        .zip(parts)
        .map(|(byte, (name, _))| PartitionSpec {
            name: (*name).into(),
            type_guid: guid(1),
            part_guid: guid(byte),
            attributes: 0,
            bytes: 1 << 20,
        })
        .collect();
    let layout = Layout::new(guid(200), &specs).unwrap();
    let mut disk = std::io::Cursor::new(vec![0; layout.bytes() as usize]);
    gpt_write(&mut disk, &layout).unwrap();
    let mut disk = disk.into_inner();
    for (partition, (_, bytes)) in layout.partitions().iter().zip(parts) {
        let at = partition.offset as usize;
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }
    disk
}

/// The least that is a FIT.
fn fit() -> Vec<u8> {
    use fit::fdt::{Node, Tree};
    let mut root = Node::new("");
    root.children.push(Node::new("images"));
    root.children.push(Node::new("configurations"));
    Tree { root, ..Tree::default() }.write().unwrap()
}

/// A plain device tree.
fn device_tree() -> Vec<u8> {
    use fit::fdt::{Node, Tree};
    let mut root = Node::new("");
    root.set_text("model", "a board with a name long enough to be a whole tree by its size");
    Tree { root, ..Tree::default() }.write().unwrap()
}

/// A root file system with a private key in it.
fn root_with_a_key() -> Vec<u8> {
    let key = format!("-----{} PRIVATE KEY-----\n{}\n", "BEGIN", "MC4C".repeat(16));
    cpio(&[("etc/passwd", b"root:*:0:0::/:/bin/false\n"), ("usr/bin/x", b"x"), ("etc/key", key.as_bytes())])
}

#[test]
fn a_gpt_disk_without_our_partitions_is_read_by_content() {
    let disk = gpt_disk(&[("boot", b""), ("rootfs", &root_cpio())]);
    let all = found(&opened(&disk));
    assert_eq!(all["generic.accounts"].1, "`root` has an empty password");
    // Everything was looked at: there is no FIT, and that nothing is signed is a finding.
    for check in ["generic.fit-signed", "generic.verity-root"] {
        let (verdict, why) = &all[check];
        assert_eq!(*verdict, Verdict::Fail, "{why}");
        assert!(why.contains("1 `boot` holds zeros") && why.contains("nothing is signed"), "{why}");
    }
    let (verdict, seen) = &all["generic.partition-table"];
    assert_eq!(
        (*verdict, seen.as_str()),
        (Verdict::Pass, "1 `boot` holds zeros, 2 `rootfs` holds a root file system")
    );
}

#[test]
fn defects_of_the_table_and_partitions_outside_are_told() {
    let whole = gpt_disk(&[("rootfs", &root_cpio()), ("boot", b""), ("data", b"")]);
    // An image of a card that was cut short lacks the copy of its table.
    let cut = found(&opened(&whole[..whole.len() - 512]));
    assert_eq!(cut["generic.accounts"].1, "`root` has an empty password");
    let (verdict, why) = &cut["generic.partition-table"];
    assert_eq!(*verdict, Verdict::Fail);
    assert!(why.starts_with("GPT: "), "{why}");
    // Cut inside the last partition: it is told, and nothing is said of what may be in it.
    let short = found(&opened(&whole[..whole.len() - (3 << 19)]));
    let (verdict, why) = &short["generic.partition-table"];
    assert_eq!(*verdict, Verdict::Fail);
    assert!(why.contains("(`data`)") && why.contains("it ends after the image"), "{why}");
    assert!(why.contains("not looked at: 3 `data`"), "{why}");
    let (verdict, why) = &short["generic.fit-signed"];
    assert_eq!(*verdict, Verdict::CouldNotRun, "{why}");
    assert!(why.contains("3 `data` was not looked at ("), "{why}");
}

#[test]
fn a_key_is_found_on_a_disk_without_a_fit() {
    let secrets = |disk: &[u8]| found(&opened(disk))["generic.secrets"].clone();
    let (verdict, why) = secrets(&mbr_disk(&[&root_with_a_key()]));
    assert_eq!((verdict, why.as_str()), (Verdict::Fail, "`/etc/key` holds a private key (`PRIVATE KEY`)"));
    // Without one, what was not looked at decides; where all was looked at, nothing is missing.
    let (verdict, why) = secrets(&mbr_disk(&[&root_cpio()]));
    assert_eq!(verdict, Verdict::CouldNotRun, "{why}");
    let (verdict, why) = secrets(&gpt_disk(&[("rootfs", &root_cpio())]));
    assert_eq!((verdict, why.as_str()), (Verdict::Pass, "none in 6 files"));
}

#[test]
fn a_fit_in_a_file_is_found_wherever_it_lies() {
    let (fit, tree) = (fit(), device_tree());
    let boot = |files: &[(&str, &[u8])]| cpio(files);
    let with = |parts: &[(&str, &[u8])]| opened(&gpt_disk(parts));
    // In a boot partition with an ordinary file system, beside a device tree.
    let subject = with(&[
        ("boot", &boot(&[("Image.itb", &fit), ("board.dtb", &tree), ("tree.bin", &tree)])),
        ("rootfs", &root_cpio()),
    ]);
    assert!(subject.fit().is_ok());
    let shown = subject.partitions().unwrap().shown();
    assert!(
        shown.contains("1 `boot` holds a file system, not of a root with the FIT `/Image.itb`"),
        "{shown}"
    );
    // In the root file system, of a disk and alone.
    let root = boot(&[("boot/fitImage", &fit), ("etc/passwd", b"x"), ("usr/bin/x", b"x")]);
    assert!(with(&[("rootfs", &root)]).fit().is_ok() && opened(&root).fit().is_ok());
    assert_eq!(opened(&root_cpio()).fit().unwrap_err().verdict, Verdict::NotApplicable);
    // Elsewhere nothing is loaded from; a device tree is none; of two none is taken.
    let elsewhere = boot(&[("usr/share/fitImage", &fit), ("etc/passwd", b"x"), ("boot/x", &tree)]);
    assert_eq!(opened(&elsewhere).fit().unwrap_err().verdict, Verdict::NotApplicable);
    let two = boot(&[("boot/a.itb", &fit), ("boot/b.itb", &fit), ("etc/passwd", b"x"), ("usr/bin/x", b"x")]);
    let why = opened(&two).fit().unwrap_err();
    assert_eq!(why.verdict, Verdict::CouldNotRun);
    assert!(why.why.contains("`/boot/a.itb` and `/boot/b.itb` are FITs"), "{}", why.why);
    let why = with(&[("kernel", &fit), ("rootfs", &root)]).fit().unwrap_err().why;
    assert!(why.contains("1 `kernel` and 2 `rootfs` `/boot/fitImage` each hold a FIT"), "{why}");
}

#[test]
fn packed_images_are_opened_and_broken_ones_refused() {
    let disk = mbr_disk(&[&root_cpio()]);
    let plain = found(&opened(&disk));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&disk).unwrap();
    let packed = gzip.finish().unwrap();
    let subject = opened(&packed);
    assert_eq!(subject.kind, SubjectKind::Disk);
    // The digest is that of the file that was given.
    assert_eq!(subject.hashes, BTreeMap::from([("sdcard.img".to_owned(), record::sha256_hex(&packed))]));
    assert_eq!(found(&subject), plain);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sdcard.img.gz");
    std::fs::write(&file, &packed[..packed.len() / 2]).unwrap();
    assert!(message(open(&file)).contains("cannot read"));
}

#[test]
fn a_format_that_is_not_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rootfs.ubi");
    std::fs::write(&file, [b"UBI#".to_vec(), vec![1; 9000]].concat()).unwrap();
    let why = message(open(&file));
    assert!(why.contains("`rootfs.ubi` is a UBI image, which is not read"), "{why}");
    assert!(why.contains("BR2_TARGET_ROOTFS_TAR"), "{why}");
}
