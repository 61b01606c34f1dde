//! Findings that do not hold as SARIF, through `diag`.

use diag::{Diagnostic, Location};
use record::{Finding, Verdict};
use serde_json::Value;

use super::Report;

/// Findings that fail, could not run or are waived, as diagnostics at their definition.
#[must_use]
pub fn diagnostics(report: &Report) -> Vec<Diagnostic> {
    report.findings.iter().filter_map(diagnostic).collect()
}

/// The report as a SARIF 2.1.0 log.
#[must_use]
pub fn render(report: &Report) -> Value {
    diag::to_sarif(&diagnostics(report), env!("CARGO_PKG_VERSION"))
}

fn diagnostic(finding: &Finding) -> Option<Diagnostic> {
    let made = match finding.verdict {
        Verdict::Fail => Diagnostic::error(
            &finding.check,
            format!("{}: expected {}; seen {}", finding.title, finding.expected, finding.seen),
        ),
        Verdict::CouldNotRun => {
            Diagnostic::error(&finding.check, format!("{}: could not run: {}", finding.title, finding.seen))
        }
        Verdict::Waived => Diagnostic::warning(
            &finding.check,
            format!(
                "{}: does not hold ({}), waived: {}",
                finding.title,
                finding.seen,
                finding.waiver.as_deref().unwrap_or_default()
            ),
        ),
        Verdict::Pass | Verdict::NotApplicable | Verdict::NeedsOperator => return None,
    };
    let at = finding.defined_at.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    Some(match at {
        Some((file, line)) => {
            made.at(Location { file: file.to_owned(), line, column: 1, length: 1, excerpt: String::new() })
        }
        None => made,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_failure_points_at_its_definition_and_a_pass_is_not_reported() {
        let mut input = sample::input();
        input.findings[0].verdict = Verdict::Fail;
        let check = input.findings[0].check.clone();
        let log = render(&Report::new(input).unwrap());
        let results = log["runs"][0]["results"].as_array().unwrap();
        let result = results.iter().find(|result| result["ruleId"] == check.as_str()).unwrap();
        assert_eq!(result["level"], "error");
        assert!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string());
        let levels: Vec<&str> = results.iter().filter_map(|result| result["level"].as_str()).collect();
        assert_eq!(levels.iter().filter(|level| **level == "error").count(), 1, "{levels:?}");
    }
}
