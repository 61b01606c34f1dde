//! `fastness fit build --list`: a FIT from a list of images and configurations, in JSON.
//!
//! What an image tree source can say is said here without its language: several device trees that are chosen by
//! `compatible`, overlays, a TEE, loadables, and the FITs that SPL loads (U-Boot, TF-A, OP-TEE, OpenSBI).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use fit::build::{Configuration, Digests, FitSpec, Image};
use fit::fdt::Tree;
use fit::key::Hash;
use serde::Deserialize;

use super::fit_file::{Bytes, read, wrong};

/// A list of what a FIT holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Where the list is.
    #[serde(skip)]
    path: PathBuf,
    /// One line for people.
    description: String,
    /// Hash of every image.
    #[serde(default = "usual_hash")]
    hash: String,
    images: Vec<Listed>,
    configurations: Vec<Configuration>,
    /// Name of the default configuration. Without one U-Boot starts what it is told to, or what fits the board by `compatible`.
    default: Option<String>,
}

/// An image of the list; addresses as text, such as `0x40400000`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    #[serde(default)]
    description: String,
    /// `type` of the image: `kernel`, `flat_dt`, `firmware`, `tee`…
    kind: String,
    arch: String,
    os: Option<String>,
    #[serde(default = "uncompressed")]
    compression: String,
    load: Option<String>,
    entry: Option<String>,
    /// Its content, from the folder of the list.
    file: PathBuf,
}

fn usual_hash() -> String {
    "sha256".to_owned()
}

fn uncompressed() -> String {
    "none".to_owned()
}

/// The files that lists name, each read once.
pub type Files = BTreeMap<PathBuf, Bytes>;

/// Reads every file that the lists name.
///
/// # Errors
/// When one is not there.
pub fn load(lists: &[List]) -> Outcome<Files> {
    let paths: BTreeSet<PathBuf> =
        lists.iter().flat_map(|list| list.images.iter().map(|image| list.file(image))).collect();
    paths.into_iter().map(|path| Ok((path.clone(), read(&path)?))).collect()
}

/// Where each list's FIT goes: into this folder, by the list's own name.
///
/// # Errors
/// When it is no folder, or two lists have one name.
pub fn outputs(lists: &[List], folder: &Path) -> Outcome<Vec<PathBuf>> {
    if !folder.is_dir() {
        let message = format!(
            "expected `--output` to be a folder for {} lists, `{}` is none",
            lists.len(),
            folder.display()
        );
        return Err(Failure::error(ExitStatus::Usage, "no-folder", message).hint("make it first"));
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for list in lists {
        let name = Path::new(list.path.file_stem().unwrap_or_default()).with_extension("itb");
        if !seen.insert(name.clone()) {
            let message = format!("two lists would be written to `{}`", folder.join(&name).display());
            return Err(Failure::error(ExitStatus::Usage, "two-of-one-name", message)
                .hint("a FIT has the name of its list: give the lists different names"));
        }
        out.push(folder.join(name));
    }
    Ok(out)
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(path: &Path) -> Outcome<Self> {
        let list: Self = serde_json::from_slice(&read(path)?)
            .map_err(|e| bad(path, &e.to_string()).hint("docs/fit.md has an example of a list"))?;
        if list.configurations.is_empty() {
            return Err(bad(path, "there is no configuration: U-Boot starts nothing of it")
                .hint("docs/fit.md has an example of a list"));
        }
        Ok(Self { path: path.to_owned(), ..list })
    }

    /// Where the list is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, image: &Listed) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(&image.file)
    }

    /// The FIT that the list describes, not signed.
    ///
    /// # Errors
    /// When U-Boot would not know what is listed.
    pub fn tree<'f>(&self, files: &'f Files, timestamp: u32, digests: &mut Digests<'f>) -> Outcome<Tree<'f>> {
        let mut images = Vec::new();
        for image in &self.images {
            let address = |property: &str, text: Option<&String>| {
                let found = text.map(|text| {
                    let said =
                        |why| format!("the image `{}`: `{property}`: {why}, found `{text}`", image.name);
                    super::fit_write::address(text).map_err(|why| bad(&self.path, &said(why)))
                });
                found.transpose()
            };
            let (load, entry) =
                (address("load", image.load.as_ref())?, address("entry", image.entry.as_ref())?);
            let file = self.file(image);
            // `load` has read all of them.
            let data = files.get(&file).map(|bytes| &**bytes).unwrap_or_default();
            if image.kind == "flat_dt" && image.compression == "none" {
                // U-Boot would find out only on the device.
                Tree::parse(data).map_err(|e| wrong(&file, &e))?;
            }
            let described = if image.description.is_empty() { &image.name } else { &image.description };
            images.push(Image {
                name: image.name.clone(),
                description: described.clone(),
                kind: image.kind.clone(),
                arch: image.arch.clone(),
                os: image.os.clone(),
                compression: image.compression.clone(),
                load,
                entry,
                data: Cow::Borrowed(data),
            });
        }
        let spec = FitSpec {
            description: self.description.clone(),
            timestamp,
            hash: Hash::parse(&self.hash).map_err(|e| bad(&self.path, &e.to_string()))?,
            images,
            configurations: self.configurations.clone(),
            default: self.default.clone(),
        };
        fit::build::build_with(spec, digests).map_err(|e| bad(&self.path, &e.to_string()))
    }
}

fn bad(path: &Path, message: &str) -> Failure {
    Failure::error(ExitStatus::Input, "fit-list", format!("`{}`: {message}", path.display()))
}
