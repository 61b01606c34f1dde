//! A makefile that stands for Buildroot, and the example's plan built with it.

#![allow(
    dead_code,
    unused_imports,
    clippy::print_stderr,
    reason = "each test program uses a part; one that could not run must say so"
)]

pub mod driven;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

pub use backend::buildroot::{Ccache, Machine};
pub use backend::{BuildOptions, NoProgress, Progress, build, generate};
pub use diag::ExitStatus;
pub use record::{Artefacts, Role};
pub use spec::Choice;
pub use spec::library::Library;
pub use spec::plan::Plan;
pub use spec::product::Backend;

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
	@echo dl=$(BR2_DL_DIR) only=$(BR2_PRIMARY_SITE_ONLY) site=$(BR2_PRIMARY_SITE) ccache=$(BR2_CCACHE_DIR) jlevel=$(BR2_JLEVEL) >> $(O)/calls
defconfig:
	@echo defconfig >> $(O)/calls
	@cp $(BR2_DEFCONFIG) $(O)/was_defconfig
	@echo 'BR2_DL_DIR="$$(TOPDIR)/dl"' > $(O)/.config.new
	@echo 'BR2_CCACHE_DIR="$$(HOME)/.buildroot-ccache"' >> $(O)/.config.new
	@grep -q BR2_JLEVEL $(BR2_DEFCONFIG) || echo BR2_JLEVEL=0 >> $(O)/.config.new
	@$(if $(LOCAL),grep -e $(LOCAL) $(BR2_DEFCONFIG) >> $(O)/.config.new || :)
	@$(call as_config,,buildroot) | $(if $(DROP),grep -v $(DROP),cat) >> $(O)/.config.new
	@(echo; cat $(O)/.config.new) > $(O)/.config
olddefconfig:
	@:
show-info:
	@echo show-info >> $(O)/calls
	@echo '{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz"}]}}'
"#;

pub struct Fake {
    pub folder: tempfile::TempDir,
    pub plan: Plan,
}

impl Fake {
    pub fn new() -> Self {
        Self::with("")
    }

    /// A tree whose makefile starts with these settings.
    pub fn with(settings: &str) -> Self {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one folder of the cache that Buildroot works in.
    pub fn work(&self) -> PathBuf {
        let mut found = fs::read_dir(self.path("cache/buildroot")).expect("a folder");
        found.next().expect("one").expect("one").path()
    }

    /// How often a target was made.
    pub fn count(&self, target: &str) -> usize {
        let calls = fs::read_to_string(self.work().join("output/calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == target).count()
    }

    pub fn machine(&self) -> Machine {
        Machine { tree: Some(self.path("tree")), ..Machine::default() }
    }

    pub fn options(&self) -> BuildOptions {
        options(self.folder.path(), self.machine(), backend::yocto::Machine::default())
    }
}

/// Options of a build whose places are all in one folder.
pub fn options(folder: &Path, buildroot: Machine, yocto: backend::yocto::Machine) -> BuildOptions {
    BuildOptions {
        cache: folder.join("cache"),
        out: folder.join("out"),
        lock: folder.join("fastness.lock"),
        vendor: folder.join("vendor"),
        jobs: 2,
        offline: false,
        update_lock: false,
        buildroot,
        yocto,
    }
}

/// Whether QEMU, which dumps the board's device tree, is there; without it such a test says so.
pub fn qemu_is_there() -> bool {
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
pub struct Told(pub Mutex<Vec<String>>);

impl Progress for Told {
    fn begin(&self, step: &str, _: Option<&Path>) {
        self.0.lock().expect("a lock").push(format!("begin {step}"));
    }
    fn detail(&self, text: &str) {
        self.0.lock().expect("a lock").push(text.to_owned());
    }
    fn warn(&self, text: &str) {
        self.0.lock().expect("a lock").push(format!("warn {text}"));
    }
    fn end(&self, _: &str, _: bool, _: Duration) {}
}

pub fn built(fake: &Fake, options: &BuildOptions) -> Artefacts {
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
