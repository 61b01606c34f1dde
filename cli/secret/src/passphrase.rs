//! Where a passphrase comes from: a prompt, a file, a descriptor or an agent; never an argument.
//!
//! What is read is wiped from memory when it is dropped. Nothing here writes a passphrase
//! anywhere, and no message contains one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use zeroize::Zeroizing;

use super::files::refuse_open_permissions;
use super::name::check_name;

/// Longer passphrases than this are refused, in bytes.
const LONGEST: u64 = 4096;
/// How long an agent may take to ask its person.
const AGENT_LIMIT: Duration = Duration::from_secs(60);

/// A passphrase; wiped from memory when dropped, and not shown by `{:?}`.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for a cipher.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the passphrase of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A person at the terminal.
    Prompt,
    /// A file that only its owner can read; one line end at its end is not part of it.
    File(PathBuf),
    /// An inherited file descriptor, such as a CI system's pipe.
    Descriptor(u32),
    /// A Unix socket of the same user: one line `GET NAME`, answered with one line `OK PASSPHRASE` or `ERR REASON`.
    Agent(PathBuf),
}

impl PassphraseSource {
    /// Gets the passphrase of the key `name`; `prompt` asks the person, given the question.
    ///
    /// # Errors
    /// `key-name`, or when the source cannot be read, gives nothing, or others could read it (`key-permissions`).
    pub fn read(&self, name: &str, prompt: &dyn Fn(&str) -> Outcome<Secret>) -> Outcome<Secret> {
        check_name(name)?;
        let secret = match self {
            Self::Prompt => prompt(&format!("Passphrase of the key `{name}`"))?,
            Self::File(path) => {
                let file = File::open(path).map_err(|e| keys_io("read", path, &e))?;
                refuse_open_permissions(path, &file)?;
                read_line(file, path)?
            }
            Self::Descriptor(number) => {
                let path = PathBuf::from(format!("/dev/fd/{number}"));
                read_line(File::open(&path).map_err(|e| keys_io("read", &path, &e))?, &path)?
            }
            Self::Agent(socket) => ask_agent(socket, name)?,
        };
        if secret.is_empty() {
            return Err(Failure::error(
                ExitStatus::Keys,
                "empty-passphrase",
                format!("expected a passphrase for the key `{name}`, found an empty one"),
            )
            .hint("keys are always encrypted at rest; give at least one character"));
        }
        Ok(secret)
    }
}

fn read_line(from: impl Read, path: &Path) -> Outcome<Secret> {
    // One allocation, so that no copy is left behind by a growing buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    from.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|e| keys_io("read", path, &e))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::error(
            ExitStatus::Keys,
            "passphrase-too-long",
            format!("expected a passphrase of at most {LONGEST} bytes in `{}`, found more", path.display()),
        )
        .hint("check that it is the passphrase's file and not the key's"));
    }
    strip_line_end(&mut bytes);
    Ok(Secret(bytes))
}

fn strip_line_end(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

fn ask_agent(socket: &Path, name: &str) -> Outcome<Secret> {
    let io = |e: &std::io::Error| keys_io("ask the passphrase agent at", socket, e);
    let meta = std::fs::metadata(socket).map_err(|e| io(&e))?;
    if !meta.file_type().is_socket() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::error(
            ExitStatus::Keys,
            "key-permissions",
            format!("expected `{}` to be a socket of this user", socket.display()),
        )
        .hint("start the agent as the same user, or use `--passphrase-file`"));
    }
    let mut stream = UnixStream::connect(socket).map_err(|e| io(&e))?;
    stream.set_read_timeout(Some(AGENT_LIMIT)).map_err(|e| io(&e))?;
    stream.set_write_timeout(Some(AGENT_LIMIT)).map_err(|e| io(&e))?;
    stream.write_all(format!("GET {name}\n").as_bytes()).map_err(|e| io(&e))?;
    let mut answer = read_answer(stream).map_err(|e| io(&e))?;
    strip_line_end(&mut answer);
    if let Some(secret) = answer.strip_prefix(b"OK ") {
        return Ok(Secret::new(secret.to_vec()));
    }
    let reason = match answer.strip_prefix(b"ERR ") {
        Some(reason) => String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).collect(),
        // What it said may be a passphrase in the wrong form: it is not shown.
        None => "its answer is neither `OK PASSPHRASE` nor `ERR REASON`".to_owned(),
    };
    Err(Failure::error(
        ExitStatus::Keys,
        "passphrase-agent",
        format!("the passphrase agent gave nothing for the key `{name}`: {reason}"),
    )
    .hint("check the agent, or use `--passphrase-file`"))
}

