//! FIT and boot loader as facts, through `fit`'s reader and verifier.

use std::collections::BTreeMap;

use fit::control_fdt;
use fit::fdt::{Node, Tree};

use crate::subject::{FitFacts, KeyFact, UbootFacts};

/// The facts of a FIT, not yet verified.
///
/// # Errors
/// When it is no device tree.
pub fn fit(bytes: Vec<u8>) -> Result<FitFacts, String> {
    let sha256 = record::sha256_hex(&bytes);
    let tree = Tree::parse(&bytes).map_err(|e| e.to_string())?;
    let mut images = BTreeMap::new();
    for image in tree.root.child("images").map(|node| node.children.as_slice()).unwrap_or_default() {
        images.insert(image.name.clone(), declared(image));
    }
    let part = |role: &str| referenced(&tree.root, role);
    let cmdline = part("fdt").and_then(|blob| {
        let tree = Tree::parse(blob).map_err(|e| format!("the device tree in the FIT: {e}"))?;
        let text = tree.root.at("/chosen").and_then(|node| node.text("bootargs").map(str::to_owned));
        text.ok_or_else(|| "the device tree in the FIT has no `/chosen/bootargs`".to_owned())
    });
    let kconfig = part("kernel").and_then(|kernel| {
        image::kconfig_embedded::extract(kernel)
            .map_err(|e| e.to_string())?
            .ok_or_else(|| "the kernel in the FIT holds no configuration (CONFIG_IKCONFIG)".to_owned())
    });
    Ok(FitFacts { sha256, images, cmdline, verified: None, kconfig, bytes })
}

/// The facts of a device tree if it is a FIT: of one that cannot be read nobody knows.
pub fn fit_or_tree(bytes: Vec<u8>) -> Option<Result<FitFacts, String>> {
    let is_fit = match Tree::parse(&bytes) {
        Ok(tree) => tree.root.child("images").is_some() || tree.root.child("configurations").is_some(),
        Err(_) => true,
    };
    is_fit.then(|| fit(bytes))
}

/// The data that the FIT's default configuration names for a role, such as `kernel`.
///
/// # Errors
/// When it is no FIT or names none.
pub fn fit_part(bytes: &[u8], role: &str) -> Result<Vec<u8>, String> {
    let tree = Tree::parse(bytes).map_err(|e| e.to_string())?;
    referenced(&tree.root, role).map(<[u8]>::to_vec)
}

/// The first digest that an image's hash nodes declare.
fn declared(image: &Node<'_>) -> String {
    let hash = image.children.iter().find(|child| child.name.starts_with("hash"));
    hash.map(|hash| {
        let value: String =
            hash.get("value").unwrap_or_default().iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{value}", hash.text("algo").unwrap_or("?"))
    })
    .unwrap_or_else(|| "none".to_owned())
}

/// The data of the image that the default configuration names for a role.
fn referenced<'t>(root: &'t Node<'_>, role: &str) -> Result<&'t [u8], String> {
    let configurations = root.child("configurations").ok_or("the FIT has no configurations")?;
    let default = configurations.text("default").ok_or("the FIT has no default configuration")?;
    let conf =
        configurations.child(default).ok_or_else(|| format!("the FIT has no configuration `{default}`"))?;
    let name = conf.text(role).ok_or_else(|| format!("configuration `{default}` names no {role}"))?;
    let image = root.child("images").and_then(|images| images.child(name));
    let image = image.ok_or_else(|| format!("the FIT has no image `{name}`"))?;
    if image.text("compression").is_some_and(|compression| compression != "none") {
        return Err(format!("image `{name}` is compressed"));
    }
    image.get("data").ok_or_else(|| format!("image `{name}` has no data inside the FIT"))
}

/// The facts of a U-Boot binary.
///
/// # Errors
/// When its control FDT holds a key that cannot be read.
pub fn uboot(bytes: Vec<u8>, sha256: String) -> Result<UbootFacts, String> {
    let trees = control_fdt::find_trees(&bytes);
    let mut facts = UbootFacts {
        sha256,
        control_fdts: trees.len(),
        keys: Vec::new(),
        required_mode: "all".to_owned(),
        bytes: Vec::new(),
    };
    // Of several trees each could be the one that counts; the number alone fails the check.
    if let Some(control) = trees.first().and_then(|(at, size)| bytes.get(*at..at.saturating_add(*size))) {
        facts.required_mode = control_fdt::required_mode(control).map_err(|e| e.to_string())?;
        for key in control_fdt::keys(control).map_err(|e| e.to_string())? {
            facts.keys.push(KeyFact {
                fingerprint: key.key.fingerprint().map_err(|e| e.to_string())?,
                bits: key.key.bits(),
                name: key.name,
                algorithm: key.algo,
                required: key.required,
            });
        }
    }
    facts.bytes = bytes;
    Ok(facts)
}

/// Verifies the FIT with the keys of the boot loader's one control FDT, and nothing else.
pub fn verify(facts: &FitFacts, uboot: &UbootFacts) -> Result<String, Vec<String>> {
    let one = |why: fit::FitError| vec![why.to_string()];
    let control = control_fdt::find_control(&uboot.bytes).map_err(one)?;
    let keys = control_fdt::keys(control).map_err(one)?;
    let report = fit::verify::verify(&facts.bytes, &keys, uboot.required_mode == "any").map_err(one)?;
    let mut problems: Vec<String> =
        report.all_problems().map(|problem| format!("{}: {}", problem.code, problem.message)).collect();
    problems.extend(
        report.uncovered.iter().map(|image| format!("image `{image}` is in no signed configuration")),
    );
    if report.configurations.is_empty() {
        problems.push("the FIT has no configuration".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if !report.ok {
        return Err(vec!["the FIT does not verify".to_owned()]);
    }
    let lines = report.configurations.iter().map(|configuration| {
        let images: Vec<String> = configuration
            .images
            .iter()
            .map(|image| format!("{} `{}` {} ({} bytes)", image.role, image.name, image.hash, image.bytes))
            .collect();
        format!(
            "`{}` signed by {}: {}",
            configuration.name,
            configuration.signed_by.join(", "),
            images.join(", ")
        )
    });
    Ok(lines.collect::<Vec<_>>().join("; "))
}
