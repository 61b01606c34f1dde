//! What `pki` and `provision` give programs that know no certificates: keys of WireGuard, and OpenSSH's list of revoked keys.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{Place, Run, top};

/// The second and the first private key of RFC 7748, 6.1: the device's and that of the example's peer.
const DEVICE: &str = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=";
const DEVICE_PUBLIC: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
const PEER: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PEER_PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const SHARED: &str = "Sl2dW6TOLeFyjjv0gDUPJeB+IclH0Z4zdvCbPB4WF0I=";

fn run(place: &Place, arguments: &str) -> Run {
    place.run(&arguments.split_whitespace().collect::<Vec<_>>())
}

fn good(run: Run) -> Run {
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    run
}

/// A place with the example of WireGuard, keys and an authority.
fn place() -> Place {
    let place = Place::new();
    std::fs::copy(top().join("examples/pump-station/product.yaml"), place.path("product.yaml")).unwrap();
    for (name, text) in [("p", "correct horse"), ("device", DEVICE), ("peer", PEER), ("shared", SHARED)] {
        std::fs::write(place.path(name), format!("{text}\n")).unwrap();
        std::fs::set_permissions(place.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    good(run(&place, "pki init --organization Water --algorithm p256 --pki ca --passphrase-file p"));
    place
}

#[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
fn has(tool: &str) -> bool {
    let there = Command::new(tool).arg("--help").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{tool} is not installed");
    if !there {
        eprintln!("SKIPPED: {tool} is not installed");
    }
    there
}

fn members(place: &Place, archive: &str) -> Vec<(String, u32, String)> {
    let bytes = std::fs::read(place.path(archive)).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        (path, entry.header().mode().unwrap(), text)
    });
    entries.collect()
}

#[test]
fn both_ends_of_wireguard_get_their_keys_beside_certificates_and_none_of_the_other_end() {
    let place = place();
    good(run(
        &place,
        "pki issue gw --role device --common-name pump-station.water.example --pki ca --passphrase-file p",
    ));
    let keys = "--wireguard readings=device --preshared readings=shared";
    let made =
        good(run(&place, &format!("provision gw {keys} --pki ca --passphrase-file p -o gw.tar --json")))
            .json();
    let paths: Vec<&str> =
        made["paths"].as_array().unwrap().iter().filter_map(|path| path.as_str()).collect();
    assert!(paths.contains(&"lib/fastness/ipsec/private/device.pem"), "{paths:?}");
    let found = members(&place, "gw.tar");
    for (path, text) in [("private.key", DEVICE), ("preshared.key", SHARED)] {
        let path = format!("lib/fastness/wireguard/readings/{path}");
        assert!(found.contains(&(path.clone(), 0o600, format!("{text}\n"))), "{path}");
    }
    assert!(found.iter().any(|(path, mode, _)| path == "lib/fastness/wireguard/readings/" && *mode == 0o700));

    // The peer needs no certificate, and no passphrase is asked for.
    let device = format!("--device-key readings={DEVICE_PUBLIC}");
    let peer = format!(
        "provision --peer readings --wireguard readings=peer --preshared readings=shared {device} --pki none -o peer.tar"
    );
    good(run(&place, &peer));
    let first = std::fs::read(place.path("peer.tar")).unwrap();
    let found = members(&place, "peer.tar");
    let configuration =
        format!("[Peer]\nPublicKey = {DEVICE_PUBLIC}\nPresharedKey = {SHARED}\nAllowedIPs = fd00:9::2/128\n");
    assert!(found.contains(&("readings/device.conf".to_owned(), 0o600, configuration)), "{found:?}");
    std::fs::remove_file(place.path("peer.tar")).unwrap();
    good(run(&place, &peer));
    assert_eq!(std::fs::read(place.path("peer.tar")).unwrap(), first, "the same keys give the same bytes");
    if has("wg") {
        let mut wg =
            Command::new("wg").arg("pubkey").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        wg.stdin.take().unwrap().write_all(PEER.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(wg.wait_with_output().unwrap().stdout).unwrap().trim(), PEER_PUBLIC);
    }
}

