//! One call of a tool.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus as ProcessStatus, Stdio};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::tool::SETPRIV;
use crate::{Tool, check_interrupt, find, interrupted};

/// Variables that a tool may see; all others stay out, so that a build does not depend on a shell.
const PASSED: &[&str] =
    &["PATH", "HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// How long a tool may take to end when it is asked to. Compilers and make take away what they half
/// wrote; killed before that, they leave empty objects that the next make takes for finished ones.
const GRACE: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 15;
/// What strerror(3) says for ENOSPC; tools run with the locale C.
const NO_SPACE: &str = "No space left on device";
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// A call of a tool: argv, environment, folder, log and time limit.
#[derive(Clone, Debug)]
pub struct Call {
    tool: Tool,
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
    log: Option<PathBuf>,
    input: Option<PathBuf>,
    limit: Duration,
    status: ExitStatus,
}

impl Call {
    /// A call without arguments, at most ten minutes long.
    #[must_use]
    pub fn new(tool: Tool) -> Self {
        Self {
            tool,
            program: None,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
            log: None,
            input: None,
            limit: Duration::from_secs(600),
            status: ExitStatus::Build,
        }
    }

    /// Starts this file in place of the one in `PATH`: a compiler that the user names by its path.
    #[must_use]
    pub fn at(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable; never a secret.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Runs in that folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Writes standard error (and, with [`Call::run`], standard output) to that file.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// Feeds a file to standard input.
    #[must_use]
    pub fn input(mut self, input: &Path) -> Self {
        self.input = Some(input.to_owned());
        self
    }

    /// Ends the tool and its children after that time.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The exit status that its failure means; `Build` unless said otherwise.
    #[must_use]
    pub fn failing_as(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// The command as a person would type it.
    #[must_use]
    pub fn line(&self) -> String {
        let program = self.program.as_ref().map(|path| quoted(&path.to_string_lossy()));
        std::iter::once(program.unwrap_or_else(|| self.tool.program.to_owned()))
            .chain(self.arguments.iter().map(|a| quoted(&a.to_string_lossy())))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs to the end; output goes to the log.
    ///
    /// # Errors
    /// When the tool is missing, fails, runs out of time or is interrupted.
    pub fn run(&self) -> Outcome<()> {
        let mut child = self.start(None)?;
        let status = self.wait(&mut child)?;
        self.judge(status)
    }

    /// Runs to the end and returns standard output, at most 256 MiB of it.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn output(&self) -> Outcome<Vec<u8>> {
        let mut child = self.start(Some(Stdio::piped()))?;
        let pipe = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                let _ = pipe.take(256 << 20).read_to_end(&mut bytes);
            }
            bytes
        });
        let status = self.wait(&mut child);
        let bytes = reader.join().unwrap_or_default();
        self.judge(status?)?;
        Ok(bytes)
    }

    /// Starts the tool and leaves it running, standard input and output closed.
    ///
    /// # Errors
    /// When the tool is missing or cannot be started.
    pub fn spawn(&self) -> Outcome<Running> {
        Ok(Running { child: self.start(None)?, line: self.line() })
    }

    /// Starts the tool with standard output as a pipe, for streaming.
    ///
    /// # Errors
    /// When the tool is missing or cannot be started.
    pub fn spawn_reading(&self) -> Outcome<Running> {
        Ok(Running { child: self.start(Some(Stdio::piped()))?, line: self.line() })
    }

    /// The result of a finished child as this call would report it.
    ///
    /// # Errors
    /// When the status is not zero.
    pub fn judge(&self, status: ProcessStatus) -> Outcome<()> {
        if status.success() {
            return Ok(());
        }
        let tail = self.log.as_ref().map(|log| log_tail(log, &self.heading()));
        let full = tail.as_ref().is_some_and(|tail| tail.contains(NO_SPACE));
        let (exit, code) =
            if full { (ExitStatus::Environment, "no-space") } else { (self.status, "tool-failed") };
        let mut failure = Failure::error(exit, code, format!("`{}` ended with {status}", self.tool.program))
            .note(format!("command: {}", self.line()));
        if let (Some(log), Some(tail)) = (&self.log, tail) {
            failure = failure.note(format!("last lines of its log `{}`:\n{tail}", log.display()));
            failure = failure.hint(format!("the whole log is `{}`", log.display()));
        }
        if full {
            failure = failure.hint("free some space, then run the same command again; nothing was lost");
        }
        Err(failure)
    }

    /// The line in the log before what this call wrote.
    fn heading(&self) -> String {
        format!("$ {}\n", self.line())
    }

    fn start(&self, stdout: Option<Stdio>) -> Outcome<Child> {
        check_interrupt()?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => find(&self.tool)?,
        };
        let mut command = bound(&program);
        command.args(&self.arguments).env_clear().process_group(0);
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LC_ALL", "C.UTF-8").envs(&self.environment);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let log = match &self.log {
            Some(path) => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(|e| Failure::io("make", parent, &e))?;
                }
                let writing = |e: std::io::Error| Failure::io("write", path, &e);
                let mut log = File::options().create(true).append(true).open(path).map_err(writing)?;
                log.write_all(self.heading().as_bytes()).map_err(writing)?;
                Some(log)
            }
            None => None,
        };
        let log_handle = |log: &Option<File>| match log {
            Some(file) => file.try_clone().map_or_else(|_| Stdio::null(), Stdio::from),
            None => Stdio::null(),
        };
        command.stderr(log_handle(&log));
        command.stdout(stdout.unwrap_or_else(|| log_handle(&log)));
        match &self.input {
            Some(path) => command.stdin(File::open(path).map_err(|e| Failure::io("read", path, &e))?),
            None => command.stdin(Stdio::null()),
        };
        command.spawn().map_err(|e| {
            Failure::error(
                ExitStatus::Environment,
                "cannot-start",
                format!("cannot start `{}`: {e}", program.display()),
            )
            .note(format!("command: {}", self.line()))
        })
    }

    fn wait(&self, child: &mut Child) -> Outcome<ProcessStatus> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(e) => return Err(Failure::io("wait for", Path::new(self.tool.program), &e)),
            }
            if interrupted() {
                end_group(child);
                check_interrupt()?;
            }
            if started.elapsed() > self.limit {
                end_group(child);
                return Err(Failure::error(
                    self.status,
                    "time-limit",
                    format!(
                        "`{}` did not end within {} s and was stopped",
                        self.tool.program,
                        self.limit.as_secs()
                    ),
                )
                .note(format!("command: {}", self.line())));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// A tool that runs beside us; ended, with its children, when dropped.
#[derive(Debug)]
pub struct Running {
    /// The child, for its pipes.
    pub child: Child,
    line: String,
}

impl Running {
    /// The command as a person would type it.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Standard output of a tool started with [`Call::spawn_reading`]; a signal that asks to stop ends
    /// the reading with an error, also while the tool says nothing.
    pub fn stream(&mut self) -> Option<impl Read + use<>> {
        self.child.stdout.take().map(|pipe| Stream { pipe })
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&mut self.child);
        }
    }
}

