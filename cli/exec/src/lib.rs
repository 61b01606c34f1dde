//! The only room that starts processes.
//!
//! Tools are data ([`Tool`]): program, purpose, the Debian package that brings it. A
//! [`Call`] is argv only (never a shell line), gets a white-listed environment, no
//! standard input, a process group of its own, a time limit and a log file; its error
//! names the whole command, the log and the log's last lines. Secrets never pass through
//! here: no key or passphrase may be an argument or an environment variable.

mod call;
mod interrupt;
mod lock;
mod tool;
mod tpm;

pub use call::{Call, Running};
pub use interrupt::{Temporary, check_interrupt, install_interrupt_handler, interrupted};
pub use lock::FolderLock;
pub use tool::{TOOLS, Tool, find, require, tool};
pub use tpm::Tpm;
