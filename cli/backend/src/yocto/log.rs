//! BitBake's messages: what is being done, and what went wrong.

use std::path::Path;

use diag::{Diagnostic, ExitStatus, Failure};

use super::failed::{Failed, named};
use crate::follow::end_of;

/// Lines of a task's log that a failure shows.
const SHOWN: usize = 15;
/// Messages of BitBake that a failure shows where no task failed.
const TOLD: usize = 5;

/// `NOTE: Running task 12 of 345 (/…/recipes-x/zlib/zlib_1.3.1.bb:do_compile)`, made short.
#[must_use]
pub fn doing(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix("Parsing recipes") {
        return Some(format!("parsing recipes{}", rest.trim_end_matches(['.', '\n'])));
    }
    let rest = line.strip_prefix("NOTE: Running ")?;
    let (count, task) = rest.split_once(" (")?;
    let count = count
        .strip_prefix("setscene task ")
        .or_else(|| count.strip_prefix("task "))
        .or_else(|| count.strip_prefix("noexec task "))?;
    let (recipe, task) = named(task.trim_end().trim_end_matches(')'))?;
    let clean: String =
        format!("{recipe} {task} ({count})").chars().filter(|c| !c.is_control()).take(70).collect();
    Some(clean)
}

/// The failure of a build as its log tells it; `whole` is what BitBake itself ended with.
#[must_use]
pub fn failure(log: &Path, text: &str, whole: Failure) -> Failure {
    // Stopped by a person or by the time limit: the log has nothing to say about it.
    if whole.status == ExitStatus::Interrupted || whole.diagnostics.iter().any(|d| d.code != "tool-failed") {
        return whole;
    }
    let lines: Vec<&str> = text.lines().collect();
    let logs = lines.iter().filter_map(|line| line.split_once("Logfile of failure stored in: "));
    let logs: Vec<&str> = logs.map(|(_, path)| path.trim()).collect();
    let failed: Vec<Failed<'_>> = lines.iter().filter_map(|line| Failed::read(line)).collect();
    if failed.is_empty() {
        let (status, told) =
            diagnosis(log, &deciding(&lines, false, |_| false), &lines, None, logs.first().copied());
        return Failure::new(status, told);
    }
    let mut whole = Failure { status: ExitStatus::Build, diagnostics: Vec::new() };
    for task in failed.iter().take(TOLD) {
        // Of several, what another said of itself is no reason of this one.
        let others = |line: &str| failed.iter().any(|other| other != task && other.said(line));
        let decide = deciding(&lines, true, others);
        let (status, told) = diagnosis(log, &decide, &lines, Some(task), task.log(&logs, failed.len() == 1));
        if status == ExitStatus::Environment {
            whole.status = status;
        }
        whole.diagnostics.push(told);
    }
    whole
}

/// What is said of one task that failed, or of a build in which none did; `decide` are BitBake's lines that say why.
fn diagnosis(
    log: &Path,
    decide: &[&str],
    lines: &[&str],
    failed: Option<&Failed<'_>>,
    task_log: Option<&str>,
) -> (ExitStatus, Diagnostic) {
    let task_text = task_log.map(|path| end_of(Path::new(path))).unwrap_or_default();
    // What BitBake says of its own steps is not what went wrong.
    let task_lines: Vec<&str> = task_text.lines().filter(|line| !line.starts_with("DEBUG: ")).collect();
    let (code, what, hint) = cause(&decide.iter().copied().chain(serious(&task_lines)).collect::<Vec<_>>());
    let go_on = "run the same command again to go on where it stopped";
    let hint = hint.map_or_else(|| go_on.to_owned(), |hint| format!("{hint}; then {go_on}"));
    let status = if code == "missing-tool" || code == "disk-full" || code == "root-refused" {
        ExitStatus::Environment
    } else {
        ExitStatus::Build
    };
    let message = match failed {
        Some(Failed { recipe, task, .. }) => {
            format!("the recipe `{recipe}` failed in its task `{task}`{what}")
        }
        None => format!("BitBake's build failed{what}"),
    };
    let mut first = Diagnostic::error(code, message);
    for line in lines_told(lines, &task_lines, failed.is_some()) {
        first = first.note(line, None);
    }
    if let Some(path) = task_log {
        let from = task_lines.len().saturating_sub(SHOWN);
        first =
            first.note(format!("last lines of its log `{path}`:\n{}", task_lines[from..].join("\n")), None);
    }
    (status, first.note(format!("the whole log is `{}`", log.display()), None).hint(hint))
}

