//! Driving BitBake, with a program that stands for it: checkouts, commits, what is handed over.

mod fake;

use std::fs;
use std::path::Path;
use std::process::Command;

use backend::yocto;
use fake::driven::Yocto;
use fake::{Artefacts, ExitStatus, Role, Told, build, qemu_is_there};

#[test]
fn the_parts_are_handed_over_with_every_symbol_accounted_for() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    let told = Told::default();
    let artefacts = build(&fake.plan, &fake.options(), &told).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((artefacts.backend.as_str(), artefacts.plan_sha256), ("yocto", fake.plan.sha256()));
    assert_eq!(artefacts.files.len(), 7);
    assert_eq!(artefacts.effective.len(), fake.plan.linux.symbols.len() + fake.plan.uboot.symbols.len());
    assert_eq!(artefacts.provenance["bitbake-version"], "2.18.0");
    assert_eq!(artefacts.provenance["openembedded-core"], "without git: its commit is not known");
    let rootfs =
        fs::read_to_string(fake.path("out").join(&artefacts.files[&Role::Rootfs].path)).expect("a file");
    assert_eq!(rootfs, "gw.rootfs.squashfs-zst\n");
    let packages = fs::read_to_string(fake.path("out/artefacts/packages.json")).expect("a file");
    assert!(packages.contains("\"libz1\"") && packages.contains("\"Zlib\""), "{packages}");
    let told = told.0.into_inner().expect("a lock");
    assert!(told.contains(&"zlib 1.3.1 do_compile (3 of 9)".to_owned()), "{told:?}");
    assert_eq!(
        fake.calls(),
        "--postread one.conf --parse-only\n--parse-only\n-e cell-gateway-image\ncell-gateway-image virtual/kernel virtual/bootloader\n"
    );
    // The cache of code is there now.
    let before = fake.calls();
    fake.built();
    assert_eq!(
        fake.calls()[before.len()..],
        *"--parse-only\n-e cell-gateway-image\ncell-gateway-image virtual/kernel virtual/bootloader\n"
    );
}

#[test]
fn the_build_folder_says_what_the_product_and_the_machine_bring() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Yocto::new();
    let facts = fake.plan.yocto.as_mut().expect("a plan for Yocto");
    facts.downloads = Some("https://mirror.example/dl".to_owned());
    facts.sstate = Some("https://mirror.example/sstate".to_owned());
    facts.hash_server = Some("hash.example:8686".to_owned());
    fake.write("local", "PARALLEL_MAKE = \"-j1\"\n");
    let mut options = fake.options();
    options.offline = true;
    options.yocto.local = Some(fake.path("local"));
    fake.ended(&options).unwrap_or_else(|failure| panic!("{failure}"));
    let text = fake.local_conf();
    for line in [
        "MACHINE = \"cell-gateway-qemu-aarch64\"",
        "SOURCE_MIRROR_URL ?= \"https://mirror.example/dl\"",
        "SSTATE_MIRRORS ?= \"file://.* https://mirror.example/sstate/PATH;downloadfilename=PATH\"",
        "BB_HASHSERVE_UPSTREAM ?= \"hash.example:8686\"",
        "BB_NO_NETWORK = \"1\"",
        "PARALLEL_MAKE = \"-j1\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let kas = yocto::tree_of(&fake.plan).unwrap_or_else(|failure| panic!("{failure}"));
    let kas = kas.nodes().iter().find(|(path, _)| path.as_str() == "kas.yml").expect("a kas file");
    assert!(format!("{kas:?}").contains("local_conf_header"), "{kas:?}");
}

