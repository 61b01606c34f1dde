//! Driving Buildroot, with a makefile that stands for it: progress, failures, what is handed over.

#![allow(clippy::print_stderr, reason = "a test that could not run must say so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use backend::buildroot::{Ccache, Machine};
use backend::{BuildOptions, NoProgress, Progress, build, generate};
use diag::ExitStatus;
use record::{Artefacts, Role};
use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

/// Knows the targets that are used, and does for each what Buildroot's does to the files.
const MAKEFILE: &str = r#"export BR2_VERSION := 2026.02.3
BOARD = $(BR2_EXTERNAL)/board/qemu-aarch64
LINUX = $(O)/build/linux-6.12.91
UBOOT = $(O)/build/uboot-2025.01
BUSYBOX = $(O)/build/busybox-1.37.0
as_config = awk -F '\t' '$$2 != "n" { print "$(1)" $$1 "=" $$2 }' $(BOARD)/asked/$(2).txt
.PHONY: all fastness-configure defconfig olddefconfig show-info
fastness-configure:
	@echo fastness-configure >> $(O)/calls
	@if [ -f $(CONFFAIL) ]; then cat $(CONFFAIL); exit 1; fi
	@mkdir -p $(LINUX) $(UBOOT)
	@$(call as_config,CONFIG_,linux) | $(if $(LOSE),grep -v $(LOSE),cat) > $(LINUX)/.config
	@$(call as_config,CONFIG_,uboot) | $(if $(LOSE),grep -v $(LOSE),cat) > $(UBOOT)/.config
	@printf 'config DM_VERITY\n\tbool "x"\n\tdepends on NOBODY_HAS_THIS\n' > $(LINUX)/Kconfig
	@touch $(LINUX)/.stamp_kconfig_fixup_done $(UBOOT)/.stamp_kconfig_fixup_done
	@printf 'linux %s\nuboot %s\n' $(LINUX) $(UBOOT) > $(O)/fastness-folders.txt
	@if [ -f $(BOARD)/asked/busybox.txt ]; then mkdir -p $(BUSYBOX); echo busybox $(BUSYBOX) >> $(O)/fastness-folders.txt; \
		$(call as_config,CONFIG_,busybox) | $(if $(LOSE),grep -v $(LOSE),cat) > $(BUSYBOX)/.config; \
		printf 'config VI\n\tbool "vi"\n\tdepends on EDITORS\n' > $(BUSYBOX)/Config.in; \
		touch $(BUSYBOX)/.stamp_kconfig_fixup_done $(BUSYBOX)/.stamp_built; fi
all:
	@echo all >> $(O)/calls
	@printf '\033[7m>>> zlib 1.3.1 Building\033[27m\n'; sleep 0.3
	@if [ -f $(TOPFAIL) ]; then cat $(TOPFAIL); exit 1; fi
	@mkdir -p $(O)/images $(O)/target
	@touch $(LINUX)/.stamp_built $(UBOOT)/.stamp_built
	@$(if $(LATE),sed -i /$(LATE)/d $(LINUX)/.config $(O)/.config)
	@cp $(LINUX)/.config $(O)/images/linux.config
	@cp $(UBOOT)/.config $(O)/images/u-boot.config
	@$(if $(OTHER),echo CONFIG_X=y >> $(O)/images/linux.config)
	@for f in Image u-boot-nodtb.bin rootfs.squashfs; do echo $$f > $(O)/images/$$f; done
	@$(if $(FIT),printf '\320\015\376\355' > $(O)/images/Image)
	@cp $(BOARD)/overlay.txt $(O)/build/fastness-overlay.txt
	@mkdir -p $(O)/target/usr/lib; echo VERSION=2026.02.3-1-gabcdef-dirty > $(O)/target/usr/lib/os-release
	@echo dl=$(BR2_DL_DIR) only=$(BR2_PRIMARY_SITE_ONLY) site=$(BR2_PRIMARY_SITE) ccache=$(BR2_CCACHE_DIR) >> $(O)/calls
defconfig:
	@echo defconfig >> $(O)/calls
	@cp $(BR2_DEFCONFIG) $(O)/was_defconfig
	@echo 'BR2_DL_DIR="$$(TOPDIR)/dl"' > $(O)/.config.new
	@echo 'BR2_CCACHE_DIR="$$(HOME)/.buildroot-ccache"' >> $(O)/.config.new
	@$(if $(LOCAL),grep -e $(LOCAL) $(BR2_DEFCONFIG) >> $(O)/.config.new || :)
	@$(call as_config,,buildroot) | $(if $(DROP),grep -v $(DROP),cat) >> $(O)/.config.new
	@(echo; cat $(O)/.config.new) > $(O)/.config
