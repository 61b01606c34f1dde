//! One configuration: what it refers to, who signed it.

use std::collections::BTreeSet;

use super::images::Images;
use super::{ConfigurationReport, ImageReport, MAX_COVERED, MAX_REFERENCES, Problem, problem, short};
use crate::control_fdt::KeyNode;
use crate::fdt::{Blocks, Node};

/// Properties by which U-Boot and SPL find images: nothing but names can be in them.
const ROLES: [&str; 9] =
    ["kernel", "fdt", "ramdisk", "loadables", "firmware", "fpga", "script", "standalone", "setup"];

pub(super) struct Check<'c, 't, 'a> {
    pub(super) blocks: &'c Blocks<'a>,
    pub(super) images: &'c Images<'t, 'a>,
    pub(super) node: &'t Node<'a>,
}

impl Check<'_, '_, '_> {
    /// The result, and the paths of the nodes that a signature of this configuration covers.
    pub(super) fn run(
        &self,
        required: &[&KeyNode],
        any_required: bool,
        warnings: &mut Vec<Problem>,
    ) -> (ConfigurationReport, BTreeSet<String>) {
        let mut report = ConfigurationReport {
            name: self.node.name.clone(),
            signed_by: Vec::new(),
            algo: Vec::new(),
            images: Vec::new(),
            problems: Vec::new(),
        };
        let covered = self.references(&mut report);
        self.load_addresses(&report, warnings);
        self.signatures(required, any_required, &covered, &mut report, warnings);
        (report, covered)
    }

    fn signatures(
        &self,
        required: &[&KeyNode],
        any_required: bool,
        covered: &BTreeSet<String>,
        report: &mut ConfigurationReport,
        warnings: &mut Vec<Problem>,
    ) {
        let name = &self.node.name;
        let (mut strangers, mut seen) = (Vec::new(), 0);
        for signature in self.node.children.iter().filter(|child| child.name.starts_with("signature")) {
            seen += 1;
            let hint = signature.text("key-name-hint").unwrap_or_default();
            let mut known = false;
            for key in required.iter().filter(|key| key.name == hint) {
                known = true;
                match super::signature::check(self.blocks, name, signature, key, covered) {
                    Ok(algo) => {
                        report.signed_by.push(key.name.clone());
                        report.algo.push(algo);
                    }
                    // Beside a good signature a bad one is still a forgery attempt.
                    Err(reason) => report.problems.push(reason),
                }
            }
            if !known {
                strangers.push(problem(
                    "unknown-key",
                    format!(
                        "`{}` of `{name}` names the key `{}`, which is not required here",
                        signature.name,
                        short(hint)
                    ),
                ));
            }
        }
        let signed = |key: &&KeyNode| report.signed_by.contains(&key.name);
        let missing: Vec<&str> =
            required.iter().filter(|key| !signed(key)).map(|key| key.name.as_str()).collect();
        let enough = if any_required { missing.len() < required.len() } else { missing.is_empty() };
        if seen == 0 {
            report.problems.push(problem("unsigned", format!("the configuration `{name}` is not signed")));
        } else if enough && !required.is_empty() {
            warnings.append(&mut strangers);
        } else {
            report.problems.append(&mut strangers);
            // Where none is required, the FIT's own problem says it.
            if !required.is_empty() {
                report.problems.push(problem(
                    "missing-signature",
                    format!("no good signature of `{name}` by the required key `{}`", missing.join("`, `")),
                ));
            }
        }
    }

    /// Follows the references, takes over each image's result, and returns the covered paths.
    fn references(&self, report: &mut ConfigurationReport) -> BTreeSet<String> {
        let name = &self.node.name;
        let mut covered = BTreeSet::from(["/".to_owned(), format!("/configurations/{name}")]);
        let mut count = 0;
        for (role, value) in &self.node.properties {
            // What U-Boot does not take for references (`fit_config_get_hash_list`).
            if matches!(role.as_str(), "description" | "compatible" | "default") || value.is_empty() {
                continue;
            }
            // A number, which the node's own region covers. One that could be text is taken for text, but for ours.
            if (role == "fastness,rollback-version" && value.len() == 4) || self.is_number(role, value) {
                continue;
            }
            let Some(names) = self.node.texts(role).filter(|names| names.len() <= MAX_REFERENCES) else {
                let message =
                    format!("`{role}` of `{name}` is no list of 1 to {MAX_REFERENCES} names of images");
                report.problems.push(problem("bad-reference", message));
                continue;
            };
            count += names.len();
            if count > MAX_REFERENCES {
                let message = format!("`{name}` refers to more than {MAX_REFERENCES} images");
                report.problems.push(problem("too-many-references", message));
                break;
            }
            for (index, image) in names.into_iter().enumerate() {
                self.reference((role, index), image, report, &mut covered);
            }
        }
        if report.images.is_empty() && report.problems.is_empty() {
            report
                .problems
                .push(problem("no-image", format!("the configuration `{name}` refers to no image")));
        }
        if covered.len() > MAX_COVERED {
            let message = format!(
                "`{name}` needs {} covered nodes (two of its own, and each image with its hashes), U-Boot takes at most {MAX_COVERED}",
                covered.len()
            );
            report.problems.push(problem("too-many-references", message));
        }
        covered
    }

    /// Whether it is no list of names, and nothing that U-Boot would find an image's name in (`fit_config_get_signed_nodes`).
    fn is_number(&self, role: &str, value: &[u8]) -> bool {
        let named = |part: &[u8]| std::str::from_utf8(part).is_ok_and(|name| self.images.get(name).is_some());
        !ROLES.contains(&role)
            && self.node.texts(role).is_none_or(|names| names.iter().any(|name| name.is_empty()))
            && !value.split(|byte| *byte == 0).any(named)
    }

    fn reference(
        &self,
        (role, index): (&str, usize),
        name: &str,
        report: &mut ConfigurationReport,
        covered: &mut BTreeSet<String>,
    ) {
        let Some(image) = self.images.get(name) else {
            let message = format!("`{role}` refers to the image `{}`, which is not there", short(name));
            report.problems.push(problem("missing-image", message));
            return;
        };
        let path = format!("/images/{name}");
        for child in &image.node.children {
            if child.name.starts_with("hash") || child.name == "cipher" {
                covered.insert(format!("{path}/{}", child.name));
            }
        }
        let first = covered.insert(path);
        report.problems.extend(image.problems.iter().filter(|_| first).cloned());
        report.problems.extend(super::roles::unfit(role, index, image.node));
        if image.problems.is_empty() {
            report.images.push(ImageReport {
                role: role.to_owned(),
                name: name.to_owned(),
                hash: image.hash.clone(),
                bytes: image.bytes,
            });
        }
    }

    /// Images that would be loaded over one another. Compressed ones take more than their data.
    fn load_addresses(&self, report: &ConfigurationReport, warnings: &mut Vec<Problem>) {
        let mut placed: Vec<(u64, u64, &str)> = Vec::new();
        for image in &report.images {
            let node = self.images.get(&image.name).map(|image| image.node);
            let Some(load) = node.and_then(|node| address(node.get("load")?)) else { continue };
            let Some(end) = load.checked_add(image.bytes as u64) else {
                let message = format!("the image `{}` is loaded past the end of memory", image.name);
                warnings.push(problem("load-overlap", message));
                continue;
            };
            for (from, to, other) in &placed {
                if load < *to && *from < end && *other != image.name {
                    let message = format!(
                        "`{}` loads the images `{other}` ({from:#x}..{to:#x}) and `{}` ({load:#x}..{end:#x}) over one another",
                        self.node.name, image.name
                    );
                    warnings.push(problem("load-overlap", message));
                }
            }
            placed.push((load, end, &image.name));
        }
    }
}

/// An address of one or two cells.
fn address(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => value.try_into().ok().map(|cell| u64::from(u32::from_be_bytes(cell))),
        8 => value.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}
