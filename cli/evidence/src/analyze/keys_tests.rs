//! Keys in each of their forms.

use p256::pkcs8::EncodePrivateKey as _;

use super::*;

/// Built here, so that no scanner of this repository finds it.
fn text(label: &str, der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----{} {label}-----\n{}\n-----END {label}-----\n", "BEGIN", lines.join("\n"))
}

fn p256_key() -> p256::SecretKey {
    p256::SecretKey::from_slice(&[7; 32]).unwrap()
}

fn rules(shown: &str, keys: &[KeyFound], in_program: bool) -> Vec<String> {
    let mut found = Found::default();
    judge(shown, keys, in_program, KnownKeys::built_in(), None, &mut found);
    found.issues().into_iter().map(|issue| issue.rule).collect()
}

#[test]
fn one_key_is_the_same_in_each_of_its_forms() {
    let key = p256_key();
    let public = key.public_key().to_public_key_der().unwrap();
    let forms = text("PRIVATE KEY", key.to_pkcs8_der().unwrap().as_bytes())
        + &text("EC PRIVATE KEY", &key.to_sec1_der().unwrap())
        + &text("PUBLIC KEY", public.as_bytes());
    let found = pem(forms.as_bytes());
    let kinds: Vec<&str> = found.iter().map(|key| key.kind.as_str()).collect();
    assert_eq!(kinds, ["private key", "private key", "public key"]);
    assert!(
        found
            .iter()
            .all(|key| key.algorithm == "p256" && key.fingerprint == record::sha256_hex(public.as_bytes()))
    );
    assert_eq!(rules("/etc/x.key", &found[..1], false), ["private-key"]);
    assert_eq!(rules("/etc/ssh/ssh_host_ecdsa_key", &found[..1], false), ["host-key"]);
    assert_eq!(rules("/usr/lib/x.so", &found[..1], true), ["private-key-in-program"]);
    assert!(rules("/etc/x.pub", &found[2..], false).is_empty());
}

#[test]
fn ed25519_and_short_rsa_keys_are_read() {
    let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pkcs8.extend([9; 32]);
    let found = pem(text("PRIVATE KEY", &pkcs8).as_bytes());
    assert_eq!(found[0].algorithm, "ed25519");
    // An odd number of 1024 bits is as good as any for its length.
    let modulus = [0x81; 128];
    let public = rsa_spki(&modulus, &[1, 0, 1]).unwrap();
    let found = pem(text("PUBLIC KEY", &public).as_bytes());
    assert_eq!(found[0].algorithm, "rsa1024");
    assert_eq!(rules("/etc/x.pub", &found, false), ["weak-key"]);
}

#[test]
fn encrypted_broken_and_missing_keys_are_told_apart() {
    let found = pem(text("ENCRYPTED PRIVATE KEY", &[1; 100]).as_bytes());
    assert_eq!(rules("/etc/x", &found, false), ["private-key-encrypted"]);
    let older = text("RSA PRIVATE KEY", &[1; 100]).replacen(
        "-----\n",
        "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n",
        1,
    );
    assert_eq!(pem(older.as_bytes())[0].kind, "encrypted private key");
    // What cannot be read is a key all the same; a label alone is none.
    assert_eq!(rules("/etc/x", &pem(text("PRIVATE KEY", &[1; 100]).as_bytes()), false), ["private-key"]);
    assert!(pem(b"-----BEGIN PRIVATE KEY-----\n%s\n-----END").is_empty());
    assert!(pem(b"-----BEGIN ").is_empty() && pem(b"-----BEGIN PRIVATE KEY-----").is_empty());
}

#[test]
fn keys_that_may_log_in_are_read_with_options_and_known_ones_are_told() {
    let vagrant = "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== somebody";
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOrW5gdHbUWfyLRjOzV1W8c9rHW2MGPauEz7fM6UdORc me";
    let file = format!("# comment\nno-pty,command=\"x\" {vagrant}\n{other}\nssh-rsa broken\n");
    let found = by_name("/home/operator/.ssh/authorized_keys", file.as_bytes());
    let shown: Vec<String> = found.iter().map(|key| format!("{} {}", key.algorithm, key.name)).collect();
    assert_eq!(shown, ["rsa2048 somebody", "ed25519 me", " "]);
    assert_eq!(rules("/home/operator/.ssh/authorized_keys", &found, false), ["known-key", "authorized-key"]);
    assert_eq!(rules("/home/operator/.ssh/authorized_keys", &found[1..2], false), ["authorized-key"]);
    assert_eq!(by_name("/etc/dropbear/dropbear_rsa_host_key", &[0, 0, 0, 7])[0].kind, "private key");
    assert!(by_name("/etc/x.der", b"0\x82broken").is_empty());
}

