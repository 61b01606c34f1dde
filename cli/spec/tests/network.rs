//! Zones, protocols, tunnels and conduits of the shipped example, and every way to get them wrong.
//!
//! With the shipped definitions, so that the protocols and the firewall are those of a device.

use std::path::Path;

use diag::Diagnostic;
use spec::library::Library;
use spec::plan::{FilePlan, Plan};

const EXAMPLE: &str = include_str!("../../../examples/plc-gateway/product.yaml");

fn load_in(folder: &Path, text: &str) -> diag::Outcome<Plan> {
    let product = folder.join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load_with(&Library::built_in(Some(folder)), &product, None)
}

fn load(text: &str) -> diag::Outcome<Plan> {
    load_in(tempfile::tempdir().expect("a folder").path(), text)
}

fn good() -> Plan {
    load(EXAMPLE).unwrap_or_else(|failure| panic!("{failure}"))
}

fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no `{from}`");
    EXAMPLE.replacen(from, to, 1)
}

fn content(plan: &Plan, path: &str) -> String {
    match &plan.files[path].value {
        FilePlan::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// A change of the example, and the one thing that must be said.
#[track_caller]
fn says(from: &str, to: &str, code: &str, message: &str, hint: &str) {
    let found = refused(&with(from, to));
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((one.code.as_str(), one.message.as_str()), (code, message));
    assert!(one.hint.as_deref().unwrap_or_default().contains(hint), "hint: {:?}", one.hint);
    let at = one.location.as_ref().expect("a place");
    assert!(at.file.ends_with("product.yaml") && at.line > 0 && !at.excerpt.is_empty(), "{at:?}");
}

fn refused(text: &str) -> Vec<Diagnostic> {
    match load(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(failure) => {
            assert_eq!(failure.status, diag::ExitStatus::Input);
            failure.diagnostics
        }
    }
}

#[test]
fn conduits_of_the_example_are_flows_with_protocol_tunnel_and_accepted_risk() {
    let network = good().network;
    let flow = |name: &str| network.flows.iter().find(|flow| flow.name == name).expect(name);
    let scada = flow("scada-modbus");
    assert_eq!((scada.transport.as_str(), scada.port, scada.connections), ("tcp", 502, 8));
    assert_eq!((scada.protocol.as_deref(), scada.security.as_str()), (Some("modbus-tcp"), "none"));
    assert_eq!((scada.tunnel.as_deref(), &scada.interfaces), (Some("scada"), &vec!["eth0".to_owned()]));
    assert_eq!(scada.peers_v4, ["203.0.113.0/25"], "the networks behind the tunnel");
    assert_eq!(flow("historian-modbus").interfaces, ["ovpn1"], "the tunnel's own interface");
    assert_eq!(flow("scada-opcua").security, "optional");
    let drives = flow("cell-drives");
    assert_eq!((drives.transport.as_str(), drives.port), ("udp", 34964));
    assert!(drives.accepted_risk.as_ref().is_some_and(|risk| risk.by.contains("officer")));
    let [frames] = network.frames.as_slice() else { panic!("{:?}", network.frames) };
    assert_eq!((frames.ethertype.as_str(), frames.direction.as_str()), ("0x8892", "both"));
    assert_eq!(network.tunnels["scada"].reqid, Some(2), "numbered by name");
    assert_eq!(network.tunnels["historian"].device.as_deref(), Some("ovpn1"));
}

#[test]
fn the_surface_is_what_answers() {
    let surface = good().network.surface;
    let of = |transport: &str| -> Vec<(String, Option<u16>, Option<u16>, Option<String>)> {
        let of = surface.iter().filter(|s| s.transport == transport);
        of.map(|s| (s.interface.clone(), s.port, s.number, s.tunnel.clone())).collect()
    };
    let tcp = of("tcp");
    assert_eq!(tcp.len(), 4, "{tcp:?}");
    assert!(tcp.contains(&("eth0".into(), Some(502), None, Some("scada".into()))));
    assert!(tcp.contains(&("ovpn1".into(), Some(502), None, Some("historian".into()))));
    assert!(tcp.contains(&("eth0".into(), Some(22), None, None)));
    let ike = vec![("eth0".to_owned(), Some(500), None, None), ("eth0".to_owned(), Some(4500), None, None)];
    assert_eq!(of("udp"), ike, "what the device asks others for is no surface");
    assert_eq!(of("esp").len(), 1);
    let frames: Vec<u16> = surface.iter().filter(|s| s.transport == "ethernet").filter_map(|s| s.number).collect();
    assert_eq!(frames, [0x0806, 0x0806, 0x8892]);
    assert!(of("icmp").is_empty(), "pings are not answered");
    let pinged = load(&with("zones:\n", "layers: {firewall: {ping: true}}\nzones:\n")).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(pinged.network.surface.iter().filter(|s| s.number == Some(8)).count(), 2);
}

#[test]
fn the_firewall_lets_tunnelled_conduits_through_their_tunnel_only() {
    let plan = good();
    let rules = content(&plan, "/etc/nftables.conf");
    let line = |start: &str| rules.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no `{start}` in\n{rules}"));
    assert!(line("ip saddr { 203.0.113.0/25 } ipsec in reqid 2").contains("ct count 8 limit rate 30/minute counter accept"));
    assert_eq!(line("ip daddr { 203.0.113.0/25 }"), "ip daddr { 203.0.113.0/25 } jump sealed-out.scada");
    assert_eq!(line("ipsec out reqid 2"), "ipsec out reqid 2 return");
    let at = |text: &str| rules.find(text).unwrap_or_else(|| panic!("no `{text}` in\n{rules}"));
    assert!(at("jump sealed-in.scada") < at("ct state vmap"), "answers, too, are bound to the tunnel");
    assert!(rules.contains("tcp dport { 102, 502, 1883, 2404, 5094, 9600, 20000, 44818 } jump in.clear"));
    let layer2 = content(&plan, "/etc/nftables-layer2.conf");
    assert!(layer2.contains("meta protocol 0x8892 ether daddr { 01:0e:cf:00:00:00-01:0e:cf:ff:ff:ff } limit rate 10000/second counter accept"));
    let eth0 = &layer2[..layer2.find("chain eth1-in").expect("eth1")];
    assert!(!eth0.contains("0x8892"), "only on the interface that asks");
}

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
    says("by: \"J. Muster, plant security officer\"", "by: \" \"", "empty-reason", "expected a reason, found an empty one", "say why");
    says(
        "    rate: 6/minute\n",
        "    rate: 6/minute\n    accepted_risk: {reason: r, by: b}\n",
        "needless-acceptance",
        "the conduit `plant-ssh` accepts a risk that it does not have: its protocol serves the device itself",
        "take `accepted_risk` away",
    );
    let taken = with("    service: modbus\n    tunnel: scada\n", "    service: modbus\n    peers: [192.0.2.96/28]\n    accepted_risk: {reason: r, by: b}\n");
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
fn a_product_brings_protocols_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("standards/protocols");
    std::fs::create_dir_all(&own).expect("made");
    let text = "title: Robot link\nkind: industrial\nendpoints: [{transport: udp, port: 7000}]\nsecurity: none\nsources: [\"its manual\"]\n";
    std::fs::write(own.join("robot-link.yaml"), text).expect("written");
    let product = with("{protocol: modbus-tcp}", "{protocol: robot-link}");
    let plan = load_in(folder.path(), &product).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((plan.network.flows[0].transport.as_str(), plan.network.flows[0].port), ("udp", 7000));
    std::fs::write(own.join("robot-link.yaml"), text.replace("security: none", "security: some")).expect("written");
    let failure = load_in(folder.path(), &product).expect_err("an unknown word");
    let place = failure.diagnostics[0].location.as_ref().map(|l| (l.file.ends_with("standards/protocols/robot-link.yaml"), l.line));
    assert_eq!(place, Some((true, 4)));
}

#[test]
fn tunnels_that_lead_nowhere() {
    says("    tunnel: scada\n    rate", "    tunnel: scdaa\n    rate", "unknown-tunnel", "expected a tunnel, found `scdaa`, which is none", "did you mean `scada`?");
    let unused = EXAMPLE.replacen("    tunnel: historian\n", "    tunnel: scada\n    peers: [203.0.113.0/26]\n", 1);
    let found = refused(&unused.replacen("    rate: 30/minute\n", "    peers: [203.0.113.64/26]\n", 1));
    assert_eq!((found.len(), found[0].message.as_str()), (1, "no conduit passes the tunnel `historian`"));
    says("kind: strongswan", "kind: wireguard", "tunnel-kind", "expected a tunnel of `strongswan` or `openvpn`, found `wireguard` for `scada`: WireGuard is not built yet", "neither certificates");
    says("    zone: plant\n    peer: {name: scada", "    zone: plnat\n    peer: {name: scada", "unknown-zone", "expected a zone, found `plnat`, which is none", "did you mean `plant`?");
    says(
        "address: 192.0.2.20",
        "address: 192.0.2.10",
        "unreachable-peer",
        "the peer's address `192.0.2.10` is the device's own",
        "",
    );
    says("address: 192.0.2.20", "address: \"2001:db8:9::1\"", "unreachable-peer", "no interface of the zone `plant` reaches the peer `2001:db8:9::1`", "gateway");
    says("local: {name: plc-gateway.plant.example}", "local: {address: 192.0.2.11}", "wrong-address", "`192.0.2.11` is no address of `eth0`, which reaches the peer", "192.0.2.10");
    says("inner: 10.8.0.1,", "inner: 10.9.0.1,", "wrong-address", "the peer's inner address `10.9.0.1` is not another one of `10.8.0.0/30`", "one network");
    says("networks: [10.8.0.1/32]", "networks: [10.8.0.1/32, 192.0.2.30/32]", "wrong-address", "the peer's own address `192.0.2.30` is behind its tunnel", "leave it out");
    says(", inner: 10.8.0.2/30}", "}", "missing-key", "an OpenVPN tunnel needs the addresses inside of it, `local.inner` and `peer.inner`", "10.8.0.2/30");
    says("kind: strongswan\n", "kind: strongswan\n    port: 1194\n", "tunnel-setting", "`port` is a setting of `openvpn`, and this tunnel is `strongswan`", "take it away");
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
    let out = used.replacen("from: cell, to: device, service: sftp", "from: device, to: cell, service: sftp", 1);
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
        "the algorithm `ke1_mlkem768` is not there: Debian trixie builds strongSwan 6.0.1 without ML-KEM: neither its plugin `ml` nor its OpenSSL plugin has it (RFC 9370; strongSwan 6.0.2 release notes)",
        "leave it out",
    );
}

