//! image → findings → report.

use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use evidence::report::{Report, ReportInput, html, junit, sarif};
use exec::FolderLock;
use record::{
    Artefacts, Finding, Unread, json_bytes, read_json, sha256_hex, sha256_inside, write_json_atomic,
};
use spec::library::Library;

use super::{known_attacks, known_boot, known_traffic, of_other_images, threats, write_atomic};
use crate::places::Built;
use crate::progress::Steps;

/// Says for which image, plan and program `findings.json` is.
const INSPECTED: &str = "logs/inspected";
/// What an inspection found.
const FINDINGS: &str = "findings.json";

/// Runs the plan's static checks on the finished image and writes `findings.json`. Those of an earlier image go first: a run that
/// is stopped leaves none.
///
/// # Errors
/// When the image cannot be opened, or a check's definition is wrong.
pub fn inspect(built: &Built, steps: &Steps) -> Outcome<Vec<Finding>> {
    steps.step("inspect", None, || {
        for name in [INSPECTED, FINDINGS] {
            let path = built.folder.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::io("remove", &path, &e));
                }
                _ => {}
            }
        }
        let subject = evidence::open::open(&built.folder)?;
        let findings = evidence::inspect::inspect(Some(&built.plan), &subject)?;
        let logs = built.folder.join("logs");
        fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        // In this order: findings without their key are made again, a key without findings never is.
        write_json_atomic(&built.folder.join(FINDINGS), &findings)?;
        if let Some(value) = inspection_key(built) {
            write_atomic(&built.folder.join(INSPECTED), value.as_bytes())?;
        }
        Ok((findings, false))
    })
}

/// The findings of an earlier inspection of exactly this image by exactly this program.
///
/// Holds only for an image whose files are known to be untouched (`image_is_current`).
pub fn known_findings(built: &Built) -> Option<Vec<Finding>> {
    let found = fs::read_to_string(built.folder.join(INSPECTED)).ok()?;
    if Some(found) != inspection_key(built) {
        return None;
    }
    let findings: Vec<Finding> = read_json(&built.folder.join(FINDINGS)).ok()?;
    is_of_this_image(built, &findings).is_ok().then_some(findings)
}

/// The findings of the image in a folder that others may have filled, or of an inspection now where there are none; and the
/// folder, held as long as the lock lives. The image's files are hashed first.
///
/// # Errors
/// `other-image`: the image or the findings are not those that the records speak of.
pub fn findings(built: &Built, steps: &Steps) -> Outcome<(Vec<Finding>, Option<FolderLock>)> {
    let path = built.folder.join(FINDINGS);
    // Only an inspection writes: what is there can be read where nothing may be written.
    let there = path.symlink_metadata().is_ok();
    let lock =
        if there { FolderLock::take_to_read(&built.folder)? } else { Some(FolderLock::take(&built.folder)?) };
    Ok((findings_of(built, steps)?, lock))
}

/// As [`findings`], of a folder that is held already.
///
/// # Errors
/// As there.
pub fn findings_of(built: &Built, steps: &Steps) -> Outcome<Vec<Finding>> {
    image_holds(built)?;
    let path = built.folder.join(FINDINGS);
    if path.symlink_metadata().is_err() {
        return inspect(built, steps);
    }
    let findings: Vec<Finding> = read_json(&path)?;
    is_of_this_image(built, &findings)?;
    Ok(findings)
}

/// Whether findings are of this image and this plan: those of another one would be told as this one's.
fn is_of_this_image(built: &Built, findings: &[Finding]) -> Outcome<()> {
    let artefacts: Artefacts = read_json(&built.folder.join("artefacts.json"))?;
    match supply::verify::other_findings(&built.plan, &built.image, &artefacts, findings) {
        None => Ok(()),
        Some(why) => Err(Failure::error(
            ExitStatus::Check,
            "other-image",
            format!("`{FINDINGS}` is not of this image: {why}"),
        )
        .hint("`fastness inspect` looks at the image that is there")),
    }
}

