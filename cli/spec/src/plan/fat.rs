//! What a plan says of a FAT file system on the disk.

use serde::{Deserialize, Serialize};

/// A partition with a FAT file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FatFacts {
    /// Name of the partition.
    pub partition: String,
    /// Its size in bytes.
    pub room: u64,
    /// The files in its root folder.
    pub files: Vec<FatFileFacts>,
    /// Another FAT file system with the same files, as a file beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<FatImageFacts>,
}

/// A file of a FAT file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FatFileFacts {
    /// Its name.
    pub name: String,
    /// `vendor`, `spl`, `u-boot` or `text`.
    pub holds: String,
    /// Its text, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A FAT file system as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FatImageFacts {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub room: u64,
}
