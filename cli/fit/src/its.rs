//! A FIT from a tree that `dtc` compiled from an image tree source (`.its`): what is missing is filled in.
//!
//! As `mkimage -f` does: the time stamp and the value of every hash. Signatures are made by
//! [`crate::sign`], which writes its own nodes; the ones that are described here say only that one is wanted.
//! Source: U-Boot `doc/usage/fit/source_file_format.rst`; `tools/fit_image.c`, `fit_handle_file`.

use std::borrow::Cow;

use crate::FitError;
use crate::build::{Digests, NODE_NAME, ROLES, is_node_name};
use crate::fdt::{Node, Tree};
use crate::key::Hash;

/// Fills a compiled `.its` and returns the FIT's bytes.
///
/// Stricter than `mkimage`: an image without a hash, a hash that U-Boot would take and nobody should
/// (CRC32, MD5, SHA-1), a signature of an image alone and a reference to nothing are errors.
///
/// # Errors
/// When the tree is no FIT's description, or describes what protects nothing.
pub fn finish(compiled: &[u8], timestamp: u32) -> Result<Vec<u8>, FitError> {
    finish_as(compiled, timestamp, Strictness::Protected)
}

/// What a description must protect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Every image has a hash that a configuration's signature covers.
    Protected,
    /// As `mkimage`: images without a hash and images that are signed alone are taken, too. Weak algorithms are not.
    AsDescribed,
}

/// As [`finish`], with a choice.
///
/// # Errors
/// As [`finish`], but for what `strictness` lets pass.
pub fn finish_as(compiled: &[u8], timestamp: u32, strictness: Strictness) -> Result<Vec<u8>, FitError> {
    finished(compiled, timestamp, strictness, &mut Digests::default())?.write()
}

/// As [`finish_as`], as a tree whose data is not copied; what was hashed is remembered.
///
/// # Errors
/// As [`finish_as`].
pub fn finished<'a>(
    compiled: &'a [u8],
    timestamp: u32,
    strictness: Strictness,
    digests: &mut Digests<'a>,
) -> Result<Tree<'a>, FitError> {
    let mut tree = Tree::parse_unique(compiled)?;
    let images = tree.root.child_mut("images").filter(|images| !images.children.is_empty());
    let images = images.ok_or_else(|| FitError::Fit("it has no node `/images` with images".to_owned()))?;
    for image in &mut images.children {
        hash(image, strictness, digests)?;
    }
    if strictness == Strictness::Protected && tree.root.get("description").is_none() {
        return Err(FitError::Fit(
            "its root has no `description`, without which U-Boot takes it for no FIT".to_owned(),
        ));
    }
    check_configurations(&tree, strictness)?;
    set_first(&mut tree.root, "timestamp", timestamp.to_be_bytes().to_vec());
    // In the order in which `mkimage` fills them in, which a signature covers.
    ["timestamp", "value"].iter().for_each(|name| tree.add_string(name));
    Ok(tree)
}

fn hash<'a>(image: &mut Node<'a>, strictness: Strictness, digests: &mut Digests<'a>) -> Result<(), FitError> {
    let strict = strictness == Strictness::Protected;
    let wrong = |message: String| Err(FitError::Fit(message));
    let name = image.name.clone();
    if !is_node_name(&name) {
        return wrong(format!("`{}` is no name of an image: expected {NODE_NAME}", name.escape_debug()));
    }
    let data = image.properties.iter().find(|(name, _)| name == "data").map(|(_, data)| data);
    let data: &'a [u8] = match data {
        // What was parsed is borrowed.
        Some(Cow::Borrowed(data)) if !data.is_empty() => data,
        _ => {
            return wrong(format!(
                "the image `{name}` has no data: expected `data = /incbin/(\"…\");`, and for data outside of the tree the option for it"
            ));
        }
    };
    if strict {
        crate::words::check_image(image)?;
    }
    let alone = image.children.iter().find(|child| child.name.starts_with("signature"));
    if let Some(signature) = alone.filter(|_| strict) {
        return wrong(format!(
            "`{}` signs the image `{name}` alone, which lets images be recombined: sign the configuration",
            signature.name
        ));
    }
    if image.child("cipher").is_some() {
        return wrong(format!("the image `{name}` is to be encrypted, which is not supported"));
    }
    let mut hashes = 0;
    for child in image.children.iter_mut().filter(|child| child.name.starts_with("hash")) {
        let digest = digests.of(data, algorithm_of(&name, child)?);
        set_first(child, "value", digest);
        hashes += 1;
    }
    if hashes == 0 && strict {
        return wrong(format!(
            "the image `{name}` has no hash, so that no signature covers it: add `hash-1 {{ algo = \"sha256\"; }};`"
        ));
    }
    Ok(())
}

