//! A build tool's log, read while it grows: what it does now, and its end when it failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diag::Outcome;
use exec::Call;

use crate::Progress;

/// How much of a log is looked through at a time.
const LOG_BYTES: u64 = 8 << 20;

/// Runs a call that writes to `log`, and tells what `doing` finds in the log's lines meanwhile.
///
/// # Errors
/// Those of the call.
pub fn run(
    call: &Call,
    log: &Path,
    doing: fn(&str) -> Option<String>,
    progress: &dyn Progress,
) -> Outcome<()> {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| follow(log, &ended, doing, progress));
        let result = call.run();
        ended.store(true, Ordering::Relaxed);
        result
    })
}

fn follow(path: &Path, ended: &AtomicBool, doing: fn(&str) -> Option<String>, progress: &dyn Progress) {
    let mut seen = 0;
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(mut file) = File::open(path) else { continue };
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(seen)).is_err() || file.take(LOG_BYTES).read_to_end(&mut bytes).is_err()
        {
            continue;
        }
        // Half a line is read again with its other half.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        seen += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        if let Some(text) = text.lines().rev().find_map(doing) {
            progress.detail(&text);
        }
    }
}

/// The end of a log; empty if it cannot be read.
#[must_use]
pub fn end_of(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
