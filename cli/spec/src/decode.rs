//! From trees to typed models: one declaration gives the type, its decoding and its schema.
//!
//! Decoding collects everything that is wrong with a file, each with its place, instead of
//! stopping at the first. [`model!`] declares a mapping with fixed keys, [`choice!`] a closed
//! list of words; scalars are in [`crate::types`]. It reads no files.

mod declare;

use std::ops::Deref;
use std::sync::Arc;

use diag::{Diagnostic, did_you_mean};
use serde_json::{Map as JsonMap, Value, json};

pub(crate) use declare::{choice, model};

use crate::source::{At, Source, Span};
use crate::yaml::{Entry, Kind, Node};

/// Problems of one file that are kept; the rest of a broken file is rarely news.
const MAX_DIAGNOSTICS: usize = 100;

/// A type that can be read from a node and that describes itself.
pub trait Decode: Sized {
    /// What is expected, as a diagnostic says it: `a port (1-65535)`.
    fn expected() -> String;
    /// JSON Schema (draft 2020-12) of what is accepted.
    fn schema() -> Value;
    /// Reads the node; no value means that a diagnostic was reported.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self>;
}

/// One file being read, and what was found wrong with it.
#[derive(Debug)]
pub struct Decoder {
    /// The file.
    pub source: Arc<Source>,
    /// What is wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl Decoder {
    /// A decoder for one file.
    #[must_use]
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, diagnostics: Vec::new() }
    }

    /// The place with its source.
    #[must_use]
    pub fn at(&self, span: Span) -> At {
        At { source: Arc::clone(&self.source), span }
    }

    /// Reports a problem at a place.
    pub fn report(&mut self, span: Span, diagnostic: Diagnostic) {
        match self.diagnostics.len() {
            MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::error(
                "too-many-errors",
                "more is wrong with this file; only the first problems are shown",
            )),
            count if count < MAX_DIAGNOSTICS => {
                let location = self.source.location(span);
                self.diagnostics.push(diagnostic.at(location));
            }
            _ => {}
        }
    }

    /// Reports that something else was expected here.
    pub fn wrong_type(&mut self, node: &Node, expected: &str) {
        let message = format!("expected {expected}, found {}", node.describe());
        self.report(node.span, Diagnostic::error("wrong-type", message));
    }

    /// The entries of a mapping, or a report.
    pub fn mapping<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Entry]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        self.wrong_type(node, expected);
        None
    }

    /// Reports every key that is not one of `known`, with the nearest of them.
    pub fn reject_unknown_keys(&mut self, entries: &[Entry], known: &[&str]) {
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let diagnostic = Diagnostic::error("unknown-key", format!("unknown key `{}`", entry.key));
            let hint = suggestion(&entry.key, known.iter().copied());
            self.report(entry.key_span, diagnostic.hint(hint));
        }
    }

    /// The value of a key: read, or its default, or a report that it is missing.
    pub fn field<T: Decode>(
        &mut self,
        entries: &[Entry],
        parent: Span,
        key: &str,
        default: Option<fn() -> T>,
    ) -> Option<T> {
        if let Some(entry) = entries.iter().find(|entry| entry.key == key) {
            return T::decode(&entry.value, self);
        }
        if let Some(default) = default {
            return Some(default());
        }
        let message = format!("expected the key `{key}` ({}), found no such key", T::expected());
        self.report(parent, Diagnostic::error("missing-key", message).hint(format!("add `{key}: …`")));
        None
    }
}

/// `did you mean`, or what there is.
#[must_use]
pub fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = did_you_mean(found, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    // The word was right and more of it is wanted: `modbus` for `modbus-tcp`.
    let longer: Vec<&str> =
        all.iter().copied().filter(|one| found.len() > 2 && one.starts_with(found)).collect();
    if (1..=4).contains(&longer.len()) {
        return format!("did you mean `{}`?", longer.join("` or `"));
    }
    match all.len() {
        0 => "there is none to choose from".to_owned(),
        1..=24 => format!("expected one of `{}`", all.join("`, `")),
        _ => format!("expected one of `{}` and {} more", all[..24].join("`, `"), all.len() - 24),
    }
}

