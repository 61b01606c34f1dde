//! `ci/setup` installs what the program starts.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::top;

#[test]
fn every_tool_of_the_program_is_in_the_list_of_host_packages() {
    let output = Command::new("bash").arg(top().join("ci/setup")).arg("--list").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let listed: BTreeSet<&str> = text.split_whitespace().collect();
    for tool in exec::TOOLS {
        assert!(
            listed.contains(tool.package),
            "ci/setup lacks `{}`, which brings `{}`",
            tool.package,
            tool.program
        );
    }
}

#[test]
fn the_scripts_tools_are_those_of_the_program_and_no_others() {
    let script = std::fs::read_to_string(top().join("ci/setup")).unwrap();
    let list = script.split("\ntools=(").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    let listed: BTreeSet<&str> = list.split_whitespace().collect();
    let started: BTreeSet<&str> = exec::TOOLS.iter().map(|tool| tool.package).collect();
    assert_eq!(listed, started);
}

#[test]
fn an_unknown_argument_is_refused() {
    for script in ["ci/setup", "ci/demo"] {
        let output = Command::new("bash").arg(top().join(script)).arg("--yse").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{script}: {output:?}");
    }
}

#[test]
fn a_comparison_of_which_a_part_was_left_out_is_not_all_that_was_required() {
    for (script, code, told) in [
        ("echo done", 0, ""),
        ("echo SKIPPED: no tree", 1, "SKIPPED: no tree\n"),
        ("echo SKIPPED: no tree >&2", 1, "SKIPPED: no tree\n"),
        ("echo 'nothing is SKIPPED here'", 0, ""),
        // Its own failure is told as it is.
        ("echo SKIPPED: no tree; exit 4", 4, ""),
    ] {
        let output =
            Command::new("bash").arg(top().join("ci/required")).args(["sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.ends_with(told) && err.is_empty() == told.is_empty(), "{script}: {err}");
    }
    let output = Command::new("bash").arg(top().join("ci/required")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