#[test]
fn names_with_the_syntax_of_nftables_or_the_shell() {
    for name in ["\"x; drop\"", "\"x } accept\"", "\"$(reboot)\"", "\"a\\\"b\"", "\"-x\"", "\"x\\ny\"", "\"{{x}}\""] {
        for (from, to) in [
            ("  - name: scada-modbus", format!("  - name: {name}")),
            ("  historian:\n    kind", format!("  {name}:\n    kind")),
            ("  modbus: {protocol", format!("  {name}: {{protocol")),
            ("peer: {name: scada.plant.example", format!("peer: {{name: {name}")),
        ] {
            let found = refused(&with(from, &to));
            assert!(found.iter().any(|d| d.code == "wrong-type" && d.message.contains("expected a")), "{to}: {found:#?}");
        }
    }
    for protocol in ["../../etc/passwd", "a/b", "."] {
        assert_eq!(refused(&with("{protocol: modbus-tcp}", &format!("{{protocol: \"{protocol}\"}}")))[0].code, "wrong-type");
    }
}

#[test]
fn every_shipped_protocol_is_read_and_has_its_source() {
    let library = Library::built_in(None);
    let mut trouble = Vec::new();
    let protocols = spec::protocol::all(&library, &mut trouble).expect("readable");
    assert_eq!(trouble, []);
    for wanted in [
        "modbus-tcp", "modbus-tcp-security", "opc-ua", "dnp3", "dnp3-sa", "ethernet-ip", "cip-security", "profinet", "iec104",
        "iec104-tls", "iec61850-mms", "iec61850-goose", "s7", "bacnet-ip", "bacnet-sc", "mqtt", "mqtt-tls", "hart-ip",
        "omron-fins", "ssh", "ntp", "https", "syslog-tls", "ipsec", "openvpn", "wireguard",
    ] {
        assert!(protocols.contains_key(wanted), "{wanted}");
    }
    for (name, protocol) in &protocols {
        assert!(!protocol.sources.is_empty(), "{name} has no source");
        assert!(!(protocol.endpoints.is_empty() && protocol.frames.is_empty()), "{name} uses nothing");
        assert_eq!(protocol.secured_by.is_some(), protocol.security != spec::protocol::Security::None, "{name}");
        if let Some(variant) = &protocol.secure_variant {
            let secure = protocols.get(variant.as_str()).unwrap_or_else(|| panic!("{name}: no `{}`", variant.as_str()));
            assert_eq!(secure.security, spec::protocol::Security::Always, "{name}");
        }
    }
}

