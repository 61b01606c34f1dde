//! Artefacts become an image: verity, command line, FIT, signature, boot loader, disk.
//!
//! [`assemble()`] writes everything into a new folder, reads it back from the finished disk with the public
//! key only ([`readback()`]), and then puts it in the old one's place at once. Private keys come from
//! [`keys`] and are used in memory only. What is written here is read by other code (`fit::verify`,
//! `image::verity`), so that one mistake cannot sit in both.

mod assemble;
mod behind;
mod board_tree;
mod boot_chain;
pub mod bundle;
mod cache;
mod cmdline;
mod data_partition;
mod disk;
mod event_log;
mod fat;
pub mod keys;
mod place;
mod readback;
mod rom;
mod slots;
mod spl;
#[cfg(test)]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
mod testing;
pub mod verity;

pub use assemble::assemble;
pub use boot_chain::{kernel_fdt, keys_fit, signed_fit, trusted, uboot};
pub use cache::up_to_date;
pub use cmdline::command_line;
pub use readback::readback;
pub use spec::guid::guid;
