//! Every way to get a network wrong, each with what is said.

#[path = "common/network.rs"]
mod network;

use spec::plan::FilePlan;

use network::{EXAMPLE, load, load_in, refused, says, with};

#[test]
fn a_protocol_in_clear_needs_a_tunnel_or_somebody_who_takes_the_risk() {
    says(
        "    service: modbus\n    tunnel: scada\n",
        "    service: modbus\n    peers: [192.0.2.96/28]\n",
        "protocol-in-clear",
        "the conduit `scada-modbus` lets Modbus/TCP pass in clear: `modbus-tcp` has no security of its own",
        "with security it is `modbus-tcp-security`",
    );
    says(
        "    accepted_risk: {reason: \"The drives speak nothing else, and the cell is locked\", by: \"J. Muster, plant security officer\"}\n",
        "",
        "protocol-in-clear",
        "the conduit `cell-drives` lets PROFINET IO pass in clear: `profinet` has no security of its own",
        "its frames fit no tunnel",
    );
    says(
        "by: \"J. Muster, plant security officer\"",
        "by: \" \"",
        "empty-reason",
        "expected a reason, found an empty one",
        "say why",
    );
    says(
        "    rate: 6/minute\n",
        "    rate: 6/minute\n    accepted_risk: {reason: r, by: b}\n",
        "needless-acceptance",
        "the conduit `plant-ssh` accepts a risk that it does not have: its protocol serves the device itself",
        "take `accepted_risk` away",
    );
    let taken = with(
        "    service: modbus\n    tunnel: scada\n",
        "    service: modbus\n    peers: [192.0.2.96/28]\n    accepted_risk: {reason: r, by: b}\n",
    );
    let plan = load(&taken).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(plan.network.flows[0].accepted_risk.is_some() && plan.network.flows[0].tunnel.is_none());
}

#[test]
fn protocols_that_are_unknown_or_not_named() {
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {protocol: modbus-tpc}",
        "unknown-protocol",
        "expected a protocol, found `modbus-tpc`: there is no `standards/protocols/modbus-tpc.yaml`",
        "did you mean `modbus-tcp`?",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {transport: tcp, port: 502}",
        "unnamed-protocol",
        "the service `modbus` uses tcp/502, the port of Modbus/TCP (`modbus-tcp`), without naming it",
        "write `protocol: modbus-tcp`",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {protocol: https, port: 102}",
        "unnamed-protocol",
        "the service `modbus` uses tcp/102, the port of IEC 61850 MMS (`iec61850-mms`) and of S7 communication (`s7`), without naming it",
        "another port",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {protocol: ipsec}",
        "wrong-protocol",
        "`ipsec` carries others and is no service",
        "below `tunnels`",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {protocol: modbus-tcp, transport: udp}",
        "wrong-protocol",
        "the protocol `modbus-tcp` is not spoken over what the service `modbus` says",
        "it is spoken over `tcp`",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {protocol: bacnet-sc}",
        "missing-port",
        "the protocol `bacnet-sc` has no port of its own, and the service `modbus` says none",
        "add `port: …`",
    );
    says(
        "modbus: {protocol: modbus-tcp}",
        "modbus: {port: 1502}",
        "incomplete-service",
        "the service `modbus` says neither its protocol nor both transport and port",
        "{protocol: NAME}",
    );
    let moved = load(&with("modbus: {protocol: modbus-tcp}", "modbus: {protocol: modbus-tcp, port: 1502}"));
    assert_eq!(moved.unwrap_or_else(|f| panic!("{f}")).network.flows[0].port, 1502);
}

