//! Partition tables and dm-verity superblocks.

use image::Source;
use image::disk::Disk;

use crate::Target;

/// GPT (UEFI 2.10, chapter 5) and MBR.
pub const PARTITIONS: Target = Target {
    name: "partitions",
    what: "a disk: no partition reaches beyond it",
    // A table has at most 1 MiB, and there are two.
    base: 8 << 20,
    factor: 16,
    run: |input| {
        let source = Source::from_bytes("disk", input.to_vec());
        let mbr = image::disk::mbr::partitions(&source).is_ok_and(|found| found.is_some());
        let Ok((disk, _)) = Disk::from_damaged_source(source) else { return Ok(mbr) };
        for partition in disk.partitions() {
            if let Ok(contents) = disk.contents(partition)
                && partition.offset + contents.len() > input.len() as u64
            {
                return Err(format!("the partition `{}` is larger than the disk", partition.name));
            }
        }
        Ok(true)
    },
};

/// dm-verity's superblock and hash tree (Linux, Documentation/admin-guide/device-mapper/verity.rst).
pub const VERITY: Target = Target {
    name: "verity",
    what: "data and hash tree: nothing verifies against the root of another tree",
    base: 4 << 20,
    factor: 16,
    run: |input| {
        // The first half is the data, the second begins with the superblock.
        let (data, hash) = input.split_at(input.len() / 2);
        let (data, hash) =
            (Source::from_bytes("data", data.to_vec()), Source::from_bytes("hash", hash.to_vec()));
        let Ok(params) = image::verity::Params::from_superblock(&hash) else { return Ok(false) };
        // SHA-256 of nothing that anybody knows.
        match image::verity::verify(&data, &hash, &params, &[0x5a; 32]) {
            Ok(image::verity::Verdict::Intact { .. }) => {
                Err("it verifies against a root that is none".to_owned())
            }
            Ok(_) => Ok(true),
            Err(_) => Ok(false),
        }
    },
};
