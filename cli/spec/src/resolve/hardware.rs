//! What a board must say about hardware: a board that no emulator describes names its device trees and its
//! root of trust, and a root of trust that burns says so.

use std::ops::RangeInclusive;

use diag::Diagnostic;

use super::{NamedBoard, fat};
use crate::board::{CounterStore, CrashMemory, Rom, TrustKind};
use crate::decode::Spanned;
use crate::plan::{EVENT_LOG_BYTES, OWN_PARTITIONS};
use crate::source::At;

/// Reports what a board's file leaves out.
pub(super) fn reject_incomplete(board: &NamedBoard, at: &At, trouble: &mut Vec<Diagnostic>) {
    let model = &board.model;
    if model.qemu.is_none() {
        for (missing, key) in [(model.trust.is_none(), "trust"), (model.device_tree.is_none(), "device_tree")]
        {
            if missing {
                let message = format!(
                    "expected the key `{key}` in the board `{}`, which has no QEMU machine, found no such key",
                    board.name
                );
                let hint =
                    "`boards/imx8mm-evk/board.yaml` of Fastness is an example of a board of real hardware";
                trouble.push(Diagnostic::error("incomplete-board", message).at(at.location()).hint(hint));
            }
        }
    }
    if model.rollback.store == CounterStore::None && model.rollback.possible.is_none() {
        let message = format!(
            "expected the key `rollback.possible` in the board `{}`, which has no counter of versions, found no such key",
            board.name
        );
        let hint =
            "say what of its hardware could count, or write `[]` when nothing is known (docs/rollback.md)";
        trouble.push(Diagnostic::error("incomplete-board", message).at(at.location()).hint(hint));
    }
    reject_undriven(board, trouble);
    if let Some(memory) = &model.crash_memory {
        reject_used_memory(board, memory, trouble);
    }
    for place in &model.rom_places {
        reject_unclear_place(board, place, trouble);
    }
    if model.boot.spl.as_ref().is_some_and(|spl| spl.verifies.0) {
        for algorithm in &model.algorithms {
            // RSA by the layer `verified-boot`, which leaves the longer hashes out of SPL; ECDSA by the layer `ecdsa`, which has all.
            let verified =
                algorithm.as_str().starts_with("sha256,rsa") || algorithm.as_str().contains(",ecdsa");
            if !verified {
                let message = format!(
                    "the SPL of the board `{}` verifies SHA-256 with RSA, or ECDSA, and one key signs for SPL and U-Boot, found `{}`",
                    board.name,
                    algorithm.as_str()
                );
                let hint = "take it out of `algorithms`: SPL would refuse the boot loader";
                trouble.push(Diagnostic::error("algorithm", message).at(algorithm.at.location()).hint(hint));
            }
        }
    }
    if let (Some(spl), Some(trust)) = (&model.boot.spl, &model.trust)
        && !spl.verifies.0
        && trust.kind == TrustKind::FusedKey
    {
        let message = format!(
            "the root of trust of the board `{}` is unclear: its boot ROM verifies SPL, and SPL nothing (`boot.spl.verifies`)",
            board.name
        );
        let hint = "take `verifies: false` away: it is for boards whose boot ROM takes any SPL";
        trouble.push(Diagnostic::error("unclear-trust", message).at(trust.at.location()).hint(hint));
    }
    if let Some(rom) = model.boot.spl.as_ref().and_then(|spl| spl.rom.as_ref()) {
        reject_wrong_rom(board, rom, trouble);
    }
    if let Some(monitor) = model.boot.spl.as_ref().and_then(|spl| spl.monitor.as_ref()) {
        let package = monitor.package.is_some() && monitor.file.is_some();
        let part = monitor.package.is_some() || monitor.file.is_some();
        if package == monitor.vendor.is_some() || part != package {
            let message = format!(
                "expected `package` and `file`, or `vendor`, for `boot.spl.monitor` of the board `{}`",
                board.name
            );
            trouble.push(Diagnostic::error("unclear-place", message).at(monitor.at.location()));
        }
    }
    if let Some(fat) = &model.boot.fat {
        fat::reject_wrong(board, fat, trouble);
    }
    let Some(trust) = &model.trust else { return };
    let permanent = trust.steps.iter().any(|step| step.permanent.0);
    let message = match trust.kind {
        TrustKind::FusedKey if trust.anchors.is_empty() || trust.verifies.is_empty() || !permanent => {
            "a `fused-key` names what is set for good (`anchors`), what the boot ROM verifies (`verifies`) and a \
             step that is `permanent`"
        }
        TrustKind::None if permanent || !trust.anchors.is_empty() => {
            "the kind `none` has no `anchors` and no step that is `permanent`"
        }
        TrustKind::FusedKey | TrustKind::None => return,
    };
    let message = format!("the root of trust of the board `{}` is unclear: {message}", board.name);
    trouble.push(Diagnostic::error("unclear-trust", message).at(trust.at.location()));
}

