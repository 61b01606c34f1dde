//! Buildroot's log: what is being built, and what went wrong.

use std::path::Path;

use diag::{ExitStatus, Failure};

/// Lines of the log that a failure shows.
const SHOWN: usize = 15;

/// What Buildroot says it does: `>>> openssl 3.5.1 Building` between the marks of reverse video.
#[must_use]
pub fn doing(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(">>> ")?;
    let text = rest.split('\u{1b}').next().unwrap_or(rest).trim();
    let clean: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    (!clean.is_empty()).then_some(clean)
}

/// A package and the step of it that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Broken {
    package: String,
    step: &'static str,
    /// Index of the line that says so.
    line: usize,
}

/// The failure of a build as its log tells it; `whole` is what make itself ended with.
#[must_use]
pub fn failure(log: &Path, text: &str, whole: Failure) -> Failure {
    // Stopped by a person or by the time limit: the log has nothing to say about it.
    if whole.status == ExitStatus::Interrupted || whole.diagnostics.iter().any(|d| d.code != "tool-failed") {
        return whole;
    }
    let lines: Vec<&str> = text.lines().collect();
    let broken = lines.iter().enumerate().find_map(|(at, line)| broken(at, line));
    let end = broken.as_ref().map_or(lines.len(), |broken| broken.line);
    let shown = lines[end.saturating_sub(SHOWN)..end].join("\n");
    let (code, what, hint) = cause(&lines);
    let message = match &broken {
        Some(broken) => format!("the package `{}` failed while {}{what}", broken.package, broken.step),
        None => match lines.iter().find_map(|line| refusal(line)) {
            Some(reason) => format!("Buildroot does not build: {reason}"),
            None => format!("Buildroot's build failed{what}"),
        },
    };
    let mut failure = Failure::error(ExitStatus::Build, code, message);
    // What Buildroot's own checks refuse; several packages at a time may have written after it.
    if let Some((_, reason)) = lines.iter().rev().find_map(|line| line.split_once("*** ERROR: ")) {
        failure = failure.note(format!("Buildroot says: {reason}"));
    }
    let failure = failure
        .note(format!("last lines before it:\n{shown}"))
        .note(format!("the whole log is `{}`", log.display()));
    let go_on = "run the same command again to go on where it stopped";
    failure.hint(hint.map_or_else(|| go_on.to_owned(), |hint| format!("{hint}; then {go_on}")))
}

/// `make[1]: *** [package/pkg-generic.mk:283: /…/build/zlib-1.3.1/.stamp_built] Error 2`.
fn broken(line: usize, text: &str) -> Option<Broken> {
    // Behind what another package had written so far, where several are built at a time.
    let (_, said) = text.split_once("*** [").filter(|(before, _)| make_speaks(before))?;
    let (before, stamp) = said.split_once("/.stamp_")?;
    let package = before.rsplit('/').next()?.to_owned();
    let stamp: String = stamp.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    let step = match stamp.as_str() {
        "downloaded" | "actual_downloaded" => "it was fetched",
        "extracted" => "it was unpacked",
        "patched" => "it was patched",
        "dotconfig" | "kconfig_fixup_done" | "configured" => "it was configured",
        "built" => "it was compiled",
        _ => "it was installed",
    };
    Some(Broken { package, step, line })
}

/// Whether a line's beginning ends with `make: ` or `make[2]: `.
fn make_speaks(before: &str) -> bool {
    let Some(name) = before.strip_suffix(": ") else { return false };
    let name = name.strip_suffix(']').map_or(name, |name| {
        name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('[').unwrap_or_default()
    });
    name.strip_suffix("make").is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
}

/// `package/x/x.mk:87: *** Package error: use X_AUTOPOINT. Please fix your .mk file.  Stop.`
fn refusal(line: &str) -> Option<&str> {
    let reason = line.split_once("*** ")?.1.strip_suffix("Stop.")?.trim().trim_end_matches('.');
    (!reason.is_empty()).then_some(reason)
}

