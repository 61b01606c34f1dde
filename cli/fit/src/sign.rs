//! Signs a configuration as U-Boot's `mkimage` does.
//!
//! Covered are the root, the configuration, and every image it refers to with its hash
//! nodes; never only a part of them. Source: U-Boot `tools/image-host.c`
//! (`fit_config_process_sig`, `fit_image_write_sig`) and `boot/fdt_region.c`, read at v2026.01.

mod described;
mod signer;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::FitError;
use crate::fdt::{Node, Piece, Tree};
use crate::key::{Algorithm, Hash, Padding, PublicKey};

pub use described::{Described, Part, described, sign_described};
pub use signer::{EcdsaSigner, RsaSigner, signer_from_der, signer_from_pem};

/// Properties that signatures leave out: image hashes cover the data.
const UNCOVERED: &[&str] = &["data", "data-size", "data-position", "data-offset"];

/// Something that signs a digest: a key in memory, or a key that never leaves its store.
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// Signs a message.
    ///
    /// # Errors
    /// When the key cannot be used.
    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError>;
}

/// What one signature is made over.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Hash.
    pub hash: Hash,
    /// Padding, of RSA only.
    pub padding: Padding,
    /// The covered bytes of the FIT, in their order; the last part are the names of properties.
    pub parts: &'a [&'a [u8]],
}

impl Message<'_> {
    /// The digest of the covered bytes.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        self.hash.digest(self.parts)
    }
}

/// How to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOptions {
    /// Key name: `key-name-hint`, and the name of the key's node in the control FDT.
    pub key_name: String,
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Padding, of RSA only.
    pub padding: Padding,
    /// Time stamp in seconds (SOURCE_DATE_EPOCH).
    pub timestamp: u32,
    /// Node name of the signature.
    pub node: String,
}

/// Signs every configuration with one key and returns the FIT's bytes.
///
/// # Errors
/// When the key does not fit the algorithm, or a configuration refers to what is not there.
pub fn sign(tree: Tree<'_>, options: &SignOptions, signer: &dyn Signer) -> Result<Vec<u8>, FitError> {
    sign_all(tree, &[(options, signer)])
}

/// Signs every configuration with each key, as a key rotation needs it (`required-mode`).
///
/// All at once: a signature covers the names of its sibling nodes, so that one that is added
/// later breaks those that are there. Signature nodes of other names are removed for the same reason.
///
/// # Errors
/// When a key does not fit its algorithm, two signatures share a node, or a configuration refers to
/// what is not there.
pub fn sign_all(mut tree: Tree<'_>, signatures: &[(&SignOptions, &dyn Signer)]) -> Result<Vec<u8>, FitError> {
    sign_tree(&mut tree, signatures)?;
    tree.write()
}

/// As [`sign_all`], in the tree: nothing of the images' data is copied.
///
/// # Errors
/// As [`sign_all`].
pub fn sign_tree(tree: &mut Tree<'_>, signatures: &[(&SignOptions, &dyn Signer)]) -> Result<(), FitError> {
    let names: Vec<String> = configurations(tree)?.children.iter().map(|node| node.name.clone()).collect();
    for name in &names {
        let kinds = kinds(tree, name)?;
        let Some(configuration) = tree.root.at_mut(&format!("/configurations/{name}")) else { continue };
        configuration.children.retain(|child| !child.name.starts_with("signature"));
        for (options, _) in signatures {
            describe_signature(configuration, options, &kinds);
        }
    }
    let wanted: Vec<Wanted<'_>> = names
        .iter()
        .flat_map(|name| {
            signatures.iter().map(move |(options, signer)| Wanted {
                configuration: name.clone(),
                options,
                signer: *signer,
            })
        })
        .collect();
    sign_wanted(tree, &wanted)
}

