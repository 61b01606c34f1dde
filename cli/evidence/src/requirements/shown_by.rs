//! What shows a check of the catalogue that findings of other names look at: `standards/shown-by.yaml`.

use record::{Finding, Verdict};
use serde::Deserialize;

use super::Planned;

/// Findings that together show one check of the catalogue. A list of ids is short for `by`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct ShownBy {
    /// Each of these has passed.
    pub by: Vec<String>,
    /// Each of these has passed where the plan has it: what belongs to a layer that not every product needs.
    pub where_planned: Vec<String>,
    /// The check that finds out whether there is anything to look at: where it says that it does not apply, there is not.
    pub nothing_by: Option<String>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    List(Vec<String>),
    Whole(Whole),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    by: Vec<String>,
    #[serde(default)]
    where_planned: Vec<String>,
    nothing_by: Option<String>,
}

impl From<Written> for ShownBy {
    fn from(written: Written) -> Self {
        match written {
            Written::List(by) => Self { by, ..Self::default() },
            Written::Whole(Whole { by, where_planned, nothing_by }) => Self { by, where_planned, nothing_by },
        }
    }
}

impl ShownBy {
    /// Every id that is named.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.by.iter().chain(&self.where_planned).chain(&self.nothing_by).map(String::as_str)
    }

    /// Whether a finding of that name shows a part of it.
    pub(super) fn names(&self, check: &str) -> bool {
        self.all().any(|id| is_of(check, id))
    }

    /// What has to pass in this product.
    pub(super) fn asked<'a>(
        &'a self,
        findings: &'a [Finding],
        planned: &'a Planned,
    ) -> impl Iterator<Item = &'a str> {
        let there = move |id: &&String| planned.has(id) || findings.iter().any(|f| is_of(&f.check, id));
        self.by.iter().chain(self.where_planned.iter().filter(there)).map(String::as_str)
    }

    /// Whether it is shown: of each id that has to pass there is a finding, and no finding of it says anything else.
    pub(super) fn held(&self, findings: &[Finding], planned: &Planned) -> bool {
        let passed = |id: &str| {
            let mut of = findings.iter().filter(|finding| is_of(&finding.check, id)).peekable();
            of.peek().is_some() && of.all(|finding| finding.verdict == Verdict::Pass)
        };
        !self.by.is_empty() && self.asked(findings, planned).all(passed)
    }
}

/// Whether a check is the one of that id, or one of those that a layer makes of it for each tunnel, interface or application.
pub(crate) fn is_of(check: &str, id: &str) -> bool {
    check.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use spec::library::{Area, Library};

    use super::*;
    use crate::report::sample;
    use crate::requirements::Catalogue;

    fn shown(text: &str) -> Result<ShownBy, String> {
        serde_json::from_value(crate::yaml::load(text)?).map_err(|e| e.to_string())
    }

    fn finding(check: &str, verdict: Verdict) -> Finding {
        let mut finding = sample::findings().remove(0);
        check.clone_into(&mut finding.check);
        finding.verdict = verdict;
        finding
    }

    #[test]
    fn a_list_and_a_whole_entry_are_read_and_a_typing_mistake_is_not() {
        assert_eq!(shown("[a, b]").unwrap().by, ["a", "b"]);
        let whole = shown("{by: [a], where_planned: [b], nothing_by: c}").unwrap();
        assert_eq!(whole.all().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(shown("{by: [a], where_plannned: [b]}").is_err());
    }

    #[test]
    fn every_finding_passes_also_those_made_for_each_and_those_of_layers_that_are_there() {
        let shown = shown("{by: [x.one, x.each], where_planned: [y.more]}").unwrap();
        let mut findings = vec![finding("x.one", Verdict::Pass), finding("x.each.eth0", Verdict::Pass)];
        let held = |findings: &[Finding], planned: &Planned| shown.held(findings, planned);
        let none = Planned::default();
        assert!(held(&findings, &none));
        assert!(!held(&findings[..1], &none));
        // A longer name is another check.
        assert!(!held(&[finding("x.one", Verdict::Pass), finding("x.each-other", Verdict::Pass)], &none));
        findings.push(finding("x.each.eth1", Verdict::Fail));
        assert!(!held(&findings, &none));
        findings.pop();
        let mut planned = Planned::default();
        planned.checks.insert("y.more".to_owned(), false);
        assert!(!held(&findings, &planned), "it was planned and nobody looked");
        findings.push(finding("y.more", Verdict::Pass));
        assert!(held(&findings, &planned));
        for verdict in [Verdict::Waived, Verdict::NeedsOperator, Verdict::NotApplicable, Verdict::CouldNotRun]
        {
            findings.pop();
            findings.push(finding("y.more", verdict));
            assert!(!held(&findings, &planned), "{verdict:?}");
        }
    }

    #[test]
    fn every_finding_that_is_named_is_one_that_there_can_be() {
        let library = Library::built_in(None);
        let (mut known, mut running) = (BTreeSet::new(), BTreeSet::new());
        for layer in library.names(Area::Layers).unwrap() {
            let source = library.read(Area::Layers, &format!("{layer}/layer.yaml")).unwrap().unwrap();
            let value = crate::yaml::load(source.text()).unwrap();
            for (list, into) in [("checks", &mut known), ("selfcheck", &mut running)] {
                let checks = value[list].as_array().cloned().unwrap_or_default();
                into.extend(checks.iter().map(|check| check["id"].as_str().unwrap().to_owned()));
            }
        }
        let catalogue = Catalogue::built_in().unwrap();
        for (id, shown) in &catalogue.shown_by {
            let is_static = catalogue.check(id).unwrap().stage == "static";
            for named in shown.all() {
                let probe = named.starts_with("attack.") || crate::traffic::is_finding(named);
                let there = known.contains(named) || !is_static && (probe || running.contains(named));
                assert!(there, "`{id}`: no layer has the check `{named}`");
            }
        }
    }
}
