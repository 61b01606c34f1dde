//! What a device is made of: its bill of materials, from the records of a build.
//!
//! [`Bill::of`] collects; [`cyclonedx`] and [`spdx`] write it in the two forms that tools read. [`provenance`] says
//! what an image was made from and which evidence goes with it, [`dsse`] holds that signed, and [`verify`] compares it
//! with an output folder. Nothing is guessed: what no record says is said to be not known.

pub mod cyclonedx;
pub mod dsse;
pub mod licence;
pub mod provenance;
#[cfg(test)]
mod sample;
pub mod spdx;
pub mod verify;
pub mod vulnerabilities;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use record::{Artefacts, ImageRecord, Role, sha256_hex};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Boot loader.
    BootLoader,
    /// A program that only the board's maker has.
    Firmware,
    /// Kernel.
    Kernel,
    /// A package of the root file system.
    Package,
    /// A file that the plan itself puts into the root file system.
    File,
}

/// A part of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Name; of a file its absolute path.
    pub name: String,
    /// Version; empty where it has none.
    pub version: String,
    /// SHA-256 of what is named by `hash_of`; empty where no record has it.
    pub sha256: String,
    /// What the hash is of: a package's file, a binary, the file itself.
    pub hash_of: String,
    /// Package URL; empty for files.
    pub purl: String,
    /// Source package or recipe, with its version.
    pub source: String,
    /// Licences as its maker names them; empty: not known.
    pub licences: Vec<String>,
    /// Who asked for it: a layer, the product.
    pub asked_by: Vec<String>,
}

/// The bill of materials of one device image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Name and version of the program.
    pub generator: String,
    /// Product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Board.
    pub board: String,
    /// Backend that built it.
    pub backend: String,
    /// SHA-256 of the disk image.
    pub disk_sha256: String,
    /// SOURCE_DATE_EPOCH of the product: the bill's date, in seconds since 1970.
    pub epoch: u64,
    /// Components, sorted.
    pub components: Vec<Component>,
    /// Compiler, sources with their hashes, commits of layers: the build's inputs.
    pub inputs: BTreeMap<String, String>,
}

/// A package as the backends' manifests have it.
#[derive(Debug, Default, Deserialize)]
struct Listed {
    #[serde(default)]
    version: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    source_version: String,
    #[serde(default)]
    recipe: String,
    #[serde(default)]
    licences: Licences,
}

/// A list (Debian), or one text (Buildroot, Yocto).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Licences {
    Many(Vec<String>),
    One(String),
}

impl Default for Licences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Bill {
    /// Collects the bill of the image in a board's output folder.
    ///
    /// # Errors
    /// When a record is missing, or is of another image.
    pub fn of(plan: &Plan, image: &ImageRecord, folder: &Path) -> Outcome<Self> {
        let artefacts: Artefacts = record::read_json(&folder.join("artefacts.json"))?;
        if artefacts.plan_sha256 != plan.sha256() {
            return Err(Failure::error(
                ExitStatus::Input,
                "stale-artefacts",
                format!("`{}` is of another plan", folder.join("artefacts.json").display()),
            )
            .hint("run `fastness build` again"));
        }
        let mut components = vec![
            binary(&artefacts, folder, (Kind::BootLoader, "u-boot"), (Role::UbootNodtb, Role::UbootConfig))?,
            binary(&artefacts, folder, (Kind::Kernel, "linux"), (Role::Kernel, Role::KernelConfig))?,
        ];
        components.extend(firmware(plan, image));
        components.extend(first_stage(plan, &artefacts.provenance));
        components.extend(packages(plan, &artefacts, folder)?);
        components.extend(files(plan));
        components.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(Self {
            schema_version: 1,
            generator: concat!("fastness ", env!("CARGO_PKG_VERSION")).to_owned(),
            product: plan.product.name.clone(),
            version: plan.product.version.clone(),
            board: plan.board.name.clone(),
            backend: artefacts.backend.clone(),
            disk_sha256: image.files.get(&Role::Disk).map(|file| file.sha256.clone()).unwrap_or_default(),
            epoch: plan.product.epoch,
            components,
            inputs: artefacts.provenance,
        })
    }
}

/// The maker's programs: what they are is known of the board, which version they are of nobody.
fn firmware(plan: &Plan, image: &ImageRecord) -> Vec<Component> {
    let of = |(file, program): (&String, &record::VendorRecord)| Component {
        kind: Kind::Firmware,
        name: file.clone(),
        version: String::new(),
        sha256: program.sha256.clone(),
        hash_of: file.clone(),
        purl: String::new(),
        source: plan.board.vendor_program(file).map(|program| program.from.clone()).unwrap_or_default(),
        licences: Vec::new(),
        asked_by: vec![format!("board {}", plan.board.name)],
    };
    image.vendor.iter().map(of).collect()
}

