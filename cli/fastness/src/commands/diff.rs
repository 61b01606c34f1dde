//! `fastness diff`: two products, plans or images.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Outcome};
use record::{ImageRecord, read_json};
use serde::Serialize;
use spec::Change;
use spec::plan::Plan;

use super::diff_facts;
use crate::output::{Output, clean};
use crate::places::Built;

const EXAMPLE: &str = "\
Examples:
  fastness diff old/product.yaml new/product.yaml
  fastness diff out/qemu-aarch64 /srv/released/qemu-aarch64 --same      fails if they differ
  fastness diff --facts out/qemu-aarch64 ../buildroot/out/qemu-aarch64  fails at what nothing explains
  fastness diff --facts old.img rootfs.tar --explained known.yaml";

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// A product file, a plan.json, or the output folder of a board; with --facts whatever `inspect` reads
    before: PathBuf,
    /// Another one
    after: PathBuf,
    /// The board of product files; otherwise the first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Fail with exit code 6 when they differ
    #[arg(long, conflicts_with = "facts")]
    same: bool,
    /// Compare what inspection finds in two images: accounts, modes, units, firewall, kernel, keys, hardening and
    /// more. A difference that nothing explains fails with exit code 6
    #[arg(long)]
    facts: bool,
    /// More explanations of differences (`fastness schema image-differences`); may be given again
    #[arg(long, value_name = "FILE", requires = "facts")]
    explained: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Difference {
    same: bool,
    /// Changes of the plan.
    plan: Vec<Change>,
    /// Changes of the image, when both have one.
    image: Vec<Change>,
}

/// Compares and prints.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let board = arguments.board.as_deref();
    if arguments.facts {
        let images = [arguments.before.as_path(), arguments.after.as_path()];
        return diff_facts::run(images, board, &arguments.explained, output);
    }
    let (old_plan, old_image) = open(&arguments.before, board)?;
    let (new_plan, new_image) = open(&arguments.after, board)?;
    let plan = spec::diff(&old_plan, &new_plan);
    let image = match (&old_image, &new_image) {
        (Some(old), Some(new)) => image_changes(old, new),
        _ => Vec::new(),
    };
    let difference = Difference { same: plan.is_empty() && image.is_empty(), plan, image };
    output.result(&difference, |_| text(&difference));
    Ok(if arguments.same && !difference.same { ExitStatus::Check } else { ExitStatus::Success })
}

fn open(path: &Path, board: Option<&str>) -> Outcome<(Plan, Option<ImageRecord>)> {
    if path.is_dir() {
        let built = Built::open(path)?;
        return Ok((built.plan, Some(built.image)));
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        return Ok((read_json(path)?, None));
    }
    Ok((spec::load(path, board)?, None))
}

fn image_changes(old: &ImageRecord, new: &ImageRecord) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |area: &str, key: String, before: Option<String>, after: Option<String>| {
        if before != after {
            changes.push(Change { area: area.to_owned(), key, before, after, lines: Vec::new() });
        }
    };
    let roles: std::collections::BTreeSet<_> = old.files.keys().chain(new.files.keys()).copied().collect();
    for role in roles {
        let hash = |image: &ImageRecord| image.files.get(&role).map(|file| file.sha256.clone());
        let name = old.files.get(&role).or_else(|| new.files.get(&role));
        let name = name.map(|file| file.path.display().to_string()).unwrap_or_default();
        compare("files", name, hash(old), hash(new));
    }
    for (key, get) in [
        ("key fingerprint", (|image| &image.key_fingerprint) as fn(&ImageRecord) -> &String),
        ("algorithm", |image| &image.algorithm),
        ("padding", |image| &image.padding),
        ("verity root hash", |image| &image.verity_root_hash),
        ("command line", |image| &image.cmdline),
    ] {
        compare("signed", key.to_owned(), Some(get(old).clone()), Some(get(new).clone()));
    }
    let symbols = |image: &ImageRecord| -> std::collections::BTreeMap<String, String> {
        let line = |s: &record::EffectiveSymbol| (format!("{}:{}", s.component, s.symbol), s.found.clone());
        image.effective.iter().map(line).collect()
    };
    let (before, after) = (symbols(old), symbols(new));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        compare("effective", name.clone(), before.get(name).cloned(), after.get(name).cloned());
    }
    changes
}

fn text(difference: &Difference) -> String {
    if difference.same {
        return "no difference\n".to_owned();
    }
    let mut out = String::new();
    for (title, changes) in [("plan", &difference.plan), ("image", &difference.image)] {
        for change in changes {
            out.push_str(&format!("{title} {} {}\n", change.area, change.key));
            if let Some(before) = &change.before {
                out.push_str(&format!("  - {}\n", clean(before)));
            }
            if let Some(after) = &change.after {
                out.push_str(&format!("  + {}\n", clean(after)));
            }
            for line in &change.lines {
                out.push_str(&format!("    {}\n", clean(&line.replace('\t', "    "))));
            }
        }
    }
    out
}
