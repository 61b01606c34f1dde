//! What is inspected, as plain facts.
//!
//! [`crate::open`] reads the artefacts (the disk image itself, never intermediate files) through
//! `image` and `fit` and fills these; the checks only look at them. A part that this kind of
//! subject never has makes a check not applicable; a part that should be there and is not, or
//! cannot be read, is a reason not to conclude anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use record::{ImageRecord, Role};

use crate::root::Root;
use crate::{Conclusion, Unable};

/// Kinds of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// An output folder of a build: disk image, boot flash and record.
    Output,
    /// A disk image alone.
    Disk,
    /// A root file system alone (folder, tar, squashfs, ext4).
    RootFs,
    /// A FIT alone.
    Fit,
    /// A U-Boot binary alone.
    Uboot,
}

impl SubjectKind {
    /// The kind in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "an output folder",
            Self::Disk => "a disk image",
            Self::RootFs => "a root file system",
            Self::Fit => "a FIT",
            Self::Uboot => "a U-Boot binary",
        }
    }
}

/// A FIT's facts.
#[derive(Clone, Debug)]
pub struct FitFacts {
    /// SHA-256 of the FIT.
    pub sha256: String,
    /// Images with the digest that the FIT declares for each, for people.
    pub images: BTreeMap<String, String>,
    /// `/chosen/bootargs` of the device tree in the FIT.
    pub cmdline: Result<String, String>,
    /// Verification against the key in the boot flash: what was verified, or why not; `None` without a flash.
    pub verified: Option<Result<String, Vec<String>>>,
    /// The kernel's embedded configuration.
    pub kconfig: Result<String, String>,
    /// The FIT's bytes, to look for secrets.
    pub bytes: Vec<u8>,
}

impl FitFacts {
    /// The command line.
    ///
    /// # Errors
    /// When the FIT has none that can be read.
    pub fn cmdline(&self) -> Result<String, Unable> {
        self.cmdline.clone().map_err(|why| Unable::broken(format!("the FIT's command line: {why}")))
    }
}

/// A public key in a control FDT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFact {
    /// `key-name-hint`.
    pub name: String,
    /// SHA-256 of the SubjectPublicKeyInfo (DER).
    pub fingerprint: String,
    /// `algo`, such as `sha256,rsa3072`.
    pub algorithm: String,
    /// Modulus in bits.
    pub bits: usize,
    /// `required`, if the node has it.
    pub required: Option<String>,
}

/// A U-Boot binary's facts.
#[derive(Clone, Debug)]
pub struct UbootFacts {
    /// SHA-256 of the binary.
    pub sha256: String,
    /// Number of control FDTs found in it.
    pub control_fdts: usize,
    /// Keys below `/signature` of the control FDT.
    pub keys: Vec<KeyFact>,
    /// `required-mode`, `all` when absent.
    pub required_mode: String,
    /// The binary, to look for secrets.
    pub bytes: Vec<u8>,
}

/// The root partition against the root hash on the signed command line.
#[derive(Clone, Debug)]
pub struct VerityFacts {
    /// SHA-256 of the data and tree.
    pub sha256: String,
    /// The root hash on the command line.
    pub asked: Result<String, String>,
    /// The root hash computed from the data, after every block of the tree was compared.
    pub found: Result<String, String>,
}

/// The data partition as it is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFacts {
    /// All zero where a file system or an encrypted partition would begin: the device makes both at its first start.
    Empty,
    /// An ext4, and what it keeps back.
    Ext4(image::tree::Reserved),
}

/// One partition of a disk that others made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFact {
    /// Number and name.
    pub label: String,
    /// What it holds, in words; empty where nobody knows.
    pub content: String,
    /// Why it, or some of it, was not looked at.
    pub unread: Option<String>,
}

/// A disk that others made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFacts {
    /// SHA-256 of the disk image.
    pub sha256: String,
    /// `GPT` or `MBR`.
    pub table: &'static str,
    /// The partitions in the table's order.
    pub partitions: Vec<PartitionFact>,
    /// What is wrong with the table.
    pub defects: Vec<String>,
}

