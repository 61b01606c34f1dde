//! The signatures that a FIT describes in itself, filled in as `mkimage -F` does.
//!
//! What a signature of a configuration covers is not described: it is always every image of that
//! configuration, whatever `sign-images` says. A signature of an image alone covers its data and nothing
//! else: images can be recombined. Source: U-Boot `tools/image-host.c`, `fit_image_process_sig`.

use crate::FitError;
use crate::fdt::Tree;
use crate::key::{Algorithm, Padding};

use super::{MADE, Message, SignOptions, Signer, Wanted, check_options, sign_wanted};

/// What a signature is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A configuration and every image that it refers to.
    Configuration(String),
    /// The data of one image.
    Image(String),
}

/// A signature that the FIT describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Of what.
    pub part: Part,
    /// Name of its node, such as `signature-1`.
    pub node: String,
    /// `key-name-hint`.
    pub key_name: String,
    /// `algo`, where it is said.
    pub algorithm: Option<Algorithm>,
    /// `padding`; U-Boot takes a missing one for PKCS #1 v1.5.
    pub padding: Padding,
}

impl Described {
    /// Where it stands, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        let (kind, name) = match &self.part {
            Part::Configuration(name) => ("configuration", name),
            Part::Image(name) => ("image", name),
        };
        format!("`{}` of the {kind} `{name}`", self.node)
    }
}

/// The signatures that are described, in the tree's order.
///
/// # Errors
/// When a description names no key, or an algorithm or padding that is unknown or too weak.
pub fn described(tree: &Tree<'_>) -> Result<Vec<Described>, FitError> {
    let mut out = Vec::new();
    for (parent, of_image) in [("images", true), ("configurations", false)] {
        for part in tree.root.child(parent).map(|node| node.children.as_slice()).unwrap_or_default() {
            for node in part.children.iter().filter(|node| node.name.starts_with("signature")) {
                let path = format!("/{parent}/{}/{}", part.name, node.name);
                let hint = node.text("key-name-hint").filter(|hint| !hint.is_empty());
                let hint = hint.ok_or_else(|| FitError::Fit(format!("`{path}` has no `key-name-hint`")))?;
                let padding = node.get("padding").map_or(Ok(Padding::Pkcs1v15), |_| {
                    Padding::parse(node.text("padding").unwrap_or_default())
                })?;
                out.push(Described {
                    part: match of_image {
                        true => Part::Image(part.name.clone()),
                        false => Part::Configuration(part.name.clone()),
                    },
                    node: node.name.clone(),
                    key_name: hint.to_owned(),
                    algorithm: node.text("algo").map(Algorithm::parse).transpose()?,
                    padding,
                });
            }
        }
    }
    Ok(out)
}

/// Fills the signatures: of images first, then all of configurations at once.
///
/// # Errors
/// As [`super::sign_all`], and when an image has no data.
pub fn sign_described(
    tree: &mut Tree<'_>,
    signatures: &[(Part, SignOptions, &dyn Signer)],
) -> Result<(), FitError> {
    let mut wanted = Vec::new();
    for (part, options, signer) in signatures {
        match part {
            Part::Image(name) => sign_image(tree, name, options, *signer)?,
            Part::Configuration(name) => {
                let path = format!("/configurations/{name}");
                if tree.root.at(&path).is_some_and(|node| node.child(&options.node).is_none()) {
                    let kinds = super::kinds(tree, name)?;
                    if let Some(node) = tree.root.at_mut(&path) {
                        super::describe_signature(node, options, &kinds);
                    }
                }
                wanted.push(Wanted { configuration: name.clone(), options, signer: *signer });
            }
        }
    }
    if wanted.is_empty() { Ok(()) } else { sign_wanted(tree, &wanted) }
}

/// What an image's signature gets when it is signed.
const MADE_OF_IMAGES: &[&str] = MADE.split_at(4).0;

fn sign_image(
    tree: &mut Tree<'_>,
    name: &str,
    options: &SignOptions,
    signer: &dyn Signer,
) -> Result<(), FitError> {
    check_options(options, signer)?;
    let image = tree
        .root
        .at_mut(&format!("/images/{name}"))
        .ok_or_else(|| FitError::Fit(format!("it has no image `{name}`")))?;
    let data = image
        .get("data")
        .filter(|data| !data.is_empty())
        .ok_or_else(|| FitError::Fit(format!("the image `{name}` has no data to sign")))?;
    let message = Message { hash: options.algorithm.hash, padding: options.padding, parts: &[data] };
    let value = signer.sign(&message)?;
    let node = image.child_or_new(&options.node);
    node.set_text("algo", &options.algorithm.name());
    node.set_text("key-name-hint", &options.key_name);
    // The names in the order of `mkimage`, behind those that are there.
    tree.strings = super::strings(tree)?;
    MADE_OF_IMAGES.iter().for_each(|name| tree.add_string(name));
    let Some(node) = tree.root.at_mut(&format!("/images/{name}/{}", options.node)) else { return Ok(()) };
    node.set("value", value);
    node.set_text("signer-name", "fastness");
    node.set_text("signer-version", env!("CARGO_PKG_VERSION"));
    node.set_cell("timestamp", options.timestamp);
    Ok(())
}
