//! The Debian backend, the embedded default: packages from the archive, U-Boot and Linux
//! from the suite's own sources, no root, no foreign code run.

mod about;
pub mod accounts;
pub mod apt;
mod compile;
mod fetch;
mod first_stage;
mod generate;
mod rootfs;
mod source;
pub mod tree;
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{Failure, Outcome};
use record::{Artefacts, Role};
use spec::plan::Plan;

use crate::device_tree::device_tree;
use crate::hand_over::{artefact, place};
use crate::vendor::Programs;
use crate::{BuildOptions, Cache, Progress, key_of, step};
use compile::{Compiled, LINUX, UBOOT, Work, compile};
pub use generate::generate;

/// What the stages start, and what the builds of U-Boot and Linux start in turn; the compiler and QEMU are
/// the board's.
const HOST_TOOLS: &[&str] = &[
    "apt-get",
    "apt-helper",
    "bc",
    "bison",
    "dpkg-deb",
    "dtc",
    "flex",
    "gcc",
    "make",
    "mksquashfs",
    "patch",
    "tar",
    "xxd",
];

/// Builds everything that the plan asks for.
///
/// # Errors
/// See [`crate::build`].
pub fn build(
    plan: &Plan,
    options: &BuildOptions,
    programs: &Programs,
    progress: &dyn Progress,
) -> Outcome<Artefacts> {
    // All at once and first: nobody should learn of a missing tool a kernel later.
    exec::require(&tools(plan).iter().map(String::as_str).collect::<Vec<_>>())?;
    fs::create_dir_all(&options.cache).map_err(|e| Failure::io("make", &options.cache, &e))?;
    let root = options.cache.canonicalize().map_err(|e| Failure::io("open", &options.cache, &e))?;
    let cache = Cache::new(&root);
    let log = |name: &str| options.out.join("logs").join(format!("{name}.log"));
    let fetched = step(progress, "fetch packages and sources", Some(&log("fetch")), || {
        let fetched = fetch::fetch_all(plan, options, &cache, &log("fetch"))?;
        let cached = fetched.cached;
        Ok((fetched, cached))
    })?;
    let emulated =
        plan.board.qemu.as_ref().map(|_| {
            step(progress, "device tree", Some(&log("dtb")), || device_tree(plan, &cache, &log("dtb")))
        });
    let emulated = emulated.transpose()?;
    // What is quick comes first: a slip in a layer is told before a kernel is compiled.
    let base = step(progress, "merge packages", Some(&log("packages")), || {
        rootfs::base(plan, &fetched, &cache, &log("packages"))
    })?;
    let squashfs = step(progress, "root file system", Some(&log("rootfs")), || {
        rootfs::squashfs(plan, &base, &cache, &log("rootfs"))
    })?;
    let uboot = step(progress, "build U-Boot", Some(&log("uboot")), || {
        let source_key = files_key(&fetched.uboot);
        let work = Work {
            plan,
            asked: &plan.uboot,
            cache: &cache,
            source_key: &source_key,
            jobs: options.jobs,
            log: &log("uboot"),
        };
        let built = compile(&work, UBOOT, || {
            let mut parts = vec!["uboot", source_key.as_str()];
            parts.extend(plan.uboot_patches.values().map(|patch| patch.value.text.as_str()));
            let (folder, _) = cache.stage("sources", &key_of(&parts), |part| {
                fetched.verify_sources(&fetched.uboot)?;
                source::unpack_quilt(&fetched.uboot, part, &log("uboot"))?;
                source::apply(&plan.uboot_patches, part, &log("uboot"))
            })?;
            Ok(folder)
        })?;
        let cached = built.cached;
        let monitor = first_stage::monitor(plan, &fetched, &cache, &log("uboot"))?;
        let spl = plan.board.boot.spl.as_ref().map(|spl| compile::spl_files(&built, spl.verifies, monitor));
        let binary = first_stage::before_uboot(plan, &fetched, built.binary, &cache, &log("uboot"))?;
        Ok(((Compiled { binary, ..built }, spl), cached))
    })?;
    let linux = step(progress, "build Linux", Some(&log("linux")), || {
        let source_key = files_key(std::slice::from_ref(&fetched.linux));
        let work = Work {
            plan,
            asked: &plan.linux,
            cache: &cache,
            source_key: &source_key,
            jobs: options.jobs,
            log: &log("linux"),
        };
        let built = compile(&work, LINUX, || {
            let key = key_of(&["linux", &source_key]);
            let (folder, _) = cache.stage("sources", &key, |part| {
                fetched.verify_sources(std::slice::from_ref(&fetched.linux))?;
                source::unpack_linux(&fetched.linux, part, &log("linux"))
            })?;
            Ok(folder)
        })?;
        let cached = built.cached;
        Ok((built, cached))
    })?;
    // Where no emulator gives it, Linux's build does.
    let tree = emulated.unwrap_or_else(|| compile::linux_device_tree(&linux));
    step(progress, "record artefacts", None, || {
        let pieces = Pieces { uboot: &uboot.0, spl: uboot.1.as_ref(), linux: &linux, tree: &tree, programs };
        let artefacts = hand_over(plan, options, &fetched, &pieces, &base, &squashfs)?;
        Ok((artefacts, false))
    })
}

