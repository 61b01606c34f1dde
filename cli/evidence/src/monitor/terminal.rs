//! Monitoring for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Monitoring, Sandbox};

/// The summary; with `all`, also each rule and each setting with its reason.
#[must_use]
pub fn render(monitoring: &Monitoring, all: bool) -> String {
    let mut out = format!("{}\n", monitoring.image);
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in &monitoring.rules {
        *keys.entry(&rule.key).or_default() += 1;
    }
    let keys: Vec<String> = keys.iter().map(|(key, count)| format!("{count} {key}")).collect();
    let _ = writeln!(out, "\naudit rules ({}): {}", monitoring.rules.len(), keys.join(", "));
    if all {
        for rule in &monitoring.rules {
            let _ = writeln!(out, "  {}\n    {}", rule.rule, rule.why);
        }
    }
    let _ = writeln!(out, "\nprograms that may run: {}", monitoring.executables.len());
    let _ = writeln!(out, "\nservices            exposure   with the drop-in");
    for service in &monitoring.services {
        line(&mut out, service);
        if all {
            for given in &service.given {
                let _ = writeln!(out, "    + {}\n        {}", given.line, given.why);
            }
            for not in &service.not_given {
                let _ = writeln!(out, "    - {}\n        {}", not.line, not.why);
            }
        }
    }
    let _ = writeln!(out, "\nnot covered");
    for line in &monitoring.not_covered {
        let _ = writeln!(out, "  {line}");
    }
    if !all {
        let _ = writeln!(out, "\n`--all` shows each rule and each setting with its reason");
    }
    out
}

fn line(out: &mut String, service: &Sandbox) {
    let tenths = |tenths: u32| format!("{}.{}", tenths / 10, tenths % 10);
    let what = if service.left_alone.is_empty() {
        format!("{:>4}  {} settings from {} files", tenths(service.after), service.given.len(), service.files)
    } else {
        format!("   =  {}", service.left_alone)
    };
    let _ = writeln!(out, "  {:<26}{:>4}   {what}", service.unit, tenths(service.before));
}
