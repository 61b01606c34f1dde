//! The readers against images made by the tools of the field, and against broken ones.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod disk;
mod elf;
mod fat;
mod hostile;
mod support;
mod tree;
mod verity;
