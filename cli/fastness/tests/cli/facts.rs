//! `diff --facts`, `inspect --facts`, and `inspect` of what an unmodified Buildroot makes.

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

/// As a defconfig of Buildroot leaves it: BusyBox as init, a login on the console, dropbear.
fn buildroot(root: &Path) {
    write(root, "etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\n");
    write(root, "etc/shadow", 0o600, "root::::::::\ndaemon:*:::::::\n");
    write(root, "etc/group", 0o644, "root:x:0:\ndaemon:x:1:\n");
    write(root, "etc/fstab", 0o644, "/dev/root / ext2 rw,noauto 0 1\nproc /proc proc defaults 0 0\n");
    write(
        root,
        "etc/inittab",
        0o644,
        "::sysinit:/etc/init.d/rcS\nconsole::respawn:/sbin/getty -L  console 0 vt100 # GENERIC_SERIAL\n",
    );
    write(
        root,
        "etc/init.d/S50dropbear",
        0o755,
        "#!/bin/sh\nstart-stop-daemon -S --exec /usr/sbin/dropbear\n",
    );
    write(root, "bin/busybox", 0o4755, "not really\n");
    write(root, "usr/sbin/dropbear", 0o755, "not really\n");
    fs::create_dir_all(root.join("sbin")).unwrap();
    symlink("../bin/busybox", root.join("sbin/init")).unwrap();
}

fn place() -> Place {
    let place = Place::new();
    for name in ["a", "b"] {
        buildroot(&place.path(name));
    }
    place
}

#[test]
fn an_unmodified_buildroot_is_told_what_it_lacks() {
    let place = place();
    let run = place.run(&["inspect", "a", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
    let report = run.json();
    let of = |id: &str| {
        let finding = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == id).unwrap();
        (finding["verdict"].as_str().unwrap().to_owned(), finding["seen"].as_str().unwrap().to_owned())
    };
    for (id, says) in [
        ("generic.accounts", "`root` has an empty password"),
        ("generic.audit", "`/etc/audit/audit.rules` is missing"),
        ("generic.console-login", "/etc/inittab: `console::respawn:/sbin/getty"),
        ("generic.mounts", "`/` lacks `ro` (has `rw,noauto`)"),
        ("generic.packet-filter", "no packet filter: there is none of /etc/nftables.conf"),
        ("generic.remote-login", "dropbear takes passwords"),
        ("generic.setuid", "`/bin/busybox` (setuid)"),
        ("generic.sysctl", "`kernel.kptr_restrict` is not set"),
    ] {
        let (verdict, seen) = of(id);
        assert!(verdict == "fail" && seen.contains(says), "{id}: {verdict}: {seen}");
    }
    for id in
        ["generic.fit-signed", "generic.verity-root", "generic.control-fdt-key", "generic.kernel-hardening"]
    {
        assert_eq!(of(id).0, "not-applicable", "{id}");
    }
    // For people, too, what was not looked at is no part of what holds.
    let run = place.run(&["inspect", "a"]);
    assert!(
        run.out.contains("not looked at\n    generic.control-fdt-key: a root file system has no"),
        "{run:?}"
    );
    assert!(run.out.contains("defined at standards/generic-checks.yaml:"), "{run:?}");
    assert!(run.out.contains("DOES NOT HOLD"), "{run:?}");
}

#[test]
fn two_equal_images_are_the_same() {
    let place = place();
    let run = diff(&place, &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.out.contains("THE SAME  "), "{run:?}");
    let facts = |name: &str| {
        let mut facts = place.run(&["inspect", name, "--facts", "--json"]).json();
        facts.as_object_mut().unwrap().remove("name");
        facts
    };
    assert_eq!(facts("a.tar"), facts("b.tar"));
    assert_eq!(facts("a.tar")["areas"]["accounts"]["facts"]["user root: password"], "empty");
    // Nothing of this host is in them.
    assert!(!facts("a.tar").to_string().contains(place.path("a").to_str().unwrap()));
}

/// As archives of root's files: a folder that an ordinary user unpacked has no owners to compare.
fn diff(place: &Place, more: &[&str]) -> Run {
    for name in ["a", "b"] {
        pack(place, name);
    }
    place.run(&[&["diff", "--facts", "a.tar", "b.tar", "--quiet"], more].concat())
}

fn pack(place: &Place, name: &str) {
    let tar = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--file"])
        .args([place.path(&format!("{name}.tar")), "--directory".into(), place.path(name), ".".into()])
        .status()
        .unwrap();
    assert!(tar.success());
}

#[test]
fn a_difference_is_explained_by_data_or_fails() {
    let place = place();
    write(&place.path("b"), "etc/shadow", 0o644, "root:*:::::::\ndaemon:*:::::::\n");
    let run = diff(&place, &[]);
    assert_eq!((run.code, run.err.as_str()), (6, ""), "{run:?}");
    let expected =
        "accounts  1 without an explanation\n    user root: password\n      - empty\n      + locked\n";
    assert!(run.out.contains(expected), "{}", run.out);
    assert!(run.out.contains("DOES NOT HOLD  2 of "), "{}", run.out);
    fs::write(
        place.path("known.yaml"),
        "facts:\n  - {area: accounts, fact: \"user root: *\", values: [empty, locked], reason: one is for the bench}\n  \
         - {area: modes, fact: /etc/shadow, values: [\"file 0600\", \"file 0644\"], reason: \"no hash is in it\"}\n  \
         - {area: sshd, fact: port, reason: nobody needs it}\n",
    )
    .unwrap();
    let run = diff(&place, &["--explained", "known.yaml"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.out.contains("accounts 1: one is for the bench (known.yaml:2)"), "{}", run.out);
    assert!(run.out.contains("    sshd port  known.yaml:4\n"), "{}", run.out);
    let json = diff(&place, &["--explained", "known.yaml", "--json"]).json();
    assert_eq!((json["same"].as_bool(), json["holds"].as_bool()), (Some(false), Some(true)));
    assert_eq!(json["explained"][1]["by"], "known.yaml:3");
    // What explains that the second image is locked does not explain that it is open.
    let run = place.run(&["diff", "--facts", "b.tar", "a.tar", "--quiet", "--explained", "known.yaml"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("      - locked\n      + empty\n"), "{}", run.out);
}

#[test]
fn wrong_explanations_and_wrong_use_are_told() {
    let place = place();
    fs::write(place.path("wrong.yaml"), "facts:\n  - {area: acounts, fact: x, reason: y}\n").unwrap();
    let run = diff(&place, &["--explained", "wrong.yaml"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("wrong.yaml:2") && run.err.contains("did you mean `accounts`?"), "{run:?}");
    let run = diff(&place, &["--same"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    let run = place.run(&["diff", "a", "b", "--explained", "wrong.yaml"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    let run = place.run(&["diff", "--facts", "a", "none.img", "--quiet"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("cannot read `none.img`"), "{run:?}");
}

#[test]
fn a_product_may_waive_a_difference_only_of_an_area_that_there_is() {
    let place = Place::with_product();
    place.add("\nwaivers:\n  - {waives: \"facts:elf:/usr/lib/*\", reason: \"built by others\"}\n");
    let run = place.run(&["check"]);
    assert_eq!(run.code, 0, "{run:?}");
    place.edit("facts:elf:", "facts:elv:");
    let run = place.run(&["check"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("`facts:elv:/usr/lib/*`"), "{run:?}");
}
