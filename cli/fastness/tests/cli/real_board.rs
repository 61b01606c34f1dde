//! A whole build for a board that no emulator describes: its device tree comes from Linux's build, SPL stands on the disk.

use std::fs;

use crate::world::{Trap, World};

/// The product's own board: one of the shipped ones, without what no package has and without the patches beside it (the
/// source packages of these tests are not U-Boot's), and with a boot ROM that wants ST's header.
fn board() -> String {
    let shipped = include_str!("../../../../boards/imx8mm-evk/board.yaml");
    let spl = "  spl:\n    uboot_address: 0x40200000\n    room: 2MiB\n    rom: {format: stm32, address: 0x7e1000, places: [{offset: 128KiB, room: 64KiB}, {partition: fsbl1, room: 256KiB}]}\n";
    let mut out = String::new();
    // How far what is below a left-out key is indented.
    let mut below: Option<&str> = None;
    for line in shipped.lines() {
        if below.is_some_and(|indent| line.starts_with(indent)) {
            continue;
        }
        below = match line {
            "vendor_programs:" | "uboot_patches:" => Some("  "),
            "  spl:" => Some("    "),
            _ => None,
        };
        if line == "  spl:" {
            out.push_str(spl);
        } else if below.is_none() {
            out.push_str(line);
            out.push('\n');
        }
    }
    assert!(!out.contains("vendor_programs:") && !out.contains("uboot_patches:"), "{out}");
    assert_eq!(out.matches("spl:").count(), 1, "{out}");
    out
}

fn world() -> Option<World> {
    let world = World::new()?;
    fs::create_dir_all(world.place.path("boards/bench")).unwrap();
    fs::write(world.place.path("boards/bench/board.yaml"), board()).unwrap();
    world.place.edit("boards: [qemu-aarch64]", "boards: [bench]");
    Some(world)
}

#[test]
fn its_image_has_spl_where_the_boot_rom_looks() {
    let Some(world) = world() else { return };
    let run = world.build();
    // There is no kernel in it whose checks could hold.
    assert_eq!(run.code, 6, "{run:?}");
    let image = |name: &str| fs::read(world.place.path("out/bench/image").join(name)).unwrap();
    let (spl, rom, disk) = (image("u-boot-spl.bin"), image("u-boot-spl.rom"), image("disk.img"));
    assert_eq!((&rom[..4], &rom[256..]), (&b"STM2"[..], &spl[..]));
    assert_eq!(disk[128 << 10..][..rom.len()], rom);
    // Its control FDT begins behind its zeroed memory, where SPL looks for it.
    assert_eq!(fit::control_fdt::find_control(&spl).unwrap().as_ptr(), spl[2048 + 512..].as_ptr());
    let fit = image("u-boot.itb");
    assert_eq!(disk[1 << 20..][..fit.len()], fit);
    // U-Boot and SPL trust the same key; the kernel's tree is that of Linux's build, with the command line.
    let kernel = image("fit.itb");
    let text = String::from_utf8_lossy(&kernel).into_owned();
    assert!(text.contains("linux,dummy-virt") && text.contains("console=ttymxc1,115200"));
    // No machine can start it, and that is said.
    for arguments in
        [&["boot", "out/bench"][..], &["attack", "--image", "out/bench"], &["boot", "out/bench", "--network"]]
    {
        let refused = world.run(arguments);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(
            refused.err.contains("error[no-machine]: the board `bench` has no QEMU machine"),
            "{}",
            refused.err
        );
        assert!(
            refused.err.contains("hint: start it on the hardware, or add `qemu` to the board"),
            "{}",
            refused.err
        );
    }
    assert!(!world.place.path("out/bench/boot").exists());
}

#[test]
fn a_device_tree_that_linux_does_not_have_is_told_before_the_kernel_is_compiled() {
    let Some(world) = world() else { return };
    fs::create_dir_all(world.path("trap/make-freescale")).unwrap();
    world.trap("make-freescale/imx8mm-evk.dtb", Some(Trap::Fail));
    let run = world.build();
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("error[tool-failed]: `make` ended with exit status: 2"), "{}", run.err);
    assert!(run.err.contains("freescale/imx8mm-evk.dtb"), "{}", run.err);
    let log = fs::read_to_string(world.place.path("out/bench/logs/linux.log")).unwrap();
    assert!(!log.contains(" Image\n"), "{log}");
}
