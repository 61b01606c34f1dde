//! Changes of the root file system behind dm-verity.
//!
//! Source: Linux `Documentation/admin-guide/device-mapper/verity.rst`: version 1, the salt in front of
//! each block, levels from the top down. This writer exists only to show that a whole tree made anew
//! does not help without the root hash.

use std::os::unix::fs::FileExt;
use std::path::Path;

use diag::{Failure, Outcome};
use sha2::{Digest, Sha256};

use super::{Case, VerityPlace, unfit};

const BLOCK: u64 = 4096;
const DIGESTS: u64 = BLOCK / 32;
const PARTITION: &str = "root_a";

/// Number of blocks of each level, the lowest first.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut out = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(DIGESTS);
        out.push(blocks);
    }
    out
}

/// Offset of a level in the tree, in blocks: the levels above come first.
fn level_start(levels: &[u64], level: usize) -> u64 {
    levels.iter().skip(level + 1).sum()
}

fn cannot(error: &std::io::Error) -> Failure {
    Failure::io("change", Path::new("the copy of the disk"), error)
}

fn flip_at(case: &Case<'_>, block: u64) -> Outcome<u64> {
    let partition = case.subject.partition(PARTITION)?;
    let at = block.saturating_mul(BLOCK).saturating_add(100);
    if at >= partition.bytes {
        return Err(unfit(format!("block {block} is not in `{PARTITION}` of {} bytes", partition.bytes)));
    }
    let mut byte = [0u8];
    case.disk.read_exact_at(&mut byte, partition.offset + at).map_err(|e| cannot(&e))?;
    byte[0] ^= 1;
    case.disk.write_all_at(&byte, partition.offset + at).map_err(|e| cannot(&e))?;
    Ok(at)
}

pub(super) fn flip(case: &mut Case<'_>, place: VerityPlace) -> Outcome<String> {
    let facts = &case.subject.verity;
    let levels = levels(facts.data_blocks);
    let (block, what) = match place {
        VerityPlace::Data => (0, "data block 0"),
        VerityPlace::TreeTop => (facts.hash_start, "the top block of the hash tree"),
        VerityPlace::TreeLeaf => {
            (facts.hash_start + level_start(&levels, 0), "the first leaf block of the hash tree")
        }
    };
    let at = flip_at(case, block)?;
    Ok(format!("bit 0 of byte {at} of `{PARTITION}` flipped ({what})"))
}

pub(super) fn rebuild(case: &mut Case<'_>) -> Outcome<String> {
    let at = flip_at(case, 0)?;
    let facts = &case.subject.verity;
    let start = case.subject.partition(PARTITION)?.offset;
    let levels = levels(facts.data_blocks);
    let digest = |block: &[u8]| {
        let mut hasher = Sha256::new();
        hasher.update(&facts.salt);
        hasher.update(block);
        hasher.finalize()
    };
    let mut below: Vec<u8> = Vec::new();
    let mut block = vec![0u8; BLOCK as usize];
    for number in 0..facts.data_blocks {
        case.disk.read_exact_at(&mut block, start + number * BLOCK).map_err(|e| cannot(&e))?;
        below.extend_from_slice(&digest(&block));
    }
    for level in 0..levels.len() {
        let place = start + (facts.hash_start + level_start(&levels, level)) * BLOCK;
        below.resize(below.len().next_multiple_of(BLOCK as usize), 0);
        case.disk.write_all_at(&below, place).map_err(|e| cannot(&e))?;
        below = below.chunks(BLOCK as usize).flat_map(&digest).collect();
    }
    Ok(format!(
        "byte {at} of `{PARTITION}` changed and the whole hash tree made anew; the signed root hash is the old one"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Mutation;
    use super::super::testing::Bench;
    use super::*;
    use image::Source;
    use image::verity::{Params, Verdict, verify};

    /// The verdict of the reader of `image`, which shares no code with this writer.
    fn verdict(bench: &Bench, case: &Case<'_>, root: &[u8; 32]) -> Verdict {
        let facts = &bench.subject.verity;
        let partition = bench.subject.partition(PARTITION).unwrap();
        let mut bytes = vec![0; usize::try_from(partition.bytes).unwrap()];
        case.disk.read_exact_at(&mut bytes, partition.offset).unwrap();
        let source = Source::from_bytes("root", bytes);
        let params = Params {
            hash_type: 1,
            data_block_bytes: 4096,
            hash_block_bytes: 4096,
            data_blocks: facts.data_blocks,
            hash_start_block: facts.hash_start,
            salt: facts.salt.clone(),
        };
        verify(&source, &source, &params, root).unwrap()
    }

    fn root_of(bench: &Bench, case: &Case<'_>) -> [u8; 32] {
        let facts = &bench.subject.verity;
        let partition = bench.subject.partition(PARTITION).unwrap();
        let mut block = vec![0; 4096];
        case.disk.read_exact_at(&mut block, partition.offset + facts.hash_start * BLOCK).unwrap();
        Sha256::new().chain_update(&facts.salt).chain_update(&block).finalize().into()
    }

    #[test]
    fn a_tree_made_anew_is_valid_but_for_its_root_hash() {
        let bench = Bench::new();
        let (_, case) = bench.run(&[Mutation::RebuildVerity {}]);
        let new_root = root_of(&bench, &case);
        assert!(matches!(verdict(&bench, &case, &new_root), Verdict::Intact { .. }), "not valid");
        assert!(!matches!(verdict(&bench, &case, &bench.root()), Verdict::Intact { .. }));
    }

    #[test]
    fn each_flip_is_one_bit_that_verification_finds() {
        let bench = Bench::new();
        let (_, whole) = bench.run(&[Mutation::Nothing {}]);
        assert!(matches!(verdict(&bench, &whole, &bench.root()), Verdict::Intact { .. }));
        for place in [VerityPlace::Data, VerityPlace::TreeTop, VerityPlace::TreeLeaf] {
            let (words, case) = bench.run(&[Mutation::FlipVerity { place }]);
            let broken = verdict(&bench, &case, &bench.root());
            assert!(!matches!(broken, Verdict::Intact { .. }), "{place:?}: {words}");
        }
    }

    #[test]
    fn levels_stand_from_the_top_down() {
        let all = levels(20_000);
        assert_eq!(all, [157, 2, 1]);
        assert_eq!((level_start(&all, 2), level_start(&all, 1), level_start(&all, 0)), (0, 1, 3));
        assert_eq!(levels(1), Vec::<u64>::new());
    }
}
