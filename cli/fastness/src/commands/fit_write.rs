//! `fastness fit build`: from parts, from an image tree source, from lists; signed at once where a key is named.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use assemble::keys::KeyStore;
use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use fit::build::{Configuration, Digests, FitSpec, Image};
use fit::external::{Placement, externalised};
use fit::fdt::{Pieces, Tree};
use fit::its::Strictness;
use fit::key::Hash;

use super::fit_described::prove;
use super::fit_file::{Bytes, Part, read, refuse_input, told, wrong};
use super::fit_list::{List, load, outputs};
use super::fit_sign::{OneKey, Signature};
use crate::output::{Output, clean};
use crate::stages::Passphrase;

/// Where the images' data lies.
#[derive(Debug, clap::Args)]
pub struct Outside {
    /// Put the images' data behind the tree, as `mkimage -E` does; with a number, at that byte of the file
    #[arg(long, value_name = "POSITION", num_args = 0..=1, require_equals = true, value_parser = position)]
    external: Option<Option<u32>>,
    /// Alignment of data outside of the tree, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4, value_parser = position, requires = "external")]
    align: u32,
}

impl Outside {
    /// The FIT with its data where it was asked for.
    pub fn pieces<'t>(&self, tree: &'t Tree<'_>) -> Outcome<Pieces<'t>> {
        let pieces = match self.external {
            None => tree.pieces(),
            Some(position) => {
                let placement = position.map_or(Placement::BehindTree, Placement::At);
                externalised(tree.borrowed(), placement, self.align)
            }
        };
        pieces.map_err(|e| usage(&e))
    }
}

/// Arguments of `fit build`.
#[derive(Debug, clap::Args)]
pub struct BuildArguments {
    /// An image tree source that describes everything, as `mkimage -f` takes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "kernel", "fdt", "ramdisk", "load", "fdt_load", "arch", "name", "hash"])]
    its: Option<PathBuf>,
    /// A list of images and configurations in JSON: several device trees, overlays, a TEE, what SPL loads (docs/fit.md).
    /// May be given again: each becomes a FIT in the folder `--output`, and what they share is read, hashed and unlocked once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "fdt", "ramdisk", "load", "fdt_load", "arch", "name", "hash", "include", "unprotected"])]
    list: Vec<PathBuf>,
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
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "fdt")]
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
    /// Sign it, too, with this key of the key store
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    #[command(flatten)]
    how: Signature,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Where to write it; of several lists the folder
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
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

/// A byte of the file, decimal or hexadecimal.
fn position(text: &str) -> Result<u32, String> {
    let position = address(text).ok().and_then(|position| u32::try_from(position).ok());
    position.ok_or_else(|| "expected a byte of the file such as `0x1000`, less than 4 GiB".to_owned())
}

/// An option that does not fit.
pub fn usage(error: &fit::FitError) -> Failure {
    Failure::error(ExitStatus::Usage, "fit", error.to_string())
}

/// Builds FITs: from a description, from lists, or with one configuration, `conf`. Signs them where a key is named.
pub fn build(
    asked: &BuildArguments,
    keys: impl Fn() -> Outcome<KeyStore>,
    output: &Output,
) -> Outcome<ExitStatus> {
    let of_a_key = [
        ("--algorithm", asked.how.algorithm.is_some()),
        ("--padding", asked.how.padding.is_some()),
        ("--passphrase-…", asked.passphrase.source().is_some()),
    ];
    if let Some((option, _)) = of_a_key.iter().find(|(_, given)| *given && asked.key.is_none()) {
        let message =
            format!("`{option}` is of a signature, and no key is named: add `--key NAME`, or leave it out");
        return Err(Failure::error(ExitStatus::Usage, "no-key", message));
    }
    let open = || {
        let name = asked.key.as_ref();
        name.map(|name| OneKey::open(name, &asked.how, &asked.passphrase, &keys()?)).transpose()
    };
    let parts = [&asked.its, &asked.kernel, &asked.fdt, &asked.ramdisk].into_iter().flatten();
    let parts = parts.map(PathBuf::as_path).chain(asked.passphrase.file());
    refuse_input(&asked.output, parts)?;
    if asked.its.is_none() && (asked.unprotected || !asked.include.is_empty()) {
        let option = if asked.unprotected { "--unprotected" } else { "--include" };
        let message = format!("`{option}` is of a description: expected `--its` with it, or leave it out");
        return Err(Failure::error(ExitStatus::Usage, "no-description", message));
    }
    if let Some(source) = &asked.its {
        let strictness = if asked.unprotected { Strictness::AsDescribed } else { Strictness::Protected };
        let mut compiled = None;
        let (key, (tree, digests)) = beside(open, || {
            let compiled: &Bytes = compiled.insert(compiled_by_dtc(source, asked)?);
            let mut digests = Digests::default();
            let tree = fit::its::finished(compiled, asked.how.timestamp(), strictness, &mut digests)
                .map_err(|e| wrong(source, &e))?;
            Ok((tree, digests))
        })?;
        let contradictions = fit::packed::contradictions(&tree);
        let bytes = finish_described(tree, source, key.as_ref(), asked, &digests)?;
        return Ok(told(&asked.output, bytes, &contradictions, output));
    }
    if !asked.list.is_empty() {
        return from_lists(asked, open, output);
    }
    let (Some(kernel), Some(load)) = (&asked.kernel, asked.load) else {
        // clap requires them.
        let message = "expected `--its`, `--list`, or `--kernel` and `--load`";
        return Err(Failure::error(ExitStatus::Usage, "fit", message));
    };
    let parts = [(kernel, "kernel", "kernel", Some(load))]
        .into_iter()
        .chain(asked.fdt.iter().map(|file| (file, "fdt", "flat_dt", asked.fdt_load)))
        .chain(asked.ramdisk.iter().map(|file| (file, "ramdisk", "ramdisk", None)))
        .map(|(file, name, kind, load)| Ok((file, name, kind, load, content(file)?)))
        .collect::<Outcome<Vec<_>>>()?;
    let mut digests = Digests::default();
    let blank = from_parts(asked, &parts, &mut Digests::blank())?;
    let layout = asked.outside.pieces(&blank)?;
    let mut part = Part::new(&asked.output)?;
    let (key, tree) =
        beside(open, || laid_out(&mut part, &layout, || from_parts(asked, &parts, &mut digests)))?;
    let contradictions = fit::packed::contradictions(&tree);
    let bytes = finish(tree, kernel, part, key.as_ref(), asked, &digests)?;
    Ok(told(&asked.output, bytes, &contradictions, output))
}

