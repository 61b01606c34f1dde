use std::cell::RefCell;
use std::os::unix::fs::FileExt;

use record::{KeyMark, read_json};

use super::*;
use crate::testing::{artefacts, missing_tool, plan, signing_key};

struct Built {
    folder: tempfile::TempDir,
    artefacts: Artefacts,
    key: SigningKey,
}

impl Built {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn assemble(&self, plan: &Plan) -> Outcome<ImageRecord> {
        assemble(plan, &self.artefacts, self.folder.path(), &self.key, &|_| ())
    }

    fn steps(&self, plan: &Plan) -> Vec<String> {
        let steps = RefCell::new(Vec::new());
        let note = |step: &str| steps.borrow_mut().push(step.to_owned());
        assemble(plan, &self.artefacts, self.folder.path(), &self.key, &note).unwrap();
        steps.into_inner()
    }
}

fn ready(plan: &Plan) -> Built {
    let folder = tempfile::tempdir().unwrap();
    let artefacts = artefacts(plan, folder.path());
    Built { folder, artefacts, key: signing_key(0, "gw-dev") }
}

fn code(failure: &Failure) -> (ExitStatus, &str) {
    (failure.status, &failure.diagnostics[0].code)
}

#[test]
fn the_same_input_gives_the_same_bytes_in_every_folder() {
    if missing_tool("mke2fs") {
        return;
    }
    let (one, two) = (ready(&plan()), ready(&plan()));
    let (first, second) = (one.assemble(&plan()).unwrap(), two.assemble(&plan()).unwrap());
    assert_eq!(first, second);
    for name in ["u-boot.bin", "fit.itb", "rootfs.verity", "disk.img"] {
        let name = format!("image/{name}");
        assert!(fs::read(one.path(&name)).unwrap() == fs::read(two.path(&name)).unwrap(), "{name} differs");
    }
    let mut left: Vec<_> = fs::read_dir(one.folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["artefacts", "image", "image.json", "logs"]);
    assert_eq!(read_json::<ImageRecord>(&one.path("image.json")).unwrap(), first);
    assert_eq!((first.key_mark, first.key_name.as_str()), (KeyMark::Development, "gw-dev"));
    assert_eq!(first.files[&Role::KernelConfig].path, Path::new("image/linux.config"));
    let names: Vec<_> = first.partitions.iter().map(|p| (p.name.as_str(), p.sha256.is_empty())).collect();
    assert_eq!(
        names,
        [("fit_a", false), ("fit_b", true), ("root_a", false), ("root_b", true), ("data", false)]
    );
}

#[test]
fn nothing_is_done_twice_and_every_input_counts() {
    if missing_tool("mke2fs") {
        return;
    }
    let mut built = ready(&plan());
    assert_eq!(built.steps(&plan()).len(), 4);
    assert_eq!(built.steps(&plan()), ["the image is up to date"]);

    // Killed before `image.json` was written.
    fs::remove_file(built.path("image.json")).unwrap();
    assert_eq!(built.steps(&plan()), ["the image is up to date"]);
    assert!(built.path("image.json").is_file());

    // A file that somebody touched.
    let disk = fs::File::options().write(true).open(built.path("image/disk.img")).unwrap();
    disk.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(built.steps(&plan()).len(), 4);

    // Another key, another plan.
    built.key = signing_key(1, "gw-dev");
    assert_eq!(built.steps(&plan()).len(), 4);
    let mut newer = plan();
    newer.product.version = "1.1".into();
    let before = built.assemble(&plan()).unwrap();
    built.artefacts.plan_sha256 = newer.sha256();
    let after = built.assemble(&newer).unwrap();
    assert_ne!(before.verity_root_hash, after.verity_root_hash, "the salt depends on the version");
}

#[test]
fn a_release_refuses_a_development_key() {
    let mut plan = plan();
    plan.signing.release = true;
    let failure = ready(&plan).assemble(&plan).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Keys, "development-key"));
}

#[test]
fn artefacts_must_be_those_of_the_plan_and_unchanged() {
    let built = ready(&plan());
    let mut other = plan();
    other.product.description = "changed".into();
    let failure = built.assemble(&other).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Build, "stale-artefacts"));

    for (role, file) in
        [(Role::Rootfs, "rootfs.squashfs"), (Role::Kernel, "Image"), (Role::DeviceTree, "board.dtb")]
    {
        let mut built = ready(&plan());
        fs::write(built.path("artefacts").join(file), "changed").unwrap();
        let failure = built.assemble(&plan()).unwrap_err();
        assert_eq!(code(&failure), (ExitStatus::Build, "artefact-changed"));
        assert!(failure.to_string().contains(file), "{failure}");
        built.artefacts.files.remove(&role);
        let failure = built.assemble(&plan()).unwrap_err();
        assert_eq!(code(&failure).1, "missing-artefact");
        assert!(!built.path("image").exists());
    }
}

