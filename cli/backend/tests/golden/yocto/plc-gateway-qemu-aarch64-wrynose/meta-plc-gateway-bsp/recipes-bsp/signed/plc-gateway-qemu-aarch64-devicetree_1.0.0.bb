# nooelint: oelint.var.mandatoryvar.HOMEPAGE,oelint.var.mandatoryvar.SRC_URI
SUMMARY = "The device tree of qemu-aarch64 as QEMU has it"
DESCRIPTION = "What U-Boot and the kernel of this machine are given: QEMU's own tree for exactly its options"
SECTION = "bootloaders"
LICENSE = "LicenseRef-plc-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-plc-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"

COMPATIBLE_MACHINE = "^plc-gateway-qemu-aarch64$"
PACKAGE_ARCH = "${MACHINE_ARCH}"
EXCLUDE_FROM_WORLD = "1"
INHIBIT_DEFAULT_DEPS = "1"
DEPENDS = "qemu-system-native"

S = "${UNPACKDIR}"
B = "${WORKDIR}/build"

do_configure[noexec] = "1"

do_compile() {
    qemu-system-aarch64 -machine virt,gic-version=3,acpi=off,secure=off,virtualization=off,its=off,highmem=off,dtb-randomness=off,dumpdtb=${B}/board.dtb -cpu max,pauth-impdef=on,sve=off,sme=off -smp 2 -m 1024 -device i6300esb -action watchdog=reset -display none -nodefaults
}
do_compile[cleandirs] = "${B}"

do_install() {
    install -D -m 0644 ${B}/board.dtb ${D}/boot/devicetree/board.dtb
}

FILES:${PN} = "/boot"
SYSROOT_DIRS += "/boot/devicetree"