/// Writes the images where they are going to be while they are hashed.
fn laid_out<'d, T>(
    part: &mut Part<'d>,
    layout: &'d Pieces<'_>,
    hash: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    std::thread::scope(|scope| {
        let written = scope.spawn(|| part.early(layout));
        let hashed = hash()?;
        written.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(hashed)
    })
}

/// Opens the key, which takes a tenth of a second for PBKDF2 or as long as somebody types, while images are hashed.
/// What is wrong with the key is said first.
fn beside<T: Send>(
    open: impl FnOnce() -> Outcome<Option<OneKey>>,
    hash: impl FnOnce() -> Outcome<T> + Send,
) -> Outcome<(Option<OneKey>, T)> {
    std::thread::scope(|scope| {
        let hashed = scope.spawn(hash);
        let key = open()?;
        let hashed = hashed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((key, hashed?))
    })
}

/// Every list a FIT; the files are read and hashed once, whichever lists name them.
fn from_lists(
    asked: &BuildArguments,
    open: impl FnOnce() -> Outcome<Option<OneKey>>,
    output: &Output,
) -> Outcome<ExitStatus> {
    let lists = asked.list.iter().map(|path| List::read(path)).collect::<Outcome<Vec<_>>>()?;
    let files = load(&lists)?;
    let inputs =
        || asked.list.iter().chain(files.keys()).map(PathBuf::as_path).chain(asked.passphrase.file());
    let mut digests = Digests::default();
    if let [list] = lists.as_slice() {
        refuse_input(&asked.output, inputs())?;
        let blank = list.tree(&files, asked.how.timestamp(), &mut Digests::blank())?;
        let layout = asked.outside.pieces(&blank)?;
        let mut part = Part::new(&asked.output)?;
        let hash = || list.tree(&files, asked.how.timestamp(), &mut digests);
        let (key, tree) = beside(open, || laid_out(&mut part, &layout, hash))?;
        let contradictions = fit::packed::contradictions(&tree);
        let bytes = finish(tree, list.path(), part, key.as_ref(), asked, &digests)?;
        return Ok(told(&asked.output, bytes, &contradictions, output));
    }
    let paths = outputs(&lists, &asked.output)?;
    paths.iter().try_for_each(|path| refuse_input(path, inputs()))?;
    let key = open()?;
    let key = key.as_ref();
    // What is wrong in the last one is said before the first one is written.
    let mut ready = Vec::new();
    for (list, path) in lists.iter().zip(&paths) {
        let tree = list.tree(&files, asked.how.timestamp(), &mut digests)?;
        ready.push((tree, list, Part::new(path)?));
    }
    for (tree, list, part) in ready {
        let contradictions = fit::packed::contradictions(&tree);
        finish(tree, list.path(), part, key, asked, &digests)?;
        contradictions.iter().for_each(|said| output.warning(&clean(said)));
    }
    output.result(&paths, |_| {
        let (count, folder) = (paths.len(), asked.output.display());
        format!("wrote {count} FITs into `{folder}`; {} contents were hashed\n", digests.computed())
    });
    Ok(ExitStatus::Success)
}

