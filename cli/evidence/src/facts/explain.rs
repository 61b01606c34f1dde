//! Which differences are accepted, and why: `standards/image-differences.yaml`, a file of the user's,
//! and the waivers of the products themselves.

use spec::differences::{FactArea, ImageDifferences, Sides};
use spec::plan::{Origin, Plan};

use crate::glob;

/// What a value is called where an image does not have the fact.
pub const ABSENT: &str = "absent";
/// What a product's waiver of a difference starts with.
const PREFIX: &str = "facts:";

/// A folder that has another name in the other image.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub from: String,
    pub to: String,
    pub by: By,
}

/// A fact that may differ.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub area: String,
    pub pattern: String,
    pub values: Values,
    pub by: By,
}

/// Between which values a fact may differ. A value for the first image says nothing about the second: what explains a
/// gain does not explain the loss.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// From the first image's to the second's.
    Directed([String; 2]),
    /// The same, and the other way round.
    EitherWay([String; 2]),
    /// Whatever the two have, but both have the fact.
    Present,
    /// Anything at all: a product says so of itself.
    Any,
}

/// Where an explanation stands, and its reason.
#[derive(Clone, Debug)]
pub(super) struct By {
    pub at: String,
    pub reason: String,
}

/// Every explanation that a comparison may use.
#[derive(Clone, Debug, Default)]
pub struct Explanations {
    pub(super) folders: Vec<Folder>,
    pub(super) facts: Vec<Fact>,
}

impl Explanations {
    /// Adds those of a file.
    pub fn add(&mut self, file: &ImageDifferences) {
        for same in &file.folders {
            let location = same.folder.at.location();
            self.folders.push(Folder {
                from: format!("{}/", same.folder.as_str()),
                to: format!("{}/", same.is.as_str()),
                by: By { at: place(&location.file, location.line), reason: same.reason.0.clone() },
            });
        }
        for fact in &file.facts {
            let location = fact.area.at.location();
            let values = match fact.values.as_slice() {
                [one, other] => {
                    let values = [one.as_str().to_owned(), other.as_str().to_owned()];
                    match fact.sides {
                        Some(Sides::Either) => Values::EitherWay(values),
                        Some(Sides::InOrder) | None => Values::Directed(values),
                    }
                }
                _ => Values::Present,
            };
            self.facts.push(Fact {
                area: fact.area.as_str().to_owned(),
                pattern: fact.fact.as_str().to_owned(),
                values,
                by: By { at: place(&location.file, location.line), reason: fact.reason.0.clone() },
            });
        }
    }

    /// Adds the waivers of a product that speak of differences; those of two equal plans count once.
    pub fn add_waivers(&mut self, plan: &Plan) {
        for (target, asked) in &plan.waivers {
            let Some((area, pattern)) = target.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            let at = asked.origins.first().map(|Origin { file, line, .. }| place(file, *line));
            let reason = asked.origins.first().map(|origin| origin.reason.clone());
            let by = By { at: at.unwrap_or_default(), reason: reason.unwrap_or_default() };
            let known = |fact: &Fact| fact.area == area && fact.pattern == pattern && fact.by.at == by.at;
            if !self.facts.iter().any(known) {
                self.facts.push(Fact {
                    area: area.to_owned(),
                    pattern: pattern.to_owned(),
                    values: Values::Any,
                    by,
                });
            }
        }
    }
}

/// File name and line: no path of this host.
fn place(file: &str, line: u32) -> String {
    format!("{}:{line}", file.rsplit('/').next().unwrap_or_default())
}

impl Fact {
    /// Whether it explains this difference.
    pub fn explains(&self, area: FactArea, fact: &str, before: Option<&str>, after: Option<&str>) -> bool {
        let fits = |pattern: &str, value: Option<&str>| match value {
            Some(value) => pattern != ABSENT && glob::part_matches(pattern, value),
            None => pattern == ABSENT,
        };
        self.area == area.as_str()
            && glob::part_matches(&self.pattern, fact)
            && match &self.values {
                Values::Directed([one, other]) => fits(one, before) && fits(other, after),
                Values::EitherWay([one, other]) => {
                    fits(one, before) && fits(other, after) || fits(one, after) && fits(other, before)
                }
                Values::Present => before.is_some() && after.is_some(),
                Values::Any => true,
            }
    }
}
