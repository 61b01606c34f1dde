//! `monitoring-current`: the monitoring is the one that this very image calls for.
//!
//! It was derived from an image before this one (`fastness monitor`). Derived again from this one, nothing may come of it that is not
//! there: a program that is not on the list, a file or a call without a rule, a service that could be confined further.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::audit_rules::{RULES, loaded};
use crate::monitor::{is_plain, look};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct MonitoringCurrent;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// The list of programs that may run: a SHA-256, two blanks and a path on each line.
    list: String,
}

/// How many of a kind are told one by one.
const TOLD: usize = 5;

impl Kind for MonitoringCurrent {
    const NAME: &'static str = "monitoring-current";
    const DESCRIPTION: &'static str = "`list` has every program of the image with its hash and no other, and `fastness monitor` would add no rule of \
                                       the audit and no setting of a service to what is there";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let odd = !with.list.starts_with('/');
        odd.then(|| format!("`list`: expected an absolute path, found `{}`", with.list)).into_iter().collect()
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let expected = "what `fastness monitor` derives from this image is in it";
        let Some(text) = root.read_text(&with.list)? else {
            return Ok(Conclusion::of(&[format!("`{}` is missing", with.list)], expected, "", &root.sha256));
        };
        let found = look(root, context.id)?;
        let listed: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once("  ").map(|(hash, path)| (path, hash))).collect();
        let mut problems = Vec::new();
        let mut tell = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                let more = names.len().saturating_sub(TOLD);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let first: Vec<String> = names.into_iter().take(TOLD).collect();
                problems.push(format!("{what}: {}{more}", first.join(", ")));
            }
        };
        let path = |path: &str| format!("`{path}`");
        let programs: BTreeMap<&str, &str> = found
            .executables
            .iter()
            .filter(|program| is_plain(&program.path))
            .map(|program| (program.path.as_str(), program.sha256.as_str()))
            .collect();
        let unlisted = programs.keys().filter(|program| !listed.contains_key(*program));
        tell("not on the list", unlisted.map(|program| path(program)).collect());
        let changed = programs
            .iter()
            .filter(|(program, hash)| listed.get(*program).is_some_and(|listed| listed != *hash));
        tell("of another content than the list says", changed.map(|(program, _)| path(program)).collect());
        let gone = listed.keys().filter(|program| !programs.contains_key(*program));
        tell("on the list, and not in the image", gone.map(|program| path(program)).collect());
        let odd = text.lines().filter(|line| !line.contains("  "));
        tell("no line of a list of programs", odd.map(path).collect());
        // What was derived before is derived again: what counts is whether it is loaded.
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rules: Vec<Vec<String>> = loaded(root, RULES)?.0.iter().map(|(_, line)| words(line)).collect();
        let missing = found.rules.iter().filter(|rule| !rules.contains(&words(&rule.rule)));
        tell("a rule that the audit does not have", missing.map(|rule| path(&rule.rule)).collect());
        let settings = found.services.iter().flat_map(|service| {
            service.given.iter().map(|given| format!("`{}` of `{}`", given.line, service.unit))
        });
        tell("a setting that a service could have", settings.collect());
        if !problems.is_empty() {
            problems.push("run `fastness monitor --into` again".to_owned());
        }
        let seen = format!(
            "{} programs with their hashes; no rule and no setting of {} services is missing",
            programs.len(),
            found.services.len()
        );
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}