/// Seconds of a watchdog: below, a busy start would look like a hang; above, nobody would call it watched.
const WATCHED: RangeInclusive<u32> = 5..=600;

/// A part of the hardware whose driver is not asked of the kernel is of no use; and a watchdog acts neither at once nor never.
fn reject_undriven(board: &NamedBoard, trouble: &mut Vec<Diagnostic>) {
    let model = &board.model;
    let asked = |symbol: &str| {
        let found = model.linux.symbols.iter().find(|ask| ask.symbol.as_str() == symbol);
        found.and_then(|ask| ask.value.as_ref()).is_some_and(|value| value.text == "y")
    };
    let drivers = [
        ("watchdog", model.watchdog.as_ref().map(|watchdog| &watchdog.driver)),
        ("random", model.random.as_ref().map(|random| &random.driver)),
    ];
    for (key, driver) in drivers {
        let Some(driver) = driver.filter(|driver| !asked(driver.as_str())) else { continue };
        let message = format!(
            "expected `{}: y` among the board's `linux` symbols, since `{key}.driver` names it, found no such",
            driver.as_str()
        );
        let hint = "add it to `linux.symbols` of the board: without its driver nobody uses it";
        trouble.push(Diagnostic::error("incomplete-board", message).at(driver.at.location()).hint(hint));
    }
    if let Some(seconds) = model.watchdog.as_ref().map(|watchdog| &watchdog.seconds)
        && !WATCHED.contains(&seconds.0)
    {
        let message = format!(
            "expected {} to {} seconds for `watchdog.seconds`, found {}",
            WATCHED.start(),
            WATCHED.end(),
            seconds.0
        );
        let hint = "30 does for most; take less where the hardware cannot count that far";
        trouble.push(Diagnostic::error("incomplete-board", message).at(seconds.at.location()).hint(hint));
    }
}

/// Sizes of the memory for the last words: the kernel's log has to fit in part, and nothing needs more.
const LAST_WORDS: RangeInclusive<u64> = 64 << 10..=1 << 20;

/// Memory for the last words is of the form that the driver takes, and nothing that boots is put there.
fn reject_used_memory(board: &NamedBoard, memory: &CrashMemory, trouble: &mut Vec<Diagnostic>) {
    let (address, bytes) = (&memory.address, &memory.bytes);
    let mut wrong = |at: &At, message: String, hint: &str| {
        trouble.push(Diagnostic::error("incomplete-board", message).at(at.location()).hint(hint));
    };
    if !LAST_WORDS.contains(&bytes.0) || !bytes.0.is_power_of_two() {
        let message = format!(
            "expected a power of two from 64KiB to 1MiB for `crash_memory.bytes`, found {} bytes",
            bytes.0
        );
        wrong(&bytes.at, message, "256KiB does for most");
        return;
    }
    if address.0 % LAST_WORDS.start() != 0 {
        let message =
            format!("expected a multiple of 64 KiB for `crash_memory.address`, found {:#x}", address.0);
        wrong(&address.at, message, "take an address in the middle of the memory that nothing else uses");
        return;
    }
    let boot = &board.model.boot;
    // Of kernel and device tree the board says where they begin: neither is larger than the FIT that has both.
    let used = [
        ("boot.fit_address", boot.fit_address.0, boot.fit_bytes.0),
        ("boot.kernel_address", boot.kernel_address.0, boot.fit_bytes.0),
        ("boot.fdt_address", boot.fdt_address.0, LAST_WORDS.end().to_owned()),
    ];
    let measured = board.model.measured_boot.as_ref();
    let log = measured.map(|tpm| ("measured_boot.event_log", tpm.event_log.0, EVENT_LOG_BYTES));
    for (key, from, length) in used.into_iter().chain(log) {
        if address.0 < from.saturating_add(length) && from < address.0.saturating_add(bytes.0) {
            let message = format!(
                "expected `crash_memory` apart from what boots, found {:#x} to {:#x}, where `{key}` puts up to {length} bytes from {from:#x} on",
                address.0,
                address.0 + bytes.0
            );
            wrong(&address.at, message, "take an address in the middle of the memory that nothing else uses");
        }
    }
}

