//! `provision --backup-key`: new certificates and lists in the form of a backup, taken by the device's own program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::pki::has_openssl;
use crate::support::{Place, Run, top};

const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
const LIST: &str = "var/lib/fastness/ipsec/x509crl/crl-2.pem";

fn run(place: &Place, arguments: &str) -> Run {
    place.run(&arguments.split_whitespace().collect::<Vec<_>>())
}

/// A product with a tunnel of strongSwan and the layer `backup`, an authority and an identity.
fn place() -> Place {
    let place = Place::new();
    let product = fs::read_to_string(top().join("examples/pump-station/product.yaml")).unwrap();
    fs::write(place.path("product.yaml"), product + "\nlayers: {backup: {}}\n").unwrap();
    for (name, text) in [
        ("p", "correct horse"),
        ("key", KEY),
        ("wg", "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os="),
        ("shared", "Sl2dW6TOLeFyjjv0gDUPJeB+IclH0Z4zdvCbPB4WF0I="),
    ] {
        fs::write(place.path(name), format!("{text}\n")).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    for arguments in [
        "pki init --organization Water --algorithm p256 --pki ca --passphrase-file p",
        "pki issue gw --role device --common-name pump-station.water.example --pki ca --passphrase-file p",
        "pki crl --pki ca --passphrase-file p",
    ] {
        let made = run(&place, arguments);
        assert_eq!(made.code, 0, "{made:?}");
    }
    place
}

fn provision(place: &Place, more: &str, output: &str) -> Run {
    let arguments = format!(
        "provision gw --wireguard readings=wg --preshared readings=shared --pki ca --passphrase-file p {more} -o {output}"
    );
    run(place, &arguments)
}

/// When a delivery says that it was made.
fn made_at(place: &Place, file: &str) -> String {
    let bytes = fs::read(place.path(file)).unwrap();
    let head = String::from_utf8(bytes[..512].to_vec()).unwrap();
    head.lines().find_map(|line| line.strip_prefix("made=")).unwrap().to_owned()
}

/// The program of the device, with a folder in the place of its root.
fn device(place: &Place) -> impl Fn(&str) -> String + use<> {
    let plan = spec::load(&place.path("product.yaml"), None).unwrap_or_else(|failure| panic!("{failure}"));
    let spec::plan::FilePlan::File { content, .. } = &plan.files["/usr/lib/fastness/backup"].value else {
        panic!("no program");
    };
    let at = place.path("device").display().to_string();
    let mut program = content.clone();
    let read = "while read -r kind mode uid gid bytes sum path; do\n";
    assert_eq!(program.matches(read).count(), 2);
    program = program.replace(read, &format!("{read}case $path in {at}/*) ;; *) path={at}$path ;; esac\n"));
    for place in ["/var/lib/", "/run/fastness-backup"] {
        program = program.replace(place, &format!("{at}{place}"));
    }
    program = program.replace(" PATH=/usr", &format!(" PATH='{at}/stubs':/usr"));
    for folder in ["stubs", "run", "var/lib/backup", "var/lib/backup-state", "var/lib/fastness/backup"] {
        fs::create_dir_all(place.path("device").join(folder)).unwrap();
    }
    // Whoever runs the tests need not be root.
    for (stub, body) in [("chown", ":"), ("chgrp", ":"), ("systemctl", "echo systemctl \"$@\"")] {
        let path = place.path("device/stubs").join(stub);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::copy(place.path("key"), place.path("device/var/lib/fastness/backup/key")).unwrap();
    fs::write(place.path("device/backup"), program).unwrap();
    let (program, asked) = (place.path("device/backup"), place.path("device/var/lib/backup/x.restore"));
    let folder = place.path(".");
    move |delivery: &str| {
        fs::copy(folder.join(delivery), &asked).unwrap();
        let out = Command::new("sh").arg(&program).arg("serve").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "");
        String::from_utf8(out.stdout).unwrap()
    }
}

/// A place with a delivery, `new.restore`, and the device that it is for.
fn with_delivery() -> (Place, impl Fn(&str) -> String) {
    let place = place();
    let made = provision(&place, "--backup-key key", "new.restore");
    assert_eq!(made.code, 0, "{made:?}");
    let give = device(&place);
    (place, give)
}

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        out.push((path.display().to_string(), mode));
        if path.is_dir() {
            out.extend(modes(&path));
        }
    }
    out
}

