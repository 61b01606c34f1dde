//! A FAT file system, where the board's boot ROM or its maker's firmware wants files.

use crate::decode::{Spanned, choice, model};
use crate::plan::{FatFacts, FatFileFacts, FatImageFacts};
use crate::types::{Banner, FileName, Size, Word};

choice! {
    /// What a file of the FAT file system is.
    pub enum FatContent {
        /// The maker's program of that name, one of `vendor_programs`.
        Vendor = "vendor",
        /// SPL in the boot ROM's header (`boot.spl.rom`).
        Spl = "spl",
        /// U-Boot with its control FDT.
        UBoot = "u-boot",
        /// What the board says in `text`.
        Text = "text",
    }
}

model! {
    /// A partition with a FAT file system, which the partition table's older form has as its first one, too.
    pub struct Fat {
        /// Its name.
        partition: Word,
        /// Its size.
        room: Size,
        /// The files in its root folder.
        files: Vec<Spanned<FatFile>>,
        /// Another FAT file system with the same files, as a file beside them: what a person signs.
        image: Option<FatImage> = None,
    }
}

model! {
    /// A file.
    pub struct FatFile {
        /// Its name.
        name: FileName,
        /// What it is.
        holds: FatContent,
        /// Its text, if it is one.
        text: Option<Banner> = None,
    }
}

model! {
    /// A FAT file system as a file.
    pub struct FatImage {
        /// Its name.
        name: FileName,
        /// Its size.
        room: Size,
    }
}

impl Fat {
    pub(super) fn facts(&self) -> FatFacts {
        let file = |one: &Spanned<FatFile>| FatFileFacts {
            name: one.name.as_str().to_owned(),
            holds: one.holds.as_str().to_owned(),
            text: one.text.as_ref().map(|text| text.as_str().to_owned()),
        };
        FatFacts {
            partition: self.partition.as_str().to_owned(),
            room: self.room.0,
            files: self.files.iter().map(file).collect(),
            image: self
                .image
                .as_ref()
                .map(|image| FatImageFacts { name: image.name.as_str().to_owned(), room: image.room.0 }),
        }
    }
}
