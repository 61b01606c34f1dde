//! What a board says of its FAT file system: files that can be made, and sizes that such a file system can have.

use diag::Diagnostic;

use super::NamedBoard;
use crate::board::{Fat, FatContent};
use crate::decode::Spanned;
use crate::plan::OWN_PARTITIONS;
use crate::source::At;

/// A smaller one is no FAT16, a larger one is more than a boot ROM needs.
const SIZES: std::ops::RangeInclusive<u64> = 8 << 20..=512 << 20;

/// Reports a name or size that cannot be, and files that nothing is known of.
pub(super) fn reject_wrong(board: &NamedBoard, fat: &Spanned<Fat>, trouble: &mut Vec<Diagnostic>) {
    let mut wrong = |at: &At, message: String| {
        let message = format!("`boot.fat` of the board `{}`: {message}", board.name);
        trouble.push(Diagnostic::error("unclear-fat", message).at(at.location()));
    };
    let partition = fat.partition.as_str();
    if OWN_PARTITIONS.contains(&partition) || partition.len() > 36 {
        wrong(
            &fat.at,
            format!(
                "expected a name of up to 36 letters that no other partition has, found `{partition}`; taken are {}",
                OWN_PARTITIONS.join(", ")
            ),
        );
    }
    let image = fat.image.as_ref();
    for (what, bytes) in [("the partition", Some(fat.room.0)), ("the image", image.map(|image| image.room.0))]
    {
        if bytes.is_some_and(|bytes| !SIZES.contains(&bytes) || !bytes.is_multiple_of(1 << 20)) {
            wrong(
                &fat.at,
                format!(
                    "expected whole MiB, from {} to {}, for {what}, found {} bytes",
                    SIZES.start() >> 20,
                    SIZES.end() >> 20,
                    bytes.unwrap_or_default()
                ),
            );
        }
    }
    if image.is_some_and(|image| image.room.0 >= fat.room.0) {
        wrong(&fat.at, "the image does not fit into the partition".to_owned());
    }
    if fat.files.is_empty() {
        wrong(&fat.at, "expected a file, found none".to_owned());
    }
    let mut names: Vec<String> = image.map(|image| image.name.as_str().to_lowercase()).into_iter().collect();
    for file in &fat.files {
        let name = file.name.as_str();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        if stem.len() > 8 || extension.len() > 3 || stem.is_empty() || stem.contains('.') {
            wrong(
                &file.at,
                format!(
                    "expected up to 8 letters, a dot and up to 3, since boot ROMs read short names, found `{name}`"
                ),
            );
        }
        // FAT knows no difference of case.
        if names.contains(&name.to_lowercase()) {
            wrong(&file.at, format!("`{name}` is there twice"));
        }
        names.push(name.to_lowercase());
        if file.text.is_some() != (file.holds == FatContent::Text) {
            wrong(&file.at, format!("expected `text` for `{name}` if, and only if, it holds `text`"));
        }
        let rom = board.model.boot.spl.as_ref().is_some_and(|spl| spl.rom.is_some());
        if file.holds == FatContent::Spl && !rom {
            wrong(&file.at, format!("`{name}` holds SPL, and the board has no `boot.spl.rom`"));
        }
    }
}

/// Whether a boot ROM finds SPL there.
pub(super) fn has_spl(fat: &Fat) -> bool {
    fat.files.iter().any(|file| file.holds == FatContent::Spl)
}
