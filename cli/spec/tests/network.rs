//! Zones, protocols, tunnels and conduits of the shipped example: flows, surface, firewall and the others' files.
//!
//! With the shipped definitions, so that the protocols and the firewall are those of a device.

#[path = "common/network.rs"]
mod network;

use network::{content, good, load, load_in, with};
use spec::library::Library;

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
    type Entry = (String, Option<u16>, Option<u16>, Option<String>);
    let of = |transport: &str| -> Vec<Entry> {
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
    let frames: Vec<u16> =
        surface.iter().filter(|s| s.transport == "ethernet").filter_map(|s| s.number).collect();
    assert_eq!(frames, [0x0806, 0x0806, 0x8892]);
    assert!(of("icmp").is_empty(), "pings are not answered");
    let pinged = load(&with("zones:\n", "layers: {firewall: {ping: true}}\nzones:\n"))
        .unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(pinged.network.surface.iter().filter(|s| s.number == Some(8)).count(), 2);
}

#[test]
fn the_firewall_lets_tunnelled_conduits_through_their_tunnel_only() {
    let plan = good();
    let rules = content(&plan, "/etc/nftables.conf");
    let line = |start: &str| {
        rules
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no `{start}` in\n{rules}"))
    };
    assert!(line("ip saddr { 203.0.113.0/25 } ipsec in reqid 2").contains(
        "{ ip saddr limit rate 30/minute } add @open-scada-modbus-4 { ip saddr ct count 8 } counter accept"
    ));
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
fn a_product_brings_protocols_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("standards/protocols");
    std::fs::create_dir_all(&own).expect("made");
    let text = "title: Robot link\nkind: industrial\nendpoints: [{transport: udp, port: 7000}]\nsecurity: none\nsources: [\"its manual\"]\n";
    std::fs::write(own.join("robot-link.yaml"), text).expect("written");
    let product = with("{protocol: modbus-tcp}", "{protocol: robot-link}");
    let plan = load_in(folder.path(), &product).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((plan.network.flows[0].transport.as_str(), plan.network.flows[0].port), ("udp", 7000));
    std::fs::write(own.join("robot-link.yaml"), text.replace("security: none", "security: some"))
        .expect("written");
    let failure = load_in(folder.path(), &product).expect_err("an unknown word");
    let place = failure.diagnostics[0]
        .location
        .as_ref()
        .map(|l| (l.file.ends_with("standards/protocols/robot-link.yaml"), l.line));
    assert_eq!(place, Some((true, 4)));
}

#[test]
fn every_shipped_protocol_is_read_and_has_its_source() {
    let library = Library::built_in(None);
    let mut trouble = Vec::new();
    let protocols = spec::protocol::all(&library, &mut trouble).expect("readable");
    assert_eq!(trouble, []);
    for wanted in [
        "modbus-tcp",
        "modbus-tcp-security",
        "opc-ua",
        "dnp3",
        "dnp3-sa",
        "ethernet-ip",
        "cip-security",
        "profinet",
        "iec104",
        "iec104-tls",
        "iec61850-mms",
        "iec61850-goose",
        "s7",
        "bacnet-ip",
        "bacnet-sc",
        "mqtt",
        "mqtt-tls",
        "hart-ip",
        "omron-fins",
        "ssh",
        "ntp",
        "https",
        "syslog-tls",
        "ipsec",
        "openvpn",
        "wireguard",
    ] {
        assert!(protocols.contains_key(wanted), "{wanted}");
    }
    for (name, protocol) in &protocols {
        assert!(!protocol.sources.is_empty(), "{name} has no source");
        assert!(!(protocol.endpoints.is_empty() && protocol.frames.is_empty()), "{name} uses nothing");
        assert_eq!(
            protocol.secured_by.is_some(),
            protocol.security != spec::protocol::Security::None,
            "{name}"
        );
        if let Some(variant) = &protocol.secure_variant {
            let secure = protocols
                .get(variant.as_str())
                .unwrap_or_else(|| panic!("{name}: no `{}`", variant.as_str()));
            assert_eq!(secure.security, spec::protocol::Security::Always, "{name}");
        }
    }
}

