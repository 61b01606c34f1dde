//! What a board says of its maker's programs: each is named once, has a size that can be, and goes somewhere.

use diag::Diagnostic;

use super::NamedBoard;
use crate::board::FatContent;
use crate::plan::VENDOR_PROGRAM_BYTES;
use crate::source::At;
use crate::types::FileName;

/// Reports programs that are named twice, whose size is unclear, or that nothing is made of, and places for programs that the board
/// does not name.
pub(super) fn reject_unclear(board: &NamedBoard, trouble: &mut Vec<Diagnostic>) {
    let mut wrong = |at: &At, message: String| {
        let message = format!("`vendor_programs` of the board `{}`: {message}", board.name);
        trouble.push(Diagnostic::error("unclear-vendor-program", message).at(at.location()));
    };
    let programs = &board.model.vendor_programs;
    let used = used(board);
    for (number, program) in programs.iter().enumerate() {
        let file = program.file.as_str();
        if programs[..number].iter().any(|other| other.file == program.file) {
            wrong(&program.at, format!("`{file}` is named twice"));
        }
        if program.bytes.is_some() && program.at_most.is_some() {
            wrong(&program.at, format!("expected `bytes` or `at_most` for `{file}`, found both"));
        }
        let largest = program.bytes.or(program.at_most).map_or(VENDOR_PROGRAM_BYTES, |size| size.0);
        if !(1..=VENDOR_PROGRAM_BYTES).contains(&largest) {
            wrong(
                &program.at,
                format!("expected a size of 1 to {VENDOR_PROGRAM_BYTES} bytes for `{file}`, found {largest}"),
            );
        }
        if !used.iter().any(|(name, ..)| *name == &program.file) {
            wrong(&program.at, format!("nothing is made of `{file}`"));
        }
    }
    for (name, at, room) in used {
        let file = name.as_str();
        let Some(program) = programs.iter().find(|program| &program.file == name) else {
            wrong(at, format!("expected a program of that list, found `{file}`"));
            continue;
        };
        let largest = program.bytes.or(program.at_most).map_or(VENDOR_PROGRAM_BYTES, |size| size.0);
        if room.is_some_and(|room| room < largest || !room.is_multiple_of(4)) {
            wrong(
                at,
                format!(
                    "expected a multiple of 4 bytes of room for `{file}`, which may have {largest}, found {}",
                    room.unwrap_or_default()
                ),
            );
        }
    }
}

/// The programs that something is made of, with the room that each has there.
fn used(board: &NamedBoard) -> Vec<(&FileName, &At, Option<u64>)> {
    let spl = board.model.boot.spl.as_ref();
    let behind = spl.into_iter().flat_map(|spl| &spl.behind);
    let behind = behind.map(|one| (&one.vendor, &one.at, Some(one.room.0)));
    let monitor = spl.and_then(|spl| spl.monitor.as_ref());
    let monitor = monitor.and_then(|monitor| Some((monitor.vendor.as_ref()?, &monitor.at, None)));
    let first = spl.and_then(|spl| spl.rom.as_ref()).and_then(|rom| rom.first.as_ref());
    let first = first.map(|first| (&first.value, &first.at, None));
    let files = board.model.boot.fat.iter().flat_map(|fat| &fat.files);
    let files =
        files.filter(|file| file.holds == FatContent::Vendor).map(|file| (&file.name, &file.at, None));
    behind.chain(monitor).chain(first).chain(files).collect()
}
