//! `pki` and `provision`: certificates from the first root to the device's archive, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::provision::only_scada;
use crate::support::{Place, Run};

const PASSPHRASE: [&str; 2] = ["--passphrase-file", "p"];

/// A place with a passphrase in `p`.
pub(crate) fn place() -> Place {
    let place = Place::new();
    private(&place.path("p"), "correct horse\n");
    place
}

pub(crate) fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// Runs `pki` with the authority in `ca`.
pub(crate) fn pki(place: &Place, arguments: &str) -> Run {
    let mut all = vec!["pki"];
    all.extend(arguments.split_whitespace());
    all.extend(["--pki", "ca"]);
    place.run(&all)
}

pub(crate) fn keyed(place: &Place, arguments: &str) -> Run {
    pki(place, &format!("{arguments} {}", PASSPHRASE.join(" ")))
}

pub(crate) fn good(run: Run) -> Run {
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    run
}

/// With a root, an issuing CA and a device.
pub(crate) fn with_device() -> Place {
    let place = place();
    good(keyed(&place, "init --organization Plant --domain plant.example --algorithm p256"));
    good(keyed(&place, "issue gw.plant.example --role device"));
    place
}

pub(crate) fn openssl(place: &Place, arguments: &str) -> (bool, String) {
    let run = Command::new("openssl")
        .current_dir(place.path("."))
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

#[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
pub(crate) fn has_openssl() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is not installed");
    if !there {
        eprintln!("SKIPPED: openssl is not installed");
    }
    there
}

#[test]
fn the_next_issuing_ca_needs_the_roots_key() {
    let place = with_device();
    let made = good(keyed(&place, "issuing"));
    assert!(
        made.out.contains("`ca/issuing+2.crt`") && made.out.contains("put `root.key.pem` away again"),
        "{made:?}"
    );
    good(keyed(&place, "issue scada.plant.example --role peer"));
    for (name, purpose) in [("gw", "client"), ("scada", "server")] {
        let lists = "--crl ca/crl.pem --crl ca/root.crl.pem --strict";
        good(pki(&place, &format!("verify ca/issued/{name}.plant.example.crt --purpose {purpose} {lists}")));
    }
    std::fs::remove_file(place.path("ca/root.key.pem")).unwrap();
    let refused = keyed(&place, "issuing --json");
    assert_eq!((refused.code, refused.failure().1.as_str()), (8, "no-key"));
}

