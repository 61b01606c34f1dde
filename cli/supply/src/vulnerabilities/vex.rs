//! OpenVEX 0.2: statements of the maker about vulnerabilities, in and out.

use diag::{ExitStatus, Failure, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{State, Vulnerabilities};
use crate::cyclonedx::SPACE;

/// Justifications of OpenVEX for `not_affected`.
const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// Applies a document's statements; returns those that speak of nothing that was found.
///
/// # Errors
/// When it is no OpenVEX, or a statement says `not_affected` without a justification or an impact statement.
pub fn apply(found: &mut Vulnerabilities, name: &str, bytes: &[u8]) -> Outcome<Vec<String>> {
    let wrong = |why: String| {
        Failure::error(ExitStatus::Input, "no-vex", format!("`{name}` is no OpenVEX document: {why}"))
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|e| wrong(format!("expected JSON: {e}")))?;
    let context = value.get("@context").and_then(Value::as_str).unwrap_or_default();
    if !context.starts_with("https://openvex.dev/ns") {
        return Err(wrong(format!("expected the `@context` of OpenVEX, found `{}`", context.escape_debug())));
    }
    let statements = value
        .get("statements")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("it has no `statements`".to_owned()))?;
    let mut unused = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let at = format!("statement {}", index + 1);
        let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = if text("/vulnerability/name").is_empty() {
            text("/vulnerability")
        } else {
            text("/vulnerability/name")
        };
        let (state, why) = match text("/status") {
            "not_affected" => {
                let (justification, impact) = (text("/justification"), text("/impact_statement"));
                if justification.is_empty() && impact.is_empty() {
                    return Err(wrong(format!("{at} says `not_affected` of `{id}` and not why")));
                }
                if !justification.is_empty() && !JUSTIFICATIONS.contains(&justification) {
                    return Err(wrong(format!(
                        "{at} has the unknown justification `{}`",
                        justification.escape_debug()
                    )));
                }
                let why = [justification, impact]
                    .into_iter()
                    .filter(|t| !t.is_empty())
                    .collect::<Vec<_>>()
                    .join(": ");
                (State::NotAffected, why)
            }
            "fixed" => (State::Fixed, text("/status_notes").to_owned()),
            "under_investigation" => (State::UnderInvestigation, text("/status_notes").to_owned()),
            "affected" => (State::Affected, text("/action_statement").to_owned()),
            other => return Err(wrong(format!("{at} has the unknown status `{}`", other.escape_debug()))),
        };
        let products: Vec<&str> =
            statement.get("products").and_then(Value::as_array).into_iter().flatten().flat_map(ids).collect();
        let mut used = false;
        for one in found.found.iter_mut().filter(|one| one.id == id) {
            // A statement without products is about the document's, which is the device.
            if products.is_empty() || products.iter().any(|product| speaks_of(product, &one.purl)) {
                (one.state, one.why, used) = (state, why.clone(), true);
            }
        }
        if !used {
            unused.push(format!("{at}: `{id}`"));
        }
    }
    Ok(unused)
}

/// A product and its parts.
fn ids(product: &Value) -> Vec<&str> {
    let parts = product.get("subcomponents").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(product).chain(parts).filter_map(|value| value.get("@id")?.as_str()).collect()
}

/// A package URL without version and qualifiers speaks of every version.
fn speaks_of(product: &str, purl: &str) -> bool {
    let bare = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let (product, purl) = (bare(product), bare(purl));
    product == purl || (!product.contains('@') && purl.split('@').next() == Some(product.as_str()))
}

/// The state in OpenVEX's words, which has none for what a database does not decide.
fn status(state: State) -> Value {
    json!(if state == State::Undecided { State::UnderInvestigation } else { state })
}

