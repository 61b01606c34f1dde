//! Rules for every file of the repository.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::Problems;

/// Lines that a Rust file may have.
const LONGEST: usize = 600;

/// Bytes that any file may have.
const LARGEST: u64 = 4 << 20;

/// Files of the repository that break a rule.
pub fn broken(top: &Path) -> Result<Problems, String> {
    let shell = Shell::new().map_err(|e| e.to_string())?;
    shell.change_dir(top);
    // What is new and not ignored is judged before it is committed.
    let list = cmd!(shell, "git ls-files --cached --others --exclude-standard")
        .quiet()
        .read()
        .map_err(|e| e.to_string())?;
    let paths = machine_paths(top);
    let mut problems = Problems::new();
    for name in list.lines() {
        let path = top.join(name);
        // Nobody reads a text of that size; a stray image would fill the memory.
        if std::fs::metadata(&path).is_ok_and(|facts| facts.len() > LARGEST) {
            problems.push(format!(
                "{name}: is larger than {LARGEST} bytes; is it meant to be in the repository?"
            ));
            continue;
        }
        // Deleted and not yet committed, or not text.
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        problems.extend(broken_by(name, &text, &paths));
    }
    Ok(problems)
}

fn broken_by(name: &str, text: &str, paths: &[String]) -> Problems {
    let mut problems = Problems::new();
    // Cargo writes its own registry's address into the lock.
    if name != "Cargo.lock" {
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = paths.iter().find(|path| line.contains(path.as_str())) {
                problems.push(format!("{name}:{}: names `{found}`, a path of one machine", index + 1));
            }
            if let Some(found) = registries().into_iter().find(|host| line.contains(host.as_str())) {
                problems.push(format!("{name}:{}: names `{found}`, a package registry", index + 1));
            }
        }
    }
    let lines = text.lines().count();
    if name.ends_with(".rs") && lines > LONGEST {
        problems.push(format!("{name}: has {lines} lines, at most {LONGEST} are allowed; split it"));
    }
    problems
}

/// Paths that only this machine has: the checkout itself, and the user's tools.
fn machine_paths(top: &Path) -> Vec<String> {
    let mut paths = vec![format!("{}/", top.display())];
    if let Ok(home) = std::env::var("HOME") {
        paths.extend([".cargo", ".cache", ".local"].map(|folder| format!("{home}/{folder}/")));
    }
    paths
}

/// Host names of package registries, put together here so that this file does not name them.
fn registries() -> [String; 5] {
    [
        ["static.crates", "io"],
        ["index.crates", "io"],
        ["deb.debian", "org"],
        ["security.debian", "org"],
        ["pypi", "org"],
    ]
    .map(|parts| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_found_and_a_devices_own_is_not() {
        let paths = machine_paths(Path::new("/build/fastness"));
        let problems = broken_by("a.md", "x\nsee /build/fastness/docs", &paths);
        assert_eq!(problems, ["a.md:2: names `/build/fastness/`, a path of one machine"]);
        for good in ["/build/fast", "out/qemu-aarch64", "/var/lib/fastness/ssh"] {
            assert!(broken_by("a.md", good, &paths).is_empty(), "{good}");
        }
    }

    #[test]
    fn a_registry_is_found() {
        let problems = broken_by("a.toml", &format!("url = \"https://{}/\"", registries()[0]), &[]);
        assert!(problems[0].starts_with("a.toml:1: names `static."), "{problems:?}");
        assert!(broken_by("Cargo.lock", &registries()[0], &[]).is_empty());
    }

    #[test]
    fn a_long_source_file_is_found_and_a_long_table_is_not() {
        let long = "x\n".repeat(LONGEST + 1);
        assert_eq!(broken_by("cli/a/src/lib.rs", &long, &[]).len(), 1);
        assert!(broken_by("docs/a.md", &long, &[]).is_empty());
    }
}
