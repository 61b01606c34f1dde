//! The repositories of a series as they lie on this machine: there, of the right release, at the right commit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::{YoctoFacts, YoctoSourceFacts};

use crate::lock::Lock;

/// The repository that has BitBake itself.
const BITBAKE: &str = "bitbake";
/// The repository whose layer `meta` every build needs.
const CORE: &str = "openembedded-core";

/// Checkouts that fit a plan.
#[derive(Debug)]
pub struct Checkouts {
    /// `bitbake/bin/bitbake`.
    pub bitbake: PathBuf,
    /// `openembedded-core`.
    pub core: PathBuf,
    /// The layers of others, in order, absolute.
    pub layers: Vec<PathBuf>,
    /// What the image's record says of them.
    pub provenance: BTreeMap<String, String>,
    /// Commits by repository, where it is one of git's.
    commits: BTreeMap<String, String>,
}

impl Checkouts {
    /// Looks at everything that the plan needs; what is wrong is told at once.
    ///
    /// # Errors
    /// When a repository or layer is missing, is of another release, or is not at the commit that the
    /// product pins.
    pub fn open(facts: &YoctoFacts, folder: &Path, log: &Path) -> Outcome<Self> {
        const HINT: &str = "`kas checkout kas.yml` makes the checkouts; give the folder that holds them";
        is_folder(folder, "no-checkouts", "the folder of the checkouts")
            .map_err(|failure| failure.hint(HINT))?;
        let folder = folder.canonicalize().map_err(|e| Failure::io("open", folder, &e).hint(HINT))?;
        usable(&folder)?;
        let mut wrong = Vec::new();
        let mut provenance = BTreeMap::new();
        let mut commits = BTreeMap::new();
        for source in &facts.sources {
            let path = folder.join(&source.name);
            if !path.is_dir() {
                wrong.push(missing(source, &path));
                continue;
            }
            let found = commit(&path, &used(facts, &source.name), log)?;
            if let Some((commit, _)) = &found {
                commits.insert(source.name.clone(), commit.clone());
            }
            if let Some(pinned) = &source.commit
                && found.as_ref().is_none_or(|(commit, _)| commit != pinned)
            {
                wrong.push(elsewhere(&path, pinned, found.as_ref(), "the product"));
            }
            provenance.insert(source.name.clone(), words(found.as_ref()));
        }
        let layers = layers(facts, &folder, &mut wrong);
        release(facts, &folder, &mut wrong);
        if !wrong.is_empty() {
            return Err(Failure { status: ExitStatus::Input, diagnostics: wrong });
        }
        let bitbake = folder.join(BITBAKE).join("bin/bitbake");
        Ok(Self { bitbake, core: folder.join(CORE), layers, provenance, commits })
    }

    /// Holds the checkouts to the commits of the lock; what the lock does not know yet is put into it.
    ///
    /// # Errors
    /// When one is at another commit than the lock's, and the lock is not to be written anew.
    pub fn hold_to(&self, lock: &Path, facts: &YoctoFacts, update: bool) -> Outcome<()> {
        let mut content = Lock::read(lock)?;
        let known = content.yocto.entry(facts.series.clone()).or_default();
        if !update {
            // A product that needs fewer repositories than before is not held to the others.
            let needed = |name: &String| facts.sources.iter().any(|source| source.name == *name);
            let other = known.iter().filter(|(name, _)| needed(name)).filter_map(|(name, pinned)| {
                let found = self.commits.get(name);
                if found == Some(pinned) {
                    return None;
                }
                let at = self.bitbake.ancestors().nth(3).unwrap_or(&self.bitbake).join(name);
                let found = found.map(|found| (found.clone(), false));
                let diagnostic = elsewhere(&at, pinned, found.as_ref(), &format!("`{}`", lock.display()));
                Some(diagnostic.hint(format!(
                    "`git -C {} checkout {pinned}`, or take the new one with `--update-lock`",
                    at.display()
                )))
            });
            let diagnostics: Vec<Diagnostic> = other.collect();
            if !diagnostics.is_empty() {
                return Err(Failure { status: ExitStatus::Input, diagnostics });
            }
        }
        let mut now = self.commits.clone();
        // A product that needs fewer repositories than before keeps the pins of the others; what is taken anew and has no
        // commit that could be told has no pin.
        let unknown = |name: &String| update && facts.sources.iter().any(|source| source.name == *name);
        for (name, pinned) in known.iter().filter(|(name, _)| !unknown(name)) {
            now.entry(name.clone()).or_insert_with(|| pinned.clone());
        }
        if *known != now {
            *known = now;
            content.write(lock)?;
        }
        Ok(())
    }
}

