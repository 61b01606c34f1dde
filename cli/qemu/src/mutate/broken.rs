//! Hashes that nothing should rest on any more, validly signed: what only the verifier's own refusal stops.

use diag::Outcome;
use fit::fdt::Tree;
use fit::key::Padding;
use fit::sign::{EcdsaSigner, Message};
use md5::Digest;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use serde::Deserialize;
use sha1::Sha1;

use super::fit_tree::{edit, node};
use super::subject::Attacker;
use super::{Case, bad_fit, names, unfit};

/// A hash of images that U-Boot's FIT knows and whose collisions can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenHash {
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
    /// CRC-32, as U-Boot keeps it: big-endian.
    Crc32,
}

impl BrokenHash {
    /// As U-Boot spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Crc32 => "crc32",
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Md5 => md5::Md5::digest(data).to_vec(),
            Self::Crc32 => crc32fast::hash(data).to_be_bytes().to_vec(),
        }
    }
}

/// The FIT with the attacker's valid signature, over a broken hash of an image.
pub(super) fn hash(case: &mut Case<'_>, image: &str, algorithm: BrokenHash) -> Outcome<String> {
    let padding = case.subject.padding;
    resign(
        case,
        padding,
        |tree| {
            let node = node(tree, &format!("/images/{image}"))?;
            let data = node.get("data").map(<[u8]>::to_vec);
            let data = data.ok_or_else(|| unfit(format!("the image `{image}` has no data")))?;
            let mut changed = 0;
            for child in node.children.iter_mut().filter(|child| child.name.starts_with("hash")) {
                child.set_text("algo", algorithm.name());
                child.set("value", algorithm.digest(&data));
                changed += 1;
            }
            if changed == 0 {
                return Err(unfit(format!("the image `{image}` has no hash")));
            }
            Ok(format!("the hash of the image `{image}` is the right one of {}", algorithm.name()))
        },
        |case, parts| {
            let message = Message { hash: case.subject.algorithm.hash, padding, parts };
            case.subject.attacker()?.sign(&message).map_err(|e| bad_fit(&e))
        },
    )
}

/// The FIT with the attacker's valid signature over SHA-1, and a flash that trusts that key for SHA-1: a key is for one
/// algorithm, and U-Boot compares its name.
pub(super) fn over_sha1(case: &mut Case<'_>) -> Outcome<String> {
    let subject = case.subject;
    let named = subject.algorithm.name().replacen(subject.algorithm.hash.name(), "sha1", 1);
    let signature = subject.names.get(names::SIGNATURE)?;
    super::forge::trust_attacker(case)?;
    let (code, control) = super::forge::parts(case.uboot.as_deref().unwrap_or_default())?;
    let mut tree = Tree::parse(control).map_err(|e| bad_fit(&e))?;
    node(&mut tree, &format!("/signature/key-{}", subject.key_name))?.set_text("algo", &named);
    let written = tree.write().map_err(|e| bad_fit(&e))?;
    case.uboot = Some([code, &written].concat());
    resign(
        case,
        Padding::Pkcs1v15,
        |tree| {
            // No signature covers its own node.
            for configuration in &mut node(tree, "/configurations")?.children {
                if let Some(node) = configuration.child_mut(signature) {
                    node.set_text("algo", &named);
                }
            }
            Ok(format!("its algorithm is `{named}`"))
        },
        |case, parts| {
            let mut hash = Sha1::new();
            parts.iter().for_each(|part| hash.update(part));
            sign_sha1(case.subject.attackers_key()?, &hash.finalize())
        },
    )
}

