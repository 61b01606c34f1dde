//! Device trees, FITs, control FDTs and U-Boot binaries.

use std::sync::OnceLock;

use fit::control_fdt::{self, KeyNode};
use fit::fdt::Tree;
use fit::key::{Algorithm, PublicKey};

use crate::Target;

/// A control FDT with the key that signed `corpus/fit/signed*`. Its private half was thrown away when `examples/seeds`
/// made both: nothing but what was signed then may ever verify with it.
const CONTROL_FDT: &[u8] = include_bytes!("../corpus/control.dtb");
/// The only content that was signed with it.
const SIGNED: [(&str, &[u8]); 2] = [("kernel", b"the kernel"), ("ramdisk", b"the ramdisk")];

/// Flattened device trees (Devicetree Specification v0.4, chapter 5).
pub const FDT: Target = Target {
    name: "fdt",
    what: "a device tree: what is read can be written, and reads the same again",
    base: 1 << 20,
    factor: 64,
    run: |input| {
        let Ok(tree) = Tree::parse(input) else { return Ok(false) };
        // What only the reader tolerates, such as a name that is too long, may be refused here.
        let Ok(written) = tree.write() else { return Ok(false) };
        let again = Tree::parse(&written).map_err(|e| format!("what was written is not read: {e}"))?;
        // The strings block may have grown: names that shared bytes get their own.
        if (&again.root, &again.reserved) != (&tree.root, &tree.reserved) {
            return Err("what was written reads differently".to_owned());
        }
        if again.write().is_ok_and(|twice| twice != written) {
            return Err("written twice, it is not the same bytes".to_owned());
        }
        drop(fit::show::show(input));
        Ok(true)
    },
};

/// FITs against a control FDT (U-Boot, doc/usage/fit/signature.rst).
pub const FIT: Target = Target {
    name: "fit",
    what: "a FIT: nothing verifies but what was signed",
    base: 1 << 20,
    factor: 96,
    run: |input| {
        drop(fit::external::internalised(input));
        let Ok(report) = fit::verify::verify(input, trusted()?, false) else { return Ok(false) };
        if !report.ok {
            return Ok(false);
        }
        let tree = fit::external::internalised(input).map_err(|e| format!("it verifies, and: {e}"))?;
        for (name, content) in SIGNED {
            let data = tree.root.at(&format!("/images/{name}")).and_then(|node| node.get("data"));
            if data != Some(content) {
                return Err(format!("it verifies, and `{name}` is not what was signed"));
            }
        }
        Ok(true)
    },
};

/// Control FDTs: reading keys, putting one in and taking it out.
pub const CONTROL: Target = Target {
    name: "control",
    what: "a control FDT: a key that is put in is found, required, and leaves the others as they were",
    base: 1 << 20,
    factor: 96,
    run: |input| {
        let (algorithm, key) = a_key()?;
        let before = control_fdt::keys(input);
        let Ok(with) = control_fdt::insert_key(input, "fuzz", algorithm, key) else { return Ok(false) };
        let Ok(before) = before else { return Ok(false) };
        let after = control_fdt::keys(&with).map_err(|e| format!("with one key more: {e}"))?;
        let ours = after.iter().filter(|found| found.node == "key-fuzz").collect::<Vec<_>>();
        let [ours] = ours[..] else { return Err(format!("the key is there {} times", ours.len())) };
        if ours.key != *key || ours.required.as_deref() != Some("conf") {
            return Err("the key that was put in is another, or is not required".to_owned());
        }
        let others = |keys: &[KeyNode]| -> Vec<String> {
            keys.iter().filter(|key| key.node != "key-fuzz").map(|key| format!("{key:?}")).collect()
        };
        if others(&before) != others(&after) {
            return Err("another key changed".to_owned());
        }
        let without = control_fdt::remove_key(&with, "fuzz").map_err(|e| format!("taking it out: {e}"))?;
        let left = control_fdt::keys(&without).map_err(|e| format!("without it: {e}"))?;
        if others(&before) != others(&left) {
            return Err("taking it out changed another key".to_owned());
        }
        Ok(true)
    },
};

/// U-Boot binaries and kernels: what is found inside of them.
pub const BINARY: Target = Target {
    name: "binary",
    what: "a U-Boot binary, a kernel or a program: control FDT, configuration, ELF headers",
    // A kernel's configuration is unpacked to 4 MiB at most, a kernel that is packed itself to 128 MiB.
    base: 300 << 20,
    factor: 64,
    run: |input| {
        for candidate in fit::binary::candidates(input) {
            drop(candidate);
        }
        drop(fit::binary::find_control(input));
        drop(image::kconfig_embedded::extract(input));
        drop(image::elf::facts(input));
        Ok(true)
    },
};

fn trusted() -> Result<&'static [KeyNode], String> {
    static KEYS: OnceLock<Result<Vec<KeyNode>, String>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| control_fdt::keys(CONTROL_FDT).map_err(|e| e.to_string()));
    keys.as_deref().map_err(Clone::clone)
}

fn a_key() -> Result<(Algorithm, &'static PublicKey), String> {
    let key = trusted()?.first().ok_or("`corpus/control.dtb` has no key")?;
    Ok((Algorithm::parse(&key.algo).map_err(|e| e.to_string())?, &key.key))
}
