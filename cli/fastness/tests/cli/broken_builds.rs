//! Builds that cannot end: what is said, and that the image of before stays as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::Run;
use crate::world::{Trap, World};

/// What hangs at each stage of a build with an empty cache, in the order of the stages.
const STAGES: [(&str, &str); 12] = [
    ("fetch packages and sources", "apt-get-update"),
    ("fetch packages and sources", "apt-get-install"),
    ("fetch packages and sources", "apt-helper"),
    ("device tree", "qemu-dtb"),
    ("merge packages", "dpkg-deb--fsys-tarfile"),
    ("root file system", "mksquashfs"),
    ("build U-Boot", "tar"),
    ("build U-Boot", "make-olddefconfig"),
    ("build U-Boot", "make-u-boot-nodtb.bin"),
    ("build Linux", "dpkg-deb--extract"),
    ("build Linux", "make-Image"),
    ("assemble and sign", "mke2fs"),
];

/// A world with an image, whose next build has everything to do anew.
fn everything_anew() -> Option<World> {
    let world = World::built()?;
    world.place.edit("version: 0.1.0", "version: 0.1.1");
    fs::remove_dir_all(world.cache("")).unwrap();
    fs::remove_file(world.place.path("fastness.lock")).unwrap();
    Some(world)
}

/// The next build of this world has another image to make, and nothing else to do.
fn another_image() -> Option<World> {
    let world = World::built()?;
    world.place.edit("version: 0.1.0", "version: 0.1.1");
    Some(world)
}

#[track_caller]
pub fn stops(run: &Run, code: i32, error: &str) {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
    assert!(run.err.contains(&format!("error[{error}]")), "{}", run.err);
}

#[test]
fn ctrl_c_at_each_stage_keeps_the_old_image_and_the_next_run_goes_on() {
    let Some(world) = everything_anew() else { return };
    let before = world.product_of_the_build();
    for (stage, tool) in STAGES {
        world.trap(tool, Some(Trap::Hang));
        let run = world.signal(world.start_until_it_hangs(&["build"]), Signal::INT);
        world.trap(tool, None);
        stops(&run, 130, "interrupted");
        assert!(run.err.contains("stopped by a signal; what was finished is kept"), "{stage}: {run:?}");
        assert!(run.err.contains("hint: run the same command again to go on"), "{stage}: {run:?}");
        assert!(!run.err.contains(&format!("done {stage}")), "{stage}: {run:?}");
        assert!(world.product_of_the_build() == before, "{stage}, {tool}: the old image was touched");
        assert_eq!(world.leftovers(), Vec::<std::path::PathBuf>::new(), "{stage}, {tool}");
    }
    world.finishes();
}

#[test]
fn sigterm_is_as_ctrl_c() {
    let Some(world) = another_image() else { return };
    let before = world.product_of_the_build();
    world.trap("mksquashfs", Some(Trap::Hang));
    let run = world.signal(world.start_until_it_hangs(&["build", "--json"]), Signal::TERM);
    assert_eq!((run.code, run.failure()), (130, ("interrupted".into(), "interrupted".into())));
    assert!(world.product_of_the_build() == before);
}

#[test]
fn kill_9_at_each_stage_keeps_the_old_image_and_the_next_run_goes_on() {
    let Some(world) = everything_anew() else { return };
    let before = world.product_of_the_build();
    for (stage, tool) in STAGES {
        world.trap(tool, Some(Trap::Hang));
        // `signal` also sees to it that the tool does not outlive the program.
        let run = world.signal(world.start_until_it_hangs(&["build"]), Signal::KILL);
        world.trap(tool, None);
        assert_eq!(run.code, -1, "{stage}: {run:?}");
        assert!(world.product_of_the_build() == before, "{stage}, {tool}: the old image was touched");
    }
    world.finishes();
}

