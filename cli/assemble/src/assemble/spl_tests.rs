//! A board on which SPL comes first.

use record::Artefact;
use spec::plan::{BehindFacts, MonitorFacts, QemuFacts, RomCopyFacts, RomFacts, SplFacts};

use super::*;
use crate::keys::OfflineSigner;
use crate::spl;
use crate::testing::{artefacts, missing_tool, plan, signing_key};

fn spl_plan() -> Plan {
    let mut plan = plan();
    plan.board.boot.spl = Some(SplFacts {
        monitor: Some(MonitorFacts {
            package: Some("opensbi".into()),
            file: Some("/fw.bin".into()),
            vendor: None,
            address: 0x8000_0000,
        }),
        verifies: true,
        uboot_address: 0x8020_0000,
        room: 1 << 20,
        behind: vec![],
        rom: None,
    });
    plan.board.qemu = Some(QemuFacts {
        program: "qemu-system-riscv64".into(),
        machine: "sifive_u".into(),
        cpu: "sifive-u54".into(),
        cpus: 5,
        memory_mib: 1024,
        in_memory: true,
        on_board: true,
        report_port: None,
        tpm: None,
        watchdog: None,
    });
    plan
}

/// A device tree of U-Boot's build: 8 GiB from 0x8000_0000 on.
fn device_tree() -> Vec<u8> {
    let mut tree = fit::fdt::Tree { root: fit::fdt::Node::new(""), reserved: vec![], strings: vec![] };
    let reg = [0x8000_0000u64.to_be_bytes(), (8u64 << 30).to_be_bytes()].concat();
    tree.root.child_or_new("memory@80000000").set("reg", reg);
    tree.write().unwrap()
}

fn ready(plan: &Plan) -> (tempfile::TempDir, Artefacts) {
    let folder = tempfile::tempdir().unwrap();
    let mut artefacts = artefacts(plan, folder.path());
    for (role, name, content) in [
        (Role::SplNodtb, "u-boot-spl-nodtb.bin", vec![5; 2048]),
        (Role::SplDeviceTree, "u-boot-spl.dtb", device_tree()),
        (Role::UbootDeviceTree, "u-boot.dtb", device_tree()),
        (Role::Monitor, "monitor.bin", vec![6; 4096]),
    ] {
        let path = Path::new("artefacts").join(name);
        fs::write(folder.path().join(&path), &content).unwrap();
        let artefact = Artefact { path, sha256: sha256_hex(&content), bytes: content.len() as u64 };
        artefacts.files.insert(role, artefact);
    }
    (folder, artefacts)
}

fn assembled(plan: &Plan, key: &SigningKey) -> (tempfile::TempDir, Artefacts, ImageRecord) {
    let (folder, artefacts) = ready(plan);
    let record = assemble(plan, &artefacts, folder.path(), key, &|_| ()).unwrap();
    (folder, artefacts, record)
}

#[test]
fn spl_verifies_u_boot_and_u_boot_the_kernel() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (spl_plan(), signing_key(0, "gw-dev"));
    let (folder, artefacts, record) = assembled(&plan, &key);
    let read = |role: Role| fs::read(folder.path().join(&record.files[&role].path)).unwrap();
    let (spl, uboot, fit) = (read(Role::Spl), read(Role::Uboot), read(Role::UbootFit));
    let control = |program: &[u8]| fit::control_fdt::find_control(program).unwrap().to_vec();
    for program in [&spl, &uboot] {
        let keys = fit::control_fdt::keys(&control(program)).unwrap();
        assert_eq!(keys[0].key.fingerprint().unwrap(), key.record.fingerprint);
        let control = control(program);
        let tree = fit::fdt::Tree::parse(&control).unwrap();
        let reg = tree.root.child("memory@80000000").unwrap().get("reg").unwrap();
        assert_eq!(reg[8..], (1u64 << 30).to_be_bytes(), "as much memory as the machine has");
    }
    let verified = |blob: &[u8]| fit::verify::verify_with_control(blob, &control(&spl)).is_ok_and(|r| r.ok);
    assert!(verified(&fit));
    let mut changed = fit.clone();
    let code = changed.windows(64).position(|bytes| bytes == &uboot[..64]).unwrap();
    changed[code] ^= 1;
    assert!(!verified(&changed), "a bit of U-Boot");
    // SPL reads its place, whatever the table says.
    let disk = read(Role::Disk);
    assert_eq!(disk[1 << 20..][..fit.len()], fit);
    assert!(disk.len().is_power_of_two(), "a card");
    assert_eq!((record.partitions[0].name.as_str(), record.partitions[0].offset), ("uboot", 1 << 20));
    // What was made is found again, and made anew when SPL changes.
    let steps = |plan: &Plan| {
        let count = std::cell::Cell::new(0);
        assemble(plan, &artefacts, folder.path(), &key, &|_| count.set(count.get() + 1)).unwrap();
        count.get()
    };
    assert_eq!(steps(&plan), 1, "the image is up to date");
    fs::write(folder.path().join("image/u-boot-spl.bin"), b"another").unwrap();
    assert_eq!(steps(&plan), 4);
}

