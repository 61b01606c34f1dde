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
/// Bytes of a configuration file that is looked into.
const CONFIGURATION_LIMIT: usize = 256 << 10;
/// Who loads modules of PAM by the files of `/etc/pam.d`.
const PAM: [&str; 2] = ["pam_authenticate", "pam_start"];
/// Who loads modules of the C library by `/etc/nsswitch.conf`.
const NSS: [&str; 11] = [
    "getaddrinfo",
    "getgrgid",
    "getgrnam",
    "getgrnam_r",
    "getgrouplist",
    "gethostbyname",
    "getpwnam",
    "getpwnam_r",
    "getpwuid",
    "getpwuid_r",
    "initgroups",
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
    /// Modules that configuration names, as `pam_unix.so` and `libnss_dns.so.2`.
    pam: BTreeSet<String>,
    nss: BTreeSet<String>,
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
        let mut found = Self { nss: nss_modules(root)?, pam: pam_modules(root)?, ..Self::default() };
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
            for (modules, callers) in [(&self.pam, &PAM[..]), (&self.nss, &NSS)] {
                if callers.iter().any(|caller| imports.contains(*caller)) {
                    let named =
                        |path: &&String| path.rsplit('/').next().is_some_and(|name| modules.contains(name));
                    pending.extend(self.all.keys().filter(named).cloned());
                }
            }
            let bytes = root.read(&path).map_err(|why| why.to_string())?.unwrap_or_default();
            let texts = texts(&bytes);
            if !table.of_kinds(&["spawn".to_owned()], imports).is_empty() {
                let started = texts.iter().filter_map(|text| root.resolve(text)).map(|(real, _)| real);
                let started = started.filter(|real| !table.not_followed.contains(real));
                pending
                    .extend(started.filter(|real| self.all.get(real).is_some_and(|binary| binary.program)));
            }
            closure.texts.extend(configured(root, &texts));
            closure.texts.extend(texts);
            closure.imports.extend(imports.iter().cloned());
            closure.by_file.insert(path, imports.clone());
        }
        Ok(closure)
    }
}

/// Paths in the files of `/etc` that these texts name.
fn configured(root: &Root, texts: &BTreeSet<String>) -> BTreeSet<String> {
    let named = texts.iter().filter(|text| text.starts_with("/etc/"));
    let read = named.filter_map(|text| match root.resolve(text)? {
        (_, node) if matches!(node.kind, NodeKind::File(_)) => root.read(text).ok().flatten(),
        _ => None,
    });
    let read = read.filter(|bytes| bytes.len() <= CONFIGURATION_LIMIT && !image::elf::is_elf(bytes));
    read.flat_map(|bytes| paths(&String::from_utf8_lossy(&bytes)).collect::<Vec<_>>()).collect()
}

/// Words of a text that are absolute paths.
pub fn paths(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let words = lines.flat_map(|line| line.split([' ', '\t', '=', ',', ':', '"', '\'']));
    words
        .filter(|word| word.starts_with('/') && TEXT_BYTES.contains(&word.len()))
        .map(str::to_owned)
        .take(MAX_TEXTS)
}

/// `pam_unix.so` and the like, as the files of `/etc/pam.d` name them (pam.d(5)).
fn pam_modules(root: &Root) -> Result<BTreeSet<String>, Unable> {
    let mut modules = BTreeSet::new();
    for name in root.list("/etc/pam.d") {
        let text = root.read_text(&format!("/etc/pam.d/{name}"))?.unwrap_or_default();
        let words = text.split_whitespace().filter_map(|word| word.rsplit('/').next());
        modules.extend(
            words.filter(|word| word.starts_with("pam_") && word.ends_with(".so")).map(str::to_owned),
        );
    }
    Ok(modules)
}

/// The modules of `/etc/nsswitch.conf` (nsswitch.conf(5)).
fn nss_modules(root: &Root) -> Result<BTreeSet<String>, Unable> {
    let text = root.read_text("/etc/nsswitch.conf")?.unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split('#').next()?.split_once(':'));
    let words = lines.flat_map(|(_, services)| services.split_whitespace());
    Ok(words.map(|service| format!("libnss_{service}.so.2")).collect())
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
