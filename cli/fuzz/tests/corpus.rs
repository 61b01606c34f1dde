//! The committed corpus, and mutations of it from a seeded generator, through every target: what a fuzzer found once
//! stays found wherever the tests run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no corpus", folder.display());
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// xorshift: the same numbers every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }
}

/// One test: memory is counted for the whole process.
#[test]
fn every_target_holds_on_its_corpus_and_on_mutations_of_it() {
    for target in &TARGETS {
        let (mut most, mut read) = (0, 0);
        for (file, bytes) in corpus(target) {
            let checked = target.check(&bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            most = most.max(checked.held);
            read += usize::from(checked.read);
            // First inputs have names, what a fuzzer made is named by its hash.
            let first = file.file_name().unwrap().len() < 40;
            assert!(checked.read || !first, "{}: the reader refuses it", file.display());
            if bytes.is_empty() {
                continue;
            }
            let mut numbers = Numbers(bytes.len() as u64 + 1);
            for round in 0..20 {
                let mut broken = bytes.clone();
                for _ in 0..=round % 4 {
                    let at = numbers.below(broken.len());
                    broken[at] = [0, 0xff, 0x7f, broken[at] ^ (1 << (round % 8))][numbers.below(4)];
                }
                if round % 5 == 0 {
                    broken.truncate(numbers.below(broken.len()));
                }
                if let Err(broken) = target.check(&broken) {
                    panic!("{}, round {round}: {broken}", file.display());
                }
            }
        }
        assert!(read > 0, "{}: nothing in the corpus is read", target.name);
        println!("{}: at most {most} bytes of memory on the corpus", target.name);
    }
}

#[test]
fn a_target_has_a_name_of_its_own_and_words() {
    for target in &TARGETS {
        assert_eq!(Target::named(target.name).unwrap().what, target.what);
        assert!(!target.what.is_empty() && target.factor > 0);
    }
    assert!(Target::named("none").is_none());
}