/// One way to the machine with the key: both signatures are asked for at once, and the image is made when both are there.
#[test]
fn a_key_on_another_machine_is_asked_for_both_signatures_at_once() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, vault) = (spl_plan(), signing_key(0, "gw-dev"));
    let (folder, artefacts) = ready(&plan);
    let requests = folder.path().join("requests");
    let signer =
        OfflineSigner { folder: requests.clone(), name: "gw-dev".into(), key: vault.key.clone(), asks: true };
    let key = SigningKey { record: vault.record.clone(), key: vault.key.clone(), signer: Box::new(signer) };
    let make = || assemble(&plan, &artefacts, folder.path(), &key, &|_| ());
    let failure = make().unwrap_err();
    let codes: Vec<&str> = failure.diagnostics.iter().map(|one| &*one.code).collect();
    assert_eq!((failure.status, codes), (ExitStatus::Keys, vec!["signature-wanted"; 2]), "{failure}");
    assert!(!folder.path().join("image").exists() && !folder.path().join("image.new").exists());
    let regions: Vec<_> = fs::read_dir(&requests)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "region"))
        .collect();
    assert_eq!(regions.len(), 2, "{regions:?}");
    let options = boot_chain::sign_options(&plan).unwrap();
    for (answered, region) in regions.iter().enumerate() {
        let covered = fs::read(region).unwrap();
        let parts: [&[u8]; 1] = [&covered];
        let message =
            fit::sign::Message { hash: options.algorithm.hash, padding: options.padding, parts: &parts };
        fs::write(region.with_extension("sig"), vault.signer().sign(&message).unwrap()).unwrap();
        if answered == 0 {
            let one = make().unwrap_err();
            assert!(one.diagnostics.len() == 1 && one.diagnostics[0].code == "signature-wanted", "{one}");
        }
    }
    make().unwrap();
}

#[test]
fn an_image_whose_spl_starts_something_else_is_not_put_in_place() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (spl_plan(), signing_key(0, "gw-dev"));
    let (folder, _, record) = assembled(&plan, &key);
    readback(&plan, &record, folder.path(), &key.public()).unwrap();
    let refused = |role: Role, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.path().join(&record.files[&role].path);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad).unwrap();
        let text = readback(&plan, &record, folder.path(), &key.public()).unwrap_err().to_string();
        fs::write(&path, good).unwrap();
        text
    };
    let uboot_code = fs::read(folder.path().join("image/u-boot.bin")).unwrap()[..64].to_vec();
    let text = refused(Role::Disk, &|disk| {
        let at = disk.windows(64).position(|bytes| bytes == uboot_code).unwrap();
        disk[at] ^= 1;
    });
    assert!(text.contains("SPL would refuse its FIT"), "{text}");
    let text = refused(Role::Uboot, &|uboot| uboot[0] ^= 1);
    assert!(text.contains("what SPL starts is not the shipped U-Boot"), "{text}");
    let text = refused(Role::Spl, &|spl| spl.truncate(2048));
    assert!(text.contains("the finished image does not verify"), "{text}");
}

