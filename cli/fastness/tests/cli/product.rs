//! `new`, `check`, `plan`, `explain`, `diff`.

use crate::support::{Place, top};

#[test]
fn a_new_product_is_right_and_is_not_written_over() {
    let place = Place::new();
    let run = place.run(&["new", "gw"]);
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (0, "wrote `product.yaml`; next: fastness check product.yaml\n", "")
    );
    let check = place.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    assert!(check.out.starts_with("gw 0.1.0 is right\n  qemu-aarch64: "), "{check:?}");

    place.edit("version: 0.1.0", "version: 0.1.1");
    let again = place.run(&["new", "gw"]);
    let expected = "\
error[exists]: `product.yaml` is there already
  hint: it was left as it is; name another file with `--to`
";
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (3, "", expected));
    assert!(place.run(&["check"]).out.starts_with("gw 0.1.1 is right"));
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_written() {
    let place = Place::new();
    for name in ["Gateway", "a b", "-x", "x-", "../x", ""] {
        let run = place.run(&["new", "--", name]);
        assert_eq!(run.code, 2, "{name}: {run:?}");
        assert!(run.err.contains("expected lower-case letters, digits and hyphens"), "{run:?}");
    }
    assert!(!place.path("product.yaml").exists());
}

#[test]
fn every_mistake_of_a_product_is_told_at_once_with_its_place() {
    let place = Place::with_product();
    place.edit("security_level: 2 ", "security_levle: 2 ");
    place.edit("interfaces: [eth0]", "interfaces: [eth9]");
    let run = place.run(&["check"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("unknown key `security_levle`"), "{}", run.err);
    assert!(run.err.contains("--> product.yaml:7:1"), "{}", run.err);
    assert!(run.err.contains("security_level"), "{}", run.err);
    // What it names is looked at although its values cannot all be read.
    assert!(run.err.contains("the board `qemu-aarch64` has no interface `eth9`"), "{}", run.err);
    place.edit("service: ssh,", "service: shs,");
    place.edit("from: control,", "from: contorl,");
    place.edit("# layers:\n#   ssh: {port: 22}", "layers: {shs: {}}");
    let run = place.run(&["check"]);
    for says in [
        "expected a service, found `shs`, which is none",
        "hint: did you mean `ssh`?",
        "expected a zone, found `contorl`, which is none",
        "hint: did you mean `control`?",
        "found no `layers/shs/layer.yaml`",
    ] {
        assert!(run.err.contains(says), "{says}: {}", run.err);
    }
    place.edit("boards: [qemu-aarch64]", "boards: [qemu-aarch46]");
    let run = place.run(&["check"]);
    assert!(run.err.contains("there is no `boards/qemu-aarch46/board.yaml`"), "{}", run.err);
    let json = place.run(&["check", "--json"]);
    assert_eq!(json.failure().0, "input");
}

#[test]
fn a_missing_product_says_which() {
    let run = Place::new().run(&["check"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("cannot read `product.yaml`"), "{run:?}");
}

#[test]
fn an_unknown_board_is_refused() {
    let run = Place::with_product().run(&["plan", "--board", "qemu-aarch65"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("qemu-aarch65"), "{run:?}");
}

#[test]
fn the_example_is_right() {
    let product = top().join("examples/cell-gateway/product.yaml");
    let run = Place::new().run(&["check", "--json", product.to_str().unwrap()]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.json()["boards"][0]["board"], "qemu-aarch64");
}

#[test]
fn the_plan_is_the_same_bytes_each_time() {
    let place = Place::with_product();
    let (one, two) = (place.run(&["plan", "--json"]), place.run(&["plan", "--json"]));
    assert_eq!((one.code, one.err.as_str()), (0, ""));
    assert_eq!(one.out, two.out);
    assert_eq!(one.json()["product"]["name"], "gw");
    let text = place.run(&["plan"]);
    assert!(text.out.starts_with("gw 0.1.0 for qemu-aarch64\n"), "{}", text.out);
    assert!(text.out.contains("flows; everything else is denied\n  in  control tcp/22"), "{}", text.out);
}

#[test]
fn explain_names_who_asked_and_where() {
    let place = Place::with_product();
    let run = place.run(&["explain", "CONFIG_DEVMEM"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(
        run.out.starts_with("linux symbol DEVMEM\n  is not set\n  asked by layer kernel-hardening (layers/"),
        "{}",
        run.out
    );
    let json = place.run(&["explain", "/etc/ssh/sshd_config", "--json"]);
    assert_eq!(json.json()[0]["what"], "file");
}

#[test]
fn explain_of_what_is_not_there_helps_on() {
    let place = Place::with_product();
    let run = place.run(&["explain", "DEVMEMX"]);
    let expected = "\
error[not-in-plan]: nothing in the plan is named `DEVMEMX`
  hint: did you mean `DEVMEM`?
";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (3, "", expected));
    for (path, hint) in
        [("/etc/shadow", "users and groups"), ("/zzz/zzzz/zzzzz", "what packages bring is not in it")]
    {
        let run = place.run(&["explain", path]);
        assert!(run.code == 3 && run.err.contains(hint), "{run:?}");
    }
    let far = place.run(&["explain", "zzzzzzzzzzzz", "--json"]);
    assert_eq!((far.code, far.failure()), (3, ("input".into(), "not-in-plan".into())));
}

#[test]
fn diff_shows_what_changed_and_can_fail() {
    let place = Place::with_product();
    std::fs::copy(place.path("product.yaml"), place.path("old.yaml")).unwrap();
    let same = place.run(&["diff", "old.yaml", "product.yaml", "--same"]);
    assert_eq!((same.code, same.out.as_str()), (0, "no difference\n"), "{same:?}");
    place.edit("rate: 6/minute", "rate: 9/minute");
    let run = place.run(&["diff", "old.yaml", "product.yaml"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("control-ssh") && run.out.contains("9/minute"), "{}", run.out);
    // The generated ruleset by its lines, not by its digest alone.
    let changed = |sign: &str, rate: &str| {
        let line = format!("    {sign}");
        run.out.lines().any(|shown| shown.starts_with(&line) && shown.contains(rate))
    };
    assert!(changed("-", "6/minute") && changed("+", "9/minute"), "{}", run.out);
    assert!(run.out.contains("    @@ line "), "{}", run.out);
    let json = place.run(&["diff", "old.yaml", "product.yaml", "--json"]).json();
    let changes = json["plan"].as_array().unwrap();
    let lines = changes.iter().find(|change| change["key"] == "/etc/nftables.conf").unwrap();
    assert!(lines["lines"].to_string().contains("9/minute"), "{lines}");
    assert_eq!(place.run(&["diff", "old.yaml", "product.yaml", "--same"]).code, 6);
}

#[test]
fn requirements_and_attacks_are_explained() {
    let place = Place::with_product();
    let run = place.run(&["explain", "CR 1.1"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.starts_with("requirement CR 1.1\n") && run.out.contains("acct.no-default-password"),
        "{run:?}"
    );
    for name in ["kernel-byte-flipped", "attack.kernel-byte-flipped"] {
        let run = place.run(&["explain", name]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.out.starts_with("attack kernel-byte-flipped\n"), "{run:?}");
    }
    let run = place.run(&["explain", "CR 1.99"]);
    assert!(run.code == 3 && run.err.contains("did you mean `CR 1.9`?"), "{run:?}");
}
