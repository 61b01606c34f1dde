//! A request to a company's authority, which is OpenSSL here, and its answer; and what a device gets of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use pki::provision::{End, Target, archive, items};
use pki::verify::read_pem;
use pki::{Algorithm, Answer, Authority, Identity, Init, Reason, Request, Role, accept, accepted, requested};
use secret::Secret;
use tempfile::TempDir;

/// 2100: the company's certificates are made with this machine's clock, for two centuries.
const NOW: u64 = 4_102_444_800;
const DAY: u64 = 86_400;

fn secret() -> Secret {
    Secret::new(b"a passphrase of the tests".to_vec())
}

fn tool_is_there() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is not installed");
    if !there {
        eprintln!("SKIPPED: openssl is not installed");
    }
    there
}

fn made(folder: &Path, arguments: &str) {
    let run =
        Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

fn request(name: &str, role: Role) -> Request {
    Request {
        name: name.to_owned(),
        common_name: None,
        role,
        names: Vec::new(),
        device_serial: None,
        days: None,
        algorithm: Algorithm::P256,
        csr: None,
    }
}

/// The company signs a request with these extensions.
fn company(folder: &Path, csr: &str, extensions: &str) {
    fs::write(folder.join("e"), extensions).unwrap();
    if !folder.join("co.pem").exists() {
        made(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout co.key -out co.pem -days 73000 -subj /CN=company -addext keyUsage=critical,keyCertSign,cRLSign",
        );
    }
    made(folder, &format!("req -verify -noout -in {csr}"));
    made(
        folder,
        &format!("x509 -req -in {csr} -CA co.pem -CAkey co.key -days 73000 -extfile e -out answer.pem"),
    );
}

fn answer(folder: &Path) -> Answer {
    Answer {
        chain: read_pem(&fs::read(folder.join("answer.pem")).unwrap(), "CERTIFICATE").unwrap(),
        roots: read_pem(&fs::read(folder.join("co.pem")).unwrap(), "CERTIFICATE").unwrap(),
        lists: Vec::new(),
    }
}

const RIGHT: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:gw.plant.example";

#[test]
fn the_answer_of_a_company_is_taken_once_and_only_if_it_is_what_was_asked() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("pki");
    let one = request("gw.plant.example", Role::Device);
    pki::request(&store, &one, "Plant", &secret()).unwrap();
    let again = pki::request(&store, &one, "Plant", &secret()).unwrap_err();
    assert!(again.to_string().contains("a request of `gw.plant.example` waits for its answer"), "{again}");
    let csr = "pki/requests/gw.plant.example.csr";
    let refused = |extensions: &str, at: u64| {
        company(folder.path(), csr, extensions);
        accept(&store, "gw.plant.example", &answer(folder.path()), &secret(), at).unwrap_err().to_string()
    };
    let usage = refused(&RIGHT.replace("clientAuth", "serverAuth"), NOW);
    assert!(usage.contains("expected the extended key usage clientAuth"), "{usage}");
    let name = refused(&RIGHT.replace("DNS:gw", "DNS:other"), NOW);
    assert!(name.contains("the certificate is not that of `dns:gw.plant.example`"), "{name}");
    let late = refused(RIGHT, NOW + 73_000 * DAY);
    assert!(late.contains("error[expired]"), "{late}");
    let early = refused(RIGHT, 1_000_000_000);
    assert!(early.contains("is the clock right?"), "{early}");

    // Another key than the requested one.
    made(
        folder.path(),
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -out o.csr -subj /CN=o",
    );
    company(folder.path(), "o.csr", RIGHT);
    let other = accept(&store, "gw.plant.example", &answer(folder.path()), &secret(), NOW).unwrap_err();
    assert_eq!(other.diagnostics[0].code, "key-mismatch");
    assert_eq!(requested(&store).unwrap().len(), 1);

    company(folder.path(), csr, RIGHT);
    let unknown = Answer { roots: answer(folder.path()).chain, ..answer(folder.path()) };
    let unknown = accept(&store, "gw.plant.example", &unknown, &secret(), NOW).unwrap_err();
    assert!(unknown.to_string().contains("error[unknown-ca]"), "{unknown}");
    let entry = accept(&store, "gw.plant.example", &answer(folder.path()), &secret(), NOW).unwrap();
    assert_eq!((accepted(&store).unwrap(), requested(&store).unwrap().len()), (vec![entry], 0));
    // The next request of the name is its renewal.
    assert_eq!(pki::request(&store, &one, "Plant", &secret()).unwrap().file, "gw.plant.example+2");
    let missing = accept(&store, "eve", &answer(folder.path()), &secret(), NOW).unwrap_err();
    assert_eq!(missing.diagnostics[0].code, "not-requested");
}

fn identity_of(folder: &Path, role: Role, now: u64) -> diag::Outcome<Identity> {
    let store = folder.join("pki");
    if !store.exists() {
        let init = Init {
            organization: "Plant".to_owned(),
            algorithm: Algorithm::P384,
            days: 7300,
            crl_url: None,
            ocsp_url: None,
            domains: Vec::new(),
        };
        let mut authority = Authority::init(&store, &init, &secret(), NOW).unwrap();
        authority.issue(&request("gw.plant.example", role), &secret()).unwrap();
    }
    Identity::open(&store, "gw.plant.example", None, &secret(), now)
}

