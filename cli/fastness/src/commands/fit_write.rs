//! `fastness fit build` and `fastness fit sign`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use assemble::keys::KeyStore;
use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use fit::FitError;
use fit::build::{Configuration, FitSpec, Image};
use fit::external::{Placement, externalise, internalise};
use fit::fdt::Tree;
use fit::its::Strictness;
use fit::key::{Algorithm, Hash, Padding, PublicKey};
use fit::sign::SignOptions;
use serde::Serialize;

use super::fit::{read, wrong};
use super::fit_described::sign_as_described;
use super::fit_list::listed;
use crate::output::Output;
use crate::stages::{self, Passphrase};

/// The time of the FIT or its signature.
#[derive(Debug, clap::Args)]
struct Time {
    /// Time stamp, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        default_value_t = 0
    )]
    timestamp: u32,
}

/// Where the images' data lies.
#[derive(Debug, clap::Args)]
pub struct Outside {
    /// Put the images' data behind the tree, as `mkimage -E` does; with a number, at that byte of the file
    #[arg(long, value_name = "POSITION", num_args = 0..=1, require_equals = true)]
    external: Option<Option<u32>>,
    /// Alignment of data outside of the tree, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4, requires = "external")]
    align: u32,
}

impl Outside {
    /// The FIT with its data where it was asked for.
    pub fn applied(&self, blob: Vec<u8>) -> Outcome<Vec<u8>> {
        let Some(position) = self.external else { return Ok(blob) };
        let placement = position.map_or(Placement::BehindTree, Placement::At);
        externalise(&blob, placement, self.align).map_err(|e| usage(&e))
    }
}

/// With which key, and how, a FIT is signed.
#[derive(Debug, clap::Args)]
pub struct SignWith {
    /// Key of the key store; also the `key-name-hint`
    #[arg(long, value_name = "NAME")]
    pub key: String,
    /// Hash and kind of key, as U-Boot spells them; otherwise the usual one of the key, such as `sha256,rsa3072`
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// `pss` or `pkcs-1.5`; of RSA only
    #[arg(long, default_value = "pss")]
    padding: String,
    #[command(flatten)]
    time: Time,
}

impl SignWith {
    /// As the signer takes it, with that public key.
    ///
    /// # Errors
    /// For an algorithm or a padding that is unknown or too weak.
    pub fn options(&self, key: &PublicKey) -> Outcome<SignOptions> {
        Ok(SignOptions {
            key_name: self.key.clone(),
            algorithm: algorithm(self.algorithm.as_deref(), key)?,
            padding: Padding::parse(&self.padding).map_err(|e| usage(&e))?,
            timestamp: self.time.timestamp,
            node: "signature-1".to_owned(),
        })
    }
}

/// The algorithm that was asked for, or the usual one of the key.
///
/// # Errors
/// When it is unknown or too weak.
pub fn algorithm(asked: Option<&str>, key: &PublicKey) -> Outcome<Algorithm> {
    match (asked, key.kind()) {
        (None, Some(kind)) => Ok(kind.usual()),
        (asked, _) => Algorithm::parse(asked.unwrap_or(&key.kind_name())).map_err(|e| usage(&e)),
    }
}

