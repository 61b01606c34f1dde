//! The external tree of one product and board.

use std::collections::BTreeSet;
use std::path::Path;

use diag::Outcome;
use spec::plan::{BuildrootFacts, Plan};

use super::tree::Tree;
use super::{defconfig, facts, overlay, tables};

const CHECK_ASKED: &str = include_str!("files/check-asked.sh");
const POST_BUILD: &str = include_str!("files/post-build.sh");
const POST_FAKEROOT: &str = include_str!("files/post-fakeroot.sh");
const POST_IMAGE: &str = include_str!("files/post-image.sh");
const UNSIGNED: &str = include_str!("files/unsigned.txt");
const README: &str = include_str!("files/README.md");

/// Brings `folder` to the external tree of the plan; unchanged files keep their time stamps.
///
/// # Errors
/// As [`tree_of`], or when the folder cannot be written.
pub fn generate(plan: &Plan, folder: &Path) -> Outcome<()> {
    tree_of(plan)?.bring_to(folder)
}

/// The external tree of the plan.
///
/// # Errors
/// When the plan is one for another backend, or asks for something that a Buildroot tree
/// cannot express.
pub fn tree_of(plan: &Plan) -> Outcome<Tree> {
    tree_of_boards(std::slice::from_ref(plan))
}

/// One external tree for several boards of one product, a defconfig for each.
///
/// # Errors
/// As [`tree_of`], or when the plans are of different products or series.
pub fn tree_of_boards(plans: &[Plan]) -> Outcome<Tree> {
    let mut tree = Tree::default();
    let Some(first) = plans.first() else { return Ok(tree) };
    for plan in plans {
        let (facts, of_first) = (facts(plan)?, facts(first)?);
        if (&plan.product, &facts.series) != (&first.product, &of_first.series) {
            return Err(crate::internal("one external tree is for one product and one Buildroot series"));
        }
        board(plan, facts, &mut tree)?;
    }
    let facts = facts(first)?;
    tree.file(
        "external.desc",
        format!("name: {}\ndesc: {} {}\n", facts.external, first.product.name, first.product.version),
    );
    tree.file("Config.in", config_in(plans, &facts.external));
    tree.file("external.mk", external_mk(plans, &facts.external));
    tree.file("README.md", readme(plans, first));
    let linux = format!("linux-{}.tar.xz", facts.linux.version);
    tree.file("patches/linux/linux.hash", defconfig::hash_file("linux", &linux, &facts.linux.sha256));
    let uboot = format!("u-boot-{}.tar.bz2", facts.uboot.version);
    tree.file("patches/uboot/uboot.hash", defconfig::hash_file("uboot", &uboot, &facts.uboot.sha256));
    // `BR2_GLOBAL_PATCH_DIR`: applied in the order of their names to the version that the defconfig names.
    for (name, patch) in plans.iter().flat_map(crate::uboot::patches) {
        crate::uboot::check_version(name, patch, &facts.uboot.version)?;
        tree.file(format!("patches/uboot/{name}"), &patch.value.text);
    }
    Ok(tree)
}

/// What is of one board: its defconfig, and all below `board/`.
fn board(plan: &Plan, facts: &BuildrootFacts, tree: &mut Tree) -> Outcome<()> {
    let board = format!("board/{}", plan.board.name);
    for (package, files) in &facts.packages {
        for (name, text) in files {
            tree.file(format!("package/{package}/{name}"), text);
        }
    }
    tree.file(format!("configs/{}_defconfig", defconfig_name(plan)), defconfig::minimal(facts));
    tree.file(format!("{board}/linux.fragment"), defconfig::fragment(&plan.linux));
    tree.file(format!("{board}/uboot.fragment"), defconfig::fragment(&plan.uboot));
    tree.file(format!("{board}/u-boot.env"), crate::uboot::environment(plan)?);
    for (name, component, kconfig) in [
        ("buildroot", "buildroot", &facts.symbols),
        ("linux", "linux", &plan.linux),
        ("uboot", "uboot", &plan.uboot),
    ] {
        tree.file(format!("{board}/asked/{name}.txt"), defconfig::asked(plan, component, kconfig));
    }
    if let Some(busybox) = &facts.busybox {
        tree.file(format!("{board}/busybox.fragment"), defconfig::fragment(busybox));
        tree.file(format!("{board}/asked/busybox.txt"), defconfig::asked(plan, "busybox", busybox));
    }
    tree.file(
        format!("{board}/cmdline.txt"),
        plan.cmdline.iter().map(|a| format!("{}\n", a.value)).collect::<String>(),
    );
    tree.file(format!("{board}/users.txt"), tables::users(plan)?);
    tree.file(format!("{board}/persons.txt"), persons(plan));
    tree.file(format!("{board}/permissions.txt"), tables::permissions(plan));
    tree.file(format!("{board}/removals.txt"), overlay::removals(plan)?);
    tree.file(format!("{board}/overlay.txt"), overlay::paths(plan));
    tree.file(format!("{board}/unsigned.txt"), UNSIGNED);
    overlay::overlay(plan, &format!("{board}/overlay"), tree);
    for (name, script) in [
        ("check-asked.sh", CHECK_ASKED),
        ("post-build.sh", POST_BUILD),
        ("post-fakeroot.sh", POST_FAKEROOT),
        ("post-image.sh", POST_IMAGE),
    ] {
        tree.script(format!("{board}/{name}"), script);
    }
    Ok(())
}

