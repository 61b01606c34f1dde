//! What a boot ROM wants around SPL, and the way back. No code of a board runs here, and nothing here signs: where a boot ROM verifies,
//! a person signs what this writes with the maker's tool (`fastness boards NAME`).
//!
//! Facts of the formats: AM335x TRM (TI SPRUH73), 26.1.9 and 26.1.10; U-Boot `tools/omapimage.c`, `tools/stm32image.c`,
//! `tools/sfspl.c`, `tools/imx8mimage.c`, `tools/zynqmpimage.c`. Byte for byte what `mkimage` of U-Boot 2025.01 writes, which a test compares.

mod imx8m;
mod zynqmp;

use diag::{ExitStatus, Failure, Outcome};
use image::disk::crc32;
use spec::plan::RomFacts;

/// Bytes of TI's configuration header.
const TI_CONFIGURATION: usize = 512;
/// Bytes in front of SPL: TI's configuration header, then size and address.
const TI_HEADER: usize = TI_CONFIGURATION + 8;
/// Bytes of ST's header.
const STM32_HEADER: usize = 256;
/// Bytes of StarFive's header.
const STARFIVE_HEADER: usize = 1024;
/// Where StarFive's own fields begin.
const STARFIVE_FIELDS: usize = 0x284;
/// Value of StarFive's field "version".
const STARFIVE_VERSION: u32 = 0x0101_0101;

/// SPL as the boot ROM wants it, behind a program of the board's maker where the format has one in front of it.
///
/// # Errors
/// When SPL or its address cannot be told in the header's 32 bits, or the format has no other program.
pub fn wrap(rom: &RomFacts, first: Option<&[u8]>, spl: &[u8]) -> Outcome<Vec<u8>> {
    let format = Format::of(&rom.format)?;
    if first.is_some() && !matches!(format, Format::Zynqmp) {
        let message =
            format!("expected the format `zynqmp` for a program in front of SPL, found `{}`", rom.format);
        return Err(Failure::error(ExitStatus::Input, "rom-header", message)
            .hint("take `boot.spl.rom.first` out of the board"));
    }
    let first = first.unwrap_or_default();
    let (bytes, address) = match (u32::try_from(spl.len()), u32::try_from(rom.address)) {
        (Ok(bytes @ 1..=0x7fff_ffff), Ok(address)) => (bytes, address),
        _ => return Err(cannot_tell(rom, spl)),
    };
    let (header, tail) = match format {
        Format::TiGp => (Some(ti(bytes, address)), 0),
        Format::Stm32 => (Some(stm32(spl, bytes, address)), 0),
        Format::Starfive => (Some(starfive(spl, bytes)), 0),
        Format::Imx8m => (imx8m::header(bytes, address), imx8m::tail(bytes)),
        Format::Zynqmp => {
            let firmware = u32::try_from(first.len()).ok();
            (firmware.map(|firmware| zynqmp::header(firmware, bytes, address)), zynqmp::tail(bytes))
        }
    };
    let header = header.ok_or_else(|| cannot_tell(rom, spl))?;
    let mut file = [&header, first, spl].concat();
    file.resize(file.len() + tail, 0);
    Ok(file)
}

fn cannot_tell(rom: &RomFacts, spl: &[u8]) -> Failure {
    let message = format!(
        "expected an SPL and an address of 32 bits for the boot ROM's header, found {} bytes at {:#x}",
        spl.len(),
        rom.address
    );
    Failure::error(ExitStatus::Input, "rom-header", message).hint("change `boot.spl.rom` of the board")
}

/// Bytes that the boot ROM puts into memory from SPL's address on.
///
/// # Errors
/// When there is no such format.
pub fn in_memory(rom: &RomFacts, spl: &[u8]) -> Outcome<u64> {
    let tail = match (Format::of(&rom.format)?, u32::try_from(spl.len())) {
        (Format::Imx8m, Ok(bytes)) => imx8m::tail(bytes),
        (Format::Zynqmp, Ok(bytes)) => zynqmp::tail(bytes),
        _ => 0,
    };
    Ok((spl.len() + tail) as u64)
}

