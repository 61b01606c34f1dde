//! `partition-table`: the table of a disk that others made is whole, and each partition lies inside the image.
//!
//! A defect is where two readers of one disk may see two disks; what lies outside was not inspected. A
//! disk of our own layout with such a defect is not read at all, so that no check on it can run.

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct PartitionTable;

impl Kind for PartitionTable {
    const NAME: &'static str = "partition-table";
    const DESCRIPTION: &'static str = "the partition table has no defect and every partition is inside the image; lists what was not looked at";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let disk = context.subject.partitions()?;
        let mut problems: Vec<String> =
            disk.defects.iter().map(|why| format!("{}: {why}", disk.table)).collect();
        if disk.partitions.is_empty() {
            problems.push(format!("{}: it has no partition", disk.table));
        }
        let expected = "a table without a defect, every partition inside the image";
        let mut conclusion = Conclusion::of(&problems, expected, disk.shown(), &disk.sha256);
        let unread: Vec<&str> = disk
            .partitions
            .iter()
            .filter(|part| part.unread.is_some())
            .map(|part| part.label.as_str())
            .collect();
        if !problems.is_empty() && !unread.is_empty() {
            conclusion.seen += &format!("; not looked at: {}", unread.join(", "));
        }
        Ok(conclusion)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::subject::{DiskFacts, PartitionFact, Subject, SubjectKind};
    use crate::testing::*;

    fn check(
        defects: &[&str],
        partitions: &[(&str, &str, Option<&str>)],
    ) -> Result<crate::Conclusion, crate::Unable> {
        let mut subject = Subject::empty(SubjectKind::Disk, "x");
        let partitions = partitions.iter().map(|(label, content, unread)| PartitionFact {
            label: (*label).into(),
            content: (*content).into(),
            unread: unread.map(str::to_owned),
        });
        subject.partitions = Some(Ok(DiskFacts {
            sha256: "a".into(),
            table: "GPT",
            partitions: partitions.collect(),
            defects: defects.iter().map(|text| (*text).to_owned()).collect(),
        }));
        run_on("partition-table", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        let seen =
            passes(check(&[], &[("1", "a FAT file system", Some("it is not read")), ("2", "zeros", None)]));
        assert_eq!(seen, "1 holds a FAT file system (it is not read), 2 holds zeros");
    }

    #[test]
    fn fail() {
        let outside =
            check(&["entry 2 ends after the image"], &[("1", "zeros", None), ("2", "", Some("outside"))]);
        fails(outside, "GPT: entry 2 ends after the image; not looked at: 2");
        fails(check(&[], &[]), "it has no partition");
    }

    #[test]
    fn other_subjects_have_no_table() {
        let why = run("partition-table", json!({}), Tree::base().root()).unwrap_err();
        assert_eq!(why.verdict, record::Verdict::NotApplicable);
        let mut subject = Subject::empty(SubjectKind::Disk, "x");
        subject.partitions = Some(Err("a ring".into()));
        cannot(run_on("partition-table", json!({}), &subject, None), "a ring");
    }
}
