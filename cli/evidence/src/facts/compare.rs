//! Two images' facts against each other: every difference is explained by data, or it is an error.

use std::collections::BTreeSet;

use diag::ExitStatus;
use serde::Serialize;
use spec::differences::FactArea;

use super::explain::{By, Explanations, Folder};
use super::{AreaFacts, Facts, Values, areas};

/// The name of what is said about a whole area.
pub const WHOLE_AREA: &str = "(area)";

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Version of this shape; now 1.
    pub schema_version: u32,
    /// Whether nothing differs at all.
    pub same: bool,
    /// Whether every difference is explained, and something was compared.
    pub holds: bool,
    /// The first image: name and kind.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// How many facts were compared, by area.
    pub compared: Vec<Count>,
    /// Differences without an explanation.
    pub unexplained: Vec<Difference>,
    /// Differences with one.
    pub explained: Vec<Explained>,
    /// Areas that neither kind of image has.
    pub not_compared: Vec<NotCompared>,
    /// Explanations that explained nothing here.
    pub unused: Vec<Unused>,
}

/// One of the two images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its file's or folder's name.
    pub name: String,
    /// What it is, in words.
    pub kind: String,
}

/// How much of an area was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The area.
    pub area: &'static str,
    /// Facts that at least one image has.
    pub facts: usize,
}

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The area.
    pub area: &'static str,
    /// The fact's name.
    pub fact: String,
    /// Its value in the first image; none: it does not have it.
    pub before: Option<String>,
    /// Its value in the second.
    pub after: Option<String>,
}

/// A difference that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
    /// Why it is accepted.
    pub reason: String,
    /// File and line of the explanation.
    pub by: String,
}

/// An area that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// The area.
    pub area: &'static str,
    /// Why.
    pub why: String,
}

/// An explanation that explained nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// What it is for.
    pub what: String,
    /// Its reason.
    pub reason: String,
    /// File and line.
    pub by: String,
}

impl Comparison {
    /// The exit status that it means.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        if self.holds { ExitStatus::Success } else { ExitStatus::Check }
    }
}

/// Areas whose facts are named by paths.
const NAMED_BY_PATH: [FactArea; 5] =
    [FactArea::Privileged, FactArea::Modes, FactArea::Owners, FactArea::Policy, FactArea::Elf];

/// Compares.
#[must_use]
pub fn compare(before: &Facts, after: &Facts, explanations: &Explanations) -> Comparison {
    let mut run = Run {
        explanations,
        used: BTreeSet::new(),
        used_folders: BTreeSet::new(),
        result: empty(before, after),
    };
    for area in areas() {
        run.area(area, before.areas.get(area.as_str()), after.areas.get(area.as_str()));
    }
    run.finish()
}

fn empty(before: &Facts, after: &Facts) -> Comparison {
    let side = |facts: &Facts| Side { name: facts.name.clone(), kind: facts.kind.clone() };
    Comparison {
        schema_version: 1,
        same: false,
        holds: false,
        before: side(before),
        after: side(after),
        compared: Vec::new(),
        unexplained: Vec::new(),
        explained: Vec::new(),
        not_compared: Vec::new(),
        unused: Vec::new(),
    }
}

struct Run<'a> {
    explanations: &'a Explanations,
    used: BTreeSet<usize>,
    used_folders: BTreeSet<usize>,
    result: Comparison,
}

impl Run<'_> {
    fn area(&mut self, area: FactArea, before: Option<&AreaFacts>, after: Option<&AreaFacts>) {
        match (before, after) {
            (Some(AreaFacts::Read { facts: before }), Some(AreaFacts::Read { facts: after })) => {
                self.facts(area, before, after);
            }
            (Some(AreaFacts::NotApplicable { why }), Some(AreaFacts::NotApplicable { .. })) => {
                self.result.not_compared.push(NotCompared { area: area.as_str(), why: why.clone() });
            }
            // What only one image shows, or neither could be read of, was not found to be the same.
            (before, after) => {
                self.difference(area, WHOLE_AREA.to_owned(), Some(state(before)), Some(state(after)));
            }
        }
    }

    fn facts(&mut self, area: FactArea, before: &Values, after: &Values) {
        let (before, after) = if NAMED_BY_PATH.contains(&area) && before != after {
            (self.renamed(before, after), self.renamed(after, before))
        } else {
            (before.clone(), after.clone())
        };
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        self.result.compared.push(Count { area: area.as_str(), facts: names.len() });
        for name in names {
            let (before, after) = (before.get(name), after.get(name));
            if before != after {
                self.difference(area, name.clone(), before.cloned(), after.cloned());
            }
        }
    }

    /// The values with the folders' second names, where the other image does not know the first and no
    /// other fact has that name already.
    fn renamed(&mut self, values: &Values, other: &Values) -> Values {
        let mut renamed = Values::new();
        for (path, value) in values {
            let mut name = path.clone();
            for (index, Folder { from, to, .. }) in self.explanations.folders.iter().enumerate() {
                let Some(rest) = path.strip_prefix(from.as_str()) else { continue };
                let new = format!("{to}{rest}");
                if !other.contains_key(path) && !values.contains_key(&new) && !renamed.contains_key(&new) {
                    if other.contains_key(&new) {
                        self.used_folders.insert(index);
                    }
                    name = new;
                    break;
                }
            }
            renamed.insert(name, value.clone());
        }
        renamed
    }

    fn difference(&mut self, area: FactArea, fact: String, before: Option<String>, after: Option<String>) {
        let facts = self.explanations.facts.iter().enumerate();
        let mut explaining =
            facts.filter(|(_, e)| e.explains(area, &fact, before.as_deref(), after.as_deref()));
        let found = explaining.next().map(|(index, explanation)| (index, explanation.by.clone()));
        let difference = Difference { area: area.as_str(), fact, before, after };
        match found {
            Some((index, By { at, reason })) => {
                self.used.insert(index);
                self.result.explained.push(Explained { difference, reason, by: at });
            }
            None => self.result.unexplained.push(difference),
        }
    }

    fn finish(self) -> Comparison {
        let mut result = self.result;
        let unused = |what: String, by: &By| Unused { what, reason: by.reason.clone(), by: by.at.clone() };
        for (index, folder) in self.explanations.folders.iter().enumerate() {
            if !self.used_folders.contains(&index) {
                result
                    .unused
                    .push(unused(format!("folder {}", folder.from.trim_end_matches('/')), &folder.by));
            }
        }
        for (index, fact) in self.explanations.facts.iter().enumerate() {
            if !self.used.contains(&index) {
                result.unused.push(unused(format!("{} {}", fact.area, fact.pattern), &fact.by));
            }
        }
        // Nothing compared is nothing proven.
        let something = result.compared.iter().any(|count| count.facts > 0);
        result.holds = something && result.unexplained.is_empty();
        result.same = result.holds && result.explained.is_empty() && self.used_folders.is_empty();
        result
    }
}

fn state(area: Option<&AreaFacts>) -> String {
    match area {
        Some(AreaFacts::Read { facts }) => format!("{} facts", facts.len()),
        Some(AreaFacts::NotApplicable { why }) => format!("none: {why}"),
        Some(AreaFacts::NotRead { why }) => format!("not read: {why}"),
        None => "not gathered".to_owned(),
    }
}
