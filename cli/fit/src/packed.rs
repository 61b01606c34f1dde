//! What an image's data says of its compression, beside what `compression` says.
//!
//! U-Boot unpacks by the word alone: with a wrong one it stops with an error that does not name the cause, or jumps into packed bytes.
//! Sources: RFC 1952 (gzip), RFC 8878 (zstd), the formats of xz, bzip2, LZ4 frames and lzop, the LZMA SDK's `lzma.txt`; U-Boot 2026.01
//! `boot/image.c` (`image_decomp`), `lib/lz4_wrapper.c` (frames alone, not the older form).

use crate::fdt::{Node, Tree};

/// How packed data begins, by the word of `compression`; the last two are no words of it.
const MAGIC: [(&str, &[u8]); 8] = [
    ("gzip", &[0x1f, 0x8b]),
    ("bzip2", b"BZh"),
    ("lzo", b"\x89LZO"),
    ("lz4", &[0x04, 0x22, 0x4d, 0x18]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ("xz", b"\xfd7zXZ\0"),
    ("lz4 in its older form", &[0x02, 0x21, 0x4c, 0x18]),
    ("lzip", b"LZIP"),
];

/// Kinds of images that U-Boot itself puts in memory as they are: packed ones with the word `none` do not run. A RAM disk with that
/// word is as it should be, Linux unpacks it; of firmware and the like nobody here knows.
const RUN_AS_THEY_ARE: [&str; 4] = ["kernel", "kernel_noload", "flat_dt", "standalone"];

/// What the data is packed with, as far as its first bytes tell.
fn found(data: &[u8]) -> Option<&'static str> {
    let known = MAGIC.iter().find(|(_, magic)| data.starts_with(magic)).map(|(name, _)| *name);
    known.or_else(|| is_lzma(data).then_some("lzma"))
}

/// LZMA alone has no magic: 0x5d (the usual properties), a dictionary of whole 64 KiB, and a size that is unknown or below 2^40.
fn is_lzma(data: &[u8]) -> bool {
    let size = data.get(5..13);
    data.starts_with(&[0x5d, 0, 0])
        && size.is_some_and(|size| size == [0xff; 8] || (size[5..] == [0; 3] && size != [0; 8]))
}

/// What contradicts the image's `compression`; nothing where it fits, or where nobody can tell.
pub(crate) fn contradiction(image: &Node<'_>, data: &[u8]) -> Option<String> {
    let (name, found) = (&image.name, found(data));
    let word = image.text("compression").unwrap_or("none").to_ascii_lowercase();
    if word == "none" {
        let kind = image.text("type").unwrap_or_default();
        let found = found.filter(|_| RUN_AS_THEY_ARE.iter().any(|one| one.eq_ignore_ascii_case(kind)))?;
        return Some(format!(
            "`compression` of the image `{name}` is `none`, and its data begin as {found}: U-Boot would not unpack them"
        ));
    }
    // Other properties than the usual ones are LZMA, too, and have no mark.
    let may_be = match found {
        Some(found) => found == word,
        None => word == "lzma" && data.first().is_some_and(|properties| *properties < 9 * 5 * 5),
    };
    let known = word == "lzma" || MAGIC.iter().any(|(name, _)| *name == word);
    (known && !may_be).then(|| {
        let begin = found.map_or("as none that is known".to_owned(), |found| format!("as {found}"));
        format!("`compression` of the image `{name}` is `{word}`, and its data begin {begin}: U-Boot could not unpack them")
    })
}

/// The images whose data contradict their `compression`, a sentence each.
#[must_use]
pub fn contradictions(tree: &Tree<'_>) -> Vec<String> {
    let images = tree.root.child("images").map(|images| images.children.as_slice()).unwrap_or_default();
    images.iter().filter_map(|image| contradiction(image, image.get("data")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &str, word: &str, data: &[u8]) -> Option<String> {
        let mut image = Node::new("i");
        image.set_text("type", kind);
        image.set_text("compression", word);
        contradiction(&image, data)
    }

    /// The first bytes of `printf hello | TOOL`.
    const BEGINNINGS: [(&str, &[u8]); 6] = [
        ("gzip", &[0x1f, 0x8b, 0x08, 0x00, 0, 0, 0, 0, 0x00, 0x03]),
        ("bzip2", b"BZh91AY&SY"),
        ("lzma", &[0x5d, 0, 0, 0x80, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
        ("lzo", b"\x89LZO\0\r\n\x1a\n"),
        ("lz4", &[0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7]),
        ("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58]),
    ];

    #[test]
    fn data_that_is_what_its_word_says_contradicts_nothing() {
        for (word, data) in BEGINNINGS {
            assert_eq!(said("kernel", word, data), None, "{word}");
            assert_eq!(said("KERNEL", &word.to_uppercase(), data), None, "{word}");
        }
        assert_eq!(said("kernel", "none", b"MZ\0\x91"), None);
        assert_eq!(said("flat_dt", "none", &[0xd0, 0x0d, 0xfe, 0xed]), None);
        // LZMA with other properties than the usual ones, and one that could not be.
        assert_eq!(said("kernel", "lzma", &[0x6c, 0, 0, 1, 0, 9, 9]), None);
        assert!(said("kernel", "lzma", &[0xe1, 0, 0, 1, 0, 9, 9]).is_some());
        // A word that U-Boot does not know is refused elsewhere.
        assert_eq!(said("kernel", "zip", b"PK"), None);
    }

    #[test]
    fn every_packed_kernel_with_another_word_is_told() {
        for (packed, data) in BEGINNINGS {
            let none = said("kernel", "none", data).unwrap_or_default();
            assert!(none.contains(&format!("is `none`, and its data begin as {packed}: ")), "{none}");
            for (word, _) in BEGINNINGS.iter().filter(|(word, _)| *word != packed) {
                let other = said("kernel", word, data).unwrap_or_default();
                assert!(other.contains(&format!("is `{word}`, and its data begin as {packed}: ")), "{other}");
            }
        }
        for (found, data) in
            [("xz", &b"\xfd7zXZ\0\0\x04"[..]), ("lz4 in its older form", &[0x02, 0x21, 0x4c, 0x18, 1])]
        {
            for word in ["none", "lz4", "lzma"] {
                let text = said("kernel", word, data).unwrap_or_default();
                assert!(text.contains(&format!("begin as {found}: ")), "{word}: {text}");
            }
        }
        let plain = said("ramdisk", "gzip", b"070701").unwrap_or_default();
        assert!(plain.contains("is `gzip`, and its data begin as none that is known: "), "{plain}");
        assert!(said("kernel", "gzip", b"").is_some());
    }

    #[test]
    fn a_packed_ramdisk_with_the_word_none_is_as_it_should_be() {
        for kind in ["ramdisk", "firmware", "filesystem"] {
            assert_eq!(said(kind, "none", BEGINNINGS[0].1), None);
        }
    }
}
