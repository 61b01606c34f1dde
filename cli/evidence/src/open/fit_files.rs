//! FITs that lie as files in a file system, as `/boot/fitImage` of many boards does.
//!
//! Told by content, not by name: a FIT is a device tree with `images` and `configurations`.

use image::tree::{FileTree, Kind};

use super::{FDT_MAGIC, FIT_LIMIT, chain};
use crate::subject::FitFacts;

/// The header of a device tree; nothing smaller is a FIT.
const LEAST: u64 = 64;
/// Bytes of files that are read in search of one.
const BUDGET: u64 = 512 << 20;

/// A FIT and the file that it is.
pub type Found = (String, Result<FitFacts, String>);

/// Every FIT in `/` and below `/boot`, and what was not looked at.
pub fn find(tree: &FileTree) -> (Vec<Found>, Option<String>) {
    let mut left = BUDGET;
    let mut found = Vec::new();
    for (path, entry) in tree.entries() {
        let Kind::File { size } = entry.kind else { continue };
        let place = path.starts_with("/boot/") || path.rfind('/') == Some(0);
        if !place || size < LEAST || is_plain_tree(path) {
            continue;
        }
        if size > left.min(FIT_LIMIT) {
            return (found, Some(format!("`{path}` and what follows are too large to look for a FIT in")));
        }
        left -= size;
        match tree.read(path, size) {
            Ok(bytes) if bytes.starts_with(&FDT_MAGIC) => {
                if let Some(fit) = chain::fit_or_tree(bytes) {
                    found.push((path.clone(), fit));
                }
            }
            Ok(_) => {}
            Err(why) => return (found, Some(why.to_string())),
        }
    }
    (found, None)
}

/// Device trees and overlays beside the kernel: many, and never FITs.
fn is_plain_tree(path: &str) -> bool {
    [".dtb", ".dtbo"].iter().any(|end| path.ends_with(end))
}
