//! The verity root: the arguments on the signed command line against the partition.
//!
//! Source: Linux, Documentation/admin-guide/device-mapper/dm-init.rst and verity.rst.

use image::Source;
use image::disk::Disk;
use image::verity::{Params, Verdict, verify};

use crate::kinds::kernel_words;
use crate::subject::VerityFacts;

/// What `dm-mod.create=` says about the root device.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Partition GUIDs of data and tree.
    pub devices: [String; 2],
    /// Number of 512-byte sectors of the mapped device.
    pub sectors: u64,
    /// Bytes of a data block and of a hash block.
    pub blocks: [u32; 2],
    /// Number of data blocks.
    pub data_blocks: u64,
    /// First hash block.
    pub hash_start: u64,
    /// Root hash.
    pub root: String,
    /// Salt.
    pub salt: Vec<u8>,
    /// What follows the salt: how many options, and these.
    pub options: Vec<String>,
}

/// Reads the arguments from a command line.
pub fn arguments(cmdline: &str) -> Result<Arguments, String> {
    let words = kernel_words(cmdline);
    let all: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix("dm-mod.create=")).collect();
    let [table] = all.as_slice() else {
        return Err(format!("{} times `dm-mod.create=`, expected once", all.len()));
    };
    if !words.iter().any(|word| word == "root=/dev/dm-0") {
        return Err("`root=/dev/dm-0` is missing: the root is not the mapped device".to_owned());
    }
    let table = table.trim_matches('"');
    if table.contains(';') {
        return Err("more than one mapped device".to_owned());
    }
    // name,uuid,minor,flags,table: the table itself has no comma in a verity line.
    let parts: Vec<&str> = table.split(',').collect();
    let [_, _, _, flags, line] = parts.as_slice() else {
        return Err(format!("`{table}` is not one device with one table"));
    };
    if *flags != "ro" {
        return Err("the mapped device is not read-only".to_owned());
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() < 13
        || fields[2] != "verity"
        || fields[3] != "1"
        || fields[10] != "sha256"
        || fields[0] != "0"
    {
        return Err(format!("`{line}` is not a verity table of version 1 with sha256"));
    }
    let number =
        |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` in the verity table is no number"));
    let small =
        |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` in the verity table is no number"));
    let guid = |text: &str| {
        text.strip_prefix("PARTUUID=")
            .map(str::to_lowercase)
            .ok_or_else(|| format!("`{text}` does not name a partition by its GUID"))
    };
    if fields[13..].iter().any(|field| *field == "ignore_corruption" || *field == "ignore_zero_blocks") {
        return Err("the verity table ignores corruption".to_owned());
    }
    Ok(Arguments {
        devices: [guid(fields[4])?, guid(fields[5])?],
        sectors: number(fields[1])?,
        blocks: [small(fields[6])?, small(fields[7])?],
        data_blocks: number(fields[8])?,
        hash_start: number(fields[9])?,
        root: fields[11].to_lowercase(),
        salt: unhex(fields[12])?,
        options: fields[13..].iter().map(|field| (*field).to_owned()).collect(),
    })
}

impl Arguments {
    /// What the table says of the tree.
    pub fn params(&self) -> Params {
        Params {
            hash_type: 1,
            data_block_bytes: self.blocks[0],
            hash_block_bytes: self.blocks[1],
            data_blocks: self.data_blocks,
            hash_start_block: self.hash_start,
            salt: self.salt.clone(),
        }
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let bad = || format!("`{text}` in the verity table is not hexadecimal");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad()))
        .collect()
}

/// Verifies every block of the partition against the signed root hash.
pub fn facts(part: &Source, disk: &Disk, cmdline: Result<String, String>, sha256: &str) -> VerityFacts {
    let parsed = cmdline.and_then(|cmdline| arguments(&cmdline));
    let found = match &parsed {
        Ok(arguments) => check(part, disk, arguments),
        Err(why) => Err(why.clone()),
    };
    VerityFacts { sha256: sha256.to_owned(), asked: parsed.map(|arguments| arguments.root), found }
}

fn check(part: &Source, disk: &Disk, arguments: &Arguments) -> Result<String, String> {
    let own = disk
        .partitions()
        .iter()
        .find(|entry| entry.name == "root_a")
        .map(|entry| entry.part_guid.to_string());
    let own = own.unwrap_or_default().to_lowercase();
    if arguments.devices.iter().any(|device| *device != own) {
        return Err(format!("the command line names partitions {:?}, `root_a` is {own}", arguments.devices));
    }
    let bytes = arguments.data_blocks.saturating_mul(u64::from(arguments.blocks[0]));
    if arguments.sectors.saturating_mul(512) != bytes {
        return Err(format!(
            "the mapped device has {} sectors, the verified data {bytes} bytes",
            arguments.sectors
        ));
    }
    let params = arguments.params();
    let root: [u8; 32] =
        unhex(&arguments.root)?.try_into().map_err(|_| "the root hash has not 32 bytes".to_owned())?;
    match verify(part, part, &params, &root) {
        Ok(Verdict::Intact { .. }) => Ok(arguments.root.clone()),
        Ok(Verdict::Corrupt(bad)) => Err(bad.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "audit=1 root=/dev/dm-0 ro dm-mod.create=\"root,,,ro,0 16 verity 1 PARTUUID=AB PARTUUID=ab 4096 4096 2 2 \
        sha256 0123 ff00 1 restart_on_corruption\"";

    #[test]
    fn the_table_is_read() {
        let found = arguments(LINE).unwrap();
        assert_eq!(found.devices, ["ab", "ab"]);
        assert_eq!((found.sectors, found.data_blocks, found.hash_start), (16, 2, 2));
        assert_eq!((found.root.as_str(), found.salt.as_slice()), ("0123", [0xff, 0].as_slice()));
    }

    #[test]
    fn a_line_that_leaves_a_way_round_is_refused() {
        for (from, to, says) in [
            ("root=/dev/dm-0", "root=/dev/vda3", "`root=/dev/dm-0` is missing"),
            (",ro,0", ",rw,0", "not read-only"),
            ("restart_on_corruption", "ignore_corruption", "ignores corruption"),
            ("PARTUUID=AB", "/dev/vda2", "does not name a partition"),
            ("sha256", "md5", "not a verity table"),
            ("audit=1", "dm-mod.create=\"x\"", "2 times"),
            ("ff00", "fé0", "not hexadecimal"),
        ] {
            let why = arguments(&LINE.replace(from, to)).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
