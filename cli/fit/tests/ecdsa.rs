//! ECDSA on P-256 and P-384: signing, verifying, what an attacker would try, and agreement with `mkimage` and
//! OpenSSL.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{empty, options, signed, signer, unsigned};
use fit::FitError;
use fit::control_fdt::{KeyNode, RequiredMode, insert_key, keys, remove_key, set_required_mode};
use fit::fdt::Tree;
use fit::key::{Algorithm, Hash, KeyType, Padding, PublicKey};
use fit::request::SigningRequest;
use fit::sign::{EcdsaSigner, Message, SignOptions, Signer, sign, sign_all, signer_from_pem};
use fit::verify::{verify, verify_with_control};
use rsa::pkcs8::EncodePrivateKey;

const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
const KINDS: [KeyType; 2] = [KeyType::EcdsaP256, KeyType::EcdsaP384];
const SIGNATURE: &str = "/configurations/conf/signature-1";

fn key(kind: KeyType) -> EcdsaSigner {
    match kind {
        KeyType::EcdsaP384 => EcdsaSigner::P384(p384::SecretKey::random(&mut rand_core::OsRng)),
        _ => EcdsaSigner::P256(p256::SecretKey::random(&mut rand_core::OsRng)),
    }
}

fn with(algorithm: Algorithm) -> SignOptions {
    SignOptions { algorithm, ..options(Padding::Pss) }
}

fn control_of(algorithm: Algorithm, key: &EcdsaSigner) -> Vec<u8> {
    insert_key(&empty(), "dev", algorithm, &key.public_key()).unwrap()
}

fn problems(blob: &[u8], control: &[u8]) -> Result<String, FitError> {
    let report = verify_with_control(blob, control)?;
    assert_eq!(report.ok, report.all_problems().next().is_none());
    Ok(report.all_problems().map(|p| format!("{}: {}", p.code, p.message)).collect::<Vec<_>>().join("; "))
}

