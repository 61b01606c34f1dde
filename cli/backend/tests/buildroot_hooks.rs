//! The tree's own hooks, run as Buildroot runs them: each has something that it must refuse.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backend::buildroot::tree_of;
use spec::Choice;
use spec::library::Library;
use spec::product::Backend;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// The example's tree, an image folder and a build folder with both components.
    fn new() -> Self {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let choice = Choice { backend: Some(Backend::Buildroot), series: None };
        let plan = spec::load_as(&Library::built_in(None), &product, None, choice).expect("a plan");
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        tree_of(&plan).expect("a tree").bring_to(&place.path("tree")).expect("written");
        for (component, version, asked) in [("linux", "6.12.91", "linux"), ("uboot", "2025.01", "uboot")] {
            let config = place.as_config(asked, "CONFIG_");
            place.write(&format!("build/{component}-{version}/.config"), &config);
            place.write(&format!("build/{component}-{version}/.stamp_built"), "");
        }
        place.write("build/linux-headers-6.12.91/.stamp_built", "");
        place.write("config", &place.as_config("buildroot", ""));
        place.write("build/packages-file-list.txt", "zlib,./usr/lib/libz.so\n");
        fs::create_dir_all(place.path("target")).expect("made");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn board(&self, name: &str) -> PathBuf {
        self.path("tree/board/qemu-aarch64").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn as_config(&self, asked: &str, prefix: &str) -> String {
        let text = fs::read_to_string(self.board(&format!("asked/{asked}.txt"))).expect("a list");
        let symbols = text.lines().filter_map(|line| {
            let mut parts = line.split('\t');
            let (symbol, value) = (parts.next()?, parts.next()?);
            Some(if value == "n" {
                format!("# {prefix}{symbol} is not set\n")
            } else {
                format!("{prefix}{symbol}={value}\n")
            })
        });
        symbols.collect()
    }

    fn run(&self, script: &str, argument: &str) -> (bool, String) {
        let output: Output = Command::new(self.board(script))
            .arg(self.path(argument))
            .env("BR2_CONFIG", self.path("config"))
            .env("BUILD_DIR", self.path("build"))
            .output()
            .expect("started");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).expect("text"))
    }
}

#[test]
fn a_build_that_kept_everything_passes() {
    let place = Place::new();
    let said = "BusyBox is off: nothing of it is compared\n".to_owned();
    assert_eq!(place.run("post-build.sh", "target"), (true, said));
}

#[test]
fn busybox_is_compared_where_it_is_on_and_never_on_unasked() {
    let place = Place::new();
    let config = fs::read_to_string(place.path("config")).expect("a file");
    place.write("config", &format!("{config}BR2_PACKAGE_BUSYBOX=y\n"));
    let (good, text) = place.run("post-build.sh", "target");
    assert!(!good && text.contains("`BR2_PACKAGE_BUSYBOX` was asked to be `n`"), "{text}");
    let place = Place::new();
    place.write("tree/board/qemu-aarch64/asked/busybox.txt", "TELNETD\tn\t-\tbackend buildroot\n");
    place.write("build/busybox-1.37.0/.stamp_built", "");
    place.write("build/busybox-1.37.0/.config", "CONFIG_TELNETD=y\n");
    let (good, text) = place.run("post-build.sh", "target");
    assert!(!good && text.contains("BusyBox: `TELNETD` was asked to be `n`"), "{text}");
    place.write("build/busybox-1.37.0/.config", "# CONFIG_TELNETD is not set\n");
    assert_eq!(place.run("post-build.sh", "target"), (true, String::new()));
}