/// Reads up to the line end, one byte at a time: the agent may keep the connection open.
fn read_answer(mut stream: UnixStream) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 8));
    let mut byte = [0];
    while (answer.len() as u64) < LONGEST + 4 && stream.read(&mut byte)? == 1 {
        answer.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(answer)
}

fn keys_io(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure { status: ExitStatus::Keys, ..Failure::io(doing, path, error) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn no_prompt(_: &str) -> Outcome<Secret> {
        panic!("nobody is there")
    }

    #[test]
    fn a_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        for (content, expected) in [("two words \n", "two words "), ("x\r\n", "x"), ("x\n\n", "x\n")] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let secret = PassphraseSource::File(path.clone()).read("k", &no_prompt).unwrap();
            assert_eq!(secret.bytes(), expected.as_bytes());
        }
        assert_eq!(format!("{:?}", Secret::new(b"hush".to_vec())), "Secret(…)");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let failure = PassphraseSource::File(path).read("k", &no_prompt).unwrap_err();
        assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Keys, "key-permissions"));
        let text = failure.to_string();
        assert!(text.contains("found 0640") && text.contains("chmod 600"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        for (content, code) in
            [("\n".to_owned(), "empty-passphrase"), ("x".repeat(5000), "passphrase-too-long")]
        {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let failure = PassphraseSource::File(path.clone()).read("k", &no_prompt).unwrap_err();
            assert_eq!(failure.diagnostics[0].code, code);
        }
        let empty = PassphraseSource::Prompt.read("k", &|_| Ok(Secret::new(Vec::new()))).unwrap_err();
        assert_eq!(empty.diagnostics[0].code, "empty-passphrase");
    }

    #[test]
    fn an_agent_answers_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = std::thread::spawn(move || {
            for answer in ["OK open sesame\n", "ERR locked\n", "open sesame\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; 8];
                stream.read_exact(&mut question).unwrap();
                assert_eq!(&question, b"GET dev\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let source = PassphraseSource::Agent(socket);
        assert_eq!(source.read("dev", &no_prompt).unwrap().bytes(), b"open sesame");
        assert!(source.read("dev", &no_prompt).unwrap_err().to_string().contains("`dev`: locked"));
        let text = source.read("dev", &no_prompt).unwrap_err().to_string();
        assert!(text.contains("neither `OK PASSPHRASE`") && !text.contains("sesame"), "{text}");
        agent.join().unwrap();
    }

    #[test]
    fn a_name_cannot_speak_to_the_agent() {
        let source = PassphraseSource::Agent("/nonexistent".into());
        let failure = source.read("a\nGET b", &no_prompt).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, "key-name");
    }

    #[test]
    fn an_inherited_descriptor_is_read() {
        use std::os::fd::AsRawFd;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"from a pipe\n").unwrap();
        let number = u32::try_from(file.as_raw_fd()).unwrap();
        let secret = PassphraseSource::Descriptor(number).read("k", &no_prompt).unwrap();
        assert_eq!(secret.bytes(), b"from a pipe");
        let closed = PassphraseSource::Descriptor(9999).read("k", &no_prompt).unwrap_err();
        assert!(closed.to_string().contains("/dev/fd/9999"), "{closed}");
    }

    #[test]
    fn an_agent_that_is_not_a_socket_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = PassphraseSource::Agent(file.path().to_owned());
        let text = source.read("k", &no_prompt).unwrap_err().to_string();
        assert!(text.contains("to be a socket of this user"), "{text}");
    }
}
