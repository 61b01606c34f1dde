//! Writes flattened device trees, always the same bytes for the same tree.

use std::collections::HashMap;

use super::{BEGIN_NODE, END, END_NODE, HEADER_BYTES, LAST_COMPATIBLE, MAGIC, PROP, VERSION};
use super::{Node, Tree, bad};
use crate::FitError;

impl Tree<'_> {
    /// Writes the tree: header, reserved memory, structure, strings. Always the same bytes.
    ///
    /// # Errors
    /// When a name holds a NUL, or the tree is larger than 4 GiB.
    pub fn write(&self) -> Result<Vec<u8>, FitError> {
        self.write_tracking(&mut |_, _, _| {})
    }

    /// As [`Tree::write`]; `place` is told each node's and property's path and byte range.
    pub(crate) fn write_tracking(&self, place: &mut Placed<'_>) -> Result<Vec<u8>, FitError> {
        let mut writer = Writer {
            out: Vec::with_capacity(room(&self.root) + 4096),
            strings: self.strings.clone(),
            known: HashMap::new(),
        };
        writer.out.resize(HEADER_BYTES, 0);
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

/// About what a node takes in bytes: one allocation instead of many for large images.
fn room(node: &Node<'_>) -> usize {
    let own: usize = node.properties.iter().map(|(_, value)| value.len() + 16).sum();
    own + node.name.len() + 16 + node.children.iter().map(room).sum::<usize>()
}
