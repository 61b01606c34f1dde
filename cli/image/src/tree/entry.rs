//! One path of a tree.

use std::collections::BTreeMap;

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its size in bytes, as its inode or header claims.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as stored.
        target: String,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::File { .. } => "regular file",
            Self::Directory => "folder",
            Self::Symlink { .. } => "symbolic link",
            Self::CharDevice { .. } => "character device",
            Self::BlockDevice { .. } => "block device",
            Self::Fifo => "named pipe",
            Self::Socket => "socket",
        }
    }
}

/// One path with what its inode says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// How many names the inode has, as the image claims; for tar, as many as there are.
    pub links: u32,
    /// Extended attributes by full name, as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// True for a folder that an archive names only as part of another path: mode and owner are assumed.
    pub implied: bool,
    /// The reader's own number for the content.
    pub(crate) node: u64,
}

impl Entry {
    /// A folder that no header describes.
    pub(crate) fn implied_folder() -> Self {
        Self {
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            links: 1,
            xattrs: BTreeMap::new(),
            implied: true,
            node: 0,
        }
    }

    /// Whether it carries file capabilities.
    #[must_use]
    pub fn has_capabilities(&self) -> bool {
        self.xattrs.contains_key("security.capability")
    }
}

/// Major and minor of a Linux device number in its 32-bit form (`new_decode_dev`).
pub(crate) fn device_numbers(device: u32) -> (u32, u32) {
    ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}
