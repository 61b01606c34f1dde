//! The plan: product × board × layers, fully resolved.
//!
//! Every value carries who asked for it, where and why ([`Asked`]), so that `fastness
//! explain` and every later error can say it. The plan is plain data: it is written as
//! `plan.json`, and every later stage works from it alone. Maps are ordered, so that the
//! same inputs give the same bytes.

use std::collections::BTreeMap;

use base64ct::Encoding as _;
use serde::{Deserialize, Serialize};

mod boot_chain;
mod fat;
mod hardware;
mod network;
mod proof;
mod qemu;
mod rollback;
mod vendor;
mod yocto;

pub use boot_chain::{EVENT_LOG_BYTES, OWN_PARTITIONS, SealedPlan, SigningPlan, StoragePlan, TrustedKeyPlan};
pub use fat::{FatFacts, FatFileFacts, FatImageFacts};
pub use hardware::{
    CrashMemoryFacts, DeviceTreeFacts, FirstStageFacts, MonitorFacts, RandomFacts, RomCopyFacts, RomFacts,
    RomPlaceFacts, SplFacts, TrustAnchorFacts, TrustFacts, TrustStepFacts, WatchdogFacts,
};
pub use network::{
    AcceptedRisk, CollectorFacts, Flow, FrameFlow, InterfaceFacts, NetworkFacts, OcspFacts, OpcuaFacts,
    OpcuaPolicy, Surface, TpmKeyFacts, TunnelFacts, ZoneFacts,
};
pub use proof::{ProofFacts, ReaderFacts};
pub use qemu::{QemuFacts, TPM_SOCKET};
pub use rollback::{PossibleCounterFacts, RollbackFacts};
pub use vendor::{BehindFacts, VENDOR_PROGRAM_BYTES, VendorProgramFacts};
pub use yocto::{
    YoctoAccountFacts, YoctoApartFacts, YoctoExpectFacts, YoctoFacts, YoctoLayerFacts, YoctoOptionFacts,
    YoctoSettingFacts, YoctoSourceFacts,
};

/// Who asked for a value, where, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// `product`, `board NAME` or `layer NAME`.
    pub who: String,
    /// File as the user would name it (`layers/ssh/layer.yaml`).
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The reason given there.
    pub reason: String,
}

/// A value with everybody who asked for it. All of them asked for the same value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked<T> {
    /// The value.
    pub value: T,
    /// Who asked; at least one.
    pub origins: Vec<Origin>,
}

/// Product × board × layers, fully resolved (`plan.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// What the device is.
    pub product: ProductFacts,
    /// What it runs on.
    pub board: BoardFacts,
    /// Build system that makes the parts: `debian`, `buildroot` or `yocto`.
    pub backend: String,
    /// Suite, packages and sources for the Debian backend.
    pub debian: DebianFacts,
    /// What the Buildroot backend asks of Buildroot; only when it is the plan's backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildroot: Option<BuildrootFacts>,
    /// What the Yocto backend asks of Yocto; only when it is the plan's backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yocto: Option<YoctoFacts>,
    /// U-Boot's configuration.
    pub uboot: KconfigPlan,
    /// Patches of U-Boot's source by file name, applied in the order of their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uboot_patches: BTreeMap<String, Asked<PatchPlan>>,
    /// The kernel's configuration.
    pub linux: KconfigPlan,
    /// Kernel command line, in order, without the verity and root arguments that assembly adds.
    pub cmdline: Vec<Asked<String>>,
    /// Packages by generic name; a backend translates names by its own table where they differ.
    pub packages: BTreeMap<String, Asked<PackagePlan>>,
    /// Files, folders and links that are written over the packages' files, by absolute path.
    pub files: BTreeMap<String, Asked<FilePlan>>,
    /// Paths (with `*` and `**`) that are taken out of the packages' files before `files` is written.
    pub removals: BTreeMap<String, Asked<()>>,
    /// Users by name.
    pub users: BTreeMap<String, Asked<UserPlan>>,
    /// Groups by name.
    pub groups: BTreeMap<String, Asked<GroupPlan>>,
    /// systemd units by name.
    pub units: BTreeMap<String, Asked<UnitState>>,
    /// sysctl keys; the `base` layer's template writes them as one file.
    pub sysctl: BTreeMap<String, Asked<String>>,
    /// Modes of packaged files that differ from what the package ships, by absolute path (octal text).
    pub modes: BTreeMap<String, Asked<String>>,
    /// Network facts, for the firewall, the report's picture and the checks.
    pub network: NetworkFacts,
    /// Files for others than the device, by path below the output folder: the peer's end of each tunnel
    /// (`peer/NAME/…`) and the MUD file (RFC 8520). No part of the image.
    #[serde(default)]
    pub outside: BTreeMap<String, String>,
    /// What the proof by traffic knows of the product's own programs. No part of the image.
    #[serde(default, skip_serializing_if = "ProofFacts::is_empty")]
    pub proof: ProofFacts,
    /// How the boot chain is signed.
    pub signing: SigningPlan,
    /// Disk layout.
    pub storage: StoragePlan,
    /// Checks by id.
    pub checks: BTreeMap<String, Asked<CheckPlan>>,
    /// Waivers by what they waive: a check id, `linux:SYMBOL` or `uboot:SYMBOL`.
    pub waivers: BTreeMap<String, Asked<()>>,
    /// Layers in order of application, with title and resolved parameters.
    pub layers: Vec<LayerFacts>,
}