impl DiskFacts {
    /// Whether every partition was looked at.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.defects.is_empty() && self.partitions.iter().all(|part| part.unread.is_none())
    }

    /// The partitions in one line.
    #[must_use]
    pub fn shown(&self) -> String {
        let shown = self.partitions.iter().map(|part| match (part.content.as_str(), &part.unread) {
            ("", Some(why)) => format!("{} was not looked at ({why})", part.label),
            (content, Some(why)) => format!("{} holds {content} ({why})", part.label),
            (content, None) => format!("{} holds {content}", part.label),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// A disk that others made, all of which was looked at, without a FIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoFit {
    /// Where it was looked for.
    pub why: String,
    /// SHA-256 of the disk image.
    pub sha256: String,
}

impl NoFit {
    /// What that means to a check that asks for a signature.
    #[must_use]
    pub fn conclude(&self, expected: &str) -> Conclusion {
        Conclusion::of(&[format!("{}: nothing is signed", self.why)], expected, "", &self.sha256)
    }
}

/// A part of the subject.
type Part<T> = Option<Result<T, String>>;

/// What is inspected.
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its name for people: the file's or folder's name, no path.
    pub name: String,
    /// The root file system.
    pub root: Part<Root>,
    /// The root partition as it is, where the subject is a disk.
    pub root_image: Option<image::Source>,
    /// The ruleset (by its path) as the image itself loads it in QEMU, once that was asked.
    pub in_qemu: OnceLock<(String, crate::kinds::Loaded)>,
    /// The FIT.
    pub fit: Part<FitFacts>,
    /// The boot flash.
    pub uboot: Part<UbootFacts>,
    /// U-Boot's final `.config`, as the build recorded it.
    pub uboot_config: Part<String>,
    /// The verity root.
    pub verity: Part<VerityFacts>,
    /// The data partition, where the subject is a disk of our own layout.
    pub data: Part<DataFacts>,
    /// The partitions, where the subject is a disk that others made.
    pub partitions: Part<DiskFacts>,
    /// That such a disk has no FIT.
    pub no_fit: Option<NoFit>,
    /// The record of the build.
    pub image: Part<ImageRecord>,
    /// SHA-256 of every file that was opened, by name.
    pub hashes: BTreeMap<String, String>,
}

impl Subject {
    /// A subject of that kind with nothing in it yet.
    #[must_use]
    pub fn empty(kind: SubjectKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            root: None,
            root_image: None,
            in_qemu: OnceLock::new(),
            fit: None,
            uboot: None,
            uboot_config: None,
            verity: None,
            data: None,
            partitions: None,
            no_fit: None,
            image: None,
            hashes: BTreeMap::new(),
        }
    }

    fn part<'a, T>(&self, part: &'a Part<T>, what: &str) -> Result<&'a T, Unable> {
        match part {
            Some(Ok(part)) => Ok(part),
            Some(Err(why)) => Err(Unable::broken(format!("{what}: {why}"))),
            None if self.kind == SubjectKind::Output => Err(Unable::broken(format!("{what} is missing"))),
            None if self.kind == SubjectKind::Disk => Err(Unable::not_applicable(format!(
                "a disk image does not say where its {what} is: inspect that file by itself"
            ))),
            None => Err(Unable::not_applicable(format!("{} has no {what}", self.kind.name()))),
        }
    }

    /// The root file system.
    ///
    /// # Errors
    /// As the module says.
    pub fn root(&self) -> Result<&Root, Unable> {
        self.part(&self.root, "root file system")
    }

    /// The FIT.
    ///
    /// # Errors
    /// As the module says.
    pub fn fit(&self) -> Result<&FitFacts, Unable> {
        match &self.no_fit {
            Some(none) => Err(Unable::not_applicable(none.why.clone())),
            None => self.part(&self.fit, "FIT"),
        }
    }

    /// The partitions of a disk that others made.
    ///
    /// # Errors
    /// As the module says; a disk of our own layout has them where they belong, or is not read at all.
    pub fn partitions(&self) -> Result<&DiskFacts, Unable> {
        match &self.partitions {
            None => Err(Unable::not_applicable("it is no disk of another layout than Fastness's")),
            partitions => self.part(partitions, "partition table"),
        }
    }

    /// The boot flash.
    ///
    /// # Errors
    /// As the module says.
    pub fn uboot(&self) -> Result<&UbootFacts, Unable> {
        self.part(&self.uboot, "U-Boot binary")
    }

    /// U-Boot's final `.config`.
    ///
    /// # Errors
    /// As the module says.
    pub fn uboot_config(&self) -> Result<&String, Unable> {
        self.part(&self.uboot_config, "U-Boot configuration")
    }

    /// The verity root.
    ///
    /// # Errors
    /// As the module says.
    pub fn verity(&self) -> Result<&VerityFacts, Unable> {
        self.part(&self.verity, "verity tree")
    }

    /// The data partition.
    ///
    /// # Errors
    /// As the module says.
    pub fn data(&self) -> Result<&DataFacts, Unable> {
        self.part(&self.data, "data partition")
    }

    /// The record of the build.
    ///
    /// # Errors
    /// As the module says.
    pub fn image(&self) -> Result<&ImageRecord, Unable> {
        self.part(&self.image, "record of the build")
    }

    /// SHA-256 of the final `.config` of `linux` or `uboot`, if the record has it.
    #[must_use]
    pub fn config_sha256(&self, component: &str) -> String {
        let role = if component == "linux" { Role::KernelConfig } else { Role::UbootConfig };
        match &self.image {
            Some(Ok(image)) => image.files.get(&role).map(|file| file.sha256.clone()).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// The file name of a path, for people.
    #[must_use]
    pub fn name_of(path: &std::path::Path) -> String {
        let full: PathBuf = path.components().collect();
        full.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
impl Subject {
    /// A root file system alone.
    pub fn of_root(root: Root) -> Self {
        Self { root: Some(Ok(root)), ..Self::empty(SubjectKind::RootFs, "rootfs") }
    }

    /// An output folder with a FIT.
    pub fn of_fit(fit: FitFacts) -> Self {
        Self { fit: Some(Ok(fit)), ..Self::empty(SubjectKind::Output, "out") }
    }

    /// An output folder whose FIT has that command line.
    pub fn of_cmdline(cmdline: &str) -> Self {
        Self::of_fit(FitFacts {
            sha256: "f1".repeat(32),
            images: BTreeMap::new(),
            cmdline: Ok(cmdline.to_owned()),
            verified: None,
            kconfig: Err("none".into()),
            bytes: vec![],
        })
    }

    /// An output folder whose record has one symbol.
    pub fn of_symbol(
        component: &str,
        symbol: &str,
        asked: &str,
        found: &str,
        state: record::SymbolState,
    ) -> Self {
        let mut image = crate::report::sample::image();
        image.effective = vec![record::EffectiveSymbol {
            component: component.into(),
            symbol: symbol.into(),
            asked: asked.into(),
            found: found.into(),
            asked_by: "layer test".into(),
            asked_at: "layers/test/layer.yaml:3".into(),
            state,
            why: "test".into(),
        }];
        Self { image: Some(Ok(image)), ..Self::empty(SubjectKind::Output, "out") }
    }
}
