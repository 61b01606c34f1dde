//! A Buildroot tree that was given: which one it is, and whether it is as released.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::BuildrootFacts;

/// Which Buildroot a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As its makefile says it: `2026.02.3`, `2026.02.3-dirty`, `2026.05-rc1`, `2026.08-git`.
    pub full: String,
    /// Its series: `2026.02`.
    pub series: String,
}

/// Reads the version of a tree from its makefile.
///
/// # Errors
/// When the folder is no Buildroot tree, or a release candidate.
pub fn version(tree: &Path) -> Outcome<Version> {
    let not_one = |why: String| {
        Failure::error(
            ExitStatus::Input,
            "no-buildroot",
            format!("`{}` is no Buildroot tree: {why}", tree.display()),
        )
        .hint("give the top folder of an unpacked release, the one with `Config.in` and `package/`")
    };
    let makefile = tree.join("Makefile");
    let text =
        fs::read_to_string(&makefile).map_err(|e| not_one(format!("cannot read its `Makefile`: {e}")))?;
    for part in ["Config.in", "package/Makefile.in", "support/kconfig"] {
        if !tree.join(part).exists() {
            return Err(not_one(format!("it has no `{part}`")));
        }
    }
    let full = text
        .lines()
        .find_map(|line| line.strip_prefix("export BR2_VERSION := "))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| not_one("its `Makefile` names no version".to_owned()))?;
    if full.contains("-rc") || full.contains("-git") {
        return Err(Failure::error(
            ExitStatus::Input,
            "unreleased-buildroot",
            format!("`{}` is Buildroot {full}, which is no release", tree.display()),
        )
        .hint("take the newest release of a supported series"));
    }
    let series = full.get(..7).filter(|series| series.as_bytes().get(4) == Some(&b'.'));
    let series = series.ok_or_else(|| not_one(format!("its version `{full}` is no release's")))?.to_owned();
    Ok(Version { full, series })
}

/// The absolute path of the tree, if it is of the plan's series and its path can be used.
///
/// # Errors
/// When it is another series, or its path holds a character that make splits at.
pub fn open(tree: &Path, facts: &BuildrootFacts) -> Outcome<(PathBuf, Version)> {
    let version = version(tree)?;
    if version.series != facts.series {
        return Err(Failure::error(
            ExitStatus::Input,
            "other-series",
            format!(
                "`{}` is Buildroot {}, but the plan is for the series {}",
                tree.display(),
                version.full,
                facts.series
            ),
        )
        .hint("give a tree of that series, or name another in the product: `buildroot: {series: …}`"));
    }
    let tree = tree.canonicalize().map_err(|e| Failure::io("open", tree, &e))?;
    usable(&tree)?;
    Ok((tree, version))
}

/// What make, a shell or the linker's options (`-Wl,-rpath,…`) split or expand.
const SPECIAL: &str = "$#:%\\\"'`&|;<>()[]{}*?!,~";

/// Refuses a path that Buildroot's makefiles would split or expand.
///
/// # Errors
/// When it holds a space, or a character that make or a shell expands.
pub fn usable(path: &Path) -> Outcome<()> {
    let text = path.to_string_lossy();
    match text.chars().find(|c| c.is_whitespace() || SPECIAL.contains(*c)) {
        None => Ok(()),
        Some(found) => Err(Failure::error(
            ExitStatus::Input,
            "unusable-path",
            format!(
                "Buildroot cannot work in `{text}`: the path holds `{found}`, which make, a shell or the linker splits or expands"
            ),
        )
        .hint(
            "use a path without spaces and special characters; for Fastness' own folders: `--cache`, `--out`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["package", "support/kconfig"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        for (file, text) in [
            ("Makefile", format!("export BR2_VERSION := {version}\n")),
            ("Config.in", String::new()),
            ("package/Makefile.in", String::new()),
        ] {
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_release_has_a_series_and_a_candidate_is_refused() {
        let found = version(tree("2026.02.3").path()).unwrap();
        assert_eq!((found.full.as_str(), found.series.as_str()), ("2026.02.3", "2026.02"));
        let text = version(tree("2026.08-rc1").path()).unwrap_err().to_string();
        assert!(text.contains("is Buildroot 2026.08-rc1, which is no release"), "{text}");
    }

    #[test]
    fn what_is_no_tree_is_told_why() {
        let folder = tempfile::tempdir().unwrap();
        let text = version(folder.path()).unwrap_err().to_string();
        assert!(text.contains("is no Buildroot tree: cannot read its `Makefile`"), "{text}");
        let folder = tree("x");
        assert!(version(folder.path()).unwrap_err().to_string().contains("its version `x` is no release's"));
        fs::remove_file(folder.path().join("Config.in")).unwrap();
        assert!(version(folder.path()).unwrap_err().to_string().contains("it has no `Config.in`"));
    }

    #[test]
    fn a_path_that_make_or_a_shell_takes_apart_is_refused_with_the_character() {
        // What CI systems and people name their folders.
        for good in ["/srv/build-root_1.2/x", "/var/ci/workspace@2", "/srv/a+b=c/é"] {
            usable(Path::new(good)).unwrap();
        }
        let text = usable(Path::new("/srv/my build")).unwrap_err().to_string();
        assert!(text.contains("Buildroot cannot work in `/srv/my build`: the path holds ` `"), "{text}");
        for bad in ["tab\t", "a(b", "a;b", "a&b", "a,b", "a$b", "a'b", "a*b", "a~b", "a:b"] {
            let text = usable(&Path::new("/srv").join(bad)).unwrap_err().to_string();
            assert!(text.contains("which make, a shell or the linker splits or expands"), "{text}");
        }
    }
}