fn changed(blob: &[u8], path: &str, change: impl FnOnce(&mut fit::fdt::Node<'_>)) -> Vec<u8> {
    let mut tree = Tree::parse(blob).unwrap();
    change(tree.root.at_mut(path).unwrap());
    tree.write().unwrap()
}

fn value(blob: &[u8]) -> Vec<u8> {
    Tree::parse(blob).unwrap().root.at(SIGNATURE).unwrap().get("value").unwrap().to_vec()
}

#[test]
fn every_hash_with_both_curves_signs_and_verifies_and_gives_the_same_bytes_again() {
    for kind in KINDS {
        let key = key(kind);
        for hash in HASHES {
            let algorithm = Algorithm { hash, key: kind };
            let blob = sign(unsigned(), &with(algorithm), &key).unwrap();
            let control = control_of(algorithm, &key);
            assert_eq!(problems(&blob, &control).unwrap(), "", "{algorithm:?}");
            let report = verify_with_control(&blob, &control).unwrap();
            assert_eq!(report.configurations[0].algo, [algorithm.name()]);
            assert_eq!(value(&blob).len(), kind.signature_bytes());
            let tree = Tree::parse(&blob).unwrap();
            assert!(tree.root.at(SIGNATURE).unwrap().get("padding").is_none());
            assert_eq!(sign(unsigned(), &with(algorithm), &key).unwrap(), blob);
        }
    }
}

/// Order of P-256, and of P-384 (SEC 2, 2.4.2 and 2.5.1).
fn order(kind: KeyType) -> Vec<u8> {
    let hex = match kind {
        KeyType::EcdsaP384 => {
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        }
        _ => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    };
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_signature_whose_numbers_are_out_of_range_or_that_has_another_length_is_refused() {
    for kind in KINDS {
        let key = key(kind);
        let blob = sign(unsigned(), &with(kind.usual()), &key).unwrap();
        let control = control_of(kind.usual(), &key);
        let (genuine, half, n) = (value(&blob), kind.bits() / 8, order(kind));
        let (r, s) = genuine.split_at(half);
        let (zero, most) = (vec![0; half], vec![0xff; half]);
        let mut one = zero.clone();
        one[half - 1] = 1;
        // s and n - s both hold: what is signed is the same, so nothing is won by either.
        let forged: [(&str, Vec<u8>); 12] = [
            ("r = 0", [&zero, s].concat()),
            ("s = 0", [r, &zero].concat()),
            ("both 0", [&zero[..], &zero].concat()),
            ("r = n", [&n, s].concat()),
            ("s = n", [r, &n].concat()),
            ("r > n", [&most, s].concat()),
            ("s > n", [r, &most].concat()),
            ("both 1", [&one[..], &one].concat()),
            ("exchanged", [s, r].concat()),
            ("truncated", genuine[..genuine.len() - 1].to_vec()),
            ("longer", [&genuine[..], &[0]].concat()),
            ("empty", Vec::new()),
        ];
        for (what, forged) in forged {
            let blob = changed(&blob, SIGNATURE, |node| node.set("value", forged.clone()));
            let text = problems(&blob, &control).unwrap();
            assert!(text.contains("bad-signature: "), "{kind:?} {what}: {text}");
        }
    }
}

#[test]
fn a_signature_for_another_curve_or_kind_of_key_is_refused() {
    let (small, large) = (key(KeyType::EcdsaP256), key(KeyType::EcdsaP384));
    let (p256, p384) = (KeyType::EcdsaP256.usual(), KeyType::EcdsaP384.usual());
    let blob = sign(unsigned(), &with(p256), &small).unwrap();
    let text = problems(&blob, &control_of(p384, &large)).unwrap();
    assert!(text.contains("uses `sha256,ecdsa256`, but the key `dev` is for `sha384,ecdsa384`"), "{text}");
    // The FIT and the node agree about the algorithm, but the key is on another curve, or of another kind.
    let false_node = changed(&control_of(p384, &large), "/signature/key-dev", |node| {
        node.set_text("algo", "sha256,ecdsa256");
    });
    let text = problems(&blob, &false_node).unwrap();
    assert!(text.contains("uses `sha256,ecdsa256`, but the key `dev` is ecdsa384"), "{text}");
    let rsa = changed(&common::control(), "/signature/key-dev", |node| {
        node.set_text("algo", "sha256,ecdsa256");
    });
    assert!(problems(&blob, &rsa).unwrap().contains("but the key `dev` is rsa2048"));
    let text = problems(&signed(Padding::Pss), &control_of(p256, &small)).unwrap();
    assert!(text.contains("uses `sha256,rsa2048`, but the key `dev` is for `sha256,ecdsa256`"), "{text}");
    let text = sign(unsigned(), &with(p384), &small).unwrap_err().to_string();
    assert!(
        text.contains("`sha384,ecdsa384` needs a key of the kind ecdsa384, but `dev` is ecdsa256"),
        "{text}"
    );
    let other = control_of(p256, &key(KeyType::EcdsaP256));
    assert!(problems(&blob, &other).unwrap().contains("does not verify with the key `dev`"));
}

#[test]
fn a_key_node_without_a_point_of_its_curve_is_refused() {
    let key = key(KeyType::EcdsaP256);
    let control = control_of(KeyType::EcdsaP256.usual(), &key);
    let node = "/signature/key-dev";
    let point =
        |name: &str| Tree::parse(&control).unwrap().root.at(node).unwrap().get(name).unwrap().to_vec();
    let (x, y) = (point("ecdsa,x-point"), point("ecdsa,y-point"));
    let mut beside = y.clone();
    beside[31] ^= 1;
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("ecdsa,y-point", beside, "no point of `prime256v1`"),
        ("ecdsa,x-point", vec![0; 32], "no point of `prime256v1`"),
        ("ecdsa,x-point", vec![0xff; 32], "no point of `prime256v1`"),
        ("ecdsa,x-point", x[1..].to_vec(), "have 31 and 32 bytes: `prime256v1` needs 32"),
        ("ecdsa,y-point", vec![0; 48], "have 32 and 48 bytes"),
        ("ecdsa,curve", b"secp384r1\0".to_vec(), "`secp384r1` needs 48"),
        ("ecdsa,curve", b"secp521r1\0".to_vec(), "is for the curve `secp521r1`: expected `prime256v1`"),
        ("rsa,modulus", vec![1; 256], "holds two keys: RSA and ECDSA"),
    ];
    for (name, value, expected) in cases {
        let text = keys(&changed(&control, node, |key| key.set(name, value))).unwrap_err().to_string();
        assert!(text.contains(expected), "{name}: {text}");
    }
    let text = keys(&changed(&control, node, |key| {
        let _ = key.unset("ecdsa,y-point");
    }))
    .unwrap_err()
    .to_string();
    assert!(text.contains("lacks `ecdsa,y-point`"), "{text}");
}

/// A device that trusts the old key, then both, then the new one only; images signed by the old key, by both, by
/// the new one.
#[test]
fn a_rotation_from_rsa_to_ecdsa_goes_through_both() {
    let new = key(KeyType::EcdsaP256);
    let (first, mut second) = (options(Padding::Pss), with(KeyType::EcdsaP256.usual()));
    second.key_name = "next".into();
    let alone = sign(unsigned(), &second, &new).unwrap();
    second.node = "signature-2".into();
    let both = sign_all(unsigned(), &[(&first, &signer()), (&second, &new)]).unwrap();
    let old = signed(Padding::Pss);
    let before = common::control();
    let two = insert_key(&before, "next", second.algorithm, &new.public_key()).unwrap();
    let during = set_required_mode(&two, RequiredMode::Any).unwrap();
    let after = remove_key(&during, "dev").unwrap();
    let takes =
        |control: &[u8]| [&old, &both, &alone].map(|blob| verify_with_control(blob, control).unwrap().ok);
    assert_eq!(takes(&before), [true, true, false]);
    assert_eq!(takes(&during), [true, true, true]);
    assert_eq!(takes(&after), [false, true, true]);
    // Without `any`, U-Boot wants both signatures: neither the old nor the new image starts.
    assert_eq!(takes(&two), [false, true, false]);
}

#[test]
fn keys_are_read_in_pem_and_their_halves_belong_together() {
    for kind in KINDS {
        let key = key(kind);
        let pem = match &key {
            EcdsaSigner::P256(key) => key.to_pkcs8_pem(Default::default()).unwrap(),
            EcdsaSigner::P384(key) => key.to_pkcs8_pem(Default::default()).unwrap(),
        };
        let public = key.public_key();
        assert_eq!(signer_from_pem(&pem).unwrap().public_key(), public);
        assert_eq!(PublicKey::from_private_pem(&pem).unwrap(), public);
        assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()).unwrap(), public);
        assert_eq!((public.kind(), public.bits()), (Some(kind), kind.bits()));
    }
    let text =
        PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap_err();
    assert!(
        text.to_string().contains(
            "expected a PEM public key of RSA with 2048, 3072 or 4096 bits, or of ECDSA on P-256 or P-384"
        ),
        "{text}"
    );
    let text = PublicKey::from_sec1(&[4; 65]).unwrap_err().to_string();
    assert!(text.contains("expected a point of P-256 or P-384"), "{text}");
}

