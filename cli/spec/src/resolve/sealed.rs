//! Sealed data partitions: what a product asks, and whether board and backend have what it takes.

use diag::{Diagnostic, Outcome};

use super::{NamedBoard, trust};
use crate::library::Library;
use crate::plan::SealedPlan;
use crate::product::{Backend, Product, Sealed};

/// What the product asks.
pub fn asked(product: &Product) -> Option<&Sealed> {
    product.storage.as_ref().and_then(|storage| storage.sealed.as_ref())
}

/// The plan of it.
pub fn plan(
    library: &Library,
    product: &Product,
    board: &NamedBoard,
    backend: Backend,
    trouble: &mut Vec<Diagnostic>,
) -> Outcome<Option<SealedPlan>> {
    let Some(asked) = asked(product) else { return Ok(None) };
    let at = || asked.recovery.at.location();
    if backend != Backend::Debian {
        let message = format!(
            "a sealed data partition is for the backend `debian` only, and the backend is `{}`",
            backend.as_str()
        );
        let hint = "build it with `backend: debian`, or leave `storage.sealed` out";
        trouble.push(Diagnostic::error("no-sealed-storage", message).at(at()).hint(hint));
    }
    let Some(measured) = &board.model.measured_boot else {
        // The TPM alone is not enough: a key is sealed to what U-Boot measured, and where that is proved the board says it.
        let message = format!(
            "the board `{}` has no measured boot: a key can be sealed only to what its U-Boot measures into a TPM",
            board.name
        );
        let hint =
            "leave `storage.sealed` out, or choose a board with `measured_boot`, such as `qemu-aarch64`";
        trouble.push(Diagnostic::error("no-measured-boot", message).at(at()).hint(hint));
        return Ok(None);
    };
    let recovery = trust::public_key(library, &asked.recovery, trouble)?;
    Ok(recovery.map(|recovery| SealedPlan {
        recovery,
        event_log: measured.event_log.0,
        tpm_compatible: measured.compatible.as_str().to_owned(),
        limits: measured.limits.as_str().to_owned(),
    }))
}
