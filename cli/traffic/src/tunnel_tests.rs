use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

// Lines of strongSwan 6.0.1 and OpenVPN 2.6.14 from two machines.
const SAS: &str = "\
plc-gateway-scada: #1, ESTABLISHED, IKEv2, 17874d3287258daf_i* 732638062d2bad3f_r
  local  'scada.plant.example' @ 192.0.2.20[500]
  AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384
  plc-gateway-scada: #2, reqid 2, INSTALLED, TUNNEL, ESP:AES_GCM_16-256";
const DEVICE: &str = "\
[   78.1] charon-systemd[179]: selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384
[   80.1] charon-systemd[179]: selected proposal: ESP:AES_GCM_16_256/NO_EXT_SEQ";
const OPENVPN: &str = "\
Control Channel: TLSv1.3, cipher TLSv1.3 TLS_AES_256_GCM_SHA384, peer certificate: 256 bits ECprime256v1
Data Channel: cipher 'AES-256-GCM', peer-id: 0";

fn plan() -> (Vec<String>, Vec<String>) {
    let ike = ["aes256gcm16-prfsha384-ecp384", "chacha20poly1305-prfsha256-curve25519"];
    let esp = ["aes256gcm16-ecp384", "chacha20poly1305-curve25519"];
    (ike.map(str::to_owned).into(), esp.map(str::to_owned).into())
}

#[test]
fn what_both_ends_say_is_the_plans_first_choice() {
    let (ike, esp) = plan();
    assert_eq!(ipsec_problems(&ipsec(&lines(SAS), &lines(DEVICE)), &ike, &esp), Vec::<String>::new());
}

#[test]
fn another_algorithm_an_end_that_says_nothing_and_an_unknown_word_are_problems() {
    let (ike, esp) = plan();
    let weaker = SAS.replace("AES_GCM_16-256/", "CHACHA20_POLY1305/");
    let problems = ipsec_problems(&ipsec(&lines(&weaker), &lines(DEVICE)), &ike, &esp);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("the peer says IKE `CHACHA20_POLY1305/PRF_HMAC_SHA2_384/ECP_384`"),
        "{problems:?}"
    );
    assert_eq!(ipsec_problems(&ipsec(&lines(SAS), &[]), &ike, &esp).len(), 2);
    let problems = ipsec_problems(&Negotiated::default(), &["aes128-sha1".to_owned()], &esp);
    assert!(problems[0].contains("expected a known algorithm, found `aes128`"), "{problems:?}");
    // An SA that is not established is none.
    let connecting = SAS.replace("ESTABLISHED", "CONNECTING");
    assert_eq!(ipsec(&lines(&connecting), &[]).peer_ike, None);
}

#[test]
fn openvpn_says_its_version_and_cipher() {
    let ciphers = ["AES-256-GCM".to_owned()];
    assert_eq!(openvpn_problems("the peer", &lines(OPENVPN), &ciphers), Vec::<String>::new());
    let old = OPENVPN.replace("TLSv1.3,", "TLSv1.1,").replace("AES-256-GCM", "BF-CBC");
    let problems = openvpn_problems("the peer", &lines(&old), &ciphers);
    assert!(problems[0].contains("expected TLS 1.2 or later"), "{problems:?}");
    assert!(problems[1].contains("the cipher `BF-CBC`"), "{problems:?}");
    assert_eq!(openvpn_problems("the device", &[], &ciphers).len(), 2);
    let suite = OPENVPN.replace("TLS_AES_256_GCM_SHA384", "TLS_AES_128_CCM_SHA256");
    let problems = openvpn_problems("the peer", &lines(&suite), &ciphers);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("the cipher suite Some(\"TLS_AES_128_CCM_SHA256\")"), "{problems:?}");
    let said = openvpn_says(&lines(OPENVPN));
    assert!(said[0].starts_with("Control Channel: TLSv1.3") && said[1].contains("'AES-256-GCM'"), "{said:?}");
    assert!(openvpn_says(&[]).is_empty());
}

#[test]
fn a_probe_is_read_from_the_last_line_and_an_unknown_word_is_none() {
    assert_eq!(probe(&lines("tcp 192.0.2.10 502 silent\ntcp 192.0.2.10 502 refused")), Some(Probe::Refused));
    assert_eq!(probe(&lines("tcp 192.0.2.10 502 open")), Some(Probe::Open));
    assert_eq!(probe(&lines("tcp 192.0.2.10 502 other 1")), None);
    assert_eq!(probe(&[]), None);
}

#[test]
fn a_refusal_needs_its_reason_and_a_tunnel_that_is_down() {
    let revoked = IPSEC_REFUSALS.iter().find(|r| r.name == "revoked").unwrap();
    let log = lines("charon: certificate was revoked on Nov 23 21:16:26 UTC 2026, reason: key compromise");
    assert_eq!(refusal("scada", revoked, false, &log).verdict, TrafficVerdict::Pass);
    // Silence is no proof, and a tunnel that came up is a failure whatever the log says.
    assert_eq!(refusal("scada", revoked, false, &[]).verdict, TrafficVerdict::NotRun);
    let up = refusal("scada", revoked, true, &log);
    assert_eq!(up.verdict, TrafficVerdict::Fail);
    assert!(up.problems[0].contains("came up with a peer that is `revoked`"), "{:?}", up.problems);
}

