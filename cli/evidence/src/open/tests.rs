//! Opening bare parts, and a whole output folder made here from its formats.

use record::Verdict;

use super::*;
use crate::inspect::inspect;

fn message(result: Outcome<Subject>) -> String {
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
    assert_eq!(accounts.verdict, Verdict::CouldNotRun);
    assert!(accounts.seen.contains("/etc/shadow"), "{}", accounts.seen);
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
