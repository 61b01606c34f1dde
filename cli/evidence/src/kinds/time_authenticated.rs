//! `time-authenticated`: nobody on the wire sets the device's clock.
//!
//! Source: chrony.conf(5). A product whose server has no NTS is built all the same: the finding is for its operator.

use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct TimeAuthenticated;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
}

impl Kind for TimeAuthenticated {
    const NAME: &'static str = "time-authenticated";
    const DESCRIPTION: &'static str =
        "every source of chronyd has `nts` or a key, and steps are bounded; one without is for the operator";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        super::file_absent::path_problems(std::slice::from_ref(&with.path))
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let Some(text) = root.read_text(&with.path)? else {
            return Err(Unable::broken(format!("`{}` is missing", with.path)));
        };
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with(['#', '!', ';', '%']))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let directive = |name: &str| {
            lines
                .iter()
                .filter(|words| words.first().is_some_and(|w| w.eq_ignore_ascii_case(name)))
                .collect::<Vec<_>>()
        };
        let mut problems = Vec::new();
        for name in ["confdir", "sourcedir", "include", "refclock"] {
            problems.extend(
                directive(name)
                    .iter()
                    .map(|words| format!("`{}` brings sources that are not looked at", words.join(" "))),
            );
        }
        for (name, least) in [("makestep", 3), ("maxchange", 4)] {
            if !directive(name).iter().any(|words| words.len() >= least) {
                problems.push(format!("no `{name}`: any step is taken"));
            }
        }
        // `makestep 1 -1` steps for ever.
        problems.extend(
            directive("makestep")
                .iter()
                .filter(|words| words.get(2).is_some_and(|limit| limit.starts_with('-')))
                .map(|words| format!("`{}` has no end", words.join(" "))),
        );
        let sources: Vec<&Vec<&str>> = ["server", "pool", "peer"].into_iter().flat_map(directive).collect();
        let open: Vec<&str> = sources
            .iter()
            .filter(|words| !words.iter().skip(2).any(|word| *word == "nts" || *word == "key"))
            .map(|words| words.get(1).copied().unwrap_or_default())
            .collect();
        if sources.is_empty() {
            problems.push("no source of time".to_owned());
        }
        if problems.is_empty() && !open.is_empty() {
            return Err(Unable::for_the_operator(format!(
                "{} is believed without a proof (`nts: true` of `time` asks for one): whoever is on the wire sets the clock",
                open.join(", ")
            )));
        }
        Ok(Conclusion::of(
            &problems,
            "every source with NTS or a key, steps bounded",
            format!("{} sources, each with NTS or a key", sources.len()),
            &root.sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::json;

    use crate::testing::*;

    const STEPS: &str = "makestep 1 3\nmaxchange 100 1 2\n";

    fn check(text: &str) -> Result<crate::Conclusion, crate::Unable> {
        let tree = Tree::base().file("/etc/chrony.conf", 0o644, text);
        run("time-authenticated", json!({"path": "/etc/chrony.conf"}), tree.root())
    }

    #[test]
    fn pass() {
        let text = format!("server a iburst nts\nserver b key 1\n{STEPS}");
        assert_eq!(passes(check(&text)), "2 sources, each with NTS or a key");
    }

    #[test]
    fn fail() {
        fails(check(STEPS), "no source of time");
        fails(check("server a nts\nmakestep 1 3\n"), "no `maxchange`");
        fails(check("server a nts\nmakestep 1 -1\nmaxchange 100 1 2\n"), "`makestep 1 -1` has no end");
        fails(
            check(&format!("server a nts\nconfdir /etc/chrony.d\n{STEPS}")),
            "`confdir /etc/chrony.d` brings",
        );
    }

    #[test]
    fn a_server_without_a_proof_is_no_pass_and_no_failure() {
        let open = check(&format!("server a nts\nserver b iburst\n{STEPS}")).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert!(open.why.starts_with("b is believed without a proof"), "{}", open.why);
    }
}