#[test]
fn the_reason_against_an_earlier_peer_is_no_reason_against_this_one() {
    let before = lines("[ 1.0] charon[1]: subject certificate invalid (valid from A to B)");
    let now =
        lines("[ 9.0] charon[1]: subject certificate invalid (valid from A to B)\n[ 9.1] charon[1]: other");
    assert_eq!(fresh(&before, now.clone()), ["[ 9.1] charon[1]: other"]);
    assert_eq!(fresh(&[], now.clone()), now);
}

// Lines of OpenVPN 2.6.14 with OpenSSL 3.0.22, each from a handshake of its own with such a peer.
const REFUSED: [(&str, &str); 9] = [
    ("unknown-ca", "VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=peer, serial=2"),
    ("wrong-name", "VERIFY X509NAME ERROR: CN=other.peer, must be peer"),
    ("wrong-purpose", "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=peer, serial=2"),
    ("self-signed", "VERIFY ERROR: depth=0, error=self-signed certificate: CN=peer, serial=5"),
    ("weak-key", "VERIFY ERROR: depth=0, error=EE certificate key too weak: CN=peer, serial=2"),
    (
        "sha1-signature",
        "VERIFY ERROR: depth=0, error=CA signature digest algorithm too weak: CN=peer, serial=2",
    ),
    (
        "weak-data-cipher",
        "ERROR: failed to negotiate cipher with peer and --data-ciphers-fallback not enabled. No usable data \
         channel cipher",
    ),
    ("wrong-tls-crypt", "tls-crypt unwrap error: packet authentication failed"),
    ("tls-1.1", "OpenSSL: error:0A000102:SSL routines::unsupported protocol:"),
];

#[test]
fn each_line_of_openvpn_is_one_reason_and_no_other() {
    for (name, line) in REFUSED {
        for reason in OPENVPN_REFUSALS {
            let class = refusal("historian", reason, false, &lines(line));
            let expected = if reason.name == name { TrafficVerdict::Pass } else { TrafficVerdict::NotRun };
            assert_eq!(class.verdict, expected, "{} by {line}", reason.name);
        }
    }
}

#[test]
fn a_handshake_that_began_in_clear_is_no_wrong_key() {
    // Also a good peer's first packet comes before it knows the device's key.
    let wrong = OPENVPN_REFUSALS.iter().find(|r| r.name == "wrong-tls-crypt").unwrap();
    let class = refusal("historian", wrong, false, &lines("tls-crypt unwrap error: packet too short"));
    assert_eq!(class.verdict, TrafficVerdict::NotRun);
    let old = OPENVPN_REFUSALS.iter().find(|r| r.name == "tls-1.1").unwrap();
    let class = refusal("historian", old, false, &[]);
    assert!(class.problems[0].contains("the peer's log says none of"), "{:?}", class.problems);
}

// Lines of strongSwan 6.0.1 on the device.
const IPSEC_REFUSED: [(&str, &str); 6] = [
    ("unknown-ca", "no issuer certificate found for \"O=Others, CN=Others issuing CA\""),
    ("self-signed", "self-signed certificate \"O=Test, CN=scada.plant.example\" is not trusted"),
    ("sha1-signature", "X.509 signature scheme ECDSA_WITH_SHA1_DER not acceptable"),
    ("weak-key", "RSA-1024 signatures not acceptable"),
    ("weak-proposals", "no acceptable ENCRYPTION_ALGORITHM found"),
    ("ikev1", "no IKE config found for 192.0.2.10...192.0.2.20, sending NO_PROPOSAL_CHOSEN"),
];

#[test]
fn each_line_of_strongswan_is_one_reason_and_no_other() {
    for (name, line) in IPSEC_REFUSED {
        for reason in IPSEC_REFUSALS {
            let class = refusal("scada", reason, false, &lines(line));
            let expected = if reason.name == name { TrafficVerdict::Pass } else { TrafficVerdict::NotRun };
            assert_eq!(class.verdict, expected, "{} by {line}", reason.name);
        }
    }
    // A scheme that is refused says nothing of a key's length.
    let line = lines("IKE signature scheme RSA_EMSA_PKCS1_SHA2_256 not acceptable");
    assert!(
        IPSEC_REFUSALS.iter().all(|r| refusal("scada", r, false, &line).verdict == TrafficVerdict::NotRun)
    );
}

#[test]
fn the_group_of_tls_is_one_of_the_plans() {
    let line = |group: &str| {
        lines(&format!(
            "Control Channel: TLSv1.3, cipher TLSv1.3 X, signature: y, peer temporary key: {group}"
        ))
    };
    let (classical, hybrid) = (["secp384r1".to_owned(), "X25519".to_owned()], ["X25519MLKEM768".to_owned()]);
    let of = |device: &[String], peer: &[String], groups: &[String]| {
        openvpn_group_problems(&[("the device", device), ("the peer", peer)], groups)
    };
    assert_eq!(of(&line("384 bits ECsecp384r1"), &line("253 bits X25519"), &classical), Vec::<String>::new());
    // The client of a KEM says nothing.
    assert_eq!(of(&[], &line("768 bits X25519MLKEM768"), &hybrid), Vec::<String>::new());
    assert_eq!(
        of(&[], &line("253 bits X25519"), &hybrid),
        ["the peer says the group `X25519`, the plan `X25519MLKEM768`"]
    );
    assert_eq!(
        of(&[], &[], &hybrid),
        ["no end says by which group keys were exchanged, the plan `X25519MLKEM768`"]
    );
}
