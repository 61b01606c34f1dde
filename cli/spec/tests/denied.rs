//! The self-check of what accounts can do that are not root, run as the device runs it, on what is right and on what is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn whoever_reads_a_secret_changes_a_setting_or_commands_a_service_is_found() {
    let id = Command::new("id").arg("-u").output().expect("id");
    if id.stdout != b"0\n" {
        #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
        {
            eprintln!("SKIPPED: only root can act as somebody else");
        }
        return;
    }
    // Below a folder that everybody may enter.
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    mode(root, 0o755);
    let product = root.join("product.yaml");
    fs::write(&product, EXAMPLE).unwrap();
    let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    let path = "/usr/lib/fastness/selfcheck.d/priv.denied";
    let spec::plan::FilePlan::File { content, .. } = &plan.files[path].value else { panic!("no {path}") };
    let place = |name: &str| root.join(name).display().to_string();
    let mut own = content.clone();
    for (from, to) in [
        ("keys=/var/lib/fastness", format!("keys={}", place("keys"))),
        (
            "settings='/proc/sys/kernel/kptr_restrict /proc/sys/net/ipv4/ip_forward'",
            format!("settings='{}'", place("setting")),
        ),
        ("folders=\"/run/systemd/system $keys /var/log\"", format!("folders=\"{} $keys\"", place("units"))),
        ("manager=/run/systemd/private", format!("manager={}", place("manager"))),
        ("passwd=/etc/passwd", format!("passwd={}", place("passwd"))),
        ("group=/etc/group", format!("group={}", place("group"))),
        ("secrets=/etc/shadow", format!("secrets={}", place("shadow"))),
    ] {
        assert!(own.contains(from), "{from}");
        own = own.replace(from, &to);
    }
    let script = root.join("script");
    fs::write(&script, own).unwrap();
    fs::write(
        root.join("passwd"),
        "root:x:0:0::/:/bin/sh\nbin:x:2:2::/:/bin/sh\nuser:x:2000:2000::/:/bin/sh\n",
    )
    .unwrap();
    fs::write(root.join("group"), "root:x:0:\nstaff:x:5000:user\n").unwrap();
    fs::create_dir(root.join("bin")).unwrap();
    let systemctl = root.join("bin/systemctl");
    let commands = |who: &str| {
        fs::write(&systemctl, format!("#!/bin/sh\n[ \"$(id -u)\" {who} ]\n")).unwrap();
        mode(&systemctl, 0o755);
    };
    let run = |change: &dyn Fn()| {
        for name in ["keys", "units"] {
            let _ = fs::remove_dir_all(root.join(name));
            fs::create_dir(root.join(name)).unwrap();
            mode(&root.join(name), 0o755);
        }
        for (name, bits) in [("keys/key", 0o600), ("shadow", 0o600), ("setting", 0o644), ("manager", 0o600)] {
            // As the kernel gives a setting out: without the line's end.
            fs::write(root.join(name), "1").unwrap();
            mode(&root.join(name), bits);
        }
        commands("= 0");
        change();
        let path = format!("{}:{}", place("bin"), std::env::var("PATH").unwrap());
        let out = Command::new("sh").arg(&script).env("PATH", path).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    };
    let (said, code) = run(&|| ());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("1 accounts read none of "), "{said}");
    let staff = |name: &str, bits: u32| {
        std::os::unix::fs::chown(root.join(name), Some(0), Some(5000)).unwrap();
        mode(&root.join(name), bits);
    };
    let cases: [(&dyn Fn(), String); 8] = [
        (&|| mode(&root.join("shadow"), 0o644), format!("user can read {}", place("shadow"))),
        (&|| staff("shadow", 0o640), format!("user can read {}", place("shadow"))),
        (&|| mode(&root.join("setting"), 0o666), format!("user can write {}", place("setting"))),
        (&|| staff("units", 0o775), format!("user can write to {}", place("units"))),
        (&|| mode(&root.join("manager"), 0o666), "user can command the service manager".to_owned()),
        (&|| commands("!= 1"), "user can command services".to_owned()),
        (&|| commands("= 1"), "root itself cannot command services".to_owned()),
        (
            &|| fs::rename(root.join("keys/key"), root.join("keys/a key")).unwrap(),
            "a name that is none of this device: ".to_owned(),
        ),
    ];
    for (change, says) in cases {
        let (said, code) = run(change);
        assert!(said.starts_with(&says), "{says}: {said}");
        assert_eq!(code, Some(1), "{said}");
    }
}
