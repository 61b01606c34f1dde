//! `file-present`: paths that must be in the image.

use serde::Deserialize;

use super::Kind;
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FilePresent;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    paths: Vec<String>,
    /// Each is a file without content.
    #[serde(default)]
    empty: bool,
}

impl Kind for FilePresent {
    const NAME: &'static str = "file-present";
    const DESCRIPTION: &'static str =
        "each path exists, links followed; with `empty`, as a file without content";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        super::file_absent::path_problems(&with.paths)
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems: Vec<String> = with
            .paths
            .iter()
            .filter(|path| root.resolve(path).is_none())
            .map(|path| match root.entry(path) {
                Some(_) => format!("`{path}` is a link to nothing"),
                None => format!("`{path}` is missing"),
            })
            .collect();
        if with.empty {
            let full =
                |path: &&String| root.resolve(path).is_some_and(|(_, node)| node.kind != NodeKind::File(0));
            problems
                .extend(with.paths.iter().filter(full).map(|path| format!("`{path}` is not an empty file")));
        }
        Ok(Conclusion::of(&problems, with.paths.join(", "), "all there", &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    #[test]
    fn pass() {
        let tree = Tree::base().link("/sbin", "usr/bin").file("/usr/bin/nft", 0o755, "x");
        passes(run("file-present", json!({"paths": ["/sbin/nft"]}), tree.root()));
    }

    #[test]
    fn fail() {
        let with = json!({"paths": ["/usr/bin/nft"]});
        fails(run("file-present", with.clone(), Tree::base().root()), "`/usr/bin/nft` is missing");
        let id = json!({"paths": ["/etc/machine-id"], "empty": true});
        passes(run("file-present", id.clone(), Tree::base().file("/etc/machine-id", 0o444, "").root()));
        fails(
            run("file-present", id, Tree::base().file("/etc/machine-id", 0o444, "1").root()),
            "is not an empty file",
        );
        let tree = Tree::base().link("/usr/bin/nft", "/opt/nft");
        fails(run("file-present", with, tree.root()), "is a link to nothing");
    }
}
