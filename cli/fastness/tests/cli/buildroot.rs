//! `generate` and `build` with the Buildroot backend; a makefile stands for Buildroot.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::Place;

/// Keeps every symbol; its build waits for ever once, and then goes on where it was.
const MAKEFILE: &str = r#"export BR2_VERSION := 2026.02.3
as_config = awk -F '\t' '$$2 != "n" { print "CONFIG_" $$1 "=" $$2 }' $(wildcard $(BR2_EXTERNAL)/board/*)/asked/$(1).txt
.PHONY: all fastness-configure defconfig olddefconfig
fastness-configure:
	@mkdir -p $(O)/linux $(O)/uboot
	@for part in linux uboot; do echo $$part $(O)/$$part; touch $(O)/$$part/.stamp_kconfig_fixup_done; done > $(O)/fastness-folders.txt
	@$(call as_config,linux) > $(O)/linux/.config
	@$(call as_config,uboot) > $(O)/uboot/.config
all:
	@if [ -f $(O)/half ]; then echo went on; echo "make: *** [x.mk:1: $(O)/build/zlib-1/.stamp_built] Error 1"; exit 1; fi
	@touch $(O)/half; sleep 600
defconfig:
	@(echo; awk -F '\t' '$$2 != "n" { print $$1 "=" $$2 }' $(wildcard $(BR2_EXTERNAL)/board/*)/asked/buildroot.txt) > $(O)/.config
olddefconfig:
	@:
"#;

fn tree(place: &Place) {
    for folder in ["tree/package", "tree/support/kconfig"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    fs::write(place.path("tree/Makefile"), MAKEFILE).unwrap();
    fs::write(place.path("tree/Config.in"), "").unwrap();
    fs::write(place.path("tree/package/Makefile.in"), "").unwrap();
}

#[test]
fn the_external_tree_is_written_and_says_how_to_sign() {
    let place = Place::with_product();
    let run = place.run(&["generate", "--backend", "buildroot", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let folder = place.path("out/qemu-aarch64/generated");
    assert_eq!(fs::read_to_string(folder.join("external.desc")).unwrap(), "name: GW\ndesc: gw 0.1.0\n");
    assert!(folder.join("configs/gw_qemu-aarch64_defconfig").is_file());
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("The images of plain `make` are not signed"), "{readme}");
    assert!(readme.contains("fastness build --backend buildroot") && !readme.contains('@'), "{readme}");
    // The other backend's files take its place, and none of this one's stays.
    assert_eq!(place.run(&["generate"]).code, 0);
    assert!(folder.join("packages.txt").is_file() && !folder.join("external.desc").exists());
}

#[test]
fn what_is_no_tree_is_wrong_input() {
    let place = Place::with_product();
    fs::create_dir(place.path("empty")).unwrap();
    let run = place.run(&["generate", "--backend", "buildroot", "--buildroot", "empty", "--json"]);
    assert_eq!(run.failure(), ("input".to_owned(), "no-buildroot".to_owned()), "{run:?}");
    let run = place.run(&["generate", "--backend", "openwrt"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn options_of_another_backend_are_refused_before_any_work() {
    let place = Place::with_product();
    for (arguments, option, backend) in [
        (&["build", "--buildroot", "tree"][..], "--buildroot", "buildroot"),
        (&["build", "--ccache"], "--ccache", "buildroot"),
        (&["build", "--backend", "buildroot", "--yocto", "x"], "--yocto", "yocto"),
        (&["generate", "--buildroot", "tree"], "--buildroot", "buildroot"),
    ] {
        tree(&place);
        let run = place.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        let told = format!("error[other-backend]: `{option}` is an option of the backend `{backend}`, but `");
        assert!(run.err.contains(&told), "{run:?}");
        assert!(!place.path("out").exists());
    }
}

#[test]
fn a_mirror_that_is_none_and_a_toolchain_that_is_not_there_are_told_before_any_work() {
    let place = Place::with_product();
    tree(&place);
    let build = ["build", "--backend", "buildroot", "--buildroot", "tree"];
    let run = place.run(&[&build[..], &["--primary-site", "nowhere"]].concat());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.err.contains("expected the address of a mirror after `--primary-site`, found `nowhere`"),
        "{run:?}"
    );
    let run = place.run(&[&build[..], &["--toolchain", "gone.tar.xz"]].concat());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("error[no-toolchain]: there is no toolchain `gone.tar.xz`"), "{run:?}");
    assert!(!place.path("out").exists());
}

#[test]
fn check_reads_the_settings_of_every_backend_and_explain_takes_one() {
    let place = Place::with_product();
    let product = fs::read_to_string(place.path("product.yaml")).unwrap();
    let with = |more: &str| fs::write(place.path("product.yaml"), format!("{product}\n{more}\n")).unwrap();
    with("buildroot: {series: \"2019.02\"}");
    let run = place.run(&["check"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("the Buildroot series `2019.02` is not supported"), "{run:?}");
    assert_eq!(place.run(&["check", "--backend", "debian"]).code, 0);
    with("buildroot: {symbols: [{symbol: BR2_PACKAGE_STRACE, value: y, reason: tracing}]}");
    let run = place.run(&["check"]);
    assert!(run.code == 0 && run.out.contains("qemu-aarch64 with buildroot: "), "{run:?}");
    let run = place.run(&["explain", "BR2_PACKAGE_STRACE"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("add `--backend buildroot`"), "{run:?}");
    let run = place.run(&["explain", "BR2_PACKAGE_STRACE", "--backend", "buildroot"]);
    assert!(run.code == 0 && run.out.contains("asked by product (product.yaml:"), "{run:?}");
}

#[test]
fn a_tree_that_keeps_every_symbol_passes_and_one_of_another_series_decides() {
    let place = Place::with_product();
    tree(&place);
    let generate = ["generate", "--backend", "buildroot", "--buildroot", "tree"];
    let run = place.run(&generate);
    assert_eq!(run.code, 0, "{run:?}");
    let makefile = MAKEFILE.replace("2026.02.3", "2024.02.1");
    fs::write(place.path("tree/Makefile"), makefile).unwrap();
    let run = place.run(&generate);
    assert!(run.err.contains("the Buildroot series `2024.02` is not supported"), "{run:?}");
}

#[test]
fn an_interrupted_build_leaves_a_tree_that_goes_on() {
    let place = Place::with_product();
    tree(&place);
    assert_eq!(place.run(&["keys", "new", "gw-dev", "--keys", "k", "--bits", "3072"]).code, 0);
    let arguments =
        ["build", "--backend", "buildroot", "--buildroot", "tree", "--keys", "k", "--cache", "cache"];
    if exec::require(&["qemu-system-aarch64"]).is_err() {
        // The board's device tree is dumped by it; what is tested here comes later.
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "QEMU is required");
        return;
    }
    let mut child = place.command(&arguments).spawn().unwrap();
    let half = || {
        let folders = fs::read_dir(place.path("cache/buildroot")).ok()?;
        folders
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("output/half"))
            .find(|path| path.exists())
    };
    let started = Instant::now();
    while half().is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "the build never came so far");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let run = place.run(&arguments);
    assert!(run.err.contains("the package `zlib-1` failed while it was compiled"), "{run:?}");
    assert!(run.err.contains("went on") && run.err.contains("logs/buildroot.log"), "{run:?}");
}

/// A second board of the product, the twin of the first.
pub(crate) fn second_board(place: &Place) {
    let board =
        std::fs::read_to_string(crate::support::top().join("boards/qemu-aarch64/board.yaml")).unwrap();
    fs::create_dir_all(place.path("boards/twin")).unwrap();
    fs::write(place.path("boards/twin/board.yaml"), board).unwrap();
    place.edit("boards: [qemu-aarch64]", "boards: [qemu-aarch64, twin]");
}

#[test]
fn several_boards_get_one_tree() {
    let place = Place::with_product();
    second_board(&place);
    let run = place.run(&["generate", "--backend", "buildroot", "--all-boards", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["boards"].as_array().unwrap().len(), 2);
    let folder = place.path("out/all-boards/generated");
    for board in ["qemu-aarch64", "twin"] {
        assert!(folder.join(format!("configs/gw_{board}_defconfig")).is_file());
        assert!(folder.join(format!("board/{board}/linux.fragment")).is_file());
    }
    let run = place.run(&["generate", "--all-boards"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(place.path("out/twin/generated/packages.txt").is_file());
}

#[test]
fn an_output_folder_of_another_product_is_refused() {
    let place = Place::with_product();
    assert_eq!(place.run(&["generate"]).code, 0);
    place.edit("name: gw", "name: other");
    for arguments in [&["generate", "--json"][..], &["generate", "--backend", "buildroot", "--json"]] {
        let run = place.run(arguments);
        assert_eq!(run.failure(), ("input".to_owned(), "other-product".to_owned()), "{run:?}");
        let expected = "`out/qemu-aarch64` holds the output of the product `gw`, but this one is `other`";
        assert!(run.err.contains(expected), "{run:?}");
    }
    assert_eq!(place.run(&["generate", "--out", "elsewhere"]).code, 0);
}

#[test]
fn two_runs_never_share_an_output_folder_and_variants_do_not_meet() {
    if exec::require(&["qemu-system-aarch64"]).is_err() {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "QEMU is required");
        return;
    }
    let place = Place::with_product();
    tree(&place);
    second_board(&place);
    assert_eq!(place.run(&["keys", "new", "gw-dev", "--keys", "k", "--bits", "3072"]).code, 0);
    let arguments = |board| {
        let always =
            ["build", "--backend", "buildroot", "--buildroot", "tree", "--keys", "k", "--cache", "cache"];
        [&always[..], &["--board", board]].concat()
    };
    let halves = || {
        let folders = fs::read_dir(place.path("cache/buildroot")).into_iter().flatten().flatten();
        let mut names: Vec<String> = folders
            .filter(|entry| entry.path().join("output/half").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let wait_for = |count: usize| {
        let started = Instant::now();
        while halves().len() < count {
            assert!(started.elapsed() < Duration::from_secs(60), "the build never came so far");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut first = place.command(&arguments("qemu-aarch64")).spawn().unwrap();
    wait_for(1);
    let run = place.run(&arguments("qemu-aarch64"));
    assert_eq!(run.code, 9, "{run:?}");
    assert!(run.err.contains("another run of fastness works in `out/qemu-aarch64`"), "{run:?}");
    // The other board is built meanwhile, in a folder of its own.
    let mut second = place.command(&arguments("twin")).spawn().unwrap();
    wait_for(2);
    let names = halves();
    assert!(names[0].starts_with("gw-qemu-aarch64-") && names[1].starts_with("gw-twin-"), "{names:?}");
    for child in [&mut first, &mut second] {
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
}
