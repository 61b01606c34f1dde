//! What is issued is accepted by OpenSSL, and what OpenSSL makes badly is refused here, each for its reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

use std::fs;
use std::path::Path;
use std::process::Command;

use pki::verify::{Purpose, Query, failure, read_pem, verify};
use pki::{Algorithm, Authority, Init, Reason, Request, Role};
use secret::Secret;
use tempfile::TempDir;

/// 2026-11-23.
const NOW: u64 = 1_795_392_000;
const DAY: u64 = 86_400;

fn secret() -> Secret {
    Secret::new(b"a passphrase of the tests".to_vec())
}

fn tool_is_there() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is not installed");
    if !there {
        eprintln!("SKIPPED: openssl is not installed");
    }
    there
}

fn openssl(folder: &Path, arguments: &str) -> (bool, String) {
    let run =
        Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

fn made(folder: &Path, arguments: &str) {
    let (good, said) = openssl(folder, arguments);
    assert!(good, "openssl {arguments}: {said}");
}

fn authority(folder: &Path, algorithm: Algorithm) -> Authority {
    let init = Init {
        organization: "Plant".to_owned(),
        algorithm,
        days: 7300,
        crl_url: Some("http://crl.plant.example/crl.pem".to_owned()),
        ocsp_url: Some("http://192.0.2.40:2560/".to_owned()),
        domains: vec!["plant.example".to_owned()],
    };
    Authority::init(&folder.join("pki"), &init, &secret(), NOW).unwrap()
}

fn request(name: &str, role: Role) -> Request {
    Request {
        name: name.to_owned(),
        common_name: None,
        role,
        names: Vec::new(),
        device_serial: None,
        days: None,
        algorithm: Algorithm::P256,
        csr: None,
    }
}

fn query(folder: &Path, chain: &str, root: &str) -> Query {
    Query {
        chain: read_pem(&fs::read(folder.join(chain)).unwrap(), "CERTIFICATE").unwrap(),
        roots: read_pem(&fs::read(folder.join(root)).unwrap(), "CERTIFICATE").unwrap(),
        lists: Vec::new(),
        at: NOW + DAY,
        purpose: None,
        name: None,
        strict: false,
    }
}

/// The codes and messages of a refusal.
fn refused(query: &Query) -> String {
    let failure = failure(&verify(query).unwrap_err());
    failure.diagnostics.iter().map(|d| format!("{}: {}\n", d.code, d.message)).collect()
}

#[test]
fn everything_issued_is_accepted_by_openssl_and_by_us() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P384);
    let uri =
        Request { names: vec!["uri:urn:plant:gw".parse().unwrap()], ..request("opcua-gw", Role::Opcua) };
    let idevid =
        Request { device_serial: Some("SN-0017".to_owned()), ..request("gw-17-idevid", Role::Idevid) };
    let rsa = Request { algorithm: Algorithm::Rsa3072, ..request("rsa.plant.example", Role::Server) };
    let all = [
        (request("gw-17.plant.example", Role::Device), "sslclient", Purpose::Client),
        (request("scada.plant.example", Role::Peer), "sslserver", Purpose::Server),
        (request("web.plant.example", Role::Server), "sslserver", Purpose::Server),
        (request("eve", Role::Operator), "sslclient", Purpose::Client),
        (uri, "sslserver", Purpose::Server),
        (idevid, "sslclient", Purpose::Client),
        (rsa, "sslserver", Purpose::Server),
    ];
    for (request, _, _) in &all {
        authority.issue(request, &secret()).unwrap();
    }
    authority.crl(30, &secret()).unwrap();
    for (request, purpose, ours) in &all {
        let file = format!("pki/issued/{}.crt", request.name);
        made(
            folder.path(),
            &format!(
                "verify -x509_strict -purpose {purpose} -crl_check -CRLfile pki/crl.pem -attime {} -CAfile pki/root.crt \
                 -untrusted pki/issuing.crt {file}",
                NOW + DAY
            ),
        );
        let mut query = query(folder.path(), &file, "pki/root.crt");
        query.purpose = Some(*ours);
        query.lists = read_pem(&fs::read(folder.path().join("pki/crl.pem")).unwrap(), "X509 CRL").unwrap();
        assert_eq!(verify(&query).unwrap().len(), 3, "{}", request.name);
    }
    let (_, text) = openssl(folder.path(), "x509 -noout -text -in pki/issued/gw-17-idevid.crt");
    assert!(text.contains("Dec 31 23:59:59 9999 GMT") && text.contains("serialNumber = SN-0017"), "{text}");
    let (_, text) = openssl(folder.path(), "x509 -noout -text -in pki/issuing.crt");
    assert!(text.contains("CA:TRUE, pathlen:0") && text.contains("DNS:plant.example"), "{text}");
}

