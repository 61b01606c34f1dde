FILESEXTRAPATHS:prepend:plc-gateway-qemu-aarch64 := "${THISDIR}/files:"

SRC_URI:append:plc-gateway-qemu-aarch64 = " file://defconfig file://fastness.cfg file://asked.txt file://check-asked.sh"

COMPATIBLE_MACHINE:plc-gateway-qemu-aarch64 = "^plc-gateway-qemu-aarch64$"
# The configuration starts at allnoconfig: nothing comes from the kernel cache.
KMACHINE:plc-gateway-qemu-aarch64 = "plc-gateway-qemu-aarch64"
KCONFIG_MODE:plc-gateway-qemu-aarch64 = "--allnoconfig"
KERNEL_EXTRA_FEATURES:plc-gateway-qemu-aarch64 = ""
KERNEL_FEATURES:plc-gateway-qemu-aarch64 = ""

do_configure:append:plc-gateway-qemu-aarch64() {
    sh ${UNPACKDIR}/check-asked.sh Linux ${B}/.config ${UNPACKDIR}/asked.txt ${S} || bbfatal "symbols that were asked for are lost: see above"
}

do_deploy:append:plc-gateway-qemu-aarch64() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/linux.config
}

do_deploy:append:plc-gateway-qemu-aarch64() {
    if [ "${UBOOT_SIGN_ENABLE}" = "1" ]; then
        install -m 0644 ${B}/${KERNEL_OUTPUT_DIR}/Image ${DEPLOYDIR}/linux.bin
        printf none > ${DEPLOYDIR}/linux_comp
    fi
}
