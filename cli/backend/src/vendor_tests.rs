use std::os::unix::fs::symlink;

use super::*;

fn plan() -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let product = folder.path().join("product.yaml");
    fs::write(&product, spec::scaffold("bench")).unwrap();
    let mut plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    let program = |file: &str, bytes, at_most| VendorProgramFacts {
        file: file.to_owned(),
        about: format!("the maker's {file}"),
        from: "the maker's page".to_owned(),
        bytes,
        at_most,
    };
    plan.board.vendor_programs = vec![program("a.bin", None, Some(8)), program("b.bin", Some(4), None)];
    plan
}

fn refused(plan: &Plan, folder: &Path) -> Failure {
    let failure = take(plan, folder).unwrap_err();
    assert_eq!(failure.status, ExitStatus::Input);
    failure
}

#[test]
fn programs_are_taken_from_the_boards_folder_or_the_one_that_is_named() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    for (at, last) in [(folder.path().to_owned(), b'1'), (folder.path().join(&plan.board.name), b'2')] {
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("a.bin"), [b'a', last]).unwrap();
        fs::write(at.join("b.bin"), "bbbb").unwrap();
        let programs = take(&plan, folder.path()).unwrap();
        assert_eq!(programs.get("a.bin"), Some(&[b'a', last][..]));
        let sources: BTreeMap<_, _> = programs.sources().collect();
        assert_eq!(sources["vendor b.bin"], format!("sha256 {}", sha256_hex(b"bbbb")));
    }
    let mut other = plan;
    other.board.vendor_programs.clear();
    assert!(take(&other, Path::new("/nowhere")).unwrap().0.is_empty());
}

#[test]
fn all_that_is_expected_is_told_at_once() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    fs::write(folder.path().join("a.bin"), "a").unwrap();
    let failure = refused(&plan, folder.path());
    assert_eq!((failure.diagnostics.len(), failure.diagnostics[0].code.as_str()), (1, "vendor-program"));
    let text = failure.to_string();
    for expected in [
        format!("expected `b.bin` in `{}`, found no such file", folder.path().display()),
        "`a.bin`: the maker's a.bin, 1 to 8 bytes; from the maker's page".to_owned(),
        "`b.bin`: the maker's b.bin, exactly 4 bytes; from the maker's page".to_owned(),
        format!(
            "put all of them into `vendor/{}` beside the product file, or name their folder with `--vendor`",
            plan.board.name
        ),
    ] {
        assert!(text.contains(&expected), "{text}");
    }
    let text = refused(&plan, &folder.path().join("none")).to_string();
    assert!(text.contains("expected `a.bin`, `b.bin` in") && text.contains("found no such folder"), "{text}");
    let text = refused(&plan, &folder.path().join("a.bin")).to_string();
    assert!(text.contains("found no such folder"), "a file in the folder's place: {text}");
}

#[test]
fn what_cannot_be_the_program_is_told_with_what_was_expected() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    let inside = folder.path().join("programs");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("b.bin"), "bbbb").unwrap();
    let path = inside.join("a.bin");
    let wrong = |expected: &str| {
        let failure = refused(&plan, &inside);
        assert_eq!(failure.diagnostics[0].code, "vendor-file");
        let text = failure.to_string();
        let start = format!("expected 1 to 8 bytes as `{}` (the maker's a.bin), found ", path.display());
        assert!(text.contains(&format!("{start}{expected}")), "{text}");
        assert!(text.contains("hint: take it anew from the maker's page"), "{text}");
    };
    fs::write(&path, "").unwrap();
    wrong("an empty file");
    fs::write(&path, "123456789").unwrap();
    wrong("9 bytes");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    wrong("a folder");
    fs::remove_dir(&path).unwrap();
    fs::write(folder.path().join("outside"), "a").unwrap();
    symlink("../outside", &path).unwrap();
    wrong("a link that leads out of the folder");
    fs::remove_file(&path).unwrap();
    symlink("nothing", &path).unwrap();
    wrong("a link to nothing");
    fs::remove_file(&path).unwrap();
    // A link within the folder is as good as the file.
    fs::write(inside.join("a-1.2.bin"), "a").unwrap();
    symlink("a-1.2.bin", &path).unwrap();
    assert_eq!(take(&plan, &inside).unwrap().get("a.bin"), Some(&b"a"[..]));
    // What is missing and what is wrong come together.
    fs::write(inside.join("b.bin"), "bbb").unwrap();
    fs::remove_file(&path).unwrap();
    let failure = refused(&plan, &inside);
    let codes: Vec<_> = failure.diagnostics.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["vendor-program", "vendor-file"]);
    assert!(failure.to_string().contains("expected exactly 4 bytes as"), "{failure}");
}

#[test]
fn a_program_is_pinned_at_first_and_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("fastness.lock");
    let programs = |content: &str| {
        Programs(BTreeMap::from([
            ("a.bin".to_owned(), content.as_bytes().to_vec()),
            ("b.bin".to_owned(), b"bbbb".to_vec()),
        ]))
    };
    Programs::default().pin("bench", &lock, false).unwrap();
    assert!(!lock.exists(), "nothing to pin");
    programs("1").pin("bench", &lock, false).unwrap();
    let first = fs::read_to_string(&lock).unwrap();
    programs("1").pin("bench", &lock, false).unwrap();
    assert_eq!(fs::read_to_string(&lock).unwrap(), first);
    let failure = programs("2").pin("bench", &lock, false).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Build, "pin-differs"));
    let text = format!(
        "`a.bin` for the board `bench` has SHA-256 {}, but the lock pins {}",
        sha256_hex(b"2"),
        sha256_hex(b"1")
    );
    assert!(failure.to_string().contains(&text), "{failure}");
    assert_eq!(fs::read_to_string(&lock).unwrap(), first);
    // Another board has its own.
    programs("2").pin("other", &lock, false).unwrap();
    programs("2").pin("bench", &lock, true).unwrap();
    let pins = Lock::read(&lock).unwrap().vendor;
    assert_eq!(pins["bench"], pins["other"]);
    assert_eq!(pins["bench"]["a.bin"], VendorPin { bytes: 1, sha256: sha256_hex(b"2") });
}

#[test]
fn those_of_another_build_do_not_stay() {
    let out = tempfile::tempdir().unwrap();
    let programs = |name: &str| Programs(BTreeMap::from([(name.to_owned(), b"x".to_vec())]));
    programs("old.bin").place(out.path()).unwrap();
    let placed = programs("new.bin").place(out.path()).unwrap();
    assert_eq!(placed["new.bin"].path, Path::new("artefacts/vendor/new.bin"));
    assert!(!out.path().join("artefacts/vendor/old.bin").exists());
    Programs::default().place(out.path()).unwrap();
    assert!(!out.path().join("artefacts/vendor").exists());
}
