//! The picture of the chain of trust; that of the zones is in [`super::network`].
//!
//! Drawn 400 units wide, so that their text is readable on a phone without scaling.

use std::fmt::Write as _;

use record::Verdict;

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