/// What a package of the suite has, and what runs before U-Boot: OpenSBI, TF-A. The hash is the package's that was unpacked.
fn first_stage(plan: &Plan, inputs: &BTreeMap<String, String>) -> Vec<Component> {
    let boot = &plan.board.boot;
    let before = boot.first_stage.as_ref().map(|facts| &facts.package);
    let monitor = boot.spl.as_ref().and_then(|spl| spl.monitor.as_ref()?.package.as_ref());
    let names: BTreeSet<&String> = before.into_iter().chain(monitor).collect();
    let of = |name: &String| {
        let begin = format!("source {name}_");
        let found = inputs.iter().find(|(input, _)| input.starts_with(&begin) && input.ends_with(".deb"));
        let file = found.map(|(input, _)| input.trim_start_matches("source ").to_owned()).unwrap_or_default();
        let version = file.split('_').nth(1).unwrap_or_default().to_owned();
        Component {
            kind: Kind::Firmware,
            name: name.clone(),
            sha256: found.map(|(_, hash)| hash.trim_start_matches("sha256 ").to_owned()).unwrap_or_default(),
            hash_of: file,
            purl: purl(plan, "debian", name, &version),
            version,
            source: name.clone(),
            licences: Vec::new(),
            asked_by: vec![format!("board {}", plan.board.name)],
        }
    };
    names.into_iter().map(of).collect()
}

/// A binary whose version is in the heading of its final configuration.
fn binary(
    artefacts: &Artefacts,
    folder: &Path,
    (kind, name): (Kind, &str),
    (role, config): (Role, Role),
) -> Outcome<Component> {
    let lacks = |role: Role| {
        let message = format!("`artefacts.json` has no `{role:?}`, which a bill of materials needs");
        Failure::error(ExitStatus::Input, "no-artefact", message).hint("run `fastness build` again")
    };
    let file = artefacts.files.get(&role).ok_or_else(|| lacks(role))?;
    let path = folder.join(&artefacts.files.get(&config).ok_or_else(|| lacks(config))?.path);
    let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    let version = version_of(&text).unwrap_or_default();
    let licence = "GPL-2.0-only";
    Ok(Component {
        kind,
        purl: format!("pkg:generic/{name}{}", at(&version)),
        name: name.to_owned(),
        version,
        sha256: file.sha256.clone(),
        hash_of: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        source: String::new(),
        licences: vec![
            if kind == Kind::Kernel { "GPL-2.0-only WITH Linux-syscall-note" } else { licence }.to_owned(),
        ],
        asked_by: Vec::new(),
    })
}

/// `# U-Boot 2025.01 Configuration`, `# Linux/arm64 6.12.91 Kernel Configuration`. Source: Kconfig's
/// `conf_write_heading`, with U-Boot's and Linux's `mainmenu`.
fn version_of(config: &str) -> Option<String> {
    let line = config.lines().take(5).find(|line| line.ends_with(" Configuration"))?;
    let mut words = line.trim_start_matches('#').split_whitespace();
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

fn at(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!("@{}", encoded(version)) }
}

/// Percent-encoding of a package URL's parts. Source: the package URL specification, "Character encoding".
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn packages(plan: &Plan, artefacts: &Artefacts, folder: &Path) -> Outcome<Vec<Component>> {
    let Some(manifest) = artefacts.files.get(&Role::PackageManifest) else { return Ok(Vec::new()) };
    let path = folder.join(&manifest.path);
    let (sha256, _) = record::sha256_file(&path)?;
    if sha256 != manifest.sha256 {
        let message = format!("`{}` is not the list that was built with", path.display());
        return Err(
            Failure::error(ExitStatus::Input, "stale-artefacts", message).hint("run `fastness build` again")
        );
    }
    let listed: BTreeMap<String, Listed> = record::read_json(&path)?;
    let of = |(name, package): (String, Listed)| {
        let asked = plan.packages.get(&name);
        let source = match (package.source.as_str(), package.recipe.as_str()) {
            ("", recipe) => recipe.to_owned(),
            (source, _) if package.source_version.is_empty() => source.to_owned(),
            (source, _) => format!("{source} {}", package.source_version),
        };
        Component {
            kind: Kind::Package,
            purl: purl(plan, &artefacts.backend, &name, &package.version),
            sha256: package.sha256,
            hash_of: package.file,
            source,
            licences: match package.licences {
                Licences::Many(list) => list,
                Licences::One(text) if text.is_empty() => Vec::new(),
                Licences::One(text) => vec![text],
            },
            asked_by: asked
                .map(|asked| asked.origins.iter().map(|o| o.who.clone()).collect())
                .unwrap_or_default(),
            version: package.version,
            name,
        }
    };
    Ok(listed.into_iter().map(of).collect())
}