/// The lines that say why: of a failed task BitBake's errors alone, since other tasks go on meanwhile; otherwise all but
/// warnings and notes. What follows a warning or an error without a word of its own belongs to it.
/// What is `others` does not count.
fn deciding<'a>(lines: &[&'a str], of_a_task: bool, others: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut counts = !of_a_task;
    let mut found = Vec::new();
    for line in lines {
        if line.starts_with("NOTE: ") || line.starts_with("DEBUG: ") {
            counts = !of_a_task;
            continue;
        }
        if line.starts_with("WARNING: ") {
            counts = false;
        } else if line.starts_with("ERROR: ") {
            counts = !others(line);
        }
        if counts {
            found.push(*line);
        }
    }
    serious(&found).collect()
}

/// Lines that are no warning or note of the task whose log BitBake shows behind `| `.
fn serious<'a>(lines: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let mild = |line: &str| {
        let line = line.strip_prefix("| ").unwrap_or(line);
        ["NOTE: ", "WARNING: ", "DEBUG: "].iter().any(|word| line.starts_with(word))
    };
    lines.iter().copied().filter(move |line| !mild(line))
}

/// What is shown besides a task's log: symbols that were lost, or BitBake's own errors.
fn lines_told(lines: &[&str], task: &[&str], of_a_task: bool) -> Vec<String> {
    let lost = task.iter().filter(|line| line.contains("was asked to be"));
    let lost: Vec<String> = lost.map(|line| (*line).to_owned()).collect();
    if of_a_task {
        return lost;
    }
    let skipped = |line: &str| line.contains(" was skipped: ");
    let errors = lines.iter().filter_map(|line| {
        line.strip_prefix("ERROR: ").or_else(|| Some(line.trim()).filter(|line| skipped(line)))
    });
    errors.take(TOLD).map(|line| format!("BitBake says: {line}")).collect()
}

