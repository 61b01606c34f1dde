//! Facts and comparisons for a terminal: grouped, short, no control characters.

use std::fmt::Write as _;

use super::compare::{Comparison, Difference, Explained};
use super::explain::ABSENT;
use super::{AreaFacts, Facts, areas};

/// Differences of one area that are shown; `--json` has all.
const SHOWN: usize = 20;
const WIDTH: usize = 100;

/// The comparison.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut out = String::new();
    let (before, after) = (&comparison.before, &comparison.after);
    for (sign, side) in [("-", before), ("+", after)] {
        let _ = writeln!(out, "{sign} {} ({})", clean(&side.name), side.kind);
    }
    out.push('\n');
    unexplained(comparison, &mut out);
    explained(&comparison.explained, &mut out);
    if !comparison.not_compared.is_empty() {
        let areas: Vec<&str> = comparison.not_compared.iter().map(|area| area.area).collect();
        let _ = writeln!(out, "not compared, as neither has it: {}", areas.join(", "));
    }
    if !comparison.unused.is_empty() && !comparison.same {
        let _ = writeln!(out, "explanations that nothing needed ({})", comparison.unused.len());
        for unused in &comparison.unused {
            let _ = writeln!(out, "    {}  {}", clipped(&unused.what, 60), unused.by);
        }
    }
    out.push_str(&headline(comparison));
    out
}

fn headline(comparison: &Comparison) -> String {
    let facts: usize = comparison.compared.iter().map(|count| count.facts).sum();
    let areas = comparison.compared.len();
    let (open, explained) = (comparison.unexplained.len(), comparison.explained.len());
    match (comparison.same, comparison.holds) {
        (true, _) => format!("THE SAME  {facts} facts in {areas} areas\n"),
        (_, true) if explained == 0 => {
            format!("HOLDS  {facts} facts in {areas} areas are the same, some under another name\n")
        }
        (_, true) => format!("HOLDS  {explained} of {facts} facts in {areas} areas differ, each explained\n"),
        _ if facts == 0 => "DOES NOT HOLD  nothing could be compared\n".to_owned(),
        _ => {
            format!("DOES NOT HOLD  {open} of {facts} facts in {areas} areas differ without an explanation\n")
        }
    }
}

fn unexplained(comparison: &Comparison, out: &mut String) {
    for area in areas() {
        let of_area: Vec<&Difference> =
            comparison.unexplained.iter().filter(|difference| difference.area == area.as_str()).collect();
        if of_area.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}  {} without an explanation", area.as_str(), of_area.len());
        for difference in of_area.iter().take(SHOWN) {
            let _ = writeln!(out, "    {}", clipped(&difference.fact, WIDTH - 4));
            for (sign, value) in [("-", &difference.before), ("+", &difference.after)] {
                let value = value.as_deref().unwrap_or(ABSENT);
                let _ = writeln!(out, "      {sign} {}", clipped(value, WIDTH - 8));
            }
        }
        if of_area.len() > SHOWN {
            let _ = writeln!(out, "    and {} more; `--json` has all", of_area.len() - SHOWN);
        }
        out.push('\n');
    }
}

/// One line for each reason, however many facts it explains.
fn explained(all: &[Explained], out: &mut String) {
    let mut lines: Vec<(&str, &str, &str, usize)> = Vec::new();
    for one in all {
        match lines.iter_mut().find(|(area, by, ..)| *area == one.difference.area && *by == one.by) {
            Some((.., count)) => *count += 1,
            None => lines.push((one.difference.area, &one.by, &one.reason, 1)),
        }
    }
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "explained ({})", all.len());
    for (area, by, reason, count) in lines {
        let _ = writeln!(out, "    {area} {count}: {} ({by})", clean(reason));
    }
}

/// All facts of one image.
#[must_use]
pub fn facts(facts: &Facts) -> String {
    let mut out = format!("{} ({})\n", clean(&facts.name), facts.kind);
    for area in areas() {
        match facts.areas.get(area.as_str()) {
            Some(AreaFacts::Read { facts }) => {
                let _ = writeln!(out, "\n{}  {}", area.as_str(), facts.len());
                for (name, value) in facts {
                    let _ = writeln!(out, "    {}  {}", clean(name), clean(value));
                }
            }
            Some(AreaFacts::NotApplicable { why }) => {
                let _ = writeln!(out, "\n{}  none: {}", area.as_str(), clean(why));
            }
            Some(AreaFacts::NotRead { why }) => {
                let _ = writeln!(out, "\n{}  NOT READ: {}", area.as_str(), clean(why));
            }
            None => {}
        }
    }
    out
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if diag::steers(c) { '\u{fffd}' } else { c }).collect()
}

fn clipped(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
