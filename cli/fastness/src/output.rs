//! The one place that prints.
//!
//! Results go to standard output: text for people, or one JSON document. Everything else
//! (progress, warnings, errors) goes to standard error. A reader that goes away
//! (`fastness … | head`) is no error: the rest is not printed, the exit status stays.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

pub use diag::clean;
use diag::{Diagnostic, ExitStatus, Failure};
use serde::Serialize;

use crate::cli::Colour;

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    out_colour: bool,
    err_colour: bool,
    live: bool,
}

impl Output {
    /// From the global options, the environment (`NO_COLOR`) and what the streams are.
    pub fn new(json: bool, quiet: bool, colour: Colour) -> Self {
        // https://no-color.org: any value but an empty one.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let decide = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !refused,
        };
        let err_terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            quiet,
            out_colour: !json && decide(io::stdout().is_terminal()),
            err_colour: !json && decide(err_terminal),
            live: err_terminal && !dumb && !json,
        }
    }

    /// Prints a command's result: as JSON, or as the text that `human` makes (given whether colour is wanted).
    pub fn result<T: Serialize>(&self, value: &T, human: impl FnOnce(bool) -> String) {
        if self.json {
            // Results hold only maps with string keys, so that this cannot fail.
            let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
            text.push('\n');
            write_out(text.as_bytes());
        } else {
            write_out(human(self.out_colour).as_bytes());
        }
    }

    /// Prints text that is not a result with a JSON form: a man page, a completion script.
    pub fn raw(&self, bytes: &[u8]) {
        write_out(bytes);
    }

    /// Prints why a command stopped.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let mut text = serde_json::to_string_pretty(failure).unwrap_or_default();
            text.push('\n');
            write_err(&text);
            return;
        }
        let mut text = String::new();
        for (index, diagnostic) in failure.diagnostics.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&diag::render_human(diagnostic, self.err_colour));
        }
        write_err(&text);
    }

    /// What is odd in what was done: no step, so that `--quiet` shows it. With `--json` it is a part of the result.
    pub fn warning(&self, text: &str) {
        if !self.json {
            write_err(&format!("warning: {text}\n"));
        }
    }

    /// A line about the work, such as a finished step; not shown with `--quiet`, nor with `--json`,
    /// where a failure must be the only thing on standard error.
    pub fn note(&self, line: &str) {
        if !self.quiet && !self.json {
            write_err(&format!("{line}\n"));
        }
    }

    /// Replaces the line under work on a terminal; nothing anywhere else.
    pub fn live(&self, line: &str) {
        if self.is_live() {
            // Carriage return, then erase to the end of the line (ECMA-48 EL).
            write_err(&format!("\r\u{1b}[K{line}"));
        }
    }

    /// Whether a line can be replaced.
    pub fn is_live(&self) -> bool {
        self.live && !self.quiet
    }
}

/// Prints what clap has to say: help and version are results, everything else is wrong usage.
pub fn usage(error: &clap::Error) -> ExitStatus {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let text = error.render();
            let text = if coloured { text.ansi().to_string() } else { text.to_string() };
            write_out(text.as_bytes());
            ExitStatus::Success
        }
        _ => {
            // The arguments could not be understood, so that `--json` is looked for by hand.
            if std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json") {
                let text = error.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                let diagnostic = Diagnostic::error("usage", text.trim_end());
                Output::new(true, false, Colour::Never).failure(&Failure::new(ExitStatus::Usage, diagnostic));
            } else {
                let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let text = error.render();
                write_err(&if coloured { text.ansi().to_string() } else { text.to_string() });
            }
            ExitStatus::Usage
        }
    }
}

/// Why a result is not where it was to go; the first reason.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Rust ignores SIGPIPE: a closed pipe is an error of the write, and nobody is left to be told. Of everything else
/// [`unwritten`] tells at the end.
fn write_out(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(e) = out.write_all(bytes).and_then(|()| out.flush())
        && e.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = UNWRITTEN.set(e.to_string());
    }
}

/// What to say of a result that could not be printed: half of one must not be taken for all of it.
pub fn unwritten() -> Option<Failure> {
    UNWRITTEN.get().map(|why| {
        let message = format!("the result cannot be written to standard output: {why}");
        Failure::error(ExitStatus::Environment, "unwritten-result", message)
            .hint("what was printed may be a part of it; make room, or print elsewhere")
    })
}

fn write_err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
