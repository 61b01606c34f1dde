//! The records of an output folder, as far as they may be read, and whether they speak of one image.

use std::collections::BTreeSet;
use std::path::Path;

use diag::Outcome;
use record::{Artefacts, Finding, ImageRecord, Role, Stage, Unread, is_inside, read_inside};
use serde::de::DeserializeOwned;
use serde_json::Value;
use spec::plan::Plan;

use super::{Hashes, State, Verified};
use crate::shown;

/// Records that name the disk image they are of.
const OF_A_DISK: [&str; 5] = ["boot.json", "traffic.json", "sbom.cdx.json", "sbom.spdx.json", "report.json"];

/// A folder, what was found in it, and which of its records may be taken for what they say.
pub(super) struct Records<'a> {
    pub folder: &'a Path,
    /// Which files may be read. Of received evidence only those that are as they were signed: what was changed decides nothing.
    pub known: &'a dyn Fn(&str) -> bool,
    pub hashes: Hashes<'a>,
    pub out: Vec<Verified>,
}

impl Records<'_> {
    /// Compares everything that may be read with everything else.
    ///
    /// # Errors
    /// When a file cannot be read though it is there, or a signal stopped it.
    pub fn compare(&mut self) -> Outcome<()> {
        let plan: Option<Plan> = self.read("plan.json")?;
        let image: Option<ImageRecord> = self.read("image.json")?;
        let artefacts: Option<Artefacts> = self.read("artefacts.json")?;
        let findings: Option<Vec<Finding>> = self.read("findings.json")?;
        if let Some(image) = &image {
            self.files("image.json", image.files.values())?;
        }
        if let Some(artefacts) = &artefacts {
            self.files("artefacts.json", artefacts.files.values())?;
        }
        if let Some(plan) = &plan {
            let hash = plan.sha256();
            let of = |record: &str, found: Option<&String>| {
                found.map(|found| (record.to_owned(), found.to_owned()))
            };
            let image = of("image.json", image.as_ref().map(|image| &image.plan_sha256));
            let artefacts = of("artefacts.json", artefacts.as_ref().map(|artefacts| &artefacts.plan_sha256));
            for (record, found) in image.into_iter().chain(artefacts) {
                self.expect(&record, "the plan's SHA-256", &hash, &found);
            }
        }
        if let (Some(plan), Some(image), Some(artefacts), Some(findings)) =
            (&plan, &image, &artefacts, &findings)
            && let Some(why) = other_findings(plan, image, artefacts, findings)
        {
            self.say("findings.json", State::OtherImage, why);
        }
        let disk =
            image.map(|image| image.files.get(&Role::Disk).map(|f| f.sha256.clone()).unwrap_or_default());
        for name in OF_A_DISK {
            let Some(value) = self.read::<Value>(name)? else { continue };
            if let Some(disk) = &disk {
                self.expect(name, "the disk's SHA-256", disk, disk_of(name, &value).unwrap_or_default());
            }
            if let (true, Some(findings)) = (name == "report.json", &findings) {
                self.report(&value, findings);
            }
        }
        // A record without its mark is of no known image.
        if (self.known)("attacks.json")
            && self.is_there("attacks.json")
            && let Some(disk) = &disk
        {
            let mark = if (self.known)(MARK) { self.bytes(MARK)?.unwrap_or_default() } else { Vec::new() };
            self.expect("attacks.json", "the disk's SHA-256", disk, String::from_utf8_lossy(&mark).trim());
        }
        Ok(())
    }

    fn say(&mut self, file: &str, state: State, why: String) {
        self.out.push(Verified { file: file.to_owned(), state, why });
    }

    fn expect(&mut self, file: &str, what: &str, expected: &str, found: &str) {
        if expected != found {
            let found = if found.is_empty() { "none" } else { found };
            let why = format!("{what} is `{}`, and it names `{}`", shown(expected), shown(found));
            self.say(file, State::OtherImage, why);
        }
    }

    fn is_there(&self, name: &str) -> bool {
        self.folder.join(name).symlink_metadata().is_ok()
    }

    /// The bytes of a record that may be read; none, and it is said, when there are none to be had.
    fn bytes(&mut self, name: &str) -> Outcome<Option<Vec<u8>>> {
        if !(self.known)(name) {
            return Ok(None);
        }
        let why = match read_inside(self.folder, Path::new(name)) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(Unread::Missing) => return Ok(None),
            Err(Unread::Failed(failure)) => return Err(failure),
            Err(Unread::Odd(found)) => format!("expected a regular file, found {found}"),
            Err(Unread::Large(bytes)) => too_large(bytes),
        };
        self.say(name, State::NotRead, why);
        Ok(None)
    }

    fn read<T: DeserializeOwned>(&mut self, name: &str) -> Outcome<Option<T>> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(e) => {
                let why = format!("it is no record that this version of fastness reads: {e}");
                self.say(name, State::NotRead, shown(&why));
                Ok(None)
            }
        }
    }

    /// The files that a record names by another hash. Artefacts may have stayed with the maker: those that are there count.
    fn files<'r>(&mut self, record: &str, files: impl Iterator<Item = &'r record::Artefact>) -> Outcome<()> {
        for file in files {
            let name = file.path.to_string_lossy();
            if !is_inside(&file.path) {
                let why = format!("it names `{}`, which is no path inside the folder", shown(&name));
                self.say(record, State::NotRead, why);
                continue;
            }
            let named = format!("`{record}` names SHA-256 `{}`", shown(&file.sha256));
            let (state, found) = match self.hashes.of(&name, file.bytes)? {
                Ok(found) if found == file.sha256 => continue,
                Ok(found) => (State::Changed, format!("found `{found}`")),
                Err(Unread::Missing) if record == "artefacts.json" => continue,
                Err(Unread::Missing) => (State::Missing, "found nothing".to_owned()),
                Err(Unread::Odd(found)) => (State::Changed, format!("found {found}")),
                Err(Unread::Large(bytes)) => {
                    (State::Changed, format!("of {} bytes, found {bytes} bytes", file.bytes))
                }
                Err(Unread::Failed(failure)) => return Err(failure),
            };
            self.say(&name, state, format!("{named}, {found}"));
        }
        Ok(())
    }

    /// A report tells the findings that lie beside it.
    fn report(&mut self, report: &Value, findings: &[Finding]) {
        let told = report.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let told: Result<Vec<Finding>, _> =
            told.iter().map(|finding| serde_json::from_value(finding.clone())).collect();
        let of_the_image = |finding: &&Finding| matches!(finding.stage, Stage::Build | Stage::Static);
        let same =
            told.is_ok_and(|told| told.iter().filter(of_the_image).eq(findings.iter().filter(of_the_image)));
        if !same {
            let why = "its checks of the image are not those of `findings.json`".to_owned();
            self.say("report.json", State::OtherImage, why);
        }
    }
}

