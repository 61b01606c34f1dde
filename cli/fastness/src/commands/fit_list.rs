//! `fastness fit build --list`: a FIT from a list of images and configurations, in JSON.
//!
//! What an image tree source can say is said here without its language: several device trees that are chosen by
//! `compatible`, overlays, a TEE, loadables, and the FITs that SPL loads (U-Boot, TF-A, OP-TEE, OpenSBI).

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use fit::build::{Configuration, FitSpec, Image};
use fit::fdt::Tree;
use fit::key::Hash;
use serde::Deserialize;

use super::fit::{read, wrong};

/// A list of what a FIT holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// One line for people.
    description: String,
    /// Hash of every image.
    #[serde(default = "usual_hash")]
    hash: String,
    images: Vec<Listed>,
    configurations: Vec<Configuration>,
    /// Name of the default configuration.
    default: String,
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

/// Builds the FIT that the list describes.
///
/// # Errors
/// When the list is none, a file is not there, or U-Boot would not know what is listed.
pub fn listed(path: &Path, timestamp: u32) -> Outcome<Vec<u8>> {
    let bad = |message: String| {
        Failure::error(ExitStatus::Input, "fit-list", format!("`{}`: {message}", path.display()))
    };
    let list: List = serde_json::from_slice(&read(path)?)
        .map_err(|e| bad(e.to_string()).hint("docs/fit.md has an example of a list"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut images = Vec::new();
    for image in list.images {
        let address = |text: Option<&String>| {
            text.map(|text| super::fit_write::address(text))
                .transpose()
                .map_err(|why| bad(format!("the image `{}`: {why}", image.name)))
        };
        let (load, entry) = (address(image.load.as_ref())?, address(image.entry.as_ref())?);
        let file = folder.join(&image.file);
        let data = read(&file)?;
        if image.kind == "flat_dt" && image.compression == "none" {
            // U-Boot would find out only on the device.
            Tree::parse(&data).map_err(|e| wrong(&file, &e))?;
        }
        let described = !image.description.is_empty();
        images.push(Image {
            description: if described { image.description } else { image.name.clone() },
            name: image.name,
            kind: image.kind,
            arch: image.arch,
            os: image.os,
            compression: image.compression,
            load,
            entry,
            data: Cow::Owned(data),
        });
    }
    let tree = fit::build::build(FitSpec {
        description: list.description,
        timestamp,
        hash: Hash::parse(&list.hash).map_err(|e| bad(e.to_string()))?,
        images,
        configurations: list.configurations,
        default: list.default,
    })
    .map_err(|e| bad(e.to_string()))?;
    tree.write().map_err(|e| bad(e.to_string()))
}
