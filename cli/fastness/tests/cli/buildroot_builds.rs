//! Whole builds with the Buildroot backend: a makefile stands for Buildroot, everything after it is real.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::buildroot::second_board;
use crate::support::Run;
use crate::world::World;

/// Does to the files what Buildroot's targets do. `objects` is what a package compiles, `said` what it prints.
const MAKEFILE: &str = r#"export BR2_VERSION := 2026.02.3
BOARD = $(wildcard $(BR2_EXTERNAL)/board/*)
LINUX = $(O)/build/linux-6.12.91
UBOOT = $(O)/build/uboot-2025.01
ZLIB = $(O)/build/zlib-1.3.1
as_config = awk -F '\t' '$$2 != "n" { print "$(1)" $$1 "=" $$2 }' $(BOARD)/asked/$(2).txt
.PHONY: all fastness-configure defconfig olddefconfig show-info
defconfig:
	@(echo; echo 'BR2_DL_DIR="$$(TOPDIR)/dl"'; echo 'BR2_CCACHE_DIR="$$(HOME)/.buildroot-ccache"') > $(O)/.config
	@$(call as_config,,buildroot) >> $(O)/.config; grep BR2_CCACHE $(BR2_DEFCONFIG) >> $(O)/.config || :
olddefconfig:
	@:
fastness-configure:
	@mkdir -p $(LINUX) $(UBOOT)
	@$(call as_config,CONFIG_,linux) > $(LINUX)/.config
	@$(call as_config,CONFIG_,uboot) > $(UBOOT)/.config
	@touch $(LINUX)/.stamp_kconfig_fixup_done $(UBOOT)/.stamp_kconfig_fixup_done
	@printf 'linux %s\nuboot %s\n' $(LINUX) $(UBOOT) > $(O)/fastness-folders.txt
all:
	@printf 'dl=%s ccache=%s\n' $(BR2_DL_DIR) $(BR2_CCACHE_DIR) >> $(O)/calls
	@mkdir -p $(ZLIB) $(O)/images $(O)/target; date > $(ZLIB)/.stamp_configured
	@head -c $(objects) /dev/zero > $(ZLIB)/zlib.o && head -c $(said) /dev/zero || \
		{ echo 'make[1]: *** [package/pkg-generic.mk:283: $(ZLIB)/.stamp_built] Error 1'; exit 1; }
	@touch $(LINUX)/.stamp_built $(UBOOT)/.stamp_built
	@cp $(LINUX)/.config $(O)/images/linux.config; cp $(UBOOT)/.config $(O)/images/u-boot.config
	@printf '%65536s' kernel > $(O)/images/Image; printf '%4096s' boot > $(O)/images/u-boot-nodtb.bin
	@cp -a $(BOARD)/overlay/. $(O)/target; rm -f $(O)/images/rootfs.squashfs
	@mksquashfs $(O)/target $(O)/images/rootfs.squashfs -quiet -no-progress -all-root > /dev/null
show-info:
	@echo '{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz"}]}}'
"#;

const BUILD: [&str; 5] = ["build", "--backend", "buildroot", "--buildroot", "tree"];

/// A world with such a tree; `objects` and `said` in bytes.
fn world(objects: u64, said: u64) -> Option<World> {
    let world = World::new()?;
    for folder in ["tree/package", "tree/support/kconfig"] {
        fs::create_dir_all(world.place.path(folder)).unwrap();
    }
    let makefile = format!("objects = {objects}\nsaid = {said}\n{MAKEFILE}");
    fs::write(world.place.path("tree/Makefile"), makefile).unwrap();
    fs::write(world.place.path("tree/Config.in"), "").unwrap();
    fs::write(world.place.path("tree/package/Makefile.in"), "").unwrap();
    // The real one reads this makefile.
    fs::remove_file(world.path("bin/make")).unwrap();
    Some(world)
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[test]
fn boards_of_one_call_share_downloads_and_objects_and_nothing_else() {
    let Some(world) = world(0, 0) else { return };
    second_board(&world.place);
    let both = ["--ccache", "--board", "qemu-aarch64", "--board", "twin", "--json"];
    let run = world.run(&[&BUILD[..], &both].concat());
    // Signed and read back; its checks do not hold, since there is no kernel in it.
    assert_eq!(run.code, 6, "{run:?}");
    assert_eq!(run.json()["boards"].as_array().unwrap().len(), 2);
    let works: Vec<PathBuf> =
        fs::read_dir(world.cache("buildroot")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(works.len(), 2, "{works:?}");
    let calls = |work: &PathBuf| fs::read_to_string(work.join("output/calls")).unwrap();
    let (dl, ccache) = (world.cache("buildroot-downloads"), world.cache("buildroot-ccache"));
    let shared = format!(
        "dl={} ccache={}\n",
        dl.canonicalize().unwrap().display(),
        ccache.canonicalize().unwrap().display()
    );
    for work in &works {
        assert_eq!(calls(work), shared);
    }
    let mut disks = BTreeSet::new();
    for board in ["qemu-aarch64", "twin"] {
        let out = world.place.path("out").join(board);
        let image: record::ImageRecord = record::read_json(&out.join("image.json")).unwrap();
        let artefacts: record::Artefacts = record::read_json(&out.join("artefacts.json")).unwrap();
        assert_eq!((image.board.as_str(), artefacts.backend.as_str()), (board, "buildroot"));
        assert!(disks.insert(record::sha256_file(&out.join("image/disk.img")).unwrap().0));
        let fit = out.join("image/fit.itb");
        let verify = world.run(&[
            "fit",
            "verify",
            &fit.to_string_lossy(),
            "--key",
            "gw-dev",
            "--algorithm",
            "sha256,rsa2048",
        ]);
        assert_eq!(verify.code, 0, "{verify:?}");
    }
}

#[test]
fn no_key_is_ever_where_buildroot_works_and_its_own_images_are_not_signed() {
    let Some(world) = world(0, 0) else { return };
    assert_eq!(world.run(&BUILD).code, 6);
    let mut seen = Vec::new();
    files(&world.cache("buildroot"), &mut seen);
    files(&world.place.path("out/qemu-aarch64/generated"), &mut seen);
    files(&world.place.path("out/qemu-aarch64/artefacts"), &mut seen);
    assert!(seen.len() > 100, "{}", seen.len());
    let public = fs::read_to_string(world.place.path(".local/share/fastness/keys/gw-dev.pub.pem")).unwrap();
    let modulus = public.lines().nth(2).unwrap();
    for path in seen {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // Neither the private key nor, before assembly, the public one.
        assert!(!text.contains("PRIVATE KEY") && !text.contains(modulus), "{}", path.display());
        assert!(!text.contains("key-gw-dev"), "{}", path.display());
    }
}

/// Runs a script in namespaces of its own, in which it may mount; `$0` is the program.
fn with_mounts(world: &World, script: &str) -> Run {
    let program = world.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-euc", script])
        .arg(program.get_program())
        .args(BUILD)
        .current_dir(world.place.path(""))
        .env_clear()
        .envs(program.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())));
    Run::of(command.output().unwrap())
}

#[test]
fn a_full_cache_names_the_package_and_goes_on_when_there_is_room() {
    let Some(world) = world(12 << 20, 0) else { return };
    let run = with_mounts(
        &world,
        r#"mkdir cache; mount -t tmpfs -o size=8m tmpfs cache
        code=0; "$0" "$@" --cache cache 2>first || code=$?
        first=$(cat cache/buildroot/*/output/build/zlib-1.3.1/.stamp_configured)
        mount -o remount,size=64m cache
        again=0; "$0" "$@" --cache cache 2>second || again=$?
        test -n "$first"; test -n "$(find cache/buildroot -name zlib.o -size +11M)"
        cat first second >&2; echo "codes $code $again""#,
    );
    assert!(run.code == 0 && run.out.ends_with("codes 4 6\n"), "{run:?}");
    for part in [
        "error[no-space]: the package `zlib-1.3.1` failed while it was compiled: the disk is full",
        "No space left on device",
        "hint: make room in the cache's file system, or choose another with `--cache`; then run the same command again",
    ] {
        assert!(run.err.contains(part), "`{part}` is missing in {}", run.err);
    }
}

