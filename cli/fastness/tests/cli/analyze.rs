//! `analyze`: results, exit codes, files, comparison.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::Place;

fn write(root: &Path, path: &str, mode: u32, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A device of somebody who was in a hurry (`old`), and one with less of it (`new`).
fn place() -> Place {
    let place = Place::new();
    for name in ["old", "new"] {
        let root = place.path(name);
        write(&root, "etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
        write(&root, "etc/shadow", 0o600, if name == "old" { "root::1::::::\n" } else { "root:*:1::::::\n" });
        write(&root, "etc/inittab", 0o644, "::respawn:/usr/sbin/telnetd -F\n");
        write(&root, "etc/app.conf", 0o600, "server=https://deploy:Wq83hsk2@artifacts.corp.net/repo\n");
        write(&root, "usr/bin/x", 0o755, "#!/bin/sh\n");
        write(
            &root,
            "etc/os-release",
            0o644,
            if name == "old" { "ID=x\nVERSION_ID=1.0\n" } else { "ID=x\nVERSION_ID=1.1\n" },
        );
    }
    write(&place.path("new"), "usr/bin/y", 0o4755, "#!/bin/sh\n");
    place
}

#[test]
fn the_worst_comes_first_with_what_to_do() {
    let place = place();
    let run = place.run(&["analyze", "old"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with("old: broken\n"), "{}", run.out);
    let at = |text: &str| run.out.find(text).unwrap_or_else(|| panic!("no `{text}` in {}", run.out));
    assert!(at("critical[account-empty-password]") < at("high[service-clear-text]"));
    assert!(run.out.contains("hint: lock it"));
    assert!(
        run.out.contains("/etc/app.conf: line 1: `deploy`: `Wq…`, 8 characters")
            && !run.out.contains("Wq83hsk2")
    );
}

#[test]
fn a_bound_decides_the_exit_code() {
    let place = place();
    for (image, bound, code) in
        [("old", "critical", 6), ("new", "critical", 0), ("new", "high", 6), ("new", "note", 6)]
    {
        let run = place.run(&["analyze", image, "--fail-on", bound]);
        assert_eq!(run.code, code, "{image} {bound}: {run:?}");
    }
    assert_eq!(place.run(&["analyze", "old", "--fail-on", "terrible"]).code, 2);
    let run = place.run(&["analyze", "missing", "--json"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    fs::create_dir(place.path("empty")).unwrap();
    let run = place.run(&["analyze", "empty"]);
    assert_eq!(run.code, 3);
    assert!(run.err.contains("found neither `etc`, `usr` nor `bin` in"), "{}", run.err);
}

#[test]
fn what_is_not_understood_is_no_error_and_never_clean() {
    let place = Place::new();
    fs::write(place.path("flash.bin"), b"UBI#\x01\0\0\0".repeat(1000)).unwrap();
    let run = place.run(&["analyze", "flash.bin", "--fail-on", "medium"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(
        run.out.contains("medium[not-understood]")
            && run.out.contains("a UBI image; it begins with 55 42 49 23")
    );
    assert!(!run.out.contains("flash.bin: good"));
    // Nothing could be judged: no bound is held.
    for bound in ["high", "critical"] {
        let run = place.run(&["analyze", "flash.bin", "--fail-on", bound]);
        assert_eq!(run.code, 6, "{bound}: {run:?}");
    }
    assert_eq!(place.run(&["analyze", "flash.bin"]).code, 0);
}

#[test]
fn html_sarif_and_json_are_written_and_say_the_same() {
    let place = place();
    let run = place.run(&["analyze", "old", "--html", "a.html", "--sarif", "a.sarif", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let json = run.json();
    assert_eq!(json["word"], "broken");
    let html = fs::read_to_string(place.path("a.html")).unwrap();
    assert!(html.contains("<strong>broken</strong>") && !html.contains("<script"));
    let sarif: serde_json::Value = serde_json::from_slice(&fs::read(place.path("a.sarif")).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results[0]["ruleId"], json["issues"][0]["rule"]);
    // The same input gives the same bytes.
    assert_eq!(place.run(&["analyze", "old", "--json"]).out, run.out);
}

#[test]
fn two_versions_are_compared_also_with_a_kept_result() {
    let place = place();
    let run = place.run(&["analyze", "--diff", "old", "new"]);
    assert_eq!(run.code, 0, "{run:?}");
    for text in [
        "weaker: ",
        "low[setuid] /usr/bin/y",
        "better: ",
        "critical[account-empty-password]",
        "x (os-release): 1.0 -> 1.1",
    ] {
        assert!(run.out.contains(text), "no `{text}` in {}", run.out);
    }
    fs::write(place.path("old.json"), place.run(&["analyze", "old", "--json"]).out).unwrap();
    assert_eq!(place.run(&["analyze", "--diff", "old.json", "new"]).out, run.out);
    assert_eq!(place.run(&["analyze", "--diff", "old", "new", "--fail-on", "medium"]).code, 6);
    assert_eq!(place.run(&["analyze", "--diff", "old", "new", "--fail-on", "high"]).code, 0);
    assert!(place.run(&["analyze", "--diff", "old", "old"]).out.ends_with("no difference\n"));
    assert_eq!(place.run(&["analyze", "--diff", "old"]).code, 2);
    assert_eq!(place.run(&["analyze", "old", "new"]).code, 2);
    fs::write(place.path("broken.json"), "{}").unwrap();
    assert_eq!(place.run(&["analyze", "--diff", "broken.json", "new"]).code, 3);
}

#[test]
fn more_passwords_and_keys_come_from_files() {
    let place = place();
    // `openssl passwd -5 -salt abcdefgh fl00dgate`
    write(
        &place.path("new"),
        "etc/shadow",
        0o600,
        "root:$5$abcdefgh$qLTC5SPJpW7h6VX3i1N5MwaKSdMxQR0prXJuSQGGeu/:1::::::\n",
    );
    let plain = place.run(&["analyze", "new", "--json"]).json();
    assert_eq!(plain["accounts"][0]["tried"], "not in the list");
    fs::write(place.path("words"), "one\nfl00dgate\n").unwrap();
    let found = place.run(&["analyze", "new", "--passwords", "words", "--json"]).json();
    assert_eq!(found["accounts"][0]["tried"], "found");
    fs::write(place.path("keys.yaml"), "keys: 1\n").unwrap();
    let run = place.run(&["analyze", "new", "--known-keys", "keys.yaml"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("keys.yaml:1") && run.err.contains("expected a list"), "{}", run.err);
}