/// Facts of the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFacts {
    /// Name (lower case, digits, hyphens).
    pub name: String,
    /// Version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// IEC 62443-4-2 component type: `SAR`, `EDR`, `HDR` or `NDR`.
    pub component_type: String,
    /// Target capability security level, 1 to 4.
    pub security_level: u8,
    /// SOURCE_DATE_EPOCH in seconds: the time stamp of everything that is built.
    pub epoch: u64,
    /// Host name of the device.
    pub hostname: String,
}

/// Facts of the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardFacts {
    /// Name: the folder's name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Debian architecture name, such as `arm64`.
    pub architecture: String,
    /// Kernel architecture (`ARCH=`), such as `arm64`.
    pub kernel_arch: String,
    /// Prefix of the cross tools (`CROSS_COMPILE=`), such as `aarch64-linux-gnu-`.
    pub cross_compile: String,
    /// Console device and speed for the kernel, such as `ttyAMA0`.
    pub console: String,
    /// Network interface names that this board has.
    pub interfaces: Vec<String>,
    /// Boot addresses.
    pub boot: BootFacts,
    /// Signature algorithms its U-Boot verifies, as U-Boot spells them.
    pub algorithms: Vec<String>,
    /// Paddings its U-Boot verifies.
    pub paddings: Vec<String>,
    /// Root of trust, in words for the report.
    pub root_of_trust: String,
    /// Debug ports and what closes them, in words for the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_ports: Option<String>,
    /// What becomes of an opened case or a changed part, in words for the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper: Option<String>,
    /// How real hardware comes to trust U-Boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustFacts>,
    /// Device trees by name, where no emulator gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_tree: Option<DeviceTreeFacts>,
    /// Where the boot ROM looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rom_places: Vec<RomPlaceFacts>,
    /// Programs of its maker that no package of the suite has, and that who builds gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendor_programs: Vec<VendorProgramFacts>,
    /// The counter that keeps older images from starting.
    #[serde(default)]
    pub rollback: RollbackFacts,
    /// What starts it anew when the system shows no sign of life; none: it has nothing of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<WatchdogFacts>,
    /// Its source of random numbers; none: no driver of one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomFacts>,
    /// Where a panicking kernel leaves its last words; none: it has no such memory, or the product's layers do not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_memory: Option<CrashMemoryFacts>,
    /// QEMU machine, if it has one.
    pub qemu: Option<QemuFacts>,
}

/// Where things are loaded, physical addresses in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFacts {
    /// Where U-Boot reads the FIT to.
    pub fit_address: u64,
    /// Bytes that U-Boot reads: a fixed bound, never the partition's claimed size.
    pub fit_bytes: u64,
    /// Where the kernel is put and entered.
    pub kernel_address: u64,
    /// Where the kernel's FDT is put.
    pub fdt_address: u64,
    /// U-Boot block interface, such as `virtio`.
    pub block_interface: String,
    /// Number of the device on that interface.
    #[serde(default)]
    pub block_device: u32,
    /// Size of the boot flash in bytes, for boards that boot from one.
    pub flash_bytes: u64,
    /// What runs before U-Boot and stands in the same file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_stage: Option<FirstStageFacts>,
    /// U-Boot's SPL, where it comes first and verifies what it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spl: Option<SplFacts>,
    /// A FAT file system in which a boot ROM, or the maker's firmware, finds its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fat: Option<FatFacts>,
}

/// Facts for the Debian backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebianFacts {
    /// Suite, such as `trixie`.
    pub suite: String,
    /// Mirror; none: the host's own apt configuration says which.
    pub mirror: Option<String>,
    /// Source package of U-Boot.
    pub uboot_source: String,
    /// Source package of Linux.
    pub linux_source: String,
}

/// Facts for the Buildroot backend: the plan's packages and the board in Buildroot's symbols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildrootFacts {
    /// Series, such as `2026.02`.
    pub series: String,
    /// The release of that series that this was tried with.
    pub release: String,
    /// Name of the external tree, as Buildroot spells it in `BR2_EXTERNAL_NAME_PATH`.
    pub external: String,
    /// Every symbol that is asked of Buildroot, with its prefix `BR2_`.
    pub symbols: KconfigPlan,
    /// Symbols that are asked only while another one, the value here, is not set: whoever builds
    /// may bring a toolchain of their own.
    pub unless: BTreeMap<String, String>,
    /// Symbols that another one selects, the value here: where both are asked for, a defconfig has that one alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selected_by: BTreeMap<String, String>,
    /// Options of packages' builds that no symbol has: variable, and what is added to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
    /// Packages of our own, by name: their files by name, whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// Symbols in the order in which Buildroot's `savedefconfig` writes them.
    pub order: Vec<String>,
    /// Symbols that a defconfig leaves out, since they follow from others or are defaults.
    pub implied: Vec<String>,
    /// The kernel's tarball.
    pub linux: SourceFacts,
    /// U-Boot's tarball.
    pub uboot: SourceFacts,
    /// BusyBox's configuration; without it, BusyBox is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busybox: Option<KconfigPlan>,
    /// The release that is fetched when no tree is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ReleaseFacts>,
}

