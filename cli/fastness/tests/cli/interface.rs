//! What holds for every verb: pipes, colour, quiet.

use std::io::Read as _;
use std::process::Stdio;

use crate::support::Place;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_product();
    let mut child =
        place.command(&["plan", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A plan is larger than a pipe: the program still writes when its reader is gone.
    let mut first = [0; 1];
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut first).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colour_is_for_terminals_or_by_request() {
    let place = Place::new();
    let escape = '\u{1b}';
    assert!(!place.run(&["check"]).err.contains(escape));
    assert!(place.run(&["check", "--color", "always"]).err.contains(escape));
    assert!(!place.run(&["check", "--color", "always", "--json"]).err.contains(escape));
}

#[test]
fn steps_are_one_line_each_and_not_told_when_quiet() {
    let place = Place::with_product();
    let run = place.run(&["generate"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.starts_with("  done generate "), "{run:?}");
    assert_eq!(run.err.lines().count(), 1);
    assert_eq!(run.out, "wrote `out/qemu-aarch64/generated`\n");
    assert!(std::fs::read_dir(place.path("out/qemu-aarch64/generated")).unwrap().count() > 0);
    // An image that is there keeps its own plan.
    assert!(!place.path("out/qemu-aarch64/plan.json").exists());
    assert_eq!(place.run(&["generate", "--quiet"]).err, "");
}

#[test]
fn two_runs_in_one_folder_are_told_apart() {
    let place = Place::with_product();
    let folder = place.path("out/qemu-aarch64");
    std::fs::create_dir_all(&folder).unwrap();
    let held = std::fs::File::create(folder.join(".lock")).unwrap();
    held.lock().unwrap();
    let run = place.run(&["generate", "--json"]);
    assert_eq!((run.code, run.failure()), (9, ("busy".into(), "folder-busy".into())));
    assert!(!place.path("out/qemu-aarch64/generated").exists());
}
