//! Driving BitBake, with a program that stands for it: checkouts, variables, failures, what is handed over.

mod fake;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend::yocto;
use fake::{
    Artefacts, Backend, BuildOptions, Choice, ExitStatus, Library, NoProgress, Plan, Role, Told, build,
    qemu_is_there,
};

const BITBAKE: &str = include_str!("fake/bitbake.py");
const TINFOIL: &str = include_str!("fake/tinfoil.py");

struct Yocto {
    folder: PathBuf,
    /// Removes it at the end.
    _temporary: Option<tempfile::TempDir>,
    plan: Plan,
}

impl Yocto {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut fake = Self::below(folder.path());
        fake._temporary = Some(folder);
        fake.write("src/bitbake/bin/bitbake", BITBAKE);
        fake.write("src/bitbake/lib/bb/__init__.py", "import sys\n__version__ = \"2.18.0\"\n");
        fake.write("src/bitbake/lib/bb/tinfoil.py", TINFOIL);
        fake.write("src/bitbake/lib/bb/data.py", "from bb.tinfoil import emit_var\n");
        fake.write("src/openembedded-core/meta/conf/layer.conf", "LAYERSERIES_CORENAMES = \"wrynose\"\n");
        for layer in &fake.plan.yocto.as_ref().expect("a plan for Yocto").layers {
            fake.write(
                &format!("src/{}/{}/conf/layer.conf", layer.source, layer.name),
                &format!("LAYERSERIES_COMPAT_{} = \"whinlatter wrynose\"\n", layer.collection),
            );
        }
        fake
    }

    /// What another process has made there.
    fn below(folder: &Path) -> Self {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let choice = Choice { backend: Some(Backend::Yocto), series: None };
        let plan = spec::load_as(&Library::built_in(None), &product, None, choice).expect("a plan");
        Self { folder: folder.to_owned(), _temporary: None, plan }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn options(&self) -> BuildOptions {
        BuildOptions {
            cache: self.path("cache"),
            out: self.path("out"),
            lock: self.path("fastness.lock"),
            vendor: self.path("vendor"),
            jobs: 2,
            offline: false,
            update_lock: false,
            buildroot: fake::Machine::default(),
            yocto: yocto::Machine { checkouts: Some(self.path("src")), ..yocto::Machine::default() },
        }
    }

    /// Another test's child may hold a copy of the lock's descriptor until it is executed.
    fn ended(&self, options: &BuildOptions) -> diag::Outcome<Artefacts> {
        loop {
            match build(&self.plan, options, &NoProgress) {
                Err(failure) if failure.status == ExitStatus::Busy => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                ended => return ended,
            }
        }
    }

    fn built(&self) -> Artefacts {
        self.ended(&self.options()).unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn refused(&self) -> diag::Failure {
        self.ended(&self.options()).expect_err("a failure")
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("src/calls")).unwrap_or_default()
    }

    fn local_conf(&self) -> String {
        let mut found = fs::read_dir(self.path("cache/yocto")).expect("a folder");
        let work = found.next().expect("one").expect("one").path();
        fs::read_to_string(work.join("build/conf/local.conf")).expect("a file")
    }
}

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
fn an_override_of_another_layer_is_named_before_anything_is_built() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.write("src/mode", "weak");
    let failure = fake.refused();
    let text = failure.to_string();
    assert_eq!(
        (failure.status, failure.diagnostics[0].code.as_str()),
        (ExitStatus::Build, "weakened-variable")
    );
    assert!(text.contains("`IMAGE_FEATURES` has the word `allow-root-login`"), "{text}");
    assert!(text.contains("append /srv/meta-evil/conf/layer.conf:7"), "{text}");
    assert_eq!(fake.calls(), "--postread one.conf --parse-only\n--parse-only\n-e cell-gateway-image\n");
}

