//! Which slot U-Boot starts: the boot control block of a new disk.
//!
//! The form is Android's, which U-Boot reads by itself (`include/android_bootloader_message.h`, `boot/android_ab.c`, read at v2025.01):
//! 32 bytes, 2048 bytes behind the start of the partition `misc`, and a copy of them behind `ANDROID_AB_BACKUP_OFFSET`.

use image::disk::crc32;

/// Bytes of the block.
const BYTES: usize = 32;
/// Where it is in the partition, behind the messages to a recovery system that nothing here uses.
const OFFSET: usize = 2048;
/// Distance of the copy; the layer `update` asks for the same.
const BACKUP_OFFSET: usize = 4096;
/// Highest priority, all tries, and that it has proved itself.
const PROVED: u8 = 15 | 7 << 4 | 1 << 7;
/// Never chosen: slot b holds nothing yet.
const EMPTY: u8 = 0;

/// The block in which slot a is the one that starts, and slot b none.
fn first() -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(b"_a");
    block[4..8].copy_from_slice(b"BCAB");
    // Version, number of slots.
    (block[8], block[9]) = (1, 2);
    (block[12], block[14]) = (PROVED, EMPTY);
    let crc = crc32(&block[..BYTES - 4]);
    block[BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    block
}

/// The used part of a new partition `misc`.
pub fn misc() -> Vec<u8> {
    let mut bytes = vec![0; BACKUP_OFFSET + OFFSET + 512];
    for at in [OFFSET, BACKUP_OFFSET + OFFSET] {
        bytes[at..at + BYTES].copy_from_slice(&first());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_disk_starts_slot_a() {
        let bytes = misc();
        let block = &bytes[2048..2080];
        let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        // The sum is zlib's over the same 28 bytes.
        assert_eq!(hex, "5f6100004243414201020000ff000000000000000000000000000000600519d2");
        assert_eq!(bytes[4096 + 2048..4096 + 2080], *block);
    }
}
