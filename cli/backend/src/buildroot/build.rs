//! Drives Buildroot and hands its parts to the common assembly.
//!
//! The output folder is in the cache, one for each output folder of ours, and is never removed: an
//! interrupted or failed build goes on in it, and a build without changes is Buildroot's own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::{Artefacts, EffectiveSymbol, Role};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;

use super::configure::{Place, component, configure, make};
use super::source::{self, Version};
use super::{facts, generate, log, overlay};
use crate::device_tree::device_tree;
use crate::hand_over::{artefact, copy};
use crate::{BuildOptions, Cache, Progress, internal, key_of, step};

/// A whole build on a slow machine.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How much of a log is looked through for the reason of a failure.
const LOG_BYTES: u64 = 8 << 20;

/// Builds everything that the plan asks for with the tree that was given.
///
/// # Errors
/// See [`crate::build`].
pub fn build(plan: &Plan, options: &BuildOptions, progress: &dyn Progress) -> Outcome<Artefacts> {
    crate::require_arm64(plan)?;
    let tree = options.buildroot.as_deref().ok_or_else(|| {
        Failure::error(ExitStatus::Input, "no-buildroot", "the backend `buildroot` needs a Buildroot tree")
            .hint("unpack a release and give its folder: `--buildroot DIR`")
    })?;
    let (tree, version) = source::open(tree, facts(plan)?)?;
    fs::create_dir_all(&options.cache).map_err(|e| Failure::io("make", &options.cache, &e))?;
    let root = options.cache.canonicalize().map_err(|e| Failure::io("open", &options.cache, &e))?;
    source::usable(&root)?;
    let cache = Cache::new(&root);
    let work = work_folder(plan, options, &cache, &tree)?;
    let _lock = FolderLock::take(&work)?;
    let (external, output) = (work.join("external"), work.join("output"));
    generate(plan, &external)?;
    let local = options.buildroot_config.as_deref();
    let log = |name: &str| options.out.join("logs").join(format!("{name}.log"));
    let config_log = log("buildroot-config");
    let place = Place { tree: &tree, external: &external, output: &output, local, log: &config_log };
    let mut effective =
        step(progress, "configure Buildroot", Some(&config_log), || Ok((configure(plan, place)?, false)))?;
    let dtb = step(progress, "device tree", Some(&log("dtb")), || device_tree(plan, &cache, &log("dtb")))?;
    let build_log = log("buildroot");
    let place = Place { log: &build_log, ..place };
    step(progress, "build with Buildroot", Some(&build_log), || {
        forget_old_overlay(plan, &output)?;
        run(place, options, &cache, progress)?;
        Ok(((), false))
    })?;
    step(progress, "record artefacts", None, || {
        let images = output.join("images");
        for (name, asked, config) in
            [("uboot", &plan.uboot, "u-boot.config"), ("linux", &plan.linux, "linux.config")]
        {
            let source = source_folder(&output, name)?;
            effective.extend(component(plan, name, asked, &images.join(config), &source)?);
        }
        let artefacts = hand_over(plan, options, place, &version, &dtb, effective)?;
        Ok((artefacts, false))
    })
}

/// One folder for each of our output folders, product, board and tree: variants never meet.
fn work_folder(plan: &Plan, options: &BuildOptions, cache: &Cache, tree: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(&options.out).map_err(|e| Failure::io("make", &options.out, &e))?;
    let out = options.out.canonicalize().map_err(|e| Failure::io("open", &options.out, &e))?;
    let key =
        key_of(&[&out.to_string_lossy(), &plan.product.name, &plan.board.name, &tree.to_string_lossy()]);
    cache.folder(&format!("buildroot/{}-{}-{}", plan.product.name, plan.board.name, &key[..12]))
}

