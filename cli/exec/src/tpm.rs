//! A TPM 2.0 in software (swtpm), for a machine or a program that connects to its socket.
//!
//! Its memory is a folder: the same folder is the same TPM. It ends when whoever connected goes away, and when
//! it is dropped.

use std::path::Path;
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};

use crate::{Call, Running, check_interrupt, tool};

/// How long it may take to listen; it needs milliseconds on an idle host.
const PATIENCE: Duration = Duration::from_secs(30);

/// A TPM that runs.
#[derive(Debug)]
pub struct Tpm {
    running: Running,
}

impl Tpm {
    /// Starts one whose memory is `state`, with its control channel on the socket `control`: what QEMU's
    /// `-tpmdev emulator` connects to. Whoever connects resets it.
    ///
    /// # Errors
    /// When swtpm is missing or does not listen.
    pub fn start(state: &Path, control: &Path, log: &Path) -> Outcome<Self> {
        Self::listen(state, "--ctrl", control, &[], log)
    }

    /// Starts one that takes commands of TPM 2.0 as they are on the socket `commands`, reset and started
    /// (`TPM2_Startup(CLEAR)`).
    ///
    /// # Errors
    /// As [`Tpm::start`].
    pub fn start_for_commands(state: &Path, commands: &Path, log: &Path) -> Outcome<Self> {
        Self::listen(state, "--server", commands, &["--flags", "not-need-init,startup-clear"], log)
    }

    fn listen(state: &Path, channel: &str, socket: &Path, flags: &[&str], log: &Path) -> Outcome<Self> {
        let call = Call::new(tool("swtpm")?)
            .args(["socket", "--tpm2", "--terminate", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .args([channel, &format!("type=unixio,path={}", socket.display())])
            .args(flags)
            .log(log);
        let mut running = call.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while !listens(socket) {
            check_interrupt()?;
            if running.ended() || Instant::now() >= deadline {
                let why = format!("the TPM emulator does not listen; command: {}", running.line());
                return Err(Failure::error(ExitStatus::Environment, "tpm", why)
                    .hint(format!("its log is `{}`", log.display())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { running })
    }

    /// Cuts its power: it ends at once, in whatever it is doing.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn cut(mut self) -> Outcome<()> {
        let cannot = |e: std::io::Error| {
            Failure::error(ExitStatus::Environment, "tpm", format!("the TPM emulator cannot be ended: {e}"))
        };
        self.running.child.kill().map_err(cannot)?;
        self.running.child.wait().map_err(cannot)?;
        Ok(())
    }
}

/// Whether somebody listens on a socket: its file is there a moment earlier, and refuses whoever comes then. To connect would
/// be to use it up: swtpm ends with its first client. Source: Linux `net/unix/af_unix.c`, `unix_seq_show` (the flags hold
/// `__SO_ACCEPTCON`, 0x10000).
fn listens(socket: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let socket = socket.to_string_lossy();
    table.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.nth(3) == Some("00010000") && line.ends_with(&format!(" {socket}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_only_there_does_not_listen() {
        let folder = tempfile::tempdir().unwrap();
        let (bound, listening) = (folder.path().join("bound"), folder.path().join("listening"));
        assert!(!listens(&bound));
        let _bound = std::os::unix::net::UnixDatagram::bind(&bound).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&listening).unwrap();
        assert!(bound.exists() && !listens(&bound));
        assert!(listens(&listening));
        drop(listener);
        assert!(listening.exists() && !listens(&listening));
    }
}
