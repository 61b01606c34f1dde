//! Which of the rules that fit a system call is the one that its record names.
//!
//! Source: Linux `kernel/auditsc.c`: of all rules that fit, the one that was loaded first gives the record its
//! key. A rule behind a wider one never shows, though auditctl loads it.

use std::collections::BTreeSet;

/// Problems of the order: rules that can never be named, and keys in `last` with a rule of another key behind them.
pub(super) fn problems(lines: &[(String, String)], last: &[String]) -> Vec<String> {
    let rules: Vec<(&str, Rule)> =
        lines.iter().filter_map(|(at, line)| Some((at.as_str(), Rule::of(line)?))).collect();
    let mut out = Vec::new();
    for (index, (at, rule)) in rules.iter().enumerate() {
        let wider = rules[..index].iter().find(|(_, first)| first.key != rule.key && first.covers(rule));
        if let Some((first_at, first)) = wider {
            out.push(format!(
                "{at}: no record ever has the key `{}`: `{first_at}` with the key `{}` fits whatever this rule fits",
                rule.key, first.key
            ));
        }
        let behind = |key: &String| *key == rule.key;
        if last.iter().any(behind) {
            continue;
        }
        if let Some((first_at, first)) = rules[..index].iter().find(|(_, first)| last.contains(&first.key)) {
            out.push(format!(
                "{at}: the key `{}` stands behind `{}` of `{first_at}`, which is to be among the last",
                rule.key, first.key
            ));
        }
    }
    out
}

/// The key of the first of these rules that fits whatever `rule` fits, so that no record would name `rule` behind them.
pub(crate) fn hidden_by(lines: &[(String, String)], rule: &str) -> Option<String> {
    let rule = Rule::of(rule)?;
    lines
        .iter()
        .filter_map(|(_, line)| Rule::of(line))
        .find(|first| first.covers(&rule))
        .map(|first| first.key)
}

/// A rule that records, on the list of system calls' exits.
struct Rule {
    key: String,
    /// None: all.
    calls: Option<BTreeSet<String>>,
    /// Comparisons but for the key.
    fields: Vec<String>,
}

impl Rule {
    fn of(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let of = |option: &'static str| {
            words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1].to_owned())
        };
        let list = of("-a").next()?;
        let parts: BTreeSet<&str> = list.split(',').collect();
        if parts != BTreeSet::from(["always", "exit"]) {
            return None;
        }
        let calls: BTreeSet<String> =
            of("-S").flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
        let (keys, fields): (Vec<String>, Vec<String>) =
            of("-F").partition(|field| field.starts_with("key="));
        let key = of("-k").next().or_else(|| keys.first().map(|key| key["key=".len()..].to_owned()))?;
        let all = calls.is_empty() || calls.contains("all");
        Some(Self { key, calls: (!all).then_some(calls), fields: [fields, of("-C").collect()].concat() })
    }

    /// Whether this rule fits whatever the other one fits.
    fn covers(&self, other: &Self) -> bool {
        let calls = match (&self.calls, &other.calls) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => others.is_subset(own),
        };
        calls && self.fields.iter().all(|own| other.fields.iter().any(|theirs| follows(own, theirs)))
    }
}

/// Whether a comparison holds wherever another one does.
fn follows(wide: &str, narrow: &str) -> bool {
    let ((name, value), (other, held)) = match (wide.split_once('='), narrow.split_once('=')) {
        (Some(wide), Some(narrow)) => (wide, narrow),
        _ => return wide == narrow,
    };
    match (name, other) {
        ("dir", "dir" | "path") => {
            let below = held.strip_prefix(value.trim_end_matches('/'));
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        ("perm", "perm") => held.chars().all(|letter| value.contains(letter)),
        _ => wide == narrow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &[&str], last: &[&str]) -> Vec<String> {
        let lines: Vec<(String, String)> = rules
            .iter()
            .enumerate()
            .map(|(at, rule)| (format!("r:{}", at + 1), (*rule).to_owned()))
            .collect();
        let last: Vec<String> = last.iter().map(|key| (*key).to_owned()).collect();
        problems(&lines, &last)
    }

    const KEYS: &str = "-a always,exit -F dir=/var/lib/keys -F perm=wa -F key=identity";
    const SSH: &str = "-a always,exit -F dir=/var/lib/keys/ssh -F perm=w -F key=sshd";
    const ROOT: &str = "-a always,exit -F arch=b64 -S execve -S execveat -F euid=0 -k privilege";
    const SYSTEMCTL: &str = "-a always,exit -F arch=b64 -F path=/usr/bin/systemctl -F perm=x -F key=boot";

    #[test]
    fn a_rule_behind_a_wider_one_never_shows() {
        assert!(of(&[SSH, KEYS, SYSTEMCTL, ROOT], &["privilege"]).is_empty());
        assert_eq!(
            of(&["-D", KEYS, SSH], &[]),
            [
                "r:3: no record ever has the key `sshd`: `r:2` with the key `identity` fits whatever this rule fits"
            ]
        );
        // Another folder whose name begins alike, a wider permission, the same key: nothing is hidden.
        assert!(of(&[KEYS, "-a always,exit -F dir=/var/lib/keys2 -F perm=w -k x"], &[]).is_empty());
        assert!(of(&[KEYS, "-a always,exit -F dir=/var/lib/keys/ssh -F perm=r -k x"], &[]).is_empty());
        assert!(of(&[KEYS, &SSH.replace("sshd", "identity")], &[]).is_empty());
        // A rule for every call hides one for some; one for some does not hide a rule for every call.
        let all = "-a always,exit -F arch=b64 -k all";
        assert_eq!(of(&[all, ROOT], &[]).len(), 1);
        assert!(of(&[ROOT, all], &[]).is_empty());
        // What excludes is no rule that records.
        assert!(of(&[&KEYS.replace("always", "never"), SSH], &[]).is_empty());
    }

    #[test]
    fn what_is_to_be_last_stands_behind_every_other_key() {
        assert_eq!(
            of(&[ROOT, SYSTEMCTL], &["privilege"]),
            ["r:2: the key `boot` stands behind `privilege` of `r:1`, which is to be among the last"]
        );
        let access = "-a always,exit -F arch=b64 -S openat -F exit=-EACCES -k access";
        assert!(of(&[SYSTEMCTL, ROOT, access], &["privilege", "access"]).is_empty());
    }
}
