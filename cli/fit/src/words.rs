//! The words for images that U-Boot knows, and which it takes in which role.
//!
//! What it does not know it refuses only when it boots. Source: U-Boot 2026.01 `boot/image.c`, `boot/image-fit.c`
//! (`fit_image_load`).

use crate::FitError;
use crate::fdt::{Node, Tree};

pub(crate) const KINDS: &[&str] = &[
    "aisimage",
    "filesystem",
    "firmware",
    "flat_dt",
    "gpimage",
    "kernel",
    "kernel_noload",
    "kwbimage",
    "imximage",
    "imx8image",
    "imx8mimage",
    "multi",
    "omapimage",
    "pblimage",
    "ramdisk",
    "script",
    "socfpgaimage",
    "socfpgaimage_v1",
    "standalone",
    "ublimage",
    "mxsimage",
    "atmelimage",
    "x86_setup",
    "lpc32xximage",
    "rkimage",
    "rksd",
    "rkspi",
    "vybridimage",
    "zynqimage",
    "zynqmpimage",
    "zynqmpbif",
    "fpga",
    "tee",
    "firmware_ivt",
    "pmmc",
    "stm32image",
    "mtk_image",
    "copro",
    "sunxi_egon",
    "sunxi_toc0",
    "fdt_legacy",
    "spkgimage",
    "sfspl",
    "tfa-bl31",
    "stm32imagev2",
];
pub(crate) const ARCHES: &[&str] = &[
    "alpha",
    "arm",
    "x86",
    "ia64",
    "m68k",
    "microblaze",
    "mips",
    "mips64",
    "nios2",
    "powerpc",
    "ppc",
    "s390",
    "sh",
    "sparc",
    "sparc64",
    "blackfin",
    "avr32",
    "nds32",
    "or1k",
    "sandbox",
    "arm64",
    "arc",
    "x86_64",
    "xtensa",
    "riscv",
];
pub(crate) const OSES: &[&str] = &[
    "arm-trusted-firmware",
    "linux",
    "netbsd",
    "ose",
    "plan9",
    "rtems",
    "tee",
    "u-boot",
    "vxworks",
    "qnx",
    "integrity",
    "4_4bsd",
    "dell",
    "esix",
    "freebsd",
    "irix",
    "ncr",
    "openbsd",
    "psos",
    "sco",
    "solaris",
    "svr4",
    "openrtos",
    "opensbi",
    "efi",
    "elf",
];
pub(crate) const COMPRESSIONS: &[&str] = &["none", "bzip2", "gzip", "lzma", "lzo", "lz4", "zstd"];

/// Refuses a word that U-Boot does not know. It does not look at the case.
pub(crate) fn known(image: &str, what: &str, found: &str, list: &[&str]) -> Result<(), FitError> {
    match list.iter().any(|word| word.eq_ignore_ascii_case(found)) {
        true => Ok(()),
        false => Err(FitError::Spec(format!(
            "`{what}` of the image `{image}` is `{}`: expected one of {}",
            found.escape_debug(),
            list.join(", ")
        ))),
    }
}

/// `arch` of which U-Boot knows 32 bits alone.
const NARROW: &[&str] = &["arc", "arm", "m68k", "microblaze", "nios2", "powerpc", "ppc", "sh", "xtensa"];

/// Refuses an address that a processor of 32 bits does not have: U-Boot would cut it down to its lower half and load there
/// (`fit_image_get_address`, which returns an `ulong`).
pub(crate) fn reachable(image: &str, arch: &str, what: &str, address: u64) -> Result<(), FitError> {
    match u32::try_from(address).is_ok() || !NARROW.iter().any(|word| word.eq_ignore_ascii_case(arch)) {
        true => Ok(()),
        false => Err(FitError::Spec(format!(
            "`{what}` of the image `{image}` is {address:#x}: expected at most 0xffffffff, since `{arch}` has addresses of 32 bits"
        ))),
    }
}

