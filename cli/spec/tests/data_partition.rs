//! What opens the data partition (templates/measured), run here as it is: the disk is a file, and cryptsetup, systemd-cryptenroll
//! and their kind are replaced by a program that notes what it is asked for and answers as the case wants it.
//! That the real ones do what is asked is seen in QEMU (`ci/recovery`, the attacks `sealed-*`).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Stands for every tool. Files of the folder `is` say what is the case: `luks` (a LUKS2 header, its label within), `opens` (the
/// TPM gives the key), `cipher` (of the open mapping), `slot` (which one the given key opens), `fails` (words of a call that fails).
const TOOL: &str = r#"#!/bin/sh
is=$FAKES/is
call="${0##*/} $*"
printf '%s\n' "$call" >>"$FAKES/calls"
if [ -s "$is/fails" ]; then
	words=$(cat "$is/fails")
	case $call in *"$words"*) exit 1 ;; esac
fi
case $call in
"cryptsetup isLuks "*) [ -e "$is/luks" ] ;;
"cryptsetup luksDump "*) printf 'Version:\t2\nLabel:         \t%s\n' "$(cat "$is/luks")" ;;
"cryptsetup luksFormat "*) printf fastness-unfinished >"$is/luks" ;;
"cryptsetup config --label "*) printf '%s' "$3" >"$is/luks" ;;
"cryptsetup open "*--token-only*) [ -e "$is/opens" ] ;;
"cryptsetup open "*--verbose*) [ ! -e "$is/slot" ] || printf 'Key slot %s unlocked.\n' "$(cat "$is/slot")" ;;
"cryptsetup open "*) [ -e "$is/slot" ] ;;
"cryptsetup luksKillSlot "*) rm "$is/slot" ;;
"dmsetup table data") printf '0 8192 crypt %s 0 0 7:0 32768\n' "$(cat "$is/cipher")" ;;
"systemd-cryptenroll "*--recovery-key*) printf 'recovery-words' ;;
"systemd-cryptenroll "*--tpm2-device*) : >"$is/opens" ;;
"openssl base64"*) printf c2VjcmV0 ;;
esac
"#;

struct Device {
    folder: tempfile::TempDir,
}

/// How a start ended.
struct Ended {
    opened: bool,
    said: String,
    calls: Vec<String>,
}

