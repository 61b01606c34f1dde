//! Drives Buildroot and hands its parts to the common assembly.
//!
//! The output folder is in the cache, one for each output folder of ours, and is never removed: an
//! interrupted or failed build goes on in it, and a build without changes is Buildroot's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::Artefacts;
use spec::plan::Plan;

use super::configure::{Place, compared, configure};
use super::hand_over::{Parts, built_with, hand_over};
use super::local_changes::LISTING;
use super::machine::{Machine, PER_PACKAGE};
use super::source::{self, Version};
use super::toolchain::Toolchain;
use super::{components, drive, facts, generate, local_changes, overlay, release, toolchain};
use crate::device_tree::device_tree;
use crate::kconfig::parse_buildroot_config;
use crate::{BuildOptions, Cache, Progress, key_of, step};

/// Builds everything that the plan asks for with the tree that was given.
///
/// # Errors
/// See [`crate::build`].
pub fn build(plan: &Plan, options: &BuildOptions, progress: &dyn Progress) -> Outcome<Artefacts> {
    fs::create_dir_all(&options.cache).map_err(|e| Failure::io("make", &options.cache, &e))?;
    let root = options.cache.canonicalize().map_err(|e| Failure::io("open", &options.cache, &e))?;
    source::usable(&root)?;
    options.buildroot.check()?;
    let cache = Cache::new(&root);
    let log = |name: &str| options.out.join("logs").join(format!("{name}.log"));
    let (tree, version) = buildroot_tree(plan, options, &cache, &log("buildroot-fetch"), progress)?;
    let work = work_folder(plan, options, &cache, &tree)?;
    let _lock = FolderLock::take(&work)?;
    let (external, output) = (work.join("external"), work.join("output"));
    generate(plan, &external)?;
    let machine = &options.buildroot;
    let toolchain = given_toolchain(plan, machine, &cache, &log("toolchain"))?;
    let local = &machine.asked(toolchain.as_ref())?;
    let config_log = log("buildroot-config");
    let place = Place { tree: &tree, external: &external, output: &output, local, log: &config_log };
    step(progress, "configure Buildroot", Some(&config_log), || {
        configure(plan, place)?;
        if forget_old_toolchain(place)? {
            configure(plan, place)?;
        }
        Ok(((), false))
    })?;
    let toolchain = match toolchain {
        Some(toolchain) => Some(toolchain),
        None => toolchain::configured(plan, facts(plan)?, &configured(&output)?, &log("toolchain"))?,
    };
    let dtb = step(progress, "device tree", Some(&log("dtb")), || device_tree(plan, &cache, &log("dtb")))?;
    let build_log = log("buildroot");
    let place = Place { log: &build_log, ..place };
    // The toolchain and two configurations: a lost symbol is told before anything is compiled with it.
    step(progress, "configure Linux and U-Boot", Some(&build_log), || {
        let key = components::key(plan, place, &version)?;
        let current = components::is_current(place, &key);
        if !current {
            drive::run(&[components::TARGET], place, options, &cache, progress)?;
            components::compared(plan, &output)?;
            components::note(place, &key)?;
        }
        Ok(((), current))
    })?;
    step(progress, "build with Buildroot", Some(&build_log), || {
        forget_old_overlay(plan, &output)?;
        drive::run(&["all"], place, options, &cache, progress)?;
        Ok(((), false))
    })?;
    step(progress, "record artefacts", None, || {
        // What was built with, not what was there before: a package may have changed it meanwhile.
        let mut effective = compared(plan, place)?;
        effective.extend(components::after_the_build(plan, &output)?);
        let release = facts(plan)?.source.as_ref().map(|of| release::folder(of, &cache).join(LISTING));
        let seen = work.join("tree.json");
        let used = local_changes::look(&tree, &version, release.as_deref(), &seen, &log("buildroot-tree"))?;
        let mut provenance = BTreeMap::from([("buildroot".to_owned(), built_with(&output, &version))]);
        used.record(&mut provenance);
        let toolchain = toolchain.as_ref().map_or_else(|| "Buildroot's own".to_owned(), Toolchain::words);
        provenance.insert("toolchain".to_owned(), toolchain);
        let parts = Parts { place, version: &version, dtb: &dtb, effective, provenance };
        let artefacts = hand_over(plan, options, parts)?;
        Ok((artefacts, false))
    })
}

