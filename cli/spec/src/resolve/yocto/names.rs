//! Names of products that BitBake would take for something of its own.
//!
//! The product's name is an override of the distro, and the start of names of layers and functions. Were it one of
//! BitBake's own overrides, what is set for the product would hold in every build that has the layers.

use diag::{Diagnostic, Location};

/// Words of `OVERRIDES` that every build may have. Sources: OE-Core `conf/bitbake.conf` (`OVERRIDES`),
/// `conf/machine/`, `conf/distro/`, `conf/machine/include/` (`MACHINEOVERRIDES`), `lib/oe/utils.py`; meta-poky.
const WORDS: [&str; 40] = [
    "aarch64",
    "allarch",
    "arc",
    "arm",
    "beaglebone-yocto",
    "darwin",
    "darwin21",
    "defaultsetup",
    "forcevariable",
    "genericarm64",
    "genericx86",
    "genericx86-64",
    "i486",
    "i586",
    "i686",
    "ia32",
    "linux",
    "linuxstdbase",
    "loongarch64",
    "microblaze",
    "mingw32",
    "mips",
    "mips64",
    "mips64el",
    "mipsarch",
    "mipsel",
    "nodistro",
    "none",
    "poky",
    "poky-altcfg",
    "poky-bleeding",
    "poky-tiny",
    "powerpc",
    "powerpc64",
    "powerpc64le",
    "riscv32",
    "riscv64",
    "uclibc",
    "x86",
    "x86-64",
];

/// How such words begin. Sources: the same, and `classes-global/base.bbclass`, `classes-recipe/`.
const STARTS: [&str; 21] = [
    "armv",
    "class-",
    "cortexa",
    "cortexm",
    "cortexr",
    "darwin-",
    "df-",
    "libc-",
    "layer-",
    "linux-gnu",
    "linux-musl",
    "mingw32-",
    "neoverse",
    "pn-",
    "qemu",
    "sdk-",
    "task-",
    "toolchain-",
    "tune-",
    "virtclass-",
    "x86-64-v",
];

/// BitBake's operators: in names of functions and of variables it looks for them behind an underscore.
/// Source: BitBake `lib/bb/data_smart.py`, `setVar`.
const OPERATORS: [&str; 3] = ["append", "prepend", "remove"];

/// Why a product cannot have this name; nothing where it can.
pub(super) fn refused(name: &str, at: Location) -> Option<Diagnostic> {
    let operator = name.split('-').any(|part| OPERATORS.iter().any(|operator| part.starts_with(operator)));
    let message = if operator {
        format!(
            "expected no part that begins with `append`, `prepend` or `remove` in the product's name, found `{name}`: BitBake takes it for an operator"
        )
    } else if WORDS.contains(&name) || STARTS.iter().any(|start| name.starts_with(start)) {
        format!(
            "the name `{name}` is an override of BitBake's own: what is set for the product would hold in other builds, too"
        )
    } else {
        return None;
    };
    Some(reserved(message, at))
}

/// What has a name of its own in a build.
pub(super) struct Others<'a> {
    /// All repositories of the series.
    pub repositories: Vec<&'a str>,
    /// What the image installs.
    pub packages: Vec<&'a str>,
    /// What our layers set options of.
    pub recipes: Vec<&'a str>,
}

/// Why a product cannot have the name of something else in the same build; nothing where it can. The kas file has the
/// series' repositories beside our own, which has the product's name. Variables of a package have its name where an override
/// stands (`RDEPENDS:systemd`).
pub(super) fn taken(name: &str, series: &str, others: &Others<'_>, at: Location) -> Option<Diagnostic> {
    let whose = if others.repositories.contains(&name) {
        format!("a repository of the series `{series}`")
    } else if others.packages.contains(&name) {
        "a package of the image".to_owned()
    } else if others.recipes.contains(&name) {
        "a recipe that the layers append to".to_owned()
    } else if name.starts_with("core-image-") {
        "an image of OE-Core".to_owned()
    } else {
        return None;
    };
    Some(reserved(format!("the name `{name}` is that of {whose}, and would be taken for it"), at))
}

fn reserved(message: String, at: Location) -> Diagnostic {
    let hint = "give the product another name, such as one with its maker's in front";
    Diagnostic::error("reserved-name", message).at(at).hint(hint)
}