#[test]
fn a_lost_symbol_is_told_with_who_asked() {
    for (file, lost, who) in [
        (
            "config",
            "BR2_SSP_STRONG=y\n",
            "Buildroot: `BR2_SSP_STRONG` was asked to be `y` by backend buildroot",
        ),
        (
            "build/linux-6.12.91/.config",
            "CONFIG_DM_VERITY=y\n",
            "Linux: `DM_VERITY` was asked to be `y` by layer verity-root",
        ),
        (
            "build/uboot-2025.01/.config",
            "CONFIG_FIT_SIGNATURE=y\n",
            "U-Boot: `FIT_SIGNATURE` was asked to be `y` by layer verified-boot",
        ),
    ] {
        let place = Place::new();
        let text = fs::read_to_string(place.path(file)).expect("a file");
        assert!(text.contains(lost), "{lost}");
        place.write(file, &text.replace(lost, ""));
        let (success, told) = place.run("post-build.sh", "target");
        assert!(!success && told.contains(who) && told.contains("but is `n`"), "{told}");
    }
}

#[test]
fn a_symbol_that_is_on_against_the_plan_is_told_too() {
    let place = Place::new();
    let text = fs::read_to_string(place.path("build/linux-6.12.91/.config")).expect("a file");
    place.write("build/linux-6.12.91/.config", &(text + "CONFIG_USER_NS=y\n"));
    let (success, told) = place.run("post-build.sh", "target");
    assert!(!success && told.contains("`USER_NS` was asked to be `n`"), "{told}");
}

#[test]
fn numbers_waivers_and_toolchains_of_ones_own_are_understood() {
    let place = Place::new();
    place.write("asked.txt", "A\t0x10\t-\tx\nB\ty\twaived\tx\nC\ty\tunless EXTERNAL\tx\nD\t\"a=b\"\t-\tx\n");
    let run = |config: &str| {
        place.write("checked", config);
        let output = Command::new(place.board("check-asked.sh"))
            .args([Path::new("It"), &place.path("checked"), &place.path("asked.txt")])
            .output()
            .expect("started");
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(run("CONFIG_A=16\nEXTERNAL=y\nCONFIG_D=\"a=b\"\n"), "");
    let told = run("CONFIG_A=0x11\nCONFIG_D=\"a\"\n");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.contains("`C` was asked to be `y` by x, but is `n`"), "{told}");
}

#[test]
fn without_a_final_configuration_nothing_passes() {
    let place = Place::new();
    fs::remove_file(place.path("build/linux-6.12.91/.stamp_built")).expect("removed");
    let (success, told) = place.run("post-build.sh", "target");
    assert!(!success && told.contains("the final configuration of Linux is not at"), "{told}");
}

#[test]
fn a_file_of_an_older_overlay_goes_and_a_hidden_one_of_a_package_is_told() {
    let place = Place::new();
    place.write("build/fastness-overlay.txt", "/etc/old\n/etc/issue\n");
    place.write("target/etc/old", "old");
    place.write("target/etc/issue", "new");
    assert!(place.run("post-build.sh", "target").0);
    assert!(!place.path("target/etc/old").exists() && place.path("target/etc/issue").exists());
    place.write("build/fastness-overlay.txt", "/usr/lib/libz.so\n");
    let (success, told) = place.run("post-build.sh", "target");
    assert!(!success && told.contains("which are gone now: /usr/lib/libz.so"), "{told}");
    // It is told once: the next make takes the file from the package's folder.
    assert!(place.run("post-build.sh", "target").0);
}