#[test]
fn stopped_while_it_inspects_there_is_the_new_image_whole() {
    for signal in [Signal::INT, Signal::KILL] {
        let Some(world) = another_image() else { return };
        world.trap("nft", Some(Trap::Hang));
        let run = world.signal(world.start_until_it_hangs(&["build"]), signal);
        world.trap("nft", None);
        assert_eq!(run.code, if signal == Signal::INT { 130 } else { -1 }, "{run:?}");
        let image: record::ImageRecord = record::read_json(&world.out("image.json")).unwrap();
        assert_eq!(image.version, "0.1.1");
        for file in image.files.values().filter(|file| file.path.starts_with("image")) {
            let found = record::sha256_file(&world.out(&file.path.to_string_lossy())).unwrap();
            assert_eq!(found, (file.sha256.clone(), file.bytes));
        }
        world.finishes();
    }
}

#[test]
fn stopped_while_it_boots_or_attacks_nothing_is_left_and_nothing_is_known() {
    for (verb, signal) in
        [("boot", Signal::INT), ("boot", Signal::KILL), ("attack", Signal::INT), ("attack", Signal::KILL)]
    {
        let Some(world) = World::built() else { return };
        let before = world.product_of_the_build();
        world.trap("qemu-boot", Some(Trap::Hang));
        let run = world.signal(world.start_until_it_hangs(&[verb]), signal);
        world.trap("qemu-boot", None);
        assert_eq!(run.code, if signal == Signal::INT { 130 } else { -1 }, "{verb}: {run:?}");
        assert!(world.product_of_the_build() == before, "{verb}");
        assert!(!world.out("boot.json").exists() && !world.out("attacks.json").exists(), "{verb}");
        // The machine is none: it ends at once. What the killed run left is cleared.
        let run = world.run(&[verb]);
        assert!(run.code > 0, "{verb}: {run:?}");
        assert_eq!(world.leftovers(), Vec::<std::path::PathBuf>::new(), "{verb} {signal:?}");
    }
}

#[test]
fn a_build_that_fails_shows_its_command_and_the_last_lines_of_its_log() {
    for (tool, program, log) in [
        ("make-u-boot-nodtb.bin", "make", "uboot"),
        ("make-Image", "make", "linux"),
        ("mksquashfs", "mksquashfs", "rootfs"),
        ("mke2fs", "mke2fs", "data-partition"),
    ] {
        let Some(world) = everything_anew() else { return };
        let before = world.product_of_the_build();
        world.trap(tool, Some(Trap::Fail));
        let run = world.build();
        stops(&run, 5, "tool-failed");
        assert!(run.err.contains(&format!("`{program}` ended with exit status: 2")), "{}", run.err);
        assert!(run.err.contains(&format!("command: {program} ")), "{}", run.err);
        assert!(run.err.contains("line 26 of what") && run.err.contains("line 40 of what"), "{}", run.err);
        assert!(!run.err.contains("line 25 of what"), "{}", run.err);
        assert!(
            run.err.contains(&format!("the whole log is `out/qemu-aarch64/logs/{log}.log`")),
            "{}",
            run.err
        );
        assert!(world.product_of_the_build() == before, "{tool}: the old image was touched");
        assert_eq!(world.leftovers(), Vec::<std::path::PathBuf>::new(), "{tool}");
    }
}

#[test]
fn a_tool_that_finds_no_space_is_no_bug_of_the_build() {
    let Some(world) = everything_anew() else { return };
    let before = world.product_of_the_build();
    world.trap("make-Image", Some(Trap::Full));
    let run = world.build();
    stops(&run, 4, "no-space");
    assert!(run.err.contains("No space left on device"), "{}", run.err);
    assert!(run.err.contains("hint: free some space, then run the same command again"), "{}", run.err);
    assert!(world.product_of_the_build() == before);
    world.trap("make-Image", None);
    world.finishes();
}

