//! Flattened device trees: a bounded reader that borrows, and a deterministic writer.
//!
//! The `fdt` crate reads trees and `dtoolkit` edits and writes them too, but FIT signatures cover byte
//! ranges of the structure block, and what is verified must be every token with its place: neither gives
//! that. A signed FIT must also keep its strings block and its order when it is edited. So reader and
//! writer are ours, small, and cross-checked against the `fdt` crate and the tools `dtc` and
//! `fdtget` in the tests.
//!
//! Limits: [`MAX_DEPTH`], [`MAX_TOKENS`], [`MAX_NAME`], [`MAX_RESERVED`]. Memory for a tree that is read is
//! bounded by them (values are borrowed from the blob); reading takes time linear in the blob.
//!
//! Source: Devicetree Specification 0.4, chapter 5 (version 17 of the format).

mod read;
mod write;

pub use read::{Blocks, Token};
pub(crate) use write::Piece;
pub use write::Pieces;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::FitError;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE: u32 = 16;
const HEADER_BYTES: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Deepest nesting that is read; U-Boot's `FDT_MAX_DEPTH` is 32.
pub const MAX_DEPTH: usize = 32;
/// Most tokens that are read; the largest device trees of Linux have about a tenth of it.
pub const MAX_TOKENS: usize = 1 << 18;
/// Longest name of a node or property in bytes; the specification allows 31 and a unit address.
pub const MAX_NAME: usize = 255;
/// Most reserved ranges of memory that are read.
pub const MAX_RESERVED: usize = 64;

/// A node with its properties and children, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node<'a> {
    /// Name with unit address; empty for the root.
    pub name: String,
    /// Properties.
    pub properties: Vec<(String, Cow<'a, [u8]>)>,
    /// Children.
    pub children: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    /// A node without properties.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The first property of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_ref())
    }

    /// A property as text: one string, NUL-terminated.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let bytes = self.get(name)?.strip_suffix(&[0])?;
        std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
    }

    /// A property as a list of strings.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        let bytes = self.get(name)?.strip_suffix(&[0])?;
        bytes.split(|b| *b == 0).map(|part| std::str::from_utf8(part).ok()).collect()
    }

    /// A property as one 32-bit cell.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<u32> {
        self.get(name)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Sets a property, in place or at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Cow<'a, [u8]>>) {
        let value = value.into();
        match self.properties.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }

    /// Sets a property to one string.
    pub fn set_text(&mut self, name: &str, value: &str) {
        self.set_texts(name, &[value]);
    }

    /// Sets a property to a list of strings.
    pub fn set_texts(&mut self, name: &str, values: &[&str]) {
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        }
        self.set(name, bytes);
    }

    /// Sets a property to one 32-bit cell.
    pub fn set_cell(&mut self, name: &str, value: u32) {
        self.set(name, value.to_be_bytes().to_vec());
    }

    /// Removes a property; `false` if there was none.
    pub fn unset(&mut self, name: &str) -> bool {
        let before = self.properties.len();
        self.properties.retain(|(n, _)| n != name);
        before != self.properties.len()
    }

    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of that name, for changing.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Node<'a>> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// The first child of that name, made at the end if there is none.
    pub fn child_or_new(&mut self, name: &str) -> &mut Node<'a> {
        let at = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Node::new(name));
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    /// The node at an absolute path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Node<'a>> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self, |node, part| node.child(part))
    }

    /// The node at an absolute path, for changing.
    pub fn at_mut(&mut self, path: &str) -> Option<&mut Node<'a>> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self, |node, part| node.child_mut(part))
    }

    /// Names that are there twice, as properties or as nodes: path of the node, and the name.
    #[must_use]
    pub fn doubled_names(&self) -> Vec<(String, String)> {
        fn collect(node: &Node<'_>, path: &str, out: &mut Vec<(String, String)>) {
            let mut seen = BTreeSet::new();
            for (name, _) in &node.properties {
                if !seen.insert(name.as_str()) {
                    out.push((path.to_owned(), name.clone()));
                }
            }
            seen.clear();
            for child in &node.children {
                if !seen.insert(child.name.as_str()) {
                    out.push((path.to_owned(), child.name.clone()));
                }
                collect(child, &format!("{}/{}", path.trim_end_matches('/'), child.name), out);
            }
        }
        let mut out = Vec::new();
        collect(self, "/", &mut out);
        out
    }

    /// The same node, whose values are borrowed from this one.
    #[must_use]
    pub fn borrowed(&self) -> Node<'_> {
        Node {
            name: self.name.clone(),
            properties: self.properties.iter().map(|(n, v)| (n.clone(), Cow::Borrowed(v.as_ref()))).collect(),
            children: self.children.iter().map(Node::borrowed).collect(),
        }
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Node<'static> {
        Node {
            name: self.name,
            properties: self.properties.into_iter().map(|(n, v)| (n, Cow::Owned(v.into_owned()))).collect(),
            children: self.children.into_iter().map(Node::into_owned).collect(),
        }
    }
}

fn bad(message: impl Into<String>) -> FitError {
    FitError::Tree(message.into())
}

/// A whole tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree<'a> {
    /// The root node.
    pub root: Node<'a>,
    /// Reserved memory: address and size in bytes.
    pub reserved: Vec<(u64, u64)>,
    /// Strings that the written strings block starts with: a tree that is changed keeps its own.
    pub strings: Vec<u8>,
}

