//! What bytes are that nothing here reads, so that a refusal and a list of partitions can name them.

use image::Source;

/// Magic numbers by offset, from the formats' own headers.
const KNOWN: [(u64, &[u8], &str); 22] = [
    (0, b"UBI#", "a UBI image"),
    (0, b"\x31\x18\x10\x06", "a UBIFS file system"),
    (0, b"\x85\x19", "a JFFS2 file system"),
    (0, b"\x19\x85", "a JFFS2 file system"),
    (0, b"\x45\x3d\xcd\x28", "a cramfs file system"),
    (0, b"-rom1fs-", "a romfs file system"),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS file system"),
    (1024, b"\x10\x20\xf5\xf2", "an F2FS file system"),
    (0x1_0040, b"_BHRfS_M", "a btrfs file system"),
    (0, b"XFSB", "an XFS file system"),
    (0x8001, b"CD001", "an ISO 9660 file system"),
    (4086, b"SWAPSPACE2", "swap space"),
    (54, b"FAT", "a FAT file system"),
    (82, b"FAT32", "a FAT file system"),
    (3, b"EXFAT", "an exFAT file system"),
    (0, b"LUKS\xba\xbe", "a LUKS volume"),
    (0, b"QFI\xfb", "a QCOW2 disk"),
    (0, b"ANDROID!", "an Android boot image"),
    (0, b"\x27\x05\x19\x56", "a legacy U-Boot image (uImage)"),
    (56, b"ARM\x64", "an arm64 kernel"),
    (0x24, b"\x18\x28\x6f\x01", "an ARM kernel (zImage)"),
    (0x202, b"HdrS", "an x86 kernel (bzImage)"),
];

/// Bytes of a partition that are read to call it empty.
const BLANK_LIMIT: u64 = 64 << 20;
const STEP: u64 = 1 << 20;

/// The name of a format that is known and not read.
pub fn known(source: &Source) -> Option<&'static str> {
    let has =
        |at: u64, magic: &[u8]| source.read_vec(at, magic.len() as u64).is_ok_and(|found| found == magic);
    KNOWN.iter().find(|(at, magic, _)| has(*at, magic)).map(|(_, _, name)| *name)
}

/// Whether all of it is as storage to which nothing was written; of a larger one nobody knows.
pub fn blank(source: &Source) -> bool {
    if source.len() > BLANK_LIMIT {
        return false;
    }
    (0..source.len().div_ceil(STEP)).all(|step| {
        let at = step * STEP;
        let piece = source.read_vec(at, STEP.min(source.len() - at)).unwrap_or_else(|_| vec![1]);
        piece.first().is_some_and(|first| matches!(first, 0 | 0xff) && piece.iter().all(|byte| byte == first))
    })
}

/// What to do about a file of such a format.
pub fn hint(name: &str) -> &'static str {
    if name.ends_with("file system") || name.starts_with("a UBI") {
        "make a tar, cpio, squashfs or ext4 of the root file system, too (Buildroot: `BR2_TARGET_ROOTFS_TAR=y`), \
         and inspect that"
    } else if name.ends_with("disk") {
        "make a raw image of it, as `qemu-img convert -O raw` does"
    } else {
        "inspect the root file system or the disk image"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_and_only_what_is_empty_throughout_is_blank() {
        let of = |bytes: Vec<u8>| Source::from_bytes("x", bytes);
        assert_eq!(known(&of(b"UBI#\x01".to_vec())), Some("a UBI image"));
        assert_eq!(known(&of(vec![0; 100])), None);
        assert!(blank(&of(vec![0; 3 << 20])) && blank(&of(vec![0xff; 100])));
        let mut late = vec![0; 3 << 20];
        late[(2 << 20) + 5] = 1;
        assert!(!blank(&of(late)));
        assert!(hint("a UBI image").contains("BR2_TARGET_ROOTFS_TAR"));
    }
}
