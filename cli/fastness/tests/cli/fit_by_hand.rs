//! What somebody found who used `fastness fit` by hand: signals, places that are in use, words that went lost.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fit_more::empty_tree;
use crate::support::{Place, Run};

/// A kernel, and a key `dev` in the store.
fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), [0x5a; 700]).unwrap();
    assert_eq!(place.run(&["keys", "new", "dev", "--bits", "2048"]).code, 0);
    let run = build(&place, &["-o", "u.itb"]);
    assert_eq!(run.code, 0, "{run:?}");
    place
}

fn build(place: &Place, more: &[&str]) -> Run {
    place.run(&[&["fit", "build", "--kernel", "Image", "--load", "0x40000000"][..], more].concat())
}

const STORE: &str = ".local/share/fastness/keys";

#[test]
fn a_signal_ends_what_waits_for_a_pipe() {
    let place = place();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut command = place.command(&["fit", "show", "pipe"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Once it holds the pipe's other end nothing is between it and the read.
        let writer = std::fs::OpenOptions::new().write(true).open(place.path("pipe")).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it still waits");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(writer);
    }
}

#[test]
fn what_ctrl_c_ends_in_a_signer_is_no_failure_of_the_signer() {
    let place = place();
    let script = place.path("sign.sh");
    // It tells that it was started, and says nothing of its end.
    std::fs::write(&script, "#!/bin/sh\n: >\"${0%/*}/started\"\nexec sleep 300\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let uri = format!("exec:{}", script.display());
    let public = format!("{STORE}/dev.pub.pem");
    assert!(place.path(&public).exists());
    let words = ["keys", "add", "elsewhere", "--uri", &uri, "--public", &public];
    assert_eq!(place.run(&words).code, 0);
    let words = ["fit", "sign", "u.itb", "--key", "elsewhere", "-o", "s.itb"];
    let child = place.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("started").exists() {
        assert!(Instant::now() < deadline, "the signer was not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(run.code == 130 && run.err.contains("error[interrupted]: stopped by a signal"), "{run:?}");
}

#[test]
fn no_output_takes_a_place_of_the_key_store_or_of_what_it_is_made_with() {
    let place = place();
    let held = |name: &str| std::fs::read(place.path(name)).unwrap();
    for name in ["dev.passphrase", "dev.json", "dev.pub.pem", "new.itb"] {
        let name = format!("{STORE}/{name}");
        let before = place.path(&name).exists().then(|| held(&name));
        std::fs::write(place.path("b.dtb"), empty_tree()).unwrap();
        for words in [
            &["fit", "build", "--kernel", "Image", "--load", "0", "-o", &name][..],
            &["fit", "sign", "u.itb", "--key", "dev", "-o", &name],
            &["fit", "trust", "b.dtb", "--key", "dev", "-o", &name],
        ] {
            let run = place.run(words);
            let expected =
                format!("error[would-replace]: `{name}` is a place of the key store: expected another one");
            assert!(run.code == 2 && run.err.starts_with(&expected), "{run:?}");
        }
        assert_eq!(place.path(&name).exists().then(|| held(&name)), before, "{name}");
    }
    let run = place.run(&["fit", "sign-request", "u.itb", "--key", "dev", "-o", STORE]);
    let expected =
        format!("error[would-replace]: `{STORE}` is a place of the key store: expected another one");
    assert!(run.code == 2 && run.err.starts_with(&expected), "{run:?}");
    let own = format!("{STORE}/dev.requests");
    let run = place.run(&["fit", "sign-request", "u.itb", "--key", "dev", "-o", &own, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&run.out).expect("one document");
    let wanted = told["wanted"].as_array().unwrap();
    assert!(run.code == 0 && wanted.len() == 1, "{run:?}");
    assert!(place.path(wanted[0].as_str().unwrap()).is_file(), "a path and no sentence: {run:?}");
    let passphrase = held(&format!("{STORE}/dev.passphrase"));
    std::fs::write(place.path("pp"), &passphrase).unwrap();
    std::fs::set_permissions(place.path("pp"), std::fs::Permissions::from_mode(0o600)).unwrap();
    for run in [
        place.run(&["fit", "sign", "u.itb", "--key", "dev", "--passphrase-file", "pp", "-o", "pp"]),
        build(&place, &["--key", "dev", "--passphrase-file", "pp", "-o", "pp"]),
    ] {
        assert!(
            run.code == 2 && run.err.contains("error[would-replace]: the output `pp` is `pp`"),
            "{run:?}"
        );
    }
    assert_eq!(held("pp"), passphrase);
}

#[test]
fn an_answer_is_not_written_over_and_another_key_s_request_has_a_folder_of_its_own() {
    let place = place();
    let public = format!("{STORE}/dev.pub.pem");
    for name in ["off", "again"] {
        let run = place.run(&["keys", "add", name, "--uri", "offline:", "--public", &public]);
        assert_eq!(run.code, 0, "{run:?}");
    }
    let ask = |key: &str, more: &[&str]| {
        place.run(&[&["fit", "sign-request", "u.itb", "--key", key, "-o", "rq"][..], more].concat())
    };
    assert_eq!(ask("off", &[]).code, 0);
    assert_eq!(ask("off", &[]).code, 0, "the same request may be asked for again");
    for run in [ask("again", &[]), ask("off", &["--padding", "pkcs-1.5"])] {
        assert!(run.code == 4, "{run:?}");
        let expected = "asks for another signature of these bytes, sha256,rsa2048 pss by the key `off`: expected a folder of its own";
        assert!(run.err.contains(expected), "{run:?}");
    }
    let request = std::fs::read_dir(place.path("rq")).unwrap().flatten().map(|entry| entry.path());
    let request = request.into_iter().find(|path| path.extension() == Some("json".as_ref())).unwrap();
    let request = request.to_str().unwrap();
    let run = place.run(&["fit", "answer", request, "--key", "dev"]);
    assert_eq!(run.code, 0, "{run:?}");
    let answer = request.replace(".json", ".sig");
    let signature = std::fs::read(&answer).unwrap();
    for output in [answer.as_str(), request] {
        let run = place.run(&["fit", "attach", "u.itb", "rq", "--key", "off", "-o", output]);
        assert!(run.code == 2 && run.err.contains("error[would-replace]: the output `"), "{run:?}");
    }
    assert_eq!(std::fs::read(&answer).unwrap(), signature);
    assert_eq!(place.run(&["fit", "attach", "u.itb", "rq", "--key", "off", "-o", "s.itb"]).code, 0);
}

#[test]
fn a_warning_is_there_for_machines_and_for_those_who_want_no_steps() {
    let place = place();
    std::fs::write(place.path("Image"), [&[0x1f, 0x8b, 8, 0][..], &[0; 700]].concat()).unwrap();
    let said = "`compression` of the image `kernel` is `none`, and its data begin as gzip";
    let run = build(&place, &["-q", "-o", "z.itb"]);
    assert!(run.code == 0 && run.err.starts_with(&format!("warning: {said}")), "{run:?}");
    let run = build(&place, &["--json", "-o", "z.itb"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.json()["warnings"][0].as_str().unwrap().starts_with(said), "{run:?}");
    // Without one there is no such list.
    std::fs::write(place.path("Image"), [0x5a; 700]).unwrap();
    assert_eq!(build(&place, &["--json", "-o", "z.itb"]).json().get("warnings"), None);
    std::fs::write(place.path("b.dtb"), empty_tree()).unwrap();
    let words = ["fit", "trust", "b.dtb", "--key", "dev", "--required", "nothing", "--json", "-o", "k.dtb"];
    let run = place.run(&words);
    let said = "a U-Boot that trusts only this key starts configurations that `dev` did not sign";
    assert_eq!(run.json()["warnings"][0], said, "{run:?}");
}

#[test]
fn a_mode_that_was_there_is_told_and_one_that_is_none_is_refused() {
    let place = place();
    assert_eq!(place.run(&["keys", "new", "next", "--bits", "2048"]).code, 0);
    std::fs::write(place.path("b.dtb"), empty_tree()).unwrap();
    let trust = |from: &str, key: &str, to: &str, more: &[&str]| {
        place.run(&[&["fit", "trust", from, "--key", key, "-o", to][..], more].concat())
    };
    assert_eq!(trust("b.dtb", "dev", "one.dtb", &["--any"]).code, 0);
    let run = trust("one.dtb", "next", "two.dtb", &[]);
    let said = "warning: U-Boot starts what one of `dev`, `next` has signed: its `required-mode` is `any`\n";
    assert!(run.code == 0 && run.err == said, "{run:?}");
    let run = trust("one.dtb", "next", "two.dtb", &["--any"]);
    assert!(run.code == 0 && run.err.is_empty(), "{run:?}");
    let blob = std::fs::read(place.path("one.dtb")).unwrap();
    let mut tree = fit::fdt::Tree::parse(&blob).unwrap();
    tree.root.at_mut("/signature").unwrap().set_text("required-mode", "foo");
    std::fs::write(place.path("odd.dtb"), tree.write().unwrap()).unwrap();
    let run = trust("odd.dtb", "next", "three.dtb", &[]);
    assert!(run.code == 3 && run.err.contains("`required-mode` of the control FDT is `foo`"), "{run:?}");
    assert!(!place.path("three.dtb").exists());
}

#[test]
fn options_of_a_description_are_refused_without_one_and_a_pipe_is_none() {
    let place = place();
    for (option, more) in [("--unprotected", &["--unprotected"][..]), ("--include", &["--include", "nosuch"])]
    {
        let run = build(&place, &[more, &["-o", "y.itb"]].concat());
        let expected =
            format!("error[no-description]: `{option}` is of a description: expected `--its` with it");
        assert!(run.code == 2 && run.err.starts_with(&expected), "{run:?}");
    }
    assert!(std::process::Command::new("mkfifo").arg(place.path("its")).status().unwrap().success());
    let run = place.run(&["fit", "build", "--its", "its", "-o", "y.itb"]);
    let expected = "error[no-its]: expected a file with an image tree source, `its` is none\n";
    assert!(run.code == 3 && run.err.starts_with(expected), "{run:?}");
    let run = build(&place, &["-o", "nodir/y.itb"]);
    let expected =
        "error[file]: cannot write `nodir/y.itb`: there is no folder `nodir`\n  hint: make it first\n";
    assert!(run.code == 4 && run.err == expected, "{run:?}");
}

#[test]
fn a_time_that_is_none_says_where_it_comes_from() {
    let place = place();
    for time in ["abc", "", "4294967296"] {
        let words = ["fit", "build", "--kernel", "Image", "--load", "0", "-o", "y.itb"];
        let run = Run::of(place.command(&words).env("SOURCE_DATE_EPOCH", time).output().unwrap());
        let expected = "expected seconds since 1970, at most 4294967295; without the option they are those of `SOURCE_DATE_EPOCH`";
        assert!(run.code == 2 && run.err.contains(expected), "{run:?}");
    }
}

#[test]
fn a_key_that_cannot_be_for_the_algorithm_is_told_and_not_the_fit() {
    let place = place();
    assert_eq!(place.run(&["fit", "sign", "u.itb", "--key", "dev", "-o", "s.itb"]).code, 0);
    for algorithm in ["sha256,rsa4096", "sha256,ecdsa256"] {
        let run = place.run(&["fit", "verify", "s.itb", "--key", "dev", "--algorithm", algorithm]);
        let kind = algorithm.split(',').next_back().unwrap();
        let expected = format!("`{algorithm}` needs a key of the kind {kind}, but `dev` is rsa2048");
        assert!(run.code == 8 && run.out.is_empty() && run.err.contains(&expected), "{run:?}");
    }
}

#[test]
fn a_public_key_that_others_could_have_written_is_trusted_by_nobody() {
    let place = place();
    std::fs::write(place.path("b.dtb"), empty_tree()).unwrap();
    assert_eq!(place.run(&["fit", "sign", "u.itb", "--key", "dev", "-o", "s.itb"]).code, 0);
    let change = |name: &str, mode| {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, open, closed) in [
        (STORE.to_owned(), 0o777, 0o700),
        (format!("{STORE}/dev.json"), 0o666, 0o644),
        (format!("{STORE}/dev.pub.pem"), 0o664, 0o644),
    ] {
        change(&name, open);
        for words in [
            &["fit", "trust", "b.dtb", "--key", "dev", "-o", "k.dtb"][..],
            &["fit", "verify", "s.itb", "--key", "dev"],
        ] {
            let run = place.run(words);
            assert!(run.code == 8 && run.err.contains("error[key-permissions]: expected `"), "{run:?}");
            assert!(
                run.err.contains(&format!("to be written by its owner only, found 0{open:o}")),
                "{run:?}"
            );
        }
        change(&name, closed);
    }
    assert_eq!(place.run(&["fit", "verify", "s.itb", "--key", "dev"]).code, 0);
    assert!(!place.path("k.dtb").exists());
}

#[test]
fn what_is_none_of_the_key_store_s_files_is_named() {
    let place = place();
    for name in ["a b.json", "sub.json"] {
        let path = place.path(&format!("{STORE}/{name}"));
        match name {
            "sub.json" => std::fs::create_dir(&path).unwrap(),
            _ => std::fs::write(&path, "{}").unwrap(),
        }
        let run = place.run(&["keys", "list"]);
        let expected = format!("{name}` is no record of a key: expected only what `fastness keys` writes");
        assert!(run.code == 8 && run.err.contains(&expected), "{run:?}");
        let _ = std::fs::remove_file(&path);
    }
}

#[test]
fn a_name_that_is_no_utf_8_is_told_as_json_too() {
    let place = place();
    let mut command = place.command(&["--json", "fit", "sign", "u.itb", "--key", "dev", "-o"]);
    let name = std::ffi::OsStr::from_bytes(b"bad\xff.itb");
    let run = Run::of(command.arg(name).output().unwrap());
    assert!(run.code == 0 && run.json()["file"] == "bad\u{fffd}.itb", "{run:?}");
    assert!(place.path("").join(name).exists());
}

#[test]
fn of_several_lists_none_is_written_when_one_is_wrong() {
    let place = place();
    let list = |hash: &str, configurations: &str| {
        format!(
            r#"{{"description": "d", "hash": "{hash}", "images": [{{"name": "k", "kind": "kernel", "arch": "arm64", "os": "linux", "load": "0x40000000", "entry": "0x40000000", "file": "Image"}}],
            "configurations": [{configurations}], "default": "c"}}"#
        )
    };
    let c = r#"{"name": "c", "description": "c", "compatible": null, "loads": [["kernel", ["k"]]]}"#;
    std::fs::create_dir(place.path("fits")).unwrap();
    std::fs::write(place.path("a.json"), list("sha256", c)).unwrap();
    std::fs::write(place.path("b.json"), list("sha1", c)).unwrap();
    std::fs::write(place.path("fits/a.itb"), "before").unwrap();
    let run = place.run(&["fit", "build", "--list", "a.json", "--list", "b.json", "-o", "fits"]);
    assert!(run.code == 3 && run.err.contains("`b.json`: "), "{run:?}");
    assert_eq!(std::fs::read(place.path("fits/a.itb")).unwrap(), b"before");
    std::fs::write(place.path("b.json"), list("sha256", "")).unwrap();
    let run = place.run(&["fit", "build", "--list", "b.json", "-o", "b.itb"]);
    assert!(
        run.code == 3 && run.err.contains("`b.json`: there is no configuration: U-Boot starts nothing"),
        "{run:?}"
    );
    std::fs::write(
        place.path("b.json"),
        list("sha256", c).replace("\"load\": \"0x40000000\"", "\"load\": \"high\""),
    )
    .unwrap();
    let run = place.run(&["fit", "build", "--list", "b.json", "-o", "b.itb"]);
    let expected = "the image `k`: `load`: expected an address such as `0x40400000`, found `high`";
    assert!(run.code == 3 && run.err.contains(expected), "{run:?}");
}
