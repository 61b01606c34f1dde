//! What attackers change: each mutation works on a copy of the disk, the FIT in it, or the flash.
//!
//! A mutation is data of an attack's file ([`Mutation`]) and one function. It says in words what it
//! changed, with names and offsets, and fails when there is nothing to change: an attack that
//! changes nothing must never count as refused.

mod broken;
mod disk;
mod fit_bytes;
mod fit_tree;
mod forge;
mod names;
pub mod payload;
mod rollback;
#[cfg(test)]
mod shipped_tests;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod verity;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use diag::{ExitStatus, Failure, Outcome};
use serde::Deserialize;

use crate::tpm::Counter;
pub use broken::BrokenHash;
pub use disk::FatFile;
pub(crate) use forge::behind_spl;
pub use names::Names;
pub use subject::{Subject, Verifier};

/// What becomes of an image's hash when its data changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashFate {
    /// It stays what it was: the image hash must catch the change.
    Keep,
    /// It is made anew: the signature must catch the change.
    Update,
}

/// What kind of other content takes the FIT's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// A raw kernel: what `booti` or `bootz` starts.
    RawImage,
    /// A legacy uImage of type kernel (U-Boot `include/image.h`).
    LegacyImage,
    /// A legacy uImage of type script.
    LegacyScript,
    /// A PE program as EFI loads it.
    Efi,
    /// Nothing: zeros.
    Nothing,
}

/// Where in dm-verity's area a byte is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerityPlace {
    /// The first data block: the file system's superblock, read at each mount.
    Data,
    /// The top block of the tree, which the root hash covers.
    TreeTop,
    /// The first block of the lowest level, which covers the first data blocks.
    TreeLeaf,
}

/// A half of a property: of an ECDSA signature r or s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// The bytes in front.
    First,
    /// Those behind.
    Second,
}

/// Where the rollback counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CounterState {
    /// One above the image's version: the device has accepted a newer one.
    Newer,
    /// One below it: the image is an update.
    Older,
    /// At it.
    Same,
    /// Made and never counted: the power was cut while it was made.
    Unwritten,
    /// An index of the same number that the owner of the TPM may count.
    Foreign,
}

/// What becomes of the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TpmChange {
    /// Its memory holds that counter.
    Counter(Counter),
    /// It is taken off.
    Removed,
    /// Another one of the same make is put in its place.
    Exchanged,
}