#[test]
fn tunnels_that_lead_nowhere() {
    says(
        "    tunnel: scada\n    rate",
        "    tunnel: scdaa\n    rate",
        "unknown-tunnel",
        "expected a tunnel, found `scdaa`, which is none",
        "did you mean `scada`?",
    );
    let unused =
        EXAMPLE.replacen("    tunnel: historian\n", "    tunnel: scada\n    peers: [203.0.113.0/26]\n", 1);
    let found = refused(&unused.replacen("    rate: 30/minute\n", "    peers: [203.0.113.64/26]\n", 1));
    assert_eq!((found.len(), found[0].message.as_str()), (1, "no conduit passes the tunnel `historian`"));
    says(
        "    zone: plant\n    peer: {name: scada",
        "    zone: plnat\n    peer: {name: scada",
        "unknown-zone",
        "expected a zone, found `plnat`, which is none",
        "did you mean `plant`?",
    );
    says(
        "address: 192.0.2.20",
        "address: 192.0.2.10",
        "unreachable-peer",
        "the peer's address `192.0.2.10` is the device's own",
        "",
    );
    says(
        "address: 192.0.2.20",
        "address: \"2001:db8:9::1\"",
        "unreachable-peer",
        "no interface of the zone `plant` reaches the peer `2001:db8:9::1`",
        "gateway",
    );
    says(
        "local: {name: plc-gateway.plant.example}",
        "local: {address: 192.0.2.11}",
        "wrong-address",
        "`192.0.2.11` is no address of `eth0`, which reaches the peer",
        "192.0.2.10",
    );
    says(
        "inner: 10.8.0.1,",
        "inner: 10.9.0.1,",
        "wrong-address",
        "the peer's inner address `10.9.0.1` is not another one of `10.8.0.0/30`",
        "one network",
    );
    says(
        "networks: [10.8.0.1/32]",
        "networks: [10.8.0.1/32, 192.0.2.30/32]",
        "wrong-address",
        "the peer's own address `192.0.2.30` is behind its tunnel",
        "leave it out",
    );
    says(
        ", inner: 10.8.0.2/30}",
        "}",
        "missing-key",
        "an OpenVPN tunnel needs the addresses inside of it, `local.inner` and `peer.inner`",
        "10.8.0.2/30",
    );
    says(
        "kind: strongswan\n",
        "kind: strongswan\n    port: 1194\n",
        "tunnel-setting",
        "`port` is a setting of `openvpn` and `wireguard`, and this tunnel is `strongswan`",
        "take it away",
    );
}

#[test]
fn packets_that_would_pass_beside_their_tunnel_or_belong_to_nobody() {
    says(
        "    peers: [192.0.2.64/28]\n",
        "    peers: [203.0.113.16/28]\n",
        "peers-inside-tunnel",
        "the conduit `plant-ssh` passes in clear to `203.0.113.16/28`, which is behind the tunnel `scada`",
        "tunnel: scada",
    );
    says(
        "    tunnel: scada\n    rate",
        "    tunnel: scada\n    peers: [203.0.113.0/24]\n    rate",
        "peers-outside-tunnel",
        "the peer `203.0.113.0/24` of the conduit `scada-modbus` is not behind the tunnel `scada`",
        "behind it is `203.0.113.0/25`",
    );
    says(
        "networks: [10.8.0.1/32]",
        "networks: [10.8.0.1/32, 203.0.113.64/26]",
        "overlapping-tunnels",
        "the networks of the tunnels `historian` and `scada` overlap: `203.0.113.64/26` and `203.0.113.0/25`",
        "networks of its own",
    );
    says(
        "    peers: [192.0.2.64/28]\n",
        "    peers: [192.0.2.64/28, 192.0.2.72/29]\n",
        "overlapping-peers",
        "the peers `192.0.2.64/28` and `192.0.2.72/29` of the conduit `plant-ssh` overlap",
        "keep the wider",
    );
    says(
        "  - name: plant-time",
        "  - {name: more-ssh, from: plant, to: device, service: ssh, peers: [192.0.2.72/29], reason: r}\n  - name: plant-time",
        "overlapping-conduits",
        "the conduits `plant-ssh` and `more-ssh` allow the same packets: tcp/22 from `192.0.2.72/29` by `eth0`",
        "make one conduit",
    );
    says(
        "    from: plant\n    to: device\n    service: ssh\n    peers: [192.0.2.64/28]\n",
        "    from: cell\n    to: device\n    service: ssh\n    peers: [192.0.2.64/28]\n",
        "unreachable-peer",
        "no interface of the zone `cell` reaches the peer `192.0.2.64/28` of the conduit `plant-ssh`",
        "gateway",
    );
    says(
        "    service: drives\n",
        "    service: drives\n    tunnel: scada\n",
        "tunnel-zone",
        "the tunnel `scada` leads into the zone `plant`, the conduit `cell-drives` into `cell`",
        "",
    );
}

