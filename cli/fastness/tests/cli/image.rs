//! `inspect`, `boot`, `attack`, `report` without an image.

use crate::support::Place;
use crate::world::World;

#[test]
fn without_an_image_each_says_how_to_make_one() {
    let place = Place::with_product();
    for verb in ["inspect", "boot", "report", "comply"] {
        let run = place.run(&[verb]);
        let expected = "\
error[no-image]: there is no finished image in `out/qemu-aarch64`
  hint: make it with `fastness build`
";
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (3, "", expected), "{verb}");
    }
    let run = place.run(&["attack", "--json"]);
    assert_eq!((run.code, run.failure()), (3, ("input".into(), "no-image".into())));
    assert!(!place.path("out").exists());
}

#[test]
fn inspect_of_something_else_says_what_it_reads() {
    let place = Place::new();
    let missing = place.run(&["inspect", "none.img"]);
    // As every other verb: a path that is not there is wrong input.
    assert_eq!((missing.code, missing.out.as_str()), (3, ""));
    assert!(missing.err.contains("cannot read `none.img`"), "{missing:?}");
    std::fs::write(place.path("junk"), [7; 4096]).unwrap();
    let junk = place.run(&["inspect", "junk"]);
    assert_eq!((junk.code, junk.out.as_str()), (3, ""));
    assert!(junk.err.contains("error[unknown-subject]"), "{junk:?}");
}

#[test]
fn an_output_folder_without_an_image_is_no_foreign_root_file_system() {
    let place = Place::with_product();
    assert_eq!(place.run(&["generate"]).code, 0);
    for path in [&["inspect"][..], &["inspect", "product.yaml"], &["inspect", "out/qemu-aarch64"]] {
        let run = place.run(path);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
        assert!(run.err.starts_with("error[no-image]: there is no finished image in `out/qemu"), "{run:?}");
    }
}

#[test]
fn a_board_of_an_output_folder_is_not_ignored() {
    let place = Place::with_product();
    assert_eq!(place.run(&["generate"]).code, 0);
    for arguments in [
        &["boot", "out/qemu-aarch64", "--board", "other"][..],
        &["report", "out/qemu-aarch64", "--out", "elsewhere"],
        &["attack", "--image", "out/qemu-aarch64", "--board", "other"],
        &["inspect", "out/qemu-aarch64", "--board", "other"],
    ] {
        let run = place.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains("a product file, and `out/qemu-aarch64` is "), "{run:?}");
    }
}

#[test]
fn what_a_start_waits_for_is_of_a_device_that_lasts_and_has_a_text() {
    let place = Place::new();
    for (arguments, told) in [
        (&["boot", "out/bench", "--until", "made"][..], "--device <DIR>"),
        (&["boot", "out/bench", "--device", "dev", "--until", ""], "--until <TEXT>"),
        (
            &["boot", "out/bench", "--device", "dev", "--until", "made", "--update", "x"],
            "cannot be used with",
        ),
        (&["boot", "out/bench", "--device", "dev", "--until", "made", "--network"], "cannot be used with"),
    ] {
        let run = place.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains(told), "{run:?}");
    }
    assert!(!place.path("dev").exists());
}

#[test]
fn a_foreign_root_file_system_is_inspected_with_generic_checks() {
    let place = Place::new();
    for folder in ["etc", "usr/bin"] {
        std::fs::create_dir_all(place.path("root").join(folder)).unwrap();
    }
    std::fs::write(place.path("root/usr/bin/true"), "#!/bin/sh\n").unwrap();
    std::fs::write(place.path("root/etc/passwd"), "root:x:0:0:root:/root:/usr/sbin/nologin\n").unwrap();
    // An empty second field: a login without any password.
    std::fs::write(place.path("root/etc/shadow"), "root::19000::::::\n").unwrap();
    std::fs::write(place.path("root/etc/group"), "root:x:0:\n").unwrap();
    let run = place.run(&["inspect", "root", "--json"]);
    assert_eq!(run.code, 6, "{run:?}");
    let report = run.json();
    let findings = report["findings"].as_array().unwrap();
    let accounts = findings.iter().find(|f| f["check"] == "generic.accounts").unwrap();
    assert_eq!(accounts["verdict"], "fail", "{accounts}");
}