/// One change. The names and fields are those of an attack's file; a node or image may be named by its role ([`Names`]).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mutation {
    /// Writes the FIT back unchanged: a control.
    Nothing {},
    /// Flips the lowest bit of one byte of a property of the FIT (none: the middle one).
    FlipByte {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// Offset in the property.
        at: Option<usize>,
    },
    /// Fills a property of the FIT, in place, with one byte.
    Fill {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// The byte.
        byte: u8,
        /// Which part; none: all of it.
        part: Option<Half>,
    },
    /// Makes a property of the FIT longer, with zeros behind it, or shorter.
    Resize {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// Bytes that come to it or go; none: it becomes empty.
        by: Option<i16>,
    },
    /// Cuts the FIT off and leaves zeros.
    Truncate {
        /// Part that stays, in percent.
        percent: u8,
    },
    /// Changes the size that the FIT's header claims.
    DeclareSize {
        /// Claimed size in bytes.
        bytes: u32,
    },
    /// Changes the length that a property claims; its value stays.
    DeclareLength {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// Claimed length in bytes; from 2147483648 on it is negative where it is read as a C `int`.
        bytes: u32,
    },
    /// A whole tree with the attacker's kernel in front of the signed one: two roots.
    SecondRoot {},
    /// Something else than a FIT takes its place.
    ReplaceFit {
        /// What.
        with: Foreign,
    },
    /// Sets a property of the FIT.
    SetText {
        /// Node's path; the node is made if it is missing.
        node: String,
        /// Property's name.
        property: String,
        /// Its strings.
        texts: Vec<String>,
    },
    /// Sets a property of the FIT to a number.
    SetNumber {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// The value.
        value: u64,
        /// Its size in bytes: 4 or 8.
        size: u8,
    },
    /// Adds the property a second time in front of the first.
    DuplicateText {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
        /// The false value.
        text: String,
    },
    /// Removes a property of the FIT.
    RemoveProperty {
        /// Node's path.
        node: String,
        /// Property's name.
        property: String,
    },
    /// Removes a node of the FIT.
    RemoveNode {
        /// Node's path.
        node: String,
    },
    /// Renames a node of the FIT, and what refers to it in configurations.
    RenameNode {
        /// Node's path.
        node: String,
        /// New name.
        to: String,
    },
    /// The attacker's code takes the place of an image's data.
    ReplaceData {
        /// Image's name.
        image: String,
        /// What becomes of its hash.
        hash: HashFate,
    },
    /// Zeros behind an image's data, which change nothing of what runs; its hash is made anew.
    GrowData {
        /// Image's name.
        image: String,
        /// How many.
        by: usize,
    },
    /// An image's hash becomes one whose collisions can be computed, with the right value; signed with the attacker's key.
    BrokenHash {
        /// Image's name.
        image: String,
        /// Its algorithm.
        algorithm: BrokenHash,
    },
    /// Adds the attacker's code as a new image with a correct hash.
    AddImage {
        /// Image's name.
        name: String,
        /// `type` of the image.
        image_type: String,
    },
    /// Clones the signed configuration, signature and all, and points the clone elsewhere.
    CloneConfiguration {
        /// Name of the clone.
        name: String,
        /// Image that it boots.
        kernel: String,
        /// Whether it stands in front of the signed one.
        first: bool,
    },
    /// Hides the signed configuration below another node and puts a false one in its place whose
    /// `hashed-nodes` name the hidden one: the bytes that are hashed stay the signed ones
    /// (CVE-2020-10648).
    ForgeHashedNodes {},
    /// Moves a signed image below another node, where `hashed-nodes` then names it, and puts the attacker's code in its place with a
    /// correct hash: the bytes that are hashed stay the signed ones, and the configuration is where it was (CVE-2026-46728).
    HideImage {
        /// Image's name.
        image: String,
    },
    /// Changes the command line in the FIT's device tree.
    Bootargs {
        /// Text that is added at the end.
        append: Option<String>,
        /// A text and what takes its place; `ROOT-HASH` stands for the image's root hash.
        replace: Option<(String, String)>,
        /// What becomes of the device tree's hash.
        hash: HashFate,
    },
    /// Signs every configuration with a key made by the attacker.
    Resign {
        /// Key name; none: the product's own.
        key_name: Option<String>,
    },
    /// Signs the booted configuration with the attacker's key over SHA-1; U-Boot in the flash trusts that key for SHA-1.
    ResignOverSha1 {},
    /// Puts the attacker's public key into the FIT itself, marked as required.
    EmbedKey {},
    /// Makes it another product's image: names, and the signature of that product's key.
    OtherProduct {
        /// That product's name.
        name: String,
    },
    /// Leaves the good FIT in one slot.
    KeepSlot {
        /// Partition's name.
        partition: String,
    },
    /// Makes the partition table claim another size.
    ClaimSize {
        /// Partition's name.
        partition: String,
        /// Claimed size in bytes.
        bytes: u64,
    },
    /// Renames a partition.
    RenamePartition {
        /// Partition's name.
        partition: String,
        /// New name.
        to: String,
    },
    /// Adds a FAT partition with files.
    AddFat {
        /// Partition's name.
        partition: String,
        /// Whether it is marked as the EFI system partition.
        efi_system: bool,
        /// Files.
        files: Vec<FatFile>,
    },
    /// Flips a byte that dm-verity covers.
    FlipVerity {
        /// Where.
        place: VerityPlace,
    },
    /// Changes the root file system and makes the whole tree anew, but cannot change the root hash.
    RebuildVerity {},
    /// A saved environment in the second flash bank.
    SavedEnvironment {
        /// Variables.
        variables: BTreeMap<String, String>,
        /// Size of the environment in bytes (`CONFIG_ENV_SIZE`).
        bytes: usize,
    },
    /// Types on the console from the start to the end.
    Keys {
        /// The keys, typed again and again.
        keys: String,
    },
    /// Puts the rollback counter of the board's TPM somewhere else than a new device has it.
    RollbackCounter {
        /// Where.
        state: CounterState,
    },
    /// Writes the partition in which a version says that it works.
    Proof {
        /// What it says; `{version}` stands for the image's own rollback version.
        text: String,
    },
    /// Takes the TPM off the board.
    RemoveTpm {},
    /// Lets the device start once as it was shipped, so that its data partition is sealed to its TPM; what follows is
    /// changed on that device.
    SealedDevice {},
    /// Something that is no LUKS2 header stands at the beginning of the data partition.
    PlainData {},
    /// Another TPM takes the place of the device's own.
    ExchangeTpm {},
    /// The attacker's key takes the place of the product's in the flash: out of reach for the attacker that the others
    /// model; what still holds then does not rest on U-Boot's key.
    TrustAttacker {},
    /// Takes the key out of the flash: out of reach for the attacker that the others model, and a
    /// control that it is the key that refuses.
    RemoveKey {},
}

