use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::keys::AddKey;
use crate::testing::{PASSPHRASE, store_with_key};

fn code(failure: &Failure) -> (ExitStatus, &str) {
    (failure.status, &failure.diagnostics[0].code)
}

fn secret() -> Secret {
    Secret::new(PASSPHRASE.to_vec())
}

fn new(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        key: KeyType::Rsa2048,
        mark: KeyMark::Development,
        created: 1_700_000_000,
    }
}

#[test]
fn a_key_comes_back_as_it_was_made() {
    let (_folder, store) = store_with_key("gw-dev");
    let key = store.load_signing("gw-dev", &secret()).unwrap();
    assert_eq!((key.record.bits, key.record.mark), (2048, KeyMark::Development));
    assert_eq!(key.public().key, store.public("gw-dev").unwrap().key);
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&key.record));
    assert_eq!(store.check("gw-dev", Some(&secret())).unwrap(), key.record);
    assert!(!format!("{key:?}").contains("private"), "{key:?}");
}

#[test]
fn a_wrong_passphrase_is_said_to_be_wrong() {
    let (_folder, store) = store_with_key("gw-dev");
    let failure = store.load_signing("gw-dev", &Secret::new(b"guess".to_vec())).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Keys, "wrong-passphrase"));
    let text = failure.to_string();
    assert!(text.contains("the passphrase does not open the key `gw-dev`"), "{text}");
    assert!(!text.contains("guess"), "{text}");
}

#[test]
fn a_missing_key_says_how_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::at(&folder.path().join("none"));
    for failure in [
        store.load_signing("gw", &secret()).unwrap_err(),
        store.check("gw", None).unwrap_err(),
        store.public("gw").unwrap_err(),
    ] {
        assert_eq!(code(&failure), (ExitStatus::Keys, "missing-key"));
        assert!(failure.to_string().contains("fastness keys new gw"), "{failure}");
    }
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_key_open_to_others_is_refused() {
    let (folder, store) = store_with_key("gw-dev");
    let path = folder.path().join("gw-dev.key.pem");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    for failure in
        [store.load_signing("gw-dev", &secret()).unwrap_err(), store.check("gw-dev", None).unwrap_err()]
    {
        assert_eq!(code(&failure), (ExitStatus::Keys, "key-permissions"));
        assert!(failure.to_string().contains("found 0644"), "{failure}");
    }
}

#[test]
fn a_key_is_never_overwritten() {
    let (_folder, store) = store_with_key("gw-dev");
    let before = store.public("gw-dev").unwrap().record;
    let failure = store.new_evidence_key(&new("gw-dev"), &secret()).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Keys, "key-exists"));
    assert_eq!(store.check("gw-dev", Some(&secret())).unwrap(), before);
}

#[test]
fn names_and_empty_passphrases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::at(&folder.path().join("keys"));
    for name in ["", "../k", "a/b", ".k", "k\n", &"k".repeat(65)] {
        assert_eq!(store.new_key(&new(name), &secret()).unwrap_err().diagnostics[0].code, "key-name");
        assert_eq!(store.public(name).unwrap_err().diagnostics[0].code, "key-name");
    }
    let empty = store.new_key(&new("k"), &Secret::new(Vec::new())).unwrap_err();
    assert_eq!(code(&empty), (ExitStatus::Keys, "empty-passphrase"));
}

#[test]
fn files_of_different_keys_do_not_fit() {
    let (folder, store) = store_with_key("gw-dev");
    let path = |name: &str| folder.path().join(name);
    // Another key under the same passphrase.
    fs::copy(path("gw-dev.key.pem"), path("kept.pem")).unwrap();
    fs::write(path("gw-dev.key.pem"), crate::testing::OTHER_KEY_PEM.as_bytes()).unwrap();
    let failure = store.load_signing("gw-dev", &secret()).unwrap_err();
    assert!(failure.to_string().contains("private and public key do not belong together"), "{failure}");
    fs::rename(path("kept.pem"), path("gw-dev.key.pem")).unwrap();

    let json = fs::read_to_string(path("gw-dev.json")).unwrap();
    let fingerprint = store.record("gw-dev").unwrap().fingerprint;
    fs::write(path("gw-dev.json"), json.replace(&fingerprint, &"0".repeat(64))).unwrap();
    let failure = store.load_signing("gw-dev", &secret()).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Keys, "key-mismatch"));
    assert!(failure.to_string().contains("the fingerprint of its record"), "{failure}");

    fs::copy(path("gw-dev.json"), path("other.json")).unwrap();
    assert!(store.record("other").unwrap_err().to_string().contains("its record is that of `gw-dev`"));
}