#[test]
fn attacks_are_listed_with_those_of_the_product() {
    let place = Place::with_product();
    let shipped = place.run(&["attack", "--list"]);
    assert_eq!((shipped.code, shipped.err.as_str()), (0, ""));
    assert!(shipped.out.lines().count() >= 20, "{}", shipped.out);
    std::fs::create_dir(place.path("attacks")).unwrap();
    std::fs::write(
        place.path("attacks/of-my-own.yaml"),
        "title: own\nthreat: x\nsource: y\nrequirements: [CR 3.4]\nmutations: [{kind: remove-key}]\n\
         expect: {stage: u-boot, refusal: [x], ends_with: [reset]}\n",
    )
    .unwrap();
    let listed = place.run(&["attack", "--list"]);
    assert_eq!(listed.out.lines().count(), shipped.out.lines().count() + 1);
    assert!(listed.out.contains("of-my-own "), "{}", listed.out);
    // The list is of what would be run: by name, and by an output folder in its usual place.
    let one = place.run(&["attack", "--list", "of-my", "--json"]);
    assert_eq!(one.json().as_array().map(Vec::len), Some(1), "{one:?}");
    assert_eq!(place.run(&["generate"]).code, 0);
    let by_folder = place.run(&["attack", "--list", "--image", "out/qemu-aarch64"]);
    assert_eq!(by_folder.out, listed.out);
    let none = place.run(&["attack", "--list", "of-mine"]);
    assert_eq!((none.code, none.out.as_str()), (2, ""));
    assert!(none.err.contains("there is no attack whose name contains `of-mine`"), "{none:?}");
    std::fs::write(place.path("attacks/of-my-own.yaml"), "titel: own\n").unwrap();
    let broken = place.run(&["attack", "--list"]);
    assert_eq!((broken.code, broken.out.as_str()), (3, ""));
    assert!(broken.err.contains("unknown key `titel`"), "{broken:?}");
}

