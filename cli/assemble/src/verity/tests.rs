use std::fs;
use std::process::Command;

use super::*;

/// Bytes that differ from block to block.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i / 7 + i / BLOCK * 31) as u8).collect()
}

fn written(count: usize, salt: &[u8]) -> (tempfile::TempDir, VerityTree) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), pattern(count)).unwrap();
    let tree = write(&folder.path().join("data"), &folder.path().join("out"), salt).unwrap();
    (folder, tree)
}

/// The last size of each level, and sizes on both sides of a chunk.
const SIZES: [usize; 8] =
    [1, BLOCK, BLOCK + 1, 128 * BLOCK, 129 * BLOCK, CHUNK, CHUNK + 5, 128 * 128 * BLOCK + BLOCK];

#[test]
fn root_hashes_are_those_of_veritysetup() {
    // `veritysetup format --no-superblock --salt 73616c74 …` of zeros, cryptsetup 2.6.1.
    for (blocks, expected) in [(1usize, KNOWN[0]), (128, KNOWN[1]), (129, KNOWN[2])] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data"), vec![0; blocks * BLOCK]).unwrap();
        let tree = write(&folder.path().join("data"), &folder.path().join("out"), b"salt").unwrap();
        assert_eq!(hex(&tree.root_hash), expected, "{blocks} blocks");
    }
}

const KNOWN: [&str; 3] = [
    "02c7d121869b589993de67261b43b1dbdb761c952946eba8f8ba02baf98fdced",
    "1c09b7d7cfe0feffc8470c277e6187ff4192a712c4292974583cd411eaf46596",
    "ca33b6efa12b21798e7663d9516bea0d177f1fbc26132a9d3c6be0a68e5f03a8",
];

#[test]
fn the_reader_of_the_other_room_agrees() {
    use image::Source;
    use image::verity::{Params, Verdict, verify};
    for size in SIZES {
        let (folder, tree) = written(size, &salt("gw", "1.0"));
        let out = Source::open(&folder.path().join("out")).unwrap();
        assert_eq!(out.len(), tree.bytes());
        let params = Params {
            hash_type: 1,
            data_block_bytes: 4096,
            hash_block_bytes: 4096,
            data_blocks: tree.data_blocks,
            hash_start_block: tree.data_blocks,
            salt: tree.salt.clone(),
        };
        let verdict = verify(&out, &out, &params, &tree.root_hash).unwrap();
        let expected = Verdict::Intact { data_blocks: tree.data_blocks, hash_blocks: tree.hash_blocks };
        assert_eq!(verdict, expected, "{size} bytes");
        assert_eq!(tree.data_sha256, record::sha256_hex(&pattern(size)));
    }
}

fn veritysetup(folder: &std::path::Path, tree: &VerityTree) -> bool {
    let out = folder.join("out");
    Command::new("veritysetup")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .args(["verify", "--no-superblock", "--format=1", "--hash=sha256"])
        .args(["--data-block-size=4096", "--hash-block-size=4096"])
        .arg(format!("--data-blocks={}", tree.data_blocks))
        .arg(format!("--hash-offset={}", tree.data_blocks * BLOCK as u64))
        .arg(format!("--salt={}", hex(&tree.salt)))
        .args([&out, &out])
        .arg(hex(&tree.root_hash))
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn veritysetup_accepts_the_tree_and_refuses_a_changed_byte() {
    if crate::testing::missing_tool("veritysetup") {
        return;
    }
    for size in SIZES {
        let (folder, tree) = written(size, b"pepper");
        assert!(veritysetup(folder.path(), &tree), "{size} bytes");
        let out = folder.path().join("out");
        let mut bytes = fs::read(&out).unwrap();
        for at in [0, bytes.len() - BLOCK] {
            bytes[at] ^= 1;
            fs::write(&out, &bytes).unwrap();
            assert!(!veritysetup(folder.path(), &tree), "{size} bytes, byte {at} changed");
            bytes[at] ^= 1;
        }
    }
}

#[test]
fn an_empty_root_file_system_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "").unwrap();
    let failure = write(&folder.path().join("data"), &folder.path().join("out"), b"").unwrap_err();
    assert!(failure.to_string().contains("found an empty file"), "{failure}");
}
