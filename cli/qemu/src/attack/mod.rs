//! Attacks: data, run against tampered copies of the image.
//!
//! An attack is one YAML file: what is changed ([`crate::mutate`]), and where and with which words
//! the device must refuse it. A result is `refused` only when the machine came up, the expected words
//! are on the console, nothing forbidden is, and the machine ended as expected; and only when the
//! untouched image boots in the same harness. All else is `got-through` or `inconclusive`.

mod classify;
mod definition;
mod library;
mod run;

pub use classify::{Ended, Observation, classify};
#[cfg(test)]
pub(crate) use definition::plain_signing;
pub use definition::{Attack, Ending, Expect, Need, Stage};
pub use library::{library, select};
pub use run::{AttackRun, Progress, run_attacks};