#[test]
fn a_report_is_signed_by_an_evidence_key_that_is_there_or_stays_as_it_was() {
    let Some(world) = World::built() else { return };
    let report = || std::fs::read(world.out("report.json")).unwrap();
    let before = report();
    for (key, expected) in
        [("none", "fastness keys new none --evidence"), ("gw-dev", "it is a key for another purpose")]
    {
        let run = world.run(&["report", "--sign", key]);
        assert_eq!((run.code, run.out.as_str()), (8, ""), "{run:?}");
        assert!(run.err.contains(expected), "{run:?}");
    }
    assert_eq!(report(), before);
    assert_eq!(world.run(&["keys", "new", "evidence", "--evidence"]).code, 0);
    // The world's image does not hold, and a signature does not change that.
    assert_eq!(world.run(&["report", "--sign", "evidence"]).code, 6);
    let verified = world.run(&["report", "--verify", "evidence"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(verified.out.starts_with("report.json is signed by `evidence` ("), "{verified:?}");
    std::fs::write(world.out("report.json"), [before, b" ".to_vec()].concat()).unwrap();
    let changed = world.run(&["report", "--verify", "evidence"]);
    assert_eq!((changed.code, changed.out.as_str()), (6, ""), "{changed:?}");
    assert!(changed.err.contains("the signature is not one of the key `evidence`"), "{changed:?}");
}

#[test]
fn what_a_run_shows_of_the_standard_is_told_for_people_and_for_tools() {
    let Some(world) = World::built() else { return };
    let run =
        world.run(&["comply", "--html", "c.html", "--csv", "c.csv", "--oscal", "c.json", "--level", "1"]);
    // The world's image does not hold.
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("target level 1") && run.out.contains("\nnot met ("), "{run:?}");
    assert!(run.out.contains("wrote c.html\nwrote c.csv\nwrote c.json\n"), "{run:?}");
    let read = |name: &str| std::fs::read_to_string(world.out("../..").join(name)).unwrap();
    assert!(read("c.html").contains("<h1>gw") && read("c.csv").lines().count() == 138);
    let oscal: serde_json::Value = serde_json::from_str(&read("c.json")).unwrap();
    assert_eq!(oscal["assessment-results"]["metadata"]["oscal-version"], "1.1.2");
    let one = world.run(&["comply", "--show", "cr 1.1"]);
    assert!(one.out.starts_with("CR 1.1  Human user identification"), "{one:?}");
    let value = world.run(&["comply", "--json"]).json();
    assert_eq!(value["requirements"].as_array().unwrap().len(), 137);
    let wrong = world.run(&["comply", "--show", "CR 1.111"]);
    assert!(wrong.code == 2 && wrong.err.contains("there is no requirement `CR 1.111`"), "{wrong:?}");
    assert_eq!(world.run(&["comply", "--level", "5"]).code, 2);
}

#[test]
fn the_bill_of_materials_is_beside_the_report_and_a_changed_list_is_refused() {
    let Some(world) = World::built() else { return };
    let read = |path: std::path::PathBuf| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(read(world.out("sbom.cdx.json"))["specVersion"], "1.6");
    assert_eq!(read(world.out("sbom.spdx.json"))["spdxVersion"], "SPDX-2.3");
    let run = world.run(&["sbom", "--cyclonedx", "b.json"]);
    assert!(run.code == 0 && run.out.starts_with("gw 0.1.0 for qemu-aarch64, built by debian\n"), "{run:?}");
    assert_eq!(read(world.out("../../b.json")), read(world.out("sbom.cdx.json")));
    let components = world.run(&["sbom", "--json"]).json()["components"].clone();
    assert!(components.as_array().unwrap().iter().any(|c| c["name"] == "/etc/nftables.conf"), "{components}");
    let list = world.out("artefacts/packages.json");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    std::fs::write(&list, text.replacen("version", "Version", 1)).unwrap();
    let run = world.run(&["sbom", "--spdx", "c.json"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("is not the list that was built with"), "{run:?}");
    assert!(!world.out("../../c.json").exists());
}

#[test]
fn vulnerabilities_are_looked_up_in_files_and_statements_close_them() {
    let Some(world) = World::built() else { return };
    let components = world.run(&["sbom", "--json"]).json()["components"].clone();
    let package = components.as_array().unwrap().iter().find(|c| c["kind"] == "package").unwrap().clone();
    let source = package["source"].as_str().unwrap().split_once(' ').unwrap().0.to_owned();
    let write = |name: &str, text: String| std::fs::write(world.out("../..").join(name), text).unwrap();
    let entry = r#"{"CVE-2026-9": {"description": "bad", "releases": {"trixie": {"status": "open", "urgency": "high"}}}}"#;
    write("db.json", format!("{{\"{source}\": {entry}}}"));
    let run = world.run(&["vulns", "--database", "db.json", "--fail-on", "high"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("high      CVE-2026-9") && run.out.contains("no database speaks of"), "{run:?}");
    let ask = ["vulns", "--database", "db.json", "--openvex", "v.json", "--author", "us"];
    assert_eq!(world.run(&ask).code, 0);
    let draft = std::fs::read_to_string(world.out("../../v.json")).unwrap();
    let closed =
        draft.replace("\"affected\"", "\"not_affected\"").replace("action_statement", "impact_statement");
    write("v.json", closed);
    let run = world.run(&["vulns", "--database", "db.json", "--vex", "v.json", "--fail-on", "any"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.contains("do not count, by a statement or by what was built (1)")
            && run.out.contains("0 open in gw"),
        "{run:?}"
    );
    write("other.json", "{\"a\": 1}".to_owned());
    let run = world.run(&["vulns", "--database", "other.json"]);
    assert!(run.code == 3 && run.err.contains("`other.json` is no database of vulnerabilities"), "{run:?}");
    let matches = r#"[{"vulnerable": true, "criteria": "cpe:2.3:o:linux:linux_kernel:*:*:*:*:*:*:*:*"}]"#;
    let dump = format!(
        r#"{{"format": "NVD_CVE", "version": "2.0", "vulnerabilities": [{{"cve": {{"id": "CVE-2026-10", "configurations": [{{"nodes": [{{"cpeMatch": {matches}}}]}}]}}}}]}}"#
    );
    write("nvd.json", dump.clone());
    let run = world.run(&["vulns", "--database", "nvd.json", "--fail-on", "high"]);
    assert!(run.code == 6 && run.out.contains("CVE-2026-10") && run.out.contains("linux"), "{run:?}");
    write("nvd.json", dump.replace("cpe:2.3:o:linux", "cpe:/o:linux"));
    let run = world.run(&["vulns", "--database", "nvd.json"]);
    let why = "error[no-database]: `nvd.json` is no database of vulnerabilities: CVE-2026-10: expected a name of CPE 2.3";
    assert!(run.code == 3 && run.err.contains(why), "{run:?}");
    assert_eq!(world.run(&["vulns"]).code, 2);
}
