//! Whether U-Boot takes an image in the role in which a configuration names it (`boot/image-fit.c`, `fit_image_load`).
//!
//! It looks at `type` and `os` after it found the signature good: what is signed by mistake does not start.

use super::{Problem, problem, short};
use crate::fdt::Node;

/// `os` of what `bootm` takes as a kernel or RAM disk; `elf` where U-Boot has `BOOTM_ELF`.
const OSES: [&str; 7] = ["linux", "u-boot", "tee", "openrtos", "efi", "vxworks", "elf"];
/// `type` that it takes in every role.
const ANY_ROLE: [&str; 3] = ["firmware", "tee", "tfa-bl31"];

/// What of the image does not suit the role. `index` is the image's place in the property: of kernels and RAM disks U-Boot
/// takes the first.
pub(super) fn unfit(role: &str, index: usize, image: &Node<'_>) -> Option<Problem> {
    let own: &[&str] = match role {
        "kernel" if index == 0 => &["kernel", "kernel_noload"],
        "ramdisk" if index == 0 => &["ramdisk"],
        "fdt" => &["flat_dt"],
        _ => return None,
    };
    let is = |property: &str, wanted: &[&str]| {
        let word = word(image.get(property).unwrap_or_default());
        wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let unfit = |property: &str, expected: &[&str]| {
        let found = match image.get(property) {
            Some(value) => format!("the {property} `{}`", short(&String::from_utf8_lossy(word(value)))),
            None => format!("no `{property}`"),
        };
        let message = format!(
            "`{role}` refers to the image `{}`, which has {found}: U-Boot takes {} there",
            image.name,
            expected.join(", ")
        );
        Some(problem("image-type", message))
    };
    if !is("type", own) && !is("type", &ANY_ROLE) {
        return unfit("type", own);
    }
    if role != "fdt" && !is("os", &OSES) {
        return unfit("os", &OSES);
    }
    None
}

/// A text as U-Boot reads it: to the first NUL.
fn word(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}
