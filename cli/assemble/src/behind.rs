//! A maker's programs behind SPL, in the same file: written, and found again.
//!
//! Where they stand goes by U-Boot `drivers/ddr/imx/phy/helper.c`: behind SPL's control FDT, at a multiple of 4 bytes, each in its
//! room. That is where SPL looks when binman did not patch other places into it, and it did not build this SPL.

use spec::plan::{BehindFacts, SplFacts};

/// Where the first stands.
const ALIGNMENT: usize = 4;

/// SPL with the programs behind it; each is filled up to its room, the last one not. Without any it is SPL alone.
pub fn join(mut spl: Vec<u8>, pieces: &[(&BehindFacts, Vec<u8>)]) -> Vec<u8> {
    for (number, (facts, program)) in pieces.iter().enumerate() {
        if number == 0 {
            spl.resize(spl.len().next_multiple_of(ALIGNMENT), 0);
        }
        let start = spl.len();
        spl.extend_from_slice(program);
        if number + 1 < pieces.len() {
            // The plan's room is one that the program was measured by.
            let room = usize::try_from(facts.room).unwrap_or_default();
            spl.resize(spl.len().max(start + room), 0);
        }
    }
    spl
}

/// Whether `file` is SPL, then each program of `facts` where SPL looks for it, and zeroes. `known` tells size and SHA-256 of each.
///
/// # Errors
/// What is not there.
pub fn check(
    facts: &SplFacts,
    file: &[u8],
    spl: &[u8],
    known: &dyn Fn(&str) -> Option<(u64, String)>,
) -> Result<(), String> {
    let Some(mut rest) = file.strip_prefix(spl) else {
        return Err("what it finds is not the shipped SPL".to_owned());
    };
    let mut gap = if facts.behind.is_empty() { 0 } else { spl.len().next_multiple_of(ALIGNMENT) - spl.len() };
    for piece in &facts.behind {
        let name = &piece.vendor;
        let (bytes, sha256) = known(name).ok_or_else(|| format!("the record has no `{name}`"))?;
        let (filling, from) = split(rest, gap as u64, name)?;
        zero(filling, name)?;
        let (program, behind) = split(from, bytes, name)?;
        if record::sha256_hex(program) != sha256 {
            return Err(format!("`{name}` is not where SPL looks for it"));
        }
        gap = usize::try_from(piece.room.saturating_sub(bytes)).unwrap_or(usize::MAX);
        rest = behind;
    }
    zero(rest, "the end")
}

fn split<'a>(bytes: &'a [u8], at: u64, name: &str) -> Result<(&'a [u8], &'a [u8]), String> {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    bytes.split_at_checked(at).ok_or_else(|| format!("it ends before `{name}` does"))
}

fn zero(bytes: &[u8], name: &str) -> Result<(), String> {
    let all = bytes.iter().all(|byte| *byte == 0);
    if all { Ok(()) } else { Err(format!("expected zeroes in front of {name}, found others")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rooms: &[(&str, u64)]) -> SplFacts {
        let behind = rooms.iter().map(|(name, room)| BehindFacts { vendor: (*name).to_owned(), room: *room });
        SplFacts {
            monitor: None,
            verifies: true,
            uboot_address: 0,
            room: 0,
            behind: behind.collect(),
            rom: None,
        }
    }

    #[test]
    fn each_program_stands_in_its_room_and_is_found_there() {
        let facts = facts(&[("code", 8), ("data", 4), ("last", 16)]);
        let programs = [vec![1; 5], vec![2; 4], vec![3; 6]];
        let pieces: Vec<_> = facts.behind.iter().zip(programs.clone()).collect();
        let file = join(vec![9; 6], &pieces);
        let expected =
            [9, 9, 9, 9, 9, 9, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3].to_vec();
        assert_eq!(file, expected);
        let known = |name: &str| {
            let number = ["code", "data", "last"].iter().position(|one| *one == name)?;
            Some((programs[number].len() as u64, record::sha256_hex(&programs[number])))
        };
        // Behind the last one a header's format may fill up.
        check(&facts, &[file.clone(), vec![0; 9]].concat(), &[9; 6], &known).unwrap();
        for (at, expected) in [
            (0, "is not the shipped SPL"),
            (7, "expected zeroes in front of code"),
            (8, "`code` is not where SPL looks for it"),
            (14, "expected zeroes in front of data"),
            (25, "`last` is not where SPL looks for it"),
        ] {
            let mut bad = file.clone();
            bad[at] ^= 1;
            let why = check(&facts, &bad, &[9; 6], &known).unwrap_err();
            assert!(why.contains(expected), "{at}: {why}");
        }
        let why = check(&facts, &file[..25], &[9; 6], &known).unwrap_err();
        assert!(why.contains("it ends before `last` does"), "{why}");
        let why = check(&facts, &[file.clone(), vec![1]].concat(), &[9; 6], &known).unwrap_err();
        assert!(why.contains("expected zeroes in front of the end"), "{why}");
        let why = check(&facts, &file, &[9; 6], &|_| None).unwrap_err();
        assert!(why.contains("the record has no `code`"), "{why}");
    }

    #[test]
    fn an_spl_alone_stays_as_it_is() {
        assert_eq!(join(vec![9; 6], &[]), [9; 6]);
        check(&facts(&[]), &[9; 6], &[9; 6], &|_| None).unwrap();
    }
}
