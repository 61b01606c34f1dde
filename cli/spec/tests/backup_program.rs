//! What a device does with backups and with a factory reset: its own programs, with files in the place of its folders and disk.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

/// A folder in the place of a device.
struct Device {
    folder: tempfile::TempDir,
}

/// What a run of a program said, and its exit code.
type Ran = (String, Option<i32>);

impl Device {
    /// The programs of a plan, each with its places changed; None where a tool that they call is not installed.
    fn new() -> Option<Self> {
        for tool in ["openssl", "mke2fs", "sha256sum"] {
            let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
            if !places.split(':').any(|place| Path::new(place).join(tool).exists()) {
                assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{tool} is not installed");
                #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
                {
                    eprintln!("SKIPPED: a device needs {tool}, which is not installed");
                }
                return None;
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let product = folder.path().join("product.yaml");
        fs::write(
            &product,
            format!("{EXAMPLE}\nlayers: {{backup: {{limit: 100KiB}}, factory-reset: {{}}}}\n"),
        )
        .unwrap();
        let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        let device = Self { folder };
        for name in [
            "folder",
            "state",
            "work",
            "kept/backup",
            "application",
            "stubs",
            "sizes/data",
            "asked",
            "reset-state",
        ] {
            fs::create_dir_all(device.path(name)).unwrap();
        }
        let at = |name: &str| device.path(name).display().to_string();
        let own = String::from_utf8(Command::new("id").arg("-g").output().unwrap().stdout).unwrap();
        device.program(
            &plan,
            "backup",
            &[
                ("folder=/var/lib/backup", format!("folder={}", at("folder"))),
                ("group=backup-operators", format!("group={}", own.trim())),
                ("state=/var/lib/backup-state", format!("state={}", at("state"))),
                ("work=/run/fastness-backup", format!("work={}", at("work"))),
                ("key=/var/lib/fastness/backup/key", format!("key={}", at("kept/backup/key"))),
                (
                    "kept='/var/lib/fastness /var/lib/application'",
                    format!("kept='{} {}'", at("kept"), at("application")),
                ),
                (
                    "never='/var/lib/fastness/backup /var/lib/fastness/requests'",
                    format!("never='{} {}'", at("kept/backup"), at("kept/requests")),
                ),
            ],
        );
        device.program(
            &plan,
            "reset",
            &[
                ("folder=/var/lib/reset", format!("folder={}", at("asked"))),
                ("state=/var/lib/reset-state", format!("state={}", at("reset-state"))),
                ("work=/run/fastness-reset", format!("work={}", at("work"))),
                ("disk=/dev/disk/by-partlabel/data", format!("disk={}", at("data"))),
                ("sizes=/sys/class/block", format!("sizes={}", at("sizes"))),
                // Files know no O_DIRECT on every file system.
                ("direct=iflag=direct", "direct=".to_owned()),
                ("wait=2", "wait=0".to_owned()),
            ],
        );
        device.stub("systemctl", "echo systemctl \"$@\"");
        Some(device)
    }

    fn program(&self, plan: &spec::plan::Plan, name: &str, places: &[(&str, String)]) {
        let spec::plan::FilePlan::File { content, .. } =
            &plan.files[&format!("/usr/lib/fastness/{name}")].value
        else {
            panic!("no program {name}")
        };
        let mut program = content.clone();
        for (line, own) in places {
            assert_eq!(program.matches(&format!("\n{line}\n")).count(), 1, "{line}");
            program = program.replace(line, own);
        }
        program = program.replace(" PATH=/usr", &format!(" PATH='{}':/usr", self.path("stubs").display()));
        fs::write(self.path(name), program).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn stub(&self, name: &str, body: &str) {
        self.put(&format!("stubs/{name}"), format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.path(&format!("stubs/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn key(&self, digits: &str, mode: u32) {
        self.put("kept/backup/key", format!("{digits}\n"));
        fs::set_permissions(self.path("kept/backup/key"), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, program: &str, verb: &str) -> Ran {
        let out = Command::new("sh").arg(self.path(program)).arg(verb).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{program} {verb}");
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    }

    /// With a key and some settings, and a backup of them; its bytes.
    fn backed_up(&self) -> Vec<u8> {
        self.key(KEY, 0o600);
        self.put("kept/private.pem", "a private key");
        fs::set_permissions(self.path("kept/private.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(self.path("kept/list")).unwrap();
        self.put("kept/list/crl.pem", [0_u8, 10, 255, 13]);
        self.put("application/set points", "left out for its name");
        self.put("application/points", "1 2 3\n");
        symlink("/etc/passwd", self.path("kept/link")).unwrap();
        self.put("folder/make", "");
        let (said, code) = self.run("backup", "serve");
        assert!(
            said.starts_with("{\"event\":\"backup\",\"check\":\"made\",\"verdict\":\"pass\",\"by\":\""),
            "{said}"
        );
        // The link, the name with a blank, and the folder of the key.
        assert!(said.ends_with("\"seen\":\"3 files, 23 bytes; 3 left out\"}\n"), "{said}");
        assert_eq!(code, Some(0));
        fs::read(self.path("folder/cell-gateway.backup")).unwrap()
    }

    fn refuses(&self, name: &str, backup: &[u8], why: &str) {
        self.put("folder/x.restore", backup);
        let (said, _) = self.run("backup", "serve");
        assert!(said.contains("\"check\":\"refused\",\"verdict\":\"fail\""), "{name}: {said}");
        assert!(said.contains(&format!("x.restore {why}")), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(!self.path("folder/x.restore").exists() && !self.path("state/accepted").exists(), "{name}");
        assert_eq!(fs::read(self.path("kept/private.pem")).unwrap(), b"a private key", "{name}");
    }
}

#[test]
fn a_backup_is_restored_to_the_same_state_and_the_device_restarts() {
    let Some(device) = Device::new() else { return };
    let backup = device.backed_up();
    assert!(backup.starts_with(b"fastness-backup=1\nproduct=cell-gateway\nversion=1.0.0\nmade=20"));
    let mode = fs::metadata(device.path("folder/cell-gateway.backup")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // Nothing of it stands there in the clear.
    for secret in [&b"private"[..], b"1 2 3"] {
        assert!(!backup.windows(secret.len()).any(|bytes| bytes == secret));
    }
    device.put("kept/private.pem", "another key");
    device.put("kept/newer", "came later");
    fs::remove_dir_all(device.path("kept/list")).unwrap();
    fs::remove_dir_all(device.path("application")).unwrap();
    device.put("folder/x.restore", &backup);
    let (said, code) = device.run("backup", "serve");
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].contains("\"check\":\"restored\",\"verdict\":\"pass\"")
            && lines[0].contains("\"seen\":\"the state of 20"),
        "{said}"
    );
    assert_eq!((lines[1], lines.len(), code), ("systemctl --no-block reboot", 2, Some(0)));
    assert_eq!(fs::read(device.path("kept/private.pem")).unwrap(), b"a private key");
    assert_eq!(fs::metadata(device.path("kept/private.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(device.path("kept/list/crl.pem")).unwrap(), [0, 10, 255, 13]);
    assert_eq!(fs::read(device.path("application/points")).unwrap(), b"1 2 3\n");
    assert!(!device.path("kept/newer").exists() && !device.path("kept/link").exists());
    // The key stays: it is in no backup.
    assert_eq!(fs::read(device.path("kept/backup/key")).unwrap(), format!("{KEY}\n").as_bytes());
}

#[test]
fn what_is_no_backup_of_this_device_is_refused_and_changes_nothing() {
    let Some(device) = Device::new() else { return };
    let backup = device.backed_up();
    let changed =
        "was changed, or is not of this device: its HMAC is not by the key that is provisioned here";
    for at in [30, 520, 590, backup.len() - 1] {
        let mut other = backup.clone();
        other[at] ^= 1;
        device.refuses(&format!("byte {at}"), &other, changed);
    }
    device.refuses("cut off", &backup[..backup.len() - 1], changed);
    device.refuses("longer", &[&backup[..], b"x"].concat(), changed);
    device.refuses("its first part", &backup[..592], "is no backup, or is cut off");
    device.refuses("none", b"none\n", "is no backup, or is cut off");
    device.refuses("large", &vec![b'f'; 2 * 102_400 + 1_048_577], "is larger than 1253376 bytes");
    device.key(&KEY.replace("00", "01"), 0o600);
    device.refuses("another device's", &backup, changed);
    device.key(KEY, 0o644);
    device.refuses("a key that others read", &backup, "the key of backups may be read by others than root");
    device.key("0123", 0o600);
    device.refuses("a short key", &backup, "the key of backups is not 64 hexadecimal digits");
    fs::remove_file(device.path("kept/backup/key")).unwrap();
    device.refuses("no key", &backup, "no key of backups is provisioned");
    // A link and a folder are looked at once.
    symlink(device.path("kept/private.pem"), device.path("folder/x.restore")).unwrap();
    assert!(device.run("backup", "serve").0.contains("x.restore is no file"));
    fs::create_dir(device.path("folder/x.restore")).unwrap();
    assert!(device.run("backup", "serve").0.contains("x.restore is no file"));
    assert!(device.path("folder/x.restore.refused").exists() && device.path("kept/private.pem").exists());
}

#[test]
fn the_backup_of_another_product_is_refused_although_its_key_is_the_same() {
    let Some(device) = Device::new() else { return };
    let backup = device.backed_up();
    let program = fs::read_to_string(device.path("backup")).unwrap();
    device.put("backup", program.replace("product=cell-gateway", "product=pump"));
    device.refuses("another product's", &backup, "is of the product cell-gateway");
}

#[test]
fn the_mark_is_hmac_sha_256_as_openssl_makes_it() {
    let Some(device) = Device::new() else { return };
    let backup = device.backed_up();
    device.put("derived", format!("fastness-backup\n{KEY}\n"));
    let hash = Command::new("sha512sum").arg(device.path("derived")).output().unwrap();
    let mac = String::from_utf8(hash.stdout[..64].to_vec()).unwrap();
    device.put("covered", [&backup[..512], &backup[576..]].concat());
    let oracle = Command::new("openssl")
        .args(["dgst", "-sha256", "-r", "-mac", "HMAC", "-macopt", &format!("hexkey:{mac}")])
        .arg(device.path("covered"))
        .output()
        .unwrap();
    assert_eq!(oracle.stdout[..64], backup[512..576]);
}

#[test]
fn a_restore_that_a_power_cut_ended_goes_on_at_the_next_start() {
    let Some(device) = Device::new() else { return };
    let backup = device.backed_up();
    // The power goes when all was verified and the first file stands in its place.
    let program = fs::read_to_string(device.path("backup")).unwrap();
    let cut = program.replace(
        "mv -f -T \"$state/accepted/tree/$count\" \"$path\" || return 1",
        "mv -f -T \"$state/accepted/tree/$count\" \"$path\"; kill -KILL $$",
    );
    assert_ne!(cut, program);
    device.put("cut", cut);
    device.put("kept/private.pem", "another key");
    device.put("application/points", "9 9 9\n");
    device.put("folder/x.restore", &backup);
    assert_eq!(device.run("cut", "serve").1, None);
    assert!(device.path("state/accepted").exists());
    let (said, code) = device.run("backup", "resume");
    assert!(said.contains("\"check\":\"restored\",\"verdict\":\"pass\"") && code == Some(0), "{said}");
    assert_eq!(fs::read(device.path("kept/private.pem")).unwrap(), b"a private key");
    assert_eq!(fs::read(device.path("application/points")).unwrap(), b"1 2 3\n");
    assert_eq!(device.run("backup", "resume"), (String::new(), Some(0)));
}

#[test]
fn a_backup_that_grows_beyond_its_bound_is_none() {
    let Some(device) = Device::new() else { return };
    device.key(KEY, 0o600);
    device.put("kept/large", vec![7; 102_401]);
    device.put("folder/make", "");
    let (said, _) = device.run("backup", "serve");
    assert!(
        said.contains("\"check\":\"made\",\"verdict\":\"fail\"")
            && said.contains("is larger than 102400 bytes"),
        "{said}"
    );
    assert!(!device.path("folder/cell-gateway.backup").exists() && !device.path("state/make").exists());
}

#[test]
fn the_devices_own_test_passes_and_fails_where_the_mark_is_not_looked_at() {
    let Some(device) = Device::new() else { return };
    let (said, code) = device.run("backup", "selftest");
    assert_eq!(
        (said.as_str(), code),
        ("a backup of 4 files was restored after a wipe; 7 altered ones were refused", Some(0))
    );
    fs::create_dir_all(device.path("work")).unwrap();
    let program = fs::read_to_string(device.path("backup")).unwrap();
    let blind = program.replace("| hmac)\" = \"$found\" ] || return 1", "| hmac)\" = \"$found\" ] || :");
    assert_ne!(blind, program);
    device.put("blind", blind);
    let (said, code) = device.run("blind", "selftest");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("a backup that was refused has changed something")
            || said.starts_with("of 7 backups"),
        "{said}"
    );
}

/// A disk with an ext4 and a secret, and what stands for mounting it.
fn with_disk(device: &Device) {
    let data = device.path("data");
    fs::File::create(&data).unwrap().set_len(24 << 20).unwrap();
    device.put("sizes/data/size", ((24 << 20) / 512).to_string());
    let mut bytes = fs::read(&data).unwrap();
    bytes[9 << 20..(9 << 20) + 9].copy_from_slice(b"a secret!");
    fs::write(&data, bytes).unwrap();
    device.stub(
        "mount",
        &format!(
            "for last; do :; done\nmkdir -p \"$last/marks\"; echo \"$@\" >>'{}'",
            device.path("mounts").display()
        ),
    );
    device.stub("umount", "rm -rf \"$1\"");
}

#[test]
fn a_factory_reset_is_asked_by_the_products_name_alone() {
    let Some(device) = Device::new() else { return };
    assert_eq!(device.run("reset", "ask"), (String::new(), Some(0)));
    device.put("asked/erase", "pump\n");
    let (said, code) = device.run("reset", "ask");
    assert!(
        said.contains("\"check\":\"refused\",\"verdict\":\"fail\"") && said.contains("found pump"),
        "{said}"
    );
    assert_eq!(code, Some(0));
    assert!(!device.path("asked/erase").exists() && !device.path("reset-state/requested").exists());
    device.put("asked/erase", "cell-gateway\n");
    let (said, code) = device.run("reset", "ask");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("\"check\":\"requested\",\"verdict\":\"pass\""), "{said}");
    assert_eq!((lines[1], lines.len(), code), ("systemctl --no-block reboot", 2, Some(0)));
    assert!(device.path("reset-state/requested").exists());
}

#[test]
fn what_was_asked_is_erased_before_anything_is_mounted_and_begins_anew_after_a_power_cut() {
    let Some(device) = Device::new() else { return };
    with_disk(&device);
    let secret = |device: &Device| {
        let bytes = fs::read(device.path("data")).unwrap();
        bytes.windows(9).any(|bytes| bytes == b"a secret!")
    };
    // Nobody asked: nothing is said and nothing changed.
    assert_eq!(device.run("reset", "start"), (String::new(), Some(0)));
    assert!(secret(&device));
    assert!(
        fs::read_to_string(device.path("mounts")).unwrap().starts_with("-t ext4 -o ro,nodev,nosuid,noexec ")
    );
    // As where a power cut ended it: the mark is there, and what is behind it is no file system.
    let mut bytes = fs::read(device.path("data")).unwrap();
    bytes[..14].copy_from_slice(b"fastness-reset");
    fs::write(device.path("data"), bytes).unwrap();
    let (said, code) = device.run("reset", "start");
    assert!(
        said.contains("\"check\":\"erased\",\"verdict\":\"pass\"")
            && said.contains("25165824 bytes were overwritten and read back as zero"),
        "{said}"
    );
    assert_eq!(code, Some(0));
    assert!(!secret(&device));
    let bytes = fs::read(device.path("data")).unwrap();
    // ext4: no mark, the magic number, the label.
    assert_eq!(
        (&bytes[..14], &bytes[1080..1082], &bytes[1144..1148]),
        (&[0; 14][..], &[0x53, 0xef][..], &b"data"[..])
    );
    assert_eq!(device.run("reset", "start"), (String::new(), Some(0)));
}

#[test]
fn a_disk_that_cannot_be_erased_lets_nothing_start() {
    let Some(device) = Device::new() else { return };
    with_disk(&device);
    let mut bytes = fs::read(device.path("data")).unwrap();
    bytes[..14].copy_from_slice(b"fastness-reset");
    fs::write(device.path("data"), bytes).unwrap();
    // A medium that takes what is written and does not keep it.
    device.stub("dd", "case \" $* \" in *' if=/dev/zero '*) exit 0 ;; esac\nexec /bin/dd \"$@\"");
    let (said, code) = device.run("reset", "start");
    assert!(
        said.contains("\"check\":\"erased\",\"verdict\":\"fail\"")
            && said.contains("something of it can still be read"),
        "{said}"
    );
    assert_eq!(code, Some(1));
    let bytes = fs::read(device.path("data")).unwrap();
    assert!(bytes.starts_with(b"fastness-reset"), "the next start begins anew");
}