/// A value with the place it was written at.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: At,
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn expected() -> String {
        T::expected()
    }
    fn schema() -> Value {
        T::schema()
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        T::decode(node, decoder).map(|value| Self { value, at: decoder.at(node.span) })
    }
}

impl<T: Decode> Decode for Option<T> {
    fn expected() -> String {
        format!("{} or nothing", T::expected())
    }
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if node.is_null() {
            return Some(None);
        }
        T::decode(node, decoder).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn expected() -> String {
        "a list".to_owned()
    }
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if node.is_null() {
            return Some(Self::new());
        }
        let Kind::List(items) = &node.kind else {
            decoder.wrong_type(node, &format!("a list, each {}", T::expected()));
            return None;
        };
        // Every item is read, so that every item's problems are reported.
        let read: Vec<Option<T>> = items.iter().map(|item| T::decode(item, decoder)).collect();
        read.into_iter().collect()
    }
}

/// A mapping with free keys, in the file's order, whose keys know their places.
#[derive(Clone, Debug)]
pub struct Map<K, V>(pub Vec<(Spanned<K>, V)>);

impl<K, V> Map<K, V> {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<K>, V)> {
        self.0.iter()
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Decode, V: Decode> Decode for Map<K, V> {
    fn expected() -> String {
        format!("a mapping whose keys are each {}", K::expected())
    }
    fn schema() -> Value {
        json!({"type": ["object", "null"], "propertyNames": K::schema(), "additionalProperties": V::schema()})
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if node.is_null() {
            return Some(Self::new());
        }
        let entries = decoder.mapping(node, &Self::expected())?;
        let mut read = Some(Vec::with_capacity(entries.len()));
        for entry in entries {
            let key =
                Node { span: entry.key_span, kind: Kind::Scalar { text: entry.key.clone(), plain: true } };
            let pair = (Spanned::<K>::decode(&key, decoder), V::decode(&entry.value, decoder));
            match (pair, &mut read) {
                ((Some(key), Some(value)), Some(read)) => read.push((key, value)),
                _ => read = None,
            }
        }
        read.map(Self)
    }
}

/// A node kept as it is, for parts whose type is known only later (a layer's parameters).
#[derive(Clone, Debug)]
pub struct Raw(pub Node);

impl Decode for Raw {
    fn expected() -> String {
        "a value".to_owned()
    }
    fn schema() -> Value {
        json!({})
    }
    fn decode(node: &Node, _: &mut Decoder) -> Option<Self> {
        Some(Self(node.clone()))
    }
}

impl Raw {
    /// The node as JSON. Only unquoted `true`, `false`, `null` and decimal integers without leading
    /// zeros are anything but text: `0755` and `1.0` stay what was written.
    #[must_use]
    pub fn to_json(&self) -> Value {
        to_json(&self.0)
    }
}

fn to_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { text, plain: false } => Value::String(text.clone()),
        Kind::Scalar { .. } if node.is_null() => Value::Null,
        Kind::Scalar { text, .. } => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match text.parse::<i64>() {
                Ok(number) if number.to_string() == *text => number.into(),
                _ => Value::String(text.clone()),
            },
        },
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|e| (e.key.clone(), to_json(&e.value))).collect())
        }
    }
}

