# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: U-Boot verifies what it starts, and starts nothing else"
DESCRIPTION = "Files of the layer verified-boot, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${nonarch_libdir}/fastness
    install -m 0444 ${UNPACKDIR}/rootfs/usr/lib/fastness/u-boot.env ${D}${nonarch_libdir}/fastness/u-boot.env
}

FILES:${PN} = "${nonarch_libdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