/// A document that says of everything found what is known of it. `when` is its date as RFC 3339.
#[must_use]
pub fn document(found: &Vulnerabilities, author: &str, when: &str) -> Value {
    let id = Uuid::new_v5(&SPACE, format!("vex {} {}", found.product, found.disk_sha256).as_bytes());
    let statements: Vec<Value> = found
        .found
        .iter()
        .map(|one| {
            let mut statement = json!({
                "vulnerability": {"name": one.id},
                "products": [{"@id": one.purl}],
                "status": status(one.state),
            });
            match one.state {
                State::NotAffected => {
                    let (first, rest) = one.why.split_once(": ").unwrap_or((one.why.as_str(), ""));
                    if JUSTIFICATIONS.contains(&first) {
                        statement["justification"] = first.into();
                        if !rest.is_empty() {
                            statement["impact_statement"] = rest.into();
                        }
                    } else {
                        statement["impact_statement"] = one.why.clone().into();
                    }
                }
                State::Affected => {
                    let action = match &one.fixed_in {
                        Some(version) => format!("update to {version}"),
                        None => "no fixed version is known".to_owned(),
                    };
                    statement["action_statement"] =
                        if one.why.is_empty() { action } else { one.why.clone() }.into();
                }
                State::Undecided | State::UnderInvestigation | State::Fixed if !one.why.is_empty() => {
                    statement["status_notes"] = one.why.clone().into();
                }
                State::Undecided | State::UnderInvestigation | State::Fixed => {}
            }
            statement
        })
        .collect();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:uuid:{id}"),
        "author": author,
        "timestamp": when,
        "version": 1,
        "tooling": concat!("fastness ", env!("CARGO_PKG_VERSION")),
        "statements": statements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vulnerabilities::{Found, Severity};

    fn found() -> Vulnerabilities {
        let one = |id: &str, purl: &str| Found {
            id: id.to_owned(),
            purl: purl.to_owned(),
            component: "x 1".to_owned(),
            fixed_in: Some("2".to_owned()),
            severity: Severity::High,
            what: String::new(),
            database: "db".to_owned(),
            state: State::Affected,
            why: String::new(),
        };
        Vulnerabilities {
            schema_version: 1,
            product: "gw 1".to_owned(),
            disk_sha256: "a".repeat(64),
            databases: std::collections::BTreeMap::new(),
            found: vec![one("CVE-1", "pkg:deb/debian/a@1?arch=arm64"), one("CVE-2", "pkg:generic/b@1")],
            not_looked_at: vec![],
        }
    }

    fn vex(statement: &str) -> String {
        format!("{{\"@context\": \"https://openvex.dev/ns/v0.2.0\", \"statements\": [{statement}]}}")
    }

    #[test]
    fn a_statement_closes_what_it_speaks_of_and_nothing_else() {
        let mut all = found();
        let text = vex(
            r#"{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": "pkg:deb/debian/a"}], "status": "not_affected", "justification": "vulnerable_code_not_present"}"#,
        );
        assert!(apply(&mut all, "v", text.as_bytes()).unwrap().is_empty());
        assert_eq!((all.found[0].state, all.found[1].state), (State::NotAffected, State::Affected));
        assert_eq!(all.open(Severity::Unknown), 1);
        let text = vex(
            r#"{"vulnerability": {"name": "CVE-2"}, "products": [{"@id": "pkg:generic/b@9"}], "status": "fixed"}"#,
        );
        assert_eq!(apply(&mut all, "v", text.as_bytes()).unwrap(), ["statement 1: `CVE-2`"]);
        assert_eq!(all.found[1].state, State::Affected);
    }

    #[test]
    fn statements_that_say_nothing_are_refused() {
        for (text, expected) in [
            ("{".to_owned(), "expected JSON"),
            ("{\"statements\": []}".to_owned(), "expected the `@context` of OpenVEX"),
            (vex(r#"{"vulnerability": {"name": "CVE-1"}, "status": "not_affected"}"#), "and not why"),
            (
                vex(
                    r#"{"vulnerability": {"name": "CVE-1"}, "status": "not_affected", "justification": "trust_me"}"#,
                ),
                "unknown justification `trust_me`",
            ),
            (vex(r#"{"vulnerability": {"name": "CVE-1"}, "status": "fine"}"#), "unknown status `fine`"),
        ] {
            let failure = apply(&mut found(), "v", text.as_bytes()).unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }

    #[test]
    fn what_is_written_reads_back_to_the_same_states() {
        let mut all = found();
        let text = vex(
            r#"{"vulnerability": {"name": "CVE-1"}, "status": "not_affected", "justification": "component_not_present", "impact_statement": "left out"}"#,
        );
        apply(&mut all, "v", text.as_bytes()).unwrap();
        let written = document(&all, "maker", "2026-11-24T00:00:00Z").to_string();
        let mut again = found();
        assert!(apply(&mut again, "w", written.as_bytes()).unwrap().is_empty());
        let states = |all: &Vulnerabilities| {
            all.found.iter().map(|one| (one.state, one.why.clone())).collect::<Vec<_>>()
        };
        assert_eq!(states(&again)[0], states(&all)[0]);
        assert_eq!(again.found[1].why, "update to 2");
    }
}
