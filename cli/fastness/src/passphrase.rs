//! Asks a person for a passphrase, without showing it.
//!
//! Reads from the controlling terminal, not from standard input, so that a pipe never becomes
//! a passphrase. The terminal gets its settings back however the question ends.

use std::fs::File;
use std::io::{Read as _, Write as _};

use assemble::keys::Secret;
use diag::{ExitStatus, Failure, Outcome};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Longer answers are cut here, in bytes.
const LONGEST: usize = 4096;

/// Asks `question`.
///
/// # Errors
/// When there is no terminal, or the person presses Ctrl-C.
pub fn ask(question: &str) -> Outcome<Secret> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| no_terminal())?;
    let _ = write!(terminal, "{question}: ");
    let answer = {
        let _quiet = Quiet::on(&terminal)?;
        read_line(&terminal)
    };
    let _ = writeln!(terminal);
    answer
}

/// Asks for a new passphrase, twice.
///
/// # Errors
/// As [`ask`], or when the two answers differ.
pub fn ask_new(question: &str) -> Outcome<Secret> {
    let (first, second) = (ask(question)?, ask("The same again")?);
    if first.bytes() == second.bytes() {
        return Ok(first);
    }
    Err(Failure::error(ExitStatus::Keys, "passphrases-differ", "the two passphrases differ")
        .hint("nothing was made; try again"))
}

fn no_terminal() -> Failure {
    Failure::error(
        ExitStatus::Keys,
        "no-terminal",
        "a passphrase is needed, and there is no terminal to ask on",
    )
    .hint("name a file that only you can read with `--passphrase-file`")
}

/// The terminal without echo, line editing and signals, until dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn on(terminal: &'a File) -> Outcome<Self> {
        let before = tcgetattr(terminal).map_err(|_| no_terminal())?;
        let mut quiet = before.clone();
        // ISIG too: Ctrl-C must come here, where the settings are put back.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.input_modes.insert(InputModes::ICRNL);
        // A read returns after 0.2 s without a key, to look at signals.
        quiet.special_codes[SpecialCodeIndex::VMIN] = 0;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 2;
        tcsetattr(terminal, OptionalActions::Flush, &quiet).map_err(|_| no_terminal())?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_line(mut terminal: &File) -> Outcome<Secret> {
    // One allocation, so that no copy is left behind by a growing buffer.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut key = [0u8];
    loop {
        exec::check_interrupt()?;
        match terminal.read(&mut key) {
            Ok(0) => continue,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(no_terminal()),
        }
        match typed(&mut line, key[0]) {
            Typed::More => {}
            Typed::End => return Ok(Secret::new(line.to_vec())),
            Typed::Stop => {
                return Err(Failure::error(
                    ExitStatus::Interrupted,
                    "interrupted",
                    "stopped at the question for a passphrase",
                ));
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Typed {
    More,
    End,
    Stop,
}

/// What a key does to the line: the usual control characters of a terminal.
fn typed(line: &mut Vec<u8>, key: u8) -> Typed {
    match key {
        b'\n' | b'\r' | 0x04 => Typed::End,
        0x03 => Typed::Stop,
        0x15 => {
            line.clear();
            Typed::More
        }
        0x08 | 0x7f => {
            // A character, not a byte: continuation bytes of UTF-8 go with their first.
            while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            Typed::More
        }
        key if line.len() < LONGEST => {
            line.push(key);
            Typed::More
        }
        _ => Typed::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_all(keys: &[u8]) -> (Vec<u8>, Typed) {
        let mut line = Vec::new();
        for key in keys {
            let result = typed(&mut line, *key);
            if result != Typed::More {
                return (line, result);
            }
        }
        (line, Typed::More)
    }

    #[test]
    fn keys_edit_the_line_as_a_terminal_does() {
        assert_eq!(type_all(b"open\x7fn sesame\n"), (b"open sesame".to_vec(), Typed::End));
        assert_eq!(type_all("schl\u{fc}\x7f\u{fc}ssel\r".as_bytes()), ("schl\u{fc}ssel".into(), Typed::End));
        assert_eq!(type_all(b"wrong\x15right\x04"), (b"right".to_vec(), Typed::End));
        assert_eq!(type_all(b"x\x03").1, Typed::Stop);
    }
}
