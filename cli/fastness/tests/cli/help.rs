//! Help, version, usage errors.

use crate::support::Place;

#[test]
fn without_a_verb_help_goes_to_standard_error_and_is_wrong_usage() {
    let run = Place::new().run(&[]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("Usage: fastness [OPTIONS] <COMMAND>"), "{run:?}");
}

#[test]
fn help_is_a_result_and_shows_every_exit_code() {
    let run = Place::new().run(&["--help"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for status in diag::ExitStatus::ALL {
        let line = format!("{:>3}  {}", status.code(), status.meaning());
        assert!(run.out.contains(&line), "`{line}` is missing in {}", run.out);
    }
    assert!(run.out.contains("Examples:\n  fastness new cell-gateway"), "{}", run.out);
}

#[test]
fn the_version_is_one_line() {
    let run = Place::new().run(&["--version"]);
    assert_eq!((run.code, run.out.as_str()), (0, "fastness 0.1.0\n"));
}

#[test]
fn an_unknown_verb_is_wrong_usage() {
    let run = Place::new().run(&["buidl"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    let expected = "\
error: unrecognized subcommand 'buidl'

  tip: some similar subcommands exist: 'bundle', 'build'

Usage: fastness [OPTIONS] <COMMAND>

For more information, try '--help'.
";
    assert_eq!(run.err, expected);
}

#[test]
fn wrong_usage_is_json_when_json_was_asked_for() {
    let run = Place::new().run(&["buidl", "--json"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert_eq!(run.failure(), ("usage".into(), "usage".into()));
}

#[test]
fn a_passphrase_cannot_be_an_argument() {
    let run = Place::new().run(&["build", "--passphrase", "hush"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("unexpected argument '--passphrase'"), "{run:?}");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = place.run(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains("explain"), "{shell}");
    }
    let page = place.run(&["man"]);
    assert!(page.out.contains(".TH fastness 1") && page.out.contains("Exit codes"), "{page:?}");
    let all = place.run(&["man", "--dir", "man1"]);
    assert_eq!(all.code, 0);
    assert!(
        place.path("man1/fastness-build.1").is_file() && place.path("man1/fastness-fit-sign.1").is_file()
    );
}
