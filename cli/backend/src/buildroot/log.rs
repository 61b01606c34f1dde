//! Buildroot's log: what is being built, and what went wrong.

use std::path::Path;

use diag::{ExitStatus, Failure};

use super::host_tools;

/// Lines of the log that a failure shows.
const SHOWN: usize = 15;
/// Characters of each of them.
const LINE: usize = 400;
/// The code of a full disk, as our own writes and tools have it.
pub const NO_SPACE: &str = "no-space";
const FETCHED: &str = "it was fetched";

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
    let told_here = |code: &str| ["tool-failed", NO_SPACE].contains(&code);
    if whole.status == ExitStatus::Interrupted || !whole.diagnostics.iter().all(|d| told_here(&d.code)) {
        return whole;
    }
    let lines: Vec<&str> = text.lines().collect();
    if let Some(failure) = host_tools::missing(log, &lines) {
        return failure;
    }
    let broken = lines.iter().enumerate().find_map(|(at, line)| broken(at, line));
    let end = broken.as_ref().map_or(lines.len(), |broken| broken.line);
    let shown: Vec<String> =
        lines[end.saturating_sub(SHOWN)..end].iter().map(|line| readable(line)).collect();
    let shown = shown.join("\n");
    let (code, what, hint) = cause(&lines, broken.as_ref());
    let message = match &broken {
        Some(broken) => format!("the package `{}` failed while {}{what}", broken.package, broken.step),
        None => match lines.iter().find_map(|line| refusal(line)) {
            Some(reason) => format!("Buildroot does not build: {reason}"),
            None => format!("Buildroot's build failed{what}"),
        },
    };
    let status = if code == NO_SPACE { ExitStatus::Environment } else { ExitStatus::Build };
    let mut failure = Failure::error(status, code, message);
    for said in buildroots_own_words(&lines, code) {
        failure = failure.note(format!("Buildroot says: {said}"));
    }
    let failure = failure
        .note(format!("last lines before it:\n{shown}"))
        .note(format!("the whole log is `{}`", log.display()));
    let go_on = "run the same command again to go on where it stopped";
    failure.hint(hint.map_or_else(|| go_on.to_owned(), |hint| format!("{hint}; then {go_on}")))
}

/// A line as a terminal may show it: a build's log may hold anything, and a line of megabytes.
fn readable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').take(LINE).collect()
}

/// What Buildroot's own checks say; several packages at a time may have written after it.
fn buildroots_own_words<'a>(lines: &[&'a str], code: &str) -> Vec<&'a str> {
    let mut words: Vec<&str> = Vec::new();
    // `ERROR: x.tar.xz has wrong sha256 hash:`, then what was expected and what was found.
    if code == "hash-mismatch" {
        let hashes = lines.iter().filter_map(|line| line.strip_prefix("ERROR: "));
        words.extend(hashes.filter(|line| !line.starts_with("while ") && !line.starts_with("Incomplete")));
        words.dedup();
        words.truncate(SHOWN);
    }
    words
        .extend(lines.iter().rev().find_map(|line| line.split_once("*** ERROR: ")).map(|(_, reason)| reason));
    // Only a warning there: host packages in C++ fail after it.
    words.extend(lines.iter().find(|line| line.starts_with("You may have to install")));
    words
}

