//! `fastness fit build` and `fastness fit sign`.

use std::borrow::Cow;
use std::path::PathBuf;

use assemble::keys::KeyStore;
use diag::{ExitStatus, Failure, Outcome};
use fit::build::{Configuration, FitSpec, Image};
use fit::fdt::Tree;
use fit::key::{Algorithm, Hash, Padding};
use fit::sign::{RsaSigner, SignOptions};
use serde::Serialize;

use super::fit::{read, wrong};
use crate::output::Output;
use crate::stages::{self, Passphrase};

/// The file to write, and its time.
#[derive(Debug, clap::Args)]
struct Target {
    /// Time stamp, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        default_value_t = 0
    )]
    timestamp: u32,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `fit build`.
#[derive(Debug, clap::Args)]
pub struct BuildArguments {
    /// Kernel, not compressed
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// The kernel's device tree
    #[arg(long, value_name = "FILE")]
    fdt: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE")]
    ramdisk: Option<PathBuf>,
    /// Address that the kernel is put at and entered
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    load: u64,
    /// Address that the device tree is put at
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    fdt_load: Option<u64>,
    /// Architecture, as U-Boot spells it
    #[arg(long, default_value = "arm64")]
    arch: String,
    /// Description and `compatible` of the configuration
    #[arg(long, default_value = "fastness")]
    name: String,
    /// Hash of the images
    #[arg(long, default_value = "sha256")]
    hash: String,
    #[command(flatten)]
    target: Target,
}

/// Arguments of `fit sign`.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The FIT
    file: PathBuf,
    /// Key of the key store; also the `key-name-hint`
    #[arg(long, value_name = "NAME")]
    key: String,
    /// Hash and key size, as U-Boot spells them
    #[arg(long, value_name = "ALGORITHM", default_value = "sha256,rsa3072")]
    algorithm: String,
    /// `pss` or `pkcs-1.5`
    #[arg(long, default_value = "pss")]
    padding: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    passphrase: Passphrase,
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a PathBuf,
    bytes: usize,
    sha256: String,
}

fn address(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "expected an address such as `0x40400000`".to_owned())
}

fn usage(error: &fit::FitError) -> Failure {
    Failure::error(ExitStatus::Usage, "fit", error.to_string())
}

/// Builds an unsigned FIT with one configuration, `conf`.
pub fn build(asked: &BuildArguments, output: &Output) -> Outcome<ExitStatus> {
    let image = |name: &str, kind: &str, load: Option<u64>, file: &PathBuf| -> Outcome<Image<'static>> {
        Ok(Image {
            name: name.to_owned(),
            description: name.to_owned(),
            kind: kind.to_owned(),
            arch: asked.arch.clone(),
            os: (kind != "flat_dt").then(|| "linux".to_owned()),
            compression: "none".to_owned(),
            load,
            entry: load.filter(|_| kind == "kernel"),
            data: Cow::Owned(read(file)?),
        })
    };
    let mut images = vec![image("kernel", "kernel", Some(asked.load), &asked.kernel)?];
    if let Some(file) = &asked.fdt {
        let fdt = image("fdt", "flat_dt", asked.fdt_load, file)?;
        // U-Boot would find out only on the device.
        Tree::parse(&fdt.data).map_err(|e| wrong(file, &e))?;
        images.push(fdt);
    }
    if let Some(file) = &asked.ramdisk {
        images.push(image("ramdisk", "ramdisk", None, file)?);
    }
    let loads = images.iter().map(|image| (image.name.clone(), vec![image.name.clone()])).collect();
    let tree = fit::build::build(FitSpec {
        description: asked.name.clone(),
        timestamp: asked.target.timestamp,
        hash: Hash::parse(&asked.hash).map_err(|e| usage(&e))?,
        images,
        configurations: vec![Configuration {
            name: "conf".to_owned(),
            description: asked.name.clone(),
            compatible: Some(asked.name.clone()),
            loads,
        }],
        default: "conf".to_owned(),
    })
    .map_err(|e| usage(&e))?;
    let blob = tree.write().map_err(|e| usage(&e))?;
    write(&asked.target.output, &blob, output)
}

/// Signs every configuration of a FIT, and verifies the result with the public key before it is written.
pub fn sign(asked: &SignArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let options = SignOptions {
        key_name: asked.key.clone(),
        algorithm: Algorithm::parse(&asked.algorithm).map_err(|e| usage(&e))?,
        padding: Padding::parse(&asked.padding).map_err(|e| usage(&e))?,
        timestamp: asked.target.timestamp,
        node: "signature-1".to_owned(),
    };
    let blob = read(&asked.file)?;
    let tree = Tree::parse(&blob).map_err(|e| wrong(&asked.file, &e))?;
    let secret = asked.passphrase.read(store, &asked.key)?;
    let key = store.load_signing(&asked.key, &secret)?;
    let signed = fit::sign::sign(tree, &options, &RsaSigner::new(key.private().clone()))
        .map_err(|e| wrong(&asked.file, &e))?;
    let trusted = fit::control_fdt::KeyNode {
        node: format!("key-{}", asked.key),
        name: asked.key.clone(),
        algo: asked.algorithm.clone(),
        required: Some("conf".to_owned()),
        key: fit::key::PublicKey::from_rsa(key.public().key),
    };
    let report = fit::verify::verify(&signed, &[trusted], false).map_err(|e| wrong(&asked.file, &e))?;
    if let Some(problem) = report.all_problems().next() {
        let message = format!("the signed FIT does not verify: {}", problem.message);
        return Err(Failure::error(ExitStatus::Check, "readback", message)
            .hint("nothing was written; the FIT has what U-Boot would refuse"));
    }
    write(&asked.target.output, &signed, output)
}

fn write(path: &PathBuf, blob: &[u8], output: &Output) -> Outcome<ExitStatus> {
    stages::write_atomic(path, blob)?;
    let written = Written { file: path, bytes: blob.len(), sha256: record::sha256_hex(blob) };
    output.result(&written, |_| {
        format!("wrote `{}`, {} bytes, sha256 {}\n", path.display(), written.bytes, written.sha256)
    });
    Ok(ExitStatus::Success)
}