#[test]
fn a_log_that_has_no_room_for_the_reason_does_not_hide_it() {
    let Some(world) = world(0, 32 << 20) else { return };
    let run = with_mounts(
        &world,
        r#"mkdir out; mount -t tmpfs -o size=12m tmpfs out
        code=0; "$0" "$@" || code=$?
        test ! -e out/qemu-aarch64/artefacts.json; exit "$code""#,
    );
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.err.contains("error[no-space]: "), "{}", run.err);
    assert!(run.err.contains("the disk is full"), "{}", run.err);
}

#[test]
fn paths_with_spaces_are_refused_where_buildroot_works_and_taken_where_it_does_not() {
    let Some(world) = world(0, 0) else { return };
    fs::create_dir_all(world.place.path("my tools/bin")).unwrap();
    fs::rename(world.place.path("tree"), world.place.path("my tree")).unwrap();
    let with = |arguments: &[&str]| world.run(&[&["build", "--backend", "buildroot"], arguments].concat());
    for (arguments, place) in [
        (&["--buildroot", "my tree"][..], "my tree"),
        (&["--buildroot", "tree", "--cache", "my cache"], "my cache"),
        (&["--buildroot", "tree", "--dl", "my downloads"], "my downloads"),
        (&["--buildroot", "tree", "--ccache=my objects"], "my objects"),
        (&["--buildroot", "tree", "--toolchain", "my tools"], "my tools"),
    ] {
        let run = with(arguments);
        assert_eq!(run.code, 3, "{run:?}");
        let expected =
            format!("/{place}`: the path holds ` `, which make, a shell or the linker splits or expands");
        assert!(run.err.contains("error[unusable-path]: Buildroot cannot work in `"), "{run:?}");
        assert!(run.err.contains(&expected), "{run:?}");
        if place == "my tree" {
            fs::rename(world.place.path("my tree"), world.place.path("tree")).unwrap();
        }
    }
    // Product, keys, output and the file of symbols are read and written by Fastness alone.
    fs::create_dir(world.place.path("my product")).unwrap();
    fs::rename(world.place.path("product.yaml"), world.place.path("my product/product.yaml")).unwrap();
    fs::rename(world.place.path(".local/share/fastness/keys"), world.place.path("my keys")).unwrap();
    fs::write(world.place.path("my symbols"), "BR2_CCACHE=y\n").unwrap();
    let run = world.run(&[
        "build",
        "my product/product.yaml",
        "--backend",
        "buildroot",
        "--buildroot",
        "tree",
        "--keys",
        "my keys",
        "--out",
        "my out",
        "--buildroot-config",
        "my symbols",
    ]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(world.place.path("my out/qemu-aarch64/image/disk.img").is_file());
}