/// Refuses what is no folder.
///
/// # Errors
/// When nothing is there, or a file.
pub fn is_folder(path: &Path, code: &'static str, what: &str) -> Outcome<()> {
    if path.is_dir() {
        return Ok(());
    }
    let found = if path.exists() { "a file" } else { "none" };
    let message = format!("expected {what} in `{}`, found {found}", path.display());
    Err(Failure::error(ExitStatus::Input, code, message))
}

/// Refuses a path in which BitBake does not build. Source: OE-Core `sanity.bbclass`, the checks of TMPDIR; the layers' paths are
/// part of a pattern (`BBFILE_PATTERN`), and shells of tasks read the others.
///
/// # Errors
/// When it holds one of the characters.
pub fn usable(path: &Path) -> Outcome<()> {
    let text = path.to_string_lossy();
    match text.chars().find(|c| c.is_whitespace() || "+@:~$\"'\\%#`;&|<>()[]{}*?^!".contains(*c)) {
        None => Ok(()),
        Some(found) => Err(Failure::error(
            ExitStatus::Input,
            "unusable-path",
            format!("BitBake cannot work in `{text}`: the path holds `{found}`"),
        )
        .hint("use a path without spaces and special characters; for Fastness' own folder: `--cache`")),
    }
}

fn missing(source: &YoctoSourceFacts, path: &Path) -> Diagnostic {
    Diagnostic::error(
        "missing-repository",
        format!("expected a checkout of `{}` in `{}`, found none", source.name, path.display()),
    )
    .hint(format!(
        "`git clone -b {} {} {}`, or `kas checkout kas.yml`",
        source.branch,
        source.url,
        path.display()
    ))
}

fn elsewhere(path: &Path, pinned: &str, found: Option<&(String, bool)>, who: &str) -> Diagnostic {
    let found = found.map_or("none that can be told: it is no repository of git", |(commit, _)| commit);
    Diagnostic::error(
        "other-commit",
        format!("`{}`: expected the commit {pinned}, which {who} pins, found {found}", path.display()),
    )
    .hint(format!("`git -C {} checkout {pinned}`", path.display()))
}

fn words(found: Option<&(String, bool)>) -> String {
    match found {
        None => "without git: its commit is not known".to_owned(),
        Some((commit, false)) => commit.clone(),
        Some((commit, true)) => format!("{commit} with local changes"),
    }
}

/// The folders of a repository that a build reads.
fn used(facts: &YoctoFacts, source: &str) -> Vec<String> {
    match source {
        BITBAKE => vec!["bin".to_owned(), "lib".to_owned()],
        CORE => vec!["meta".to_owned(), "scripts".to_owned()],
        _ => {
            let of = facts.layers.iter().filter(|layer| layer.source == source);
            of.map(|layer| layer.name.clone()).collect()
        }
    }
}