/// Arguments of `fit build`.
#[derive(Debug, clap::Args)]
pub struct BuildArguments {
    /// An image tree source that describes everything, as `mkimage -f` takes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "kernel", "fdt", "ramdisk", "load", "fdt_load"])]
    its: Option<PathBuf>,
    /// A list of images and configurations in JSON: several device trees, overlays, a TEE, what SPL loads (docs/fit.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "fdt", "ramdisk", "load", "fdt_load"])]
    list: Option<PathBuf>,
    /// Folder in which the description's files are looked for, too; may be given again
    #[arg(long, value_name = "DIR", requires = "its")]
    include: Vec<PathBuf>,
    /// Take images that have no hash, or are to be signed alone, as `mkimage` does: no configuration protects them
    #[arg(long, requires = "its")]
    unprotected: bool,
    #[command(flatten)]
    outside: Outside,
    /// Kernel, not compressed
    #[arg(long, value_name = "FILE", required_unless_present_any = ["its", "list"])]
    kernel: Option<PathBuf>,
    /// The kernel's device tree
    #[arg(long, value_name = "FILE")]
    fdt: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE")]
    ramdisk: Option<PathBuf>,
    /// Address that the kernel is put at and entered
    #[arg(long, value_name = "ADDRESS", value_parser = address, required_unless_present_any = ["its", "list"])]
    load: Option<u64>,
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
    time: Time,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `fit sign`.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The FIT
    pub file: PathBuf,
    /// Key of the key store; also the `key-name-hint`
    #[arg(long, value_name = "NAME", required_unless_present = "described")]
    key: Option<String>,
    /// Fill the signatures that the FIT describes, each by the key of its hint, as `mkimage -F` does
    #[arg(long, conflicts_with_all = ["key", "padding"])]
    described: bool,
    /// Hash and kind of key, as U-Boot spells them; otherwise the usual one of the key, such as `sha256,rsa3072`
    #[arg(long, value_name = "ALGORITHM")]
    pub algorithm: Option<String>,
    /// `pss` or `pkcs-1.5`; of RSA only
    #[arg(long, default_value = "pss")]
    padding: String,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    pub outside: Outside,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub passphrase: Passphrase,
}

impl SignArguments {
    /// The one key that signs everything; none: what the FIT describes is signed.
    fn with(&self) -> Option<SignWith> {
        Some(SignWith {
            key: self.key.clone()?,
            algorithm: self.algorithm.clone(),
            padding: self.padding.clone(),
            time: Time { timestamp: self.time.timestamp },
        })
    }

    /// Time stamp of the signatures, in seconds since 1970.
    pub fn timestamp(&self) -> u32 {
        self.time.timestamp
    }
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a PathBuf,
    bytes: usize,
    sha256: String,
}

/// An address, decimal or hexadecimal.
///
/// # Errors
/// What was expected.
pub fn address(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "expected an address such as `0x40400000`".to_owned())
}

fn usage(error: &fit::FitError) -> Failure {
    Failure::error(ExitStatus::Usage, "fit", error.to_string())
}

/// Builds an unsigned FIT: from its description, or with one configuration, `conf`.
pub fn build(asked: &BuildArguments, output: &Output) -> Outcome<ExitStatus> {
    let blob = match (&asked.its, &asked.list, &asked.kernel, asked.load) {
        (Some(source), ..) => described(source, asked)?,
        (None, Some(list), ..) => listed(list, asked.time.timestamp)?,
        (None, None, Some(kernel), Some(load)) => from_parts(asked, kernel, load)?,
        // clap requires them.
        _ => {
            return Err(Failure::error(
                ExitStatus::Usage,
                "fit",
                "expected `--its`, `--list`, or `--kernel` and `--load`",
            ));
        }
    };
    write(&asked.output, &asked.outside.applied(blob)?, output)
}

/// A description, compiled by `dtc` as `mkimage` does it, with what is missing filled in.
fn described(source: &Path, asked: &BuildArguments) -> Outcome<Vec<u8>> {
    let text = read(source)?;
    let is_source = String::from_utf8_lossy(&text).contains("/dts-v1/");
    if !is_source {
        let message =
            format!("`{}` is no image tree source: expected `/dts-v1/;` at its start", source.display());
        return Err(Failure::error(ExitStatus::Input, "no-its", message));
    }
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", Path::new("a temporary folder"), &e))?;
    let (compiled, log) = (folder.path().join("fit.dtb"), folder.path().join("dtc.log"));
    let source = source.canonicalize().map_err(|e| Failure::io("open", source, &e))?;
    Call::new(tool("dtc")?)
        .args(["-q", "-I", "dts", "-O", "dtb"])
        .args(asked.include.iter().flat_map(|folder| ["-i".as_ref(), folder.as_os_str()]))
        .arg("-o")
        .arg(&compiled)
        .arg(&source)
        .log(&log)
        .failing_as(ExitStatus::Input)
        .run()
        .map_err(|failure| without_log_path(failure, &source, &log))?;
    let strictness = if asked.unprotected { Strictness::AsDescribed } else { Strictness::Protected };
    fit::its::finish_as(&read(&compiled)?, asked.time.timestamp, strictness).map_err(|e| wrong(&source, &e))
}

