//! Writes flattened device trees, always the same bytes for the same tree.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use super::{BEGIN_NODE, END, END_NODE, HEADER_BYTES, LAST_COMPATIBLE, MAGIC, PROP, VERSION};
use super::{Node, Tree, bad};
use crate::FitError;

impl Tree<'_> {
    /// Writes the tree: header, reserved memory, structure, strings. Always the same bytes.
    ///
    /// # Errors
    /// When a name holds a NUL, or the tree is larger than 2 GiB.
    pub fn write(&self) -> Result<Vec<u8>, FitError> {
        Ok(self.pieces()?.into_bytes())
    }

    /// As [`Tree::write`], without a copy of the images' data: for [`Pieces::write_to`].
    ///
    /// # Errors
    /// As [`Tree::write`].
    pub fn pieces(&self) -> Result<Pieces<'_>, FitError> {
        self.write_tracking(&mut |_, _, _| {})
    }

    /// As [`Tree::write`]; `place` is told each node's and property's path and its range in the
    /// skeleton (the large values are not in it).
    pub(crate) fn write_tracking(&self, place: &mut Placed<'_>) -> Result<Pieces<'_>, FitError> {
        let mut writer = Writer {
            pieces: Pieces::of(vec![0; HEADER_BYTES]),
            strings: self.strings.clone(),
            known: HashMap::new(),
        };
        // A block that was cut in a name would make one name of its end and of the next.
        if writer.strings.last().is_some_and(|last| *last != 0) {
            writer.strings.push(0);
        }
        for (address, size) in self.reserved.iter().chain(&[(0, 0)]) {
            writer.pieces.skeleton.extend_from_slice(&address.to_be_bytes());
            writer.pieces.skeleton.extend_from_slice(&size.to_be_bytes());
        }
        let structure = writer.pieces.len();
        writer.node(&self.root, "", place)?;
        let at = writer.at();
        writer.word(END);
        place(Piece::Finish, "", at..writer.at());
        let Writer { mut pieces, strings: names, .. } = writer;
        let strings = pieces.len();
        pieces.strings_at = pieces.skeleton.len();
        pieces.skeleton.extend_from_slice(&names);
        // libfdt counts in `int`, and refuses a larger one (`fdt_check_header`): no U-Boot would read it.
        if i32::try_from(pieces.len()).is_err() {
            return Err(bad(
                "it is larger than 2 GiB, which U-Boot does not read: the images' data can lie outside of it",
            ));
        }
        let header = [
            MAGIC as usize,
            pieces.len(),
            structure,
            strings,
            HEADER_BYTES,
            VERSION as usize,
            LAST_COMPATIBLE as usize,
            0,
            names.len(),
            strings - structure,
        ];
        for (index, value) in header.into_iter().enumerate() {
            let value = u32::try_from(value).map_err(|_| bad("it is larger than 2 GiB"))?;
            pieces.skeleton[index * 4..index * 4 + 4].copy_from_slice(&value.to_be_bytes());
        }
        Ok(pieces)
    }
}

/// A written tree whose large image data still stands where it was: it is not copied until it is written.
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    /// Everything but the large data.
    pub(crate) skeleton: Vec<u8>,
    /// Where in the skeleton which data comes in, in order.
    gaps: Vec<(usize, Cow<'t, [u8]>)>,
    gap_bytes: usize,
    /// Where in the skeleton the strings block begins.
    pub(crate) strings_at: usize,
}

impl<'t> Pieces<'t> {
    /// A tree that is written already.
    pub(crate) fn of(skeleton: Vec<u8>) -> Self {
        Self { skeleton, gaps: Vec::new(), gap_bytes: 0, strings_at: 0 }
    }

    /// Adds data behind everything that is there, from this byte of the whole on.
    pub(crate) fn append_at(&mut self, at: usize, data: Cow<'t, [u8]>) {
        self.skeleton.resize(at.saturating_sub(self.gap_bytes), 0);
        self.gap_bytes += data.len();
        self.gaps.push((self.skeleton.len(), data));
    }

