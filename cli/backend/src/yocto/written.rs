//! What our image recipe, image class, distro, machine and the appends of kernel and boot loader set, as it must be read back:
//! another layer may change it, too.

use std::collections::BTreeSet;

use spec::plan::{Plan, YoctoFacts};

use super::read_back::Variables;
use super::{Names, recipes};

/// A variable of the image or of a recipe, and what of ours must be in it.
#[derive(Debug)]
pub struct Written {
    /// None: the image's.
    pub recipe: Option<&'static str>,
    pub variable: &'static str,
    pub words: Vec<String>,
    pub how: How,
    pub reason: &'static str,
}

/// How words of ours are in a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Among others.
    Among,
    /// Among others, with a colon between two.
    Listed,
    /// Alone.
    Alone,
    /// Not at all.
    Not,
}

/// All of it.
pub fn written(plan: &Plan, facts: &YoctoFacts, names: &Names) -> Vec<Written> {
    let (distro, packages) = (&names.distro, packages(plan, facts, names));
    let one = |variable, word: String, how, reason| Written {
        recipe: None,
        variable,
        words: vec![word],
        how,
        reason,
    };
    let nothing =
        |variable, reason| Written { recipe: None, variable, words: Vec::new(), how: How::Alone, reason };
    let mut all = vec![
        Written {
            recipe: None,
            variable: "IMAGE_INSTALL",
            words: packages.clone(),
            how: How::Among,
            reason: "what the plan asks for is installed",
        },
        // `do_rootfs` takes such a package out of what is installed, and only warns.
        Written {
            recipe: None,
            variable: "PACKAGE_EXCLUDE",
            words: packages,
            how: How::Not,
            reason: "what the plan asks for is installed",
        },
        // Neither is in PACKAGE_INSTALL. The first is made of features: `src-pkgs`, `ptest-pkgs`, `doc-pkgs` and others. Source:
        // OE-Core `image.bbclass`.
        nothing("IMAGE_INSTALL_COMPLEMENTARY", "what comes beside each package is no part of the product"),
        nothing("PACKAGE_INSTALL_ATTEMPTONLY", "what the plan does not ask for is not even tried"),
        one("IMAGE_FSTYPES", "squashfs-zst".to_owned(), How::Among, "the root that is signed is a squashfs"),
        one(
            "IMAGE_PREPROCESS_COMMAND",
            format!("{}_finish", names.function()),
            How::Among,
            "it removes, puts in place and locks what the plan says",
        ),
        one("NO_RECOMMENDATIONS", "1".to_owned(), How::Alone, "nothing is installed that nobody asks for"),
        one(
            "USERADD_UID_TABLES",
            format!("files/{distro}-passwd"),
            How::Among,
            "accounts have the plan's numbers",
        ),
        one(
            "USERADD_GID_TABLES",
            format!("files/{distro}-group"),
            How::Among,
            "groups have the plan's numbers",
        ),
        // One that requires ours may have another name.
        one(
            "MACHINEOVERRIDES",
            names.machine.clone(),
            How::Listed,
            "the machine is the BSP's, or one that requires it",
        ),
        one(
            "DISTROOVERRIDES",
            distro.clone(),
            How::Listed,
            "the distro is the product's, or one that requires it",
        ),
        one("KERNEL_IMAGETYPE", "Image".to_owned(), How::Alone, "the form of the kernel that is signed"),
        one(
            "PREFERRED_PROVIDER_virtual/kernel",
            "linux-yocto".to_owned(),
            How::Alone,
            "the BSP's append is of that recipe",
        ),
        one(
            "PREFERRED_PROVIDER_virtual/bootloader",
            "u-boot".to_owned(),
            How::Alone,
            "the BSP's append is of that recipe",
        ),
    ];
    all.extend(of_machine(plan));
    all
}

/// What the BSP's appends set.
fn of_machine(plan: &Plan) -> Vec<Written> {
    let of = |recipe, variable, words: Vec<String>, how, reason| Written {
        recipe: Some(recipe),
        variable,
        words,
        how,
        reason,
    };
    let file = |name: &str| format!("file://{name}");
    let ours = |names: &[&str]| names.iter().map(|name| file(name)).collect::<Vec<_>>();
    let mut uboot = ours(&["fastness.cfg", "fastness.env", "asked.txt", "check-asked.sh"]);
    uboot.extend(crate::uboot::patches(plan).map(|(name, _)| file(name)));
    let nothing = || Vec::new();
    vec![
        of(
            "linux-yocto",
            "SRC_URI",
            ours(&["defconfig", "fastness.cfg", "asked.txt", "check-asked.sh"]),
            How::Among,
            "the kernel's configuration, and what compares it",
        ),
        of(
            "linux-yocto",
            "KCONFIG_MODE",
            vec!["--allnoconfig".to_owned()],
            How::Alone,
            "nothing is on that nobody asked for",
        ),
        of("linux-yocto", "KERNEL_FEATURES", nothing(), How::Alone, "nothing comes from the kernel's cache"),
        of(
            "linux-yocto",
            "KERNEL_EXTRA_FEATURES",
            nothing(),
            How::Alone,
            "nothing comes from the kernel's cache",
        ),
        of(
            "u-boot",
            "SRC_URI",
            uboot,
            How::Among,
            "U-Boot's configuration, what compares it, and its patches",
        ),
    ]
}

/// Packages that the image installs besides the plan's, on purpose or not: features of the image and lines of others bring them.
pub fn besides(plan: &Plan, facts: &YoctoFacts, names: &Names, found: &Variables) -> Vec<String> {
    // OE-Core's `image.bbclass` adds this one to every image.
    let mut ours: BTreeSet<String> = packages(plan, facts, names).into_iter().collect();
    ours.insert("run-postinsts".to_owned());
    // The first has the packages of image features, too.
    let all = ["PACKAGE_INSTALL", "IMAGE_INSTALL"].iter().find_map(|name| found.get(*name));
    let words: BTreeSet<&str> = all.map(|all| all.value.split_whitespace().collect()).unwrap_or_default();
    words.into_iter().filter(|word| !ours.contains(*word)).map(str::to_owned).collect()
}

/// What the image recipe installs.
pub fn packages(plan: &Plan, facts: &YoctoFacts, names: &Names) -> Vec<String> {
    let mut install = recipes::packages(plan, facts, names);
    install.extend(facts.install.keys().cloned());
    install
}