/// Signs the tree where a key is given, and stores it; how many bytes it has.
fn finish(
    mut tree: Tree<'_>,
    source: &Path,
    part: Part<'_>,
    key: Option<&OneKey>,
    asked: &BuildArguments,
    known: &Digests<'_>,
) -> Outcome<usize> {
    if let Some(key) = key {
        key.sign(source, &mut tree)?;
    }
    let pieces = asked.outside.pieces(&tree)?;
    part.store(&pieces, |blob| key.map_or(Ok(()), |key| key.trusted.holds(source, blob, known)))
}

/// As [`finish`], with the signatures that the description wants.
fn finish_described(
    mut tree: Tree<'_>,
    source: &Path,
    key: Option<&OneKey>,
    asked: &BuildArguments,
    known: &Digests<'_>,
) -> Outcome<usize> {
    let signatures = key.map(|key| key.sign_planned(source, &mut tree)).transpose()?;
    let pieces = asked.outside.pieces(&tree)?;
    Part::new(&asked.output)?.store(&pieces, |blob| {
        let whole = !asked.unprotected;
        signatures.map_or(Ok(()), |signatures| prove(source, blob, &signatures, whole, known))
    })
}

/// A description, compiled by `dtc` as `mkimage` does it.
fn compiled_by_dtc(source: &Path, asked: &BuildArguments) -> Outcome<Bytes> {
    // dtc opens it again: what comes from a pipe is gone then.
    if std::fs::metadata(source).is_ok_and(|meta| !meta.is_file()) {
        let message = format!("expected a file with an image tree source, `{}` is none", source.display());
        return Err(Failure::error(ExitStatus::Input, "no-its", message)
            .hint("put what comes from a pipe into a file first"));
    }
    let text = read(source)?;
    let is_source = String::from_utf8_lossy(&text).contains("/dts-v1/");
    if !is_source {
        let message =
            format!("`{}` is no image tree source: expected `/dts-v1/;` at its start", source.display());
        return Err(Failure::error(ExitStatus::Input, "no-its", message));
    }
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", Path::new("a temporary folder"), &e))?;
    let at = |name: &str| folder.path().join(name);
    let (compiled, included, log) = (at("fit.dtb"), at("fit.d"), at("dtc.log"));
    let source = source.canonicalize().map_err(|e| Failure::io("open", source, &e))?;
    Call::new(tool("dtc")?)
        .args(["-q", "-I", "dts", "-O", "dtb"])
        .args(asked.include.iter().flat_map(|folder| ["-i".as_ref(), folder.as_os_str()]))
        .arg("-o")
        .arg(&compiled)
        .arg("-d")
        .arg(&included)
        .arg(&source)
        .log(&log)
        .failing_as(ExitStatus::Input)
        .run()
        .map_err(|failure| without_log_path(failure, &source, &log))?;
    // `fit.dtb: FILE FILE…`; a name with a blank is in pieces, and none of the files then.
    let included = std::fs::read_to_string(&included).unwrap_or_default();
    refuse_input(&asked.output, included.split_whitespace().skip(1).map(Path::new))?;
    // A file that is mapped is there until it is let go, whatever becomes of its name.
    read(&compiled)
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

/// The content of a file that must have some.
fn content(file: &Path) -> Outcome<Bytes> {
    let bytes = read(file)?;
    if bytes.is_empty() {
        let message = format!("`{}` is empty: expected an image", file.display());
        return Err(Failure::error(ExitStatus::Input, "empty-file", message));
    }
    Ok(bytes)
}

/// A file, its name in the FIT, its kind, its address and its content.
type PartOfFit<'p> = (&'p PathBuf, &'static str, &'static str, Option<u64>, Bytes);

/// A FIT with one configuration of at most three images.
fn from_parts<'p>(
    asked: &BuildArguments,
    parts: &'p [PartOfFit<'_>],
    digests: &mut Digests<'p>,
) -> Outcome<Tree<'p>> {
    let mut images = Vec::new();
    for (file, name, kind, load, data) in parts {
        if *kind == "flat_dt" {
            // U-Boot would find out only on the device.
            Tree::parse(data).map_err(|e| wrong(file, &e))?;
        }
        images.push(Image {
            name: (*name).to_owned(),
            description: (*name).to_owned(),
            kind: (*kind).to_owned(),
            arch: asked.arch.clone(),
            os: (*kind != "flat_dt").then(|| "linux".to_owned()),
            compression: "none".to_owned(),
            load: *load,
            entry: load.filter(|_| *kind == "kernel"),
            data: Cow::Borrowed(data),
        });
    }
    let loads = images.iter().map(|image| (image.name.clone(), vec![image.name.clone()])).collect();
    let spec = FitSpec {
        description: asked.name.clone(),
        timestamp: asked.how.timestamp(),
        hash: Hash::parse(&asked.hash).map_err(|e| usage(&e))?,
        images,
        configurations: vec![Configuration {
            name: "conf".to_owned(),
            description: asked.name.clone(),
            compatible: Some(asked.name.clone().into()),
            loads,
        }],
        default: Some("conf".to_owned()),
    };
    fit::build::build_with(spec, digests).map_err(|e| usage(&e))
}
