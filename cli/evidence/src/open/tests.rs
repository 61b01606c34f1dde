//! Opening bare parts, and a whole output folder made here from its formats.

use record::Verdict;

use super::*;
use crate::inspect::inspect;

pub fn message(result: Outcome<Subject>) -> String {
    result.err().expect("it cannot be opened").to_string()
}

#[test]
fn a_folder_is_a_root_file_system() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["etc/passwd", "usr/lib/os-release"] {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(path), "root:x:0:0::/root:/usr/sbin/nologin\n").unwrap();
    }
    let subject = open(folder.path()).unwrap();
    assert_eq!(subject.kind, SubjectKind::RootFs);
    let root = subject.root().unwrap();
    root.prove_whole().unwrap();
    assert!(root.read_text("/etc/passwd").unwrap().unwrap().starts_with("root:x"));
    let findings = inspect(None, &subject).unwrap();
    let accounts = findings.iter().find(|f| f.check == "generic.accounts").unwrap();
    assert_eq!(accounts.verdict, Verdict::Fail);
    assert!(accounts.seen.contains("`root` is missing in /etc/shadow"), "{}", accounts.seen);
}

#[test]
fn what_is_nothing_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise.bin");
    std::fs::write(&file, vec![0x55; 9000]).unwrap();
    assert!(message(open(&file)).contains("`noise.bin` is no output folder"));
    assert!(message(open(&folder.path().join("gone"))).contains("cannot read"));
}

#[test]
fn a_broken_fit_is_a_reason_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fit.itb");
    let mut bytes = FDT_MAGIC.to_vec();
    bytes.extend(64u32.to_be_bytes());
    bytes.resize(64, 0xff);
    std::fs::write(&file, bytes).unwrap();
    let subject = open(&file).unwrap();
    assert_eq!(subject.kind, SubjectKind::Fit);
    assert_eq!(subject.fit().map(|_| ()).unwrap_err().verdict, Verdict::CouldNotRun);
    assert_eq!(subject.root().map(|_| ()).unwrap_err().verdict, Verdict::NotApplicable);
}

#[test]
fn a_record_that_leads_out_of_its_folder_or_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = crate::report::sample::image();
    std::fs::create_dir(folder.path().join("image")).unwrap();
    std::fs::write(folder.path().join("image/disk.img"), b"not what is recorded").unwrap();
    record.files.get_mut(&Role::Uboot).unwrap().path = "../u-boot.bin".into();
    record::write_json_atomic(&folder.path().join("image.json"), &record).unwrap();
    let subject = open(folder.path()).unwrap();
    let why = |unable: crate::Unable| unable.why;
    assert!(subject.uboot().map(|_| ()).map_err(why).unwrap_err().contains("leads out of its folder"));
    assert!(
        subject
            .image()
            .map(|_| ())
            .map_err(why)
            .unwrap_err()
            .contains("`image/disk.img` is not the recorded file")
    );
    assert!(subject.root().is_err() && subject.fit().is_err() && subject.verity().is_err());
}

