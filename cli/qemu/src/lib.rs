//! Virtual machines: boots an image, and attacks tampered copies of it.
//!
//! - [`boot()`] starts the untouched image and waits for its self-check;
//! - [`attack`] loads attacks (data), applies their mutations to a copy, runs each on a machine of
//!   its own and judges from the console what became of it.
//!
//! Every wait is for evidence with a deadline. An image is never changed; a harness that broke is an
//! error or an inconclusive result, never a refusal. Nothing here judges files (that is `evidence`).

pub mod attack;
mod boot;
pub mod console;
pub mod events;
mod files;
mod firewall;
pub mod machine;
pub mod mutate;
pub mod pattern;
mod peer;
pub mod qmp;
pub mod selfcheck;
mod tap;
pub mod tpm;
mod tunnels;
mod until;
mod update;
mod wires;

pub use attack::{Attack, AttackRun, Progress, run_attacks};
pub use boot::{CONSOLE_LOG, boot, boot_device, milestones};
pub use firewall::prove as prove_firewall;
pub use tunnels::{
    Identities, Item, Throughput, Tree, WireguardKeys, enroll, measure as measure_throughput,
    prove as prove_tunnels,
};
pub use until::boot_until;
pub use update::boot_with_updates;
pub use wires::boot_on_wires;