#[test]
fn what_spl_needs_is_asked_for_and_has_its_room() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (spl_plan(), signing_key(0, "gw-dev"));
    let (folder, mut artefacts) = ready(&plan);
    let fails = |plan: &Plan, artefacts: &Artefacts| {
        assemble(plan, artefacts, folder.path(), &key, &|_| ()).unwrap_err()
    };
    let mut small = plan.clone();
    small.board.boot.spl.as_mut().unwrap().room = 4096;
    let mut of_small = artefacts.clone();
    of_small.plan_sha256 = small.sha256();
    let failure = fails(&small, &of_small);
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Input, "no-room"));
    assert!(failure.to_string().contains("change `boot.spl.room` in the board"), "{failure}");
    artefacts.files.remove(&Role::Monitor);
    let failure = fails(&plan, &artefacts);
    assert!(failure.to_string().contains("the backend `debian` made no `Monitor`"), "{failure}");
}

#[test]
fn a_device_tree_without_memory_is_refused() {
    let tree = fit::fdt::Tree { root: fit::fdt::Node::new(""), reserved: vec![], strings: vec![] };
    let failure = spl::with_memory(&spl_plan(), tree.write().unwrap()).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Build, "device-tree"));
    assert!(failure.to_string().contains("expected one range of memory with two cells each"), "{failure}");
}

/// A board of real hardware, whose boot ROM finds SPL on the disk: twice by its place, and in a partition of its own type.
pub(super) fn rom_plan() -> Plan {
    let mut plan = spl_plan();
    plan.board.qemu = None;
    let spl = plan.board.boot.spl.as_mut().unwrap();
    spl.monitor = None;
    let copy = |offset, partition: Option<&str>, type_guid: Option<&str>| RomCopyFacts {
        offset,
        partition: partition.map(str::to_owned),
        type_guid: type_guid.map(str::to_owned),
        room: 128 << 10,
    };
    spl.rom = Some(RomFacts {
        format: "stm32".into(),
        address: 0x2ffc_2500,
        end: None,
        first: None,
        places: vec![
            copy(Some(128 << 10), None, None),
            copy(Some(256 << 10), None, None),
            copy(None, Some("fsbl1"), Some("2E54B353-1271-4842-806F-E436D6AF6985")),
        ],
    });
    plan
}

#[test]
fn a_boot_rom_finds_spl_at_each_of_its_places() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (rom_plan(), signing_key(0, "gw-dev"));
    let (folder, _, record) = assembled(&plan, &key);
    let read = |role: Role| fs::read(folder.path().join(&record.files[&role].path)).unwrap();
    let (disk, spl, wrapped) = (read(Role::Disk), read(Role::Spl), read(Role::SplRom));
    assert_eq!(wrapped[..4], *b"STM2");
    assert_eq!(wrapped[256..], spl);
    for place in [128 << 10, 256 << 10] {
        assert_eq!(disk[place..][..wrapped.len()], wrapped, "{place}");
    }
    let on_disk = image::disk::Disk::open(&folder.path().join("image/disk.img")).unwrap();
    let partition = on_disk.partitions().iter().find(|partition| partition.name == "fsbl1").unwrap();
    assert_eq!(partition.type_guid.to_string().to_uppercase(), "2E54B353-1271-4842-806F-E436D6AF6985");
    assert_eq!(disk[partition.offset as usize..][..wrapped.len()], wrapped);
    assert_eq!(record.partitions[0].name, "uboot", "SPL reads the first one");
    // SPL enters U-Boot itself: no monitor, and nothing else that it loads.
    let fit = read(Role::UbootFit);
    let tree = fit::fdt::Tree::parse(&fit).unwrap();
    let conf = tree.root.at("/configurations/conf").unwrap();
    assert_eq!((conf.text("firmware"), conf.get("loadables")), (Some("uboot"), None));
    assert_eq!(tree.root.at("/images/uboot").unwrap().text("type"), Some("firmware"));
    assert!(tree.root.at("/images/monitor").is_none());
    // Each place is read back.
    for place in [128 << 10, 256 << 10, partition.offset as usize] {
        let path = folder.path().join("image/disk.img");
        let mut bad = disk.clone();
        bad[place + 300] ^= 1;
        fs::write(&path, bad).unwrap();
        let text = readback(&plan, &record, folder.path(), &key.public()).unwrap_err().to_string();
        assert!(text.contains("the boot ROM's header is not that of this SPL"), "{place}: {text}");
    }
    let mut small = plan;
    small.board.boot.spl.as_mut().unwrap().rom.as_mut().unwrap().places[1].room = 1024;
    let (folder, artefacts) = ready(&small);
    let failure = assemble(&small, &artefacts, folder.path(), &key, &|_| ()).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Input, "no-room"));
    assert!(failure.to_string().contains("change `boot.spl.rom` in the board"), "{failure}");
}

