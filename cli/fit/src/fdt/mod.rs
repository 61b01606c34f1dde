//! Flattened device trees: a bounded reader that borrows, and a deterministic writer.
//!
//! The `fdt` and `dtoolkit` crates read trees, but FIT signatures cover byte ranges of the
//! structure block, and verification must see every token with its offset: so this small
//! reader is ours. It is cross-checked against the `fdt` crate in the tests.
//!
//! Source: Devicetree Specification 0.4, chapter 5 (version 17 of the format).

use std::borrow::Cow;
use std::collections::HashMap;

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
/// Most tokens that are read.
pub const MAX_TOKENS: usize = 1 << 20;

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

/// One token of the structure block with its place, for whoever hashes ranges of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A node begins.
    Begin(&'a str),
    /// A property.
    Property(&'a str, &'a [u8]),
    /// A node ends.
    End,
    /// Padding.
    Nop,
    /// The structure block ends.
    Finish,
}

/// A tree's blocks, checked to lie within the blob and not to overlap.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    blob: &'a [u8],
    structure: (usize, usize),
    strings: (usize, usize),
    reserved: usize,
}

fn bad(message: impl Into<String>) -> FitError {
    FitError::Tree(message.into())
}

fn word(bytes: &[u8], at: usize) -> Result<u32, FitError> {
    let part = at.checked_add(4).and_then(|end| bytes.get(at..end)).ok_or_else(|| bad("it is truncated"))?;
    part.try_into().map(u32::from_be_bytes).map_err(|_| bad("it is truncated"))
}

impl<'a> Blocks<'a> {
    /// Reads the header. `blob` may be longer than the tree.
    ///
    /// # Errors
    /// When a block lies outside of the tree or over another one.
    pub fn open(blob: &'a [u8]) -> Result<Self, FitError> {
        if blob.len() < HEADER_BYTES {
            return Err(bad(format!("expected at least {HEADER_BYTES} bytes, found {}", blob.len())));
        }
        let magic = word(blob, 0)?;
        if magic != MAGIC {
            return Err(bad(format!("expected the magic number 0xd00dfeed, found {magic:#010x}")));
        }
        let field = |index: usize| word(blob, index * 4).map(|value| value as usize);
        let total = field(1)?;
        let (structure, strings, reserved) = (field(2)?, field(3)?, field(4)?);
        let (version, compatible) = (field(5)?, field(6)?);
        let (strings_bytes, structure_bytes) = (field(8)?, field(9)?);
        if version < VERSION as usize || compatible > VERSION as usize {
            return Err(bad(format!(
                "expected version {VERSION}, found {version} (compatible with {compatible})"
            )));
        }
        let Some(blob) = blob.get(..total).filter(|_| total >= HEADER_BYTES) else {
            return Err(bad(format!("its header says {total} bytes, but there are {}", blob.len())));
        };
        let range = |name: &str, start: usize, bytes: usize| match start.checked_add(bytes) {
            Some(end) if start >= HEADER_BYTES && end <= total => Ok((start, end)),
            _ => Err(bad(format!("its {name} block lies outside of the tree"))),
        };
        let structure = range("structure", structure, structure_bytes)?;
        let strings = range("strings", strings, strings_bytes)?;
        if structure.0 < strings.1 && strings.0 < structure.1 {
            return Err(bad("its structure and strings blocks overlap"));
        }
        if structure.0 % 4 != 0 || reserved % 8 != 0 || reserved < HEADER_BYTES || reserved + 16 > total {
            return Err(bad("a block is not aligned or lies outside of the tree"));
        }
        Ok(Self { blob, structure, strings, reserved })
    }

    /// Size of the tree in bytes, as its header says.
    #[must_use]
    pub fn total(&self) -> usize {
        self.blob.len()
    }

