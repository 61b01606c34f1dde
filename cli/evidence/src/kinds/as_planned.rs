//! `as-planned`: what the plan puts into the root file system is there, as planned.
//!
//! A backend's own tools have a last word in a tree: a preset that removes a link, a package that
//! writes a file again, a mask that leaves no trace. What they took away is told here.

use serde::Deserialize;
use spec::plan::{FilePlan, UnitState};

use super::Kind;
use super::file_mode::id_of;
use crate::root::{Node, NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct AsPlanned;

/// Parameters: none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {}

impl Kind for AsPlanned {
    const NAME: &'static str = "as-planned";
    const DESCRIPTION: &'static str =
        "every file, folder, link and masked unit of the plan is there, with its content, mode and owner";
    type With = With;

    fn run(_: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let plan = context.plan.ok_or_else(|| Unable::broken("the image has no plan to compare it with"))?;
        let mut problems = Vec::new();
        for (path, asked) in &plan.files {
            problem(root, path, &asked.value, &mut problems)?;
        }
        let mut masks = 0usize;
        for (unit, _) in plan.units.iter().filter(|(_, asked)| asked.value == UnitState::Masked) {
            masks += 1;
            let path = format!("/etc/systemd/system/{unit}");
            // A mask that a template writes is among the files, too.
            if !plan.files.contains_key(&path) {
                problem(root, &path, &FilePlan::Symlink { target: "/dev/null".to_owned() }, &mut problems)?;
            }
        }
        let expected = "what the plan has, and nothing else at its paths";
        let seen = format!("{} paths and {masks} masks, all as planned", plan.files.len());
        Ok(Conclusion::of(&problems, expected, seen, &root.sha256))
    }
}

fn problem(root: &Root, path: &str, planned: &FilePlan, problems: &mut Vec<String>) -> Result<(), Unable> {
    let Some((real, node)) = root.entry(path) else {
        problems.push(format!("`{path}` is missing"));
        return Ok(());
    };
    match (planned, &node.kind) {
        (FilePlan::File { mode, owner, group, content }, NodeKind::File(_)) => {
            if root.read(&real)?.as_deref() != Some(content.as_bytes()) {
                problems.push(format!("`{path}` has another content"));
            }
            ownership(root, path, node, (mode, owner, group), problems)?;
        }
        (FilePlan::Program { mode, owner, group, sha256, .. }, NodeKind::File(_)) => {
            if root.read(&real)?.map(|content| record::sha256_hex(&content)).as_ref() != Some(sha256) {
                problems.push(format!("`{path}` has another content"));
            }
            ownership(root, path, node, (mode, owner, group), problems)?;
        }
        (FilePlan::Directory { mode, owner, group }, NodeKind::Directory) => {
            ownership(root, path, node, (mode, owner, group), problems)?;
        }
        (FilePlan::Symlink { target }, NodeKind::Symlink(found)) => {
            if found != target {
                problems.push(format!("`{path}` is a link to `{found}`, planned `{target}`"));
            }
        }
        (planned, found) => {
            problems.push(format!("`{path}` is {}, planned {}", is(found), planned_is(planned)))
        }
    }
    Ok(())
}

fn ownership(
    root: &Root,
    path: &str,
    node: &Node,
    (mode, owner, group): (&str, &str, &str),
    problems: &mut Vec<String>,
) -> Result<(), Unable> {
    if u32::from_str_radix(mode, 8) != Ok(node.mode) {
        problems.push(format!("`{path}` has mode {:04o}, planned {mode}", node.mode));
    }
    // `owned-by-root` says that they are not known.
    if root.owners_known {
        let ids = (id_of(root, "/etc/passwd", owner)?, id_of(root, "/etc/group", group)?);
        if (node.uid, node.gid) != ids {
            problems.push(format!("`{path}` belongs to {}:{}, planned {owner}:{group}", node.uid, node.gid));
        }
    }
    Ok(())
}

fn is(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::File(_) => "a file",
        NodeKind::Directory => "a folder",
        NodeKind::Symlink(_) => "a link",
        NodeKind::CharDevice(..) | NodeKind::Special => "a device node, FIFO or socket",
    }
}

fn planned_is(planned: &FilePlan) -> &'static str {
    match planned {
        FilePlan::File { .. } | FilePlan::Program { .. } => "a file",
        FilePlan::Directory { .. } => "a folder",
        FilePlan::Symlink { .. } => "a link",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::plan::{Asked, FilePlan, UnitState};

    use crate::subject::Subject;
    use crate::testing::*;
    use crate::{Conclusion, Unable};

    fn of(tree: Tree) -> Result<Conclusion, Unable> {
        let mut plan = crate::report::sample::plan();
        plan.files.clear();
        plan.units.clear();
        let file = |content: &str| FilePlan::File {
            mode: "0640".into(),
            owner: "root".into(),
            group: "root".into(),
            content: content.into(),
        };
        let folder = FilePlan::Directory { mode: "0750".into(), owner: "root".into(), group: "root".into() };
        let program = FilePlan::Program {
            mode: "0755".into(),
            owner: "root".into(),
            group: "root".into(),
            sha256: record::sha256_hex(b"program"),
            base64: "cHJvZ3JhbQ==".into(),
        };
        for (path, value) in [
            ("/usr/bin/own", program),
            ("/etc/own.conf", file("text\n")),
            ("/etc/own.d", folder),
            ("/etc/own", FilePlan::Symlink { target: "own.conf".into() }),
        ] {
            plan.files.insert(path.into(), Asked { value, origins: Vec::new() });
        }
        plan.units.insert("loud.service".into(), Asked { value: UnitState::Masked, origins: Vec::new() });
        run_on("as-planned", json!({}), &Subject::of_root(tree.root()), Some(&plan))
    }

    fn good() -> Tree {
        Tree::base()
            .file("/etc/own.conf", 0o640, "text\n")
            .file("/usr/bin/own", 0o755, "program")
            .dir("/etc/own.d", 0o750)
            .link("/etc/own", "own.conf")
            .link("/etc/systemd/system/loud.service", "/dev/null")
    }

    #[test]
    fn pass() {
        assert_eq!(passes(of(good())), "4 paths and 1 masks, all as planned");
    }

    #[test]
    fn fail() {
        fails(of(good().without("/etc/own")), "`/etc/own` is missing");
        fails(of(good().without("/etc/systemd/system/loud.service")), "loud.service` is missing");
        fails(of(good().file("/etc/own.conf", 0o640, "other\n")), "`/etc/own.conf` has another content");
        fails(of(good().file("/usr/bin/own", 0o755, "another")), "`/usr/bin/own` has another content");
        fails(
            of(good().file("/usr/bin/own", 0o644, "program")),
            "`/usr/bin/own` has mode 0644, planned 0755",
        );
        fails(of(good().link("/etc/own", "passwd")), "`/etc/own` is a link to `passwd`, planned `own.conf`");
        fails(of(good().file("/etc/own", 0o644, "text\n")), "`/etc/own` is a file, planned a link");
        fails(
            of(good().change("/etc/own.d", |n| n.mode = 0o755)),
            "`/etc/own.d` has mode 0755, planned 0750",
        );
        fails(of(good().change("/etc/own.conf", |n| n.uid = 7)), "belongs to 7:0, planned root:root");
    }

    #[test]
    fn without_a_plan_there_is_no_conclusion() {
        cannot(run("as-planned", json!({}), good().root()), "has no plan");
    }
}
