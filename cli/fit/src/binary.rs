//! The control FDT inside of a shipped U-Boot: `u-boot-nodtb.bin` with the tree behind it.
//!
//! U-Boot takes the tree that begins where its code ends. That place is not marked in the binary, so
//! the proof is by exclusion: one single tree in the whole binary, and nothing but padding behind it.

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::fdt::{Blocks, Tree};

/// Most places that are looked at closely; a U-Boot has a handful.
pub const MAX_CANDIDATES: usize = 64;

/// A place in a binary that looks like a device tree: a header with sizes that can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Size in bytes, as its header says.
    pub size: usize,
    /// Whether nothing but padding (`0x00` or `0xff`) follows.
    pub ends_file: bool,
    /// Why it is not a tree, if it is not.
    pub problem: Option<String>,
}

/// Every place in a binary that looks like a device tree, in order, at most one more than [`MAX_CANDIDATES`].
///
/// The magic number alone, as U-Boot's code holds it too, is no candidate.
#[must_use]
pub fn candidates(binary: &[u8]) -> Vec<Candidate> {
    let padding = binary.iter().rev().take_while(|byte| matches!(byte, 0 | 0xff)).count();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) =
        binary.get(at..).and_then(|rest| rest.windows(4).position(|w| w == [0xd0, 0x0d, 0xfe, 0xed]))
    {
        let offset = at + step;
        at = offset + 4;
        let Ok(blocks) = Blocks::open(&binary[offset..]) else { continue };
        let size = blocks.total();
        let problem = Tree::parse(&binary[offset..]).err().map(|e| e.to_string());
        if problem.is_none() {
            at = offset + size;
        }
        let ends_file = offset + size + padding >= binary.len();
        found.push(Candidate { offset, size, ends_file, problem });
        if found.len() > MAX_CANDIDATES {
            break;
        }
    }
    found
}

/// Where whole device trees stand in a U-Boot binary: offset and size in bytes, in order.
#[must_use]
pub fn find_trees(binary: &[u8]) -> Vec<(usize, usize)> {
    let whole =
        |candidate: Candidate| candidate.problem.is_none().then_some((candidate.offset, candidate.size));
    candidates(binary).into_iter().filter_map(whole).collect()
}

/// The one control FDT of a shipped U-Boot binary.
///
/// # Errors
/// When there is none or more than one, or something else than padding follows it.
pub fn find_control(binary: &[u8]) -> Result<&[u8], FitError> {
    let found = candidates(binary);
    let wrong = |message: String| Err(FitError::Tree(message));
    match &found[..] {
        [] => wrong("the U-Boot binary carries no control FDT: it would take one from elsewhere".to_owned()),
        [one] => match &one.problem {
            Some(problem) => wrong(format!(
                "what stands at {:#x} of the U-Boot binary looks like a control FDT and is none: {problem}",
                one.offset
            )),
            None if !one.ends_file => wrong(format!(
                "the device tree at {:#x} of the U-Boot binary does not end it: expected the control FDT behind the code, and nothing but padding behind it",
                one.offset
            )),
            None => Ok(&binary[one.offset..one.offset + one.size]),
        },
        several => wrong(format!(
            "the U-Boot binary carries {} device trees (at {}{}), expected one",
            several.len(),
            several.iter().take(8).map(|one| format!("{:#x}", one.offset)).collect::<Vec<_>>().join(", "),
            if several.len() > 8 { ", …" } else { "" }
        )),
    }
}
