//! The requirements as CSV (RFC 4180), one line each, for spreadsheets.

use super::Compliance;

/// Columns, in order.
const COLUMNS: [&str; 18] = [
    "id",
    "title",
    "clause",
    "foundation",
    "applies",
    "why",
    "claim",
    "status",
    "because",
    "passed",
    "not passed",
    "not looked at",
    "left to",
    "no image can show",
    "provided by",
    "references",
    "checks are defined at",
    "what to do",
];

/// The lines, with a heading; a byte order mark is not written.
#[must_use]
pub fn render(compliance: &Compliance) -> String {
    let mut out = COLUMNS.map(field).join(",") + "\r\n";
    for item in &compliance.requirements {
        let checks = |passed: bool| {
            let of = item.evidence.iter().filter(|shown| (shown.verdict == record::Verdict::Pass) == passed);
            of.map(|shown| shown.check.as_str()).collect::<Vec<_>>().join(" ")
        };
        let references: Vec<String> = item
            .references
            .iter()
            .map(|(framework, ids)| format!("{framework}: {}", ids.join(" ")))
            .collect();
        let places = item.evidence.iter().filter(|shown| !shown.defined_at.is_empty());
        let places: Vec<String> =
            places.map(|shown| format!("{} {}", shown.check, shown.defined_at)).collect();
        let unshown: Vec<&str> = item.not_shown.iter().map(|check| check.check.as_str()).collect();
        let values = [
            item.id.clone(),
            item.title.clone(),
            item.clause.clone(),
            item.foundation.to_string(),
            if item.applies { "yes" } else { "no" }.to_owned(),
            item.why_applies.clone(),
            super::terminal::claim_words(item.claim).to_owned(),
            item.status.map_or("", crate::requirements::Status::words).to_owned(),
            item.why.clone(),
            checks(true),
            checks(false),
            unshown.join(" "),
            item.left_to.clone(),
            item.out_of_image.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            item.provided_by.iter().map(super::provided_words).collect::<Vec<_>>().join("; "),
            references.join("; "),
            places.join("; "),
            item.advice.join("; "),
        ];
        out.push_str(&values.iter().map(|value| field(value)).collect::<Vec<_>>().join(","));
        out.push_str("\r\n");
    }
    out
}

/// A field in quotes. One that a spreadsheet would take for a formula gets an apostrophe before it:
/// what was seen in an image must not run on the desk of its reader (OWASP, CSV injection).
fn field(text: &str) -> String {
    let text: String = text.chars().map(|c| if diag::steers(c) { ' ' } else { c }).collect();
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_requirement_and_as_many_fields_in_each() {
        let text = render(&crate::comply::tests::made(2));
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 138);
        for line in lines {
            assert_eq!(line.matches("\",\"").count(), COLUMNS.len() - 1, "{line}");
        }
    }

    #[test]
    fn quotes_are_doubled_and_formulas_are_text() {
        assert_eq!(field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(field("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(field("a\nb"), "\"a b\"");
    }
}
