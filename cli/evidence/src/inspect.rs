//! Runs the checks on a subject and applies the plan's waivers.
//!
//! One check that cannot run does not stop the others; each gives exactly one finding. The
//! findings are sorted by check id, so that two inspections of one image give the same bytes.

use std::collections::BTreeMap;

use diag::{ExitStatus, Failure, Outcome};
use record::{Finding, Stage, Verdict};
use serde::Deserialize;
use serde_json::Value;
use spec::plan::{Asked, CheckPlan, Origin, Plan};

use crate::subject::Subject;
use crate::{Context, Unable, authority, kinds};

/// Runs every static check of the plan, or the generic ones when there is no plan (a foreign image).
///
/// Checks of kind `selfcheck` are left to [`crate::findings_of_boot`].
///
/// # Errors
/// When the plan's checks are not valid: then nothing was looked at.
pub fn inspect(plan: Option<&Plan>, subject: &Subject) -> Outcome<Vec<Finding>> {
    let generic = generic_checks()?;
    let checks = match plan {
        Some(plan) => {
            let diagnostics = kinds::validate(plan);
            if !diagnostics.is_empty() {
                return Err(Failure { status: ExitStatus::Input, diagnostics });
            }
            &plan.checks
        }
        None => &generic,
    };
    let mut findings = Vec::new();
    for (id, asked) in checks {
        if asked.value.kind == "selfcheck" {
            continue;
        }
        exec::check_interrupt()?;
        let finding = run(id, asked, plan, subject);
        findings.push(match plan {
            Some(plan) => authority::waive(finding, plan),
            None => finding,
        });
    }
    Ok(findings)
}

fn run(id: &str, asked: &Asked<CheckPlan>, plan: Option<&Plan>, subject: &Subject) -> Finding {
    let check = &asked.value;
    let stage = if check.kind == "kconfig" { Stage::Build } else { Stage::Static };
    let mut finding = authority::blank(id, check, stage, &asked.origins);
    let context = Context { id, check, plan, subject };
    let result = match kinds::find(&check.kind) {
        Some(kind) => (kind.run)(&check.with, &context),
        None => Err(Unable::broken(format!("kind `{}` does not exist", check.kind))),
    };
    match result {
        Ok(conclusion) => {
            finding.verdict = if conclusion.holds { Verdict::Pass } else { Verdict::Fail };
            finding.expected = conclusion.expected;
            finding.seen = conclusion.seen;
            finding.artefact_sha256 = conclusion.artefact_sha256;
            finding.parts = conclusion.parts;
        }
        Err(unable) => {
            finding.verdict = unable.verdict;
            finding.seen = unable.why;
        }
    }
    finding
}

/// A check of `standards/generic-checks.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generic {
    id: String,
    kind: String,
    title: String,
    #[serde(default)]
    with: Value,
}

