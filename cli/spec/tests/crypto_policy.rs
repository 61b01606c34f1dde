//! The crypto policy of the whole image, held against the libraries that read it (OpenSSL and GnuTLS of the host, where they are).

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;

fn template(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../templates/base").join(name)
}

/// What the tool says with these variables; nothing, and said so, where it is not installed.
fn output(tool: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let run = Command::new(tool).args(arguments).envs(variables.iter().copied()).output();
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{tool}`: {error}");
            #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
            {
                eprintln!("SKIPPED: `{tool}` is not installed");
            }
            return None;
        }
    };
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}");
    Some(text)
}

#[test]
fn openssl_takes_it_and_offers_nothing_weak() {
    let file = template("openssl.cnf.hbs");
    let variables = [("OPENSSL_CONF", file.to_str().expect("a path"))];
    let Some(found) = output("openssl", &["ciphers", "-s", "-v"], &variables) else { return };
    let suites: Vec<&str> = found.lines().filter(|line| line.contains("TLSv1")).collect();
    assert!(suites.len() >= 6, "{found}");
    for suite in suites {
        assert!(suite.contains("Mac=AEAD"), "no AEAD: {suite}");
        assert!(suite.contains("Kx=ECDH") || suite.contains("Kx=any"), "no forward secrecy: {suite}");
        assert!(suite.contains("TLSv1.2") || suite.contains("TLSv1.3"), "too old: {suite}");
    }
    // Without the policy this host offers more: it is the policy that takes it away.
    let without =
        output("openssl", &["ciphers", "-s", "-v"], &[("OPENSSL_CONF", "/dev/null")]).expect("runs");
    assert!(without.lines().any(|line| !line.contains("Mac=AEAD")), "{without}");
}

#[test]
fn gnutls_takes_every_line_and_offers_nothing_weak() {
    let file = template("gnutls.conf.hbs");
    let list = |file: &str| {
        // A line that it does not know is an error so, and passed over otherwise.
        let variables =
            [("GNUTLS_SYSTEM_PRIORITY_FILE", file), ("GNUTLS_SYSTEM_PRIORITY_FAIL_ON_INVALID", "1")];
        output("gnutls-cli", &["--priority", "NORMAL", "--list"], &variables)
    };
    let Some(found) = list(file.to_str().expect("a path")) else { return };
    let of = |text: &str, what: &str| {
        text.lines().find_map(|line| line.strip_prefix(what)).expect(what).trim().to_owned()
    };
    assert_eq!(of(&found, "Protocols:"), "VERS-TLS1.3, VERS-TLS1.2, VERS-DTLS1.2");
    assert!(!of(&found, "Ciphers:").contains("CBC"), "{found}");
    assert_eq!(of(&found, "MACs:"), "AEAD");
    assert!(!of(&found, "Key Exchange Algorithms:").split(", ").any(|kx| kx == "RSA"), "{found}");
    let without = list("/dev/null").expect("runs");
    assert!(of(&without, "Protocols:").contains("TLS1.0"), "{without}");
}
