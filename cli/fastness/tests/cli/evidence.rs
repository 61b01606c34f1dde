//! `attest` and `verify-evidence`: what was signed holds, and every change is named.

use std::fs;

use crate::support::Place;
use crate::world::World;

/// A built image, attested.
pub fn attested() -> Option<World> {
    let world = World::built()?;
    assert_eq!(world.run(&["keys", "new", "evidence", "--evidence"]).code, 0);
    let run = world.run(&["attest", "--key", "evidence"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with("signed by `evidence`: 4 files of the image, "), "{run:?}");
    Some(world)
}

/// Replaces a file, whose bytes other copies of the world may share.
pub fn replace(world: &World, name: &str, change: impl FnOnce(String) -> String) {
    let path = world.out(name);
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed);
    fs::remove_file(&path).unwrap();
    fs::write(&path, changed).unwrap();
}

#[test]
fn untouched_evidence_holds_and_signing_again_gives_the_same_bytes() {
    let Some(world) = attested() else { return };
    let run = world.run(&["verify-evidence", "--key", "evidence"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("\nsame        image/disk.img\n") && run.out.contains("\nHOLDS  "), "{run:?}");
    let first = fs::read(world.out("evidence.intoto.json")).unwrap();
    let statement = world.run(&["attest", "--key", "evidence", "--json"]).json();
    assert_eq!(fs::read(world.out("evidence.intoto.json")).unwrap(), first);
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let inputs = statement.pointer("/predicate/buildDefinition/resolvedDependencies").unwrap();
    assert!(inputs.as_array().unwrap().iter().any(|input| input["digest"]["sha256"].is_string()), "{inputs}");
    // The public half is enough, and another key of that name is not.
    fs::create_dir(world.place.path("trusted")).unwrap();
    let keys = world.place.path(".local/share/fastness/keys");
    for name in ["evidence.json", "evidence.pub.pem"] {
        fs::copy(keys.join(name), world.place.path("trusted").join(name)).unwrap();
    }
    let run = world.run(&["verify-evidence", "--key", "evidence", "--keys", "trusted"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(world.run(&["keys", "new", "evidence", "--evidence", "--keys", "others"]).code, 0);
    let run = world.run(&["verify-evidence", "--key", "evidence", "--keys", "others"]);
    assert!(run.code == 6 && run.err.contains("error[evidence-signature]"), "{run:?}");
}

#[test]
fn every_change_after_signing_is_named() {
    let Some(world) = attested() else { return };
    replace(&world, "report.json", |text| text.replacen("\"fail\"", "\"pass\"", 1));
    replace(&world, "sbom.cdx.json", |text| text.replacen("\"1.6\"", "\"1.5\"", 1));
    fs::remove_file(world.out("report.sarif")).unwrap();
    fs::write(world.out("boot.json"), "{\"disk_sha256\": \"00\"}").unwrap();
    let run = world.run(&["verify-evidence", "--key", "evidence"]);
    assert_eq!(run.code, 6, "{run:?}");
    for line in [
        "CHANGED     report.json",
        "CHANGED     sbom.cdx.json",
        "MISSING     report.sarif",
        "NOT SIGNED  boot.json",
        "DOES NOT HOLD  4 of ",
    ] {
        assert!(run.out.contains(line), "{line}: {run:?}");
    }
    let value = world.run(&["verify-evidence", "--key", "evidence", "--json"]).json();
    assert_eq!(value["verified"], false);
    // What came later decides nothing: it is not even read.
    assert!(!run.out.contains("OTHER IMAGE"), "{run:?}");
    // What contradicts itself is not signed, either.
    let run = world.run(&["attest", "--key", "evidence"]);
    assert_eq!((run.code, run.out.as_str()), (6, ""), "{run:?}");
    assert!(run.err.contains("error[other-image]: `boot.json` is not of this image"), "{run:?}");
}

#[test]
fn a_changed_disk_or_statement_does_not_hold() {
    let Some(world) = attested() else { return };
    let disk = world.out("image/disk.img");
    let length = fs::metadata(&disk).unwrap().len();
    fs::OpenOptions::new().append(true).open(&disk).unwrap().set_len(length + 1).unwrap();
    let run = world.run(&["verify-evidence", "--key", "evidence"]);
    assert!(run.code == 6 && run.out.contains("CHANGED     image/disk.img"), "{run:?}");
    let envelope = fs::read_to_string(world.out("evidence.intoto.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&envelope).unwrap();
    let payload = value["payload"].as_str().unwrap().to_owned();
    // Another letter within the first three bytes of the statement: still base64.
    value["payload"] = payload.replacen('J', "K", 1).into();
    assert_ne!(value["payload"], payload);
    fs::write(world.out("evidence.intoto.json"), value.to_string()).unwrap();
    let run = world.run(&["verify-evidence", "--key", "evidence", "--json"]);
    assert_eq!((run.code, run.failure()), (6, ("check".into(), "evidence-signature".into())));
    fs::write(world.out("evidence.intoto.json"), "[]").unwrap();
    let run = world.run(&["verify-evidence", "--key", "evidence"]);
    assert!(run.code == 6 && run.err.contains("is not a DSSE envelope"), "{run:?}");
}

#[test]
fn the_file_that_was_changed_is_the_one_that_is_named() {
    let Some(world) = attested() else { return };
    for name in ["image/u-boot.config", "image/linux.config", "artefacts/linux.config"] {
        let path = world.out(name);
        let old = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "# changed\n").unwrap();
        let run = world.run(&["verify-evidence", "--key", "evidence"]);
        assert_eq!(run.code, 6, "{name}: {run:?}");
        assert!(run.out.contains(&format!("CHANGED     {name}\n")), "{name}: {run:?}");
        assert!(
            !run.out.contains("image.json\n            ") && run.out.contains("  1 of "),
            "{name}: {run:?}"
        );
        fs::write(&path, old).unwrap();
    }
    assert_eq!(world.run(&["verify-evidence", "--key", "evidence"]).code, 0);
}

#[test]
fn met_is_only_what_every_listed_check_looked_at() {
    let Some(world) = World::built() else { return };
    let out = world.out("");
    let page = world.place.path("comply.html");
    let run = world.run(&["comply", out.to_str().unwrap(), "--json", "--html", page.to_str().unwrap()]);
    let all = run.json();
    let of = |id: &str| {
        let all = all["requirements"].as_array().unwrap();
        all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
    };
    for one in all["requirements"].as_array().unwrap() {
        let (id, why) = (&one["id"], one["why"].as_str().unwrap());
        if one["status"] == "automated-met" {
            assert_eq!(one["not_shown"].as_array().unwrap().len(), 0, "{id}: {why}");
        }
        assert!(!why.starts_with("shown"), "{id}: {why}");
    }
    let why = of("CR 2.10")["why"].as_str().unwrap().to_owned();
    assert_eq!(of("CR 2.10")["status"], "partial");
    assert!(why.contains("the product has no collector that could be asked: audit.daemon-killed"), "{why}");
    let why = of("CR 2.6")["why"].as_str().unwrap().to_owned();
    assert!(why.contains("this program has no such check: sess.terminated"), "{why}");
    // A version is no support for updates, and a notice on a verified root is edited by nobody.
    let kinds = all["requirements"].as_array().unwrap().iter();
    let updates =
        kinds.clone().find(|one| one["id"].as_str().unwrap().ends_with(" 3.10") && one["applies"] == true);
    // The kernel of this world holds no configuration, so that its watchdog cannot be looked at.
    let updates = updates.unwrap();
    assert_eq!(updates["status"], "not-met", "{updates:?}");
    let advice = updates["advice"].to_string();
    assert!(advice.contains("mend `avail.watchdog`"), "{advice}");
    assert!(advice.contains("no check of this run looked at `upd.mechanism`"), "{advice}");
    assert_eq!(
        (of("CR 1.12")["claim"].as_str(), of("CR 2.9 RE(1)")["claim"].as_str()),
        (Some("partial"), Some("full"))
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("every check that the catalogue lists for it was looked at in this run and passed")
    );
    assert!(!page.contains("nothing is left to"));
}

#[test]
fn a_report_is_not_of_a_disk_that_was_changed_since() {
    let Some(world) = World::built() else { return };
    let disk = world.out("image/disk.img");
    let mut bytes = fs::read(&disk).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::remove_file(&disk).unwrap();
    fs::write(&disk, bytes).unwrap();
    for verb in ["comply", "report", "threats"] {
        let out = world.out("");
        let run = world.run(&[verb, out.to_str().unwrap()]);
        assert_eq!(run.code, 6, "{verb}: {run:?}");
        assert!(
            run.err.contains("error[other-image]: `image/disk.img` is not the file that the build left"),
            "{verb}: {run:?}"
        );
    }
}

#[test]
fn a_record_of_another_image_is_told_and_not_passed_over() {
    let Some(world) = World::built() else { return };
    fs::write(world.out("attacks.json"), "[]").unwrap();
    fs::create_dir_all(world.out("attacks")).unwrap();
    fs::write(world.out("attacks/disk.sha256"), "00".repeat(32)).unwrap();
    let out = world.out("");
    for verb in ["comply", "report"] {
        let run = world.run(&[verb, out.to_str().unwrap()]);
        assert!(run.out.contains("`attacks.json` is of another image"), "{verb}: {run:?}");
    }
    let run = world.run(&["vulns", out.to_str().unwrap(), "--database", "none.json"]);
    assert_eq!(run.code, 3, "{run:?}");
}

/// Found after a patch of U-Boot, which lies in the flash and not on the disk: what the one before it had withstood counted for it.
#[test]
fn attacks_on_another_boot_loader_are_of_another_image() {
    let Some(world) = World::built() else { return };
    let text = fs::read_to_string(world.out("image.json")).unwrap();
    let image: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hash = |role: &str| image["files"][role]["sha256"].as_str().unwrap().to_owned();
    fs::write(world.out("attacks.json"), "[]").unwrap();
    fs::create_dir_all(world.out("attacks")).unwrap();
    let out = world.out("");
    for (mark, told) in [
        (hash("disk"), true),
        (format!("{} {}", hash("disk"), "00".repeat(32)), true),
        (format!("{} {}", hash("disk"), hash("uboot")), false),
    ] {
        fs::write(world.out("attacks/disk.sha256"), &mark).unwrap();
        let run = world.run(&["report", out.to_str().unwrap()]);
        assert_eq!(run.out.contains("`attacks.json` is of another image"), told, "{mark}: {run:?}");
    }
}

#[test]
fn without_image_key_or_signature_each_says_so() {
    let place = Place::with_product();
    let run = place.run(&["attest", "--key", "evidence"]);
    assert!(run.code == 3 && run.err.contains("error[no-image]"), "{run:?}");
    let run = place.run(&["attest", "--key", "evidence", "--builder", "me"]);
    assert!(run.code == 2 && run.err.contains("expected a URI as `--builder`, found `me`"), "{run:?}");
    let run = place.run(&["verify-evidence", "--key", "evidence"]);
    assert_eq!(run.code, 8, "{run:?}");
    assert_eq!(place.run(&["keys", "new", "evidence", "--evidence"]).code, 0);
    let run = place.run(&["verify-evidence", "--key", "evidence"]);
    assert!(run.code == 3 && run.err.contains("error[no-evidence]: nothing was signed in `out/"), "{run:?}");
}
