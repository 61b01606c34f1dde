//! Which files of a kernel's source tree a build compiled, for the question which vulnerabilities it has.
//!
//! Source: Linux `scripts/basic/fixdep.c` and `scripts/Makefile.build`: beside each object stands `.NAME.cmd` with the
//! lines `source_NAME := FILE` and `deps_NAME := FILE…`, headers among them. What only helps the build (host programs,
//! objects that are not linked in) is counted, too: a file too many is a vulnerability that is looked at once more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};

/// Endings of files that are code.
const CODE: [&str; 5] = ["c", "h", "S", "rs", "inc"];

/// One line for each file of code in the tree, in order: `+ PATH` when it was compiled or included, else `- PATH`.
///
/// # Errors
/// When a folder or a file cannot be read, or no object names a file of the tree: a list in which nothing was compiled
/// would clear the kernel of every vulnerability.
pub(crate) fn list(tree: &Path, objects: &Path) -> Outcome<String> {
    if let Some(list) = list_if_any(tree, objects)? {
        return Ok(list);
    }
    let message = format!(
        "the objects in `{}` name no file of the source tree `{}`, expected those that were compiled",
        objects.display(),
        tree.display()
    );
    Err(Failure::error(ExitStatus::Build, "no-kernel-sources", message)
        .hint("the kernel's build has to leave its `.cmd` files beside the objects; look into its log"))
}

/// As [`list`]; nothing where no object names a file of the tree, as when the objects were removed. A kernel that was built in
/// its own tree names files from there.
///
/// # Errors
/// When a folder or a file cannot be read.
pub(crate) fn list_if_any(tree: &Path, objects: &Path) -> Outcome<Option<String>> {
    // make names the tree by its real path (`abs_srctree` of Linux' Makefile).
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| Failure::io("find", path, &e));
    let tree = &real(tree)?;
    let inside = real(objects)? == *tree;
    let mut used = BTreeSet::new();
    walk(objects, &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".cmd") {
            let text = fs::read(path).map_err(|e| Failure::io("read", path, &e))?;
            used.extend(named(&String::from_utf8_lossy(&text), tree, inside));
        }
        Ok(())
    })?;
    let mut all = BTreeSet::new();
    walk(tree, &mut |path| {
        let code = path.extension().is_some_and(|end| CODE.iter().any(|code| end == *code));
        if let Some(below) = path.strip_prefix(tree).ok().filter(|_| code) {
            all.insert(below.to_string_lossy().into_owned());
        }
        Ok(())
    })?;
    if used.is_disjoint(&all) {
        return Ok(None);
    }
    Ok(Some(
        all.iter().map(|path| format!("{} {path}\n", if used.contains(path) { '+' } else { '-' })).collect(),
    ))
}

/// Files of the tree that the notes beside one object name; `inside` says that they may do so from the tree itself.
fn named(text: &str, tree: &Path, inside: bool) -> Vec<String> {
    let tree = format!("{}/", tree.display());
    text.lines()
        .filter(|line| !line.starts_with("savedcmd_") && !line.starts_with("cmd_"))
        .flat_map(str::split_whitespace)
        .filter_map(|word| {
            word.strip_prefix(&tree).or_else(|| Some(word).filter(|_| inside && !word.starts_with('/')))
        })
        .map(plain)
        .collect()
}

/// A path without its `..`.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path) -> Outcome<()>) -> Outcome<()> {
    let failed = |e: std::io::Error| Failure::io("read", folder, &e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Links lead out of the tree, or to what is in it.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.path(), each)?;
        } else if kind.is_file() {
            each(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compiled_or_included_is_told_from_what_only_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, objects) = (folder.path().join("tree"), folder.path().join("objects"));
        for path in ["mm/slab.c", "mm/slab.h", "drivers/x/x.c", "include/linux/mm.h", "Makefile"] {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir_all(objects.join("mm")).unwrap();
        let tree = fs::canonicalize(tree).unwrap();
        let at = tree.display();
        // The command itself names the tree's folders, and is no list of what is in the object.
        let text = format!(
            "savedcmd_mm/slab.o := gcc -I {at}/drivers/x/x.c\n\nsource_mm/slab.o := {at}/mm/slab.c\n\n\
             deps_mm/slab.o := \\\n    $(wildcard include/config/SMP) \\\n  {at}/mm/../include/linux/mm.h \\\n  {at}/mm/slab.h \\\n"
        );
        fs::write(objects.join("mm/.slab.o.cmd"), text).unwrap();
        assert_eq!(
            list(&tree, &objects).unwrap(),
            "- drivers/x/x.c\n+ include/linux/mm.h\n+ mm/slab.c\n+ mm/slab.h\n"
        );
        // A cache behind a link: make follows it.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&tree, &link).unwrap();
        assert_eq!(list(&link, &objects).unwrap(), list(&tree, &objects).unwrap());
    }

    /// As Buildroot builds a kernel.
    #[test]
    fn a_kernel_that_is_built_in_its_own_tree_names_files_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        for path in ["mm/slab.c", "drivers/x/x.c", "include/linux/mm.h"] {
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::write(tree.join(path), "").unwrap();
        }
        assert_eq!(list_if_any(tree, tree).unwrap(), None);
        let text = "cmd_mm/slab.o := gcc -c drivers/x/x.c\n\nsource_mm/slab.o := mm/slab.c\n\n\
                    deps_mm/slab.o := \\\n  include/linux/../linux/mm.h \\\n  /usr/include/other.h \\\n";
        fs::write(tree.join("mm/.slab.o.cmd"), text).unwrap();
        let list = list_if_any(tree, tree).unwrap();
        assert_eq!(list.as_deref(), Some("- drivers/x/x.c\n+ include/linux/mm.h\n+ mm/slab.c\n"));
    }

    #[test]
    fn a_build_that_names_no_file_of_the_tree_clears_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, objects) = (folder.path().join("tree"), folder.path().join("objects"));
        for path in [&tree, &objects] {
            fs::create_dir(path).unwrap();
        }
        fs::write(tree.join("x.c"), "").unwrap();
        fs::write(objects.join(".x.o.cmd"), "source_x.o := /elsewhere/x.c\n").unwrap();
        let failure = list(&tree, &objects).unwrap_err();
        assert_eq!(
            (failure.diagnostics[0].code.as_str(), failure.status),
            ("no-kernel-sources", ExitStatus::Build)
        );
        assert!(failure.to_string().contains("name no file of the source tree"), "{failure}");
    }
}
