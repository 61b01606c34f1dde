//! Reads every file of a tree once, in parallel, and takes from it all that its bytes say: how a program was built,
//! versions, keys, secrets. The result is in the order of the paths, whatever the threads did.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use aho_corasick::AhoCorasick;
use image::elf::Facts;
use image::tree::{FileTree, Kind};

use super::bounds::{Budget, LARGE, MAX_FILE, MAX_LARGE};
use super::components::{self, Marker};
use super::keys::{self, KeyFound};
use super::secrets::{self, SecretFound};

/// Places of one text at which a secret may be.
const MAX_HITS: usize = 1 << 20;
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
    /// Why it was not read, or not to its end.
    pub unread: Option<Unread>,
}

/// Why a file was not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// A bound of ours.
    Limit(String),
    /// The image does not hold what it claims.
    Broken(String),
}

impl FileScan {
    /// With no more keys than are kept, and saying so.
    fn bounded(mut self) -> Self {
        if self.keys.len() > keys::MAX_KEYS {
            self.keys.truncate(keys::MAX_KEYS);
            self.unread.get_or_insert_with(|| Unread::Limit(keys::too_many()));
        }
        self
    }

    fn unread(path: &str, why: Unread) -> Self {
        Self { path: path.to_owned(), unread: Some(why), ..Self::default() }
    }
}

/// Lets few large files be read at once: on a machine of many processors all of them together would fill its memory.
#[derive(Default)]
struct Gate {
    inside: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |inside: &mut usize| *inside >= MAX_LARGE;
        *self.left.wait_while(inside, full).unwrap_or_else(PoisonError::into_inner) += 1;
        let result = work();
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.left.notify_one();
        result
    }
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
        let mut words: Vec<&[u8]> = vec![keys::BEGIN];
        words.extend(markers.iter().map(|marker| marker.marker.as_bytes()));
        for word in secrets::program_literals() {
            words.push(word.as_bytes());
        }
        let programs = AhoCorasick::new(words);
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
            self.binary(bytes, &mut scan);
            return scan.bounded();
        }
        let text = !bytes[..bytes.len().min(8 << 10)].contains(&0);
        if text {
            let mut pem = false;
            let mut places = Vec::new();
            for hit in self.texts.find_iter(bytes) {
                match hit.pattern().as_usize() {
                    0 => pem = true,
                    _ if places.len() < MAX_HITS => places.push(hit.start()),
                    _ => {}
                }
            }
            if pem {
                scan.keys = keys::pem(bytes);
            }
            let (secrets, lines) = secrets::of_text(path, bytes, &places);
            scan.secrets = secrets;
            let full = (places.len() == MAX_HITS).then(|| secrets::too_many_lines(MAX_HITS));
            scan.unread = lines.or(full).map(Unread::Limit);
        } else {
            self.binary(bytes, &mut scan);
        }
        scan.keys.extend(keys::by_name(path, bytes));
        scan.bounded()
    }

    /// What a file that is no text shows; versions of a program alone.
    fn binary(&self, bytes: &[u8], scan: &mut FileScan) {
        let (mut pem, mut places) = (false, Vec::new());
        // A word may be a part of another one.
        for hit in self.programs.find_overlapping_iter(bytes) {
            let number = hit.pattern().as_usize();
            if number == 0 {
                pem = true;
            } else if number > self.markers.len() {
                if places.len() < MAX_HITS {
                    places.push(hit.start());
                }
            } else if scan.elf.is_some() {
                self.markers[number - 1].take(&scan.path, &bytes[hit.end()..], &mut scan.versions);
            }
        }
        if pem {
            scan.keys = keys::pem(bytes);
        }
        let (found, over) = secrets::of_binary(&scan.path, bytes, &places);
        scan.secrets = found;
        let full = (places.len() == MAX_HITS).then(|| secrets::too_many_lines(MAX_HITS));
        scan.unread = over.or(full).map(Unread::Limit);
    }

    /// Every file of a tree, as far as the budget goes: what comes first by its path is read.
    #[must_use]
    pub fn tree(&self, files: &FileTree, budget: &mut Budget) -> Vec<FileScan> {
        let mut list: Vec<(&str, u64)> = files
            .entries()
            .iter()
            .filter_map(|(path, entry)| match entry.kind {
                Kind::File { size } if size > 0 => Some((path.as_str(), size)),
                _ => None,
            })
            .collect();
        // A file that is too large is not read at all.
        let over = list.iter().position(|(_, size)| *size <= MAX_FILE && !budget.take(*size));
        let rest = list.split_off(over.unwrap_or(list.len()));
        let next = AtomicUsize::new(0);
        let gate = Gate::default();
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
                    // Whoever called asks again, and tells it.
                    if exec::interrupted() {
                        break;
                    }
                    let file = || self.file(files, path, *size);
                    own.push((start + offset, if *size > LARGE { gate.pass(file) } else { file() }));
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
        let mut all: Vec<FileScan> = all.into_iter().map(|(_, scan)| scan).collect();
        if let Some((path, _)) = rest.first() {
            let why = format!(
                "the files of the image have more than {} bytes; this and {} more of its tree were not looked through",
                budget.all,
                rest.len() - 1
            );
            all.push(FileScan::unread(path, Unread::Limit(why)));
        }
        all
    }

    fn file(&self, files: &FileTree, path: &str, size: u64) -> FileScan {
        if size > MAX_FILE {
            let why = format!("it has {size} bytes, more than {MAX_FILE}");
            return FileScan::unread(path, Unread::Limit(why));
        }
        match files.read(path, MAX_FILE) {
            Ok(bytes) => self.scan(path, &bytes),
            Err(why @ image::Error::Limit { .. }) => FileScan::unread(path, Unread::Limit(why.to_string())),
            Err(why) => FileScan::unread(path, Unread::Broken(why.to_string())),
        }
    }
}
