//! `pki` and `provision`: certificates from the first root to the device's archive, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Place, Run, top};

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

/// The example with two tunnels, without its OPC UA server.
fn with_tunnels(place: &Place) {
    let text = std::fs::read_to_string(top().join("examples/plc-gateway/product.yaml")).unwrap();
    let (before, rest) = text.split_once("# What the application on the device speaks").unwrap();
    let (_, after) = rest.split_once("\nconduits:").unwrap();
    std::fs::write(place.path("product.yaml"), format!("{before}\nconduits:{after}")).unwrap();
}

#[test]
fn an_opcua_application_gets_its_key_and_its_trust_list() {
    let place = place();
    let example = std::fs::read_to_string(top().join("examples/plc-gateway/product.yaml")).unwrap();
    std::fs::write(place.path("product.yaml"), &example).unwrap();
    let uri = "--san uri:urn:plant.example:plc-gateway:17";
    good(keyed(&place, "init --organization Plant --algorithm rsa3072"));
    good(keyed(&place, &format!("issue plc --role opcua --algorithm rsa3072 {uri}")));
    good(keyed(&place, &format!("issue short --role opcua {uri}")));
    good(keyed(&place, "issue scada --role opcua --algorithm rsa3072 --san uri:urn:plant.example:scada"));
    good(keyed(&place, "issue gw --role device --common-name plc-gateway.plant.example"));
    good(keyed(&place, "issue eve --role operator --algorithm rsa3072"));
    private(&place.path("t"), "-----BEGIN OpenVPN tls-crypt-v2 client key-----\nAAAA\n");
    let provision = |more: &str| {
        let all = format!("provision {more} --pki ca -o gw.tar --passphrase-file p");
        place.run(&all.split_whitespace().collect::<Vec<_>>())
    };
    let refused = |more: &str, code: i32, message: &str| {
        let run = provision(more);
        assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
        assert!(!place.path("gw.tar").exists());
    };
    let tunnels = "gw --tls-crypt historian=t";
    refused(
        tunnels,
        2,
        "error[no-opcua]: the OPC UA application `plc` needs its identity, and `--opcua` names none",
    );
    refused("--opcua plc=plc", 2, "error[no-identity]: the devices of `plc-gateway` need an identity");
    let with = |opcua: &str| format!("{tunnels} --opcua {opcua}");
    refused(&with("plx=plc"), 2, "expected an OPC UA application in `--opcua`, found `plx`");
    refused(&with("plc=plc"), 2, "error[no-operator]: nobody may log in to the OPC UA server");
    refused(&with("plc=gw --operator eve"), 3, "error[wrong-role]: expected `opcua`, found `gw` as `device`");
    refused(
        &with("plc=plc --operator plc"),
        3,
        "error[wrong-role]: expected `operator`, found `plc` as `opcua`",
    );
    refused(
        &with("plc=short --operator eve"),
        3,
        "ask for a key `rsa` of 3072 to 4096 bits, and `short` has `p256` of 256 (OPC 10000-7)",
    );
    refused(
        &with("plc=scada --operator eve"),
        3,
        "expected `scada` to have the URI `urn:plant.example:plc-gateway`, or one that goes on with `:…`",
    );
    refused("plc --peer plc", 3, "expected `plc` to have another URI than `urn:plant.example:plc-gateway`");
    let made = good(provision(&with("plc=plc --operator eve --json"))).json();
    let paths = made["paths"].to_string();
    for path in ["own/private/application.pem", "trusted/crl/crl-2.crl", "users/trusted/certs/eve.der"] {
        assert!(paths.contains(&format!("lib/fastness/opcua/plc/{path}")), "{paths}");
    }
    let mut archive = tar::Archive::new(std::fs::File::open(place.path("gw.tar")).unwrap());
    let key = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|e| e.path().unwrap().ends_with("application.pem"));
    let key = key.unwrap();
    assert_eq!((key.header().mode().unwrap(), key.header().gid().unwrap()), (0o640, 131));
    std::fs::remove_file(place.path("gw.tar")).unwrap();
    let made = good(provision("scada --peer plc --json")).json();
    assert!(!made["paths"].to_string().contains("users/"), "{made}");
}

#[test]
fn an_authority_that_the_policies_or_the_stack_do_not_take_provisions_nothing() {
    let refused = |init: &str, message: &str| {
        let place = place();
        let example = std::fs::read_to_string(top().join("examples/plc-gateway/product.yaml")).unwrap();
        std::fs::write(place.path("product.yaml"), &example).unwrap();
        good(keyed(&place, &format!("init --organization Plant {init}")));
        good(keyed(&place, "issue scada --role opcua --algorithm rsa3072 --san uri:urn:plant.example:scada"));
        let run = place.run(&[
            "provision",
            "scada",
            "--peer",
            "plc",
            "--pki",
            "ca",
            "-o",
            "x.tar",
            "--passphrase-file",
            "p",
        ]);
        assert!(run.code == 3 && run.err.contains(message), "{run:?}");
    };
    refused("--algorithm p256", "take no authority with a key of another kind than `rsa`");
    refused(
        "--algorithm rsa3072 --domain plant.example",
        "error[name-constraints]: an authority of `scada` may name hosts",
    );
}