/// The algorithm of a hash node.
///
/// # Errors
/// When it has none, or a weak or unknown one; both name the image and the node.
pub(crate) fn algorithm_of(image: &str, hash: &Node<'_>) -> Result<Hash, FitError> {
    let node = &hash.name;
    let algorithm = hash
        .text("algo")
        .ok_or_else(|| FitError::Fit(format!("`{node}` of the image `{image}` has no `algo`")))?;
    Hash::parse(algorithm).map_err(|e| FitError::Fit(format!("`{node}` of the image `{image}`: {e}")))
}

/// Properties of a configuration that are no references to images (U-Boot `boot/image-fit-sig.c`).
const NO_REFERENCES: &[&str] = &["description", "compatible", "default", "fastness,rollback-version"];

/// The images that a property of a configuration names; nothing where it names none: an empty property or a number, which
/// `mkimage` takes, too. A signature covers it with the configuration's own node.
///
/// # Errors
/// When the property is one of images and no list of names, or one in which U-Boot would find the name of an image among others.
pub(crate) fn referred<'n>(
    tree: &Tree<'_>,
    configuration: &'n Node<'_>,
    property: &str,
) -> Result<Option<Vec<&'n str>>, FitError> {
    let value = configuration.get(property).unwrap_or_default();
    let role = ROLES.contains(&property);
    if NO_REFERENCES.contains(&property) || (value.is_empty() && !role) {
        return Ok(None);
    }
    match configuration.texts(property) {
        Some(names) if names.iter().all(|name| !name.is_empty()) => return Ok(Some(names)),
        _ => {}
    }
    let images = tree.root.child("images").map(|images| images.children.as_slice()).unwrap_or_default();
    let named = |part: &[u8]| images.iter().any(|image| image.name.as_bytes() == part);
    if role || value.split(|byte| *byte == 0).any(named) {
        let message =
            format!("`{property}` of the configuration `{}` is no list of images", configuration.name);
        return Err(FitError::Fit(message));
    }
    Ok(None)
}

fn check_configurations(tree: &Tree<'_>, strictness: Strictness) -> Result<(), FitError> {
    let wrong = |message: String| Err(FitError::Fit(message));
    let Some(configurations) = tree.root.child("configurations").filter(|node| !node.children.is_empty())
    else {
        // Scripts, and what a board's own code looks up by the image's name.
        return match strictness {
            Strictness::AsDescribed => Ok(()),
            Strictness::Protected => wrong(
                "it has no node `/configurations` with a configuration, so that no signature can cover its images"
                    .to_owned(),
            ),
        };
    };
    if let Some(default) = configurations.text("default")
        && configurations.child(default).is_none()
    {
        return wrong(format!("the default configuration `{}` is not there", default.escape_debug()));
    }
    for configuration in &configurations.children {
        let name = &configuration.name;
        if !is_node_name(name) {
            return wrong(format!(
                "`{}` is no name of a configuration: expected {NODE_NAME}",
                name.escape_debug()
            ));
        }
        let mut refers = false;
        for (role, _) in &configuration.properties {
            let Some(names) = referred(tree, configuration, role)? else { continue };
            // What nobody protects may say what it likes elsewhere, as for `mkimage`.
            if strictness == Strictness::AsDescribed && !ROLES.contains(&role.as_str()) {
                continue;
            }
            refers = true;
            for (index, image) in names.into_iter().enumerate() {
                // By name, not by path: `kernel/hash-1` is no image.
                let Some(image) = tree.root.child("images").and_then(|images| images.child(image)) else {
                    return wrong(format!(
                        "the configuration `{name}` refers to the image `{}`, which is not there",
                        image.escape_debug()
                    ));
                };
                if strictness == Strictness::Protected {
                    crate::words::check_role(role, index, image)?;
                }
            }
        }
        if !refers {
            return wrong(format!("the configuration `{name}` refers to no image"));
        }
    }
    Ok(())
}

