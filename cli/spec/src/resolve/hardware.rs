//! What a board must say about hardware: a board that no emulator describes names its device trees and its
//! root of trust, and a root of trust that burns says so.

use diag::Diagnostic;

use super::NamedBoard;
use crate::board::TrustKind;
use crate::decode::Spanned;
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
    for place in &model.rom_places {
        reject_unclear_place(board, place, trouble);
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
