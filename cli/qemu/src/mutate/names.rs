//! What the nodes of a FIT are called: found by what they are, so that any build system's FIT can be attacked.
//!
//! An attack's file names a node by its role, in braces. Roles are looked up in the signed FIT, before anything is
//! changed. Must not know what our own assembly calls them.

use diag::Outcome;
use fit::fdt::{Node, Tree};

use super::{bad_fit, unfit};

/// Configuration that is booted.
pub(super) const CONFIGURATION: &str = "conf";
/// Its signature's node.
pub(super) const SIGNATURE: &str = "signature";
/// Image that is started as the kernel.
pub(super) const KERNEL: &str = "kernel";
/// Device tree that is handed over: to the kernel, or to U-Boot by SPL.
pub(super) const DEVICE_TREE: &str = "fdt";
/// U-Boot, where SPL starts it.
pub(super) const UBOOT: &str = "uboot";

/// The names of one FIT's nodes, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Role, the node's name if there is one, and what was looked for.
    roles: Vec<(&'static str, Option<String>, &'static str)>,
}

impl Names {
    /// Reads the names of a FIT.
    ///
    /// # Errors
    /// When it is no FIT.
    pub fn of(fit: &[u8]) -> Outcome<Self> {
        let tree = Tree::parse(fit).map_err(|e| bad_fit(&e))?;
        // U-Boot takes the default where the boot command names none (boot/image-fit.c, `fit_conf_get_node`).
        let configuration = tree.root.child("configurations").and_then(|all| {
            all.text("default").and_then(|name| all.child(name)).or_else(|| all.children.first())
        });
        let images: &[Node<'_>] = tree.root.child("images").map_or(&[], |images| &images.children);
        // An image by the configuration's reference; where that has none, by its type.
        let referred = |role: &str, types: &[&str]| {
            let name = configuration.and_then(|node| node.texts(role)?.first().copied());
            let by_name = |name| images.iter().find(|image| Some(image.name.as_str()) == name);
            let by_type =
                || images.iter().find(|image| image.text("type").is_some_and(|t| types.contains(&t)));
            by_name(name).or_else(by_type)
        };
        // What SPL loads, by its operating system (boot/image.c, `uimage_os`).
        let loaded = |uboot: bool| {
            let names = ["firmware", "loadables"]
                .into_iter()
                .filter_map(|role| configuration?.texts(role))
                .flatten()
                .collect::<Vec<_>>();
            images.iter().find(|image| {
                let is_uboot = image.text("os") == Some("u-boot");
                names.contains(&image.name.as_str()) && image.get("os").is_some() && is_uboot == uboot
            })
        };
        let (kernel, fdt) = (referred("kernel", &["kernel", "kernel_noload"]), referred("fdt", &["flat_dt"]));
        let (uboot, monitor) = (loaded(true), loaded(false));
        let child = |node: Option<&Node<'_>>, start: &str| {
            node?.children.iter().find(|child| child.name.starts_with(start)).map(|child| child.name.clone())
        };
        let name = |node: Option<&Node<'_>>| node.map(|node| node.name.clone());
        Ok(Self {
            roles: vec![
                (CONFIGURATION, name(configuration), "configuration"),
                (SIGNATURE, child(configuration, "signature"), "signature of its configuration"),
                (KERNEL, name(kernel), "kernel"),
                ("kernel-hash", child(kernel, "hash"), "hash of its kernel"),
                (DEVICE_TREE, name(fdt), "device tree"),
                ("fdt-hash", child(fdt, "hash"), "hash of its device tree"),
                (UBOOT, name(uboot), "U-Boot"),
                ("uboot-hash", child(uboot, "hash"), "hash of its U-Boot"),
                ("monitor", name(monitor), "firmware beside U-Boot"),
                ("monitor-hash", child(monitor, "hash"), "hash of the firmware beside U-Boot"),
            ],
        })
    }

    /// The node of a role.
    ///
    /// # Errors
    /// When the FIT has none.
    pub(super) fn get(&self, role: &str) -> Outcome<&str> {
        let found = self.roles.iter().find(|(known, ..)| *known == role);
        let what = found.map_or(role, |(.., what)| what);
        found
            .and_then(|(_, name, _)| name.as_deref())
            .ok_or_else(|| unfit(format!("the FIT has no {what} (`{{{role}}}`)")))
    }

    /// A text of an attack's file with the names in place of their roles in braces.
    ///
    /// # Errors
    /// When the text names a role that the FIT has no node for.
    pub fn fill(&self, text: &str) -> Outcome<String> {
        let named = self.roles.iter().filter(|(role, ..)| text.contains(&format!("{{{role}}}")));
        named.into_iter().try_fold(text.to_owned(), |filled, (role, ..)| {
            Ok(filled.replace(&format!("{{{role}}}"), self.get(role)?))
        })
    }

    /// The roles that the FIT has, in braces, and their names: for what is only looked for.
    pub(crate) fn pairs(&self) -> Vec<(String, &str)> {
        self.roles
            .iter()
            .filter_map(|(role, name, _)| Some((format!("{{{role}}}"), name.as_deref()?)))
            .collect()
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
