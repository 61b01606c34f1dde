use spec::plan::OpcuaPolicy;

use super::*;

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn server() -> OpcuaFacts {
    let policy = OpcuaPolicy {
        name: "Aes256_Sha256_RsaPss".into(),
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss".into(),
        asymmetric: String::new(),
        symmetric: String::new(),
        certificate_hash: String::new(),
    };
    OpcuaFacts {
        role: "server".into(),
        stack: "open62541".into(),
        application_uri: "urn:x".into(),
        service: "opcua".into(),
        port: 4840,
        modes: vec!["SignAndEncrypt".into()],
        policies: vec![policy],
        user_tokens: vec!["Certificate".into()],
        key: "rsa".into(),
        key_bits: 3072,
        key_bits_max: 4096,
        discovery: false,
        reason: String::new(),
    }
}

#[test]
fn a_register_is_what_the_answer_says() {
    let answer = "modbus 192.0.2.10 502  00 01 00 00 00 05 01 03 02 46 57";
    assert_eq!(register(&lines(&["noise", answer])), Ok(0x4657));
    for (found, says) in [
        ("modbus 192.0.2.10 502 ", "nothing came back"),
        ("modbus 192.0.2.10 502 00 01 00 00 00 03 01 83 02", "the exception 2"),
        ("modbus 192.0.2.10 502 00 02 00 00 00 05 01 03 02 46 57", "expected an answer of Modbus"),
        ("modbus 192.0.2.10 502 53 53 48", "expected an answer of Modbus"),
        ("modbus 192.0.2.10 502 connection refused", "expected the bytes"),
        ("tcp 192.0.2.10 502 open", "said nothing of Modbus"),
    ] {
        assert!(register(&lines(&[found])).unwrap_err().contains(says), "{found}");
    }
}

#[test]
fn a_node_is_read_when_both_ends_say_the_plans_policy() {
    let policy = "policy http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss";
    let reader = lines(&[policy, "mode SignAndEncrypt", "4.2"]);
    let log = lines(&[
        "plc-opcua[9]: SC 1 | SecureChannel opened with SecurityPolicy http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss and a revised lifetime of 600.00s",
    ]);
    assert_eq!(opcua_read(&server(), &reader, &log).1, Vec::<String>::new());
    assert!(opcua_read(&server(), &reader, &[]).1[0].contains("names no policy"));
    let other = lines(&[
        "SecureChannel opened with SecurityPolicy http://opcfoundation.org/UA/SecurityPolicy#None and",
    ]);
    assert!(opcua_read(&server(), &reader, &other).1[0].contains("#None`, the plan"));
    let weak = lines(&[policy, "mode another", "4.2"]);
    assert!(opcua_read(&server(), &weak, &log).1[0].contains("the mode `another`"));
    assert!(opcua_read(&server(), &reader[..2], &log).1[0].contains("no value"));
    let refused = opcua_read(&server(), &lines(&["refused: BadTimeout"]), &log).1;
    assert!(refused.iter().any(|problem| problem == "the device refuses: BadTimeout"), "{refused:?}");
}

#[test]
fn a_refusal_has_its_own_reason() {
    let named = |name: &str| OPCUA_REFUSALS.iter().find(|r| r.name == name).unwrap();
    let judge = |name: &str, reader: &[&str], log: &[&str]| {
        opcua_refusal("scada", named(name), &lines(reader), &lines(log))
    };
    let none = "Processing the message failed with error BadSecurityPolicyRejected";
    let pass = judge("opcua-policy-none", &["refused: BadSecurityPolicyRejected"], &[none]);
    assert_eq!((pass.class.as_str(), pass.verdict), ("refuses opcua-policy-none", TrafficVerdict::Pass));
    let silent = judge("opcua-policy-none", &["refused: BadSecurityPolicyRejected"], &[]);
    assert_eq!(silent.verdict, TrafficVerdict::NotRun);
    let other = judge("opcua-anonymous", &["refused: BadTimeout"], &[]);
    assert_eq!(other.verdict, TrafficVerdict::NotRun);
    assert!(other.problems[0].contains("BadTimeout"), "{:?}", other.problems);
    let read = judge("opcua-anonymous", &["policy x", "mode SignAndEncrypt", "4.2"], &[]);
    assert_eq!(read.verdict, TrafficVerdict::Fail);
    let untrusted = "refused a certificate: BadCertificateChainIncomplete";
    let ended = judge("opcua-untrusted", &["refused: BadConnectionClosed"], &[untrusted]);
    assert_eq!(ended.verdict, TrafficVerdict::Pass);
    assert_eq!(judge("opcua-revoked", &[], &[untrusted]).verdict, TrafficVerdict::NotRun);
}