/// One attack's copy of everything that can be changed.
#[derive(Debug)]
pub struct Case<'s> {
    /// The image under attack.
    pub subject: &'s Subject,
    /// Copy of the disk.
    pub disk: File,
    /// The FIT as it will stand in the slots.
    pub fit: Vec<u8>,
    /// U-Boot, when it was changed.
    pub uboot: Option<Vec<u8>>,
    /// The second flash bank, when there is one.
    pub environment: Option<Vec<u8>>,
    /// Keys to type.
    pub keys: Vec<u8>,
    /// What becomes of the TPM.
    pub tpm: Option<TpmChange>,
    kept_slots: BTreeSet<String>,
}

impl<'s> Case<'s> {
    /// A case on a copy of the disk.
    #[must_use]
    pub fn new(subject: &'s Subject, disk: File) -> Self {
        Self {
            subject,
            disk,
            fit: subject.fit.clone(),
            uboot: None,
            environment: None,
            keys: Vec::new(),
            tpm: None,
            kept_slots: BTreeSet::new(),
        }
    }

    /// Applies the mutations in order, writes the FIT into the slots, and says what was changed.
    ///
    /// # Errors
    /// When there is nothing to change where a mutation looks, or the copy cannot be written.
    pub fn apply(&mut self, mutations: &[Mutation]) -> Outcome<String> {
        let mut words = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            words.push(mutation.apply(self)?);
        }
        disk::write_slots(self)?;
        Ok(words.join("; "))
    }
}