#[test]
fn a_device_gets_its_key_its_chain_and_its_lists_where_the_layers_look() {
    let folder = TempDir::new().unwrap();
    let identity = identity_of(folder.path(), Role::Device, NOW + DAY).unwrap();
    assert!(!format!("{identity:?}").contains("PRIVATE"), "{identity:?}");
    let key = Secret::new(b"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n".to_vec());
    let folder = |name: &str| format!("lib/fastness/{name}");
    let targets = [
        Target::Ipsec { folder: folder("ipsec") },
        Target::Openvpn { folder: folder("openvpn/uplink"), tls_crypt: key },
        Target::Collector { folder: folder("forward") },
    ];
    let mut items = items(&identity, End::Device, &targets).unwrap();
    pki::provision::seal(&mut items, "log/events", "00000000000000000001 ab\n").unwrap();
    let bytes = archive(&items, 0).unwrap();
    assert_eq!(*bytes, *archive(&items, 0).unwrap());
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(bytes.as_slice());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let first = text.lines().next().unwrap_or_default().replace('-', "");
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        found.push(format!("{:o} {path} {first}", entry.header().mode().unwrap()).trim_end().to_owned());
    }
    let expected = [
        "755 lib/",
        "755 lib/fastness/",
        "700 lib/fastness/forward/",
        "600 lib/fastness/forward/ca.pem BEGIN CERTIFICATE",
        "600 lib/fastness/forward/device.key BEGIN PRIVATE KEY",
        "600 lib/fastness/forward/device.pem BEGIN CERTIFICATE",
        "700 lib/fastness/ipsec/",
        "700 lib/fastness/ipsec/private/",
        "600 lib/fastness/ipsec/private/device.pem BEGIN PRIVATE KEY",
        "700 lib/fastness/ipsec/x509/",
        "600 lib/fastness/ipsec/x509/device.pem BEGIN CERTIFICATE",
        "700 lib/fastness/ipsec/x509ca/",
        "600 lib/fastness/ipsec/x509ca/issuing-1.pem BEGIN CERTIFICATE",
        "600 lib/fastness/ipsec/x509ca/root-1.pem BEGIN CERTIFICATE",
        "700 lib/fastness/ipsec/x509crl/",
        "600 lib/fastness/ipsec/x509crl/crl-1.pem BEGIN X509 CRL",
        "600 lib/fastness/ipsec/x509crl/crl-2.pem BEGIN X509 CRL",
        "711 lib/fastness/openvpn/",
        "711 lib/fastness/openvpn/uplink/",
        "644 lib/fastness/openvpn/uplink/ca.pem BEGIN CERTIFICATE",
        "644 lib/fastness/openvpn/uplink/crl.pem BEGIN X509 CRL",
        "600 lib/fastness/openvpn/uplink/device.key BEGIN PRIVATE KEY",
        "644 lib/fastness/openvpn/uplink/device.pem BEGIN CERTIFICATE",
        "600 lib/fastness/openvpn/uplink/tls-crypt-v2.key BEGIN OpenVPN tlscryptv2 client key",
        "755 log/",
        "700 log/events/",
        "700 log/events/state/",
        "600 log/events/state/seal 00000000000000000001 ab",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_identity_of_a_device_is_not_provisioned() {
    let folder = TempDir::new().unwrap();
    let server = identity_of(folder.path(), Role::Server, NOW + DAY).unwrap();
    let ipsec = [Target::Ipsec { folder: "x".to_owned() }];
    let role = items(&server, End::Device, &ipsec).err().unwrap();
    assert!(role.to_string().contains("expected a `device`, found `gw.plant.example` as `server`"), "{role}");

    let folder = TempDir::new().unwrap();
    let identity = identity_of(folder.path(), Role::Device, NOW + DAY).unwrap();
    let bad = |target: Target| items(&identity, End::Device, &[target]).err().unwrap().to_string();
    let key = Secret::new(b"-----BEGIN OpenVPN Static key V1-----".to_vec());
    let key = bad(Target::Openvpn { folder: "x".to_owned(), tls_crypt: key });
    assert!(key.contains("error[bad-tls-crypt]") && !key.contains("Static"), "{key}");
    for folder in ["../../etc", "", "/etc", "a//b"] {
        let path = bad(Target::Ipsec { folder: folder.to_owned() });
        assert!(path.contains("error[bad-path]"), "{path}");
    }
    let name = identity.check_name(&"dns:plc.plant.example".parse().unwrap(), false).unwrap_err();
    assert!(
        name.to_string().contains("to be known as `dns:plc.plant.example`, found the common name"),
        "{name}"
    );
    identity.check_name(&"dns:gw.plant.example".parse().unwrap(), true).unwrap();
    // Lists end before certificates do.
    let stale = identity_of(folder.path(), Role::Device, NOW + 31 * DAY).unwrap_err();
    assert!(
        stale.to_string().contains("error[stale-crl]") && stale.to_string().contains("`fastness pki crl`"),
        "{stale}"
    );
    // The key of another.
    let store = folder.path().join("pki");
    let mut authority = Authority::open(&store, NOW).unwrap();
    authority.issue(&request("b.plant.example", Role::Device), &secret()).unwrap();
    let issued = store.join("issued");
    fs::copy(issued.join("b.plant.example.key.pem"), issued.join("gw.plant.example.key.pem")).unwrap();
    let mismatch = identity_of(folder.path(), Role::Device, NOW + DAY).unwrap_err();
    assert!(mismatch.to_string().contains("do not belong together"), "{mismatch}");
    let b = |now| Identity::open(&store, "b.plant.example", None, &secret(), now);
    b(NOW + DAY).unwrap();
    authority.revoke("b.plant.example", Reason::KeyCompromise).unwrap();
    assert_eq!(b(NOW + DAY).unwrap_err().diagnostics[0].code, "not-issued");
}