/// Name of the defconfig, without `_defconfig`.
pub(super) fn defconfig_name(plan: &Plan) -> String {
    format!("{}_{}", plan.product.name, plan.board.name)
}

fn persons(plan: &Plan) -> String {
    plan.users.iter().filter(|(_, user)| user.value.person).map(|(name, _)| format!("{name}\n")).collect()
}

fn config_in(plans: &[Plan], external: &str) -> String {
    let packages: BTreeSet<&String> = plans
        .iter()
        .filter_map(|plan| plan.buildroot.as_ref())
        .flat_map(|facts| facts.packages.keys())
        .collect();
    let mut out = "config BR2_FASTNESS_BOARD\n\tstring \"board of this tree\"\n\thelp\n\t  \
                   Its folder below board/. Set by the defconfig of the board.\n\n\
               config BR2_FASTNESS_SHARED_FOLDERS\n\tbool \"one staging and target folder for all packages\"\n\thelp\n\t  \
                   In place of BR2_PER_PACKAGE_DIRECTORIES: less disk, one\n\t  \
                   package at a time. A choice of the machine that builds.\n"
        .to_owned();
    for (at, package) in packages.into_iter().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let path = format!("$BR2_EXTERNAL_{external}_PATH/package/{package}/Config.in");
        out.push_str(&format!("{gap}source \"{path}\"\n"));
    }
    out
}

/// Packages of our own whose sources lie in the tree.
fn built_here(plans: &[Plan]) -> BTreeSet<&str> {
    let packages = plans.iter().filter_map(|plan| plan.buildroot.as_ref()).flat_map(|facts| &facts.packages);
    let built = packages.filter(|(_, files)| files.keys().any(|file| file.starts_with("src/")));
    built.map(|(name, _)| name.as_str()).collect()
}

/// What Buildroot's symbols cannot say, for the board that is configured.
fn external_mk(plans: &[Plan], external: &str) -> String {
    let mut out = format!(
        "include $(sort $(wildcard $(BR2_EXTERNAL_{external}_PATH)/package/*/*.mk))\n\n\
         FASTNESS_BOARD = $(call qstrip,$(BR2_FASTNESS_BOARD))\n"
    );
    for name in built_here(plans) {
        let variable = name.to_uppercase().replace('-', "_");
        out.push_str(&format!(
            "\n# Buildroot looks at a folder of sources once: a changed file is taken again, and built.\n\
             $({variable}_TARGET_RSYNC): $(wildcard $(BR2_EXTERNAL_{external}_PATH)/package/{name}/src/*)\n\
             $({variable}_TARGET_BUILD): $({variable}_TARGET_RSYNC)\n"
        ));
    }
    for plan in plans {
        if let Some(facts) = &plan.buildroot {
            out.push('\n');
            out.push_str(&board_mk(plan, facts));
        }
    }
    out
}

/// The kernel's base, U-Boot's environment and target, and the checks.
fn board_mk(plan: &Plan, facts: &BuildrootFacts) -> String {
    let external = &facts.external;
    let options = package_options(&facts.options);
    let path = format!("$(BR2_EXTERNAL_{external}_PATH)");
    let folder = format!("{path}/board/$(FASTNESS_BOARD)");
    format!(
        "ifeq ($(FASTNESS_BOARD),{board})\n\
         # The kernel's configuration starts at {base} with what is asked, not at the\n\
         # architecture's defaults. External trees are read after linux.mk, and these\n\
         # variables are expanded only when they are used.\n\
         LINUX_KCONFIG_DEFCONFIG = {base}\n\
         LINUX_KCONFIG_OPTS += KCONFIG_ALLCONFIG={folder}/linux.fragment\n\n\
         # Packages switch kernel symbols on (systemd: user namespaces, autofs): what is\n\
         # asked has the last word.\n\
         define FASTNESS_LINUX_CONFIG_FIXUPS\n\
         \t$(Q)support/kconfig/merge_config.sh -m -O $(LINUX_DIR) $(LINUX_DIR)/.config \\\n\
         \t\t{folder}/linux.fragment >/dev/null\n\
         endef\n\
         PACKAGES_LINUX_CONFIG_FIXUPS += $(FASTNESS_LINUX_CONFIG_FIXUPS)$(sep)\n\n\
         # U-Boot's whole environment, where its symbol DEFAULT_ENV_FILE looks for it.\n\
         FASTNESS_UBOOT_ENV = {folder}/u-boot.env\n\n\
         define FASTNESS_COPY_UBOOT_ENV\n\
         \t$(INSTALL) -D -m 0644 $(FASTNESS_UBOOT_ENV) $(@D)/fastness.env\n\
         endef\n\
         UBOOT_PRE_BUILD_HOOKS += FASTNESS_COPY_UBOOT_ENV\n\
         $(UBOOT_TARGET_BUILD): $(FASTNESS_UBOOT_ENV)\n\n\
         # No control FDT: the one with the key is put behind it after signing.\n\
         UBOOT_MAKE_TARGET = u-boot-nodtb.bin\n\n{configure}{options}endif\n",
        board = plan.board.name,
        base = plan.linux.base,
        configure = configure_target(facts, &folder),
    )
}