    /// Size of the whole in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.skeleton.len() + self.gap_bytes
    }

    /// Never: a tree has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What the whole consists of, one behind the other: its place in bytes, the bytes, and whether they are large data that
    /// stand elsewhere.
    pub fn segments(&self) -> impl Iterator<Item = (usize, &[u8], bool)> {
        let starts = std::iter::once(0).chain(self.gaps.iter().map(|(at, _)| *at));
        let ends = self.gaps.iter().map(|(at, _)| *at).chain(std::iter::once(self.skeleton.len()));
        let own = starts.zip(ends).map(|(from, to)| (&self.skeleton[from..to], false));
        let large = self.gaps.iter().map(|(_, data)| (&**data, true)).map(Some).chain(std::iter::once(None));
        own.zip(large).flat_map(|(own, large)| std::iter::once(own).chain(large)).scan(
            0,
            |at, (bytes, large)| {
                let from = *at;
                *at += bytes.len();
                Some((from, bytes, large))
            },
        )
    }

    /// Writes the whole.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.segments().try_for_each(|(_, bytes, _)| out.write_all(bytes))
    }

    /// The whole as bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        if self.gaps.is_empty() {
            return self.skeleton;
        }
        let mut out = Vec::with_capacity(self.len());
        self.segments().for_each(|(_, bytes, _)| out.extend_from_slice(bytes));
        out
    }
}

/// Image data from this size on stays where it is, in bytes.
const LARGE: usize = 1 << 16;

/// What [`Tree::write_tracking`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Begin,
    Property,
    End,
    Finish,
}

/// Receives each piece with the path of its node or property and its range in the skeleton.
pub(crate) type Placed<'p> = dyn FnMut(Piece, &str, std::ops::Range<usize>) + 'p;

struct Writer<'t> {
    pieces: Pieces<'t>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
}

impl<'t> Writer<'t> {
    /// Where the skeleton ends.
    fn at(&self) -> usize {
        self.pieces.skeleton.len()
    }

    fn word(&mut self, value: u32) {
        self.pieces.skeleton.extend_from_slice(&value.to_be_bytes());
    }

    fn align(&mut self) {
        let missing = self.pieces.len().next_multiple_of(4) - self.pieces.len();
        self.pieces.skeleton.resize(self.at() + missing, 0);
    }

    fn node(&mut self, node: &'t Node<'_>, path: &str, place: &mut Placed<'_>) -> Result<(), FitError> {
        if node.name.contains('\0') {
            return Err(bad("a node's name holds a NUL"));
        }
        let own = if node.name.is_empty() {
            "/".to_owned()
        } else {
            format!("{}/{}", path.trim_end_matches('/'), node.name)
        };
        let at = self.at();
        self.word(BEGIN_NODE);
        self.pieces.skeleton.extend_from_slice(node.name.as_bytes());
        self.pieces.skeleton.push(0);
        self.align();
        place(Piece::Begin, &own, at..self.at());
        for (name, value) in &node.properties {
            let at = self.at();
            let offset = self.string(name)?;
            let length =
                u32::try_from(value.len()).map_err(|_| bad(format!("`{name}` is larger than 4 GiB")))?;
            self.word(PROP);
            self.word(length);
            self.word(offset);
            // No signature covers `data`: it need not be where the ranges are.
            if name == "data" && value.len() >= LARGE {
                self.pieces.gaps.push((self.at(), Cow::Borrowed(value)));
                self.pieces.gap_bytes += value.len();
            } else {
                self.pieces.skeleton.extend_from_slice(value);
            }
            self.align();
            place(Piece::Property, &format!("{}/{name}", own.trim_end_matches('/')), at..self.at());
        }
        for child in &node.children {
            self.node(child, &own, place)?;
        }
        let at = self.at();
        self.word(END_NODE);
        place(Piece::End, &own, at..self.at());
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
        let found = find_string(&self.strings, name);
        let at = found.unwrap_or_else(|| {
            let at = self.strings.len();
            self.strings.extend(name.bytes().chain([0]));
            at
        });
        let offset = u32::try_from(at).map_err(|_| bad("its strings are larger than 4 GiB"))?;
        self.known.insert(name.to_owned(), offset);
        Ok(offset)
    }
}

/// Where a name stands in a strings block, also as the end of another one: `dtc` and libfdt share it, and a signature covers
/// the place that they take.
pub(super) fn find_string(strings: &[u8], name: &str) -> Option<usize> {
    let wanted: Vec<u8> = name.bytes().chain([0]).collect();
    strings.windows(wanted.len()).position(|window| window == wanted)
}
