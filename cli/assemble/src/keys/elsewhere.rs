//! Signers whose private key is not in this process: a program, and a person who brings signatures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, Tool};
use fit::FitError;
use fit::key::{KeyType, PublicKey, hex};
use fit::request::SigningRequest;
use fit::sign::{Message, Signer};

/// What a program is that signs.
const SIGNER: Tool = Tool { program: "signer", purpose: "signs a digest", package: "" };
/// Characters of a digest in a file's name.
const STEM: usize = 32;

/// Whether there is a program at that path that this user may start.
///
/// # Errors
/// `no-signer`.
pub fn refuse_no_program(program: &Path) -> Outcome<()> {
    let found = match fs::metadata(program) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => return Ok(()),
        Ok(found) if found.is_file() => "a file that nobody may execute".to_owned(),
        Ok(_) => "no file".to_owned(),
        Err(e) => e.to_string(),
    };
    let message = format!("expected a program that signs at `{}`, found {found}", program.display());
    Err(Failure::error(ExitStatus::Keys, "no-signer", message)
        .hint("correct the path behind `exec:`, or install the program; docs/keys.md says how it is called"))
}

/// A program that is given a digest and writes the raw signature to standard output.
pub struct ProgramSigner {
    /// The program.
    pub program: PathBuf,
    /// Name of the key.
    pub name: String,
    /// Public half.
    pub key: PublicKey,
}

impl Signer for ProgramSigner {
    fn public_key(&self) -> PublicKey {
        self.key.clone()
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let algorithm = format!("{},{}", message.hash.name(), self.key.kind_name());
        let padding =
            self.key.kind().is_none_or(KeyType::is_rsa).then(|| ["--padding", message.padding.name()]);
        let digest = message.digest();
        let folder = tempfile::tempdir().map_err(|e| FitError::Key(format!("cannot make a folder: {e}")))?;
        let log = folder.path().join("log");
        let call = Call::new(SIGNER)
            .at(&self.program)
            .args(["sign", "--key", &self.name, "--algorithm", &algorithm])
            .args(padding.into_iter().flatten())
            .args(["--digest", &hex(&digest)])
            .log(&log)
            .failing_as(ExitStatus::Keys);
        let signature = call.output().map_err(|failure| {
            let why = failure.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
            let log = fs::read(&log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            // The log begins with the command itself.
            let said = log.lines().rfind(|line| !line.starts_with("$ ") && !line.trim().is_empty());
            let said = said.map_or("it said nothing".to_owned(), |said| {
                format!("it said: {}", said.trim().escape_debug())
            });
            FitError::Key(format!("`{}` does not sign: {why}; {said}", self.program.display()))
        })?;
        self.key.accepted(message.hash, message.padding, &digest, &signature).ok_or_else(|| {
            FitError::Key(format!(
                "`{}` gave {} bytes that are no signature by the key `{}`",
                self.program.display(),
                signature.len(),
                self.name
            ))
        })
    }
}

/// Requests and signatures as files named by the digest, so that no signature is taken for another's.
pub struct OfflineSigner {
    /// Folder of requests (`DIGEST.json`, `DIGEST.region`) and signatures (`DIGEST.sig`).
    pub folder: PathBuf,
    /// Name of the key.
    pub name: String,
    /// Public half.
    pub key: PublicKey,
    /// Whether a signature that is not there is asked for.
    pub asks: bool,
}

impl Signer for OfflineSigner {
    fn public_key(&self) -> PublicKey {
        self.key.clone()
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let digest = message.digest();
        let stem = stem(&hex(&digest));
        let path = self.folder.join(format!("{stem}.sig"));
        let signature = match fs::read(&path) {
            Ok(signature) => signature,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return self.missing(message, &stem),
            Err(e) => return Err(FitError::Io(format!("cannot read `{}`: {e}", path.display()))),
        };
        self.key.accepted(message.hash, message.padding, &digest, &signature).ok_or_else(|| FitError::Stale {
            why: format!("`{}` is no signature of these bytes by the key `{}`", path.display(), self.name),
            file: Some(path.display().to_string()),
        })
    }
}

impl OfflineSigner {
    fn missing(&self, message: &Message<'_>, stem: &str) -> Result<Vec<u8>, FitError> {
        if !self.asks {
            let why = format!(
                "`{}` has no signature of these bytes: the FIT or its options changed after the request, or it was not answered",
                self.folder.display()
            );
            return Err(FitError::Stale { why, file: None });
        }
        let cannot = |why: &dyn std::fmt::Display| {
            FitError::Io(format!("cannot ask for a signature in `{}`: {why}", self.folder.display()))
        };
        fs::create_dir_all(&self.folder).map_err(|e| cannot(&e))?;
        let request = SigningRequest::new(&self.name, &self.key, message)?;
        let path = self.folder.join(format!("{stem}.json"));
        // Of the same bytes another key, or another padding, makes another signature, and both would have one name.
        let there =
            fs::read(&path).ok().and_then(|text| serde_json::from_slice::<SigningRequest>(&text).ok());
        if let Some(there) = there.filter(|there| *there != request) {
            let padding = there.padding.map(|padding| format!(" {}", padding.name())).unwrap_or_default();
            return Err(FitError::Io(format!(
                "`{}` asks for another signature of these bytes, {}{padding} by the key `{}`: expected a folder of its own for this one",
                path.display(),
                there.algorithm,
                there.key_name
            )));
        }
        // The request last: it stands for both.
        record::write_atomic(&self.folder.join(format!("{stem}.region")), &message.parts.concat())
            .and_then(|()| record::write_json_atomic(&path, &request))
            .map_err(|failure| cannot(&failure))?;
        Err(FitError::Unsigned(vec![path.display().to_string()]))
    }
}

/// What is wrong with a signature that was brought, or with the folder where it is looked for; nothing for other errors.
#[must_use]
pub fn brought(error: &FitError) -> Option<Failure> {
    match error {
        FitError::Stale { why, file } => {
            let hint = match file {
                Some(file) => format!(
                    "delete `{file}`, and ask again: for the same bytes the same request is written, by the same key it has to be answered"
                ),
                None => {
                    "nothing was written; ask again with `fastness fit sign-request` and the same options"
                        .to_owned()
                }
            };
            Some(Failure::error(ExitStatus::Keys, "stale-signature", why.clone()).hint(hint))
        }
        FitError::Io(why) => Some(Failure::error(ExitStatus::Environment, "file", why.clone()).hint(
            "requests and signatures are files in that folder: this user has to be able to write there",
        )),
        _ => None,
    }
}

/// The stem of a request's files.
#[must_use]
pub fn stem(digest: &str) -> String {
    digest.chars().take(STEM).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use fit::key::{Hash, Padding};
    use fit::sign::RsaSigner;

    use super::*;
    use crate::testing::rsa_key;

    const PARTS: [&[u8]; 2] = [b"covered", b"names"];

    fn message() -> Message<'static> {
        Message { hash: Hash::Sha256, padding: Padding::Pss, parts: &PARTS }
    }

