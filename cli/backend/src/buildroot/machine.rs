//! What one machine brings to a build with Buildroot: a tree, a toolchain, mirrors, caches.
//!
//! None of it is in the product or in the generated tree. What is a Buildroot symbol is compared with
//! the final configuration like every other symbol.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use spec::plan::{Asked, KconfigPlan, Origin};

use super::source::usable;
use super::toolchain::Toolchain;

/// Who asks, in messages.
pub const WHO: &str = "this machine";
/// The symbol of the generated tree that takes the place of `BR2_PER_PACKAGE_DIRECTORIES`.
pub const SHARED_FOLDERS: &str = "BR2_FASTNESS_SHARED_FOLDERS";
pub const PER_PACKAGE: &str = "BR2_PER_PACKAGE_DIRECTORIES";

/// Options of one machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The Buildroot tree; otherwise the release that the product pins.
    pub tree: Option<PathBuf>,
    /// Buildroot symbols, a file in a `.config`'s form.
    pub symbols: Option<PathBuf>,
    /// An external toolchain: its folder or a tarball of it.
    pub toolchain: Option<PathBuf>,
    /// Folder of downloads (`BR2_DL_DIR`).
    pub downloads: Option<PathBuf>,
    /// Mirror that is asked first (`BR2_PRIMARY_SITE`); with `offline` the only one.
    pub primary_site: Option<String>,
    /// Whether compiled objects are kept over builds.
    pub ccache: Ccache,
    /// One staging and target folder for all packages: less disk, no two packages at a time.
    pub shared_folders: bool,
}

/// Use of ccache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ccache {
    /// As the symbols say.
    #[default]
    AsConfigured,
    /// In our own cache, for all products and boards.
    Shared,
    /// In that folder.
    In(PathBuf),
}

impl Machine {
    /// The symbols that this machine asks for; an option has the last word over the file.
    ///
    /// # Errors
    /// When the file cannot be read or a line of it is none of a `.config`.
    pub fn asked(&self, toolchain: Option<&Toolchain>) -> Outcome<KconfigPlan> {
        let mut symbols = match &self.symbols {
            Some(path) => read(path)?,
            None => BTreeMap::new(),
        };
        let mut ask = |symbol: &str, value: &str, option: &str| {
            symbols.insert(symbol.to_owned(), asked(value, option, 0));
        };
        for (symbol, value) in toolchain.map(Toolchain::symbols).unwrap_or_default() {
            ask(&symbol, &value, "--toolchain");
        }
        if self.ccache != Ccache::AsConfigured {
            ask("BR2_CCACHE", "y", "--ccache");
        }
        if self.shared_folders {
            ask(SHARED_FOLDERS, "y", "--no-per-package");
            ask(PER_PACKAGE, "n", "--no-per-package");
        }
        Ok(KconfigPlan { base: String::new(), symbols })
    }

    /// The downloads of this machine, where it names any.
    ///
    /// # Errors
    /// When the folder cannot be made, or Buildroot cannot work in it.
    pub fn download_folder(&self) -> Outcome<Option<PathBuf>> {
        self.downloads.as_deref().map(folder).transpose()
    }

    /// Whether Buildroot can work with what this machine names: told before any work.
    ///
    /// # Errors
    /// As [`Self::download_folder`] and [`Self::mirror`], and for ccache's folder.
    pub fn check(&self) -> Outcome<()> {
        self.download_folder()?;
        self.mirror()?;
        if let Ccache::In(objects) = &self.ccache {
            folder(objects)?;
        }
        Ok(())
    }

    /// The mirror, checked: it gets onto make's command line.
    ///
    /// # Errors
    /// When it is no address of a kind that Buildroot fetches from.
    pub fn mirror(&self) -> Outcome<Option<&str>> {
        let Some(site) = self.primary_site.as_deref() else { return Ok(None) };
        let known = ["https://", "http://", "ftp://", "file:///", "scp://", "sftp://"];
        let plain = |c: char| c.is_ascii_alphanumeric() || "._~:/?=&%+@-[]".contains(c);
        if known.iter().any(|scheme| site.len() > scheme.len() && site.starts_with(scheme))
            && site.chars().all(plain)
        {
            return Ok(Some(site));
        }
        Err(Failure::error(
            ExitStatus::Usage,
            "bad-primary-site",
            format!("expected the address of a mirror after `--primary-site`, found `{site}`"),
        )
        .hint(format!("it starts with one of `{}`", known.join("`, `"))))
    }
}

