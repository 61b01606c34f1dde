//! Dumps of the NVD (JSON 2.0): its yearly files, or pages of its programming interface, one or a list of them.
//!
//! A record names products as CPE 2.3 does; which product a component is, is data (`standards/cpe-names.txt`). What a record
//! says in a way that cannot be held against a version is undecided, never clean.
//! Source: the schema `cve_api_json_2.0`; NIST IR 7695 for the names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::{Said, Severity, Speaks, before, comparable, cvss};
use crate::{Component, Kind};

/// What every dump says of itself, near its start.
const MARK: &[u8] = b"\"NVD_CVE\"";
/// Bytes in which the mark stands.
const HEAD: usize = 4096;
/// Fields of a name.
const FIELDS: usize = 13;

/// Whether bytes are a dump: whole years are large, so that they are not taken for something else first.
pub fn is_dump(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(HEAD)].windows(MARK.len()).any(|window| window == MARK)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Dump {
    One(Page),
    Several(Vec<Page>),
}

#[derive(Deserialize)]
struct Page {
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    cve: Record,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    descriptions: Vec<Description>,
    #[serde(default)]
    metrics: BTreeMap<String, Vec<Metric>>,
    #[serde(default)]
    configurations: Vec<Configuration>,
}

#[derive(Clone, Deserialize)]
struct Description {
    lang: String,
    value: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(default)]
    cvss_data: Cvss,
    base_severity: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cvss {
    base_severity: Option<String>,
    vector_string: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Configuration {
    #[serde(default)]
    operator: String,
    #[serde(default)]
    negate: bool,
    nodes: Vec<Node>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    negate: bool,
    cpe_match: Vec<Match>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    vulnerable: bool,
    criteria: String,
    version_start_including: Option<String>,
    version_start_excluding: Option<String>,
    version_end_including: Option<String>,
    version_end_excluding: Option<String>,
}

/// Records by the products that they call vulnerable, as `vendor:product`; of others nothing is kept.
pub struct Records {
    by_product: BTreeMap<String, Vec<Record>>,
}

/// `vendor:product` of a source package or recipe.
fn names() -> &'static BTreeMap<&'static str, Vec<&'static str>> {
    static NAMES: OnceLock<BTreeMap<&str, Vec<&str>>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let lines = include_str!("../../../../standards/cpe-names.txt").lines();
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (source, product) in lines.filter(|line| !line.starts_with('#')).filter_map(|l| l.split_once(' '))
        {
            names.entry(source).or_default().push(product);
        }
        names
    })
}

