//! `kernel-cmdline`: the command line in the signed device tree.
//!
//! Source: Linux, Documentation/admin-guide/kernel-parameters.rst: words after `--` go to
//! init; `-` and `_` in names are the same; the last of several values counts.

use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct KernelCmdline;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    #[serde(default)]
    require: Vec<String>,
    #[serde(default)]
    forbid: Vec<String>,
}

impl Kind for KernelCmdline {
    const NAME: &'static str = "kernel-cmdline";
    const DESCRIPTION: &'static str = "the signed command line has all of `require` and none of `forbid`";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        if with.require.is_empty() && with.forbid.is_empty() {
            return vec!["`require` and `forbid` are both empty".to_owned()];
        }
        Vec::new()
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let fit = context.subject.fit()?;
        let cmdline = fit.cmdline()?;
        let words = words(&cmdline);
        let mut problems = Vec::new();
        for wanted in &with.require {
            let (name, value) = split(wanted);
            let last = words.iter().rev().map(|word| split(word)).find(|(found, _)| *found == name);
            match last {
                Some((_, found)) if found == value => {}
                Some((_, found)) => {
                    problems.push(format!("`{name}` is `{}`, not `{wanted}`", found.unwrap_or_default()));
                }
                None => problems.push(format!("`{wanted}` is missing")),
            }
        }
        for refused in &with.forbid {
            let (name, value) = split(refused);
            // `init` and `init=` forbid the parameter whatever its value; `init=/bin/sh` only that one.
            let hit = words.iter().find(|word| {
                let (found, found_value) = split(word);
                found == name && (value.as_deref().unwrap_or_default().is_empty() || found_value == value)
            });
            if let Some(word) = hit {
                problems.push(format!("`{word}` is there"));
            }
        }
        let expected = format!("with {}; without {}", with.require.join(" "), with.forbid.join(" "));
        Ok(Conclusion::of(&problems, expected, cmdline, &fit.sha256))
    }
}

/// Name with `-` as `_`, and value.
pub fn split(word: &str) -> (String, Option<String>) {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.trim_matches('"').to_owned())),
        None => (word, None),
    };
    (name.replace('-', "_"), value)
}

/// The kernel's words; blanks inside double quotes do not separate.
pub fn words(cmdline: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in cmdline.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.push(c);
            }
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    // Everything after `--` is init's, which is just as dangerous: it stays in the list.
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(cmdline: &str) -> Result<crate::Conclusion, crate::Unable> {
        let subject = Subject::of_cmdline(cmdline);
        let with = json!({"require": ["audit=1", "slab_nomerge"], "forbid": ["init=", "single", "lsm", "mitigations=off"]});
        run_on("kernel-cmdline", with, &subject, None)
    }

    #[test]
    fn pass() {
        passes(check("audit=1 slab-nomerge rdinit=x mitigations=auto dm-mod.create=\"root,,,ro init=\""));
    }

    #[test]
    fn fail() {
        fails(check("audit=1 audit=0 slab_nomerge"), "`audit` is `0`, not `audit=1`");
        fails(check("audit=1"), "`slab_nomerge` is missing");
        fails(check("audit=1 slab_nomerge init=/bin/sh"), "`init=/bin/sh` is there");
        fails(check("audit=1 slab_nomerge mitigations=off"), "`mitigations=off` is there");
        fails(check("audit=1 slab_nomerge lsm=capability"), "`lsm=capability` is there");
        fails(check("audit=1 slab_nomerge -- single"), "`single` is there");
    }

    #[test]
    fn a_bare_root_file_system_has_no_command_line() {
        let result = run("kernel-cmdline", json!({"require": ["audit=1"]}), Tree::base().root());
        assert_eq!(result.unwrap_err().verdict, record::Verdict::NotApplicable);
    }
}