/// `make[1]: *** [package/pkg-generic.mk:283: /…/build/zlib-1.3.1/.stamp_built] Error 2`.
fn broken(line: usize, text: &str) -> Option<Broken> {
    // Behind what another package had written so far, where several are built at a time.
    let (_, said) = text.split_once("*** [").filter(|(before, _)| make_speaks(before))?;
    let (before, stamp) = said.split_once("/.stamp_")?;
    let package = before.rsplit('/').next()?.to_owned();
    let stamp: String = stamp.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    let step = match stamp.as_str() {
        "downloaded" | "actual_downloaded" => FETCHED,
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
fn cause(lines: &[&str], broken: Option<&Broken>) -> (&'static str, &'static str, Option<&'static str>) {
    let has = |what: &str| lines.iter().any(|line| line.contains(what));
    if has("No space left on device") {
        return (
            NO_SPACE,
            ": the disk is full",
            Some("make room in the cache's file system, or choose another with `--cache`"),
        );
    }
    // A download that did not fit is fetched anew from elsewhere: a later failure has another reason.
    let fetching = broken.is_none_or(|broken| broken.step == FETCHED);
    if fetching && (has("has wrong sha256 hash") || has("has wrong sha512 hash") || has("No hash found for"))
    {
        return (
            "hash-mismatch",
            ": a source is not what its hash says",
            Some(
                "remove that file from the download folder; if it comes back the same, its server is not to be trusted",
            ),
        );
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
            ("cc1: fatal error: No space left on device", "no-space"),
            ("ERROR: zlib-1.3.1.tar.xz has wrong sha256 hash:", "hash-mismatch"),
            ("ERROR: No hash found for zlib-1.3.1.tar.xz", "hash-mismatch"),
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

    /// make's own call finds the words in the log's end and says it in another form: the package is named all the same.
    #[test]
    fn a_full_disk_names_the_package_and_is_no_bug_of_the_build() {
        let text = "tar: x.c: Cannot write: No space left on device\nmake[1]: *** [package/pkg-generic.mk:190: /x/build/zlib-1.3.1/.stamp_extracted] Error 2\n";
        let whole = Failure::error(ExitStatus::Environment, "no-space", "`make` ended with exit status: 2");
        let failure = failure(Path::new("logs/buildroot.log"), text, whole);
        assert_eq!(
            (failure.status, failure.diagnostics[0].code.as_str()),
            (ExitStatus::Environment, "no-space")
        );
        let shown = failure.to_string();
        for part in ["the package `zlib-1.3.1` failed while it was unpacked: the disk is full", "--cache"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn a_wrong_hash_shows_both_and_is_not_taken_for_a_later_failures_reason() {
        let wrong = concat!(
            "ERROR: while checking hashes from package/zlib/zlib.hash\n",
            "ERROR: zlib-1.3.1.tar.xz has wrong sha256 hash:\n",
            "ERROR: expected: 38ef96b8\n",
            "ERROR: got     : 00000000\n",
            "ERROR: Incomplete download, or man-in-the-middle (MITM) attack\n",
        );
        let fetch =
            "make[1]: *** [package/pkg-generic.mk:179: /x/build/zlib-1.3.1/.stamp_downloaded] Error 1\n";
        let failure = told(&format!("{wrong}{fetch}"));
        assert_eq!(
            (failure.status, failure.diagnostics[0].code.as_str()),
            (ExitStatus::Build, "hash-mismatch")
        );
        let shown = failure.to_string();
        for part in ["zlib-1.3.1.tar.xz has wrong sha256 hash:", "expected: 38ef96b8", "got     : 00000000"] {
            assert!(shown.contains(&format!("Buildroot says: {part}")), "{shown}");
        }
        let later = "make[1]: *** [package/pkg-generic.mk:283: /x/build/audit-4.0/.stamp_built] Error 2\n";
        assert_eq!(told(&format!("{wrong}{later}")).diagnostics[0].code, "package-failed");
    }

    #[test]
    fn a_compiler_that_may_be_missing_is_told_with_the_package_that_failed() {
        let text = told("You may have to install 'g++' on your build machine\nx\nmake[1]: *** [package/pkg-generic.mk:283: /x/build/host-cmake-3/.stamp_built] Error 2\n").to_string();
        assert!(
            text.contains("Buildroot says: You may have to install 'g++' on your build machine"),
            "{text}"
        );
    }

    #[test]
    fn what_a_log_holds_does_not_reach_the_terminal_as_it_is() {
        let text = told(&format!("\u{1b}]0;x\u{7}odd\n{}\n", "y".repeat(1 << 20))).to_string();
        assert!(text.contains("]0;xodd") && !text.contains('\u{1b}') && text.len() < 1000, "{}", text.len());
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
