//! `all-of`: several looks that together are one check.
//!
//! For checks of a catalogue that speak of more than one place, such as an option of a daemon
//! and the file that it names. It holds when every member does.

use serde::Deserialize;
use serde_json::Value;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct AllOf;

/// Kinds that are no member: they are checks of their own stage, or have parts with waivers of their own.
const ALONE: [&str; 3] = ["all-of", "kernel-hardening", "selfcheck"];

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    checks: Vec<Member>,
}

/// One look.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    kind: String,
    #[serde(default)]
    with: Value,
}

impl Kind for AllOf {
    const NAME: &'static str = "all-of";
    const DESCRIPTION: &'static str = "every one of `checks` (each a `kind` and its `with`) holds";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.checks.len() < 2 {
            problems.push("`checks` has fewer than two members: a single kind needs no `all-of`".to_owned());
        }
        for Member { kind, with } in &with.checks {
            match super::find(kind) {
                Some(_) if ALONE.contains(&kind.as_str()) => {
                    problems.push(format!("`{kind}` cannot be a member"));
                }
                Some(entry) => {
                    problems.extend((entry.validate)(with).into_iter().map(|p| format!("`{kind}`: {p}")));
                }
                None => problems.push(format!("kind `{kind}` does not exist")),
            }
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let mut held = Vec::new();
        let mut failed = Vec::new();
        let mut unable = None;
        let mut expected = Vec::new();
        let mut sha256 = String::new();
        for Member { kind, with } in &with.checks {
            let entry =
                super::find(kind).ok_or_else(|| Unable::broken(format!("kind `{kind}` does not exist")))?;
            match (entry.run)(with, context) {
                Ok(conclusion) => {
                    expected.push(conclusion.expected);
                    if conclusion.holds {
                        held.push(conclusion.seen);
                    } else {
                        failed.push(conclusion.seen);
                    }
                    if sha256.is_empty() {
                        sha256 = conclusion.artefact_sha256;
                    }
                }
                Err(why) => unable = unable.or(Some(why)),
            }
        }
        // A member that does not hold decides, whatever could not be looked at beside it.
        match unable {
            Some(why) if failed.is_empty() => Err(why),
            _ => Ok(Conclusion::of(&failed, expected.join("; "), held.join("; "), &sha256)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(kinds: [&str; 2]) -> Result<crate::Conclusion, crate::Unable> {
        let with = |kind: &str| match kind {
            "file-absent" => json!({"kind": kind, "with": {"paths": ["/usr/bin/gdb"]}}),
            "file-present" => json!({"kind": kind, "with": {"paths": ["/usr/bin/none"]}}),
            _ => json!({"kind": kind}),
        };
        run("all-of", json!({"checks": kinds.map(with)}), Tree::base().root())
    }

    #[test]
    fn pass() {
        passes(check(["file-absent", "file-absent"]));
    }

    #[test]
    fn fail() {
        fails(check(["file-absent", "file-present"]), "/usr/bin/none");
        fails(check(["verity-root", "file-present"]), "/usr/bin/none");
    }

    #[test]
    fn a_member_that_cannot_look_is_no_pass() {
        cannot(check(["file-absent", "verity-root"]), "has no verity tree");
    }

    #[test]
    fn members_are_validated() {
        let problems = |with| (crate::kinds::find("all-of").unwrap().validate)(&with).join("; ");
        assert!(problems(json!({"checks": []})).contains("fewer than two"));
        let with = json!({"checks": [{"kind": "file-absent", "with": {"path": "x"}}, {"kind": "all-of"}, {"kind": "x"}]});
        let text = problems(with);
        for part in
            ["`file-absent`: unknown field `path`", "`all-of` cannot be a member", "kind `x` does not exist"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
