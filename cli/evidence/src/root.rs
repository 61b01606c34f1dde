//! A root file system as the checks see it: names, modes, owners, contents.
//!
//! Built from whatever `image` can read (squashfs, ext4, tar, a folder). Links are followed
//! inside the tree only: an absolute target starts at the tree's root, and `..` stops there.
//! Nothing here opens a path of the host.

use std::collections::{BTreeMap, BTreeSet};

use crate::Unable;
use crate::glob;

/// Bytes of one file that a check may read.
pub const FILE_LIMIT: u64 = 64 << 20;
const LINK_LIMIT: usize = 40;

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file of that many bytes.
    File(u64),
    /// A folder.
    Directory,
    /// A symbolic link with its target as stored.
    Symlink(String),
    /// A character device with its numbers.
    CharDevice(u32, u32),
    /// A block device, FIFO or socket.
    Special,
}

/// Devices of the kernel's own that everybody may write, by number and name.
///
/// Source: Linux, Documentation/admin-guide/devices.txt.
const FREE_DEVICES: [(u32, u32, &str); 7] = [
    (1, 3, "/dev/null"),
    (1, 5, "/dev/zero"),
    (1, 7, "/dev/full"),
    (1, 8, "/dev/random"),
    (1, 9, "/dev/urandom"),
    (5, 0, "/dev/tty"),
    (5, 2, "/dev/ptmx"),
];

/// One path of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Whether it has file capabilities (`security.capability`).
    pub capabilities: bool,
}

impl Node {
    /// Whether it is at its path one of the devices that are meant for everybody, such as `/dev/null`.
    #[must_use]
    pub fn is_free_device(&self, path: &str) -> bool {
        let NodeKind::CharDevice(major, minor) = self.kind else { return false };
        FREE_DEVICES.contains(&(major, minor, path))
    }
}

/// Where the contents of files come from.
pub trait Contents: Send + Sync {
    /// The content of a regular file, at most `limit` bytes of it.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than `limit`; in words.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String>;
}

impl Contents for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        match self.get(path) {
            Some(bytes) if bytes.len() as u64 <= limit => Ok(bytes.clone()),
            Some(bytes) => Err(format!("`{path}` has {} bytes, more than {limit}", bytes.len())),
            None => Err(format!("`{path}` has no content")),
        }
    }
}

/// A whole root file system.
pub struct Root {
    nodes: BTreeMap<String, Node>,
    contents: Box<dyn Contents>,
    /// SHA-256 of the artefact it was read from.
    pub sha256: String,
    /// Whether owners are those of the device: not so for a folder that an ordinary user unpacked.
    pub owners_known: bool,
    /// Whether file capabilities could be read.
    pub capabilities_known: bool,
}

impl Root {
    /// A tree from its nodes (absolute paths, `/` itself may be missing).
    #[must_use]
    pub fn new(nodes: BTreeMap<String, Node>, contents: Box<dyn Contents>, sha256: String) -> Self {
        Self { nodes, contents, sha256, owners_known: true, capabilities_known: true }
    }

    /// Every path with its node, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Takes a file out of the tree, as if the image had none there.
    pub fn forget(&mut self, path: &str) {
        self.nodes.remove(path);
    }

    /// Proves that this is a whole root file system, so that "nothing found" means something.
    ///
    /// # Errors
    /// When `/etc` holds no file, or neither does `/usr`, `/bin` or `/sbin`: BusyBox may be the one program, in `/bin`.
    pub fn prove_whole(&self) -> Result<(), Unable> {
        let has_file = |folder: &&str| {
            let prefix = format!("{folder}/");
            self.nodes
                .range(prefix.clone()..)
                .take_while(|(path, _)| path.starts_with(&prefix))
                .any(|(_, node)| matches!(node.kind, NodeKind::File(_)))
        };
        for (folder, folders) in [("/etc", &["/etc"][..]), ("/usr", &["/usr", "/bin", "/sbin"])] {
            if !folders.iter().any(has_file) {
                return Err(Unable::broken(format!(
                    "the tree holds no file below `{folder}`: it is not a whole root file system"
                )));
            }
        }
        Ok(())
    }

