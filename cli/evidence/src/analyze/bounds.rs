//! How much of an image is looked at: a hostile one must end a run neither in hours nor in all of the memory.
//!
//! Whatever the image is, memory stays below 1 GiB: one piece is read whole at a time ([`MAX_BLOB`]) with what it
//! unpacks to, or a few files ([`MAX_LARGE`]); everything else is a place in the image, or in a temporary file.

/// Containers inside each other.
pub const MAX_DEPTH: usize = 8;
/// Pieces of one image.
pub const MAX_PARTS: usize = 1000;
/// Bytes that everything packed may come to.
pub const MAX_UNPACKED: u64 = 16 << 30;
/// Bytes of a piece that is read whole: a kernel, a boot loader, a FIT.
pub const MAX_BLOB: u64 = 256 << 20;
/// Images that lie as files in one tree and are opened.
pub const MAX_NESTED: usize = 64;
/// Paths of all trees of an image.
pub const MAX_PATHS: usize = 2 * image::tree::MAX_ENTRIES;
/// Bytes of one file that are read whole; what is larger is said.
pub const MAX_FILE: u64 = 64 << 20;
/// Bytes from which on a file is a large one, of which few are read at once.
pub const LARGE: u64 = 4 << 20;
/// Large files that are read at once.
pub const MAX_LARGE: usize = 2;

/// Bytes of files that are looked through in an image, beside as many as the image itself has.
const MAX_READ: u64 = 4 << 30;
/// Bytes of what is opened a second time (files that are images, parts that overlap), beside as many as the image has.
const MAX_AGAIN: u64 = 2 << 30;
/// No image counts for more: a file of the host may have holes, too.
const MAX_IMAGE: u64 = 16 << 30;

/// What is still allowed.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: u64,
    /// What was allowed at first.
    pub all: u64,
}

impl Budget {
    fn of(all: u64) -> Self {
        Self { left: all, all }
    }

    /// For the files of an image of so many bytes. What is not packed at all is read whole.
    #[must_use]
    pub fn for_files(image: u64) -> Self {
        Self::of(MAX_READ + image.min(MAX_IMAGE))
    }

    /// For what is opened again.
    #[must_use]
    pub fn for_again(image: u64) -> Self {
        Self::of(MAX_AGAIN + image.min(MAX_IMAGE))
    }

    /// Takes so many bytes, or none where so many are not left.
    pub fn take(&mut self, bytes: u64) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl Default for Budget {
    /// For bytes in memory, as tests have them.
    fn default() -> Self {
        Self::for_again(0)
    }
}
