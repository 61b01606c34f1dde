//! What a plan has of the catalogue's checks, and so what would look at one that nobody looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use record::{BootRecord, Finding, Verdict};
use spec::library::{Area, Library};
use spec::plan::{CheckPlan, Plan};

use super::{Catalogue, shown_by};
use crate::authority::UNIQUE;
use crate::traffic::{EVENTS, OF_EVENTS};

/// What of a plan bears on checks that did not run.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Checks of the running device that did not run, with the requirements they serve.
    pub not_run: Vec<(String, Vec<String>)>,
    /// Checks of the plan, and whether the running device itself makes them.
    pub(super) checks: BTreeMap<String, bool>,
    /// Findings that have nothing to look at in this product, and why.
    pub(super) nothing: BTreeMap<String, String>,
    /// Whether the product has a collector, without which nobody looks at events from outside.
    pub(super) collector: bool,
    /// Whether it has a tunnel.
    pub(super) tunnels: bool,
    /// Who makes each check of the plan, and what of the catalogue it says that it serves.
    pub(super) made_by: BTreeMap<String, MadeBy>,
    /// What each layer does, in one line.
    pub(super) titles: BTreeMap<String, String>,
}

/// Who makes a check.
#[derive(Clone, Debug)]
pub(super) struct MadeBy {
    pub(super) layer: String,
    pub(super) requirements: Vec<String>,
    /// Whether it is the product's own check under a name of the catalogue.
    own: bool,
}

impl Planned {
    /// Of a plan, with its boot where there was one.
    #[must_use]
    pub fn of(plan: Option<&Plan>, boot: Option<&BootRecord>) -> Self {
        let Some(plan) = plan else { return Self::default() };
        let own = plan.checks.iter().filter(|(_, asked)| asked.value.kind == "selfcheck");
        let not_run = own.filter(|_| boot.is_none());
        let not_run = not_run.map(|(id, asked)| (id.clone(), asked.value.requirements.clone())).collect();
        let checks = plan.checks.iter().map(|(id, asked)| (id.clone(), asked.value.kind == "selfcheck"));
        let network = &plan.network;
        let in_clear = network.flows.iter().any(|flow| flow.accepted_risk.is_some());
        let mut nothing = BTreeMap::new();
        if network.tunnels.is_empty() && network.frames.is_empty() && !in_clear {
            let why = "the product has no tunnel, and no conduit that would need one".to_owned();
            nothing.insert("traffic.tunnels".to_owned(), why);
        }
        Self {
            not_run,
            checks: checks.collect(),
            nothing,
            collector: network.collector.is_some(),
            tunnels: !network.tunnels.is_empty(),
            made_by: plan.checks.iter().map(|(id, asked)| (id.clone(), made_by(&asked.value))).collect(),
            titles: plan.layers.iter().map(|layer| (layer.name.clone(), layer.title.clone())).collect(),
        }
    }

    /// Whether a finding is of the product's own check under a name of the catalogue.
    pub(crate) fn is_own(&self, check: &str) -> bool {
        self.made_by.get(check).is_some_and(|by| by.own)
    }

