//! Evidence that somebody else made, changed or mixed up: nothing is taken for this image's that is not, nothing is followed out
//! of the folder, and everything that does not fit is named.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::evidence::{attested, replace};
use crate::support::Run;
use crate::world::{Trap, World};

const VERIFY: [&str; 3] = ["verify-evidence", "--key", "evidence"];
const ATTEST: [&str; 3] = ["attest", "--key", "evidence"];

/// Changes a record, whose bytes other copies of the world may share.
fn change(world: &World, name: &str, change: impl FnOnce(&mut Value)) {
    replace(world, name, |text| {
        let mut value = serde_json::from_str(&text).expect("a record");
        change(&mut value);
        format!("{value:#}\n")
    });
}

/// Puts something else in the place of a file.
fn instead(world: &World, name: &str, make: impl FnOnce(&Path)) {
    let path = world.out(name);
    let _ = fs::remove_file(&path);
    make(&path);
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("`mkfifo` is there").success());
}

/// Runs the program, which has to end by itself: a pipe would be waited for without an end.
fn ends(world: &World, arguments: &[&str]) -> Run {
    let mut child = world
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let limit = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > limit {
            let _ = child.kill();
            panic!("it waits: {:?}", Run::of(child.wait_with_output().expect("its output")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Run::of(child.wait_with_output().expect("its output"))
}

#[test]
fn findings_of_another_image_are_told_by_no_verb_and_are_not_signed() {
    let Some(world) = attested() else { return };
    let out = world.out("");
    let out = out.to_str().unwrap();
    let good = fs::read_to_string(world.out("findings.json")).unwrap();
    let is_of_a_file = |finding: &Value| finding["artefact_sha256"] != "";
    let other = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut value: Vec<Value> = serde_json::from_str(&good).unwrap();
        change(&mut value);
        Value::from(value).to_string()
    };
    let of_another_disk = other(&|list| {
        let one = list.iter_mut().find(|one| is_of_a_file(one)).unwrap();
        one["artefact_sha256"] = "00".repeat(32).into();
    });
    let cut = other(&|list| drop(list.remove(0)));
    let unknown = other(&|list| list[0]["check"] = "x.y".into());
    let twice = other(&|list| list.push(list[0].clone()));
    let first: Vec<Value> = serde_json::from_str(&good).unwrap();
    let first = first[0]["check"].as_str().unwrap().to_owned();
    for (text, why) in [
        (
            of_another_disk,
            format!("was seen in a file with SHA-256 `{}`, which is none of this image", "00".repeat(32)),
        ),
        (cut, format!("it has no finding of `{first}`, which the plan asks for")),
        (unknown, "it has a finding of `x.y`, which the plan does not ask for".to_owned()),
        (twice, format!("it has a finding of `{first}`, which is there twice")),
    ] {
        replace(&world, "findings.json", |_| text);
        for verb in ["comply", "report", "threats"] {
            let run = world.run(&[verb, out]);
            assert_eq!((run.code, run.out.as_str()), (6, ""), "{verb}: {run:?}");
            assert!(
                run.err.contains("error[other-image]: `findings.json` is not of this image: "),
                "{run:?}"
            );
            assert!(run.err.contains(&why), "{verb}: {run:?}");
        }
        let run = world.run(&ATTEST);
        assert_eq!((run.code, run.out.as_str()), (6, ""), "{run:?}");
        assert!(run.err.contains("error[other-image]: `findings.json` is not of this image: "), "{run:?}");
        assert!(run.err.contains(&why), "{run:?}");
        // A build of the same image looks again.
        let run = world.build();
        assert_eq!(run.code, 6, "{run:?}");
        assert_eq!(fs::read_to_string(world.out("findings.json")).unwrap(), good);
    }
}

#[test]
fn what_the_reports_say_is_signed_only_when_the_records_say_it() {
    let Some(world) = attested() else { return };
    let good = fs::read(world.out("findings.json")).unwrap();
    change(&world, "findings.json", |findings| {
        let list = findings.as_array_mut().unwrap();
        list.iter_mut().find(|one| one["verdict"] == "fail").unwrap()["verdict"] = "pass".into();
    });
    let run = world.run(&ATTEST);
    assert_eq!((run.code, run.out.as_str()), (6, ""), "{run:?}");
    let said = "`report.json` is not of this image: its checks of the image are not those of `findings.json`";
    assert!(run.err.contains(said), "{run:?}");
    fs::write(world.out("findings.json"), good).unwrap();
    assert_eq!(world.run(&ATTEST).code, 0);
    for (name, verb) in [
        ("report.html", "report"),
        ("report.sarif", "report"),
        ("report.junit.xml", "report"),
        ("sbom.spdx.json", "build"),
    ] {
        let good = fs::read(world.out(name)).unwrap();
        replace(&world, name, |text| text + "\n");
        let run = world.run(&ATTEST);
        assert_eq!((run.code, run.out.as_str()), (6, ""), "{name}: {run:?}");
        let said = format!("error[stale-report]: `{name}` is not what the records beside it come to");
        assert!(run.err.contains(&said), "{name}: {run:?}");
        assert!(run.err.contains(&format!("`fastness {verb}` writes it anew")), "{name}: {run:?}");
        fs::write(world.out(name), good).unwrap();
    }
    let out = world.out("");
    assert_eq!(world.run(&["attest", out.to_str().unwrap(), "--key", "evidence"]).code, 0);
    // A report that another verb of this program wrote is one that can be signed, too.
    assert_eq!(world.run(&["report"]).code, 6);
    assert_eq!(world.run(&ATTEST).code, 0);
}

#[test]
fn an_inspection_that_was_stopped_leaves_no_findings_of_the_image_before() {
    let Some(world) = World::built() else { return };
    world.place.edit("version: 0.1.0", "version: 0.1.1");
    world.trap("nft", Some(Trap::Hang));
    let run = world.signal(world.start_until_it_hangs(&["build"]), Signal::KILL);
    world.trap("nft", None);
    assert_eq!(run.code, -1, "{run:?}");
    let image: record::ImageRecord = record::read_json(&world.out("image.json")).unwrap();
    assert_eq!(image.version, "0.1.1");
    assert!(!world.out("findings.json").exists() && !world.out("logs/inspected").exists());
    world.finishes();
}

#[test]
fn each_record_that_was_changed_or_taken_away_is_named_with_all_others() {
    let nested = "[".repeat(10_000);
    for (name, word) in [
        ("image.json", "CHANGED"),
        ("plan.json", "CHANGED"),
        ("artefacts.json", "CHANGED"),
        ("findings.json", "CHANGED"),
    ] {
        let Some(world) = attested() else { return };
        for text in ["{}", "no JSON", nested.as_str()] {
            instead(&world, name, |path| fs::write(path, text).unwrap());
            let run = world.run(&VERIFY);
            assert_eq!((run.code, run.err.as_str()), (6, ""), "{name}: {run:?}");
            assert!(run.out.contains(&format!("\n{word:<12}{name}\n")), "{name}: {run:?}");
            assert!(run.out.contains("\nsame        image/disk.img\n"), "{name}: {run:?}");
            assert!(run.out.contains("\nDOES NOT HOLD  1 of "), "{name}: {run:?}");
        }
        fs::remove_file(world.out(name)).unwrap();
        let out = world.out("");
        let run = world.run(&["verify-evidence", out.to_str().unwrap(), "--key", "evidence"]);
        assert_eq!((run.code, run.err.as_str()), (6, ""), "{name}: {run:?}");
        assert!(run.out.contains(&format!("\nMISSING     {name}\n")), "{name}: {run:?}");
        symlink("/etc/passwd", world.out(name)).unwrap();
        let run = world.run(&VERIFY);
        assert_eq!((run.code, run.err.as_str()), (6, ""), "{name}: {run:?}");
        assert!(run.out.contains("expected a regular file, found a link"), "{name}: {run:?}");
    }
    let Some(world) = attested() else { return };
    fs::remove_file(world.out("evidence.intoto.json")).unwrap();
    let run = world.run(&[&VERIFY[..], &["--json"]].concat());
    assert_eq!((run.code, run.failure()), (6, ("check".into(), "no-evidence".into())), "{run:?}");
}

#[test]
fn nothing_is_waited_for_and_nothing_is_read_without_bound() {
    let Some(world) = attested() else { return };
    fs::create_dir_all(world.out("attacks")).unwrap();
    instead(&world, "attacks/disk.sha256", pipe);
    instead(&world, "attacks.json", |path| fs::write(path, "[]").unwrap());
    let run = ends(&world, &VERIFY);
    assert!(run.code == 6 && run.out.contains("\nNOT SIGNED  attacks/disk.sha256\n"), "{run:?}");
    for verb in ["comply", "report"] {
        let run = ends(&world, &[verb]);
        assert!(run.out.contains("`attacks.json` is of another image"), "{verb}: {run:?}");
    }
    fs::remove_dir_all(world.out("attacks")).unwrap();
    fs::remove_file(world.out("attacks.json")).unwrap();
    let plan = fs::read(world.out("plan.json")).unwrap();
    instead(&world, "plan.json", pipe);
    let out = world.out("");
    let run = ends(&world, &["verify-evidence", out.to_str().unwrap(), "--key", "evidence"]);
    assert!(run.code == 6 && run.out.contains("\nCHANGED     plan.json\n"), "{run:?}");
    assert!(run.out.contains("expected a regular file, found a pipe"), "{run:?}");
    instead(&world, "plan.json", |path| fs::write(path, &plan).unwrap());
    instead(&world, "findings.json", pipe);
    let run = ends(&world, &["comply"]);
    assert!(run.code == 4 && run.err.contains("findings.json`, found a pipe"), "{run:?}");
    instead(&world, "report.json", |path| fs::File::create(path).unwrap().set_len(3 << 30).unwrap());
    let run = ends(&world, &VERIFY);
    assert!(run.code == 6 && run.out.contains("\nCHANGED     report.json\n"), "{run:?}");
    assert!(run.out.contains("expected at most 67108864 bytes, found 3221225472"), "{run:?}");
}

#[test]
fn a_signal_ends_a_long_look() {
    let Some(world) = attested() else { return };
    // As large as no machine hashes while the test runs, and without a byte on the disk.
    instead(&world, "image/disk.img", |path| fs::File::create(path).unwrap().set_len(1 << 42).unwrap());
    let mut child = world.command(&VERIFY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "it hashed all of it");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "the signal does not end it");
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(run.code == 130 && run.err.contains("error[interrupted]"), "{run:?}");
}

#[test]
fn what_a_record_names_outside_the_folder_is_not_looked_at() {
    let Some(world) = attested() else { return };
    let secret = world.place.path("secret");
    fs::write(&secret, "of somebody").unwrap();
    let hash = record::sha256_hex(b"of somebody");
    for name in [secret.to_str().unwrap(), "../../secret"] {
        change(&world, "image.json", |image| image["files"]["uboot-config"]["path"] = name.into());
        let run = world.run(&VERIFY);
        assert!(run.code == 6 && run.out.contains("\nCHANGED     image.json\n"), "{run:?}");
        assert!(!run.out.contains(&hash) && !run.out.contains("secret"), "{run:?}");
        for verb in ["comply", "report", "threats", "attest"] {
            let out = world.out("");
            let mut arguments = vec![verb, out.to_str().unwrap()];
            arguments.extend(ATTEST[1..].iter().filter(|_| verb == "attest"));
            let run = world.run(&arguments);
            assert_eq!((run.code, run.out.as_str()), (3, ""), "{verb}: {run:?}");
            let said =
                format!("error[outside]: `image.json` names `{name}`, which is no path inside the folder");
            assert!(run.err.contains(&said) && !run.err.contains(&hash), "{verb}: {run:?}");
        }
    }
}

#[test]
fn a_link_to_the_same_bytes_is_no_signed_file_and_what_came_besides_is_told() {
    let Some(world) = attested() else { return };
    fs::write(world.out("EXTRA.json"), "{}").unwrap();
    fs::write(world.out("image/extra.img"), "x").unwrap();
    let run = world.run(&VERIFY);
    assert_eq!(run.code, 0, "{run:?}");
    let line = run.out.lines().find(|line| line.starts_with("not signed, and not looked at: ")).unwrap();
    for name in ["EXTRA.json", "image/extra.img", "generated/", "logs/"] {
        assert!(line.contains(name), "{name}: {line}");
    }
    for name in ["report.json", "image/u-boot.config", "artefacts/linux.config", "evidence.intoto.json"] {
        assert!(!line.contains(name), "{name}: {line}");
    }
    let elsewhere = world.place.path("report.json");
    fs::rename(world.out("report.json"), &elsewhere).unwrap();
    symlink(&elsewhere, world.out("report.json")).unwrap();
    let run = world.run(&VERIFY);
    assert!(run.code == 6 && run.out.contains("\nCHANGED     report.json\n"), "{run:?}");
    assert!(run.out.contains("expected a regular file, found a link"), "{run:?}");
}

#[test]
fn of_what_evidence_is_and_whether_it_was_expected_is_told_from_what_was_signed() {
    let Some(world) = attested() else { return };
    let image: Value = record::read_json(&world.out("image.json")).unwrap();
    let disk = image["files"]["disk"]["sha256"].as_str().unwrap();
    let run = world.run(&VERIFY);
    for line in ["product   gw 0.1.0\n", "board     qemu-aarch64\n", &format!("disk      {disk}\n")] {
        assert!(run.code == 0 && run.out.contains(line), "{line}: {run:?}");
    }
    let with = |more: &[&str]| world.run(&[&VERIFY[..], more].concat());
    assert_eq!(with(&["--product", "gw", "--version", "0.1.0", "--disk-sha256", disk]).code, 0);
    let zeros = "00".repeat(32);
    for (option, value, found) in [
        ("--product", "other", "expected the product `other`, found `gw`"),
        ("--version", "0.1.1", "expected the version `0.1.1`, found `0.1.0`"),
        ("--disk-sha256", &zeros, &format!("found `{disk}`")),
    ] {
        let run = with(&[option, value]);
        assert!(run.code == 6 && run.out.contains(found), "{option}: {run:?}");
        assert!(run.out.contains("\nOTHER       expected the "), "{option}: {run:?}");
        assert!(run.out.contains("DOES NOT HOLD") && !run.out.contains("\nHOLDS"), "{option}: {run:?}");
        let json = with(&[option, value, "--json"]).json();
        assert_eq!(
            (&json["verified"], &json["signed"]["product"]),
            (&json!(false), &json!("gw")),
            "{option}"
        );
        assert_eq!(json["unexpected"].as_array().unwrap().len(), 1, "{option}");
    }
}

#[test]
fn whoever_only_reads_writes_nothing_and_a_key_that_others_may_write_is_told() {
    let Some(world) = attested() else { return };
    fs::remove_file(world.out(".lock")).unwrap();
    let before = world.product_of_the_build();
    let run = world.run(&VERIFY);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.out.contains("warning: "), "{run:?}");
    for verb in ["comply", "threats"] {
        let out = world.out("");
        let run = world.run(&[verb, out.to_str().unwrap()]);
        assert!(!run.out.is_empty() && !run.err.contains("error"), "{verb}: {run:?}");
    }
    assert!(!world.out(".lock").exists() && world.product_of_the_build() == before);
    let keys = world.place.path(".local/share/fastness/keys");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&keys, open).unwrap();
    let run = world.run(&VERIFY);
    let said = format!("warning: others than its owner may write `{}`", keys.display());
    assert!(run.code == 0 && run.out.contains(&said), "{run:?}");
}