/// What `dtc` said; its log is in a folder that is gone when it is read.
fn without_log_path(failure: Failure, source: &Path, log: &Path) -> Failure {
    if failure.diagnostics.iter().any(|d| d.code != "tool-failed") {
        return failure;
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with("$ ")).take(5).collect();
    Failure::error(ExitStatus::Input, "no-its", format!("`{}` cannot be compiled", source.display()))
        .note(format!("dtc says: {}", said.join("\n")))
        .hint("paths in `/incbin/` count from the folder of the source")
}

/// A FIT with one configuration of at most three images.
fn from_parts(asked: &BuildArguments, kernel: &PathBuf, load: u64) -> Outcome<Vec<u8>> {
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
    let mut images = vec![image("kernel", "kernel", Some(load), kernel)?];
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
        timestamp: asked.time.timestamp,
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
    tree.write().map_err(|e| usage(&e))
}

/// Signs every configuration of a FIT, and verifies the result with the public key before it is written.
pub fn sign(asked: &SignArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let Some(with) = asked.with() else { return sign_as_described(asked, store, output) };
    let public = store.public(&with.key)?.key;
    let options = with.options(&public)?;
    let blob = read(&asked.file)?;
    let blob = internalise(&blob).map_err(|e| wrong(&asked.file, &e))?;
    let tree = Tree::parse(&blob).map_err(|e| wrong(&asked.file, &e))?;
    let secret = asked.passphrase.read(store, &with.key)?;
    let key = store.load_signing(&with.key, &secret)?;
    let signed =
        fit::sign::sign(tree, &options, key.signer()).map_err(|e| signing_failure(&asked.file, e))?;
    let signed = asked.outside.applied(signed)?;
    prove(&asked.file, &signed, &with, &public)?;
    write(&asked.output, &signed, output)
}

/// Why a FIT was not signed.
pub fn signing_failure(file: &Path, error: FitError) -> Failure {
    match error {
        FitError::Unsigned(why) => Failure::error(ExitStatus::Keys, "signature-wanted", why).hint(
            "run `fastness fit answer REQUEST` where the key is, bring the `.sig` back, and sign again",
        ),
        FitError::Key(why) => {
            Failure::error(ExitStatus::Keys, "signing", format!("`{}`: {why}", file.display()))
        }
        e => wrong(file, &e),
    }
}

/// Verifies what was signed with the public key.
///
/// # Errors
/// `readback`, when U-Boot would refuse it.
pub fn prove(file: &Path, signed: &[u8], with: &SignWith, key: &PublicKey) -> Outcome<()> {
    let trusted = fit::control_fdt::KeyNode {
        node: format!("key-{}", with.key),
        name: with.key.clone(),
        algo: algorithm(with.algorithm.as_deref(), key)?.name(),
        required: Some("conf".to_owned()),
        key: key.clone(),
    };
    let report = fit::verify::verify(signed, &[trusted], false).map_err(|e| wrong(file, &e))?;
    if let Some(problem) = report.all_problems().next() {
        let message = format!("the signed FIT does not verify: {}", problem.message);
        return Err(Failure::error(ExitStatus::Check, "readback", message)
            .hint("nothing was written; the FIT has what U-Boot would refuse"));
    }
    Ok(())
}

/// Writes a FIT and says so.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &PathBuf, blob: &[u8], output: &Output) -> Outcome<ExitStatus> {
    stages::write_atomic(path, blob)?;
    let written = Written { file: path, bytes: blob.len(), sha256: record::sha256_hex(blob) };
    output.result(&written, |_| {
        format!("wrote `{}`, {} bytes, sha256 {}\n", path.display(), written.bytes, written.sha256)
    });
    Ok(ExitStatus::Success)
}