olddefconfig:
	@:
show-info:
	@echo show-info >> $(O)/calls
	@echo '{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz"}]}}'
"#;

struct Fake {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl Fake {
    fn new() -> Self {
        Self::with("")
    }

    /// A tree whose makefile starts with these settings.
    fn with(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        for part in ["package", "support/kconfig"] {
            fs::create_dir_all(tree.join(part)).expect("made");
        }
        let fail = folder.path().join("fail");
        let configure = folder.path().join("configure-fails");
        let makefile = format!(
            "{MAKEFILE}TOPFAIL = {}\nCONFFAIL = {}\n{settings}\n",
            fail.display(),
            configure.display()
        );
        fs::write(tree.join("Makefile"), makefile).expect("written");
        let kconfig = "config BR2_PACKAGE_AUDIT\n\tbool \"audit\"\n\tdepends on BR2_SOMETHING\n";
        fs::write(tree.join("Config.in"), kconfig).expect("written");
        fs::write(tree.join("package/Makefile.in"), "").expect("written");
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let choice = Choice { backend: Some(Backend::Buildroot), series: None };
        let plan = spec::load_as(&Library::built_in(None), &product, None, choice).expect("a plan");
        Self { folder, plan }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one folder of the cache that Buildroot works in.
    fn work(&self) -> PathBuf {
        let mut found = fs::read_dir(self.path("cache/buildroot")).expect("a folder");
        found.next().expect("one").expect("one").path()
    }

    /// How often a target was made.
    fn count(&self, target: &str) -> usize {
        let calls = fs::read_to_string(self.work().join("output/calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == target).count()
    }

    fn machine(&self) -> Machine {
        Machine { tree: Some(self.path("tree")), ..Machine::default() }
    }

    fn options(&self) -> BuildOptions {
        BuildOptions {
            cache: self.path("cache"),
            out: self.path("out"),
            lock: self.path("fastness.lock"),
            jobs: 2,
            offline: false,
            update_lock: false,
            buildroot: self.machine(),
        }
    }
}

/// Whether QEMU, which dumps the board's device tree, is there; without it such a test says so.
fn qemu_is_there() -> bool {
    match exec::require(&["qemu-system-aarch64"]) {
        Ok(()) => true,
        Err(failure) => {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{failure}");
            eprintln!("SKIPPED: {failure}");
            false
        }
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn begin(&self, step: &str, _: Option<&Path>) {
        self.0.lock().expect("a lock").push(format!("begin {step}"));
    }
    fn detail(&self, text: &str) {
        self.0.lock().expect("a lock").push(text.to_owned());
    }
    fn end(&self, _: &str, _: bool, _: Duration) {}
}

fn built(fake: &Fake, options: &BuildOptions) -> Artefacts {
    loop {
        match build(&fake.plan, options, &NoProgress) {
            Ok(artefacts) => return artefacts,
            // Another test's child may hold a copy of the lock's descriptor until it is executed.
            Err(failure) if failure.status == ExitStatus::Busy => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(failure) => panic!("{failure}"),
        }
    }
}

#[test]
fn the_parts_are_handed_over_with_every_symbol_accounted_for() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    let told = Told::default();
    let artefacts = build(&fake.plan, &fake.options(), &told).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((artefacts.backend.as_str(), artefacts.plan_sha256), ("buildroot", fake.plan.sha256()));
    assert_eq!(artefacts.provenance["buildroot"], "2026.02.3-1-gabcdef-dirty");
    assert_eq!(artefacts.files.len(), 7);
    let rootfs =
        fs::read_to_string(fake.path("out").join(&artefacts.files[&Role::Rootfs].path)).expect("a file");
    assert_eq!(rootfs, "rootfs.squashfs\n");
    let facts = fake.plan.buildroot.as_ref().expect("a plan for Buildroot");
    let asked = fake.plan.linux.symbols.len() + fake.plan.uboot.symbols.len() + facts.symbols.symbols.len();
    assert_eq!(artefacts.effective.len(), asked);
    assert!(
        fs::read_to_string(fake.path("out/artefacts/packages.json"))
            .expect("a file")
            .contains("zlib-1.3.1.tar.xz")
    );
    let told = told.0.into_inner().expect("a lock");
    assert!(told.contains(&"zlib 1.3.1 Building".to_owned()), "{told:?}");
    assert_eq!(told[0], "begin configure Buildroot");
}

#[test]
fn a_second_build_configures_nothing_and_touches_no_file_of_the_tree() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    built(&fake, &fake.options());
    let work = fake.work();
    let calls = || fs::read_to_string(work.join("output/calls")).expect("calls");
    let fragment = work.join("external/board/qemu-aarch64/linux.fragment");
    let before = fs::metadata(&fragment).expect("a file").modified().expect("a time");
    let first = built(&fake, &fake.options());
    assert_eq!(calls().matches("defconfig").count(), 1, "{}", calls());
    assert_eq!(calls().matches("fastness-configure").count(), 1, "{}", calls());
    assert_eq!(fs::metadata(&fragment).expect("a file").modified().expect("a time"), before);
    assert_eq!(calls().matches("show-info").count(), 1, "{}", calls());
    // A firewall rule of another plan changes the overlay, and nothing that a package is built from.
    let mut other = Fake { folder: fake.folder, plan: fake.plan };
    let rules = other.plan.files.get_mut("/etc/nftables.conf").expect("rules");
    if let spec::plan::FilePlan::File { content, .. } = &mut rules.value {
        content.push_str("# another rule\n");
    }
    let second = built(&other, &other.options());
    assert_ne!(first.plan_sha256, second.plan_sha256);
    assert_eq!(fs::metadata(&fragment).expect("a file").modified().expect("a time"), before);
    assert_eq!(calls().matches("defconfig").count(), 1, "{}", calls());
    assert!(
        calls().contains(&format!("dl={}", other.path("cache/buildroot-downloads").display())),
        "{}",
        calls()
    );
}

#[test]
fn a_file_that_left_the_plan_leaves_the_target_too() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Fake::new();
    built(&fake, &fake.options());
    let work = fake.work();
    let stale = work.join("output/target/etc/issue");
    fs::create_dir_all(stale.parent().expect("a folder")).expect("made");
    fs::write(&stale, "old").expect("written");
    built(&fake, &fake.options());
    assert!(stale.exists());
    fake.plan.files.remove("/etc/issue");
    built(&fake, &fake.options());
    assert!(!stale.exists());
}

#[test]
fn a_package_that_fails_is_named_and_the_next_run_goes_on() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    fs::write(fake.path("fail"), "cc: error: x.c\nmake[1]: *** [package/pkg-generic.mk:283: /x/build/zlib-1.3.1/.stamp_built] Error 1\n").expect("written");
    let failure = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    let text = failure.to_string();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Build, "package-failed"));
    for part in [
        "the package `zlib-1.3.1` failed while it was compiled",
        "cc: error: x.c",
        "logs/buildroot.log",
        "go on where it stopped",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert!(!fake.path("out/artefacts.json").exists());
    fs::remove_file(fake.path("fail")).expect("removed");
    built(&fake, &fake.options());
}

