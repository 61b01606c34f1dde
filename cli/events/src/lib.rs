//! The records of security events as a device with the layer `events` writes them (docs/events.md).
//!
//! For: reading records that may have been tampered with, and saying whether their chain is whole.
//! It must not trust anything that it reads, repair it, or hold more than one record in memory.

mod record;
pub mod schema;
mod seal;
mod verify;

pub use record::{Clock, Event, Malformed, Outcome};
pub use seal::{SealKey, Unsealed};
pub use verify::{Anchor, Broken, Chain, Verifier, Wrong};

/// Longest record in bytes; the device cuts messages far below it.
pub const MAX_RECORD: usize = 64 * 1024;