/// Whether the image's files are those of its record, of which findings and other records speak. Each is hashed: a time of
/// writing can be set.
///
/// # Errors
/// `other-image`: one of them is another, or missing.
fn image_holds(built: &Built) -> Outcome<()> {
    for file in built.image.files.values() {
        let wrong = |why: String| {
            let name = file.path.display();
            let message = format!(
                "`{name}` is not the file that the build left, of which findings and records speak: {why}"
            );
            Err(Failure::error(ExitStatus::Check, "other-image", message).hint(
                "`fastness inspect` looks at the file that is there; `fastness build` makes the image again",
            ))
        };
        match sha256_inside(&built.folder, &file.path, file.bytes, &exec::check_interrupt) {
            Ok((found, _)) if found == file.sha256 => {}
            Ok((found, _)) => {
                return wrong(format!("expected SHA-256 `{}`, found `{found}`", file.sha256));
            }
            Err(Unread::Missing) => return wrong("it is not there".to_owned()),
            Err(Unread::Odd(found)) => return wrong(format!("expected a regular file, found {found}")),
            Err(Unread::Large(bytes)) => {
                return wrong(format!("expected {} bytes, found {bytes}", file.bytes));
            }
            Err(Unread::Failed(failure)) => return Err(failure),
        }
    }
    Ok(())
}

/// Hash of image record, plan and program; none when the program cannot read itself.
fn inspection_key(built: &Built) -> Option<String> {
    let program = record::sha256_file(&std::env::current_exe().ok()?).ok()?.0;
    let image = serde_json::to_string(&built.image).ok()?;
    let parts = [program, built.plan.sha256(), image];
    Some(sha256_hex(parts.join("\0").as_bytes()))
}

/// The report from what is in the folder.
///
/// # Errors
/// When a record cannot be read, or the catalogue is wrong.
pub fn report(built: &Built, findings: Vec<Finding>) -> Outcome<Report> {
    let mut report = Report::new(ReportInput {
        plan: Some(built.plan.clone()),
        image: Some(built.image.clone()),
        findings,
        boot: known_boot(built)?,
        traffic: known_traffic(built)?,
        attacks: known_attacks(built)?,
    })?;
    report.pass_over(&of_other_images(built)?);
    let library = Library::built_in(built.product_folder.as_deref());
    report.threats = Some(threats(&library, &built.plan, Some(&report.findings))?);
    Ok(report)
}

/// The bill of materials in its two forms, by name.
pub fn bill_files(bill: &supply::Bill) -> [(&'static str, Vec<u8>); 2] {
    let bytes = |document: serde_json::Value| format!("{document:#}\n").into_bytes();
    [
        ("sbom.cdx.json", bytes(supply::cyclonedx::document(bill))),
        ("sbom.spdx.json", bytes(supply::spdx::document(bill))),
    ]
}

/// The bill of materials in its two forms, beside the report.
///
/// # Errors
/// When a record is missing or the folder cannot be written.
pub fn write_bill(built: &Built, folder: &Path) -> Outcome<()> {
    let bill = supply::Bill::of(&built.plan, &built.image, folder)?;
    for (name, bytes) in bill_files(&bill) {
        super::write_atomic(&folder.join(name), &bytes)?;
    }
    Ok(())
}

/// The report's four files, by name.
///
/// # Errors
/// A bug: it cannot be expressed as JSON.
pub fn report_files(report: &Report) -> Outcome<[(&'static str, Vec<u8>); 4]> {
    let (json, sarif) = ("report.json", "report.sarif");
    Ok([
        (json, json_bytes(Path::new(json), report)?),
        (sarif, json_bytes(Path::new(sarif), &sarif::render(report))?),
        ("report.junit.xml", junit::render(report).into_bytes()),
        ("report.html", html::render(report).into_bytes()),
    ])
}

/// Writes the report's four files into the board's folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_report(report: &Report, folder: &Path) -> Outcome<()> {
    for (name, bytes) in report_files(report)? {
        write_atomic(&folder.join(name), &bytes)?;
    }
    Ok(())
}