    /// The strings block.
    #[must_use]
    pub fn strings(&self) -> &'a [u8] {
        &self.blob[self.strings.0..self.strings.1]
    }

    /// Calls `visit` with every token and the bytes it takes, in order.
    ///
    /// # Errors
    /// When a token is not well formed, there are several roots, or bytes behind the end.
    pub fn walk(
        &self,
        mut visit: impl FnMut(Token<'a>, &'a [u8]) -> Result<(), FitError>,
    ) -> Result<(), FitError> {
        let block = &self.blob[self.structure.0..self.structure.1];
        let (mut at, mut depth, mut roots) = (0usize, 0usize, 0usize);
        for _ in 0..MAX_TOKENS {
            let (token, next) = self.token(block, at)?;
            match token {
                Token::Begin(name) => {
                    roots += usize::from(depth == 0);
                    if roots > 1 {
                        return Err(bad("it has more than one root node"));
                    }
                    if (depth == 0) != name.is_empty() {
                        return Err(bad(format!(
                            "a node at depth {depth} has the name `{}`",
                            name.escape_debug()
                        )));
                    }
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(bad(format!("it is nested deeper than {MAX_DEPTH} nodes")));
                    }
                }
                Token::End => {
                    depth = depth.checked_sub(1).ok_or_else(|| bad("a node ends that never began"))?
                }
                Token::Property(name, _) if depth == 0 => {
                    return Err(bad(format!(
                        "the property `{}` is outside of the root",
                        name.escape_debug()
                    )));
                }
                Token::Finish if depth != 0 || roots == 0 => return Err(bad("it ends inside a node")),
                _ => {}
            }
            visit(token, &block[at..next])?;
            if token == Token::Finish {
                if next != block.len() {
                    return Err(bad("there are bytes behind its end token"));
                }
                return Ok(());
            }
            at = next;
        }
        Err(bad(format!("it has more than {MAX_TOKENS} tokens")))
    }

    fn token(&self, block: &'a [u8], at: usize) -> Result<(Token<'a>, usize), FitError> {
        let padded = |end: usize| end.checked_add(3).map(|e| e & !3).filter(|e| *e <= block.len());
        let truncated = || bad("a token runs over the end of the structure block");
        match word(block, at)? {
            BEGIN_NODE => {
                let start = at + 4;
                let rest = block.get(start..).ok_or_else(truncated)?;
                let length = rest.iter().position(|b| *b == 0).ok_or_else(truncated)?;
                let name =
                    std::str::from_utf8(&rest[..length]).map_err(|_| bad("a node's name is not UTF-8"))?;
                Ok((Token::Begin(name), padded(start + length + 1).ok_or_else(truncated)?))
            }
            END_NODE => Ok((Token::End, at + 4)),
            PROP => {
                let length = word(block, at + 4)? as usize;
                let name = self.string(word(block, at + 8)? as usize)?;
                let end = (at + 12).checked_add(length).ok_or_else(truncated)?;
                let value = block.get(at + 12..end).ok_or_else(truncated)?;
                Ok((Token::Property(name, value), padded(end).ok_or_else(truncated)?))
            }
            NOP => Ok((Token::Nop, at + 4)),
            END => Ok((Token::Finish, at + 4)),
            other => Err(bad(format!("expected a token, found {other:#x}"))),
        }
    }

    fn string(&self, offset: usize) -> Result<&'a str, FitError> {
        let rest = self
            .strings()
            .get(offset..)
            .ok_or_else(|| bad("a property's name lies outside of the strings"))?;
        let length =
            rest.iter().position(|b| *b == 0).ok_or_else(|| bad("a property's name does not end"))?;
        std::str::from_utf8(&rest[..length]).map_err(|_| bad("a property's name is not UTF-8"))
    }
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