/// The fields of a name; a colon that belongs to a field has a backslash in front.
fn fields(name: &str) -> Option<Vec<String>> {
    let (mut all, mut field, mut escaped) = (Vec::new(), String::new(), false);
    for letter in name.chars() {
        match letter {
            _ if escaped => {
                field.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            ':' => all.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    all.push(field);
    (all.len() == FIELDS && all[0] == "cpe" && all[1] == "2.3").then_some(all)
}

fn product(fields: &[String]) -> String {
    format!("{}:{}", fields[3], fields[4])
}

impl Records {
    /// Reads a dump.
    ///
    /// # Errors
    /// What is wrong with it: a dump that is read in part would leave out what nobody knows of.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let dump = serde_json::from_slice(bytes)
            .map_err(|e| format!("expected a dump of the NVD (JSON 2.0): {e}"))?;
        let pages = match dump {
            Dump::One(page) => vec![page],
            Dump::Several(pages) => pages,
        };
        let known: BTreeSet<&str> = names().values().flatten().copied().collect();
        let mut by_product: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for Entry { cve } in pages.into_iter().flat_map(|page| page.vulnerabilities) {
            // The record's own words for one that is none.
            if cve.vuln_status == "Rejected" {
                continue;
            }
            let mut products = BTreeSet::new();
            let nodes = cve.configurations.iter().flat_map(|configuration| &configuration.nodes);
            for one in nodes.flat_map(|node| &node.cpe_match) {
                let Some(fields) = fields(&one.criteria) else {
                    let name = one.criteria.escape_debug();
                    return Err(format!(
                        "{}: expected a name of CPE 2.3, found `{name}`",
                        cve.id.escape_debug()
                    ));
                };
                if one.vulnerable && known.contains(product(&fields).as_str()) {
                    products.insert(product(&fields));
                }
            }
            for product in products {
                by_product.entry(product).or_default().push(cve.clone());
            }
        }
        Ok(Self { by_product })
    }
}

impl Speaks for Records {
    fn of(&self, component: &Component) -> Option<Vec<Said>> {
        let (source, packaged) = component
            .source
            .split_once(' ')
            .unwrap_or((component.source.as_str(), component.version.as_str()));
        let (wanted, version) = match component.kind {
            Kind::Kernel => ("linux", component.version.as_str()),
            Kind::BootLoader if component.name == "u-boot" => ("u-boot", component.version.as_str()),
            Kind::Package if names().contains_key(source) => (source, packaged),
            Kind::Package => (component.name.as_str(), component.version.as_str()),
            _ => return None,
        };
        let debian = is_debians(component);
        let version = if debian { upstream(version) } else { version };
        let products = names().get(wanted)?;
        let records = products.iter().filter_map(|product| Some((*product, self.by_product.get(*product)?)));
        let all: Vec<(&str, &Record)> = records
            .flat_map(|(product, records)| records.iter().map(move |record| (product, record)))
            .collect();
        if all.is_empty() {
            return None;
        }
        let mut said: Vec<Said> =
            all.iter().filter_map(|(product, record)| said(record, product, version)).collect();
        for one in said.iter_mut().filter(|_| debian) {
            let why = "the NVD knows versions of the source alone, Debian mends older ones: ask its tracker";
            one.undecided.get_or_insert_with(|| why.to_owned());
        }
        Some(said)
    }

    /// Of Debian's packages whoever else speaks knows more.
    fn gives_way(&self, component: &Component) -> bool {
        is_debians(component)
    }
}

fn is_debians(component: &Component) -> bool {
    component.purl.starts_with("pkg:deb/debian/")
}

/// The source's own version in one of Debian's. Source: deb-version(7).
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.rsplit_once('-').map_or(version, |(own, _)| own)
}

/// A version in a form in which a candidate comes before what it is one for.
fn ordered(version: &str) -> String {
    version.replace("-rc", "~rc")
}

/// How a version stands to what a record says of it.
enum Stand {
    Outside,
    Inside,
    Unknown(String),
}

fn said(record: &Record, product: &str, version: &str) -> Option<Said> {
    let mut hit = false;
    let mut fixed_in = None;
    let mut undecided = None;
    for configuration in &record.configurations {
        for (number, node) in configuration.nodes.iter().enumerate() {
            for one in node.cpe_match.iter().filter(|one| one.vulnerable) {
                let Some(fields) = fields(&one.criteria).filter(|fields| self::product(fields) == product)
                else {
                    continue;
                };
                match stands(one, &fields, version) {
                    Stand::Outside => {}
                    Stand::Unknown(why) => undecided = Some(why),
                    Stand::Inside => match beside(configuration, number) {
                        Some(why) => undecided = Some(why),
                        None => {
                            hit = true;
                            fixed_in = fixed_in.or_else(|| one.version_end_excluding.clone());
                        }
                    },
                }
            }
        }
    }
    let undecided = undecided.filter(|_| !hit);
    let english = record.descriptions.iter().find(|one| one.lang == "en");
    (hit || undecided.is_some()).then(|| Said {
        id: record.id.clone(),
        fixed_in,
        undecided,
        severity: severity(record),
        what: english.and_then(|one| one.value.lines().next()).unwrap_or_default().to_owned(),
        files: Vec::new(),
    })
}

/// Why a product alone does not decide: the record asks for something beside it, or denies.
fn beside(configuration: &Configuration, number: usize) -> Option<String> {
    if configuration.negate || configuration.nodes.iter().any(|node| node.negate) {
        return Some("the record says what it is not about".to_owned());
    }
    let others = configuration.nodes.iter().enumerate().filter(|(other, _)| *other != number);
    let other = others.flat_map(|(_, node)| &node.cpe_match).next();
    let other = other.filter(|_| configuration.operator.eq_ignore_ascii_case("AND"))?;
    let name = fields(&other.criteria).map(|fields| product(&fields)).unwrap_or_default();
    Some(format!("only together with `{}`", name.escape_debug()))
}

fn stands(one: &Match, fields: &[String], version: &str) -> Stand {
    let (named, update) = (fields[5].as_str(), fields[6].as_str());
    let plain = matches!(update, "*" | "-" | "");
    match named {
        "*" => {}
        "-" => return Stand::Unknown("the record names no version".to_owned()),
        _ => {
            let same = [named.to_owned(), format!("{named}-{update}"), format!("{named}{update}")];
            let hit = if plain { same[0] == version } else { same[1..].iter().any(|same| same == version) };
            return if hit { Stand::Inside } else { Stand::Outside };
        }
    }
    let here = ordered(version);
    let bounds = [
        (&one.version_start_including, true, true),
        (&one.version_start_excluding, true, false),
        (&one.version_end_including, false, true),
        (&one.version_end_excluding, false, false),
    ];
    for (bound, is_start, with) in bounds {
        let Some(bound) = bound else { continue };
        let there = ordered(bound);
        if !comparable(&here, &there) {
            let (version, bound) = (version.escape_debug(), bound.escape_debug());
            return Stand::Unknown(format!("`{version}` cannot be compared with `{bound}`"));
        }
        let outside = match (is_start, with) {
            (true, true) => before(&here, &there),
            (true, false) => !before(&there, &here),
            (false, true) => before(&there, &here),
            (false, false) => !before(&here, &there),
        };
        if outside {
            return Stand::Outside;
        }
    }
    Stand::Inside
}

/// The worst that anybody says.
fn severity(record: &Record) -> Severity {
    let of = |metric: &Metric| {
        let word = metric.cvss_data.base_severity.as_deref().or(metric.base_severity.as_deref());
        match word {
            Some("CRITICAL") => Severity::Critical,
            Some("HIGH") => Severity::High,
            Some("MEDIUM") => Severity::Medium,
            Some("LOW" | "NONE") => Severity::Low,
            _ => metric.cvss_data.vector_string.as_deref().map_or(Severity::Unknown, cvss::severity),
        }
    };
    record.metrics.values().flatten().map(of).max().unwrap_or(Severity::Unknown)
}

#[cfg(test)]
#[path = "nvd_tests.rs"]
mod tests;
