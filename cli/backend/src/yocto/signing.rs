//! Signing within the build, by the release's own classes: for a team whose keys are with BitBake.
//!
//! The common assembly is the default and needs nothing of this. With `UBOOT_SIGN_ENABLE = "1"` and
//! `UBOOT_SIGN_KEYDIR` in a `local.conf`, `uboot-sign` puts the public key into U-Boot's control FDT, and a
//! recipe of ours makes the FIT with the root's hash by the class that the series names. What is written here
//! names keys and never holds one.

use diag::Outcome;
use spec::guid::guid;
use spec::plan::{CrashMemoryFacts, Plan, QemuFacts, YoctoFacts};

use super::{Names, Tree, pv, quoted};

const KEY: &str = include_str!("files/key.bbclass");
const FIT: &str = include_str!("files/fit.bbclass");

/// What the classes can sign of a plan.
pub struct Signing<'a> {
    /// The class that makes a FIT.
    class: &'a str,
    qemu: &'a QemuFacts,
    hash: &'a str,
    algorithm: &'a str,
}

impl<'a> Signing<'a> {
    /// What the classes can sign of this plan, or why they cannot.
    pub fn of(plan: &'a Plan, facts: &'a YoctoFacts) -> Result<Self, &'static str> {
        let class = facts
            .fit_class
            .as_deref()
            .ok_or("this release makes a FIT in the kernel's recipe, before there is a root to bind to it")?;
        let qemu = plan.board.qemu.as_ref().ok_or("the board's device tree is not known to the build")?;
        if qemu.tpm.is_some() {
            return Err("the board's device tree has a TPM, which QEMU shows with an emulator only");
        }
        let (hash, algorithm) = plan.signing.algorithm.split_once(',').unwrap_or_default();
        if !algorithm.starts_with("rsa") {
            return Err("`uboot-sign` takes RSA keys");
        }
        if plan.signing.rollback_version.is_some() {
            return Err("the class cannot put a rollback version into a configuration");
        }
        if !plan.signing.also_trusts.is_empty() {
            return Err("the class puts one key into the control FDT, and the product trusts several");
        }
        Ok(Self { class, qemu, hash, algorithm })
    }

    /// Lines of the machine: OE-Core's variables, which a `local.conf` may set otherwise.
    pub fn machine(&self, plan: &Plan) -> Outcome<String> {
        Ok(format!(
            "# For UBOOT_SIGN_ENABLE = \"1\" and UBOOT_SIGN_KEYDIR in local.conf; otherwise nothing is signed within the build.\n\
             UBOOT_SIGN_KEYNAME ?= {}\nFIT_HASH_ALG ?= {}\nFIT_SIGN_ALG ?= {}\nFIT_PAD_ALG ?= {}\n",
            quoted(&plan.signing.key)?,
            quoted(self.hash)?,
            quoted(self.algorithm)?,
            quoted(&plan.signing.padding)?,
        ))
    }

    /// Lines of the kernel's append: the class takes the kernel under this name.
    pub fn kernel(&self, machine: &str) -> String {
        format!(
            "\ndo_deploy:append:{machine}() {{\n    if [ \"${{UBOOT_SIGN_ENABLE}}\" = \"1\" ]; then\n        \
             install -m 0644 ${{B}}/${{KERNEL_OUTPUT_DIR}}/Image ${{DEPLOYDIR}}/linux.bin\n        \
             printf none > ${{DEPLOYDIR}}/linux_comp\n    fi\n}}\n"
        )
    }

    /// Lines of U-Boot's append. The control FDT is put there anew each time: the class changes it in its place,
    /// and one that was signed with another key before would be trusted, too.
    pub fn uboot(&self, names: &Names) -> String {
        let machine = &names.machine;
        format!(
            "\ninherit ${{@'{class}_key' if '{machine}' in (d.getVar('MACHINEOVERRIDES') or '').split(':') else ''}}\n\
             DEPENDS:append:{machine} = \" ${{@'{machine}-devicetree' if d.getVar('UBOOT_SIGN_ENABLE') == '1' else ''}}\"\n\n\
             do_uboot_assemble_fitimage:prepend:{machine}() {{\n    if [ \"${{UBOOT_SIGN_ENABLE}}\" = \"1\" ]; then\n        \
             install -m 0644 ${{RECIPE_SYSROOT}}/boot/devicetree/board.dtb ${{B}}/u-boot.dtb\n    fi\n}}\n",
            class = names.function(),
        )
    }

    /// The classes and the recipes that only a build that signs has.
    pub fn write(&self, plan: &Plan, facts: &YoctoFacts, names: &Names, tree: &mut Tree) -> Outcome<()> {
        let (top, machine) = (format!("meta-{}", names.bsp_layer), &names.machine);
        for (name, text) in [("key", KEY), ("fit", FIT)] {
            let text = text.replace("@PREFIX@", &names.function()).replace("@FIT_CLASS@", self.class);
            tree.file(format!("{top}/classes-recipe/{}_{name}.bbclass", names.function()), text);
        }
        let product = &plan.product;
        let words: Vec<&str> = plan.cmdline.iter().map(|word| word.value.as_str()).collect();
        let head = format!(
            "SECTION = \"bootloaders\"\n{}\n\
             COMPATIBLE_MACHINE = \"^{machine}$\"\n",
            names.license_lines()
        );
        tree.file(
            format!("{top}/recipes-bsp/signed/{machine}-fit_{}.bb", pv(plan)),
            format!(
                "# nooelint: oelint.var.mandatoryvar.HOMEPAGE\nSUMMARY = \"Kernel, device tree and the root's hash of {name} for {board}, signed\"\n\
                 DESCRIPTION = \"The FIT that U-Boot of this machine verifies, and the root with its hash tree\"\n{head}\n\
                 SIGNED_IMAGE ?= \"{image}\"\nSIGNED_PRODUCT = {product}\nSIGNED_VERSION = {version}\n\
                 # The partition with the root; a disk of your own may have another.\n\
                 SIGNED_PARTUUID ?= \"{guid}\"\nSIGNED_CMDLINE = {words}\n\
                 UBOOT_LOADADDRESS = \"{kernel:#x}\"\nUBOOT_ENTRYPOINT = \"{kernel:#x}\"\nUBOOT_DTB_LOADADDRESS = \"{fdt:#x}\"\n\n\
                 inherit {class}_fit\n\nDEPENDS += \"{machine}-devicetree\"\n",
                name = product.name,
                board = plan.board.name,
                image = names.image(),
                product = quoted(&product.name)?,
                version = quoted(&product.version)?,
                guid = guid(&product.name, &plan.board.name, "root_a"),
                words = quoted(&words.join(" "))?,
                kernel = plan.board.boot.kernel_address,
                fdt = plan.board.boot.fdt_address,
                class = names.function(),
            ),
        );
        let mut arguments = self.qemu.machine_arguments();
        if let Some(machine) = arguments.get_mut(1) {
            machine.push_str(",dumpdtb=${B}/board.dtb");
        }
        let reserve = plan.board.crash_memory.as_ref().map(reserve).unwrap_or_default();
        tree.file(
            format!("{top}/recipes-bsp/signed/{machine}-devicetree_{}.bb", pv(plan)),
            format!(
                "# nooelint: oelint.var.mandatoryvar.HOMEPAGE,oelint.var.mandatoryvar.SRC_URI\nSUMMARY = \"The device tree of {board} as QEMU has it\"\n\
                 DESCRIPTION = \"What U-Boot and the kernel of this machine are given: QEMU's own tree for exactly its options\"\n{head}\
                 PACKAGE_ARCH = \"${{MACHINE_ARCH}}\"\nEXCLUDE_FROM_WORLD = \"1\"\nINHIBIT_DEFAULT_DEPS = \"1\"\n\
                 DEPENDS = \"qemu-system-native{dtc}\"\n\nS = \"${{{unpack}}}\"\nB = \"${{WORKDIR}}/build\"\n\n\
                 do_configure[noexec] = \"1\"\n\n\
                 do_compile() {{\n    {program} {arguments} -display none -nodefaults\n{reserve}}}\n\
                 do_compile[cleandirs] = \"${{B}}\"\n\n\
                 do_install() {{\n    install -D -m 0644 ${{B}}/board.dtb ${{D}}/boot/devicetree/board.dtb\n}}\n\n\
                 FILES:${{PN}} = \"/boot\"\nSYSROOT_DIRS += \"/boot/devicetree\"\n",
                board = plan.board.name,
                unpack = facts.unpack,
                program = self.qemu.program,
                arguments = arguments.join(" "),
                dtc = if reserve.is_empty() { "" } else { " dtc-native" },
            ),
        );
        Ok(())
    }
}

/// Lines of `do_compile` that reserve the memory for a panic's last words in the dumped tree, as the assembler does it
/// (`cli/assemble/src/board_tree.rs`).
fn reserve(memory: &CrashMemoryFacts) -> String {
    let (high, low) = (memory.address >> 32, memory.address & 0xffff_ffff);
    let (address, bytes) = (memory.address, memory.bytes);
    let node = format!("/reserved-memory/ramoops@{address:x}");
    format!(
        "    fdtput -cp ${{B}}/board.dtb {node}\n    \
         fdtput -t x ${{B}}/board.dtb /reserved-memory '#address-cells' 2\n    \
         fdtput -t x ${{B}}/board.dtb /reserved-memory '#size-cells' 2\n    \
         fdtput -t bx ${{B}}/board.dtb /reserved-memory ranges\n    \
         fdtput -t s ${{B}}/board.dtb {node} compatible ramoops\n    \
         fdtput -t x ${{B}}/board.dtb {node} reg {high:x} {low:x} 0 {bytes:x}\n    \
         fdtput -t x ${{B}}/board.dtb {node} record-size {bytes:x}\n    \
         fdtput -t x ${{B}}/board.dtb {node} ecc-size 10\n"
    )
}
