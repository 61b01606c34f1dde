//! Whole builds for boards that start by programs of their makers: where these are taken from, what is made of them, and that the
//! lock, the records and the bill of materials name them.

use std::fs;
use std::path::{Path, PathBuf};

use image::Source;
use image::fat::Fat;
use serde_json::Value;

use crate::support::Run;
use crate::world::World;

const ZCU102: [(&str, usize); 2] = [("bl31.bin", 4000), ("pmufw.bin", 1200)];

fn world(board: &str) -> Option<World> {
    let world = World::new()?;
    world.place.edit("boards: [qemu-aarch64]", &format!("boards: [{board}]"));
    Some(world)
}

fn put(folder: &Path, programs: &[(&str, usize)]) {
    fs::create_dir_all(folder).unwrap();
    for (number, (name, bytes)) in programs.iter().enumerate() {
        fs::write(folder.join(name), vec![b'a' + number as u8; *bytes]).unwrap();
    }
}

fn out(world: &World, name: &str) -> PathBuf {
    world.place.path("out").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// There is no kernel in it whose checks could hold.
#[track_caller]
fn finishes(run: &Run) {
    assert_eq!(run.code, 6, "{run:?}");
}

#[track_caller]
fn stops(run: &Run, code: i32, error: &str) {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
    assert!(run.err.contains(&format!("error[{error}]")), "{}", run.err);
}

/// The files of the FAT file system on the disk.
fn files(disk: &Path) -> Vec<(String, Vec<u8>)> {
    let table = image::disk::Disk::open(disk).unwrap();
    let fat = Fat::open(table.named("boot").unwrap()).unwrap();
    fat.entries()
        .unwrap()
        .iter()
        .map(|entry| (entry.name.clone(), fat.read(entry, 64 << 20).unwrap()))
        .collect()
}

#[test]
fn without_the_makers_programs_nothing_is_fetched_and_all_are_named() {
    let Some(world) = world("zcu102") else { return };
    let run = world.build();
    stops(&run, 3, "vendor-program");
    for expected in [
        "expected `pmufw.bin`, `bl31.bin` in `vendor`, found no such folder",
        "note: `pmufw.bin`: AMD's firmware of the platform management unit, as raw binary, 1 to 131072 bytes; from AMD's Vitis",
        "note: `bl31.bin`: TF-A's BL31 for this SoC",
        "put all of them into `vendor/zcu102` beside the product file, or name their folder with `--vendor`",
    ] {
        assert!(run.err.contains(expected), "{}", run.err);
    }
    assert!(!world.cache("").exists() && !world.place.path("fastness.lock").exists());
    assert!(!world.place.path("out").exists(), "nothing was made");
    let run = world.run(&["build", "--vendor", "amd", "--json"]);
    assert_eq!((run.code, run.failure()), (3, ("input".into(), "vendor-program".into())));
    put(&world.place.path("vendor/zcu102"), &[("bl31.bin", 90_113), ("pmufw.bin", 0)]);
    let run = world.build();
    stops(&run, 3, "vendor-file");
    for expected in [
        "expected 1 to 131072 bytes as `vendor/zcu102/pmufw.bin` (AMD's firmware of the platform management unit, as raw binary), found an empty file",
        "expected 1 to 90112 bytes as `vendor/zcu102/bl31.bin` (TF-A's BL31 for this SoC, as raw binary), found 90113 bytes",
    ] {
        assert!(run.err.contains(expected), "{}", run.err);
    }
    assert!(!world.cache("").exists());
}

#[test]
fn the_makers_programs_are_pinned_recorded_and_in_the_image() {
    let Some(world) = world("zcu102") else { return };
    put(&world.place.path("vendor/zcu102"), &ZCU102);
    finishes(&world.build());
    let image = |name: &str| out(&world, &format!("zcu102/image/{name}"));
    let files = files(&image("disk.img"));
    assert_eq!((files.len(), files[0].0.as_str()), (1, "BOOT.BIN"));
    let (boot, spl) = (&files[0].1, fs::read(image("u-boot-spl.bin")).unwrap());
    assert_eq!(boot[0x9c0..][..1200], [b'b'; 1200]);
    assert!(boot[0x9c0 + 1200..].starts_with(&spl));
    let fit = fs::read(image("u-boot.itb")).unwrap();
    let tree = fit::fdt::Tree::parse(&fit).unwrap();
    assert_eq!(tree.root.at("/images/monitor").unwrap().get("data"), Some(&[b'a'; 4000][..]));
    // Every record names them by the same hash.
    let hash = record::sha256_hex(&[b'b'; 1200]);
    let lock = json(&world.place.path("fastness.lock"));
    assert_eq!(lock["vendor"]["zcu102"]["pmufw.bin"]["sha256"], hash.as_str());
    assert_eq!(json(&out(&world, "zcu102/artefacts.json"))["vendor"]["pmufw.bin"]["sha256"], hash.as_str());
    assert_eq!(
        json(&out(&world, "zcu102/artefacts.json"))["provenance"]["vendor pmufw.bin"],
        format!("sha256 {hash}")
    );
    assert_eq!(json(&out(&world, "zcu102/image.json"))["vendor"]["pmufw.bin"]["bytes"], 1200);
    let bill = json(&out(&world, "zcu102/sbom.cdx.json"));
    let component =
        bill["components"].as_array().unwrap().iter().find(|one| one["name"] == "pmufw.bin").unwrap();
    assert_eq!(
        (&component["type"], &component["hashes"][0]["content"]),
        (&"firmware".into(), &hash.as_str().into())
    );
    let spdx = fs::read_to_string(out(&world, "zcu102/sbom.spdx.json")).unwrap();
    assert!(spdx.contains("\"pmufw.bin\"") && spdx.contains(&hash));
    let said = world.run(&["sbom", "out/zcu102"]);
    assert!(said.out.contains("maker's  bl31.bin, pmufw.bin"), "{said:?}");
    // Another content is not taken unless somebody says so; the image stays.
    let before = fs::read(image("disk.img")).unwrap();
    let path = world.place.path("vendor/zcu102/pmufw.bin");
    fs::write(&path, [b'c'; 1200]).unwrap();
    let run = world.build();
    stops(&run, 5, "pin-differs");
    let other = record::sha256_hex(&[b'c'; 1200]);
    let text = format!("`pmufw.bin` for the board `zcu102` has SHA-256 {other}, but the lock pins {hash}");
    assert!(run.err.contains(&text), "{}", run.err);
    assert!(fs::read(image("disk.img")).unwrap() == before);
    finishes(&world.run(&["build", "--update-lock"]));
    assert!(fs::read(image("disk.img")).unwrap() != before);
    // The first content again, from a folder that is named: the same bytes as at first.
    put(&world.place.path("elsewhere"), &ZCU102);
    finishes(&world.run(&["build", "--update-lock", "--vendor", "elsewhere"]));
    assert!(fs::read(image("disk.img")).unwrap() == before);
}

#[test]
fn firmware_that_starts_u_boot_has_its_files_and_an_image_to_sign() {
    let Some(world) = world("rpi-4") else { return };
    put(&world.place.path("vendor/rpi-4"), &[("start4.elf", 300_000), ("fixup4.dat", 5436)]);
    finishes(&world.build());
    let image = |name: &str| out(&world, &format!("rpi-4/image/{name}"));
    let files = files(&image("disk.img"));
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["start4.elf", "fixup4.dat", "u-boot.bin", "config.txt", "boot.img"]);
    assert!(files[2].1 == fs::read(image("u-boot.bin")).unwrap());
    let config = String::from_utf8_lossy(&files[3].1);
    for line in
        ["arm_64bit=1", "kernel=u-boot.bin", "kernel_address=0x80000", "device_tree=", "enable_uart=1"]
    {
        assert!(config.lines().any(|one| one == line), "{config}");
    }
    let signed = fs::read(image("boot.img")).unwrap();
    assert!(files[4].1 == signed);
    let inner = Fat::open(Source::from_bytes("boot.img", signed)).unwrap();
    let inner: Vec<_> = inner.entries().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(inner, names[..4]);
    assert_eq!(json(&out(&world, "rpi-4/image.json"))["files"]["boot-image"]["path"], "image/boot.img");
}

