//! `setuid-list`: what runs with more rights than its caller.

use serde::Deserialize;

use super::Kind;
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct SetuidList;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    allowed: Vec<String>,
}

impl Kind for SetuidList {
    const NAME: &'static str = "setuid-list";
    const DESCRIPTION: &'static str =
        "setuid and setgid files and file capabilities are only among the allowed";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems = Vec::new();
        let mut good = Vec::new();
        for (path, node) in root.nodes() {
            if !matches!(node.kind, NodeKind::File(_)) {
                continue;
            }
            let mut what = Vec::new();
            if node.mode & 0o4000 != 0 {
                what.push("setuid");
            }
            if node.mode & 0o2000 != 0 {
                what.push("setgid");
            }
            if node.capabilities {
                what.push("capabilities");
            }
            if what.is_empty() {
                continue;
            }
            let text = format!("`{path}` ({})", what.join(", "));
            let allowed = with
                .allowed
                .iter()
                .any(|allowed| root.resolve(allowed).is_some_and(|(real, _)| real == path));
            if allowed { good.push(text) } else { problems.push(text) }
        }
        let expected = if with.allowed.is_empty() {
            "none".to_owned()
        } else {
            format!("only {}", with.allowed.join(", "))
        };
        if problems.is_empty() && !root.capabilities_known {
            return Err(Unable::broken(
                "file capabilities cannot be read from this kind of input; inspect the disk image or a tar",
            ));
        }
        let seen = if good.is_empty() { "none".to_owned() } else { good.join(", ") };
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    #[test]
    fn pass() {
        let tree =
            Tree::base().link("/bin", "usr/bin").file("/usr/bin/su", 0o4755, "x").dir("/usr/games", 0o2755);
        passes(run("setuid-list", json!({"allowed": ["/bin/su"]}), tree.root()));
    }

    #[test]
    fn fail() {
        let tree = Tree::base().file("/usr/bin/su", 0o4755, "x");
        fails(run("setuid-list", json!({"allowed": []}), tree.root()), "`/usr/bin/su` (setuid)");
        let tree =
            Tree::base().file("/usr/bin/ping", 0o755, "x").change("/usr/bin/ping", |n| n.capabilities = true);
        fails(run("setuid-list", json!({"allowed": []}), tree.root()), "`/usr/bin/ping` (capabilities)");
    }

    #[test]
    fn unknown_capabilities_are_no_pass() {
        let mut root = Tree::base().root();
        root.capabilities_known = false;
        cannot(run("setuid-list", json!({"allowed": []}), root), "capabilities cannot be read");
    }
}