impl Mutation {
    fn apply(&self, case: &mut Case<'_>) -> Outcome<String> {
        let names = &case.subject.names;
        let named = |text: &String| names.fill(text);
        match self {
            Self::Nothing {} => Ok("nothing was changed".to_owned()),
            Self::FlipByte { node, property, at } => fit_bytes::flip_byte(case, &named(node)?, property, *at),
            Self::Fill { node, property, byte, part } => {
                fit_bytes::fill(case, &named(node)?, property, *byte, *part)
            }
            Self::Resize { node, property, by } => fit_tree::resize(case, &named(node)?, property, *by),
            Self::Truncate { percent } => fit_bytes::truncate(case, *percent),
            Self::DeclareSize { bytes } => fit_bytes::declare_size(case, *bytes),
            Self::DeclareLength { node, property, bytes } => {
                fit_bytes::declare_length(case, &named(node)?, property, *bytes)
            }
            Self::SecondRoot {} => forge::second_root(case),
            Self::ReplaceFit { with } => fit_bytes::replace(case, *with),
            Self::SetText { node, property, texts } => {
                let texts = texts.iter().map(named).collect::<Outcome<Vec<_>>>()?;
                fit_tree::set_text(case, &named(node)?, property, &texts)
            }
            Self::SetNumber { node, property, value, size } => {
                fit_tree::set_number(case, &named(node)?, property, *value, *size)
            }
            Self::DuplicateText { node, property, text } => {
                fit_tree::duplicate_text(case, &named(node)?, property, text)
            }
            Self::RemoveProperty { node, property } => {
                fit_tree::remove_property(case, &named(node)?, property)
            }
            Self::RemoveNode { node } => fit_tree::remove_node(case, &named(node)?),
            Self::RenameNode { node, to } => fit_tree::rename_node(case, &named(node)?, &named(to)?),
            Self::ReplaceData { image, hash } => fit_tree::replace_data(case, &named(image)?, *hash),
            Self::GrowData { image, by } => fit_tree::grow_data(case, &named(image)?, *by),
            Self::AddImage { name, image_type } => fit_tree::add_image(case, name, image_type),
            Self::CloneConfiguration { name, kernel, first } => {
                forge::clone_configuration(case, &named(name)?, &named(kernel)?, *first)
            }
            Self::ForgeHashedNodes {} => forge::hashed_nodes(case),
            Self::HideImage { image } => forge::hide_image(case, &named(image)?),
            Self::Bootargs { append, replace, hash } => {
                fit_tree::bootargs(case, append.as_deref(), replace.as_ref(), *hash)
            }
            Self::Resign { key_name } => forge::resign(case, key_name.as_deref()),
            Self::ResignOverSha1 {} => broken::over_sha1(case),
            Self::BrokenHash { image, algorithm } => broken::hash(case, &named(image)?, *algorithm),
            Self::EmbedKey {} => forge::embed_key(case),
            Self::OtherProduct { name } => forge::other_product(case, name),
            Self::KeepSlot { partition } => {
                case.subject.partition(partition)?;
                case.kept_slots.insert(partition.clone());
                Ok(format!("`{partition}` keeps the good FIT"))
            }
            Self::ClaimSize { partition, bytes } => disk::claim_size(case, partition, *bytes),
            Self::RenamePartition { partition, to } => disk::rename_partition(case, partition, to),
            Self::AddFat { partition, efi_system, files } => {
                disk::add_fat(case, partition, *efi_system, files)
            }
            Self::FlipVerity { place } => verity::flip(case, *place),
            Self::RebuildVerity {} => verity::rebuild(case),
            Self::SavedEnvironment { variables, bytes } => {
                payload::saved_environment(variables, *bytes).map(|environment| {
                    case.environment = Some(environment);
                    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
                    format!("a saved environment in the second flash bank sets `{}`", names.join("`, `"))
                })
            }
            Self::Keys { keys } => {
                case.keys = keys.clone().into_bytes();
                Ok(format!("{:?} is typed on the console all the time", keys))
            }
            Self::RollbackCounter { state } => rollback::counter(case, *state),
            Self::Proof { text } => rollback::proof(case, text),
            Self::RemoveTpm {} => rollback::remove_tpm(case),
            Self::SealedDevice {} => {
                Ok("the device was started once, and sealed its data partition".to_owned())
            }
            Self::PlainData {} => disk::plain_data(case),
            Self::ExchangeTpm {} => {
                case.tpm = Some(TpmChange::Exchanged);
                Ok("another TPM is on the board".to_owned())
            }
            Self::TrustAttacker {} => forge::trust_attacker(case),
            Self::RemoveKey {} => forge::remove_key(case),
        }
    }
}

/// A mutation that finds nothing to change.
pub(crate) fn unfit(why: impl Into<String>) -> Failure {
    Failure::error(ExitStatus::Input, "mutation", why)
        .hint("the attack does not fit this image; correct its file in `attacks/`")
}

/// The FIT cannot be read or written.
pub(crate) fn bad_fit(error: &fit::FitError) -> Failure {
    unfit(format!("the FIT cannot be changed: {error}"))
}
