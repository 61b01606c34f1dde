//! Reads flattened device trees: header, tokens with their places, whole trees.
//!
//! Every length comes from the blob and is hostile. The reader never panics, does not recurse,
//! and stops at the limits of the parent module. It is stricter than libfdt: blocks stand in the order of the
//! specification, names are printable and hold no `/` (a name with one could pass for a path).

use std::borrow::Cow;

use super::{BEGIN_NODE, END, END_NODE, HEADER_BYTES, MAGIC, NOP, PROP, VERSION};
use super::{MAX_DEPTH, MAX_NAME, MAX_RESERVED, MAX_TOKENS, Node, Tree, bad};
use crate::FitError;

/// One token of the structure block, for whoever hashes ranges of it.
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

/// A tree's blocks, checked to lie within the blob, in order and without overlap.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    blob: &'a [u8],
    structure: (usize, usize),
    strings: (usize, usize),
    reserved: usize,
}

fn word(bytes: &[u8], at: usize) -> Result<u32, FitError> {
    let part = at.checked_add(4).and_then(|end| bytes.get(at..end)).ok_or_else(|| bad("it is truncated"))?;
    part.try_into().map(u32::from_be_bytes).map_err(|_| bad("it is truncated"))
}

fn two_words(bytes: &[u8], at: usize) -> Result<u64, FitError> {
    Ok(u64::from(word(bytes, at)?) << 32 | u64::from(word(bytes, at + 4)?))
}

/// A name's text up to its NUL: printable ASCII, no `/`, not longer than the limit.
fn name<'a>(rest: &'a [u8], what: &str) -> Result<&'a str, FitError> {
    let length = rest
        .iter()
        .take(MAX_NAME + 1)
        .position(|byte| *byte == 0)
        .ok_or_else(|| bad(format!("{what}'s name does not end within {MAX_NAME} bytes")))?;
    let text = std::str::from_utf8(&rest[..length]).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')).ok_or_else(|| {
        bad(format!(
            "{what}'s name `{}` holds what no name may: expected printable ASCII without `/`",
            rest[..length].escape_ascii()
        ))
    })
}

impl<'a> Blocks<'a> {
    /// Reads the header. `blob` may be longer than the tree.
    ///
    /// # Errors
    /// When a block lies outside of the tree, out of order or over another one.
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
        if structure.0 % 4 != 0 || reserved % 8 != 0 {
            return Err(bad("a block is not aligned"));
        }
        if reserved < HEADER_BYTES || reserved > structure.0 {
            return Err(bad("its reserved memory lies outside of the place between header and structure"));
        }
        let blocks = Self { blob, structure, strings, reserved };
        let reserved_end = reserved + (blocks.reserved()?.len() + 1) * 16;
        if reserved_end > structure.0 || structure.1 > strings.0 {
            return Err(bad(
                "its blocks overlap or are out of order: expected header, reserved memory, structure, strings",
            ));
        }
        Ok(blocks)
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

    /// Where its parts are: header, reserved memory, structure and strings, in bytes from the tree's start.
    pub(crate) fn used(&self) -> [(usize, usize); 4] {
        let reserved = self.reserved().map_or(0, |ranges| (ranges.len() + 1) * 16);
        [(0, HEADER_BYTES), (self.reserved, self.reserved + reserved), self.structure, self.strings]
    }

    /// Where the structure block begins, in bytes from the tree's start.
    #[must_use]
    pub fn structure_start(&self) -> usize {
        self.structure.0
    }

    /// The reserved ranges of memory: address and size in bytes.
    ///
    /// # Errors
    /// When the list does not end within the tree, or is longer than [`MAX_RESERVED`].
    pub fn reserved(&self) -> Result<Vec<(u64, u64)>, FitError> {
        let mut out = Vec::new();
        for index in 0..=MAX_RESERVED {
            let at = self.reserved + index * 16;
            let pair = (two_words(self.blob, at)?, two_words(self.blob, at + 8)?);
            if pair == (0, 0) {
                return Ok(out);
            }
            out.push(pair);
        }
        Err(bad(format!("it reserves more than {MAX_RESERVED} ranges of memory")))
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
                        return Err(bad(format!("a node at depth {depth} has the name `{name}`")));
                    }
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(bad(format!("it is nested deeper than {MAX_DEPTH} nodes")));
                    }
                }
                Token::End => {
                    depth = depth.checked_sub(1).ok_or_else(|| bad("a node ends that never began"))?;
                }
                Token::Property(name, _) if depth == 0 => {
                    return Err(bad(format!("the property `{name}` is outside of the root")));
                }
                Token::Finish if depth != 0 || roots == 0 => return Err(bad("it ends inside a node")),
                _ => {}
            }
            visit(token, &block[at..next])?;
            if token == Token::Finish {
                return match next == block.len() {
                    true => Ok(()),
                    false => Err(bad("there are bytes behind its end token")),
                };
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
                let name = name(block.get(start..).ok_or_else(truncated)?, "a node")?;
                Ok((Token::Begin(name), padded(start + name.len() + 1).ok_or_else(truncated)?))
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
        name(rest, "a property").and_then(|name| match name {
            "" => Err(bad("a property's name is empty")),
            name => Ok(name),
        })
    }
}

impl<'a> Tree<'a> {
    /// Reads a tree. Values are borrowed; names that are there twice are kept, see
    /// [`Tree::parse_unique`].
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
        Ok(Self { root, reserved: blocks.reserved()?, strings: blocks.strings().to_vec() })
    }

    /// As [`Tree::parse`], and refuses nodes and properties whose name is there twice.
    ///
    /// # Errors
    /// When it is not well formed, or a name is there twice.
    pub fn parse_unique(blob: &'a [u8]) -> Result<Self, FitError> {
        let tree = Self::parse(blob)?;
        match tree.root.doubled_names().into_iter().next() {
            Some((path, name)) => Err(bad(format!("`{path}` has the name `{name}` twice"))),
            None => Ok(tree),
        }
    }
}
