//! Spellings of a product's own programs.

use crate::types::text::text_type;

text_type! {
    /// A file of the product's folder, by its path in it.
    LocalPath,
    "a path below the product's folder (no `..`, no `/` first; letters, digits and `. _ + , = : @ / -`)",
    "^(?!\\.{1,2}(/|$))[A-Za-z0-9._+,=:@-]+(/(?!\\.{1,2}(/|$))[A-Za-z0-9._+,=:@-]+)*$",
    |text| text.len() <= 255 && text.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+,=:@-".contains(&b))
    })
}
