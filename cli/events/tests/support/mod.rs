//! What tests of the forwarding share: an authority of their own, made by OpenSSL.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The text of a template.
pub fn template(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates").join(name)).unwrap()
}

/// Runs OpenSSL in a folder.
pub fn openssl(folder: &Path, arguments: &[&str]) {
    let run = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// A key and a certificate of the test's authority, `NAME.key` and `NAME.pem`.
pub fn certify(folder: &Path, name: &str, host: &str, usage: &str) {
    let (key, pem, extensions) = (format!("{name}.key"), format!("{name}.pem"), format!("{name}.ext"));
    fs::write(folder.join(&extensions), format!("subjectAltName=DNS:{host}\nextendedKeyUsage={usage}\n"))
        .unwrap();
    let subject = format!("/CN={host}");
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        folder,
        &[&["req", "-new", "-subj", &subject, "-keyout", &key, "-out", "request"], new.as_slice()].concat(),
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            &extensions,
            "-out",
            &pem,
        ],
    );
}

/// An authority with a certificate of its own, `NAME.key` and `NAME.pem`.
pub fn authority(folder: &Path, name: &str) {
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let made = ["req", "-x509", "-subj", "/CN=test", "-days", "30", "-keyout", &key, "-out", &pem];
    openssl(folder, &[made.as_slice(), new.as_slice()].concat());
}

/// Whether all of these programs are there; says which is not, and fails where they must be.
pub fn tools(names: &[&str]) -> bool {
    for tool in names {
        if Command::new(tool).arg("-h").output().is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{tool}` is not installed");
            println!("SKIPPED: `{tool}` is not installed");
            return false;
        }
    }
    true
}
