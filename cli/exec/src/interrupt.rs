//! Ctrl-C and SIGTERM: noticed here, acted on by whoever waits.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use diag::{ExitStatus, Failure, Outcome};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// Makes SIGINT and SIGTERM stop the work at the next safe point.
///
/// # Errors
/// When the system refuses the handler.
pub fn install_interrupt_handler() -> std::io::Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second Ctrl-C ends the program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag()))?;
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    Ok(())
}

/// Whether a signal asked to stop.
#[must_use]
pub fn interrupted() -> bool {
    flag().load(Ordering::Relaxed)
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