#[test]
fn two_services_on_one_port() {
    let text = with("  ntp: {protocol: ntp}", "  ntp: {protocol: ntp}\n  sftp: {transport: tcp, port: 22}");
    let used = text.replacen(
        "  - name: plant-time",
        "  - {name: sftp-in, from: cell, to: device, service: sftp, reason: r}\n  - name: plant-time",
        1,
    );
    let found = refused(&used);
    assert_eq!((found.len(), found[0].code.as_str()), (1, "duplicate-port"));
    assert_eq!(found[0].message, "the device offers two services on tcp/22: `ssh` and `sftp`");
    // Asking two others on the same port is nothing odd.
    let out =
        used.replacen("from: cell, to: device, service: sftp", "from: device, to: cell, service: sftp", 1);
    load(&out).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn algorithms_that_are_weak_or_unknown() {
    let ipsec = |line: &str| format!("kind: strongswan\n    {line}\n");
    says(
        "kind: strongswan\n",
        &ipsec("proposals: [aes256gcm16-prfsha384-modp1024]"),
        "weak-cipher",
        "the algorithm `modp1024` is too weak: 1024-bit discrete logarithms are within reach of states (RFC 8247, 2.4 (SHOULD NOT); Logjam, CCS 2015)",
        "`ecp384`",
    );
    says(
        "kind: strongswan\n",
        &ipsec("proposals: [aes256gcm16-prfsha348-ecp384]"),
        "unknown-cipher",
        "expected an algorithm of strongSwan, found `prfsha348`, of which nothing is known",
        "did you mean `prfsha384`?",
    );
    says(
        "kind: strongswan\n",
        &ipsec("esp_proposals: [aes256gcm16]"),
        "weak-cipher",
        "the proposal `aes256gcm16` says nothing of `group`",
        "aes256gcm16-ecp384",
    );
    says(
        "kind: openvpn\n",
        "kind: openvpn\n    ciphers: [BF-CBC]\n",
        "weak-cipher",
        "the algorithm `BF-CBC` is too weak: 64-bit blocks collide after some gigabytes (Sweet32) (CVE-2016-6329)",
        "`AES-256-GCM`",
    );
    says(
        "kind: strongswan\n",
        &ipsec("proposals: [aes256gcm16-prfsha384-ecp384-ke1_mlkem768]"),
        "absent-cipher",
        "the algorithm `ke1_mlkem768` is not in the strongSwan of `debian` `trixie`: ML-KEM is in strongSwan's OpenSSL plugin since 6.0.2, with OpenSSL 3.5 or later; Debian trixie has 6.0.1 without the plugin `ml`, older series have 5.9 (RFC 9370; FIPS 203; strongSwan 6.0.2 release notes)",
        "leave it out",
    );
}

#[test]
fn names_with_the_syntax_of_nftables_or_the_shell() {
    for name in
        ["\"x; drop\"", "\"x } accept\"", "\"$(reboot)\"", "\"a\\\"b\"", "\"-x\"", "\"x\\ny\"", "\"{{x}}\""]
    {
        for (from, to) in [
            ("  - name: scada-modbus", format!("  - name: {name}")),
            ("  historian:\n    kind", format!("  {name}:\n    kind")),
            ("  modbus: {protocol", format!("  {name}: {{protocol")),
            ("peer: {name: scada.plant.example", format!("peer: {{name: {name}")),
        ] {
            let found = refused(&with(from, &to));
            assert!(
                found.iter().any(|d| d.code == "wrong-type" && d.message.contains("expected a")),
                "{to}: {found:#?}"
            );
        }
    }
    for protocol in ["../../etc/passwd", "a/b", "."] {
        assert_eq!(
            refused(&with("{protocol: modbus-tcp}", &format!("{{protocol: \"{protocol}\"}}")))[0].code,
            "wrong-type"
        );
    }
}

#[test]
fn a_layer_that_bakes_a_private_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write(
        "layers/baked/layer.yaml",
        "title: Baked\ndescription: d\nfiles:\n  - {path: /etc/key.pem, template: baked/key.hbs, reason: r}\n",
    );
    write("templates/baked/key.hbs", "-----BEGIN EC PRIVATE KEY-----\nMHcC\n");
    let failure =
        load_in(folder.path(), &with("zones:\n", "layers: {baked: {}}\nzones:\n")).expect_err("refused");
    let found = &failure.diagnostics[0];
    assert_eq!(found.code, "secret-in-image");
    assert_eq!(
        found.message,
        "`/etc/key.pem` holds a private key, which every device with this image would share"
    );
    write("templates/baked/key.hbs", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    load_in(folder.path(), &with("zones:\n", "layers: {baked: {}}\nzones:\n"))
        .unwrap_or_else(|f| panic!("{f}"));
}

#[test]
fn a_tunnels_layer_without_a_tunnel_is_refused() {
    let found = refused(&include_str!("../../../examples/cell-gateway/product.yaml").replacen(
        "zones:\n",
        "layers: {ipsec: {}}\nzones:\n",
        1,
    ));
    assert_eq!((found.len(), found[0].code.as_str()), (1, "unused-layer"));
    assert_eq!(
        found[0].message,
        "the layer `ipsec` is for tunnels of `strongswan`, and the product has none"
    );
}

const RESPONDER: &str = "ocsp: {address: 192.0.2.40, service: status}\n";

/// The example with a responder.
fn with_responder(conduit: &str, ocsp: &str) -> String {
    let services = "  ntp: {protocol: ntp}\n";
    let product = with(services, &format!("{services}  status: {{transport: tcp, port: 2560}}\n"));
    let product = product.replacen("conduits:\n", &format!("conduits:\n{conduit}"), 1);
    product + ocsp
}

#[test]
fn a_responder_needs_its_conduit_and_a_tunnel_that_asks() {
    let conduit =
        "  - {name: status, from: device, to: plant, service: status, peers: [192.0.2.40/32], reason: r}\n";
    let plan = load(&with_responder(conduit, RESPONDER)).unwrap_or_else(|failure| panic!("{failure}"));
    let facts = plan.network.ocsp.as_ref().unwrap();
    assert_eq!((facts.url.as_str(), facts.flow.as_str()), ("http://192.0.2.40:2560/", "status"));
    assert!(plan.layer("ocsp").is_some());
    let text = |path: &str| match &plan.files[path].value {
        FilePlan::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    };
    let tunnels = text("/etc/swanctl/swanctl.conf");
    assert!(
        tunnels.contains("cacert = issuing-1.pem\n\t\tocsp_uris = http://192.0.2.40:2560/\n"),
        "{tunnels}"
    );
    assert!(text("/etc/strongswan.conf").contains(" pubkey curl kernel-netlink"));

    let code = |product: &str| {
        let found = refused(product);
        let [one] = found.as_slice() else { panic!("{found:#?}") };
        (one.code.clone(), one.message.clone(), one.hint.clone().unwrap_or_default())
    };
    let (kind, message, hint) = code(&with_responder("", RESPONDER));
    assert_eq!(kind, "unreachable-responder");
    assert_eq!(message, "no conduit leads to the OCSP responder at `192.0.2.40`");
    assert!(hint.contains("without a tunnel, with `from: device` and `service: status`"), "{hint}");
    let (kind, ..) = code(&with_responder(&conduit.replace("192.0.2.40", "192.0.2.41"), RESPONDER));
    assert_eq!(kind, "unreachable-responder");
    let (kind, message, _) = code(&with_responder(conduit, &RESPONDER.replace("status", "ntp")));
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("wrong-protocol", "the service `ntp` of the OCSP responder has no TCP port")
    );
    let (kind, ..) = code(&with_responder(conduit, &RESPONDER.replace("status", "state")));
    assert_eq!(kind, "unknown-service");
    let found = refused(&(EXAMPLE.to_owned() + "layers: {ocsp: {}}\n"));
    assert_eq!(found[0].code, "unused-layer", "{found:?}");

    let without = include_str!("../../../examples/cell-gateway/product.yaml");
    let (kind, message, hint) = code(&(without.to_owned() + &RESPONDER.replace("status", "ssh")));
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("unused-responder", "an OCSP responder is named, and no tunnel of the product asks one")
    );
    assert!(hint.contains("OpenVPN and WireGuard do not"), "{hint}");
}

