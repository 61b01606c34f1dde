FILESEXTRAPATHS:prepend:cell-gateway-qemu-arm := "${THISDIR}/files:"

SRC_URI:append:cell-gateway-qemu-arm = " file://defconfig file://fastness.cfg file://asked.txt file://check-asked.sh"

COMPATIBLE_MACHINE:cell-gateway-qemu-arm = "^cell-gateway-qemu-arm$"
# The configuration starts at allnoconfig: nothing comes from the kernel cache.
KMACHINE:cell-gateway-qemu-arm = "cell-gateway-qemu-arm"
KCONFIG_MODE:cell-gateway-qemu-arm = "--allnoconfig"
KERNEL_EXTRA_FEATURES:cell-gateway-qemu-arm = ""
KERNEL_FEATURES:cell-gateway-qemu-arm = ""

do_configure:append:cell-gateway-qemu-arm() {
    sh ${UNPACKDIR}/check-asked.sh Linux ${B}/.config ${UNPACKDIR}/asked.txt ${S} || bbfatal "symbols that were asked for are lost: see above"
}

do_deploy:append:cell-gateway-qemu-arm() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/linux.config
}

do_deploy:append:cell-gateway-qemu-arm() {
    if [ "${UBOOT_SIGN_ENABLE}" = "1" ]; then
        install -m 0644 ${B}/${KERNEL_OUTPUT_DIR}/Image ${DEPLOYDIR}/linux.bin
        printf none > ${DEPLOYDIR}/linux_comp
    fi
}
