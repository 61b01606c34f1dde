//! A template, in pieces that are parsed one by one, and those without a tag not at all.
//!
//! handlebars asks pest for the line of each element, and pest counts it from the beginning of the
//! text (`Position::line_col`), so that the time to parse a template grows with its square; and of
//! a script it looks at each letter for one that begins a tag. The lines of a piece are counted from
//! where it begins.

use std::ops::Range;

/// Lines of plain text that are worth a piece of their own.
const PLAIN: usize = 4;

/// Lines after which a piece with tags ends where it can.
const LINES: usize = 16;

/// A part of a template that is a template itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text; all pieces together are the template's.
    pub text: &'a str,
    /// How many lines of the template come before it.
    pub before: usize,
    /// Whether no tag is in it: what it says is its text.
    pub plain: bool,
}

/// Cuts a template between two lines of plain text that lie in no block, tag or comment: there no
/// tag takes the space around it away, so that the pieces say what the whole says.
///
/// What it reads wrongly (a tag's string with braces in it) leaves a piece with a block that does
/// not end, which handlebars does not take; the caller then parses the whole.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let Some(lines) = lines(text) else { return vec![Piece { text, before: 0, plain: false }] };
    let mut cuts = vec![0];
    let mut at = 0;
    for run in lines.chunk_by(|one, next| one.free == next.free) {
        let end = at + run.len();
        if run[0].free && run.len() >= PLAIN {
            // The lines beside a tag stay with it.
            cuts.extend([at + 1, end - 1]);
        } else if run[0].free && run.len() > 1 && at + 1 - cuts.last().copied().unwrap_or(0) >= LINES {
            cuts.push(at + 1);
        }
        at = end;
    }
    cuts.push(lines.len());
    let start = |line: usize| lines.get(line).map_or(text.len(), |line| line.bytes.start);
    cuts.windows(2)
        .map(|cut| {
            let text = &text[start(cut[0])..start(cut[1])];
            Piece { text, before: cut[0], plain: !text.contains("{{") }
        })
        .collect()
}

/// A line of a template.
struct Line {
    bytes: Range<usize>,
    /// Whether it is plain text in no block, tag or comment.
    free: bool,
}

/// The lines of a template; nothing where that cannot be said.
fn lines(text: &str) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let bytes = start..start + line.len();
        lines.push(Line { free: depth == 0 && start >= from && !line.contains("{{"), bytes: bytes.clone() });
        from = from.max(start);
        while let Some(open) = text.get(from..bytes.end).and_then(|rest| rest.find("{{")) {
            let (length, change) = tag(&text[from + open..])?;
            depth = depth.saturating_add_signed(change);
            from += open + length;
        }
        start = bytes.end;
    }
    Some(lines)
}

/// How long the tag is that `text` begins with, and what it does to the depth of blocks; nothing
/// where it does not end, or is raw (`{{{{`), whose content is no template.
fn tag(text: &str) -> Option<(usize, isize)> {
    if text.starts_with("{{{{") {
        return None;
    }
    let inside = text[2..].trim_start_matches(['~', '{']);
    // A comment of two dashes holds tags; it may end with `--~}}`, too.
    let ends: &[&str] = if inside.starts_with("!--") { &["--}}", "--~}}"] } else { &["}}"] };
    let length = ends.iter().filter_map(|end| Some(text.find(end)? + end.len())).min()?;
    let change = match inside.trim_start().chars().next() {
        Some('#') => 1,
        Some('/') => -1,
        _ => 0,
    };
    Some((length, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        (0..count).map(|n| format!("line {n}\n")).collect()
    }

    fn begins(text: &str) -> Vec<usize> {
        let pieces = pieces(text);
        let whole: String = pieces.iter().map(|piece| piece.text).collect();
        assert_eq!(whole, text, "the pieces are the template");
        for piece in &pieces {
            let at = piece.text.as_ptr() as usize - text.as_ptr() as usize;
            assert_eq!(text[..at].matches('\n').count(), piece.before, "{:?}", piece.text);
        }
        pieces.iter().map(|piece| piece.before).collect()
    }

    #[test]
    fn a_text_is_cut_where_no_tag_is_near() {
        assert_eq!(begins(""), [0]);
        assert_eq!(begins("one\n"), [0]);
        assert_eq!(begins("one\ntwo\n{{a}}\nb\nc\nd\n"), [0]);
        // The lines beside a tag stay with it, since it may take the line's end away.
        assert_eq!(begins(&format!("{}{{{{a}}}}\n{}", lines(4), lines(5))), [0, 1, 3, 6, 9]);
        // Runs too short for pieces of their own end what would become too long.
        let short = "{{a}}\nb\nc\n".repeat(8);
        assert_eq!(begins(&short), [0, 17]);
        // Not within a block, nor within a tag or comment of several lines.
        for (open, close) in [
            ("{{#if a}}", "{{/if}}"),
            ("{{~#each a}}", "{{~/each}}"),
            ("{{a", "}}"),
            ("{{!-- }}", "--}}"),
            ("{{!-- }}", "--~}}"),
        ] {
            let text = format!("{open}\n{}{close}\n{}--}}}}\n", lines(40), lines(5));
            assert_eq!(begins(&text), [0, 43, 47], "{open}");
        }
    }

    #[test]
    fn what_has_no_tag_is_plain() {
        let text = format!("{}{{{{a}}}}\n", lines(5));
        let plain: Vec<bool> = pieces(&text).iter().map(|piece| piece.plain).collect();
        assert_eq!(plain, [true, true, false]);
    }

    #[test]
    fn what_is_raw_or_does_not_end_stays_whole() {
        assert_eq!(begins(&format!("{}{{{{{{{{raw}}}}}}}}\n{}", lines(40), lines(40))), [0]);
        assert_eq!(begins(&format!("{}{{{{a\n{}", lines(40), lines(40))), [0]);
    }
}
