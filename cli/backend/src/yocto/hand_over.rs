//! What BitBake left in `DEPLOY_DIR_IMAGE`, as the common assembly takes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, EffectiveSymbol, Role};
use serde::Serialize;
use spec::plan::{KconfigPlan, Plan};

use crate::hand_over::{artefact, copy, refuse_fit};
use crate::kconfig::{self, DependencyIndex, parse_config};
use crate::{BuildOptions, internal};

/// What a finished build left.
pub struct Parts<'a> {
    /// `DEPLOY_DIR_IMAGE`.
    pub deploy: &'a Path,
    /// `IMAGE_LINK_NAME`: how the image's files begin.
    pub image: &'a str,
    /// The board's device tree.
    pub dtb: &'a Path,
    /// Where it came from.
    pub provenance: BTreeMap<String, String>,
}

/// One package of the image.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Package {
    version: String,
    recipe: String,
    licences: String,
}

/// Copies the parts into the output folder and records them.
///
/// # Errors
/// When one is missing, is not what it should be, or cannot be copied; when a symbol was lost.
pub fn hand_over(plan: &Plan, options: &BuildOptions, parts: Parts<'_>) -> Outcome<Artefacts> {
    let Parts { deploy, image, dtb, provenance } = parts;
    let folder = options.out.join("artefacts");
    fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
    let sources = [
        (Role::UbootNodtb, "u-boot-nodtb.bin", deploy.join("u-boot-nodtb.bin")),
        (Role::UbootConfig, "u-boot.config", deploy.join("u-boot.config")),
        (Role::DeviceTree, "board.dtb", dtb.to_owned()),
        (Role::Kernel, "Image", deploy.join("Image")),
        (Role::KernelConfig, "linux.config", deploy.join("linux.config")),
        (Role::Rootfs, "rootfs.squashfs", deploy.join(format!("{image}.squashfs-zst"))),
    ];
    let manifest = deploy.join(format!("{image}.licences"));
    let absent = sources.iter().map(|(_, _, path)| path).chain([&manifest]).filter(|path| !path.is_file());
    let absent: Vec<String> = absent.map(|path| format!("`{}`", path.display())).collect();
    if !absent.is_empty() {
        return Err(Failure::error(
            ExitStatus::Build,
            "no-output",
            format!("expected BitBake's images, found no {}", absent.join(", no ")),
        )
        .hint("the image inherits the generated image class, and `virtual/kernel` and `virtual/bootloader` are built with the generated layers"));
    }
    let mut effective = symbols(plan, "uboot", &plan.uboot, &deploy.join("u-boot.config"))?;
    effective.extend(symbols(plan, "linux", &plan.linux, &deploy.join("linux.config"))?);
    if let Some(failure) = kconfig::dropped_failure(&effective) {
        return Err(failure);
    }
    let mut files = BTreeMap::new();
    for (role, name, source) in sources {
        if role == Role::Kernel {
            refuse_fit(
                &source,
                "several releases sign FITs by themselves: leave the FIT to Fastness, which makes, signs and reads it back",
            )?;
        }
        let to = folder.join(name);
        copy(&source, &to)?;
        files.insert(role, artefact(&to, name)?);
    }
    let text = fs::read_to_string(&manifest).map_err(|e| Failure::io("read", &manifest, &e))?;
    record::write_json_atomic(&folder.join("packages.json"), &packages(&text)?)?;
    files.insert(Role::PackageManifest, artefact(&folder.join("packages.json"), "packages.json")?);
    let artefacts = Artefacts {
        schema_version: 1,
        product: plan.product.name.clone(),
        board: plan.board.name.clone(),
        backend: "yocto".to_owned(),
        plan_sha256: plan.sha256(),
        files,
        vendor: BTreeMap::new(),
        effective,
        provenance,
    };
    record::write_json_atomic(&options.out.join("artefacts.json"), &artefacts)?;
    Ok(artefacts)
}

/// What became of every symbol. The sources are not at hand: the dependency that is not met was told by
/// the check in the recipe, where they are.
fn symbols(plan: &Plan, name: &str, asked: &KconfigPlan, config: &Path) -> Outcome<Vec<EffectiveSymbol>> {
    let text = fs::read_to_string(config).map_err(|e| Failure::io("read", config, &e))?;
    Ok(kconfig::compare(plan, name, asked, &parse_config(&text), DependencyIndex::default))
}

/// The packages of `license.manifest`. Source: OE-Core `license_image.bbclass`, `write_license_files`.
fn packages(text: &str) -> Outcome<BTreeMap<String, Package>> {
    let mut found = BTreeMap::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let (Some(name), Some(version)) = (value("PACKAGE NAME"), value("PACKAGE VERSION")) else {
            return Err(internal(format!("a manifest's paragraph has no package and version: `{block}`")));
        };
        let or_nothing = |key: &str| value(key).unwrap_or_default().to_owned();
        let package = Package {
            version: version.to_owned(),
            recipe: or_nothing("RECIPE NAME"),
            licences: or_nothing("LICENSE"),
        };
        found.insert(name.to_owned(), package);
    }
    if found.is_empty() {
        return Err(Failure::error(
            ExitStatus::Build,
            "no-packages",
            "the image's manifest names no package",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_and_an_empty_or_foreign_one_refused() {
        let text = "PACKAGE NAME: base-files\nPACKAGE VERSION: 3.0.14\nRECIPE NAME: base-files\nLICENSE: GPL-2.0-only\n\n\
                    PACKAGE NAME: libz1\nPACKAGE VERSION: 1.3.1\nRECIPE NAME: zlib\nLICENSE: Zlib\n\n";
        let found = packages(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found["libz1"].recipe.as_str(), found["libz1"].licences.as_str()), ("zlib", "Zlib"));
        assert!(packages("\n\n").unwrap_err().to_string().contains("names no package"));
        assert!(packages("libz1 1.3.1\n").unwrap_err().to_string().contains("`libz1 1.3.1"));
    }
}
