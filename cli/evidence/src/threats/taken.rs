//! The risks that a product takes, by waivers `threat:ID` and `threat:ID:ENTRY`.

use diag::{Diagnostic, ExitStatus, Failure, Outcome, did_you_mean};
use spec::plan::{Asked, Plan};
use spec::protocol::Protocols;
use spec::threats::Threats;

use super::{Status, ThreatReport, ThreatState, WAIVER, entries};

/// Whether the risks that a product takes are there, without the rest of the model.
///
/// # Errors
/// As [`ThreatReport::new`].
pub fn check(plan: &Plan, catalogue: &Threats, protocols: &Protocols) -> Outcome<()> {
    let taken: Vec<&str> = plan.waivers.keys().filter_map(|target| target.strip_prefix(WAIVER)).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let entries = entries::of(plan, protocols);
    let is_there = |taken: &str| {
        let (id, name) = taken.split_once(':').map_or((taken, None), |(id, name)| (id, Some(name)));
        let named = entries.iter().filter(|entry| name.is_none_or(|name| name == entry.name));
        catalogue
            .threats
            .iter()
            .any(|(own, threat)| own == id && named.clone().any(|entry| entry.has(threat)))
    };
    match taken.into_iter().all(is_there) {
        true => Ok(()),
        // It says what there is instead.
        false => ThreatReport::new(plan, None, catalogue, protocols).map(|_| ()),
    }
}

/// The taken risks that were not needed.
///
/// # Errors
/// `unknown-threat`, for each that there is not.
pub(super) fn not_needed(plan: &Plan, catalogue: &Threats, threats: &[ThreatState]) -> Outcome<Vec<String>> {
    let mut not_needed = Vec::new();
    let mut trouble = Vec::new();
    for (target, asked) in &plan.waivers {
        let Some(id) = target.strip_prefix(WAIVER) else { continue };
        let of: Vec<&ThreatState> =
            threats.iter().filter(|threat| threat.id == id || threat.key() == id).collect();
        if of.is_empty() {
            trouble.push(unknown(id, asked, catalogue, threats));
        } else if of.iter().all(|threat| threat.status != Status::Accepted) {
            not_needed.push(id.to_owned());
        }
    }
    if trouble.is_empty() {
        Ok(not_needed)
    } else {
        Err(Failure { status: ExitStatus::Input, diagnostics: trouble })
    }
}

fn unknown(id: &str, asked: &Asked<()>, catalogue: &Threats, threats: &[ThreatState]) -> Diagnostic {
    let by = asked.origins.first().map(|origin| format!(" ({}:{})", origin.file, origin.line));
    let by = by.unwrap_or_default();
    let message = if catalogue.threats.iter().any(|(known, _)| known == id) {
        format!("the risk `{WAIVER}{id}` is taken{by}, and the product has no entry point for that threat")
    } else {
        format!("the risk `{WAIVER}{id}` is taken{by}, and there is no such threat")
    };
    let keys: Vec<String> = threats.iter().flat_map(|t| [t.id.clone(), t.key()]).collect();
    let hint = match did_you_mean(id, keys.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{WAIVER}{near}`?"),
        None => "`fastness threats --all` lists them; take the waiver out".to_owned(),
    };
    Diagnostic::error("unknown-threat", message).hint(hint)
}
