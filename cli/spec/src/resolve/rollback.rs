//! Rollback versions: what a product asks, and whether its board can count them.

use diag::Diagnostic;

use super::{NamedBoard, sealed, tpm_keys};
use crate::board::{Board, CounterStore};
use crate::decode::Spanned;
use crate::plan::BoardFacts;
use crate::product::Product;
use crate::types::Integer;

/// Size of the partition in which the running version says that it works: one sector is used.
const PROOF_BYTES: u64 = 1 << 20;
/// U-Boot counts one by one, and each step wears the TPM's memory.
const HIGHEST: u64 = 255;

fn asked(product: &Product) -> Option<&Spanned<Integer>> {
    product.signing.as_ref().and_then(|signing| signing.rollback_version.as_ref())
}

/// The version that the signed configuration carries, if the board can count it.
pub fn version(product: &Product, board: &NamedBoard, trouble: &mut Vec<Diagnostic>) -> Option<u32> {
    let asked = asked(product)?;
    if !(1..=HIGHEST).contains(&asked.0) {
        let message = format!("expected a rollback version from 1 to {HIGHEST}, found `{}`", asked.0);
        let hint = "raise it by 1 when older images must not start any more";
        trouble.push(Diagnostic::error("wrong-type", message).at(asked.at.location()).hint(hint));
    }
    let store = board.model.rollback.store;
    if store == CounterStore::None {
        let message =
            format!("the board `{}` has no counter that keeps older images from starting", board.name);
        let hint = "leave `rollback_version` out, or choose a board whose `rollback.store` is `tpm-nv`";
        trouble.push(Diagnostic::error("no-counter", message).at(asked.at.location()).hint(hint));
    }
    u32::try_from(asked.0).ok()
}

/// The board's facts, with the TPM in its QEMU machine if the product uses it.
pub fn facts(product: &Product, board: &Board, name: &str) -> BoardFacts {
    let mut facts = board.facts(name);
    let uses_tpm =
        asked(product).is_some() || sealed::asked(product).is_some() || tpm_keys::asked(product).is_some();
    if let (Some(qemu), Some(model), true) = (&mut facts.qemu, &board.qemu, uses_tpm) {
        qemu.tpm = model.tpm.as_ref().map(|device| device.as_str().to_owned());
    }
    facts
}

/// Size of the partition `proof`, in which also a recovery key is put; 0 for products that need neither.
pub fn proof_bytes(product: &Product) -> u64 {
    if asked(product).is_some() || sealed::asked(product).is_some() { PROOF_BYTES } else { 0 }
}
