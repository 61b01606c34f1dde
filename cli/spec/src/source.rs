//! Texts with a name, and places in them.
//!
//! A [`Source`] is one file's text; an [`At`] is a place in it that lives as long as it is
//! needed, so that a value can say where it came from long after its file was read.

use std::sync::Arc;

use diag::Location;

/// Characters of a line that a diagnostic shows at most; input is hostile, lines may be huge.
const EXCERPT_CHARACTERS: usize = 240;

/// One file's text.
#[derive(Debug)]
pub struct Source {
    name: String,
    shown: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// A text with its two names: `name` goes into the plan and must not depend on where the
    /// product lies on this machine; `shown` is what diagnostics print, as the user typed it.
    #[must_use]
    pub fn new(name: &str, shown: &str, text: String) -> Arc<Self> {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        Arc::new(Self { name: name.to_owned(), shown: shown.to_owned(), text, line_starts })
    }

    /// The name for the plan, such as `layers/ssh/layer.yaml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a line (from 1) without its end; empty when there is no such line.
    #[must_use]
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let Some(&start) = self.line_starts.get(index) else { return "" };
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The place as diagnostics carry it, with the line's text.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        let excerpt: String = self.line(span.line).chars().take(EXCERPT_CHARACTERS).collect();
        let visible = u32::try_from(excerpt.chars().count()).unwrap_or(u32::MAX);
        // A place beyond what is shown keeps its numbers and loses its picture.
        let excerpt = if span.column > visible.saturating_add(1) { String::new() } else { excerpt };
        let room = visible.saturating_sub(span.column.saturating_sub(1)).max(1);
        Location {
            file: self.shown.clone(),
            line: span.line,
            column: span.column,
            length: span.length.clamp(1, room),
            excerpt,
        }
    }
}

/// A place in some source: line and column from 1, length in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters, at least 1.
    pub length: u32,
}

/// A place together with its source.
#[derive(Clone, Debug)]
pub struct At {
    /// The text it is in.
    pub source: Arc<Source>,
    /// Where in it.
    pub span: Span,
}

impl At {
    /// The place as diagnostics carry it.
    #[must_use]
    pub fn location(&self) -> Location {
        self.source.location(self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_line_is_not_copied_into_a_diagnostic() {
        let source = Source::new("p", "p", "x".repeat(500_000));
        let far = source.location(Span { line: 1, column: 400_000, length: 9 });
        assert_eq!((far.excerpt.as_str(), far.column), ("", 400_000));
        let near = source.location(Span { line: 1, column: 3, length: 4_000 });
        assert_eq!((near.excerpt.len(), near.length), (240, 238));
    }

    #[test]
    fn a_line_is_found_with_either_line_end() {
        let source = Source::new("p", "p", "a\r\nbc\n".into());
        assert_eq!((source.line(1), source.line(2), source.line(3), source.line(9)), ("a", "bc", "", ""));
    }
}
