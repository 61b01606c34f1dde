//! What is being done, told while it is done.

use std::path::Path;
use std::time::{Duration, Instant};

use diag::Outcome;

/// Receives the steps of a build; the program prints them.
pub trait Progress: Sync {
    /// A step begins; its output goes to `log`.
    fn begin(&self, step: &str, log: Option<&Path>);
    /// What the step under work does now.
    fn detail(&self, _text: &str) {}
    /// What a person should know of a build that goes on.
    fn warn(&self, _text: &str) {}
    /// A step ended well. `cached` when nothing had to be done.
    fn end(&self, step: &str, cached: bool, took: Duration);
}

/// Tells nobody; for tests.
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _: &str, _: Option<&Path>) {}
    fn end(&self, _: &str, _: bool, _: Duration) {}
}

/// Runs `work` as a step. `work` returns its value and whether it came from the cache.
///
/// # Errors
/// Those of `work`.
pub fn step<T>(
    progress: &dyn Progress,
    name: &str,
    log: Option<&Path>,
    work: impl FnOnce() -> Outcome<(T, bool)>,
) -> Outcome<T> {
    exec::check_interrupt()?;
    let started = Instant::now();
    progress.begin(name, log);
    let (value, cached) = work()?;
    progress.end(name, cached, started.elapsed());
    Ok(value)
}
