//! Layers of several boards in one: each board is a multiconfig of the same build.
//!
//! A board's machine scopes what is its own. A configuration package whose files differ between boards
//! becomes one of the machine, with each board's files where BitBake looks for that machine's first.

use std::collections::{BTreeMap, BTreeSet};

use diag::Outcome;
use spec::plan::Plan;

use super::generate::{fill_pages, kas_of_boards};
use super::{Names, Node, Tree, distro, facts};

/// One build's layers, from the layers of each board.
///
/// # Errors
/// When the plans are of different products or series, or something differs that no machine scopes.
pub fn merged(plans: &[Plan], trees: Vec<Tree>) -> Outcome<Tree> {
    let [first, ..] = plans else { return Ok(Tree::default()) };
    let series = &facts(first)?.series;
    for plan in plans {
        if plan.product != first.product || &facts(plan)?.series != series {
            return Err(crate::internal("one build is for one product and one Yocto series"));
        }
    }
    let names: Vec<Names> = plans.iter().map(Names::of).collect();
    let of_machines = differing_recipes(&trees);
    let mut merged: BTreeMap<String, Node> = BTreeMap::new();
    for (names, tree) in names.iter().zip(&trees) {
        for (path, node) in tree.nodes() {
            let (path, node) = match recipe_of(path).filter(|recipe| of_machines.contains(*recipe)) {
                Some(recipe) => (machine_path(path, recipe, &names.machine), of_machine(node)),
                None => (path.clone(), node.clone()),
            };
            match (merged.get_mut(&path), node) {
                (None, node) => {
                    merged.insert(path, node);
                }
                (Some(known), node) if *known == node => {}
                // Every line of an append is scoped to its machine.
                (Some(Node::File(known)), Node::File(text)) if path.ends_with(".bbappend") => {
                    known.push_str(&format!("\n{text}"));
                }
                (Some(_), _) if is_of_all(&path) => {}
                (Some(_), _) => {
                    return Err(crate::internal(format!(
                        "`{path}` differs between the boards, and no machine scopes it"
                    )));
                }
            }
        }
    }
    let mut tree = Tree::default();
    for (path, node) in merged {
        match node {
            Node::File(text) => tree.file(path, text),
            Node::Script(text) => tree.script(path, text),
            Node::Link(target) => tree.link(path, target),
        }
    }
    for (plan, names) in plans.iter().zip(&names) {
        tree.file(
            format!("meta-{}/conf/multiconfig/{}.conf", names.bsp_layer, plan.board.name),
            format!("MACHINE = \"{}\"\nTMPDIR = \"${{TOPDIR}}/tmp-{}\"\n", names.machine, plan.board.name),
        );
    }
    let targets = targets(plans, &names);
    fill_pages(plans, &mut tree)?;
    tree.file("kas.yml", kas_of_boards(plans)?);
    distro::templates_of_boards(plans, &names[0], &targets, &mut tree)?;
    Ok(tree)
}

/// What BitBake is to build, each board's under its multiconfig.
pub fn targets(plans: &[Plan], names: &[Names]) -> Vec<String> {
    let of = plans.iter().zip(names);
    of.flat_map(|(plan, names)| names.targets().map(|target| format!("mc:{}:{target}", plan.board.name)))
        .collect()
}

/// Pages and templates that are written anew for all boards.
fn is_of_all(path: &str) -> bool {
    path == "kas.yml"
        || path.ends_with("/README.md")
        || path.ends_with("/SECURITY.md")
        || path.contains("/conf/templates/")
}

/// The folder of a configuration package's recipe.
fn recipe_of(path: &str) -> Option<&str> {
    let start = path.find("/recipes-config/")? + "/recipes-config/".len();
    let end = path[start..].find('/')? + start;
    Some(&path[..end])
}

/// Recipes with a file that the boards do not have alike.
fn differing_recipes(trees: &[Tree]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for tree in trees {
        for (path, node) in tree.nodes() {
            let Some(recipe) = recipe_of(path) else { continue };
            if trees.iter().any(|other| other.nodes().get(path) != Some(node)) {
                found.insert(recipe);
            }
        }
    }
    found
}

/// `files/MACHINE/` is searched before `files/`. Source: OE-Core `base.bbclass`, `FILESPATH` and `FILESOVERRIDES`.
fn machine_path(path: &str, recipe: &str, machine: &str) -> String {
    match path[recipe.len()..].strip_prefix("/files/") {
        Some(rest) => format!("{recipe}/files/{machine}/{rest}"),
        None => path.to_owned(),
    }
}

/// A recipe that no longer is for all architectures.
fn of_machine(node: &Node) -> Node {
    match node {
        Node::File(text) if text.contains("inherit allarch") => Node::File(
            text.replace("inherit allarch\n", "PACKAGE_ARCH = \"${MACHINE_ARCH}\"\n")
                .replace("inherit allarch ", "PACKAGE_ARCH = \"${MACHINE_ARCH}\"\n\ninherit "),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipes_files_move_below_the_machine_and_it_is_no_longer_for_all() {
        let path = "meta-x-distro/recipes-config/x-config-audit/files/rootfs/etc/a";
        let recipe = recipe_of(path).unwrap();
        assert_eq!(recipe, "meta-x-distro/recipes-config/x-config-audit");
        assert_eq!(
            machine_path(path, recipe, "x-arm"),
            "meta-x-distro/recipes-config/x-config-audit/files/x-arm/rootfs/etc/a"
        );
        assert_eq!(recipe_of("meta-x-bsp/conf/layer.conf"), None);
        let text = Node::File("A\ninherit allarch systemd\nB\n".to_owned());
        assert_eq!(
            of_machine(&text),
            Node::File("A\nPACKAGE_ARCH = \"${MACHINE_ARCH}\"\n\ninherit systemd\nB\n".to_owned())
        );
    }
}
