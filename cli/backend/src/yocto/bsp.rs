//! The BSP layer: machine, kernel and U-Boot, each scoped to the machine.

use diag::Outcome;
use spec::plan::{KconfigPlan, Plan, YoctoFacts};

use super::generate::layer_conf;
use super::signing::Signing;
use super::{Names, Tree};
use crate::buildroot::defconfig;

const CHECK_ASKED: &str = include_str!("../buildroot/files/check-asked.sh");

/// Writes the layer.
pub fn layer(plan: &Plan, facts: &YoctoFacts, names: &Names, tree: &mut Tree) -> Outcome<()> {
    let top = format!("meta-{}", names.bsp_layer);
    let machine = &names.machine;
    tree.file(format!("{top}/conf/layer.conf"), layer_conf(facts, &names.bsp_layer, &["core"]));
    tree.file(
        format!("{top}/conf/machine/{machine}.conf"),
        format!(
            "#@TYPE: Machine\n#@NAME: {}\n#@DESCRIPTION: {}\n\n\
             # A machine of your own may require the same file and go on from it.\n\
             require conf/machine/include/{machine}.inc\n",
            plan.board.name, plan.board.title
        ),
    );
    // Where the release's classes cannot sign, the layer says nothing of it: the README has the reason.
    let signing = Signing::of(plan, facts).ok();
    let mut include = machine_include(plan, facts, machine);
    let mut more = [String::new(), String::new()];
    if let Some(signing) = &signing {
        include.push_str(&format!("\n{}", signing.machine(plan)?));
        more = [signing.kernel(machine), signing.uboot(names)];
        signing.write(plan, facts, names, tree)?;
    }
    let [of_kernel, of_uboot] = more;
    tree.file(format!("{top}/conf/machine/include/{machine}.inc"), include);
    kernel(plan, facts, machine, &of_kernel, &format!("{top}/recipes-kernel/linux"), tree);
    let binary = if signing.is_some() {
        "${@'u-boot.bin' if d.getVar('UBOOT_SIGN_ENABLE') == '1' else 'u-boot-nodtb.bin'}"
    } else {
        "u-boot-nodtb.bin"
    };
    uboot(plan, facts, machine, (binary, &of_uboot), &format!("{top}/recipes-bsp/u-boot"), tree)
}

/// Appends are scoped to the machine's name, which a machine that requires this file does not have.
fn machine_include(plan: &Plan, facts: &YoctoFacts, machine: &str) -> String {
    format!(
        "# A machine of another name gets the appends of this layer, too.\n\
         MACHINEOVERRIDES =. \"{machine}:\"\n\n\
         DEFAULTTUNE ?= \"{}\"\nrequire {}\n\n\
         KERNEL_IMAGETYPE = \"Image\"\n\
         PREFERRED_PROVIDER_virtual/kernel ?= \"linux-yocto\"\n\
         PREFERRED_VERSION_linux-yocto ?= \"{}\"\n\
         PREFERRED_PROVIDER_virtual/bootloader ?= \"u-boot\"\n\
         PREFERRED_VERSION_u-boot ?= \"{}\"\n\
         UBOOT_MACHINE ?= \"{}\"\n\
         SERIAL_CONSOLES ?= \"115200;{}\"\n\
         MACHINE_FEATURES = \"\"\n\
         MACHINE_ESSENTIAL_EXTRA_RDEPENDS = \"\"\n",
        facts.tune, facts.tune_file, facts.linux, facts.uboot, plan.uboot.base, plan.board.console
    )
}

/// Compares a final configuration as soon as it is made: a lost symbol stops the build.
fn check(what: &str, unpack: &str) -> String {
    format!(
        "    sh ${{{unpack}}}/check-asked.sh {what} ${{B}}/.config ${{{unpack}}}/asked.txt ${{S}} || bbfatal \"symbols that were asked for are lost: see above\"\n"
    )
}

/// Without the lines of layers, which move with every edit and are no reason to build a kernel.
fn asked(plan: &Plan, component: &str, kconfig: &KconfigPlan) -> String {
    let mut kconfig = kconfig.clone();
    let origins = kconfig.symbols.values_mut().flat_map(|asked| &mut asked.origins);
    origins.for_each(|origin| origin.line = 0);
    defconfig::asked(plan, component, &kconfig).replace(":0)\n", ")\n")
}