#[test]
fn a_text_is_found_however_a_source_writes_it() {
    let key = text("PRIVATE KEY", p256_key().to_pkcs8_der().unwrap().as_bytes());
    let lines = |before: &str, after: &str| -> String {
        key.lines().map(|line| format!("{before}{line}{after}\n")).collect()
    };
    for form in [
        key.clone(),
        key.replace('\n', "\\n"),
        format!("{{\"private_key\": \"{}\"}}", key.replace('\n', "\\n")),
        lines("    \"", "\\n\""),
        lines("\t\"", "\\n\" \\"),
        lines("# ", ""),
        lines("  ", ""),
        lines("", "\r"),
        key.replace('\n', " "),
        key.replace("-----\n", "-----").replace('\n', ""),
    ] {
        let found = pem(form.as_bytes());
        assert_eq!(found.len(), 1, "{form}");
        assert_eq!((found[0].kind.as_str(), found[0].algorithm.as_str()), ("private key", "p256"), "{form}");
    }
    let label = |kind: &str| {
        format!(
            "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
            "d2043177a829cceb20fdea1ffa1d8387\n".repeat(16)
        )
    };
    assert_eq!(pem(label("OpenVPN Static key V1").as_bytes())[0].kind, "private key");
}

#[test]
fn a_file_that_is_a_key_is_one_whatever_it_is_called() {
    let key = p256_key();
    for der in [key.to_pkcs8_der().unwrap().as_bytes(), &key.to_sec1_der().unwrap()] {
        let found = by_name("/etc/ssl/noext", der);
        assert_eq!((found[0].kind.as_str(), found[0].algorithm.as_str()), ("private key", "p256"));
        // With more behind it, it is something else.
        assert!(by_name("/etc/ssl/noext", &[der, b"x"].concat()).is_empty());
    }
    // PKCS#12 by its outline: version 3, data, and a bag of keys as they are or under a password.
    let container = |bag: u8| {
        let mut body = vec![2, 1, 3, 0x30, 30, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
        body.extend([6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, bag]);
        let mut whole = vec![0x30, u8::try_from(body.len()).unwrap()];
        whole.extend(body);
        whole
    };
    assert_eq!(by_name("/etc/keystore", &container(1))[0].kind, "private key");
    assert_eq!(by_name("/etc/x.p12", &container(2))[0].kind, "encrypted private key");
    let putty = |how: &str| format!("PuTTY-User-Key-File-2: ssh-rsa\nEncryption: {how}\nComment: x\n");
    assert_eq!(by_name("/etc/x.ppk", putty("none").as_bytes())[0].kind, "private key");
    assert_eq!(by_name("/etc/x.ppk", putty("aes256-cbc").as_bytes())[0].kind, "encrypted private key");
}

#[test]
fn algorithms_that_are_too_weak_are_told() {
    let dsa = pem(text("DSA PRIVATE KEY", &[1; 100]).as_bytes());
    assert_eq!(rules("/etc/x", &dsa, false), ["private-key", "weak-key"]);
    assert_eq!(rules("/usr/lib/x.so", &dsa, true), ["private-key-in-program"]);
    let mut p192 = vec![2, 1, 1, 4, 24];
    p192.extend([7; 24]);
    p192.extend([0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1]);
    p192.splice(0..0, [0x30, u8::try_from(p192.len()).unwrap()]);
    assert_eq!(rules("/etc/x", &by_name("/etc/x", &p192), false), ["private-key", "weak-key"]);
    assert_eq!(
        rules("/etc/x", &pem(text("EC PRIVATE KEY", &p192).as_bytes()), false),
        ["private-key", "weak-key"]
    );
    let spki = spki(EC, Any::encode_from(&P192).ok(), &[4; 49]).unwrap();
    assert_eq!(rules("/etc/x", &pem(text("PUBLIC KEY", &spki).as_bytes()), false), ["weak-key"]);
}
