//! `rollback-version`: the version that the signed configuration carries.
//!
//! That the signature covers it is `fit-signed`'s to say.

use fit::fdt::Tree;

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct RollbackVersion;

/// Where U-Boot's patch (`layers/rollback/uboot/`) looks for it.
const PROPERTY: &str = "fastness,rollback-version";

impl Kind for RollbackVersion {
    const NAME: &'static str = "rollback-version";
    const DESCRIPTION: &'static str = "every configuration of the FIT carries the plan's rollback version";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let plan = context.plan()?;
        let Some(planned) = plan.signing.rollback_version else {
            return Err(Unable::not_applicable("the product has no rollback version"));
        };
        let expected = format!("rollback version {planned} in every configuration");
        if let Some(none) = &context.subject.no_fit {
            return Ok(none.conclude(&expected));
        }
        let fit = context.subject.fit()?;
        let tree = Tree::parse(&fit.bytes).map_err(|e| Unable::broken(format!("the FIT: {e}")))?;
        let configurations = tree.root.child("configurations").map(|node| node.children.as_slice());
        let mut problems = Vec::new();
        let mut seen = Vec::new();
        for configuration in configurations.unwrap_or_default() {
            let found = configuration.get(PROPERTY).map(<[u8; 4]>::try_from);
            match found {
                Some(Ok(bytes)) => {
                    let version = u32::from_be_bytes(bytes);
                    let words = format!("`{}` has version {version}", configuration.name);
                    if version == planned { seen.push(words) } else { problems.push(words) }
                }
                Some(Err(_)) => {
                    problems.push(format!("`{}` has no number as its version", configuration.name))
                }
                None => problems.push(format!("`{}` has no version", configuration.name)),
            }
        }
        if configurations.is_none_or(<[_]>::is_empty) {
            problems.push("the FIT has no configuration".to_owned());
        }
        Ok(Conclusion::of(&problems, &expected, seen.join(", "), &fit.sha256))
    }
}

#[cfg(test)]
mod tests {
    use fit::fdt::{Node, Tree};
    use serde_json::json;

    use super::*;
    use crate::subject::{FitFacts, Subject};
    use crate::testing::*;

    fn check(planned: Option<u32>, build: impl FnOnce(&mut Node<'static>)) -> Result<Conclusion, Unable> {
        let mut root = Node::new("");
        build(&mut root);
        let bytes = Tree { root, ..Tree::default() }.write().unwrap();
        let mut subject = Subject::of_cmdline("x");
        let fit = subject.fit.take().unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { bytes, ..fit }));
        let mut plan = crate::report::sample::plan();
        plan.signing.rollback_version = planned;
        run_on("rollback-version", json!({}), &subject, Some(&plan))
    }

    fn conf<'r>(root: &'r mut Node<'static>, name: &str) -> &'r mut Node<'static> {
        root.child_or_new("configurations").child_or_new(name)
    }

    #[test]
    fn pass() {
        let seen = passes(check(Some(7), |root| conf(root, "conf").set_cell(PROPERTY, 7)));
        assert_eq!(seen, "`conf` has version 7");
    }

    #[test]
    fn fail() {
        fails(check(Some(7), |root| conf(root, "conf").set_cell(PROPERTY, 6)), "`conf` has version 6");
        fails(check(Some(7), |root| conf(root, "conf").set_text("x", "")), "`conf` has no version");
        fails(
            check(Some(7), |root| conf(root, "conf").set(PROPERTY, vec![7])),
            "has no number as its version",
        );
        fails(check(Some(7), |_| {}), "the FIT has no configuration");
        let one_of_two = check(Some(7), |root| {
            conf(root, "a").set_cell(PROPERTY, 7);
            conf(root, "b").set_cell(PROPERTY, 8);
        });
        fails(one_of_two, "`b` has version 8");
    }

    #[test]
    fn without_a_planned_version_there_is_nothing_to_check() {
        let none = check(None, |root| conf(root, "conf").set_cell(PROPERTY, 7)).unwrap_err();
        assert_eq!(none.verdict, record::Verdict::NotApplicable);
    }
}
