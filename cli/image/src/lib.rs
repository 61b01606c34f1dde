//! Reads images as they lie on disk: no mounting, no root, no other program.
//!
//! - [`disk`]: GPT disk images, read and written;
//! - [`fat`]: FAT16 and FAT32, as far as a boot ROM reads them;
//! - [`tree`]: a root file system (squashfs, ext4, tar, cpio, a folder) as one [`tree::FileTree`];
//! - [`elf`]: the hardening facts of a program or library;
//! - [`verity`]: verifies a dm-verity hash tree (it does not write one);
//! - [`kconfig_embedded`]: the `.config` inside a kernel, and the arm64 `Image` header.
//!
//! Everything read here is hostile: a reader returns an [`Error`], it does not panic, does not
//! allocate what a header merely claims, and does not loop for ever. Nothing here starts a process,
//! follows a link out of the image, or judges what it reads: verdicts are made elsewhere.

pub mod disk;
pub mod elf;
mod error;
pub mod fat;
pub mod kconfig_embedded;
mod source;
pub mod tree;
mod unpack;
pub mod verity;

pub use error::{Error, Result};
pub use source::{Source, SubReader};