/// Every tool that a build of this board starts.
fn tools(plan: &Plan) -> Vec<String> {
    let mut tools: Vec<String> = HOST_TOOLS.iter().map(|&tool| tool.to_owned()).collect();
    tools.push(format!("{}gcc", plan.board.cross_compile));
    tools.extend(plan.board.qemu.as_ref().map(|qemu| qemu.program.clone()));
    tools.sort();
    tools
}

/// The cache's names hold the hashes of their contents.
fn files_key(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|f| f.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// What was compiled, the board's device tree, and its maker's programs.
struct Pieces<'a> {
    uboot: &'a Compiled,
    spl: Option<&'a compile::SplFiles>,
    linux: &'a Compiled,
    tree: &'a Path,
    programs: &'a Programs,
}

fn hand_over(
    plan: &Plan,
    options: &BuildOptions,
    fetched: &fetch::Fetched,
    pieces: &Pieces<'_>,
    base: &Path,
    squashfs: &Path,
) -> Outcome<Artefacts> {
    let folder = options.out.join("artefacts");
    fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
    rootfs::write_manifest(fetched, base, &folder.join("packages.json"))?;
    let Pieces { uboot, linux, .. } = pieces;
    let mut files = BTreeMap::new();
    let own_tree = compile::own_device_tree(plan, uboot);
    let mut special: Vec<(Role, &Path, &str)> = Vec::new();
    special.extend(own_tree.as_deref().map(|tree| (Role::UbootDeviceTree, tree, "u-boot.dtb")));
    if let Some(spl) = pieces.spl {
        special.push((Role::SplNodtb, &spl.nodtb, "u-boot-spl-nodtb.bin"));
        special.extend(spl.device_tree.as_deref().map(|tree| (Role::SplDeviceTree, tree, "u-boot-spl.dtb")));
        special.extend(spl.monitor.as_deref().map(|monitor| (Role::Monitor, monitor, "monitor.bin")));
    }
    let all = [
        (Role::UbootNodtb, uboot.binary.as_path(), "u-boot-nodtb.bin"),
        (Role::UbootConfig, &uboot.config, "u-boot.config"),
        (Role::DeviceTree, pieces.tree, "board.dtb"),
        (Role::Kernel, &linux.binary, "Image"),
        (Role::KernelConfig, &linux.config, "linux.config"),
        (Role::Rootfs, squashfs, "rootfs.squashfs"),
    ];
    for (role, from, name) in all.into_iter().chain(special) {
        let to = folder.join(name);
        place(from, &to)?;
        files.insert(role, artefact(&to, name)?);
    }
    let list = folder.join("linux.sources");
    match &linux.sources {
        Some(from) => {
            place(from, &list)?;
            files.insert(Role::KernelSources, artefact(&list, "linux.sources")?);
        }
        // One of another kernel must not stay.
        None => crate::cache::remove_file(&list)?,
    }
    files.insert(Role::PackageManifest, artefact(&folder.join("packages.json"), "packages.json")?);
    let mut effective = uboot.effective.clone();
    effective.extend(linux.effective.iter().cloned());
    let artefacts = Artefacts {
        schema_version: 1,
        product: plan.product.name.clone(),
        board: plan.board.name.clone(),
        backend: "debian".to_owned(),
        plan_sha256: plan.sha256(),
        files,
        vendor: pieces.programs.place(&options.out)?,
        effective,
        provenance: compile::provenance(plan)?
            .into_iter()
            .chain(fetched.sources())
            .chain(pieces.programs.sources())
            .collect(),
    };
    record::write_json_atomic(&options.out.join("artefacts.json"), &artefacts)?;
    Ok(artefacts)
}
