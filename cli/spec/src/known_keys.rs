//! `standards/known-keys.yaml` and files like it: keys whose private half is published. What such a key signs
//! proves nothing. Here is the list; who refuses what by it is the business of the key store and of `evidence`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use crate::decode::{Spanned, model};
use crate::library::{Area, Library, read_file, read_model};
use crate::source::Source;
use crate::types::Text;

/// The list's name below `standards/`, here and in a product's own folder.
const FILE: &str = "known-keys.yaml";
/// A SHA-256 and a key's start have 32 bytes.
const HEX_DIGITS: usize = 64;

model! {
    /// A key whose private half is published.
    pub struct KnownKey {
        /// SHA-256 of its SubjectPublicKeyInfo (RFC 5280, section 4.1), DER, as 64 lower-case hexadecimal digits.
        fingerprint: Spanned<Text>,
        /// The first 32 bytes of an RSA modulus or of the point, by which it is found in any bytes.
        start: Option<Spanned<Text>> = None,
        /// Where it is published.
        source: Text,
    }
}

model! {
    /// Keys whose private halves are published.
    pub struct KnownKeyFile {
        /// The keys.
        keys: Vec<KnownKey>,
    }
}

#[derive(Clone, Debug)]
struct Entry {
    start: Option<Vec<u8>>,
    source: String,
}

/// Published keys by their fingerprint.
#[derive(Clone, Debug, Default)]
pub struct KnownKeys(BTreeMap<String, Entry>);

impl KnownKeys {
    /// Those that are compiled in.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static KEYS: OnceLock<KnownKeys> = OnceLock::new();
        KEYS.get_or_init(|| {
            let mut keys = Self::default();
            // A test reads the compiled-in file: nothing of it can be wrong here.
            if let Ok(Some(source)) = Library::built_in(None).read(Area::Standards, FILE) {
                drop(keys.add(&source));
            }
            keys
        })
    }

    /// Those that a product adds: its own `standards/known-keys.yaml`.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is wrong.
    pub fn of_product(library: &Library) -> Outcome<Self> {
        let mut keys = Self::default();
        if let Some(source) = library.read_own(Area::Standards, FILE)? {
            keys.add(&source)?;
        }
        Ok(keys)
    }

    /// Those of files of the user's.
    ///
    /// # Errors
    /// A file cannot be read, or is wrong.
    pub fn of_files(files: &[PathBuf]) -> Outcome<Self> {
        let mut keys = Self::default();
        for file in files {
            keys.add(&read_file(file, &file.display().to_string())?)?;
        }
        Ok(keys)
    }

    /// Adds the keys of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn add(&mut self, source: &Arc<Source>) -> Outcome<()> {
        let mut diagnostics = Vec::new();
        let file = read_model::<KnownKeyFile>(source, &mut diagnostics);
        for key in file.into_iter().flat_map(|file| file.keys) {
            let start = key.start.as_ref();
            for (name, text) in [("fingerprint", Some(&key.fingerprint)), ("start", start)]
                .into_iter()
                .filter_map(|(n, t)| Some((n, t?)))
            {
                if bytes(text.as_str()).is_none() {
                    let found = text.as_str();
                    let message = format!(
                        "expected {HEX_DIGITS} lower-case hexadecimal digits as `{name}`, found `{found}`"
                    );
                    diagnostics.push(
                        Diagnostic::error("known-keys", message).at(text.at.location()).hint(
                            "`openssl pkey -in KEY -pubout -outform DER | sha256sum` makes a fingerprint",
                        ),
                    );
                }
            }
            let entry = Entry {
                start: start.and_then(|text| bytes(text.as_str())),
                source: key.source.as_str().to_owned(),
            };
            self.0.insert(key.fingerprint.as_str().to_owned(), entry);
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(Failure { status: ExitStatus::Input, diagnostics }) }
    }

    /// Where a key is published, by its fingerprint: these, then those that are compiled in.
    #[must_use]
    pub fn source(&self, fingerprint: &str) -> Option<&str> {
        let entry = self.0.get(fingerprint).or_else(|| Self::built_in().0.get(fingerprint));
        entry.map(|entry| entry.source.as_str())
    }

    /// The starts of keys, 32 bytes each, with where they are published.
    pub fn starts(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.0.values().filter_map(|entry| Some((entry.start.as_deref()?, entry.source.as_str())))
    }

    /// Fingerprints with where the keys are published.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(fingerprint, entry)| (fingerprint.as_str(), entry.source.as_str()))
    }
}