fn have(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing =
        programs.iter().find(|name| !std::env::split_paths(&path).any(|folder| folder.join(name).exists()));
    let Some(program) = missing else { return true };
    assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{program}` is required");
    eprintln!("SKIPPED: `{program}` is not installed");
    false
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "7")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// With room: `mkimage` 2023.01 makes none when it adds a key of ECDSA, and no `/signature` either.
fn roomy(mut control: Vec<u8>) -> Vec<u8> {
    control.resize(control.len() + 4096, 0);
    let size = u32::try_from(control.len()).unwrap();
    control[4..8].copy_from_slice(&size.to_be_bytes());
    control
}

/// `mkimage -F` signs a FIT of ours again: over the same bytes, with the key in `dev.pem`, and puts the key into a
/// control FDT.
#[test]
fn what_mkimage_signs_verifies_here_and_its_key_node_is_ours() {
    if !have(&["mkimage", "openssl"]) {
        return;
    }
    let version = run(Path::new("."), "mkimage", &["-V"]).stdout;
    let p256_only = String::from_utf8_lossy(&version).contains("version 2023.01");
    for (kind, curve) in [(KeyType::EcdsaP256, "P-256"), (KeyType::EcdsaP384, "P-384")] {
        if p256_only && kind == KeyType::EcdsaP384 {
            eprintln!("SKIPPED: `mkimage` 2023.01 does not sign with P-384");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let option = format!("ec_paramgen_curve:{curve}");
        run(at, "openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-out", "dev.pem"]);
        let signer = signer_from_pem(&std::fs::read_to_string(at.join("dev.pem")).unwrap()).unwrap();
        for hash in HASHES {
            let algorithm = Algorithm { hash, key: kind };
            let blob = sign(unsigned(), &with(algorithm), &*signer).unwrap();
            let blank = changed(&blob, SIGNATURE, |node| node.set("value", vec![0; kind.signature_bytes()]));
            std::fs::write(at.join("x.itb"), blank).unwrap();
            std::fs::write(at.join("control.dtb"), roomy(remove_key(&common::control(), "dev").unwrap()))
                .unwrap();
            run(at, "mkimage", &["-F", "-k", ".", "-K", "control.dtb", "-r", "x.itb"]);
            let theirs = std::fs::read(at.join("x.itb")).unwrap();
            assert_ne!(value(&theirs), value(&blob), "its nonce is random");
            let control = std::fs::read(at.join("control.dtb")).unwrap();
            let ours = insert_key(&empty(), "dev", algorithm, &signer.public_key()).unwrap();
            assert_eq!(problems(&theirs, &ours).unwrap(), "", "{algorithm:?}");
            // All but the node's name (see `control_fdt`); 2023.01 leaves out name, algorithm and `required`.
            let old = Tree::parse(&control).unwrap().root.at("/signature/dev").unwrap().get("algo").is_none();
            let properties = |blob: &[u8], node: &str| {
                let tree = Tree::parse(blob).unwrap();
                let node = tree.root.at(node).unwrap();
                let mut list: Vec<_> = node.properties.iter().map(|(n, v)| (n.clone(), v.to_vec())).collect();
                list.retain(|(name, _)| !old || name.starts_with("ecdsa,"));
                list.sort();
                list
            };
            assert_eq!(properties(&control, "/signature/dev"), properties(&ours, "/signature/key-dev"));
        }
    }
}

/// Keeps what it was asked to sign, and signs.
struct Witness(EcdsaSigner, std::cell::RefCell<Vec<u8>>);

impl Signer for Witness {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        *self.1.borrow_mut() = message.parts.concat();
        self.0.sign(message)
    }
}

/// OpenSSL signs the covered bytes in DER, which is accepted; and verifies ours.
#[test]
fn openssl_and_this_take_each_others_signatures() {
    if !have(&["openssl"]) {
        return;
    }
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let witness = Witness(key(kind), Default::default());
        let pem = match &witness.0 {
            EcdsaSigner::P256(key) => key.to_pkcs8_pem(Default::default()).unwrap(),
            EcdsaSigner::P384(key) => key.to_pkcs8_pem(Default::default()).unwrap(),
        };
        std::fs::write(at.join("key.pem"), pem.as_bytes()).unwrap();
        for hash in HASHES {
            let algorithm = Algorithm { hash, key: kind };
            sign(unsigned(), &with(algorithm), &witness).unwrap();
            let region = witness.1.borrow().clone();
            std::fs::write(at.join("region"), &region).unwrap();
            let name = format!("-{}", hash.name());
            run(at, "openssl", &["dgst", &name, "-sign", "key.pem", "-out", "sig", "region"]);
            let der = std::fs::read(at.join("sig")).unwrap();
            let (public, digest) = (witness.public_key(), hash.digest(&[&region]));
            let raw = public.accepted(hash, Padding::Pss, &digest, &der).unwrap();
            assert_eq!(raw.len(), kind.signature_bytes());
            assert!(public.holds(hash, Padding::Pss, &digest, &raw));
            assert!(!public.holds(hash, Padding::Pss, &digest, &der));
            // The other way: what is exported is DER again, and OpenSSL takes it.
            assert_eq!(public.exported(&raw).unwrap(), der);
            assert_eq!(public.exported(&raw[1..]), None);
            std::fs::write(at.join("public.pem"), public.to_pem().unwrap()).unwrap();
            run(at, "openssl", &["dgst", &name, "-verify", "public.pem", "-signature", "sig", "region"]);
            let other = hash.digest(&[b"other"]);
            assert_eq!(public.accepted(hash, Padding::Pss, &other, &der), None);
            let parts: [&[u8]; 1] = [&region];
            let message = Message { hash, padding: Padding::Pss, parts: &parts };
            let request = SigningRequest::new("dev", &public, &message).unwrap();
            assert_eq!((request.algorithm, request.padding), (algorithm.name(), None));
        }
    }
}

#[test]
fn sha_1_is_refused_with_ecdsa_too() {
    let key = key(KeyType::EcdsaP256);
    let blob = sign(unsigned(), &with(KeyType::EcdsaP256.usual()), &key).unwrap();
    let blob = changed(&blob, SIGNATURE, |node| node.set_text("algo", "sha1,ecdsa256"));
    let mut trusted = KeyNode::required("dev", KeyType::EcdsaP256.usual(), key.public_key());
    trusted.algo = "sha1,ecdsa256".into();
    let report = verify(&blob, &[trusted], false).unwrap();
    assert_eq!(report.configurations[0].problems[0].code, "weak-algorithm");
}
