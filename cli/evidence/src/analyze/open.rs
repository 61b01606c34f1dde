//! Takes an image apart: whatever it is packed in, into file trees, kernels, boot loaders and FITs.
//!
//! Nothing is trusted and nothing is dropped: each piece is listed as a [`Part`] with what it was taken for, and one
//! that is not understood is a finding. What may be opened is bounded in depth, number and bytes. Nothing is judged here.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use image::Source;
use image::disk::{Disk, mbr};
use image::tree::{Entry, FileTree, Kind};
use record::{Artefacts, ImageRecord, Role, read_json, sha256_file};

use super::bounds::{Budget, MAX_DEPTH, MAX_PARTS, MAX_PATHS, MAX_UNPACKED};
use super::components;
use super::model::{Component, Part};
use super::rules::Found;
use super::tails::{self, Tail};
use super::{nested, pieces};
use crate::open::names;

/// Bytes between partitions that are not worth a word: the table itself and what aligns to it.
const SMALL_GAP: u64 = 64 << 10;

/// A file system or archive.
pub struct Tree {
    /// Where it is.
    pub at: String,
    /// Its files.
    pub files: Arc<FileTree>,
    /// Whether it looks like a root: `etc` with `usr` or `bin`.
    pub is_root: bool,
}

/// Bytes with a place: they are read when they are looked at, so that no two are in memory.
pub struct Blob {
    /// Where they are.
    pub at: String,
    /// The bytes.
    pub source: Source,
}

impl Blob {
    /// All of them.
    ///
    /// # Errors
    /// When the host cannot read them.
    pub fn read(&self) -> image::Result<Vec<u8>> {
        self.source.read_vec(0, self.source.len())
    }
}

/// The SHA-256 of the image, under way beside the analysis: it takes as long as reading the file does.
pub struct Digest(Option<Receiver<Outcome<(String, u64)>>>);

impl Digest {
    fn of(path: &Path) -> Self {
        let path = path.to_owned();
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(sha256_file(&path)));
        Self(Some(receiver))
    }

    /// The digest; empty for a folder.
    ///
    /// # Errors
    /// When the file cannot be read, or a signal asks to stop.
    pub fn wait(self) -> Outcome<String> {
        let Some(receiver) = self.0 else { return Ok(String::new()) };
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(outcome) => return Ok(outcome?.0),
                Err(RecvTimeoutError::Timeout) => exec::check_interrupt()?,
                Err(RecvTimeoutError::Disconnected) => {
                    let why = "the thread that hashes the image stopped";
                    return Err(Failure::error(ExitStatus::Internal, "digest", why));
                }
            }
        }
    }
}

/// Everything that an image is made of.
#[derive(Default)]
pub struct Pieces {
    /// File systems and archives.
    pub trees: Vec<Tree>,
    /// Kernels.
    pub kernels: Vec<Blob>,
    /// Boot loaders.
    pub boot_loaders: Vec<Blob>,
    /// FITs.
    pub fits: Vec<Blob>,
    /// Device trees that are no FITs.
    pub device_trees: Vec<Blob>,
    /// Saved environments of a boot loader, as `name=value`.
    pub environments: Vec<(String, Vec<String>)>,
    /// `.config` of a boot loader, as the build recorded it.
    pub boot_configs: Vec<(String, String)>,
    /// Packages that a build recorded.
    pub packages: Vec<Component>,
    /// The list of parts.
    pub parts: Vec<Part>,
    /// What lies behind file systems, to be looked at when the command lines are known.
    pub tails: Vec<Tail>,
    /// Bytes of the image, or of a build's files.
    pub bytes: u64,
    /// Bytes unpacked so far.
    unpacked: u64,
    /// What may still be opened again.
    pub(super) again: Budget,
    /// Paths of all trees.
    paths: usize,
}

