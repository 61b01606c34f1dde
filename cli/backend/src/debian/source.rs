//! Source trees from the archive's files, with the suite's own patches applied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::{Asked, PatchPlan};

/// Unpacks a source package: upstream's tarball, then the suite's `debian/patches/series`.
///
/// Source: dpkg-source(1), format 3.0 (quilt).
///
/// # Errors
/// When a tarball is missing or damaged, or a patch does not apply.
pub fn unpack_quilt(tarballs: &[PathBuf], folder: &Path, log: &Path) -> Outcome<()> {
    let find = |what: &str| {
        tarballs.iter().find(|path| path.to_string_lossy().contains(what)).ok_or_else(|| {
            Failure::error(
                ExitStatus::Build,
                "no-source",
                format!("the source package has no `{what}` tarball"),
            )
        })
    };
    unpack(find(".orig.tar.")?, folder, log)?;
    let debian = folder.join("fastness-debian");
    unpack_at(find(".debian.tar.")?, &debian, 0, log)?;
    let patches = debian.join("debian/patches");
    let series = match fs::read_to_string(patches.join("series")) {
        Ok(series) => series,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Failure::io("read", &patches.join("series"), &e)),
    };
    for name in
        series.lines().filter_map(|line| line.split('#').next()).map(str::trim).filter(|l| !l.is_empty())
    {
        Call::new(tool("patch")?)
            .args(["-p1", "--silent", "--no-backup-if-mismatch", "--forward", "--input"])
            .arg(patches.join(name))
            .folder(folder)
            .log(log)
            .run()
            .map_err(|failure| failure.note(format!("while applying the suite's patch `{name}`")))?;
    }
    Ok(())
}

/// Applies the plan's patches to an unpacked U-Boot.
///
/// # Errors
/// `uboot-patch` when one does not apply: nothing is left out, and nothing is applied in part of another place
/// (no fuzz).
pub fn apply(patches: &BTreeMap<String, Asked<PatchPlan>>, folder: &Path, log: &Path) -> Outcome<()> {
    for (name, patch) in patches {
        let file = folder.join(format!("fastness-{name}"));
        fs::write(&file, &patch.value.text).map_err(|e| Failure::io("write", &file, &e))?;
        let applied = Call::new(tool("patch")?)
            .args(["-p1", "--silent", "--fuzz=0", "--no-backup-if-mismatch", "--forward", "--input"])
            .arg(&file)
            .folder(folder)
            .log(log)
            .run();
        applied.map_err(|failure| {
            let who = patch.origins.first().map(|origin| origin.who.clone()).unwrap_or_default();
            let message = format!(
                "the patch `{name}` of {who} does not apply to this U-Boot: it is for {}: {failure}",
                patch.value.versions.join(" and ")
            );
            Failure::error(ExitStatus::Build, "uboot-patch", message)
                .hint("build with a U-Boot of one of these versions, or bring the patch to this one")
        })?;
    }
    Ok(())
}

/// Unpacks a kernel source package (`linux-source-VERSION`), patched by the suite already.
///
/// # Errors
/// When the package or the tarball in it is damaged.
pub fn unpack_linux(package: &Path, folder: &Path, log: &Path) -> Outcome<()> {
    let data = folder.join("package");
    fs::create_dir_all(&data).map_err(|e| Failure::io("make", &data, &e))?;
    Call::new(tool("dpkg-deb")?).arg("--extract").arg(package).arg(&data).log(log).run()?;
    let sources = data.join("usr/src");
    let listing = fs::read_dir(&sources).map_err(|e| Failure::io("read", &sources, &e))?;
    let tarball = listing
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("linux-source-") && name.contains(".tar.")
        })
        .ok_or_else(|| {
            Failure::error(
                ExitStatus::Build,
                "no-source",
                format!("`{}` holds no `usr/src/linux-source-*.tar.*`", package.display()),
            )
        })?;
    unpack(&tarball, folder, log)?;
    crate::cache::remove_tree(&data)
}

fn unpack(tarball: &Path, folder: &Path, log: &Path) -> Outcome<()> {
    unpack_at(tarball, folder, 1, log)
}

fn unpack_at(tarball: &Path, folder: &Path, strip: u32, log: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
    Call::new(tool("tar")?)
        .args(["--extract", "--no-same-owner", "--auto-compress", "--file"])
        .arg(tarball)
        .arg(format!("--strip-components={strip}"))
        .arg("--directory")
        .arg(folder)
        .log(log)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patches(text: &str) -> BTreeMap<String, Asked<PatchPlan>> {
        let value = PatchPlan { text: text.to_owned(), versions: vec!["2025.01".to_owned()] };
        [("x.patch".to_owned(), Asked { value, origins: vec![] })].into()
    }

    #[test]
    fn a_patch_is_applied_and_one_that_does_not_apply_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("file"), folder.path().join("log"));
        fs::write(&file, "one\ntwo\n").unwrap();
        let text = "--- a/file\n+++ b/file\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n";
        apply(&patches(text), folder.path(), &log).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\nthree\n");
        let failure = apply(&patches(text), folder.path(), &log).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, "uboot-patch");
        assert!(
            failure.to_string().contains("`x.patch` of  does not apply to this U-Boot: it is for 2025.01"),
            "{failure}"
        );
    }
}