/// SPL out of what a boot ROM reads, if the boot ROM would take it: its header's length, address and sum fit. Where the header
/// counts whole sectors, the zeroes of the last one are there, too.
///
/// # Errors
/// What does not fit.
pub fn unwrap<'a>(rom: &RomFacts, bytes: &'a [u8]) -> Result<Unwrapped<'a>, String> {
    let format = Format::of(&rom.format).map_err(|failure| failure.to_string())?;
    let (header, firmware, length) = match format {
        // The size counts the eight bytes of the header, too.
        Format::TiGp => (TI_HEADER, 0, word(bytes, TI_CONFIGURATION)?.saturating_sub(8)),
        Format::Stm32 => (STM32_HEADER, 0, word(bytes, 76)?),
        Format::Starfive => (STARFIVE_HEADER, 0, word(bytes, STARFIVE_FIELDS + 4)?),
        Format::Imx8m => (imx8m::HEADER, 0, imx8m::program_bytes(bytes)?),
        Format::Zynqmp => {
            let (firmware, length) = zynqmp::sizes(bytes)?;
            (zynqmp::HEADER, firmware, length)
        }
    };
    let behind = bytes.get(header..).and_then(|rest| rest.split_at_checked(firmware as usize));
    let spl = behind.and_then(|(_, rest)| rest.get(..length as usize)).filter(|spl| !spl.is_empty());
    let (Some((first, _)), Some(spl)) = (behind, spl) else {
        return Err(format!(
            "the boot ROM's header tells of {} bytes, and they are not there",
            u64::from(firmware) + u64::from(length)
        ));
    };
    let first = Some(first).filter(|first| !first.is_empty());
    let expected = wrap(rom, first, spl).map_err(|failure| failure.to_string())?;
    if bytes[..header] == expected[..header] {
        Ok(Unwrapped { first, spl })
    } else {
        Err("the boot ROM's header is not that of this SPL".to_owned())
    }
}

/// What a boot ROM takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// The maker's program in front of SPL.
    pub first: Option<&'a [u8]>,
    /// SPL, and what stands behind it.
    pub spl: &'a [u8],
}

enum Format {
    TiGp,
    Stm32,
    Starfive,
    Imx8m,
    Zynqmp,
}

impl Format {
    fn of(name: &str) -> Outcome<Self> {
        Ok(match name {
            "ti-gp" => Self::TiGp,
            "stm32" => Self::Stm32,
            "starfive" => Self::Starfive,
            "imx8m" => Self::Imx8m,
            "zynqmp" => Self::Zynqmp,
            other => {
                let message = format!(
                    "expected `ti-gp`, `stm32`, `starfive`, `imx8m` or `zynqmp` as the boot ROM's format, found `{other}`"
                );
                return Err(Failure::error(ExitStatus::Input, "rom-header", message)
                    .hint("generate the plan anew with this program"));
            }
        })
    }
}

/// A little-endian word.
fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or_else(|| "the boot ROM's header is cut off".to_owned())
}

fn put(header: &mut [u8], at: usize, value: u32) {
    header[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn ti(bytes: u32, address: u32) -> Vec<u8> {
    let mut header = vec![0; TI_HEADER];
    // Table of contents: one item, the settings behind the table, none of which is valid; then its end.
    put(&mut header, 0, 0x40);
    put(&mut header, 4, 12);
    header[20..30].copy_from_slice(b"CHSETTINGS");
    header[0x20..0x40].fill(0xff);
    put(&mut header, 0x40, 0xc0c0_c0c1);
    header[0x45] = 1;
    put(&mut header, TI_CONFIGURATION, bytes + 8);
    put(&mut header, TI_CONFIGURATION + 4, address);
    header
}

fn stm32(spl: &[u8], bytes: u32, address: u32) -> Vec<u8> {
    let mut header = vec![0; STM32_HEADER];
    header[..4].copy_from_slice(b"STM\x32");
    // The signature follows, zero until a person signs.
    put(&mut header, 68, spl.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte))));
    // Version 1.0.
    header[74] = 1;
    put(&mut header, 76, bytes);
    put(&mut header, 80, address);
    put(&mut header, 88, address);
    // Option: there is no signature. Algorithm: P-256.
    put(&mut header, 100, 1);
    put(&mut header, 104, 1);
    header
}