/// Opens an image, a folder that is a root, or an output folder of a build.
///
/// # Errors
/// When the path cannot be read at all, or is a folder that is neither.
pub fn open(path: &Path, found: &mut Found) -> Outcome<(Pieces, Digest)> {
    let meta = std::fs::metadata(path)
        .map_err(|e| Failure { status: ExitStatus::Input, ..Failure::io("read", path, &e) })?;
    let mut pieces = Pieces::default();
    if !meta.is_dir() {
        let source = Source::open(path).map_err(|e| {
            Failure::error(ExitStatus::Input, "unreadable", format!("cannot read `{}`: {e}", path.display()))
        })?;
        let sha256 = Digest::of(path);
        pieces.holds(source.len());
        pieces.look(&crate::subject::Subject::name_of(path), &source, 0, found);
        return Ok((pieces, sha256));
    }
    if path.join("image.json").is_file() {
        let sha256 = output(path, &mut pieces, found)?;
        return Ok((pieces, sha256));
    }
    if !["etc", "usr", "bin"].iter().any(|folder| path.join(folder).exists()) {
        let message = format!(
            "expected a root file system or an output folder, found neither `etc`, `usr` nor `bin` in `{}`",
            path.display()
        );
        return Err(Failure::error(ExitStatus::Input, "unknown-subject", message)
            .hint("name the image file itself, or the folder that is the device's root"));
    }
    let at = crate::subject::Subject::name_of(path);
    match image::tree::open_rootfs(path) {
        Ok(tree) => {
            let size = |entry: &Entry| if let Kind::File { size } = entry.kind { size } else { 0 };
            pieces.holds(tree.entries().values().map(size).fold(0, u64::saturating_add));
            pieces.tree(&at, tree, None, 0, found);
        }
        Err(why) => pieces.failed(&at, "folder", None, &why, found),
    }
    Ok((pieces, Digest(None)))
}

/// The disk, the boot flash and the boot loader's configuration of a finished build.
fn output(folder: &Path, pieces: &mut Pieces, found: &mut Found) -> Outcome<Digest> {
    let record: ImageRecord = read_json(&folder.join("image.json"))?;
    let mut sha256 = Digest(None);
    for role in [Role::Disk, Role::Uboot, Role::UbootConfig] {
        let Some(file) = record.files.get(&role) else { continue };
        let at = file.path.display().to_string();
        if !file.path.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            found.add("broken", at, "image.json: the path leads out of its folder");
            continue;
        }
        let path = folder.join(&file.path);
        let source = match Source::open(&path) {
            Ok(source) => source,
            Err(why) => {
                pieces.broken(&at, "file of the record", None, &why.to_string(), found);
                continue;
            }
        };
        if role == Role::UbootConfig {
            match source.read_vec(0, source.len().min(4 << 20)) {
                Ok(bytes) => {
                    pieces.boot_configs.push((at.clone(), String::from_utf8_lossy(&bytes).into_owned()));
                    pieces.part(&at, Some(source.len()), "a configuration of U-Boot", true);
                }
                Err(why) => pieces.broken(&at, "configuration", None, &why.to_string(), found),
            }
            continue;
        }
        if role == Role::Disk {
            sha256 = Digest::of(&path);
        }
        pieces.holds(source.len());
        pieces.look(&at, &source, 0, found);
    }
    // Root file systems of ours carry no package database.
    let artefacts: Option<Artefacts> = read_json(&folder.join("artefacts.json")).ok();
    if let Some(file) = artefacts.and_then(|all| all.files.get(&Role::PackageManifest).cloned()) {
        let plain = file.path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let small = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.len() <= 16 << 20);
        let path = folder.join(&file.path);
        if let Some(text) = (plain && small(&path)).then(|| std::fs::read_to_string(&path).ok()).flatten() {
            pieces.packages = components::of_build(&text, &file.path.display().to_string());
        }
    }
    Ok(sha256)
}

impl Pieces {
    /// Counts bytes of the image, of which the bounds depend.
    fn holds(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.again = Budget::for_again(self.bytes);
    }

    /// Lists a part.
    pub(super) fn part(&mut self, at: &str, bytes: Option<u64>, kind: &str, read: bool) {
        self.parts.push(Part { at: at.to_owned(), bytes, kind: kind.to_owned(), read });
    }

    /// Lists a part that is broken.
    pub(super) fn broken(&mut self, at: &str, kind: &str, bytes: Option<u64>, why: &str, found: &mut Found) {
        self.part(at, bytes, kind, false);
        found.add("broken", at, why);
    }

    /// Lists a part that could not be read: for a bound of ours, or because it is broken.
    pub(super) fn failed(
        &mut self,
        at: &str,
        kind: &str,
        bytes: Option<u64>,
        why: &image::Error,
        found: &mut Found,
    ) {
        match why {
            image::Error::Limit { .. } => {
                self.part(at, bytes, kind, false);
                found.add("limit", at, why.to_string());
            }
            image::Error::Unsupported { .. } => {
                self.part(at, bytes, kind, false);
                found.add("not-understood", at, why.to_string());
            }
            _ => self.broken(at, kind, bytes, &why.to_string(), found),
        }
    }

    /// Whether another piece may be opened.
    pub(super) fn may_go_on(&self, at: &str, depth: usize, found: &mut Found) -> bool {
        // Whoever called asks again, and tells it.
        if exec::interrupted() {
            return false;
        }
        if depth > MAX_DEPTH {
            found.add("limit", at, format!("more than {MAX_DEPTH} containers inside each other"));
            return false;
        }
        if self.parts.len() >= MAX_PARTS {
            found.add(
                "limit",
                "(parts)",
                format!("more than {MAX_PARTS} parts; the first left out is `{at}`"),
            );
            return false;
        }
        true
    }

