//! U-Boot and Linux from the suite's sources with the plan's symbols.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use record::EffectiveSymbol;
use spec::plan::{DeviceTreeFacts, KconfigPlan, Plan};

use crate::kconfig::{DependencyIndex, compare, dropped_failure, fragment, parse_config};
use crate::sources;
use crate::{Cache, key_of};

const BUILD_LIMIT: Duration = Duration::from_secs(3 * 3600);
/// Raised when the way of building changes, so that old results are not taken.
const RECIPE: &str = "2";

/// The board's device tree in the kernel's folder of the cache.
const DEVICE_TREE: &str = "board.dtb";
/// The list of a kernel's files in its folder of the cache.
const SOURCES: &str = "sources";

/// What one compilation made.
#[derive(Debug)]
pub struct Compiled {
    /// The binary.
    pub binary: PathBuf,
    /// The final `.config`.
    pub config: PathBuf,
    /// Asked against effective.
    pub effective: Vec<EffectiveSymbol>,
    /// Which files of the source were compiled (Linux, where this program compiled it).
    pub sources: Option<PathBuf>,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// What differs between U-Boot and Linux.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// `uboot` or `linux`, as in waivers and records.
    pub name: &'static str,
    /// Target of `make` that makes the binary.
    pub target: &'static str,
    /// The binary below the build folder; `ARCH` stands for the architecture's folder.
    pub binary: &'static str,
}

/// U-Boot without control FDT: the assembler puts the keyed one behind it.
pub const UBOOT: Component =
    Component { name: "uboot", target: "u-boot-nodtb.bin", binary: "u-boot-nodtb.bin" };

/// The kernel as it runs: uncompressed, so that what U-Boot verifies is what is started, and its
/// configuration can be read out of it. Every architecture makes one of this name.
pub const LINUX: Component = Component { name: "linux", target: "Image", binary: "arch/ARCH/boot/Image" };

/// What is kept of U-Boot's build where SPL comes first: below the build folder, and in the cache's. `u-boot-spl-nodtb.bin` ends
/// where SPL looks for its control FDT.
const SPL_FILES: [(&str, &str); 3] = [
    ("u-boot.dtb", "uboot.dtb"),
    ("spl/u-boot-spl-nodtb.bin", "spl-nodtb"),
    ("spl/u-boot-spl.dtb", "spl.dtb"),
];

/// SPL, and what it starts beside U-Boot's code.
#[derive(Clone, Debug)]
pub struct SplFiles {
    /// SPL without its control FDT.
    pub nodtb: PathBuf,
    /// Its control FDT, where it verifies.
    pub device_tree: Option<PathBuf>,
    /// The monitor, where the board has one.
    pub monitor: Option<PathBuf>,
}

/// U-Boot's own control FDT, where it is kept: no emulator gives one, or SPL comes first.
#[must_use]
pub fn own_device_tree(plan: &Plan, uboot: &Compiled) -> Option<PathBuf> {
    keeps_device_tree(plan).then(|| uboot.binary.with_file_name(SPL_FILES[0].1))
}

fn keeps_device_tree(plan: &Plan) -> bool {
    plan.board.boot.spl.is_some() || plan.board.qemu.is_none()
}

/// The device tree that Linux's build made for a board that no emulator describes.
#[must_use]
pub fn linux_device_tree(linux: &Compiled) -> PathBuf {
    linux.binary.with_file_name(DEVICE_TREE)
}

/// Those of a U-Boot that was built for such a board.
#[must_use]
pub fn spl_files(uboot: &Compiled, verifies: bool, monitor: Option<PathBuf>) -> SplFiles {
    let [_, nodtb, device_tree] = SPL_FILES.map(|(_, name)| uboot.binary.with_file_name(name));
    SplFiles { nodtb, device_tree: verifies.then_some(device_tree), monitor }
}

