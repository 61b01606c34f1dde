//! `key-value`: settings in files of keys and values.
//!
//! With `first_wins` the file is read as sshd reads its own (includes, `Match` blocks).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::sshd::Config;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct KeyValue;

/// What stands between key and value.
#[derive(Clone, Copy, Deserialize)]
pub enum Separator {
    /// Blanks.
    #[serde(rename = "space")]
    Space,
    /// An equals sign.
    #[serde(rename = "=")]
    Equals,
}

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
    separator: Separator,
    #[serde(default = "hash")]
    comment: String,
    expect: BTreeMap<String, String>,
    section: Option<String>,
    #[serde(default)]
    case_insensitive: bool,
    #[serde(default)]
    first_wins: bool,
}

fn hash() -> String {
    "#".to_owned()
}

impl Kind for KeyValue {
    const NAME: &'static str = "key-value";
    const DESCRIPTION: &'static str = "the parsed file has exactly these values";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.expect.is_empty() {
            problems.push("`expect` is empty, so that nothing would be checked".to_owned());
        }
        if with.first_wins && with.section.is_some() {
            problems.push("`first_wins` reads the file as sshd does, which has no `section`".to_owned());
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let expected = format!(
            "{}: {}",
            with.path,
            with.expect.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", ")
        );
        let missing = || {
            let problem = [format!("`{}` is missing", with.path)];
            Ok(Conclusion::of(&problem, expected.clone(), "", &root.sha256))
        };
        let problems = if with.first_wins {
            match Config::read(root, &with.path)? {
                Some(config) => sshd_problems(&with, &config),
                None => return missing(),
            }
        } else {
            match root.read_text(&with.path)? {
                Some(text) => plain_problems(&with, &text),
                None => return missing(),
            }
        };
        let good = format!("all {} as expected", with.expect.len());
        Ok(Conclusion::of(&problems, expected.clone(), good, &root.sha256))
    }
}

fn sshd_problems(with: &With, config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, wanted) in &with.expect {
        if !config.is_set(key) {
            problems.push(format!("`{key}` is not set"));
        }
        for setting in config.values(key) {
            if setting.value != *wanted {
                let block = setting.inside.as_ref().map(|m| format!(" for `Match {m}`")).unwrap_or_default();
                problems.push(format!("`{key}` is `{}`{block} at {}", setting.value, setting.at));
            }
        }
    }
    problems
}

fn plain_problems(with: &With, text: &str) -> Vec<String> {
    let fold = |key: &str| if with.case_insensitive { key.to_lowercase() } else { key.to_owned() };
    let mut values: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut section: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || (!with.comment.is_empty() && line.starts_with(&with.comment)) {
            continue;
        }
        if let (true, Some(name)) =
            (with.section.is_some(), line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')))
        {
            section = Some(name.trim().to_owned());
            continue;
        }
        if section != with.section {
            continue;
        }
        let (key, value) = match with.separator {
            Separator::Space => line.split_once(char::is_whitespace).unwrap_or((line, "")),
            Separator::Equals => match line.split_once('=') {
                Some(pair) => pair,
                None => continue,
            },
        };
        values.insert(fold(key.trim()), (unquoted(value.trim()).to_owned(), index + 1));
    }
    let mut problems = Vec::new();
    for (key, wanted) in &with.expect {
        match values.get(&fold(key)) {
            Some((found, _)) if found == wanted => {}
            Some((found, line)) => problems.push(format!("`{key}` is `{found}` at {}:{line}", with.path)),
            None => problems.push(format!("`{key}` is not set in `{}`", with.path)),
        }
    }
    problems
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    #[test]
    fn pass() {
        let tree = Tree::base()
            .file("/etc/ssh/sshd_config", 0o600, "PermitRootLogin no\nPermitRootLogin yes\n")
            .file(
                "/etc/systemd/system.conf",
                0o644,
                "[Other]\nDumpCore=yes\n[Manager]\n# DumpCore=yes\nDumpCore = no\n",
            );
        let root = tree.root();
        let subject = crate::subject::Subject::of_root(root);
        passes(run_on(
            "key-value",
            json!({"path": "/etc/ssh/sshd_config", "separator": "space", "first_wins": true,
                   "expect": {"permitrootlogin": "no"}}),
            &subject,
            None,
        ));
        passes(run_on(
            "key-value",
            json!({"path": "/etc/systemd/system.conf", "separator": "=", "section": "Manager",
                   "expect": {"DumpCore": "no"}}),
            &subject,
            None,
        ));
    }

    #[test]
    fn fail() {
        let tree = |text: &str| Tree::base().file("/etc/x.conf", 0o644, text).root();
        let with = json!({"path": "/etc/x.conf", "separator": "=", "expect": {"a": "1"}});
        fails(run("key-value", with.clone(), tree("a=1\na=2\n")), "`a` is `2` at /etc/x.conf:2");
        fails(run("key-value", with.clone(), tree("#a=1\n")), "`a` is not set");
        fails(run("key-value", with, Tree::base().root()), "`/etc/x.conf` is missing");
        let with =
            json!({"path": "/etc/x.conf", "separator": "space", "first_wins": true, "expect": {"a": "1"}});
        fails(run("key-value", with, tree("a 1\nMatch User eve\na 2\n")), "`a` is `2` for `Match User eve`");
    }
}