#[test]
fn an_unencrypted_key_is_refused() {
    let (folder, store) = store_with_key("gw-dev");
    let path = folder.path().join("gw-dev.key.pem");
    for (content, expected) in [
        ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "it is labelled `PRIVATE KEY`"),
        ("nonsense", "found something else"),
    ] {
        fs::write(&path, content).unwrap();
        let failure = store.load_signing("gw-dev", &secret()).unwrap_err();
        assert_eq!(code(&failure), (ExitStatus::Keys, "key-format"));
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[test]
fn a_development_key_opens_unattended() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::at(&folder.path().join("keys"));
    let record = store.new_development_evidence_key("gw-evidence", 5).unwrap();
    assert_eq!((record.mark, record.created), (KeyMark::Development, 5));
    let source = store.default_passphrase("gw-evidence");
    assert_eq!(source, PassphraseSource::File(store.folder().join("gw-evidence.passphrase")));
    let secret = source.read("gw-evidence", &|_| panic!("no prompt")).unwrap();
    let key = store.load_evidence("gw-evidence", &secret).unwrap();
    let signature = key.sign(b"report");
    key.public().verify(b"report", &signature).unwrap();
    let failure = store.evidence_public("gw-evidence").unwrap().verify(b"Report", &signature).unwrap_err();
    assert_eq!(code(&failure), (ExitStatus::Check, "evidence-signature"));
    let failure = key.public().verify(b"report", &signature[..63]).unwrap_err();
    assert!(failure.to_string().contains("expected a signature of 64 bytes, found 63"), "{failure}");
    let failure = store.load_signing("gw-evidence", &secret).unwrap_err();
    assert!(failure.to_string().contains("a key for another purpose"), "{failure}");
    assert_eq!(store.default_passphrase("gw"), PassphraseSource::Prompt);
}

#[test]
fn openssl_opens_both_kinds() {
    if crate::testing::missing_tool("openssl") {
        return;
    }
    let (folder, store) = store_with_key("gw-dev");
    store.new_evidence_key(&new("ev"), &secret()).unwrap();
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, PASSPHRASE).unwrap();
    for name in ["gw-dev", "ev"] {
        let output = Command::new("openssl")
            .args(["pkey", "-pubout", "-passin"])
            .arg(format!("file:{}", passphrase.display()))
            .arg("-in")
            .arg(folder.path().join(format!("{name}.key.pem")))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let public = fs::read(folder.path().join(format!("{name}.pub.pem"))).unwrap();
        assert_eq!(output.stdout, public);
    }
}

#[test]
fn keys_of_ecdsa_are_made_opened_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::at(&folder.path().join("keys"));
    for (name, key, kind) in [("a", KeyType::EcdsaP256, "ecdsa256"), ("b", KeyType::EcdsaP384, "ecdsa384")] {
        let record = store.new_key(&NewKey { key, ..new(name) }, &secret()).unwrap();
        assert_eq!((record.kind, record.kind_name()), (KeyKind::Ecdsa, kind.to_owned()));
        let opened = store.load_signing(name, &secret()).unwrap();
        assert_eq!(opened.signer().public_key(), store.public(name).unwrap().key);
        assert_eq!(store.check(name, Some(&secret())).unwrap(), record);
    }
    // The public key of one under the record of the other.
    let path = |name: &str| folder.path().join("keys").join(name);
    fs::copy(path("b.pub.pem"), path("a.pub.pem")).unwrap();
    assert_eq!(code(&store.public("a").unwrap_err()), (ExitStatus::Keys, "key-mismatch"));
}

/// The public key of MCUboot's sample `root-ec-p256-pkcs8.pem`, from the x coordinate in the list of published keys.
fn published_p256() -> String {
    let (x, _) = spec::known_keys::KnownKeys::built_in()
        .starts()
        .find(|(_, source)| source.starts_with("MCUboot root-ec-p256"))
        .unwrap();
    let of = |sign: u8| {
        let key = p256::PublicKey::from_sec1_bytes(&[&[sign], x].concat()).unwrap();
        fit::key::PublicKey::from_pem(&key.to_public_key_pem(LineEnding::LF).unwrap()).unwrap()
    };
    // A point has one of two y coordinates; the published one is that of the fingerprint.
    let known = |key: &fit::key::PublicKey| {
        spec::known_keys::KnownKeys::built_in().source(&key.fingerprint().unwrap()).is_some()
    };
    [of(2), of(3)].into_iter().find(known).unwrap().to_pem().unwrap()
}

#[test]
fn a_published_key_is_not_added_for_releases() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::at(&folder.path().join("keys"));
    let pem = published_p256();
    let none = Secret::new(Vec::new());
    let mut asked = AddKey {
        name: "gw",
        uri: "offline:",
        public_pem: Some(&pem),
        mark: KeyMark::Release,
        created: 0,
        secret: &none,
    };
    let failure = store.add(&asked).unwrap_err();
    assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Keys, "published-key"));
    assert!(failure.to_string().contains("the key `gw` is published: MCUboot root-ec-p256"), "{failure}");
    assert!(!store.folder().exists(), "nothing is written");
    // For development it may be used, and says what it is.
    asked.mark = KeyMark::Development;
    assert!(store.add(&asked).unwrap().published_at().is_some());
}
