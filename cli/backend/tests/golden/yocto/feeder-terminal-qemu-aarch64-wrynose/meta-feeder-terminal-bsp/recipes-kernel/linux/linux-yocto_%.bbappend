FILESEXTRAPATHS:prepend:feeder-terminal-qemu-aarch64 := "${THISDIR}/files:"

SRC_URI:append:feeder-terminal-qemu-aarch64 = " file://defconfig file://fastness.cfg file://asked.txt file://check-asked.sh"

COMPATIBLE_MACHINE:feeder-terminal-qemu-aarch64 = "^feeder-terminal-qemu-aarch64$"
# The configuration starts at allnoconfig: nothing comes from the kernel cache.
KMACHINE:feeder-terminal-qemu-aarch64 = "feeder-terminal-qemu-aarch64"
KCONFIG_MODE:feeder-terminal-qemu-aarch64 = "--allnoconfig"
KERNEL_EXTRA_FEATURES:feeder-terminal-qemu-aarch64 = ""
KERNEL_FEATURES:feeder-terminal-qemu-aarch64 = ""

do_configure:append:feeder-terminal-qemu-aarch64() {
    sh ${UNPACKDIR}/check-asked.sh Linux ${B}/.config ${UNPACKDIR}/asked.txt ${S} || bbfatal "symbols that were asked for are lost: see above"
}

do_deploy:append:feeder-terminal-qemu-aarch64() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/linux.config
}
