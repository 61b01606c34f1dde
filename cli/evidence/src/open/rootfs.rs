//! A tree of `image` as the checks' [`Root`].

use std::collections::BTreeMap;
use std::sync::Arc;

use image::tree::{FileTree, Kind, RootKind};

use crate::root::{Contents, Node, NodeKind, Root};

struct Files(Arc<FileTree>);

impl Contents for Files {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        self.0.read(path, limit).map_err(|e| e.to_string())
    }
}

/// The tree with everything the checks need.
pub fn root(tree: FileTree, sha256: String) -> Root {
    shared(Arc::new(tree), sha256)
}

/// As [`root`], for a tree that others read, too.
pub fn shared(tree: Arc<FileTree>, sha256: String) -> Root {
    let nodes: BTreeMap<String, Node> = tree
        .entries()
        .iter()
        .map(|(path, entry)| {
            let kind = match &entry.kind {
                Kind::File { size } => NodeKind::File(*size),
                Kind::Directory => NodeKind::Directory,
                Kind::Symlink { target } => NodeKind::Symlink(target.clone()),
                Kind::CharDevice { major, minor } => NodeKind::CharDevice(*major, *minor),
                Kind::BlockDevice { .. } | Kind::Fifo | Kind::Socket => NodeKind::Special,
            };
            let node = Node {
                kind,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                capabilities: entry.has_capabilities(),
            };
            (path.clone(), node)
        })
        .collect();
    // A folder that an ordinary user unpacked belongs to that user; capabilities do not survive there.
    let folder = tree.kind() == RootKind::Folder;
    let owned = !folder || nodes.get("/").or_else(|| nodes.get("/etc")).is_some_and(|node| node.uid == 0);
    let without = matches!(tree.kind(), RootKind::Cpio | RootKind::Fat);
    let mut root = Root::new(nodes, Box::new(Files(tree)), sha256);
    root.owners_known = owned;
    root.capabilities_known = owned && !without;
    root
}