/// Everything that a compilation works with.
#[derive(Debug)]
pub struct Work<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The plan's symbols for this component.
    pub asked: &'a KconfigPlan,
    /// The cache.
    pub cache: &'a Cache,
    /// Hash of the source.
    pub source_key: &'a str,
    /// Parallel jobs.
    pub jobs: usize,
    /// Log file.
    pub log: &'a Path,
}

/// Compiles `component`, or finds it in the cache. `source` is called only when it must be
/// unpacked.
///
/// # Errors
/// When a symbol does not survive (before anything is compiled), or the build fails.
pub fn compile(
    work: &Work<'_>,
    component: Component,
    source: impl Fn() -> Outcome<PathBuf>,
) -> Outcome<Compiled> {
    let compiler = compiler_version(&work.plan.board.cross_compile)?;
    let asked = asked_text(work.asked);
    let epoch = work.plan.product.epoch.to_string();
    let waived = waived_text(work.plan, component.name);
    let environment =
        if component.name == "uboot" { crate::uboot::environment(work.plan)? } else { String::new() };
    let mut parts = vec![
        RECIPE,
        work.source_key,
        &work.asked.base,
        &asked,
        &compiler,
        &work.plan.board.kernel_arch,
        &epoch,
        &waived,
    ];
    if component.name == "uboot" {
        parts.push(&environment);
        parts.extend(work.plan.board.boot.spl.as_ref().map(|_| "spl"));
        parts.extend(own_tree(work.plan).map(|_| "own device tree"));
        parts.extend(work.plan.uboot_patches.values().map(|patch| patch.value.text.as_str()));
    }
    if component.name == "linux" {
        parts.extend(own_tree(work.plan).map(|tree| tree.linux.as_str()));
    }
    let key = key_of(&parts);
    let (folder, cached) = work.cache.stage(component.name, &key, |part| {
        let tree = source()?;
        build_in(work, component, &tree, part)
    })?;
    let config = folder.join("config");
    let effective: Vec<EffectiveSymbol> = record::read_json(&folder.join("effective.json"))?;
    // The plan that asked may have moved its lines since; what was found has not changed.
    let effective = refresh_origins(effective, work.asked);
    // One that was made before there was such a list has none.
    let sources = Some(folder.join(SOURCES)).filter(|path| path.is_file());
    Ok(Compiled { binary: folder.join("binary"), config, effective, sources, cached })
}

fn refresh_origins(mut effective: Vec<EffectiveSymbol>, asked: &KconfigPlan) -> Vec<EffectiveSymbol> {
    for symbol in &mut effective {
        if let Some(origin) = asked.symbols.get(&symbol.symbol).and_then(|a| a.origins.first()) {
            symbol.asked_by.clone_from(&origin.who);
            symbol.asked_at = format!("{}:{}", origin.file, origin.line);
        }
    }
    effective
}

