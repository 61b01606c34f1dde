//! What a machine brings to a build with Buildroot: a release or a tree, mirrors, caches, a toolchain.

mod fake;

use std::fs;
use std::path::Path;

use fake::*;

#[test]
fn a_pinned_release_is_fetched_and_changes_of_a_given_tree_are_recorded() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Fake::new();
    let tarball = fake.path("buildroot.tar");
    let mut builder = tar::Builder::new(fs::File::create(&tarball).expect("a file"));
    builder.append_dir_all("buildroot-2026.02.3", fake.path("tree")).expect("packed");
    builder.finish().expect("packed");
    let facts = fake.plan.buildroot.as_mut().expect("a plan for Buildroot");
    facts.source = Some(spec::plan::ReleaseFacts {
        version: "2026.02.3".to_owned(),
        url: format!("file://{}", tarball.display()),
        sha256: record::sha256_file(&tarball).expect("a hash").0,
    });
    let fetched = built(&fake, &BuildOptions { buildroot: Machine::default(), ..fake.options() });
    assert_eq!(fetched.provenance["buildroot-local-changes"], "none");
    // A tree that was given is compared with the pinned release, and another output folder is used.
    let given = built(&fake, &fake.options());
    assert_eq!(given.provenance["buildroot-local-changes"], "none");
    assert_eq!(given.provenance["buildroot-tree-sha256"], fetched.provenance["buildroot-tree-sha256"]);
    fs::write(fake.path("tree/package/0001-own.patch"), "").expect("written");
    let changed = built(&fake, &fake.options());
    assert_eq!(changed.provenance["buildroot-local-changes"], "package/0001-own.patch");
    assert_eq!(fs::read_dir(fake.path("cache/buildroot")).expect("a folder").count(), 2);
}

#[test]
fn offline_allows_no_site() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    built(&fake, &BuildOptions { offline: true, ..fake.options() });
    let work = fake.work();
    assert!(fs::read_to_string(work.join("output/calls")).expect("calls").contains("only=y"));
}

#[test]
fn symbols_of_this_machine_follow_the_plans() {
    let fake = Fake::with("DROP = BR2_PACKAGE_AUDIT=");
    let local = fake.path("local.config");
    // Without a last line end: it must not spoil anything.
    fs::write(&local, "BR2_CCACHE=y").expect("written");
    generate(&fake.plan, &fake.path("generated"), &fake.path("fastness.lock")).expect("generated");
    let log = fake.path("log");
    let check = |symbols: &Path| {
        let machine = Machine { symbols: Some(symbols.to_owned()), ..Machine::default() };
        let (generated, tree) = (fake.path("generated"), fake.path("tree"));
        backend::buildroot::check_symbols(&fake.plan, &generated, &tree, &machine, &log)
    };
    // What the machine asks for is not lost in silence either.
    let text = check(&local).expect_err("lost symbols").to_string();
    let place = local.display();
    for part in
        ["BR2_PACKAGE_AUDIT", &format!("`BR2_CCACHE` was asked to be `y` by this machine ({place}:1)")]
    {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert!(!fake.path("buildroot-check").exists());
    let text = check(Path::new("/nonexistent")).expect_err("no file").to_string();
    assert!(text.contains("/nonexistent"), "{text}");
}

#[test]
fn mirrors_downloads_and_ccache_of_this_machine_reach_make() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("LOCAL = BR2_CCACHE=");
    let last = |machine: Machine, offline: bool| {
        built(&fake, &BuildOptions { buildroot: machine, offline, ..fake.options() });
        let calls = fs::read_to_string(fake.work().join("output/calls")).expect("calls");
        calls.lines().rfind(|line| line.starts_with("dl=")).expect("a call").to_owned()
    };
    let said = last(Machine { ccache: Ccache::Shared, ..fake.machine() }, false);
    let shared = fake.path("cache").canonicalize().expect("a folder").join("buildroot-ccache");
    assert!(said.ends_with(&format!("only= site= ccache={} jlevel=2", shared.display())), "{said}");
    let machine = Machine {
        downloads: Some(fake.path("dl")),
        ccache: Ccache::In(fake.path("objects")),
        primary_site: Some("https://mirror.example/dl".to_owned()),
        ..fake.machine()
    };
    let folder = fake.folder.path().canonicalize().expect("a folder");
    let place = folder.display();
    let said = last(machine.clone(), false);
    let expected =
        format!("dl={place}/dl only= site=https://mirror.example/dl ccache={place}/objects jlevel=2");
    assert_eq!(said, expected);
    let said = last(machine, true);
    assert!(said.contains("only=y site=https://mirror.example/dl"), "{said}");
    // None of it configured anything anew but ccache itself.
    assert_eq!(fake.count("defconfig"), 1);
    assert!(last(fake.machine(), false).ends_with("ccache= jlevel=2"));
}

#[test]
fn jobs_bound_what_takes_no_part_in_makes_own_count_unless_a_symbol_says_so() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("LOCAL = BR2_JLEVEL=");
    let last = |options: BuildOptions| {
        built(&fake, &options);
        let calls = fs::read_to_string(fake.work().join("output/calls")).expect("calls");
        calls.lines().rfind(|line| line.starts_with("dl=")).expect("a call").to_owned()
    };
    assert!(last(BuildOptions { jobs: 3, ..fake.options() }).ends_with(" jlevel=3"));
    // Another number configures nothing anew.
    assert!(last(BuildOptions { jobs: 1, ..fake.options() }).ends_with(" jlevel=1"));
    assert_eq!(fake.count("defconfig"), 1);
    let file = fake.path("local.config");
    fs::write(&file, "BR2_JLEVEL=7\n").expect("written");
    let machine = Machine { symbols: Some(file), ..fake.machine() };
    // Not on make's command line: the symbol of the configuration holds.
    assert!(last(BuildOptions { buildroot: machine, ..fake.options() }).ends_with(" jlevel="));
}

#[test]
fn another_toolchain_starts_afresh() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("LOCAL = BR2_GCC_VERSION");
    let file = fake.path("local.config");
    let build_with = |version: &str| {
        fs::write(&file, format!("BR2_GCC_VERSION_{version}=y\n")).expect("written");
        let machine = Machine { symbols: Some(file.clone()), ..fake.machine() };
        built(&fake, &BuildOptions { buildroot: machine, ..fake.options() });
    };
    build_with("14_X");
    let old = fake.work().join("output/build/old");
    fs::write(&old, "").expect("written");
    build_with("14_X");
    assert!(old.exists());
    build_with("15_X");
    assert!(!old.exists());
}
