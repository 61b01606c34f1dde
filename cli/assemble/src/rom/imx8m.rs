//! NXP's image vector table and boot data in front of SPL, and the place behind it for what NXP's tool signs (HABv4).
//!
//! Facts: U-Boot `tools/imx8mimage.c` and `include/imximage.h`. The boot ROM of version 1 (i.MX 8M, 8M Mini) wants the table 1 KiB
//! behind where it begins to read, and counts that kibibyte.

use super::{put, word};

/// Bytes of the table, the boot data and what is left of 64.
pub const HEADER: usize = 64;
/// What the boot ROM reads in front of the table.
const IN_FRONT: u32 = 0x400;
/// To which the program is filled up.
const SECTOR: u32 = 512;
/// Room for the command sequence file that NXP's tool makes.
const SIGNATURE: u32 = 0x2000;
/// Largest program: sums of addresses and sizes stay in 32 bits.
const LARGEST: u32 = 1 << 30;

/// The header of a program of so many bytes, which runs at `address`.
pub fn header(bytes: u32, address: u32) -> Option<Vec<u8>> {
    let own = address.checked_sub(HEADER as u32)?;
    let start = own.checked_sub(IN_FRONT)?;
    let program = program(bytes)?;
    let end = start.checked_add(program)?;
    end.checked_add(SIGNATURE)?;
    let mut header = vec![0; HEADER];
    // Tag, length (big-endian) and version 4.1.
    header[..4].copy_from_slice(&[0xd1, 0, 32, 0x41]);
    put(&mut header, 4, address);
    put(&mut header, 16, own + 32);
    put(&mut header, 20, own);
    put(&mut header, 24, end);
    put(&mut header, 32, start);
    put(&mut header, 36, program + SIGNATURE);
    Some(header)
}

/// What the boot ROM counts up to where the signature begins.
fn program(bytes: u32) -> Option<u32> {
    (bytes <= LARGEST).then(|| (bytes + HEADER as u32 + IN_FRONT).next_multiple_of(SECTOR))
}

/// Zeroes behind a program of so many bytes: up to a sector's end, and where the signature will be.
pub fn tail(bytes: u32) -> usize {
    let filled = program(bytes).unwrap_or_default() - IN_FRONT - HEADER as u32;
    (filled - bytes + SIGNATURE) as usize
}

/// Bytes of the program that a header tells of, filled up to a sector's end.
///
/// # Errors
/// When the header is cut off, or tells of less than what is always there.
pub fn program_bytes(bytes: &[u8]) -> Result<u32, String> {
    let told = word(bytes, 36)?;
    let rest = IN_FRONT + HEADER as u32 + SIGNATURE;
    told.checked_sub(rest).ok_or_else(|| {
        format!("the boot ROM's header tells of {told} bytes, and {rest} are not the program's")
    })
}