/// A real file system without room: a tmpfs over the output folder, in a user and mount namespace of
/// its own. The first run has no room for anything, the others for more and more of the stages.
#[test]
fn a_full_output_folder_keeps_the_old_image() {
    let Some(world) = another_image() else { return };
    let before = world.product_of_the_build();
    let script = r#"set -e
        mount -t tmpfs -o size=64m tmpfs out
        cp -a --sparse=always saved/. out/
        free=$(df --output=avail -k out | tail -n 1)
        head -c $(( (free - $1) * 1024 )) /dev/zero >out/filler
        code=0; "$0" build || code=$?
        rm -rf after; cp -a --sparse=always out after; exit $code"#;
    fs::rename(world.place.path("out"), world.place.path("saved")).unwrap();
    for kib in ["0", "100", "200", "300"] {
        fs::create_dir_all(world.place.path("out")).unwrap();
        let mut command = world.command(&[]);
        let program = command.get_program().to_owned();
        let variables: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
        command = std::process::Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .args([program, kib.into()])
            .current_dir(world.place.path(""))
            .env_clear()
            .envs(variables);
        let run = Run::of(command.output().unwrap());
        stops(&run, 4, "no-space");
        let hint = "hint: free some space, then run the same command again";
        assert!(run.err.contains(hint), "{kib} KiB: {}", run.err);
        let _ = fs::remove_dir_all(world.place.path("out"));
        fs::rename(world.place.path("after"), world.place.path("out")).unwrap();
        assert!(world.product_of_the_build() == before, "{kib} KiB: the old image was touched");
        fs::remove_file(world.place.path("out/filler")).unwrap();
    }
    world.finishes();
}

#[test]
fn a_package_that_no_suite_has_is_named_with_who_may_know() {
    let Some(world) = World::built() else { return };
    let before = world.product_of_the_build();
    let layer = "title: Own\ndescription: Own\npackages: [{name: no-such-package, reason: test}]\n";
    fs::create_dir_all(world.place.path("layers/own")).unwrap();
    fs::write(world.place.path("layers/own/layer.yaml"), layer).unwrap();
    let product = world.place.path("product.yaml");
    let text = fs::read_to_string(&product).unwrap();
    fs::write(&product, text + "layers: {own: {}}\n").unwrap();
    let lock = fs::read(world.place.path("fastness.lock")).unwrap();
    let run = world.build();
    stops(&run, 5, "tool-failed");
    assert!(run.err.contains("E: Unable to locate package no-such-package"), "{}", run.err);
    assert!(run.err.contains("`fastness explain PACKAGE` says who asks for it"), "{}", run.err);
    assert!(world.product_of_the_build() == before);
    assert!(fs::read(world.place.path("fastness.lock")).unwrap() == lock, "the lock was touched");
}

#[test]
fn a_pin_that_has_gone_says_how_to_take_the_newest() {
    let Some(world) = World::built() else { return };
    let before = world.product_of_the_build();
    world.place.edit("version: 0.1.0", "version: 0.1.1");
    let index = fs::read_to_string(world.path("index")).unwrap();
    fs::write(world.path("index"), index.replace("bash=1 ", "bash=2 ")).unwrap();
    fs::remove_dir_all(world.cache("downloads")).unwrap();
    let lock = fs::read(world.place.path("fastness.lock")).unwrap();
    let run = world.build();
    stops(&run, 5, "tool-failed");
    assert!(run.err.contains("E: Version '1' for 'bash' was not found"), "{}", run.err);
    assert!(run.err.contains("hint: take the newest with `fastness build --update-lock`"), "{}", run.err);
    assert!(fs::read(world.place.path("fastness.lock")).unwrap() == lock, "the lock was touched");
    assert!(world.product_of_the_build() == before);
    assert_eq!(world.run(&["build", "--update-lock"]).code, 6);
}