#[test]
fn a_symbol_that_is_lost_stops_before_anything_is_built() {
    let fake = Fake::with("DROP = BR2_PACKAGE_AUDIT=");
    let failure = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    let text = failure.to_string();
    assert_eq!(failure.diagnostics[0].code, "symbol-dropped");
    for part in ["BR2_PACKAGE_AUDIT", "layer audit", "layers/audit/layer.yaml:", "BR2_SOMETHING"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert!(!fake.path("out/logs/buildroot.log").exists());
    // And it is compared again, not taken for configured.
    build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
}

#[test]
fn a_kernel_symbol_that_is_lost_stops_before_anything_is_compiled() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("LOSE = CONFIG_DM_VERITY=");
    let failure = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    let text = failure.to_string();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Build, "symbol-dropped"));
    for part in [
        "linux: `DM_VERITY` was asked to be `y` by layer verity-root (layers/verity-root/layer.yaml:",
        "has `n`",
        "NOBODY_HAS_THIS",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert_eq!(fake.count("all"), 0);
    // It is not taken for configured: the next run compares again, and still builds nothing.
    build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    assert_eq!((fake.count("fastness-configure"), fake.count("all")), (2, 0));
}

#[test]
fn u_boots_and_the_kernels_losses_are_told_at_once() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("LOSE = -e CONFIG_DM_VERITY= -e CONFIG_FIT_SIGNATURE=");
    let text = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure").to_string();
    assert!(text.contains("linux: `DM_VERITY`") && text.contains("uboot: `FIT_SIGNATURE`"), "{text}");
}

/// The example with an applet of BusyBox.
fn with_busybox(fake: &mut Fake) {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
    let text = fs::read_to_string(product).expect("a product");
    let asks = "\nbuildroot: {busybox: [{symbol: VI, value: y, reason: \"an editor\"}]}\n";
    let own = fake.path("product.yaml");
    fs::write(&own, text + asks).expect("written");
    let choice = Choice { backend: Some(Backend::Buildroot), series: None };
    fake.plan = spec::load_as(&Library::built_in(None), &own, None, choice).expect("a plan");
}