#[test]
fn an_spl_without_a_control_fdt_starts_what_the_products_key_signed_all_the_same() {
    if missing_tool("mke2fs") {
        return;
    }
    let (mut plan, key) = (rom_plan(), signing_key(0, "gw-dev"));
    let spl = plan.board.boot.spl.as_mut().unwrap();
    spl.verifies = false;
    spl.rom.as_mut().unwrap().format = "ti-gp".into();
    let (folder, mut artefacts) = ready(&plan);
    artefacts.files.remove(&Role::SplDeviceTree);
    let record = assemble(&plan, &artefacts, folder.path(), &key, &|_| ()).unwrap();
    assert_eq!(fs::read(folder.path().join(&record.files[&Role::Spl].path)).unwrap(), vec![5; 2048]);
    readback(&plan, &record, folder.path(), &key.public()).unwrap();
    let path = folder.path().join("image/disk.img");
    let mut disk = fs::read(&path).unwrap();
    let code = fs::read(folder.path().join("image/u-boot.bin")).unwrap()[..64].to_vec();
    let at = disk.windows(64).position(|bytes| bytes == code).unwrap();
    disk[at] ^= 1;
    fs::write(&path, disk).unwrap();
    let text = readback(&plan, &record, folder.path(), &key.public()).unwrap_err().to_string();
    assert!(text.contains("SPL would refuse its FIT"), "{text}");
}

#[test]
fn without_an_emulator_and_without_spl_the_key_lies_in_u_boots_own_tree() {
    if missing_tool("mke2fs") {
        return;
    }
    let (mut plan, key) = (spl_plan(), signing_key(0, "gw-dev"));
    (plan.board.boot.spl, plan.board.qemu) = (None, None);
    let (folder, _, record) = assembled(&plan, &key);
    let uboot = fs::read(folder.path().join(&record.files[&Role::Uboot].path)).unwrap();
    let tree = fit::fdt::Tree::parse(fit::control_fdt::find_control(&uboot).unwrap()).unwrap();
    assert!(tree.root.child("memory@80000000").is_some(), "of U-Boot's build, not of Linux's");
}

#[test]
fn no_boot_rom_can_take_the_name_of_a_partition_that_is_there() {
    let mut plan = spl_plan();
    plan.storage.proof_bytes = 1 << 20;
    for (name, ..) in disk::partitions(&plan) {
        assert!(spec::plan::OWN_PARTITIONS.contains(&name), "{name}");
    }
}

/// A board whose maker's programs stand behind SPL.
fn behind_plan() -> Plan {
    let mut plan = rom_plan();
    let spl = plan.board.boot.spl.as_mut().unwrap();
    spl.behind = [("code.bin", 4096), ("data.bin", 1024)]
        .map(|(vendor, room)| BehindFacts { vendor: vendor.to_owned(), room })
        .to_vec();
    let copy = RomCopyFacts { offset: Some(33 << 10), partition: None, type_guid: None, room: 64 << 10 };
    spl.rom = Some(RomFacts {
        format: "imx8m".into(),
        address: 0x7e_1000,
        end: Some(0x82_0000),
        first: None,
        places: vec![copy],
    });
    plan
}