struct Stream {
    pipe: ChildStdout,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if interrupted() {
                return Err(std::io::Error::other("stopped by a signal"));
            }
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&pause)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return self.pipe.read(buffer),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn end_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::TERM);
        let patience = Instant::now() + GRACE;
        while Instant::now() < patience {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// The command that starts a program which ends with us, even when we are killed: a build that
/// nobody waits for would go on for minutes, and a machine for ever.
///
/// Setting that needs a call between fork and exec, which `setpriv` does for us without unsafe code.
/// Source: prctl(2), PR_SET_PDEATHSIG; setpriv(1).
fn bound(program: &Path) -> Command {
    match find(&SETPRIV) {
        Ok(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        // Nothing depends on it: what an orphan writes, no later run uses.
        Err(_) => Command::new(program),
    }
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

/// The last lines behind the last `heading`, so that an earlier run's words are not taken for this one's.
fn log_tail(path: &Path, heading: &str) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let own = text.rfind(heading).map_or(text.as_str(), |at| &text[at + heading.len()..]);
            if own.trim().is_empty() {
                return "(it said nothing)".to_owned();
            }
            let lines: Vec<&str> = own.lines().collect();
            lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
        }
        Err(e) => format!("(cannot read it: {e})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: Tool = Tool { program: "sh", purpose: "tests", package: "dash" };

    #[test]
    fn a_failing_tool_shows_its_command_and_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        let failure = Call::new(SH)
            .args(["-c", "for i in $(seq 40); do echo line $i; done; exit 3"])
            .log(&log)
            .run()
            .unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.status, ExitStatus::Build);
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(
            text.contains("line 40") && text.contains("line 26") && !text.contains("line 25\n"),
            "{text}"
        );
        assert!(text.contains("step.log"), "{text}");
    }

    #[test]
    fn the_words_of_an_earlier_run_are_not_taken_for_those_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        let call = |script: &str| Call::new(SH).args(["-c", script]).log(&log);
        call("echo an old error; exit 1").run().unwrap_err();
        let text = call("exit 1").run().unwrap_err().to_string();
        assert!(text.contains("(it said nothing)") && !text.contains("an old error\n"), "{text}");
        let kept = fs::read_to_string(&log).unwrap();
        assert_eq!(kept, "$ sh -c 'echo an old error; exit 1'\nan old error\n$ sh -c 'exit 1'\n");
    }

    #[test]
    fn a_tool_without_space_says_so_as_we_do() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        let failure =
            Call::new(SH).args(["-c", "head -c 9 /dev/zero > /dev/full"]).log(&log).run().unwrap_err();
        assert_eq!(
            (failure.status, failure.diagnostics[0].code.as_str()),
            (ExitStatus::Environment, "no-space")
        );
        let text = failure.to_string();
        assert!(text.contains("No space left on device") && text.contains("free some space"), "{text}");
    }

    #[test]
    fn the_environment_is_a_white_list() {
        let output = Call::new(SH).args(["-c", "env"]).env("ARCH", "arm64").output().unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains("ARCH=arm64\n"));
        assert!(!text.contains("CARGO_"), "{text}");
    }

    #[test]
    fn a_tool_that_hangs_is_stopped_with_its_children() {
        let failure =
            Call::new(SH).args(["-c", "sleep 60 & wait"]).limit(Duration::from_millis(50)).run().unwrap_err();
        assert_eq!(failure.diagnostics[0].code, "time-limit");
    }

    #[test]
    fn a_tool_that_is_stopped_may_take_away_what_it_half_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join("half.o");
        let script =
            "trap 'sleep 1; rm half.o; exit 1' TERM; : > half.o; echo ready; while :; do sleep 0.1; done";
        let mut running = Call::new(SH).args(["-c", script]).folder(folder.path()).spawn_reading().unwrap();
        running.stream().unwrap().read_exact(&mut [0; 6]).unwrap();
        assert!(half.exists());
        drop(running);
        assert!(!half.exists());
    }

    #[test]
    fn arguments_are_shown_quoted() {
        assert_eq!(Call::new(SH).arg("a b").arg("it's").line(), r"sh 'a b' 'it'\''s'");
    }
}