/// Code, words and way out of a failure that has a name. Sources: BitBake `lib/bb/fetch2`,
/// `lib/bb/monitordisk.py`, `lib/bb/cooker.py`; OE-Core `sanity.bbclass`,
/// `features_check.bbclass`, `base.bbclass`.
fn cause(lines: &[&str]) -> (&'static str, &'static str, Option<&'static str>) {
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    const KNOWN: [(&[&str], &str, &str, &str); 15] = [
        (
            // That the monitor warned is no halt: a build with little space may fail of anything else.
            &["No space left on device", "since the disk space monitor action is"],
            "disk-full",
            ": there is no space left",
            "free some, or give another folder with `--cache`",
        ),
        (
            &["Do not use Bitbake as root"],
            "root-refused",
            ": BitBake refuses root",
            "run fastness as an ordinary user; it needs no rights of root",
        ),
        (
            &["appear to be unavailable in PATH"],
            "missing-tool",
            ": host tools are missing",
            "install what the lines above name",
        ),
        (
            &["is available on your system", "use a locale setting which supports UTF-8"],
            "missing-tool",
            ": the locale en_US.UTF-8 is missing",
            "install it (Debian: `locales`, then `locale-gen` with it in /etc/locale.gen)",
        ),
        (
            &["was asked to be"],
            "symbol-dropped",
            ": a symbol that was asked for was lost",
            "waive it with a reason in the product's `waivers`, or change what keeps it from holding",
        ),
        (
            &["Checksum mismatch", "checksum mismatch"],
            "hash-mismatch",
            ": a download is not what its recipe pins",
            "remove the file from DL_DIR and look at where it came from",
        ),
        (
            &["Network access disabled through BB_NO_NETWORK", "Bitbake Fetcher Error: NetworkAccess("],
            "fetch-failed",
            ": it would have to fetch, and may not",
            "build once without `--offline`, or name a mirror: `yocto: {downloads: …}`",
        ),
        (
            &["Fetcher failure", "Unable to fetch URL"],
            "fetch-failed",
            ": a download failed",
            "look at the network, or name a mirror: `yocto: {downloads: …}`",
        ),
        (
            // The last one is what `wrynose` says.
            &[
                "conflicting distro feature",
                "missing required distro feature",
                "which is missing required DISTRO_FEATURES",
            ],
            "distro-conflict",
            ": the distro's features do not fit",
            "the distro of a team's own must keep what the product's distro has: systemd and PAM",
        ),
        (
            &["Please set a valid MACHINE"],
            "unknown-machine",
            ": no layer defines the machine",
            "leave MACHINE to the generated BSP layer, or add the layer that has `conf/machine/NAME.conf`",
        ),
        (
            &["(not in COMPATIBLE_MACHINE)"],
            "other-machine",
            ": a recipe is not for this machine",
            "a machine of a team's own must require the generated BSP layer's `conf/machine/include/PRODUCT-BOARD.inc`",
        ),
        (
            &["Please set a valid DISTRO"],
            "unknown-distro",
            ": no layer defines the distro",
            "leave DISTRO to the generated distro layer, or add the layer that has `conf/distro/NAME.conf`",
        ),
        (
            &["TMPDIR has changed location", "TMPDIR has changed its layout"],
            "other-build-folder",
            ": the build folder is another build's",
            "give each build a folder of its own: leave TMPDIR alone, or remove what stands in it",
        ),
        // A recipe that the distro's features or the machine rule out has no provider either: that is told above.
        (
            &["Nothing PROVIDES", "Nothing RPROVIDES"],
            "missing-recipe",
            ": a package has no recipe",
            "which layer has it, and is it in `yocto/base.yaml`?",
        ),
        (
            &["ParseError", "ExpansionError", "Unable to parse"],
            "parse-failed",
            ": a file of a layer cannot be read",
            "mend the file that the lines above name",
        ),
    ];
    for (words, code, what, hint) in KNOWN {
        if words.iter().any(|word| has(word)) {
            return (code, what, Some(hint));
        }
    }
    ("recipe-failed", "", None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(text: &str) -> Failure {
        failure(
            Path::new("logs/bitbake.log"),
            text,
            Failure::error(ExitStatus::Build, "tool-failed", "`python3` ended with exit status: 1"),
        )
    }

    #[test]
    fn what_bitbake_does_is_read() {
        let line = "NOTE: Running task 12 of 345 (/srv/meta/recipes-core/zlib/zlib_1.3.1.bb:do_compile)";
        assert_eq!(doing(line).as_deref(), Some("zlib 1.3.1 do_compile (12 of 345)"));
        let line = "NOTE: Running setscene task 3 of 40 (/srv/zlib_1.3.1.bb:do_populate_sysroot_setscene)";
        assert_eq!(doing(line).as_deref(), Some("zlib 1.3.1 do_populate_sysroot_setscene (3 of 40)"));
        let line = "NOTE: Running task 1 of 2 (virtual:native:/srv/m4_1.4.bb:do_fetch)";
        assert_eq!(doing(line).as_deref(), Some("m4 1.4 do_fetch (1 of 2)"));
        assert_eq!(doing("gcc -c x.c"), None);
    }

    #[test]
    fn a_task_that_fails_is_named_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.do_compile.1");
        fs::write(&log, (0..30).map(|i| format!("line {i}\nDEBUG: step {i}\n")).collect::<String>()).unwrap();
        let failure = told(&format!(
            "ERROR: zlib-1.3.1-r0 do_compile: Execution of 'x' failed with exit code 2\nERROR: Logfile of failure stored in: {}\n\
             ERROR: Task (/srv/zlib_1.3.1.bb:do_compile) failed with exit code '1'\n",
            log.display()
        ));
        let text = failure.to_string();
        assert_eq!(failure.diagnostics[0].code, "recipe-failed");
        assert!(text.contains("the recipe `zlib 1.3.1` failed in its task `do_compile`"), "{text}");
        assert!(
            text.contains("line 29") && text.contains("line 15") && !text.contains("line 14\n"),
            "{text}"
        );
        assert!(text.contains("run the same command again"), "{text}");
    }

    #[test]
    fn causes_that_have_a_name_are_named() {
        for (line, code, status) in [
            ("ERROR: x: No space left on device", "disk-full", ExitStatus::Environment),
            ("ERROR: Do not use Bitbake as root.", "root-refused", ExitStatus::Environment),
            (
                "ERROR: The following required tools (as specified by HOSTTOOLS) appear to be unavailable in PATH, please install them:",
                "missing-tool",
                ExitStatus::Environment,
            ),
            (
                "Please make sure locale 'en_US.UTF-8' is available on your system",
                "missing-tool",
                ExitStatus::Environment,
            ),
            (
                "error: Linux: `USER_NS` was asked to be `n` by layer x, but is `y`",
                "symbol-dropped",
                ExitStatus::Build,
            ),
            ("ERROR: zlib: Checksum mismatch!", "hash-mismatch", ExitStatus::Build),
            (
                "ERROR: zlib: Network access disabled through BB_NO_NETWORK (or set indirectly)",
                "fetch-failed",
                ExitStatus::Build,
            ),
            // As BitBake 2.18 says it of a task.
            (
                "ERROR: zlib: Bitbake Fetcher Error: NetworkAccess('https://example.org/zlib.tar.gz', 'wget')",
                "fetch-failed",
                ExitStatus::Build,
            ),
            ("ERROR: zlib: Fetcher failure for URL", "fetch-failed", ExitStatus::Build),
            ("ERROR: Nothing PROVIDES 'frob'", "missing-recipe", ExitStatus::Build),
            (
                "ERROR: gw-image was skipped: conflicting distro feature 'sysvinit' (in DISTRO_FEATURES)",
                "distro-conflict",
                ExitStatus::Build,
            ),
            (
                "ERROR: Nothing PROVIDES 'gw-image'\ngw-image was skipped: missing required distro feature 'systemd' (not in DISTRO_FEATURES)",
                "distro-conflict",
                ExitStatus::Build,
            ),
            (
                "ERROR: Nothing PROVIDES 'gw-image'\ngw-image was skipped: using DISTRO 'team', which is missing required DISTRO_FEATURES: 'systemd'",
                "distro-conflict",
                ExitStatus::Build,
            ),
            (
                "ERROR: Nothing PROVIDES 'virtual/kernel'\nlinux-yocto was skipped: incompatible with machine other (not in COMPATIBLE_MACHINE)",
                "other-machine",
                ExitStatus::Build,
            ),
            (
                "DISTRO 'frob' not found. Please set a valid DISTRO in your local.conf",
                "unknown-distro",
                ExitStatus::Build,
            ),
            (
                "MACHINE=frob is invalid. Please set a valid MACHINE in your local.conf, environment or other configuration file.",
                "unknown-machine",
                ExitStatus::Build,
            ),
            (
                "Error, TMPDIR has changed location. You need to either move it back to /x or delete it and rebuild",
                "other-build-folder",
                ExitStatus::Build,
            ),
            ("ERROR: ParseError at /srv/x.bb:1: unparsed line", "parse-failed", ExitStatus::Build),
            ("ERROR: something odd", "recipe-failed", ExitStatus::Build),
        ] {
            let failure = told(&format!("{line}\n"));
            assert_eq!((failure.diagnostics[0].code.as_str(), failure.status), (code, status), "{line}");
            assert!(failure.to_string().contains("run the same command again"), "{failure}");
        }
        let text =
            told("ERROR: Nothing PROVIDES 'gw'\ngw was skipped: missing required distro feature 'x'\n")
                .to_string();
        assert!(text.contains("BitBake says: gw was skipped: missing required distro feature 'x'"), "{text}");
        let text = told("ERROR: Nothing PROVIDES 'frob'\n").to_string();
        assert!(text.contains("BitBake says: Nothing PROVIDES 'frob'"), "{text}");
    }

    #[test]
    fn what_only_warns_is_no_cause() {
        let task = "ERROR: Task (/srv/zlib_1.3.1.bb:do_compile) failed with exit code '1'\n";
        let parse = "ERROR: ParseError at /srv/x.bb:1: unparsed line\n";
        for (warning, code) in [
            // The monitor warns long before it halts.
            ("WARNING: The free space of /srv/tmp (/dev/sda1) is running low (0.987GB left)\n", "disk-full"),
            (
                "WARNING: curl-8.1-r0 do_fetch: Fetcher failure for URL, trying the next one\nChecksum mismatch!\n",
                "hash-mismatch",
            ),
            (
                "NOTE: frob was skipped: conflicting distro feature 'x11' (in DISTRO_FEATURES)\n",
                "distro-conflict",
            ),
            ("WARNING: Nothing PROVIDES 'frob'\n", "missing-recipe"),
        ] {
            for (failed, expected) in [(task, "recipe-failed"), (parse, "parse-failed")] {
                let found = told(&format!("{warning}{failed}"));
                assert_eq!(found.diagnostics[0].code, expected, "{warning}");
                let found = told(&format!("{failed}{warning}"));
                assert_eq!(found.diagnostics[0].code, expected, "{warning}");
                // As an error the same words are a cause.
                let error = warning.replacen("WARNING: ", "ERROR: ", 1).replacen("NOTE: ", "ERROR: ", 1);
                if code != "disk-full" {
                    let found = told(&format!("{error}{task}"));
                    assert_eq!(found.diagnostics[0].code, code, "{error}");
                }
            }
        }
    }

    #[test]
    fn another_tasks_lines_do_not_decide_why_one_failed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.do_compile.1");
        let said = |own: &str, other: &str| {
            fs::write(&log, own).unwrap();
            let failure = told(&format!(
                "{other}ERROR: zlib-1.3.1-r0 do_compile: ExecutionError\nERROR: Logfile of failure stored in: {}\n\
                 ERROR: Task (/srv/zlib_1.3.1.bb:do_compile) failed with exit code '1'\n",
                log.display()
            ));
            failure.diagnostics[0].code.clone()
        };
        let full = "cc: error: No space left on device\n";
        assert_eq!(said(full, ""), "disk-full");
        assert_eq!(said("cc: error: x.c\n", full), "recipe-failed");
        assert_eq!(said("WARNING: Checksum mismatch of a mirror\ncc: error: x.c\n", ""), "recipe-failed");
    }

    #[test]
    fn of_tasks_that_fail_at_once_each_has_its_own_log_and_cause() {
        let folder = tempfile::tempdir().unwrap();
        let log = |name: &str, task: &str, text: &str| {
            let path = folder.path().join(format!("{name}/1.0/temp/log.{task}.7"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let zlib = log("zlib", "do_compile", "cc: error: x.c\n");
        let curl = log("curl", "do_fetch", "ERROR: what curl says\n");
        // The logs come in the order of the ends, BitBake's last words of the tasks in another.
        let failure = told(&format!(
            "ERROR: zlib-1.0-r0 do_compile: oe_runmake failed\nERROR: Logfile of failure stored in: {zlib}\n\
             ERROR: curl-1.0-r0 do_fetch: Fetcher failure for URL\nERROR: Logfile of failure stored in: {curl}\n\
             ERROR: Task (/srv/curl_1.0.bb:do_fetch) failed with exit code '1'\n\
             ERROR: Task (/srv/zlib_1.0.bb:do_compile) failed with exit code '1'\n"
        ));
        let [first, second] = failure.diagnostics.as_slice() else { panic!("{failure}") };
        assert_eq!(failure.status, ExitStatus::Build);
        assert_eq!(
            (first.code.as_str(), second.code.as_str()),
            ("fetch-failed", "recipe-failed"),
            "{failure}"
        );
        let text = |one: &Diagnostic| Failure::new(ExitStatus::Build, one.clone()).to_string();
        let (first, second) = (text(first), text(second));
        assert!(first.contains("`curl 1.0` failed in its task `do_fetch`: a download failed"), "{first}");
        assert!(first.contains("what curl says") && !first.contains("x.c"), "{first}");
        assert!(second.contains("`zlib 1.0` failed in its task `do_compile`\n"), "{second}");
        assert!(second.contains("cc: error: x.c") && !second.contains("curl"), "{second}");
        assert!(second.contains("run the same command again"), "{second}");
    }

    #[test]
    fn the_disk_monitor_counts_when_it_halts() {
        for words in [
            "ERROR: Immediately halt since the disk space monitor action is \"HALT\"!",
            "ERROR: No new tasks can be executed since the disk space monitor action is \"STOPTASKS\"!",
        ] {
            let failure = told(&format!("{words}\n"));
            assert_eq!(
                (failure.diagnostics[0].code.as_str(), failure.status),
                ("disk-full", ExitStatus::Environment)
            );
        }
    }

    #[test]
    fn an_interrupt_stays_one() {
        let whole = Failure::error(ExitStatus::Interrupted, "interrupted", "stopped by a signal");
        assert_eq!(
            failure(Path::new("x"), "No space left on device\n", whole).diagnostics[0].code,
            "interrupted"
        );
    }
}
