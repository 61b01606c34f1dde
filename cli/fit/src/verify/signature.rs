//! One signature: what it covers, byte for byte, and whether it holds.

use std::collections::BTreeSet;

use super::{Problem, problem, short};
use crate::FitError;
use crate::control_fdt::KeyNode;
use crate::fdt::{Blocks, Node, Token, Tree};
use crate::key::{Algorithm, Padding};

/// Longest `hashed-nodes` that is compared, in bytes.
const MAX_LIST: usize = 1 << 16;

/// Checks one signature node of a configuration with one key; gives its algorithm and padding.
pub(super) fn check(
    blocks: &Blocks<'_>,
    configuration: &str,
    node: &Node<'_>,
    key: &KeyNode,
    covered: &BTreeSet<String>,
) -> Result<String, Problem> {
    let path = format!("`{}` of `{configuration}`", node.name);
    let algo = node.text("algo").unwrap_or_default();
    if algo != key.algo {
        let message =
            format!("{path} uses `{}`, but the key `{}` is for `{}`", short(algo), key.name, key.algo);
        return Err(problem("algorithm-mismatch", message));
    }
    let algorithm = Algorithm::parse(algo).map_err(|e| problem("weak-algorithm", format!("{path}: {e}")))?;
    if Some(algorithm.key) != key.key.kind() {
        let message = format!("{path} uses `{algo}`, but the key `{}` is {}", key.name, key.key.kind_name());
        return Err(problem("algorithm-mismatch", message));
    }
    // U-Boot takes a missing `padding` for PKCS #1 v1.5.
    let padding = match node.get("padding") {
        None => Padding::Pkcs1v15,
        Some(_) => Padding::parse(node.text("padding").unwrap_or_default())
            .map_err(|_| problem("bad-padding", format!("{path} has an unknown padding")))?,
    };
    let value = node
        .get("value")
        .ok_or_else(|| problem("no-value", format!("{path} has no value: it was never signed")))?;
    check_list(node, &path, covered)?;
    let strings = strings(blocks, node, &path)?;
    let mut parts = tokens(blocks, covered, strings.len()).map_err(|e| match e {
        FitError::Fit(message) => problem("uncovered-name", format!("{path}: {message}")),
        other => problem("bad-tree", other.to_string()),
    })?;
    parts.push(strings);
    let digest = algorithm.hash.digest(&parts);
    if !key.key.holds(algorithm.hash, padding, &digest, value) {
        let message = format!("{path} does not verify with the key `{}`", key.name);
        return Err(problem("bad-signature", message));
    }
    // U-Boot reads the padding of every signature, but only RSA has one.
    Ok(if algorithm.key.is_rsa() { format!("{algo} {}", padding.name()) } else { algo.to_owned() })
}

/// The bytes that a signature covers by its own lists (`hashed-nodes`, `hashed-strings`), in their order, whatever its value
/// and algorithm are.
///
/// # Errors
/// When there is no such signature, or it covers no names of properties.
pub fn covered<'a>(blob: &'a [u8], configuration: &str, signature: &str) -> Result<Vec<&'a [u8]>, FitError> {
    let (tree, blocks) = (Tree::parse(blob)?, Blocks::open(blob)?);
    let path = format!("/configurations/{configuration}/{signature}");
    let missing = || FitError::Fit(format!("there is no signature `{path}`, or it lists no nodes"));
    let node = tree.root.at(&path).ok_or_else(missing)?;
    let listed: BTreeSet<String> =
        node.texts("hashed-nodes").ok_or_else(missing)?.into_iter().map(str::to_owned).collect();
    let strings = strings(&blocks, node, &path).map_err(|problem| FitError::Fit(problem.message))?;
    let mut parts = tokens(&blocks, &listed, strings.len())?;
    parts.push(strings);
    Ok(parts)
}

/// `hashed-nodes` is only what older versions of U-Boot would trust: it must say the same.
fn check_list(node: &Node<'_>, path: &str, covered: &BTreeSet<String>) -> Result<(), Problem> {
    let listed = node.get("hashed-nodes").filter(|list| list.len() <= MAX_LIST);
    let listed: Option<BTreeSet<&str>> =
        listed.and_then(|_| node.texts("hashed-nodes")).map(|names| names.into_iter().collect());
    match listed.is_some_and(|listed| listed.iter().eq(covered.iter())) {
        true => Ok(()),
        false => Err(problem(
            "hashed-nodes",
            format!(
                "{path} lists other nodes than the configuration refers to: older U-Boots would trust that list"
            ),
        )),
    }
}

/// The part of the strings block that `hashed-strings` says: from its start (the first cell must be 0), some bytes.
fn strings<'a>(blocks: &Blocks<'a>, node: &Node<'_>, path: &str) -> Result<&'a [u8], Problem> {
    let wrong = |message: &str| problem("hashed-strings", format!("{path} {message}"));
    let value = node.get("hashed-strings").ok_or_else(|| wrong("covers no names of properties"))?;
    let (zero, size) = match value {
        [a, b, c, d, rest @ ..] if rest.len() == 4 => ([*a, *b, *c, *d], rest),
        _ => return Err(wrong("has a `hashed-strings` that is not two cells")),
    };
    if zero != [0; 4] {
        return Err(wrong("has a `hashed-strings` that does not begin at 0"));
    }
    let size = size.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    blocks.strings().get(..size).ok_or_else(|| wrong("covers more names of properties than there are"))
}

/// The bytes of the tokens that a signature covers (`boot/fdt_region.c`): a covered node with all its
/// properties but the data, and its children's begin and end.
///
/// The name of a covered property is not in its token: it must stand in the covered strings. Those of the data
/// need not: under another name, the property would be among the covered bytes.
fn tokens<'a>(
    blocks: &Blocks<'a>,
    covered: &BTreeSet<String>,
    covered_strings: usize,
) -> Result<Vec<&'a [u8]>, FitError> {
    let mut out = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    // How much of the current node is wanted: 2 all, 1 its bare begin and end, 0 nothing.
    let mut wanted: Vec<u8> = Vec::new();
    blocks.walk(|token, bytes| {
        let take = match token {
            Token::Begin(name) => {
                path.push(name);
                let here = if path.len() == 1 { "/".to_owned() } else { format!("/{}", path[1..].join("/")) };
                let above = wanted.last().copied().unwrap_or(0);
                let level = if covered.contains(&here) { 2 } else { above.saturating_sub(1) };
                wanted.push(level);
                level > 0
            }
            Token::Property(name, _) => {
                let data = matches!(name, "data" | "data-size" | "data-position" | "data-offset");
                let take = wanted.last() == Some(&2);
                if take && !data && name_end(bytes, name) > covered_strings {
                    return Err(FitError::Fit(format!(
                        "the name of the property `{name}` of `/{}` is not covered",
                        path[1..].join("/")
                    )));
                }
                take && !data
            }
            Token::Nop => wanted.last() == Some(&2),
            Token::End => {
                path.pop();
                wanted.pop().is_some_and(|level| level > 0)
            }
            Token::Finish => true,
        };
        if take {
            out.push(bytes);
        }
        Ok(())
    })?;
    Ok(out)
}

/// Where a property's name ends in the strings block, with its NUL.
fn name_end(token: &[u8], name: &str) -> usize {
    let offset = token.get(8..12).and_then(|cell| cell.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes);
    (offset as usize).saturating_add(name.len() + 1)
}