/// Buildroot's target folder keeps files of an older overlay: with folders for each package it
/// is quickly made anew, and only then.
fn forget_old_overlay(plan: &Plan, output: &Path) -> Outcome<()> {
    let seen = output.join("build/fastness-overlay.txt");
    let Ok(old) = fs::read_to_string(&seen) else { return Ok(()) };
    let new = overlay::paths(plan);
    if old.lines().any(|path| !new.lines().any(|other| other == path)) {
        crate::cache::remove_tree(&output.join("target"))?;
        fs::remove_file(&seen).map_err(|e| Failure::io("remove", &seen, &e))?;
    }
    Ok(())
}

fn run(place: Place<'_>, options: &BuildOptions, cache: &Cache, progress: &dyn Progress) -> Outcome<()> {
    // A log tells of one build: the reason of a failure is looked for in it.
    if let Err(e) = fs::remove_file(place.log)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Failure::io("remove", place.log, &e));
    }
    let mut call = make(place)?.arg(format!("-j{}", options.jobs)).limit(LIMIT);
    let config = fs::read_to_string(place.output.join(".config")).unwrap_or_default();
    // The default stands for "below the tree", which may not be ours to write to.
    if config.contains("\nBR2_DL_DIR=\"$(TOPDIR)/dl\"\n") {
        call = call.env("BR2_DL_DIR", cache.folder("buildroot-downloads")?);
    }
    if options.offline {
        let nowhere = place.output.join("nowhere");
        call =
            call.arg(format!("BR2_PRIMARY_SITE=file://{}", nowhere.display())).arg("BR2_PRIMARY_SITE_ONLY=y");
    }
    if rustix::process::geteuid().is_root() {
        call = call.env("FORCE_UNSAFE_CONFIGURE", "1");
    }
    let ended = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| follow(place.log, &ended, progress));
        let result = call.run();
        ended.store(true, Ordering::Relaxed);
        result
    });
    result.map_err(|whole| log::failure(place.log, &log_end(place.log), whole))
}

/// Tells what Buildroot does while its log grows.
fn follow(path: &Path, ended: &AtomicBool, progress: &dyn Progress) {
    let mut seen = 0;
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(mut file) = File::open(path) else { continue };
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(seen)).is_err() || file.take(LOG_BYTES).read_to_end(&mut bytes).is_err()
        {
            continue;
        }
        // Half a line is read again with its other half.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        seen += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        if let Some(doing) = text.lines().rev().find_map(log::doing) {
            progress.detail(&doing);
        }
    }
}

