//! A small image for the tests of mutations: real FIT, real partition table, real hash tree.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{LazyLock, OnceLock};

use fit::build::{Configuration, FitSpec, Image};
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Hash, Padding, PublicKey};
use fit::sign::{RsaSigner, SignOptions};
use image::disk::{Guid, Layout, PartitionSpec, gpt_write};
use record::PartitionRecord;
use rsa::RsaPrivateKey;
use sha2::{Digest, Sha256};
use spec::Architecture;

use super::subject::{Attacker, SPL_SLOT, VerityFacts};
use super::{Case, Mutation, Names, Subject};

/// Made once a test run: making an RSA key is slow.
static KEYS: LazyLock<[RsaPrivateKey; 2]> =
    LazyLock::new(|| [(); 2].map(|()| RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap()));
const DATA_BLOCKS: u64 = 300;
/// Rollback version of the test's image.
pub const VERSION: u32 = 3;

pub fn fit_of(fit: &[u8]) -> Tree<'_> {
    Tree::parse(fit).unwrap()
}

fn node_tree(build: impl FnOnce(&mut Node<'static>)) -> Vec<u8> {
    let mut root = Node::new("");
    build(&mut root);
    Tree { root, ..Tree::default() }.write().unwrap()
}

/// Name, type, operating system and data of an image.
type Piece<'a> = (&'a str, &'a str, Option<&'a str>, Vec<u8>);

/// What a build system calls the nodes of its FITs.
pub struct Called {
    pub conf: &'static str,
    pub signature: &'static str,
    pub hash: &'static str,
    pub kernel: &'static str,
    pub fdt: &'static str,
    pub uboot: &'static str,
    pub monitor: &'static str,
}

/// As our own assembly does.
pub const OURS: Called = Called {
    conf: "conf",
    signature: "signature-1",
    hash: "hash-1",
    kernel: "kernel",
    fdt: "fdt",
    uboot: "uboot",
    monitor: "monitor",
};

/// Nothing as ours; much as OpenEmbedded's classes and U-Boot's documentation have it.
pub const OTHERS: Called = Called {
    conf: "conf-board.dtb",
    signature: "signature",
    hash: "hash",
    kernel: "kernel-1",
    fdt: "fdt-board.dtb",
    uboot: "firmware-1",
    monitor: "atf",
};

/// The names in a FIT of ours: the kernel's, or the one that SPL verifies.
pub fn names(spl: bool) -> Names {
    let fit = if spl { uboot_fit(&OURS, &node_tree(|_| ())) } else { fit(&OURS, "00") };
    Names::of(&fit).unwrap()
}

/// The kernel's FIT.
fn fit(called: &Called, root_hash: &str) -> Vec<u8> {
    let fdt =
        node_tree(|root| root.child_or_new("chosen").set_text("bootargs", &format!("quiet {root_hash}")));
    let pieces =
        vec![(called.kernel, "kernel", Some("linux"), vec![0x5a; 5000]), (called.fdt, "flat_dt", None, fdt)];
    signed(called, pieces, &[("kernel", called.kernel), ("fdt", called.fdt)])
}

/// The FIT that SPL verifies.
fn uboot_fit(called: &Called, control: &[u8]) -> Vec<u8> {
    let pieces = vec![
        (called.monitor, "firmware", Some("opensbi"), vec![0x33; 3000]),
        (called.uboot, "standalone", Some("u-boot"), vec![7; 64]),
        (called.fdt, "flat_dt", None, control.to_vec()),
    ];
    let loads = [("firmware", called.monitor), ("loadables", called.uboot), ("fdt", called.fdt)];
    signed(called, pieces, &loads)
}

fn signed(called: &Called, pieces: Vec<Piece<'_>>, loads: &[(&str, &str)]) -> Vec<u8> {
    let image = |(name, kind, os, data): Piece<'_>| Image {
        name: name.into(),
        description: name.into(),
        kind: kind.into(),
        arch: "arm64".into(),
        os: os.map(str::to_owned),
        compression: "none".into(),
        load: Some(0x4040_0000),
        entry: os.map(|_| 0x4040_0000),
        data: data.into(),
    };
    let mut tree = fit::build::build(FitSpec {
        description: "test".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images: pieces.into_iter().map(image).collect(),
        configurations: vec![Configuration {
            name: called.conf.into(),
            description: "test".into(),
            compatible: Some("test".into()),
            loads: loads.iter().map(|(role, name)| ((*role).to_owned(), vec![(*name).to_owned()])).collect(),
        }],
        default: Some(called.conf.into()),
    })
    .unwrap();
    for hash in tree.root.child_or_new("images").children.iter_mut().flat_map(|image| &mut image.children) {
        hash.name = called.hash.to_owned();
    }
    let configurations = tree.root.child_or_new("configurations");
    configurations.child_or_new(called.conf).set_cell("fastness,rollback-version", VERSION);
    let options = SignOptions {
        key_name: "product".into(),
        algorithm: Algorithm::parse("sha256,rsa2048").unwrap(),
        padding: Padding::Pkcs1v15,
        timestamp: 7,
        node: called.signature.into(),
    };
    fit::sign::sign(tree, &options, &RsaSigner::new(KEYS[0].clone())).unwrap()
}

/// Data, tree and root hash of a root partition: two levels.
fn root_partition(salt: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let hash = |block: &[u8]| Sha256::new().chain_update(salt).chain_update(block).finalize();
    let data: Vec<u8> = (0..DATA_BLOCKS * 4096).map(|at| (at / 7) as u8).collect();
    let mut leaves: Vec<u8> = data.chunks(4096).flat_map(&hash).collect();
    leaves.resize(leaves.len().next_multiple_of(4096), 0);
    let mut top: Vec<u8> = leaves.chunks(4096).flat_map(&hash).collect();
    top.resize(4096, 0);
    let root = hash(&top).into();
    ([data, top, leaves].concat(), root)
}

