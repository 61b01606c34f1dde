//! OPC UA applications: what is refused, each with what is said, and what is written.

#[path = "common/network.rs"]
mod network;

use network::{content, good, load, refused, says, with};

const PLACE: &str = "    application_uri: urn:plant.example:plc-gateway\n";

/// A line added to the example's application, and the one thing that must be said.
#[track_caller]
fn line_says(line: &str, code: &str, message: &str, hint: &str) {
    says(PLACE, &format!("{PLACE}    {line}\n"), code, message, hint);
}

const INSTEAD: &str = "take one of `Aes256_Sha256_RsaPss`, `Aes128_Sha256_RsaOaep`, `Basic256Sha256`, `ECC_nistP384`, `ECC_nistP256`";

#[test]
fn weak_and_unknown_policies_are_refused_with_the_reason_and_where_it_is_written() {
    line_says(
        "policies: [None]",
        "weak-policy",
        "the security policy `None` is refused: nobody proves who they are, and everything is in clear \
         (OPC 10000-7, SecurityPolicy None; IEC 62443-4-2, CR 3.1)",
        INSTEAD,
    );
    line_says(
        "policies: [Basic256Sha256, Basic128Rsa15]",
        "weak-policy",
        "the security policy `Basic128Rsa15` is refused: deprecated: SHA-1 signatures, and an encryption padding that gives \
         its plaintext away (Bleichenbacher) (OPC 10000-7, SecurityPolicy Basic128Rsa15 (deprecated in 1.04); \
         NIST SP 800-131A Rev. 2, 3 and 9)",
        INSTEAD,
    );
    line_says(
        "policies: [Basic256]",
        "weak-policy",
        "the security policy `Basic256` is refused: deprecated: SHA-1 signatures (OPC 10000-7, SecurityPolicy Basic256 \
         (deprecated in 1.04); NIST SP 800-131A Rev. 2, 3 and 9)",
        INSTEAD,
    );
    line_says(
        "policies: [Basic256Sha265]",
        "unknown-policy",
        "expected a security policy of OPC UA, found `Basic256Sha265`, of which nothing is known",
        "did you mean `Basic256Sha256`?",
    );
    line_says(
        "policies: [ECC_curve25519]",
        "absent-policy",
        "the security policy `ECC_curve25519` is not there: `fastness pki` makes no Ed25519 certificates, and neither stack \
         has the policy (OPC 10000-7, SecurityPolicy ECC-curve25519; RFC 8032)",
        INSTEAD,
    );
}

#[test]
fn a_policy_must_be_in_the_stack_and_go_with_one_certificate() {
    line_says(
        "policies: [ECC_nistP256]",
        "absent-policy",
        "the stack `open62541` does not have the security policy `ECC_nistP256`",
        "it has `Aes256_Sha256_RsaPss`, `Aes128_Sha256_RsaOaep`, `Basic256Sha256`",
    );
    says(
        "    stack: open62541\n",
        "    stack: dotnet-standard\n    policies: [ECC_nistP256, Basic256Sha256]\n",
        "mixed-policies",
        "the policies `ECC_nistP256` (p256) and `Basic256Sha256` (rsa) need keys of two kinds, and an application has one certificate",
        "one kind of key",
    );
}

#[test]
fn only_sign_and_encrypt_and_nobody_is_anonymous() {
    line_says(
        "modes: [Sign]",
        "weak-mode",
        "the message security mode `Sign` is refused: everybody on the network reads along (OPC 10000-4, 7.20; IEC 62443-4-2, CR 4.1)",
        "take one of `SignAndEncrypt`",
    );
    line_says(
        "modes: [None]",
        "weak-mode",
        "the message security mode `None` is refused: everybody on the network reads along and changes what is said \
         (OPC 10000-4, 7.20; IEC 62443-4-2, CR 3.1 and CR 4.1)",
        "take one of `SignAndEncrypt`",
    );
    line_says(
        "modes: [SignAndEncypt]",
        "unknown-mode",
        "expected a message security mode of OPC UA, found `SignAndEncypt`, of which nothing is known",
        "did you mean `SignAndEncrypt`?",
    );
    line_says(
        "user_tokens: [Certificate, Anonymous]",
        "anonymous-access",
        "the user token `Anonymous` is refused: nobody can be held to what was done (OPC 10000-4, 7.40.3 \
         (AnonymousIdentityToken); IEC 62443-4-2, CR 1.1 and CR 2.12)",
        "take one of `Certificate`",
    );
    line_says(
        "user_tokens: [UserName]",
        "absent-user-token",
        "the user token `UserName` is not there: no password works on the device: it would be one for all that share the \
         image (OPC 10000-4, 7.40.4; IEC 62443-4-2, CR 1.5)",
        "take one of `Certificate`",
    );
}