    /// Bytes of any form: tells what they are by their content and takes them apart, and so with what lies behind.
    pub fn look(&mut self, at: &str, source: &Source, depth: usize, found: &mut Found) {
        let (mut from, mut rest, mut here) = (0, source.clone(), at.to_owned());
        while self.may_go_on(&here, depth, found) {
            let end = self.piece(&here, &rest, depth, found);
            let Some(next) = end.and_then(|end| tails::next(&rest, end)) else { return };
            from += next;
            here = format!("{at} / from byte {from}");
            match rest.slice(next, rest.len() - next) {
                Ok(behind) => rest = behind,
                Err(_) => return,
            }
        }
    }

    /// One piece; gives its end where something may lie behind it.
    fn piece(&mut self, at: &str, source: &Source, depth: usize, found: &mut Found) -> Option<u64> {
        let len = Some(source.len());
        let has = |offset: u64, magic: &[u8]| {
            source.read_vec(offset, magic.len() as u64).is_ok_and(|bytes| bytes == magic)
        };
        if has(512, b"EFI PART") || has(4096, b"EFI PART") {
            self.gpt(at, source, depth, found);
            return None;
        }
        if has(0, &[0xd0, 0x0d, 0xfe, 0xed]) {
            return pieces::device_tree(self, at, source, depth, found);
        }
        if has(0, b"hsqs") || has(1080, &[0x53, 0xef]) {
            self.file_system(at, source, "a file system", depth, found);
            return None;
        }
        let left = MAX_UNPACKED.saturating_sub(self.unpacked);
        match source.unpacked_with_end(left, &exec::interrupted) {
            Ok(Some((inner, end))) => {
                self.unpacked = self.unpacked.saturating_add(inner.len());
                self.part(at, len, "packed", true);
                self.look(&format!("{at} (unpacked)"), &inner, depth + 1, found);
                return Some(end);
            }
            Ok(None) => {}
            // A kernel with something behind it is no archive; what it is is seen below.
            Err(why) => {
                self.failed(at, "packed", len, &why, found);
                return None;
            }
        }
        if has(0, b"070701") || has(0, b"070702") || has(257, b"ustar") {
            self.file_system(at, source, "an archive", depth, found);
            return None;
        }
        // Before boot loaders: what lies in its files is found in them.
        if pieces::is_fat(source) {
            self.file_system(at, source, "a FAT file system", depth, found);
            return None;
        }
        if let Some(end) = pieces::blob(self, at, source, depth, found) {
            return Some(end);
        }
        if let Some(kind) = names::known(source) {
            self.part(at, len, kind, false);
            let magic = source.read_vec(0, source.len().min(8)).unwrap_or_default();
            let magic: Vec<String> = magic.iter().map(|byte| format!("{byte:02x}")).collect();
            found.add("not-understood", at, format!("{kind}; it begins with {}", magic.join(" ")));
            return None;
        }
        match mbr::partitions(source) {
            Ok(Some(partitions)) => {
                let list: Vec<(String, u64, u64)> =
                    partitions.iter().map(|p| (p.index.to_string(), p.offset, p.bytes)).collect();
                self.part(at, len, "a disk with an MBR", true);
                self.partitions(at, source, &list, depth, found);
                return None;
            }
            Err(why) => {
                found.add("table-defect", at, why.to_string());
            }
            Ok(None) => {}
        }
        self.unknown(at, source, depth, found);
        None
    }

    /// A file system or archive, and what lies behind it.
    fn file_system(&mut self, at: &str, source: &Source, kind: &str, depth: usize, found: &mut Found) {
        let len = source.len();
        let read = if pieces::is_fat(source) { image::tree::open_fat } else { image::tree::open_source };
        let tree = match read(source) {
            Ok(tree) => tree,
            Err(why) => return self.failed(at, kind, Some(len), &why, found),
        };
        match tree.end() {
            Some(end) if end > len => {
                let why =
                    format!("it says that it has {end} bytes, there are {len}: it was cut off, or lies");
                found.add("broken", at, why);
            }
            Some(end) if end < len => {
                self.tails.push(Tail { at: at.to_owned(), whole: source.clone(), end, depth });
            }
            _ => {}
        }
        self.tree(at, tree, Some(len), depth, found);
    }