/// Refuses an image whose words U-Boot does not know, an address that its processor has not, or that says it is a device tree and is none.
pub(crate) fn check_image(image: &Node<'_>) -> Result<(), FitError> {
    let name = &image.name;
    for (what, list) in [("type", KINDS), ("arch", ARCHES), ("os", OSES), ("compression", COMPRESSIONS)] {
        if image.get(what).is_some() {
            known(name, what, image.text(what).unwrap_or("(not text)"), list)?;
        }
    }
    for what in ["load", "entry"] {
        // As many cells as there are bytes for (`fit_image_get_address`).
        if let Some(address) = image.get(what).and_then(|value| value.try_into().ok()).map(u64::from_be_bytes)
        {
            reachable(name, image.text("arch").unwrap_or_default(), what, address)?;
        }
    }
    let is = |what: &str, word: &str| image.text(what).is_some_and(|found| found.eq_ignore_ascii_case(word));
    let packed = image.get("compression").is_some() && !is("compression", "none");
    if is("type", "flat_dt") && !packed {
        Tree::parse(image.get("data").unwrap_or_default()).map_err(|e| {
            FitError::Spec(format!("the image `{name}` is a `flat_dt`, and its data are {e}"))
        })?;
    }
    Ok(())
}

/// `os` of what `bootm` takes as a kernel or RAM disk; `elf` where U-Boot has `BOOTM_ELF`.
const STARTED: &[&str] = &["linux", "u-boot", "tee", "openrtos", "efi", "vxworks", "elf"];
/// `type` that it takes in every role.
const ANY_ROLE: &[&str] = &["firmware", "tee", "tfa-bl31"];

/// Why U-Boot does not take an image in a role.
pub(crate) struct Unfit {
    /// The property that is wrong.
    pub property: &'static str,
    /// What it has there, as a text; nothing where it has no such property.
    pub found: Option<String>,
    /// What U-Boot takes there.
    pub expected: &'static [&'static str],
}

/// What of the image does not suit the role in which a configuration names it: U-Boot looks at `type` and `os` after it found the
/// signature good, so that what is signed by mistake does not start. `index` is the image's place in the property: of kernels and
/// RAM disks U-Boot takes the first.
pub(crate) fn unfit(role: &str, index: usize, image: &Node<'_>) -> Option<Unfit> {
    let own: &'static [&'static str] = match role {
        "kernel" if index == 0 => &["kernel", "kernel_noload"],
        "ramdisk" if index == 0 => &["ramdisk"],
        "fdt" => &["flat_dt"],
        _ => return None,
    };
    // A text as U-Boot reads it: to the first NUL.
    let word = |value: &[u8]| {
        String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    };
    let of = |property| image.get(property).map(word);
    let among = |found: &Option<String>, list: &[&str]| {
        found.as_ref().is_some_and(|found| list.iter().any(|word| word.eq_ignore_ascii_case(found)))
    };
    let kind = of("type");
    if !among(&kind, own) && !among(&kind, ANY_ROLE) {
        return Some(Unfit { property: "type", found: kind, expected: own });
    }
    let os = of("os");
    (role != "fdt" && !among(&os, STARTED)).then_some(Unfit { property: "os", found: os, expected: STARTED })
}

impl Unfit {
    /// What the image has there.
    pub fn found(&self, shown: impl Fn(&str) -> String) -> String {
        match &self.found {
            Some(found) => format!("the {} `{}`", self.property, shown(found)),
            None => format!("no `{}`", self.property),
        }
    }
}

/// Refuses an image in a role that U-Boot does not start it in.
pub(crate) fn check_role(role: &str, index: usize, image: &Node<'_>) -> Result<(), FitError> {
    let Some(unfit) = unfit(role, index, image) else { return Ok(()) };
    Err(FitError::Spec(format!(
        "the image `{}` is named as `{role}` and has {}: expected one of {}",
        image.name,
        unfit.found(|found| found.escape_debug().to_string()),
        unfit.expected.join(", ")
    )))
}
