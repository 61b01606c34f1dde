//! Spellings of programs that no package has: a product's own, and those of a board's maker.

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

text_type! {
    /// The name of a file in a folder, and of nothing else.
    FileName,
    "a file name of up to 64 letters, digits and `. _ -`, a letter or digit first",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    |text| text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