#[test]
fn ten_thousand_conduits_are_dispatched_and_stay_quick() {
    let one = |n: usize| {
        let (b, c) = (n / 250, n % 250);
        format!("  - {{name: c{n}, from: plant, to: device, service: ssh, peers: [11.{b}.{c}.0/24], reason: r}}\n")
    };
    let text = with("conduits:\n", &format!("conduits:\n{}", (0..10_000).map(one).collect::<String>()));
    let plan = load(&text).unwrap_or_else(|failure| panic!("{failure}"));
    let rules = content(&plan, "/etc/nftables.conf");
    let of = |what: &str| rules.matches(what).count();
    assert_eq!(of("goto in.1"), 1, "one look-up finds the service's group");
    assert_eq!(of(" : goto in-c"), 10_000);
    assert_eq!(of("chain in-c"), 10_000);
}

#[test]
fn tunnels_switch_their_layers_on_and_bring_no_secret() {
    let plan = good();
    for layer in ["ipsec", "openvpn"] {
        assert!(plan.layers.iter().any(|applied| applied.name == layer), "{layer}");
    }
    let swanctl = content(&plan, "/etc/swanctl/swanctl.conf");
    for line in ["version = 2", "revocation = strict", "start_action = trap", "id = scada.plant.example", "remote_ts = 203.0.113.0/25", "reqid = 2"] {
        assert!(swanctl.lines().any(|found| found.trim() == line), "no `{line}` in\n{swanctl}");
    }
    let openvpn = content(&plan, "/etc/openvpn/historian.conf");
    for line in ["dev ovpn1", "remote 192.0.2.30", "verify-x509-name historian.plant.example name", "ifconfig 10.8.0.2 10.8.0.1", "data-ciphers AES-256-GCM:CHACHA20-POLY1305"] {
        assert!(openvpn.lines().any(|found| found == line), "no `{line}` in\n{openvpn}");
    }
    assert!(plan.units.contains_key("openvpn-historian.service") && plan.units.contains_key("strongswan.service"));
    assert!(plan.checks.contains_key("openvpn.peers.historian") && plan.checks.contains_key("ipsec.tunnels"));
    let key = content(&plan, "/etc/systemd/system/strongswan.service");
    assert!(key.contains("ConditionPathExists=/var/lib/fastness/ipsec/private/device.pem"));
}

