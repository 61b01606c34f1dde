//! `owned-by-root`: what is in the read-only root belongs to root, and no group is unknown.
//!
//! A builder's own number that slipped into an image is the commonest case: systemd then follows no
//! path below a folder that somebody else owns.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Kind;
use crate::glob;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct OwnedByRoot;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Paths that may belong to another user.
    #[serde(default)]
    allowed: Vec<String>,
}

impl Kind for OwnedByRoot {
    const NAME: &'static str = "owned-by-root";
    const DESCRIPTION: &'static str =
        "every path, `/` itself too, belongs to root and to a group of the image";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        if !root.owners_known {
            return Err(Unable::broken(
                "the folder was unpacked by an ordinary user, so its owners are not the device's; inspect a tar, \
                 a squashfs or the disk image",
            ));
        }
        let text = root.read_text("/etc/group")?.unwrap_or_default();
        let mut groups: BTreeSet<u32> =
            text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect();
        groups.insert(0);
        let allowed = |path: &str| with.allowed.iter().any(|pattern| glob::matches(pattern, path));
        let problems: Vec<String> = root
            .nodes()
            .filter(|(path, node)| (node.uid != 0 || !groups.contains(&node.gid)) && !allowed(path))
            .map(|(path, node)| format!("`{path}` belongs to {}:{}", node.uid, node.gid))
            .collect();
        let count = root.nodes().count();
        let expected = "owner root and a known group everywhere";
        Ok(Conclusion::of(&problems, expected, format!("all {count} paths"), &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    #[test]
    fn pass() {
        passes(run("owned-by-root", json!({}), Tree::base().root()));
        let tree = Tree::base().file("/srv/data", 0o600, "x").change("/srv/data", |node| node.uid = 7);
        passes(run("owned-by-root", json!({"allowed": ["/srv/**"]}), tree.root()));
    }

    #[test]
    fn fail() {
        let tree = Tree::base().dir("/srv", 0o755).change("/srv", |node| node.uid = 1000);
        fails(run("owned-by-root", json!({}), tree.root()), "`/srv` belongs to 1000:0");
        let tree = Tree::base().dir("/srv", 0o755).change("/srv", |node| node.gid = 4711);
        fails(run("owned-by-root", json!({}), tree.root()), "`/srv` belongs to 0:4711");
    }

    #[test]
    fn where_owners_are_not_known_there_is_no_conclusion() {
        let mut root = Tree::base().root();
        root.owners_known = false;
        cannot(run("owned-by-root", json!({}), root), "owners are not the device's");
    }
}
