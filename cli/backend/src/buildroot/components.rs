//! The `.config` of the kernel, of U-Boot and, where it is on, of BusyBox, compared with the plan as soon as Buildroot has made them:
//! before anything is compiled with them, and again after the build.
//!
//! The tree's target `fastness-configure` needs only the toolchain and says where the two lie.
//! Fragments are merged by `merge_config.sh -m`, which ends with success whatever is lost. Source:
//! Buildroot `package/pkg-kconfig.mk`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use record::EffectiveSymbol;
use spec::plan::{KconfigPlan, Plan};

use super::configure::{Place, component};
use super::facts;
use super::source::Version;
use crate::key_of;

/// The target of `external.mk`.
pub const TARGET: &str = "fastness-configure";
/// Where that target says which folders it configured.
const FOLDERS: &str = "fastness-folders.txt";
/// Of which inputs the folders are the configured ones.
const SEEN: &str = "fastness-configured.txt";

/// What decides the two configurations. As long as none of it changes, make need not be asked.
///
/// # Errors
/// When Buildroot's configuration cannot be read.
pub fn key(plan: &Plan, place: Place<'_>, version: &Version) -> Outcome<String> {
    let (config, _) = record::sha256_file(&place.output.join(".config"))?;
    let board = place.external.join("board").join(&plan.board.name);
    let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    Ok(key_of(&[
        &config,
        &version.full,
        &facts(plan)?.series,
        &text(place.external.join("external.mk")),
        &text(board.join("linux.fragment")),
        &text(board.join("uboot.fragment")),
        &text(board.join("busybox.fragment")),
        // A developer's own sources of a package. Source: the Buildroot manual, "Using Buildroot
        // during development".
        &text(place.output.join("local.mk")),
    ]))
}

/// Whether both were configured from these inputs and are still there.
#[must_use]
pub fn is_current(place: Place<'_>, key: &str) -> bool {
    fs::read_to_string(place.output.join(SEEN)).is_ok_and(|seen| seen == key)
        && folders(place.output).is_ok_and(|folders| {
            folders.values().all(|folder| folder.join(".stamp_kconfig_fixup_done").is_file())
        })
}

/// Notes that both were configured from these inputs and hold what was asked.
///
/// # Errors
/// When it cannot be written.
pub fn note(place: Place<'_>, key: &str) -> Outcome<()> {
    let path = place.output.join(SEEN);
    fs::write(&path, key).map_err(|e| Failure::io("write", &path, &e))
}

/// Both configurations against the plan.
///
/// # Errors
/// When a symbol did not survive, with who asked and the unmet dependency: those of both at once.
pub fn compared(plan: &Plan, output: &Path) -> Outcome<Vec<EffectiveSymbol>> {
    let folders = folders(output)?;
    let mut effective = Vec::new();
    let mut lost = Vec::new();
    for (name, asked) in parts(plan) {
        let folder = folders.get(name).ok_or_else(|| unknown(name))?;
        match component(plan, name, asked, &folder.join(".config"), folder) {
            Ok(symbols) => effective.extend(symbols),
            Err(failure) if failure.diagnostics.iter().all(|d| d.code == "symbol-dropped") => {
                lost.extend(failure.diagnostics);
            }
            Err(failure) => return Err(failure),
        }
    }
    if lost.is_empty() {
        Ok(effective)
    } else {
        Err(Failure { status: ExitStatus::Build, diagnostics: lost })
    }
}

/// The configurations that the image's record gets are those of the folders that were built.
///
/// # Errors
/// When a symbol did not survive the build, a folder was not built, or what lies in `images/` is
/// another configuration than the one that was built with.
pub fn after_the_build(plan: &Plan, output: &Path) -> Outcome<Vec<EffectiveSymbol>> {
    let folders = folders(output)?;
    for (name, _) in parts(plan) {
        let folder = folders.get(name).ok_or_else(|| unknown(name))?;
        if !folder.join(".stamp_built").is_file() {
            let message = format!("Buildroot ended well but built no `{name}`");
            return Err(Failure::error(ExitStatus::Build, "no-output", message));
        }
        // BusyBox's is in the image's record as a list only.
        let file = match name {
            "uboot" => "u-boot.config",
            "linux" => "linux.config",
            _ => continue,
        };
        let (built, _) = record::sha256_file(&folder.join(".config"))?;
        let (shown, _) = record::sha256_file(&output.join("images").join(file))?;
        if built != shown {
            let message = format!(
                "`images/{file}` is not the configuration that `{}` was built with",
                folder.display()
            );
            return Err(Failure::error(ExitStatus::Build, "other-configuration", message).hint(format!(
                "remove `{}` and run the same command again",
                output.join("images").display()
            )));
        }
    }
    compared(plan, output)
}

fn parts(plan: &Plan) -> impl Iterator<Item = (&'static str, &KconfigPlan)> {
    let busybox = plan.buildroot.as_ref().and_then(|facts| facts.busybox.as_ref());
    let busybox = busybox.map(|asked| ("busybox", asked));
    [("uboot", &plan.uboot), ("linux", &plan.linux)].into_iter().chain(busybox)
}

fn unknown(name: &str) -> Failure {
    Failure::error(
        ExitStatus::Build,
        "no-output",
        format!("`make {TARGET}` ended well but did not say where `{name}` is configured"),
    )
}

fn folders(output: &Path) -> Outcome<BTreeMap<String, PathBuf>> {
    let path = output.join(FOLDERS);
    let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(name, folder)| (name.to_owned(), PathBuf::from(folder))).collect())
}
