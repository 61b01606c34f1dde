//! What a backend hands to the assembler, and the assembler to everybody after it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::EffectiveSymbol;

/// What a file is for. The name is also its file name's stem in the output folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// U-Boot without a control FDT (`u-boot-nodtb.bin`).
    UbootNodtb,
    /// SPL without its control FDT (`u-boot-spl-nodtb.bin`), for boards where SPL comes first.
    SplNodtb,
    /// SPL's control FDT before a key is put into it.
    SplDeviceTree,
    /// U-Boot's control FDT before a key is put into it, where U-Boot's build has it; elsewhere it is the board's.
    UbootDeviceTree,
    /// The monitor that SPL starts before U-Boot, such as OpenSBI or TF-A's BL31.
    Monitor,
    /// U-Boot's final `.config`.
    UbootConfig,
    /// The control FDT before a key is put into it; also the base of the kernel's FDT.
    DeviceTree,
    /// The kernel as the board's FIT carries it (arm64: `Image`).
    Kernel,
    /// The kernel's final `.config`.
    KernelConfig,
    /// Which files of the kernel's source were compiled: `+ PATH`, or `- PATH`; not every backend has it.
    KernelSources,
    /// The root file system as squashfs, no verity data behind it.
    Rootfs,
    /// The packages in the root file system with versions and hashes (JSON).
    PackageManifest,
    /// U-Boot with the keyed control FDT behind it: what goes into the boot flash.
    Uboot,
    /// SPL with the keyed control FDT behind it: what the boot ROM starts.
    Spl,
    /// SPL as the boot ROM wants it, with its header: what is on the disk for it, and what the maker's tool signs.
    SplRom,
    /// The signed FIT with the monitor and U-Boot, which SPL verifies.
    UbootFit,
    /// The FAT file system with firmware and U-Boot that a person signs with the maker's tool.
    BootImage,
    /// The signed FIT.
    Fit,
    /// The root file system followed by its dm-verity hash tree.
    RootfsVerity,
    /// The finished disk image.
    Disk,
}

/// A file, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Path relative to the folder that holds the record.
    pub path: PathBuf,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// All that a backend made from a plan (`artefacts.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefacts {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Product name.
    pub product: String,
    /// Board name.
    pub board: String,
    /// Backend name, such as `debian`.
    pub backend: String,
    /// SHA-256 of the plan's JSON.
    pub plan_sha256: String,
    /// The files.
    pub files: BTreeMap<Role, Artefact>,
    /// Programs of the board's maker, by file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vendor: BTreeMap<String, Artefact>,
    /// Every symbol that was asked of a Kconfig, with what became of it.
    pub effective: Vec<EffectiveSymbol>,
    /// Tools and sources that the build used: name to version or hash.
    pub provenance: BTreeMap<String, String>,
}

/// A program of the board's maker, by content: it is nobody else's, and the image alone has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorRecord {
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Whether the keys were made for development.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyMark {
    /// A key made by `fastness keys new` without `--release`.
    Development,
    /// A key that may sign what leaves the house.
    Release,
}

/// A finished image (`image.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Version of this record's shape; now 1.
    pub schema_version: u32,
    /// Product name and version.
    pub product: String,
    /// Product version.
    pub version: String,
    /// Board name.
    pub board: String,
    /// SHA-256 of the plan's JSON.
    pub plan_sha256: String,
    /// The files: `uboot`, `fit`, `rootfs-verity`, `disk`, and the two `.config`s.
    pub files: BTreeMap<Role, Artefact>,
    /// Programs of the board's maker that are in it, by file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vendor: BTreeMap<String, VendorRecord>,
    /// Mark of the signing key.
    pub key_mark: KeyMark,
    /// Name of the signing key, as in the FIT's `key-name-hint`.
    pub key_name: String,
    /// SHA-256 of the public key's SubjectPublicKeyInfo (DER).
    pub key_fingerprint: String,
    /// Signature algorithm as U-Boot spells it, such as `sha256,rsa3072`.
    pub algorithm: String,
    /// Padding as U-Boot spells it: `pkcs-1.5` or `pss`.
    pub padding: String,
    /// dm-verity root hash, lower-case hexadecimal.
    pub verity_root_hash: String,
    /// dm-verity salt, lower-case hexadecimal.
    pub verity_salt: String,
    /// Number of 4096-byte data blocks that verity covers.
    pub verity_data_blocks: u64,
    /// The kernel's whole command line, as signed.
    pub cmdline: String,
    /// Partitions in the order of the table.
    pub partitions: Vec<PartitionRecord>,
    /// Every symbol that was asked of a Kconfig, with what became of it.
    pub effective: Vec<EffectiveSymbol>,
}

/// One partition of the disk image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// GPT name.
    pub name: String,
    /// Unique partition GUID, lower case.
    pub guid: String,
    /// Offset in bytes.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the used part, or empty for a partition that holds nothing yet.
    pub sha256: String,
}