pub(super) fn with_programs(plan: &Plan, programs: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Artefacts) {
    let (folder, mut artefacts) = ready(plan);
    fs::create_dir(folder.path().join("artefacts/vendor")).unwrap();
    for (name, content) in programs {
        let path = Path::new("artefacts/vendor").join(name);
        fs::write(folder.path().join(&path), content).unwrap();
        let artefact = Artefact { path, sha256: sha256_hex(content), bytes: content.len() as u64 };
        artefacts.vendor.insert((*name).to_owned(), artefact);
    }
    (folder, artefacts)
}

#[test]
fn a_makers_programs_stand_behind_spl_and_are_read_back() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (behind_plan(), signing_key(0, "gw-dev"));
    let (folder, artefacts) = with_programs(&plan, &[("code.bin", vec![7; 4000]), ("data.bin", vec![8; 10])]);
    let record = assemble(&plan, &artefacts, folder.path(), &key, &|_| ()).unwrap();
    assert_eq!(record.vendor["code.bin"], VendorRecord { sha256: sha256_hex(&[7; 4000]), bytes: 4000 });
    let read = |role: Role| fs::read(folder.path().join(&record.files[&role].path)).unwrap();
    let (disk, spl, wrapped) = (read(Role::Disk), read(Role::Spl), read(Role::SplRom));
    assert_eq!(disk[33 << 10..][..wrapped.len()], wrapped);
    let code = (64 + spl.len()).next_multiple_of(4);
    assert_eq!(wrapped[64..64 + spl.len()], spl);
    assert_eq!(wrapped[code..code + 4000], [7; 4000]);
    assert_eq!(wrapped[code + 4096..code + 4106], [8; 10]);
    for (at, expected) in [
        (code + 5, "`code.bin` is not where SPL looks for it"),
        (code + 4001, "expected zeroes in front of data.bin"),
        (code + 4100, "`data.bin` is not where SPL looks for it"),
        (70, "is not the shipped SPL"),
    ] {
        let path = folder.path().join("image/disk.img");
        let mut bad = disk.clone();
        bad[(33 << 10) + at] ^= 1;
        fs::write(&path, bad).unwrap();
        let text = readback(&plan, &record, folder.path(), &key.public()).unwrap_err().to_string();
        assert!(text.contains(expected), "{at}: {text}");
    }
}

#[test]
fn a_makers_program_that_is_missing_changed_or_too_large_stops_the_image() {
    if missing_tool("mke2fs") {
        return;
    }
    let (plan, key) = (behind_plan(), signing_key(0, "gw-dev"));
    let fails = |plan: &Plan, folder: &tempfile::TempDir, artefacts: &Artefacts| {
        let failure = assemble(plan, artefacts, folder.path(), &key, &|_| ()).unwrap_err();
        (failure.status, failure.diagnostics[0].code.clone(), failure.to_string())
    };
    let (folder, artefacts) = with_programs(&plan, &[("code.bin", vec![7; 4000])]);
    let (status, code, text) = fails(&plan, &folder, &artefacts);
    assert_eq!((status, code.as_str()), (ExitStatus::Build, "missing-artefact"));
    assert!(text.contains("the backend `debian` took no `data.bin`"), "{text}");
    let (folder, artefacts) = with_programs(&plan, &[("code.bin", vec![7; 4000]), ("data.bin", vec![8; 10])]);
    fs::write(folder.path().join("artefacts/vendor/data.bin"), "another").unwrap();
    let (status, code, text) = fails(&plan, &folder, &artefacts);
    assert_eq!((status, code.as_str()), (ExitStatus::Build, "artefact-changed"));
    assert!(text.contains("artefacts/vendor/data.bin` is not the file that the backend made"), "{text}");
    let mut small = plan;
    small.board.boot.spl.as_mut().unwrap().rom.as_mut().unwrap().end = Some(0x7e_2000);
    let (folder, artefacts) =
        with_programs(&small, &[("code.bin", vec![7; 4000]), ("data.bin", vec![8; 10])]);
    let (status, code, text) = fails(&small, &folder, &artefacts);
    assert_eq!((status, code.as_str()), (ExitStatus::Input, "no-room"));
    assert!(text.contains("SPL with all that stands behind it") && text.contains("room for 4096"), "{text}");
}