#[test]
fn ten_thousand_conduits_are_dispatched_and_stay_quick() {
    let one = |n: usize| {
        let (b, c) = (n / 250, n % 250);
        format!(
            "  - {{name: c{n}, from: plant, to: device, service: ssh, peers: [11.{b}.{c}.0/24], reason: r}}\n"
        )
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
        assert!(plan.layer(layer).is_some(), "{layer}");
    }
    // swanctl looks for credentials beside its configuration.
    for name in ["private", "x509", "x509ca", "x509crl"] {
        let found = &plan.files[&format!("/etc/swanctl/{name}")].value;
        let target = format!("/var/lib/fastness/ipsec/{name}");
        assert_eq!(*found, spec::plan::FilePlan::Symlink { target });
    }
    let swanctl = content(&plan, "/etc/swanctl/swanctl.conf");
    for line in [
        "version = 2",
        "revocation = strict",
        "start_action = trap",
        "id = scada.plant.example",
        "remote_ts = 203.0.113.0/25",
        "reqid = 2",
    ] {
        assert!(swanctl.lines().any(|found| found.trim() == line), "no `{line}` in\n{swanctl}");
    }
    let openvpn = content(&plan, "/etc/openvpn/historian.conf");
    for line in [
        "dev ovpn1",
        "remote 192.0.2.30",
        "verify-x509-name historian.plant.example name",
        "ifconfig 10.8.0.2 10.8.0.1",
        "data-ciphers AES-256-GCM:CHACHA20-POLY1305",
    ] {
        assert!(openvpn.lines().any(|found| found == line), "no `{line}` in\n{openvpn}");
    }
    assert!(
        plan.units.contains_key("openvpn-historian.service") && plan.units.contains_key("strongswan.service")
    );
    assert!(plan.checks.contains_key("openvpn.peers.historian") && plan.checks.contains_key("ipsec.tunnels"));
    let key = content(&plan, "/etc/systemd/system/strongswan.service");
    assert!(key.contains("ConditionPathExists=/var/lib/fastness/ipsec/private/device.pem"));
}

#[test]
fn the_peers_end_and_the_mud_file_say_the_same_as_the_device() {
    let outside = good().outside;
    let names: Vec<&str> = outside.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "mud.json",
            "opcua/plc/dotnet-standard.xml",
            "opcua/plc/open62541.conf",
            "opcua/plc/settings.json",
            "peer/historian/nftables.conf",
            "peer/historian/openvpn.conf",
            "peer/scada/nftables.conf",
            "peer/scada/swanctl.conf"
        ]
    );
    let swanctl = &outside["peer/scada/swanctl.conf"];
    for line in [
        "local_addrs = 192.0.2.20",
        "remote_addrs = 192.0.2.10",
        "id = scada.plant.example",
        "local_ts = 203.0.113.0/25",
        "remote_ts = 192.0.2.10/32",
    ] {
        assert!(swanctl.lines().any(|found| found.trim() == line), "no `{line}` in\n{swanctl}");
    }
    let openvpn = &outside["peer/historian/openvpn.conf"];
    for line in
        ["tls-server", "ifconfig 10.8.0.1 10.8.0.2", "verify-x509-name plc-gateway.plant.example name"]
    {
        assert!(openvpn.lines().any(|found| found == line), "no `{line}` in\n{openvpn}");
    }
    let rules = &outside["peer/scada/nftables.conf"];
    assert!(
        rules.contains(
            "ip saddr { 203.0.113.0/25 } tcp dport 502 ct state new limit rate 30/minute counter accept"
        ),
        "{rules}"
    );
    let mud: serde_json::Value = serde_json::from_str(&outside["mud.json"]).expect("JSON");
    let lists = mud["ietf-access-control-list:acls"]["acl"].as_array().expect("lists");
    assert_eq!(lists.len(), 2, "only IPv4 conduits");
    let to: Vec<&str> = lists[1]["aces"]["ace"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|ace| ace["name"].as_str())
        .collect();
    assert_eq!(lists[1]["name"], "mud-plc-gateway-v4to");
    assert!(
        to.contains(&"plant-ssh-1")
            && to.contains(&"scada-esp")
            && !to.iter().any(|name| name.contains("modbus")),
        "{to:?}"
    );
    assert_eq!(mud["ietf-mud:mud"]["mud-version"], 1);
}