/// Says which disk image `attacks.json` is of.
const MARK: &str = "attacks/disk.sha256";

pub(super) fn too_large(bytes: u64) -> String {
    format!("expected at most {} bytes, found {bytes}", record::LARGEST_RECORD)
}

/// Why findings are not those of an inspection of this image by this plan; none: they are. Each names the file that it was seen
/// in, and there is one for each check of the plan that reads the image.
#[must_use]
pub fn other_findings(
    plan: &Plan,
    image: &ImageRecord,
    artefacts: &Artefacts,
    findings: &[Finding],
) -> Option<String> {
    let files = image.files.values().chain(artefacts.files.values());
    let mut known: BTreeSet<&str> = files.map(|file| file.sha256.as_str()).collect();
    // What no image shows is seen in the board's own words (`hardware-declared`).
    let board = record::sha256_hex(plan.board.root_of_trust_text().as_bytes());
    known.extend(["", board.as_str()]);
    if let Some(other) = findings.iter().find(|finding| !known.contains(finding.artefact_sha256.as_str())) {
        return Some(format!(
            "`{}` was seen in a file with SHA-256 `{}`, which is none of this image",
            shown(&other.check),
            shown(&other.artefact_sha256)
        ));
    }
    let planned: BTreeSet<&str> = plan
        .checks
        .iter()
        .filter(|(_, asked)| asked.value.kind != "selfcheck")
        .map(|(id, _)| id.as_str())
        .collect();
    let mut told = BTreeSet::new();
    for finding in findings {
        let id = finding.check.as_str();
        let wrong = if !planned.contains(id) {
            "which the plan does not ask for"
        } else if !told.insert(id) {
            "which is there twice"
        } else {
            continue;
        };
        return Some(format!("it has a finding of `{}`, {wrong}", shown(id)));
    }
    let missing = planned.difference(&told).next()?;
    Some(format!("it has no finding of `{missing}`, which the plan asks for"))
}

fn disk_of<'a>(file: &str, value: &'a Value) -> Option<&'a str> {
    match file {
        "sbom.cdx.json" => value.pointer("/metadata/component/hashes/0/content")?.as_str(),
        "sbom.spdx.json" => {
            let package =
                value.get("packages")?.as_array()?.iter().find(|p| p["SPDXID"] == "SPDXRef-device")?;
            package.pointer("/checksums/0/checksumValue")?.as_str()
        }
        "report.json" => {
            let files = value.get("files")?.as_array()?;
            files.iter().find(|file| file["name"] == "image/disk.img")?["sha256"].as_str()
        }
        _ => value.get("disk_sha256")?.as_str(),
    }
}