    /// A piece that nothing recognises.
    fn unknown(&mut self, at: &str, source: &Source, depth: usize, found: &mut Found) {
        let len = Some(source.len());
        if source.is_empty() || tails::blank(source) {
            return self.part(at, len, "empty", true);
        }
        // What flash has in front of a piece is padding, too.
        let next = tails::next(source, 0).filter(|next| (1..source.len()).contains(next));
        if let Some(next) = next
            && next >= 512
            && let Ok(rest) = source.slice(next, source.len() - next)
        {
            self.part(at, Some(next), "empty", true);
            return self.look(&format!("{at} / from byte {next}"), &rest, depth + 1, found);
        }
        self.part(at, len, "unknown", false);
        let head = source.read_vec(0, source.len().min(8)).unwrap_or_default();
        let head: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
        found.add("not-understood", at, format!("{} bytes that begin with {}", source.len(), head.join(" ")));
    }

    fn gpt(&mut self, at: &str, source: &Source, depth: usize, found: &mut Found) {
        let (disk, defects) = match Disk::from_damaged_source(source.clone()) {
            Ok(read) => read,
            Err(why) => {
                return self.broken(at, "a disk with a GPT", Some(source.len()), &why.to_string(), found);
            }
        };
        for defect in defects {
            found.add("table-defect", at, defect.to_string());
        }
        self.part(at, Some(source.len()), "a disk with a GPT", true);
        let label =
            |index: u32, name: &str| if name.is_empty() { index.to_string() } else { name.to_owned() };
        let list: Vec<(String, u64, u64)> =
            disk.partitions().iter().map(|p| (label(p.index, &p.name), p.offset, p.bytes)).collect();
        self.partitions(at, source, &list, depth, found);
    }

    /// Each partition, and what lies between them.
    fn partitions(
        &mut self,
        at: &str,
        source: &Source,
        list: &[(String, u64, u64)],
        depth: usize,
        found: &mut Found,
    ) {
        let mut sorted: Vec<&(String, u64, u64)> = list.iter().collect();
        sorted.sort_by_key(|(_, offset, _)| *offset);
        let mut end = 0;
        let mut ranges = pieces::Ranges::default();
        for (label, offset, bytes) in sorted {
            self.gap(at, source, end, *offset, depth, found);
            end = end.max(offset.saturating_add(*bytes));
            let inner = format!("{at} / {label}");
            if !self.may_go_on(&inner, depth, found) {
                break;
            }
            if !ranges.may_open(self, &inner, *offset, *bytes, found) {
                continue;
            }
            match source.slice(*offset, *bytes) {
                Ok(part) => self.look(&inner, &part, depth + 1, found),
                Err(why) => self.broken(&inner, "a partition", Some(*bytes), &why.to_string(), found),
            }
        }
        self.gap(at, source, end, source.len(), depth, found);
    }

    /// Bytes that no partition covers: a boot loader is often there.
    fn gap(&mut self, at: &str, source: &Source, from: u64, to: u64, depth: usize, found: &mut Found) {
        // The tables themselves take up to 34 sectors at both ends.
        let from = if from == 0 { 17 << 10 } else { from };
        let to = if to == source.len() { to.saturating_sub(17 << 10) } else { to };
        if to <= from || to - from < SMALL_GAP && from != 17 << 10 {
            return;
        }
        let Ok(part) = source.slice(from, to - from) else { return };
        if tails::blank(&part) {
            return;
        }
        let inner = format!("{at} / bytes {from} to {to}");
        match pieces::raw_boot_loader(self, &inner, &part, depth, found) {
            Some(end) => {
                let next = tails::next(&part, end).filter(|next| *next < part.len());
                if let Some((next, rest)) =
                    next.and_then(|next| Some((next, part.slice(next, part.len() - next).ok()?)))
                {
                    self.look(&format!("{inner} / from byte {next}"), &rest, depth + 1, found);
                }
            }
            None => {
                self.part(&inner, Some(part.len()), "unknown, in no partition", false);
                found.add("unknown-region", inner, format!("{} bytes that are not empty", part.len()));
            }
        }
    }

    /// A file system or archive, and the images that lie in it as files.
    pub(super) fn tree(
        &mut self,
        at: &str,
        files: FileTree,
        bytes: Option<u64>,
        depth: usize,
        found: &mut Found,
    ) {
        let has = |path: &str| files.resolve(path).is_ok();
        let is_root = has("/etc") && (has("/usr") || has("/bin") || has("/sbin"));
        let kind = format!("{} ({})", if is_root { "a root file system" } else { "files" }, files.kind());
        self.paths = self.paths.saturating_add(files.entries().len());
        if self.paths > MAX_PATHS {
            self.part(at, bytes, &kind, false);
            return found.add("limit", at, format!("all trees have more than {MAX_PATHS} paths"));
        }
        self.part(at, bytes, &kind, true);
        let files = Arc::new(files);
        self.trees.push(Tree { at: at.to_owned(), files: Arc::clone(&files), is_root });
        nested::look(self, at, &files, is_root, depth, found);
    }
}