#[test]
fn checkouts_that_are_missing_or_of_another_release_are_all_named() {
    let fake = Yocto::new();
    fs::remove_dir_all(fake.path("src/meta-openembedded")).expect("removed");
    fake.write("src/bitbake/lib/bb/__init__.py", "__version__ = \"2.8.1\"\n");
    fake.write("src/openembedded-core/meta/conf/layer.conf", "LAYERSERIES_CORENAMES = \"scarthgap\"\n");
    let failure = fake.refused();
    let text = failure.to_string();
    assert_eq!((failure.status, failure.diagnostics.len()), (ExitStatus::Input, 3), "{text}");
    assert!(text.contains("expected a checkout of `meta-openembedded`"), "{text}");
    assert!(text.contains("is BitBake 2.8.1, expected 2.18"), "{text}");
    assert!(text.contains("its `LAYERSERIES_CORENAMES` says `scarthgap`, expected `wrynose`"), "{text}");
    let fake = Yocto::new();
    fs::remove_dir_all(fake.path("src/meta-openembedded/meta-oe")).expect("removed");
    let text = fake.refused().to_string();
    assert!(text.contains("expected the layer `meta-oe`"), "{text}");
    let mut options = fake.options();
    options.yocto.checkouts = None;
    let text = fake.ended(&options).expect_err("a failure").to_string();
    assert!(text.contains("needs BitBake and layers") && text.contains("--yocto-deploy DIR"), "{text}");
    fake.write("a-file", "");
    for (name, found) in [("nowhere", "found none"), ("a-file", "found a file")] {
        options.yocto = yocto::Machine { checkouts: Some(fake.path(name)), ..yocto::Machine::default() };
        let failure = fake.ended(&options).expect_err("a failure");
        let text = failure.to_string();
        assert_eq!((failure.status, failure.diagnostics.len()), (ExitStatus::Input, 1), "{text}");
        assert!(text.contains("expected the folder of the checkouts in `") && text.contains(found), "{text}");
        assert!(text.contains("kas checkout") && !text.contains("git clone"), "{text}");
        options.yocto = yocto::Machine { deploy: Some(fake.path(name)), ..yocto::Machine::default() };
        let failure = fake.ended(&options).expect_err("a failure");
        let text = failure.to_string();
        assert_eq!((failure.status, failure.diagnostics.len()), (ExitStatus::Input, 1), "{text}");
        assert!(
            text.contains("expected the folder of BitBake's images in `") && text.contains(found),
            "{text}"
        );
    }
}

/// A repository of git with one commit; its name.
fn commit(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org"])
            .args(arguments);
        let output = command.env("GIT_CONFIG_NOSYSTEM", "1").output().expect("git runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    git(&["rev-parse", "HEAD"])
}

#[test]
fn the_lock_and_the_product_hold_checkouts_to_their_commits() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Yocto::new();
    let core = fake.path("src/openembedded-core");
    let first = commit(&core);
    assert_eq!(fake.built().provenance["openembedded-core"], first);
    let lock = fs::read_to_string(fake.path("fastness.lock")).expect("a lock");
    assert!(lock.contains(&first), "{lock}");
    fake.write(
        "src/openembedded-core/meta/conf/layer.conf",
        "LAYERSERIES_CORENAMES = \"wrynose\"\n# changed\n",
    );
    assert_eq!(fake.built().provenance["openembedded-core"], format!("{first} with local changes"));
    let second = commit(&core);
    let text = fake.refused().to_string();
    assert!(
        text.contains(&format!("expected the commit {first}")) && text.contains("`--update-lock`"),
        "{text}"
    );
    let mut options = fake.options();
    options.update_lock = true;
    fake.ended(&options).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(fake.built().provenance["openembedded-core"], second);
    let sources = &mut fake.plan.yocto.as_mut().expect("a plan for Yocto").sources;
    sources.iter_mut().find(|source| source.name == "openembedded-core").expect("one").commit =
        Some(first.clone());
    let failure = fake.refused();
    assert_eq!(failure.diagnostics[0].code, "other-commit");
    assert!(
        failure.to_string().contains(&format!("expected the commit {first}, which the product pins")),
        "{failure}"
    );
}

