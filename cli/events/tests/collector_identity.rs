//! Whom the device takes for its collector: the line of templates/forward that connects, run here against each bad identity.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{authority, certify, openssl, template, tools};

mod support;

const NAME: &str = "logs.example";
const RECORD: &str = "a record of the device";
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate of an authority with dates of its own, or another key or hash: `NAME.key` and `NAME.pem`.
fn unusual(folder: &Path, name: &str, key: &[&str], sign: &[&str]) {
    let text = "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\npolicy=any\nunique_subject=no\n\
                x509_extensions=server\ndefault_md=sha256\ndefault_days=30\n[any]\ncommonName=supplied\n[server]\n\
                subjectAltName=DNS:logs.example\nextendedKeyUsage=serverAuth\n";
    fs::write(folder.join("ca.cnf"), text).unwrap();
    fs::write(folder.join("index"), "").unwrap();
    let (key_file, pem, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={NAME}"));
    let request = ["req", "-new", "-subj", &subject, "-nodes", "-keyout", &key_file, "-out", "request"];
    openssl(folder, &[request.as_slice(), key].concat());
    let made = [
        "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "request",
        "-out", &pem, "-notext",
    ];
    openssl(folder, &[made.as_slice(), sign].concat());
}

/// What the device's line says, and what a collector with that identity got.
fn tried(folder: &Path, identity: &str) -> (bool, String, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let got = folder.join(format!("{identity}.got"));
    // So weak that it is the device that has to refuse.
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-naccept", "1", "-tls1_2", "-cipher", "DEFAULT:@SECLEVEL=0", "-accept"])
        .arg(format!("127.0.0.1:{port}"))
        .args([
            "-cert",
            &format!("{identity}.pem"),
            "-key",
            &format!("{identity}.key"),
            "-CAfile",
            "ca.pem",
            "-Verify",
            "1",
        ])
        .current_dir(folder)
        // It would end with its input.
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&got).unwrap())
        .stderr(fs::File::create(folder.join(format!("{identity}.log"))).unwrap())
        .spawn()
        .unwrap();
    let text = template("forward/event-forward.sh.hbs");
    let line = text.lines().find(|line| line.starts_with("target=\"OPENSSL:")).unwrap();
    let line = line.replace("{{network.collector.port}}", &port.to_string());
    assert!(!line.contains("{{"), "a parameter that this test does not know: {line}");
    let script = format!(
        "name={NAME}; target=127.0.0.1; keys={}; {line}; exec socat -t 5 - \"$target\"",
        folder.join("device").display()
    );
    let start = Instant::now();
    loop {
        let mut device = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Refused, it does not read.
        let _ = device.stdin.take().unwrap().write_all(RECORD.as_bytes());
        let ended = device.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        // The server needs a moment to listen.
        if said.contains("Connection refused") && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        // It ends with its one client; one that does not come to a handshake ends it, too.
        while server.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.kill();
        let _ = server.wait();
        return (ended.status.success(), said, fs::read_to_string(&got).unwrap());
    }
}

#[test]
fn only_the_collector_of_the_plant_gets_a_record() {
    if !tools(&["socat", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::create_dir(place.join("device")).unwrap();
    authority(place, "ca");
    authority(place, "stranger");
    certify(place, "device/device", "gw.example", "clientAuth");
    fs::copy(place.join("ca.pem"), place.join("device/ca.pem")).unwrap();
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    certify(place, "good", NAME, "serverAuth");
    certify(place, "other-name", "other.example", "serverAuth");
    certify(place, "wrong-purpose", NAME, "clientAuth");
    unusual(place, "expired", &ec, &["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]);
    unusual(place, "not-yet-valid", &ec, &["-startdate", "20990101000000Z", "-enddate", "20990201000000Z"]);
    unusual(place, "weak-key", &["-newkey", "rsa:1024"], &[]);
    unusual(place, "sha1-signature", &ec, &["-md", "sha1"]);
    // Of another authority, and of none.
    fs::rename(place.join("ca.pem"), place.join("kept.pem")).unwrap();
    fs::rename(place.join("ca.key"), place.join("kept.key")).unwrap();
    fs::copy(place.join("stranger.pem"), place.join("ca.pem")).unwrap();
    fs::copy(place.join("stranger.key"), place.join("ca.key")).unwrap();
    certify(place, "unknown-ca", NAME, "serverAuth");
    fs::rename(place.join("kept.pem"), place.join("ca.pem")).unwrap();
    let own = format!("subjectAltName=DNS:{NAME}");
    let alone = [
        "req",
        "-x509",
        "-nodes",
        "-subj",
        "/CN=logs.example",
        "-addext",
        &own,
        "-keyout",
        "self-signed.key",
        "-out",
        "self-signed.pem",
    ];
    openssl(place, &[alone.as_slice(), &ec].concat());

    let (taken, said, got) = tried(place, "good");
    assert!(taken && got == RECORD, "{said} {got}");
    for identity in [
        "other-name",
        "wrong-purpose",
        "expired",
        "not-yet-valid",
        "weak-key",
        "sha1-signature",
        "unknown-ca",
        "self-signed",
    ] {
        let (taken, said, got) = tried(place, identity);
        assert!(!taken, "`{identity}` was taken: {said}");
        assert_eq!(got, "", "`{identity}` got a record");
        let why = if identity == "other-name" { "name" } else { "certificate verify failed" };
        assert!(said.contains(why), "`{identity}`: {said}");
    }
}
