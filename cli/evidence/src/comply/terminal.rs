//! The requirements for a terminal.

use std::fmt::Write as _;

use super::{Compliance, Requirement};
use crate::report::verdict_words;
use crate::requirements::{Claim, Status};

/// Columns of a terminal.
const WIDTH: usize = 100;
/// Statuses, the worst first.
const ORDER: [Status; 5] =
    [Status::NotMet, Status::NoEvidence, Status::Partial, Status::Manual, Status::AutomatedMet];

/// What an image can claim, in words.
#[must_use]
pub fn claim_words(claim: Claim) -> &'static str {
    match claim {
        Claim::Full => "the image alone can meet it",
        Claim::Partial => "the image meets the platform's share",
        Claim::Supporting => "the image offers mechanisms",
        Claim::None => "no image can claim it",
    }
}

/// The summary; with `all`, also what is met and what does not apply.
#[must_use]
pub fn render(compliance: &Compliance, all: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}\n{}, {}, target level {}\n",
        compliance.device, compliance.standard, compliance.component_type, compliance.level
    );
    for name in &compliance.of_other_images {
        let said = crate::report::of_other_image(name);
        let _ = writeln!(out, "{}\n", wrapped(&said, WIDTH).join("\n"));
    }
    let _ = writeln!(out, "level  selected  not met  no evidence  in part  manual  met");
    for level in &compliance.levels {
        let of = |status: Status| level.by_status.get(&status).copied().unwrap_or_default();
        let [a, b, c, d, e] = ORDER.map(of);
        let mark = if level.level == compliance.level { " <" } else { "" };
        let _ =
            writeln!(out, "{:>5}{:>10}{a:>9}{b:>13}{c:>9}{d:>8}{e:>5}{mark}", level.level, level.selected);
    }
    for status in ORDER {
        if status == Status::AutomatedMet && !all {
            continue;
        }
        let of: Vec<&Requirement> =
            compliance.applying().filter(|(_, found)| *found == status).map(|(item, _)| item).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{} ({})", status.words(), of.len());
        for item in of {
            row(&mut out, &item.id, &item.title, &item.why);
        }
    }
    if all {
        let not: Vec<&Requirement> = compliance.requirements.iter().filter(|item| !item.applies).collect();
        let _ = writeln!(out, "\ndo not apply ({})", not.len());
        for item in not {
            row(&mut out, &item.id, &item.title, &item.why_applies);
        }
    } else {
        let _ = writeln!(out, "\n`--all` lists the others, `--show ID` tells everything of one");
    }
    let _ = writeln!(out, "\n{}", wrapped(&compliance.disclaimer, WIDTH).join("\n"));
    // What was seen in an image gets to a terminal here.
    diag::clean(&out)
}

/// Everything of one requirement.
#[must_use]
pub fn render_one(item: &Requirement) -> String {
    let mut out = String::new();
    let status = item.status.map_or("does not apply", Status::words);
    let _ = writeln!(
        out,
        "{}  {}\n{status}: {}",
        item.id,
        item.title,
        if item.applies { &item.why } else { &item.why_applies }
    );
    if item.applies {
        let _ = writeln!(out, "applies: {}", item.why_applies);
    }
    let _ = writeln!(out, "\n{}", wrapped(&item.paraphrase, WIDTH).join("\n"));
    let clause = if item.clause.is_empty() { String::new() } else { format!(" (clause {})", item.clause) };
    let _ = writeln!(out, "claim{clause}: {}; {}", claim_words(item.claim), item.left_to);
    if !item.evidence.is_empty() {
        let _ = writeln!(out, "\nevidence");
        for shown in &item.evidence {
            let _ = writeln!(
                out,
                "  {:<8} {:<9} {:<28} {}",
                verdict_words(shown.verdict),
                shown.kind,
                shown.check,
                if shown.by_product {
                    format!("{} (the product's own check)", shown.defined_at)
                } else {
                    shown.defined_at.clone()
                }
            );
        }
    }
    let unshown: Vec<String> = item
        .not_shown
        .iter()
        .map(|check| format!("{} ({}): {}", check.check, check.kind, check.what))
        .collect();
    let left: Vec<String> = item.out_of_image.iter().map(ToString::to_string).collect();
    let provided: Vec<String> = item.provided_by.iter().map(super::provided_words).collect();
    let references: Vec<String> =
        item.references.iter().map(|(framework, ids)| format!("{framework}: {}", ids.join(", "))).collect();
    for (title, lines) in [
        ("provided in this product by", &provided),
        ("not shown in this run", &unshown),
        ("no image can show, and who has to", &left),
        ("means on Linux", &item.means),
        ("what to do", &item.advice),
        ("like requirements", &references),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
            for line in lines {
                for (index, part) in wrapped(line, WIDTH - 4).into_iter().enumerate() {
                    let _ = writeln!(out, "{}{part}", if index == 0 { "  - " } else { "    " });
                }
            }
        }
    }
    diag::clean(&out)
}

fn row(out: &mut String, id: &str, title: &str, why: &str) {
    let _ = writeln!(out, "  {id:<14} {title}");
    for part in wrapped(why, WIDTH - 17) {
        let _ = writeln!(out, "{:17}{part}", "");
    }
}

/// Text in lines of at most `width` characters; a longer word stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comply::tests::made;

    #[test]
    fn the_summary_marks_the_target_and_never_calls_manual_met() {
        let text = render(&made(2), false);
        assert!(text.contains("    2        67") && text.lines().any(|line| line.ends_with(" <")), "{text}");
        assert!(!text.contains("\nmet, shown by automated checks"), "{text}");
        assert!(text.contains("not a statement of conformity"), "{text}");
        let all = render(&made(2), true);
        assert!(all.contains("do not apply (70)"), "{all}");
        for line in all.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn one_requirement_is_told_with_evidence_and_like_ones() {
        let made = made(2);
        let item = made.requirements.iter().find(|item| item.id == "CR 1.2").unwrap();
        let text = render_one(item);
        for part in [
            "CR 1.2  Software process",
            "means on Linux",
            "etsi_en_303_645: 5.4-2, 5.5-4",
            "no image can show",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn nothing_that_was_seen_in_an_image_steers_the_terminal() {
        let mut made = made(2);
        let item = made.requirements.iter_mut().find(|item| !item.evidence.is_empty()).unwrap();
        let hostile = "\u{1b}[2J\u{202e}\u{9b}31m";
        item.advice.push(format!("mend `x`: seen {hostile}"));
        item.why.push_str(hostile);
        item.title.push_str(hostile);
        item.evidence[0].defined_at.push_str(hostile);
        let one = render_one(item);
        let item = made.requirements.iter_mut().find(|item| item.status == Some(Status::Partial)).unwrap();
        item.why.push_str(hostile);
        for text in [one, render(&made, true)] {
            assert!(text.contains("\u{fffd}[2J\u{fffd}\u{fffd}31m"), "{text}");
            assert!(!text.contains(|c| c != '\n' && diag::steers(c)), "{text:?}");
        }
    }
}
