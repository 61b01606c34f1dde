//! `file-mode`: modes and owners of paths.

use serde::Deserialize;

use super::Kind;
use crate::root::{NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FileMode;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    paths: Vec<String>,
    mode: String,
    #[serde(default = "root_name")]
    owner: String,
    #[serde(default = "root_name")]
    group: String,
    #[serde(default)]
    at_most: bool,
}

fn root_name() -> String {
    "root".to_owned()
}

impl Kind for FileMode {
    const NAME: &'static str = "file-mode";
    const DESCRIPTION: &'static str =
        "every match has that mode (or, with `at_most`, no bit more) and that owner";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = super::file_absent::path_problems(&with.paths);
        if octal(&with.mode).is_none() {
            problems.push(format!("`mode` is `{}`, expected octal such as \"0640\"", with.mode));
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        if !root.owners_known {
            return Err(Unable::broken(
                "the folder was unpacked by an ordinary user, so its owners are not the device's; inspect a tar, \
                 a squashfs or the disk image",
            ));
        }
        let wanted = octal(&with.mode).ok_or_else(|| Unable::broken("`mode` is not octal"))?;
        let uid = id_of(root, "/etc/passwd", &with.owner)?;
        let gid = id_of(root, "/etc/group", &with.group)?;
        let mut problems = Vec::new();
        let mut seen = 0usize;
        for pattern in &with.paths {
            let found = root.find(pattern);
            if found.is_empty() {
                problems.push(format!("nothing matches `{pattern}`"));
            }
            for (path, node) in found {
                // A link has no mode of its own; its target counts, under its own name.
                let (path, node) = match node.kind {
                    NodeKind::Symlink(_) => match root.resolve(path) {
                        Some((real, node)) => (real, node),
                        None => {
                            problems.push(format!("`{path}` is a link to nothing"));
                            continue;
                        }
                    },
                    _ => (path.to_owned(), node),
                };
                seen += 1;
                let wrong = if with.at_most { node.mode & !wanted != 0 } else { node.mode != wanted };
                if wrong {
                    problems.push(format!("`{path}` has mode {:04o}", node.mode));
                }
                if node.uid != uid || node.gid != gid {
                    problems.push(format!("`{path}` belongs to {}:{}", node.uid, node.gid));
                }
            }
        }
        let expected = format!(
            "{}mode {} and owner {}:{} on {}",
            if with.at_most { "at most " } else { "" },
            with.mode,
            with.owner,
            with.group,
            with.paths.join(", ")
        );
        Ok(Conclusion::of(&problems, expected, format!("{seen} paths, all as expected"), &root.sha256))
    }
}

fn octal(mode: &str) -> Option<u32> {
    u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// The numeric id of a name in `/etc/passwd` or `/etc/group` of the image.
pub(super) fn id_of(root: &Root, file: &str, name: &str) -> Result<u32, Unable> {
    if name == "root" {
        return Ok(0);
    }
    let text = root.read_text(file)?.ok_or_else(|| Unable::broken(format!("the image has no `{file}`")))?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 2 && fields[0] == name)
        .and_then(|fields| fields[2].parse().ok())
        .ok_or_else(|| Unable::broken(format!("the image's `{file}` does not know `{name}`")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    #[test]
    fn pass() {
        let seen = passes(run(
            "file-mode",
            json!({"paths": ["/etc/shadow", "/etc/link"], "mode": "0640", "at_most": true}),
            Tree::base().link("/etc/link", "group").change("/etc/group", |n| n.mode = 0o640).root(),
        ));
        assert_eq!(seen, "2 paths, all as expected");
    }

    #[test]
    fn fail() {
        let with = json!({"paths": ["/etc/shadow"], "mode": "0600"});
        fails(
            run("file-mode", with.clone(), Tree::base().change("/etc/shadow", |n| n.mode = 0o644).root()),
            "`/etc/shadow` has mode 0644",
        );
        fails(
            run("file-mode", with, Tree::base().change("/etc/shadow", |n| n.gid = 42).root()),
            "`/etc/shadow` belongs to 0:42",
        );
        fails(
            run("file-mode", json!({"paths": ["/etc/gone"], "mode": "0600"}), Tree::base().root()),
            "nothing matches `/etc/gone`",
        );
    }

    #[test]
    fn an_owner_that_the_image_does_not_know_is_no_conclusion() {
        let with = json!({"paths": ["/etc/shadow"], "mode": "0600", "owner": "chrony"});
        cannot(run("file-mode", with, Tree::base().root()), "does not know `chrony`");
    }
}