#[test]
fn removals_spare_what_the_plan_writes_and_lock_who_is_no_person() {
    let place = Place::new();
    for (path, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nmaintenance:x:2000:2000::/var/home/maintenance:/bin/sh\nsync:x:4:100:sync:/bin:/bin/sync\nsshd:x:110:110:SSH drop priv user:/var/empty:/bin/false\n",
        ),
        ("etc/shadow", "root::::::::\nmaintenance:x:::::::\nsync:$y$abc:::::::\n"),
        ("etc/issue", "the plan's"),
        ("etc/pam.d/login", "a package's"),
        ("etc/pam.d/other", "the plan's"),
        ("usr/share/doc/a b/readme", "text"),
        ("usr/lib/systemd/system-preset/00-fastness.preset", "x"),
        ("var/log/x", "x"),
        ("var/.hidden", "x"),
        ("usr/bin/sed", "x"),
        ("opt/tool", "x"),
    ] {
        place.write(&format!("target/{path}"), text);
    }
    let (success, told) = place.run("post-fakeroot.sh", "target");
    assert!(success, "{told}");
    for gone in [
        "etc/pam.d/login",
        "usr/share/doc/a b",
        "usr/lib/systemd/system-preset",
        "var/log",
        "var/.hidden",
        "opt",
    ] {
        assert!(!place.path("target").join(gone).exists(), "{gone}");
    }
    for kept in ["etc/issue", "etc/pam.d/other", "usr/bin/sed", "var"] {
        assert!(place.path("target").join(kept).exists(), "{kept}");
    }
    let read = |name: &str| fs::read_to_string(place.path("target/etc").join(name)).expect("a file");
    assert_eq!(
        read("passwd"),
        "root:x:0:0:root:/root:/usr/sbin/nologin\nmaintenance:x:2000:2000:Maintenance staff:/var/home/maintenance:/bin/sh\nsync:x:4:100:sync:/bin:/usr/sbin/nologin\nsshd:x:110:110:sshd privilege separation:/run/sshd:/usr/sbin/nologin\n"
    );
    assert_eq!(read("shadow"), "root:!*:::::::\nmaintenance:*:::::::\nsync:!*:::::::\n");
}

/// `Also=` of a unit enables others, whatever the preset says of them.
#[test]
fn nothing_is_started_but_what_the_plan_enables() {
    let place = Place::new();
    place.write("target/etc/passwd", "");
    place.write("target/etc/shadow", "");
    let wants = place.path("target/etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).expect("made");
    for unit in ["nftables.service", "systemd-networkd-wait-online.service"] {
        symlink(format!("/usr/lib/systemd/system/{unit}"), wants.join(unit)).expect("linked");
    }
    let (success, told) = place.run("post-fakeroot.sh", "target");
    assert!(success, "{told}");
    let left: Vec<_> =
        fs::read_dir(&wants).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["nftables.service"]);
}

/// Buildroot's mkusers makes every home; found by an image in which an account owned `/nonexistent`.
#[test]
fn the_home_that_is_none_is_no_folder_of_the_image() {
    let place = Place::new();
    place.write("target/etc/passwd", "");
    place.write("target/etc/shadow", "");
    fs::create_dir_all(place.path("target/nonexistent")).expect("made");
    let (success, told) = place.run("post-fakeroot.sh", "target");
    assert!(success && !place.path("target/nonexistent").exists(), "{told}");
    place.write("target/nonexistent/x", "who put it there?");
    let (success, told) = place.run("post-fakeroot.sh", "target");
    assert!(!success && told.contains("nonexistent"), "{told}");
}

#[test]
fn a_removal_never_leaves_the_image() {
    let place = Place::new();
    place.write("outside/doc/precious", "x");
    place.write("target/etc/passwd", "");
    place.write("target/etc/shadow", "");
    fs::create_dir_all(place.path("target/usr")).expect("made");
    symlink(place.path("outside"), place.path("target/usr/share")).expect("linked");
    let (success, told) = place.run("post-fakeroot.sh", "target");
    assert!(!success && told.contains("leads out of the image"), "{told}");
    assert!(place.path("outside/doc/precious").exists());
}

#[test]
fn the_images_are_said_to_be_unsigned() {
    let place = Place::new();
    fs::create_dir_all(place.path("images")).expect("made");
    let (success, told) = place.run("post-image.sh", "images");
    assert!(success && told.contains("are NOT SIGNED"), "{told}");
    let linux = fs::read_to_string(place.path("images/linux.config")).expect("a configuration");
    assert!(linux.contains("CONFIG_DM_VERITY=y"));
}