#[test]
fn busybox_is_the_fourth_configuration_where_it_is_on() {
    if !qemu_is_there() {
        return;
    }
    let mut fake = Fake::new();
    with_busybox(&mut fake);
    let artefacts = built(&fake, &fake.options());
    let vi = artefacts.effective.iter().find(|symbol| symbol.component == "busybox" && symbol.symbol == "VI");
    assert_eq!(vi.map(|symbol| symbol.state), Some(record::SymbolState::Held));
    let mut fake = Fake::with("LOSE = CONFIG_VI=");
    with_busybox(&mut fake);
    let text = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure").to_string();
    for part in ["busybox: `VI` was asked to be `y` by product (", "product.yaml:", "`EDITORS`"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert_eq!(fake.count("all"), 0);
}

#[test]
fn a_symbol_that_the_build_itself_lost_is_an_error_too() {
    if !qemu_is_there() {
        return;
    }
    for (settings, part) in [
        ("LATE = ^CONFIG_DM_VERITY=", "linux: `DM_VERITY`"),
        ("LATE = ^BR2_PACKAGE_AUDIT=", "buildroot: `BR2_PACKAGE_AUDIT`"),
        ("OTHER = y", "`images/linux.config` is not the configuration that"),
    ] {
        let fake = Fake::with(settings);
        let text = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure").to_string();
        assert!(text.contains(part), "{text}");
        assert_eq!(fake.count("all"), 1);
        assert!(!fake.path("out/artefacts.json").exists());
    }
}

#[test]
fn a_fit_of_buildroots_own_making_is_not_taken_over() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::with("FIT = y");
    let failure = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    let text = failure.to_string();
    assert_eq!(failure.diagnostics[0].code, "kernel-is-a-fit");
    assert!(text.contains("is a FIT, expected the plain kernel") && text.contains("signs nothing"), "{text}");
    assert!(!fake.path("out/artefacts.json").exists());
}

#[test]
fn a_component_that_cannot_be_configured_is_named() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    fs::write(
        fake.path("configure-fails"),
        "no rule\nmake: *** [linux.mk:1: /x/build/linux-6.12.91/.stamp_dotconfig] Error 2\n",
    )
    .expect("written");
    let text = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure").to_string();
    assert!(text.contains("the package `linux-6.12.91` failed while it was configured"), "{text}");
    assert_eq!(fake.count("all"), 0);
}

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
    generate(&fake.plan, &fake.path("generated")).expect("generated");
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
    assert!(said.ends_with(&format!("only= site= ccache={}", shared.display())), "{said}");
    let machine = Machine {
        downloads: Some(fake.path("dl")),
        ccache: Ccache::In(fake.path("objects")),
        primary_site: Some("https://mirror.example/dl".to_owned()),
        ..fake.machine()
    };
    let folder = fake.folder.path().canonicalize().expect("a folder");
    let place = folder.display();
    let said = last(machine.clone(), false);
    let expected = format!("dl={place}/dl only= site=https://mirror.example/dl ccache={place}/objects");
    assert_eq!(said, expected);
    let said = last(machine, true);
    assert!(said.contains("only=y site=https://mirror.example/dl"), "{said}");
    // None of it configured anything anew but ccache itself.
    assert_eq!(fake.count("defconfig"), 1);
    assert!(last(fake.machine(), false).ends_with("ccache="));
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

#[test]
fn what_cannot_be_built_is_told_at_once() {
    let fake = Fake::new();
    let refused =
        |options: &BuildOptions| build(&fake.plan, options, &NoProgress).expect_err("refused").to_string();
    let text = refused(&BuildOptions { buildroot: Machine::default(), ..fake.options() });
    assert!(
        text.contains("neither is a tree given nor a release pinned") && text.contains("--buildroot DIR"),
        "{text}"
    );
    let text = refused(&BuildOptions { cache: fake.path("my cache"), ..fake.options() });
    assert!(text.contains("Buildroot cannot work in") && text.contains("my cache"), "{text}");
    let makefile = fs::read_to_string(fake.path("tree/Makefile")).expect("a file");
    fs::write(fake.path("tree/Makefile"), makefile.replace("2026.02.3", "2019.02.1")).expect("written");
    let text = refused(&fake.options());
    assert!(text.contains("is Buildroot 2019.02.1, but the plan is for the series 2026.02"), "{text}");
}
