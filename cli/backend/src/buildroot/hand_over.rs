//! What Buildroot left in `images/`, as the common assembly takes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, EffectiveSymbol, Role};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;

use super::configure::{Place, make};
use super::facts;
use super::source::Version;
use crate::hand_over::{artefact, copy, refuse_fit};
use crate::{BuildOptions, internal, key_of, sources};

/// The version with which Buildroot built: for a checkout it names the commit and local changes.
pub fn built_with(output: &Path, version: &Version) -> String {
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
    /// Whether something of it is put on the device; what is only linked into others or built with is not there.
    #[serde(default = "yes")]
    install_target: bool,
    #[serde(default)]
    licenses: String,
    #[serde(default)]
    downloads: Vec<Download>,
}

#[derive(Debug, Deserialize)]
struct Download {
    source: String,
}

/// A package of which it is not said counts as one that is there.
fn yes() -> bool {
    true
}

/// Packages of Buildroot that the image has as what they are, the kernel and the boot loader: with the version and the hash of what
/// was built.
const OWN_COMPONENTS: [&str; 2] = ["linux", "uboot"];

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
    let on_device = info.into_iter().filter(|(name, package)| {
        package.kind == "target"
            && package.install_target
            && !package.version.is_empty()
            && !OWN_COMPONENTS.contains(&name.as_str())
    });
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

/// The kernel's tree, in which Buildroot builds it: the one that has the configuration of the image's kernel. Nothing where
/// none has, or several: of another kernel the list would say what is not so.
fn kernel_tree(output: &Path) -> Outcome<Option<PathBuf>> {
    let config = output.join("images/linux.config");
    let config = fs::read(&config).map_err(|e| Failure::io("read", &config, &e))?;
    let folder = output.join("build");
    let Ok(all) = fs::read_dir(&folder) else { return Ok(None) };
    let mut found = Vec::new();
    for entry in all {
        let path = entry.map_err(|e| Failure::io("read", &folder, &e))?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux-"));
        // Headers of the toolchain's kernel lie in a tree of the same form, without a configuration.
        if named
            && path.join("Kbuild").is_file()
            && fs::read(path.join(".config")).is_ok_and(|own| own == config)
        {
            found.push(path);
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// Records which files of the kernel's source were compiled, where its tree still says it.
fn kernel_sources(output: &Path, folder: &Path, files: &mut BTreeMap<Role, record::Artefact>) -> Outcome<()> {
    let path = folder.join("linux.sources");
    let list = kernel_tree(output)?.map(|tree| sources::list_if_any(&tree, &tree)).transpose()?.flatten();
    match list {
        Some(list) => {
            fs::write(&path, list).map_err(|e| Failure::io("write", &path, &e))?;
            files.insert(Role::KernelSources, artefact(&path, "linux.sources")?);
        }
        // One of another kernel must not stay.
        None => crate::cache::remove_file(&path)?,
    }
    Ok(())
}

/// What a finished build left.
pub struct Parts<'a> {
    pub place: Place<'a>,
    pub version: &'a Version,
    /// The board's device tree.
    pub dtb: &'a Path,
    /// Every symbol with what became of it.
    pub effective: Vec<EffectiveSymbol>,
    /// Tools and sources.
    pub provenance: BTreeMap<String, String>,
}

/// Copies the parts into the output folder and records them.
///
/// # Errors
/// When one is missing or cannot be copied.
pub fn hand_over(plan: &Plan, options: &BuildOptions, parts: Parts<'_>) -> Outcome<Artefacts> {
    let Parts { place: from, version, dtb, effective, provenance } = parts;
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
        if role == Role::Kernel {
            refuse_fit(
                &source,
                "several Buildroot releases have a `mkimage` that signs nothing and says nothing: leave the FIT to Fastness, which makes, signs and reads it back",
            )?;
        }
        let to = folder.join(name);
        // Buildroot writes its images again in place.
        copy(&source, &to)?;
        files.insert(role, artefact(&to, name)?);
    }
    kernel_sources(from.output, &folder, &mut files)?;
    files.insert(Role::PackageManifest, artefact(&folder.join("packages.json"), "packages.json")?);
    let artefacts = Artefacts {
        schema_version: 1,
        product: plan.product.name.clone(),
        board: plan.board.name.clone(),
        backend: "buildroot".to_owned(),
        plan_sha256: plan.sha256(),
        files,
        vendor: BTreeMap::new(),
        effective,
        provenance,
    };
    record::write_json_atomic(&options.out.join("artefacts.json"), &artefacts)?;
    Ok(artefacts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_what_is_on_the_device_only() {
        let info = br#"{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz", "uris": []}], "install_target": true},
            "host-zlib": {"type": "host", "version": "1.3.1"}, "linux-headers": {"type": "target", "version": "6.12.3", "install_target": false},
            "linux": {"type": "target", "version": "6.12.3", "install_target": true}, "uboot": {"type": "target", "version": "2025.01", "install_target": true}, "skeleton": {"type": "target"}, "rootfs-squashfs": {"type": "rootfs"}}"#;
        let found = manifest(info).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["zlib"]);
        assert_eq!(found["zlib"].file, "zlib-1.3.1.tar.xz");
        assert!(manifest(b"make: nothing").unwrap_err().to_string().contains("`make show-info`"));
    }
    #[test]
    fn the_list_of_the_kernels_files_is_of_the_tree_that_made_the_image_or_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (output, to) = (folder.path().join("output"), folder.path().join("artefacts"));
        let write = |path: &str, text: &str| {
            let path = output.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        fs::create_dir(&to).unwrap();
        write("images/linux.config", "CONFIG_X=y\n");
        let recorded = || {
            let mut files = BTreeMap::new();
            kernel_sources(&output, &to, &mut files).unwrap();
            assert_eq!(files.contains_key(&Role::KernelSources), to.join("linux.sources").is_file());
            fs::read_to_string(to.join("linux.sources")).ok()
        };
        assert_eq!(recorded(), None);
        for tree in ["linux-6.12.3", "linux-headers-6.12.3", "linux-pam-1.6.1"] {
            write(&format!("build/{tree}/mm/slab.c"), "");
            write(&format!("build/{tree}/mm/.slab.o.cmd"), "source_mm/slab.o := mm/slab.c\n");
        }
        write("build/linux-6.12.3/Kbuild", "");
        write("build/linux-headers-6.12.3/Kbuild", "");
        write("build/linux-6.12.3/.config", "CONFIG_OTHER=y\n");
        assert_eq!(recorded(), None);
        write("build/linux-6.12.3/.config", "CONFIG_X=y\n");
        write("build/linux-6.12.3/drivers/x.c", "");
        assert_eq!(recorded().as_deref(), Some("- drivers/x.c\n+ mm/slab.c\n"));
        // A second tree of that configuration: nobody knows which one it is.
        write("build/linux-6.12.2/Kbuild", "");
        write("build/linux-6.12.2/.config", "CONFIG_X=y\n");
        assert_eq!(recorded(), None);
    }
}