#[test]
fn the_makers_programs_stand_behind_spl_where_it_looks_for_them() {
    let Some(world) = World::new() else { return };
    // The source packages of these tests are not U-Boot's, and their archive has no TF-A.
    let shipped = include_str!("../../../../boards/imx8mm-evk/board.yaml");
    let kept = |line: &&str| !line.contains("{package: arm-trusted-firmware") && !line.contains("uboot/000");
    let board: String = shipped.lines().filter(kept).map(|line| format!("{line}\n")).collect();
    let board = board.replace("uboot_patches:\n", "");
    fs::create_dir_all(world.place.path("boards/imx8mm-evk")).unwrap();
    fs::write(world.place.path("boards/imx8mm-evk/board.yaml"), board).unwrap();
    world.place.edit("boards: [qemu-aarch64]", "boards: [imx8mm-evk]");
    let name = |part: &str| format!("lpddr4_pmu_train_{part}.bin");
    let names = ["1d_imem", "1d_dmem", "2d_imem", "2d_dmem"].map(name);
    let sizes = [32768, 1000, 30_000, 900];
    let programs: Vec<_> = names.iter().map(String::as_str).zip(sizes).collect();
    put(&world.place.path("nxp"), &programs);
    finishes(&world.run(&["build", "--vendor", "nxp"]));
    let image = |name: &str| fs::read(out(&world, &format!("imx8mm-evk/image/{name}"))).unwrap();
    let (spl, rom, disk) = (image("u-boot-spl.bin"), image("u-boot-spl.rom"), image("disk.img"));
    assert_eq!(disk[33 << 10..][..rom.len()], rom);
    assert_eq!((&rom[..4], &rom[64..64 + spl.len()]), (&[0xd1, 0, 32, 0x41][..], &spl[..]));
    let start = 64 + spl.len().next_multiple_of(4);
    for (number, at) in [0, 32 << 10, 48 << 10, 80 << 10].into_iter().enumerate() {
        let program = &rom[start + at..][..sizes[number]];
        assert!(program.iter().all(|byte| *byte == b'a' + number as u8), "{}", names[number]);
    }
    assert!(rom[rom.len() - 8192..].iter().all(|byte| *byte == 0), "where the signature will be");
}