fn log_end(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// Where Buildroot built a component; its version is in the folder's name.
fn source_folder(output: &Path, name: &str) -> Outcome<PathBuf> {
    let build = output.join("build");
    let listing = fs::read_dir(&build).map_err(|e| Failure::io("list", &build, &e))?;
    let is_it = |file: &str| {
        let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest == "custom" || rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found: Vec<PathBuf> = listing
        .filter_map(Result::ok)
        .filter(|entry| is_it(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter(|path| path.join(".stamp_built").is_file())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        Failure::error(ExitStatus::Build, "no-output", format!("Buildroot ended well but built no `{name}`"))
    })
}

/// The version with which Buildroot built: for a checkout it names the commit and local changes.
fn built_with(output: &Path, version: &Version) -> String {
    let release = fs::read_to_string(output.join("target/usr/lib/os-release")).unwrap_or_default();
    let full = release.lines().find_map(|line| line.strip_prefix("VERSION="));
    full.filter(|full| full.starts_with(&version.full)).map_or_else(|| version.full.clone(), str::to_owned)
}

/// What `make show-info` says of a package, as far as it is used here.
#[derive(Debug, Deserialize)]
struct PackageInfo {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    licenses: String,
    #[serde(default)]
    downloads: Vec<Download>,
}

#[derive(Debug, Deserialize)]
struct Download {
    source: String,
}

/// One package of the manifest.
#[derive(Debug, Serialize)]
struct ManifestEntry {
    version: String,
    file: String,
    licences: String,
}

/// The packages of the image from `make show-info`: name, version, tarball, licences.
fn manifest(info: &[u8]) -> Outcome<BTreeMap<String, ManifestEntry>> {
    let info: BTreeMap<String, PackageInfo> = serde_json::from_slice(info)
        .map_err(|e| internal(format!("`make show-info` printed no description of packages: {e}")))?;
    let on_device =
        info.into_iter().filter(|(_, package)| package.kind == "target" && !package.version.is_empty());
    Ok(on_device
        .map(|(name, package)| {
            let file = package.downloads.into_iter().next().map(|d| d.source).unwrap_or_default();
            (name, ManifestEntry { version: package.version, file, licences: package.licenses })
        })
        .collect())
}

/// The manifest of what is configured. `make show-info` takes several seconds: it is asked anew
/// only when the configuration, the tree's version or our own packages changed.
fn package_manifest(plan: &Plan, from: Place<'_>, version: &Version) -> Outcome<PathBuf> {
    let (config, _) = record::sha256_file(&from.output.join(".config"))?;
    let own = serde_json::to_string(&facts(plan)?.packages)
        .map_err(|e| internal(format!("the plan's packages cannot be written: {e}")))?;
    let file =
        from.output.join(format!("fastness-packages-{}.json", key_of(&[&config, &version.full, &own])));
    if !file.is_file() {
        let info = make(from)?.args(["--silent", "show-info"]).output()?;
        record::write_json_atomic(&file, &manifest(&info)?)?;
    }
    Ok(file)
}

fn hand_over(
    plan: &Plan,
    options: &BuildOptions,
    from: Place<'_>,
    version: &Version,
    dtb: &Path,
    effective: Vec<EffectiveSymbol>,
) -> Outcome<Artefacts> {
    let folder = options.out.join("artefacts");
    fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
    let packages = package_manifest(plan, from, version)?;
    copy(&packages, &folder.join("packages.json"))?;
    let images = from.output.join("images");
    let mut files = BTreeMap::new();
    for (role, name, source) in [
        (Role::UbootNodtb, "u-boot-nodtb.bin", images.join("u-boot-nodtb.bin")),
        (Role::UbootConfig, "u-boot.config", images.join("u-boot.config")),
        (Role::DeviceTree, "board.dtb", dtb.to_owned()),
        (Role::Kernel, "Image", images.join("Image")),
        (Role::KernelConfig, "linux.config", images.join("linux.config")),
        (Role::Rootfs, "rootfs.squashfs", images.join("rootfs.squashfs")),
    ] {
        if !source.is_file() {
            return Err(Failure::error(
                ExitStatus::Build,
                "no-output",
                format!("Buildroot ended well but left no `{}`", source.display()),
            ));
        }
        let to = folder.join(name);
        // Buildroot writes its images again in place.
        copy(&source, &to)?;
        files.insert(role, artefact(&to, name)?);
    }
    files.insert(Role::PackageManifest, artefact(&folder.join("packages.json"), "packages.json")?);
    let artefacts = Artefacts {
        schema_version: 1,
        product: plan.product.name.clone(),
        board: plan.board.name.clone(),
        backend: "buildroot".to_owned(),
        plan_sha256: plan.sha256(),
        files,
        effective,
        provenance: BTreeMap::from([("buildroot".to_owned(), built_with(from.output, version))]),
    };
    record::write_json_atomic(&options.out.join("artefacts.json"), &artefacts)?;
    Ok(artefacts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_what_is_on_the_device_only() {
        let info = br#"{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz", "uris": []}]},
            "host-zlib": {"type": "host", "version": "1.3.1"}, "skeleton": {"type": "target"}, "rootfs-squashfs": {"type": "rootfs"}}"#;
        let found = manifest(info).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["zlib"]);
        assert_eq!(found["zlib"].file, "zlib-1.3.1.tar.xz");
        assert!(manifest(b"make: nothing").unwrap_err().to_string().contains("`make show-info`"));
    }
}
