//! `attest` and `verify-evidence`: what was signed holds, and every change is named.

use std::fs;

use crate::support::Place;
use crate::world::World;

/// A built image, attested.
fn attested() -> Option<World> {
    let world = World::built()?;
    assert_eq!(world.run(&["keys", "new", "evidence", "--evidence"]).code, 0);
    let run = world.run(&["attest", "--key", "evidence"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with("signed by `evidence`: 4 files of the image, "), "{run:?}");
    Some(world)
}

/// Replaces a file, whose bytes other copies of the world may share.
fn replace(world: &World, name: &str, change: impl FnOnce(String) -> String) {
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
        "OTHER IMAGE boot.json",
        "DOES NOT HOLD  5 of ",
    ] {
        assert!(run.out.contains(line), "{line}: {run:?}");
    }
    let value = world.run(&["verify-evidence", "--key", "evidence", "--json"]).json();
    assert_eq!(value["verified"], false);
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
