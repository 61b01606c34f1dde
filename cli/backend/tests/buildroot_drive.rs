//! Driving Buildroot, with a makefile that stands for it: progress, failures, what is handed over.

mod fake;

use std::fs;
use std::path::Path;

use fake::*;

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
fn host_tools_that_buildroot_misses_are_named_before_anything_is_fetched() {
    if !qemu_is_there() {
        return;
    }
    let fake = Fake::new();
    fs::write(
        fake.path("configure-fails"),
        "You must install 'cpio' on your build machine\nYou must install 'rsync' on your build machine\nmake[1]: *** [support/dependencies/dependencies.mk:27: dependencies] Error 1\n",
    )
    .expect("written");
    let failure = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    let text = failure.to_string();
    assert_eq!(
        (failure.status, failure.diagnostics[0].code.as_str()),
        (ExitStatus::Environment, "missing-tool")
    );
    assert!(text.contains("host tools that are not installed: `cpio`, `rsync`"), "{text}");
    assert!(text.contains("apt install cpio rsync"), "{text}");
    assert_eq!(fake.count("all"), 0);
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
    let again = build(&fake.plan, &fake.options(), &NoProgress).expect_err("a failure");
    assert_eq!(again.to_string(), text);
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
