//! The external tree of one product and board.

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
    let facts = facts(plan)?;
    let board = format!("board/{}", plan.board.name);
    let mut tree = Tree::default();
    tree.file(
        "external.desc",
        format!("name: {}\ndesc: {} {}\n", facts.external, plan.product.name, plan.product.version),
    );
    tree.file("Config.in", config_in(facts));
    for (package, files) in &facts.packages {
        for (name, text) in files {
            tree.file(format!("package/{package}/{name}"), text);
        }
    }
    tree.file("external.mk", external_mk(plan, facts));
    tree.file("README.md", readme(plan));
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
    overlay::overlay(plan, &format!("{board}/overlay"), &mut tree);
    for (name, script) in [
        ("check-asked.sh", CHECK_ASKED),
        ("post-build.sh", POST_BUILD),
        ("post-fakeroot.sh", POST_FAKEROOT),
        ("post-image.sh", POST_IMAGE),
    ] {
        tree.script(format!("{board}/{name}"), script);
    }
    let linux = format!("linux-{}.tar.xz", facts.linux.version);
    tree.file("patches/linux/linux.hash", defconfig::hash_file("linux", &linux, &facts.linux.sha256));
    let uboot = format!("u-boot-{}.tar.bz2", facts.uboot.version);
    tree.file("patches/uboot/uboot.hash", defconfig::hash_file("uboot", &uboot, &facts.uboot.sha256));
    Ok(tree)
}

/// Name of the defconfig, without `_defconfig`.
pub(super) fn defconfig_name(plan: &Plan) -> String {
    format!("{}_{}", plan.product.name, plan.board.name)
}

fn persons(plan: &Plan) -> String {
    plan.users.iter().filter(|(_, user)| user.value.person).map(|(name, _)| format!("{name}\n")).collect()
}

fn config_in(facts: &BuildrootFacts) -> String {
    let mut out = "config BR2_FASTNESS_BOARD\n\tstring \"board of this tree\"\n\thelp\n\t  \
                   Its folder below board/. Set by the defconfig of the board.\n\n\
               config BR2_FASTNESS_SHARED_FOLDERS\n\tbool \"one staging and target folder for all packages\"\n\thelp\n\t  \
                   In place of BR2_PER_PACKAGE_DIRECTORIES: less disk, one package at\n\t  \
                   a time. A choice of the machine that builds.\n"
        .to_owned();
    for (at, package) in facts.packages.keys().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let path = format!("$BR2_EXTERNAL_{}_PATH/package/{package}/Config.in", facts.external);
        out.push_str(&format!("{gap}source \"{path}\"\n"));
    }
    out
}

/// What Buildroot's symbols cannot say: the kernel's base, and U-Boot's environment and target.
fn external_mk(plan: &Plan, facts: &BuildrootFacts) -> String {
    let external = &facts.external;
    let mut options: String =
        facts.options.iter().map(|(variable, add)| format!("{variable} += {add}\n")).collect();
    if !options.is_empty() {
        options = format!("\n# Where the packages look for what the plan writes.\n{options}");
    }
    let path = format!("$(BR2_EXTERNAL_{external}_PATH)");
    let folder = format!("{path}/board/$(FASTNESS_BOARD)");
    format!(
        "include $(sort $(wildcard {path}/package/*/*.mk))\n\n\
         FASTNESS_BOARD = $(call qstrip,$(BR2_FASTNESS_BOARD))\n\n\
         ifeq ($(FASTNESS_BOARD),{board})\n\
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
         UBOOT_MAKE_TARGET = u-boot-nodtb.bin\n\n\
         # A symbol that is lost stops the build when its component is configured, not\n\
         # after it is compiled. `make fastness-configure` comes so far and no further.\n\
         define FASTNESS_CHECK_LINUX\n\
         \t$(Q){folder}/check-asked.sh Linux $(@D)/.config {folder}/asked/linux.txt\n\
         endef\n\
         LINUX_POST_CONFIGURE_HOOKS += FASTNESS_CHECK_LINUX\n\n\
         define FASTNESS_CHECK_UBOOT\n\
         \t$(Q){folder}/check-asked.sh U-Boot $(@D)/.config {folder}/asked/uboot.txt\n\
         endef\n\
         UBOOT_POST_CONFIGURE_HOOKS += FASTNESS_CHECK_UBOOT\n\n\
         .PHONY: fastness-configure\n\
         fastness-configure: $(LINUX_DIR)/.stamp_kconfig_fixup_done \\\n\
         \t\t$(UBOOT_DIR)/.stamp_kconfig_fixup_done\n\
         \t$(Q)printf 'linux %s\\nuboot %s\\n' '$(LINUX_DIR)' '$(UBOOT_DIR)' \\\n\
         \t\t>$(BASE_DIR)/fastness-folders.txt\n{options}endif\n",
        board = plan.board.name,
        base = plan.linux.base,
    )
}

fn readme(plan: &Plan) -> String {
    let name = defconfig_name(plan);
    let facts = plan.buildroot.as_ref();
    [
        ("@PRODUCT@", plan.product.name.as_str()),
        ("@VERSION@", &plan.product.version),
        ("@BOARD@", &plan.board.name),
        ("@DEFCONFIG@", &name),
        ("@SERIES@", facts.map_or("", |facts| &facts.series)),
        ("@RELEASE@", facts.map_or("", |facts| &facts.release)),
        ("@LINUX@", facts.map_or("", |facts| &facts.linux.version)),
        ("@UBOOT@", facts.map_or("", |facts| &facts.uboot.version)),
    ]
    .iter()
    .fold(README.to_owned(), |text, (word, value)| text.replace(word, value))
}
