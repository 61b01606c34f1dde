//! Steps on standard error: name, time, log file.
//!
//! On a terminal the step under work is one line that counts its seconds; anywhere else each
//! step is one line when it ends. The steps are also kept, for `--json`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use backend::Progress;
use diag::Outcome;
use serde::Serialize;

use crate::output::{Output, clean};

/// One finished step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was done.
    pub step: String,
    /// Whether it came from the cache.
    pub cached: bool,
    /// Milliseconds.
    pub ms: u64,
}

#[derive(Default)]
struct State {
    current: Option<(String, Option<PathBuf>, Instant)>,
    done: Vec<Step>,
}

/// Tells the steps of a command.
pub struct Steps {
    output: Output,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Steps {
    /// Begins to tell.
    pub fn new(output: Output) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let ticker = output.is_live().then(|| {
            let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(500));
                    let state = lock(&state);
                    if let Some((step, log, since)) = &state.current {
                        output.live(&line_of_current(step, log.as_deref(), since.elapsed()));
                    }
                }
            })
        });
        Self { output, state, stop, ticker }
    }

    /// Runs `work` as a step; it returns its value and whether there was nothing to do.
    pub fn step<T>(
        &self,
        name: &str,
        log: Option<&Path>,
        work: impl FnOnce() -> Outcome<(T, bool)>,
    ) -> Outcome<T> {
        let result = backend::step(self, name, log, work);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Clears the line of a step that failed, so that its error begins on a line of its own.
    pub fn abandon(&self) {
        if lock(&self.state).current.take().is_some() {
            self.output.live("");
        }
    }

    /// Says what the step under work does now.
    pub fn detail(&self, text: &str) {
        let state = lock(&self.state);
        if let Some((step, _, since)) = &state.current {
            self.output.live(&line_of_current(&format!("{step}: {text}"), None, since.elapsed()));
        }
    }

    /// The finished steps so far.
    pub fn done(&self) -> Vec<Step> {
        lock(&self.state).done.clone()
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.abandon();
        self.stop.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
    }
}

impl Progress for Steps {
    fn begin(&self, step: &str, log: Option<&Path>) {
        let mut state = lock(&self.state);
        state.current = Some((step.to_owned(), log.map(Path::to_owned), Instant::now()));
        self.output.live(&line_of_current(step, log, Duration::ZERO));
    }

    fn detail(&self, text: &str) {
        Self::detail(self, text);
    }

    fn warn(&self, text: &str) {
        self.output.live("");
        self.output.warning(&clean(text));
    }

    fn end(&self, step: &str, cached: bool, took: Duration) {
        let mut state = lock(&self.state);
        self.output.live("");
        let log = state.current.take().and_then(|(_, log, _)| log).filter(|_| !cached);
        self.output.note(&line_of_done(step, log.as_deref(), cached, took));
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        state.done.push(Step { step: step.to_owned(), cached, ms });
    }
}

/// A panic elsewhere must not hide the error that follows from it.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn line_of_current(step: &str, log: Option<&Path>, took: Duration) -> String {
    let log = log.map(|log| format!("  {}", log.display())).unwrap_or_default();
    clipped(&format!("  ...  {step:<24} {:>6} s{log}", took.as_secs()))
}

/// A replaced line must not wrap: what wrapped would stay.
fn clipped(line: &str) -> String {
    let width = rustix::termios::tcgetwinsize(std::io::stderr())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|columns| *columns > 0)
        .unwrap_or(80);
    line.chars().take(width.saturating_sub(1)).collect()
}

fn line_of_done(step: &str, log: Option<&Path>, cached: bool, took: Duration) -> String {
    let word = if cached { "same" } else { "done" };
    let log = log.filter(|log| log.exists()).map(|log| format!("  {}", log.display())).unwrap_or_default();
    format!("  {word} {step:<24} {:>6}.{} s{log}", took.as_secs(), took.subsec_millis() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_step_is_one_line() {
        assert_eq!(
            line_of_done("build Linux", None, false, Duration::from_millis(62_340)),
            "  done build Linux                  62.3 s"
        );
        let missing = Path::new("/nonexistent/x.log");
        assert_eq!(
            line_of_done("sign", Some(missing), true, Duration::ZERO),
            "  same sign                          0.0 s"
        );
    }
}
