//! Updates in the field: what the layer that takes them needs of the disk, and what it cannot stand beside.

use diag::Diagnostic;

use super::sealed;
use crate::product::Product;

/// The layer that takes updates.
const LAYER: &str = "update";
/// Size of the partition with the boot control block: two blocks of 512 bytes are used.
const MISC_BYTES: u64 = 1 << 20;

/// Size of the partition `misc`; 0 for products that take no updates.
pub fn misc_bytes(product: &Product, trouble: &mut Vec<Diagnostic>) -> u64 {
    let Some((name, _)) = product.layers.iter().find(|(name, _)| name.as_str() == LAYER) else { return 0 };
    if let Some(sealed) = sealed::asked(product) {
        let message = format!(
            "the layer `{LAYER}` starts another kernel, and the key of the sealed data partition is bound to this one"
        );
        trouble.push(
            Diagnostic::error("update-of-sealed", message)
                .at(name.at.location())
                .note("it is sealed here", Some(sealed.recovery.at.location()))
                .hint("take one of the two away: nothing seals the key to the next version before it starts"),
        );
    }
    MISC_BYTES
}
