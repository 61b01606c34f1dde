//! Runs the checks on a subject and applies the plan's waivers.
//!
//! One check that cannot run does not stop the others; each gives exactly one finding. The
//! findings are sorted by check id, so that two inspections of one image give the same bytes.

use std::collections::BTreeMap;

use diag::{Failure, Outcome};
use record::{Finding, Stage, Verdict};
use serde_json::{Value, json};
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
    let generic = generic_checks();
    let checks = match plan {
        Some(plan) => {
            let diagnostics = kinds::validate(plan);
            if !diagnostics.is_empty() {
                return Err(Failure { status: diag::ExitStatus::Input, diagnostics });
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

/// What can be asked of any image: used when there is no plan to compare with.
#[must_use]
pub fn generic_checks() -> BTreeMap<String, Asked<CheckPlan>> {
    let elf = json!({"require": ["pie", "relro-full", "nx", "canary", "fortify", "no-rpath"]});
    let list: [(&str, &str, &str, Value); 9] = [
        ("generic.accounts", "accounts", "No account has a usable password; ids are unique", json!({})),
        (
            "generic.setuid",
            "setuid-list",
            "Nothing runs with more rights than its caller",
            json!({"allowed": []}),
        ),
        ("generic.world-writable", "world-writable", "Nothing may be written by everybody", json!({})),
        ("generic.owners", "owned-by-root", "What is read-only belongs to root", json!({})),
        ("generic.elf", "elf-hardening", "Every program and library is hardened", elf),
        ("generic.secrets", "secrets-absent", "No private key is in the image", json!({})),
        (
            "generic.control-fdt-key",
            "control-fdt-key",
            "U-Boot requires one key, which is not published",
            json!({}),
        ),
        ("generic.fit-signed", "fit-signed", "The FIT verifies with U-Boot's key", json!({})),
        ("generic.verity-root", "verity-root", "The root file system has the signed root hash", json!({})),
    ];
    list.into_iter()
        .map(|(id, kind, title, with)| {
            let check = CheckPlan {
                title: title.to_owned(),
                layer: "generic".to_owned(),
                kind: kind.to_owned(),
                with,
                requirements: Vec::new(),
            };
            let origin = Origin {
                who: "fastness".to_owned(),
                file: "generic".to_owned(),
                line: 1,
                reason: "asked of every image".to_owned(),
            };
            (id.to_owned(), Asked { value: check, origins: vec![origin] })
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(findings.len(), 9);
        let of = |id: &str| findings.iter().find(|f| f.check == id).unwrap();
        assert_eq!(of("generic.accounts").verdict, Verdict::Pass, "{}", of("generic.accounts").seen);
        assert_eq!(of("generic.fit-signed").verdict, Verdict::NotApplicable);
        assert_eq!(of("generic.elf").verdict, Verdict::CouldNotRun);
    }
}
