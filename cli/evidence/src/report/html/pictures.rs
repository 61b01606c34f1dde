//! The two pictures: the chain of trust, and the zones with their flows.
//!
//! Drawn 400 units wide, so that their text is readable on a phone without scaling.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use record::Verdict;
use spec::plan::{Flow, NetworkFacts};

use super::escape::{cut, e};
use crate::report::chain::Link;

fn tone(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "pass",
        Some(Verdict::Fail | Verdict::CouldNotRun) => "bad",
        Some(_) => "warn",
        None => "none",
    }
}

/// The chain as boxes, first link on top.
pub fn chain(links: &[Link]) -> String {
    const BOX: usize = 62;
    const GAP: usize = 40;
    let height = links.len() * (BOX + GAP) - GAP + 8;
    let mut svg = format!(
        "<svg viewBox=\"0 0 400 {height}\" role=\"img\" aria-label=\"Chain of trust, {} links from the root of trust to the services\">",
        links.len()
    );
    for (index, link) in links.iter().enumerate() {
        let y = 4 + index * (BOX + GAP);
        let tone = tone(link.verdict);
        let detail = link.facts.iter().find(|(label, _)| label.contains("sha256") || label == "root hash");
        let (class, text) = match (detail, link.facts.first()) {
            (Some((label, value)), _) => ("m", format!("{label} {}", cut(value, 33))),
            (None, Some((_, value))) => ("s", cut(value, 52)),
            (None, None) => ("s", String::new()),
        };
        let _ = write!(
            svg,
            "<rect class=\"box {tone}\" x=\"4\" y=\"{y}\" width=\"392\" height=\"{BOX}\" rx=\"10\"/>\
             <circle class=\"dot {tone}\" cx=\"26\" cy=\"{}\" r=\"6\"/>\
             <text class=\"t\" x=\"44\" y=\"{}\">{}</text><text class=\"{class}\" x=\"44\" y=\"{}\">{}</text>",
            y + 25,
            y + 30,
            e(&link.title),
            y + 49,
            e(&text),
        );
        if index + 1 < links.len() {
            let (from, to) = (y + BOX, y + BOX + GAP);
            let _ = write!(
                svg,
                "<path class=\"arrow\" d=\"M26 {from}V{}\"/><path class=\"head\" d=\"M21 {h}h10l-5 8z\"/>\
                 <text class=\"s\" x=\"44\" y=\"{}\">{}</text>",
                to - 8,
                from + 24,
                e(&link.vouches),
                h = to - 9,
            );
        }
    }
    svg + "</svg>"
}

/// The zones on the left, the device on the right, one arrow a flow.
pub fn network(network: &NetworkFacts, device: &str) -> String {
    const ROW: usize = 46;
    let mut flows: BTreeMap<&str, Vec<&Flow>> =
        network.zones.keys().map(|zone| (zone.as_str(), vec![])).collect();
    for flow in &network.flows {
        flows.entry(&flow.zone).or_default().push(flow);
    }
    let mut y = 4;
    let mut inner = String::new();
    for (zone, flows) in &flows {
        let height = (flows.len().max(1) * ROW + 18).max(64);
        let interfaces =
            network.zones.get(*zone).map(|facts| facts.interfaces.join(", ")).unwrap_or_default();
        let _ = write!(
            inner,
            "<rect class=\"box\" x=\"4\" y=\"{y}\" width=\"112\" height=\"{height}\" rx=\"10\"/>\
             <text class=\"t\" x=\"16\" y=\"{}\">{}</text><text class=\"s\" x=\"16\" y=\"{}\">{}</text>",
            y + 28,
            e(&cut(zone, 13)),
            y + 46,
            e(&cut(&interfaces, 15)),
        );
        for (index, flow) in flows.iter().enumerate() {
            let at = y + 4 + index * ROW + 27;
            let head = if flow.direction == "in" {
                format!("M284 {}l8 5-8 5z", at - 5)
            } else {
                format!("M128 {}l-8 5 8 5z", at - 5)
            };
            let _ = write!(
                inner,
                "<path class=\"arrow\" d=\"M122 {at}H290\"/><path class=\"head\" d=\"{head}\"/>\
                 <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">{}</text>\
                 <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                at - 6,
                e(&cut(&format!("{} {}/{}", flow.service, flow.transport, flow.port), 26)),
                at + 15,
                e(&cut(&flow.rate, 26)),
            );
        }
        if flows.is_empty() {
            let at = y + height / 2;
            let _ = write!(
                inner,
                "<path class=\"arrow\" stroke-dasharray=\"3 4\" d=\"M122 {at}H290\"/>\
                 <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">no flow allowed</text>",
                at - 6
            );
        }
        y += height + 12;
    }
    let bottom = y - 12;
    let middle = (4 + bottom) / 2;
    format!(
        "<svg viewBox=\"0 0 400 {}\" role=\"img\" aria-label=\"{} zones and {} allowed flows; all else is denied\">{inner}\
         <rect class=\"soft\" x=\"296\" y=\"4\" width=\"100\" height=\"{}\" rx=\"10\"/>\
         <text class=\"d\" x=\"346\" y=\"{middle}\" text-anchor=\"middle\">{}</text>\
         <text class=\"s\" x=\"346\" y=\"{}\" text-anchor=\"middle\">default deny</text></svg>",
        bottom + 4,
        network.zones.len(),
        network.flows.len(),
        bottom - 4,
        e(&cut(device, 13)),
        middle + 18,
    )
}