#[test]
fn a_layer_that_bakes_a_private_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("layers/baked/layer.yaml", "title: Baked\ndescription: d\nfiles:\n  - {path: /etc/key.pem, template: baked/key.hbs, reason: r}\n");
    write("templates/baked/key.hbs", "-----BEGIN EC PRIVATE KEY-----\nMHcC\n");
    let failure = load_in(folder.path(), &with("zones:\n", "layers: {baked: {}}\nzones:\n")).expect_err("refused");
    let found = &failure.diagnostics[0];
    assert_eq!(found.code, "secret-in-image");
    assert_eq!(found.message, "`/etc/key.pem` holds a private key, which every device with this image would share");
    write("templates/baked/key.hbs", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    load_in(folder.path(), &with("zones:\n", "layers: {baked: {}}\nzones:\n")).unwrap_or_else(|f| panic!("{f}"));
}

#[test]
fn a_tunnels_layer_without_a_tunnel_is_refused() {
    let found = refused(&include_str!("../../../examples/cell-gateway/product.yaml").replacen("zones:\n", "layers: {ipsec: {}}\nzones:\n", 1));
    assert_eq!((found.len(), found[0].code.as_str()), (1, "unused-layer"));
    assert_eq!(found[0].message, "the layer `ipsec` is for tunnels of `strongswan`, and the product has none");
}

#[test]
fn the_peers_end_and_the_mud_file_say_the_same_as_the_device() {
    let outside = good().outside;
    let names: Vec<&str> = outside.keys().map(String::as_str).collect();
    assert_eq!(names, ["mud.json", "peer/historian/nftables.conf", "peer/historian/openvpn.conf", "peer/scada/nftables.conf", "peer/scada/swanctl.conf"]);
    let swanctl = &outside["peer/scada/swanctl.conf"];
    for line in ["local_addrs = 192.0.2.20", "remote_addrs = 192.0.2.10", "id = scada.plant.example", "local_ts = 203.0.113.0/25", "remote_ts = 192.0.2.10/32"] {
        assert!(swanctl.lines().any(|found| found.trim() == line), "no `{line}` in\n{swanctl}");
    }
    let openvpn = &outside["peer/historian/openvpn.conf"];
    for line in ["tls-server", "ifconfig 10.8.0.1 10.8.0.2", "verify-x509-name plc-gateway.plant.example name"] {
        assert!(openvpn.lines().any(|found| found == line), "no `{line}` in\n{openvpn}");
    }
    let rules = &outside["peer/scada/nftables.conf"];
    assert!(rules.contains("ip saddr { 203.0.113.0/25 } tcp dport 502 ct state new limit rate 30/minute counter accept"), "{rules}");
    let mud: serde_json::Value = serde_json::from_str(&outside["mud.json"]).expect("JSON");
    let lists = mud["ietf-access-control-list:acls"]["acl"].as_array().expect("lists");
    assert_eq!(lists.len(), 2, "only IPv4 conduits");
    let to: Vec<&str> = lists[1]["aces"]["ace"].as_array().expect("entries").iter().filter_map(|ace| ace["name"].as_str()).collect();
    assert_eq!(lists[1]["name"], "mud-plc-gateway-v4to");
    assert!(to.contains(&"plant-ssh-1") && to.contains(&"scada-esp") && !to.iter().any(|name| name.contains("modbus")), "{to:?}");
    assert_eq!(mud["ietf-mud:mud"]["mud-version"], 1);
}
