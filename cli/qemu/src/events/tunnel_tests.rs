use super::super::tests::plan;
use super::*;

#[test]
fn the_tunnel_is_the_first_of_openvpn_with_a_neighbour_and_a_key_in_a_file() {
    let named = |name| tunnel(&plan(name)).map(|(name, _)| name.clone());
    assert_eq!(named("logging-gateway").as_deref(), Ok("support"));
    assert_eq!(named("plc-gateway").as_deref(), Ok("historian"));
    assert!(named("cell-gateway").unwrap_err().contains("the product has no tunnel"));
    assert!(named("pump-station").unwrap_err().contains("peers of OpenVPN alone"));
    assert!(named("feeder-terminal").unwrap_err().contains("whose key is a file"));
    type Change = fn(&mut TunnelFacts);
    let changes: [Change; 4] = [
        |tunnel| tunnel.in_tpm = true,
        |tunnel| tunnel.peer_address = "203.0.113.7".into(),
        |tunnel| tunnel.peer_address = "2001:db8:1::50".into(),
        |tunnel| tunnel.interface = "eth9".into(),
    ];
    for change in changes {
        let mut plan = plan("logging-gateway");
        change(plan.network.tunnels.get_mut("support").expect("the tunnel"));
        assert!(tunnel(&plan).unwrap_err().contains("a neighbour of the device"));
    }
}

#[test]
fn the_peer_has_the_plant_s_configuration_without_what_only_root_may() {
    let plan = plan("logging-gateway");
    let text = on_loopback(&plan.outside["peer/support/openvpn.conf"], 40_001, 40_002);
    for line in [
        "tls-server",
        "cert peer.pem",
        "tls-crypt-v2 tls-crypt-v2-server.key",
        "verify-x509-name logging-gateway.plant.example name",
        "crl-verify crl.pem",
        "proto udp4",
        "dev null",
        "local 127.0.0.1",
        "lport 40001",
        "remote 127.0.0.1 40002",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is not in\n{text}");
    }
    for begin in
        ["dev tun", "dev fst", "dev-type", "user ", "group ", "ifconfig", "port ", "local 192", "remote 192"]
    {
        assert!(!text.lines().any(|found| found.starts_with(begin)), "`{begin}` is in\n{text}");
    }
}

#[test]
fn the_peer_s_end_of_the_wire_is_that_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("peer");
    let peer = TunnelPeer::new(&plan("logging-gateway"), &at).unwrap().expect("a peer");
    let (index, ends) = &peer.relay;
    let text = format!("eth{index}: {} to {}", ends.device, ends.peer);
    assert_eq!(text, "eth0: 192.0.2.10:1194 to 192.0.2.50:1194");
    let Behind::Program { socket, address } = &ends.behind else { panic!("expected a program") };
    assert!(address.ip().is_loopback() && socket.local_addr().unwrap().ip().is_loopback());
    assert!(peer.config.contains(&format!("lport {}\n", address.port())));
    assert!(TunnelPeer::new(&plan("cell-gateway"), &at).unwrap().is_none());
}

#[test]
fn each_bad_peer_has_a_kind_of_its_own_and_the_good_one_is_the_last() {
    let bad = [Bad::Authority, Bad::Name, Bad::Revoked, Bad::Expired];
    let kinds = bad.map(|bad| bad.kind().name);
    let all: Vec<&str> = TUNNEL.iter().map(|kind| kind.name).collect();
    assert_eq!(all[..UP], kinds);
    assert_eq!((TUNNEL.len(), TUNNEL[UP].r#type), (UP + 1, "tunnel.up"));
    for bad in bad {
        assert_eq!(bad.words(), bad.kind().contains);
    }
    let command = said("openvpn-support.service", &TUNNEL[1], 105);
    assert!(command.contains("-u openvpn-support.service --since @100 "), "{command}");
    assert!(command.ends_with("| grep -c -e 'VERIFY X509NAME ERROR'"), "{command}");
    // The words stand in the quotes of a shell.
    assert!(TUNNEL.iter().all(|kind| !kind.contains.contains('\'')));
}