fn reject_unclear_place(
    board: &NamedBoard,
    place: &Spanned<crate::board::RomPlace>,
    trouble: &mut Vec<Diagnostic>,
) {
    if place.offset.is_some() == place.partition.is_some() {
        let message = format!(
            "expected either `offset` or `partition` for `{}` of the board `{}`, found {}",
            place.file.as_str(),
            board.name,
            if place.offset.is_some() { "both" } else { "neither" }
        );
        trouble.push(Diagnostic::error("unclear-place", message).at(place.at.location()));
    }
}

/// Behind the entries of a partition table (UEFI 2.10, 5.3.1: two blocks and 16 KiB).
const BEHIND_TABLE: u64 = 34 * 512;
/// Where the first partition begins.
const FIRST_PARTITION: u64 = 1 << 20;

/// Refuses places of SPL that overlap something, or that the disk cannot have.
fn reject_wrong_rom(board: &NamedBoard, rom: &Spanned<Rom>, trouble: &mut Vec<Diagnostic>) {
    let mut wrong = |at: &crate::source::At, message: String| {
        let message = format!("`boot.spl.rom` of the board `{}`: {message}", board.name);
        let hint = "`docs/add-a-board.md` of Fastness says what a place is: whole sectors of the disk, or a partition of its own";
        trouble.push(Diagnostic::error("unclear-place", message).at(at.location()).hint(hint));
    };
    let in_fat = board.model.boot.fat.as_ref().is_some_and(|fat| fat::has_spl(fat));
    if rom.places.is_empty() && !in_fat {
        wrong(&rom.at, "expected a place, found none".to_owned());
    }
    let mut taken: Vec<(u64, u64)> = Vec::new();
    let mut names: Vec<&str> = board.model.boot.fat.iter().map(|fat| fat.partition.as_str()).collect();
    for place in &rom.places {
        let room = place.room.0;
        match (place.offset, &place.partition) {
            (Some(_), Some(_)) => {
                wrong(&place.at, "expected either `offset` or `partition`, found both".to_owned())
            }
            (None, None) => {
                wrong(&place.at, "expected either `offset` or `partition`, found neither".to_owned())
            }
            (Some(offset), None) => {
                let (start, end) = (offset.0, offset.0.saturating_add(room));
                if start < BEHIND_TABLE || end > FIRST_PARTITION || !start.is_multiple_of(512) {
                    wrong(
                        &place.at,
                        format!(
                            "expected whole sectors between the partition table's end, {BEHIND_TABLE}, and the first partition, \
                             {FIRST_PARTITION}, found the bytes {start} to {end}"
                        ),
                    );
                }
                if taken.iter().any(|(other, other_end)| start < *other_end && *other < end) {
                    wrong(&place.at, format!("another place has some of the bytes {start} to {end}"));
                }
                if place.type_guid.is_some() {
                    wrong(&place.at, "`type_guid` is of a partition, and this place is none".to_owned());
                }
                taken.push((start, end));
            }
            (None, Some(name)) => {
                let name = name.as_str();
                if OWN_PARTITIONS.contains(&name) || names.contains(&name) || name.len() > 36 {
                    wrong(
                        &place.at,
                        format!(
                            "expected a name of up to 36 letters that no other partition has, found `{name}`; taken are {}",
                            OWN_PARTITIONS.join(", ")
                        ),
                    );
                }
                if room == 0 || !room.is_multiple_of(512) {
                    wrong(
                        &place.at,
                        format!("expected whole sectors for the partition `{name}`, found {room} bytes"),
                    );
                }
                names.push(name);
            }
        }
    }
}