/// An image and its disk, and what becomes of them.
pub struct Bench {
    pub subject: Subject,
    disk: Vec<u8>,
    root: [u8; 32],
}

impl Bench {
    pub fn new() -> Self {
        Self::of(&OURS)
    }

    /// An image whose FIT has these names.
    pub fn of(called: &Called) -> Self {
        let salt = b"salt".to_vec();
        let (root_bytes, root) = root_partition(&salt);
        let root_hash = record::sha256_hex(&root);
        let fit = fit(called, &root_hash);
        let spec = |name: &str, number: u8, bytes| PartitionSpec {
            name: name.into(),
            type_guid: Guid::LINUX_DATA,
            part_guid: format!("00000000-0000-4000-8000-0000000000{number:02x}").parse().unwrap(),
            attributes: 0,
            bytes,
        };
        let mut specs =
            vec![spec("fit_a", 1, 1 << 20), spec("fit_b", 2, 1 << 20), spec("root_a", 3, 2 << 20)];
        specs.push(spec("proof", 4, 1 << 20));
        specs.push(spec("data", 5, 1 << 20));
        specs.push(spec("uboot", 6, 1 << 20));
        let layout = Layout::new("00000000-0000-4000-8000-000000000000".parse().unwrap(), &specs).unwrap();
        let mut disk = vec![0; usize::try_from(layout.bytes()).unwrap()];
        gpt_write(&mut std::io::Cursor::new(&mut disk), &layout).unwrap();
        let partitions: Vec<PartitionRecord> = layout
            .partitions()
            .iter()
            .map(|p| PartitionRecord {
                name: p.name.clone(),
                guid: p.part_guid.to_string(),
                offset: p.offset,
                bytes: p.bytes,
                sha256: String::new(),
            })
            .collect();
        for (partition, content) in [(0, &fit), (2, &root_bytes)] {
            let at = usize::try_from(partitions[partition].offset).unwrap();
            disk[at..at + content.len()].copy_from_slice(content);
        }
        let control = node_tree(|root| root.set_text("model", "board"));
        let key = PublicKey::from_rsa(KEYS[0].to_public_key());
        let algorithm = Algorithm::parse("sha256,rsa2048").unwrap();
        let control = fit::control_fdt::insert_key(&control, "product", algorithm, &key).unwrap();
        let attacker = OnceLock::new();
        attacker.set(Ok(Attacker::rsa(KEYS[1].clone()))).unwrap();
        let subject = Subject {
            names: Names::of(&fit).unwrap(),
            fit,
            uboot: [vec![7; 64], control].concat(),
            slots: "fit_",
            partitions,
            key_name: "product".into(),
            algorithm,
            padding: Padding::Pkcs1v15,
            root_hash,
            verity: VerityFacts { data_blocks: DATA_BLOCKS, hash_start: DATA_BLOCKS, salt },
            architecture: Architecture::Arm64,
            kernel_address: 0x4040_0000,
            rollback_version: Some(VERSION),
            timestamp: 7,
            attacker,
        };
        Self { subject, disk, root }
    }

    /// The same image as SPL sees it: SPL has the key, and what it verifies is the FIT with that U-Boot.
    pub fn spl(called: &Called) -> Self {
        let mut bench = Self::of(called);
        let control = fit::control_fdt::find_control(&bench.subject.uboot).unwrap();
        let fit = uboot_fit(called, control);
        let at = usize::try_from(bench.subject.partition("uboot").unwrap().offset).unwrap();
        bench.disk[at..at + fit.len()].copy_from_slice(&fit);
        bench.subject.uboot = [&[9; 64], control].concat();
        bench.subject.names = Names::of(&fit).unwrap();
        bench.subject.fit = fit;
        bench.subject.slots = SPL_SLOT;
        bench
    }

    /// The root hash that is signed.
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    fn case(&self) -> Case<'_> {
        let disk: File = tempfile::tempfile().unwrap();
        disk.write_all_at(&self.disk, 0).unwrap();
        Case::new(&self.subject, disk)
    }

    pub fn run(&self, mutations: &[Mutation]) -> (String, Case<'_>) {
        let mut case = self.case();
        let words = case.apply(mutations).unwrap();
        (words, case)
    }

    pub fn fails(&self, mutations: &[Mutation]) -> String {
        self.case().apply(mutations).unwrap_err().to_string()
    }

    pub fn read(&self, partition: &str, at: usize, bytes: usize, case: &Case<'_>) -> Vec<u8> {
        let offset = self.subject.partition(partition).unwrap().offset;
        let mut buffer = vec![0; bytes];
        case.disk.read_exact_at(&mut buffer, offset + at as u64).unwrap();
        buffer
    }

    /// What a slot holds, as long as the case's FIT.
    pub fn slot(&self, case: &Case<'_>, partition: &str) -> Vec<u8> {
        self.read(partition, 0, case.fit.len(), case)
    }

    /// Codes of what the verifier finds wrong with a case's FIT, with the product's key.
    pub fn problems(&self, fit: &[u8]) -> Vec<String> {
        let control = fit::control_fdt::find_control(&self.subject.uboot).unwrap();
        let keys = fit::control_fdt::keys(control).unwrap();
        match fit::verify::verify(fit, &keys, false) {
            Ok(report) => report.all_problems().map(|p| format!("{}: {}", p.code, p.message)).collect(),
            Err(error) => vec![error.to_string()],
        }
    }
}
