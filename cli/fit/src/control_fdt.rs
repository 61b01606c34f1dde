//! Keys in U-Boot's control FDT: insert, remove, list.
//!
//! [`insert_key`] writes keys that are required for configurations, which is what a product trusts; what U-Boot's own
//! tools write besides is [`insert_key_for`]'s. See [`crate::binary`] for the control
//! FDT inside of a shipped U-Boot.
//!
//! Source: U-Boot `doc/usage/fit/signature.rst`, "Public Key Storage"; `lib/rsa/rsa-sign.c`,
//! `lib/ecdsa/ecdsa-libcrypto.c`. `mkimage` calls the node of an ECDSA key `NAME` where that of an RSA key is `key-NAME`; here
//! both are `key-NAME`. U-Boot looks at what is in the node, not at its name.

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::fdt::{Node, Tree};
use crate::key::{Algorithm, PublicKey};

pub use crate::binary::{Candidate, candidates, find_control, find_trees};

/// A key node of a control FDT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNode {
    /// Node name, such as `key-gateway`.
    pub node: String,
    /// `key-name-hint`.
    pub name: String,
    /// `algo`, as it stands there.
    pub algo: String,
    /// `required`, if it is there; only `conf` makes U-Boot insist on signed configurations.
    pub required: Option<String>,
    /// The key.
    pub key: PublicKey,
}

impl KeyNode {
    /// A key as if it stood in a control FDT, required for every configuration: to verify with a public
    /// key alone.
    #[must_use]
    pub fn required(name: &str, algorithm: Algorithm, key: PublicKey) -> Self {
        Self {
            node: format!("key-{name}"),
            name: name.to_owned(),
            algo: algorithm.name(),
            required: Some("conf".to_owned()),
            key,
        }
    }
}

/// What a key of a control FDT is required for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Every configuration that is started: what protects a device.
    Configurations,
    /// Every image, each by itself: images can be recombined.
    Images,
    /// Nothing: unsigned images start.
    Nothing,
}

/// Puts a key into a control FDT, required for every configuration; replaces one of that name.
///
/// # Errors
/// When the blob is no tree, or the key does not fit the algorithm.
pub fn insert_key(
    control: &[u8],
    name: &str,
    algorithm: Algorithm,
    key: &PublicKey,
) -> Result<Vec<u8>, FitError> {
    insert_key_for(control, name, algorithm, key, Required::Configurations)
}

/// As [`insert_key`], for something else than configurations.
///
/// # Errors
/// As [`insert_key`].
pub fn insert_key_for(
    control: &[u8],
    name: &str,
    algorithm: Algorithm,
    key: &PublicKey,
    required: Required,
) -> Result<Vec<u8>, FitError> {
    key.must_fit(algorithm, name)?;
    let node_name = format!("key-{name}");
    if name.is_empty()
        || !node_name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    {
        return Err(FitError::Key(format!(
            "`{}` is no name for a key: expected letters, digits, `-`, `_`, `.`",
            name.escape_debug()
        )));
    }
    let mut tree = Tree::parse_unique(control)?;
    let signature = tree.root.child_or_new("signature");
    let node = signature.child_or_new(&node_name);
    node.properties.clear();
    match required {
        Required::Configurations => node.set_text("required", "conf"),
        Required::Images => node.set_text("required", "image"),
        Required::Nothing => {}
    }
    node.set_text("algo", &algorithm.name());
    for (property, value) in key.uboot_properties()? {
        node.set(property, value);
    }
    node.set_text("key-name-hint", name);
    tree.write()
}

/// Takes a key out of a control FDT, by the name that [`insert_key`] was given.
///
/// # Errors
/// When the blob is no tree, or there is no such key.
pub fn remove_key(control: &[u8], name: &str) -> Result<Vec<u8>, FitError> {
    let mut tree = Tree::parse_unique(control)?;
    let node = format!("key-{name}");
    let keys = tree.root.child_mut("signature").map(|signature| &mut signature.children);
    match keys.and_then(|keys| keys.iter().position(|key| key.name == node).map(|at| keys.remove(at))) {
        Some(_) => tree.write(),
        None => Err(FitError::Key(format!("the control FDT has no key `{}`", name.escape_debug()))),
    }
}

/// How many of several required keys must have signed (`required-mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequiredMode {
    /// Every one; what U-Boot does when nothing is said.
    All,
    /// One is enough, for the rotation of keys.
    Any,
}

/// Sets `required-mode` of a control FDT.
///
/// # Errors
/// When the blob is no tree or has no `/signature`.
pub fn set_required_mode(control: &[u8], mode: RequiredMode) -> Result<Vec<u8>, FitError> {
    let mut tree = Tree::parse_unique(control)?;
    let signature = tree
        .root
        .child_mut("signature")
        .ok_or_else(|| FitError::Key("the control FDT has no `/signature`: insert a key first".to_owned()))?;
    signature.set_text(
        "required-mode",
        match mode {
            RequiredMode::All => "all",
            RequiredMode::Any => "any",
        },
    );
    tree.write()
}

/// The keys of a control FDT. A key node that does not hold a usable key is an error.
///
/// # Errors
/// When the blob is no tree or a key node is malformed.
pub fn keys(control: &[u8]) -> Result<Vec<KeyNode>, FitError> {
    let tree = Tree::parse_unique(control)?;
    let Some(signature) = tree.root.child("signature") else { return Ok(Vec::new()) };
    signature.children.iter().map(key_node).collect()
}

fn key_node(node: &Node<'_>) -> Result<KeyNode, FitError> {
    let text = |name: &str| node.text(name).map(str::to_owned);
    let missing = |name: &str| FitError::Key(format!("the key node `{}` lacks `{name}`", node.name));
    Ok(KeyNode {
        node: node.name.clone(),
        name: text("key-name-hint").ok_or_else(|| missing("key-name-hint"))?,
        algo: text("algo").ok_or_else(|| missing("algo"))?,
        required: text("required"),
        key: PublicKey::from_uboot(|name| node.get(name).map(<[u8]>::to_vec))?,
    })
}

/// Whether one of the required keys is enough. U-Boot takes a mode that it does not know for `all`; here it is an error: somebody
/// wanted something by it.
///
/// # Errors
/// When the blob is no tree, or its `required-mode` is neither `all` nor `any`.
pub fn any_required(control: &[u8]) -> Result<bool, FitError> {
    match required_mode(control)?.as_str() {
        "any" => Ok(true),
        "all" => Ok(false),
        other => Err(FitError::Tree(format!(
            "`required-mode` of the control FDT is `{}`: expected `all` or `any`",
            other.chars().take(64).collect::<String>().escape_debug()
        ))),
    }
}

/// `required-mode` of a control FDT: `all` (U-Boot's default) or `any`.
///
/// # Errors
/// When the blob is no tree.
pub fn required_mode(control: &[u8]) -> Result<String, FitError> {
    let tree = Tree::parse_unique(control)?;
    let signature = tree.root.child("signature").filter(|node| node.get("required-mode").is_some());
    Ok(signature.map_or("all", |node| node.text("required-mode").unwrap_or("(not text)")).to_owned())
}
