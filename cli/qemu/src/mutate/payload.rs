//! The attacker's code in the forms in which a boot loader could be made to start it.
//!
//! The code writes [`MARKER`] to the serial port of the machine and stops: if it ever runs,
//! the console says so. It does nothing else, and runs on the emulated machine only.

use std::collections::BTreeMap;

use diag::Outcome;
use spec::Architecture;

use super::unfit;

/// What the attacker's code writes when it runs.
pub const MARKER: &str = "FASTNESS-ATTACKER";
/// `IH_TYPE_KERNEL` of U-Boot's `include/image.h`.
pub(super) const LEGACY_KERNEL: u8 = 2;
/// `IH_TYPE_SCRIPT` of U-Boot's `include/image.h`.
pub(super) const LEGACY_SCRIPT: u8 = 6;

/// A64 instructions that write the text behind them to the PL011 at 0x0900_0000 (QEMU
/// `hw/arm/virt.c`, `VIRT_UART`) and then wait for ever.
const A64: [u32; 8] = [
    0xd2a1_2000, // movz x0, #0x900, lsl #16
    0x1000_00e1, // adr  x1, text (28 bytes on)
    0x3840_1422, // ldrb w2, [x1], #1
    0x3400_0062, // cbz  w2, two instructions behind the loop
    0xb900_0002, // str  w2, [x0]
    0x17ff_fffd, // b    ldrb
    0xd503_205f, // wfe
    0x17ff_ffff, // b    wfe
];

/// The same in A32 instructions.
const A32: [u32; 8] = [
    0xe3a0_0409, // mov   r0, #0x09000000
    0xe28f_1014, // adr   r1, text (28 bytes on)
    0xe4d1_2001, // ldrb  r2, [r1], #1
    0xe352_0000, // cmp   r2, #0
    0x1580_2000, // strne r2, [r0]
    0x1aff_fffb, // bne   ldrb
    0xe320_f002, // wfe
    0xeaff_fffd, // b     wfe
];

/// The same in RV64I instructions, by the supervisor's binary interface (RISC-V SBI 2.0, 5.2, "Console Putchar"): it runs behind
/// OpenSBI, whose serial port differs between machines.
const RV64: [u32; 10] = [
    0x0000_0497, // auipc s1, 0
    0x0284_8493, // addi  s1, s1, 40 (text)
    0x0004_c503, // lbu   a0, 0(s1)
    0x0005_0a63, // beqz  a0, wfi
    0x0014_8493, // addi  s1, s1, 1
    0x0010_0893, // li    a7, 1
    0x0000_0073, // ecall
    0xfedf_f06f, // j     lbu
    0x1050_0073, // wfi
    0xffdf_f06f, // j     wfi
];

fn code(architecture: Architecture) -> Vec<u8> {
    let words = match architecture {
        Architecture::Arm => &A32[..],
        Architecture::Arm64 => &A64,
        Architecture::Riscv => &RV64,
    };
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    out.extend_from_slice(format!("\r\n{MARKER}\r\n\0").as_bytes());
    out
}

/// A raw kernel with the code: what `booti` starts on arm64 and RISC-V, and `bootz` on arm.
#[must_use]
pub fn raw_kernel(architecture: Architecture) -> Vec<u8> {
    match architecture {
        Architecture::Arm => zimage(),
        Architecture::Arm64 => arm64_image(),
        Architecture::Riscv => riscv_image(),
    }
}

/// The header of Linux `Documentation/arch/riscv/boot-image-header.rst`, and the code.
fn riscv_image() -> Vec<u8> {
    let code = code(Architecture::Riscv);
    let size = (64 + code.len() as u64).next_multiple_of(4096);
    let mut out = Vec::new();
    out.extend_from_slice(&0x0400_006fu32.to_le_bytes()); // j 64 bytes on
    out.extend_from_slice(&0u32.to_le_bytes());
    for field in [0x20_0000, size, 0, 2, 0] {
        out.extend_from_slice(&field.to_le_bytes()); // text_offset, image_size, flags, version 0.2, reserved
    }
    out.extend_from_slice(b"RISCV\0\0\0RSC\x05");
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&code);
    out.resize(usize::try_from(size).unwrap_or(4096), 0);
    out
}

