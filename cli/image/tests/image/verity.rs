use std::fs;

use image::Source;
use image::verity::{Params, Verdict, verify};

use crate::support::{pattern, tool};

fn root_hash(told: &str) -> [u8; 32] {
    let line = told.lines().find(|line| line.starts_with("Root hash:")).unwrap();
    let hex = line.split_whitespace().last().unwrap();
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// Formats `blocks` of data with `veritysetup` and gives data, tree and root hash.
fn formatted(blocks: usize, more: &[&str]) -> Option<(Vec<u8>, Vec<u8>, [u8; 32])> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), pattern(blocks * 4096)).unwrap();
    let mut argv = vec!["veritysetup", "format", "--salt=0011223344556677", "data", "hash"];
    argv.extend(more);
    let root = root_hash(&tool(folder.path(), &argv)?);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    Some((read("data"), read("hash"), root))
}

fn source(bytes: &[u8]) -> Source {
    Source::from_bytes("verity", bytes.to_vec())
}

#[test]
fn trees_of_veritysetup_are_intact() {
    // One block (no tree), one level, exactly one full block, two levels.
    for (blocks, hash_blocks) in [(1, 0), (2, 1), (128, 1), (129, 3), (1000, 9)] {
        let Some((data, hash, root)) = formatted(blocks, &[]) else { return };
        let params = Params::from_superblock(&source(&hash)).unwrap();
        assert_eq!(params.data_blocks, blocks as u64);
        let verdict = verify(&source(&data), &source(&hash), &params, &root).unwrap();
        assert_eq!(verdict, Verdict::Intact { data_blocks: blocks as u64, hash_blocks });
    }
}

#[test]
fn a_tree_behind_its_data_needs_no_superblock() {
    let more = ["--no-superblock", "--data-block-size=1024", "--hash-block-size=512"];
    let Some((data, hash, root)) = formatted(50, &more) else { return };
    let both = source(&[data, hash].concat());
    let params = Params {
        hash_type: 1,
        data_block_bytes: 1024,
        hash_block_bytes: 512,
        data_blocks: 200,
        hash_start_block: 400,
        salt: vec![0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77],
    };
    assert!(matches!(verify(&both, &both, &params, &root).unwrap(), Verdict::Intact { .. }));
}

#[test]
fn the_first_bad_block_is_named() {
    let Some((data, hash, root)) = formatted(300, &[]) else { return };
    let params = Params::from_superblock(&source(&hash)).unwrap();
    let told =
        |data: &[u8], hash: &[u8], root: &[u8; 32]| match verify(&source(data), &source(hash), &params, root)
            .unwrap()
        {
            Verdict::Corrupt(bad) => bad.to_string(),
            intact => panic!("{intact:?}"),
        };
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let starts = |text: String, wanted: &str| assert!(text.starts_with(wanted), "{text}");
    starts(told(&flipped(&data, 222 * 4096 + 5), &hash, &root), "data block 222: expected ");
    // Block 1 is the root of the tree, blocks 2 to 4 are next to the data.
    starts(told(&data, &flipped(&hash, 4096 + 9), &root), "hash block 1 (level 1): expected ");
    starts(told(&data, &flipped(&hash, 3 * 4096 + 9), &root), "hash block 3 (level 0): expected ");
    let mut other = root;
    other[31] ^= 1;
    starts(told(&data, &hash, &other), "hash block 1 (level 1): expected ");
}

#[test]
fn what_cannot_be_proven_is_an_error() {
    let Some((data, hash, root)) = formatted(300, &[]) else { return };
    let params = Params::from_superblock(&source(&hash)).unwrap();
    let error = verify(&source(&data[..4096 * 299]), &source(&hash), &params, &root).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
    let error = verify(&source(&data), &source(&hash[..4096 * 4]), &params, &root).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
    for (change, message) in [
        (Params { data_blocks: 0, ..params.clone() }, "nothing is protected"),
        (Params { data_blocks: u64::MAX, ..params.clone() }, "truncated"),
        (Params { hash_block_bytes: 48, ..params.clone() }, "expected a power of two"),
        (Params { hash_type: 2, ..params.clone() }, "expected 0 or 1, found 2"),
        (Params { hash_start_block: u64::MAX, ..params.clone() }, "outside every disk"),
    ] {
        let error = verify(&source(&data), &source(&hash), &change, &root).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = Params::from_superblock(&source(&data)).unwrap_err().to_string();
    assert!(error.contains("expected the signature `verity`"), "{error}");
    let Some((_, hash, _)) = formatted(2, &["--hash=sha512"]) else { return };
    let error = Params::from_superblock(&source(&hash)).unwrap_err().to_string();
    assert!(error.contains("the algorithm `sha512` is not supported"), "{error}");
}
