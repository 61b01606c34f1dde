//! The image under attack: what mutations need to know about it.

use std::path::Path;
use std::sync::OnceLock;

use diag::{Failure, Outcome};
use fit::key::{Algorithm, KeyType, Padding};
use fit::sign::{EcdsaSigner, RsaSigner, Signer};
use record::{ImageRecord, PartitionRecord, Role};
use spec::Architecture;
use spec::plan::Plan;

use super::{Names, bad_fit, unfit};
use crate::boot::file;

/// Where the root file system's hash tree lies, in blocks of 4096 bytes of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerityFacts {
    /// Data blocks.
    pub data_blocks: u64,
    /// First block of the tree.
    pub hash_start: u64,
    /// Salt.
    pub salt: Vec<u8>,
}

/// The attacker's key, which nothing prints.
pub(super) enum Attacker {
    /// RSA.
    Rsa(Box<RsaSigner>, Box<rsa::RsaPrivateKey>),
    /// ECDSA.
    Ecdsa(EcdsaSigner),
}

impl Attacker {
    /// With that RSA key.
    pub(super) fn rsa(key: rsa::RsaPrivateKey) -> Self {
        Self::Rsa(Box::new(RsaSigner::new(key.clone())), Box::new(key))
    }

    pub(super) fn signer(&self) -> &dyn Signer {
        match self {
            Self::Rsa(signer, _) => &**signer,
            Self::Ecdsa(signer) => signer,
        }
    }
}

impl std::fmt::Debug for Attacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Attacker").finish()
    }
}

/// The partition whose FIT SPL verifies.
pub(super) const SPL_SLOT: &str = "uboot";

/// Who verifies the FIT under attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// U-Boot: the FIT has the kernel.
    UBoot,
    /// SPL: the FIT has U-Boot.
    Spl,
}

/// The image under attack.
#[derive(Debug)]
pub struct Subject {
    /// The signed FIT.
    pub fit: Vec<u8>,
    /// What its nodes are called.
    pub names: Names,
    /// What verifies it, with its control FDT: U-Boot or SPL.
    pub uboot: Vec<u8>,
    /// How the names of the partitions begin that hold the FIT.
    pub slots: &'static str,
    /// Partitions, as assembled.
    pub partitions: Vec<PartitionRecord>,
    /// Signing key's name.
    pub key_name: String,
    /// Signature algorithm.
    pub algorithm: Algorithm,
    /// Padding.
    pub padding: Padding,
    /// Root hash, lower-case hexadecimal.
    pub root_hash: String,
    /// The hash tree.
    pub verity: VerityFacts,
    /// What the attacker's code is for.
    pub architecture: Architecture,
    /// Where the kernel is loaded.
    pub kernel_address: u64,
    /// The version that the signed configuration carries, if any.
    pub rollback_version: Option<u32>,
    /// Time stamp of what is signed anew, in seconds.
    pub timestamp: u32,
    /// The attacker's key, made when first needed: never a key that exists anywhere else.
    pub(super) attacker: OnceLock<Result<Attacker, String>>,
}

impl Subject {
    /// Reads what a record describes; `folder` is the output folder.
    ///
    /// # Errors
    /// When a file is missing or the record is not about an image that can be attacked.
    pub fn open(plan: &Plan, record: &ImageRecord, folder: &Path, verifier: Verifier) -> Outcome<Self> {
        let read = |role| {
            let path = folder.join(&file(record, role)?.path);
            std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))
        };
        let (fit, uboot, slots) = match verifier {
            Verifier::UBoot => (Role::Fit, Role::Uboot, "fit_"),
            Verifier::Spl => (Role::UbootFit, Role::Spl, SPL_SLOT),
        };
        let fit = read(fit)?;
        Ok(Self {
            names: Names::of(&fit)?,
            fit,
            uboot: read(uboot)?,
            slots,
            partitions: record.partitions.clone(),
            key_name: record.key_name.clone(),
            algorithm: Algorithm::parse(&record.algorithm).map_err(|e| bad_fit(&e))?,
            padding: Padding::parse(&record.padding).map_err(|e| bad_fit(&e))?,
            root_hash: record.verity_root_hash.clone(),
            verity: VerityFacts {
                data_blocks: record.verity_data_blocks,
                hash_start: hash_start(&record.cmdline, record.verity_data_blocks),
                salt: unhex(&record.verity_salt)
                    .ok_or_else(|| unfit(format!("`{}` is no salt", record.verity_salt)))?,
            },
            architecture: Architecture::of(&plan.board.kernel_arch)
                .ok_or_else(|| unfit(format!("no attacker's code for `{}`", plan.board.kernel_arch)))?,
            kernel_address: plan.board.boot.kernel_address,
            rollback_version: plan.signing.rollback_version,
            timestamp: u32::try_from(plan.product.epoch).unwrap_or(0),
            attacker: OnceLock::new(),
        })
    }

    /// Who verifies the FIT, for people.
    #[must_use]
    pub fn verifier(&self) -> &'static str {
        if self.slots == SPL_SLOT { "SPL" } else { "U-Boot" }
    }

    /// A partition by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn partition(&self, name: &str) -> Outcome<&PartitionRecord> {
        self.partitions.iter().find(|partition| partition.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.partitions.iter().map(|p| p.name.as_str()).collect();
            unfit(format!("the disk has no partition `{name}`; it has `{}`", names.join("`, `")))
        })
    }

    /// What signs with the attacker's key, of the kind and size of the product's own.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn attacker(&self) -> Outcome<&dyn Signer> {
        Ok(self.attackers_key()?.signer())
    }

    /// The attacker's key itself.
    ///
    /// # Errors
    /// As [`Self::attacker`].
    pub(super) fn attackers_key(&self) -> Outcome<&Attacker> {
        let made = self.attacker.get_or_init(|| {
            let rng = &mut rand_core::OsRng;
            Ok(match self.algorithm.key {
                KeyType::EcdsaP256 => Attacker::Ecdsa(EcdsaSigner::P256(p256::SecretKey::random(rng))),
                KeyType::EcdsaP384 => Attacker::Ecdsa(EcdsaSigner::P384(p384::SecretKey::random(rng))),
                rsa => Attacker::rsa(rsa::RsaPrivateKey::new(rng, rsa.bits()).map_err(|e| e.to_string())?),
            })
        });
        made.as_ref().map_err(|e| unfit(format!("the attacker's key cannot be made: {e}")))
    }
}

/// The tree's first block, from the signed command line (Linux `verity.rst`: construction
/// parameters); where it says nothing, the tree follows the data.
fn hash_start(cmdline: &str, data_blocks: u64) -> u64 {
    let words: Vec<&str> = cmdline.split(' ').collect();
    let at = words.iter().position(|word| *word == "verity");
    at.and_then(|at| words.get(at + 7)).and_then(|word| word.parse().ok()).unwrap_or(data_blocks)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trees_place_comes_from_the_signed_command_line() {
        let line = "a dm-mod.create=\"root,,,ro,0 80 verity 1 PARTUUID=G PARTUUID=G 4096 4096 10 11 sha256 ab cd 0\"";
        assert_eq!(hash_start(line, 10), 11);
        assert_eq!(hash_start("quiet", 10), 10);
        assert_eq!(unhex("00ff"), Some(vec![0, 255]));
        assert_eq!((unhex("0"), unhex("zz")), (None, None));
    }
}
