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
use crate::{BuildOptions, internal, key_of};

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
        let info = br#"{"zlib": {"type": "target", "version": "1.3.1", "licenses": "Zlib", "downloads": [{"source": "zlib-1.3.1.tar.xz", "uris": []}]},
            "host-zlib": {"type": "host", "version": "1.3.1"}, "skeleton": {"type": "target"}, "rootfs-squashfs": {"type": "rootfs"}}"#;
        let found = manifest(info).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["zlib"]);
        assert_eq!(found["zlib"].file, "zlib-1.3.1.tar.xz");
        assert!(manifest(b"make: nothing").unwrap_err().to_string().contains("`make show-info`"));
    }
}