fn build_in(work: &Work<'_>, component: Component, tree: &Path, part: &Path) -> Outcome<()> {
    let objects = part.join("objects");
    fs::create_dir_all(&objects).map_err(|e| Failure::io("make", &objects, &e))?;
    let asked = asked_text(work.asked);
    let arch = arch(work, component)?;
    write(&objects.join("fastness.config"), &asked)?;
    if component.name == "uboot" {
        write(&objects.join("fastness.env"), &crate::uboot::environment(work.plan)?)?;
    }
    // Boards with SPL select binman, which nothing here runs: without it U-Boot's build wants swig and Python's headers (its Makefile).
    let without: &[&str] = if component.name == "uboot" { &["NO_PYTHON=1"] } else { &[] };
    let make = |arguments: &[&str]| -> Outcome<Call> {
        let epoch = work.plan.product.epoch;
        let map = format!("-ffile-prefix-map={}/= -ffile-prefix-map={}/=", tree.display(), objects.display());
        Ok(Call::new(tool("make")?)
            .arg("--silent")
            .arg("--directory")
            .arg(tree)
            .arg(format!("O={}", objects.display()))
            .arg(format!("ARCH={arch}"))
            .arg(format!("CROSS_COMPILE={}", work.plan.board.cross_compile))
            .arg(format!("KCFLAGS={map}"))
            .arg(format!("-j{}", work.jobs))
            .args(without)
            .args(arguments)
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .env("KBUILD_BUILD_TIMESTAMP", format!("@{epoch}"))
            .env("KBUILD_BUILD_USER", "fastness")
            .env("KBUILD_BUILD_HOST", "fastness")
            .env("KBUILD_BUILD_VERSION", "1")
            .env("TZ", "UTC")
            .log(work.log)
            .limit(BUILD_LIMIT))
    };
    make(&[&work.asked.base])?.env("KCONFIG_ALLCONFIG", objects.join("fastness.config")).run()?;
    // The last word on a symbol wins: first drop what the base said of it.
    let config_path = objects.join(".config");
    let base = read(&config_path)?;
    write(&config_path, &overridden(&base, work.asked, &asked))?;
    make(&["olddefconfig"])?.run()?;
    check(work, component, tree, &config_path)?;
    if let Some(own) = own_tree(work.plan).filter(|_| component.name == "linux") {
        // First: a tree that is not there is told before a kernel is compiled.
        let target = tree_target(&own.linux);
        make(&[&target])?.run()?;
        copy(&objects.join("arch").join(arch).join("boot/dts").join(target), &part.join(DEVICE_TREE))?;
    }
    make(&[component.target])?.run()?;
    if component.name == "uboot" {
        let (of_uboot, of_spl) = SPL_FILES.split_at(1);
        let mut kept = Vec::new();
        if keeps_device_tree(work.plan) {
            make(&["u-boot.dtb"])?.run()?;
            kept.extend(of_uboot);
        }
        if work.plan.board.boot.spl.is_some() {
            make(&["spl/u-boot-spl.bin"])?.run()?;
            // Without a control FDT there is nothing for a key to lie in.
            let verifies = work.plan.board.boot.spl.as_ref().is_some_and(|spl| spl.verifies);
            kept.extend(&of_spl[..if verifies { 2 } else { 1 }]);
        }
        for (from, to) in kept {
            copy(&objects.join(from), &part.join(to))?;
        }
        pad_spl(&objects, part)?;
    }
    // Building may touch the configuration again (syncconfig): what counts is what it was built with.
    let effective = check(work, component, tree, &config_path)?;
    copy(&objects.join(component.binary.replace("ARCH", arch)), &part.join("binary"))?;
    copy(&config_path, &part.join("config"))?;
    record::write_json_atomic(&part.join("effective.json"), &effective)?;
    if component.name == "linux" {
        write(&part.join(SOURCES), &sources::list(tree, &objects)?)?;
    }
    crate::cache::remove_tree(&objects)
}

/// SPL whose zeroed memory follows its code looks for its control FDT behind that memory: U-Boot's build writes it out as zeroes
/// (`scripts/Makefile.xpl`, `u-boot-spl-pad.bin`).
fn pad_spl(objects: &Path, part: &Path) -> Outcome<()> {
    let (pad, spl) = (objects.join("spl/u-boot-spl-pad.bin"), part.join(SPL_FILES[1].1));
    if !pad.is_file() || !spl.is_file() {
        return Ok(());
    }
    let read = |path: &Path| fs::read(path).map_err(|e| Failure::io("read", path, &e));
    let padded = [read(&spl)?, read(&pad)?].concat();
    fs::write(&spl, padded).map_err(|e| Failure::io("write", &spl, &e))
}

/// Target of `make` for a device tree's source: `st/stm32mp157c-dk2.dtb`.
fn tree_target(source: &str) -> String {
    format!("{}.dtb", source.strip_suffix(".dts").unwrap_or(source))
}