#[test]
fn a_device_is_issued_verified_renewed_revoked_and_listed() {
    let place = with_device();
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca"), mode("ca/root.key.pem"), mode("ca/issuing.key.pem")), (0o700, 0o600, 0o600));
    let key = std::fs::read_to_string(place.path("ca/issued/gw.plant.example.key.pem")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");

    let certificate = "ca/issued/gw.plant.example.crt";
    let verify = format!(
        "verify {certificate} --name dns:gw.plant.example --purpose client --crl ca/crl.pem --crl ca/root.crl.pem --strict"
    );
    let verified = good(pki(&place, &verify));
    assert_eq!(
        verified.out,
        "verified: CN=gw.plant.example,O=Plant, issued by CN=Plant issuing CA,O=Plant, issued by CN=Plant root CA,O=Plant\n"
    );
    if has_openssl() {
        let (right, said) = openssl(
            &place,
            &format!(
                "verify -x509_strict -crl_check_all -CRLfile ca/crl.pem -CRLfile ca/root.crl.pem -CAfile ca/root.crt -untrusted ca/issuing.crt -purpose sslclient -verify_hostname gw.plant.example {certificate}"
            ),
        );
        assert!(right, "{said}");
        let (right, said) =
            openssl(&place, "pkey -in ca/issued/gw.plant.example.key.pem -passin file:p -check -noout");
        assert!(right, "{said}");
    }
    let pair = format!("verify {certificate} --key ca/issued/gw.plant.example.key.pem");
    good(keyed(&place, &pair));

    let again = keyed(&place, "issue gw.plant.example --role device --json");
    assert_eq!((again.code, again.failure().1.as_str()), (3, "already-issued"));
    let renewed = good(keyed(&place, "renew gw.plant.example --json")).json();
    assert_eq!(
        (renewed["file"].as_str(), renewed["role"].as_str()),
        (Some("gw.plant.example+2"), Some("device"))
    );

    let revoked = good(pki(&place, "revoke gw.plant.example --reason key-compromise"));
    assert!(
        revoked.out.ends_with("until `fastness pki crl` has signed a list and it is published\n"),
        "{revoked:?}"
    );
    let list = good(keyed(&place, "crl --json")).json();
    assert_eq!((list["number"].as_u64(), list["revoked"].as_u64()), (Some(2), Some(2)));
    for verify in [verify, format!("verify {certificate}")] {
        let refused = pki(&place, &verify);
        assert_eq!((refused.code, refused.out.as_str()), (6, ""));
        assert!(refused.err.contains("error[revoked]: the certificate was revoked on "), "{refused:?}");
    }

    let all = good(pki(&place, "list --json")).json();
    assert_eq!(all["issued"].as_array().unwrap().len(), 2);
    let shown = good(pki(&place, "show gw.plant.example"));
    assert!(shown.out.contains("  names        dns:gw.plant.example\n"), "{shown:?}");
    assert_eq!(pki(&place, "show eve").code, 3);
}

#[test]
fn each_refusal_of_a_certificate_has_its_own_reason() {
    let place = with_device();
    let certificate = "ca/issued/gw.plant.example.crt";
    let refused = |more: &str| {
        let run = pki(&place, &format!("verify {certificate} {more} --json"));
        assert_eq!((run.code, run.out.as_str()), (6, ""), "{run:?}");
        run.failure().1
    };
    assert_eq!(refused("--at 2020-01-01T00:00:00Z"), "not-yet-valid");
    assert_eq!(refused("--at 2200-01-01T00:00:00Z"), "expired");
    assert_eq!(refused("--name dns:other.plant.example"), "wrong-name");
    assert_eq!(refused("--purpose server"), "wrong-usage");
    // The product's own lists count unless others are named; a foreign root has none here.
    assert_eq!(refused("--strict --root ca/root.crt"), "no-crl");
    good(pki(&place, &format!("verify {certificate} --strict")));
    // Another authority of the same name.
    good(place.run(&["pki", "init", "--organization", "Plant", "--pki", "other", "--passphrase-file", "p"]));
    assert_eq!(refused("--root other/root.crt"), "bad-signature");
    good(place.run(&["pki", "init", "--organization", "Other", "--pki", "third", "--passphrase-file", "p"]));
    assert_eq!(refused("--root third/root.crt"), "unknown-ca");
    let root = pki(&place, "verify third/root.crt --json");
    assert_eq!((root.code, root.failure().1.as_str()), (6, "self-signed"));
    // The key of another.
    let other = keyed(&place, &format!("verify {certificate} --key ca/issuing.key.pem --json"));
    assert_eq!((other.code, other.failure().1.as_str()), (8, "key-mismatch"));
    std::fs::write(place.path("rubbish"), [0xff; 64]).unwrap();
    let rubbish = pki(&place, "verify rubbish");
    assert_eq!(rubbish.code, 3);
    assert!(rubbish.err.contains("error[malformed]") && rubbish.err.contains("in `rubbish`"), "{rubbish:?}");
}

#[test]
fn bad_input_leaves_nothing_half_written() {
    let place = place();
    let wrong = |arguments: &str, code: i32, message: &str| {
        let run = keyed(&place, arguments);
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
        assert!(run.err.contains(message) && !run.err.contains("correct horse"), "{run:?}");
    };
    wrong("issue gw --role device", 8, "there is no authority in `ca`");
    wrong("init --organization Plant --days 1", 3, "expected a validity of 2 to 36500 days, found 1");
    wrong("init --organization Plant --crl-url http://x/$(id)", 3, "expected an address `http://…`");
    wrong("init --organization Plant --domain a;reboot", 3, "expected a host name");
    assert!(!place.path("ca/index.json").exists() && !place.path("ca/root.key.pem").exists());
    good(keyed(&place, "init --organization Plant --domain plant.example --algorithm p256"));
    wrong("init --organization Plant", 8, "it is never overwritten");
    let before = std::fs::read(place.path("ca/index.json")).unwrap();
    wrong("issue $(reboot) --role device", 2, "expected a key name");
    wrong("issue ../../x --role device", 2, "expected a key name");
    wrong("issue gw --role server --san dns:a;b", 2, "expected a host name");
    wrong("issue gw --role server --san dns:*.plant.example", 2, "no wildcard");
    wrong("issue eve --role opcua", 3, "expected a `uri:` name");
    wrong("issue gw --role idevid", 3, "expected a serial number of the device");
    wrong("issue gw.plant.example --role device --days 4000", 3, "ends before its issuer's on");
    wrong("issue gw.plant.example --role device --csr none", 4, "cannot read `none`");
    wrong(
        "issue gw.other.example --role device",
        3,
        "error[name-constraint]: nobody would take it: its issuer may not give the name `gw.other.example`",
    );
    wrong(
        "issue gw --role operator --algorithm rsa2048",
        2,
        "[possible values: p256, p384, rsa3072, rsa4096]",
    );
    wrong("issue gw --role operator --passphrase hush", 2, "unexpected argument '--passphrase'");
    wrong("revoke eve --reason superseded", 2, "unexpected argument '--passphrase-file'");
    let run = pki(&place, "revoke eve --reason superseded");
    assert!(run.code == 3 && run.err.contains("there is no valid certificate of `eve`"), "{run:?}");
    private(&place.path("q"), "guess\n");
    let run = pki(&place, "issue gw.plant.example --role device --passphrase-file q");
    assert!(
        run.code == 8 && run.err.contains("error[wrong-passphrase]") && !run.err.contains("guess"),
        "{run:?}"
    );
    assert_eq!(std::fs::read(place.path("ca/index.json")).unwrap(), before);
    assert!(!place.path("ca/issued").exists());

    // A clock that went back: something was done here later than now.
    let later = String::from_utf8(before).unwrap().replace("\"latest\": ", "\"latest\": 99");
    std::fs::write(place.path("ca/index.json"), later).unwrap();
    wrong("issue gw.plant.example --role device", 4, "error[clock-wrong]: the clock says ");
}

#[test]
fn a_companys_answer_is_checked_and_taken() {
    if !has_openssl() {
        return;
    }
    let place = place();
    let asked = good(keyed(&place, "request gw.plant.example --role device --organization Plant"));
    assert!(asked.out.ends_with("send `ca/requests/gw.plant.example.csr` to the authority\n"), "{asked:?}");
    let made = |arguments: &str| {
        let (right, said) = openssl(&place, arguments);
        assert!(right, "{said}");
    };
    made(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout co.key -out co.pem -days 3650 -subj /CN=company -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    let sign =
        "x509 -req -in ca/requests/gw.plant.example.csr -CA co.pem -CAkey co.key -days 700 -out answer.pem";
    made(sign);
    let accept = "accept gw.plant.example answer.pem --root co.pem";
    let bare = keyed(&place, accept);
    assert_eq!((bare.code, bare.out.as_str()), (6, ""));
    assert!(bare.err.contains("error[wrong-name]"), "{bare:?}");
    made(&format!("{sign} -copy_extensions copyall"));
    let taken = good(keyed(&place, accept));
    assert!(taken.out.ends_with("in `ca/accepted/gw.plant.example.crt`\n"), "{taken:?}");
    only_scada(&place);
    let provision = ["provision", "gw.plant.example", "--pki", "ca", "-o", "gw.tar"];
    let without = place.run(&[&provision[..], &PASSPHRASE].concat());
    assert!(without.code == 6 && without.err.contains("error[no-crl]"), "{without:?}");
    assert!(!place.path("gw.tar").exists());
    std::fs::write(place.path("index"), "").unwrap();
    std::fs::write(place.path("c"), "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\ncrl_extensions=x\n[x]\nauthorityKeyIdentifier=keyid\n").unwrap();
    made("ca -gencrl -config c -cert co.pem -keyfile co.key -crldays 30 -out co.crl.pem");
    good(place.run(&[&provision[..], &["--crl", "co.crl.pem"], &PASSPHRASE].concat()));
}

#[test]
fn keys_of_openssh_are_certified_for_named_principals() {
    let place = with_device();
    // The public key of the examples.
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOrW5gdHbUWfyLRjOzV1W8c9rHW2MGPauEz7fM6UdORc eve\n";
    std::fs::write(place.path("eve.pub"), key).unwrap();
    let refused = |arguments: &str, code: i32, message: &str| {
        let run = keyed(&place, arguments);
        assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
    };
    refused("ssh eve eve.pub --kind user", 2, "--principal <NAME>");
    refused(
        "ssh eve eve.pub --kind user --principal a;b",
        3,
        "expected account names for `eve`, found `a;b`",
    );
    refused("ssh gw eve.pub --kind host --principal $(id)", 3, "expected host names or addresses");
    refused("ssh eve ca/root.crt --kind user --principal a", 3, "error[bad-public-key]");
    refused(
        "ssh eve eve.pub --kind user --principal a --days 9999",
        3,
        "expected a validity of 1 to 1095 days",
    );
    assert!(!place.path("ca/ssh-user-ca.pub").exists());

    let made = good(keyed(&place, "ssh eve eve.pub --kind user --principal maintenance --json")).json();
    let authority = std::fs::read_to_string(place.path("ca/ssh-user-ca.pub")).unwrap();
    assert_eq!(made["authority"].as_str(), Some(authority.trim_end()));
    let host = good(keyed(&place, "ssh gw eve.pub --kind host --principal gw.plant.example --json")).json();
    assert_ne!(host["authority"], made["authority"]);
    // The same authority, the next number.
    let next = good(keyed(&place, "ssh bob eve.pub --kind user --principal bob --json")).json();
    assert_eq!((&next["authority"], next["serial"].as_u64()), (&made["authority"], Some(3)));
    assert_eq!(good(pki(&place, "list --json")).json()["ssh"].as_array().unwrap().len(), 3);
    let there = Command::new("ssh-keygen").arg("-?").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "ssh-keygen is not installed");
    if !there {
        return;
    }
    let shown = |certificate: &serde_json::Value| {
        // Reading it, ssh-keygen verifies the signature.
        let file = certificate["certificate"].as_str().unwrap();
        let run = Command::new("ssh-keygen").current_dir(place.path(".")).args(["-L", "-f", file]).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let user = shown(&made);
    assert!(user.contains("ssh-ed25519-cert-v01@openssh.com user certificate"), "{user}");
    assert!(user.contains("Key ID: \"eve\"") && user.contains("                maintenance\n"), "{user}");
    assert!(user.contains("Critical Options: (none)") && user.contains("permit-pty"), "{user}");
    assert!(
        !user.contains("permit-port-forwarding") && user.contains("(using ecdsa-sha2-nistp384)"),
        "{user}"
    );
    let host = shown(&host);
    assert!(host.contains("host certificate") && host.contains("Extensions: (none)"), "{host}");
}

#[test]
fn the_authority_of_a_product_has_the_products_name() {
    let place = Place::with_product();
    private(&place.path("p"), "correct horse\n");
    good(place.run(&[
        "pki",
        "init",
        "--organization",
        "Plant",
        "--algorithm",
        "p256",
        "--passphrase-file",
        "p",
    ]));
    assert!(place.path(".local/share/fastness/pki/gw/root.crt").is_file());
}
