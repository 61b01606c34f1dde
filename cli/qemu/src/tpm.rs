//! The TPM of a machine before it starts: states of the rollback counter that a device can be in.
//!
//! Commands go to the emulator as bytes; index and attributes are those of U-Boot's patch
//! (`layers/rollback/uboot/`), which a test compares. Nothing here runs while a machine does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};

/// NV index of the counter (`CONFIG_FIT_ROLLBACK_NV_INDEX`).
pub const INDEX: u32 = 0x0150_4653;
/// Attributes that U-Boot gives it: PPWRITE, COUNTER, AUTHREAD, NO_DA, PLATFORMCREATE (TPM 2.0 Library, Part 2,
/// `TPMA_NV`).
pub const ATTRIBUTES: u32 = 1 | 1 << 4 | 1 << 18 | 1 << 25 | 1 << 30;
/// OWNERWRITE in place of PPWRITE: whoever has the owner's authorisation counts.
const OWNER_ATTRIBUTES: u32 = ATTRIBUTES ^ 1 ^ 1 << 1;
const PLATFORM: u32 = 0x4000_000c;
const PATIENCE: Duration = Duration::from_secs(30);

/// A state of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// It stands there.
    At(u64),
    /// Made and never counted: the power was cut between the two.
    Unwritten,
    /// An index of the same number that the owner may write.
    Foreign,
}

/// Gives the TPM whose memory is the folder `state` that counter. The folder may be empty: a new TPM.
///
/// # Errors
/// When the emulator is missing or refuses a command: the harness is broken.
pub fn prepare(state: &Path, counter: Counter, log: &Path) -> Outcome<()> {
    let sockets = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
    let socket = sockets.path().join("tpm");
    let _tpm = exec::Tpm::start_for_commands(state, &socket, log)?;
    let mut stream = UnixStream::connect(&socket).map_err(|e| Failure::io("connect to", &socket, &e))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|e| Failure::io("use", &socket, &e))?;
    let attributes = if counter == Counter::Foreign { OWNER_ATTRIBUTES } else { ATTRIBUTES };
    tell(&mut stream, "TPM2_NV_DefineSpace", &define(attributes))?;
    if let Counter::At(value) = counter {
        // A new TPM's first counter starts at 1.
        for _ in 0..value {
            tell(&mut stream, "TPM2_NV_Increment", &increment())?;
        }
    }
    // Like a device that is switched off in order: what the emulator has not written yet, it writes.
    tell(&mut stream, "TPM2_Shutdown", &command(0x8001, 0x145, &[&[0, 0]]))
}

/// A command: its tag, its code and what follows.
fn command(tag: u16, code: u32, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let size = u32::try_from(10 + body.len()).unwrap_or(u32::MAX);
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), &body].concat()
}

/// A session with an empty password.
const SESSION: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];

fn define(attributes: u32) -> Vec<u8> {
    // An empty password, then TPM2B_NV_PUBLIC: index, SHA-256, attributes, no policy, 8 bytes.
    let public = [&INDEX.to_be_bytes()[..], &[0, 0x0b], &attributes.to_be_bytes(), &[0, 0, 0, 8]].concat();
    command(0x8002, 0x12a, &[&PLATFORM.to_be_bytes(), &SESSION, &[0, 0, 0, 14], &public])
}

fn increment() -> Vec<u8> {
    command(0x8002, 0x134, &[&PLATFORM.to_be_bytes(), &INDEX.to_be_bytes(), &SESSION])
}

fn tell(stream: &mut UnixStream, what: &str, bytes: &[u8]) -> Outcome<()> {
    let broken = |why: String| {
        Failure::error(ExitStatus::Environment, "tpm", format!("the TPM emulator did not do {what}: {why}"))
    };
    stream.write_all(bytes).map_err(|e| broken(e.to_string()))?;
    let mut header = [0; 10];
    stream.read_exact(&mut header).map_err(|e| broken(e.to_string()))?;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let rest = word(2).saturating_sub(10).min(4096);
    let mut body = vec![0; rest as usize];
    stream.read_exact(&mut body).map_err(|e| broken(e.to_string()))?;
    match word(6) {
        0 => Ok(()),
        code => Err(broken(format!("response code {code:#x}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_attributes_are_those_of_the_patch() {
        let patch = include_str!("../../../layers/rollback/uboot/0001-fit-rollback.patch");
        assert!(patch.contains(&format!("default {INDEX:#010x}")));
        let flags = "#define ATTRIBUTES\t(TPMA_NV_PPWRITE | TPMA_NV_COUNTER | TPMA_NV_AUTHREAD | \\\n+\t\t\t TPMA_NV_NO_DA | TPMA_NV_PLATFORMCREATE)";
        assert!(patch.contains(flags));
        assert_eq!((ATTRIBUTES, OWNER_ATTRIBUTES), (0x4204_0011, 0x4204_0012));
    }

    #[test]
    fn commands_have_the_sizes_of_their_headers() {
        for bytes in [define(ATTRIBUTES), increment()] {
            assert_eq!(bytes[2..6], u32::try_from(bytes.len()).unwrap().to_be_bytes());
        }
    }

    #[test]
    fn a_counter_is_made_once_and_a_refusal_is_an_error() {
        if exec::find(&exec::tool("swtpm").unwrap()).is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "swtpm is not installed");
            return;
        }
        let (state, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = logs.path().join("log");
        prepare(state.path(), Counter::At(3), &log).unwrap();
        // The memory is kept: the index is there already (TPM_RC_NV_DEFINED).
        let why = prepare(state.path(), Counter::Unwritten, &log).unwrap_err().to_string();
        assert!(why.contains("did not do TPM2_NV_DefineSpace: response code 0x14c"), "{why}");
    }
}
