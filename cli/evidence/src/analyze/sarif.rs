//! An analysis as SARIF 2.1.0 (OASIS, clauses 3.13, 3.27, 3.29), one result a place, for code review tools.

use serde_json::{Value, json};

use super::model::{Analysis, Issue, Level, Place};

/// The log. Notes are left out unless `all`.
#[must_use]
pub fn render(analysis: &Analysis, all: bool) -> Value {
    let issues: Vec<&Issue> =
        analysis.issues.iter().filter(|issue| all || issue.level > Level::Note).collect();
    let rules: Vec<Value> = issues
        .iter()
        .map(|issue| {
            json!({
                "id": issue.rule,
                "shortDescription": {"text": issue.title},
                "help": {"text": issue.advice},
                "defaultConfiguration": {"level": level(issue.level)},
                "properties": {"area": issue.area.word(), "level": issue.level.word()},
            })
        })
        .collect();
    let results: Vec<Value> =
        issues.iter().flat_map(|issue| issue.places.iter().map(|place| result(issue, place))).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fastness analyze",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Note => "note",
    }
}

fn result(issue: &Issue, place: &Place) -> Value {
    let seen = if place.seen.is_empty() { String::new() } else { format!(" ({})", place.seen) };
    let text = format!("{}: {}{seen}. Hint: {}", issue.title, place.path, issue.advice);
    json!({
        "ruleId": issue.rule,
        "level": level(issue.level),
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(&place.path)}}}],
        // The same finding of the next version is the same to whoever compares two logs.
        "partialFingerprints": {"ruleAndPlace/v1": record::sha256_hex(format!("{}\0{}", issue.rule, place.path).as_bytes())},
    })
}

/// A path as a relative reference (RFC 3986): what is not unreserved or `/` is escaped.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::sample;

    #[test]
    fn each_place_is_a_result_with_its_rule_and_notes_stay_out() {
        let log = render(&sample::analysis(), false);
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0]["ruleId"], "account-empty-password");
        assert_eq!(results[0]["level"], "error");
        let uri = &results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(uri, "etc/shadow");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert!(results.iter().all(|result| rules.iter().any(|rule| rule["id"] == result["ruleId"])));
        assert_eq!(render(&sample::analysis(), true)["runs"][0]["results"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn a_path_is_escaped() {
        assert_eq!(uri("/a b/ä:%"), "a%20b/%C3%A4%3A%25");
    }
}
