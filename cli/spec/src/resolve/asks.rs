//! What is asked, by whom: equal asks add an origin, different ones are an error that names both.

use std::collections::BTreeMap;

use diag::Diagnostic;

use crate::decode::Spanned;
use crate::plan::{Asked, Origin};
use crate::source::At;
use crate::types::Reason;

/// Who asks, where and why.
#[derive(Clone, Debug)]
pub struct Asker {
    /// `product`, `board NAME` or `layer NAME`.
    pub who: String,
    /// Where.
    pub at: At,
    /// Why.
    pub reason: String,
}

impl Asker {
    /// Somebody who asks at a place.
    pub fn new(who: &str, at: &At, reason: &Spanned<Reason>) -> Self {
        Self::saying(who, at, &reason.0)
    }

    /// The same, with a reason that is not written in the file as one.
    pub fn saying(who: &str, at: &At, reason: &str) -> Self {
        Self { who: who.to_owned(), at: at.clone(), reason: reason.to_owned() }
    }

    /// The plan's record of it.
    pub fn origin(&self) -> Origin {
        Origin {
            who: self.who.clone(),
            file: self.at.source.name().to_owned(),
            line: self.at.span.line,
            reason: self.reason.clone(),
        }
    }
}

/// One thing that was asked for.
#[derive(Debug)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Everybody who asked.
    pub askers: Vec<Asker>,
}

impl<T> Entry<T> {
    /// The value as the plan has it.
    pub fn asked(self) -> Asked<T> {
        Asked { value: self.value, origins: self.askers.iter().map(Asker::origin).collect() }
    }
}

/// Everything of one sort that was asked for, by key.
#[derive(Debug)]
pub struct Asks<T> {
    what: &'static str,
    show: fn(&T) -> String,
    /// By key.
    pub map: BTreeMap<String, Entry<T>>,
}

impl<T: PartialEq> Asks<T> {
    /// Nothing asked yet. `what` names the sort and `show` a value, for diagnostics.
    pub fn new(what: &'static str, show: fn(&T) -> String) -> Self {
        Self { what, show, map: BTreeMap::new() }
    }

    /// Asks for a value, or reports who asked for another one before.
    pub fn ask(&mut self, key: &str, value: T, asker: Asker, trouble: &mut Vec<Diagnostic>) {
        let Some(entry) = self.map.get_mut(key) else {
            self.map.insert(key.to_owned(), Entry { value, askers: vec![asker] });
            return;
        };
        if entry.value == value {
            entry.askers.push(asker);
            return;
        }
        let first = &entry.askers[0];
        let (old, new) = ((self.show)(&entry.value), (self.show)(&value));
        let message = format!(
            "{} and {} disagree about the {} `{key}`: {old} and {new}",
            first.who, asker.who, self.what
        );
        trouble.push(
            Diagnostic::error("conflict", message)
                .at(asker.at.location())
                .note(format!("{} asks for {old}: {}", first.who, first.reason), Some(first.at.location()))
                .note(format!("{} asks for {new}: {}", asker.who, asker.reason), None)
                .hint("change one of the two, or leave one of the layers out"),
        );
    }

    /// The plan's map.
    pub fn into_plan(self) -> BTreeMap<String, Asked<T>> {
        self.map.into_iter().map(|(key, entry)| (key, entry.asked())).collect()
    }
}
