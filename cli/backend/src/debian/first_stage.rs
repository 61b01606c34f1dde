//! What a package brings of the boot chain: a first stage in front of U-Boot, as one file that a boot ROM, or QEMU in its place, takes
//! as a whole, or a monitor that SPL starts.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::{FirstStageFacts, Plan};

use super::fetch::Fetched;
use crate::{Cache, key_of};

/// U-Boot without control FDT, behind the board's first stage where it has one.
///
/// # Errors
/// When the package is damaged or lacks the file, or the file does not end before U-Boot begins.
pub fn before_uboot(
    plan: &Plan,
    fetched: &Fetched,
    uboot: PathBuf,
    cache: &Cache,
    log: &Path,
) -> Outcome<PathBuf> {
    let (Some(facts), Some(package)) = (&plan.board.boot.first_stage, &fetched.first_stage) else {
        return Ok(uboot);
    };
    let (uboot_hash, _) = record::sha256_file(&uboot)?;
    let key = key_of(&[&name_of(package), &facts.file, &facts.uboot_offset.to_string(), &uboot_hash]);
    let (folder, _) = cache.stage("first-stage", &key, |part| {
        let first = file_of(fetched, package, &facts.file, part, log)?;
        let uboot = fs::read(&uboot).map_err(|e| Failure::io("read", &uboot, &e))?;
        let binary = part.join("binary");
        fs::write(&binary, joined(first, &uboot, facts)?).map_err(|e| Failure::io("write", &binary, &e))
    })?;
    Ok(folder.join("binary"))
}

/// The monitor that SPL starts before U-Boot, where the board has one.
///
/// # Errors
/// When the package is damaged or lacks the file.
pub fn monitor(plan: &Plan, fetched: &Fetched, cache: &Cache, log: &Path) -> Outcome<Option<PathBuf>> {
    let monitor = plan.board.boot.spl.as_ref().and_then(|spl| spl.monitor.as_ref());
    let (Some(facts), Some(package)) = (monitor, &fetched.first_stage) else {
        return Ok(None);
    };
    // The maker's own goes from its folder to the image, and not through here.
    let Some(file) = &facts.file else { return Ok(None) };
    let key = key_of(&[&name_of(package), file]);
    let (folder, _) = cache.stage("first-stage", &key, |part| {
        let monitor = file_of(fetched, package, file, part, log)?;
        let binary = part.join("binary");
        fs::write(&binary, monitor).map_err(|e| Failure::io("write", &binary, &e))
    })?;
    Ok(Some(folder.join("binary")))
}

fn name_of(package: &Path) -> String {
    package.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// One file of a package, unpacked below `part` for the moment.
fn file_of(fetched: &Fetched, package: &PathBuf, file: &str, part: &Path, log: &Path) -> Outcome<Vec<u8>> {
    fetched.verify_sources(std::slice::from_ref(package))?;
    let data = part.join("package");
    fs::create_dir_all(&data).map_err(|e| Failure::io("make", &data, &e))?;
    Call::new(tool("dpkg-deb")?).arg("--extract").arg(package).arg(&data).log(log).run()?;
    let path = data.join(file.trim_start_matches('/'));
    let bytes = fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
    crate::cache::remove_tree(&data)?;
    Ok(bytes)
}

fn joined(mut first: Vec<u8>, uboot: &[u8], facts: &FirstStageFacts) -> Outcome<Vec<u8>> {
    let room = usize::try_from(facts.uboot_offset).unwrap_or(usize::MAX);
    if first.is_empty() || first.len() > room {
        let message = format!(
            "expected `{}` of `{}` to end before U-Boot at byte {room}, found {} bytes",
            facts.file,
            facts.package,
            first.len()
        );
        return Err(Failure::error(ExitStatus::Build, "first-stage", message)
            .hint("change `boot.first_stage.uboot_offset` of the board"));
    }
    first.resize(room, 0);
    first.extend_from_slice(uboot);
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u_boot_stands_at_its_offset_and_nothing_reaches_into_it() {
        let facts = FirstStageFacts { package: "opensbi".into(), file: "/fw.bin".into(), uboot_offset: 8 };
        assert_eq!(joined(vec![1; 3], &[2; 2], &facts).unwrap(), [1, 1, 1, 0, 0, 0, 0, 0, 2, 2]);
        for size in [0, 9] {
            let failure = joined(vec![1; size], &[2], &facts).unwrap_err();
            assert_eq!(failure.status, ExitStatus::Build);
            assert_eq!(failure.diagnostics[0].code, "first-stage");
            let text = format!("`/fw.bin` of `opensbi` to end before U-Boot at byte 8, found {size} bytes");
            assert!(failure.to_string().contains(&text), "{failure}");
        }
    }
}