/// Causes that have a name: code, words and hint.
fn cause(lines: &[&str]) -> (&'static str, &'static str, Option<&'static str>) {
    let has = |what: &str| lines.iter().any(|line| line.contains(what));
    if has("No space left on device") {
        return (
            "disk-full",
            ": the disk is full",
            Some("make room in the cache's file system, or choose another with `--cache`"),
        );
    }
    if has("has wrong sha256 hash") || has("has wrong sha512 hash") || has("No hash found for") {
        return (
            "hash-mismatch",
            ": a source is not what its hash says",
            Some(
                "remove that file from the download folder; if it comes back the same, its server is not to be trusted",
            ),
        );
    }
    if lines.iter().any(|line| line.starts_with("You must install")) {
        return ("missing-tool", ": a host tool is missing", Some("install what the lines above name"));
    }
    if lines.iter().any(|line| line.starts_with("error: ") && line.contains("was asked to be")) {
        return (
            "symbol-dropped",
            ": a symbol that was asked for was lost",
            Some("waive it with a reason in the product's `waivers`, or change what keeps it from holding"),
        );
    }
    if has("Incorrect selection of kernel headers")
        || has("Incorrect selection of gcc version")
        || has("toolchain doesn't support")
        || has("support is not selected but is available in external toolchain")
        || has("Distribution toolchains are unsuitable")
    {
        return (
            "toolchain-mismatch",
            ": the toolchain is not what its symbols say",
            Some("correct the symbols in the file of `--buildroot-config`"),
        );
    }
    ("package-failed", "", None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Failure {
        let whole = Failure::error(ExitStatus::Build, "tool-failed", "`make` ended with exit status: 2");
        failure(Path::new("logs/buildroot.log"), text, whole)
    }

    #[test]
    fn what_buildroot_does_is_read_without_its_colours() {
        assert_eq!(
            doing("\u{1b}[7m>>> zlib 1.3.1 Building\u{1b}[27m").as_deref(),
            Some("zlib 1.3.1 Building")
        );
        assert_eq!(
            doing(">>>   Finalizing target directory").as_deref(),
            Some("Finalizing target directory")
        );
        assert_eq!(doing("gcc -c x.c"), None);
    }

    #[test]
    fn a_package_that_does_not_compile_is_named_with_its_last_lines() {
        let mut text: String = (0..30).map(|i| format!("line {i}\n")).collect();
        text.push_str("make[1]: *** [package/pkg-generic.mk:283: /x/build/zlib-1.3.1/.stamp_built] Error 2\nmake: *** [Makefile:83: _all] Error 2\n");
        let failure = told(&text);
        let shown = failure.to_string();
        assert_eq!(failure.diagnostics[0].code, "package-failed");
        assert!(shown.contains("the package `zlib-1.3.1` failed while it was compiled"), "{shown}");
        assert!(
            shown.contains("line 29") && shown.contains("line 15") && !shown.contains("line 14\n"),
            "{shown}"
        );
        assert!(shown.contains("the whole log is `logs/buildroot.log`"), "{shown}");
    }

    #[test]
    fn a_failure_in_the_middle_of_another_packages_line_is_found() {
        let text = told(concat!(
            "checking for libcrypto... ***\n",
            "*** ERROR: package host-frob installs executables without proper RPATH:\n",
            "checking for flags... make[2]: *** [package/pkg-generic.mk:340: /x/build/host-frob-1/.stamp_host_installed] Error 1\n",
            "config.status: creating Makefile\n",
        ))
        .to_string();
        assert!(text.contains("the package `host-frob-1` failed while it was installed"), "{text}");
        assert!(text.contains("Buildroot says: package host-frob installs executables without"), "{text}");
        let cmake = told("cmake: *** [x/build/host-frob-1/.stamp_built] Error 1\n").to_string();
        assert!(cmake.contains("Buildroot's build failed"), "{cmake}");
    }

    #[test]
    fn causes_that_have_a_name_are_named() {
        let stamp =
            "make[1]: *** [package/pkg-generic.mk:179: /x/build/zlib-1.3.1/.stamp_downloaded] Error 1\n";
        for (line, code) in [
            ("cc1: fatal error: No space left on device", "disk-full"),
            ("ERROR: zlib-1.3.1.tar.xz has wrong sha256 hash:", "hash-mismatch"),
            ("ERROR: No hash found for zlib-1.3.1.tar.xz", "hash-mismatch"),
            ("You must install 'cpio' on your build machine", "missing-tool"),
            ("error: Linux: `USER_NS` was asked to be `n` by layer x (x:1), but is `y`", "symbol-dropped"),
            ("Incorrect selection of kernel headers: expected 6.12.x, got 6.1.x", "toolchain-mismatch"),
            ("OpenMP support is not selected but is available in external toolchain", "toolchain-mismatch"),
            ("Distribution toolchains are unsuitable for use by Buildroot,", "toolchain-mismatch"),
        ] {
            let failure = told(&format!("{line}\n{stamp}"));
            assert_eq!(failure.diagnostics[0].code, code, "{line}");
            assert!(failure.to_string().contains("the package `zlib-1.3.1` failed while it was fetched"));
            assert!(failure.to_string().contains("; then run the same command again"), "{failure}");
        }
    }

    #[test]
    fn a_log_without_a_package_still_says_what_it_can() {
        let text = told("something odd\n").to_string();
        assert!(text.contains("Buildroot's build failed") && text.contains("something odd"), "{text}");
        assert!(told("").to_string().contains("Buildroot's build failed"));
    }

    #[test]
    fn what_make_itself_refuses_is_the_reason() {
        let text = told("package/x/x.mk:87: *** Package error: use X_AUTOPOINT instead of X_GETTEXTIZE. Please fix your .mk file.  Stop.\nmake: Leaving directory '/x'\n").to_string();
        assert!(
            text.contains("Buildroot does not build: Package error: use X_AUTOPOINT instead of X_GETTEXTIZE"),
            "{text}"
        );
        assert!(told("make: *** Waiting for unfinished jobs....\n").to_string().contains("build failed"));
    }

    #[test]
    fn an_interrupt_stays_one() {
        let whole = Failure::error(ExitStatus::Interrupted, "interrupted", "stopped by a signal");
        let failure = failure(Path::new("x"), "No space left on device\n", whole);
        assert_eq!(failure.diagnostics[0].code, "interrupted");
    }
}