impl Device {
    fn new(disk: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for sub in ["is", "tools"] {
            fs::create_dir(place.join(sub)).unwrap();
        }
        for tool in ["cryptsetup", "dmsetup", "systemd-cryptenroll", "mke2fs", "openssl", "sync"] {
            let path = place.join("tools").join(tool);
            fs::write(&path, TOOL).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(place.join("disk"), disk).unwrap();
        fs::write(place.join("note"), vec![0; 2048]).unwrap();
        let device = Self { folder };
        device.is("cipher", "aes-xts-plain64");
        device
    }

    /// One that was opened before.
    fn finished() -> Self {
        let device = Self::new(b"LUKS\xba\xbe");
        device.is("luks", "fastness-data");
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn is(&self, what: &str, text: &str) -> &Self {
        fs::write(self.path("is").join(what), text).unwrap();
        self
    }

    /// A person writes a recovery key behind the first block.
    fn given(&self) -> &Self {
        let mut note = vec![0; 2048];
        note[512..526].copy_from_slice(b"recovery-words");
        fs::write(self.path("note"), note).unwrap();
        self
    }

    fn note_is_empty(&self) -> bool {
        fs::read(self.path("note")).unwrap().iter().all(|byte| *byte == 0)
    }

    /// A start, with a TPM that answers. `/dev/zero` takes every command, and its answer is `TPM_RC_SUCCESS`.
    fn start(&self) -> Ended {
        self.start_with_tpm("/dev/zero")
    }

    fn start_with_tpm(&self, tpm: &str) -> Ended {
        let template =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/measured/data-partition.sh.hbs");
        let mut text = fs::read_to_string(template).unwrap();
        for (was, becomes) in [
            ("disk=/dev/disk/by-partlabel/data", format!("disk={}", self.path("disk").display())),
            ("note=/dev/disk/by-partlabel/proof", format!("note={}", self.path("note").display())),
            ("tpm=/dev/tpmrm0", format!("tpm={tpm}")),
            ("-m {{storage.reserved}} ", "-m 12.51 ".to_owned()),
            ("work=/run/fastness-data", format!("work={}", self.path("work").display())),
            // A file, not a device: what is behind the wiped block stays.
            ("seek=1 count=1 conv=fsync", "seek=1 count=1 conv=fsync,notrunc".to_owned()),
        ] {
            assert_eq!(text.matches(was).count(), 1, "`{was}`");
            text = text.replace(was, &becomes);
        }
        assert!(!text.contains("{{"), "a parameter that this test does not know");
        let _ = fs::remove_file(self.path("calls"));
        let paths = std::env::var("PATH").unwrap();
        let run = Command::new("sh")
            .args(["-c", &text])
            .env("FAKES", self.folder.path())
            .env("PATH", format!("{}:{paths}", self.path("tools").display()))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(stderr, "", "it complains");
        assert!(!self.path("work").exists(), "it leaves keys behind");
        Ended {
            opened: run.status.success(),
            said: String::from_utf8_lossy(&run.stdout).into_owned(),
            calls: fs::read_to_string(self.path("calls"))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl Ended {
    fn locked(&self, why: &str) {
        assert!(!self.opened, "{}", self.said);
        let last = self.said.lines().last().unwrap_or_default();
        assert_eq!(last, format!("fastness-data: the data partition stays locked: {why}"));
        assert!(self.calls.iter().any(|call| call == "cryptsetup close data"), "{:?}", self.calls);
    }

    fn says(&self, what: &str) {
        assert!(self.opened && self.said.contains(&format!("fastness-data: {what}\n")), "{}", self.said);
    }

    /// Place of the first call with these words.
    fn call(&self, words: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.contains(words))
    }
}

#[test]
fn a_disk_as_it_was_shipped_is_encrypted_and_only_then_called_finished() {
    let device = Device::new(&vec![0; 1 << 20]);
    let ended = device.start();
    ended.says("first start: the data partition is encrypted");
    ended.says("sealed to what was measured");
    let order = [
        "luksFormat --batch-mode --type luks2 --cipher aes-xts-plain64 --key-size 512 --label fastness-unfinished",
        "--recovery-key",
        "token import --token-id 7",
        "--tpm2-pcrs=0:sha256+1:sha256+8:sha256+9:sha256 --wipe-slot=password",
        "open --type luks2 --token-only",
        "dmsetup table data",
        "mke2fs -q -t ext4 -m 12.51 -L data",
        "config --label fastness-data",
    ];
    let places: Vec<usize> =
        order.iter().map(|words| ended.call(words).unwrap_or_else(|| panic!("{words}"))).collect();
    assert!(places.is_sorted(), "{places:?} {:?}", ended.calls);
    // The next start finds it.
    let again = device.start();
    again.says("opened with the TPM's key");
    assert_eq!(again.call("luksFormat"), None);
}

#[test]
fn a_first_start_that_fails_anywhere_leaves_it_locked_and_is_made_anew() {
    for step in [
        "luksFormat",
        "--recovery-key",
        "token import",
        "--tpm2-device",
        "--token-only",
        "mke2fs",
        "config --label",
    ] {
        let device = Device::new(&vec![0; 4096]);
        device.is("fails", step).start().locked("it could not be encrypted");
        let label = fs::read_to_string(device.path("is/luks")).unwrap_or_default();
        assert_ne!(label, "fastness-data", "after `{step}` failed");
        let again = device.is("fails", "").start();
        again.says("sealed to what was measured");
        assert!(again.call("luksFormat").is_some(), "after `{step}` failed");
    }
    // An open mapping that encrypts nothing is none.
    let device = Device::new(&[0; 4096]);
    let ended = device.is("cipher", "cipher_null-ecb").start();
    ended.locked("it could not be encrypted");
    assert_eq!(ended.call("mke2fs"), None);
}

#[test]
fn what_somebody_else_put_there_is_never_written_over() {
    let mut late = vec![0; 16 << 20];
    *late.last_mut().unwrap() = 1;
    for disk in [b"an older file system".to_vec(), late] {
        let ended = Device::new(&disk).start();
        ended.locked("it holds something that this device did not put there");
        assert_eq!((ended.call("luksFormat"), ended.call("open ")), (None, None));
    }
}

#[test]
fn it_opens_by_what_was_measured_and_by_nothing_else() {
    let device = Device::finished();
    device.start().locked("what was measured is not what it was sealed to");
    device.is("opens", "").start().says("opened with the TPM's key");
    let ended = device.is("cipher", "cipher_null-ecb").start();
    ended.locked("its header asks for another cipher");
}

#[test]
fn without_a_tpm_or_an_answer_of_it_nothing_stays_open() {
    let device = Device::finished();
    device.is("opens", "");
    device.start_with_tpm("/dev/null").locked("the TPM does not answer");
    let none = device.path("disk");
    let ended = device.start_with_tpm(none.to_str().unwrap());
    ended.locked("there is no TPM");
    assert_eq!(ended.call("open "), None);
}

#[test]
fn a_recovery_key_opens_once() {
    let device = Device::finished();
    let ended = device.given().is("slot", "3").start();
    ended.says("opened with the recovery key, and sealed to what was measured now");
    ended.says("the recovery key that was used is worth nothing any more");
    assert!(device.note_is_empty());
    // The old seal goes before the new one comes, and the new recovery key is there before the old one goes.
    let places = [
        "--wipe-slot=tpm2",
        "--tpm2-pcrs=0:sha256+1:sha256+8:sha256+9:sha256",
        "--test-passphrase --token-only",
        "--recovery-key",
        "token import --token-id 7",
        "luksKillSlot",
    ]
    .map(|words| ended.call(words).unwrap_or_else(|| panic!("{words}: {:?}", ended.calls)));
    assert!(places.is_sorted(), "{places:?} {:?}", ended.calls);
    device.start().says("opened with the TPM's key");
}

#[test]
fn a_wrong_recovery_key_opens_nothing_and_stays_for_the_person_to_see() {
    let device = Device::finished();
    device.given().start().locked("what was measured is not what it was sealed to");
    assert!(!device.note_is_empty());
    // One that opens a header whose cipher encrypts nothing.
    let ended = device.is("slot", "3").is("cipher", "cipher_null-ecb").start();
    ended.locked("what was measured is not what it was sealed to");
    assert_eq!(ended.call("--wipe-slot=tpm2"), None);
}

#[test]
fn a_recovery_that_was_cut_is_brought_to_its_end() {
    // Sealed anew, and the power went before the used key was replaced.
    let device = Device::finished();
    let ended = device.given().is("slot", "3").is("opens", "").start();
    ended.says("opened with the TPM's key");
    ended.says("the recovery key that was used is worth nothing any more");
    assert!(device.note_is_empty());
    // Replaced, and the power went before the block was wiped: it opens nothing any more, and is only wiped.
    let device = Device::finished();
    let ended = device.given().is("opens", "").start();
    ended.says("opened with the TPM's key");
    assert_eq!((ended.call("luksKillSlot"), device.note_is_empty()), (None, true));
    // A key that cannot be replaced must not stay one that opens a device which runs.
    for step in ["--recovery-key", "luksKillSlot"] {
        let device = Device::finished();
        let ended = device.given().is("slot", "3").is("opens", "").is("fails", step).start();
        ended.locked("the recovery key that was used could not be replaced");
        assert!(!device.note_is_empty());
    }
}
