//! Programs of a board's maker that no package of the suite has: what they are, and where they go.
//!
//! Nothing of them is here, and nothing fetches one: whoever builds has them, under the maker's licence, and gives a folder.

use crate::decode::model;
use crate::plan::{BehindFacts, VendorProgramFacts};
use crate::types::{FileName, Size, Text};

model! {
    /// A program of the maker without which the board does not start.
    pub struct VendorProgram {
        /// The file as the maker names it.
        file: FileName,
        /// What it is.
        about: Text,
        /// Where one gets it.
        from: Text,
        /// Its exact size, where the hardware wants that.
        bytes: Option<Size> = None,
        /// Otherwise the largest that fits; left out: 16 MiB.
        at_most: Option<Size> = None,
    }
}

model! {
    /// A maker's program that stands behind SPL, in the same file.
    pub struct Behind {
        /// Its file, one of `vendor_programs`.
        vendor: FileName,
        /// Bytes that it has there; what is behind it is zero. Behind the last one nothing is filled.
        room: Size,
    }
}

impl VendorProgram {
    pub(super) fn facts(&self) -> VendorProgramFacts {
        VendorProgramFacts {
            file: self.file.as_str().to_owned(),
            about: self.about.as_str().to_owned(),
            from: self.from.as_str().to_owned(),
            bytes: self.bytes.map(|size| size.0),
            at_most: self.at_most.map(|size| size.0),
        }
    }
}

impl Behind {
    pub(super) fn facts(&self) -> BehindFacts {
        BehindFacts { vendor: self.vendor.as_str().to_owned(), room: self.room.0 }
    }
}
