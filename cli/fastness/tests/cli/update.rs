//! `bundle`, and what a device does with an update: its own program, with files in the place of its disk.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Run;
use crate::world::World;

const LAYER: &str = "layers: {update: {}}\n";

/// Places of the program that stand for the device's.
const PLACES: [(&str, &str); 7] = [
    ("folder=/var/lib/update", "folder"),
    ("disk=/dev/disk/by-partlabel", "disk"),
    ("state=/var/lib/update-state", "state"),
    ("work=/run/fastness-update", "work"),
    ("tree=/proc/device-tree/chosen", "tree"),
    ("cmdline=/proc/cmdline", "cmdline"),
    ("sizes=/sys/class/block", "sizes"),
];

/// A device with a built image.
struct Device {
    world: World,
    update: PathBuf,
}

impl Device {
    fn new() -> Option<Self> {
        let world = World::with(LAYER)?;
        if exec::find(&exec::tool("openssl").unwrap()).is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is not installed");
            #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
            {
                eprintln!("SKIPPED: a device verifies updates with openssl, which is not installed");
            }
            return None;
        }
        assert_eq!(world.build().code, 6);
        let run = world.run(&["bundle"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(
            run.out.starts_with("update of gw to version 0.1.0 for qemu-aarch64, signed by `gw-dev`\n"),
            "{run:?}"
        );
        let update = world.out("gw-0.1.0-qemu-aarch64.update");
        let device = Self { world, update };
        for folder in ["folder", "disk", "state", "work", "tree", "sizes", "stubs"] {
            fs::create_dir(device.path(folder)).unwrap();
        }
        device.stub("systemctl", "echo systemctl \"$@\"");
        device.make();
        Some(device)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path("device-").with_file_name(format!("device-{name}"))
    }

    fn stub(&self, name: &str, body: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("stubs").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Partitions of the image, the device tree's property and the command line; the program with its places changed.
    fn make(&self) {
        let image: serde_json::Value =
            serde_json::from_slice(&fs::read(self.world.out("image.json")).unwrap()).unwrap();
        let mut disk = fs::File::open(self.world.out("image/disk.img")).unwrap();
        for part in image["partitions"].as_array().unwrap() {
            let name = part["name"].as_str().unwrap();
            if name == "data" {
                continue;
            }
            let bytes = part["bytes"].as_u64().unwrap();
            disk.seek(SeekFrom::Start(part["offset"].as_u64().unwrap())).unwrap();
            let mut content = Vec::new();
            disk.by_ref().take(8192).read_to_end(&mut content).unwrap();
            fs::write(self.path("disk").join(name), content).unwrap();
            fs::create_dir(self.path("sizes").join(name)).unwrap();
            fs::write(self.path("sizes").join(name).join("size"), (bytes / 512).to_string()).unwrap();
        }
        let public = fs::read(self.world.place.path(".local/share/fastness/keys/gw-dev.pub.pem")).unwrap();
        fs::write(self.path("tree").join("fastness,update-keys"), [public, vec![0]].concat()).unwrap();
        fs::write(self.path("cmdline"), image["cmdline"].as_str().unwrap()).unwrap();
        let plan: serde_json::Value =
            serde_json::from_slice(&fs::read(self.world.out("plan.json")).unwrap()).unwrap();
        let mut program =
            plan["files"]["/usr/lib/fastness/update"]["value"]["content"].as_str().unwrap().to_owned();
        for (line, name) in PLACES {
            assert_eq!(program.matches(&format!("\n{line}\n")).count(), 1, "{line}");
            let (variable, _) = line.split_once('=').unwrap();
            program = program.replace(line, &format!("{variable}='{}'", self.path(name).display()));
        }
        // Files know no O_DIRECT on every file system.
        program = program.replace("direct=iflag=direct", "direct=");
        program = program.replace(" PATH=/usr", &format!(" PATH='{}':/usr", self.path("stubs").display()));
        fs::write(self.path("program"), program).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(Command::new("sh").arg(self.path("program")).args(arguments).output().unwrap())
    }

    fn put(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(&self.update).unwrap();
        change(&mut bytes);
        fs::write(self.path("folder").join(name), bytes).unwrap();
    }

    /// The block's first bytes of the slots.
    fn slots(&self) -> (u8, u8) {
        let block = fs::read(self.path("disk").join("misc")).unwrap();
        (block[2048 + 12], block[2048 + 14])
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.path("folder")).unwrap().count()
    }

    /// The other slot starts, as U-Boot says it by the command line.
    fn start_b(&self) {
        let cmdline = fs::read_to_string(self.path("cmdline")).unwrap();
        let guid = |name: &str| spec::guid::guid("gw", "qemu-aarch64", name);
        fs::write(self.path("cmdline"), cmdline.replace(&guid("root_a"), &guid("root_b"))).unwrap();
    }
}

/// Byte of an image in its partition's file.
fn begins_as(path: &Path, expected: &[u8]) -> bool {
    fs::read(path).unwrap().starts_with(expected)
}

#[test]
fn an_update_is_installed_tried_and_kept() {
    let Some(device) = Device::new() else { return };
    assert_eq!(device.slots(), (255, 0));
    let check = device.run(&["check"]);
    assert_eq!((check.code, check.out.as_str()), (0, "slot a, bytes of the slots 255 and 0, keys: 1"));
    // Nothing waits: nothing happens.
    let idle = device.run(&["install"]);
    assert_eq!((idle.code, idle.out.as_str(), idle.err.as_str()), (0, "", ""));
    device.put("new.update", |_| ());
    let run = device.run(&["install"]);
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (
            0,
            "{\"event\":\"update\",\"check\":\"accepted\",\"verdict\":\"pass\",\"seen\":\"version 0.1.0 for slot b\"}\n\
             {\"event\":\"update\",\"check\":\"installed\",\"verdict\":\"pass\",\"seen\":\"version 0.1.0 in slot b\"}\n\
             systemctl --no-block reboot\n",
            ""
        )
    );
    // Slot b comes first and has three tries; slot a is what it goes back to.
    assert_eq!((device.slots(), device.waiting()), ((14 | 7 << 4 | 128, 15 | 3 << 4), 0));
    let root = fs::read(device.world.out("image/rootfs.verity")).unwrap();
    assert!(begins_as(&device.path("disk").join("root_b"), &root));
    // What is in the slot verifies with the product's key, and names its own root.
    let fit = device.path("disk").join("fit_b");
    let verified = device.world.run(&["fit", "verify", fit.to_str().unwrap(), "--key", "gw-dev"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    device.start_b();
    let run = device.run(&["settle", "pass"]);
    assert_eq!(
        run.out,
        "{\"event\":\"update\",\"check\":\"kept\",\"verdict\":\"pass\",\"seen\":\"version 0.1.0 in slot b has proved itself\"}\n"
    );
    assert_eq!(device.slots(), (14 | 7 << 4 | 128, 255));
    // The next start has nothing to say.
    let again = device.run(&["settle", "pass"]);
    assert_eq!((again.code, again.out.as_str()), (0, ""));
    // The next update goes back to slot a.
    device.put("next.update", |_| ());
    let run = device.run(&["install"]);
    assert!(run.out.contains("\"seen\":\"version 0.1.0 in slot a\""), "{run:?}");
    assert_eq!(device.slots(), (15 | 3 << 4, 14 | 7 << 4 | 128));
}

#[test]
fn a_version_that_fails_is_left_and_one_that_did_not_start_is_told() {
    let Some(device) = Device::new() else { return };
    device.put("new.update", |_| ());
    assert_eq!(device.run(&["install"]).code, 0);
    let cmdline = fs::read(device.path("cmdline")).unwrap();
    device.start_b();
    let run = device.run(&["settle", "fail"]);
    assert_eq!(run.code, 1);
    assert_eq!(
        run.out,
        "{\"event\":\"update\",\"check\":\"left\",\"verdict\":\"fail\",\"seen\":\"version 0.1.0 in slot b did not pass its self-checks\"}\n\
         systemctl --no-block reboot\n"
    );
    assert_eq!(device.slots(), (14 | 7 << 4 | 128, 0));
    // Slot a starts although slot b was to: U-Boot refused it, or it never came to its self-checks.
    fs::write(device.path("cmdline"), cmdline).unwrap();
    assert_eq!(device.run(&["settle", "pass"]).out, "", "that it was left is told once");
    device.put("new.update", |_| ());
    assert_eq!(device.run(&["install"]).code, 0);
    let run = device.run(&["settle", "pass"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (
            0,
            "{\"event\":\"update\",\"check\":\"left\",\"verdict\":\"fail\",\"seen\":\"version 0.1.0 in slot b did not start; slot a runs\"}\n"
        )
    );
    assert_eq!(device.slots(), (255, 0));
    assert_eq!(device.run(&["settle", "pass"]).out, "");
}

#[test]
fn what_is_no_update_of_this_device_is_refused_before_anything_is_written() {
    let Some(device) = Device::new() else { return };
    let disk = |name: &str| fs::read(device.path("disk").join(name)).unwrap();
    let before = ["misc", "fit_b", "root_b"].map(disk);
    let refused = |put: &dyn Fn(), why: &str| {
        put();
        let run = device.run(&["install"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(
            run.out.contains("\"check\":\"refused\",\"verdict\":\"fail\"") && run.out.contains(why),
            "{why}: {run:?}"
        );
        assert_eq!(run.err, "");
        assert!(["misc", "fit_b", "root_b"].map(disk) == before, "{why}: something was written");
        assert_eq!(device.waiting(), 0, "{why}");
    };
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 1;
    let signature = "has no valid signature of a key of this product";
    refused(&|| device.put("a.update", flip(520)), signature);
    refused(&|| device.put("a.update", flip(5120)), signature);
    refused(&|| device.put("a.update", |bytes| bytes[4732..4743].fill(b'0')), "is no update");
    refused(
        &|| device.put("a.update", |bytes| bytes[4732..4743].copy_from_slice(b"00000009999")),
        "is no update",
    );
    let damaged = "is damaged: a part has not the hash of the manifest";
    refused(
        &|| {
            device.put("a.update", |bytes| {
                let at = bytes.len() - 4096;
                bytes[at] ^= 1
            })
        },
        damaged,
    );
    refused(&|| device.put("a.update", |bytes| bytes.truncate(100_000)), damaged);
    refused(&|| device.put("a.update", |bytes| bytes.truncate(2000)), "is no update");
    refused(&|| device.put("a.update", |bytes| bytes.clear()), "is no update");
    refused(&|| symlink(&device.update, device.path("folder").join("a.update")).unwrap(), "is no file");
    // A folder cannot be removed like a file, and must not be looked at for ever.
    fs::create_dir(device.path("folder").join("a.update")).unwrap();
    let run = device.run(&["install"]);
    assert!(run.code == 0 && run.out.contains("a.update is no file") && run.err.is_empty(), "{run:?}");
    assert_eq!(device.run(&["install"]).out, "");
    fs::remove_dir(device.path("folder").join("a.update.refused")).unwrap();
    // A name is untrusted text.
    refused(&|| device.put("a\"\\\n$(id).update", Vec::clear), "\"seen\":\"a $(id).update is no update");
    // By another product's key, and without any key.
    let keys = device.path("tree").join("fastness,update-keys");
    let own = fs::read(&keys).unwrap();
    assert_eq!(device.world.run(&["keys", "new", "other", "--bits", "2048", "--keys", "others"]).code, 0);
    fs::copy(device.world.place.path("others/other.pub.pem"), &keys).unwrap();
    refused(&|| device.put("a.update", |_| ()), signature);
    fs::write(&keys, [fs::read(&keys).unwrap(), own].concat()).unwrap();
    // A slot that is too small.
    let size = device.path("sizes").join("root_b/size");
    fs::write(&size, "8").unwrap();
    refused(&|| device.put("a.update", |_| ()), "is larger than its slot");
    // Of two keys one is enough.
    fs::write(&size, "1000000").unwrap();
    device.put("a.update", |_| ());
    assert!(device.run(&["install"]).out.contains("\"check\":\"installed\",\"verdict\":\"pass\""));
}

#[test]
fn a_signed_update_of_another_board_or_an_older_rollback_version_is_refused() {
    let Some(device) = Device::new() else { return };
    let program = fs::read_to_string(device.path("program")).unwrap();
    for (from, to, why) in [
        ("\nboard=qemu-aarch64\n", "\nboard=qemu-arm\n", "is for the product gw on the board qemu-aarch64"),
        ("\nproduct=gw\n", "\nproduct=pump\n", "is for the product gw on the board qemu-aarch64"),
        (
            "\nrollback=0\n",
            "\nrollback=1\n",
            "has the rollback version 0, and 1 is the oldest that may follow",
        ),
    ] {
        assert!(program.contains(from), "{from}");
        fs::write(device.path("program"), program.replace(from, to)).unwrap();
        device.put("a.update", |_| ());
        let run = device.run(&["install"]);
        assert!(run.out.contains("\"check\":\"refused\"") && run.out.contains(why), "{run:?}");
        assert_eq!(device.slots(), (255, 0));
    }
}

#[test]
fn a_block_that_is_not_whole_is_made_anew_and_a_disk_that_fails_activates_nothing() {
    let Some(device) = Device::new() else { return };
    let misc = device.path("disk").join("misc");
    let whole = fs::read(&misc).unwrap();
    let mut torn = whole.clone();
    torn[2048 + 14] = 255;
    fs::write(&misc, &torn).unwrap();
    let check = device.run(&["check"]);
    assert_eq!((check.code, check.out.as_str()), (1, "the boot control block is not whole"));
    let run = device.run(&["settle", "pass"]);
    assert!(run.code == 0 && run.out.contains("\"check\":\"control\",\"verdict\":\"fail\""), "{run:?}");
    assert_eq!(fs::read(&misc).unwrap()[2048..2080], whole[2048..2080]);
    // The disk does not keep what is written: the FIT's first block of the slot stays wiped, and the slot is never chosen.
    device.stub("head", "[ $# -eq 2 ] && case $2 in 4096|8|12|11) exec /usr/bin/head \"$@\";; esac\n/usr/bin/head \"$@\" | tr a b");
    device.put("a.update", |_| ());
    let run = device.run(&["install"]);
    assert!(run.out.contains("\"check\":\"refused\""), "{run:?}");
    fs::remove_file(device.path("stubs").join("head")).unwrap();
    device
        .stub("dd", "case \"$*\" in *root_b*bs=1M\\ count*) echo other;; *) exec /usr/bin/dd \"$@\";; esac");
    device.put("a.update", |_| ());
    let run = device.run(&["install"]);
    assert!(run.out.contains("\"check\":\"installed\",\"verdict\":\"fail\",\"seen\":\"version 0.1.0 could not be written to slot b\""), "{run:?}");
    assert_eq!((device.slots(), device.waiting()), ((255, 0), 0));
    assert!(begins_as(&device.path("disk").join("fit_b"), &[0; 4096]));
}

#[test]
fn the_words_of_the_program() {
    let Some(device) = Device::new() else { return };
    let run = device.run(&["nothing"]);
    assert_eq!((run.code, run.err.as_str()), (2, "usage: update install|settle VERDICT|check\n"));
    fs::remove_file(device.path("tree").join("fastness,update-keys")).unwrap();
    let check = device.run(&["check"]);
    assert_eq!((check.code, check.out.as_str()), (1, "there are no keys of updates"));
    fs::write(device.path("cmdline"), "quiet").unwrap();
    let run = device.run(&["settle", "pass"]);
    assert!(run.code == 1 && run.out.contains("the command line names neither slot"), "{run:?}");
}

#[test]
fn bundles_are_reproducible_and_whole_or_not_there() {
    let Some(device) = Device::new() else { return };
    let first = fs::read(&device.update).unwrap();
    let run = device.world.run(&["bundle", "-o", "again.update", "--json"]);
    let told = run.json();
    assert_eq!((told["version"].as_str(), told["bytes"].as_u64()), (Some("0.1.0"), Some(first.len() as u64)));
    assert_eq!(fs::read(device.world.place.path("again.update")).unwrap(), first);
    // Any tar reads it.
    let names: Vec<String> = tar::Archive::new(first.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["manifest", "manifest.sig", "fit_a.itb", "fit_b.itb", "root.img"]);
    // A place that is not there, and an image that was changed.
    assert_eq!(device.world.run(&["bundle", "-o", "no/where.update"]).code, 4);
    let fit = device.world.out("image/fit.itb");
    let mut bytes = fs::read(&fit).unwrap();
    bytes[1000] ^= 1;
    fs::remove_file(&fit).unwrap();
    fs::write(&fit, bytes).unwrap();
    let run = device.world.run(&["bundle", "-o", "third.update"]);
    assert!(
        run.code == 6 && run.err.contains("error[changed-image]") && run.err.contains("image/fit.itb"),
        "{run:?}"
    );
    assert!(!device.world.place.path("third.update").exists());
}

#[test]
fn a_product_without_the_layer_has_no_updates() {
    let Some(world) = World::built() else { return };
    let run = world.run(&["bundle"]);
    assert!(
        run.code == 3 && run.err.contains("error[no-updates]: the product `gw` takes no updates"),
        "{run:?}"
    );
    assert!(run.err.contains("add `layers: {update: {}}`"), "{run:?}");
}