/// Signs as everybody does, changes what that would refuse, and signs what came of it: validly, for who takes it.
fn resign(
    case: &mut Case<'_>,
    padding: Padding,
    change: impl FnOnce(&mut Tree<'_>) -> Outcome<String>,
    sign: impl Fn(&Case<'_>, &[&[u8]]) -> Outcome<Vec<u8>>,
) -> Outcome<String> {
    let subject = case.subject;
    let (configuration, signature) =
        (subject.names.get(names::CONFIGURATION)?, subject.names.get(names::SIGNATURE)?);
    super::forge::sign(case, &subject.key_name, padding)?;
    let words = edit(case, change)?;
    let parts = fit::verify::covered(&case.fit, configuration, signature).map_err(|e| bad_fit(&e))?;
    let value = sign(case, &parts)?;
    edit(case, |tree| {
        node(tree, &format!("/configurations/{configuration}/{signature}"))?.set("value", value);
        Ok(format!("{words}, validly signed with the attacker's key, named `{}`", subject.key_name))
    })
}

fn sign_sha1(key: &Attacker, digest: &[u8]) -> Outcome<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| unfit(format!("the attacker's key does not sign: {e}"));
    match key {
        Attacker::Rsa(_, key) => key.sign(rsa::Pkcs1v15Sign::new::<Sha1>(), digest).map_err(|e| failed(&e)),
        Attacker::Ecdsa(EcdsaSigner::P256(key)) => p256::ecdsa::SigningKey::from(key)
            .sign_prehash(digest)
            .map(|signature: p256::ecdsa::Signature| signature.to_bytes().to_vec())
            .map_err(|e| failed(&e)),
        // The crate wants half of the curve's order at least: zeros in front, as a shorter digest is read.
        Attacker::Ecdsa(EcdsaSigner::P384(key)) => p384::ecdsa::SigningKey::from(key)
            .sign_prehash(&[&[0; 28][..], digest].concat())
            .map(|signature: p384::ecdsa::Signature| signature.to_bytes().to_vec())
            .map_err(|e| failed(&e)),
    }
}

#[cfg(test)]
mod tests {
    use rsa::Pkcs1v15Sign;

    use super::super::{HashFate, Mutation};
    use super::*;
    use crate::mutate::testing::Bench;

    /// What the signature of the booted configuration covers, and its value.
    fn signed(case: &Case<'_>) -> (Vec<u8>, Vec<u8>) {
        let found = &case.subject.names;
        let (configuration, signature) =
            (found.get(names::CONFIGURATION).expect("named"), found.get(names::SIGNATURE).expect("named"));
        let covered = fit::verify::covered(&case.fit, configuration, signature).expect("covered").concat();
        let tree = Tree::parse(&case.fit).expect("a tree");
        let node = tree.root.at(&format!("/configurations/{configuration}/{signature}")).expect("a node");
        (covered, node.get("value").expect("a value").to_vec())
    }

    #[test]
    fn a_broken_hash_is_right_named_and_validly_signed() {
        let bench = Bench::new();
        for (algorithm, name, bytes) in
            [(BrokenHash::Sha1, "sha1", 20), (BrokenHash::Md5, "md5", 16), (BrokenHash::Crc32, "crc32", 4)]
        {
            let (words, case) = bench.run(&[Mutation::BrokenHash { image: "{kernel}".into(), algorithm }]);
            assert!(words.contains(&format!("the right one of {name}, validly signed")), "{words}");
            let tree = Tree::parse(&case.fit).unwrap();
            let kernel = case.subject.names.get(names::KERNEL).unwrap();
            let hash = tree.root.at(&format!("/images/{kernel}/hash-1")).unwrap();
            assert_eq!((hash.text("algo"), hash.get("value").unwrap().len()), (Some(name), bytes));
            let (covered, value) = signed(&case);
            let Attacker::Rsa(_, key) = case.subject.attackers_key().unwrap() else { panic!("RSA") };
            let digest = sha2::Sha256::digest(&covered);
            key.to_public_key().verify(Pkcs1v15Sign::new::<sha2::Sha256>(), &digest, &value).unwrap();
        }
        // RFC 3174, 7.3; RFC 1321, A.5; the check value of CRC-32/ISO-HDLC.
        assert_eq!(BrokenHash::Sha1.digest(b"abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(BrokenHash::Md5.digest(b"abc")[..4], [0x90, 0x01, 0x50, 0x98]);
        assert_eq!(BrokenHash::Crc32.digest(b"123456789"), [0xcb, 0xf4, 0x39, 0x26]);
    }

    #[test]
    fn what_is_signed_over_sha1_is_signed_validly() {
        let bench = Bench::new();
        let change =
            Mutation::Bootargs { append: Some("loglevel=6".into()), replace: None, hash: HashFate::Update };
        let (words, case) = bench.run(&[change, Mutation::ResignOverSha1 {}]);
        assert!(words.contains("its algorithm is `sha1,rsa2048`, validly signed"), "{words}");
        let (covered, value) = signed(&case);
        let Attacker::Rsa(_, key) = case.subject.attackers_key().unwrap() else { panic!("RSA") };
        let holds = |covered: &[u8]| {
            key.to_public_key().verify(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(covered), &value).is_ok()
        };
        assert!(holds(&covered) && !holds(b"something else"));
        let control = fit::control_fdt::find_control(case.uboot.as_ref().unwrap()).unwrap();
        let tree = Tree::parse(control).unwrap();
        assert_eq!(tree.root.at("/signature/key-product").unwrap().text("algo"), Some("sha1,rsa2048"));
    }

    #[test]
    fn what_there_is_no_signature_of_covers_nothing() {
        let bench = Bench::new();
        let (_, case) = bench.run(&[Mutation::Nothing {}]);
        let error = fit::verify::covered(&case.fit, "conf", "signature-9").unwrap_err().to_string();
        assert!(error.contains("there is no signature `/configurations/conf/signature-9`"), "{error}");
    }
}