/// Adds a signature's node that says everything that a description can.
fn describe_signature(configuration: &mut Node<'_>, options: &SignOptions, kinds: &[String]) {
    let node = configuration.child_or_new(&options.node);
    node.set_text("algo", &options.algorithm.name());
    node.set_text("key-name-hint", &options.key_name);
    if options.algorithm.key.is_rsa() {
        node.set_text("padding", options.padding.name());
    }
    node.set_texts("sign-images", &kinds.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A signature of a configuration that is to be made.
struct Wanted<'s> {
    configuration: String,
    options: &'s SignOptions,
    signer: &'s dyn Signer,
}

/// What a signature's node gets when it is signed, in `mkimage`'s order (`tools/image-host.c`, `fit_image_write_sig`).
const MADE: &[&str] =
    &["value", "signer-name", "signer-version", "timestamp", "hashed-nodes", "hashed-strings"];

/// Makes these signatures in their order; other signature nodes stay as they are.
///
/// A signature covers the names of properties that there are before it is made: its own `value` and what else it gets come
/// behind them, and the next one covers these, too. So does `mkimage`, and so the bytes are the same.
fn sign_wanted(tree: &mut Tree<'_>, wanted: &[Wanted<'_>]) -> Result<(), FitError> {
    for (index, one) in wanted.iter().enumerate() {
        check_options(one.options, one.signer)?;
        let same = |other: &Wanted<'_>| {
            other.configuration == one.configuration && other.options.node == one.options.node
        };
        if wanted[..index].iter().any(same) {
            return Err(FitError::Spec(format!("two signatures share the node name `{}`", one.options.node)));
        }
    }
    for one in wanted {
        prepare(tree, &one.configuration, one.options)?;
    }
    tree.strings = strings(tree)?;
    let mut covered = Vec::new();
    for Wanted { configuration, options, .. } in wanted {
        let (listed, names_end) = (covered_paths(tree, configuration)?, tree.strings.len());
        MADE.iter().for_each(|name| tree.add_string(name));
        fill(tree, configuration, options, &listed, names_end)?;
        covered.push((listed, names_end));
    }
    let mut places: Vec<Place<'_>> = wanted
        .iter()
        .zip(&covered)
        .map(|(Wanted { configuration, options, signer }, (_, names_end))| Place {
            configuration,
            names_end: *names_end,
            options,
            signer: *signer,
            ranges: Vec::new(),
        })
        .collect();
    let mut listing: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, (listed, _)) in covered.iter().enumerate() {
        listed.iter().for_each(|path| listing.entry(path).or_default().push(index));
    }
    let pieces = tree.write_tracking(&mut |piece, path, range| {
        for index in covering(piece, path, &listing, places.len()) {
            let ranges = &mut places[index].ranges;
            // A node that is listed as its parent is.
            if ranges.last() != Some(&range) {
                ranges.push(range.clone());
            }
        }
    })?;
    let strings_at = pieces.strings_at;
    let made: Vec<_> = places.iter().map(|place| place.sign(&pieces.skeleton, strings_at)).collect();
    // What is covered stays in its order, whatever is changed behind a signature, such as where the data is.
    let strings = pieces.skeleton[strings_at..].to_vec();
    tree.strings = strings;
    // What is signed elsewhere is asked for all at once.
    let mut unsigned = Vec::new();
    for (Wanted { configuration, options, .. }, value) in wanted.iter().zip(made) {
        match value {
            Ok(value) => signature_node(tree, configuration, &options.node)?.set("value", value),
            Err(FitError::Unsigned(requests)) => unsigned.extend(requests),
            Err(other) => return Err(other),
        }
    }
    if unsigned.is_empty() { Ok(()) } else { Err(FitError::Unsigned(unsigned)) }
}

/// A signature to be made, and what it covers in the blob.
struct Place<'s> {
    configuration: &'s str,
    /// Size of the strings block that it covers in bytes.
    names_end: usize,
    options: &'s SignOptions,
    signer: &'s dyn Signer,
    ranges: Vec<Range<usize>>,
}

