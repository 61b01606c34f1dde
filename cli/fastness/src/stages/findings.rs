//! image → findings → report.

use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use evidence::report::{Report, ReportInput, html, junit, sarif};
use record::{Finding, read_json, sha256_hex, write_json_atomic};
use spec::library::Library;

use super::{known_attacks, known_boot, known_traffic, of_other_images, threats, write_atomic};
use crate::places::Built;
use crate::progress::Steps;

/// Says for which image, plan and program `findings.json` is.
const INSPECTED: &str = "logs/inspected";

/// Runs the plan's static checks on the finished image and writes `findings.json`.
///
/// # Errors
/// When the image cannot be opened, or a check's definition is wrong.
pub fn inspect(built: &Built, steps: &Steps) -> Outcome<Vec<Finding>> {
    steps.step("inspect", None, || {
        let subject = evidence::open::open(&built.folder)?;
        let findings = evidence::inspect::inspect(Some(&built.plan), &subject)?;
        let logs = built.folder.join("logs");
        fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        // In this order: findings without their key are made again, a key without findings never is.
        let key = built.folder.join(INSPECTED);
        let _ = fs::remove_file(&key);
        write_json_atomic(&built.folder.join("findings.json"), &findings)?;
        if let Some(value) = inspection_key(built) {
            write_atomic(&key, value.as_bytes())?;
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
    read_json(&built.folder.join("findings.json")).ok()
}

/// Whether the image's files are those of its record, of which findings and other records speak. Each is hashed: a time of
/// writing can be set.
///
/// # Errors
/// `other-image`: one of them is another, or missing.
pub fn image_holds(built: &Built) -> Outcome<()> {
    for file in built.image.files.values() {
        let path = built.folder.join(&file.path);
        let wrong = |why: String| {
            let name = file.path.display();
            let message = format!(
                "`{name}` is not the file that the build left, of which findings and records speak: {why}"
            );
            Err(Failure::error(ExitStatus::Check, "other-image", message).hint(
                "`fastness inspect` looks at the file that is there; `fastness build` makes the image again",
            ))
        };
        if !path.is_file() {
            return wrong("it is not there".to_owned());
        }
        let found = record::sha256_file(&path)?.0;
        if found != file.sha256 {
            return wrong(format!("expected SHA-256 `{}`, found `{found}`", file.sha256));
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

/// The bill of materials in its two forms, beside the report.
///
/// # Errors
/// When a record is missing or the folder cannot be written.
pub fn write_bill(built: &Built, folder: &Path) -> Outcome<()> {
    let bill = supply::Bill::of(&built.plan, &built.image, folder)?;
    let forms = [
        ("sbom.cdx.json", supply::cyclonedx::document(&bill)),
        ("sbom.spdx.json", supply::spdx::document(&bill)),
    ];
    for (name, document) in forms {
        super::write_atomic(&folder.join(name), format!("{document:#}\n").as_bytes())?;
    }
    Ok(())
}

/// Writes the report's four files into the board's folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_report(report: &Report, folder: &Path) -> Outcome<()> {
    write_json_atomic(&folder.join("report.json"), report)?;
    write_json_atomic(&folder.join("report.sarif"), &sarif::render(report))?;
    write_atomic(&folder.join("report.junit.xml"), junit::render(report).as_bytes())?;
    write_atomic(&folder.join("report.html"), html::render(report).as_bytes())
}
