//! A tree of files, brought onto the disk without touching what is already right.
//!
//! Buildroot decides by time stamps what to build again: a file whose content did not change
//! keeps its own. What the tree no longer has is removed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use diag::{Failure, Outcome};

/// What a path of the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file and its content.
    File(String),
    /// A file that may be started.
    Script(String),
    /// A symbolic link and its target.
    Link(String),
}

/// Paths relative to the tree's top, with what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds a file.
    pub fn file(&mut self, path: impl Into<String>, content: impl Into<String>) {
        self.nodes.insert(path.into(), Node::File(content.into()));
    }

    /// Adds a file that may be started.
    pub fn script(&mut self, path: impl Into<String>, content: impl Into<String>) {
        self.nodes.insert(path.into(), Node::Script(content.into()));
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.nodes.insert(path.into(), Node::Link(target.into()));
    }

    /// The nodes in order.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// Makes `folder` this tree. Killed half-way, the next call finishes it.
    ///
    /// # Errors
    /// When something cannot be read, written or removed.
    pub fn bring_to(&self, folder: &Path) -> Outcome<()> {
        fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
        self.remove_strays(folder, "")?;
        for (path, node) in &self.nodes {
            put(&folder.join(path), node)?;
        }
        Ok(())
    }

    /// Whether the tree has something below this path.
    fn has_below(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.nodes.range(below.clone()..).next().is_some_and(|(first, _)| first.starts_with(&below))
    }

    fn remove_strays(&self, folder: &Path, prefix: &str) -> Outcome<()> {
        let listing = fs::read_dir(folder).map_err(|e| Failure::io("list", folder, &e))?;
        for entry in listing {
            let entry = entry.map_err(|e| Failure::io("list", folder, &e))?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().map_err(|e| Failure::io("read", &path, &e))?;
            let stays = self.nodes.contains_key(&relative);
            if kind.is_dir() {
                if self.has_below(&relative) {
                    self.remove_strays(&path, &relative)?;
                } else {
                    crate::cache::remove_tree(&path)?;
                }
            } else if !stays {
                fs::remove_file(&path).map_err(|e| Failure::io("remove", &path, &e))?;
            }
        }
        Ok(())
    }
}

fn put(path: &Path, node: &Node) -> Outcome<()> {
    let (content, mode) = match node {
        Node::File(content) => (content, 0o644),
        Node::Script(content) => (content, 0o755),
        Node::Link(target) => return put_link(path, target),
    };
    let known = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    if let Some(facts) = &known
        && facts.len() == content.len() as u64
        && fs::read(path).is_ok_and(|old| old == content.as_bytes())
    {
        if facts.permissions().mode() & 0o777 != mode {
            return set_mode(path, mode);
        }
        return Ok(());
    }
    if known.is_none() {
        clear(path)?;
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| Failure::io("make", parent, &e))?;
    }
    // A tree is repaired by the next call: no half file is ever taken for a whole one.
    fs::write(path, content).map_err(|e| Failure::io("write", path, &e))?;
    set_mode(path, mode)
}

fn put_link(path: &Path, target: &str) -> Outcome<()> {
    if fs::read_link(path).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    clear(path)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| Failure::io("make", parent, &e))?;
    }
    symlink(target, path).map_err(|e| Failure::io("link", path, &e))
}

fn set_mode(path: &Path, mode: u32) -> Outcome<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| Failure::io("write", path, &e))
}

/// Takes away what is no regular file.
fn clear(path: &Path) -> Outcome<()> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(facts) if facts.is_dir() => crate::cache::remove_tree(path),
        Ok(_) => fs::remove_file(path).map_err(|e| Failure::io("remove", path, &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn old(path: &Path) -> SystemTime {
        let time = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        fs::metadata(path).unwrap().modified().unwrap()
    }

    #[test]
    fn what_is_right_keeps_its_time_and_what_is_not_asked_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.file("a/same", "1\n");
        tree.file("a/other", "1\n");
        tree.script("run.sh", "#!/bin/sh\n");
        tree.link("a/link", "/dev/null");
        tree.bring_to(folder.path()).unwrap();
        let same = old(&folder.path().join("a/same"));
        let other = old(&folder.path().join("a/other"));
        fs::write(folder.path().join("stray"), "x").unwrap();
        fs::create_dir_all(folder.path().join("gone/deep")).unwrap();
        tree.file("a/other", "2\n");
        tree.bring_to(folder.path()).unwrap();
        let time = |name: &str| fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
        assert_eq!(time("a/same"), same);
        assert_ne!(time("a/other"), other);
        assert!(!folder.path().join("stray").exists() && !folder.path().join("gone").exists());
        assert_eq!(fs::read_link(folder.path().join("a/link")).unwrap(), Path::new("/dev/null"));
        assert_eq!(fs::metadata(folder.path().join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_file_takes_the_place_of_a_folder_and_of_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "untouched").unwrap();
        let top = folder.path().join("tree");
        fs::create_dir_all(top.join("a/b")).unwrap();
        symlink(&outside, top.join("c")).unwrap();
        let mut tree = Tree::default();
        tree.file("a", "file\n");
        tree.file("c", "file\n");
        tree.bring_to(&top).unwrap();
        assert_eq!(fs::read_to_string(top.join("a")).unwrap(), "file\n");
        assert!(fs::symlink_metadata(top.join("c")).unwrap().is_file());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    }
}
