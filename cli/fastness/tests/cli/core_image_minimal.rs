//! `inspect` and `analyze` of what an unmodified `core-image-minimal` is.
//!
//! One was built by hand once (docs/peers.md). Here the trees are constructed, each entry after the recipe or class of OpenEmbedded-Core that
//! leaves it, which is named beside it. Programs are no programs, so that nothing is said of how they were built.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{Place, Run};

fn write(root: &Path, path: &str, mode: u32, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn link(root: &Path, path: &str, target: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// `base-files`: fstab, names, folders. `rootfs-postcommands.bbclass`: the time stamp.
fn base(root: &Path) {
    let fstab = "/dev/root / auto defaults 1 1\nproc /proc proc defaults 0 0\n\
         tmpfs /run tmpfs mode=0755,nodev,nosuid,strictatime 0 0\ntmpfs /var/volatile tmpfs defaults 0 0\n";
    write(root, "etc/fstab", 0o644, fstab);
    write(root, "etc/hostname", 0o644, "qemuarm64\n");
    write(root, "etc/shells", 0o644, "/bin/sh\n");
    write(
        root,
        "etc/nsswitch.conf",
        0o644,
        "passwd:         compat\nshadow:         compat\nhosts:  files dns\n",
    );
    write(root, "etc/timestamp", 0o644, "20180309123456\n");
    // `base-passwd`: groups of Debian, `*` in the second field.
    write(root, "etc/group", 0o644, "root:*:0:\ndaemon:*:1:\nnogroup:*:65534:\n");
    for folder in ["proc", "sys", "dev", "run", "var/volatile"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
}

/// `scarthgap` (5.0) without a distro's own word: `INIT_MANAGER` is `none`, which is sysvinit with BusyBox, and
/// `EXTRA_IMAGE_FEATURES` of its `local.conf` is `debug-tweaks`.
fn sysvinit(root: &Path) {
    base(root);
    // `base-passwd`: root without a password, which nothing moves to /etc/shadow here, and which
    // `zap_empty_root_password` leaves when the image has `empty-root-password` (a part of `debug-tweaks`).
    write(
        root,
        "etc/passwd",
        0o644,
        "root::0:0:root:/home/root:/bin/sh\ndaemon:*:1:1:daemon:/usr/sbin:/sbin/nologin\n\
         nobody:*:65534:65534:nobody:/nonexistent:/sbin/nologin\n",
    );
    // `sysvinit-inittab`: a login on each of SERIAL_CONSOLES, behind ttyrun, and on SYSVINIT_ENABLED_GETTYS.
    write(
        root,
        "etc/inittab",
        0o644,
        "id:5:initdefault:\nsi::sysinit:/etc/init.d/rcS\n~~:S:wait:/sbin/sulogin\nl5:5:wait:/etc/init.d/rc 5\n\
         AMA0:12345:respawn:/usr/sbin/ttyrun ttyAMA0 /bin/start_getty 115200 ttyAMA0 vt102\n\
         1:12345:respawn:/sbin/getty 38400 tty1\n",
    );
    write(root, "bin/start_getty", 0o755, "#!/bin/sh\n${setsid:-} /sbin/getty -L $1 $2 $3\n");
    // `init-ifupdown`, `busybox-syslog`, `initscripts`.
    write(root, "etc/init.d/networking", 0o755, "#!/bin/sh\nifup -a\n");
    link(root, "etc/rc5.d/S01networking", "../init.d/networking");
    write(
        root,
        "etc/init.d/syslog",
        0o755,
        "#!/bin/sh\nstart-stop-daemon -S -b -n syslogd -a /sbin/syslogd -- -n\n",
    );
    link(root, "etc/rc5.d/S20syslog", "../init.d/syslog");
    // `busybox`: the applets that need it are in a file of their own with the bit.
    write(root, "bin/busybox.nosuid", 0o755, "not really\n");
    write(root, "bin/busybox.suid", 0o4755, "not really\n");
    link(root, "bin/sh", "busybox.nosuid");
    link(root, "bin/login", "busybox.suid");
    link(root, "sbin/getty", "/bin/busybox.nosuid");
    link(root, "sbin/sulogin", "/bin/busybox.nosuid");
    write(root, "sbin/init.sysvinit", 0o755, "not really\n");
    link(root, "sbin/init", "/sbin/init.sysvinit");
}

/// `wrynose` (6.0): systemd with a merged /usr; of `EXTRA_IMAGE_FEATURES` its `local.conf` sets none, so that
/// `zap_empty_root_password` locks root; `empty` is what a team gets that takes its comment's line in.
fn systemd(root: &Path, empty: bool) {
    base(root);
    write(
        root,
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n",
    );
    // `shadow`: pwconv of its `pkg_postinst`.
    let password = if empty { "" } else { "*" };
    write(root, "etc/shadow", 0o400, &format!("root:{password}:15069:0:99999:7:::\ndaemon:*:15069::::::\n"));
    write(root, "usr/lib/systemd/systemd", 0o755, "not really\n");
    write(root, "usr/lib/systemd/system-generators/systemd-getty-generator", 0o755, "not really\n");
    write(
        root,
        "usr/lib/systemd/system/serial-getty@.service",
        0o644,
        "[Service]\nExecStart=-/usr/sbin/agetty --keep-baud 115200,57600 - $TERM\n",
    );
    link(root, "sbin", "usr/sbin");
    link(root, "bin", "usr/bin");
    link(root, "lib", "usr/lib");
    // `util-linux-agetty`, which systemd recommends.
    write(root, "usr/sbin/agetty", 0o755, "not really\n");
    link(root, "usr/sbin/getty", "agetty");
    link(root, "usr/sbin/init", "../lib/systemd/systemd");
    write(root, "usr/bin/busybox.nosuid", 0o755, "not really\n");
    write(root, "usr/bin/busybox.suid", 0o4755, "not really\n");
    link(root, "usr/bin/sh", "busybox.nosuid");
}

/// Runs a host's program; `None`, loudly, where there is none.
fn tool(place: &Place, argv: &[&str]) -> Option<()> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(argv[0]);
    match command.args(&argv[1..]).current_dir(place.path("")).env("PATH", path).output() {
        Ok(output) => {
            assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(())
        }
        Err(error) => {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{}`: {error}", argv[0]);
            #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
            {
                eprintln!("SKIPPED: `{}` is not installed", argv[0]);
            }
            None
        }
    }
}

/// As `image_types.bbclass` packs it: files of root's, by numbers. bzip2 is what QEMU machines of `scarthgap` have.
fn tar(place: &Place, root: &str) -> Option<()> {
    let name = format!("{root}.tar.bz2");
    let owner = ["--owner=0", "--group=0", "--numeric-owner"];
    tool(place, &[&["tar", "-C", root], &owner[..], &["-j", "-cf", &name, "."]].concat())
}

/// Verdict and what was seen.
fn finding(report: &serde_json::Value, id: &str) -> (String, String) {
    let finding = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == id).unwrap();
    (finding["verdict"].as_str().unwrap().to_owned(), finding["seen"].as_str().unwrap().to_owned())
}

#[track_caller]
fn fails(run: &Run, expected: &[(&str, &str)]) {
    let report = run.json();
    for (id, says) in expected {
        let (verdict, seen) = finding(&report, id);
        assert!(verdict == "fail" && seen.contains(says), "{id}: {verdict}: {seen}");
    }
}

/// What neither release has, whatever its image features.
const OF_BOTH: [(&str, &str); 4] = [
    ("generic.audit", "`/etc/audit/audit.rules` is missing"),
    ("generic.mounts", "`/` lacks `ro` (has `defaults`)"),
    ("generic.packet-filter", "no packet filter: there is none of /etc/nftables.conf"),
    ("generic.sysctl", "`kernel.kptr_restrict` is not set"),
];

#[test]
fn one_with_sysvinit_and_debug_tweaks_is_told_what_it_lacks() {
    let place = Place::new();
    sysvinit(&place.path("minimal"));
    let Some(()) = tar(&place, "minimal") else { return };
    let run = place.run(&["inspect", "minimal.tar.bz2", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
    fails(&run, &OF_BOTH);
    fails(
        &run,
        &[
            ("generic.accounts", "`root` has an empty password"),
            ("generic.console-login", "ttyrun ttyAMA0 /bin/start_getty 115200 ttyAMA0 vt102"),
            ("generic.console-login", "/sbin/getty 38400 tty1"),
            ("generic.setuid", "`/bin/busybox.suid` (setuid)"),
        ],
    );
    let report = run.json();
    // An archive of the root has neither; that is said, and is no pass.
    for id in ["generic.fit-signed", "generic.verity-root"] {
        assert_eq!(finding(&report, id).0, "not-applicable", "{id}");
    }
    let facts = place.run(&["inspect", "minimal.tar.bz2", "--facts", "--json"]).json();
    let area = |name: &str| facts["areas"][name]["facts"].clone();
    assert_eq!(area("accounts")["user root: password"], "empty");
    // What starts it is sysvinit, by its table and its runlevel's links.
    assert_eq!(area("units")["inittab id:5:initdefault:"], "is there");
    assert_eq!(area("units")["script /etc/rc5.d/S20syslog"], "is started");
    let analysis = place.run(&["analyze", "minimal.tar.bz2", "--json"]).json();
    let rules: Vec<&str> =
        analysis["issues"].as_array().unwrap().iter().map(|issue| issue["rule"].as_str().unwrap()).collect();
    // A tar without extended attributes says nothing of file capabilities.
    assert_eq!(rules, ["account-empty-password", "setuid", "capabilities-unknown"], "{analysis}");
    // `COPY_LIC_MANIFEST` is off and the package manager's data are removed: no list of packages is in it.
    assert!(
        !analysis["components"].as_array().unwrap().iter().any(|c| c["by"] == "opkg" || c["by"] == "yocto")
    );
}

#[test]
fn one_with_systemd_is_told_what_it_lacks_and_that_root_is_locked_by_default() {
    let place = Place::new();
    systemd(&place.path("minimal"), false);
    systemd(&place.path("tweaked"), true);
    for root in ["minimal", "tweaked"] {
        let Some(()) = tar(&place, root) else { return };
        let run = place.run(&["inspect", &format!("{root}.tar.bz2"), "--json"]);
        assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
        fails(&run, &OF_BOTH);
        fails(
            &run,
            &[
                ("generic.console-login", "systemd-getty-generator` starts a login on every console"),
                ("generic.setuid", "`/usr/bin/busybox.suid` (setuid)"),
            ],
        );
        let (verdict, seen) = finding(&run.json(), "generic.accounts");
        assert_eq!(seen.contains("`root` has an empty password"), root == "tweaked", "{verdict}: {seen}");
    }
}

#[test]
fn on_a_card_nothing_is_signed_and_nothing_binds_the_root() {
    let place = Place::new();
    sysvinit(&place.path("minimal"));
    let mke2fs = ["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", "minimal", "root.ext4", "8M"];
    let Some(()) = tool(&place, &mke2fs) else { return };
    // As wic's `sdimage-bootpart.wks`: a DOS table, FAT for the boot loader's files, ext4 for the root; first with nothing in the FAT's place.
    let root = fs::read(place.path("root.ext4")).unwrap();
    let (boot_at, boot_length, root_at) = (8_u32, 2048_u32, 2056_u32);
    let mut disk = vec![0; root_at as usize * 512 + root.len()];
    let entries =
        [(0x80, 0x0c, boot_at, boot_length), (0, 0x83, root_at, u32::try_from(root.len() / 512).unwrap())];
    for (index, (flag, kind, start, sectors)) in entries.into_iter().enumerate() {
        let at = 446 + 16 * index;
        disk[at] = flag;
        disk[at + 4] = kind;
        disk[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        disk[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[root_at as usize * 512..].copy_from_slice(&root);
    fs::write(place.path("blank.wic"), &disk).unwrap();
    disk[boot_at as usize * 512 + 54..][..3].copy_from_slice(b"FAT");
    fs::write(place.path("minimal.wic"), disk).unwrap();
    let run = place.run(&["inspect", "blank.wic", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
    for id in ["generic.fit-signed", "generic.verity-root"] {
        fails(&run, &[(id, "2 holds a root file system"), (id, "nothing is signed")]);
    }
    // FAT is not read, and might hold a FIT: no conclusion, and no pass.
    let run = place.run(&["inspect", "minimal.wic", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
    let (verdict, seen) = finding(&run.json(), "generic.fit-signed");
    assert!(
        verdict == "could-not-run" && seen.contains("1 holds a FAT file system (it is not read"),
        "{seen}"
    );
    assert_ne!(finding(&run.json(), "generic.verity-root").0, "pass");
    fails(&run, &OF_BOTH);
}
