//! Disk images that others made: whatever partition holds a root file system or a FIT, by its content.
//!
//! A name decides nothing here, and where two could be meant none is taken. Every partition is listed with what it
//! holds, so that "not found" never means "not looked at"; what is wrong with the table is told, too.

use image::Source;
use image::disk::{Disk, mbr};
use image::tree::{FileTree, open_source};

use super::{FDT_MAGIC, chain, fit_bytes, fit_files, names, rootfs, verity};
use crate::subject::{DiskFacts, FitFacts, NoFit, PartitionFact, Subject};

/// A partition: what people call it, and its bytes or why there are none.
type Part = (String, Result<Source, String>);

/// Whether the image has an older partition table.
pub fn is_mbr(source: &Source) -> bool {
    !matches!(mbr::partitions(source), Ok(None))
}

/// The table's name, its partitions, and its defects.
fn table(source: &Source) -> Result<(&'static str, Vec<Part>, Vec<String>), String> {
    let slice = |label: String, offset: u64, bytes: u64| {
        (label, source.slice(offset, bytes).map_err(|e| e.to_string()))
    };
    match Disk::from_damaged_source(source.clone()) {
        Ok((disk, defects)) => {
            let label = |index: u32, name: &str| match name {
                "" => index.to_string(),
                name => format!("{index} `{name}`"),
            };
            let parts = disk.partitions().iter().map(|p| slice(label(p.index, &p.name), p.offset, p.bytes));
            Ok(("GPT", parts.collect(), defects.iter().map(ToString::to_string).collect()))
        }
        Err(gpt) => match mbr::partitions(source).map_err(|e| e.to_string())? {
            Some(found) => {
                let parts = found.iter().map(|p| slice(p.index.to_string(), p.offset, p.bytes));
                Ok(("MBR", parts.collect(), Vec::new()))
            }
            None => Err(gpt.to_string()),
        },
    }
}

/// What a look at every partition gave.
#[derive(Default)]
struct Seen {
    roots: Vec<(String, Source, FileTree)>,
    fits: Vec<(String, Result<FitFacts, String>)>,
    partitions: Vec<PartitionFact>,
}

/// Fills root file system, FIT and verity tree from whatever partition has them.
pub fn disk(subject: &mut Subject, source: &Source, sha256: &str) {
    let (table, parts, defects) = match table(source) {
        Ok(found) => found,
        Err(why) => {
            subject.root = Some(Err(why.clone()));
            subject.fit = Some(Err(why.clone()));
            subject.verity = Some(Err(why.clone()));
            subject.partitions = Some(Err(why));
            return;
        }
    };
    let mut seen = Seen::default();
    for (label, contents) in parts {
        let (content, unread) = match contents {
            Ok(part) => seen.look(&label, &part),
            Err(why) => (String::new(), Some(why)),
        };
        seen.partitions.push(PartitionFact { label, content, unread });
    }
    let facts = DiskFacts { sha256: sha256.to_owned(), table, partitions: seen.partitions, defects };
    fill_fit(subject, seen.fits, &facts);
    match one(
        seen.roots.into_iter().map(|(label, part, tree)| (label, (part, tree))),
        &facts,
        "root file system",
    ) {
        Ok((part, tree)) => {
            subject.root_image = Some(part);
            subject.root = Some(Ok(rootfs::root(tree, sha256.to_owned())));
        }
        Err(why) => subject.root = Some(Err(why)),
    }
    subject.partitions = Some(Ok(facts));
    // A table of the signed command line that names a partition of another layout is not followed.
    subject.verity = Some(Err(match &subject.fit {
        Some(Ok(fit)) => match fit.cmdline.clone().and_then(|cmdline| verity::arguments(&cmdline)) {
            Err(why) => why,
            Ok(_) => {
                "the disk is not laid out as Fastness does it: its verity tree is not followed".to_owned()
            }
        },
        Some(Err(why)) => why.clone(),
        None => "there is no FIT".to_owned(),
    }));
}

fn fill_fit(subject: &mut Subject, fits: Vec<(String, Result<FitFacts, String>)>, facts: &DiskFacts) {
    let none = fits.is_empty();
    match one(fits.into_iter(), facts, "FIT") {
        Ok(fit) => subject.fit = Some(fit),
        // Where everything was read, there is none; else one may be where nobody looked.
        Err(why) if none && facts.is_read() => {
            subject.no_fit = Some(NoFit { why, sha256: facts.sha256.clone() });
        }
        Err(why) => subject.fit = Some(Err(why)),
    }
}

impl Seen {
    /// What one partition holds, in words, and why not all of it was looked at.
    fn look(&mut self, label: &str, part: &Source) -> (String, Option<String>) {
        if part.read_vec(0, 4).is_ok_and(|found| found == FDT_MAGIC) {
            return match fit_bytes(part).map(chain::fit_or_tree) {
                Ok(Some(fit)) => {
                    self.fits.push((label.to_owned(), fit));
                    ("a FIT".to_owned(), None)
                }
                Ok(None) => ("a device tree".to_owned(), None),
                Err(why) => ("a FIT or device tree".to_owned(), Some(why)),
            };
        }
        match open_source(part) {
            Ok(tree) => self.files(label, part, tree),
            Err(_) if names::blank(part) => ("zeros".to_owned(), None),
            Err(why) => match names::known(part) {
                Some(name) => (
                    name.to_owned(),
                    Some("it is not read: take the files out of it and inspect them".to_owned()),
                ),
                None if open_failed_inside(part) => ("a file system".to_owned(), Some(why.to_string())),
                None => ("something unknown".to_owned(), Some("it is not read".to_owned())),
            },
        }
    }

    fn files(&mut self, label: &str, part: &Source, tree: FileTree) -> (String, Option<String>) {
        let (fits, mut unread) = fit_files::find(&tree);
        let mut content = String::new();
        for (path, fit) in fits {
            content += &format!(" with the FIT `{path}`");
            self.fits.push((format!("{label} `{path}`"), fit));
        }
        let has = |path: &str| tree.resolve(path).is_ok();
        if has("/etc") && (has("/usr") || has("/bin")) {
            self.roots.push((label.to_owned(), part.clone(), tree));
            return (format!("a root file system{content}"), unread);
        }
        unread.get_or_insert_with(|| "its files are not inspected".to_owned());
        (format!("a file system, not of a root{content}"), unread)
    }
}

/// Whether it begins as a file system that is read: then it is broken, not unknown.
fn open_failed_inside(part: &Source) -> bool {
    let at = |offset: u64, magic: &[u8]| {
        part.read_vec(offset, magic.len() as u64).is_ok_and(|found| found == magic)
    };
    at(0, b"hsqs") || at(1080, &[0x53, 0xef])
}

/// The one that was found.
fn one<T>(found: impl Iterator<Item = (String, T)>, facts: &DiskFacts, what: &str) -> Result<T, String> {
    let mut found: Vec<(String, T)> = found.collect();
    match found.len() {
        1 => Ok(found.remove(0).1),
        0 if facts.partitions.is_empty() => Err(format!("no {what}: the disk has no partition")),
        0 => Err(format!("no partition holds a {what} that can be read: {}", facts.shown())),
        _ => {
            let labels: Vec<&str> = found.iter().map(|(label, _)| label.as_str()).collect();
            Err(format!(
                "partitions {} each hold a {what}, and nothing says which counts: inspect each by itself",
                labels.join(" and ")
            ))
        }
    }
}
