use super::*;

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [("tree/Makefile", "a\n"), ("tree/package/x/x.mk", "b\n"), ("tree/dl/x.tar", "c\n")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn looked(folder: &Path, release: Option<&Path>, version: &str) -> Used {
    let version = Version { full: version.to_owned(), series: "2026.02".to_owned() };
    look(&folder.join("tree"), &version, release, &folder.join("seen"), &folder.join("log")).unwrap()
}

fn recorded(used: &Used) -> String {
    let mut provenance = BTreeMap::new();
    used.record(&mut provenance);
    provenance["buildroot-local-changes"].clone()
}

#[test]
fn what_differs_from_the_release_is_named() {
    let folder = tree();
    let release = folder.path().join("release");
    Listing::of(&folder.path().join("tree")).unwrap().write(&release).unwrap();
    let first = looked(folder.path(), Some(&release), "2026.02.3");
    assert_eq!(recorded(&first), "none");
    // Downloads are no part of a tree.
    fs::write(folder.path().join("tree/dl/y.tar"), "d").unwrap();
    assert_eq!(looked(folder.path(), Some(&release), "2026.02.3"), first);
    fs::write(folder.path().join("tree/package/x/x.mk"), "B\n").unwrap();
    fs::write(folder.path().join("tree/package/x/0001-own.patch"), "").unwrap();
    fs::remove_file(folder.path().join("tree/Makefile")).unwrap();
    let second = looked(folder.path(), Some(&release), "2026.02.3");
    assert_eq!(recorded(&second), "Makefile (removed), package/x/0001-own.patch, package/x/x.mk");
    assert_ne!(first.sha256, second.sha256);
    // The way back gives the same hash.
    fs::write(folder.path().join("tree/package/x/x.mk"), "b\n").unwrap();
    fs::remove_file(folder.path().join("tree/package/x/0001-own.patch")).unwrap();
    fs::write(folder.path().join("tree/Makefile"), "a\n").unwrap();
    assert_eq!(looked(folder.path(), Some(&release), "2026.02.3").sha256, first.sha256);
}

#[test]
fn without_anything_to_compare_with_nothing_is_claimed() {
    let folder = tree();
    assert!(recorded(&looked(folder.path(), None, "2026.02.3")).starts_with("not compared"));
    assert!(recorded(&looked(folder.path(), None, "2026.02.3-dirty")).contains("its version says `-dirty`"));
}

#[test]
fn many_changes_are_counted() {
    let changes = (0..25).map(|i| format!("f{i:02}")).collect();
    let used = Used { sha256: String::new(), commit: None, changes: Some(changes) };
    assert!(recorded(&used).ends_with("f19, and 5 more"), "{}", recorded(&used));
}

#[test]
fn a_checkout_tells_its_commit_and_its_changes() {
    if let Err(failure) = exec::require(&["git"]) {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{failure}");
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {failure}\n").as_bytes())
            .unwrap();
        return;
    }
    let folder = tree();
    let git = |arguments: &[&str]| {
        let run = Call::new(tool("git").unwrap())
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=x"])
            .args(arguments)
            .folder(&folder.path().join("tree"));
        run.run().unwrap();
    };
    git(&["init", "--quiet"]);
    git(&["add", "Makefile", "package"]);
    git(&["commit", "--quiet", "-m", "x"]);
    git(&["tag", "2026.02.3"]);
    fs::write(folder.path().join("tree/.gitignore"), "/dl\n").unwrap();
    fs::write(folder.path().join("tree/Makefile"), "changed\n").unwrap();
    let used = looked(folder.path(), None, "2026.02.3");
    assert_eq!(used.commit.as_deref(), Some("2026.02.3"));
    assert_eq!(recorded(&used), ".gitignore, Makefile");
}
