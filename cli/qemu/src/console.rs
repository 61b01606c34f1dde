//! A machine's serial line (or virtio port): every line with its time, kept in a log.
//!
//! The other side is hostile: memory and log are bounded, control sequences are taken out, and
//! waiting always ends (evidence, end of the line, or the deadline). Nothing here sleeps a fixed time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use record::ConsoleLine;

use crate::pattern::Pattern;

/// Lines kept in memory; older ones are only in the log.
const MAX_LINES: usize = 8_000;
/// Characters of one line; the rest of a longer one becomes a line of its own.
const MAX_LINE: usize = 4_096;
/// Bytes of the log file.
const MAX_LOG: usize = 16 << 20;

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<ConsoleLine>,
    /// Lines that are no longer kept.
    dropped: u64,
    /// The line that has no end yet: a prompt never gets one.
    partial: Option<ConsoleLine>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A reader that panicked leaves the lines that it had; they are still evidence.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waiting ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A line matched.
    Line {
        /// Index of the pattern.
        pattern: usize,
        /// The line.
        line: ConsoleLine,
    },
    /// The other side is gone and no line matched.
    Closed,
    /// The deadline passed.
    TimedOut,
}

/// One serial line with the thread that reads it.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    stream: UnixStream,
    reader: Option<JoinHandle<()>>,
    /// Number of the next line that waiting looks at.
    cursor: u64,
}

impl Console {
    /// Reads a stream from now on; `started` is the time zero of its lines.
    ///
    /// # Errors
    /// When the log cannot be made or the stream not be read by a thread of its own.
    pub fn start(stream: UnixStream, log: &Path, started: Instant) -> Outcome<Self> {
        let file = File::create(log).map_err(|e| Failure::io("write", log, &e))?;
        let input = stream.try_clone().map_err(|e| Failure::io("read", log, &e))?;
        // A guest that does not read its keyboard must not stop us.
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .map_err(|e| Failure::io("read", log, &e))?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || read_all(input, BufWriter::new(file), &theirs, started))
            .map_err(|e| Failure::io("read", log, &e))?;
        Ok(Self { shared, stream, reader: Some(reader), cursor: 0 })
    }

    /// Waits for the first new line that matches any pattern, and goes on behind it the next time.
    ///
    /// # Errors
    /// When a signal asks to stop.
    pub fn wait_for(&mut self, patterns: &[Pattern], deadline: Instant) -> Outcome<Seen> {
        let mut state = self.shared.lock();
        loop {
            exec::check_interrupt()?;
            if let Some((next, seen)) = look(&state, self.cursor, patterns) {
                self.cursor = next;
                return Ok(seen);
            }
            // Whole lines that did not match are never looked at again.
            self.cursor = self.cursor.max(state.dropped + state.lines.len() as u64);
            if state.closed {
                return Ok(Seen::Closed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Seen::TimedOut);
            }
            let slice = left.min(Duration::from_millis(100));
            let woken = self.shared.changed.wait_timeout(state, slice);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types keys; what the guest does not take in time is lost, as on a real line.
    pub fn send(&mut self, keys: &[u8]) {
        let _ = self.stream.write_all(keys);
    }

    /// Every line that is kept, the unfinished one last.
    #[must_use]
    pub fn lines(&self) -> Vec<ConsoleLine> {
        let state = self.shared.lock();
        state.lines.iter().chain(&state.partial).cloned().collect()
    }

    /// The lines that are whole: what the device is still writing is none.
    pub fn whole_lines(&self) -> Vec<ConsoleLine> {
        self.shared.lock().lines.iter().cloned().collect()
    }

    /// Ends the line and waits until its log is written.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.finish();
    }
}