/// The example with a collector.
fn with_collector(conduit: &str, logging: &str) -> String {
    let services = "  ntp: {protocol: ntp}\n";
    let product = with(services, &format!("{services}  logs: {{protocol: syslog-tls}}\n"));
    let product = product.replacen("conduits:\n", &format!("conduits:\n{conduit}"), 1);
    product + logging
}

const LOGS: &str =
    "  - {name: logs, from: device, to: plant, service: logs, peers: [192.0.2.40/32], reason: r}\n";
const COLLECTOR: &str =
    "logging: {collector: {name: logs.plant.example, address: 192.0.2.40, service: logs}}\n";

#[test]
fn a_collector_needs_its_conduit_and_tls() {
    let plan = load(&with_collector(LOGS, COLLECTOR)).unwrap_or_else(|failure| panic!("{failure}"));
    let facts = plan.network.collector.as_ref().unwrap();
    assert_eq!((facts.port, facts.flow.as_str(), facts.local_name.as_str()), (6514, "logs", "plc-gateway"));
    assert!(plan.layer("forward").is_some());
    let end = &plan.outside["collector/logs.plant.example/rsyslog.conf"];
    assert!(end.contains(r#"permittedPeer=["plc-gateway"]"#) && end.contains(r#"port="6514""#), "{end}");

    let code = |conduit: &str, logging: &str| {
        let found = refused(&with_collector(conduit, logging));
        let [one] = found.as_slice() else { panic!("{found:#?}") };
        (one.code.clone(), one.message.clone(), one.hint.clone().unwrap_or_default())
    };
    let (kind, message, hint) = code("", COLLECTOR);
    assert_eq!(kind, "unreachable-collector");
    assert_eq!(message, "no conduit lets records out to the collector `logs.plant.example` at `192.0.2.40`");
    assert!(hint.contains("`service: logs` whose `peers` hold this address"), "{hint}");
    // A conduit to somebody else is none to the collector.
    let (kind, ..) = code(&LOGS.replace("192.0.2.40", "192.0.2.41"), COLLECTOR);
    assert_eq!(kind, "unreachable-collector");
    let (kind, message, hint) = code(LOGS, &COLLECTOR.replace("service: logs", "service: ntp"));
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("wrong-protocol", "the service `ntp` of the collector does not speak `syslog-tls`")
    );
    assert!(hint.contains("records leave the device in TLS only"), "{hint}");
    let (kind, ..) = code(LOGS, &COLLECTOR.replace("service: logs", "service: log"));
    assert_eq!(kind, "unknown-service");
    let found = refused(&(EXAMPLE.to_owned() + "layers: {forward: {}}\n"));
    assert_eq!(found[0].code, "unused-layer", "{found:?}");
}