impl Tree<'_> {
    /// The same tree, whose values are borrowed from this one.
    #[must_use]
    pub fn borrowed(&self) -> Tree<'_> {
        Tree { root: self.root.borrowed(), reserved: self.reserved.clone(), strings: self.strings.clone() }
    }

    /// Puts a name at the end of the strings, unless it stands there: as libfdt does when it adds a property.
    pub(crate) fn add_string(&mut self, name: &str) {
        if self.strings.last().is_some_and(|last| *last != 0) {
            self.strings.push(0);
        }
        if write::find_string(&self.strings, name).is_none() {
            self.strings.extend(name.bytes().chain([0]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree<'static> {
        let mut root = Node::new("");
        root.set_text("description", "a");
        root.child_or_new("images").child_or_new("kernel").set_cell("load", 0x4000_0000);
        Tree { root, reserved: vec![(0x1000, 0x2000)], strings: Vec::new() }
    }

    #[test]
    fn a_tree_reads_back_and_the_fdt_crate_agrees() {
        let tree = sample();
        let blob = tree.write().unwrap();
        let back = Tree::parse(&blob).unwrap();
        assert_eq!(back.root, tree.root);
        assert_eq!(back.reserved, tree.reserved);
        assert_eq!(back.write().unwrap(), blob);
        let other = ::fdt::Fdt::new(&blob).unwrap();
        let node = other.find_node("/images/kernel").unwrap();
        assert_eq!(node.property("load").unwrap().value, 0x4000_0000u32.to_be_bytes());
    }

    /// Found by `ci/fuzz`: a strings block that ends in the middle of a name.
    #[test]
    fn a_name_is_never_joined_to_the_end_of_a_strings_block_that_was_cut() {
        let tree = Tree { strings: b"descr".to_vec(), ..sample() };
        let blob = tree.write().unwrap();
        let back = Tree::parse(&blob).unwrap();
        assert_eq!(back.root, tree.root);
        assert!(back.strings.starts_with(b"descr\0description\0"), "{:?}", back.strings);
        assert_eq!(back.write().unwrap(), blob);
        // Also where the cut name is one that the tree has.
        let tree = Tree { strings: b"x\0load".to_vec(), ..sample() };
        let blob = tree.write().unwrap();
        assert_eq!(Tree::parse(&blob).unwrap().write().unwrap(), blob);
        assert!(Tree::parse(&blob).unwrap().strings.starts_with(b"x\0load\0description\0"));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let blob = sample().write().unwrap();
        for length in 0..blob.len() {
            assert!(Tree::parse(&blob[..length]).is_err(), "{length} of {} bytes were accepted", blob.len());
        }
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut copy = blob.clone();
                copy[at] ^= 1 << bit;
                let _ = Tree::parse(&copy);
            }
        }
    }

    #[test]
    fn a_second_root_is_refused() {
        let blob = sample().write().unwrap();
        let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
        let (structure, strings) = (word(8), word(12));
        let mut twice = blob[..strings - 4].to_vec();
        twice.extend_from_slice(&blob[structure..strings]);
        let new_strings = twice.len();
        twice.extend_from_slice(&blob[strings..]);
        let total = u32::try_from(twice.len()).unwrap();
        twice[4..8].copy_from_slice(&total.to_be_bytes());
        twice[12..16].copy_from_slice(&u32::try_from(new_strings).unwrap().to_be_bytes());
        twice[36..40].copy_from_slice(&u32::try_from(new_strings - structure).unwrap().to_be_bytes());
        assert!(Tree::parse(&twice).unwrap_err().to_string().contains("more than one root node"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut node = Node::new("leaf");
        for _ in 0..40 {
            let mut parent = Node::new("n");
            parent.children.push(node);
            node = parent;
        }
        node.name = String::new();
        let blob = Tree { root: node, ..Tree::default() }.write().unwrap();
        assert!(Tree::parse(&blob).unwrap_err().to_string().contains("nested deeper than 32"));
    }

    #[test]
    fn names_that_could_pass_for_paths_or_run_on_are_refused() {
        for (name, expected) in [
            ("a/b", "expected printable ASCII without `/`"),
            ("a b", "expected printable ASCII"),
            ("\u{e9}", "expected printable ASCII"),
            (&*"n".repeat(300), "does not end within 255 bytes"),
        ] {
            let mut tree = sample();
            tree.root.children[0].name = name.to_owned();
            let text = Tree::parse(&tree.write().unwrap()).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
            let mut tree = sample();
            tree.root.set_cell(name, 1);
            let text = Tree::parse(&tree.write().unwrap()).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn blocks_over_one_another_or_out_of_order_are_refused() {
        let blob = sample().write().unwrap();
        let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
        for (at, value, expected) in [
            (12, word(8), "overlap or are out of order"),
            (8, 40, "overlap or are out of order"),
            (8, word(8) + 2, "not aligned"),
            (32, u32::MAX, "strings block lies outside"),
            (36, word(36) + 4, "overlap or are out of order"),
            (16, 0, "reserved memory lies outside"),
            (4, 1 << 30, "its header says 1073741824 bytes"),
            (20, 16, "expected version 17, found 16"),
        ] {
            let mut copy = blob.clone();
            copy[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            let text = Tree::parse(&copy).unwrap_err().to_string();
            assert!(text.contains(expected), "field {at}: {text}");
        }
    }

    #[test]
    fn doubled_names_are_refused_where_asked() {
        let mut tree = sample();
        tree.root.children.push(Node::new("images"));
        let blob = tree.write().unwrap();
        assert!(Tree::parse(&blob).is_ok());
        let text = Tree::parse_unique(&blob).unwrap_err().to_string();
        assert!(text.contains("`/` has the name `images` twice"), "{text}");
        assert!(Tree::parse_unique(&sample().write().unwrap()).is_ok());
    }
}
