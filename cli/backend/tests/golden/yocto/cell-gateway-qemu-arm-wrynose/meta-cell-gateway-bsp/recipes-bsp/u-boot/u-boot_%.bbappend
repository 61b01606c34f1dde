FILESEXTRAPATHS:prepend:cell-gateway-qemu-arm := "${THISDIR}/files:"

SRC_URI:append:cell-gateway-qemu-arm = " file://fastness.cfg file://fastness.env file://asked.txt file://check-asked.sh file://0003-no-broken-hashes.patch file://0004-all-that-starts-is-signed.patch file://0005-spl-reads-no-more-than-is-signed.patch file://0006-trees-are-walked-forwards.patch"

# No control FDT: the one with the key is put behind it after signing.
UBOOT_MAKE_TARGET:cell-gateway-qemu-arm = "u-boot-nodtb.bin"
UBOOT_BINARY:cell-gateway-qemu-arm = "${@'u-boot.bin' if d.getVar('UBOOT_SIGN_ENABLE') == '1' else 'u-boot-nodtb.bin'}"
UBOOT_INITIAL_ENV:cell-gateway-qemu-arm = ""

do_configure:append:cell-gateway-qemu-arm() {
    sh ${UNPACKDIR}/check-asked.sh U-Boot ${B}/.config ${UNPACKDIR}/asked.txt ${S} || bbfatal "symbols that were asked for are lost: see above"
    # U-Boot's whole environment, where its symbol DEFAULT_ENV_FILE looks for it.
    install -m 0644 ${UNPACKDIR}/fastness.env ${B}/fastness.env
}

do_deploy:append:cell-gateway-qemu-arm() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/u-boot.config
}

inherit ${@'cell_gateway_key' if 'cell-gateway-qemu-arm' in (d.getVar('MACHINEOVERRIDES') or '').split(':') else ''}
DEPENDS:append:cell-gateway-qemu-arm = " ${@'cell-gateway-qemu-arm-devicetree' if d.getVar('UBOOT_SIGN_ENABLE') == '1' else ''}"

do_uboot_assemble_fitimage:prepend:cell-gateway-qemu-arm() {
    if [ "${UBOOT_SIGN_ENABLE}" = "1" ]; then
        install -m 0644 ${RECIPE_SYSROOT}/boot/devicetree/board.dtb ${B}/u-boot.dtb
    fi
}