impl<'a> Tree<'a> {
    /// Reads a tree. Values are borrowed.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn parse(blob: &'a [u8]) -> Result<Self, FitError> {
        let blocks = Blocks::open(blob)?;
        let mut stack: Vec<Node<'a>> = Vec::new();
        let mut root = None;
        blocks.walk(|token, _| {
            match token {
                Token::Begin(name) => stack.push(Node::new(name)),
                Token::Property(name, value) => {
                    if let Some(node) = stack.last_mut() {
                        if !node.children.is_empty() {
                            return Err(bad(format!("the property `{name}` stands behind a child node")));
                        }
                        node.properties.push((name.to_owned(), Cow::Borrowed(value)));
                    }
                }
                Token::End => {
                    if let Some(node) = stack.pop() {
                        match stack.last_mut() {
                            Some(parent) => parent.children.push(node),
                            None => root = Some(node),
                        }
                    }
                }
                Token::Nop | Token::Finish => {}
            }
            Ok(())
        })?;
        let root = root.ok_or_else(|| bad("it has no root node"))?;
        let mut reserved = Vec::new();
        let mut at = blocks.reserved;
        loop {
            let pair = (
                u64::from(word(blocks.blob, at)?) << 32 | u64::from(word(blocks.blob, at + 4)?),
                u64::from(word(blocks.blob, at + 8)?) << 32 | u64::from(word(blocks.blob, at + 12)?),
            );
            if pair == (0, 0) {
                break;
            }
            if reserved.len() >= 64 {
                return Err(bad("it reserves more than 64 ranges of memory"));
            }
            reserved.push(pair);
            at += 16;
        }
        Ok(Self { root, reserved, strings: blocks.strings().to_vec() })
    }

    /// Writes the tree: header, reserved memory, structure, strings. Always the same bytes.
    ///
    /// # Errors
    /// When a name holds a NUL, or the tree is larger than 4 GiB.
    pub fn write(&self) -> Result<Vec<u8>, FitError> {
        self.write_tracking(&mut |_, _, _| {})
    }

    /// As [`Tree::write`]; `place` is told each node's and property's path and byte range.
    pub(crate) fn write_tracking(&self, place: &mut Placed<'_>) -> Result<Vec<u8>, FitError> {
        let mut writer =
            Writer { out: vec![0; HEADER_BYTES], strings: self.strings.clone(), known: HashMap::new() };
        for (address, size) in self.reserved.iter().chain(&[(0, 0)]) {
            writer.out.extend_from_slice(&address.to_be_bytes());
            writer.out.extend_from_slice(&size.to_be_bytes());
        }
        let structure = writer.out.len();
        writer.node(&self.root, "", place)?;
        let at = writer.out.len();
        writer.word(END);
        place(Piece::Finish, "", at..writer.out.len());
        let strings = writer.out.len();
        let strings_bytes = writer.strings.len();
        let mut out = writer.out;
        out.extend_from_slice(&writer.strings);
        let total = out.len();
        let header = [
            MAGIC as usize,
            total,
            structure,
            strings,
            HEADER_BYTES,
            VERSION as usize,
            LAST_COMPATIBLE as usize,
            0,
            strings_bytes,
            strings - structure,
        ];
        for (index, value) in header.into_iter().enumerate() {
            let value = u32::try_from(value).map_err(|_| bad("it is larger than 4 GiB"))?;
            out[index * 4..index * 4 + 4].copy_from_slice(&value.to_be_bytes());
        }
        Ok(out)
    }
}

/// What [`Tree::write_tracking`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Begin,
    Property,
    End,
    Finish,
}

/// Receives each piece with the path of its node or property and its range in the blob.
pub(crate) type Placed<'p> = dyn FnMut(Piece, &str, std::ops::Range<usize>) + 'p;

struct Writer {
    out: Vec<u8>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
}

impl Writer {
    fn word(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn align(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, node: &Node<'_>, path: &str, place: &mut Placed<'_>) -> Result<(), FitError> {
        if node.name.contains('\0') {
            return Err(bad("a node's name holds a NUL"));
        }
        let own = if node.name.is_empty() {
            "/".to_owned()
        } else {
            format!("{}/{}", path.trim_end_matches('/'), node.name)
        };
        let at = self.out.len();
        self.word(BEGIN_NODE);
        self.out.extend_from_slice(node.name.as_bytes());
        self.out.push(0);
        self.align();
        place(Piece::Begin, &own, at..self.out.len());
        for (name, value) in &node.properties {
            let at = self.out.len();
            let offset = self.string(name)?;
            let length =
                u32::try_from(value.len()).map_err(|_| bad(format!("`{name}` is larger than 4 GiB")))?;
            self.word(PROP);
            self.word(length);
            self.word(offset);
            self.out.extend_from_slice(value);
            self.align();
            place(Piece::Property, &format!("{}/{name}", own.trim_end_matches('/')), at..self.out.len());
        }
        for child in &node.children {
            self.node(child, &own, place)?;
        }
        let at = self.out.len();
        self.word(END_NODE);
        place(Piece::End, &own, at..self.out.len());
        Ok(())
    }

    /// Offset of a name in the strings block: where it stands already, else at the end.
    fn string(&mut self, name: &str) -> Result<u32, FitError> {
        if name.contains('\0') || name.is_empty() {
            return Err(bad("a property's name is empty or holds a NUL"));
        }
        if let Some(offset) = self.known.get(name) {
            return Ok(*offset);
        }
        let wanted: Vec<u8> = name.bytes().chain([0]).collect();
        // Only whole strings: a suffix of another one would save bytes and surprise readers.
        let found = self
            .strings
            .windows(wanted.len())
            .enumerate()
            .find(|(at, window)| *window == wanted && (*at == 0 || self.strings[at - 1] == 0))
            .map(|(at, _)| at);
        let at = found.unwrap_or_else(|| {
            let at = self.strings.len();
            self.strings.extend_from_slice(&wanted);
            at
        });
        let offset = u32::try_from(at).map_err(|_| bad("its strings are larger than 4 GiB"))?;
        self.known.insert(name.to_owned(), offset);
        Ok(offset)
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
        let structure = word(&blob, 8).unwrap() as usize;
        let strings = word(&blob, 12).unwrap() as usize;
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
}