/// What can be asked of any image: used when there is no plan to compare with.
///
/// # Errors
/// When the list, which is compiled in, is not what it should be.
pub fn generic_checks() -> Outcome<BTreeMap<String, Asked<CheckPlan>>> {
    const LIST: &str = "generic-checks.yaml";
    let wrong = |why: String| {
        Failure::error(ExitStatus::Internal, "generic-checks", format!("standards/{LIST}: {why}"))
    };
    let text = include_str!("../../../standards/generic-checks.yaml");
    let value = crate::yaml::load(text).map_err(wrong)?;
    let list: Vec<Generic> = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
    let asked = |generic: Generic| {
        let id = format!("id: {}", generic.id);
        let is_its = |line: &str| {
            line.split_once(&id).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(','))
        };
        let line = text.lines().position(is_its).map_or(1, |at| at + 1);
        let check = CheckPlan {
            title: generic.title,
            layer: "generic".to_owned(),
            kind: generic.kind,
            with: generic.with,
            requirements: Vec::new(),
            by_product: false,
        };
        let origin = Origin {
            who: "fastness".to_owned(),
            file: format!("standards/{LIST}"),
            line: u32::try_from(line).unwrap_or(1),
            reason: "asked of every image".to_owned(),
        };
        (generic.id, Asked { value: check, origins: vec![origin] })
    };
    Ok(list.into_iter().map(asked).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;
    use crate::testing::Tree;

    fn asked(kind: &str, with: Value) -> Asked<CheckPlan> {
        let check = CheckPlan {
            title: "t".into(),
            layer: "l".into(),
            kind: kind.into(),
            with,
            requirements: vec!["CR 1.1".into()],
            by_product: false,
        };
        let origin =
            Origin { who: "layer l".into(), file: "layers/l/layer.yaml".into(), line: 7, reason: "r".into() };
        Asked { value: check, origins: vec![origin] }
    }

    fn plan(checks: &[(&str, Asked<CheckPlan>)]) -> Plan {
        let mut plan = sample::plan();
        plan.checks = checks.iter().map(|(id, check)| ((*id).to_owned(), check.clone())).collect();
        plan
    }

    #[test]
    fn one_broken_check_does_not_stop_the_others() {
        let plan = plan(&[
            ("a.kernel", asked("verity-root", Value::Null)),
            ("b.nft", asked("kconfig", json!({"component": "linux"}))),
            ("c.absent", asked("file-absent", json!({"paths": ["/boot/*"]}))),
            ("d.present", asked("file-present", json!({"paths": ["/nothing"]}))),
            ("e.device", asked("selfcheck", Value::Null)),
        ]);
        let mut subject = Subject::of_root(Tree::base().root());
        let verdicts = |subject: &Subject| -> Vec<(String, Verdict)> {
            inspect(Some(&plan), subject).unwrap().into_iter().map(|f| (f.check, f.verdict)).collect()
        };
        let expected = |first: Verdict| {
            vec![
                ("a.kernel".to_owned(), first),
                ("b.nft".to_owned(), first),
                ("c.absent".to_owned(), Verdict::Pass),
                ("d.present".to_owned(), Verdict::Fail),
            ]
        };
        assert_eq!(verdicts(&subject), expected(Verdict::NotApplicable));
        subject.kind = crate::subject::SubjectKind::Output;
        assert_eq!(verdicts(&subject), expected(Verdict::CouldNotRun));
    }

    #[test]
    fn an_unknown_kind_and_wrong_parameters_are_found_before_anything_is_looked_at() {
        let plan = plan(&[
            ("a", asked("file-mod", json!({}))),
            ("b", asked("file-absent", json!({"path": ["/x"]}))),
            ("c", asked("mounts", json!({"expect": {}}))),
        ]);
        let failure = inspect(Some(&plan), &Subject::of_root(Tree::base().root())).err().unwrap();
        let text = failure.to_string();
        assert_eq!(failure.diagnostics.len(), 3, "{text}");
        assert!(text.contains("did you mean `file-mode`?"), "{text}");
        assert!(text.contains("unknown field `path`"), "{text}");
        assert!(text.contains("layers/l/layer.yaml"), "{text}");
        assert!(text.contains("`expect` is empty"), "{text}");
    }

    #[test]
    fn a_foreign_image_gets_the_generic_checks() {
        let findings = inspect(None, &Subject::of_root(Tree::base().root())).unwrap();
        assert_eq!(findings.len(), generic_checks().unwrap().len());
        let of = |id: &str| findings.iter().find(|f| f.check == id).unwrap();
        assert_eq!(of("generic.accounts").verdict, Verdict::Pass, "{}", of("generic.accounts").seen);
        assert_eq!(of("generic.fit-signed").verdict, Verdict::NotApplicable);
        assert_eq!(of("generic.elf").verdict, Verdict::CouldNotRun);
        assert_eq!(of("generic.packet-filter").verdict, Verdict::Fail);
    }

    #[test]
    fn every_generic_check_has_a_kind_that_takes_its_parameters() {
        let mut plan = sample::plan();
        plan.checks = generic_checks().unwrap();
        assert!(plan.checks.len() > 10);
        let lines: Vec<u32> = plan.checks.values().map(|asked| asked.origins[0].line).collect();
        assert!(lines.windows(2).all(|pair| 1 < pair[0] && pair[0] < pair[1]), "{lines:?}");
        plan.waivers.clear();
        assert_eq!(kinds::validate(&plan), []);
    }
}
