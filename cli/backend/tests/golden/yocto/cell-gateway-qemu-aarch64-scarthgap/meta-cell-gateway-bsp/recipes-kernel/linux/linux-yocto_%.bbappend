FILESEXTRAPATHS:prepend:cell-gateway-qemu-aarch64 := "${THISDIR}/files:"

SRC_URI:append:cell-gateway-qemu-aarch64 = " file://defconfig file://fastness.cfg file://asked.txt file://check-asked.sh"

COMPATIBLE_MACHINE:cell-gateway-qemu-aarch64 = "^cell-gateway-qemu-aarch64$"
# The configuration starts at allnoconfig: nothing comes from the kernel cache.
KMACHINE:cell-gateway-qemu-aarch64 = "cell-gateway-qemu-aarch64"
KCONFIG_MODE:cell-gateway-qemu-aarch64 = "--allnoconfig"
KERNEL_EXTRA_FEATURES:cell-gateway-qemu-aarch64 = ""
KERNEL_FEATURES:cell-gateway-qemu-aarch64 = ""

do_configure:append:cell-gateway-qemu-aarch64() {
    sh ${WORKDIR}/check-asked.sh Linux ${B}/.config ${WORKDIR}/asked.txt ${S} || bbfatal "symbols that were asked for are lost: see above"
}

do_deploy:append:cell-gateway-qemu-aarch64() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/linux.config
}