    /// Why a listed check has nothing to look at in this product; none: it has, or would have.
    pub(super) fn nothing_for<'a>(
        &'a self,
        catalogue: &Catalogue,
        id: &str,
        findings: &'a [Finding],
    ) -> Option<&'a str> {
        let shown = catalogue.shown_by.get(id)?;
        if let Some(decides) = &shown.nothing_by {
            let finding = findings.iter().find(|finding| finding.check == *decides)?;
            return (finding.verdict == Verdict::NotApplicable).then_some(finding.seen.as_str());
        }
        let why = |proof: &String| self.nothing.get(proof).map(String::as_str);
        let all = !shown.by.is_empty() && shown.by.iter().all(|proof| why(proof).is_some());
        shown.by.first().filter(|_| all).and_then(why)
    }

    /// Whether the plan has a check of that id, or of one that is made for each of several things.
    pub(super) fn has(&self, id: &str) -> bool {
        self.checks.keys().any(|planned| shown_by::is_of(planned, id))
    }

    /// What nobody looked at of the listed checks: by what would look, or why nothing can.
    pub(super) fn open(
        &self,
        catalogue: &Catalogue,
        missing: &[String],
        findings: &[Finding],
    ) -> Vec<String> {
        let mut groups: Vec<(String, BTreeSet<&str>)> = Vec::new();
        for id in missing {
            let proofs = match catalogue.shown_by.get(id) {
                Some(shown) => shown.asked(findings, self).collect(),
                None => vec![id.as_str()],
            };
            for proof in proofs {
                let Some(group) = self.group(proof, findings) else { continue };
                match groups.iter_mut().find(|(known, _)| *known == group) {
                    Some((_, ids)) => _ = ids.insert(id),
                    None => groups.push((group, BTreeSet::from([id.as_str()]))),
                }
            }
        }
        let words = |(group, ids): (String, BTreeSet<&str>)| {
            format!("{group}: {}", ids.into_iter().collect::<Vec<_>>().join(", "))
        };
        groups.into_iter().map(words).collect()
    }

    /// Why a finding is not there; none where it is, or where it is told as not run.
    fn group(&self, id: &str, findings: &[Finding]) -> Option<String> {
        let mut of = findings.iter().filter(|finding| shown_by::is_of(&finding.check, id)).peekable();
        if of.peek().is_some() {
            let silent = of.all(|finding| finding.verdict == Verdict::NotApplicable);
            return silent.then(|| "looked at, and says nothing about this image".to_owned());
        }
        if self.not_run.iter().any(|(not_run, _)| not_run == id) {
            return None;
        }
        let verb = match (self.checks.get(id), id.split('.').next()) {
            (Some(true), _) => "fastness boot",
            (Some(false), _) => "fastness inspect",
            (None, _) if id == UNIQUE => "fastness boot, twice",
            (None, Some("attack")) => "fastness attack",
            (None, _) if of_events(id).is_some() && !self.collector => {
                return Some("the product has no collector that could be asked".to_owned());
            }
            (None, _) if id == "traffic.tunnels" && !self.tunnels => {
                return Some("the product has no tunnel that could be tried".to_owned());
            }
            (None, Some("traffic")) => of_events(id).unwrap_or("fastness boot --network"),
            _ => {
                return Some(match layers().get(id) {
                    Some(layer) => format!("the product does not have the layer `{layer}`"),
                    None => "this program has no such check".to_owned(),
                });
            }
        };
        Some(format!("not looked at (`{verb}` would)"))
    }
}

fn made_by(check: &CheckPlan) -> MadeBy {
    MadeBy { layer: check.layer.clone(), requirements: check.requirements.clone(), own: check.by_product }
}

/// The shipped layer that brings a check, by its id.
fn layers() -> &'static BTreeMap<String, String> {
    static LAYERS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    LAYERS.get_or_init(|| {
        let library = Library::built_in(None);
        let mut checks = BTreeMap::new();
        for layer in library.names(Area::Layers).unwrap_or_default() {
            let Ok(Some(source)) = library.read(Area::Layers, &format!("{layer}/layer.yaml")) else {
                continue;
            };
            let Ok(value) = crate::yaml::load(source.text()) else { continue };
            let lists = ["checks", "selfcheck"].into_iter().filter_map(|list| value[list].as_array());
            for id in lists.flatten().filter_map(|check| check["id"].as_str()) {
                checks.insert(id.to_owned(), layer.clone());
            }
        }
        checks
    })
}

