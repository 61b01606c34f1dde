//! What lies in the file beside the nodes and the images' data: no signature covers it, whatever it is.

use crate::fdt::Blocks;

/// Each by what it is. Zeros are what fills up to an alignment, and are not told.
pub(super) fn beside(
    blob: &[u8],
    blocks: &Blocks<'_>,
    data: impl Iterator<Item = (usize, usize)>,
) -> Vec<String> {
    let reserved = blocks.reserved().unwrap_or_default();
    let mut out: Vec<String> =
        reserved.iter().map(|(address, size)| format!("/memreserve/ {address:#x} {size:#x}")).collect();
    let mut used: Vec<(usize, usize)> = blocks.used().into_iter().chain(data).collect();
    used.sort_unstable();
    let mut from = 0;
    for (start, end) in used.into_iter().chain([(blob.len(), blob.len())]) {
        let gap = blob.get(from..start).unwrap_or_default();
        let first = gap.iter().position(|byte| *byte != 0);
        let last = gap.iter().rposition(|byte| *byte != 0);
        if let Some((first, last)) = first.zip(last) {
            out.push(format!("the file's bytes {:#x} to {:#x}", from + first, from + last));
        }
        from = from.max(end);
    }
    out
}
