//! `where-present`: what is in the image is looked at by other checks; where it is not, there is nothing to look at.
//!
//! For checks of a catalogue about one program that a product may have or not.

use serde::Deserialize;

use super::Kind;
use crate::requirements::is_of;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct WherePresent;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// What shows that it is there.
    paths: Vec<String>,
    /// What it says where nothing is there.
    nothing: String,
    /// Checks of which the plan has each where something is there; none: no layer looks at it, and a person has to.
    #[serde(default)]
    checked_by: Vec<String>,
}

impl Kind for WherePresent {
    const NAME: &'static str = "where-present";
    const DESCRIPTION: &'static str = "the plan has the checks of `checked_by`, where anything matches `paths`; does not apply where nothing does; \
                                       needs the operator where something is there that no check looks at";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = super::file_absent::path_problems(&with.paths);
        if with.nothing.trim().is_empty() {
            problems.push("`nothing` is empty, so that nobody would know why it does not apply".to_owned());
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut there: Vec<&str> =
            with.paths.iter().flat_map(|pattern| root.find(pattern)).map(|(path, _)| path).collect();
        there.sort_unstable();
        there.dedup();
        let Some(first) = there.first() else {
            let paths = with.paths.join(", ");
            return Err(Unable::not_applicable(format!("{}: none of {paths}", with.nothing)));
        };
        let planned = |id: &String| {
            context.plan.is_some_and(|plan| plan.checks.keys().any(|planned| is_of(planned, id)))
        };
        let missing: Vec<&str> =
            with.checked_by.iter().filter(|id| !planned(id)).map(String::as_str).collect();
        if with.checked_by.is_empty() || !missing.is_empty() {
            let why = if missing.is_empty() {
                String::new()
            } else {
                format!(": the plan has no {}", missing.join(", "))
            };
            return Err(Unable::for_the_operator(format!(
                "`{first}` is there, and no check of the plan looks at how it is set{why}"
            )));
        }
        Ok(Conclusion::of(
            &[],
            format!("looked at by {}", with.checked_by.join(", ")),
            format!("{} paths, such as `{first}`", there.len()),
            &root.sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::{Value, json};

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(with: &Value, tree: Tree) -> Result<crate::Conclusion, crate::Unable> {
        let plan = crate::report::sample::plan();
        run_on("where-present", with.clone(), &Subject::of_root(tree.root()), Some(&plan))
    }

    #[test]
    fn what_is_there_is_looked_at_by_the_plan() {
        let plan = crate::report::sample::plan();
        let planned = plan.checks.keys().next().unwrap();
        let with = json!({"paths": ["/usr/*bin/vpn"], "nothing": "no VPN", "checked_by": [planned]});
        let there = || Tree::base().file("/usr/sbin/vpn", 0o755, "");
        assert_eq!(passes(check(&with, there())), "1 paths, such as `/usr/sbin/vpn`");
        let none = check(&with, Tree::base()).unwrap_err();
        assert_eq!(none.verdict, Verdict::NotApplicable);
        assert_eq!(none.why, "no VPN: none of /usr/*bin/vpn");
    }

    #[test]
    fn what_no_check_looks_at_is_left_to_a_person() {
        for (by, says) in [(vec!["vpn.none"], "the plan has no vpn.none"), (vec![], "no check of the plan")] {
            let with = json!({"paths": ["/usr/*bin/vpn"], "nothing": "no VPN", "checked_by": by});
            let open = check(&with, Tree::base().file("/usr/sbin/vpn", 0o755, "")).unwrap_err();
            assert_eq!(open.verdict, Verdict::NeedsOperator);
            assert!(open.why.contains("`/usr/sbin/vpn` is there") && open.why.contains(says), "{}", open.why);
        }
    }

    #[test]
    fn a_reason_is_asked_for() {
        let problems =
            (crate::kinds::find("where-present").unwrap().validate)(&json!({"paths": ["x"], "nothing": " "}));
        let text = problems.join("; ");
        assert!(
            text.contains("`x` is not an absolute path") && text.contains("`nothing` is empty"),
            "{text}"
        );
    }
}