#[test]
fn the_old_image_stays_when_the_new_one_fails() {
    if missing_tool("mke2fs") {
        return;
    }
    let mut built = ready(&plan());
    let record = built.assemble(&plan()).unwrap();
    built.artefacts.provenance.insert("gcc".into(), "15".into());
    fs::write(built.path("artefacts/u-boot-nodtb.bin"), "changed").unwrap();
    fs::write(built.path("artefacts/linux.config"), "CONFIG_DM_VERITY=n\n").unwrap();
    assert_eq!(code(&built.assemble(&plan()).unwrap_err()).1, "artefact-changed");
    assert!(!built.path("image.new").exists());
    assert_eq!(read_json::<ImageRecord>(&built.path("image.json")).unwrap(), record);
    for file in record.files.values() {
        let found = sha256_file(&built.folder.path().join(&file.path)).unwrap();
        assert_eq!(found, (file.sha256.clone(), file.bytes), "{}", file.path.display());
    }
    readback(&plan(), &record, built.folder.path(), &built.key.public()).unwrap();
}

#[test]
fn what_does_not_fit_names_its_size_the_limit_and_the_key() {
    type Change = fn(&mut Plan);
    let cases: [(Change, &str, &str); 4] = [
        (|p| p.storage.root_bytes = 1 << 17, "the root file system with its hash tree", "`storage.root`"),
        (|p| p.board.boot.fit_bytes = 1 << 16, "the signed FIT has", "`boot.fit_bytes`"),
        (|p| p.storage.fit_bytes = 1 << 19, "what U-Boot reads of a FIT slot", "`storage.fit`"),
        (|p| p.board.boot.flash_bytes = 1 << 12, "U-Boot with its control FDT", "`boot.flash_bytes`"),
    ];
    for (change, part, key) in cases {
        let mut plan = plan();
        change(&mut plan);
        let failure = ready(&plan).assemble(&plan).unwrap_err();
        assert_eq!(code(&failure), (ExitStatus::Input, "no-room"));
        let text = failure.to_string();
        assert!(text.contains(part) && text.contains("there is room for") && text.contains(key), "{text}");
    }
}

/// Changes one byte of a file.
fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn the_readback_finds_every_tampering() {
    if missing_tool("mke2fs") {
        return;
    }
    let built = ready(&plan());
    let record = built.assemble(&plan()).unwrap();
    let public = built.key.public();
    let check = || readback(&plan(), &record, built.folder.path(), &public);
    check().unwrap();

    let offset = |name: &str| record.partitions.iter().find(|p| p.name == name).unwrap().offset;
    let disk = built.path("image/disk.img");
    let root_blocks = record.verity_data_blocks * 4096;
    let fit = fs::read(built.path("image/fit.itb")).unwrap();
    let find = |needle: &[u8]| fit.windows(needle.len()).position(|w| w == needle).unwrap() as u64;
    let cases = [
        (offset("fit_a") + 20_000, "the FIT on the disk is refused"),
        (offset("fit_a") + find(b"panic_on_corruption"), "the FIT on the disk is refused"),
        (offset("fit_a"), "not a valid device tree"),
        (offset("root_a") + 5000, "data block 1 differs"),
        (offset("root_a") + root_blocks, "hash block"),
        (512 + 16, "CRC"),
        (offset("data") + 1024 + 0x38, "holds no ext4"),
    ];
    for (at, expected) in cases {
        flip(&disk, at);
        let failure = check().unwrap_err();
        assert_eq!(code(&failure), (ExitStatus::Check, "readback"));
        assert!(failure.to_string().contains(expected), "byte {at}: {failure}");
        flip(&disk, at);
    }
    let uboot = built.path("image/u-boot.bin");
    flip(&uboot, 0);
    assert!(check().unwrap_err().to_string().contains("is not the file of the record"));
    flip(&uboot, 0);
    check().unwrap();

    type Change = fn(&mut ImageRecord);
    let cases: [(Change, &str); 4] = [
        (|r| r.cmdline.push_str(" init=/bin/sh"), "the record says"),
        (|r| r.verity_root_hash = "00".repeat(32), "not that of the record"),
        (|r| r.partitions[3].name = "data2".into(), "expected the partitions"),
        (|r| drop(r.files.remove(&Role::Disk)), "the record has no `Disk`"),
    ];
    for (change, expected) in cases {
        let mut other = record.clone();
        change(&mut other);
        let failure = readback(&plan(), &other, built.folder.path(), &public).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }

    let other = signing_key(1, "gw-dev").public();
    let failure = readback(&plan(), &record, built.folder.path(), &other).unwrap_err();
    assert!(failure.to_string().contains("the control FDT trusts the key"), "{failure}");
}

