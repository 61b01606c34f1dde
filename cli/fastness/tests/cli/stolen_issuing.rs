//! `pki issuing --stolen`: an issuing CA whose key is in other hands is answered below the same root.

use crate::pki::{good, has_openssl, keyed, openssl, pki, with_device};

const LISTS: &str = "--crl ca/crl.pem --crl ca/root.crl.pem --strict";

#[test]
fn a_stolen_issuing_ca_is_answered_below_the_same_root() {
    let place = with_device();
    good(keyed(&place, "issue scada.plant.example --role peer"));
    // The thief has the whole folder, and its passphrase.
    let copied =
        std::process::Command::new("cp").arg("-a").args([place.path("ca"), place.path("thief")]).status();
    assert!(copied.unwrap().success());
    let theirs = |arguments: &str| {
        let all = format!("pki {arguments} --pki thief --passphrase-file p");
        place.run(&all.split_whitespace().collect::<Vec<_>>())
    };
    good(theirs("renew scada.plant.example"));
    good(theirs("crl"));
    let forged = format!("verify thief/issued/scada.plant.example+2.crt --purpose server {LISTS}");
    good(pki(&place, &forged));

    let root = std::fs::read(place.path("ca/root.crt")).unwrap();
    let made = good(keyed(&place, "issuing --stolen"));
    assert!(
        made.out.contains("`ca/issuing+2.crt`") && made.out.contains("everything that was issued is revoked"),
        "{made:?}"
    );
    assert_eq!(std::fs::read(place.path("ca/root.crt")).unwrap(), root, "what devices trust is the same");
    let listed = good(pki(&place, "list --json"));
    assert_eq!(listed.out.matches("ca-compromise").count(), 2, "{listed:?}");
    // What the thief signed, and what had been signed before, is refused with the root's new list.
    for file in ["thief/issued/scada.plant.example+2.crt", "ca/issued/gw.plant.example.crt"] {
        let refused = pki(&place, &format!("verify {file} {LISTS}"));
        assert!(refused.code == 6 && refused.err.contains("error[revoked]"), "{refused:?}");
    }
    // The thief signs a list of that CA which says nothing: it is the root's that counts.
    good(theirs("crl"));
    let refused = pki(
        &place,
        "verify thief/issued/scada.plant.example+2.crt --crl thief/crl.pem --crl ca/root.crl.pem --strict",
    );
    assert!(refused.code == 6 && refused.err.contains("error[revoked]"), "{refused:?}");

    // Both ends get new certificates from the new one.
    good(keyed(&place, "renew gw.plant.example"));
    good(keyed(&place, "issue scada.plant.example --role peer"));
    for (name, purpose) in [("gw", "client"), ("scada", "server")] {
        good(pki(
            &place,
            &format!("verify ca/issued/{name}.plant.example+2.crt --purpose {purpose} {LISTS}"),
        ));
    }
    if has_openssl() {
        std::fs::write(
            place.path("lists"),
            std::fs::read_to_string(place.path("ca/root.crl.pem")).unwrap()
                + &std::fs::read_to_string(place.path("ca/crl.pem")).unwrap(),
        )
        .unwrap();
        let verify = "verify -crl_check_all -CRLfile lists -CAfile ca/root.crt";
        let (held, said) = openssl(
            &place,
            &format!("{verify} -untrusted ca/issuing+2.crt ca/issued/gw.plant.example+2.crt"),
        );
        assert!(held, "{said}");
        let (held, said) = openssl(
            &place,
            &format!("{verify} -untrusted ca/issuing.crt thief/issued/scada.plant.example+2.crt"),
        );
        assert!(!held && said.contains("certificate revoked"), "{said}");
    }

    // The next one in order does not forget it, and a second theft takes the second one alone on top.
    good(keyed(&place, "issuing"));
    let refused = pki(&place, &format!("verify thief/issued/scada.plant.example+2.crt {LISTS}"));
    assert!(refused.code == 6 && refused.err.contains("error[revoked]"), "{refused:?}");
    good(pki(&place, &format!("verify ca/issued/gw.plant.example+2.crt {LISTS}")));
    good(keyed(&place, "issuing --stolen"));
    let refused = pki(&place, &format!("verify ca/issued/gw.plant.example+2.crt {LISTS}"));
    assert!(refused.code == 6 && refused.err.contains("error[revoked]"), "{refused:?}");
}

#[test]
fn without_the_roots_key_nothing_is_revoked() {
    let place = with_device();
    std::fs::remove_file(place.path("ca/root.key.pem")).unwrap();
    let before = std::fs::read(place.path("ca/index.json")).unwrap();
    let refused = keyed(&place, "issuing --stolen --json");
    assert_eq!((refused.code, refused.failure().1.as_str()), (8, "no-key"));
    assert_eq!(std::fs::read(place.path("ca/index.json")).unwrap(), before);
    assert!(!place.path("ca/issuing+2.crt").exists());
}