#[test]
fn what_we_set_and_another_layer_undoes_is_named_with_its_recipe() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.write("src/mode", "undone");
    let failure = fake.refused();
    let messages: Vec<&str> = failure.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(failure.status, ExitStatus::Build);
    assert_eq!(messages.len(), 3, "{failure}");
    assert!(
        messages[0].starts_with("`SECURITY_CFLAGS` of the recipe `systemd` lacks `-fstack-protector-strong`"),
        "{failure}"
    );
    assert!(messages[2].starts_with("`PACKAGECONFIG` of the recipe `systemd` lacks `seccomp`"), "{failure}");
    assert!(failure.to_string().contains(":remove /srv/meta-evil/y.bbappend:2"), "{failure}");
    fake.write("src/mode", "spdx");
    let text = fake.refused().to_string();
    assert!(
        text.contains("`INHERIT` lacks `create-spdx`") && text.contains("/srv/meta-evil/conf/layer.conf:8"),
        "{text}"
    );
    fake.write("src/mode", "unknown");
    let failure = fake.refused();
    assert_eq!(
        (failure.status, failure.diagnostics[0].code.as_str()),
        (ExitStatus::Build, "missing-recipe"),
        "{failure}"
    );
    // Nothing was built.
    assert!(!fake.calls().contains("virtual/kernel"), "{}", fake.calls());
}

#[test]
fn failures_of_bitbake_are_told_with_recipe_task_and_log_and_the_build_goes_on_afterwards() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    for (mode, code, words) in [
        ("nameless", "no-variable", "expected the variable `IMAGE_LINK_NAME`"),
        ("parse", "parse-failed", "ParseError at /srv/meta-x/x.bb:3"),
        ("task", "symbol-dropped", "the recipe `linux-yocto 6.18` failed in its task `do_configure`"),
        ("late", "symbol-dropped", "`DM_VERITY` was asked to be `y`"),
        ("fit", "kernel-is-a-fit", "is a FIT, expected the plain kernel"),
        ("nothing", "no-output", "gw.rootfs.squashfs-zst"),
    ] {
        fake.write("src/mode", mode);
        let failure = fake.refused();
        let text = failure.to_string();
        assert_eq!(
            (failure.status, failure.diagnostics[0].code.as_str()),
            (ExitStatus::Build, code),
            "{text}"
        );
        assert!(text.contains(words), "{text}");
        assert!(!fake.path("out/artefacts.json").exists());
    }
    fake.write("src/mode", "");
    fake.built();
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
    options.yocto.checkouts = Some(fake.path("nowhere"));
    let text = fake.ended(&options).expect_err("a failure").to_string();
    assert!(text.contains("kas checkout"), "{text}");
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

/// Where the process that is interrupted finds what this one has made.
const FOLDER: &str = "FASTNESS_TEST_FOLDER";

#[test]
#[ignore = "in a process of its own, by the next test: an interrupt is for the whole process"]
fn a_process_that_is_interrupted() {
    let folder = std::env::var_os(FOLDER).expect("the folder of the test that starts this one");
    exec::install_interrupt_handler().expect("a handler");
    let fake = Yocto::below(Path::new(&folder));
    let failure = fake.refused();
    assert_eq!(failure.status, ExitStatus::Interrupted, "{failure}");
    assert!(failure.to_string().contains("run the same command again to go on"), "{failure}");
}

#[test]
fn an_interrupt_ends_bitbake_with_its_server_and_the_next_build_goes_on() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.write("src/mode", "half");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_process_that_is_interrupted", "--ignored"])
        .env(FOLDER, &fake.folder)
        .spawn()
        .expect("started");
    let started = std::time::Instant::now();
    let server = loop {
        if let Ok(text) = fs::read_to_string(fake.path("src/half"))
            && text.ends_with('\n')
        {
            break text.trim().to_owned();
        }
        assert!(started.elapsed().as_secs() < 120, "the build never came so far");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let running = || fs::read(format!("/proc/{server}/cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(running());
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.expect("started").success());
    assert!(child.wait().expect("ended").success());
    let asked = std::time::Instant::now();
    while running() {
        assert!(asked.elapsed().as_secs() < 30, "BitBake's server goes on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fake.write("src/mode", "");
    let before = fake.calls();
    fake.built();
    // What was read before is there.
    assert!(fake.calls()[before.len()..].starts_with("--parse-only\n-e "), "{}", fake.calls());
}
