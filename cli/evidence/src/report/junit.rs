//! JUnit XML: one test suite a stage, one test case a finding.

use std::fmt::Write as _;

use record::{Finding, Verdict};

use super::Report;

/// The report as JUnit XML. Waived, not applicable and open findings are `skipped`, with the reason.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = |findings: &[&Finding], verdicts: &[Verdict]| {
        findings.iter().filter(|finding| verdicts.contains(&finding.verdict)).count()
    };
    let skipped = [Verdict::Waived, Verdict::NotApplicable, Verdict::NeedsOperator];
    let all: Vec<&Finding> = report.findings.iter().collect();
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        escape(&report.device.product),
        all.len(),
        count(&all, &[Verdict::Fail]),
        count(&all, &[Verdict::CouldNotRun]),
        count(&all, &skipped),
    );
    for (stage, name) in super::STAGES {
        let findings: Vec<&Finding> = all.iter().copied().filter(|finding| finding.stage == stage).collect();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            findings.len(),
            count(&findings, &[Verdict::Fail]),
            count(&findings, &[Verdict::CouldNotRun]),
            count(&findings, &skipped),
        );
        for finding in findings {
            case(&mut out, finding);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, finding: &Finding) {
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\"",
        escape(&finding.layer),
        escape(&format!("{}: {}", finding.check, finding.title)),
        escape(&finding.defined_at),
    );
    let text = format!(
        "expected: {}\nseen: {}\nin: {}\nrequirements: {}",
        finding.expected,
        finding.seen,
        finding.artefact_sha256,
        finding.requirements.join(", ")
    );
    let seen = escape(&finding.seen);
    let inner = match finding.verdict {
        Verdict::Pass => format!("<system-out>{}</system-out>", escape(&text)),
        Verdict::Fail => format!("<failure message=\"{seen}\">{}</failure>", escape(&text)),
        Verdict::CouldNotRun => format!("<error message=\"could not run: {seen}\">{}</error>", escape(&text)),
        Verdict::Waived => {
            format!(
                "<skipped message=\"waived: {}\"/>",
                escape(finding.waiver.as_deref().unwrap_or_default())
            )
        }
        Verdict::NotApplicable => format!("<skipped message=\"not applicable: {seen}\"/>"),
        Verdict::NeedsOperator => format!("<skipped message=\"needs the operator: {seen}\"/>"),
    };
    let _ = writeln!(out, ">{inner}</testcase>");
}

/// XML 1.0 text: control characters are not allowed at all, so that they are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn failures_and_errors_are_told_apart_and_escaped() {
        let mut input = sample::input();
        input.findings[0].verdict = Verdict::Fail;
        input.findings[0].seen = "a<b> & \"c\" \x07".into();
        input.findings[1].verdict = Verdict::CouldNotRun;
        let xml = render(&Report::new(input).unwrap());
        assert!(xml.contains("failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"a&lt;b&gt; &amp; &quot;c&quot; \u{fffd}\">"), "{xml}");
        assert!(xml.contains("<error message=\"could not run: "), "{xml}");
        assert!(xml.contains("<skipped message=\"waived: "), "{xml}");
        assert_eq!(xml.matches("<testcase ").count(), xml.matches("</testcase>").count());
    }
}
