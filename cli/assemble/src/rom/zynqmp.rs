//! Xilinx's boot header of the Zynq UltraScale+: the PMU firmware, then SPL.
//!
//! Facts: U-Boot `tools/zynqmpimage.c` and `tools/zynqmpimage.h`, which name AMD's UG1085, table 11-4. No register is initialised by it,
//! nothing is encrypted or signed: AMD's bootgen makes a signed one of the same programs.

use super::{put, word};

/// Bytes of the header.
pub const HEADER: usize = 0x9c0;
/// To which SPL is filled up, as U-Boot's build does (`scripts/Makefile.xpl`, `u-boot-spl-align.bin`).
const WORD: u32 = 4;
/// Words of the sum: from the width detection to the attributes.
const SUMMED: std::ops::Range<usize> = 0x20..0x48;

/// Zeroes behind an SPL of so many bytes.
pub fn tail(spl: u32) -> usize {
    (spl.next_multiple_of(WORD) - spl) as usize
}

/// The header of an SPL of so many bytes, which runs at `address`, behind a PMU firmware of so many (0: none).
pub fn header(firmware: u32, spl: u32, address: u32) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    for vector in 0..8 {
        put(&mut header, vector * 4, 0xeaff_fffe);
    }
    put(&mut header, 0x20, 0xaa99_5566);
    header[0x24..0x28].copy_from_slice(b"XNLX");
    put(&mut header, 0x2c, address);
    put(&mut header, 0x30, HEADER as u32);
    let spl = spl.next_multiple_of(WORD);
    for (at, bytes) in [(0x34, firmware), (0x38, firmware), (0x3c, spl), (0x40, spl)] {
        put(&mut header, at, bytes);
    }
    // 64 bits, on the first application processor.
    put(&mut header, 0x44, 2 << 10);
    let sum = header[SUMMED]
        .chunks_exact(4)
        .fold(0_u32, |sum, four| sum.wrapping_add(u32::from_le_bytes(four.try_into().unwrap_or_default())));
    put(&mut header, 0x48, !sum);
    // Registers to initialise: none.
    for pair in 0..256 {
        put(&mut header, 0xb8 + pair * 8, u32::MAX);
    }
    header
}

/// Bytes of PMU firmware and SPL that a header tells of.
///
/// # Errors
/// When the header is cut off.
pub fn sizes(bytes: &[u8]) -> Result<(u32, u32), String> {
    Ok((word(bytes, 0x34)?, word(bytes, 0x3c)?))
}
