//! An analysis as text: the word, the areas, the worst findings first with what to do.

use std::fmt::Write as _;

use super::model::{Analysis, Issue, Level};

/// Places of one finding that are shown.
const PLACES: usize = 4;

/// The text; `all` shows notes and every place, too.
#[must_use]
pub fn render(analysis: &Analysis, all: bool, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    let _ = writeln!(out, "{}: {}", clean(&analysis.name), paint("1", &analysis.word));
    let kinds: Vec<String> = analysis
        .parts
        .iter()
        .filter(|part| part.kind != "empty" && part.kind != "packed")
        .map(|part| {
            format!("  {} is {}{}", clean(&part.at), part.kind, if part.read { "" } else { " (not read)" })
        })
        .collect();
    for line in kinds.iter().take(if all { usize::MAX } else { 12 }) {
        let _ = writeln!(out, "{line}");
    }
    if !all && kinds.len() > 12 {
        let _ = writeln!(out, "  and {} more parts", kinds.len() - 12);
    }
    out.push('\n');
    for area in &analysis.strength {
        let issues: Vec<String> = Level::ALL
            .iter()
            .rev()
            .filter_map(|level| Some(format!("{} {}", area.issues.get(level.word())?, level.word())))
            .collect();
        let _ = writeln!(
            out,
            "  {:<11} {:<8} {}: {}{}",
            area.area.word(),
            area.word,
            area.of,
            area.looked_at,
            if issues.is_empty() { String::new() } else { format!("; {}", issues.join(", ")) }
        );
    }
    let shown: Vec<&Issue> =
        analysis.issues.iter().filter(|issue| all || issue.level > Level::Note).collect();
    for issue in &shown {
        let code = match issue.level {
            Level::Critical | Level::High => "1;31",
            Level::Medium => "1;33",
            Level::Low | Level::Note => "1",
        };
        let head = format!("{}[{}]", issue.level.word(), issue.rule);
        let count =
            if issue.places.len() == 1 { String::new() } else { format!(" ({})", issue.places.len()) };
        let _ = writeln!(out, "\n{}: {}{count}", paint(code, &head), issue.title);
        let most = if all { usize::MAX } else { PLACES };
        for place in issue.places.iter().take(most) {
            let seen =
                if place.seen.is_empty() { String::new() } else { format!(": {}", clean(&place.seen)) };
            let _ = writeln!(out, "  {}{seen}", clean(&place.path));
        }
        if issue.places.len() > most {
            let _ = writeln!(out, "  and {} more", issue.places.len() - most);
        }
        let _ = writeln!(out, "  hint: {}", issue.advice);
    }
    let notes = analysis.issues.len() - shown.len();
    let _ = writeln!(
        out,
        "\n{} components, {} programs and libraries, {} accounts, {} keys and certificates, {} services{}",
        analysis.components.len(),
        analysis.programs.len(),
        analysis.accounts.len(),
        analysis.keys.len(),
        analysis.services.len(),
        if notes > 0 { format!("; {notes} notes (`--all` shows them)") } else { String::new() }
    );
    out
}

/// Text of an image without what could steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if diag::steers(c) { '\u{fffd}' } else { c }).collect()
}
