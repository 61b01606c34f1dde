//! Diagnostics as SARIF 2.1.0, for code review tools.
//!
//! Source: OASIS Static Analysis Results Interchange Format 2.1.0, clauses 3.13 (log),
//! 3.27 (result) and 3.29 (physical location).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{Diagnostic, Severity};

/// A SARIF log with one run that holds the diagnostics.
#[must_use]
pub fn to_sarif(diagnostics: &[Diagnostic], version: &str) -> Value {
    let rules: BTreeSet<&str> = diagnostics.iter().map(|d| d.code.as_str()).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fastness",
                "version": version,
                "rules": rules.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(),
            }},
            "results": diagnostics.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(diagnostic: &Diagnostic) -> Value {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = match &diagnostic.hint {
        Some(hint) => format!("{}. Hint: {hint}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut value = json!({"ruleId": diagnostic.code, "level": level, "message": {"text": text}});
    if let Some(at) = &diagnostic.location {
        value["locations"] = json!([{"physicalLocation": {
            "artifactLocation": {"uri": at.file},
            "region": {"startLine": at.line, "startColumn": at.column, "endColumn": at.column + at.length},
        }}]);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    #[test]
    fn a_diagnostic_becomes_a_result_with_its_region() {
        let diagnostic = Diagnostic::error("wrong-type", "expected a port").at(Location {
            file: "product.yaml".into(),
            line: 3,
            column: 7,
            length: 4,
            excerpt: String::new(),
        });
        let log = to_sarif(&[diagnostic], "0.1.0");
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "wrong-type");
        assert_eq!(result["locations"][0]["physicalLocation"]["region"]["endColumn"], 11);
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "wrong-type");
    }
}