/// The command that makes a finding about events; none: it is of something else.
fn of_events(id: &str) -> Option<&'static str> {
    let with_login = match OF_EVENTS.iter().find(|of| of.id == id) {
        Some(of) => of.login,
        None if id == EVENTS || record::NAMED_EVENTS.iter().any(|named| named.finding == id) => false,
        None => return None,
    };
    Some(if with_login { "fastness boot --events --login USER=FILE" } else { "fastness boot --events" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::Claim;

    #[test]
    fn the_shipped_layers_say_which_brings_a_check() {
        assert_eq!(layers()["rec.factory-reset"], "factory-reset");
        assert_eq!(layers()["self.audit"], "audit");
        assert!(!layers().contains_key("login.mfa"));
    }

    #[test]
    fn a_conduit_in_clear_leaves_what_a_tunnel_would_show_open() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut plan = crate::report::sample::plan();
        plan.network.tunnels.clear();
        plan.network.frames.clear();
        let said = |plan: &Plan| {
            Planned::of(Some(plan), None)
                .nothing_for(&catalogue, "net.ot-refused-outside", &[])
                .map(str::to_owned)
        };
        assert!(said(&plan).unwrap().contains("has no tunnel"));
        let flow = spec::plan::Flow {
            accepted_risk: Some(spec::plan::AcceptedRisk { reason: "a".into(), by: "b".into() }),
            ..Default::default()
        };
        plan.network.flows.push(flow);
        assert_eq!(said(&plan), None);
    }

    #[test]
    fn what_an_image_has_nothing_of_is_named_with_the_words_of_the_check_that_says_so() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut finding = crate::report::sample::findings().remove(0);
        finding.check = "net.openvpn-known".to_owned();
        finding.seen = "the image has no OpenVPN".to_owned();
        let planned = Planned::default();
        let said = |verdict, finding: &Finding| {
            let findings = [Finding { verdict, ..finding.clone() }];
            planned.nothing_for(&catalogue, "net.openvpn", &findings).map(str::to_owned)
        };
        assert_eq!(said(Verdict::NotApplicable, &finding).unwrap(), "the image has no OpenVPN");
        for verdict in [Verdict::Pass, Verdict::Fail, Verdict::NeedsOperator, Verdict::CouldNotRun] {
            assert_eq!(said(verdict, &finding), None, "{verdict:?}");
        }
        finding.check = "net.strongswan-known".to_owned();
        assert_eq!(said(Verdict::NotApplicable, &finding), None);
        // Of a requirement that lists it, the row says so, and it does not keep the requirement from being met.
        let findings =
            [Finding { verdict: Verdict::NotApplicable, check: "net.openvpn-known".to_owned(), ..finding }];
        let matrix = catalogue.matrix("NDR", 2, &findings, &planned);
        let row = matrix.rows.iter().find(|row| row.id == "CR 3.1").unwrap();
        assert!(!row.not_looked_at.contains(&"net.openvpn".to_owned()), "{:?}", row.not_looked_at);
        assert!(row.not_looked_at.contains(&"net.strongswan".to_owned()), "{:?}", row.not_looked_at);
    }

    /// `docs/comply.md` lists what no finding shows, and how many requirements could be met by the image alone today.
    #[test]
    fn what_the_documents_say_of_checks_without_a_finding_is_true() {
        let catalogue = Catalogue::built_in().unwrap();
        let has = |id: &str| catalogue.shown_by.contains_key(id) || layers().contains_key(id) || id == UNIQUE;
        let document = include_str!("../../../../docs/comply.md");
        let (_, section) = document.split_once("### Run-time checks that no finding shows").unwrap();
        let (section, _) = section.split_once("\nA layer's check may name").unwrap();
        let rows: BTreeSet<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split('`').next())
            .collect();
        let lacking: BTreeSet<&str> = catalogue
            .all()
            .flat_map(|(item, _)| &item.evidence.runtime)
            .map(String::as_str)
            .filter(|id| !has(id))
            .collect();
        assert_eq!(rows, lacking);
        let full = || catalogue.all().filter(|(item, _)| item.claim == Claim::Full && !item.sl.is_empty());
        let whole = full()
            .filter(|(item, _)| item.evidence.checks.iter().chain(&item.evidence.runtime).all(|id| has(id)));
        let said = format!(
            "Of the {} requirements and enhancements that an image alone could meet, {} have a finding for each check",
            full().count(),
            whole.count()
        );
        assert!(section.contains(&said), "{said}");
    }
}