#[test]
fn a_page_or_a_table_takes_no_place_of_evidence_or_of_another_and_one_requirement_decides_for_itself() {
    let Some(world) = World::built() else { return };
    let before = world.product_of_the_build();
    let plan = world.out("plan.json");
    let run = world.run(&["comply", "--html", plan.to_str().unwrap()]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    assert!(run.err.contains("error[evidence]: `") && run.err.contains("plan.json` is evidence"), "{run:?}");
    let run = world.run(&["comply", "--html", "one", "--csv", "./one"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    assert!(run.err.contains("error[same-file]: `./one` is named for two of them"), "{run:?}");
    assert!(!world.place.path("one").exists() && world.product_of_the_build() == before);
    let all = world.run(&["comply", "--json"]).json();
    let of = |status: &str| {
        let all = all["requirements"].as_array().unwrap();
        all.iter().find(|one| one["status"] == status).unwrap()["id"].as_str().unwrap().to_owned()
    };
    for (status, code) in [("not-met", 6), ("partial", 0)] {
        assert_eq!(world.run(&["comply", "--show", &of(status)]).code, code, "{status}");
    }
}

#[test]
fn a_date_that_no_calendar_of_rfc_3339_has_is_refused() {
    let Some(world) = World::built() else { return };
    for (arguments, variable) in [(&["--at", "253402300800"][..], None), (&[], Some("99999999999999999"))] {
        let mut command = world.command(&[&["comply", "--oscal", "o.json"][..], arguments].concat());
        command.envs(variable.map(|value| ("SOURCE_DATE_EPOCH", value)));
        let run = Run::of(command.output().unwrap());
        assert!(run.code == 2 && run.err.contains("is not in 0..=253402300799"), "{run:?}");
        assert!(!world.place.path("o.json").exists());
    }
    let run = world.run(&["comply", "--oscal", "o.json", "--at", "253402300799"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(fs::read_to_string(world.place.path("o.json")).unwrap().contains("9999-12-31T23:59:59Z"));
}