impl Place<'_> {
    fn sign(&self, blob: &[u8], strings_at: usize) -> Result<Vec<u8>, FitError> {
        let SignOptions { algorithm, padding, .. } = self.options;
        let mut parts: Vec<&[u8]> = self.ranges.iter().map(|range| &blob[range.clone()]).collect();
        parts.push(&blob[strings_at..strings_at + self.names_end]);
        let message = Message { hash: algorithm.hash, padding: *padding, parts: &parts };
        let signature = self.signer.sign(&message)?;
        let (found, expected) = (signature.len(), algorithm.key.signature_bytes());
        if found != expected {
            let of = self.configuration;
            let why = format!("the signature of `{of}` has {found} bytes, expected {expected}");
            return Err(FitError::Key(why));
        }
        Ok(signature)
    }
}

fn check_options(options: &SignOptions, signer: &dyn Signer) -> Result<(), FitError> {
    signer.public_key().must_fit(options.algorithm, &options.key_name)?;
    if !options.node.starts_with("signature") || !crate::build::is_node_name(&options.node) {
        return Err(FitError::Spec(format!(
            "`{}` is no name for a signature: expected `signature-1` or the like",
            options.node.escape_debug()
        )));
    }
    Ok(())
}

fn configurations<'t, 'a>(tree: &'t Tree<'a>) -> Result<&'t Node<'a>, FitError> {
    tree.root
        .child("configurations")
        .filter(|node| !node.children.is_empty())
        .ok_or_else(|| FitError::Fit("it has no configuration to sign".to_owned()))
}

fn signature_node<'t, 'a>(
    tree: &'t mut Tree<'a>,
    configuration: &str,
    node: &str,
) -> Result<&'t mut Node<'a>, FitError> {
    let path = format!("/configurations/{configuration}");
    tree.root
        .at_mut(&path)
        .map(|conf| conf.child_or_new(node))
        .ok_or_else(|| FitError::Fit(format!("it has no node `{path}`")))
}

/// What a signature's node says before it is signed, and is covered as a description's would be.
fn prepare(tree: &mut Tree<'_>, configuration: &str, options: &SignOptions) -> Result<(), FitError> {
    let kinds = kinds(tree, configuration)?;
    let node = signature_node(tree, configuration, &options.node)?;
    for name in MADE {
        node.unset(name);
    }
    node.set_text("algo", &options.algorithm.name());
    node.set_text("key-name-hint", &options.key_name);
    // U-Boot takes a missing one for PKCS #1 v1.5.
    let described = node.get("padding").is_some();
    if options.algorithm.key.is_rsa() && (described || options.padding != Padding::Pkcs1v15) {
        node.set_text("padding", options.padding.name());
    }
    if node.get("sign-images").is_some() {
        node.set_texts("sign-images", &kinds.iter().map(String::as_str).collect::<Vec<_>>());
    }
    Ok(())
}

/// Fills the signature's node, with room for the value.
fn fill(
    tree: &mut Tree<'_>,
    configuration: &str,
    options: &SignOptions,
    covered: &BTreeSet<String>,
    names_end: usize,
) -> Result<(), FitError> {
    let names_end =
        u32::try_from(names_end).map_err(|_| FitError::Fit("its names are too many".to_owned()))?;
    let node = signature_node(tree, configuration, &options.node)?;
    node.set("value", vec![0; options.algorithm.key.signature_bytes()]);
    node.set_text("signer-name", "fastness");
    node.set_text("signer-version", env!("CARGO_PKG_VERSION"));
    node.set_cell("timestamp", options.timestamp);
    node.set_texts("hashed-nodes", &covered.iter().map(String::as_str).collect::<Vec<_>>());
    node.set("hashed-strings", [0u32.to_be_bytes(), names_end.to_be_bytes()].concat());
    Ok(())
}