#[test]
fn a_certificate_of_ours_is_refused_for_its_own_reason() {
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P256);
    authority.issue(&request("gw.plant.example", Role::Device), &secret()).unwrap();
    let base = || query(folder.path(), "pki/issued/gw.plant.example.crt", "pki/root.crt");
    verify(&base()).unwrap();

    let late = refused(&Query { at: NOW + 731 * DAY, ..base() });
    assert!(late.starts_with("expired: ") && late.contains("was valid until 2028-11-22"), "{late}");
    let early = refused(&Query { at: NOW - DAY, ..base() });
    assert!(early.contains("not-yet-valid: ") && early.contains("is the clock right?"), "{early}");
    let name = refused(&Query { name: Some("dns:other.plant.example".parse().unwrap()), ..base() });
    assert!(
        name.starts_with("wrong-name: the certificate is not that of `dns:other.plant.example`"),
        "{name}"
    );
    verify(&Query { name: Some("dns:gw.plant.example".parse().unwrap()), ..base() }).unwrap();
    let usage = refused(&Query { purpose: Some(Purpose::Server), ..base() });
    assert!(usage.starts_with("wrong-usage: expected the extended key usage serverAuth"), "{usage}");
    verify(&Query { purpose: Some(Purpose::Ike), ..base() }).unwrap();
    assert!(refused(&Query { strict: true, ..base() }).contains("no-crl: "));
    let alone = Query { chain: base().chain[..1].to_vec(), ..base() };
    assert!(refused(&alone).starts_with("unknown-ca: "), "{}", refused(&alone));

    authority.revoke("gw.plant.example", Reason::KeyCompromise).unwrap();
    authority.crl(30, &secret()).unwrap();
    let lists = read_pem(&fs::read(folder.path().join("pki/crl.pem")).unwrap(), "X509 CRL").unwrap();
    let revoked = refused(&Query { lists: lists.clone(), ..base() });
    assert!(revoked.starts_with("revoked: the certificate was revoked on 2026-11-23"), "{revoked}");
    let stale = refused(&Query { lists: lists.clone(), at: NOW + 31 * DAY, ..base() });
    assert!(stale.starts_with("stale-crl: "), "{stale}");
    assert!(refused(&Query { lists, at: NOW - DAY, ..base() }).contains("clock-wrong: "));
    if tool_is_there() {
        let (good, said) = openssl(
            folder.path(),
            &format!(
                "verify -crl_check -CRLfile pki/crl.pem -attime {} -CAfile pki/root.crt -untrusted pki/issuing.crt \
                 pki/issued/gw.plant.example.crt",
                NOW + DAY
            ),
        );
        assert!(!good && said.contains("certificate revoked"), "{said}");
    }
}

