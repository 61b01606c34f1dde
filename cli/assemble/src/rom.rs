//! What a boot ROM wants around SPL, and the way back. No code of a board runs here, and nothing here signs: where a boot ROM verifies,
//! a person signs what this writes with the maker's tool (`fastness boards NAME`).
//!
//! Facts of the formats: AM335x TRM (TI SPRUH73), 26.1.9 and 26.1.10; U-Boot `tools/omapimage.c`, `tools/stm32image.c`,
//! `tools/sfspl.c`. Byte for byte what `mkimage` of U-Boot 2025.01 writes, which a test compares.

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

/// SPL as the boot ROM wants it.
///
/// # Errors
/// When SPL or its address cannot be told in the header's 32 bits.
pub fn wrap(rom: &RomFacts, spl: &[u8]) -> Outcome<Vec<u8>> {
    let (bytes, address) = match (u32::try_from(spl.len()), u32::try_from(rom.address)) {
        (Ok(bytes @ 1..=0x7fff_ffff), Ok(address)) => (bytes, address),
        _ => {
            let message = format!(
                "expected an SPL and an address of 32 bits for the boot ROM's header, found {} bytes at {:#x}",
                spl.len(),
                rom.address
            );
            return Err(Failure::error(ExitStatus::Input, "rom-header", message)
                .hint("change `boot.spl.rom` of the board"));
        }
    };
    let header = match Format::of(&rom.format)? {
        Format::TiGp => ti(bytes, address),
        Format::Stm32 => stm32(spl, bytes, address),
        Format::Starfive => starfive(spl, bytes),
    };
    Ok([&header, spl].concat())
}

/// SPL out of what a boot ROM reads, if the boot ROM would take it: its header's length, address and sum fit.
///
/// # Errors
/// What does not fit.
pub fn unwrap<'a>(rom: &RomFacts, bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let format = Format::of(&rom.format).map_err(|failure| failure.to_string())?;
    let (header, length) = match format {
        // The size counts the eight bytes of the header, too.
        Format::TiGp => (TI_HEADER, word(bytes, TI_CONFIGURATION)?.saturating_sub(8)),
        Format::Stm32 => (STM32_HEADER, word(bytes, 76)?),
        Format::Starfive => (STARFIVE_HEADER, word(bytes, STARFIVE_FIELDS + 4)?),
    };
    let spl = bytes.get(header..).and_then(|rest| rest.get(..length as usize)).filter(|spl| !spl.is_empty());
    let spl =
        spl.ok_or_else(|| format!("the boot ROM's header tells of {length} bytes, and they are not there"))?;
    let expected = wrap(rom, spl).map_err(|failure| failure.to_string())?;
    if bytes[..header] == expected[..header] {
        Ok(spl)
    } else {
        Err("the boot ROM's header is not that of this SPL".to_owned())
    }
}

enum Format {
    TiGp,
    Stm32,
    Starfive,
}

impl Format {
    fn of(name: &str) -> Outcome<Self> {
        Ok(match name {
            "ti-gp" => Self::TiGp,
            "stm32" => Self::Stm32,
            "starfive" => Self::Starfive,
            other => {
                let message = format!(
                    "expected `ti-gp`, `stm32` or `starfive` as the boot ROM's format, found `{other}`"
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
        RomFacts { format: format.into(), address: 0x402f_0400, places: vec![] }
    }

    #[test]
    fn what_a_boot_rom_takes_is_the_spl_that_was_wrapped() {
        for (format, header) in [("ti-gp", TI_HEADER), ("stm32", STM32_HEADER), ("starfive", STARFIVE_HEADER)]
        {
            let rom = rom(format);
            let spl: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
            let mut wrapped = wrap(&rom, &spl).unwrap();
            assert_eq!(wrapped.len(), header + spl.len(), "{format}");
            // What is behind it on the disk is no part of it.
            wrapped.extend([0; 100]);
            assert_eq!(unwrap(&rom, &wrapped).unwrap(), spl, "{format}");
            for (at, expected) in [(0, "is not that of this SPL"), (header - 1, "is not that of this SPL")] {
                let mut bad = wrapped.clone();
                bad[at] ^= 1;
                let why = unwrap(&rom, &bad).unwrap_err();
                assert!(why.contains(expected), "{format} {at}: {why}");
            }
            // A sum covers SPL, where the format has one.
            let mut bad = wrapped.clone();
            bad[header + 10] ^= 1;
            assert_eq!(unwrap(&rom, &bad).is_err(), format != "ti-gp", "{format}");
            assert!(
                unwrap(&rom, &wrapped[..header + 999]).unwrap_err().contains("are not there"),
                "{format}"
            );
            assert!(unwrap(&rom, &wrapped[..40]).unwrap_err().contains("cut off"), "{format}");
        }
    }

    #[test]
    fn u_boots_own_tool_writes_the_same_bytes() {
        if missing_tool("mkimage") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let spl: Vec<u8> = (0..1001_u32).map(|i| (i % 253) as u8).collect();
        std::fs::write(folder.path().join("spl"), &spl).unwrap();
        for (format, kind) in [("ti-gp", "omapimage"), ("stm32", "stm32image"), ("starfive", "sfspl")] {
            let status = std::process::Command::new("mkimage")
                .args(["-T", kind, "-a", "0x402f0400", "-e", "0x402f0400", "-d", "spl", "out"])
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
            assert_eq!(wrap(&rom(format), &spl).unwrap(), written, "{format}");
        }
    }

    #[test]
    fn what_no_header_can_tell_is_refused() {
        for (rom, spl) in [(RomFacts { address: 1 << 32, ..rom("stm32") }, &[1][..]), (rom("ti-gp"), &[])] {
            let failure = wrap(&rom, spl).unwrap_err();
            assert_eq!(
                (failure.status, failure.diagnostics[0].code.as_ref()),
                (ExitStatus::Input, "rom-header")
            );
        }
        let text = wrap(&rom("other"), &[1]).unwrap_err().to_string();
        assert!(
            text.contains("expected `ti-gp`, `stm32` or `starfive` as the boot ROM's format, found `other`"),
            "{text}"
        );
    }
}