#[test]
fn keys_of_wireguard_that_are_missing_or_the_other_ends_are_refused() {
    let place = place();
    good(run(
        &place,
        "pki issue gw --role device --common-name pump-station.water.example --pki ca --passphrase-file p",
    ));
    let refused = |arguments: &str, code: i32, message: &str| {
        let run = run(&place, &format!("provision {arguments} --pki ca --passphrase-file p -o gw.tar"));
        assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
        assert!(!place.path("gw.tar").exists());
        assert!(![DEVICE, PEER, SHARED].iter().any(|key| run.err.contains(key)), "{run:?}");
    };
    let shared = "--preshared readings=shared";
    refused(
        "gw",
        2,
        "error[no-wireguard-key]: the tunnel `readings` needs its key, and `--wireguard` names none",
    );
    refused(
        "gw --wireguard readings=device",
        2,
        "the tunnel `readings` needs its key, and `--preshared` names none",
    );
    refused(
        &format!("gw --wireguard control=device {shared}"),
        2,
        "expected a tunnel with WireGuard, found `control`",
    );
    refused(&format!("--wireguard readings=device {shared}"), 2, "error[no-identity]");
    refused(
        &format!("gw --wireguard readings=peer {shared}"),
        8,
        "error[key-mismatch]: the private key for the tunnel `readings` is the peer's own",
    );
    refused(
        &format!("gw --wireguard readings=p {shared}"),
        3,
        "error[bad-wireguard-key]: expected the private key for the tunnel `readings`",
    );
    let peer =
        |key: &str, device: &str| format!("--peer readings --wireguard readings={key} {shared} {device}");
    refused(
        &peer("device", ""),
        8,
        &format!("belongs to the public key `{DEVICE_PUBLIC}`, the product's peer has `{PEER_PUBLIC}`"),
    );
    refused(&peer("peer", ""), 8, "needs the device's public key beside it");
    refused(&peer("peer", "--device-key readings=x"), 2, "expected `TUNNEL=KEY`");
}

#[test]
fn revoked_certificates_and_keys_of_openssh_are_on_the_list_that_a_device_gets() {
    let place = place();
    if !has("ssh-keygen") {
        return;
    }
    let keygen = |arguments: &str| {
        let run = Command::new("ssh-keygen")
            .current_dir(place.path("."))
            .args(arguments.split(' '))
            .output()
            .unwrap();
        (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned())
    };
    for name in ["eve", "bob", "gw"] {
        assert!(keygen(&format!("-q -t ed25519 -N  -f {name}")).0);
    }
    let certify = |name: &str, kind: &str| {
        let text = format!(
            "pki ssh {name} {name}.pub --kind {kind} --principal {name} --pki ca --passphrase-file p --json"
        );
        good(run(&place, &text)).json()["certificate"].as_str().unwrap().to_owned()
    };
    let (eve, bob, host) = (certify("eve", "user"), certify("bob", "user"), certify("gw", "host"));
    let unknown = run(&place, "pki ssh-revoke mallory --pki ca");
    assert!(unknown.code == 3 && unknown.err.contains("mallory"), "{unknown:?}");
    assert!(!place.path("ca/ssh/revoked_keys").exists());

    let said = good(run(&place, "pki ssh-revoke eve --pki ca")).out;
    assert!(said.contains("revoked on") && said.contains("/var/lib/fastness/ssh/revoked_keys"), "{said}");
    let revoked = |file: &str| {
        let (fine, text) = keygen(&format!("-Q -f ca/ssh/revoked_keys {file}"));
        assert_eq!(fine, !text.contains("REVOKED"), "{text}");
        !fine
    };
    assert!(
        revoked(&eve) && !revoked(&bob) && !revoked(&host) && !revoked("eve.pub"),
        "a certificate, and no more"
    );
    good(run(&place, "pki ssh-revoke --key bob.pub --pki ca"));
    good(run(&place, "pki ssh-revoke gw --pki ca"));
    assert!(
        revoked("bob.pub") && revoked(&bob) && revoked(&host) && revoked(&eve),
        "a key with its certificates"
    );
    let next = certify("eve", "user");
    assert!(!revoked(&next), "the next certificate is another one");

    good(run(
        &place,
        "pki issue gw --role device --common-name pump-station.water.example --pki ca --passphrase-file p",
    ));
    let keys = "--wireguard readings=device --preshared readings=shared";
    let made =
        good(run(&place, &format!("provision gw {keys} --pki ca --passphrase-file p -o gw.tar --json")))
            .json();
    let paths = made["paths"].as_array().unwrap();
    assert!(paths.iter().any(|path| path == "lib/fastness/ssh/revoked_keys"), "{paths:?}");
}