/// The header of Linux `Documentation/arch/arm64/booting.rst`, 4, and the code.
fn arm64_image() -> Vec<u8> {
    let code = code(Architecture::Arm64);
    let size = (64 + code.len() as u64).next_multiple_of(4096);
    let mut out = Vec::new();
    out.extend_from_slice(&0x1400_0010u32.to_le_bytes()); // b 64 bytes on
    out.extend_from_slice(&0u32.to_le_bytes());
    for field in [0, size, 0b1010, 0, 0, 0] {
        out.extend_from_slice(&field.to_le_bytes()); // text_offset, image_size, flags, reserved
    }
    out.extend_from_slice(b"ARM\x64");
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&code);
    out.resize(usize::try_from(size).unwrap_or(4096), 0);
    out
}

/// The header of Linux `arch/arm/boot/compressed/head.S` (`bootz` looks at its three words), and the code.
fn zimage() -> Vec<u8> {
    const NOP: u32 = 0xe1a0_0000;
    let code = code(Architecture::Arm);
    let size = (64 + code.len()).next_multiple_of(4096);
    let mut words = vec![NOP; 8];
    words.push(0xea00_0006); // b 32 bytes on
    words.extend([0x016f_2818, 0, u32::try_from(size).unwrap_or(4096), 0x0403_0201]); // magic, start, end, byte order
    words.resize(16, NOP);
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    out.extend_from_slice(&code);
    out.resize(size, 0);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A legacy uImage (U-Boot `include/image.h`, `struct legacy_img_hdr`): Linux, uncompressed.
pub(super) fn legacy_image(architecture: Architecture, kind: u8, data: &[u8], address: u32) -> Vec<u8> {
    let arch = match architecture {
        Architecture::Arm => 2,    // IH_ARCH_ARM
        Architecture::Arm64 => 22, // IH_ARCH_ARM64
        Architecture::Riscv => 26, // IH_ARCH_RISCV
    };
    let mut header = [0u8; 64];
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let words = [(0, 0x2705_1956), (12, size), (16, address), (20, address), (24, crc32(data))];
    for (at, value) in words {
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    header[28..32].copy_from_slice(&[5, arch, kind, 0]); // IH_OS_LINUX, architecture, type, IH_COMP_NONE
    header[32..40].copy_from_slice(b"attacker");
    let crc = crc32(&header);
    header[4..8].copy_from_slice(&crc.to_be_bytes());
    [&header[..], data].concat()
}

/// The content of a legacy script: its size, an end of the size list, the text.
pub(super) fn legacy_script(text: &str) -> Vec<u8> {
    let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &[0; 4], text.as_bytes()].concat()
}

/// An EFI program with one section (Microsoft PE format; UEFI 2.10, 2.1.1): PE32+ on 64 bits, PE32 on 32.
pub(super) fn efi_program(architecture: Architecture) -> Vec<u8> {
    const FILE_ALIGNMENT: u32 = 0x200;
    const SECTION: u32 = 0x1000;
    let wide = architecture.bits() == 64;
    // Machine, size of the optional header, characteristics (executable, stripped, 32 bits).
    let (machine, optional, characteristics) = match architecture {
        Architecture::Arm => (0x01c2u16, 224u16, 0x0306u16),
        Architecture::Arm64 => (0xaa64, 240, 0x0206),
        Architecture::Riscv => (0x5064, 240, 0x0206),
    };
    let mut out = vec![0u8; 0x40];
    out[..2].copy_from_slice(b"MZ");
    out[0x3c] = 0x40;
    out.extend_from_slice(b"PE\0\0");
    for half in [machine, 1, 0, 0, 0, 0, 0, 0, optional, characteristics] {
        out.extend_from_slice(&half.to_le_bytes()); // machine, sections, stamp, symbols, sizes, characteristics
    }
    out.extend_from_slice(&[0x0b, if wide { 0x02 } else { 0x01 }, 0, 0]); // magic, linker
    for word in [FILE_ALIGNMENT, 0, 0, SECTION, SECTION] {
        out.extend_from_slice(&word.to_le_bytes()); // code, data, bss, entry, base of code
    }
    if wide {
        out.extend_from_slice(&0x1_4000_0000u64.to_le_bytes()); // image base
    } else {
        out.extend_from_slice(&0u32.to_le_bytes()); // base of data
        out.extend_from_slice(&0x40_0000u32.to_le_bytes()); // image base
    }
    for word in [SECTION, FILE_ALIGNMENT, 0, 0, 0, 0, 2 * SECTION, FILE_ALIGNMENT, 0] {
        out.extend_from_slice(&word.to_le_bytes()); // alignments, versions, sizes, checksum
    }
    out.extend_from_slice(&[10, 0, 0, 0]); // EFI application
    out.resize(out.len() + if wide { 36 } else { 20 }, 0); // stack, heap, loader flags
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&[0; 128]); // directories
    out.extend_from_slice(b".text\0\0\0");
    for word in [FILE_ALIGNMENT, SECTION, FILE_ALIGNMENT, FILE_ALIGNMENT, 0, 0, 0, 0x6000_0020] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.resize(FILE_ALIGNMENT as usize, 0);
    out.extend_from_slice(&code(architecture));
    out.resize(2 * FILE_ALIGNMENT as usize, 0);
    out
}