#[test]
fn a_fit_of_another_key_is_refused_by_the_boot_loaders_key() {
    if missing_tool("mke2fs") {
        return;
    }
    let (ours, theirs) = (ready(&plan()), Built { key: signing_key(1, "gw-dev"), ..ready(&plan()) });
    let record = ours.assemble(&plan()).unwrap();
    theirs.assemble(&plan()).unwrap();
    fs::copy(theirs.path("image/disk.img"), ours.path("image/disk.img")).unwrap();
    let failure = readback(&plan(), &record, ours.folder.path(), &ours.key.public()).unwrap_err();
    assert!(failure.to_string().contains("the FIT on the disk is refused"), "{failure}");
}

/// A node of a signature without a value, and exit status 0: what the `mkimage` of several Buildroot releases
/// leaves. Here Debian's does, since nobody gives it a key.
#[test]
fn an_image_that_a_silent_mkimage_did_not_sign_is_refused_with_clear_words() {
    if missing_tool("mke2fs") || missing_tool("mkimage") {
        return;
    }
    let built = ready(&plan());
    let record = built.assemble(&plan()).unwrap();
    let folder = built.folder.path();
    let image = |name: &str, kind: &str, more: &str| {
        format!(
            "{name} {{ description = \"{name}\"; data = /incbin/(\"{name}\"); type = \"{kind}\"; arch = \"arm64\"; \
             {more} compression = \"none\"; hash-1 {{ algo = \"sha256\"; }}; }};"
        )
    };
    let its = format!(
        "/dts-v1/; / {{ description = \"x\"; images {{ {} {} }}; configurations {{ default = \"conf\"; conf {{ \
         kernel = \"kernel\"; fdt = \"fdt\"; signature-1 {{ algo = \"sha256,rsa2048\"; key-name-hint = \"gw-dev\"; \
         padding = \"pss\"; sign-images = \"kernel\", \"fdt\"; }}; }}; }}; }};",
        image("kernel", "kernel", "os = \"linux\"; load = <0x40400000>; entry = <0x40400000>;"),
        image("fdt", "flat_dt", "")
    );
    for (from, name) in [("artefacts/Image", "kernel"), ("artefacts/board.dtb", "fdt")] {
        fs::copy(folder.join(from), folder.join(name)).unwrap();
    }
    fs::write(folder.join("x.its"), its).unwrap();
    let run =
        std::process::Command::new("mkimage").args(["-f", "x.its", "x.itb"]).current_dir(folder).output();
    assert!(run.unwrap().status.success(), "it says that all is well");

    let disk = fs::File::options().write(true).open(built.path("image/disk.img")).unwrap();
    let slot = record.partitions.iter().find(|p| p.name == "fit_a").unwrap().offset;
    disk.write_all_at(&fs::read(folder.join("x.itb")).unwrap(), slot).unwrap();
    let failure = readback(&plan(), &record, folder, &built.key.public()).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Check, "readback"));
    assert!(failure.to_string().contains("has no value: it was never signed"), "{failure}");

    // Nor did it put a key into the control FDT: that is the boot loader that starts anything.
    let uboot = fs::read(built.path("image/u-boot.bin")).unwrap();
    let control = fit::control_fdt::find_control(&uboot).unwrap().to_vec();
    let bare = fit::control_fdt::remove_key(&control, "gw-dev").unwrap();
    let at = uboot.windows(control.len()).position(|window| window == control).unwrap();
    fs::write(built.path("image/u-boot.bin"), [&uboot[..at], &bare].concat()).unwrap();
    let failure = readback(&plan(), &record, folder, &built.key.public()).unwrap_err();
    assert!(failure.to_string().contains("the control FDT has no key"), "{failure}");
}