#[test]
fn a_new_issuing_ca_and_the_former_one_are_trusted_at_the_same_time() {
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P384);
    for name in ["old.plant.example", "old-gone.plant.example"] {
        authority.issue(&request(name, Role::Peer), &secret()).unwrap();
    }
    let path = authority.next_issuing(Algorithm::P384, false, &secret()).unwrap();
    assert_eq!(path.file_name().unwrap(), "issuing+2.crt");
    for name in ["new.plant.example", "new-gone.plant.example"] {
        authority.issue(&request(name, Role::Peer), &secret()).unwrap();
    }
    for name in ["old-gone.plant.example", "new-gone.plant.example"] {
        authority.revoke(name, Reason::KeyCompromise).unwrap();
    }
    authority.crl(30, &secret()).unwrap();
    let lists = || read_pem(&fs::read(folder.path().join("pki/crl.pem")).unwrap(), "X509 CRL").unwrap();
    assert_eq!(lists().len(), 2);
    for (name, issuer, good) in [
        ("old", "issuing", true),
        ("old-gone", "issuing", false),
        ("new", "issuing+2", true),
        ("new-gone", "issuing+2", false),
    ] {
        let file = format!("pki/issued/{name}.plant.example.crt");
        let found = verify(&Query { lists: lists(), ..query(folder.path(), &file, "pki/root.crt") });
        match found {
            Ok(path) => assert!(good && path.len() == 3, "{name}"),
            Err(refusals) => assert!(!good && refusals[0].code == "revoked", "{name}: {refusals:?}"),
        }
        if tool_is_there() {
            let asked = format!(
                "verify -crl_check -CRLfile pki/crl.pem -attime {} -CAfile pki/root.crt -untrusted pki/{issuer}.crt {file}",
                NOW + DAY
            );
            assert_eq!(openssl(folder.path(), &asked).0, good, "{name}");
        }
    }
    // The constraint of names goes on, and the root's list holds for both.
    let (_, text) = openssl(folder.path(), "x509 -noout -text -in pki/issuing+2.crt");
    assert!(text.contains("DNS:plant.example") && text.contains("issuing CA 2"), "{text}");
    fs::remove_file(folder.path().join("pki/root.key.pem")).unwrap();
    let failure = authority.next_issuing(Algorithm::P384, false, &secret()).unwrap_err();
    assert_eq!((failure.diagnostics[0].code.as_str(), failure.status), ("no-key", diag::ExitStatus::Keys));
}

