//! What ends a build with BitBake, with a program that stands for it: variables that others weaken, tasks that fail, an
//! interrupt at each stage.

mod fake;

use std::fs;
use std::path::Path;

use fake::driven::Yocto;
use fake::{ExitStatus, Told, build, qemu_is_there};

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
    for (mode, said) in [
        ("without:IMAGE_INSTALL:nftables", "`IMAGE_INSTALL` lacks `nftables`"),
        ("with:PACKAGE_EXCLUDE:nftables", "`PACKAGE_EXCLUDE` has the word `nftables`"),
        ("with:IMAGE_INSTALL_COMPLEMENTARY:*-src", "`IMAGE_INSTALL_COMPLEMENTARY` has the word `*-src`"),
        ("with:PACKAGE_INSTALL_ATTEMPTONLY:vim", "`PACKAGE_INSTALL_ATTEMPTONLY` has the word `vim`"),
        ("without:IMAGE_FSTYPES:squashfs-zst", "`IMAGE_FSTYPES` lacks `squashfs-zst`"),
        ("without:IMAGE_PREPROCESS_COMMAND:cell_gateway_finish", "lacks `cell_gateway_finish`"),
        ("without:NO_RECOMMENDATIONS:1", "`NO_RECOMMENDATIONS` lacks `1`"),
        ("without:USERADD_UID_TABLES:files/cell-gateway-passwd", "`USERADD_UID_TABLES` lacks"),
        ("without:USERADD_GID_TABLES:files/cell-gateway-group", "`USERADD_GID_TABLES` lacks"),
        // Another machine, another distro, another kernel: all would be built, for hours.
        (
            "without:MACHINEOVERRIDES:cell-gateway-qemu-aarch64",
            "`MACHINEOVERRIDES` lacks `cell-gateway-qemu-aarch64` (the machine is the BSP's",
        ),
        ("without:DISTROOVERRIDES:cell-gateway", "`DISTROOVERRIDES` lacks `cell-gateway` (the distro is"),
        ("with:KERNEL_IMAGETYPE:zImage", "`KERNEL_IMAGETYPE` has the word `zImage`"),
        (
            "without:PREFERRED_PROVIDER_virtual/kernel:linux-yocto",
            "`PREFERRED_PROVIDER_virtual/kernel` lacks `linux-yocto`",
        ),
        (
            "without:PREFERRED_PROVIDER_virtual/bootloader:u-boot",
            "`PREFERRED_PROVIDER_virtual/bootloader` lacks",
        ),
        // What a layer takes from the appends of kernel and boot loader.
        (
            "of=u-boot=SRC_URI=file://0003-no-broken-hashes.patch",
            "`SRC_URI` of the recipe `u-boot` lacks `file://0003-no-broken-hashes.patch`",
        ),
        (
            "of=linux-yocto=SRC_URI=file://fastness.cfg",
            "`SRC_URI` of the recipe `linux-yocto` lacks `file://fastness.cfg`",
        ),
        (
            "of=linux-yocto=KCONFIG_MODE=--alldefconfig",
            "`KCONFIG_MODE` of the recipe `linux-yocto` has the word",
        ),
        (
            "of=linux-yocto=KERNEL_FEATURES=features/nfsd.scc",
            "`KERNEL_FEATURES` of the recipe `linux-yocto` has the word",
        ),
    ] {
        fake.write("src/mode", mode);
        let failure = fake.refused();
        let text = failure.to_string();
        assert_eq!((failure.status, failure.diagnostics.len()), (ExitStatus::Build, 1), "{text}");
        // The stand-in's history of a recipe's variable, and of one of the image's.
        let by = if mode.starts_with("of=") {
            ":remove /srv/meta-evil/y.bbappend:2"
        } else {
            "/srv/meta-evil/z.conf:4"
        };
        assert!(text.contains(said) && text.contains(by), "{mode}: {text}");
    }
    // A recipe that the image installs, and that we do not append to.
    fake.write("src/mode", "nopie");
    let text = fake.refused().to_string();
    assert!(
        text.contains("`SECURITY_CFLAGS` of the recipe `bash` lacks `-fstack-protector-strong`"),
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
fn what_another_layer_adds_to_the_image_is_told_and_the_build_goes_on() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    let warned = || {
        let told = Told::default();
        build(&fake.plan, &fake.options(), &told).unwrap_or_else(|failure| panic!("{failure}"));
        let told = told.0.into_inner().expect("a lock");
        told.into_iter().filter_map(|line| line.strip_prefix("warn ").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(warned(), Vec::<String>::new());
    fake.write("src/mode", "with:PACKAGE_INSTALL:vim");
    let said = "another layer or configuration adds to the image, besides the plan's packages: `vim`";
    assert_eq!(warned(), [said]);
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
        ("fetch", "fetch-failed", "the recipe `chrony 4.6` failed in its task `do_fetch`: a download failed"),
        ("rootfs", "recipe-failed", "the recipe `cell-gateway-image 1.0` failed in its task `do_rootfs`"),
        ("rootfs", "recipe-failed", "E: Unable to locate package frob"),
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
fn tasks_that_fail_at_once_are_each_told_with_their_own_log() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.write("src/mode", "both");
    let failure = fake.refused();
    let [zlib, linux] = failure.diagnostics.as_slice() else { panic!("{failure}") };
    // What one of them lacks is the machine's to bring.
    assert_eq!(failure.status, ExitStatus::Environment, "{failure}");
    assert_eq!((zlib.code.as_str(), linux.code.as_str()), ("disk-full", "symbol-dropped"), "{failure}");
    let said = |one: &diag::Diagnostic| diag::Failure::new(ExitStatus::Build, one.clone()).to_string();
    let (zlib, linux) = (said(zlib), said(linux));
    assert!(zlib.contains("`zlib 1.3.1` failed in its task `do_compile`"), "{zlib}");
    assert!(zlib.contains("/zlib/1.3.1/temp/log.do_compile.10`") && !zlib.contains("DM_VERITY"), "{zlib}");
    assert!(linux.contains("`linux-yocto 6.18` failed in its task `do_configure`"), "{linux}");
    assert!(linux.contains("/temp/log.do_configure.7`") && !linux.contains("No space left"), "{linux}");
}

/// BitBake runs the real task instead, and so does the build.
#[test]
fn shared_state_that_cannot_be_had_does_not_end_the_build() {
    if !qemu_is_there() {
        return;
    }
    let fake = Yocto::new();
    fake.write("src/mode", "setscene");
    fake.built();
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
fn an_interrupt_at_any_stage_ends_bitbake_with_its_server_and_the_next_build_goes_on() {
    if !qemu_is_there() {
        return;
    }
    let all = "--postread one.conf --parse-only\n--parse-only\n";
    // What was read before is there: without the first parse nothing was.
    for (stage, next) in [
        ("parse", all),
        ("variables", "--parse-only\n-e "),
        ("recipes", "--parse-only\n-e "),
        ("build", "--parse-only\n-e "),
    ] {
        interrupted(stage, next);
    }
}

fn interrupted(stage: &str, next: &str) {
    let fake = Yocto::new();
    fake.write("src/mode", &format!("half-{stage}"));
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
        assert!(started.elapsed().as_secs() < 120, "{stage}: the build never came so far");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let running = || fs::read(format!("/proc/{server}/cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(running(), "{stage}");
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.expect("started").success(), "{stage}");
    assert!(child.wait().expect("ended").success(), "{stage}");
    let asked = std::time::Instant::now();
    while running() {
        assert!(asked.elapsed().as_secs() < 30, "{stage}: BitBake's server goes on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fake.write("src/mode", "");
    let before = fake.calls();
    fake.built();
    assert!(fake.calls()[before.len()..].starts_with(next), "{stage}: {}", fake.calls());
}
