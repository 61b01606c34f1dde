//! `verity-root`: the root partition against the root hash on the signed command line.

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct VerityRoot;

impl Kind for VerityRoot {
    const NAME: &'static str = "verity-root";
    const DESCRIPTION: &'static str = "the root partition's data and tree give the root hash on the command line, which a valid signature covers";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        if let Some(none) = &context.subject.no_fit {
            return Ok(none.conclude("a root hash on a signed command line"));
        }
        let verity = context.subject.verity()?;
        let broken = |what: &str, why: &String| Unable::broken(format!("{what}: {why}"));
        let asked = verity.asked.as_ref().map_err(|why| broken("the signed command line", why))?;
        let (mut problems, good) = match &verity.found {
            Ok(found) if found == asked => (Vec::new(), format!("root hash {found}")),
            Ok(found) => (vec![format!("the data give {found}, signed is {asked}")], String::new()),
            Err(why) => (vec![why.clone()], String::new()),
        };
        // A root hash that nobody signed protects nothing. A disk alone does not say whose signature counts: that
        // decides nothing, unless the tree is wrong already.
        match &context.subject.fit()?.verified {
            Some(Ok(_)) => {}
            Some(Err(_)) => problems.push("the FIT that holds the root hash does not verify".to_owned()),
            None if problems.is_empty() => {
                context.subject.uboot()?;
                return Err(Unable::broken("the FIT that holds the root hash was not verified"));
            }
            None => {}
        }
        Ok(Conclusion::of(&problems, format!("root hash {asked}"), good, &verity.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::subject::{Subject, SubjectKind, VerityFacts};
    use crate::testing::*;

    fn check(
        asked: Result<&str, &str>,
        found: Result<&str, &str>,
        signed: Option<bool>,
    ) -> Result<crate::Conclusion, crate::Unable> {
        let own = |r: Result<&str, &str>| r.map(str::to_owned).map_err(str::to_owned);
        let mut subject = Subject::of_cmdline("x");
        subject.kind = SubjectKind::Disk;
        if let Some(Ok(fit)) = &mut subject.fit {
            fit.verified =
                signed.map(|good| good.then(|| "`conf`".to_owned()).ok_or_else(|| vec!["no".to_owned()]));
        }
        subject.verity = Some(Ok(VerityFacts { sha256: "a".into(), asked: own(asked), found: own(found) }));
        run_on("verity-root", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check(Ok("ab"), Ok("ab"), Some(true))), "root hash ab");
    }

    #[test]
    fn fail() {
        fails(check(Ok("ab"), Ok("cd"), Some(true)), "the data give cd, signed is ab");
        fails(check(Ok("ab"), Err("block 7 of the tree does not match"), Some(true)), "block 7");
        fails(check(Ok("ab"), Ok("ab"), Some(false)), "the FIT that holds the root hash does not verify");
    }

    #[test]
    fn a_disk_alone_does_not_say_whose_signature_counts() {
        cannot(check(Ok("ab"), Ok("ab"), None), "a disk image does not say where its U-Boot binary is");
        // A tree that does not match is wrong whoever signed.
        fails(check(Ok("ab"), Ok("cd"), None), "the data give cd, signed is ab");
    }

    #[test]
    fn a_command_line_without_a_root_hash_is_no_conclusion() {
        cannot(check(Err("no dm-mod.create"), Ok("ab"), Some(true)), "no dm-mod.create");
    }
}