fn look(state: &State, cursor: u64, patterns: &[Pattern]) -> Option<(u64, Seen)> {
    let skip = usize::try_from(cursor.saturating_sub(state.dropped)).unwrap_or(usize::MAX);
    let whole =
        state.lines.iter().enumerate().skip(skip).map(|(i, line)| (state.dropped + i as u64 + 1, line));
    let end = state.dropped + state.lines.len() as u64;
    // The unfinished line may match now and again when it is whole; both are the same evidence.
    let partial = state.partial.iter().map(|line| (end, line));
    for (next, line) in whole.chain(partial) {
        if let Some(pattern) = patterns.iter().position(|pattern| pattern.matches(&line.text)) {
            return Some((next, Seen::Line { pattern, line: line.clone() }));
        }
    }
    None
}

fn read_all(mut input: UnixStream, mut log: BufWriter<File>, shared: &Shared, started: Instant) {
    let mut splitter = Splitter::default();
    let mut buffer = [0u8; 4096];
    let mut logged = 0usize;
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if logged < MAX_LOG {
            let _ = log.write_all(&buffer[..count]);
            let _ = log.flush();
            logged += count;
        }
        let mut state = shared.lock();
        for byte in &buffer[..count] {
            if let Some(line) = splitter.push(*byte, ms) {
                state.lines.push_back(line);
                if state.lines.len() > MAX_LINES {
                    state.lines.pop_front();
                    state.dropped += 1;
                }
            }
        }
        state.partial = splitter.partial();
        drop(state);
        shared.changed.notify_all();
    }
    let mut state = shared.lock();
    // Nobody will finish it.
    let last = state.partial.take();
    state.lines.extend(last);
    state.closed = true;
    drop(state);
    shared.changed.notify_all();
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Start,
    /// In a control sequence (ECMA-48, 5.4): ends at `@` to `~`.
    Sequence,
    /// In an operating system command (ECMA-48, 8.3.89): ends at BEL, or at ESC and one more.
    Command,
}

/// Makes lines of bytes, without control sequences and control characters.
#[derive(Debug, Default)]
struct Splitter {
    bytes: Vec<u8>,
    started_ms: Option<u64>,
    escape: Escape,
}

impl Splitter {
    fn push(&mut self, byte: u8, ms: u64) -> Option<ConsoleLine> {
        self.escape = match (self.escape, byte) {
            (Escape::None, 0x1b) => Escape::Start,
            (Escape::Start, b'[') => Escape::Sequence,
            (Escape::Start, b']') => Escape::Command,
            (Escape::Start, _) | (Escape::Sequence, b'@'..=b'~') | (Escape::Command, 0x07) => {
                self.escape = Escape::None;
                return None;
            }
            (Escape::Command, 0x1b) => Escape::Start,
            // No sequence goes over a line end: a stray ESC must not hide what follows.
            (Escape::Sequence | Escape::Command, b'\n') | (Escape::None, _) => {
                self.escape = Escape::None;
                return self.text(byte, ms);
            }
            (inside, _) => inside,
        };
        None
    }

    fn text(&mut self, byte: u8, ms: u64) -> Option<ConsoleLine> {
        match byte {
            b'\n' => {
                self.started_ms.get_or_insert(ms);
                self.take()
            }
            0..0x20 if byte != b'\t' => None,
            0x7f => None,
            _ => {
                self.started_ms.get_or_insert(ms);
                self.bytes.push(byte);
                if self.bytes.len() >= MAX_LINE { self.take() } else { None }
            }
        }
    }

    fn take(&mut self) -> Option<ConsoleLine> {
        let line = self.partial();
        self.bytes.clear();
        self.started_ms = None;
        line
    }

