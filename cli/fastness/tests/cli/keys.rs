//! `keys`, and what `build` says without one.

use std::os::unix::fs::PermissionsExt;

use crate::support::Place;

#[test]
fn a_development_key_is_made_marked_listed_and_checked() {
    let place = Place::new();
    assert_eq!(place.run(&["keys", "list", "--keys", "k"]).out, "no keys in `k`\n");
    let made = place.run(&["keys", "new", "dev", "--keys", "k", "--bits", "2048"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert!(made.out.starts_with("made `dev`: RSA 2048, development, sha256 "), "{made:?}");
    let mode = std::fs::metadata(place.path("k/dev.key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(std::fs::read_to_string(place.path("k/dev.key.pem")).unwrap().contains("ENCRYPTED"));

    let list = place.run(&["keys", "list", "--keys", "k", "--json"]);
    assert_eq!(list.json()[0]["mark"], "development");
    let check = place.run(&["keys", "check", "dev", "--open", "--keys", "k"]);
    assert!(check.out.ends_with("is right; the passphrase opens it\n"), "{check:?}");

    let again = place.run(&["keys", "new", "dev", "--keys", "k", "--bits", "2048", "--json"]);
    assert_eq!((again.code, again.failure().1.as_str()), (8, "key-exists"));
}

#[test]
fn a_wrong_passphrase_is_refused_and_not_repeated() {
    let place = Place::new();
    place.run(&["keys", "new", "dev", "--keys", "k", "--bits", "2048"]);
    std::fs::write(place.path("p"), "open sesame\n").unwrap();
    std::fs::set_permissions(place.path("p"), PermissionsExt::from_mode(0o600)).unwrap();
    let run = place.run(&["keys", "check", "dev", "--keys", "k", "--passphrase-file", "p"]);
    assert_eq!((run.code, run.out.as_str()), (8, ""));
    assert!(run.err.contains("error[wrong-passphrase]") && !run.err.contains("sesame"), "{run:?}");
}

#[test]
fn a_release_key_needs_a_passphrase_and_a_terminal_or_file() {
    let place = Place::new();
    // `setsid` would be needed to lose a controlling terminal; a file that is not there says the same.
    let run = place.run(&["keys", "new", "gw", "--release", "--keys", "k", "--passphrase-file", "none"]);
    assert_eq!((run.code, run.out.as_str()), (8, ""));
    assert!(run.err.contains("cannot read `none`"), "{run:?}");
    assert!(!place.path("k/gw.json").exists());
    std::fs::write(place.path("p"), "correct horse\n").unwrap();
    std::fs::set_permissions(place.path("p"), PermissionsExt::from_mode(0o600)).unwrap();
    let run = place.run(&[
        "keys",
        "new",
        "gw",
        "--release",
        "--bits",
        "2048",
        "--keys",
        "k",
        "--passphrase-file",
        "p",
    ]);
    assert!(run.out.contains("RSA 2048, release"), "{run:?}");
    assert!(!place.path("k/gw.passphrase").exists());
}

#[test]
fn a_size_that_uboot_does_not_verify_is_wrong_usage() {
    let run = Place::new().run(&["keys", "new", "dev", "--bits", "1024"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("[possible values: 2048, 3072, 4096]"), "{run:?}");
}

#[test]
fn a_build_without_its_key_stops_before_any_work() {
    let place = Place::with_product();
    let run = place.run(&["build", "--keys", "k", "--cache", "c", "--offline"]);
    let expected = "\
error[missing-key]: there is no key `gw-dev` in `k`
  hint: make it with `fastness keys new gw-dev`, or name another store with `--keys`
";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (8, "", expected));
    assert!(!place.path("out").exists() && !place.path("c").exists());
}

#[test]
fn a_published_key_is_refused_by_check_and_by_a_release() {
    let place = Place::new();
    place.run(&["keys", "new", "dev", "--keys", "k", "--bits", "2048"]);
    let list = place.run(&["keys", "list", "--keys", "k", "--json"]).json();
    let fingerprint = list[0]["fingerprint"].as_str().unwrap();
    let known = format!("keys:\n  - {{fingerprint: \"{fingerprint}\", source: \"our sample board\"}}\n");
    std::fs::write(place.path("published.yaml"), &known).unwrap();

    let check = ["keys", "check", "dev", "--keys", "k", "--known-keys", "published.yaml"];
    let run = place.run(&check);
    assert_eq!((run.code, run.out.as_str()), (8, ""));
    assert!(
        run.err.contains("error[published-key]: the key `dev` is published: our sample board"),
        "{run:?}"
    );
    std::fs::write(place.path("published.yaml"), known.replace(fingerprint, &"0".repeat(64))).unwrap();
    assert_eq!(place.run(&check).code, 0);
    std::fs::write(place.path("published.yaml"), "keys: [{fingerprint: x, source: y}]\n").unwrap();
    let run = place.run(&check);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.err.contains("expected 64 lower-case hexadecimal digits as `fingerprint`, found `x`"),
        "{run:?}"
    );
}

#[test]
fn a_release_with_a_key_that_the_product_knows_as_published_stops_before_any_work() {
    let place = Place::with_product();
    std::fs::write(place.path("p"), "correct horse\n").unwrap();
    std::fs::set_permissions(place.path("p"), PermissionsExt::from_mode(0o600)).unwrap();
    let secret = ["--keys", "k", "--passphrase-file", "p"];
    let made = place.run(&[&["keys", "new", "gw", "--release"][..], &secret].concat());
    assert_eq!(made.code, 0, "{made:?}");
    let list = place.run(&["keys", "list", "--keys", "k", "--json"]).json();
    let fingerprint = list[0]["fingerprint"].as_str().unwrap();
    let product = std::fs::read_to_string(place.path("product.yaml")).unwrap();
    std::fs::write(place.path("product.yaml"), product + "\nsigning: {key: gw, release: true}\n").unwrap();
    std::fs::create_dir(place.path("standards")).unwrap();
    let known = format!("keys:\n  - {{fingerprint: \"{fingerprint}\", source: \"the first prototype\"}}\n");
    std::fs::write(place.path("standards/known-keys.yaml"), known).unwrap();

    let run = place.run(&[&["build", "--cache", "c", "--offline"][..], &secret].concat());
    assert_eq!((run.code, run.out.as_str()), (8, ""), "{run:?}");
    assert!(run.err.contains("the key `gw` is published: the first prototype"), "{run:?}");
    assert!(!place.path("out").exists() && !place.path("c").exists());
    std::fs::write(place.path("standards/known-keys.yaml"), "keys: [{fingerprint: 1, source: x}]\n").unwrap();
    let run = place.run(&["check"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("standards/known-keys.yaml:1"), "{run:?}");
}

#[test]
fn keys_that_are_trusted_besides_are_looked_at_before_anything_is_built() {
    let place = Place::with_product();
    for (name, arguments) in
        [("gw-dev", &[][..]), ("small", &["--bits", "2048"]), ("curve", &["--algorithm", "ecdsa-p256"])]
    {
        let made = place.run(&[&["keys", "new", name, "--keys", "store"][..], arguments].concat());
        assert_eq!(made.code, 0, "{made:?}");
        std::fs::copy(place.path(&format!("store/{name}.pub.pem")), place.path(&format!("{name}.pem")))
            .unwrap();
    }
    std::fs::copy(place.path("small.pem"), place.path("again.pem")).unwrap();
    let product = std::fs::read_to_string(place.path("product.yaml")).unwrap();
    let with = |trusted: &str| {
        let text = format!("{product}\nsigning: {{also_trusts: [{trusted}]}}\n");
        std::fs::write(place.path("product.yaml"), text).unwrap();
    };
    let small = "{key: small, algorithm: \"sha256,rsa2048\", public: small.pem}";
    with(small);
    let right = place.run(&["check"]);
    assert_eq!(right.code, 0, "{right:?}");
    for (trusted, code, told) in [
        (
            "{key: small, public: small.pem}".to_owned(),
            "wrong-key",
            "expected a key for `sha256,rsa3072` as `small` of `signing.also_trusts`, found rsa2048",
        ),
        (
            "{key: curve, algorithm: \"sha256,ecdsa384\", public: curve.pem}".to_owned(),
            "wrong-key",
            "found ecdsa256",
        ),
        (
            format!("{small}, {{key: other, algorithm: \"sha256,rsa2048\", public: again.pem}}"),
            "same-key",
            "`small` and `other` are the same key",
        ),
    ] {
        with(&trusted);
        for verb in [&["check"][..], &["build", "--keys", "store"]] {
            let run = place.run(verb);
            assert_eq!((run.code, run.out.as_str()), (8, ""), "{run:?}");
            assert!(run.err.contains(&format!("error[{code}]")) && run.err.contains(told), "{run:?}");
            assert!(!place.path("out").exists(), "{run:?}");
        }
    }
    // The product's own key once more: its store knows.
    with("{key: twice, public: gw-dev.pem}");
    let run = place.run(&["build", "--keys", "store"]);
    assert_eq!(run.code, 8, "{run:?}");
    assert!(run.err.contains("error[same-key]: `gw-dev` and `twice` are the same key"), "{run:?}");
}

#[test]
fn a_key_of_evidence_has_no_size_to_choose() {
    let place = Place::new();
    let run = place.run(&["keys", "new", "evi", "--evidence", "--bits", "4096", "--keys", "k"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    assert!(
        run.err.contains("'--evidence' cannot be used with '--bits <BITS>'")
            || run.err.contains("'--bits <BITS>' cannot be used with '--evidence'"),
        "{run:?}"
    );
    assert!(!place.path("k").exists());
}
