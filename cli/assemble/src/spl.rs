//! Where SPL comes first: the signed FIT that it verifies and starts. SPL itself is made as U-Boot is (`boot_chain::uboot`).
//!
//! The same key signs both FITs. SPL and U-Boot have a control FDT of their own each, made by U-Boot's build.

use std::borrow::Cow;

use diag::{ExitStatus, Failure, Outcome};
use fit::build::{Configuration, FitSpec, Image};
use fit::fdt::Tree;
use spec::plan::{Plan, SplFacts};

use crate::boot_chain::{CONFIGURATION, control_fdt, sign_options, wrong_signing, wrong_tree};
use crate::keys::SigningKey;

/// What SPL starts.
pub struct Started<'a> {
    /// The monitor, where the board has one.
    pub monitor: Option<&'a [u8]>,
    /// U-Boot without control FDT.
    pub uboot: &'a [u8],
    /// U-Boot's control FDT, before a key is put into it.
    pub device_tree: &'a [u8],
}

/// The signed FIT that SPL verifies; the same bytes for the same input. SPL enters the monitor (`firmware`), which enters U-Boot, or
/// without one U-Boot; it puts `fdt` behind U-Boot's code (U-Boot `common/spl/spl_fit.c`, `spl_opensbi.c`, `spl_atf.c`).
///
/// # Errors
/// When the key does not fit the algorithm, or SPL of this board cannot verify it.
pub fn uboot_fit(plan: &Plan, facts: &SplFacts, started: &Started<'_>, key: &SigningKey) -> Outcome<Vec<u8>> {
    let options = sign_options(plan)?;
    let control = control_fdt(plan, started.device_tree, &key.public())?;
    let name = &plan.product.name;
    let image = |node: &str, kind: &str, os: Option<&str>, load: Option<u64>, data| Image {
        name: node.to_owned(),
        description: format!("{name} {node}"),
        kind: kind.to_owned(),
        arch: plan.board.kernel_arch.clone(),
        os: os.map(str::to_owned),
        compression: "none".to_owned(),
        load,
        entry: load,
        data: Cow::Borrowed(data),
    };
    // As U-Boot's own FITs name the kinds: what SPL enters is the firmware.
    let monitor = facts.monitor.as_ref().zip(started.monitor);
    let (mut images, roles) = match monitor {
        Some((facts, data)) => (
            vec![image("monitor", "firmware", Some(monitor_os(plan)), Some(facts.address), data)],
            vec![("firmware", "monitor"), ("loadables", "uboot"), ("fdt", "fdt")],
        ),
        None => (vec![], vec![("firmware", "uboot"), ("fdt", "fdt")]),
    };
    let kind = if monitor.is_some() { "standalone" } else { "firmware" };
    images.push(image("uboot", kind, Some("u-boot"), Some(facts.uboot_address), started.uboot));
    images.push(image("fdt", "flat_dt", None, None, &control));
    let tree = fit::build::build(FitSpec {
        description: format!("{name} {} boot loader for {}", plan.product.version, plan.board.name),
        timestamp: options.timestamp,
        hash: options.algorithm.hash,
        images,
        configurations: vec![Configuration {
            name: CONFIGURATION.to_owned(),
            description: name.clone(),
            compatible: None,
            loads: roles.into_iter().map(|(role, image)| (role.to_owned(), vec![image.to_owned()])).collect(),
        }],
        default: Some(CONFIGURATION.to_owned()),
    })
    .map_err(|e| wrong_signing(&e))?;
    fit::sign::sign(tree, &options, key.signer()).map_err(|e| wrong_signing(&e))
}

/// What SPL goes by when it enters the monitor (U-Boot `common/spl/spl.c`).
fn monitor_os(plan: &Plan) -> &'static str {
    if plan.board.architecture == "riscv64" { "opensbi" } else { "arm-trusted-firmware" }
}

/// A device tree of U-Boot's build with as much memory as QEMU's machine has: the board's own may have more.
///
/// # Errors
/// When the tree is none, or its memory is not one range of two cells each.
pub fn with_memory(plan: &Plan, device_tree: Vec<u8>) -> Outcome<Vec<u8>> {
    let Some(qemu) = &plan.board.qemu else { return Ok(device_tree) };
    let mut tree = Tree::parse(&device_tree).map_err(|e| wrong_tree(&e))?;
    let node = tree.root.children.iter_mut().find(|node| node.name.starts_with("memory@"));
    let reg = node.as_ref().and_then(|node| node.get("reg")).filter(|reg| reg.len() == 16);
    let (Some(start), Some(node)) = (reg.map(|reg| reg[..8].to_vec()), node) else {
        return Err(Failure::error(
            ExitStatus::Build,
            "device-tree",
            "expected one range of memory with two cells each in U-Boot's device tree, found none",
        )
        .hint("choose another device tree of U-Boot (`DEFAULT_DEVICE_TREE`) for the board"));
    };
    let bytes = u64::from(qemu.memory_mib) << 20;
    node.set("reg", [start, bytes.to_be_bytes().to_vec()].concat());
    tree.write().map_err(|e| wrong_tree(&e))
}
