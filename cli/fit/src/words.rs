//! The words for images that U-Boot knows, and which it takes in which role; for what is built here.
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

/// Refuses an image whose words U-Boot does not know, or that says it is a device tree and is none.
pub(crate) fn check_image(image: &Node<'_>) -> Result<(), FitError> {
    let name = &image.name;
    for (what, list) in [("type", KINDS), ("arch", ARCHES), ("os", OSES), ("compression", COMPRESSIONS)] {
        if image.get(what).is_some() {
            known(name, what, image.text(what).unwrap_or("(not text)"), list)?;
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

/// Refuses an image in a role that U-Boot does not start it in. `index` is its place in the property.
pub(crate) fn check_role(role: &str, index: usize, image: &Node<'_>) -> Result<(), FitError> {
    let own: &[&str] = match role {
        "kernel" if index == 0 => &["kernel", "kernel_noload", "firmware", "tee", "tfa-bl31"],
        "ramdisk" if index == 0 => &["ramdisk", "firmware", "tee", "tfa-bl31"],
        "fdt" => &["flat_dt", "firmware", "tee", "tfa-bl31"],
        _ => return Ok(()),
    };
    let check = |what: &str, list: &[&str]| {
        let found = image.text(what);
        match found.is_some_and(|found| list.iter().any(|word| word.eq_ignore_ascii_case(found))) {
            true => Ok(()),
            false => Err(FitError::Spec(format!(
                "the image `{}` is named as `{role}` and has {}: expected one of {}",
                image.name,
                found
                    .map_or(format!("no `{what}`"), |found| format!("the {what} `{}`", found.escape_debug())),
                list.join(", ")
            ))),
        }
    };
    check("type", own)?;
    match role {
        "fdt" => Ok(()),
        _ => check("os", &["linux", "u-boot", "tee", "openrtos", "efi", "vxworks", "elf"]),
    }
}