/// 64 lower-case hexadecimal digits as bytes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if text.len() != HEX_DIGITS || !digits {
        return None;
    }
    (0..HEX_DIGITS).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "7b0fe4fbf10b5d8e0bd1e3dcd4cc1e62bd05c1ab8ed5a6c7e9ba6c1de7cba001";

    fn source(text: &str) -> Arc<Source> {
        Source::new("k.yaml", "k.yaml", text.to_owned())
    }

    #[test]
    fn the_compiled_in_list_is_read_whole() {
        let text = include_str!("../../../standards/known-keys.yaml");
        let rows = text.lines().filter(|line| line.trim_start().starts_with("- {")).count();
        let mut keys = KnownKeys::default();
        keys.add(&source(text)).unwrap();
        // Each row is a key of its own, and the program has them all.
        assert_eq!((keys.0.len(), KnownKeys::built_in().0.len()), (rows, rows));
        assert!(rows > 150, "{rows}");
        assert!(keys.starts().all(|(start, _)| start.len() == 32));
        // Of each project that the list names, one: computed with OpenSSL, not with this code.
        for (fingerprint, project) in [
            ("5f7c50e793c142244a545bdd455f14aa2a4df44eabdceef21b53e97825786dcd", "U-Boot board/broadcom"),
            ("bde93142b0780b2a66d27977d35f4f542e71cc538d491fe6609e2380b747a027", "Vagrant"),
            ("3a21983aeeda3a503f4d3de2ff6fedbaa8b4389ab6ef7261cbdb1de85434fcc3", "OP-TEE keys/default.pem"),
        ] {
            let found = keys.source(fingerprint).unwrap();
            assert!(found.starts_with(project), "{found}");
        }
    }

    #[test]
    fn a_file_adds_and_what_is_wrong_is_told_with_its_place() {
        let mut keys = KnownKeys::default();
        keys.add(&source(&format!(
            "keys: [{{fingerprint: \"{SOME}\", start: \"{SOME}\", source: a test}}]\n"
        )))
        .unwrap();
        assert_eq!(keys.source(SOME), Some("a test"));
        assert_eq!(keys.starts().count(), 1);
        assert_eq!(keys.sources().next(), Some((SOME, "a test")));
        let wrong = format!(
            "keys:\n  - {{fingerprint: AB, source: x}}\n  - {{fingerprint: \"{SOME}\", start: cd, source: x}}\n"
        );
        let failure = keys.add(&source(&wrong)).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("expected 64 lower-case hexadecimal digits as `fingerprint`, found `AB`"),
            "{text}"
        );
        assert!(text.contains("expected 64 lower-case hexadecimal digits as `start`, found `cd`"), "{text}");
        assert!(text.contains("k.yaml:3"), "{text}");
    }

    #[test]
    fn a_product_adds_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::built_in(Some(folder.path()));
        assert_eq!(KnownKeys::of_product(&library).unwrap().sources().count(), 0);
        std::fs::create_dir(folder.path().join("standards")).unwrap();
        let own = format!("keys:\n  - {{fingerprint: \"{SOME}\", source: \"our old sample board\"}}\n");
        std::fs::write(folder.path().join("standards/known-keys.yaml"), own).unwrap();
        assert_eq!(KnownKeys::of_product(&library).unwrap().source(SOME), Some("our old sample board"));
    }
}