    fn own(index: usize) -> RsaSigner {
        RsaSigner::new(rsa_key(index))
    }

    fn offline(folder: &Path, asks: bool) -> OfflineSigner {
        OfflineSigner { folder: folder.to_owned(), name: "gw".into(), key: own(0).public_key(), asks }
    }

    #[test]
    fn a_signature_is_asked_for_once_and_then_taken() {
        let folder = tempfile::tempdir().unwrap();
        let signer = offline(folder.path(), true);
        let text = signer.sign(&message()).unwrap_err().to_string();
        assert!(text.starts_with("a signature is asked for in `"), "{text}");
        let stem = stem(&hex(&message().digest()));
        let request: SigningRequest =
            serde_json::from_slice(&fs::read(folder.path().join(format!("{stem}.json"))).unwrap()).unwrap();
        let region = fs::read(folder.path().join(format!("{stem}.region"))).unwrap();
        assert_eq!((region.as_slice(), request.algorithm.as_str()), (&b"coverednames"[..], "sha256,rsa2048"));
        request.check(&region, &own(0).public_key()).unwrap();
        let text = request.check(b"other", &own(0).public_key()).unwrap_err().to_string();
        assert!(text.contains("the request says"), "{text}");
        let text = request.check(&region, &own(1).public_key()).unwrap_err().to_string();
        assert!(text.contains("is wanted, this one is"), "{text}");
        let signature = own(0).sign(&message()).unwrap();
        fs::write(folder.path().join(format!("{stem}.sig")), &signature).unwrap();
        assert_eq!(offline(folder.path(), false).sign(&message()).unwrap(), signature);
    }

    #[test]
    fn a_signature_by_another_key_or_of_other_bytes_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let stem = stem(&hex(&message().digest()));
        fs::write(folder.path().join(format!("{stem}.sig")), own(1).sign(&message()).unwrap()).unwrap();
        let text = offline(folder.path(), true).sign(&message()).unwrap_err().to_string();
        assert!(
            text.starts_with('`') && text.contains("is no signature of these bytes by the key `gw`"),
            "{text}"
        );
        let other = Message { parts: &[b"changed"], ..message() };
        let text = offline(folder.path(), false).sign(&other).unwrap_err().to_string();
        assert!(text.contains("changed after the request, or it was not answered"), "{text}");
        assert!(!folder.path().join("x.json").exists());
    }

    fn program(folder: &Path, script: &str) -> ProgramSigner {
        let path = folder.join("sign.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        ProgramSigner { program: path, name: "gw".into(), key: own(0).public_key() }
    }

    #[test]
    fn a_program_signs_and_its_answer_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("answer");
        fs::write(&answer, own(0).sign(&message()).unwrap()).unwrap();
        let said = folder.path().join("said");
        let script = format!("echo \"$@\" > '{}'; cat '{}'", said.display(), answer.display());
        let signature = program(folder.path(), &script).sign(&message()).unwrap();
        assert_eq!(signature, own(0).sign(&message()).unwrap());
        let digest = hex(&message().digest());
        let expected = format!("sign --key gw --algorithm sha256,rsa2048 --padding pss --digest {digest}\n");
        assert_eq!(fs::read_to_string(said).unwrap(), expected);
        let text = program(folder.path(), "echo no").sign(&message()).unwrap_err().to_string();
        assert!(text.contains("gave 3 bytes that are no signature by the key `gw`"), "{text}");
        let text = program(folder.path(), "echo 'token is locked' >&2; exit 3").sign(&message()).unwrap_err();
        assert!(text.to_string().contains("does not sign: "), "{text}");
        assert!(text.to_string().ends_with("; it said: token is locked"), "{text}");
        let text = program(folder.path(), "exit 3").sign(&message()).unwrap_err();
        assert!(text.to_string().ends_with("; it said nothing"), "{text}");
    }

    #[test]
    fn a_program_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let made = program(folder.path(), "exit 0").program;
        refuse_no_program(&made).unwrap();
        fs::set_permissions(&made, fs::Permissions::from_mode(0o644)).unwrap();
        for (path, found) in [
            (made.as_path(), "found a file that nobody may execute"),
            (folder.path(), "found no file"),
            (Path::new("/nowhere/sign"), "found No such file or directory"),
        ] {
            let failure = refuse_no_program(path).unwrap_err();
            assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Keys, "no-signer"));
            assert!(failure.to_string().contains(found), "{failure}");
        }
    }
}
