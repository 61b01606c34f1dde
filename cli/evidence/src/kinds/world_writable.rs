//! `world-writable`: nothing that everybody may write, save folders with the sticky bit and the
//! devices that are made for everybody (`/dev/null` and its like).

use serde::Deserialize;

use super::Kind;
use crate::glob;
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct WorldWritable;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    #[serde(default)]
    allowed: Vec<String>,
}

impl Kind for WorldWritable {
    const NAME: &'static str = "world-writable";
    const DESCRIPTION: &'static str = "no file and no folder without the sticky bit may be written by everybody, nor a device other than `/dev/null` and its like";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let problems: Vec<String> = root
            .nodes()
            .filter(|(path, node)| {
                let sticky = node.kind == NodeKind::Directory && node.mode & 0o1000 != 0;
                let link = matches!(node.kind, NodeKind::Symlink(_));
                let device = node.is_free_device(path) && node.mode == 0o666;
                let allowed = with.allowed.iter().any(|pattern| glob::matches(pattern, path));
                node.mode & 0o002 != 0 && !sticky && !link && !device && !allowed
            })
            .map(|(path, node)| format!("`{path}` has mode {:04o}", node.mode))
            .collect();
        let count = root.nodes().count();
        Ok(Conclusion::of(&problems, "none", format!("none among {count} paths"), &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::root::{NodeKind, Root};
    use crate::testing::*;

    #[test]
    fn pass() {
        let tree = Tree::base().dir("/tmp", 0o1777).link("/etc/l", "passwd");
        passes(run("world-writable", json!({}), tree.root()));
        passes(run("world-writable", json!({}), device("/dev/null", 1, 3, 0o666)));
    }

    fn device(path: &str, major: u32, minor: u32, mode: u32) -> Root {
        let tree = Tree::base().file(path, mode, "");
        tree.change(path, |node| node.kind = NodeKind::CharDevice(major, minor)).root()
    }

    #[test]
    fn fail() {
        let tree = Tree::base().dir("/srv", 0o777);
        fails(run("world-writable", json!({}), tree.root()), "`/srv` has mode 0777");
        let check = |root| run("world-writable", json!({}), root);
        // `/dev/mem`, another device under that name, and the right one elsewhere.
        fails(check(device("/dev/mem", 1, 1, 0o666)), "`/dev/mem` has mode 0666");
        fails(check(device("/dev/null", 1, 1, 0o666)), "`/dev/null` has mode 0666");
        fails(check(device("/etc/null", 1, 3, 0o666)), "`/etc/null` has mode 0666");
        fails(check(device("/dev/null", 1, 3, 0o777)), "`/dev/null` has mode 0777");
    }
}
