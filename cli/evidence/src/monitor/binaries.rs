//! Programs and libraries of a root, what they import, and what a program is together with all that it needs.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Table;
use crate::Unable;
use crate::root::{NodeKind, Root};

/// Files that one service may be made of.
const MAX_FILES: usize = 400;
/// Texts of one file that are kept.
const MAX_TEXTS: usize = 20_000;
/// Shortest and longest text that can be a path worth anything here.
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 4..=255;
/// Where modules lie that PAM and the C library load by themselves, and who does.
const LOADED: [(&str, &[&str]); 2] = [
    ("/security/pam_", &["pam_start", "pam_authenticate"]),
    (
        "/libnss_",
        &["getaddrinfo", "getgrnam", "getgrouplist", "getpwnam", "getpwnam_r", "getpwuid", "initgroups"],
    ),
];

/// A program or library.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Names that it imports; none: it cannot be told.
    pub imports: Option<BTreeSet<String>>,
    /// Libraries that it needs.
    pub needed: Vec<String>,
    /// Whether the loader runs it as a program.
    pub program: bool,
    /// Its machine.
    pub machine: String,
}

/// Everything of a root that the loader runs, by path.
#[derive(Debug, Default)]
pub struct Binaries {
    /// By path.
    pub all: BTreeMap<String, Binary>,
    /// Executable scripts, by path.
    pub scripts: BTreeSet<String>,
    /// Files that look like programs and could not be read as such, and why.
    pub broken: BTreeMap<String, String>,
}

/// A program with its libraries and what it starts.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Files that were looked at.
    pub files: BTreeSet<String>,
    /// All that they import.
    pub imports: BTreeSet<String>,
    /// By file, for address families.
    pub by_file: BTreeMap<String, BTreeSet<String>>,
    /// Texts in them that may be paths.
    pub texts: BTreeSet<String>,
}

impl Binaries {
    /// Reads every regular file that begins as a program or a script.
    ///
    /// # Errors
    /// When a file of the root cannot be read.
    pub fn of(root: &Root) -> Result<Self, Unable> {
        let mut found = Self::default();
        for (path, node) in root.nodes() {
            let NodeKind::File(size) = node.kind else { continue };
            let library = path.contains(".so");
            if size < 4 || (node.mode & 0o111 == 0 && !library) {
                continue;
            }
            let bytes = root.read(path)?.unwrap_or_default();
            if bytes.starts_with(b"#!") && node.mode & 0o111 != 0 {
                found.scripts.insert(path.to_owned());
                continue;
            }
            if !image::elf::is_elf(&bytes) {
                continue;
            }
            let read = image::elf::facts(&bytes).and_then(|facts| Ok((facts, image::elf::imports(&bytes)?)));
            match read {
                Ok((facts, imports)) if facts.loadable() => {
                    let binary = Binary {
                        imports: imports.filter(|_| !facts.static_linked),
                        program: facts.interpreter.is_some() || facts.static_linked,
                        needed: facts.needed,
                        machine: facts.machine,
                    };
                    found.all.insert(path.to_owned(), binary);
                }
                Ok(_) => {}
                Err(why) => {
                    found.broken.insert(path.to_owned(), why.to_string());
                }
            }
        }
        Ok(found)
    }

    /// Programs, without libraries.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter(|(_, binary)| binary.program).map(|(path, _)| path.as_str())
    }

    /// Whether some file of the root imports one of these.
    #[must_use]
    pub fn anybody_imports(&self, names: &[String]) -> bool {
        let mut all = self.all.values().filter_map(|binary| binary.imports.as_ref());
        all.any(|imports| names.iter().any(|name| imports.contains(name)))
    }

    /// The file that a library's name means: the first of that name, as paths are sorted.
    fn library(&self, root: &Root, name: &str) -> Option<String> {
        let ending = format!("/{name}");
        let mut links = root.nodes().filter(|(path, _)| path.ends_with(&ending));
        links.find_map(|(path, _)| {
            root.resolve(path).map(|(real, _)| real).filter(|real| self.all.contains_key(real))
        })
    }

    /// A program with its libraries, the modules that these load by themselves, and the programs whose paths stand in
    /// it, when it starts any.
    ///
    /// # Errors
    /// Which file could not be told, or is missing.
    pub fn closure(&self, root: &Root, table: &Table, programs: &[String]) -> Result<Closure, String> {
        let mut closure = Closure::default();
        let mut pending: Vec<String> = programs.to_vec();
        while let Some(path) = pending.pop() {
            if !closure.files.insert(path.clone()) {
                continue;
            }
            if closure.files.len() > MAX_FILES {
                return Err(format!("it is made of more than {MAX_FILES} files"));
            }
            let binary =
                self.all.get(&path).ok_or_else(|| format!("`{path}` is no program that can be read"))?;
            let imports = binary.imports.as_ref();
            let imports =
                imports.ok_or_else(|| format!("`{path}` is static: what it calls cannot be told"))?;
            for name in binary.needed.iter().filter(|name| !table.is_c_library(name)) {
                pending.push(
                    self.library(root, name)
                        .ok_or_else(|| format!("`{path}` needs `{name}`, which is missing"))?,
                );
            }
            for (part, callers) in LOADED {
                if callers.iter().any(|caller| imports.contains(*caller)) {
                    pending.extend(self.all.keys().filter(|path| path.contains(part)).cloned());
                }
            }
            let bytes = root.read(&path).map_err(|why| why.to_string())?.unwrap_or_default();
            let texts = texts(&bytes);
            if !table.of_kinds(&["spawn".to_owned()], imports).is_empty() {
                let started = texts.iter().filter_map(|text| root.resolve(text)).map(|(real, _)| real);
                pending
                    .extend(started.filter(|real| self.all.get(real).is_some_and(|binary| binary.program)));
            }
            closure.texts.extend(texts);
            closure.imports.extend(imports.iter().cloned());
            closure.by_file.insert(path, imports.clone());
        }
        Ok(closure)
    }
}

/// Texts of a file that begin like an absolute path, or are a single word.
fn texts(bytes: &[u8]) -> BTreeSet<String> {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let runs = bytes.split(|byte| !printable(byte)).filter(|run| TEXT_BYTES.contains(&run.len()));
    let paths = runs.filter(|run| run.starts_with(b"/") || *run == b"modprobe" || *run == b"oom_score_adj");
    paths.take(MAX_TEXTS).map(|run| String::from_utf8_lossy(run).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_paths_and_nothing_else() {
        let found = texts(b"\x7fELF\0/dev/rtc\0hello/x\0/ab\0modprobe\0/proc/%d/stat\n\0");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/dev/rtc", "/proc/%d/stat", "modprobe"]);
    }
}
