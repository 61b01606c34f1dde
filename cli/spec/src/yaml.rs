//! YAML text as a tree whose every node knows its place.
//!
//! Only the part of YAML that a definition needs: one document of mappings, lists and
//! scalars. Anchors, aliases, tags, tabs in indentation and duplicate keys are refused, and
//! size and depth are bounded, because a product's files may come from anybody. Scalars stay
//! text; what `y`, `0755` or `1.0` means is decided by the type that reads them.

use std::collections::HashMap;
use std::sync::Arc;

use diag::Diagnostic;
use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};

use crate::source::{Source, Span};

/// Largest definition file in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of mappings and lists.
pub const MAX_DEPTH: usize = 64;

/// A node with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it starts.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text; `plain` when it was written without quotes or block style.
    Scalar {
        /// The text.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A mapping, in the file's order, without duplicate keys.
    Map(Vec<Entry>),
    /// A list.
    List(Vec<Node>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether nothing was written: `key:`, `key: ~` or `key: null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What a person would say they see here.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => {
                let short: String =
                    text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
                let dots = if text.chars().nth(60).is_some() { "…" } else { "" };
                format!("`{short}{dots}`")
            }
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::List(_) => "a list".to_owned(),
        }
    }
}

enum Frame {
    Map { span: Span, entries: Vec<Entry>, seen: HashMap<String, Span>, pending: Option<(String, Span)> },
    List { span: Span, items: Vec<Node> },
}

/// Reads one document. Problems go to `diagnostics`; no tree means that it could not be read at
/// all, a tree with diagnostics means that what can be said about the rest still can be said.
#[must_use]
pub fn parse(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    if let Err(problem) = reject_unreadable_text(source) {
        diagnostics.push(*problem);
        return None;
    }
    let mut reader = Reader { source, diagnostics, stack: Vec::new(), root: None, documents: 0 };
    match reader.run() {
        Ok(()) => {
            let root = reader.root;
            if root.is_none() {
                let span = Span { line: 1, column: 1, length: 1 };
                diagnostics.push(
                    Diagnostic::error("empty-file", "the file holds nothing").at(source.location(span)),
                );
            }
            root
        }
        Err(problem) => {
            diagnostics.push(*problem);
            None
        }
    }
}

fn reject_unreadable_text(source: &Source) -> Result<(), Box<Diagnostic>> {
    let text = source.text();
    if text.len() > MAX_BYTES {
        let message = format!("expected a file of at most {MAX_BYTES} bytes, found {}", text.len());
        return Err(Box::new(Diagnostic::error("file-too-large", message)));
    }
    for (number, line) in (1u32..).zip(text.split('\n')) {
        let mut indent = true;
        for (column, character) in (1u32..).zip(line.chars()) {
            let at = || source.location(Span { line: number, column, length: 1 });
            if character == '\t' && indent {
                return Err(Box::new(
                    Diagnostic::error("tab", "expected spaces, found a tab in the indentation")
                        .at(at())
                        .hint("YAML indents with spaces only"),
                ));
            }
            let line_end = character == '\r' && line.len() == line.trim_end_matches('\r').len() + 1;
            if character.is_control()
                && character != '\t'
                && !(line_end && column as usize == line.chars().count())
            {
                let message =
                    format!("expected text, found the control character U+{:04X}", character as u32);
                return Err(Box::new(Diagnostic::error("control-character", message).at(at())));
            }
            indent &= matches!(character, ' ' | '-');
        }
    }
    Ok(())
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    diagnostics: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
}

type Step = Result<(), Box<Diagnostic>>;

impl Reader<'_> {
    fn run(&mut self) -> Step {
        let source = Arc::clone(self.source);
        let mut parser = Parser::new_from_str(source.text());
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let marker = error.marker();
                let span = span_of(marker.line(), marker.col(), 1);
                let message = format!("expected YAML, found a mistake in its form: {}", error.info());
                let hint = if source.line(span.line).contains("{{") {
                    "a value that holds `{{…}}` must be in quotes"
                } else {
                    "look at the indentation and the quotes here and on the line before"
                };
                Box::new(Diagnostic::error("yaml-syntax", message).at(source.location(span)).hint(hint))
            })?;
            self.event(event, convert(span))?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.refuse(
                        "several-documents",
                        span,
                        "expected one document, found a second one",
                    );
                }
            }
            Event::Alias(_) => {
                return self.refuse(
                    "yaml-alias",
                    span,
                    "expected a value, found an alias; aliases are not accepted",
                );
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_yaml_only(anchor, tag.is_some(), span)?;
                let plain = style == ScalarStyle::Plain;
                return self.scalar(text.into_owned(), plain, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_yaml_only(anchor, tag.is_some(), span)?;
                self.value_expected(span)?;
                return self.open(Frame::List { span, items: Vec::new() }, span);
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_yaml_only(anchor, tag.is_some(), span)?;
                self.value_expected(span)?;
                let frame = Frame::Map { span, entries: Vec::new(), seen: HashMap::new(), pending: None };
                return self.open(frame, span);
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Map { span, entries, .. }) => self.value(Node { span, kind: Kind::Map(entries) }),
                Some(Frame::List { span, items }) => self.value(Node { span, kind: Kind::List(items) }),
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn refuse(&self, code: &str, span: Span, message: &str) -> Step {
        Err(Box::new(Diagnostic::error(code, message).at(self.source.location(span))))
    }

    fn plain_yaml_only(&self, anchor: usize, tagged: bool, span: Span) -> Step {
        if anchor != 0 {
            return self.refuse(
                "yaml-alias",
                span,
                "expected a value, found an anchor; anchors are not accepted",
            );
        }
        if tagged {
            return self.refuse("yaml-tag", span, "expected a value, found a tag; tags are not accepted");
        }
        Ok(())
    }

    fn value_expected(&self, span: Span) -> Step {
        if matches!(self.stack.last(), Some(Frame::Map { pending: None, .. })) {
            return self.refuse("yaml-key", span, "expected text as a key, found a mapping or a list");
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, span: Span) -> Step {
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("expected at most {MAX_DEPTH} levels of nesting, found more");
            return self.refuse("too-deep", span, &message);
        }
        self.stack.push(frame);
        Ok(())
    }

    fn scalar(&mut self, text: String, plain: bool, span: Span) -> Step {
        if let Some(Frame::Map { seen, pending: pending @ None, .. }) = self.stack.last_mut() {
            if let Some(first) = seen.get(&text) {
                let note = self.source.location(*first);
                self.diagnostics.push(
                    Diagnostic::error("duplicate-key", format!("the key `{text}` is there twice"))
                        .at(self.source.location(span))
                        .note("the first one is here", Some(note))
                        .hint("keep one of the two"),
                );
            } else {
                seen.insert(text.clone(), span);
            }
            *pending = Some((text, span));
            return Ok(());
        }
        self.value(Node { span, kind: Kind::Scalar { text, plain } });
        Ok(())
    }

    fn value(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, seen, pending, .. }) => {
                // A second value of a key was reported; the first stays.
                if let Some((key, key_span)) = pending.take()
                    && seen.get(&key) == Some(&key_span)
                {
                    entries.push(Entry { key, key_span, value: node });
                }
            }
        }
    }
}

fn convert(span: ParserSpan) -> Span {
    let length = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        usize::MAX
    };
    span_of(span.start.line(), span.start.col(), length)
}

fn span_of(line: usize, column: usize, length: usize) -> Span {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { line: small(line.max(1)), column: small(column).saturating_add(1), length: small(length).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let node = parse(&Source::new("p.yaml", "p.yaml", text.to_owned()), &mut diagnostics);
        (node, diagnostics)
    }

    fn refused(text: &str) -> Diagnostic {
        let (_, mut diagnostics) = read(text);
        assert!(!diagnostics.is_empty(), "accepted: {text}");
        diagnostics.remove(0)
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let (node, diagnostics) = read("a: 1\nbees:\n  - {x: \"y\"}\n");
        assert!(diagnostics.is_empty());
        let Some(Node { kind: Kind::Map(entries), .. }) = node else { panic!("no mapping") };
        assert_eq!(entries[1].key_span, Span { line: 2, column: 1, length: 4 });
        let Kind::List(items) = &entries[1].value.kind else { panic!("no list") };
        let Kind::Map(inner) = &items[0].kind else { panic!("no mapping") };
        assert_eq!(inner[0].value.span, Span { line: 3, column: 9, length: 3 });
        assert!(matches!(&inner[0].value.kind, Kind::Scalar { text, plain: false } if text == "y"));
    }

    #[test]
    fn a_duplicate_key_names_both_places_and_the_rest_is_still_read() {
        let (node, diagnostics) = read("a: 1\nb: 2\na: 3\n");
        assert_eq!(diagnostics[0].message, "the key `a` is there twice");
        assert_eq!(diagnostics[0].location.as_ref().map(|l| l.line), Some(3));
        assert_eq!(diagnostics[0].notes[0].location.as_ref().map(|l| l.line), Some(1));
        assert!(matches!(node.map(|n| n.kind), Some(Kind::Map(entries)) if entries.len() == 2));
    }

    #[test]
    fn what_a_definition_does_not_need_is_refused() {
        for (text, code) in [
            ("a: &x 1\nb: *x\n", "yaml-alias"),
            ("a: !!str 1\n", "yaml-tag"),
            ("a:\n\tb: 1\n", "tab"),
            ("a: 1\n---\nb: 2\n", "several-documents"),
            ("a: \u{1}\n", "control-character"),
            ("a: [1\n", "yaml-syntax"),
            ("a: b: c\n", "yaml-syntax"),
            ("? [a]\n: b\n", "yaml-key"),
            ("# nothing\n", "empty-file"),
        ] {
            assert_eq!(refused(text).code, code, "{text:?}");
        }
        assert_eq!(refused(&" ".repeat(MAX_BYTES + 1)).code, "file-too-large");
    }

    #[test]
    fn depth_is_bounded_however_it_is_written() {
        assert!(read(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).1.is_empty());
        assert_eq!(refused(&format!("{}1{}", "[".repeat(65), "]".repeat(65))).code, "too-deep");
        assert_ne!(refused(&"[".repeat(MAX_BYTES)).message, "");
        assert_ne!(refused(&"{a: ".repeat(MAX_BYTES / 4)).message, "");
        assert_ne!(refused(&"- ".repeat(MAX_BYTES / 2)).message, "");
        let block: String = (0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert_eq!(refused(&block).code, "too-deep");
    }

    #[test]
    fn no_mutilated_text_makes_it_panic() {
        let text = "a: {b: [1, 'x', \"y\\n\"], c: |\n  text\n  }\nd: >-\n  fold\n? e\n: - f\n  - *g\n";
        for start in 0..text.len() {
            for end in start..=text.len() {
                let _ = read(&text[start..end]);
            }
        }
        for (index, _) in text.char_indices() {
            for insert in
                ["\n", ":", "- ", "{", "]", "\"", "'", "|", "%", "&", "*", "!", "#", "\u{feff}", "é"]
            {
                let _ = read(&format!("{}{insert}{}", &text[..index], &text[index..]));
            }
        }
    }
}