/// The commit of a checkout and whether something in it was changed, or added to the folders that are used; none if it
/// is not one of git's own.
fn commit(path: &Path, used: &[String], log: &Path) -> Outcome<Option<(String, bool)>> {
    if !path.join(".git").exists() {
        return Ok(None);
    }
    let git = |arguments: &[&str]| -> Outcome<String> {
        // A checkout of somebody else is looked at, and none of its hooks is run, nor is its index written. A filter runs where
        // its own `.git/config` names one, which no clone brings.
        let safe = format!("safe.directory={}", path.display());
        let call = Call::new(tool("git")?)
            .args(["--no-optional-locks", "-c", &safe, "-c", "core.fsmonitor=false", "-C"])
            .arg(path);
        Ok(String::from_utf8_lossy(&call.args(arguments).log(log).output()?).into_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    // A layer of BitBake's is a folder: a recipe that nobody added to git is built as well as any other.
    let mut added = vec!["status", "--porcelain", "--untracked-files=normal", "--"];
    added.extend(used.iter().map(String::as_str));
    let added = if used.is_empty() { String::new() } else { git(&added)? };
    Ok(Some((head, !changed.trim().is_empty() || !added.trim().is_empty())))
}

fn layers(facts: &YoctoFacts, folder: &Path, wrong: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for layer in &facts.layers {
        let path = folder.join(&layer.source).join(&layer.name);
        let Ok(text) = fs::read_to_string(path.join("conf/layer.conf")) else {
            if folder.join(&layer.source).is_dir() {
                wrong.push(
                    Diagnostic::error(
                        "missing-layer",
                        format!(
                            "expected the layer `{}` in `{}`, found no `conf/layer.conf`",
                            layer.name,
                            path.display()
                        ),
                    )
                    .hint(format!(
                        "is `{}` checked out whole, and of the series {}?",
                        layer.source, facts.series
                    )),
                );
            }
            continue;
        };
        let says = assigned(&text, &format!("LAYERSERIES_COMPAT_{}", layer.collection));
        if !says.iter().any(|word| facts.compatible.contains(word)) {
            wrong.push(other_series(&path, "LAYERSERIES_COMPAT", &says, facts));
        }
        found.push(path);
    }
    found
}

/// BitBake and OpenEmbedded-Core say themselves which release they are.
fn release(facts: &YoctoFacts, folder: &Path, wrong: &mut Vec<Diagnostic>) {
    let core = folder.join(CORE).join("meta");
    if let Ok(text) = fs::read_to_string(core.join("conf/layer.conf")) {
        let says = assigned(&text, "LAYERSERIES_CORENAMES");
        if !says.iter().any(|word| facts.compatible.contains(word)) {
            wrong.push(other_series(&core, "LAYERSERIES_CORENAMES", &says, facts));
        }
    } else if folder.join(CORE).is_dir() {
        let message = format!(
            "`{}` is no OpenEmbedded-Core: it has no `meta/conf/layer.conf`",
            folder.join(CORE).display()
        );
        wrong.push(Diagnostic::error("missing-layer", message));
    }
    let bitbake = folder.join(BITBAKE);
    let version = fs::read_to_string(bitbake.join("lib/bb/__init__.py")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?.to_owned();
        Some(line.trim_matches(|c: char| !c.is_ascii_digit()).to_owned())
    });
    match version {
        Some(version) if version == facts.bitbake || version.starts_with(&format!("{}.", facts.bitbake)) => {}
        Some(version) => wrong.push(
            Diagnostic::error(
                "other-series",
                format!(
                    "`{}` is BitBake {version}, expected {} for the series {}",
                    bitbake.display(),
                    facts.bitbake,
                    facts.series
                ),
            )
            .hint(format!("`git -C {} checkout {}`", bitbake.display(), facts.bitbake)),
        ),
        None if bitbake.is_dir() => {
            let message =
                format!("`{}` is no BitBake: its `lib/bb/__init__.py` names no version", bitbake.display());
            wrong.push(Diagnostic::error("missing-repository", message));
        }
        None => {}
    }
}

fn other_series(path: &Path, variable: &str, says: &[String], facts: &YoctoFacts) -> Diagnostic {
    let says = if says.is_empty() { "nothing".to_owned() } else { format!("`{}`", says.join(" ")) };
    Diagnostic::error(
        "other-series",
        format!(
            "`{}`: its `{variable}` says {says}, expected `{}`",
            path.display(),
            facts.compatible.join("` or `")
        ),
    )
    .hint(format!(
        "check out the branch of the series {}, or name another in the product: `yocto: {{series: …}}`",
        facts.series
    ))
}

/// The words of a variable's last plain assignment.
fn assigned(text: &str, variable: &str) -> Vec<String> {
    let value = text.lines().rev().find_map(|line| {
        let rest = line.trim().strip_prefix(variable)?.trim_start();
        let rest = rest.trim_start_matches(['?', ':']).strip_prefix('=')?;
        Some(rest.trim().trim_matches('"').to_owned())
    });
    value.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_assignment_are_read_and_of_another_variable_are_not() {
        let text = "LAYERSERIES_COMPAT_a = \"one two\"\nLAYERSERIES_COMPAT_ab ?= \"three\"\n";
        assert_eq!(assigned(text, "LAYERSERIES_COMPAT_a"), ["one", "two"]);
        assert_eq!(assigned(text, "LAYERSERIES_COMPAT_ab"), ["three"]);
        assert!(assigned(text, "LAYERSERIES_COMPAT_b").is_empty());
    }

    #[test]
    fn a_path_in_which_bitbake_does_not_build_is_refused() {
        usable(Path::new("/srv/yocto-6.0_x")).unwrap();
        // The last ones are read as part of a pattern (`BBFILE_PATTERN`), or by a shell.
        for bad in [
            "/srv/my build",
            "/srv/a+b",
            "/srv/a@b",
            "/srv/a:b",
            "/srv/a(b)",
            "/srv/a[b",
            "/srv/a*",
            "/srv/a;b",
            "/srv/a&b",
        ] {
            let text = usable(Path::new(bad)).unwrap_err().to_string();
            assert!(text.contains(&format!("BitBake cannot work in `{bad}`")), "{text}");
        }
    }
}