/// The package's URL. Source: the package URL specification, type `deb`.
fn purl(plan: &Plan, backend: &str, name: &str, version: &str) -> String {
    if backend == "debian" {
        return format!(
            "pkg:deb/debian/{}{}?arch={}&distro={}",
            encoded(name),
            at(version),
            plan.board.architecture,
            encoded(&plan.debian.suite)
        );
    }
    format!("pkg:generic/{}{}", encoded(name), at(version))
}

fn files(plan: &Plan) -> Vec<Component> {
    let of = |(path, asked): (&String, &spec::plan::Asked<spec::plan::FilePlan>)| {
        let bytes = asked.value.bytes()?;
        Some(Component {
            kind: Kind::File,
            name: path.clone(),
            version: String::new(),
            sha256: sha256_hex(&bytes),
            hash_of: path.clone(),
            purl: String::new(),
            source: String::new(),
            licences: Vec::new(),
            asked_by: asked.origins.iter().map(|o| o.who.clone()).collect(),
        })
    };
    plan.files.iter().filter_map(of).collect()
}

/// Text of others in a message: on one line, not long, nothing that steers a terminal.
fn shown(text: &str) -> String {
    text.chars().take(120).map(|c| if diag::steers(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_configurations_heading() {
        let linux = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/arm64 6.12.91 Kernel Configuration\n#\n";
        assert_eq!(version_of(linux).as_deref(), Some("6.12.91"));
        let uboot = "#\n# Automatically generated file; DO NOT EDIT.\n# U-Boot 2025.01 Configuration\n";
        assert_eq!(version_of(uboot).as_deref(), Some("2025.01"));
        assert_eq!(version_of("CONFIG_X=y\n"), None);
    }

    #[test]
    fn parts_of_a_package_url_are_encoded() {
        assert_eq!(encoded("1:4.0.2-2+deb13u1"), "1:4.0.2-2%2Bdeb13u1");
        assert_eq!(encoded("libstdc++6"), "libstdc%2B%2B6");
        assert_eq!(at(""), "");
    }

    #[test]
    fn what_runs_before_the_boot_loader_is_a_component_with_its_packages_version_and_hash() {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let without = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        let mut plan = without.clone();
        plan.board.architecture = "riscv64".into();
        plan.board.boot.first_stage = Some(spec::plan::FirstStageFacts {
            package: "opensbi".into(),
            file: "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin".into(),
            uboot_offset: 0x20_0000,
        });
        let inputs = BTreeMap::from([
            ("source opensbi-doc_9-1_all.deb".to_owned(), "sha256 00".to_owned()),
            ("source opensbi_1.6-1_all.deb".to_owned(), "sha256 dc4a".to_owned()),
            ("source u-boot_2025.01.orig.tar.bz2".to_owned(), "sha256 cdef".to_owned()),
        ]);
        let found = first_stage(&plan, &inputs);
        let [sbi] = found.as_slice() else { panic!("expected one, found {found:?}") };
        assert_eq!((sbi.kind, sbi.name.as_str(), sbi.version.as_str()), (Kind::Firmware, "opensbi", "1.6-1"));
        assert_eq!((sbi.sha256.as_str(), sbi.hash_of.as_str()), ("dc4a", "opensbi_1.6-1_all.deb"));
        assert!(sbi.purl.starts_with("pkg:deb/debian/opensbi@1.6-1?arch=riscv64&distro="), "{}", sbi.purl);
        assert_eq!(sbi.source, "opensbi", "as which Debian's tracker knows it");
        assert!(first_stage(&without, &inputs).is_empty(), "nothing runs before U-Boot there");
        // Nothing is guessed.
        assert_eq!(first_stage(&plan, &BTreeMap::new())[0].version, "");
    }

    #[test]
    fn manifests_of_every_backend_are_read() {
        let debian: Listed = serde_json::from_str(
            r#"{"version": "1", "file": "a.deb", "sha256": "00", "source": "s", "source_version": "2", "licences": ["MIT"]}"#,
        )
        .unwrap();
        assert!(matches!(debian.licences, Licences::Many(list) if list == ["MIT"]));
        let buildroot: Listed =
            serde_json::from_str(r#"{"version": "1", "file": "a.tar", "licences": "GPL-2.0+"}"#).unwrap();
        assert!(matches!(buildroot.licences, Licences::One(text) if text == "GPL-2.0+"));
        let yocto: Listed =
            serde_json::from_str(r#"{"version": "1", "recipe": "zlib", "licences": "Zlib"}"#).unwrap();
        assert_eq!(yocto.recipe, "zlib");
    }
}