/// The same with the tunnel of strongSwan only, whose device is `gw.plant.example`.
fn only_scada(place: &Place) {
    with_tunnels(place);
    let path = place.path("product.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("  historian:\n").unwrap();
    let (_, after) = rest.split_once("\nconduits:").unwrap();
    let (conduits, rest) = after.split_once("  - name: historian-modbus").unwrap();
    let (_, last) = rest.split_once("  - name: plant-ssh").unwrap();
    let text = format!("{before}\nconduits:{conduits}  - name: plant-ssh{last}");
    std::fs::write(path, text.replace("plc-gateway.plant.example", "gw.plant.example")).unwrap();
}

#[test]
fn a_devices_secrets_go_into_an_archive_of_its_own() {
    let place = place();
    with_tunnels(&place);
    good(keyed(&place, "init --organization Plant --domain plant.example --algorithm p256"));
    private(&place.path("t"), "-----BEGIN OpenVPN tls-crypt-v2 client key-----\nAAAA\n");
    let provision = |more: &str| {
        let all = format!("provision {more} --pki ca -o gw.tar --passphrase-file p");
        place.run(&all.split_whitespace().collect::<Vec<_>>())
    };
    let refused = |more: &str, code: i32, message: &str| {
        let run = provision(more);
        assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
        assert!(!place.path("gw.tar").exists());
    };
    let common = "--common-name plc-gateway.plant.example --device-serial SN-17";
    good(keyed(&place, &format!("issue gw-17 --role device {common}")));
    good(keyed(&place, "issue gw-18.plant.example --role device"));
    good(keyed(&place, "issue scada.plant.example --role peer"));
    refused("gw-17", 2, "error[no-tls-crypt]: the tunnel `historian` needs its tls-crypt-v2 key");
    refused("gw-17 --tls-crypt scada=t", 2, "expected a tunnel with OpenVPN in `--tls-crypt`, found `scada`");
    let right = "gw-17 --tls-crypt historian=t";
    refused(
        "gw-18.plant.example --tls-crypt historian=t",
        3,
        "to be known as `dns:plc-gateway.plant.example`, found the common name `gw-18.plant.example`",
    );
    refused("eve --tls-crypt historian=t", 3, "error[not-issued]");
    refused("scada.plant.example --tls-crypt historian=t", 3, "error[wrong-name]");
    let made = good(provision(&format!("{right} --json"))).json();
    let paths: Vec<&str> =
        made["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert!(paths.contains(&"lib/fastness/ipsec/private/device.pem"), "{paths:?}");
    assert!(paths.contains(&"lib/fastness/openvpn/historian/device.key"), "{paths:?}");
    let meta = std::fs::metadata(place.path("gw.tar")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let again = provision(right);
    assert!(
        again.code == 8 && again.err.contains("error[archive-exists]: expected no file `gw.tar` yet"),
        "{again:?}"
    );
    std::fs::remove_file(place.path("gw.tar")).unwrap();

    refused("gw-17 --peer scada", 3, "to be known as `dns:scada.plant.example`");
    refused("scada.plant.example --peer skada", 3, "has no tunnel `skada`");
    std::fs::set_permissions(place.path("t"), PermissionsExt::from_mode(0o644)).unwrap();
    refused(right, 8, "error[key-permissions]");
    let peer = good(provision("scada.plant.example --peer scada --json")).json();
    assert_eq!(peer["paths"][0], "scada/private/peer.pem");
}

#[test]
fn a_device_and_its_collector_get_what_syslog_over_tls_needs() {
    let place = place();
    only_scada(&place);
    let path = place.path("product.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen(
        "  ntp: {protocol: ntp}\n",
        "  ntp: {protocol: ntp}\n  logs: {protocol: syslog-tls}\n",
        1,
    );
    let conduit = "conduits:\n  - {name: logs, from: device, to: plant, service: logs, peers: [192.0.2.40/32], reason: r}\n";
    let text = text.replacen("conduits:\n", conduit, 1);
    let collector = "logging: {collector: {name: logs.plant.example, address: 192.0.2.40, service: logs, local: gw.plant.example}}\n";
    std::fs::write(&path, text + collector).unwrap();
    good(keyed(&place, "init --organization Plant --domain plant.example --algorithm p256"));
    for identity in [
        "gw.plant.example --role device",
        "logs.plant.example --role peer",
        "other.plant.example --role peer",
    ] {
        good(keyed(&place, &format!("issue {identity}")));
    }
    let provision = |more: &str| {
        let all = format!("provision {more} --pki ca -o out.tar --passphrase-file p");
        place.run(&all.split_whitespace().collect::<Vec<_>>())
    };
    private(&place.path("short"), "abc\n");
    let run = provision("gw.plant.example --seal short");
    assert!(
        run.code == 3 && run.err.contains("expected 64 lower-case hexadecimal digits in `short`"),
        "{run:?}"
    );
    let run = provision("other.plant.example --peer logs.plant.example");
    assert!(run.code == 3 && run.err.contains("to be known as `dns:logs.plant.example`"), "{run:?}");
    private(&place.path("key"), &("5a".repeat(32) + "\n"));
    let made = good(provision("gw.plant.example --seal key --json")).json();
    let paths = made["paths"].to_string();
    for path in
        ["lib/fastness/forward/device.key", "lib/fastness/ipsec/private/device.pem", "log/events/state/seal"]
    {
        assert!(paths.contains(path), "{paths}");
    }
    std::fs::remove_file(place.path("out.tar")).unwrap();
    let made = good(provision("logs.plant.example --peer logs.plant.example --json")).json();
    assert_eq!(
        made["paths"].to_string(),
        r#"["logs.plant.example/ca.pem","logs.plant.example/peer.key","logs.plant.example/peer.pem"]"#
    );
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
