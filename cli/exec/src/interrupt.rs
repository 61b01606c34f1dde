//! Ctrl-C and SIGTERM: noticed here, acted on by whoever waits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long whoever works may take until it has noticed: what reads from a pipe, or computes, looks at no flag.
const PATIENCE: Duration = Duration::from_secs(3);

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// Somebody has noticed, and ends in order, however long that takes.
static NOTICED: AtomicBool = AtomicBool::new(false);
/// Files that nobody misses when the program ends at once.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// Makes SIGINT and SIGTERM stop the work at the next safe point; a second one, and one that nobody notices within three seconds,
/// ends the program at once, with 130.
///
/// # Errors
/// When the system refuses the handler.
pub fn install_interrupt_handler() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // Here and now: a program that was started gets the same signal, and its end is looked at with the flag.
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut all = signals.forever();
        if all.next().is_some() {
            let wait = || {
                std::thread::sleep(PATIENCE);
                if !NOTICED.load(Ordering::Relaxed) {
                    leave();
                }
            };
            // Without a thread to wait the second signal still ends it.
            let _ = std::thread::Builder::new().name("patience".to_owned()).spawn(wait);
        }
        if all.next().is_some() {
            leave();
        }
    })?;
    Ok(())
}

/// Ends at once: nothing is left but what was finished.
fn leave() -> ! {
    for path in TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = std::fs::remove_file(path);
    }
    signal_hook::low_level::exit(130)
}

/// A file that goes when the program ends at once. Dropped when it has its own place, or is gone.
#[derive(Debug)]
pub struct Temporary(PathBuf);

impl Temporary {
    /// This file; by its whole path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Whether a signal asked to stop.
#[must_use]
pub fn interrupted() -> bool {
    let asked = flag().load(Ordering::Relaxed);
    if asked {
        NOTICED.store(true, Ordering::Relaxed);
    }
    asked
}

/// An error if a signal asked to stop; call it between steps.
///
/// # Errors
/// After SIGINT or SIGTERM.
pub fn check_interrupt() -> Outcome<()> {
    if interrupted() {
        return Err(Failure::error(
            ExitStatus::Interrupted,
            "interrupted",
            "stopped by a signal; what was finished is kept",
        )
        .hint("run the same command again to go on"));
    }
    Ok(())
}