/// `openssl ocsp` answers from what the authority writes, and a client asks it where the certificate says.
#[test]
fn a_responder_says_what_was_revoked() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P384);
    for (name, role) in
        [("good.plant.example", Role::Peer), ("gone.plant.example", Role::Peer), ("status", Role::Ocsp)]
    {
        authority.issue(&request(name, role), &secret()).unwrap();
    }
    authority.revoke("gone.plant.example", Reason::KeyCompromise).unwrap();
    authority.crl(30, &secret()).unwrap();
    let (_, text) = openssl(folder.path(), "x509 -noout -text -in pki/issued/status.crt");
    assert!(text.contains("OCSP Signing") && text.contains("OCSP No Check"), "{text}");
    let (_, text) = openssl(folder.path(), "x509 -noout -ocsp_uri -in pki/issued/good.plant.example.crt");
    assert_eq!(text.trim(), "http://192.0.2.40:2560/");
    fs::write(folder.path().join("pass"), "a passphrase of the tests\n").unwrap();
    made(folder.path(), "pkey -in pki/issued/status.key.pem -passin file:pass -out status.key");
    for (name, expected) in [("good", ": good"), ("gone", ": revoked")] {
        let certificate = format!("pki/issued/{name}.plant.example.crt");
        let asked = format!("ocsp -issuer pki/issuing.crt -cert {certificate} -reqout {name}.req -no_nonce");
        made(folder.path(), &asked);
        made(
            folder.path(),
            &format!(
                "ocsp -index pki/ocsp.index -CA pki/issuing.crt -rsigner pki/issued/status.crt -rkey status.key \
                 -ndays 1 -reqin {name}.req -respout {name}.resp"
            ),
        );
        // The answer is of this machine's time, the certificates are of the test's.
        let check = format!(
            "ocsp -respin {name}.resp -issuer pki/issuing.crt -cert {certificate} -CAfile pki/root.crt \
             -verify_other pki/issuing.crt -attime {} -no_nonce",
            NOW + DAY
        );
        let (_, said) = openssl(folder.path(), &check);
        assert!(said.contains("Response verify OK") && said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn damaged_der_never_verifies_and_never_panics() {
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P256);
    authority.issue(&request("gw.plant.example", Role::Device), &secret()).unwrap();
    let text = fs::read_to_string(folder.path().join("pki/issued/gw.plant.example.crt")).unwrap();
    let first = text.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    let (_, der) = pem(first);
    let mut query = query(folder.path(), "pki/issued/gw.plant.example.crt", "pki/root.crt");
    for cut in (0..der.len()).step_by(7) {
        let refusal =
            read_pem::<x509_cert::Certificate>(armour(&der[..cut]).as_bytes(), "CERTIFICATE").unwrap_err();
        assert_eq!(refusal.code, "malformed");
    }
    for place in 0..der.len() {
        let mut other = der.clone();
        other[place] ^= 1;
        if let Ok(chain) = read_pem::<x509_cert::Certificate>(armour(&other).as_bytes(), "CERTIFICATE") {
            query.chain[0] = chain[0].clone();
            assert!(verify(&query).is_err(), "byte {place}");
        }
    }
}

fn pem(text: &str) -> (String, Vec<u8>) {
    let (label, der) = x509_cert::der::pem::decode_vec(text.as_bytes()).unwrap();
    (label.to_owned(), der)
}

fn armour(der: &[u8]) -> String {
    x509_cert::der::pem::encode_string("CERTIFICATE", x509_cert::der::pem::LineEnding::LF, der).unwrap()
}

/// A root and what it signs, made by OpenSSL.
fn hostile(folder: &Path, key: &str, digest: &str, leaf_extensions: &str) {
    fs::write(folder.join("leaf.ext"), leaf_extensions).unwrap();
    made(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 36500 -subj /CN=root -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    made(folder, &format!("req -new {key} -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf"));
    made(
        folder,
        &format!(
            "x509 -req {digest} -in leaf.csr -CA root.pem -CAkey root.key -days 36500 -extfile leaf.ext -out leaf.pem"
        ),
    );
}

const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn weak_keys_curves_and_hashes_are_refused() {
    if !tool_is_there() {
        return;
    }
    for (key, digest, expected) in [
        ("-newkey rsa:2048", "-sha256", "weak-key: expected an RSA key of at least 3072 bits"),
        (
            "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1",
            "-sha256",
            "unknown-curve: expected a key on P-256 or P-384",
        ),
        (P256, "-sha1", "weak-signature: expected a signature with SHA-256 or better, found SHA-1"),
    ] {
        let folder = TempDir::new().unwrap();
        hostile(folder.path(), key, digest, "basicConstraints=CA:FALSE");
        // The clock of this machine made them; a century is allowed for.
        let query = Query { at: 4_000_000_000, ..query(folder.path(), "leaf.pem", "root.pem") };
        assert!(refused(&query).contains(expected), "{}", refused(&query));
    }
    let folder = TempDir::new().unwrap();
    hostile(folder.path(), P256, "-sha256", "basicConstraints=CA:FALSE");
    verify(&Query { at: 4_000_000_000, ..query(folder.path(), "leaf.pem", "root.pem") }).unwrap();
}

#[test]
fn signatures_with_rsa_pss_are_taken_only_with_sha2_its_mask_and_its_salt() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    let pss = |digest: &str, salt: &str| {
        format!("{digest} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}")
    };
    made(
        place,
        &format!(
            "req -x509 -newkey rsa:3072 -nodes -keyout root.key -out root.pem -days 36500 -subj /CN=root -addext keyUsage=critical,keyCertSign,cRLSign {}",
            pss("-sha384", "digest")
        ),
    );
    fs::write(place.join("e"), "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n").unwrap();
    made(place, &format!("req -new {P256} -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf"));
    for (digest, salt, expected) in [
        ("-sha256", "digest", None),
        ("-sha512", "digest", None),
        (
            "-sha256",
            "20",
            Some(
                "unknown-signature: expected RSA-PSS with SHA-2, a mask of the same hash and a salt as long as it (RFC 4055, 3.1), found SHA-256, a mask of SHA-256 and a salt of 20 bytes",
            ),
        ),
        (
            "-sha256",
            "digest -sigopt rsa_mgf1_md:sha512",
            Some("found SHA-256, a mask of SHA-512 and a salt of 32 bytes"),
        ),
        ("-sha1", "digest", Some("weak-signature: ")),
    ] {
        let sign = format!(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -set_serial 7 -days 36500 -extfile e -out leaf.pem {}",
            pss(digest, salt)
        );
        made(place, &sign);
        let query = Query { at: 4_000_000_000, ..query(place, "leaf.pem", "root.pem") };
        match expected {
            None => drop(verify(&query).unwrap_or_else(|_| panic!("{digest}: {}", refused(&query)))),
            Some(reason) => assert!(refused(&query).contains(reason), "{}", refused(&query)),
        }
    }
}

#[test]
fn self_signed_ones_false_cas_and_long_paths_are_refused() {
    if !tool_is_there() {
        return;
    }
    let at = 4_000_000_000;
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    hostile(place, P256, "-sha256", "basicConstraints=CA:FALSE");
    let other = TempDir::new().unwrap();
    hostile(other.path(), P256, "-sha256", "basicConstraints=CA:FALSE");
    fs::copy(other.path().join("root.pem"), place.join("other.pem")).unwrap();
    let alone = refused(&Query { at, ..query(place, "root.pem", "leaf.pem") });
    assert!(alone.contains("self-signed: `CN=root` is self-signed"), "{alone}");
    let impostor = refused(&Query { at, ..query(place, "leaf.pem", "other.pem") });
    assert!(impostor.contains("bad-signature: "), "{impostor}");

    // One more below the leaf, which is no CA.
    made(place, &format!("req -new {P256} -nodes -keyout low.key -out low.csr -subj /CN=low"));
    made(
        place,
        "x509 -req -in low.csr -CA leaf.pem -CAkey leaf.key -days 36500 -extfile leaf.ext -out low.pem",
    );
    let both = fs::read_to_string(place.join("low.pem")).unwrap()
        + &fs::read_to_string(place.join("leaf.pem")).unwrap();
    fs::write(place.join("chain.pem"), &both).unwrap();
    let no_ca = refused(&Query { at, ..query(place, "chain.pem", "root.pem") });
    assert!(no_ca.contains("issuer-not-ca: `CN=leaf` signed a certificate and is no CA"), "{no_ca}");
    let (good, said) = openssl(place, "verify -CAfile root.pem -untrusted leaf.pem low.pem");
    assert!(!good && said.contains("invalid CA certificate"), "{said}");

    // A CA whose issuer allows none below it.
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    hostile(
        place,
        P256,
        "-sha256",
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign",
    );
    made(place, &format!("req -new {P256} -nodes -keyout mid.key -out mid.csr -subj /CN=mid"));
    made(
        place,
        "x509 -req -in mid.csr -CA leaf.pem -CAkey leaf.key -days 36500 -extfile leaf.ext -out mid.pem",
    );
    made(place, &format!("req -new {P256} -nodes -keyout low.key -out low.csr -subj /CN=low"));
    made(place, "x509 -req -in low.csr -CA mid.pem -CAkey mid.key -days 36500 -out low.pem");
    let text: String = ["low.pem", "mid.pem", "leaf.pem"]
        .iter()
        .map(|f| fs::read_to_string(place.join(f)).unwrap())
        .collect();
    fs::write(place.join("chain.pem"), text).unwrap();
    let long = refused(&Query { at, ..query(place, "chain.pem", "root.pem") });
    assert!(long.contains("path-too-long: `CN=leaf` allows 0 CAs below it, found 1"), "{long}");
}

#[test]
fn a_request_is_issued_only_with_the_names_that_were_named() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut authority = authority(folder.path(), Algorithm::P256);
    made(
        folder.path(),
        &format!(
            "req -new {P256} -nodes -keyout k -out c -subj /CN=x -addext subjectAltName=DNS:gw.plant.example"
        ),
    );
    let csr = fs::read(folder.path().join("c")).unwrap();
    let other = Request { csr: Some(csr.clone()), ..request("other.plant.example", Role::Device) };
    let failure = authority.issue(&other, &secret()).unwrap_err();
    assert!(
        failure.to_string().contains("a name that was not named here: `dns:gw.plant.example`"),
        "{failure}"
    );
    assert!(authority.index().entries.is_empty());
    let right = Request { csr: Some(csr), ..request("gw.plant.example", Role::Device) };
    authority.issue(&right, &secret()).unwrap();
    assert!(!folder.path().join("pki/issued/gw.plant.example.key.pem").exists());
    made(folder.path(), "req -new -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=x");
    let weak = Request {
        csr: Some(fs::read(folder.path().join("c")).unwrap()),
        ..request("w.plant.example", Role::Device)
    };
    assert!(authority.issue(&weak, &secret()).unwrap_err().to_string().contains("at least 3072 bits"));
}