/// What a board that no emulator describes says of its device trees.
fn own_tree(plan: &Plan) -> Option<&DeviceTreeFacts> {
    plan.board.device_tree.as_ref().filter(|_| plan.board.qemu.is_none())
}

fn check(work: &Work<'_>, component: Component, tree: &Path, config: &Path) -> Outcome<Vec<EffectiveSymbol>> {
    let config = parse_config(&read(config)?);
    let arch = arch(work, component)?;
    let effective =
        compare(work.plan, component.name, work.asked, &config, || DependencyIndex::load(tree, arch));
    match dropped_failure(&effective) {
        Some(failure) => Err(failure),
        None => Ok(effective),
    }
}

/// `ARCH=` of the component.
fn arch(work: &Work<'_>, component: Component) -> Outcome<&'static str> {
    let architecture = crate::architecture(work.plan)?;
    Ok(if component.name == "uboot" { architecture.of_uboot() } else { architecture.as_str() })
}

fn asked_text(asked: &KconfigPlan) -> String {
    fragment(asked.symbols.iter().map(|(symbol, asked)| (symbol.as_str(), asked.value.as_str())))
}

fn waived_text(plan: &Plan, component: &str) -> String {
    let prefix = format!("{component}:");
    plan.waivers.keys().filter(|name| name.starts_with(&prefix)).cloned().collect::<Vec<_>>().join(" ")
}

fn overridden(base: &str, asked: &KconfigPlan, text: &str) -> String {
    let named = |line: &str| {
        let symbol = line
            .strip_prefix("CONFIG_")
            .and_then(|rest| rest.split('=').next())
            .or_else(|| line.strip_prefix("# CONFIG_").and_then(|rest| rest.split(' ').next()));
        symbol.is_some_and(|symbol| asked.symbols.contains_key(symbol))
    };
    let mut out: String = base.lines().filter(|line| !named(line)).map(|line| format!("{line}\n")).collect();
    out.push_str(text);
    out
}

fn compiler_version(prefix: &str) -> Outcome<String> {
    let output = Call::new(tool(&format!("{prefix}gcc"))?).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned())
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::copy(from, to).map(|_| ()).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            Failure::error(
                ExitStatus::Build,
                "no-output",
                format!("the build ended well but left no `{}`", from.display()),
            )
        } else {
            Failure::io("copy", from, &e)
        }
    })
}

/// Facts of the compiler and sources for the record.
///
/// # Errors
/// When the compiler is missing.
pub fn provenance(plan: &Plan) -> Outcome<BTreeMap<String, String>> {
    Ok(BTreeMap::from([("compiler".to_owned(), compiler_version(&plan.board.cross_compile)?)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::plan::{Asked, Origin};

    fn asked(pairs: &[(&str, &str)]) -> KconfigPlan {
        let origin =
            Origin { who: "layer x".into(), file: "layers/x/layer.yaml".into(), line: 3, reason: "r".into() };
        KconfigPlan {
            base: "allnoconfig".into(),
            symbols: pairs
                .iter()
                .map(|(k, v)| {
                    ((*k).to_owned(), Asked { value: (*v).to_owned(), origins: vec![origin.clone()] })
                })
                .collect(),
        }
    }

    #[test]
    fn a_device_tree_is_made_of_its_source() {
        assert_eq!(tree_target("st/stm32mp157c-dk2.dts"), "st/stm32mp157c-dk2.dtb");
        assert_eq!(tree_target("ti/omap/am335x-boneblack"), "ti/omap/am335x-boneblack.dtb");
    }

    #[test]
    fn the_plan_has_the_last_word_on_its_symbols_only() {
        let plan = asked(&[("A", "n"), ("B", "y")]);
        let text = overridden("CONFIG_A=y\nCONFIG_AB=y\n# CONFIG_B is not set\n", &plan, &asked_text(&plan));
        assert_eq!(text, "CONFIG_AB=y\n# CONFIG_A is not set\nCONFIG_B=y\n");
    }
}
