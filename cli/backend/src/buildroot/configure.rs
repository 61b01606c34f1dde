//! Buildroot's own configuration: made from the defconfig, and compared with what was asked
//! before anything is built.
//!
//! `make …_defconfig` ends with success on unknown symbols and unmet dependencies: only a
//! comparison finds them. Source: the Buildroot manual, "Customizing the build".

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use diag::{Failure, Outcome};
use exec::{Call, tool};
use record::EffectiveSymbol;
use spec::plan::{KconfigPlan, Plan};

use super::machine::Machine;
use super::{defconfig, facts, source};
use crate::kconfig::{DependencyIndex, compare, dropped_failure, parse_buildroot_config, parse_config};

const LIMIT: Duration = Duration::from_secs(600);

/// The folders and files of one configuration.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The Buildroot tree.
    pub tree: &'a Path,
    /// The external tree.
    pub external: &'a Path,
    /// Buildroot's output folder (`O=`).
    pub output: &'a Path,
    /// Symbols of this machine.
    pub local: &'a KconfigPlan,
    /// Log file.
    pub log: &'a Path,
}

/// Whether a tree keeps every symbol of the plan; leaves nothing behind but the log.
///
/// # Errors
/// As [`configure`], or when the tree is none of the plan's series.
pub fn check_symbols(
    plan: &Plan,
    external: &Path,
    tree: &Path,
    machine: &Machine,
    log: &Path,
) -> Outcome<()> {
    let (tree, _) = source::open(tree, facts(plan)?)?;
    let local = &machine.asked(None)?;
    let external = external.canonicalize().map_err(|e| Failure::io("open", external, &e))?;
    source::usable(&external)?;
    let output = external.with_file_name("buildroot-check");
    crate::cache::remove_tree(&output)?;
    let place = Place { tree: &tree, external: &external, output: &output, local, log };
    let result = configure(plan, place);
    crate::cache::remove_tree(&output)?;
    result.map(|_| ())
}

/// Configures the output folder, if it is not configured so already, and compares.
///
/// # Errors
/// When a symbol did not survive, with who asked and the unmet dependency, or make fails.
pub fn configure(plan: &Plan, place: Place<'_>) -> Outcome<Vec<EffectiveSymbol>> {
    let facts = facts(plan)?;
    fs::create_dir_all(place.output).map_err(|e| Failure::io("make", place.output, &e))?;
    // The last of two lines counts.
    let local = place.local.symbols.iter();
    let local: String = local.map(|(symbol, asked)| defconfig::line(symbol, &asked.value)).collect();
    let asked = defconfig::minimal(facts) + &local;
    let (file, config) = (place.output.join("fastness_defconfig"), place.output.join(".config"));
    // Kconfig writes .config anew each time; what depends on its time stamp is left alone.
    let current = config.is_file() && fs::read_to_string(&file).is_ok_and(|old| old == asked);
    if !current {
        let part = place.output.join("fastness_defconfig.part");
        fs::write(&part, &asked).map_err(|e| Failure::io("write", &part, &e))?;
        make(place)?.arg(format!("BR2_DEFCONFIG={}", part.display())).arg("defconfig").run()?;
        make(place)?.arg("olddefconfig").run()?;
    }
    let effective = compared(plan, place)?;
    if !current {
        fs::rename(place.output.join("fastness_defconfig.part"), &file)
            .map_err(|e| Failure::io("write", &file, &e))?;
    }
    Ok(effective)
}

/// A call of Buildroot's makefile for this output folder.
pub fn make(place: Place<'_>) -> Outcome<Call> {
    Ok(Call::new(tool("make")?)
        .arg("--directory")
        .arg(place.tree)
        .arg(format!("O={}", place.output.display()))
        .arg(format!("BR2_EXTERNAL={}", place.external.display()))
        .log(place.log)
        .limit(LIMIT))
}

/// Buildroot's final configuration against the plan.
///
/// # Errors
/// When a symbol did not survive, or the configuration cannot be read.
pub fn compared(plan: &Plan, place: Place<'_>) -> Outcome<Vec<EffectiveSymbol>> {
    let facts = facts(plan)?;
    let found = parse_buildroot_config(&read(&place.output.join(".config"))?);
    let mut asked = facts.symbols.clone();
    for (symbol, value) in &place.local.symbols {
        asked.symbols.entry(symbol.clone()).or_insert_with(|| value.clone());
    }
    asked.symbols.retain(|symbol, _| {
        facts.unless.get(symbol).is_none_or(|other| found.get(other).is_none_or(|value| value == "n"))
    });
    judged(compare(plan, "buildroot", &asked, &found, || {
        DependencyIndex::load_buildroot(place.tree, place.external)
    }))
}

/// The final configuration of the kernel, of U-Boot or of BusyBox against the plan.
///
/// # Errors
/// When a symbol did not survive, or the file cannot be read.
pub fn component(
    plan: &Plan,
    name: &str,
    asked: &KconfigPlan,
    config: &Path,
    source: &Path,
) -> Outcome<Vec<EffectiveSymbol>> {
    let found: BTreeMap<String, String> = parse_config(&read(config)?);
    let architecture = crate::architecture(plan)?;
    let arch = if name == "uboot" { architecture.of_uboot() } else { architecture.as_str() };
    judged(compare(plan, name, asked, &found, || match name {
        "busybox" => DependencyIndex::load_config_in(source),
        _ => DependencyIndex::load(source, arch),
    }))
}

fn judged(effective: Vec<EffectiveSymbol>) -> Outcome<Vec<EffectiveSymbol>> {
    match dropped_failure(&effective) {
        Some(failure) => Err(failure),
        None => Ok(effective),
    }
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}