#[test]
fn an_archive_whose_file_is_not_the_pinned_one_is_refused() {
    let Some(world) = World::built() else { return };
    let before = world.product_of_the_build();
    let index = fs::read_to_string(world.path("index")).unwrap();
    let line = index.lines().find(|line| line.starts_with("bash=1 ")).unwrap();
    let hash = line.rsplit(':').next().unwrap();
    fs::write(world.path("index"), index.replace(hash, &"0".repeat(64))).unwrap();
    fs::remove_dir_all(world.cache("downloads")).unwrap();
    let run = world.build();
    stops(&run, 5, "pin-differs");
    assert!(run.err.contains("look into it before `--update-lock`"), "{}", run.err);
    assert!(world.product_of_the_build() == before);
}

#[test]
fn a_truncated_download_never_gets_into_the_cache() {
    let Some(world) = everything_anew() else { return };
    let before = world.product_of_the_build();
    let file = world.path("archive/bash_1_arm64.deb");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let run = world.build();
    stops(&run, 5, "corrupt-download");
    assert!(run.err.contains("`bash_1_arm64.deb` is not what the archive's index says"), "{}", run.err);
    assert!(run.err.contains("hint: it was removed; run the command again"), "{}", run.err);
    let cached = || fs::read_dir(world.cache("downloads")).unwrap().flatten().map(|e| e.file_name());
    assert!(cached().all(|name| !name.to_string_lossy().contains("bash_1")), "it is in the cache");
    assert!(world.product_of_the_build() == before);
    fs::write(&file, whole).unwrap();
    world.finishes();
}

#[test]
fn a_cached_file_that_changed_is_found_before_it_is_used() {
    for (name, stages) in
        [("bash_1_arm64.deb", ["packages", "rootfs"]), ("u-boot_1.orig.tar.x", ["sources", "uboot"])]
    {
        let Some(world) = another_image() else { return };
        let before = world.product_of_the_build();
        let entries = fs::read_dir(world.cache("downloads")).unwrap().flatten();
        let file = entries.map(|e| e.path()).find(|p| p.to_string_lossy().ends_with(name)).unwrap();
        // The same size: only the hash tells.
        let mut bytes = fs::read(&file).unwrap();
        bytes[600] ^= 1;
        fs::write(&file, bytes).unwrap();
        for stage in stages {
            fs::remove_dir_all(world.cache(stage)).unwrap();
        }
        let run = world.run(&["build", "--offline"]);
        stops(&run, 5, "corrupt-download");
        assert!(run.err.contains(name), "{}", run.err);
        assert!(!file.exists());
        assert!(world.product_of_the_build() == before);
        world.finishes();
    }
}

#[test]
fn an_archive_member_that_leaves_the_tree_is_refused() {
    for (name, kind, link, says) in [
        ("../../evil", tar::EntryType::Regular, "", "that leaves the tree"),
        ("usr/evil", tar::EntryType::Link, "../../etc/passwd", "has a bad link"),
        ("dev/mem", tar::EntryType::Char, "", "which an image may not get"),
    ] {
        let Some(world) = everything_anew() else { return };
        let before = world.product_of_the_build();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(2048, 0);
        let index = fs::read_to_string(world.path("index")).unwrap();
        let old = index.lines().find(|line| line.starts_with("bash=1 ")).unwrap();
        let hash = record::sha256_hex(&bytes);
        let new = format!("bash=1 'fake:bash_1_arm64.deb' bash_1_arm64.deb 2048 SHA256:{hash}");
        fs::write(world.path("index"), index.replace(old, &new)).unwrap();
        fs::write(world.path("archive/bash_1_arm64.deb"), bytes).unwrap();
        let run = world.build();
        stops(&run, 5, "bad-archive");
        assert!(run.err.contains(says), "{}", run.err);
        assert!(world.product_of_the_build() == before);
        assert!(!world.place.path("evil").exists() && !world.cache("evil").exists());
    }
}