    fn partial(&self) -> Option<ConsoleLine> {
        let ms = self.started_ms?;
        Some(ConsoleLine { ms, text: String::from_utf8_lossy(&self.bytes).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console() -> (UnixStream, Console, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let console = Console::start(ours, &folder.path().join("console.log"), Instant::now()).unwrap();
        (theirs, console, folder)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn what_is_still_written_is_no_whole_line() {
        let (mut guest, mut console, _folder) = console();
        guest.write_all(b"{\"check\":\"made\",\"verdict\":\"pass\",\"by\"").unwrap();
        assert!(matches!(console.wait_for(&Pattern::all(["made"]), soon()).unwrap(), Seen::Line { .. }));
        assert_eq!((console.whole_lines().len(), console.lines().len()), (0, 1));
        guest.write_all(b":\"root\"}\n").unwrap();
        assert!(matches!(console.wait_for(&Pattern::all(["root"]), soon()).unwrap(), Seen::Line { .. }));
        drop(guest);
        assert_eq!(console.wait_for(&Pattern::all(["nothing"]), soon()).unwrap(), Seen::Closed);
        assert_eq!(
            console.whole_lines()[0].text,
            "{\"check\":\"made\",\"verdict\":\"pass\",\"by\":\"root\"}"
        );
    }

    #[test]
    fn lines_come_without_control_sequences_and_are_logged_as_they_were() {
        let (mut guest, mut console, folder) = console();
        let raw = b"\r\n[\x1b[0;32m  OK  \x1b[0m] Reached\r\n\x1b[!p\x1b]104\x07\x1b[?7hnext\x00\n";
        guest.write_all(raw).unwrap();
        drop(guest);
        assert_eq!(console.wait_for(&Pattern::all(["nothing"]), soon()).unwrap(), Seen::Closed);
        let texts: Vec<String> = console.lines().into_iter().map(|l| l.text).collect();
        assert_eq!(texts, ["", "[  OK  ] Reached", "next"]);
        console.finish();
        assert_eq!(std::fs::read(folder.path().join("console.log")).unwrap(), raw);
    }

    #[test]
    fn a_prompt_without_a_line_end_is_seen_and_each_line_only_once() {
        let (mut guest, mut console, _folder) = console();
        guest.write_all(b"U-Boot 2025.01\nU-Boot 2026.01\n=> ").unwrap();
        let banner = Pattern::all(["^U-Boot 20"]);
        let text = |seen: Seen| match seen {
            Seen::Line { line, .. } => line.text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(console.wait_for(&banner, soon()).unwrap()), "U-Boot 2025.01");
        assert_eq!(text(console.wait_for(&banner, soon()).unwrap()), "U-Boot 2026.01");
        let seen = console.wait_for(&Pattern::all(["panic", "^=> "]), soon()).unwrap();
        assert!(matches!(&seen, Seen::Line { pattern: 1, .. }), "{seen:?}");
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (_guest, mut console, _folder) = console();
        let seen = console.wait_for(&Pattern::all(["x"]), Instant::now() + Duration::from_millis(5)).unwrap();
        assert_eq!(seen, Seen::TimedOut);
    }

    #[test]
    fn keys_reach_the_guest() {
        let (mut guest, mut console, _folder) = console();
        console.send(b"\x03x");
        let mut got = [0; 2];
        guest.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"\x03x");
    }

    #[test]
    fn an_endless_line_and_endless_lines_stay_bounded() {
        let mut splitter = Splitter::default();
        let cut: Vec<_> = (0..3 * MAX_LINE).filter_map(|_| splitter.push(b'a', 1)).collect();
        assert_eq!((cut.len(), cut[0].text.len()), (3, MAX_LINE));
        let (mut guest, mut console, _folder) = console();
        guest.write_all(&b"x\n".repeat(MAX_LINES + 500)).unwrap();
        guest.write_all(b"end\n").unwrap();
        assert!(matches!(console.wait_for(&Pattern::all(["end"]), soon()).unwrap(), Seen::Line { .. }));
        assert_eq!(console.lines().len(), MAX_LINES);
    }

    #[test]
    fn a_stray_escape_does_not_hide_the_next_line() {
        let mut splitter = Splitter::default();
        let lines: Vec<_> =
            b"a\x1b[\nb\n".iter().filter_map(|b| splitter.push(*b, 0)).map(|l| l.text).collect();
        assert_eq!(lines, ["a", "b"]);
    }
}