/// A pinned Buildroot release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFacts {
    /// Version, such as `2026.02.3`.
    pub version: String,
    /// Where its tarball is.
    pub url: String,
    /// SHA-256 of the tarball, lower-case hexadecimal.
    pub sha256: String,
}

/// A tarball by version and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Version, as in the file name.
    pub version: String,
    /// SHA-256 of the tarball, lower-case hexadecimal.
    pub sha256: String,
}

/// A Kconfig: where to start and what must hold at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KconfigPlan {
    /// Base target, such as `qemu_arm64_defconfig` or `allnoconfig`; empty for Buildroot's own.
    pub base: String,
    /// Symbols without `CONFIG_`, with the value as a `.config` has it (`y`, `n`, `"text"`, `42`, `0x10`).
    pub symbols: BTreeMap<String, Asked<String>>,
}

/// A package that the device needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagePlan {}

/// What a path in the image is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FilePlan {
    /// A regular file with its whole content (UTF-8).
    File {
        /// Octal mode as text, such as `0644`.
        mode: String,
        /// Owner by name.
        owner: String,
        /// Group by name.
        group: String,
        /// Whole content.
        content: String,
    },
    /// A folder.
    Directory {
        /// Octal mode as text.
        mode: String,
        /// Owner by name.
        owner: String,
        /// Group by name.
        group: String,
    },
    /// A file of the product's own, of any content. Only a plan for Debian has one.
    Program {
        /// Octal mode as text.
        mode: String,
        /// Owner by name.
        owner: String,
        /// Group by name.
        group: String,
        /// SHA-256 of the content, lower-case hexadecimal.
        sha256: String,
        /// Whole content in base64 (RFC 4648, 4), so that the plan needs nothing beside it.
        base64: String,
    },
    /// A symbolic link.
    Symlink {
        /// Target, as stored.
        target: String,
    },
}

impl FilePlan {
    /// The content of a file, text or not; nothing for what is no file, and for what is no base64.
    #[must_use]
    pub fn bytes(&self) -> Option<std::borrow::Cow<'_, [u8]>> {
        match self {
            Self::File { content, .. } => Some(content.as_bytes().into()),
            Self::Program { base64, .. } => base64ct::Base64::decode_vec(base64).ok().map(Into::into),
            Self::Directory { .. } | Self::Symlink { .. } => None,
        }
    }
}

/// A user account. None has a password that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// Fixed numeric id; the same on every build.
    pub uid: u32,
    /// Primary group by name.
    pub group: String,
    /// Further groups.
    pub groups: Vec<String>,
    /// Home folder.
    pub home: String,
    /// Shell; `/usr/sbin/nologin` for services.
    pub shell: String,
    /// Comment (GECOS).
    pub comment: String,
    /// Whether a person logs in with it.
    pub person: bool,
    /// OpenSSH public keys (whole lines) of a person.
    pub ssh_keys: Vec<String>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// Fixed numeric id.
    pub gid: u32,
}

/// State of a unit in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// Started at boot: the `[Install]` section's links are made.
    Enabled,
    /// Not started by itself.
    Disabled,
    /// Linked to `/dev/null`.
    Masked,
}

/// A patch of U-Boot's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchPlan {
    /// Its text: a unified diff that `patch -p1` takes.
    pub text: String,
    /// Versions of U-Boot that it applies to.
    pub versions: Vec<String>,
}

/// A check: what to look at and what must hold. `kind` and `with` are understood by `evidence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlan {
    /// What the check asserts, as a sentence.
    pub title: String,
    /// Layer that brought it.
    pub layer: String,
    /// Kind, such as `file-mode`; a kind is one Rust file in `evidence`.
    pub kind: String,
    /// The kind's own parameters.
    pub with: serde_json::Value,
    /// Requirement ids it serves.
    pub requirements: Vec<String>,
    /// Whether a layer of the product's own makes it under a name of the catalogue, and says so (`shows`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_product: bool,
}

/// A layer as applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// Name: the folder's name.
    pub name: String,
    /// One line.
    pub title: String,
    /// Requirement ids it serves.
    pub requirements: Vec<String>,
    /// Resolved parameters.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

impl Plan {
    /// The plan as JSON, always the same bytes for the same plan.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A plan holds only maps with string keys, so that this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// A layer that is on.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&LayerFacts> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// SHA-256 of [`Plan::to_json`].
    #[must_use]
    pub fn sha256(&self) -> String {
        record::sha256_hex(self.to_json().as_bytes())
    }
}
