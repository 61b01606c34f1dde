//! What the tests of signing and verifying share. Keys are made anew in every run.

#![allow(clippy::unwrap_used, dead_code)]

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::OnceLock;

use fit::FitError;
use fit::build::{Configuration, FitSpec, Image, build};
use fit::control_fdt::{KeyNode, insert_key, keys};
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Hash, KeyType, Padding, PublicKey};
use fit::sign::{Message, RsaSigner, SignOptions, Signer, sign};
use rsa::RsaPrivateKey;

/// A key of 2048 bits, made once a process: making one is slow.
pub fn private_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap())
}

/// Another one, which nobody trusts.
pub fn other_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap())
}

/// For closures that must give nothing.
pub fn ignore<T>(_: T) {}

pub fn signer() -> RsaSigner {
    RsaSigner::new(private_key().clone())
}

/// An empty control FDT.
pub fn empty() -> Vec<u8> {
    Tree { root: Node::new(""), ..Tree::default() }.write().unwrap()
}

pub fn options(padding: Padding) -> SignOptions {
    SignOptions {
        key_name: "dev".into(),
        algorithm: Algorithm { hash: Hash::Sha256, key: KeyType::Rsa2048 },
        padding,
        timestamp: 7,
        node: "signature-1".into(),
    }
}

pub fn image(name: &str, kind: &str, data: &[u8]) -> Image<'static> {
    Image {
        name: name.into(),
        description: name.into(),
        kind: kind.into(),
        arch: "arm64".into(),
        os: (kind != "flat_dt").then(|| "linux".into()),
        compression: "none".into(),
        load: Some(match kind {
            "kernel" => 0x4040_0000,
            "flat_dt" => 0x4400_0000,
            _ => 0x4800_0000,
        }),
        entry: (kind == "kernel").then_some(0x4040_0000),
        data: Cow::Owned(data.to_vec()),
    }
}

pub fn unsigned() -> Tree<'static> {
    build(FitSpec {
        description: "test".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images: vec![
            image("kernel", "kernel", KERNEL),
            image("fdt", "flat_dt", &empty()),
            image("ramdisk", "ramdisk", b"ramdisk data"),
        ],
        configurations: vec![Configuration {
            name: "conf".into(),
            description: "the only one".into(),
            compatible: Some("test,board".into()),
            loads: [("kernel", "kernel"), ("fdt", "fdt"), ("ramdisk", "ramdisk")]
                .map(|(role, name)| (role.to_owned(), vec![name.to_owned()]))
                .to_vec(),
        }],
        default: Some("conf".into()),
    })
    .unwrap()
}

pub fn signed(padding: Padding) -> Vec<u8> {
    sign(unsigned(), &options(padding), &signer()).unwrap()
}

/// The bytes of the image `kernel`.
pub const KERNEL: &[u8] = b"kernel data";

/// A FIT whose kernel has a second hash that nobody would sign here, and a good signature over it. The word is as long as
/// `sha256` with its NUL, so that nothing moves.
pub fn with_second_hash(word: &[u8; 7], value: &[u8], padding: Padding) -> Vec<u8> {
    let mut tree = unsigned();
    let kernel = tree.root.at_mut("/images/kernel").unwrap();
    let mut twin = Node { name: "hash-2".into(), ..kernel.child("hash-1").unwrap().clone() };
    twin.set("value", value.to_vec());
    kernel.children.push(twin);
    let blob = sign(tree, &options(padding), &OfSecondHash(*word)).unwrap();
    let mut tree = Tree::parse(&blob).unwrap();
    tree.root.at_mut("/images/kernel/hash-2").unwrap().set("algo", word.to_vec());
    tree.write().unwrap()
}

/// Signs the covered bytes as they are when the second hash of the first image has another word.
struct OfSecondHash([u8; 7]);

impl Signer for OfSecondHash {
    fn public_key(&self) -> PublicKey {
        signer().public_key()
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let mut covered = message.parts.concat();
        let at = covered.windows(6).position(|part| part == b"hash-2").unwrap();
        let algo = at + covered[at..].windows(7).position(|part| part == b"sha256\0").unwrap();
        covered[algo..algo + 7].copy_from_slice(&self.0);
        signer().sign(&Message { parts: &[&covered], ..*message })
    }
}

pub fn control() -> Vec<u8> {
    insert_key(&empty(), "dev", options(Padding::Pss).algorithm, &signer().public_key()).unwrap()
}

pub fn trusted() -> Vec<KeyNode> {
    keys(&control()).unwrap()
}

/// U-Boot's own verifier: what `FIT_CHECK_SIGN` names, else one on the search path. No distribution that `ci/setup` knows has it
/// (Debian's u-boot-tools has not), so that its absence is loud and no failure; `ci/test` repeats it at its end.
#[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
pub fn fit_check_sign() -> Option<PathBuf> {
    let named = std::env::var_os("FIT_CHECK_SIGN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named
        .or_else(|| std::env::split_paths(&path).map(|at| at.join("fit_check_sign")).find(|at| at.exists()));
    if found.is_none() {
        eprintln!(
            "SKIPPED: no `fit_check_sign`: Debian does not ship it, set `FIT_CHECK_SIGN` to one built from U-Boot (ci/peers/uboot builds one)"
        );
    }
    found
}
