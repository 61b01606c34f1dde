//! Boards whose boot ROM, or whose maker's firmware, reads a FAT file system.

use spec::plan::{FatFacts, FatFileFacts, FatImageFacts, MonitorFacts};

use super::spl_tests::{rom_plan, with_programs};
use super::*;
use crate::fat;
use crate::testing::{missing_tool, signing_key};

fn file(name: &str, holds: &str, text: Option<&str>) -> FatFileFacts {
    FatFileFacts { name: name.into(), holds: holds.into(), text: text.map(str::to_owned) }
}

/// SPL with the maker's firmware in front of it, as a file; the maker's monitor behind that.
fn spl_in_fat() -> Plan {
    let mut plan = rom_plan();
    let boot = &mut plan.board.boot;
    boot.fat = Some(FatFacts {
        partition: "boot".into(),
        room: 40 << 20,
        files: vec![file("BOOT.BIN", "spl", None)],
        image: None,
    });
    let spl = boot.spl.as_mut().unwrap();
    spl.monitor = Some(MonitorFacts {
        package: None,
        file: None,
        vendor: Some("bl31.bin".into()),
        address: 0xfffe_a000,
    });
    let rom = spl.rom.as_mut().unwrap();
    rom.format = "zynqmp".into();
    rom.first = Some("pmufw.bin".into());
    rom.places.clear();
    plan
}

/// No SPL: the maker's firmware starts U-Boot out of a file system, of which a copy is signed.
fn firmware_in_fat() -> Plan {
    let mut plan = spl_in_fat();
    plan.board.boot.spl = None;
    plan.board.boot.fat = Some(FatFacts {
        partition: "boot".into(),
        room: 40 << 20,
        files: vec![
            file("start4.elf", "vendor", None),
            file("u-boot.bin", "u-boot", None),
            file("config.txt", "text", Some("kernel=u-boot.bin\n")),
        ],
        image: Some(FatImageFacts { name: "boot.img".into(), room: 8 << 20 }),
    });
    plan
}

struct Made {
    folder: tempfile::TempDir,
    record: ImageRecord,
    key: SigningKey,
}

impl Made {
    fn of(plan: &Plan) -> Option<Self> {
        if missing_tool("mke2fs") {
            return None;
        }
        let programs =
            [("bl31.bin", vec![5; 3000]), ("pmufw.bin", vec![6; 1000]), ("start4.elf", vec![7; 70_000])];
        let used = |name: &str| {
            let spl = plan.board.boot.spl.is_some();
            if name == "start4.elf" { !spl } else { spl }
        };
        let programs: Vec<_> = programs.into_iter().filter(|(name, _)| used(name)).collect();
        let (folder, artefacts) = with_programs(plan, &programs);
        let key = signing_key(0, "gw-dev");
        let record = assemble(plan, &artefacts, folder.path(), &key, &|_| ())
            .unwrap_or_else(|failure| panic!("{failure}"));
        Some(Self { folder, record, key })
    }

    fn read(&self, role: Role) -> Vec<u8> {
        fs::read(self.folder.path().join(&self.record.files[&role].path)).unwrap()
    }

    fn partition(&self) -> (u64, u64) {
        let found = self.record.partitions.iter().find(|partition| partition.name == "boot").unwrap();
        (found.offset, found.bytes)
    }

    fn files(&self) -> Vec<fat::File> {
        let (offset, bytes) = self.partition();
        let disk = image::Source::open(&self.folder.path().join("image/disk.img")).unwrap();
        fat::read(disk.slice(offset, bytes).unwrap()).unwrap()
    }

    /// What reading back says of a disk in which the bytes `of` were changed.
    fn refused(&self, plan: &Plan, of: &[u8]) -> String {
        let good = self.read(Role::Disk);
        let start = self.partition().0 as usize;
        let at = start + good[start..].windows(of.len()).position(|bytes| bytes == of).unwrap();
        self.with_change(plan, &good, at)
    }

    fn with_change(&self, plan: &Plan, good: &[u8], at: usize) -> String {
        let path = self.folder.path().join("image/disk.img");
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        let failure = readback(plan, &self.record, self.folder.path(), &self.key.public()).unwrap_err();
        fs::write(&path, good).unwrap();
        assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Check, "readback"));
        failure.to_string()
    }
}