#[test]
fn a_checkout_whose_commit_cannot_be_told_is_not_what_the_lock_pins() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    let core = fake.path("src/openembedded-core");
    let first = commit(&core);
    fake.built();
    fs::remove_dir_all(core.join(".git")).expect("removed");
    let failure = fake.refused();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Input, "other-commit"));
    let text = failure.to_string();
    assert!(text.contains(&format!("expected the commit {first}")), "{text}");
    assert!(text.contains("found none that can be told: it is no repository of git"), "{text}");
    // Taken anew it has no pin, and others keep theirs.
    let mut options = fake.options();
    options.update_lock = true;
    fake.ended(&options).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!fs::read_to_string(fake.path("fastness.lock")).expect("a lock").contains(&first));
    fake.built();
}

#[test]
fn a_recipe_that_nobody_added_to_git_is_a_local_change() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    let core = commit(&fake.path("src/openembedded-core"));
    let others = commit(&fake.path("src/meta-openembedded"));
    let told = |artefacts: &Artefacts| {
        ["openembedded-core", "meta-openembedded"].map(|name| artefacts.provenance[name].clone())
    };
    // What no build reads is none: notes, another layer beside those that are used.
    fake.write("src/openembedded-core/notes.txt", "\n");
    fake.write("src/meta-openembedded/meta-gnome/recipes-x/x_1.bb", "\n");
    assert_eq!(told(&fake.built()), [core.clone(), others.clone()]);
    fake.write("src/openembedded-core/meta/recipes-x/x_1.bb", "\n");
    fake.write("src/meta-openembedded/meta-oe/recipes-x/x_1.bbappend", "\n");
    assert_eq!(
        told(&fake.built()),
        [format!("{core} with local changes"), format!("{others} with local changes")]
    );
}

#[test]
fn images_of_another_build_are_taken_without_bitbake() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.built();
    let work =
        fs::read_dir(fake.path("cache/yocto")).expect("a folder").next().expect("one").expect("one").path();
    let deploy = work.join("build/tmp/deploy/images");
    let mut options = fake.options();
    options.yocto = yocto::Machine { deploy: Some(deploy.clone()), ..yocto::Machine::default() };
    options.out = fake.path("other");
    // There the image has the name that OE-Core gives it.
    let text = fake.ended(&options).expect_err("a failure").to_string();
    let link = "cell-gateway-image-cell-gateway-qemu-aarch64.rootfs";
    assert!(
        text.contains(&format!("{link}.squashfs-zst")) && text.contains(&format!("{link}.licences")),
        "{text}"
    );
    for end in ["squashfs-zst", "licences"] {
        fs::rename(deploy.join(format!("gw.rootfs.{end}")), deploy.join(format!("{link}.{end}")))
            .expect("renamed");
    }
    let before = fake.calls();
    let artefacts = fake.ended(&options).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(artefacts.provenance["built"].contains("--yocto-deploy"), "{:?}", artefacts.provenance);
    assert_eq!(fake.calls(), before);
}

#[test]
fn another_product_in_the_same_output_folder_has_a_build_folder_of_its_own() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Yocto::new();
    fake.built();
    fake.plan.product.name = "other".to_owned();
    fake.built();
    let found = fs::read_dir(fake.path("cache/yocto")).expect("a folder");
    let mut names: Vec<String> =
        found.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("cell-gateway-") && names[1].starts_with("other-"), "{names:?}");
    // What the first one left is no image of the second.
    let deploy = fake.path("cache/yocto").join(&names[0]).join("build/tmp/deploy/images");
    let mut options = fake.options();
    options.yocto = yocto::Machine { deploy: Some(deploy), ..yocto::Machine::default() };
    let text = fake.ended(&options).expect_err("a failure").to_string();
    assert!(text.contains("found no") && text.contains("other-image-other-qemu-aarch64.rootfs"), "{text}");
}
