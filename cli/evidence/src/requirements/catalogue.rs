//! The catalogue as it is written (`standards/requirements.yaml`), read and validated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Claim, ShownBy};

/// How the names of findings begin that are of a running device.
const RUNNING: [&str; 3] = ["attack.", "self.", "traffic."];

/// Who has to show what no image can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Whoever runs the plant and the device in it.
    Operator,
    /// The owner's people: accounts, certificates, policies, procedures.
    Organisation,
    /// Whoever makes the programs that do the product's own work.
    Application,
    /// Whoever makes the device: board, factory, documents, support.
    Maker,
    /// Whoever makes its chips.
    Hardware,
}

impl Owner {
    /// As a page names it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Operator => "the operator",
            Self::Organisation => "the owner's organisation",
            Self::Application => "the application's maker",
            Self::Maker => "the device's maker",
            Self::Hardware => "the hardware's supplier",
        }
    }
}

/// Something that no image can show, and who has to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Who.
    pub owner: Owner,
    /// What.
    pub what: String,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.owner.words(), self.what)
    }
}

/// What shows a requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Checks that read the image.
    #[serde(rename = "static", default)]
    pub checks: Vec<String>,
    /// Checks of the running device.
    #[serde(default)]
    pub runtime: Vec<String>,
    /// What no image can show, and who has to.
    #[serde(default)]
    pub out_of_image: Vec<Share>,
}

/// A requirement or an enhancement of one.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    /// Id, such as `CR 1.1 RE(1)`.
    pub id: String,
    /// Short title.
    pub title: String,
    /// Clause of the standard.
    #[serde(default)]
    pub clause: String,
    /// What it asks, in words of our own.
    #[serde(default)]
    pub paraphrase: String,
    /// Foundational requirement, 1 to 7; 0 for an enhancement, which has its requirement's.
    #[serde(default)]
    pub fr: u8,
    /// Component types that it is for; none for an enhancement, which has its requirement's.
    #[serde(default)]
    pub component_types: Vec<String>,
    /// Capability security levels that select it; none: there is no component requirement under this id.
    pub sl: Vec<u8>,
    /// What meets it on a device with Linux.
    #[serde(default)]
    pub how_on_linux: Vec<String>,
    /// What shows it.
    pub evidence: Evidence,
    /// What an image can claim of it.
    pub claim: Claim,
    /// When it applies, beside component type and level.
    #[serde(default)]
    pub condition: String,
    /// The check that finds out whether the condition is given: it does not apply where it is not.
    #[serde(default)]
    pub condition_check: String,
    /// Where to look instead.
    #[serde(default)]
    pub see: Vec<String>,
    /// A remark.
    #[serde(default)]
    pub note: String,
    /// Like requirements by framework: a list of ids, or of ids with how sure the mapping is.
    #[serde(default)]
    pub(crate) refs: BTreeMap<String, serde_json::Value>,
    /// Its enhancements.
    #[serde(default)]
    pub enhancements: Vec<Item>,
}

impl Item {
    /// Ids of like requirements by framework.
    #[must_use]
    pub fn references(&self) -> BTreeMap<&str, Vec<&str>> {
        let lists = self.refs.iter().filter_map(|(framework, list)| {
            // `confidence` is about the lists, and is none of them.
            Some((framework.as_str(), list.as_array()?.iter().filter_map(reference).collect()))
        });
        lists.collect()
    }
}