/// A `newc` archive of files: enough of a root file system, whatever partition it lies in.
pub fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let trailer = [("TRAILER!!!", &b""[..])];
    for (index, (name, text)) in files.iter().chain(&trailer).enumerate() {
        let mode = if *name == "TRAILER!!!" { 0 } else { 0o100_644 };
        let fields = [index + 1, mode, 0, 0, 1, 0, text.len(), 0, 0, 0, 0, name.len() + 1, 0];
        out.extend(b"070701");
        out.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        out.extend(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(*text);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// As Buildroot's skeleton has it: root without a password.
pub fn root_cpio() -> Vec<u8> {
    cpio(&[
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/shadow", b"root::::::::\n"),
        ("etc/group", b"root:x:0:\n"),
        ("etc/inittab", b"console::respawn:/sbin/getty -L  console 0 vt100 # GENERIC_SERIAL\n"),
        ("sbin/init", b"x"),
        ("usr/bin/x", b"x"),
    ])
}

/// A disk with an older table: FAT first, then each of these.
pub fn mbr_disk(parts: &[&[u8]]) -> Vec<u8> {
    const PART: usize = 16;
    let mut disk = vec![0; (2 + PART * (parts.len() + 1)) * 512];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut boot = vec![0; 512];
    boot[54..57].copy_from_slice(b"FAT");
    let all = std::iter::once(boot.as_slice()).chain(parts.iter().copied());
    for (number, bytes) in all.enumerate() {
        let first = 2 + PART * number;
        let entry = 446 + 16 * number;
        disk[entry + 4] = if number == 0 { 0x0c } else { 0x83 };
        disk[entry + 8..entry + 12].copy_from_slice(&(first as u32).to_le_bytes());
        disk[entry + 12..entry + 16].copy_from_slice(&(PART as u32).to_le_bytes());
        disk[first * 512..first * 512 + bytes.len()].copy_from_slice(bytes);
    }
    disk
}

pub fn opened(bytes: &[u8]) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sdcard.img");
    std::fs::write(&file, bytes).unwrap();
    open(&file).unwrap()
}

/// Verdict and words of each check.
pub fn found(subject: &Subject) -> std::collections::BTreeMap<String, (Verdict, String)> {
    inspect(None, subject).unwrap().into_iter().map(|f| (f.check, (f.verdict, f.seen))).collect()
}

#[test]
fn a_disk_of_others_is_told_check_by_check() {
    let root = root_cpio();
    let subject = opened(&mbr_disk(&[&root]));
    assert_eq!(subject.kind, SubjectKind::Disk);
    let all = found(&subject);
    let of = |id: &str| (all[id].0, all[id].1.as_str());
    assert_eq!(of("generic.accounts"), (Verdict::Fail, "`root` has an empty password"));
    assert_eq!(of("generic.console-login").0, Verdict::Fail);
    let (verdict, why) = of("generic.fit-signed");
    assert_eq!(verdict, Verdict::CouldNotRun);
    assert!(why.contains("no partition holds a FIT that can be read: 1 holds a FAT file system"), "{why}");
    assert!(why.contains("2 holds a root file system"), "{why}");
    assert_eq!(of("generic.verity-root").0, Verdict::CouldNotRun);
    assert_eq!(
        of("generic.partition-table"),
        (
            Verdict::Pass,
            "1 holds a FAT file system (it is not read: take the files out of it and inspect them), \
             2 holds a root file system"
        )
    );
    assert_eq!(of("generic.kernel-hardening").0, Verdict::CouldNotRun);
    // The boot loader may lie anywhere: it is not said to be absent, and nothing holds by it.
    assert_eq!(of("generic.control-fdt-key").0, Verdict::NotApplicable);
}

#[test]
fn of_two_root_file_systems_none_is_taken_and_without_one_nothing_holds() {
    let root = root_cpio();
    let two = found(&opened(&mbr_disk(&[&root, &root])));
    assert!(two["generic.accounts"].1.contains("partitions 2 and 3 each hold a root file system"), "{two:?}");
    let none = found(&opened(&mbr_disk(&[b"junk"])));
    assert!(none["generic.accounts"].1.contains("2 holds something unknown"), "{none:?}");
    for found in [two, none] {
        let passing = |(id, (verdict, _)): (&String, &(Verdict, String))| {
            *verdict == Verdict::Pass && id != "generic.partition-table"
        };
        assert!(!found.iter().any(passing), "{found:?}");
    }
}

#[test]
fn u_boot_without_a_key_requires_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("u-boot.bin");
    std::fs::write(&file, [b"\0".repeat(4096), b"U-Boot 2026.01 (Jan 01 2026)\0".to_vec()].concat()).unwrap();
    let all = found(&open(&file).unwrap());
    let (verdict, why) = &all["generic.control-fdt-key"];
    assert_eq!(*verdict, Verdict::Fail);
    assert!(
        why.contains("0 control FDTs in the binary") && why.contains("0 keys below `/signature`"),
        "{why}"
    );
}

#[test]
fn a_folder_of_images_names_them() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sdcard.img", "rootfs.ext2", "notes.txt"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    let why = message(open(folder.path()));
    assert!(why.contains("found neither `etc` nor `usr`"), "{why}");
    assert!(why.contains("inspect one of its files: rootfs.ext2, sdcard.img"), "{why}");
}
