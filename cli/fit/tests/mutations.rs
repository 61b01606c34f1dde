//! Every byte that a signature or a hash covers: changed, it must not verify; nothing may panic.

#![allow(clippy::unwrap_used)]

mod common;

use common::{empty, signed, trusted};
use fit::external::{Placement, externalise};
use fit::fdt::{Blocks, Token, Tree};
use fit::key::Padding;
use fit::verify::verify;

/// For each byte, whether the format leaves it free: found by what the bytes are for, not by the code
/// that signs or verifies.
fn free_bytes(blob: &[u8]) -> Vec<bool> {
    let blocks = Blocks::open(blob).unwrap();
    let mut free = vec![false; blob.len()];
    // Header and reserved memory say where the blocks are, and nothing of their content.
    free[..blocks.structure_start()].fill(true);
    // Behind the strings there is external data, and what fills up to its alignment.
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
    // The names that came with the signature stand at the end of the strings, and it covers those before them.
    let tree = Tree::parse(blob).unwrap();
    let strings = tree.root.at("/configurations/conf/signature-1").unwrap().get("hashed-strings").unwrap();
    let strings = u32::from_be_bytes(strings[4..].try_into().unwrap()) as usize;
    assert!(strings < word(32));
    free[word(12) + strings..].fill(true);
    for image in &tree.root.child("images").unwrap().children {
        if let (Some(at), Some(size)) = (image.cell("data-offset"), image.cell("data-size")) {
            let at = blocks.total().next_multiple_of(4) + at as usize;
            free[at..at + size as usize].fill(false);
        }
    }
    let mut path: Vec<String> = Vec::new();
    let mut at = blocks.structure_start();
    blocks
        .walk(|token, bytes| {
            match token {
                Token::Begin(name) => path.push(name.to_owned()),
                Token::End => {
                    path.pop();
                }
                Token::Property(name, value) => {
                    let here = path.join("/");
                    // The signature's notes for people, and what U-Boot does not look at.
                    let note = here.contains("/signature-");
                    let place = matches!(name, "data-size" | "data-offset" | "data-position");
                    if note || place || here == "/configurations" {
                        free[at..at + bytes.len()].fill(true);
                    }
                    if name == "data" {
                        // Token, length, name and padding; the value is what the hash covers.
                        free[at..at + 12].fill(true);
                        free[at + 12 + value.len()..at + bytes.len()].fill(true);
                    }
                }
                Token::Nop | Token::Finish => {}
            }
            at += bytes.len();
            Ok(())
        })
        .unwrap();
    free
}

/// A small generator of the same numbers every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap()
    }
}

fn verifies(blob: &[u8], keys: &[fit::control_fdt::KeyNode]) -> bool {
    verify(blob, keys, false).is_ok_and(|report| report.ok)
}

#[test]
fn no_flipped_bit_of_a_covered_byte_verifies() {
    let inside = signed(Padding::Pkcs1v15);
    let outside = externalise(&inside, Placement::BehindTree, 4).unwrap();
    let keys = trusted();
    for blob in [inside, outside] {
        let free = free_bytes(&blob);
        let covered = free.iter().filter(|free| !**free).count();
        assert!(verifies(&blob, &keys) && covered > 1000, "{covered} covered bytes");
        for at in (0..blob.len()).filter(|at| !free[*at]) {
            for bit in 0..8 {
                let mut copy = blob.clone();
                copy[at] ^= 1 << bit;
                assert!(!verifies(&copy, &keys), "bit {bit} of byte {at} was not covered");
            }
        }
    }
}

#[test]
fn what_is_signed_may_only_change_where_nothing_covers_it() {
    let blob = signed(Padding::Pss);
    let keys = trusted();
    let free = free_bytes(&blob);
    let mut numbers = Numbers(0x5eed);
    let mut parsed = 0;
    for _ in 0..6000 {
        let mut copy = blob.clone();
        let mut touched = false;
        for _ in 0..1 + numbers.next() % 4 {
            let at = numbers.next() % copy.len();
            let value = copy[at];
            match numbers.next() % 4 {
                0 => copy[at] ^= 1 << (numbers.next() % 8),
                1 => copy[at] = 0,
                2 => copy[at] = 0xff,
                _ => copy[at] = copy[numbers.next() % blob.len()],
            }
            touched |= copy[at] != value && !free[at];
        }
        let differs = (0..blob.len()).any(|at| !free[at] && copy[at] != blob[at]);
        parsed += usize::from(Tree::parse(&copy).is_ok());
        assert!(!(differs && touched && verifies(&copy, &keys)), "a covered byte changed and it verified");
    }
    assert!(parsed > 1000, "too few mutations were still trees: {parsed}");
}

#[test]
fn cut_grown_and_spliced_files_never_panic_and_never_verify() {
    let blob = signed(Padding::Pkcs1v15);
    let keys = trusted();
    for length in 0..blob.len() {
        assert!(!verifies(&blob[..length], &keys), "{length} bytes verified");
    }
    // What follows the tree is not part of it: a partition is longer than its FIT.
    assert!(verifies(&[&blob[..], &[0xff; 4096]].concat(), &keys));
    let mut numbers = Numbers(7);
    for _ in 0..3000 {
        let (from, to, size) =
            (numbers.next() % blob.len(), numbers.next() % blob.len(), 4 * (numbers.next() % 64));
        let size = size.min(blob.len() - from);
        let mut copy = blob.clone();
        if numbers.next().is_multiple_of(2) {
            let part = copy[from..from + size].to_vec();
            copy.splice(to..to, part);
        } else {
            copy.drain(from..from + size);
        }
        if copy == blob {
            continue;
        }
        // The header's sizes repaired as an attacker would.
        let grown = u32::try_from(copy.len()).unwrap();
        copy[4..8].copy_from_slice(&grown.to_be_bytes());
        let _ = verify(&copy, &keys, false);
        let _ = fit::show::show(&copy);
        let _ = fit::control_fdt::candidates(&copy);
        let _ = fit::control_fdt::keys(&copy);
    }
}

#[test]
fn huge_numbers_in_every_word_are_survived() {
    let keys = trusted();
    for blob in [signed(Padding::Pss), common::control(), empty()] {
        for at in (0..blob.len() - 3).step_by(4) {
            for value in [0u32, 1, 4, 0x7fff_ffff, 0xffff_fffc, 0xffff_ffff] {
                let mut copy = blob.clone();
                copy[at..at + 4].copy_from_slice(&value.to_be_bytes());
                let _ = verify(&copy, &keys, false);
                let _ = fit::control_fdt::keys(&copy);
                let _ = fit::control_fdt::remove_key(&copy, "dev");
                let _ = externalise(&copy, Placement::At(value), 4);
            }
        }
    }
}