/// The tree that was given, or that of the release which the product pins.
fn buildroot_tree(
    plan: &Plan,
    options: &BuildOptions,
    cache: &Cache,
    log: &Path,
    progress: &dyn Progress,
) -> Outcome<(PathBuf, Version)> {
    let facts = facts(plan)?;
    let tree = match (&options.buildroot.tree, &facts.source) {
        (Some(tree), _) => tree.clone(),
        (None, Some(release)) => step(progress, "fetch Buildroot", Some(log), || {
            release::tree(release, cache, options.offline, log)
        })?,
        (None, None) => {
            let message =
                "the backend `buildroot` needs a Buildroot: neither is a tree given nor a release pinned";
            return Err(Failure::error(ExitStatus::Input, "no-buildroot", message).hint(
                "pin one in the product, `buildroot: {release: {version: …, sha256: …}}`, or unpack one and give its folder, `--buildroot DIR`",
            ));
        }
    };
    source::open(&tree, facts)
}

/// One folder for each of our output folders, product, board and tree: variants never meet.
fn work_folder(plan: &Plan, options: &BuildOptions, cache: &Cache, tree: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(&options.out).map_err(|e| Failure::io("make", &options.out, &e))?;
    let out = options.out.canonicalize().map_err(|e| Failure::io("open", &options.out, &e))?;
    let key =
        key_of(&[&out.to_string_lossy(), &plan.product.name, &plan.board.name, &tree.to_string_lossy()]);
    cache.folder(&format!("buildroot/{}-{}-{}", plan.product.name, plan.board.name, &key[..12]))
}

/// The toolchain of `--toolchain`.
fn given_toolchain(plan: &Plan, machine: &Machine, cache: &Cache, log: &Path) -> Outcome<Option<Toolchain>> {
    let Some(given) = &machine.toolchain else { return Ok(None) };
    let toolchain = Toolchain::probe(&toolchain::folder(given, cache)?, None, log)?;
    toolchain.fits(plan, facts(plan)?)?;
    Ok(Some(toolchain))
}

fn configured(output: &Path) -> Outcome<BTreeMap<String, String>> {
    let path = output.join(".config");
    let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    Ok(parse_buildroot_config(&text))
}

/// Buildroot does not build anew when its toolchain changes, and what two toolchains made does not go
/// together: the output folder is emptied then. Source: the Buildroot manual, "Understanding when a
/// full rebuild is necessary".
fn forget_old_toolchain(place: Place<'_>) -> Outcome<bool> {
    let decides = |symbol: &str| {
        ["BR2_TOOLCHAIN_EXTERNAL", "BR2_TOOLCHAIN_BUILDROOT", "BR2_GCC_VERSION", "BR2_ARCH"]
            .iter()
            .any(|start| symbol.starts_with(start))
    };
    let found = configured(place.output)?;
    let lines = found.iter().filter(|(symbol, _)| decides(symbol));
    let now: String = lines.map(|(symbol, value)| format!("{symbol}={value}\n")).collect();
    let seen = place.output.join("fastness-toolchain.txt");
    let changed = fs::read_to_string(&seen).is_ok_and(|old| old != now);
    if changed {
        crate::cache::remove_tree(place.output)?;
        fs::create_dir_all(place.output).map_err(|e| Failure::io("make", place.output, &e))?;
    }
    fs::write(&seen, now).map_err(|e| Failure::io("write", &seen, &e))?;
    Ok(changed)
}

/// Buildroot's target folder keeps files of an older overlay: with folders for each package it
/// is quickly made anew, and only then.
fn forget_old_overlay(plan: &Plan, output: &Path) -> Outcome<()> {
    // Without them, a target folder that is removed stays empty; the post-build hook takes the files out.
    if configured(output)?.get(PER_PACKAGE).is_none_or(|value| value != "y") {
        return Ok(());
    }
    let seen = output.join("build/fastness-overlay.txt");
    let Ok(old) = fs::read_to_string(&seen) else { return Ok(()) };
    let new = overlay::paths(plan);
    if old.lines().any(|path| !new.lines().any(|other| other == path)) {
        crate::cache::remove_tree(&output.join("target"))?;
        fs::remove_file(&seen).map_err(|e| Failure::io("remove", &seen, &e))?;
    }
    Ok(())
}