#[test]
fn a_device_takes_what_is_newer_adds_it_and_restarts() {
    if !has_openssl() {
        return;
    }
    let place = place();
    let made = provision(&place, "", "gw.tar");
    assert_eq!(made.code, 0, "{made:?}");
    let made = provision(&place, "--backup-key key", "first.restore");
    assert!(made.out.contains("; the device's key of backups opens it\n"), "{made:?}");
    let give = device(&place);
    fs::write(place.path("device/var/lib/fastness/other"), "stays").unwrap();
    let said = give("first.restore");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("\"check\":\"delivered\",\"verdict\":\"pass\""), "{said}");
    let first = made_at(&place, "first.restore");
    assert!(lines[0].contains(&format!("\"seen\":\"the state of {first}\"")), "{said}");
    assert_eq!(lines[1..], ["systemctl --no-block reboot"]);

    // What is there is what the archive would have unpacked, with the same modes, beside what was there.
    let unpacked = place.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut archive = tar::Archive::new(fs::File::open(place.path("gw.tar")).unwrap());
    archive.set_preserve_permissions(true);
    archive.unpack(&unpacked).unwrap();
    let on_device = place.path("device/var");
    let mut files = 0;
    for (path, mode) in modes(&unpacked) {
        let other = on_device.join(Path::new(&path).strip_prefix(&unpacked).unwrap());
        let found = fs::metadata(&other).unwrap_or_else(|e| panic!("{}: {e}", other.display()));
        if path.ends_with("/lib") {
            continue;
        }
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{}", other.display());
        if found.is_file() {
            files += 1;
            assert_eq!(fs::read(&other).unwrap(), fs::read(&path).unwrap(), "{path}");
        }
    }
    assert!(files > 5, "{files}");
    assert_eq!(fs::read(place.path("device/var/lib/fastness/other")).unwrap(), b"stays");
    assert_eq!(fs::read_to_string(place.path("device/var/lib/fastness/backup/key")).unwrap().trim(), KEY);

    // The same again, and whatever is not newer: here the last one seems to be of tomorrow.
    let refused = |said: &str, last: &str| {
        let why = format!("x.restore was made at {first}, and the delivery of {last} is here");
        assert!(said.contains("\"check\":\"refused\",\"verdict\":\"fail\"") && said.contains(&why), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    refused(&give("first.restore"), &first);
    let delivered = place.path("device/var/lib/backup-state/delivered");
    assert_eq!(fs::read_to_string(&delivered).unwrap().trim(), first);
    fs::write(&delivered, "2199-01-01T00:00:00Z\n").unwrap();
    refused(&give("first.restore"), "2199-01-01T00:00:00Z");
    fs::write(&delivered, "").unwrap();
    assert!(give("first.restore").contains("cannot be held against the last delivery"));
    fs::write(&delivered, "2001-01-01T00:00:00Z\n").unwrap();
    let list = fs::read(place.path("device").join(LIST)).unwrap();
    fs::write(place.path("device").join(LIST), "another list").unwrap();
    assert!(give("first.restore").contains("\"check\":\"delivered\",\"verdict\":\"pass\""));
    assert_eq!(fs::read(place.path("device").join(LIST)).unwrap(), list);

    // What it is stands below the HMAC, and another device's key opens nothing.
    let mut other = fs::read(place.path("first.restore")).unwrap();
    other[..20].copy_from_slice(b"fastness-backup=1\n\n\n");
    fs::write(place.path("changed.restore"), other).unwrap();
    assert!(give("changed.restore").contains("was changed, or is not of this device"));
    fs::write(place.path("other"), KEY.replace("00", "01") + "\n").unwrap();
    fs::set_permissions(place.path("other"), fs::Permissions::from_mode(0o600)).unwrap();
    let made = provision(&place, "--backup-key other", "foreign.restore");
    assert_eq!(made.code, 0, "{made:?}");
    assert!(give("foreign.restore").contains("was changed, or is not of this device"));
    assert_eq!(fs::read(place.path("device").join(LIST)).unwrap(), list);
}

#[test]
fn a_backup_that_is_older_does_not_bring_older_lists_back() {
    if !has_openssl() {
        return;
    }
    let (place, give) = with_delivery();
    // A backup of before, with a list of before, a setting and a file that has gone since.
    fs::create_dir_all(place.path("device").join(LIST).parent().unwrap()).unwrap();
    fs::write(place.path("device").join(LIST), "a list of before").unwrap();
    fs::write(place.path("device/var/lib/fastness/setting"), "of before").unwrap();
    fs::write(place.path("device/var/lib/backup/make"), "").unwrap();
    assert!(give("new.restore").contains("\"check\":\"delivered\""));
    let list = fs::read(place.path("device").join(LIST)).unwrap();
    assert_ne!(list, b"a list of before");
    fs::copy(place.path("device/var/lib/backup/pump-station.backup"), place.path("old.restore")).unwrap();
    fs::write(place.path("device/var/lib/fastness/setting"), "of now").unwrap();
    fs::write(place.path("device/var/lib/fastness/newer"), "came later").unwrap();
    let said = give("old.restore");
    assert!(said.contains("\"check\":\"restored\",\"verdict\":\"pass\""), "{said}");
    let at = |name: &str| fs::read(place.path("device/var/lib/fastness").join(name));
    assert_eq!(at("setting").unwrap(), b"of before");
    assert!(at("newer").is_err());
    assert_eq!(fs::read(place.path("device").join(LIST)).unwrap(), list, "the last delivery stays");
    for left in ["accepted", "again", "gone", "stale"] {
        assert!(!place.path("device/var/lib/backup-state").join(left).exists(), "{left}");
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_what_the_next_start_ends() {
    if !has_openssl() {
        return;
    }
    let (place, give) = with_delivery();
    fs::write(place.path("device/var/lib/backup/make"), "").unwrap();
    fs::write(place.path("device/var/lib/fastness/setting"), "of before").unwrap();
    assert!(give("new.restore").contains("\"check\":\"delivered\""));
    fs::copy(place.path("device/var/lib/backup/pump-station.backup"), place.path("old.restore")).unwrap();
    let list = fs::read(place.path("device").join(LIST)).unwrap();
    // Each of these is a step after which the power may go.
    for tool in ["rm", "mv", "cp", "sync", "mkdir"] {
        let path = place.path("device/stubs").join(tool);
        let at = place.path("device").display().to_string();
        let text = format!(
            "#!/bin/sh\nread -r left <'{at}/left'\necho $((left - 1)) >'{at}/left'\nif [ \"$left\" -eq 0 ]; then\n\tkill -KILL $PPID\n\texit\nfi\n\
             PATH=/usr/bin:/bin exec {tool} \"$@\"\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (at, setting, newer) = ("device/var/lib/fastness", "of now", "came later");
    let (mut untouched, mut restored) = (0, 0);
    for step in 0..200 {
        fs::write(place.path(at).join("setting"), setting).unwrap();
        fs::write(place.path(at).join("newer"), newer).unwrap();
        fs::write(place.path("device/left"), format!("{step}\n")).unwrap();
        let said = give("old.restore");
        let came_to_its_end = said.contains("reboot");
        // The next start.
        fs::write(place.path("device/left"), "-1\n").unwrap();
        let out = Command::new("sh").arg(place.path("device/backup")).arg("resume").output().unwrap();
        let told = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && !told.contains("\"fail\""), "step {step}: {told}");
        let now = fs::read_to_string(place.path(at).join("setting")).unwrap();
        let still_there = place.path(at).join("newer").exists();
        match (now.as_str(), still_there) {
            ("of now", true) if told.is_empty() => untouched += 1,
            ("of before", false) => restored += 1,
            other => panic!("step {step}: {other:?}; {said}{told}"),
        }
        assert_eq!(fs::read(place.path("device").join(LIST)).unwrap(), list, "step {step}");
        assert_eq!(fs::read_to_string(place.path(at).join("backup/key")).unwrap().trim(), KEY, "step {step}");
        for left in ["accepted", "again", "gone", "stale"] {
            assert!(!place.path("device/var/lib/backup-state").join(left).exists(), "step {step}: {left}");
        }
        if came_to_its_end {
            break;
        }
        assert!(step < 199, "it never came to its end: {said}");
    }
    assert!(untouched > 2 && restored > 15, "{untouched} {restored}");
}

#[test]
fn what_no_device_would_take_is_refused_where_it_is_made() {
    let place = place();
    fs::write(place.path("short"), "0123\n").unwrap();
    fs::set_permissions(place.path("short"), fs::Permissions::from_mode(0o600)).unwrap();
    let refused = provision(&place, "--backup-key short", "x.restore");
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.err.contains("error[bad-backup-key]: expected 64 hexadecimal digits"), "{refused:?}");
    let refused = provision(&place, "--backup-key key --seal key", "x.restore");
    assert!(refused.code == 2 && refused.err.contains("cannot be used with"), "{refused:?}");
    place.edit("layers: {backup: {}}", "");
    let refused = provision(&place, "--backup-key key", "x.restore");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("error[no-backup]: the devices of `pump-station` take no backup"),
        "{refused:?}"
    );
    assert!(!place.path("x.restore").exists());
}