fn starfive(spl: &[u8], bytes: u32) -> Vec<u8> {
    let mut header = vec![0; STARFIVE_HEADER];
    put(&mut header, 0, 0x240);
    // Where a second copy would be; the boot ROM looks there when the first one's sum is wrong.
    put(&mut header, 4, 0x20_0000);
    put(&mut header, STARFIVE_FIELDS, STARFIVE_VERSION);
    put(&mut header, STARFIVE_FIELDS + 4, bytes);
    put(&mut header, STARFIVE_FIELDS + 8, STARFIVE_HEADER as u32);
    put(&mut header, STARFIVE_FIELDS + 12, crc32(spl));
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::missing_tool;

    fn rom(format: &str) -> RomFacts {
        RomFacts { format: format.into(), address: 0x402f_0400, end: None, first: None, places: vec![] }
    }

    #[test]
    fn what_a_boot_rom_takes_is_the_spl_that_was_wrapped() {
        for (format, header, tail) in [
            ("ti-gp", TI_HEADER, 0),
            ("stm32", STM32_HEADER, 0),
            ("starfive", STARFIVE_HEADER, 0),
            // 1000, 64 and 1024 bytes are 2088: five sectors; then 8 KiB for a signature.
            ("imx8m", imx8m::HEADER, 2560 - 2088 + 8192),
            ("zynqmp", zynqmp::HEADER, 0),
        ] {
            let rom = rom(format);
            let spl: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
            let mut wrapped = wrap(&rom, None, &spl).unwrap();
            assert_eq!(wrapped.len(), header + spl.len() + tail, "{format}");
            assert_eq!(in_memory(&rom, &spl).unwrap(), (spl.len() + tail) as u64, "{format}");
            // What is behind it on the disk is no part of it.
            wrapped.extend([0; 100]);
            let found = unwrap(&rom, &wrapped).unwrap();
            assert_eq!(found.first, None, "{format}");
            let filling = found.spl.strip_prefix(&spl[..]).unwrap();
            assert!(filling.len() < 512 && filling.iter().all(|byte| *byte == 0), "{format}");
            for (at, expected) in [(0, "is not that of this SPL"), (header - 1, "is not that of this SPL")] {
                let mut bad = wrapped.clone();
                bad[at] ^= 1;
                let why = unwrap(&rom, &bad).unwrap_err();
                assert!(why.contains(expected), "{format} {at}: {why}");
            }
            // A sum covers SPL, where the format has one.
            let mut bad = wrapped.clone();
            bad[header + 10] ^= 1;
            let has_sum = matches!(format, "stm32" | "starfive");
            assert_eq!(unwrap(&rom, &bad).is_err(), has_sum, "{format}");
            assert!(
                unwrap(&rom, &wrapped[..header + 999]).unwrap_err().contains("are not there"),
                "{format}"
            );
            assert!(unwrap(&rom, &wrapped[..38]).unwrap_err().contains("cut off"), "{format}");
        }
        let why = unwrap(&rom("imx8m"), &[0; 64]).unwrap_err();
        assert!(why.contains("tells of 0 bytes, and 9280 are not the program's"), "{why}");
    }

    #[test]
    fn u_boots_own_tool_writes_the_same_bytes() {
        if missing_tool("mkimage") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let spl: Vec<u8> = (0..1001_u32).map(|i| (i % 253) as u8).collect();
        std::fs::write(folder.path().join("spl"), &spl).unwrap();
        let table = "ROM_VERSION v1\nBOOT_FROM sd\nLOADER spl 0x402f0400\n";
        std::fs::write(folder.path().join("table"), table).unwrap();
        let addresses = &["-a", "0x402f0400", "-e", "0x402f0400"][..];
        for (format, kind, more) in [
            ("ti-gp", "omapimage", addresses),
            ("stm32", "stm32image", addresses),
            ("starfive", "sfspl", addresses),
            ("imx8m", "imx8mimage", &["-n", "table"]),
        ] {
            let status = std::process::Command::new("mkimage")
                .args(["-T", kind])
                .args(more)
                .args(["-d", "spl", "out"])
                .current_dir(folder.path())
                .output()
                .unwrap();
            if !status.status.success() && kind == "sfspl" {
                // Newer than Debian 12's release 2023.01.
                #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
                {
                    eprintln!("SKIPPED: this mkimage does not know `sfspl`");
                }
                continue;
            }
            assert!(status.status.success(), "{status:?}");
            let written = std::fs::read(folder.path().join("out")).unwrap();
            assert_eq!(wrap(&rom(format), None, &spl).unwrap(), written, "{format}");
        }
        // As U-Boot's build gives it: SPL filled up to words, with and without the PMU firmware in front of it.
        let filled = [&spl[..], &[0; 3]].concat();
        std::fs::write(folder.path().join("filled"), &filled).unwrap();
        let firmware: Vec<u8> = (0..332_u32).map(|i| (i % 241) as u8).collect();
        std::fs::write(folder.path().join("firmware"), &firmware).unwrap();
        let rom = rom("zynqmp");
        for (first, more) in [(None, &[][..]), (Some(&firmware[..]), &["-n", "firmware"])] {
            let status = std::process::Command::new("mkimage")
                .args(["-T", "zynqmpimage", "-e", "0x402f0400"])
                .args(more)
                .args(["-d", "filled", "out"])
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(status.status.success(), "{status:?}");
            let written = std::fs::read(folder.path().join("out")).unwrap();
            assert_eq!(wrap(&rom, first, &spl).unwrap(), written);
            assert_eq!(unwrap(&rom, &written).unwrap(), Unwrapped { first, spl: &filled[..] });
        }
    }

    #[test]
    fn what_no_header_can_tell_is_refused() {
        for (rom, spl) in [
            (RomFacts { address: 1 << 32, ..rom("stm32") }, &[1][..]),
            (rom("ti-gp"), &[]),
            // There is memory in front of it for the header.
            (RomFacts { address: 0x400, ..rom("imx8m") }, &[1]),
        ] {
            let failure = wrap(&rom, None, spl).unwrap_err();
            assert_eq!(
                (failure.status, failure.diagnostics[0].code.as_ref()),
                (ExitStatus::Input, "rom-header")
            );
        }
        let text = wrap(&rom("stm32"), Some(&[1]), &[1]).unwrap_err().to_string();
        assert!(
            text.contains("expected the format `zynqmp` for a program in front of SPL, found `stm32`"),
            "{text}"
        );
        let text = wrap(&rom("other"), None, &[1]).unwrap_err().to_string();
        assert!(
            text.contains("expected `ti-gp`, `stm32`, `starfive`, `imx8m` or `zynqmp` as the boot ROM's format, found `other`"),
            "{text}"
        );
    }
}