/// The schema of a mapping with fixed keys.
#[must_use]
pub fn object_schema(about: &str, properties: JsonMap<String, Value>, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "description": about.trim(),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A schema with the key's own description in front of the type's.
#[must_use]
pub fn described(mut schema: Value, about: &str, expected: &str) -> Value {
    if let Value::Object(map) = &mut schema {
        map.insert("description".to_owned(), format!("{} Expected: {expected}.", about.trim()).into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Name, Port};

    model! {
        /// A thing for the tests.
        pub struct Thing {
            /// What it is called.
            name: Spanned<Name>,
            /// Where it listens.
            port: Port = Port(80),
            /// Its kind.
            r#type: Option<Colour> = None,
            /// More of them.
            others: Vec<Port> = Vec::new(),
        }
    }

    choice! {
        /// A colour.
        pub enum Colour {
            /// Like blood.
            Red = "red",
            /// Like grass.
            Green = "green",
        }
    }

    fn read(text: &str) -> (Option<Thing>, Vec<Diagnostic>) {
        let source = Source::new("thing.yaml", "thing.yaml", text.to_owned());
        let mut decoder = Decoder::new(Arc::clone(&source));
        let node = crate::yaml::parse(&source, &mut decoder.diagnostics);
        (node.and_then(|node| Thing::decode(&node, &mut decoder)), decoder.diagnostics)
    }

    #[test]
    fn a_whole_thing_is_read_with_its_defaults_and_places() {
        let (thing, diagnostics) = read("name: lamp\ntype: red\n");
        assert_eq!(diagnostics, []);
        let thing = thing.expect("a thing");
        assert_eq!((thing.port.0, thing.r#type, thing.others.len()), (80, Some(Colour::Red), 0));
        assert_eq!(Colour::Green.as_str(), "green");
        assert_eq!((thing.name.as_str(), thing.name.at.span.column), ("lamp", 7));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let (thing, diagnostics) = read("nmae: lamp\nport: http\ntype: gren\nothers: [1, x, 70000]\n");
        assert!(thing.is_none());
        let said: Vec<(&str, String, Option<u32>)> = diagnostics
            .iter()
            .map(|d| (d.code.as_str(), d.message.clone(), d.location.as_ref().map(|l| l.line)))
            .collect();
        assert_eq!(said[0], ("unknown-key", "unknown key `nmae`".into(), Some(1)));
        assert_eq!(diagnostics[0].hint.as_deref(), Some("did you mean `name`?"));
        assert_eq!(said[1].0, "missing-key");
        assert!(said[1].1.starts_with("expected the key `name` (a name "), "{}", said[1].1);
        assert_eq!(said[2], ("wrong-type", "expected a port (1-65535), found `http`".into(), Some(2)));
        assert_eq!(said[3].1, "expected one of `red`, `green`, found `gren`");
        assert_eq!(diagnostics[3].hint.as_deref(), Some("did you mean `green`?"));
        assert_eq!((said.len(), said[5].1.as_str()), (6, "expected a port (1-65535), found `70000`"));
    }

    #[test]
    fn the_schema_says_what_is_required_and_refuses_the_rest() {
        let schema = Thing::schema();
        assert_eq!(schema["required"], json!(["name"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["port"]["maximum"], 65535);
        let about = schema["properties"]["port"]["description"].as_str().expect("text");
        assert_eq!(about, "Where it listens. Expected: a port (1-65535).");
    }

    #[test]
    fn a_file_full_of_mistakes_stays_small() {
        let text: String = (0..5_000).map(|n| format!("wrong{n}: 1\n")).collect();
        let (_, diagnostics) = read(&text);
        assert_eq!(diagnostics.len(), MAX_DIAGNOSTICS + 1);
        assert_eq!(diagnostics[MAX_DIAGNOSTICS].code, "too-many-errors");
    }

    #[test]
    fn free_values_keep_what_was_written() {
        let source = Source::new("p", "p", "{a: 0755, b: 7, c: '7', d: true, e: 1.0, f: [~]}".into());
        let node = crate::yaml::parse(&source, &mut Vec::new()).expect("a tree");
        let expected = json!({"a": "0755", "b": 7, "c": "7", "d": true, "e": "1.0", "f": [null]});
        assert_eq!(Raw(node).to_json(), expected);
    }

    #[test]
    fn a_word_that_goes_on_is_suggested() {
        let known = ["modbus-tcp", "modbus-tcp-security", "opc-ua"];
        assert_eq!(suggestion("modbus", known), "did you mean `modbus-tcp` or `modbus-tcp-security`?");
        assert_eq!(suggestion("mo", known), "expected one of `modbus-tcp`, `modbus-tcp-security`, `opc-ua`");
    }
}