/// An id as it is listed: plain, or with how sure the mapping is.
fn reference(value: &serde_json::Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("id")?.as_str())
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Meta {
    pub title: String,
    pub base_standard: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Foundation {
    pub fr: u8,
    pub title: String,
}

/// A check that the catalogue knows.
#[derive(Clone, Debug, Deserialize)]
pub struct KnownCheck {
    /// Id, such as `acct.no-empty-hash`.
    pub id: String,
    /// `static` or `runtime`.
    pub stage: String,
    /// What it asserts.
    pub what: String,
}

/// The catalogue.
#[derive(Clone, Debug, Deserialize)]
pub struct Catalogue {
    pub(super) meta: Meta,
    pub(super) foundational_requirements: Vec<Foundation>,
    pub(super) requirements: Vec<Item>,
    /// Checks that findings show together, by id: `standards/shown-by.yaml`.
    #[serde(default)]
    pub(super) shown_by: BTreeMap<String, ShownBy>,
    #[serde(default)]
    checks: Vec<KnownCheck>,
}

impl Catalogue {
    /// The catalogue that is compiled in.
    ///
    /// # Errors
    /// When it is not valid; a test proves that it is.
    pub fn built_in() -> Result<Self, String> {
        let mut catalogue = Self::read(include_str!("../../../../standards/requirements.yaml"))?;
        let shown_by = crate::yaml::load(include_str!("../../../../standards/shown-by.yaml"))?;
        catalogue.shown_by = serde_json::from_value(shown_by).map_err(|e| format!("shown-by.yaml: {e}"))?;
        let problems = catalogue.problems();
        if problems.is_empty() { Ok(catalogue) } else { Err(problems.join("; ")) }
    }

    /// A catalogue from its text, as far as its shape goes; [`Catalogue::problems`] looks at what it says.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let value = crate::yaml::load(text)?;
        serde_json::from_value(value).map_err(|e| format!("the catalogue of requirements: {e}"))
    }

    /// Whether the catalogue has that requirement id.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.all().any(|(item, _)| item.id == id)
    }

    /// What a check of the catalogue asserts.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&KnownCheck> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// The standard, by edition, and the catalogue's own title.
    #[must_use]
    pub fn titles(&self) -> (&str, &str) {
        (&self.meta.base_standard, &self.meta.title)
    }

    /// Number and title of every foundational requirement.
    pub fn foundations(&self) -> impl Iterator<Item = (u8, &str)> {
        self.foundational_requirements.iter().map(|foundation| (foundation.fr, foundation.title.as_str()))
    }

    /// Every requirement and enhancement in the catalogue's order, each with the requirement that it belongs to.
    pub fn all(&self) -> impl Iterator<Item = (&Item, &Item)> {
        self.requirements.iter().flat_map(|item| {
            std::iter::once((item, item)).chain(item.enhancements.iter().map(move |e| (e, item)))
        })
    }

    /// What is wrong with what the catalogue says: above all a claim that no check of it could prove.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        let stages: BTreeMap<&str, &str> =
            self.checks.iter().map(|check| (check.id.as_str(), check.stage.as_str())).collect();
        if stages.len() != self.checks.len() {
            problems.push("a check is there twice".to_owned());
        }
        for (item, parent) in self.all() {
            let id = &item.id;
            let mut wrong = |what: String| problems.push(format!("`{id}`: {what}"));
            if !seen.insert(id) {
                wrong("is there twice".to_owned());
            }
            if !(1..=7).contains(&parent.fr) {
                wrong(format!("expected a foundational requirement from 1 to 7, found {}", parent.fr));
            }
            for kind in &parent.component_types {
                if !["SAR", "EDR", "HDR", "NDR"].contains(&kind.as_str()) {
                    wrong(format!("`{kind}` is no component type"));
                }
            }
            if !item.sl.windows(2).all(|pair| pair[0] < pair[1])
                || item.sl.iter().any(|sl| !(1..=4).contains(sl))
            {
                wrong(format!("expected security levels from 1 to 4 in order, found {:?}", item.sl));
            }
            if !std::ptr::eq(item, parent) && !id.starts_with(&format!("{} RE(", parent.id)) {
                wrong(format!("is no enhancement of `{}` by its id", parent.id));
            }
            let listed = item.evidence.checks.iter().map(|c| (c, "static"));
            for (check, stage) in listed.chain(item.evidence.runtime.iter().map(|c| (c, "runtime"))) {
                match stages.get(check.as_str()) {
                    None => {
                        wrong(format!("lists the check `{check}`, which the catalogue does not describe"))
                    }
                    Some(found) if *found != stage => {
                        wrong(format!("lists the check `{check}` as {stage}, which is described as {found}"));
                    }
                    Some(_) => {}
                }
            }
            let decides = &item.condition_check;
            if !decides.is_empty()
                && (item.condition.is_empty()
                    || !item.evidence.checks.contains(decides) && !parent.evidence.checks.contains(decides))
            {
                wrong(format!(
                    "`{decides}` decides on its condition: expected a condition, and that check among those listed"
                ));
            }
            if item.evidence.out_of_image.iter().any(|share| share.what.trim().is_empty()) {
                wrong("leaves to somebody what it does not name".to_owned());
            }
            if !matches!(item.claim, Claim::Full)
                && !item.sl.is_empty()
                && item.evidence.out_of_image.is_empty()
            {
                wrong("claims less than all of it, and does not say who shows the rest".to_owned());
            }
            let shown = !item.evidence.checks.is_empty() || !item.evidence.runtime.is_empty();
            if matches!(item.claim, Claim::Full | Claim::Partial) && !item.sl.is_empty() && !shown {
                wrong("claims something of the image and lists no check that could show it".to_owned());
            }
            if item.claim == Claim::Full && item.evidence.checks.is_empty() {
                wrong(
                    "claims to be met by the image alone, and lists no check that reads the image".to_owned(),
                );
            }
            // The text of a configuration is not yet what the device does by it.
            if item.claim == Claim::Full && !item.sl.is_empty() && item.evidence.runtime.is_empty() {
                wrong("claims to be met by the image alone, and lists no run-time check".to_owned());
            }
        }
        for (id, shown) in &self.shown_by {
            let mut wrong =
                |what: &str| problems.push(format!("`{id}` is said to be shown by findings, {what}"));
            if shown.by.is_empty() {
                wrong("and none is named");
            }
            match stages.get(id.as_str()) {
                None => wrong("and the catalogue does not describe it"),
                // What a running device does says nothing of what is in its image.
                Some(&"static") => {
                    let runs = |proof: &str| RUNNING.iter().any(|kind| proof.starts_with(kind));
                    for proof in shown.all().filter(|proof| runs(proof)) {
                        wrong(&format!("and is no run-time check: `{proof}` is one"));
                    }
                }
                Some(_) => {}
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(item: &str) -> Catalogue {
        Catalogue::read(&format!(
            "
meta: {{title: t, base_standard: s}}
foundational_requirements: [{{fr: 3, title: integrity}}]
checks: [{{id: x.one, stage: static, what: w}}, {{id: x.run, stage: runtime, what: w}}]
shown_by: {{x.run: [attack.a]}}
requirements:
- {item}
"
        ))
        .unwrap()
    }

    #[test]
    fn the_built_in_catalogue_is_valid_and_its_references_are_read() {
        let catalogue = Catalogue::built_in().unwrap();
        let (item, _) = catalogue.all().find(|(item, _)| item.id == "CR 1.2").unwrap();
        let references = item.references();
        assert_eq!(references["etsi_en_303_645"], ["5.4-2", "5.5-4"]);
        assert_eq!(references["nist_800_53"], ["IA-3", "IA-9"]);
        assert!(!references.contains_key("confidence"));
        assert_eq!(catalogue.check("acct.unique-ids").unwrap().stage, "static");
    }

    #[test]
    fn a_good_item_has_no_problem_and_each_mistake_one() {
        let good = "{id: CR 3.4, title: a, fr: 3, component_types: [EDR], sl: [1, 2], claim: full, evidence: {static: [x.one], runtime: [x.run]}}";
        assert_eq!(catalogue(good).problems(), Vec::<String>::new());
        for (from, to, expected) in [
            (
                "static: [x.one]",
                "static: [x.two]",
                "lists the check `x.two`, which the catalogue does not describe",
            ),
            (
                "static: [x.one], runtime: [x.run]",
                "static: [x.run]",
                "lists the check `x.run` as static, which is described as runtime",
            ),
            ("static: [x.one], ", "", "lists no check that reads the image"),
            (", runtime: [x.run]", "", "claims to be met by the image alone, and lists no run-time check"),
            ("static: [x.one], runtime: [x.run]", "static: []", "lists no check that could show it"),
            ("claim: full", "claim: full, condition_check: x.one", "`x.one` decides on its condition"),
            (
                "claim: full",
                "claim: full, condition: c, condition_check: x.run",
                "`x.run` decides on its condition: expected a condition, and that check among those listed",
            ),
            ("sl: [1, 2]", "sl: [2, 1]", "expected security levels from 1 to 4 in order"),
            ("sl: [1, 2]", "sl: [5]", "expected security levels from 1 to 4 in order"),
            ("[EDR]", "[XDR]", "`XDR` is no component type"),
            ("fr: 3", "fr: 9", "expected a foundational requirement from 1 to 7, found 9"),
            (
                "claim: full",
                "claim: full, enhancements: [{id: CR 9.9 RE(1), title: b, sl: [2], evidence: {static: [x.one]}, claim: full}]",
                "is no enhancement of `CR 3.4`",
            ),
            (
                "claim: full",
                "claim: full, enhancements: [{id: CR 3.4, title: b, sl: [2], evidence: {static: [x.one]}, claim: full}]",
                "is there twice",
            ),
        ] {
            let problems = catalogue(&good.replace(from, to)).problems().join("; ");
            assert!(problems.contains(expected), "{to}: {problems}");
        }
        let shown = |id: &str, by: &[&str]| {
            let mut catalogue = catalogue(good);
            let by = ShownBy { by: by.iter().map(|id| (*id).to_owned()).collect(), ..ShownBy::default() };
            catalogue.shown_by.insert(id.to_owned(), by);
            catalogue.problems().join("; ")
        };
        assert_eq!(shown("x.one", &["y.one", "y.two"]), "");
        assert!(shown("x.one", &[]).contains("`x.one` is said to be shown by findings, and none is named"));
        assert!(shown("x.none", &["y.one"]).contains("the catalogue does not describe it"));
        assert!(shown("x.one", &["attack.a"]).contains("is no run-time check: `attack.a` is one"));
    }

    #[test]
    fn what_no_image_can_show_has_an_owner_whom_the_program_knows() {
        let item = |claim: &str, left: &str| {
            format!(
                "{{id: CR 3.4, title: a, fr: 3, component_types: [EDR], sl: [1], claim: {claim}, evidence: {{static: [x.one], runtime: [x.run], out_of_image: {left}}}}}"
            )
        };
        let good = catalogue(&item("partial", "[{owner: operator, what: the time server}]"));
        assert_eq!(good.problems(), Vec::<String>::new());
        let (first, _) = good.all().next().unwrap();
        let share = &first.evidence.out_of_image[0];
        assert_eq!(share.to_string(), "the operator: the time server");
        for claim in ["partial", "supporting", "none"] {
            let problems = catalogue(&item(claim, "[]")).problems().join("; ");
            assert!(problems.contains("does not say who shows the rest"), "{claim}: {problems}");
        }
        let problems = catalogue(&item("full", "[{owner: maker, what: ' '}]")).problems().join("; ");
        assert!(problems.contains("leaves to somebody what it does not name"), "{problems}");
        // Nobody, somebody unknown, and a typing mistake are no catalogue.
        for left in
            ["[people]", "[{what: people}]", "[{owner: people, what: w}]", "[{owner: maker, waht: w}]"]
        {
            let text = format!(
                "meta: {{title: t, base_standard: s}}\nfoundational_requirements: []\nrequirements:\n- {}\n",
                item("partial", left)
            );
            assert!(Catalogue::read(&text).is_err(), "{left}");
        }
    }
}
