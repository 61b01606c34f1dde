//! Diagnostics as text for people; readable without colour.

use crate::{Diagnostic, Location, Severity};

/// Renders one diagnostic over several lines, ending in a line feed.
///
/// `colour` adds ANSI escapes; the words are the same without them.
#[must_use]
pub fn render_human(diagnostic: &Diagnostic, colour: bool) -> String {
    let (word, paint) = match diagnostic.severity {
        Severity::Error => ("error", "\u{1b}[1;31m"),
        Severity::Warning => ("warning", "\u{1b}[1;33m"),
    };
    let (on, off, dim) = if colour { (paint, "\u{1b}[0m", "\u{1b}[2m") } else { ("", "", "") };
    let mut out = format!("{on}{word}[{}]{off}: {}\n", diagnostic.code, diagnostic.message);
    if let Some(location) = &diagnostic.location {
        push_excerpt(&mut out, location, on, dim, off);
    }
    for note in &diagnostic.notes {
        out.push_str(&format!("  note: {}\n", indent_rest(&note.message)));
        if let Some(location) = &note.location {
            push_excerpt(&mut out, location, on, dim, off);
        }
    }
    if let Some(hint) = &diagnostic.hint {
        out.push_str(&format!("  hint: {}\n", indent_rest(hint)));
    }
    out
}

fn indent_rest(text: &str) -> String {
    text.trim_end().replace('\n', "\n        ")
}

fn push_excerpt(out: &mut String, location: &Location, on: &str, dim: &str, off: &str) {
    let number = location.line.to_string();
    let margin = " ".repeat(number.len());
    out.push_str(&format!("{margin}--> {}:{}:{}\n", location.file, location.line, location.column));
    if location.excerpt.is_empty() {
        return;
    }
    // Tabs keep their width in front of the marker.
    let lead: String = location
        .excerpt
        .chars()
        .take(location.column.saturating_sub(1) as usize)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let marks = "^".repeat(location.length.max(1) as usize);
    out.push_str(&format!(
        "{dim}{margin} |{off}\n{dim}{number} |{off} {}\n{dim}{margin} |{off} {lead}{on}{marks}{off}\n",
        location.excerpt
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_marks_the_column_and_hint_follows() {
        let diagnostic = Diagnostic::error("unknown-key", "unknown key `sevices`")
            .at(Location {
                file: "product.yaml".into(),
                line: 12,
                column: 3,
                length: 7,
                excerpt: "  sevices:".into(),
            })
            .hint("did you mean `services`?");
        let text = render_human(&diagnostic, false);
        assert_eq!(
            text,
            "error[unknown-key]: unknown key `sevices`\n  --> product.yaml:12:3\n   |\n12 |   sevices:\n   |   ^^^^^^^\n  hint: did you mean `services`?\n"
        );
    }
}