#[test]
fn a_boot_rom_finds_spl_as_a_file_with_the_makers_firmware_in_front_of_it() {
    let plan = spl_in_fat();
    let Some(made) = Made::of(&plan) else { return };
    let (disk, spl) = (made.read(Role::Disk), made.read(Role::Spl));
    let files = made.files();
    assert_eq!((files.len(), files[0].0.as_str()), (1, "BOOT.BIN"));
    assert!(files[0].1 == made.read(Role::SplRom));
    assert_eq!(files[0].1[0x9c0..][..1000], [6; 1000]);
    let filling = files[0].1[0x9c0 + 1000..].strip_prefix(&spl[..]).unwrap();
    assert!(filling.len() < 4 && filling.iter().all(|byte| *byte == 0), "to a whole word");
    // The first partition stays where SPL reads; the older table knows the other alone.
    let names: Vec<_> = made.record.partitions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names[..3], ["uboot", "boot", "fit_a"]);
    let older =
        image::disk::mbr::partitions(&image::Source::from_bytes("disk", disk.clone())).unwrap().unwrap();
    assert_eq!((older[0].kind, older[0].offset, older[0].bytes), (0x0c, made.partition().0, 40 << 20));
    let table = image::disk::Disk::open(&made.folder.path().join("image/disk.img")).unwrap();
    let kind = table.partitions()[1].type_guid.to_string().to_uppercase();
    assert_eq!(kind, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
    // SPL's FIT has the maker's monitor.
    let fit = made.read(Role::UbootFit);
    let tree = fit::fdt::Tree::parse(&fit).unwrap();
    assert_eq!(tree.root.at("/images/monitor").unwrap().get("data"), Some(&[5; 3000][..]));
    assert_eq!(made.record.vendor.len(), 2);
    assert!(!made.folder.path().join("image/boot.fat").exists());
    // No clock: the first day that FAT can tell, in every entry (creation, access, change).
    let name = disk.windows(11).position(|bytes| bytes == b"BOOT    BIN").unwrap();
    for at in [16, 18, 24] {
        assert_eq!(disk[name + at..][..2], [0x21, 0], "{at}");
    }
    for (of, expected) in [
        (&files[0].1[..64], "the boot ROM's header is not that of this SPL"),
        (&[6; 100][..], "what the header has in front of SPL: it is not the maker's `pmufw.bin`"),
        (&spl[..64], "what it finds is not the shipped SPL"),
        (&b"BOOT    BIN"[..], "has the files [\"COOT.BIN\"]"),
    ] {
        let text = made.refused(&plan, of);
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = made.with_change(&plan, &disk, 446 + 4);
    assert!(text.contains("as the older table's first partition"), "{text}");
    // The record is not of these programs.
    let mut record = made.record.clone();
    record.vendor.get_mut("bl31.bin").unwrap().sha256 = sha256_hex(b"another");
    let text = readback(&plan, &record, made.folder.path(), &made.key.public()).unwrap_err().to_string();
    assert!(text.contains("the monitor that SPL starts is not the maker's `bl31.bin`"), "{text}");
}

#[test]
fn firmware_finds_its_files_and_the_image_that_is_signed_has_the_same() {
    let plan = firmware_in_fat();
    let Some(made) = Made::of(&plan) else { return };
    let files = made.files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["start4.elf", "u-boot.bin", "config.txt", "boot.img"]);
    assert!(files[1].1 == made.read(Role::Uboot));
    assert_eq!(files[2].1, b"kernel=u-boot.bin\n");
    let signed = made.read(Role::BootImage);
    assert!(files[3].1 == signed);
    assert_eq!(made.record.files[&Role::BootImage].path, Path::new("image/boot.img"));
    let inner = fat::read(image::Source::from_bytes("boot.img", signed.clone())).unwrap();
    assert!(inner[..] == files[..3]);
    for (of, expected) in [
        (&[7; 100][..], "`start4.elf` of the partition `boot`: it is not the maker's `start4.elf`"),
        (&files[1].1[..64], "`u-boot.bin` of the partition `boot`: it is not the planned one"),
        (&b"kernel="[..], "`config.txt` of the partition `boot`: it is not the planned one"),
        (&b"BOOT    IMG"[..], "expected `boot.img` as the last file"),
    ] {
        let text = made.refused(&plan, of);
        assert!(text.contains(expected), "{expected}: {text}");
    }
    // And the same in the image.
    let disk = made.read(Role::Disk);
    let start = disk.windows(512).position(|bytes| bytes == &signed[..512]).unwrap();
    let within = |of: &[u8]| start + signed.windows(of.len()).position(|bytes| bytes == of).unwrap();
    for (of, expected) in [
        (&[7; 100][..], "`start4.elf` of `boot.img`: it is not the maker's `start4.elf`"),
        (&b"kernel="[..], "`config.txt` of `boot.img`: it is not the planned one"),
        (&b"U-BOOT  BIN"[..], "has the files"),
    ] {
        let text = made.with_change(&plan, &disk, within(of));
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn the_same_files_give_the_same_bytes() {
    for plan in [spl_in_fat(), firmware_in_fat()] {
        let (Some(one), Some(two)) = (Made::of(&plan), Made::of(&plan)) else { return };
        assert_eq!(one.record, two.record);
        assert!(one.read(Role::Disk) == two.read(Role::Disk));
    }
}

#[test]
fn files_that_do_not_fit_are_told_with_what_to_change() {
    if missing_tool("mke2fs") {
        return;
    }
    let mut plan = firmware_in_fat();
    plan.board.boot.fat.as_mut().unwrap().image.as_mut().unwrap().room = 8 << 20;
    let (folder, artefacts) = with_programs(&plan, &[("start4.elf", vec![7; 9 << 20])]);
    let failure = assemble(&plan, &artefacts, folder.path(), &signing_key(0, "gw-dev"), &|_| ()).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Input, "no-room"));
    let text = failure.to_string();
    assert!(text.contains("do not fit into a FAT file system of 8388608 bytes"), "{text}");
    assert!(text.contains("change `boot.fat` of the board"), "{text}");
    plan.board.boot.fat.as_mut().unwrap().files[0].holds = "other".into();
    let mut artefacts = artefacts;
    artefacts.plan_sha256 = plan.sha256();
    let failure = assemble(&plan, &artefacts, folder.path(), &signing_key(0, "gw-dev"), &|_| ()).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics[0].code.as_str()), (ExitStatus::Input, "unclear-fat"));
    assert!(failure.to_string().contains("for `start4.elf`, found `other`"), "{failure}");
}
