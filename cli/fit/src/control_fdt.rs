//! Keys in U-Boot's control FDT, and the control FDT in a shipped U-Boot.
//!
//! Source: U-Boot `doc/usage/fit/signature.rst`, "Public Key Storage"; `lib/rsa/rsa-sign.c`.

use crate::FitError;
use crate::fdt::{Blocks, Node, Tree};
use crate::key::{Algorithm, PublicKey};

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
    if key.bits() != algorithm.bits {
        return Err(FitError::Key(format!(
            "`{}` needs a key of {} bits, but `{name}` has {}",
            algorithm.name(),
            algorithm.bits,
            key.bits()
        )));
    }
    let mut tree = Tree::parse(control)?;
    let signature = tree.root.child_or_new("signature");
    let node = signature.child_or_new(&format!("key-{name}"));
    node.properties.clear();
    node.set_text("required", "conf");
    node.set_text("algo", &algorithm.name());
    for (property, value) in key.uboot_properties()? {
        node.set(property, value);
    }
    node.set_text("key-name-hint", name);
    tree.write()
}

/// The keys of a control FDT. A key node that does not hold a usable key is an error.
///
/// # Errors
/// When the blob is no tree or a key node is malformed.
pub fn keys(control: &[u8]) -> Result<Vec<KeyNode>, FitError> {
    let tree = Tree::parse(control)?;
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

/// `required-mode` of a control FDT: `all` (U-Boot's default) or `any`.
///
/// # Errors
/// When the blob is no tree.
pub fn required_mode(control: &[u8]) -> Result<String, FitError> {
    let tree = Tree::parse(control)?;
    Ok(tree.root.child("signature").and_then(|s| s.text("required-mode")).unwrap_or("all").to_owned())
}

/// Where control FDTs stand in a U-Boot binary: offset and size, in order.
///
/// A shipped binary (`u-boot-nodtb.bin` with the tree behind it, perhaps padded) must hold
/// exactly one; two would leave it to U-Boot's code which one counts.
#[must_use]
pub fn find_trees(binary: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) =
        binary.get(at..).and_then(|rest| rest.windows(4).position(|w| w == [0xd0, 0x0d, 0xfe, 0xed]))
    {
        let offset = at + step;
        match Blocks::open(&binary[offset..]) {
            Ok(blocks) if Tree::parse(&binary[offset..]).is_ok() => {
                found.push((offset, blocks.total()));
                at = offset + blocks.total();
            }
            _ => at = offset + 4,
        }
    }
    found
}

/// The one control FDT of a shipped U-Boot binary.
///
/// # Errors
/// When there is none, or more than one.
pub fn find_control(binary: &[u8]) -> Result<&[u8], FitError> {
    match find_trees(binary)[..] {
        [(offset, size)] => Ok(&binary[offset..offset + size]),
        [] => Err(FitError::Tree(
            "the U-Boot binary carries no control FDT: it would take one from elsewhere".to_owned(),
        )),
        ref several => Err(FitError::Tree(format!(
            "the U-Boot binary carries {} device trees (at {}), expected one",
            several.len(),
            several.iter().map(|(offset, _)| format!("{offset:#x}")).collect::<Vec<_>>().join(", ")
        ))),
    }
}