#[test]
fn an_authority_is_never_overwritten_shared_or_taken_back_in_time() {
    let folder = TempDir::new().unwrap();
    let mut first = authority(folder.path(), Algorithm::P256);
    let path = folder.path().join("pki");
    assert_eq!(Authority::open(&path, NOW).unwrap_err().status, diag::ExitStatus::Busy);
    let one = request("gw.plant.example", Role::Device);
    first.issue(&one, &secret()).unwrap();
    let again = first.issue(&one, &secret()).unwrap_err();
    assert!(again.to_string().contains("has a certificate until 2028-11-22"), "{again}");
    let next = first.renew("gw.plant.example", Algorithm::P256, None, None, &secret()).unwrap();
    assert!(next.path.ends_with("issued/gw.plant.example+2.crt"));
    let long = Request { days: Some(5000), ..request("long.plant.example", Role::Device) };
    assert!(first.issue(&long, &secret()).unwrap_err().to_string().contains("ends before its issuer's on"));
    let wrong = Secret::new(b"wrong".to_vec());
    let failure = first.issue(&request("x.plant.example", Role::Device), &wrong).unwrap_err();
    assert!(
        failure.to_string().contains("does not open") && !failure.to_string().contains("`wrong`"),
        "{failure}"
    );
    drop(first);
    let failure = Authority::open(&path, NOW - 1).unwrap_err();
    assert!(failure.to_string().contains("the clock says 2026-11-22T23:59:59Z"), "{failure}");
    assert_eq!(Authority::open(&path, NOW).unwrap().index().entries.len(), 2);
}

#[test]
fn an_interrupted_init_is_taken_back_or_finished() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pki");
    let staged = path.join(".authority.new");
    // Killed after the root's files had appeared, before the index did.
    fs::create_dir_all(&staged).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for file in ["root.crt", "root.key.pem"] {
        fs::write(staged.join(file), "half").unwrap();
        fs::hard_link(staged.join(file), path.join(file)).unwrap();
    }
    assert_eq!(Authority::open(&path, NOW).unwrap_err().diagnostics[0].code, "no-authority");
    drop(authority(folder.path(), Algorithm::P256));
    assert!(!staged.exists() && fs::read(path.join("root.crt")).unwrap() != b"half");
    // Killed after everything had appeared, before it was cleared up.
    fs::create_dir(&staged).unwrap();
    fs::hard_link(path.join("root.key.pem"), staged.join("root.key.pem")).unwrap();
    let mut authority = Authority::open(&path, NOW).unwrap();
    assert!(!staged.exists());
    authority.issue(&request("gw.plant.example", Role::Device), &secret()).unwrap();
}