/// Options of packages' builds that no symbol has.
fn package_options(options: &[(String, String)]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let mut out = "\n# What the plan asks of packages' builds and no symbol says.\n".to_owned();
    for (variable, add) in options {
        out.push_str(&format!("{variable} += {add}\n"));
        // The rule that orders packages was read with Buildroot's own dependencies: one more has to be told to make.
        if let Some(package) = variable.strip_suffix("_DEPENDENCIES") {
            out.push_str(&format!("$({package}_TARGET_CONFIGURE): | {add}\n"));
        }
    }
    out
}

/// The components with a Kconfig: Buildroot's name, its variables' prefix, and what people call it.
fn components(facts: &BuildrootFacts) -> Vec<(&'static str, &'static str, &'static str)> {
    let busybox = facts.busybox.as_ref().map(|_| ("busybox", "BUSYBOX", "BusyBox"));
    [("linux", "LINUX", "Linux"), ("uboot", "UBOOT", "U-Boot")].into_iter().chain(busybox).collect()
}

/// Compares each component as soon as it is configured, and the target that comes so far only.
fn configure_target(facts: &BuildrootFacts, folder: &str) -> String {
    let components = components(facts);
    let mut out = "# A symbol that is lost stops the build when its component is configured, not\n\
         # after it is compiled. `make fastness-configure` comes so far and no further.\n"
        .to_owned();
    for (name, prefix, title) in &components {
        out.push_str(&format!(
            "define FASTNESS_CHECK_{prefix}\n\
             \t$(Q){folder}/check-asked.sh {title} $(@D)/.config {folder}/asked/{name}.txt\n\
             endef\n\
             {prefix}_POST_CONFIGURE_HOOKS += FASTNESS_CHECK_{prefix}\n\n"
        ));
    }
    let stamps: Vec<String> = components
        .iter()
        .map(|(_, prefix, _)| format!("$({prefix}_DIR)/.stamp_kconfig_fixup_done"))
        .collect();
    let words: String = components.iter().map(|(name, _, _)| format!("{name} %s\\n")).collect();
    let folders: Vec<String> = components.iter().map(|(_, prefix, _)| format!("'$({prefix}_DIR)'")).collect();
    out.push_str(&format!(
        ".PHONY: fastness-configure\n\
         fastness-configure: {}\n\
         \t$(Q)printf '{words}' {} \\\n\
         \t\t>$(BASE_DIR)/fastness-folders.txt\n",
        stamps.join(" \\\n\t\t"),
        folders.join(" ")
    ));
    out
}

fn readme(plans: &[Plan], first: &Plan) -> String {
    let boards: Vec<&str> = plans.iter().map(|plan| plan.board.name.as_str()).collect();
    let one = boards.len() == 1;
    // With several boards, the paths speak of any of them.
    let board = if one { boards[0] } else { "BOARD" };
    let name = if one { defconfig_name(first) } else { format!("{}_BOARD", first.product.name) };
    let boards = boards.join(", ");
    let facts = first.buildroot.as_ref();
    [
        ("@PRODUCT@", first.product.name.as_str()),
        ("@VERSION@", &first.product.version),
        ("@BOARDS@", &boards),
        ("@BOARD@", board),
        ("@DEFCONFIG@", &name),
        ("@SERIES@", facts.map_or("", |facts| &facts.series)),
        ("@RELEASE@", facts.map_or("", |facts| &facts.release)),
        ("@LINUX@", facts.map_or("", |facts| &facts.linux.version)),
        ("@UBOOT@", facts.map_or("", |facts| &facts.uboot.version)),
    ]
    .iter()
    .fold(README.to_owned(), |text, (word, value)| text.replace(word, value))
}
