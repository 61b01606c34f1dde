//! Reads every file of a tree once, in parallel, and takes from it all that its bytes say: how a program was built,
//! versions, keys, secrets. The result is in the order of the paths, whatever the threads did.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use aho_corasick::AhoCorasick;
use image::elf::Facts;
use image::tree::{FileTree, Kind};

use super::components::{self, Marker};
use super::keys::{self, KeyFound};
use super::secrets::{self, SecretFound};

/// Bytes of one file that are read whole; what is larger is said.
pub const MAX_FILE: u64 = 64 << 20;
/// Bytes of a text in which secrets are looked for.
const MAX_TEXT: usize = 1 << 20;
/// Neighbours share blocks of a compressed file system: one thread takes this many in a row.
const CHUNK: usize = 16;

/// What one file says.
#[derive(Debug, Default)]
pub struct FileScan {
    /// Its path.
    pub path: String,
    /// How it was built, where it is ELF.
    pub elf: Option<Result<Facts, String>>,
    /// Names and versions that it shows.
    pub versions: Vec<(String, String)>,
    /// Keys and certificates.
    pub keys: Vec<KeyFound>,
    /// Secrets in text.
    pub secrets: Vec<SecretFound>,
    /// Whether it begins as a script does.
    pub script: bool,
    /// Why it was not read.
    pub unread: Option<String>,
}

/// What is looked for, prepared once.
pub struct Scanner {
    markers: Vec<Marker>,
    programs: AhoCorasick,
    texts: AhoCorasick,
}

impl Scanner {
    /// The scanner with the compiled-in data.
    ///
    /// # Errors
    /// When the data are not right; a test proves that they are.
    pub fn new() -> Result<Self, String> {
        secrets::prove_whole()?;
        let markers = components::markers()?;
        let begin = std::iter::once(keys::BEGIN);
        let programs = AhoCorasick::new(begin.clone().chain(markers.iter().map(|m| m.marker.as_bytes())));
        let texts = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(begin.chain(secrets::literals().map(str::as_bytes)));
        let words = |e: aho_corasick::BuildError| e.to_string();
        Ok(Self { markers, programs: programs.map_err(words)?, texts: texts.map_err(words)? })
    }

    /// What one file's bytes say.
    #[must_use]
    pub fn scan(&self, path: &str, bytes: &[u8]) -> FileScan {
        let mut scan =
            FileScan { path: path.to_owned(), script: bytes.starts_with(b"#!"), ..FileScan::default() };
        if image::elf::is_elf(bytes) {
            scan.elf = Some(image::elf::facts(bytes).map_err(|e| e.to_string()));
            let mut pem = false;
            for hit in self.programs.find_iter(bytes) {
                match hit.pattern().as_usize() {
                    0 => pem = true,
                    number => self.markers[number - 1].take(path, &bytes[hit.end()..], &mut scan.versions),
                }
            }
            if pem {
                scan.keys = keys::pem(bytes);
            }
            return scan;
        }
        let text = bytes.len() <= MAX_TEXT && !bytes[..bytes.len().min(8 << 10)].contains(&0);
        if text {
            let mut pem = false;
            let mut places = Vec::new();
            for hit in self.texts.find_iter(bytes) {
                match hit.pattern().as_usize() {
                    0 => pem = true,
                    _ => places.push(hit.start()),
                }
            }
            if pem {
                scan.keys = keys::pem(bytes);
            }
            scan.secrets = secrets::found(path, bytes, &places);
        } else if bytes.windows(keys::BEGIN.len()).any(|window| window == keys::BEGIN) {
            scan.keys = keys::pem(bytes);
        }
        scan.keys.extend(keys::by_name(path, bytes));
        scan
    }

    /// Every file of a tree.
    #[must_use]
    pub fn tree(&self, files: &FileTree) -> Vec<FileScan> {
        let list: Vec<(&str, u64)> = files
            .entries()
            .iter()
            .filter_map(|(path, entry)| match entry.kind {
                Kind::File { size } if size > 0 => Some((path.as_str(), size)),
                _ => None,
            })
            .collect();
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, FileScan)>> = Mutex::new(Vec::with_capacity(list.len()));
        let work = || {
            let mut own = Vec::new();
            loop {
                let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                let Some(chunk) = list.get(start..list.len().min(start + CHUNK)).filter(|c| !c.is_empty())
                else {
                    break;
                };
                for (offset, (path, size)) in chunk.iter().enumerate() {
                    own.push((start + offset, self.file(files, path, *size)));
                }
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(16);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut all = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, scan)| scan).collect()
    }

    fn file(&self, files: &FileTree, path: &str, size: u64) -> FileScan {
        let unread =
            |why: String| FileScan { path: path.to_owned(), unread: Some(why), ..FileScan::default() };
        if size > MAX_FILE {
            return unread(format!("it has {size} bytes, more than {MAX_FILE}"));
        }
        match files.read(path, MAX_FILE) {
            Ok(bytes) => self.scan(path, &bytes),
            Err(why) => unread(why.to_string()),
        }
    }
}
