//! `provision`: the device's archive, with what each of its programs needs, and what is refused.

use std::os::unix::fs::PermissionsExt;

use crate::pki::{good, keyed, place, private};
use crate::support::{Place, Run, top};

/// The example with two tunnels, without its OPC UA server.
fn with_tunnels(place: &Place) {
    let text = std::fs::read_to_string(top().join("examples/plc-gateway/product.yaml")).unwrap();
    let (before, rest) = text.split_once("# What the application on the device speaks").unwrap();
    let (_, after) = rest.split_once("\nconduits:").unwrap();
    std::fs::write(place.path("product.yaml"), format!("{before}\nconduits:{after}")).unwrap();
}

/// Into the archive `gw.tar`.
fn provision(place: &Place, more: &str) -> Run {
    let all = format!("provision {more} --pki ca -o gw.tar --passphrase-file p");
    place.run(&all.split_whitespace().collect::<Vec<_>>())
}

/// What is refused leaves no archive.
fn refused(place: &Place, more: &str, code: i32, message: &str) {
    let run = provision(place, more);
    assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
    assert!(!place.path("gw.tar").exists());
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
    let provision = |more: &str| provision(&place, more);
    let refused = |more: &str, code: i32, message: &str| refused(&place, more, code, message);
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
pub(crate) fn only_scada(place: &Place) {
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
    let provision = |more: &str| provision(&place, more);
    let refused = |more: &str, code: i32, message: &str| refused(&place, more, code, message);
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