#[test]
fn a_wrong_passphrase_keeps_the_old_image() {
    let Some(world) = everything_anew() else { return };
    let before = world.product_of_the_build();
    let file = world.place.path("p");
    fs::write(&file, "open sesame\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // It is told before the hour of building: with tools that would hang nothing hangs.
    world.trap("make-Image", Some(Trap::Hang));
    let run = world.run(&["build", "--passphrase-file", "p"]);
    world.trap("make-Image", None);
    stops(&run, 8, "wrong-passphrase");
    assert!(!run.err.contains("sesame"), "{}", run.err);
    assert!(world.product_of_the_build() == before, "the old image was touched");
    assert_eq!(world.leftovers(), Vec::<std::path::PathBuf>::new());
    world.finishes();
}

#[test]
fn a_missing_key_keeps_the_old_image() {
    let Some(world) = another_image() else { return };
    let before = world.product_of_the_build();
    let run = world.run(&["build", "--keys", "none"]);
    stops(&run, 8, "missing-key");
    assert!(world.product_of_the_build() == before);
}

#[test]
fn a_missing_tool_names_its_package_and_keeps_the_old_image() {
    for (tool, stage, package) in [
        ("make", "uboot", "make"),
        ("mksquashfs", "rootfs", "squashfs-tools"),
        ("aarch64-linux-gnu-gcc", "uboot", "gcc-aarch64-linux-gnu"),
    ] {
        let Some(world) = another_image() else { return };
        let before = world.product_of_the_build();
        fs::remove_dir_all(world.cache(stage)).unwrap();
        fs::remove_file(world.path("bin").join(tool)).unwrap();
        // Only the world's tools, and what their scripts call.
        for needed in ["sh", "cat", "dirname", "cp", "mv", "printf", "mkdir", "sed", "grep", "cut", "tar"] {
            let real = ["/usr/bin", "/bin"].map(|folder| std::path::Path::new(folder).join(needed));
            let real = real.into_iter().find(|path| path.exists()).unwrap();
            let _ = std::os::unix::fs::symlink(real, world.path("bin").join(needed));
        }
        let mut command = world.command(&["build"]);
        command.env("PATH", world.path("bin"));
        let run = Run::of(command.output().unwrap());
        stops(&run, 4, "missing-tool");
        assert!(run.err.contains(&format!("the host tool `{tool}` is not installed")), "{}", run.err);
        assert!(run.err.contains(&format!("apt install {package}")), "{}", run.err);
        assert!(world.product_of_the_build() == before);
    }
}

#[test]
fn the_second_of_two_builds_is_told_and_the_first_goes_on() {
    let Some(world) = another_image() else { return };
    let before = world.product_of_the_build();
    world.trap("mksquashfs", Some(Trap::Hang));
    let first = world.start_until_it_hangs(&["build"]);
    for verb in ["build", "generate", "boot", "attack"] {
        let run = world.run(&[verb]);
        stops(&run, 9, "folder-busy");
        let expected = "another run of fastness works in `out/qemu-aarch64`";
        assert!(run.err.contains(expected), "{verb}: {}", run.err);
        assert!(world.product_of_the_build() == before, "{verb}");
    }
    let run = world.signal(first, Signal::INT);
    assert_eq!(run.code, 130, "{run:?}");
    world.trap("mksquashfs", None);
    world.finishes();
}

#[test]
fn two_products_with_one_cache_wait_for_each_other() {
    let (Some(one), Some(two)) = (everything_anew(), everything_anew()) else { return };
    let cache = one.cache("").display().to_string();
    one.trap("apt-helper", Some(Trap::Hang));
    let first = one.start_until_it_hangs(&["build"]);
    let second = || {
        let mut command = two.command(&["build", "--cache", &cache]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let (mut waiting, stopped) = (second(), two.place.path("out/qemu-aarch64/.lock"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(stopped.exists() && waiting.try_wait().unwrap().is_none(), "it does not wait");
    // Whoever waits can be stopped, too.
    rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), Signal::INT).unwrap();
    stops(&Run::of(waiting.wait_with_output().unwrap()), 130, "interrupted");
    let waiting = second();
    one.signal(first, Signal::KILL);
    one.trap("apt-helper", None);
    let run = Run::of(waiting.wait_with_output().unwrap());
    assert_eq!(run.code, 6, "{run:?}");
    one.finishes();
}