/// A property in the place that libfdt gives to a new one: before the others.
fn set_first(node: &mut Node<'_>, name: &str, value: Vec<u8>) {
    if node.get(name).is_some() {
        node.set(name, value);
    } else {
        node.properties.insert(0, (name.to_owned(), Cow::Owned(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(change: impl FnOnce(&mut Node<'static>)) -> Vec<u8> {
        let mut root = Node::new("");
        root.set_text("description", "x");
        let image = root.child_or_new("images").child_or_new("kernel");
        image.set("data", vec![1, 2, 3]);
        image.set_text("type", "kernel");
        image.set_text("os", "linux");
        image.child_or_new("hash-1").set_text("algo", "sha256");
        let configurations = root.child_or_new("configurations");
        configurations.set_text("default", "conf");
        configurations.child_or_new("conf").set_text("kernel", "kernel");
        change(&mut root);
        Tree { root, reserved: Vec::new(), strings: Vec::new() }.write().unwrap()
    }

    #[test]
    fn hashes_and_the_time_are_filled_in() {
        let blob = finish(&described(|_| {}), 7).unwrap();
        let tree = Tree::parse(&blob).unwrap();
        assert_eq!(tree.root.cell("timestamp"), Some(7));
        let hash = tree.root.at("/images/kernel/hash-1").unwrap();
        assert_eq!(hash.get("value").unwrap(), Hash::Sha256.digest(&[&[1, 2, 3]]));
        assert_eq!(finish(&blob, 7).unwrap(), blob);
    }

    fn ignore(_: bool) {}

    fn kernel<'n>(root: &'n mut Node<'static>) -> &'n mut Node<'static> {
        root.at_mut("/images/kernel").unwrap()
    }

    #[test]
    fn what_protects_nothing_is_refused() {
        type Change = fn(&mut Node<'static>);
        let cases: [(Change, &str); 16] = [
            (|root| ignore(root.unset("description")), "its root has no `description`"),
            (
                |root| kernel(root).set_text("type", "kernal"),
                "`type` of the image `kernel` is `kernal`: expected one of",
            ),
            (
                |root| kernel(root).set_text("type", "flat_dt"),
                "is a `flat_dt`, and its data are not a valid device tree",
            ),
            (
                |root| ignore(kernel(root).unset("type")),
                "is named as `kernel` and has no `type`: expected one of kernel,",
            ),
            (
                |root| {
                    kernel(root).set_text("arch", "arm");
                    kernel(root).set("load", (1u64 << 32).to_be_bytes().to_vec());
                },
                "`load` of the image `kernel` is 0x100000000: expected at most 0xffffffff",
            ),
            (|root| kernel(root).set_text("os", "opensbi"), "is named as `kernel` and has the os `opensbi`"),
            (|root| root.children.clear(), "it has no node `/images` with images"),
            (
                |root| root.at_mut("/images/kernel").unwrap().set("data", vec![]),
                "the image `kernel` has no data",
            ),
            (
                |root| root.at_mut("/images/kernel").unwrap().children.clear(),
                "has no hash, so that no signature covers it",
            ),
            (
                |root| root.at_mut("/images/kernel/hash-1").unwrap().set_text("algo", "sha1"),
                "`hash-1` of the image `kernel`: unsupported algorithm `sha1`: expected `sha256`",
            ),
            (
                |root| {
                    root.at_mut("/images/kernel/hash-1").unwrap().unset("algo");
                },
                "has no `algo`",
            ),
            (
                |root| {
                    root.at_mut("/images/kernel").unwrap().child_or_new("signature-1");
                },
                "signs the image `kernel` alone",
            ),
            (
                |root| {
                    root.at_mut("/images/kernel").unwrap().child_or_new("cipher");
                },
                "is to be encrypted",
            ),
            (
                |root| root.at_mut("/configurations").unwrap().set_text("default", "other"),
                "the default configuration `other` is not there",
            ),
            (
                |root| root.at_mut("/configurations/conf").unwrap().set_text("fdt", "board"),
                "refers to the image `board`, which is not there",
            ),
            (
                |root| {
                    root.at_mut("/configurations/conf").unwrap().unset("kernel");
                },
                "refers to no image",
            ),
        ];
        for (change, expected) in cases {
            let text = finish(&described(change), 0).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        let text = finish(
            &described(|root| {
                root.child_mut("images").unwrap().children[0].name = "kernel@1".to_owned();
            }),
            0,
        );
        assert!(text.unwrap_err().to_string().contains("`kernel@1` is no name of an image"));
    }
}