    /// The node of a path after following links, with its real path.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<(String, &Node)> {
        let mut pending: Vec<String> = split_reversed(path);
        let mut real: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    real.pop();
                    continue;
                }
                _ => real.push(part),
            }
            if let Some(Node { kind: NodeKind::Symlink(target), .. }) = self.nodes.get(&joined(&real)) {
                links += 1;
                if links > LINK_LIMIT {
                    return None;
                }
                if target.starts_with('/') {
                    real.clear();
                } else {
                    real.pop();
                }
                pending.extend(split_reversed(target));
            }
        }
        let real = joined(&real);
        self.nodes.get(&real).map(|node| (real, node))
    }

    /// The node of a path itself, links in its folders followed but not the last one.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<(String, &Node)> {
        let path = path.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/')?;
        let real = if folder.is_empty() { String::new() } else { self.resolve(folder)?.0 };
        let real = format!("{}/{name}", real.trim_end_matches('/'));
        self.nodes.get(&real).map(|node| (real, node))
    }

    /// A file's content, links followed; `None` when there is no such path.
    ///
    /// # Errors
    /// When it is there but is no regular file, is too large or cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unable> {
        let Some((real, node)) = self.resolve(path) else { return Ok(None) };
        match node.kind {
            NodeKind::File(_) => self
                .contents
                .read(&real, FILE_LIMIT)
                .map(Some)
                .map_err(|why| Unable::broken(format!("cannot read `{real}`: {why}"))),
            _ => Err(Unable::broken(format!("`{path}` is not a regular file"))),
        }
    }

    /// A file's content as text, bytes that are not UTF-8 replaced.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_text(&self, path: &str) -> Result<Option<String>, Unable> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names directly in a folder (links followed), sorted.
    #[must_use]
    pub fn list(&self, folder: &str) -> Vec<String> {
        let Some((real, _)) = self.resolve(folder) else { return Vec::new() };
        let prefix = format!("{}/", real.trim_end_matches('/'));
        self.nodes
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .filter_map(|(path, _)| {
                let name = &path[prefix.len()..];
                (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
            })
            .collect()
    }

    /// Paths that match a pattern, or one of those that its braces stand for. The part before the first wildcard is followed through
    /// links, so that `/bin/*` finds what is in `/usr/bin`.
    #[must_use]
    pub fn find(&self, pattern: &str) -> Vec<(&str, &Node)> {
        let mut patterns = BTreeSet::new();
        for pattern in glob::alternatives(pattern) {
            let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
            let fixed = parts.iter().take_while(|part| !glob::is_pattern(part)).count();
            // The last part itself stays as it is: a link is found as a link.
            let folder_parts = fixed.min(parts.len().saturating_sub(1));
            if folder_parts > 0 {
                let folder = format!("/{}", parts[..folder_parts].join("/"));
                if let Some((real, _)) = self.resolve(&folder) {
                    patterns.insert(format!("{real}/{}", parts[folder_parts..].join("/")));
                }
            }
            patterns.insert(pattern);
        }
        let matching = |path: &str| patterns.iter().any(|pattern| glob::matches(pattern, path));
        self.nodes().filter(|(path, _)| *path != "/" && matching(path)).collect()
    }
}

fn split_reversed(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn joined(parts: &[String]) -> String {
    if parts.is_empty() { "/".to_owned() } else { format!("/{}", parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use crate::testing::Tree;

    #[test]
    fn links_stay_inside_the_tree() {
        let root = Tree::base()
            .link("/bin", "usr/bin")
            .link("/usr/bin/up", "../../../../../etc/passwd")
            .link("/loop", "/loop")
            .root();
        assert_eq!(root.resolve("/bin/up").unwrap().0, "/etc/passwd");
        assert!(root.resolve("/loop").is_none());
        assert!(root.resolve("/nothing").is_none());
        assert_eq!(root.entry("/bin/up").unwrap().0, "/usr/bin/up");
    }

    #[test]
    fn busybox_in_bin_is_enough_of_a_system_and_nothing_is_not() {
        use std::collections::BTreeMap;
        let of = |paths: &[&str]| {
            let tree = paths.iter().fold(Tree::default(), |tree, path| tree.file(path, 0o644, "x"));
            tree.link("/usr/bin/env", "../../bin/busybox").root()
        };
        assert!(of(&["/etc/passwd", "/bin/busybox"]).prove_whole().is_ok());
        let why = |paths| of(paths).prove_whole().unwrap_err().to_string();
        assert!(why(&["/etc/passwd"]).contains("no file below `/usr`"));
        assert!(why(&["/bin/busybox"]).contains("no file below `/etc`"));
        let empty = super::Root::new(BTreeMap::new(), Box::new(BTreeMap::new()), String::new());
        assert!(empty.prove_whole().is_err());
    }

    #[test]
    fn a_pattern_finds_what_is_behind_a_linked_folder() {
        let root = Tree::base().link("/bin", "usr/bin").file("/usr/bin/tool", 0o755, "x").root();
        let found: Vec<&str> = root.find("/bin/t*").into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["/usr/bin/tool"]);
        assert_eq!(root.find("/bin").len(), 1);
    }

    #[test]
    fn an_empty_tree_is_not_whole() {
        let why = Tree::default().root().prove_whole().unwrap_err();
        assert!(why.to_string().contains("no file below `/etc`"), "{why}");
        Tree::base().root().prove_whole().unwrap();
    }
}