/// A saved environment as U-Boot writes it (`include/env_internal.h`, `env_t` without redundancy):
/// CRC-32 of the data in the machine's byte order, then `name=value` strings.
pub(super) fn saved_environment(variables: &BTreeMap<String, String>, bytes: usize) -> Outcome<Vec<u8>> {
    let mut data = Vec::new();
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(unfit(format!(
                "`{}` is no variable's name or its value has a NUL",
                name.escape_debug()
            )));
        }
        data.extend_from_slice(format!("{name}={value}\0").as_bytes());
    }
    if !(64..=1 << 20).contains(&bytes) || data.len() + 5 > bytes {
        return Err(unfit(format!(
            "expected 64 bytes to 1 MiB for an environment of {} bytes, found {bytes}",
            data.len() + 5
        )));
    }
    data.resize(bytes - 4, 0);
    Ok([&crc32(&data).to_le_bytes()[..], &data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    use Architecture::{Arm, Arm64, Riscv};

    #[test]
    fn an_arm64_image_starts_with_a_branch_to_its_code() {
        let image = raw_kernel(Arm64);
        assert_eq!((image.len(), &image[56..60]), (4096, &b"ARM\x64"[..]));
        // `b` counts in words: 0x10 words are the header's 64 bytes.
        assert_eq!(image[..4], [0x10, 0, 0, 0x14]);
        // `adr` counts from itself (64 + 4) to the text behind the eight instructions (64 + 32).
        assert_eq!(&image[64 + 4 + 28..][..2], b"\r\n");
        assert_eq!(image[64..68], [0x00, 0x20, 0xa1, 0xd2]);
    }

    #[test]
    fn an_arm_image_branches_over_its_header_to_its_code() {
        let image = raw_kernel(Arm);
        // What `bootz` wants: the magic, and the end of what it would start.
        assert_eq!(image[0x24..0x28], 0x016f_2818u32.to_le_bytes());
        assert_eq!((image.len(), &image[0x2c..0x30]), (4096, &4096u32.to_le_bytes()[..]));
        // A branch counts in words from two instructions on: 0x20 + 8 + 6 * 4 is 64.
        assert_eq!(image[0x20..0x24], 0xea00_0006u32.to_le_bytes());
        assert_eq!(image[64..68], 0xe3a0_0409u32.to_le_bytes());
        // `adr` adds 20 to 64 + 4 + 8.
        assert_eq!(&image[64 + 12 + 20..][..2], b"\r\n");
    }

    #[test]
    fn a_riscv_image_jumps_over_its_header_to_its_code() {
        let image = raw_kernel(Riscv);
        assert_eq!((image.len(), &image[56..60]), (4096, &b"RSC\x05"[..]));
        assert_eq!(image[48..56], *b"RISCV\0\0\0");
        // `jal x0`: the 64 bytes of the header stand in bits 21 to 30, in half-words.
        assert_eq!(image[..4], 0x0400_006fu32.to_le_bytes());
        // `addi` adds 40 to the address of `auipc` (64): the text behind the ten instructions.
        assert_eq!(&image[64 + 40..][..2], b"\r\n");
        assert_eq!(image[64..68], 0x0000_0497u32.to_le_bytes());
    }

    #[test]
    fn a_legacy_image_has_the_checksums_that_mkimage_makes() {
        let image = legacy_image(Arm64, LEGACY_KERNEL, b"data", 0x4040_0000);
        assert_eq!(&image[64..], b"data");
        assert_eq!(image[24..28], crc32(b"data").to_be_bytes());
        let mut header = image[..64].to_vec();
        let crc: Vec<u8> = header.splice(4..8, [0; 4]).collect();
        assert_eq!(crc, crc32(&header).to_be_bytes());
        assert_eq!(legacy_script("ab"), [0, 0, 0, 2, 0, 0, 0, 0, b'a', b'b']);
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn mkimage_accepts_the_legacy_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uImage");
        for (architecture, words) in [
            (Arm64, "AArch64 Linux Kernel Image"),
            (Arm, "Image Type:   ARM Linux Kernel Image"),
            (Riscv, "RISC-V Linux Kernel Image"),
        ] {
            std::fs::write(&path, legacy_image(architecture, LEGACY_KERNEL, b"data", 0)).unwrap();
            let output = match std::process::Command::new("mkimage").arg("-l").arg(&path).output() {
                Ok(output) => output,
                Err(error) => {
                    assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "mkimage: {error}");
                    eprintln!("SKIPPED: mkimage (u-boot-tools) is not installed");
                    return;
                }
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.contains(words), "{text}");
        }
    }

    #[test]
    fn an_efi_program_is_read_as_one() {
        let pe = 0x40;
        for (architecture, machine, magic, optional) in [
            (Arm64, [0x64u8, 0xaa], [0x0bu8, 0x02], 240),
            (Arm, [0xc2, 0x01], [0x0b, 0x01], 224),
            (Riscv, [0x64, 0x50], [0x0b, 0x02], 240),
        ] {
            let program = efi_program(architecture);
            assert_eq!(&program[pe..pe + 4], b"PE\0\0");
            assert_eq!(program[pe + 4..pe + 6], machine);
            // Optional header: its magic, subsystem 10 at offset 68, and the section behind it.
            assert_eq!(program[pe + 24..pe + 26], magic);
            assert_eq!(program[pe + 24 + 68], 10);
            assert_eq!(&program[pe + 24 + optional..][..5], b".text");
            assert_eq!(program[0x200..0x220], code(architecture)[..0x20]);
        }
    }

    #[test]
    fn a_saved_environment_has_its_checksum_and_nothing_else() {
        let variables = BTreeMap::from([("verify".to_owned(), "n".to_owned())]);
        let environment = saved_environment(&variables, 128).unwrap();
        assert_eq!(environment.len(), 128);
        assert_eq!(environment[..4], crc32(&environment[4..]).to_le_bytes());
        assert_eq!(&environment[4..14], b"verify=n\0\0");
        assert!(saved_environment(&variables, 4).is_err());
        let bad = BTreeMap::from([("a=b".to_owned(), String::new())]);
        assert!(saved_environment(&bad, 128).unwrap_err().to_string().contains("`a=b`"));
    }
}
