//! How the boot chain is signed, and the disk that it starts from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Asked;

/// Names of the partitions that a disk has beside those of a board's boot ROM; `disk` is no partition, but names the disk's own GUID.
pub const OWN_PARTITIONS: [&str; 9] =
    ["uboot", "fit_a", "fit_b", "root_a", "root_b", "data", "proof", "misc", "disk"];

/// How images are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningPlan {
    /// As U-Boot spells it: `sha256,rsa3072`.
    pub algorithm: String,
    /// `pkcs-1.5` or `pss`.
    pub padding: String,
    /// Key name: the FIT's `key-name-hint`, the file's stem in the key store.
    pub key: String,
    /// Whether this is a release build, which refuses development keys and published ones.
    pub release: bool,
    /// The version that the signed configuration carries, where older images must not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_version: Option<u32>,
    /// Keys that U-Boot trusts beside that one, while it is being replaced; with any, `required-mode` is `any`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_trusts: Vec<TrustedKeyPlan>,
    /// Keys that the product knows as published beyond those of `standards/known-keys.yaml`: fingerprint and where.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known_keys: BTreeMap<String, String>,
}

/// A key that U-Boot trusts beside the product's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKeyPlan {
    /// Its name.
    pub key: String,
    /// Algorithm of its signatures.
    pub algorithm: String,
    /// Its public half, PEM.
    pub public: String,
}

/// The disk, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePlan {
    /// Size of each of the two FIT partitions.
    pub fit_bytes: u64,
    /// Size of each of the two root partitions.
    pub root_bytes: u64,
    /// Size of the data partition.
    pub data_bytes: u64,
    /// Size of the partition in which the running version says that it works; 0: there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub proof_bytes: u64,
    /// Size of the partition in which stands which slot is started; 0: always the first that verifies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub misc_bytes: u64,
    /// zstd level of the squashfs.
    pub zstd_level: u32,
    /// How the data partition is sealed; none: it is plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedPlan>,
    /// What root keeps on the data partition, at most: folder, the bytes of all who asked together, and who they are. That much is reserved for root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Asked<u64>>,
}

/// What LUKS2 takes of a sealed partition for its header (cryptsetup-luksFormat(8), `--offset`).
const LUKS2_HEADER_BYTES: u64 = 16 << 20;

impl StoragePlan {
    /// Bytes of everything that is kept.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        self.kept.values().fold(0, |sum, asked| sum.saturating_add(asked.value))
    }

    /// Bytes of the file system on the data partition.
    #[must_use]
    pub fn file_system_bytes(&self) -> u64 {
        let header = if self.sealed.is_some() { LUKS2_HEADER_BYTES } else { 0 };
        self.data_bytes.saturating_sub(header)
    }

    /// The part of its blocks that is reserved for root, in hundredths of a percent: room for all that is kept, and for
    /// what rounding takes.
    #[must_use]
    pub fn reserved_hundredths(&self) -> u128 {
        if self.kept.is_empty() {
            return 0;
        }
        let all = u128::from(self.file_system_bytes().max(1));
        (u128::from(self.kept_bytes()) * 10_000).div_ceil(all) + 1
    }

    /// The same in percent, for mke2fs(8), `-m`.
    #[must_use]
    pub fn reserved_percent(&self) -> String {
        let hundredths = self.reserved_hundredths();
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// Size of the memory in which U-Boot leaves the log of its measurements.
pub const EVENT_LOG_BYTES: u64 = 64 << 10;

/// A data partition whose key the TPM gives only for the measurements that it was sealed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPlan {
    /// Public RSA key to which a device encrypts its recovery key, PEM.
    pub recovery: String,
    /// Physical address of the log of measurements.
    pub event_log: u64,
    /// `compatible` of the TPM's node in the device tree.
    pub tpm_compatible: String,
    /// What it does not protect against.
    pub limits: String,
}

// serde wants a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}
