//! `fit-signed`: the FIT on the disk against the key in the boot flash.

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FitSigned;

impl Kind for FitSigned {
    const NAME: &'static str = "fit-signed";
    const DESCRIPTION: &'static str =
        "the FIT on the disk verifies with the flash's key, every image covered";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        const EXPECTED: &str = "a valid signature over every image of the configuration";
        if let Some(none) = &context.subject.no_fit {
            return Ok(none.conclude(EXPECTED));
        }
        let fit = context.subject.fit()?;
        let Some(verified) = &fit.verified else {
            // Which key to trust is a question that only a boot loader answers.
            context.subject.uboot()?;
            return Err(Unable::broken("the FIT was not verified"));
        };
        let (problems, good) = match verified {
            Ok(good) => (Vec::new(), good.clone()),
            Err(problems) => (problems.clone(), String::new()),
        };
        Ok(Conclusion::of(&problems, EXPECTED, good, &fit.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::subject::{FitFacts, Subject, SubjectKind};
    use crate::testing::*;

    fn check(
        verified: Option<Result<String, Vec<String>>>,
        kind: SubjectKind,
    ) -> Result<crate::Conclusion, crate::Unable> {
        let fit = Subject::of_cmdline("x").fit.unwrap().unwrap();
        let mut subject = Subject::empty(kind, "x");
        subject.fit = Some(Ok(FitFacts { verified, ..fit }));
        run_on("fit-signed", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        passes(check(Some(Ok("`conf` by `product`".into())), SubjectKind::Output));
    }

    #[test]
    fn fail() {
        let why = vec!["the signature does not verify".to_owned()];
        fails(check(Some(Err(why)), SubjectKind::Output), "the signature does not verify");
    }

    #[test]
    fn without_a_key_there_is_no_conclusion() {
        cannot(check(None, SubjectKind::Output), "U-Boot binary is missing");
        let alone = check(None, SubjectKind::Fit).unwrap_err();
        assert_eq!(alone.verdict, record::Verdict::NotApplicable);
    }
}