fn kernel(plan: &Plan, facts: &YoctoFacts, machine: &str, more: &str, folder: &str, tree: &mut Tree) {
    let unpack = &facts.unpack;
    tree.file(
        format!("{folder}/linux-yocto_%.bbappend"),
        format!(
            "FILESEXTRAPATHS:prepend:{machine} := \"${{THISDIR}}/files:\"\n\n\
             SRC_URI:append:{machine} = \" file://defconfig file://fastness.cfg file://asked.txt file://check-asked.sh\"\n\n\
             COMPATIBLE_MACHINE:{machine} = \"^{machine}$\"\n\
             # The configuration starts at {base}: nothing comes from the kernel cache.\n\
             KMACHINE:{machine} = \"{machine}\"\n\
             KCONFIG_MODE:{machine} = \"--allnoconfig\"\n\
             KERNEL_EXTRA_FEATURES:{machine} = \"\"\n\
             KERNEL_FEATURES:{machine} = \"\"\n\n\
             do_configure:append:{machine}() {{\n{check}}}\n\n\
             do_deploy:append:{machine}() {{\n    install -m 0644 ${{B}}/.config ${{DEPLOYDIR}}/linux.config\n}}\n{more}",
            base = plan.linux.base,
            check = check("Linux", unpack),
        ),
    );
    let files = format!("{folder}/files/{machine}");
    let fragment = defconfig::fragment(&plan.linux);
    let set: String =
        fragment.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    tree.file(format!("{files}/defconfig"), set);
    tree.file(format!("{files}/fastness.cfg"), fragment);
    tree.file(format!("{files}/asked.txt"), asked(plan, "linux", &plan.linux));
    tree.file(format!("{files}/check-asked.sh"), CHECK_ASKED);
}

fn uboot(
    plan: &Plan,
    facts: &YoctoFacts,
    machine: &str,
    (binary, more): (&str, &str),
    folder: &str,
    tree: &mut Tree,
) -> Outcome<()> {
    let unpack = &facts.unpack;
    let mut patches = String::new();
    for (name, patch) in crate::uboot::patches(plan) {
        crate::uboot::check_version(name, patch, &facts.uboot)?;
        patches.push_str(&format!(" file://{name}"));
        tree.file(format!("{folder}/files/{machine}/{name}"), &patch.value.text);
    }
    tree.file(
        format!("{folder}/u-boot_%.bbappend"),
        format!(
            "FILESEXTRAPATHS:prepend:{machine} := \"${{THISDIR}}/files:\"\n\n\
             SRC_URI:append:{machine} = \" file://fastness.cfg file://fastness.env file://asked.txt file://check-asked.sh{patches}\"\n\n\
             # No control FDT: the one with the key is put behind it after signing.\n\
             UBOOT_MAKE_TARGET:{machine} = \"u-boot-nodtb.bin\"\n\
             UBOOT_BINARY:{machine} = \"{binary}\"\n\
             UBOOT_INITIAL_ENV:{machine} = \"\"\n\n\
             do_configure:append:{machine}() {{\n\
             {check}    # U-Boot's whole environment, where its symbol DEFAULT_ENV_FILE looks for it.\n    \
             install -m 0644 ${{{unpack}}}/fastness.env ${{B}}/fastness.env\n}}\n\n\
             do_deploy:append:{machine}() {{\n    install -m 0644 ${{B}}/.config ${{DEPLOYDIR}}/u-boot.config\n}}\n{more}",
            check = check("U-Boot", unpack),
        ),
    );
    let files = format!("{folder}/files/{machine}");
    tree.file(format!("{files}/fastness.cfg"), defconfig::fragment(&plan.uboot));
    tree.file(format!("{files}/fastness.env"), crate::uboot::environment(plan)?);
    tree.file(format!("{files}/asked.txt"), asked(plan, "uboot", &plan.uboot));
    tree.file(format!("{files}/check-asked.sh"), CHECK_ASKED);
    Ok(())
}
