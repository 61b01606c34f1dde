//! `fastness diff --facts`: what inspection finds in two images, each difference explained or an error.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Outcome};
use evidence::facts::compare::compare;
use evidence::facts::explain::Explanations;
use evidence::facts::{Facts, gather, text};
use spec::differences;
use spec::library::{Area, Library, read_file};
use spec::plan::Plan;

use crate::output::Output;
use crate::places::{self, Built};
use crate::progress::Steps;

/// The built-in explanations. Whose product's own would count is not clear with two: they have waivers.
const DIFFERENCES: &str = "image-differences.yaml";

/// Compares and prints.
pub fn run(
    images: [&Path; 2],
    board: Option<&str>,
    explained: &[PathBuf],
    output: &Output,
) -> Outcome<ExitStatus> {
    let mut explanations = Explanations::default();
    if let Some(source) = Library::built_in(None).read(Area::Standards, DIFFERENCES)? {
        explanations.add(&differences::read(&source)?);
    }
    // Before the images, which take seconds.
    for file in explained {
        explanations.add(&differences::read(&read_file(file, &file.display().to_string())?)?);
    }
    let steps = Steps::new(*output);
    let [(before, old), (after, new)] = [open(images[0], board, &steps)?, open(images[1], board, &steps)?];
    drop(steps);
    for plan in [old, new].iter().flatten() {
        explanations.add_waivers(plan);
    }
    let comparison = compare(&before, &after, &explanations);
    output.result(&comparison, |_| text::comparison(&comparison));
    Ok(comparison.status())
}

/// The facts of an image of any form, or of the output folder that a product file means, with its plan.
fn open(path: &Path, board: Option<&str>, steps: &Steps) -> Outcome<(Facts, Option<Plan>)> {
    let is_product = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let path = if is_product { places::board_folder(path, board, None)? } else { path.to_owned() };
    let plan = if path.join("image.json").is_file() { Some(Built::open(&path)?.plan) } else { None };
    let facts = facts(&path, plan.as_ref(), steps)?;
    Ok((facts, plan))
}

/// Gathers the facts of an image.
///
/// # Errors
/// When it cannot be opened.
pub fn facts(path: &Path, plan: Option<&Plan>, steps: &Steps) -> Outcome<Facts> {
    steps.step("gather facts", None, || {
        let subject = evidence::open::open(path)?;
        Ok((gather(&subject, plan.map(|plan| &plan.board)), false))
    })
}
