//! Buildroot's own check of the machine, which is the first thing that a build does.
//!
//! What Buildroot needs besides Fastness' own tools is known there and nowhere else: this reads what it
//! says. Source: Buildroot `support/dependencies/dependencies.sh`.

use std::path::Path;

use diag::{ExitStatus, Failure};

/// Lines of the check that are shown.
const SHOWN: usize = 15;

/// The failure when Buildroot's check of the machine failed; nothing was fetched or built then.
#[must_use]
pub fn missing(log: &Path, lines: &[&str]) -> Option<Failure> {
    let end = lines.iter().position(|line| is_the_check(line))?;
    let said: Vec<&str> =
        lines[..end].iter().copied().filter(|line| !line.trim().is_empty() && !is_makes(line)).collect();
    let tools: Vec<&str> = said.iter().filter_map(|line| tool(line)).collect();
    let message = if tools.is_empty() {
        "Buildroot cannot build on this machine".to_owned()
    } else {
        format!("Buildroot needs host tools that are not installed: `{}`", tools.join("`, `"))
    };
    let mut packages: Vec<&str> = tools.iter().map(|tool| package(tool)).collect();
    packages.sort_unstable();
    packages.dedup();
    let hint = if packages.is_empty() {
        "mend what the lines above name, then run the same command again; nothing was fetched or built"
            .to_owned()
    } else {
        format!(
            "install them (Debian: apt install {}), then run the same command again; nothing was fetched or built",
            packages.join(" ")
        )
    };
    let shown = &said[said.len().saturating_sub(SHOWN)..];
    Some(
        Failure::error(ExitStatus::Environment, "missing-tool", message)
            .note(format!("Buildroot's check of this machine says:\n{}", shown.join("\n")))
            .note(format!("the whole log is `{}`", log.display()))
            .hint(hint),
    )
}

/// Our own call, make's messages, and the call of make that it shows.
fn is_makes(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    word == "$" || word.starts_with("make") || word.ends_with("/make")
}

/// `make: *** [support/dependencies/dependencies.mk:27: dependencies] Error 1`.
fn is_the_check(line: &str) -> bool {
    line.contains("*** [") && line.contains("dependencies.mk:") && line.contains(": dependencies] Error")
}

/// `You must install 'cpio' on your build machine`.
fn tool(line: &str) -> Option<&str> {
    line.strip_prefix("You must install '")?.split_once('\'').map(|(tool, _)| tool)
}

/// Debian's package of a tool; most have its name.
fn package(tool: &str) -> &str {
    match tool.rsplit('/').next().unwrap_or(tool) {
        "cmp" => "diffutils",
        "find" | "xargs" => "findutils",
        "awk" => "mawk",
        "which" => "debianutils",
        "hg" => "mercurial",
        "svn" => "subversion",
        "java" => "default-jdk-headless",
        "zcat" => "gzip",
        "bzcat" => "bzip2",
        "xzcat" | "lzcat" => "xz-utils",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `make` of 2026.02.3 ended on a machine without them.
    const END: &str = "make: *** [support/dependencies/dependencies.mk:27: dependencies] Error 1";

    fn told(lines: &[&str]) -> Failure {
        missing(Path::new("logs/buildroot.log"), lines).unwrap()
    }

    #[test]
    fn every_missing_tool_is_named_at_once_with_its_package() {
        let failure = told(&[
            "$ make --directory /x all",
            "/usr/bin/make -j1  O=/x HOSTCC=\"/usr/bin/gcc\" syncconfig",
            "You must install 'cpio' on your build machine",
            "You must install 'cmp' on your build machine",
            "  cmp is usually part of the diffutils package in your distribution",
            "You must install '/usr/bin/file' on your build machine",
            END,
        ]);
        assert_eq!(
            (failure.status, failure.diagnostics[0].code.as_str()),
            (ExitStatus::Environment, "missing-tool")
        );
        let text = failure.to_string();
        for part in [
            "host tools that are not installed: `cpio`, `cmp`, `/usr/bin/file`",
            "apt install cpio diffutils file",
            "nothing was fetched or built",
            "logs/buildroot.log",
        ] {
            assert!(text.contains(part), "`{part}` is missing in {text}");
        }
        assert!(!text.contains("--directory") && !text.contains("syncconfig"), "{text}");
    }

    #[test]
    fn other_words_of_the_check_are_passed_on() {
        let text =
            told(&["", "You have make '3.80' installed.  GNU make >=3.81 is required", END]).to_string();
        assert!(text.contains("Buildroot cannot build on this machine"), "{text}");
        assert!(text.contains("GNU make >=3.81 is required") && text.contains("mend what"), "{text}");
    }

    #[test]
    fn what_a_package_says_is_not_the_check() {
        let lines = ["You must install 'x' on your build machine", "make: *** [x.mk:1: x] Error 1"];
        assert!(missing(Path::new("log"), &lines).is_none());
    }
}