/// The configuration's references to images: property and names.
fn references(tree: &Tree<'_>, configuration: &str) -> Result<Vec<(String, Vec<String>)>, FitError> {
    let node = tree
        .root
        .at(&format!("/configurations/{configuration}"))
        .ok_or_else(|| FitError::Fit(format!("it has no configuration `{configuration}`")))?;
    let mut out = Vec::new();
    for (property, _) in &node.properties {
        let Some(names) = crate::its::referred(tree, node, property)? else { continue };
        out.push((property.clone(), names.into_iter().map(str::to_owned).collect()));
    }
    if out.is_empty() {
        return Err(FitError::Fit(format!("the configuration `{configuration}` refers to no image")));
    }
    Ok(out)
}

/// The properties by which the configuration refers to images.
fn kinds(tree: &Tree<'_>, configuration: &str) -> Result<Vec<String>, FitError> {
    Ok(references(tree, configuration)?.into_iter().map(|(property, _)| property).collect())
}

fn covered_paths(tree: &Tree<'_>, configuration: &str) -> Result<BTreeSet<String>, FitError> {
    let mut paths = BTreeSet::from(["/".to_owned(), format!("/configurations/{configuration}")]);
    for (_, names) in references(tree, configuration)? {
        for name in names {
            let path = format!("/images/{name}");
            let image =
                tree.root.child("images").and_then(|images| images.child(&name)).ok_or_else(|| {
                    FitError::Fit(format!(
                        "the configuration `{configuration}` refers to the image `{name}`, which is not there"
                    ))
                })?;
            let hashes: Vec<&Node<'_>> =
                image.children.iter().filter(|c| c.name.starts_with("hash")).collect();
            if hashes.is_empty() {
                return Err(FitError::Fit(format!(
                    "the image `{name}` has no hash node: its data would not be covered"
                )));
            }
            for hash in &hashes {
                crate::its::algorithm_of(&name, hash)?;
                if hash.get("value").is_none() || hash.get("uboot-ignore").is_some() {
                    return Err(FitError::Fit(format!(
                        "`{}` of the image `{name}` has no value or is to be ignored: it protects nothing",
                        hash.name
                    )));
                }
            }
            for child in hashes.into_iter().chain(image.child("cipher")) {
                paths.insert(format!("{path}/{}", child.name));
            }
            paths.insert(path);
        }
    }
    Ok(paths)
}

/// The signatures that hash a piece: nodes on their list with their properties, and the bare begin and end of a listed
/// node's children.
fn covering(piece: Piece, path: &str, listing: &HashMap<&str, Vec<usize>>, all: usize) -> Vec<usize> {
    let above = match path.rfind('/') {
        Some(0) if path.len() > 1 => "/",
        Some(at) => &path[..at],
        None => "",
    };
    let listed = |path: &str| listing.get(path).into_iter().flatten().copied();
    match piece {
        Piece::Finish => (0..all).collect(),
        Piece::Begin | Piece::End => listed(path).chain(listed(above)).collect(),
        Piece::Property if UNCOVERED.contains(&path.rsplit('/').next().unwrap_or_default()) => Vec::new(),
        Piece::Property => listed(above).collect(),
    }
}

/// The strings block as it would be written.
fn strings(tree: &Tree<'_>) -> Result<Vec<u8>, FitError> {
    // Without the data: only names matter.
    let mut bare = Tree { root: names_only(&tree.root), reserved: Vec::new(), strings: tree.strings.clone() };
    bare.root.name = String::new();
    let pieces = bare.pieces()?;
    Ok(pieces.skeleton[pieces.strings_at..].to_vec())
}

fn names_only(node: &Node<'_>) -> Node<'static> {
    Node {
        name: node.name.clone(),
        properties: node.properties.iter().map(|(name, _)| (name.clone(), Vec::new().into())).collect(),
        children: node.children.iter().map(names_only).collect(),
    }
}
