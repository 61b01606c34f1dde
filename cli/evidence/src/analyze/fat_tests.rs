//! Boot partitions: FAT inside a disk, as boards have it that start from one.

use std::io::{Cursor, Write as _};

use super::tests::{analyzed, fit, gzip, rules, seen};
use crate::open::disk_tests::gpt_disk;
use crate::open::tests::root_cpio;

/// A file system of 1 MiB with these files, folders made as needed.
fn fat(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut volume = Cursor::new(vec![0; 1 << 20]);
    fatfs::format_volume(&mut volume, fatfs::FormatVolumeOptions::new().volume_id(1)).unwrap();
    let system = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new()).unwrap();
    for (path, content) in files {
        let mut folder = system.root_dir();
        let mut names: Vec<&str> = path.split('/').collect();
        let name = names.pop().unwrap();
        for inner in names {
            folder = folder.create_dir(inner).unwrap();
        }
        folder.create_file(name).unwrap().write_all(content).unwrap();
    }
    system.unmount().unwrap();
    volume.into_inner()
}

fn boot() -> Vec<u8> {
    let mut kernel = vec![1; 5000];
    kernel[16..24].copy_from_slice(&5000_u64.to_le_bytes());
    kernel[56..60].copy_from_slice(b"ARM\x64");
    fat(&[
        ("config.txt", b"enable_uart=1\n"),
        ("CMDLINE.TXT", b"console=ttyS0 init=/bin/sh\n"),
        ("device.fit", &fit(&gzip(&root_cpio()), "gzip")),
        ("kernel8.img", &kernel),
        ("EFI/BOOT/grub.cfg", b"linux /Image mitigations=off\n"),
    ])
}

#[test]
fn what_lies_in_a_fat_partition_is_looked_at() {
    let analysis = analyzed(&gpt_disk(&[("boot", &boot()), ("rest", b"")]));
    let places = seen(&analysis, "account-empty-password");
    assert!(places.contains("/etc/shadow"), "{places}");
    assert!(
        seen(&analysis, "boot-unsigned").contains("image.bin / boot:/device.fit: configuration `conf-1`")
    );
    let words = seen(&analysis, "cmdline-dangerous");
    assert!(words.contains("boot:/CMDLINE.TXT: `init=/bin/sh`"), "{words}");
    assert!(words.contains("boot:/EFI/BOOT/grub.cfg: `mitigations=off`"), "{words}");
    let kinds: Vec<&str> = analysis.parts.iter().map(|part| part.kind.as_str()).collect();
    assert!(kinds.contains(&"files (FAT)") && kinds.contains(&"a kernel"), "{kinds:?}");
    for rule in ["not-understood", "broken", "limit"] {
        assert!(!rules(&analysis).contains(&rule), "{rule}");
    }
    // It may be the whole image, or lie in another.
    let inner = fat(&[("boot.img", &fat(&[("a.fit", &fit(b"x", "none"))])[..800_000])]);
    let analysis = analyzed(&inner);
    assert!(seen(&analysis, "broken").contains("/boot.img: FAT: boot sector"), "{:?}", rules(&analysis));
    assert!(rules(&analyzed(&boot())).contains(&"boot-unsigned"));
}

#[test]
fn a_boot_loader_in_a_fat_partition_is_found_and_what_is_unknown_is_said() {
    let loader = b"\x01\x02U-Boot 2024.01 (Jan 01 2024)\0bootcmd=run distro\0bootdelay=3\0".repeat(2);
    let noise: Vec<u8> = (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let analysis = analyzed(&fat(&[("u-boot.bin", &loader), ("firmware.dat", &noise), ("readme", b"text")]));
    assert_eq!(analysis.boot_loaders[0].version, "2024.01");
    let told = seen(&analysis, "not-understood");
    assert!(told.contains("/firmware.dat: 100000 bytes") && !told.contains("readme"), "{told}");
}

/// A script of U-Boot in the form of `mkimage -T script`.
fn script(text: &str) -> Vec<u8> {
    let payload = [&(text.len() as u32).to_be_bytes()[..], &[0; 4], text.as_bytes()].concat();
    let mut image = vec![0; 64];
    image[..4].copy_from_slice(&[0x27, 0x05, 0x19, 0x56]);
    image[12..16].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    image[24..28].copy_from_slice(&image::disk::crc32(&payload).to_be_bytes());
    image[30] = 6;
    let sum = image::disk::crc32(&image);
    image[4..8].copy_from_slice(&sum.to_be_bytes());
    image.extend(payload);
    image
}

#[test]
fn a_script_of_the_boot_loader_is_read_for_what_it_sets() {
    let text = "# made by hand\nsetenv bootargs console=ttyS0 init=/bin/sh; bootm\n";
    let analysis = analyzed(&fat(&[("boot.scr", &script(text))]));
    assert!(seen(&analysis, "cmdline-dangerous").contains("/boot.scr: `init=/bin/sh`"));
    assert!(seen(&analysis, "boot-environment").contains("/boot.scr: bootcmd=setenv bootargs"));
    for rule in ["not-understood", "broken"] {
        assert!(!rules(&analysis).contains(&rule), "{rule}");
    }
    // What only says that it is one.
    let mut noise = script("x");
    noise.truncate(64);
    noise[12..16].copy_from_slice(&4_u32.to_be_bytes());
    noise.extend([1, 2, 3, 4]);
    assert!(rules(&analyzed(&fat(&[("boot.scr", &noise)]))).contains(&"not-understood"));
}

#[test]
fn a_broken_fat_partition_is_said_and_never_clean() {
    let good = boot();
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut volume = good.clone();
        change(&mut volume);
        seen(&analyzed(&gpt_disk(&[("boot", &volume), ("rest", &root_cpio())])), "broken")
    };
    let half = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let table = half(14) * 512;
    for (expected, change) in [
        // Larger than its partition.
        ("do not fit into 1048576 bytes", &(|v: &mut Vec<u8>| v[19..21].fill(0xff)) as &dyn Fn(&mut Vec<u8>)),
        ("a power of two of them a cluster", &|v| v[13] = 3),
        ("the two copies differ", &|v| v[table + 40] ^= 1),
    ] {
        let said = broken(change);
        assert!(said.contains("image.bin / boot: FAT: ") && said.contains(expected), "{expected}: {said}");
    }
    // A folder that is itself.
    let folder = (0..good.len()).step_by(32).find(|at| good[*at..].starts_with(b"BOOT       \x10")).unwrap();
    let outer = (0..good.len()).step_by(32).find(|at| good[*at..].starts_with(b"EFI        \x10")).unwrap();
    let said = broken(&|v| v.copy_within(outer + 26..outer + 28, folder + 26));
    assert!(said.contains("which is part of another or of itself"), "{said}");
    // A file that says it is larger than the disk: that one alone is broken.
    let fit = (0..good.len()).step_by(32).find(|at| good[*at..].starts_with(b"DEVICE  FIT")).unwrap();
    let mut large = good.clone();
    large[fit + 28..fit + 32].fill(0xff);
    let analysis = analyzed(&large);
    assert!(
        seen(&analysis, "limit").contains("/device.fit") || seen(&analysis, "broken").contains("/device.fit")
    );
    assert!(seen(&analysis, "cmdline-dangerous").contains("/CMDLINE.TXT"));
}
