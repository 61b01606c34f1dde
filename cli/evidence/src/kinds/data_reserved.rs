//! `data-reserved`: the data partition keeps room for what root keeps on it, whoever fills the rest.
//!
//! Source: `fs/ext4/balloc.c`, `ext4_has_free_clusters`: reserved blocks are for the user of `s_def_resuid`, for the group
//! of `s_def_resgid` unless that is root's, and for `CAP_SYS_RESOURCE`; mke2fs(8), `-m`.

use super::{Kind, NoParameters};
use crate::root::NodeKind;
use crate::subject::DataFacts;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct DataReserved;

/// What makes the file system of a sealed partition at the first start.
const MAKER: &str = "/usr/lib/fastness/data-partition";
/// Where the device's own programs are: one may make the file system anew.
const PROGRAMS: &str = "/usr/lib/fastness";

/// The `-m` of each call of mke2fs(8) in a shell script.
fn asked(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let call = words.iter().position(|word| *word == "mke2fs")?;
            let part = words[call..].windows(2).find(|pair| pair[0] == "-m");
            Some(part.map_or_else(String::new, |pair| pair[1].to_owned()))
        })
        .collect()
}

fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

impl Kind for DataReserved {
    const NAME: &'static str = "data-reserved";
    const DESCRIPTION: &'static str = "the file system of the data partition reserves for root as much as the layers' `kept` may take, and so does whatever of the \
                                       device makes it, at its first start or anew";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let (root, storage) = (context.root()?, &context.plan()?.storage);
        if storage.kept.is_empty() {
            return Err(Unable::broken("the plan keeps nothing: there is no bound to reserve room for"));
        }
        let kept: Vec<String> =
            storage.kept.iter().map(|(path, asked)| format!("`{path}` {}", mebibytes(asked.value))).collect();
        let expected =
            format!("{} reserved for root, for {}", mebibytes(storage.kept_bytes()), kept.join(", "));
        let mut problems = Vec::new();
        let percent = storage.reserved_percent();
        let seen = match context.subject.data()? {
            DataFacts::Ext4(facts) => {
                if facts.reserved_bytes < storage.kept_bytes() {
                    problems.push(format!(
                        "{} of {} are reserved, less than {}",
                        mebibytes(facts.reserved_bytes),
                        mebibytes(facts.bytes),
                        mebibytes(storage.kept_bytes())
                    ));
                }
                if (facts.uid, facts.gid) != (0, 0) {
                    problems
                        .push(format!("what is reserved is for user {} and group {}", facts.uid, facts.gid));
                }
                format!(
                    "{} of {} are reserved for root",
                    mebibytes(facts.reserved_bytes),
                    mebibytes(facts.bytes)
                )
            }
            DataFacts::Empty => {
                let text = root.read_text(MAKER)?.unwrap_or_default();
                if asked(&text).is_empty() {
                    problems
                        .push(format!("the partition is shipped empty, and `{MAKER}` makes no file system"));
                }
                format!("the device makes it at its first start, with {percent}% reserved for root")
            }
        };
        let programs = root.find(&format!("{PROGRAMS}/*")).into_iter();
        for (path, _) in programs.filter(|(_, node)| matches!(node.kind, NodeKind::File(_))) {
            let text = root.read_text(path)?.unwrap_or_default();
            for part in asked(&text).iter().filter(|part| **part != percent) {
                problems
                    .push(format!("`{path}` makes a file system with `-m {part}`, expected `-m {percent}`"));
            }
        }
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::plan::{Asked, Plan, SealedPlan};

    use super::MAKER;
    use crate::subject::{DataFacts, Subject, SubjectKind};
    use crate::testing::*;
    use crate::{Conclusion, Unable};

    const MIB: u64 = 1 << 20;

    fn plan(sealed: bool) -> Plan {
        let mut plan = crate::report::sample::plan();
        plan.storage.data_bytes = 64 * MIB;
        let asked = |value| Asked { value, origins: Vec::new() };
        plan.storage.kept =
            [("/var/log/a".to_owned(), asked(6 * MIB)), ("/var/log/b".to_owned(), asked(2 * MIB))].into();
        plan.storage.sealed = sealed.then(|| SealedPlan {
            recovery: String::new(),
            event_log: 0,
            tpm_compatible: String::new(),
            limits: String::new(),
        });
        plan
    }

    fn check(data: DataFacts, plan: &Plan, maker: &str) -> Result<Conclusion, Unable> {
        let mut subject = Subject::empty(SubjectKind::Output, "x");
        subject.root = Some(Ok(Tree::base().file(MAKER, 0o755, maker).root()));
        subject.data = Some(Ok(data));
        run_on("data-reserved", json!({}), &subject, Some(plan))
    }

    fn ext4(reserved: u64, uid: u16, gid: u16) -> DataFacts {
        DataFacts::Ext4(image::tree::Reserved { bytes: 64 * MIB, reserved_bytes: reserved, uid, gid })
    }

    #[test]
    fn pass() {
        let seen = passes(check(ext4(8 * MIB, 0, 0), &plan(false), ""));
        assert_eq!(seen, "8.0 MiB of 64.0 MiB are reserved for root");
        let maker = "#!/bin/sh\n\tmke2fs -q -t ext4 -m 16.68 -L data /dev/mapper/data || return 1\n";
        let seen = passes(check(DataFacts::Empty, &plan(true), maker));
        assert_eq!(seen, "the device makes it at its first start, with 16.68% reserved for root");
    }

    #[test]
    fn fail() {
        let less = check(ext4(8 * MIB - 4096, 0, 0), &plan(false), "");
        fails(less, "7.9 MiB of 64.0 MiB are reserved, less than 8.0 MiB");
        fails(check(ext4(8 * MIB, 1000, 0), &plan(false), ""), "is for user 1000 and group 0");
        fails(check(ext4(8 * MIB, 0, 7), &plan(false), ""), "is for user 0 and group 7");
        for maker in ["", "# mke2fs -m 16.68\n"] {
            fails(check(DataFacts::Empty, &plan(true), maker), "makes no file system");
        }
        for (maker, part) in [
            ("mke2fs -m 0 /dev/x\n", "0"),
            ("a && mke2fs -m 16.684 /dev/x\n", "16.684"),
            ("mke2fs /dev/x\n", ""),
        ] {
            let says = format!("with `-m {part}`, expected `-m 16.68`");
            fails(check(DataFacts::Empty, &plan(true), maker), &says);
        }
        // What makes it anew after a reset keeps as much as what was shipped.
        let anew = check(ext4(8 * MIB, 0, 0), &plan(false), "mke2fs -q -m 0 /dev/x\n");
        fails(anew, "with `-m 0`, expected `-m 12.51`");
        let mut nothing = plan(false);
        nothing.storage.kept.clear();
        cannot(check(ext4(8 * MIB, 0, 0), &nothing, ""), "there is no bound");
        let subject = Subject::of_root(Tree::base().root());
        cannot(run_on("data-reserved", json!({}), &subject, Some(&plan(false))), "data partition");
        cannot(run_on("data-reserved", json!({}), &subject, None), "there is no plan");
    }
}