/// A folder of this machine that Buildroot is told by its absolute path; made if it is not there.
///
/// # Errors
/// When it cannot be made, or Buildroot cannot work in it.
pub fn folder(path: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(path).map_err(|e| Failure::io("make", path, &e))?;
    let path = path.canonicalize().map_err(|e| Failure::io("open", path, &e))?;
    usable(&path)?;
    Ok(path)
}

fn asked(value: &str, file: &str, line: u32) -> Asked<String> {
    let origin = Origin {
        who: WHO.to_owned(),
        file: file.to_owned(),
        line,
        reason: "an option of this machine".to_owned(),
    };
    Asked { value: value.to_owned(), origins: vec![origin] }
}

/// So many wrong lines of one file are told one by one.
const TOLD_LINES: usize = 5;

/// The symbols of a file in a `.config`'s form.
fn read(path: &Path) -> Outcome<BTreeMap<String, Asked<String>>> {
    let text = fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))?;
    let file = path.display().to_string();
    let mut symbols = BTreeMap::new();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let pair = match unset {
            Some(symbol) => Some((symbol, "n")),
            None if line.is_empty() || line.starts_with('#') => continue,
            None => line.split_once('='),
        };
        match pair.filter(|(symbol, value)| is_symbol(symbol) && !value.is_empty()) {
            Some((symbol, value)) => {
                symbols.insert(symbol.to_owned(), asked(value, &file, number));
            }
            None => wrong.push(
                Diagnostic::error(
                    "bad-symbol-line",
                    format!("`{file}`, line {number}: expected `BR2_…=value`, found `{line}`"),
                )
                .hint("write it as a `.config` has it: `BR2_CCACHE=y`, `# BR2_CCACHE is not set`"),
            ),
        }
    }
    if wrong.is_empty() {
        return Ok(symbols);
    }
    // Another program's `.config` is wrong in every line: the first ones say it, and the number of the others.
    let others = wrong.len().saturating_sub(TOLD_LINES);
    wrong.truncate(TOLD_LINES);
    if others > 0 {
        let last = wrong.pop().map(|d| {
            d.note(format!("{others} more lines of it are no Buildroot symbols; is it Buildroot's?"), None)
        });
        wrong.extend(last);
    }
    Err(Failure { status: ExitStatus::Input, diagnostics: wrong })
}

fn is_symbol(text: &str) -> bool {
    text.starts_with("BR2_") && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_symbols_is_read_with_its_lines_and_options_win() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("local.config");
        fs::write(&file, "# ours\n\nBR2_CCACHE=n\nBR2_X=\"a=b\"\n# BR2_Y is not set\n").unwrap();
        let machine = Machine { symbols: Some(file), ccache: Ccache::Shared, ..Machine::default() };
        let asked = machine.asked(None).unwrap().symbols;
        assert_eq!(asked["BR2_CCACHE"].value, "y");
        assert_eq!(asked["BR2_CCACHE"].origins[0].file, "--ccache");
        assert_eq!((asked["BR2_X"].value.as_str(), asked["BR2_X"].origins[0].line), ("\"a=b\"", 4));
        assert_eq!(asked["BR2_Y"].value, "n");
    }

    #[test]
    fn lines_that_are_none_are_all_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("local.config");
        fs::write(&file, "BR2_CCACHE y\nCONFIG_X=y\nBR2_Z=\n").unwrap();
        let failure = Machine { symbols: Some(file), ..Machine::default() }.asked(None).unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.diagnostics.len(), 3);
        assert!(text.contains("line 1: expected `BR2_…=value`, found `BR2_CCACHE y`"), "{text}");
    }

    #[test]
    fn the_file_of_another_program_is_told_in_a_few_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("linux.config");
        fs::write(&file, "CONFIG_X=y\n".repeat(100)).unwrap();
        let failure = Machine { symbols: Some(file), ..Machine::default() }.asked(None).unwrap_err();
        assert_eq!(failure.diagnostics.len(), TOLD_LINES);
        assert!(failure.to_string().contains("95 more lines of it are no Buildroot symbols"), "{failure}");
    }

    #[test]
    fn a_mirror_that_would_be_more_than_an_address_is_refused() {
        let site = |text: &str| Machine { primary_site: Some(text.to_owned()), ..Machine::default() };
        assert_eq!(site("https://mirror.example/dl").mirror().unwrap(), Some("https://mirror.example/dl"));
        for bad in ["mirror.example", "https://", "https://x/$(shell id)", "https://x y", "https://x/'"] {
            let text = site(bad).mirror().unwrap_err().to_string();
            assert!(text.contains("expected the address of a mirror") && text.contains(bad), "{text}");
        }
    }
}
