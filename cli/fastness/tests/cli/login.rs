//! `--login USER=FILE` of `build --prove` and of `boot`: what is refused before any work.

use std::fs;

use crate::support::Place;

#[test]
fn a_login_of_nobody_or_without_a_key_is_refused_before_anything_is_built() {
    let place = Place::with_product();
    place.add(
        "\nusers:\n  eve: {uid: 2000, ssh_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOrW5gdHbUWfyLRjOzV1W8c9rHW2MGPauEz7fM6UdORc eve\"]}\n",
    );
    fs::write(place.path("key"), "k").unwrap();
    for (login, code, message) in [
        ("adam=key", "unknown-user", "expected a user of the product in `--login`, found `adam`"),
        ("eve=gone", "missing-login-key", "found none at `gone`"),
        ("eve=.", "missing-login-key", "found none at `.`"),
    ] {
        let run = place.run(&["build", "--prove", "--login", login]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(message), "{}", run.err);
        let run = place.run(&["build", "--prove", "--login", login, "--json"]);
        assert_eq!(run.failure().1, code);
    }
    assert!(!place.path("out").exists());
    // One that is there goes on: to the key that signs, which is missing here.
    let run = place.run(&["build", "--prove", "--login", "eve=key"]);
    assert_ne!((run.code, run.err.contains("--login")), (2, true), "{run:?}");
    // It means nothing without a proof, and is `USER=FILE`.
    for arguments in [&["build", "--login", "eve=key"][..], &["build", "--prove", "--login", "eve"]] {
        assert_eq!(place.run(arguments).code, 2);
    }
    assert!(place.run(&["build", "--prove", "--login", "eve"]).err.contains("expected `USER=FILE`"));
    assert!(place.run(&["build", "--help"]).out.contains("--login <USER=FILE>"));
}