#[test]
fn an_application_belongs_to_a_service_that_somebody_may_reach() {
    says(
        "    service: opcua\n    reason: The control room reads the information model\n\nconduits",
        "    service: opcau\n    reason: r\n\nconduits",
        "unknown-service",
        "expected a service of the product, found `opcau`",
        "did you mean `opcua`?",
    );
    says(
        "    service: opcua\n    reason: The control room reads the information model\n\nconduits",
        "    service: modbus\n    reason: r\n\nconduits",
        "wrong-protocol",
        "the service `modbus` of the OPC UA application `plc` does not speak `opc-ua`",
        "write `protocol: opc-ua`",
    );
    says(
        "    role: server\n",
        "    role: client\n",
        "unreachable-service",
        "no conduit lets the OPC UA client `plc` out",
        "add a conduit with `from: device` and `service: opcua`",
    );
    let second = "  second: {role: server, stack: generic, application_uri: \"urn:plant.example:plc-gateway\", service: opcua, reason: r}\n\nconduits:";
    let found = refused(&with("\nconduits:", second));
    let said: Vec<(&str, &str)> = found.iter().map(|d| (d.code.as_str(), d.message.as_str())).collect();
    assert_eq!(
        said,
        [
            ("duplicate-name", "the application URI `urn:plant.example:plc-gateway` is given twice"),
            ("duplicate-service", "two servers listen on the port of the service `opcua`"),
        ]
    );
    says(
        "  plc:\n    role: server",
        "  scada:\n    role: server",
        "duplicate-name",
        "`scada` is a tunnel and an OPC UA application",
        "rename one",
    );
}

#[test]
fn a_uri_with_syntax_in_it_is_none() {
    for uri in ["urn:a<b", "'urn:'", "file:/etc", "'urn:a b'", "urn:a#b", "'urn:a:'", "http:a"] {
        let found = refused(&with("urn:plant.example:plc-gateway\n", &format!("{uri}\n")));
        assert!(found[0].message.starts_with("expected an application URI"), "{uri}: {}", found[0].message);
    }
}

#[test]
fn the_layer_is_for_products_with_an_application() {
    let found = refused(&with(
        "opcua:\n  plc:\n    role: server\n    stack: open62541\n    application_uri: urn:plant.example:plc-gateway\n    \
         service: opcua\n    reason: The control room reads the information model\n",
        "layers: {opcua: {}}\n",
    ));
    assert_eq!(found[0].message, "the layer `opcua` is for OPC UA applications, and the product has none");
}

#[test]
fn the_settings_of_each_stack_say_the_same() {
    let plan = good();
    let conf = content(&plan, "/etc/opcua/plc.conf");
    for line in [
        "role = server",
        "application_uri = urn:plant.example:plc-gateway",
        "port = 4840",
        "mode = SignAndEncrypt",
        "policy = Aes256_Sha256_RsaPss",
        "policy = Aes128_Sha256_RsaOaep",
        "policy = Basic256Sha256",
        "user_token = Certificate",
        "discovery = false",
        "key_bits = 3072",
        "trusted = /var/lib/fastness/opcua/plc/trusted",
    ] {
        assert!(conf.lines().any(|found| found == line), "{line}\n{conf}");
    }
    assert!(!conf.contains("peer_uri"), "{conf}");
    assert_eq!(
        plan.network.opcua["plc"].policies[0].uri,
        "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss"
    );

    let text = with("    stack: open62541\n", "    stack: dotnet-standard\n    policies: [ECC_nistP384]\n");
    let plan = load(&text).unwrap_or_else(|failure| panic!("{failure}"));
    let xml = content(&plan, "/etc/opcua/plc.Config.xml");
    for line in [
        "<SecurityMode>SignAndEncrypt_3</SecurityMode>",
        "<SecurityPolicyUri>http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP384</SecurityPolicyUri>",
        "<ua:TokenType>Certificate_2</ua:TokenType>",
        "<AutoAcceptUntrustedCertificates>false</AutoAcceptUntrustedCertificates>",
        "<MinimumCertificateKeySize>384</MinimumCertificateKeySize>",
    ] {
        assert!(xml.lines().any(|found| found.trim() == line), "{line}\n{xml}");
    }
    assert!(!plan.files.contains_key("/etc/opcua/plc.conf"));

    let plan =
        load(&with("    stack: open62541\n", "    stack: generic\n")).unwrap_or_else(|f| panic!("{f}"));
    let json: serde_json::Value = serde_json::from_str(&content(&plan, "/etc/opcua/plc.json")).expect("JSON");
    assert_eq!(json["securityModes"], serde_json::json!(["SignAndEncrypt"]));
    assert_eq!((&json["anonymous"], &json["revocation"]), (&false.into(), &"strict".into()));
    assert_eq!(json["securityPolicies"][2]["name"], "Basic256Sha256");
}

#[test]
fn the_other_end_is_a_client_that_knows_the_device_by_its_uri() {
    let plan = good();
    let conf = &plan.outside["opcua/plc/open62541.conf"];
    for line in ["role = client", "peer_uri = urn:plant.example:plc-gateway", "trusted = ./plc/trusted"] {
        assert!(conf.lines().any(|found| found == line), "{line}\n{conf}");
    }
    assert!(!conf.contains("application_uri"), "{conf}");
    assert!(
        plan.outside["opcua/plc/dotnet-standard.xml"].contains("<ApplicationType>Client_1</ApplicationType>")
    );
    assert!(!plan.outside["opcua/plc/dotnet-standard.xml"].contains("ServerConfiguration"));
    assert!(plan.outside.contains_key("opcua/plc/settings.json"));
}
