//! The fuzzers' driver is no member of the workspace and has a lock of its own: it goes stale, and `ci/fuzz` with it, when a crate
//! that it uses gets another dependency.

use std::path::Path;

use crate::Problems;

const LOCK: &str = "cli/fuzz/driver/Cargo.lock";

/// Dependencies of the workspace's crates that the driver's lock does not have.
pub fn stale(top: &Path) -> Result<Problems, String> {
    let read = |name: &str| std::fs::read_to_string(top.join(name)).map_err(|e| format!("{name}: {e}"));
    let mut problems = Problems::new();
    for (name, locked) in own(&read(LOCK)?) {
        let manifest = format!("cli/{name}/Cargo.toml");
        if top.join(&manifest).is_file() {
            problems.extend(missing(&name, &read(&manifest)?, &locked));
        }
    }
    Ok(problems)
}

/// The packages of a lock that come from a folder, each with what it depends on.
fn own(lock: &str) -> Vec<(String, Vec<String>)> {
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    lock.split("[[package]]")
        .filter(|package| !package.contains("\nsource = "))
        .filter_map(|package| {
            let name = package.lines().find(|line| line.starts_with("name = ")).and_then(quoted)?;
            let depends = package.lines().filter(|line| line.starts_with(" \"")).filter_map(quoted);
            // With the version behind the name where there are several.
            let depends = depends.filter_map(|text| text.split(' ').next().map(str::to_owned)).collect();
            Some((name, depends))
        })
        .collect()
}

fn missing(name: &str, manifest: &str, locked: &[String]) -> Problems {
    let table = manifest.split("\n[").find(|table| table.starts_with("dependencies]")).unwrap_or_default();
    table
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()) && *word != "dependencies]")
        .filter(|word| !locked.iter().any(|have| have == word))
        .map(|word| {
            format!(
                "{LOCK}: `{name}` has the dependency `{word}` by now: run `cargo metadata --manifest-path cli/fuzz/driver/Cargo.toml` \
                 and commit the lock"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_the_drivers_lock_lacks_is_told() {
        let lock = "version = 4\n\n[[package]]\nname = \"bzip2\"\nsource = \"registry\"\ndependencies = [\n \"x\",\n]\n\n\
                    [[package]]\nname = \"image\"\nversion = \"0.1.0\"\ndependencies = [\n \"flate2\",\n \"object 0.40.0\",\n]\n";
        let own = own(lock);
        assert_eq!(own, [("image".to_owned(), vec!["flate2".to_owned(), "object".to_owned()])]);
        let manifest = "[package]\nname = \"image\"\n\n[dependencies]\nflate2.workspace = true\nobject = { version = \"1\" }\n\n\
                        [dev-dependencies]\nfatfs.workspace = true\n";
        assert_eq!(missing("image", manifest, &own[0].1), Problems::new());
        let more = manifest.replace("\nobject", "\nbzip2.workspace = true\nobject");
        let found = missing("image", &more, &own[0].1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`image` has the dependency `bzip2` by now"), "{found:?}");
    }
}
